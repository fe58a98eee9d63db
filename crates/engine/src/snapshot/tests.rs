//! A state read back is indistinguishable from the one written, and no bytes make the reader panic.

mod hostile;
mod timed;

use super::write::whole;
use crate::keyspace::content_tests::assert_same_content;
use crate::keyspace::tests::{Fed, Step, any_collect, any_step, cases, feed};
use crate::rdb::SnapshotFacts;
use crate::rdb::crc64::crc64;
use crate::{Db, Deadline, Effects, Keyspace};
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

pub(crate) fn facts() -> SnapshotFacts {
    let field = |name: &str, value: &str| (name.to_string(), value.to_string());
    SnapshotFacts { fields: vec![field("quorate-last-log-id", "3-7-9"), field("quorate-x", "")] }
}

fn restored(keyspace: &Keyspace) -> Keyspace {
    let file = whole(keyspace, &facts());
    let (read, read_facts) = Keyspace::read_snapshot(&file).unwrap();
    assert_eq!(read_facts, facts());
    assert!(whole(&read, &facts()) == file, "written again it is the same file");
    read
}

/// Everything that can be seen of a state.
pub(crate) fn assert_same(one: &Keyspace, other: &Keyspace) {
    assert_eq!(one.digest(), other.digest());
    assert_eq!(one.now_ms(), other.now_ms());
    assert_eq!(one.applied_index(), other.applied_index());
    assert_eq!(one.used_bytes(), other.used_bytes());
    assert_eq!(one.level(), other.level());
    assert_eq!(one.settings(), other.settings());
    assert!(one.due(u64::MAX).eq(other.due(u64::MAX)));
    assert!(one.due_fields(u64::MAX).eq(other.due_fields(u64::MAX)));
    assert!(one.revisions == other.revisions);
    for db in Db::all() {
        assert_eq!(one.stats(db), other.stats(db));
        let (one, other) = (&one.database(db).table, &other.database(db).table);
        for (a, b) in one.walk(0, 0).zip(other.walk(0, 0)) {
            assert_eq!((a.slot, a.hash, a.record.head()), (b.slot, b.hash, b.record.head()));
            assert!(a.record.key() == b.record.key());
        }
    }
    assert_same_content(one, other);
}

proptest! {
    #![proptest_config(cases(24))]
    #[test]
    fn a_restored_state_is_indistinguishable(
        before in prop::collection::vec(prop_oneof![4 => any_step(), 1 => any_collect()], 0..400),
        after in prop::collection::vec(prop_oneof![4 => any_step(), 1 => any_collect()], 0..200),
    ) {
        let mut fed = Fed::new();
        for step in &before {
            feed(&mut fed, step);
        }
        fed.keyspace.raise_level(before.len() as u32 % (crate::LEVEL_MAX + 1));
        fed.keyspace.set_setting("notify-keyspace-events", "KEg").unwrap();
        let mut other = Fed { keyspace: restored(&fed.keyspace), effects: Effects::default() };
        assert_same(&fed.keyspace, &other.keyspace);
        for step in &after {
            feed(&mut fed, step);
            feed(&mut other, step);
        }
        fed.entry(0, 0).notify(b'g', "del", b"k");
        other.entry(0, 0).notify(b'g', "del", b"k");
        prop_assert_eq!(fed.effects.list, other.effects.list);
        assert_same(&fed.keyspace, &other.keyspace);
        prop_assert!(whole(&fed.keyspace, &facts()) == whole(&other.keyspace, &facts()));
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Keyspace::read_snapshot(&bytes);
        let mut file = b"REDIS0010".to_vec();
        file.extend(bytes);
        let _ = Keyspace::read_snapshot(&file);
    }

    /// Damage behind a good checksum: only the parser stands between it and the state.
    #[test]
    fn damaged_files_are_read_or_refused(
        steps in prop::collection::vec(any_step(), 0..60),
        damage in prop::collection::vec((any::<u32>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<u32>()),
    ) {
        let mut fed = Fed::new();
        for step in &steps {
            feed(&mut fed, step);
        }
        let mut file = whole(&fed.keyspace, &facts());
        file.truncate(file.len() - 8);
        for (at, byte) in damage {
            let at = at as usize % file.len();
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut as usize % file.len());
        }
        prop_assert!(Keyspace::read_snapshot(&file).is_err());
        let crc = crc64(0, &file);
        file.extend(crc.to_le_bytes());
        if let Ok((read, facts)) = Keyspace::read_snapshot(&file) {
            let again = Keyspace::read_snapshot(&whole(&read, &facts));
            prop_assert!(again.is_ok());
        }
    }
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let mut fed = Fed::new();
    fed.entry(0, 5).set_string(b"key", b"value", Deadline::At(9));
    fed.entry(2, 5).set_string(b"{a}1", b"12345", Deadline::Clear);
    fed.entry(2, 5).append(b"{a}1", b"6").unwrap();
    fed.entry(2, 5).set_string(b"gone", b"", Deadline::Clear);
    fed.entry(2, 5).remove(b"gone");
    fed.entry(3, 5).swap_db(Db(3), Db(2));
    let file = whole(&fed.keyspace, &facts());
    for length in 0..file.len() {
        assert!(Keyspace::read_snapshot(&file[..length]).is_err(), "cut at {length}");
    }
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Keyspace::read_snapshot(&damaged).is_err(), "bit {bit}");
    }
    let mut longer = file.clone();
    longer.push(0);
    assert!(Keyspace::read_snapshot(&longer).is_err());
}

#[test]
fn an_empty_state_is_a_file_too() {
    let fed = Fed::new();
    assert_same(&fed.keyspace, &restored(&fed.keyspace));
    let mut fed = Fed::new();
    feed(&mut fed, &Step::Time(77));
    assert_eq!(restored(&fed.keyspace).now_ms(), 77);
}
