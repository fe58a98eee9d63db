//! Sets against a model, in every form and across the thresholds.

use super::*;
use crate::keyspace::tests::cases;
use crate::side::settings::Limits;
use crate::types::Rules;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

fn empty(limits: Limits) -> Open<SetTree> {
    let rules = Rules { limits, hash_key: [1, 2], ..Rules::default() };
    Open::new(Form::Set, pack::Pack::open(b"head".to_vec(), 4), None, rules)
}

fn members(set: &Open<SetTree>) -> Vec<Vec<u8>> {
    set.view().iter().map(|item| item.bytes().into_owned()).collect()
}

fn any_member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-60..300_i64).prop_map(|number| number.to_string().into_bytes()),
        2 => (0..64_u32).prop_map(|bits| (1_i64 << bits).to_string().into_bytes()),
        3 => (0..200_u32).prop_map(|number| alloc::format!("member {number}").into_bytes()),
        1 => (0..6000_usize).prop_map(|length| vec![b'x'; length]),
    ]
}

fn limits(set_ints: u64, set: (u64, u64)) -> Limits {
    Limits { set_ints, set, ..Limits::default() }
}

proptest! {
    #![proptest_config(cases(120))]
    #[test]
    fn a_set_is_a_set(
        limits in prop::sample::select(vec![
            limits(512, (128, 64)),
            limits(0, (0, 0)),
            limits(5, (3, 10)),
            limits(9999, (9999, 9999)),
            limits(10, (300, 64)),
        ]),
        ints_first in any::<bool>(),
        steps in prop::collection::vec((0..10_u8, any_member(), any::<u64>()), 0..500),
    ) {
        let (mut set, mut model) = (empty(limits), BTreeSet::new());
        let mut kept: Vec<(SetTree, BTreeSet<Vec<u8>>)> = Vec::new();
        for (step, member, seed) in steps {
            let is_number = matches!(Item::of(&member), Item::Int(_));
            match step {
                0..6 if is_number || !ints_first || model.len() > 40 => {
                    set.expect(&member, 1);
                    prop_assert_eq!(set.add(&member), model.insert(member));
                }
                6..8 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                8 if !model.is_empty() => {
                    let count = seed as usize % 9;
                    let mut seed = seed;
                    let popped = set.pop(count, &mut seed);
                    prop_assert_eq!(popped.len(), count.min(model.len()));
                    for reply in popped {
                        let member = match reply {
                            Reply::Bulk(bytes) => bytes.into_owned(),
                            Reply::Decimal(number) => number.to_string().into_bytes(),
                            other => panic!("{other:?}"),
                        };
                        prop_assert!(model.remove(&member));
                    }
                }
                9 if kept.len() < 3 => {
                    if let Some(large) = &set.large {
                        kept.push((large.clone(), model.clone()));
                    }
                }
                _ => {}
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.is_empty(), model.is_empty());
        }
        let seen = members(&set);
        prop_assert_eq!(seen.len(), model.len());
        prop_assert!(seen.iter().cloned().collect::<BTreeSet<_>>() == model);
        for (at, member) in seen.iter().enumerate() {
            let item = Item::of(member);
            prop_assert!(set.view().has([1, 2], item));
            prop_assert!(set.view().has_hashed(hash_of([1, 2], item), item));
            prop_assert!(set.view().get(at) == Some(item));
        }
        prop_assert!(set.view().get(seen.len()).is_none());
        if set.form == Form::Intset {
            prop_assert!(set.view().ints().iter().is_sorted());
        }
        for (large, model) in kept {
            let view = View { form: Form::Set, packed: &[], large: Some(&large), now_ms: 0 };
            let seen: BTreeSet<_> = view.iter().map(|item| item.bytes().into_owned()).collect();
            prop_assert!(seen == model, "a clone stays what it was");
        }
    }

    #[test]
    fn a_scan_sees_what_is_there_throughout(
        before in prop::collection::btree_set(any_member(), 0..400),
        changes in prop::collection::vec((any::<bool>(), any_member()), 0..200),
        count in 1..40_usize,
    ) {
        let mut set = empty(limits(0, (0, 0)));
        assert!(before.iter().all(|member| set.add(member)));
        let mut throughout = before.clone();
        let mut seen = BTreeSet::new();
        let (mut cursor, mut changes) = (0, changes.into_iter());
        loop {
            cursor = set.view().scan(cursor, count, &mut |item| {
                seen.insert(item.bytes().into_owned());
            });
            if cursor == 0 {
                break;
            }
            for (add, member) in changes.by_ref().take(5) {
                if add {
                    set.add(&member);
                } else {
                    set.remove(&member);
                    throughout.remove(&member);
                }
            }
        }
        prop_assert!(throughout.is_subset(&seen));
        prop_assert_eq!(set.view().scan(u64::MAX, 1, &mut |_| {}), 0);
    }
}

#[test]
fn forms_change_where_redis_changes_them() {
    let forms = |members: &[&str], limits: Limits, expected: &[&str]| {
        let mut set = empty(limits);
        for (member, expected) in members.iter().zip(expected) {
            set.expect(member.as_bytes(), 1);
            set.add(member.as_bytes());
            assert_eq!(set.form.encoding(set.large.is_some()), *expected, "{member}");
        }
    };
    forms(&["1", "a"], limits(512, (128, 64)), &["intset", "listpack"]);
    forms(&["1", "2", "3"], limits(2, (128, 64)), &["intset", "intset", "hashtable"]);
    forms(&["a", "b", "c"], limits(2, (2, 64)), &["listpack", "listpack", "hashtable"]);
    forms(&["a", "abcde"], limits(2, (2, 4)), &["listpack", "hashtable"]);
    forms(&["12345", "a"], limits(2, (2, 4)), &["intset", "hashtable"]);
    forms(&["1", "2", "a"], limits(5, (2, 4)), &["intset", "intset", "hashtable"]);
    let mut set = empty(limits(3, (10, 64)));
    set.expect(b"1", 4);
    assert!(set.add(b"1"));
    assert_eq!(set.form.encoding(set.large.is_some()), "listpack", "too many for an intset");
    set.expect(b"1", 11);
    assert!(set.large.is_some() && set.len() == 1);
}

/// No setting makes a packed value longer than what changes in place may be (in Redis, widths and
/// counts of intsets and listpacks that overflowed led out of bounds: CVE-2021-29478,
/// CVE-2021-32627, CVE-2021-32687).
#[test]
fn cve_2021_29478_no_setting_makes_a_packed_set_long() {
    let any = limits(u64::MAX, (u64::MAX, u64::MAX));
    let mut set = empty(any);
    for number in 0..9000_i64 {
        set.expect(b"0", 1);
        assert!(set.add((i64::MAX - number).to_string().as_bytes()));
        assert_eq!(set.large.is_some(), number >= 8192, "{number}");
    }
    let mut set = empty(any);
    for number in 0..4000_i64 {
        set.expect(b"x", 1);
        assert!(set.add(alloc::format!("{number:030}").as_bytes()));
        assert!(set.pack.value().len() <= PACKED_BYTES_MAX + 2);
    }
    assert!(set.large.is_some() && set.len() == 4000);
}

#[test]
fn members_in_order_fill_their_leaves() {
    let mut source = empty(limits(0, (0, 0)));
    for number in 0..20_000_u32 {
        source.add(alloc::format!("member:{number:09}").as_bytes());
    }
    let mut copy = empty(limits(0, (0, 0)));
    copy.large = Some(SetTree::default());
    for (hash, item) in source.view().hashed([1, 2]) {
        assert!(copy.add_read(hash, &item.encoded()));
        assert!(!copy.add_read(hash, &item.encoded()));
    }
    let leaves = |set: &Open<SetTree>| set.large.as_ref().unwrap().0.leaves(0).count();
    assert_eq!(members(&copy), members(&source));
    assert!(leaves(&copy) * 4 < leaves(&source) * 3, "{} {}", leaves(&copy), leaves(&source));
    assert!(leaves(&copy) <= 20_000 / 220);
}
