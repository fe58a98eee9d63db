//! Which command of whose run changed a key.

use super::*;

#[test]
fn a_change_is_told_with_the_command_of_its_run() {
    let mut keyspace = state(&[(0, "due", Some(5)), (0, "a", None), (0, "b", None)]);
    let one = run(0, &["SET a 1", "EXISTS a", "DEL b", "NOPE"]);
    let two = Run { kind: RunKind::Transaction([].into()), ..run(0, &["INCR a", "SET due 2"]) };
    let sealed = seal(&keyspace, &[one, run(0, &["EXISTS b"]), two], &stamp(10), &LIMITS);
    assert_eq!(sealed.plan.places(), [(0, 2), (2, 0), (2, 2)]);
    keyspace.note_changes(true);
    let at = Applied { index: 2, stamp: stamp(10) };
    let changed = apply(&mut keyspace, at, &sealed.payload, None).unwrap().effects.changed;
    let told: Vec<_> = changed.by_command().collect();
    let expected: [(&[u8], _); 5] =
        [(b"due", None), (b"a", Some(0)), (b"b", Some(1)), (b"a", Some(2)), (b"due", Some(3))];
    assert_eq!((changed.index, &told[..]), (2, &expected[..]));
}

#[test]
fn whoever_keeps_copies_hears_that_a_database_was_emptied_also_if_it_was_empty() {
    let mut keyspace = state(&[(1, "a", None)]);
    keyspace.note_changes(true);
    let sealed = seal(&keyspace, &[run(2, &["FLUSHDB"])], &stamp(0), &LIMITS);
    let at = Applied { index: 2, stamp: stamp(0) };
    let changed = apply(&mut keyspace, at, &sealed.payload, None).unwrap().effects.changed;
    assert_eq!((changed.dbs, changed.keys.len()), (1 << 2, 0));
}
