//! Stretches are equal where states are, and only there; together they are the whole keyspace.

use super::*;
use crate::Deadline;
use crate::keyspace::tests::Fed;
use crate::types::hash::HashTree;
use crate::types::list::{End, ListTree};
use crate::types::set::SetTree;
use crate::types::{Open, zset::ZsetTree};
use alloc::vec::Vec;
use alloc::{format, vec};

/// All stretches of a keyspace. Every key is in one of them, and they end by themselves.
fn walk(keyspace: &Keyspace, keys_max: usize, bytes_max: usize) -> Vec<Content> {
    let mut next = Some(ContentPoint::default());
    let (mut found, mut last) = (Vec::new(), None);
    while let Some(from) = next {
        // In scan order with the parts of a point together, which the numbers alone are not.
        let place = Place::of(from.cursor);
        let order = (from.db, place.slot, place.hash, place.part);
        assert!(last < Some(order), "each begins behind the one before");
        last = Some(order);
        let stretch = keyspace.content(from, keys_max, bytes_max);
        next = stretch.next;
        found.push(stretch);
    }
    let keys: u64 = found.iter().map(|stretch| stretch.keys).sum();
    assert_eq!(keys, Db::all().map(|db| keyspace.stats(db).0).sum::<u64>());
    found
}

/// Two states hold the same, in stretches of any length.
pub(crate) fn assert_same_content(one: &Keyspace, other: &Keyspace) {
    for (keys_max, bytes_max) in
        [(1, 1), (7, 3000), (usize::MAX, 100_000), (usize::MAX, usize::MAX)]
    {
        let (one, other) = (walk(one, keys_max, bytes_max), walk(other, keys_max, bytes_max));
        assert!(one == other, "stretches of {keys_max} keys and {bytes_max} bytes");
    }
}

/// In how many stretches two states differ.
fn differing(one: &[Content], other: &[Content]) -> usize {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).filter(|(one, other)| one != other).count()
}

#[test]
fn nothing_is_a_stretch_without_keys() {
    let fed = Fed::new();
    let stretches = walk(&fed.keyspace, 100, 100);
    assert_eq!(stretches, [Content { digest: 0, keys: 0, next: None }]);
    for db in [15, 16, 255] {
        let from = ContentPoint { db, cursor: u64::MAX };
        assert_eq!(fed.keyspace.content(from, 0, 0), stretches[0]);
    }
}

#[test]
fn how_it_came_to_be_does_not_show() {
    let elements: Vec<Vec<u8>> = (0..5000).map(|n| format!("element {n}").into_bytes()).collect();
    let make = |backwards: bool| {
        let mut fed = Fed::new();
        let mut order: Vec<usize> = (0..elements.len()).collect();
        if backwards {
            order.reverse();
        }
        let end = if backwards { End::Front } else { End::Back };
        let each = || order.iter().map(|&at| (at, &elements[at]));
        let mut writer = fed.entry(3, 5);
        let _ = writer.edit_or_create(b"list", |list: &mut Open<ListTree>| {
            each().for_each(|(_, element)| list.push(end, element));
        });
        let _ = writer.edit_or_create(b"set", |set: &mut Open<SetTree>| {
            each().for_each(|(_, element)| _ = set.add(element));
        });
        let _ = writer.edit_or_create(b"hash", |hash: &mut Open<HashTree>| {
            each().for_each(|(_, element)| _ = hash.set(element, element));
        });
        let _ = writer.edit_or_create(b"zset", |zset: &mut Open<ZsetTree>| {
            each().for_each(|(at, element)| zset.set(element, at as f64));
        });
        for (at, element) in each() {
            writer.set_string(element, &element[at % 5..], Deadline::At(at as u64 + 9));
        }
        fed
    };
    let (one, other) = (make(false), make(true));
    assert_ne!(one.keyspace.digest(), other.keyspace.digest(), "what was done differs");
    assert_same_content(&one.keyspace, &other.keyspace);
    let mut third = make(false);
    third.entry(3, 5).set_deadline(&elements[17], Some(10_000));
    let walks = [&one, &third].map(|fed| walk(&fed.keyspace, 64, 1 << 20));
    assert_eq!(differing(&walks[0], &walks[1]), 1, "another deadline is another state");
}

#[test]
fn a_flipped_bit_is_in_one_stretch() {
    let mut fed = Fed::new();
    for (db, length) in [(0, 1), (1, 2), (0, 44), (2, 45), (0, 4096), (9, 65_536), (15, 65_537)] {
        let value = vec![b'v'; length];
        fed.entry(db, 5).set_string(format!("s{length}").as_bytes(), &value, Deadline::Clear);
    }
    fed.entry(0, 5).set_string(b"big", &vec![0; 1_000_003], Deadline::At(77));
    fed.entry(0, 5).set_string(b"int", b"12345", Deadline::Clear);
    fed.entry(0, 5).set_string(b"empty", b"", Deadline::Clear);
    let elements = [&b"1"[..], b"word", &[b'x'; 100], &[b'y'; 5000]];
    let _ = fed.entry(0, 5).edit_or_create(b"list", |list: &mut Open<ListTree>| {
        for element in elements {
            list.push(End::Back, element);
        }
    });
    let _ = fed.entry(0, 5).edit_or_create(b"hash", |hash: &mut Open<HashTree>| {
        for name in elements {
            hash.set(name, &[b'z'; 70]);
        }
        hash.set(b"short", b"value");
    });
    let _ = fed.entry(0, 5).edit_or_create(b"set", |set: &mut Open<SetTree>| {
        for element in elements {
            set.add(element);
        }
    });
    let keys: Vec<_> = Db::all()
        .flat_map(|db| {
            let found = fed.keyspace.database(db).table.walk(0, 0);
            found.map(move |found| (db, found.record.key().to_vec()))
        })
        .collect();
    let limits = [(1, 1), (3, 100_000), (usize::MAX, usize::MAX)];
    let before = limits.map(|(keys, bytes)| walk(&fed.keyspace, keys, bytes));
    let mut flipped = 0;
    for (db, key) in &keys {
        for bit in [0, 7, 11, 800_000, 8_000_023, u64::MAX] {
            let rolling = fed.keyspace.digest();
            let spare = fed.keyspace.flip_bit(*db, key, bit);
            assert_eq!(spare, !matches!(&key[..], b"empty" | b"set" | b"hash"), "{key:?}");
            for ((keys, bytes), before) in limits.into_iter().zip(&before) {
                let now = walk(&fed.keyspace, keys, bytes);
                assert_eq!(differing(before, &now), usize::from(spare), "bit {bit} of {key:?}");
            }
            assert_eq!(fed.keyspace.digest(), rolling);
            assert_eq!(fed.keyspace.flip_bit(*db, key, bit), spare);
            flipped += usize::from(spare);
        }
    }
    assert_eq!(flipped, 6 * 10);
    assert!(!fed.keyspace.flip_bit(Db(3), b"big", 1), "no such key");
    let again = limits.map(|(keys, bytes)| walk(&fed.keyspace, keys, bytes));
    assert!(before == again, "flipped back, all is as it was");
}

#[test]
fn small_collections_have_spare_bytes() {
    let mut fed = Fed::new();
    let _ = fed.entry(0, 5).edit_or_create(b"hash", |hash: &mut Open<HashTree>| {
        hash.set(b"name", b"7");
        hash.set(b"other", b"value");
    });
    let _ = fed.entry(0, 5).edit_or_create(b"list", |list: &mut Open<ListTree>| {
        list.push(End::Back, b"77");
        list.push(End::Back, &[b'x'; 70]);
    });
    assert!(fed.keyspace.flip_bit(Db(0), b"hash", 8) && fed.keyspace.flip_bit(Db(0), b"list", 0));
    let reader = fed.reader(0);
    let hash = reader.view::<HashTree>(b"hash").unwrap().unwrap();
    let values: Vec<_> = hash.iter().map(|(_, value)| value.bytes().into_owned()).collect();
    assert_eq!(values, [&b"7"[..], b"v`lue"]);
    let list = reader.view::<ListTree>(b"list").unwrap().unwrap();
    let elements: Vec<_> = list.from(0).map(|element| element.bytes().into_owned()).collect();
    assert_eq!(elements, [&b"77"[..], &[&b"y"[..], &[b'x'; 69]].concat()]);
}

#[test]
fn a_stretch_is_bounded() {
    const KEYS: u64 = 20_000;
    let mut fed = Fed::new();
    for number in 0..KEYS {
        let key = format!("{{tag}}{number}");
        fed.entry(0, 5).set_string(key.as_bytes(), b"value", Deadline::Clear);
    }
    let stretches = walk(&fed.keyspace, 100, usize::MAX);
    assert_eq!(stretches.len() as u64, KEYS / 100, "one slot is many stretches");
    assert!(stretches.iter().all(|stretch| stretch.keys <= 100));
    let stretches = walk(&fed.keyspace, usize::MAX, 4096);
    assert!(stretches.iter().all(|stretch| stretch.keys <= 150));

    let mut fed = Fed::new();
    let large = vec![1; 20 << 16];
    fed.entry(0, 5).set_string(b"string", &large, Deadline::Clear);
    let stretches = walk(&fed.keyspace, usize::MAX, 1);
    assert_eq!(stretches.len(), 20, "one for each chunk");
    let _ = fed.entry(1, 5).edit_or_create(b"list", |list: &mut Open<ListTree>| {
        (0..100).for_each(|_| list.push(End::Back, large.get(..1 << 16).unwrap()));
        (0..100_000).for_each(|_| list.push(End::Front, b"x"));
    });
    let parts = walk(&fed.keyspace, usize::MAX, 1).len() - 20;
    assert!((100..200).contains(&parts), "{parts} parts of 6.8 MB");
}

#[test]
fn points_of_any_kind_are_places() {
    let mut fed = Fed::new();
    fed.entry(0, 5).set_string(b"key", &vec![1; 200_000], Deadline::Clear);
    fed.entry(7, 5).set_string(b"key", b"value", Deadline::Clear);
    let Point { slot, hash, .. } = Point::of(fed.keyspace.hash_key, b"key");
    for (part, keys) in [(0, 2), (1, 1), (3, 1), (4, 1), (PARTS_MAX - 1, 1)] {
        let cursor = Place { slot, hash, part }.cursor();
        assert_eq!(Place::of(cursor), Place { slot, hash, part });
        let content = fed.keyspace.content(ContentPoint { db: 0, cursor }, 9, usize::MAX);
        assert_eq!((content.keys, content.next), (keys, None), "part {part}");
    }
}
