//! A collection of a million elements that is written to while a freeze or a COPY holds it, and
//! that goes: no step costs more than its way through the tree. Counted, not timed: what a write
//! makes anew, and what is dropped where writes are applied (nothing: it goes to the garbage, and
//! what somebody else holds is not touched at all).

use super::*;
use crate::Db;
use crate::types::Open;
use crate::types::hash::HashTree;
use crate::types::list::{End, ListTree};
use crate::types::set::SetTree;
use crate::types::stream::{Group, Id, Pending, Stream};
use crate::types::value::Large;
use crate::types::zset::ZsetTree;
use alloc::vec::Vec;
use quorate_resp::{Args, Span};

const ELEMENTS: usize = 1_000_000;
const KEY: &[u8] = b"large";
/// What ends a value.
type Way = fn(&mut Fed);
/// Who else holds it.
type Hold = fn(&mut Fed);

/// A type of collection.
trait Subject: Large + Clone + 'static {
    /// A leaf of some 4 KiB, which may be split, and what a node of 32 children takes, on each of
    /// four levels: in one tree.
    const NODES_MAX: usize = 6;
    /// Bytes that a write may copy: those of some leaves.
    const BYTES_MAX: usize = 20 << 10;
    /// Changes of a bounded part of it.
    const WRITES: &'static [fn(&mut Open<Self>)];

    /// Fills an empty one.
    fn fill(open: &mut Open<Self>);

    /// Nodes that another one does not share, and the bytes of the leaves among them.
    fn made_since(&self, before: &Self) -> (usize, usize);

    /// How many hold it.
    fn holders(&self) -> usize;
}

fn name(number: usize) -> Vec<u8> {
    format!("element {number:08}").into_bytes()
}

impl Subject for ListTree {
    const WRITES: &'static [fn(&mut Open<Self>)] = &[
        |list| list.push(End::Front, b"first"),
        |list| list.push(End::Back, b"last"),
        |list| list.insert(ELEMENTS / 2, b"middle"),
        |list| list.set(ELEMENTS / 3, b"other"),
        |list| list.remove(0, 1),
        |list| list.remove(ELEMENTS - 10, 1),
        |list| list.remove(ELEMENTS / 4, 300),
    ];

    fn fill(open: &mut Open<Self>) {
        (0..ELEMENTS).for_each(|number| open.push(End::Back, &name(number)));
    }

    fn made_since(&self, before: &Self) -> (usize, usize) {
        self.0.made_since(&before.0)
    }

    fn holders(&self) -> usize {
        self.0.holders()
    }
}

impl Subject for SetTree {
    const WRITES: &'static [fn(&mut Open<Self>)] = &[
        |set| assert!(set.add(b"new")),
        |set| assert!(set.remove(&name(ELEMENTS / 2))),
        |set| assert_eq!(set.pop(1, &mut 7).len(), 1),
    ];

    fn fill(open: &mut Open<Self>) {
        (0..ELEMENTS).for_each(|number| assert!(open.add(&name(number))));
    }

    fn made_since(&self, before: &Self) -> (usize, usize) {
        self.0.made_since(&before.0)
    }

    fn holders(&self) -> usize {
        self.0.holders()
    }
}

impl Subject for HashTree {
    const WRITES: &'static [fn(&mut Open<Self>)] = &[
        |hash| assert!(hash.set(b"new", b"value")),
        |hash| assert!(!hash.set(&name(ELEMENTS / 3), b"another value")),
        |hash| assert!(hash.remove(&name(ELEMENTS / 2))),
    ];

    fn fill(open: &mut Open<Self>) {
        (0..ELEMENTS).for_each(|number| assert!(open.set(&name(number), b"value")));
    }

    fn made_since(&self, before: &Self) -> (usize, usize) {
        self.fields.made_since(&before.fields)
    }

    fn holders(&self) -> usize {
        self.fields.holders()
    }
}

impl Subject for ZsetTree {
    /// A way through the index, and two through the ordered tree when a member moves.
    const NODES_MAX: usize = 16;
    const WRITES: &'static [fn(&mut Open<Self>)] = &[
        |zset| zset.set(b"new", 0.5),
        |zset| zset.set(&name(ELEMENTS / 2), -1.0),
        |zset| zset.set(&name(ELEMENTS / 3), 1e9),
        |zset| assert!(zset.remove(&name(ELEMENTS / 4))),
        |zset| zset.remove_ranks(1000..1001),
    ];

    fn fill(open: &mut Open<Self>) {
        (0..ELEMENTS).for_each(|number| open.set(&name(number), (number * 7 % ELEMENTS) as f64));
    }

    fn made_since(&self, before: &Self) -> (usize, usize) {
        self.made_since(before)
    }

    fn holders(&self) -> usize {
        self.holders()
    }
}

impl Subject for Stream {
    /// Entries; the groups, what one has pending, its consumers, and what one of them has.
    const NODES_MAX: usize = 16;
    /// Where an entry is added, the full blocks before it may move into one allocation.
    const BYTES_MAX: usize = (64 << 10) + (20 << 10);
    const WRITES: &'static [fn(&mut Open<Self>)] = &[
        |open| append(open, ELEMENTS as u64 + 1),
        |open| assert!(changed(open).delete(at(ELEMENTS as u64 / 2))),
        |open| {
            let gone = changed(open).change_group(b"group", |group| group.acknowledge(at(77_777)));
            assert_eq!(gone, Some(true));
        },
        |open| {
            changed(open).change_group(b"group", |group| {
                let again = Pending { count: 2, ..group.get(at(88_888)).unwrap() };
                group.put(again);
            });
        },
    ];

    fn fill(open: &mut Open<Self>) {
        let mut group = Group::new(b"group", Id::MIN, 0);
        let (consumer, _) = group.add_consumer(b"consumer", 0);
        for ms in 1..=ELEMENTS as u64 {
            append(open, ms);
            group.put(Pending { id: at(ms), time_ms: 0, count: 1, consumer });
        }
        assert!(open.stream().add_group(group));
    }

    fn made_since(&self, before: &Self) -> (usize, usize) {
        self.made_since(before)
    }

    fn holders(&self) -> usize {
        self.holders()
    }
}

fn at(ms: u64) -> Id {
    Id { ms, seq: 0 }
}

fn changed(open: &mut Open<Stream>) -> &mut Stream {
    open.note(0, b"");
    open.stream()
}

fn append(open: &mut Open<Stream>, ms: u64) {
    let limits = open.rules.limits;
    let spans = [Span { start: 0, end: 5 }, Span { start: 6, end: 11 }];
    changed(open).append(at(ms), Args::new(b"field value", &spans), limits).unwrap();
}

/// The value at the key: a clone shares everything.
fn value<T: Subject>(fed: &Fed) -> T {
    fed.reader(0).view::<T>(KEY).unwrap().unwrap().large.unwrap().clone()
}

fn edit<T: Subject>(fed: &mut Fed, work: impl FnOnce(&mut Open<T>)) {
    fed.entry(0, 0).edit_or_create(KEY, work).unwrap();
}

/// A keyspace with a value that others hold too.
fn with<T: Subject>(whole: &T) -> Fed {
    let mut fed = Fed::new();
    edit(&mut fed, |open| {
        open.large = Some(whole.clone());
        open.note(0, b"");
    });
    fed
}

fn check<T: Subject>() {
    let mut fed = Fed::new();
    edit(&mut fed, T::fill);
    let whole: T = value(&fed);
    a_write_copies_its_way(&mut fed, whole.clone());
    nothing_is_dropped_where_it_is_applied(&whole);
}

fn a_write_copies_its_way<T: Subject>(fed: &mut Fed, whole: T) {
    drop(whole);
    let mut taking = Taking::begin(&mut fed.keyspace);
    assert!(fed.entry(0, 0).copy_key(KEY, Db(1), b"copy"));
    for (number, write) in T::WRITES.iter().enumerate() {
        let before: T = value(fed);
        edit(fed, write);
        let (nodes, bytes) = value::<T>(fed).made_since(&before);
        assert!(nodes > 0 && nodes <= T::NODES_MAX, "write {number} made {nodes} nodes");
        assert!(bytes <= T::BYTES_MAX, "write {number} made leaves of {bytes} bytes");
    }
    let Some(freeze) = &fed.keyspace.freeze else { panic!("the freeze runs") };
    assert_eq!(freeze.keys, 1, "it was kept once, before the first write");
    assert!(taking.step(&mut fed.keyspace, (10, 1 << 40)), "and is written as it was");
}

const WAYS: &[(&str, Way)] = &[
    ("DEL", |fed| assert!(fed.entry(0, 0).remove(KEY))),
    ("FLUSHALL", |fed| assert!(fed.entry(0, 0).flush(None) > 0)),
    ("expiry", |fed| {
        assert!(fed.entry(0, 0).set_deadline(KEY, Some(0)));
        assert!(fed.entry(0, 1).expire(KEY));
    }),
    ("SET", |fed| fed.entry(0, 0).set_string(KEY, b"", Deadline::Clear)),
    ("RENAME", |fed| {
        fed.entry(0, 0).set_string(b"other", b"", Deadline::Clear);
        assert!(fed.entry(0, 0).move_key(b"other", Db(0), KEY));
    }),
    ("COPY", |fed| {
        fed.entry(0, 0).set_string(b"other", b"", Deadline::Clear);
        assert!(fed.entry(0, 0).copy_key(b"other", Db(0), KEY));
    }),
    ("SORT … STORE", |fed| {
        let none = Open::<ListTree>::aside(fed.keyspace.rules());
        assert!(fed.entry(0, 0).replace(KEY, none));
    }),
];

const HOLDS: &[(&str, Hold)] = &[
    ("nobody", |_| {}),
    ("a freeze", |fed| assert!(fed.keyspace.freeze(&facts()).is_some())),
    ("a copy", |fed| assert!(fed.entry(0, 0).copy_key(KEY, Db(1), b"copy"))),
];

fn nothing_is_dropped_where_it_is_applied<T: Subject>(whole: &T) {
    let mut dropped = Vec::new();
    for (way, end) in WAYS {
        for (who, hold) in HOLDS {
            let mut fed = with(whole);
            hold(&mut fed);
            let before = whole.holders();
            end(&mut fed);
            assert!(!matches!(fed.reader(0).view::<T>(KEY), Ok(Some(_))));
            if whole.holders() < before {
                dropped.push((way, who));
            }
        }
    }
    assert!(dropped.is_empty(), "dropped where it was applied (and held by): {dropped:?}");
}

#[test]
fn of_a_large_list() {
    check::<ListTree>();
}

#[test]
fn of_a_large_set() {
    check::<SetTree>();
}

#[test]
fn of_a_large_hash() {
    check::<HashTree>();
}

#[test]
fn of_a_large_zset() {
    check::<ZsetTree>();
}

#[test]
fn of_a_large_stream() {
    check::<Stream>();
}
