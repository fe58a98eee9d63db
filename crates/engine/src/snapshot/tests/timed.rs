//! Hashes with deadlines of fields: how Redis 7.4 writes them, and how they travel in a snapshot of
//! ours, which Redis 7.0 must still load.

use super::{assert_same, restored};
use crate::keyspace::tests::Fed;
use crate::rdb::crc64::crc64;
use crate::types::Open;
use crate::types::hash::HashTree;
use crate::{Db, Deadline, Keyspace, Reader};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

/// Fields of the hash `h`, each as `name=value` or `name=value@deadline`, and its encoding.
fn shown(keyspace: &Keyspace) -> (Vec<String>, &'static str) {
    let reader = Reader { keyspace, db: Db(0), seed: 0, clock_ms: 0 };
    let hash = reader.view::<HashTree>(b"h").unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = hash.all().map(|field| {
        let pair = format!("{}={}", field.name.with(text), field.value.with(text));
        field.deadline.map_or(pair.clone(), |at_ms| format!("{pair}@{at_ms}"))
    });
    (fields.collect(), reader.encoding(b"h").unwrap())
}

fn file(body: &[u8]) -> Vec<u8> {
    [b"REDIS0012\xfe\x00", body, b"\xff\0\0\0\0\0\0\0\0"].concat()
}

/// Entries of a listpack with its frame, as a string of a file.
fn listpack(entries: &[u8], count: u8) -> Vec<u8> {
    let length = entries.len() + 7;
    let head = [length as u8, 0, 0, 0, count, 0];
    [&[length as u8], &head[..], entries, &[0xff]].concat()
}

/// `f` with deadline 1,000, `g` without one, `n` with value 7 and deadline 1,900,000,000,000.
const TRIPLES: &[u8] = b"\x81f\x02\x81v\x02\xc3\xe8\x02\x81g\x02\x81w\x02\x00\x01\
    \x81n\x02\x07\x01\xf4\x00\x38\xd3\x60\xba\x01\x00\x00\x09";
const FIELDS: [&str; 3] = ["f=v@1000", "g=w", "n=7@1900000000000"];

/// The same fields one by one, their deadlines counted from a base plus 1.
fn singles(base: u64) -> Vec<u8> {
    let number = |at_ms: u64| [&[0x81], &(at_ms - base + 1).to_be_bytes()[..]].concat();
    [
        b"\x03",
        &number(1000)[..],
        b"\x01f\x01v\x00\x01g\x01w",
        &number(1_900_000_000_000),
        b"\x01n\xc0\x07",
    ]
    .concat()
}

fn bodies() -> [(u8, Vec<u8>); 4] {
    let base = 1000_u64.to_le_bytes();
    [
        (22, singles(1)),
        (23, listpack(TRIPLES, 9)),
        (24, [&base[..], &singles(1000)].concat()),
        (25, [&base[..], &listpack(TRIPLES, 9)].concat()),
    ]
}

#[test]
fn what_redis_7_4_writes_is_read() {
    for (kind, body) in bodies() {
        let file = file(&[&[kind, 1, b'h'], &body[..]].concat());
        let (read, _) = Keyspace::read_snapshot(&file).unwrap();
        let (fields, encoding) = shown(&read);
        assert_eq!((&fields[..], encoding), (&FIELDS.map(ToString::to_string)[..], "listpackex"));
        assert_eq!(read.next_deadline_ms(), Some(1000));
        let due: Vec<_> = read.due_fields(1001).collect();
        assert_eq!(due, [(1000, Db(0), &b"h"[..])]);
        for end in 0..file.len() - 9 {
            assert!(Keyspace::read_snapshot(&file[..end]).is_err(), "cut at {end} of type {kind}");
        }
        assert_same(&read, &restored(&read));
    }
}

#[test]
fn bad_deadlines_are_refused() {
    let base = 1000_u64.to_le_bytes();
    let far = [b"\x01\x81\x00\x00\xff\xff\xff\xff\xff\xff\x01f\x01v".to_vec()].concat();
    let refused: [(u8, Vec<u8>); 7] = [
        (22, [&b"\x01\x81"[..], &[0xff; 8], b"\x01f\x01v"].concat()),
        (24, [&base[..], &far].concat()),
        (24, [&[0xff; 8][..], b"\x01\x02\x01f\x01v"].concat()),
        (23, listpack(b"\x81f\x02\x81v\x02\xdf\xff\x02", 3)),
        (23, listpack(b"\x81f\x02\x81v\x02\x81x\x02", 3)),
        (25, [&base[..], &listpack(b"\x81f\x02\x81v\x02", 2)].concat()),
        (25, [&base[..], &listpack(&[TRIPLES, TRIPLES].concat(), 18)].concat()),
    ];
    for (kind, body) in refused {
        let file = file(&[&[kind, 1, b'h'], &body[..]].concat());
        assert!(Keyspace::read_snapshot(&file).is_err(), "type {kind}: {body:02x?}");
    }
}

/// A hash with these fields, a deadline for each but every third.
fn state(count: u64, limits: &str) -> Fed {
    let mut fed = Fed::new();
    fed.keyspace.set_setting("hash-max-listpack-entries", limits).unwrap();
    for key in [&b"before"[..], b"h", b"zzz"] {
        fed.entry(0, 5)
            .edit_or_create(key, |hash: &mut Open<HashTree>| {
                for number in 0..count {
                    let deadline = Deadline::At(1000 + number);
                    let deadline = if number % 3 == 0 { Deadline::Clear } else { deadline };
                    hash.put(format!("field {number}").as_bytes(), b"value", deadline);
                }
            })
            .unwrap();
    }
    fed
}

#[test]
fn a_snapshot_keeps_deadlines_of_any_number_of_fields() {
    for (count, limits) in
        [(2, "512"), (3, "512"), (2, "0"), (400, "512"), (400, "0"), (20_000, "512")]
    {
        let fed = state(count, limits);
        let other = restored(&fed.keyspace);
        assert_same(&fed.keyspace, &other);
        assert_eq!(shown(&fed.keyspace), shown(&other));
        let reader = fed.reader(0);
        assert_eq!(
            reader.usage_bytes(b"h"),
            Reader { keyspace: &other, ..reader }.usage_bytes(b"h")
        );
    }
}

#[test]
fn deadlines_of_fields_that_are_not_there_are_refused() {
    let fed = state(3, "512");
    let file = super::whole(&fed.keyspace, &super::facts());
    let name = b"quorate.fields";
    let at = file.windows(name.len()).position(|part| part == name).unwrap();
    let mut refused = 0;
    for end in at + name.len()..at + name.len() + 40 {
        for byte in [0, 0x7f, 0xff] {
            let mut damaged = file.clone();
            damaged[end] = byte;
            let body = damaged.len() - 8;
            let crc = crc64(0, &damaged[..body]);
            damaged[body..].copy_from_slice(&crc.to_le_bytes());
            refused += usize::from(Keyspace::read_snapshot(&damaged).is_err());
        }
    }
    assert!(refused > 60, "{refused}");
}

#[test]
fn a_dump_keeps_what_is_not_due() {
    for (count, limits) in [(9, "512"), (9, "0"), (600, "512")] {
        let mut fed = state(count, limits);
        let version = |payload: &[u8]| payload[payload.len() - 10];
        let payload = fed.reader(0).dump(b"h").unwrap();
        assert_eq!((payload[0], version(&payload)), (24, 12));
        let read = |fed: &mut Fed, payload: &[u8]| {
            let rules = fed.keyspace.rules();
            let value = crate::snapshot::load(payload, u64::MAX, rules).unwrap();
            assert_eq!(value.is_timed(), version(payload) == 12);
            fed.entry(0, 5).put(b"h", value, None);
        };
        let (mut before, encoding) = shown(&fed.keyspace);
        read(&mut fed, &payload);
        let (mut after, same) = shown(&fed.keyspace);
        before.sort();
        after.sort();
        assert_eq!((before, encoding), (after, same));
        fed.entry(0, 1004);
        let payload = fed.reader(0).dump(b"h").unwrap();
        read(&mut fed, &payload);
        let (fields, _) = shown(&fed.keyspace);
        assert!(
            fields.iter().all(|field| !["@1001", "@1002"].iter().any(|at| field.ends_with(at)))
        );
        assert_eq!(fields.len() as u64, count - 2);
        fed.entry(0, 99_999);
        let payload = fed.reader(0).dump(b"h").unwrap();
        assert_eq!(version(&payload), 10, "what is left can be said");
        read(&mut fed, &payload);
        assert_eq!(shown(&fed.keyspace).0.len() as u64, count.div_ceil(3));
    }
}

#[test]
fn a_hash_that_ends_is_not_there() {
    let mut fed = Fed::new();
    fed.entry(0, 5)
        .edit_or_create(b"h", |hash: &mut Open<HashTree>| {
            hash.put(b"f", b"v", Deadline::At(50));
            hash.put(b"g", b"v", Deadline::At(60));
        })
        .unwrap();
    let there = |fed: &Fed| {
        let reader = fed.reader(0);
        let keys = {
            let mut keys = vec![];
            reader.keys(&mut |key| keys.push(key.to_vec()));
            keys
        };
        assert_eq!(keys.is_empty(), !reader.exists(b"h"));
        assert_eq!(reader.random_key().is_some(), reader.exists(b"h"));
        (reader.exists(b"h"), fed.keyspace.is_due(Db(0), b"h", fed.keyspace.now_ms()))
    };
    fed.entry(0, 60);
    assert_eq!(there(&fed), (true, false));
    fed.entry(0, 61);
    assert_eq!(there(&fed), (false, true));
    assert!(fed.entry(0, 61).expire(b"h"));
    assert_eq!((fed.keyspace.next_deadline_ms(), fed.keyspace.used_bytes()), (None, 0));
}
