//! Files and payloads that a real Redis wrote, damaged behind a good checksum: read or refused,
//! never a panic, and never more memory than the bytes that came can stand for.
//!
//! The files are the seeds of `crates/engine/fuzz`, where a fuzzer takes over.

use super::super::write::whole;
use super::super::{SnapshotReader, load};
use crate::keyspace::tests::cases;
use crate::rdb::SnapshotFacts;
use crate::rdb::crc64::crc64;
use crate::types::Rules;
use crate::{Db, Keyspace};
use alloc::vec::Vec;
use proptest::prelude::*;
use proptest::sample::Index;

macro_rules! seeds {
    ($folder:literal: $($name:literal),+) => {
        [$(include_bytes!(concat!("../../../fuzz/seeds/", $folder, "/", $name))),+]
    };
}

const FILES: [&[u8]; 8] = seeds!(
    "snapshots": "empty", "functions", "lfu", "list", "lru", "ours", "plain", "strings"
);
const PAYLOADS: [&[u8]; 18] = seeds!(
    "payloads": "binary", "embstr", "int", "long", "long-int", "packed", "word", "list-small",
    "zset-small", "zset-large", "ints-small", "ints-large", "set-small", "set-large",
    "hash-small", "hash-large", "hash-timed-small", "hash-timed-large"
);

/// A compressed byte stands for at most so many (three give 264).
const UNPACKED: u64 = 88;

#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Insert(Index, u8),
    Cut(Index, usize),
    /// Some bytes of another place.
    Splice(Index, Index, usize),
}

fn any_damage() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<Index>;
    // Lengths, encodings and opcodes are found more often than by chance.
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(alloc::vec![0_u8, 1, 0x40, 0x80, 0x81, 0xc0, 0xc3, 0xfa, 0xfe, 0xff])
    ];
    let one = prop_oneof![
        4 => (at(), byte.clone()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        2 => (at(), byte).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => (at(), 1..20_usize).prop_map(|(at, count)| Damage::Cut(at, count)),
        1 => (at(), at(), 1..60_usize).prop_map(|(to, from, n)| Damage::Splice(to, from, n)),
    ];
    prop::collection::vec(one, 0..6)
}

fn damaged(bytes: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damage {
        if bytes.is_empty() {
            break;
        }
        match *damage {
            Damage::Set(at, byte) => *at.get_mut(&mut bytes) = byte,
            Damage::Insert(at, byte) => bytes.insert(at.index(bytes.len()), byte),
            Damage::Cut(at, count) => {
                let at = at.index(bytes.len());
                bytes.drain(at..bytes.len().min(at + count));
            }
            Damage::Splice(to, from, count) => {
                let (to, from) = (to.index(bytes.len()), from.index(bytes.len()));
                let piece = bytes[from..bytes.len().min(from + count)].to_vec();
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(cases(2000))]
    #[test]
    fn a_damaged_file_is_read_or_refused(
        seed in prop::sample::select(&FILES[..]), damage in any_damage(), piece in 1..200_usize,
    ) {
        let mut file = damaged(&seed[1..], &damage);
        let sum = crc64(0, &file);
        file.extend(sum.to_le_bytes());
        let mut reader = SnapshotReader::new([0, 0]);
        for piece in file.chunks(piece) {
            if reader.feed(piece).is_err() {
                break;
            }
            prop_assert!(reader.buffered() <= 2 * file.len().max(8));
        }
        let pieces = reader.finish();
        let read = Keyspace::read_snapshot(&file);
        prop_assert_eq!(read.as_ref().err(), pieces.as_ref().err());
        if let Ok((keyspace, facts)) = read {
            let keys: u64 = Db::all().map(|db| keyspace.stats(db).0).sum();
            prop_assert!(keyspace.used_bytes() <= 200 * keys + UNPACKED * file.len() as u64);
            let again = whole(&keyspace, &facts);
            prop_assert!(Keyspace::read_snapshot(&again).is_ok());
        }
    }

    #[test]
    fn a_damaged_payload_is_read_or_refused(
        seed in prop::sample::select(&PAYLOADS[..]), damage in any_damage(), version in 0..14_u16,
    ) {
        let mut payload = damaged(seed, &damage);
        let most = UNPACKED * payload.len() as u64;
        payload.extend(version.to_le_bytes());
        let sum = crc64(0, &payload);
        payload.extend(sum.to_le_bytes());
        if let Ok(value) = load(&payload, 1 << 20, Rules::default()) {
            let (record, _) = value.record(&[], 0, None);
            prop_assert!(version <= 12 && record.cost() <= most + 200);
            let cut = load(&payload[..payload.len() - 1], 1 << 20, Rules::default());
            prop_assert!(cut.is_err());
        }
    }
}

#[test]
fn the_seeds_are_what_they_seem() {
    for seed in FILES {
        let mut file = seed[1..].to_vec();
        let sum = crc64(0, &file);
        file.extend(sum.to_le_bytes());
        let read = Keyspace::read_snapshot(&file);
        let told = read.as_ref().err().map(alloc::string::ToString::to_string);
        assert_eq!(told, None);
        let ours = seed == FILES[5];
        assert!(read.is_err() || ours != (read.unwrap().1 == SnapshotFacts::default()));
    }
}
