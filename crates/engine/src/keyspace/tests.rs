//! The keyspace against a plain sorted map, and the promises of SCAN, expiry, revisions and digest.

use super::*;
use crate::point::Point;
use crate::types::hash::HashTree;
use crate::types::list::{End, ListTree};
use crate::types::set::SetTree;
use crate::types::stream::{Group, Id, Pending, Stream, Trim};
use crate::types::{Form, Open};
use crate::{Deadline, Effects, Reader, Stamp, Writer};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use alloc::{format, vec};
use proptest::prelude::*;

const HASH_KEY: [u64; 2] = [1, 2];

/// How many cases a property is tried with; what fails is printed, not kept in a file.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A keyspace being fed.
pub(crate) struct Fed {
    pub(crate) keyspace: Keyspace,
    pub(crate) effects: Effects,
}

impl Fed {
    pub(crate) fn new() -> Self {
        Self { keyspace: Keyspace::new(HASH_KEY), effects: Effects::default() }
    }

    /// Begins an entry and gives the means to write in it.
    pub(crate) fn entry(&mut self, db: u8, now_ms: u64) -> Writer<'_> {
        let index = self.keyspace.applied_index() + 1;
        self.keyspace.begin_entry(index, now_ms);
        let stamp = Stamp { now_ms: self.keyspace.now_ms(), seed: index };
        let (keyspace, effects) = (&mut self.keyspace, &mut self.effects);
        Writer::new(keyspace, Db(db), stamp, index, effects)
    }

    pub(crate) fn reader(&self, db: u8) -> Reader<'_> {
        Reader { keyspace: &self.keyspace, db: Db(db), seed: 7, clock_ms: 0 }
    }

    pub(crate) fn check_slots(&self) {
        for database in &self.keyspace.databases {
            database.table.check();
        }
    }
}

/// What a model knows of a key: value, deadline, revision, and whether bytes were written into it.
type Model = BTreeMap<(u8, Vec<u8>), (Vec<u8>, Option<u64>, u64, bool)>;

/// One thing done to both.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Set(u8, Vec<u8>, Vec<u8>, Option<u64>, bool),
    Append(u8, Vec<u8>, Vec<u8>),
    WriteAt(u8, Vec<u8>, usize, Vec<u8>),
    Remove(u8, Vec<u8>),
    Deadline(u8, Vec<u8>, Option<u64>),
    Move(u8, Vec<u8>, u8, Vec<u8>),
    Copy(u8, Vec<u8>, u8, Vec<u8>),
    Flush(Option<u8>),
    Swap(u8, u8),
    Time(u64),
    ExpireDue(usize),
    /// Puts elements into a collection of some type, or takes them out.
    Collect(u8, Vec<u8>, u8, u32, u32),
}

pub(crate) fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        // Many keys of one slot: pages split and join.
        6 => (0..400_u32).prop_map(|n| format!("{{tag}}{n}").into_bytes()),
        2 => (0..40_u32).prop_map(|n| format!("key:{n}").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => any::<i32>().prop_map(|n| format!("{n}").into_bytes()),
        20 => prop::collection::vec(any::<u8>(), 0..60),
        1 => (any::<u8>(), 0..300_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

pub(crate) fn any_step() -> impl Strategy<Value = Step> {
    let db = || 0..3_u8;
    let deadline = || prop::option::of(0..2000_u64);
    prop_oneof![
        60 => (db(), any_key(), any_value(), deadline(), any::<bool>())
            .prop_map(|(db, key, value, at, keep)| Step::Set(db, key, value, at, keep)),
        8 => (db(), any_key(), any_value()).prop_map(|(db, k, v)| Step::Append(db, k, v)),
        8 => (db(), any_key(), 0..200_000_usize, any_value())
            .prop_map(|(db, key, at, value)| Step::WriteAt(db, key, at, value)),
        30 => (db(), any_key()).prop_map(|(db, key)| Step::Remove(db, key)),
        8 => (db(), any_key(), deadline()).prop_map(|(db, k, at)| Step::Deadline(db, k, at)),
        4 => (db(), any_key(), db(), any_key()).prop_map(|(a, b, c, d)| Step::Move(a, b, c, d)),
        4 => (db(), any_key(), db(), any_key()).prop_map(|(a, b, c, d)| Step::Copy(a, b, c, d)),
        1 => prop::option::of(db()).prop_map(Step::Flush),
        1 => (db(), db()).prop_map(|(one, other)| Step::Swap(one, other)),
        3 => (0..100_u64).prop_map(Step::Time),
        3 => (0..20_usize).prop_map(Step::ExpireDue),
    ]
}

/// Changes of collections.
pub(crate) fn any_collect() -> impl Strategy<Value = Step> {
    let key = |number: u32| format!("c:{number}").into_bytes();
    let copy = (0..20_u32, 0..3_u8, 0..20_u32);
    prop_oneof![
        8 => (0..3_u8, 0..20_u32, 0..11_u8, 0..2000_u32, 0..400_u32).prop_map(
            move |(db, at, what, start, count)| Step::Collect(db, key(at), what, start, count)
        ),
        1 => copy.prop_map(move |(from, db, to)| Step::Copy(db, key(from), db, key(to))),
        1 => (0..3_u8, 0..20_u32).prop_map(move |(db, at)| Step::Remove(db, key(at))),
    ]
}

/// Does a step to the keyspace.
pub(crate) fn feed(fed: &mut Fed, step: &Step) {
    let now_ms = fed.keyspace.now_ms();
    match step {
        Step::Set(db, key, value, at, keep) => {
            let deadline = match (keep, at) {
                (true, _) => Deadline::Keep,
                (_, None) => Deadline::Clear,
                (_, Some(at)) => Deadline::At(*at),
            };
            fed.entry(*db, now_ms).set_string(key, value, deadline);
        }
        Step::Append(db, key, value) => {
            let _ = fed.entry(*db, now_ms).append(key, value);
        }
        Step::WriteAt(db, key, at, value) => {
            let _ = fed.entry(*db, now_ms).write_at(key, *at, value);
        }
        Step::Remove(db, key) => {
            fed.entry(*db, now_ms).remove(key);
        }
        Step::Deadline(db, key, at) => {
            fed.entry(*db, now_ms).set_deadline(key, *at);
        }
        Step::Move(db, from, to_db, to) => {
            fed.entry(*db, now_ms).move_key(from, Db(*to_db), to);
        }
        Step::Copy(db, from, to_db, to) => {
            fed.entry(*db, now_ms).copy_key(from, Db(*to_db), to);
        }
        Step::Flush(db) => {
            fed.entry(0, now_ms).flush(db.map(Db));
        }
        Step::Swap(one, other) => fed.entry(0, now_ms).swap_db(Db(*one), Db(*other)),
        Step::Time(step) => {
            fed.entry(0, now_ms + step);
        }
        Step::ExpireDue(most) => {
            let due = fed.keyspace.due(now_ms).take(*most);
            let due: Vec<(Db, Vec<u8>)> = due.map(|(_, db, key)| (db, key.to_vec())).collect();
            for (db, key) in due {
                assert!(fed.entry(db.0, now_ms).expire(&key));
            }
            let hashes = fed.keyspace.due_fields(now_ms).take(*most);
            let hashes: Vec<(Db, Vec<u8>)> =
                hashes.map(|(_, db, key)| (db, key.to_vec())).collect();
            for (db, key) in hashes {
                let (due, _) = fed.keyspace.due_fields_of(db, &key, now_ms, *most);
                let ends = fed.keyspace.is_due(db, &key, now_ms);
                let mut writer = fed.entry(db.0, now_ms);
                if ends {
                    assert!(writer.expire(&key));
                } else {
                    assert!(writer.expire_fields(&key, due.iter().map(Vec::as_slice)));
                }
            }
        }
        Step::Collect(db, key, what, start, count) => {
            let elements = (*start..start + count).map(|n| format!("element {n}").into_bytes());
            collect(&mut fed.entry(*db, now_ms), key, *what, &elements.collect::<Vec<_>>());
        }
    }
}

/// Where the key holds another type, nothing happens.
fn collect(writer: &mut Writer<'_>, key: &[u8], what: u8, elements: &[Vec<u8>]) {
    let each = elements.iter();
    let _ = match what {
        0 => writer.edit_or_create(key, |list: &mut Open<ListTree>| {
            each.for_each(|element| list.push(End::Back, element));
        }),
        1 => writer.edit_or_create(key, |list: &mut Open<ListTree>| {
            list.remove(list.len() / 3, elements.len());
        }),
        2 => writer.edit_or_create(key, |set: &mut Open<SetTree>| {
            each.for_each(|element| _ = set.add(element));
        }),
        3 => writer.edit_or_create(key, |set: &mut Open<SetTree>| {
            each.for_each(|element| _ = set.remove(element));
        }),
        4 => writer.edit_or_create(key, |hash: &mut Open<HashTree>| {
            each.for_each(|element| _ = hash.set(element, &[key, element].concat()));
        }),
        6 => {
            let now_ms = writer.now_ms();
            writer.edit_or_create(key, |hash: &mut Open<HashTree>| {
                // Never 0, which says in a snapshot that there is none: no command sets that.
                for (number, element) in (1..).zip(each) {
                    hash.put(element, key, Deadline::At(now_ms + 1 + number * 7 % 200));
                }
            })
        }
        7 => writer.edit_or_create(key, |hash: &mut Open<HashTree>| {
            each.for_each(|element| _ = hash.put(element, b"kept", Deadline::Keep));
        }),
        5 | 8 => writer.edit_or_create(key, |hash: &mut Open<HashTree>| {
            each.for_each(|element| _ = hash.remove(element));
        }),
        9 => writer.edit_or_create(key, |open: &mut Open<Stream>| {
            each.for_each(|element| deliver(open, element));
        }),
        _ => writer.edit(key, |open: &mut Open<Stream>| thin_out(open, elements.len())).map(drop),
    };
}

/// Adds an entry and gives it to a consumer.
fn deliver(open: &mut Open<Stream>, element: &[u8]) {
    let stream = open.stream();
    let id = stream.facts().last.next().unwrap();
    stream.push(id, element);
    stream.add_group(Group::new(b"group", Id::MIN, 0));
    stream.change_group(b"group", |group| {
        let consumer = element.last().map_or(&[][..], core::slice::from_ref);
        let (number, _) = group.add_consumer(consumer, 7);
        group.put(Pending { id, time_ms: 5, count: 1, consumer: number });
        (group.last, group.read) = (id, group.read + 1);
    });
    open.note(1, element);
}

/// Takes some of the entries out, at the front and elsewhere, and acknowledges some.
fn thin_out(open: &mut Open<Stream>, most: usize) {
    let stream = open.stream();
    let ids: Vec<Id> = stream.from(Id::MIN).map(|entry| entry.id).take(most).collect();
    for (number, &id) in ids.iter().enumerate() {
        match number % 5 {
            0 => _ = stream.delete(id),
            1 => _ = stream.change_group(b"group", |group| group.acknowledge(id)),
            _ => {}
        }
    }
    let half = Trim::Length(stream.len() / 2);
    stream.trim(half, most.is_multiple_of(2), None);
    open.note(2, &most.to_le_bytes());
}

/// Does a step to the model. Entries are counted as `feed` does.
fn follow(model: &mut Model, index: &mut u64, now_ms: &mut u64, step: &Step) {
    *index += 1;
    let now = *now_ms;
    let alive = |model: &Model, db: &u8, key: &Vec<u8>| {
        let found = model.get(&(*db, key.clone())).cloned();
        found.filter(|(_, deadline, ..)| deadline.is_none_or(|deadline| now <= deadline))
    };
    match step {
        Step::Set(db, key, value, at, keep) => {
            let old = alive(model, db, key).and_then(|(_, deadline, ..)| deadline);
            let deadline = if *keep { old } else { *at };
            model.insert((*db, key.clone()), (value.clone(), deadline, *index, false));
        }
        Step::Append(db, key, bytes) => {
            let old = alive(model, db, key);
            let (mut value, deadline, raw) =
                old.map_or((vec![], None, false), |(value, deadline, ..)| (value, deadline, true));
            value.extend(bytes);
            model.insert((*db, key.clone()), (value, deadline, *index, raw));
        }
        Step::WriteAt(_, _, _, bytes) if bytes.is_empty() => {}
        Step::WriteAt(db, key, at, bytes) => {
            let (mut value, deadline, ..) =
                alive(model, db, key).unwrap_or((vec![], None, 0, true));
            value.resize(value.len().max(at + bytes.len()), 0);
            value[*at..at + bytes.len()].copy_from_slice(bytes);
            model.insert((*db, key.clone()), (value, deadline, *index, true));
        }
        Step::Remove(db, key) => {
            model.remove(&(*db, key.clone()));
        }
        Step::Deadline(db, key, at) => {
            if let Some((value, _, _, raw)) = alive(model, db, key) {
                model.insert((*db, key.clone()), (value, *at, *index, raw));
            }
        }
        Step::Move(db, from, to_db, to) | Step::Copy(db, from, to_db, to) => {
            if let Some((value, deadline, _, raw)) = alive(model, db, from) {
                if matches!(step, Step::Move(..)) {
                    model.remove(&(*db, from.clone()));
                }
                model.insert((*to_db, to.clone()), (value, deadline, *index, raw));
            }
        }
        Step::Flush(db) => model.retain(|(other, _), _| db.is_some_and(|db| db != *other)),
        Step::Swap(one, other) => {
            let swapped = core::mem::take(model).into_iter().map(|((db, key), value)| {
                let db = if db == *one {
                    *other
                } else if db == *other {
                    *one
                } else {
                    db
                };
                ((db, key), value)
            });
            *model = swapped.collect();
        }
        Step::Time(step) => *now_ms += step,
        Step::ExpireDue(most) => *index = *index - 1 + remove_due(model, now, *most),
        Step::Collect(..) => unreachable!("the model holds strings"),
    }
}

/// Removes the first of the keys that are due, in order; says how many.
fn remove_due(model: &mut Model, now: u64, most: usize) -> u64 {
    let due = model.iter().filter_map(|((db, key), (_, deadline, ..))| {
        deadline.filter(|&at| at < now).map(|at| (at, *db, key.clone()))
    });
    let due: BTreeSet<_> = due.collect();
    let due: Vec<_> = due.into_iter().take(most).collect();
    for (_, db, key) in &due {
        model.remove(&(*db, key.clone()));
    }
    due.len() as u64
}

fn compare(fed: &Fed, model: &Model) {
    fed.check_slots();
    let now_ms = fed.keyspace.now_ms();
    for db in 0..3 {
        let reader = fed.reader(db);
        let all: Vec<_> = model.iter().filter(|((other, _), _)| *other == db).collect();
        assert_eq!(fed.keyspace.stats(Db(db)).0, all.len() as u64);
        let is_due = |deadline: &Option<u64>| deadline.is_some_and(|deadline| deadline < now_ms);
        let visible = all.iter().filter(|(_, (_, deadline, ..))| !is_due(deadline)).count();
        assert_eq!(reader.key_count(), visible as u64);
        let mut expected = vec![];
        for ((_, key), (value, deadline, revision, raw)) in all {
            let visible = deadline.is_none_or(|deadline| now_ms <= deadline);
            assert_eq!(reader.exists(key), visible);
            assert_eq!(fed.keyspace.deadline(Db(db), key), *deadline);
            if !visible {
                continue;
            }
            let string = reader.string(key).unwrap().unwrap();
            assert!(string.bytes() == *value);
            assert_eq!(string.len(), value.len());
            let encoding = if *raw { Form::Raw } else { Form::of_string(value) };
            assert_eq!(reader.encoding(key), Some(encoding.encoding(false)));
            assert_eq!(reader.deadline_ms(key), Some(*deadline));
            assert!(fed.keyspace.revision(Db(db), key) >= *revision);
            let at = Point::of(HASH_KEY, key);
            expected.push((at.slot, at.hash, key.clone()));
        }
        expected.sort();
        let mut scanned = vec![];
        reader.keys(&mut |key| scanned.push(key.to_vec()));
        let expected: Vec<_> = expected.into_iter().map(|(.., key)| key).collect();
        assert!(scanned == expected, "scan order is (slot, hash, key)");
        if let Some(key) = reader.random_key() {
            assert!(expected.iter().any(|other| other == key));
        } else {
            assert!(expected.is_empty());
        }
    }
    let due = fed.keyspace.due(now_ms).map(|(at, db, key)| (at, db.0, key.to_vec()));
    let mut expected: Vec<_> = model
        .iter()
        .filter_map(|((db, key), (_, deadline, ..))| Some(((*deadline)?, *db, key.clone())))
        .collect();
    expected.sort();
    let first = expected.first().map(|(at, ..)| *at);
    assert_eq!(fed.keyspace.next_deadline_ms(), first);
    expected.retain(|(at, ..)| *at < now_ms);
    assert!(due.collect::<Vec<_>>() == expected);
    let used: u64 = fed
        .keyspace
        .databases
        .iter()
        .flat_map(|database| database.table.walk(0, 0).map(|found| found.record.cost()))
        .sum();
    assert_eq!(fed.keyspace.used_bytes(), used);
}

proptest! {
    #![proptest_config(cases(24))]
    #[test]
    fn it_behaves_as_a_sorted_map(steps in prop::collection::vec(any_step(), 1..700)) {
        let mut fed = Fed::new();
        let mut twin = Fed::new();
        let (mut model, mut index, mut now_ms) = (Model::new(), 0, 0);
        for (number, step) in steps.iter().enumerate() {
            feed(&mut fed, step);
            feed(&mut twin, step);
            follow(&mut model, &mut index, &mut now_ms, step);
            prop_assert_eq!(fed.keyspace.applied_index(), index);
            prop_assert_eq!(fed.keyspace.now_ms(), now_ms);
            if number % 100 == 0 {
                compare(&fed, &model);
            }
        }
        compare(&fed, &model);
        prop_assert_eq!(fed.keyspace.digest(), twin.keyspace.digest());
    }

    /// Keys that are there throughout are all given, whatever comes and goes between two calls.
    #[test]
    fn scan_keeps_its_promise(
        stay in prop::collection::btree_set(any_key(), 1..300),
        come_and_go in prop::collection::vec((any_key(), any::<bool>()), 0..600),
        count in 1..40_usize,
    ) {
        let mut fed = Fed::new();
        for key in &stay {
            fed.entry(0, 0).set_string(key, b"", Deadline::Clear);
        }
        let mut changes = come_and_go.iter().filter(|(key, _)| !stay.contains(key));
        let (mut seen, mut cursor) = (BTreeMap::<Vec<u8>, u32>::new(), 0);
        loop {
            cursor = fed.reader(0).scan(cursor, count, &mut |key| {
                *seen.entry(key.to_vec()).or_default() += 1;
            });
            for (key, come) in changes.by_ref().take(30) {
                let mut writer = fed.entry(0, 0);
                if *come {
                    writer.set_string(key, b"", Deadline::Clear);
                } else {
                    writer.remove(key);
                }
            }
            if cursor == 0 {
                break;
            }
        }
        for key in &stay {
            prop_assert_eq!(seen.get(key), Some(&1), "a key that stays is given exactly once");
        }
    }
}

#[test]
fn a_slot_of_many_keys_grows_and_shrinks() {
    let mut fed = Fed::new();
    let key = |number: u32| format!("{{one}}{number}").into_bytes();
    for number in 0..20_000 {
        fed.entry(0, 0).set_string(&key(number), b"v", Deadline::Clear);
    }
    fed.check_slots();
    assert_eq!(fed.reader(0).key_count(), 20_000);
    for number in 0..20_000 {
        assert!(fed.entry(0, 0).remove(&key(number)));
        if number % 1000 == 0 {
            fed.check_slots();
        }
    }
    fed.check_slots();
    assert_eq!((fed.reader(0).key_count(), fed.keyspace.used_bytes()), (0, 0));
}

#[test]
fn a_random_key_is_any_key() {
    // Slots of very different length: a pick must go by keys, not by slots.
    let mut fed = Fed::new();
    let mut drawn: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for number in 0..1000 {
        let tag = if number % 10 == 0 { format!("{number}") } else { format!("{{t}}{number}") };
        fed.entry(0, 0).set_string(tag.as_bytes(), b"", Deadline::Clear);
        drawn.insert(tag.into_bytes(), 0);
    }
    for seed in 0..100_000 {
        let reader = Reader { seed, ..fed.reader(0) };
        *drawn.get_mut(reader.random_key().unwrap()).unwrap() += 1;
    }
    let (least, most) = (drawn.values().min().unwrap(), drawn.values().max().unwrap());
    assert!(*least > 55 && *most < 155, "{least}..{most} for a mean of 100");
}

#[test]
fn expired_keys_are_invisible_until_removed() {
    let mut fed = Fed::new();
    fed.entry(0, 100).set_string(b"k", b"v", Deadline::At(200));
    fed.entry(0, 200);
    assert!(fed.reader(0).exists(b"k"), "Redis keeps a key in the millisecond of its deadline");
    fed.entry(0, 201);
    assert!(!fed.reader(0).exists(b"k"));
    assert_eq!(fed.reader(0).random_key(), None);
    assert_eq!(fed.keyspace.stats(Db(0)), (1, 1, 0));
    assert!(fed.keyspace.is_due(Db(0), b"k", 201) && !fed.keyspace.is_due(Db(0), b"k", 200));
    fed.entry(0, 0).set_string(b"k", b"w", Deadline::Keep);
    assert_eq!(fed.reader(0).deadline_ms(b"k"), Some(None), "an expired key's deadline is gone");
    assert_eq!(fed.keyspace.now_ms(), 201, "time does not go back");
}

#[test]
fn warming_changes_nothing() {
    let mut fed = Fed::new();
    for number in 0..3000_u32 {
        let key = if number % 2 == 0 { format!("{number}") } else { format!("{{t}}{number}") };
        fed.entry(1, 0).set_string(key.as_bytes(), b"v", Deadline::Clear);
    }
    let before = (fed.keyspace.digest(), fed.keyspace.used_bytes());
    let mut commands = bytes::BytesMut::new();
    for words in [["GET", "2"], ["DEL", "{t}3"], ["GET", "{t}absent"], ["SELECT", "2"]] {
        quorate_resp::write_command(&mut commands, words.iter().map(|word| word.as_bytes()));
    }
    let count = fed.keyspace.warm(Db(1), &commands).count();
    assert_eq!(count, 3, "SELECT is none of them");
    for _ in 0..ahead::WARM_MAX {
        quorate_resp::write_command(&mut commands, [&b"GET"[..], b"absent"].into_iter());
    }
    assert_eq!(fed.keyspace.warm(Db(1), &commands).count(), ahead::WARM_MAX);
    assert_eq!(fed.keyspace.warm(Db(1), b"PING\r\n").count(), 0);
    // An armoured command of words is one, too.
    let words = [b"#w SPOP set\n#w SPOP other 3\n", &commands[..]].concat();
    assert_eq!(fed.keyspace.warm(Db(1), words.get(..28).unwrap()).count(), 2);
    let known = fed.keyspace.warm(Db(1), &words).take().unwrap();
    assert!(known.point_of(&words[8..11]).is_some(), "its key is the word behind the name");
    // What was seen ahead is known by the very bytes, not by equal ones.
    let mut ahead = fed.keyspace.warm(Db(1), &commands);
    let (known, key) = (ahead.take().unwrap(), b"2".to_vec());
    assert!(known.point_of(&key).is_none());
    let start = commands.iter().position(|&byte| byte == b'2').unwrap();
    let seen = (start..commands.len()).filter(|&at| commands[at] == b'2');
    let at = Point::of(HASH_KEY, &key);
    let points: Vec<_> = seen.filter_map(|at| known.point_of(&commands[at..=at])).collect();
    assert_eq!(points, [at]);
    assert_eq!((fed.keyspace.digest(), fed.keyspace.used_bytes()), before);
}

#[test]
fn elements_of_what_is_large_are_warmed_too() {
    let mut fed = Fed::new();
    let names: Vec<_> = (0..ahead::ELEMENTS_MIN).map(|number| format!("e{number}")).collect();
    let add_all = |set: &mut Open<SetTree>| names.iter().all(|name| set.add(name.as_bytes()));
    let few = |hash: &mut Open<HashTree>| hash.set(b"e1", b"v");
    assert_eq!(fed.entry(1, 0).edit_or_create(b"large", add_all), Ok(true));
    assert_eq!(fed.entry(1, 0).edit_or_create(b"small", few), Ok(true));
    let before = (fed.keyspace.digest(), fed.keyspace.used_bytes());
    let touched = |key: &[u8], names: [&[u8]; ahead::WARM_MAX]| {
        let mut commands = bytes::BytesMut::new();
        for name in names {
            quorate_resp::write_command(&mut commands, [b"SREM", key, name].into_iter());
        }
        let ahead = fed.keyspace.warm(Db(1), &commands);
        fed.keyspace.touch_elements(&ahead, &names.map(|name| (Db(1), name)))
    };
    let some = core::array::from_fn(|at| [&b"e7"[..], b"", b"absent", b"17"][at % 4]);
    assert_eq!(touched(b"large", some), ahead::WARM_MAX / 4 * 3);
    assert_eq!(touched(b"small", some), 0);
    assert_eq!(touched(b"absent", some), 0);
    assert_eq!((fed.keyspace.digest(), fed.keyspace.used_bytes()), before);
}

#[test]
fn watch_sees_every_change() {
    let mut fed = Fed::new();
    let mut last = fed.keyspace.revision(Db(0), b"k");
    let mut changed = |fed: &Fed, what: &str| {
        let now = fed.keyspace.revision(Db(0), b"k");
        assert!(now > last, "{what}: {last} {now}");
        last = now;
    };
    fed.entry(0, 0).set_string(b"k", b"1", Deadline::Clear);
    changed(&fed, "set");
    fed.entry(0, 0).set_deadline(b"k", Some(9));
    changed(&fed, "expire");
    fed.entry(0, 0).remove(b"k");
    changed(&fed, "delete");
    fed.entry(0, 0).set_string(b"k", b"1", Deadline::Clear);
    changed(&fed, "set again");
    fed.entry(0, 0).flush(None);
    changed(&fed, "flush");
    fed.entry(0, 0).set_string(b"k", b"1", Deadline::Clear);
    changed(&fed, "set after flush");
    fed.entry(0, 0).swap_db(Db(0), Db(5));
    changed(&fed, "swap away");
    fed.entry(0, 0).swap_db(Db(0), Db(5));
    changed(&fed, "swap back");
    let before = fed.keyspace.revision(Db(0), b"k");
    fed.entry(3, 0).flush(Some(Db(3)));
    assert_eq!(fed.keyspace.revision(Db(0), b"k"), before, "another database's flush");
}

#[test]
fn large_values_leave_as_garbage() {
    let mut fed = Fed::new();
    let large = vec![1; 200_000];
    fed.entry(0, 0).set_string(b"a", &large, Deadline::Clear);
    fed.entry(0, 0).copy_key(b"a", Db(1), b"b");
    assert!(fed.effects.garbage.is_empty());
    fed.entry(0, 0).set_string(b"a", b"small", Deadline::Clear);
    assert_eq!(fed.effects.garbage.len(), 1);
    fed.entry(1, 0).remove(b"b");
    assert_eq!(fed.effects.garbage.len(), 2);
    assert_eq!(fed.entry(0, 0).flush(None), 1);
    assert_eq!(fed.effects.garbage.len(), 3);
    assert_eq!(fed.keyspace.used_bytes(), 0);
}

#[test]
fn encodings_are_those_of_redis() {
    for (value, want) in [
        ("0", Form::Int),
        ("-1", Form::Int),
        ("9223372036854775807", Form::Int),
        ("-9223372036854775808", Form::Int),
        ("9223372036854775808", Form::Embstr),
        ("-9223372036854775809", Form::Embstr),
        ("99999999999999999999", Form::Embstr),
        ("007", Form::Embstr),
        ("-0", Form::Embstr),
        ("+1", Form::Embstr),
        ("-", Form::Embstr),
        ("", Form::Embstr),
        ("12345678901234567890123456789012345678901234", Form::Embstr),
        ("123456789012345678901234567890123456789012345", Form::Raw),
    ] {
        assert_eq!(Form::of_string(value.as_bytes()), want, "{value}");
    }
}

#[test]
fn events_are_noted_when_asked_for() {
    let mut fed = Fed::new();
    fed.entry(0, 0).notify(b'$', "set", b"k");
    assert!(fed.effects.list.is_empty());
    fed.keyspace.set_setting("notify-keyspace-events", "$E").unwrap();
    fed.entry(2, 0).notify(b'$', "set", b"k");
    fed.entry(2, 0).notify(b'g', "del", b"k");
    let (db, key) = (Db(2), b"k"[..].into());
    let (class, event, by_key, by_event) = (b'$', "set", false, true);
    let want = crate::Effect::Notify { class, event, db, key, by_key, by_event };
    assert_eq!(fed.effects.list, [want]);
}
