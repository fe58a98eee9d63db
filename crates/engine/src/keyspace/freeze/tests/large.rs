//! A list of a million elements that is written to while it is frozen, and that is freed: no step
//! costs more than its way through the tree. Counted, not timed: what a write makes anew, and what
//! is dropped where writes are applied (nothing: it goes to the garbage).

use super::*;
use crate::Db;
use crate::types::list::{End, ListTree};
use crate::types::pack::Pack;
use crate::types::{Form, Open};
use alloc::vec::Vec;

const ELEMENTS: usize = 1_000_000;
/// A change of the list, and something that ends it.
type Write = fn(&mut Open<ListTree>);
type Way = fn(&mut Fed);
/// A leaf of 4 KiB, which may be split, and what a node of 32 children takes, on each of four
/// levels.
const NODES_MAX: usize = 6;
const BYTES_MAX: usize = 16 << 10;

fn list() -> Fed {
    let mut fed = Fed::new();
    fed.entry(0, 0)
        .edit_or_create(b"list", |list: &mut Open<ListTree>| {
            for number in 0..ELEMENTS {
                list.push(End::Back, format!("element {number:08}").as_bytes());
            }
        })
        .unwrap();
    fed
}

/// The list's tree: a clone shares everything.
fn tree(fed: &Fed) -> ListTree {
    fed.reader(0).view::<ListTree>(b"list").unwrap().unwrap().large.unwrap().clone()
}

fn edit(fed: &mut Fed, work: impl FnOnce(&mut Open<ListTree>)) {
    fed.entry(0, 0).edit(b"list", work).unwrap().unwrap();
}

#[test]
fn a_write_to_a_frozen_list_copies_its_way() {
    let mut fed = list();
    let mut taking = Taking::begin(&mut fed.keyspace);
    let writes: [Write; 7] = [
        |list| list.push(End::Front, b"first"),
        |list| list.push(End::Back, b"last"),
        |list| list.insert(ELEMENTS / 2, b"middle"),
        |list| list.set(ELEMENTS / 3, b"other"),
        |list| list.remove(0, 1),
        |list| list.remove(ELEMENTS - 10, 1),
        |list| list.remove(ELEMENTS / 4, 300),
    ];
    for (number, write) in writes.into_iter().enumerate() {
        let before = tree(&fed);
        edit(&mut fed, write);
        let (nodes, bytes) = tree(&fed).0.made_since(&before.0);
        assert!(nodes > 0 && nodes <= NODES_MAX, "write {number} made {nodes} nodes");
        assert!(bytes <= BYTES_MAX, "write {number} made leaves of {bytes} bytes");
    }
    let Some(freeze) = &fed.keyspace.freeze else { panic!("the freeze runs") };
    assert_eq!(freeze.keys, 1, "it was kept once, before the first write");
    assert!(taking.step(&mut fed.keyspace, (10, 1 << 30)), "and is written as it was");
}

#[test]
fn what_was_a_large_list_is_dropped_elsewhere() {
    let ways: [(&str, Way); 6] = [
        ("DEL", |fed| assert!(fed.entry(0, 0).remove(b"list"))),
        ("FLUSHALL", |fed| assert_eq!(fed.entry(0, 0).flush(None), 1)),
        ("expiry", |fed| {
            assert!(fed.entry(0, 0).set_deadline(b"list", Some(0)));
            assert!(fed.entry(0, 1).expire(b"list"));
        }),
        ("SET", |fed| fed.entry(0, 0).set_string(b"list", b"", Deadline::Clear)),
        ("RENAME", |fed| {
            fed.entry(0, 0).set_string(b"other", b"", Deadline::Clear);
            assert!(fed.entry(0, 0).move_key(b"other", Db(0), b"list"));
        }),
        ("SORT … STORE", |fed| {
            let (rules, pack) = (fed.keyspace.rules(), Pack::default());
            let none = Open::<ListTree>::new(Form::List, pack, None, rules);
            assert!(fed.entry(0, 0).replace(b"list", none));
        }),
    ];
    let fed = list();
    let (whole, mut dropped) = (tree(&fed), Vec::new());
    for (name, way) in ways {
        for freezes in [false, true] {
            // The same value under a keyspace of its own.
            let mut fed = Fed::new();
            let mut large = Some(whole.clone());
            fed.entry(0, 0)
                .edit_or_create(b"list", |list: &mut Open<ListTree>| {
                    list.large = large.take();
                    list.set(0, b"element 00000000");
                })
                .unwrap();
            let kept = tree(&fed);
            if freezes {
                fed.keyspace.freeze(&facts()).unwrap();
            }
            let before = kept.0.holders();
            way(&mut fed);
            assert!(!matches!(fed.reader(0).view::<ListTree>(b"list"), Ok(Some(_))));
            if kept.0.holders() < before {
                dropped.push((name, freezes));
            }
        }
    }
    assert!(dropped.is_empty(), "dropped where it was applied (frozen?): {dropped:?}");
}
