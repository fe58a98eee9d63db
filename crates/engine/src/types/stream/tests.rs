//! Streams against a map, with clones that are kept; blocks against what Redis makes.

use super::*;
use crate::keyspace::tests::cases;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use quorate_resp::Span;

type Pairs = Vec<Vec<u8>>;

impl Stream {
    /// Adds an entry with one field.
    pub(crate) fn push(&mut self, id: Id, value: &[u8]) {
        let pairs = [b"field".to_vec(), value.to_vec()];
        with_args(&pairs, |pairs| self.append(id, pairs, Limits::default())).unwrap();
    }

    /// Nodes of all its trees that another stream does not share, and the bytes of new blocks. Its
    /// groups are those of the other.
    pub(crate) fn made_since(&self, before: &Self) -> (usize, usize) {
        let place = |block: &Block| block.rows().as_ptr().addr();
        let known: BTreeSet<_> = before.blocks.rows(0).map(place).collect();
        let new = self.blocks.rows(0).filter(|block| !known.contains(&place(block)));
        let bytes = new.map(|block| block.rows().len()).sum();
        let mut nodes = self.blocks.made_since(&before.blocks).0;
        nodes += self.groups.made_since(&before.groups).0;
        for (group, old) in self.groups.rows(0).zip(before.groups.rows(0)) {
            nodes += group.pending.made_since(&old.pending).0;
            nodes += group.consumers.made_since(&old.consumers).0;
            for (consumer, old) in group.consumers.rows(0).zip(old.consumers.rows(0)) {
                nodes += consumer.pending.made_since(&old.pending).0;
            }
        }
        (nodes, bytes)
    }

    /// How many hold its trees: of that which fewer hold.
    pub(crate) fn holders(&self) -> usize {
        self.blocks.holders().min(self.groups.holders())
    }
}

fn with_args<T>(words: &[Vec<u8>], run: impl FnOnce(Args<'_>) -> T) -> T {
    let (mut buffer, mut spans) = (Vec::new(), Vec::new());
    for word in words {
        let start = buffer.len() as u32;
        buffer.extend_from_slice(word);
        spans.push(Span { start, end: buffer.len() as u32 });
    }
    run(Args::new(&buffer, &spans))
}

fn pairs_of(entry: Entry<'_>) -> Pairs {
    let both = entry.items().flat_map(|(name, value)| [name, value]);
    both.map(|item| item.bytes().into_owned()).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Add(u64, u8, usize),
    Delete(usize),
    Trim(usize, bool, bool),
    Keep,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..3_u64, 0..4_u8, 0..300_usize).prop_map(|(ms, of, len)| Step::Add(ms, of, len)),
        8 => any::<usize>().prop_map(Step::Delete),
        1 => (0..40_usize, any::<bool>(), any::<bool>())
            .prop_map(|(most, by_id, whole)| Step::Trim(most, by_id, whole)),
        1 => Just(Step::Keep),
    ]
}

fn pairs(kind: u8, len: usize) -> Pairs {
    let value = vec![b'v'; len];
    match kind {
        0 => vec![b"a".to_vec(), value],
        1 => vec![b"a".to_vec(), b"12".to_vec(), b"b".to_vec(), value],
        2 => vec![b"b".to_vec(), value],
        _ => vec![b"7".to_vec(), b"-1".to_vec()],
    }
}

fn check(stream: &Stream, model: &BTreeMap<Id, Pairs>) {
    assert_eq!(stream.len(), model.len() as u64);
    let all: Vec<_> = stream.from(Id::MIN).map(|entry| (entry.id, pairs_of(entry))).collect();
    assert!(all.iter().map(|(id, pairs)| (id, pairs)).eq(model));
    let mut back: Vec<_> = stream.back_from(Id::MAX).map(|entry| entry.id).collect();
    back.reverse();
    assert!(back.iter().eq(model.keys()));
    assert_eq!(stream.facts.first, model.keys().next().copied().unwrap_or_default());
    assert_eq!(stream.last_id(), model.keys().last().copied());
    for (id, _) in model.iter().step_by(7) {
        assert_eq!(stream.from(*id).next().map(|entry| entry.id), Some(*id));
        assert_eq!(stream.back_from(*id).next().map(|entry| entry.id), Some(*id));
        assert!(stream.get(*id).is_some());
        let before = model.range(..id).next_back().map(|(id, _)| *id);
        let found = id.previous().and_then(|id| stream.back_from(id).next());
        assert_eq!(found.map(|entry| entry.id), before);
    }
    for block in stream.blocks.rows(0) {
        assert!(Block::checked(block.first, block.rows().to_vec()).is_some());
    }
}

proptest! {
    #![proptest_config(cases(60))]
    #[test]
    fn a_stream_is_a_map(
        limits in prop::sample::select(vec![(100, 4096), (3, 0), (0, 300), (1, 1)]),
        steps in prop::collection::vec(any_step(), 0..400),
    ) {
        let limits = Limits { stream: limits, ..Limits::default() };
        let (mut stream, mut model) = (Stream::default(), BTreeMap::new());
        let mut kept = Vec::new();
        for step in steps {
            match step {
                Step::Add(ms, kind, len) => {
                    let wanted = Wanted::Of(stream.facts.last.ms + ms);
                    let Ok(id) = stream.next_id(wanted, 0) else { continue };
                    let pairs = pairs(kind, len);
                    with_args(&pairs, |args| stream.append(id, args, limits)).unwrap();
                    model.insert(id, pairs);
                }
                Step::Delete(at) => {
                    let at = at % (model.len() + 1);
                    let id = model.keys().nth(at).copied().unwrap_or(Id { ms: 1, seq: 1 });
                    prop_assert_eq!(stream.delete(id), model.remove(&id).is_some());
                }
                Step::Trim(most, by_id, whole) => {
                    let nth = model.keys().nth(most).copied();
                    let over = model.len().saturating_sub(most) as u64;
                    let (trim, wanted) = match (by_id, nth) {
                        (true, Some(id)) => (Trim::Below(id), most as u64),
                        _ => (Trim::Length(most as u64), over),
                    };
                    let gone = stream.trim(trim, whole, None);
                    prop_assert!(gone == wanted || whole && gone < wanted);
                    (0..gone).for_each(|_| drop(model.pop_first()));
                }
                Step::Keep => kept.push((stream.clone(), model.clone())),
            }
        }
        kept.push((stream, model));
        for (stream, model) in &kept {
            check(stream, model);
        }
    }

    #[test]
    fn a_group_is_two_maps(
        steps in prop::collection::vec((0..6_u8, 0..8_u8, 0..60_u64), 0..400),
    ) {
        let mut group = Group::new(b"g", Id::MIN, 0);
        let mut model: BTreeMap<Id, u8> = BTreeMap::new();
        let mut kept = Vec::new();
        for (step, consumer, ms) in steps {
            let (name, id) = ([consumer], Id { ms, seq: 0 });
            match step {
                0..=2 => {
                    let (number, _) = group.add_consumer(&name, 0);
                    group.put(Pending { id, time_ms: 0, count: 1, consumer: number });
                    model.insert(id, consumer);
                }
                3 => prop_assert_eq!(group.acknowledge(id), model.remove(&id).is_some()),
                4 if ms == 0 => {
                    let mine = model.values().filter(|&&owner| owner == consumer).count();
                    prop_assert_eq!(group.remove_consumer(&name).unwrap_or(0), mine);
                    model.retain(|_, owner| *owner != consumer);
                }
                _ if ms == 1 => kept.push((group.clone(), model.clone())),
                _ => {}
            }
        }
        kept.push((group, model));
        for (group, model) in kept {
            let all = group.pending().rows(0).map(|row| (row.id, group.name_of(row.consumer)[0]));
            prop_assert!(all.eq(model.iter().map(|(id, owner)| (*id, *owner))));
            for consumer in group.consumers().rows(0) {
                let mine = model.iter().filter(|(_, owner)| **owner == consumer.name[0]);
                prop_assert!(consumer.pending.rows(0).eq(mine.map(|(id, _)| id)));
            }
        }
    }
}

#[test]
fn a_write_copies_one_block() {
    let mut stream = Stream::default();
    for ms in 1..=10_000 {
        let pairs = pairs(0, 10);
        let id = Id { ms, seq: 0 };
        with_args(&pairs, |args| stream.append(id, args, Limits::default())).unwrap();
    }
    let kept = stream.clone();
    assert!(stream.delete(Id { ms: 5000, seq: 0 }));
    let same = stream.blocks.rows(0).zip(kept.blocks.rows(0));
    let copied = same.filter(|(one, other)| one.rows().as_ptr() != other.rows().as_ptr()).count();
    assert_eq!((copied, stream.blocks.len()), (1, 100));
    assert_eq!((stream.len(), kept.len()), (9_999, 10_000));
}

/// How far a group has read, and what it has acknowledged.
fn any_reading() -> impl Strategy<Value = (u64, BTreeSet<u64>)> {
    (0..40_u64, prop::collection::btree_set(0..40_u64, 0..30))
}

proptest! {
    #![proptest_config(cases(60))]
    /// Against a list of all that was sent, the oldest first.
    #[test]
    fn producers_are_a_list(
        sends in prop::collection::vec((0..4_u8, 0..12_u8, 0..1500_u64), 0..400),
        size in 1..8_u64,
    ) {
        let mut producers = Producers::default();
        (producers.duration_s, producers.size) = (10, size);
        let (mut model, mut now_ms) = (Vec::<(u8, u8, u64, Id)>::new(), 0);
        for (number, (producer, sent, later_ms)) in sends.into_iter().enumerate() {
            now_ms += later_ms;
            let (name, called) = (token([1, 2], &[producer]), token([1, 2], &[sent; 70]));
            let claim = Claim { producer: name, sent: called, now_ms };
            model.retain(|(.., time_ms, _)| now_ms < 10_000 || *time_ms > now_ms - 10_000);
            let known = model.iter().find(|(one, other, ..)| (*one, *other) == (producer, sent));
            prop_assert_eq!(producers.find(&claim), known.map(|(.., id)| *id));
            if known.is_none() {
                let id = Id { ms: now_ms, seq: number as u64 };
                producers.add(&claim, id);
                model.push((producer, sent, now_ms, id));
                let of_it = model.iter().filter(|(one, ..)| *one == producer).count();
                if of_it as u64 > size {
                    let oldest = model.iter().position(|(one, ..)| *one == producer).unwrap();
                    model.remove(oldest);
                }
            }
            let names: BTreeSet<u8> = model.iter().map(|(producer, ..)| *producer).collect();
            prop_assert_eq!(producers.tracked(now_ms), (names.len(), model.len()));
        }
    }

    /// Exact trimming with regard to groups, against what each entry is to each group.
    #[test]
    fn trimming_minds_groups(
        reads in prop::collection::vec(any_reading(), 0..3),
        most in 0..40_u64,
        by_id in any::<bool>(),
        drops in any::<bool>(),
    ) {
        let limits = Limits { stream: (7, 0), ..Limits::default() };
        let mut stream = Stream::default();
        let id = |ms: u64| Id { ms: ms + 1, seq: 0 };
        for ms in 0..40 {
            with_args(&pairs(0, 3), |args| stream.append(id(ms), args, limits)).unwrap();
        }
        for (number, (last, acknowledged)) in reads.iter().enumerate() {
            let mut group = Group::new(&[number as u8], id(*last), 0);
            let (consumer, _) = group.add_consumer(b"c", 0);
            for ms in (0..=*last).filter(|ms| !acknowledged.contains(ms)) {
                group.put(Pending { id: id(ms), time_ms: 0, count: 1, consumer });
            }
            stream.add_group(group);
        }
        let awaited = |ms: u64| {
            reads.iter().any(|(last, acknowledged)| ms > *last || !acknowledged.contains(&ms))
        };
        let mut left: Vec<u64> = (0..40).collect();
        let mut over = if by_id { most } else { 40 - most };
        left.retain(|&ms| {
            let goes = over > 0 && (!by_id || ms < most) && (drops || !awaited(ms));
            over -= u64::from(goes);
            !goes
        });
        let trim = if by_id { Trim::Below(id(most)) } else { Trim::Length(most) };
        let refs = if drops { Refs::Drop } else { Refs::Acked };
        let gone = stream.trim_by_refs(trim, false, None, refs);
        prop_assert_eq!(gone, 40 - left.len() as u64);
        let found: Vec<u64> = stream.from(Id::MIN).map(|entry| entry.id.ms - 1).collect();
        prop_assert_eq!(&found, &left);
        prop_assert_eq!(stream.len(), left.len() as u64);
        prop_assert_eq!(stream.facts().first, left.first().map_or(Id::MIN, |&ms| id(ms)));
        for group in stream.groups().rows(0) {
            let pending: Vec<u64> = group.pending().rows(0).map(|row| row.id.ms - 1).collect();
            prop_assert!(!drops || pending.iter().all(|ms| left.contains(ms)));
        }
    }
}
