//! Hashes against a model, in both forms and across the thresholds.

use super::*;
use crate::keyspace::tests::cases;
use crate::side::settings::Limits;
use crate::types::Rules;
use alloc::collections::BTreeMap;
use alloc::vec;
use proptest::prelude::*;

use crate::Deadline;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn empty(hash: (u64, u64)) -> Open<HashTree> {
    let limits = Limits { hash, ..Limits::default() };
    let rules = Rules { limits, hash_key: [1, 2], ..Rules::default() };
    Open::new(Form::Hash, pack::Pack::open(b"head".to_vec(), 4), None, rules)
}

fn all(hash: View<'_, HashTree>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let owned = |item: Item<'_>| item.bytes().into_owned();
    hash.iter().map(|(field, value)| (owned(field), owned(value))).collect()
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0..300_u32).prop_map(|number| alloc::format!("{number}").into_bytes()),
        3 => (0..200_u32).prop_map(|number| alloc::format!("text {number}").into_bytes()),
        1 => (0..6000_usize).prop_map(|length| vec![b'x'; length]),
    ]
}

proptest! {
    #![proptest_config(cases(120))]
    #[test]
    fn a_hash_is_a_map(
        limits in prop::sample::select(vec![(512, 64), (0, 0), (3, 10), (99_999, 99_999)]),
        steps in prop::collection::vec((0..10_u8, any_text(), any_text()), 0..500),
    ) {
        let (mut hash, mut model) = (empty(limits), Model::new());
        let mut kept: Vec<(HashTree, Model)> = Vec::new();
        for (step, field, value) in steps {
            match step {
                0..7 => {
                    if step == 0 {
                        hash.expect([&field[..], &value].into_iter());
                    }
                    let is_new = hash.set(&field, &value);
                    prop_assert_eq!(is_new, model.insert(field, value).is_none());
                }
                7..9 => prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some()),
                _ if kept.len() < 3 => {
                    if let Some(large) = &hash.large {
                        kept.push((large.clone(), model.clone()));
                    }
                }
                _ => {}
            }
            prop_assert_eq!(hash.view().len(), model.len());
            prop_assert_eq!(hash.is_empty(), model.is_empty());
        }
        let seen = all(hash.view());
        prop_assert_eq!(seen.len(), model.len());
        prop_assert!(seen.iter().cloned().collect::<BTreeMap<_, _>>() == model);
        for (at, (field, value)) in seen.iter().enumerate() {
            prop_assert!(hash.view().value([1, 2], field) == Some(Item::of(value)));
            prop_assert!(hash.view().get(at) == Some((Item::of(field), Item::of(value))));
        }
        prop_assert!(hash.view().get(seen.len()).is_none());
        prop_assert!(hash.view().value([1, 2], b"no such field").is_none());
        for (large, model) in kept {
            prop_assert!(all(large.view()).into_iter().collect::<BTreeMap<_, _>>() == model);
        }
    }
}

#[test]
fn forms_change_where_redis_changes_them() {
    let is_large = |limits, pairs: &[(&str, &str)]| {
        let mut hash = empty(limits);
        for (field, value) in pairs {
            hash.set(field.as_bytes(), value.as_bytes());
        }
        hash.large.is_some()
    };
    assert!(!is_large((2, 3), &[("a", "1"), ("b", "2"), ("a", "333")]));
    assert!(is_large((2, 3), &[("a", "1"), ("b", "2"), ("c", "3")]));
    assert!(is_large((2, 3), &[("a", "4444")]));
    assert!(is_large((2, 3), &[("aaaa", "4")]));
    assert!(is_large((0, 0), &[("a", "")]));
    let mut hash = empty((2, 3));
    hash.expect([&b"a"[..], b"1", b"a", b"2", b"a", b"3"].into_iter());
    assert!(hash.large.is_some(), "Redis counts what it is given");
}

/// Value and deadline by field.
type Timed = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

fn is_there((_, deadline): &(Vec<u8>, Option<u64>), now_ms: u64) -> bool {
    deadline.is_none_or(|at_ms| now_ms <= at_ms)
}

/// Everything that a hash shows, due or not, is what the model says.
fn compare(hash: &Open<HashTree>, model: &Timed) {
    let (view, now_ms) = (hash.view(), hash.rules.now_ms);
    let lies: Timed = view
        .all()
        .map(|field| {
            let owned = |item: Item<'_>| item.bytes().into_owned();
            (owned(field.name), (owned(field.value), field.deadline))
        })
        .collect();
    assert!(lies == *model);
    assert_eq!(view.all().count(), model.len());
    let deadlines = || model.values().map(|(_, deadline)| *deadline);
    assert_eq!(view.soonest(), deadlines().flatten().min());
    let last = deadlines().max().flatten().filter(|_| deadlines().all(|at| at.is_some()));
    assert_eq!(view.end(), last);
    let seen: Model = all(view).into_iter().collect();
    let left = model.iter().filter(|(_, field)| is_there(field, now_ms));
    assert!(seen == left.map(|(name, (value, _))| (name.clone(), value.clone())).collect());
    assert_eq!(view.len(), seen.len());
    for (at, (name, value)) in all(view).iter().enumerate() {
        assert!(view.get(at) == Some((Item::of(name), Item::of(value))));
        assert!(view.value([1, 2], name) == Some(Item::of(value)));
    }
    let numbers: Vec<usize> = (0..seen.len()).step_by(3).collect();
    let picked = view.picked(&numbers).into_iter();
    assert!(picked.eq(numbers.iter().filter_map(|&at| view.iter().nth(at))));
    let mut scanned = 0;
    let mut cursor = 0;
    loop {
        cursor = view.scan(cursor, 7, &mut |_| scanned += 1);
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(scanned, seen.len());
    let due: Vec<&Vec<u8>> =
        model.iter().filter(|(_, field)| !is_there(field, now_ms)).map(|(name, _)| name).collect();
    let (mut some, more) = view.due(2);
    assert_eq!((some.len(), more), (due.len().min(2), due.len() > 2));
    some.retain(|name| !due.contains(&name));
    assert!(some.is_empty());
    if hash.large.is_none() {
        let form = if view.soonest().is_some() { Form::TimedHash } else { Form::Hash };
        assert_eq!(hash.form, form, "a small hash has a third column while it needs one");
    }
}

proptest! {
    #![proptest_config(cases(120))]
    #[test]
    fn deadlines_are_those_of_a_map(
        limits in prop::sample::select(vec![(512, 64), (0, 0), (30, 64), (99_999, 99_999)]),
        steps in prop::collection::vec((0..12_u8, 0..60_u32, any_text(), 0..200_u64), 0..200),
    ) {
        let (mut hash, mut model) = (empty(limits), Timed::new());
        hash.rules.now_ms = 1;
        let mut kept: Vec<(HashTree, usize)> = Vec::new();
        for (step, field, value, time) in steps {
            let now_ms = hash.rules.now_ms;
            let field = alloc::format!("{field}").into_bytes();
            let old = model.get(&field).filter(|old| is_there(old, now_ms)).cloned();
            let known = old.as_ref().map(|(_, deadline)| *deadline);
            match step {
                0..6 => {
                    let (rule, deadline) = match step {
                        0 | 1 => (Deadline::Clear, None),
                        2 => (Deadline::Keep, known.flatten()),
                        _ => (Deadline::At(now_ms + time), Some(now_ms + time)),
                    };
                    prop_assert_eq!(hash.put(&field, &value, rule), old.is_none());
                    model.insert(field, (value, deadline));
                }
                6 | 7 if old.is_some() => {
                    let deadline = (time > 30).then_some(now_ms + time);
                    hash.set_deadline(&field, deadline);
                    model.entry(field).and_modify(|(_, at)| *at = deadline);
                }
                8 => {
                    prop_assert_eq!(hash.remove(&field), old.is_some());
                    if old.is_some() {
                        model.remove(&field);
                    }
                }
                9 => {
                    let is_due = old.is_none() && model.contains_key(&field);
                    prop_assert_eq!(hash.expire(&field), is_due);
                    if is_due {
                        model.remove(&field);
                    }
                }
                10 => hash.rules.now_ms += time / 4,
                _ => kept.extend(hash.large.clone().map(|large| (large, model.len()))),
            }
            prop_assert_eq!(hash.is_empty(), model.is_empty());
            compare(&hash, &model);
        }
        for (large, len) in kept {
            prop_assert_eq!(large.view().all().count(), len);
            let timed = large.view().all().filter(|field| field.deadline.is_some());
            prop_assert_eq!(large.timed(), timed.count());
        }
        hash.grow();
        hash.rules.now_ms = u64::MAX;
        compare(&hash, &model);
    }

    #[test]
    fn what_was_written_is_read(
        small in any::<bool>(),
        fields in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 0..9),
            (prop::collection::vec(any::<u8>(), 0..9), prop::option::of(1..99_u64)),
            1..99,
        ),
    ) {
        let (mut filled, mut told) = (empty((0, 0)), empty((0, 0)));
        filled.rules.as_written = true;
        told.rules.as_written = true;
        let (mut gathered, mut bare) = (Elements::default(), Elements::default());
        for (name, (value, deadline)) in &fields {
            let (name, value) = (Item::of(name), Item::of(value));
            let field = Field { name, value, deadline: *deadline };
            gathered.push(hash_of([1, 2], name), &field.element());
            bare.push(hash_of([1, 2], name), &Field { deadline: None, ..field }.element());
        }
        prop_assert!(filled.fill(gathered, small) && told.fill(bare, small));
        compare(&filled, &fields);
        let deadlines: Vec<(usize, u64)> = filled
            .view()
            .all()
            .enumerate()
            .filter_map(|(at, field)| Some((at, field.deadline?)))
            .collect();
        for some in deadlines.chunks(10) {
            prop_assert!(told.add_deadlines(some));
        }
        compare(&told, &fields);
        prop_assert_eq!(told.pack.value(), filled.pack.value());
        prop_assert!(!told.add_deadlines(&[(fields.len(), 7)]));
    }
}

#[test]
fn fields_of_one_hash_and_deadline_are_told_apart() {
    let mut hash = HashTree::default();
    for name in ["a", "b", "c"] {
        hash.set(7, (Item::of(name.as_bytes()), Item::Int(1)), (Deadline::At(50), 0));
    }
    let due = |hash: &HashTree| -> Vec<Vec<u8>> {
        hash.due(51).map(|field| field.name.bytes().into_owned()).collect()
    };
    assert_eq!(due(&hash), [b"a", b"b", b"c"]);
    assert!(hash.take_if(7, Item::of(b"a"), |_| true));
    assert_eq!(due(&hash), [b"b", b"c"]);
    hash.set_deadline(7, Item::of(b"b"), Some(60));
    assert_eq!(due(&hash), [b"c"]);
}
