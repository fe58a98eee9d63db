//! Sorted sets against a plain map, small and large, and what their clones keep.

use super::*;
use crate::keyspace::tests::cases;
use crate::types::Rules;
use alloc::collections::BTreeMap;
use alloc::vec;
use proptest::prelude::*;

type Model = BTreeMap<Vec<u8>, f64>;

impl ZsetTree {
    /// See [`Tree::made_since`]: of both trees.
    pub(crate) fn made_since(&self, before: &Self) -> (usize, usize) {
        let (nodes, bytes) = self.ordered.made_since(&before.ordered);
        let index = self.index.tree().made_since(before.index.tree());
        (nodes + index.0, bytes + index.1)
    }

    /// How many hold the trees: of that which fewer hold.
    pub(crate) fn holders(&self) -> usize {
        self.ordered.holders().min(self.index.tree().holders())
    }
}

fn empty(limits: (u64, u64), hash_key: [u64; 2]) -> Open<ZsetTree> {
    let limits = Limits { zset: limits, ..Limits::default() };
    let pack = pack::Pack::open(b"head".to_vec(), 4);
    Open::new(Form::Zset, pack, None, Rules { limits, hash_key, ..Rules::default() })
}

fn sorted(model: &Model) -> Vec<(Vec<u8>, f64)> {
    let mut sorted: Vec<_> = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
    sorted.sort_by(|one, other| order((one.1, &one.0), (other.1, &other.0)));
    sorted
}

fn owned<'a>(pairs: impl Iterator<Item = (Item<'a>, f64)>) -> Vec<(Vec<u8>, f64)> {
    pairs.map(|(member, score)| (member.bytes().into_owned(), score)).collect()
}

fn check(view: View<'_, ZsetTree>, model: &Model) {
    let want = sorted(model);
    assert_eq!(view.count(), want.len());
    assert_eq!(owned(view.pairs(0)), want);
    let mut back = owned(view.pairs_back(want.len().saturating_sub(1)));
    back.reverse();
    assert_eq!(back, want);
    for (at, (member, score)) in want.iter().enumerate().step_by(1 + want.len() / 50) {
        assert_eq!(view.score(member), Some(*score));
        assert_eq!(view.rank(member), Some((at, *score)));
        assert_eq!(view.get(at).map(|(m, s)| (m.bytes().into_owned(), s)), Some(want[at].clone()));
        let above = want.iter().filter(|(_, other)| other < score).count();
        assert_eq!(view.partition(|other, _| other < *score), above);
        assert_eq!(owned(view.pairs(at)), want[at..]);
        assert_eq!(owned(view.pairs_back(at)).len(), at + 1);
    }
    assert!(view.score(b"absent").is_none() && view.rank(b"absent").is_none());
    let (mut cursor, mut seen) = (0, Vec::new());
    loop {
        let (next, some) = view.scan(cursor, 7);
        seen.extend(owned(some.into_iter()));
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    seen.sort_by(|one, other| order((one.1, &one.0), (other.1, &other.0)));
    assert_eq!(seen, want);
}

#[derive(Clone, Debug)]
enum Step {
    Set(u16, i8),
    Remove(u16),
    RemoveRanks(usize, usize),
    Share,
    Enlarge,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0..400_u16, any::<i8>()).prop_map(|(member, score)| Step::Set(member, score)),
        8 => (0..400_u16).prop_map(Step::Remove),
        1 => (0..300_usize, 0..40_usize).prop_map(|(at, count)| Step::RemoveRanks(at, count)),
        1 => Just(Step::Share),
        1 => Just(Step::Enlarge),
    ]
}

/// Short numbers, short words, and long ones.
fn member(number: u16) -> Vec<u8> {
    match number % 3 {
        0 => alloc::format!("{number}").into_bytes(),
        1 => alloc::format!("member:{number}").into_bytes(),
        _ => vec![number as u8; 50 + usize::from(number % 100 == 2) * 5000],
    }
}

/// Whole numbers and fractions, some of them equal, and what is large.
fn score(number: i8) -> f64 {
    match number {
        120.. => f64::INFINITY,
        ..-120 => -1e300,
        number => f64::from(number / 3) * 0.5,
    }
}

proptest! {
    #![proptest_config(cases(100))]
    #[test]
    fn a_sorted_set_is_a_sorted_map(
        limits in prop::sample::select(vec![(0, 64), (128, 64), (10, 1000), (5000, 10_000)]),
        one_hash: bool,
        steps in prop::collection::vec(any_step(), 0..800),
    ) {
        let mut zset = empty(limits, [7, u64::from(one_hash)]);
        let mut model = Model::new();
        let mut shared = Vec::new();
        for step in steps {
            match step {
                Step::Set(number, points) => {
                    zset.set(&member(number), score(points));
                    model.insert(member(number), score(points));
                }
                Step::Remove(number) => {
                    let was_there = model.remove(&member(number)).is_some();
                    prop_assert_eq!(zset.remove(&member(number)), was_there);
                }
                Step::RemoveRanks(start, count) => {
                    zset.remove_ranks(start..start + count);
                    for (member, _) in sorted(&model).into_iter().skip(start).take(count) {
                        model.remove(&member);
                    }
                }
                Step::Share => {
                    if let Some(large) = &zset.large {
                        shared.push((large.clone(), model.clone()));
                    }
                }
                Step::Enlarge => {
                    if zset.large.is_none() {
                        zset.grow();
                    }
                }
            }
            prop_assert_eq!(zset.len(), model.len());
            prop_assert_eq!(zset.is_empty(), model.is_empty());
        }
        check(zset.view(), &model);
        for (large, model) in &shared {
            check(View { form: Form::Zset, packed: &[], large: Some(large), now_ms: 0 }, model);
        }
    }

    #[test]
    fn filling_is_setting_one_by_one(
        members in prop::collection::btree_map(0..400_u16, any::<i8>(), 0..300),
        limits in prop::sample::select(vec![(0, 64), (128, 64), (5000, 10_000)]),
    ) {
        let mut one_by_one = empty(limits, [1, 2]);
        let mut model = Model::new();
        for (&number, &points) in &members {
            one_by_one.set(&member(number), score(points));
            model.insert(member(number), score(points));
        }
        let all: Vec<(Cow<'_, [u8]>, f64)> =
            sorted(&model).into_iter().map(|(member, score)| (member.into(), score)).collect();
        let longest = all.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
        let mut filled = empty(limits, [1, 2]);
        prop_assert!(filled.fill(&all, longest));
        check(filled.view(), &model);
        let fits = filled.large.is_none();
        prop_assert_eq!(fits, one_by_one.large.is_none());
        filled.pack_if_small();
        prop_assert_eq!(fits, filled.large.is_none());
        if all.len() > 1 {
            let mut backwards = all.clone();
            backwards.reverse();
            prop_assert!(!empty(limits, [1, 2]).fill(&backwards, longest));
        }
    }
}

#[test]
fn scores_are_kept_as_redis_keeps_them() {
    // As `DUMP` of redis-server 7.0.15 has whole numbers; other texts are those of 7.2.
    for (score, entry) in [
        (0.0, &[0_u8, 1][..]),
        (-0.0, &[0, 1]),
        (127.0, &[127, 1]),
        (-1.0, &[0xdf, 0xff, 2]),
        (1.5, b"\x831.5\x04"),
        (0.1, b"\x830.1\x04"),
        (f64::INFINITY, b"\x83inf\x04"),
        (f64::NEG_INFINITY, b"\x84-inf\x05"),
        (1e30, b"\x851e+30\x06"),
        (4_611_686_018_427_387_904.0, &[0xf4, 0, 0, 0, 0, 0, 0, 0, 0x40, 9]),
    ] {
        let mut out = pack::Encoded::default();
        add_score(score, &mut out);
        assert_eq!(&*out, entry, "{score}");
        let (item, length) = pack::first(&out).unwrap();
        assert_eq!((score_of(item), length), (score, out.len()));
    }
}

#[test]
fn a_scan_of_equal_scores_gives_each_member_once() {
    let mut zset = empty((0, 0), [3, 4]);
    for number in 0..5000 {
        zset.set(alloc::format!("{number}").as_bytes(), 0.0);
    }
    let (mut cursor, mut seen, mut calls) = (0, Vec::new(), 0);
    loop {
        let (next, some) = zset.view().scan(cursor, 10);
        assert!((1..200).contains(&some.len()), "{}", some.len());
        seen.extend(owned(some.into_iter()));
        calls += 1;
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    seen.dedup();
    assert_eq!(seen.len(), 5000);
    assert!(calls < 100, "{calls}");
}
