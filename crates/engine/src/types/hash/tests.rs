//! Hashes against a model, in both forms and across the thresholds.

use super::*;
use crate::keyspace::tests::cases;
use crate::types::{Limits, Rules};
use alloc::collections::BTreeMap;
use alloc::vec;
use proptest::prelude::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn empty(hash: (u64, u64)) -> Open<HashTree> {
    let limits = Limits { hash, ..Limits::default() };
    let rules = Rules { limits, hash_key: [1, 2], as_written: false };
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
            let view = View { form: Form::Hash, packed: &[], large: Some(&large) };
            prop_assert!(all(view).into_iter().collect::<BTreeMap<_, _>>() == model);
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
