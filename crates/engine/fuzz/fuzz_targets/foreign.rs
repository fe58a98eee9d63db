//! Files of others, mended: whatever arrives, no panic, the same state and report in pieces as at
//! once, and nothing damaged gets in: what was made of it is written, and read back strictly.
//!
//! The first byte picks the size of the pieces and what is left out; the rest is a file without its
//! checksum, which is 0, so that mutations reach what stands in front of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_engine::{Foreign, Keyspace, Report, SnapshotError, SnapshotFacts, SnapshotReader};

type Read = Result<(Vec<u8>, Report), SnapshotError>;

fn read(file: &[u8], piece: usize, foreign: Foreign) -> Read {
    let mut reader = SnapshotReader::foreign([1, 2], foreign);
    for piece in file.chunks(piece) {
        reader.feed(piece)?;
    }
    let report = reader.report().clone();
    let (keyspace, facts) = reader.finish()?;
    Ok((written(&keyspace, &facts), report))
}

fn written(keyspace: &Keyspace, facts: &SnapshotFacts) -> Vec<u8> {
    let mut file = Vec::new();
    keyspace.write_snapshot(facts, &mut |piece| file.extend_from_slice(piece));
    file
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, body)) = bytes.split_first() else { return };
    let foreign = Foreign { strict: false, skip_unsupported: first & 0x80 != 0 };
    let file = [body, &[0; 8]].concat();
    let whole = read(&file, file.len(), foreign);
    assert_eq!(whole, read(&file, usize::from(first & 0x7f).max(1), foreign));
    let Ok((state, report)) = whole else { return };
    let (back, facts) = Keyspace::read_snapshot(&state).expect("what we write we read");
    assert!(state == written(&back, &facts));
    let strict = read(&file, file.len(), Foreign { strict: true, ..foreign });
    let odd = report.mended + report.dropped + report.behind > 0;
    assert_eq!(strict.is_err(), odd, "{report:?}");
});
