//! RDB files: whatever arrives, no panic, and the same state or error in pieces as at once.
//!
//! The first byte picks the size of the pieces, the rest is a file without its checksum, which is
//! put behind it, so that mutations reach what stands in front of it. A state that was read can be
//! written and read again, and is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_engine::{Checksum, Keyspace, SnapshotError, SnapshotFacts, SnapshotReader};

fn read(file: &[u8], piece: usize) -> Result<(Keyspace, SnapshotFacts), SnapshotError> {
    let mut reader = SnapshotReader::new([1, 2]);
    for piece in file.chunks(piece) {
        if let Err(error) = reader.feed(piece) {
            assert!(!error.to_string().is_empty());
            assert_eq!(reader.finish().err(), Some(error.clone()));
            return Err(error);
        }
        assert!(reader.bytes() <= file.len() as u64 && reader.keys() <= reader.bytes());
    }
    reader.finish()
}

fn written(keyspace: &Keyspace, facts: &SnapshotFacts) -> Vec<u8> {
    let mut file = Vec::new();
    keyspace.write_snapshot(facts, &mut |piece| file.extend_from_slice(piece));
    file
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, body)) = bytes.split_first() else { return };
    let mut sum = Checksum::default();
    sum.update(body);
    let file = [body, &sum.finish()].concat();
    let whole = read(&file, file.len());
    match (whole, read(&file, usize::from(piece).max(1))) {
        (Ok((one, facts)), Ok((other, same))) => {
            assert_eq!(facts, same);
            let again = written(&one, &facts);
            assert!(again == written(&other, &facts));
            let (back, same) = Keyspace::read_snapshot(&again).expect("what we write we read");
            assert!(facts == same && again == written(&back, &facts));
        }
        (Err(one), Err(other)) => assert_eq!(one, other),
        _ => panic!("pieces tell another story"),
    }
});
