//! Pieces of any size, files of every version, and what is refused: in which words, and where.

use super::*;
use crate::keyspace::tests::{Fed, any_step, cases, feed};
use crate::snapshot::write::whole;
use crate::{Db, Reader};
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

type Read = core::result::Result<(Keyspace, SnapshotFacts), SnapshotError>;

/// Reads a file cut at these lengths.
fn in_pieces(file: &[u8], cuts: impl Iterator<Item = usize>) -> Read {
    let mut reader = SnapshotReader::new([0, 0]);
    let mut rest = file;
    for length in cuts {
        let (piece, later) = rest.split_at(length.min(rest.len()));
        let fed = reader.feed(piece);
        assert_eq!(fed.is_err(), reader.failed.is_some());
        let kept = reader.pending.len();
        assert!(kept == 0 || kept < reader.need, "what is kept is not whole");
        rest = later;
    }
    let _ = reader.feed(rest);
    reader.finish()
}

/// What a reading gave, as far as it can be compared.
fn outcome(read: Read) -> core::result::Result<Vec<u8>, SnapshotError> {
    read.map(|(keyspace, facts)| whole(&keyspace, &facts))
}

fn error(file: &[u8]) -> String {
    let error = Keyspace::read_snapshot(file).unwrap_err();
    assert_eq!(in_pieces(file, core::iter::repeat_n(1, file.len())).unwrap_err(), error);
    error.to_string()
}

/// Key and value of database 0, as text.
fn text(keyspace: &Keyspace, key: &[u8]) -> String {
    let reader = Reader { keyspace, db: Db(0), seed: 0, clock_ms: 0 };
    let value = reader.string(key).unwrap().unwrap().bytes().into_owned();
    String::from_utf8(value).unwrap()
}

fn any_cut() -> impl Strategy<Value = usize> {
    prop_oneof![0..3_usize, 0..100_usize, 0..100_000_usize]
}

proptest! {
    #![proptest_config(cases(40))]
    #[test]
    fn pieces_tell_the_same_as_the_whole(
        steps in prop::collection::vec(any_step(), 0..150),
        cuts in prop::collection::vec(any_cut(), 0..200),
        damage in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
        end in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut fed = Fed::new();
        for step in &steps {
            feed(&mut fed, step);
        }
        let fields = vec![("quorate-x".to_string(), "y".to_string())];
        let mut file = whole(&fed.keyspace, &SnapshotFacts { fields });
        if let Some((at, byte)) = damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(end) = end {
            file.truncate(end.index(file.len()));
        }
        let want = outcome(Keyspace::read_snapshot(&file));
        prop_assert!(outcome(in_pieces(&file, cuts.into_iter())) == want);
        if file.len() < 100_000 {
            prop_assert!(outcome(in_pieces(&file, core::iter::repeat_n(1, file.len()))) == want);
        }
    }
}

#[test]
fn an_item_costs_no_more_tries_than_it_has_fields() {
    let mut file = b"REDIS0010\xfa\x03ctx\x80\x00\x10\x00\x00".to_vec();
    file.resize(file.len() + (1 << 20), b'v');
    let mut reader = SnapshotReader::new([0, 0]);
    let mut needs = Vec::new();
    for byte in &file {
        reader.feed(&[*byte]).unwrap();
        if needs.last() != Some(&reader.need) {
            needs.push(reader.need);
        }
    }
    assert!(needs.len() <= 12, "{needs:?}");
    assert_eq!((reader.bytes(), reader.pending.len()), (file.len() as u64, 0));
}

#[test]
fn a_long_value_is_not_buffered() {
    let mut reader = SnapshotReader::new([0, 0]);
    reader.feed(b"REDIS0009\x00\x01k\x80\x00\x20\x00\x00").unwrap();
    for count in 1..=32_u64 {
        reader.feed(&vec![b'x'; 1 << 16]).unwrap();
        assert!(reader.pending.is_empty());
        assert_eq!((reader.keys(), reader.bytes()), (count / 32, 17 + (count << 16)));
    }
    reader.feed(b"\xff\0\0\0\0\0\0\0\0").unwrap();
    let (keyspace, _) = reader.finish().unwrap();
    assert_eq!(text(&keyspace, b"k"), "x".repeat(2 << 20));
}

#[test]
fn files_of_every_version_are_read() {
    let body = b"\xfe\x00\xfd\x02\x00\x00\x00\x00\x01s\xc0\xf6\x00\x02ws\xc1\x00\x80\
        \x00\x04long\xc2\xff\xff\xff\x7f\x00\xc0\x07\x01v\xff";
    for version in 1..=12_u16 {
        let mut file = format!("REDIS{version:04}").into_bytes();
        file.extend(body);
        if version >= VERSION_CHECKED {
            let crc = crc64(0, &file);
            file.extend(crc.to_le_bytes());
        }
        let (read, facts) = Keyspace::read_snapshot(&file).unwrap();
        assert_eq!(facts, SnapshotFacts::default());
        assert_eq!(read.deadline(Db(0), b"s"), Some(2000));
        let values = [&b"s"[..], b"ws", b"long", b"7"].map(|key| text(&read, key));
        assert_eq!(values, ["-10", "-32768", "2147483647", "v"], "version {version}");
        if version >= VERSION_CHECKED {
            *file.last_mut().unwrap() ^= 1;
            let refused = Keyspace::read_snapshot(&file).unwrap_err();
            assert_eq!(refused.fault, SnapshotFault::Checksum);
            let from = file.len() - 8;
            file[from..].fill(0);
            assert!(Keyspace::read_snapshot(&file).is_ok(), "rdbchecksum no");
        }
    }
    for version in [&b"0000"[..], b"0013", b"9999"] {
        let refused = error(&[b"REDIS", version, b"\xff"].concat());
        assert_eq!(
            refused,
            "a version of RDB that is not known (1 to 12 are) (at byte 9, after 0 keys)"
        );
    }
}

#[test]
fn what_says_nothing_about_the_data_is_skipped() {
    let mut file = b"REDIS0012\xfa\x09redis-ver\x057.4.0\xfa\x03lua\x08return 1".to_vec();
    // A module's own data: "ReJSON-RL" version 3, before the keys, one field of each kind.
    file.extend(
        b"\xf7\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03\x02\x02\x01\x05\x02\x80\x00\x00\x00\x09",
    );
    file.extend(
        b"\x03\x00\x00\x80\x3f\x04\0\0\0\0\0\0\xf0\x3f\x05\xc3\x05\x12\x00a\xe0\x08\x00\x00",
    );
    file.extend(b"\xfe\x00\xfb\x01\x01\xf4\x44\x00\x01\x01");
    file.extend(b"\xf8\x40\xff\xf9\x05\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01k\x01v");
    file.extend(b"\xfc\xfe\xff\xff\xff\xff\xff\xff\xff\x00\x01p\x01v\xff\0\0\0\0\0\0\0\0");
    let (read, facts) = Keyspace::read_snapshot(&file).unwrap();
    assert_eq!(facts, SnapshotFacts::default());
    assert_eq!((read.stats(Db(0)).0, read.deadline(Db(0), b"k")), (2, None));
    assert_eq!(read.deadline(Db(0), b"p"), Some(0), "past");
}

#[test]
fn what_cannot_be_held_is_named() {
    for (body, want) in [
        (
            &b"\x00\x01a\x01v\xfa\x01x\x01y\x06\x06my\tmod\x01"[..],
            "the key \"my\\tmod\" holds a value of a module in the form of a pre-release, which \
             cannot be skipped (at byte 27, after 1 key)",
        ),
        (
            b"\x07\x01m\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03",
            "the key \"m\" holds a value of the module type \"ReJSON-RL\", and modules are not \
             supported (at byte 21, after 0 keys)",
        ),
        (
            b"\x06\x01m",
            "the key \"m\" holds a value of a module in the form of a pre-release, which cannot be \
             skipped (at byte 12, after 0 keys)",
        ),
        (
            b"\xf5\x25#!lua name=mylib engine=x\nredis.regis",
            "the file holds the function library \"mylib\", which cannot be kept \
             (FUNCTION FLUSH, or FUNCTION DELETE, before saving leaves it out) \
             (at byte 48, after 0 keys)",
        ),
        (
            b"\xf6\x03old\x03LUA",
            "the file holds the function \"old\" of a pre-release of Redis 7, which cannot be \
             kept (FUNCTION FLUSH, or FUNCTION DELETE, before saving leaves it out) \
             (at byte 14, after 0 keys)",
        ),
        (b"\x08", "an opcode or type that is not known (at byte 10, after 0 keys)"),
        (b"\xf3", "an opcode or type that is not known (at byte 10, after 0 keys)"),
        (
            b"\xfe\x10",
            "database 16 does not exist here: there are 0 to 15 (at byte 11, after 0 keys)",
        ),
        (b"\x00\x01k\x01v\x00\x01k", "the file is cut (at byte 17, after 1 key)"),
        (
            b"\x00\x01k\x01v\x00\x01k\x00\xff",
            "the key \"k\": it occurs twice (at byte 19, after 2 keys)",
        ),
        (b"\x00\x82", "unknown form of a length (at byte 11, after 0 keys)"),
        (b"\x00\xc4", "unknown encoding of a string (at byte 11, after 0 keys)"),
        (b"\xfb\xc0\x01", "a length is missing (at byte 11, after 0 keys)"),
        (
            b"\x00\x01k\xc3\x01\x01\x00",
            "the key \"k\": a compressed string is damaged (at byte 16, after 0 keys)",
        ),
        (b"\xff\0\0\0\0\0\0\0\0z", "bytes behind the end (at byte 18, after 0 keys)"),
        (b"\xf7\x01\x06", "a module's data (at byte 12, after 0 keys)"),
    ] {
        assert_eq!(error(&[b"REDIS0010", body].concat()), want);
    }
    assert_eq!(error(b"REDIT0010"), "this is not an RDB file (at byte 5, after 0 keys)");
    assert_eq!(error(b"REDIS00a1"), "the version of RDB is not a number (at byte 9, after 0 keys)");
    assert_eq!(error(b"REDI"), "the file is cut (at byte 4, after 0 keys)");
    assert_eq!(error(b""), "the file is cut (at byte 0, after 0 keys)");
}

#[test]
fn a_declared_size_is_not_believed() {
    for body in [
        &b"\x00\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\x01k\x80\xff\xff\xff\xffv",
        b"\x00\x01k\xc3\x02\x81\x0f\xff\xff\xff\xff\xff\xff\xff\x00v",
        b"\x00\x01k\xc3\x81\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00v",
        b"\xfa\x81\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let refused = Keyspace::read_snapshot(&[b"REDIS0010", body].concat()).unwrap_err();
        let fault = &refused.fault;
        let malformed = matches!(fault, SnapshotFault::Malformed(..) | SnapshotFault::Key(..));
        assert!(malformed, "{refused}");
    }
}

#[test]
fn a_compressed_value_may_be_large() {
    // 264 times as long as it is: one byte, then references to it.
    let mut packed = vec![0, b'a'];
    for _ in 0..2000 {
        packed.extend([0xe0, 0xff, 0]);
    }
    let mut file = b"REDIS0010\x00\x01k\xc3".to_vec();
    file.push(0x80);
    file.extend((packed.len() as u32).to_be_bytes());
    file.push(0x80);
    file.extend(528_001_u32.to_be_bytes());
    file.extend(&packed);
    file.extend(b"\xff\0\0\0\0\0\0\0\0");
    let (read, _) = Keyspace::read_snapshot(&file).unwrap();
    assert_eq!(text(&read, b"k"), "a".repeat(528_001));
    assert!(in_pieces(&file, core::iter::repeat_n(1000, 20)).is_ok());
}
