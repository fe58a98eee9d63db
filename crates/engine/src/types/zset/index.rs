//! From a member to its score: hashes in order with the scores of the members that have them.
//!
//! The members themselves are in the ordered tree only. A hit here is verified there: two members
//! may have one hash.

use crate::point::element_hash;
use crate::types::spread;
use crate::types::tree::{Leaf, Tree};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

/// Some members' hashes in order, each with its member's score. Those of one hash lie together, in
/// any order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hashed {
    hashes: Vec<u32>,
    scores: Vec<f64>,
}

/// A leaf grows in steps of so many.
const GROWTH: usize = 16;

impl Hashed {
    fn of(&self, hash: u32) -> Range<usize> {
        let start = spread::below(&self.hashes, hash, |&other| other);
        let same = self.hashes.iter().skip(start).take_while(|&&other| other == hash);
        start..start + same.count()
    }

    fn position(&self, hash: u32, score: f64) -> Option<usize> {
        self.of(hash)
            .find(|&at| self.scores.get(at).is_some_and(|s| s.to_bits() == score.to_bits()))
    }
}

impl Leaf for Hashed {
    type Key = u32;
    const ITEMS_MAX: usize = 256;
    const BYTES_MAX: usize = 4 << 10;

    fn len(&self) -> usize {
        self.hashes.len()
    }

    fn bytes(&self) -> usize {
        12 * self.hashes.len()
    }

    fn first(&self) -> u32 {
        self.hashes.first().copied().unwrap_or_default()
    }

    fn split_off(&mut self, at: usize) -> Self {
        let parted = |at: &usize| self.hashes.get(*at) != self.hashes.get(*at - 1);
        let at = at.max(1);
        let found = (at..self.hashes.len()).find(parted).or((1..at).rev().find(parted));
        let Some(at) = found else { return Self::default() };
        let upper = Self { hashes: self.hashes.split_off(at), scores: self.scores.split_off(at) };
        self.hashes.shrink_to_fit();
        self.scores.shrink_to_fit();
        upper
    }

    fn join(&mut self, next: &Self) {
        self.hashes.reserve_exact(next.hashes.len());
        self.scores.reserve_exact(next.scores.len());
        self.hashes.extend_from_slice(&next.hashes);
        self.scores.extend_from_slice(&next.scores);
    }

    fn remove(&mut self, part: Range<usize>) {
        let part = part.start.min(self.len())..part.end.min(self.len());
        self.hashes.drain(part.clone());
        self.scores.drain(part);
    }
}

/// The index of a large sorted set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index(Box<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    tree: Tree<Hashed>,
    hash_key: [u64; 2],
}

impl Index {
    /// Drops it leaf by leaf.
    pub(super) fn free(self, pause: &mut dyn FnMut()) {
        self.0.tree.free(pause);
    }

    /// Of all members of a set: their hashes and scores.
    pub(crate) fn new(hash_key: [u64; 2], mut members: Vec<(u32, f64)>) -> Self {
        members.sort_by_key(|(hash, _)| *hash);
        let mut tree = Tree::default();
        let mut rest = &members[..];
        while !rest.is_empty() {
            let same = |at: usize| rest.get(at).map(|pair| pair.0) == rest.get(at - 1).map(|p| p.0);
            // Filled to three quarters, so that the next insertions split nothing.
            let wanted = (Hashed::ITEMS_MAX / 4 * 3).min(rest.len());
            let count = (wanted..rest.len()).find(|&at| !same(at)).unwrap_or(rest.len());
            let (taken, more) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            let (hashes, scores) = taken.iter().copied().unzip();
            let mut leaf = Hashed { hashes, scores };
            leaf.hashes.shrink_to_fit();
            leaf.scores.shrink_to_fit();
            tree.push_back(leaf);
            rest = more;
        }
        Self(Box::new(Inner { tree, hash_key }))
    }

    /// An empty one with the same key.
    pub(crate) fn emptied(&self) -> Self {
        Self::new(self.0.hash_key, Vec::new())
    }

    /// A member's hash.
    pub(crate) fn hash(&self, member: &[u8]) -> u32 {
        element_hash(self.0.hash_key, member)
    }

    /// Bytes of all entries.
    pub(crate) fn bytes(&self) -> usize {
        self.0.tree.bytes()
    }

    /// Scores of the members with this hash.
    pub(crate) fn scores(&self, hash: u32) -> &[f64] {
        let leaf = self.0.tree.leaf(|&first| first <= hash);
        leaf.scores.get(leaf.of(hash)).unwrap_or_default()
    }

    /// Adds a member.
    pub(crate) fn insert(&mut self, hash: u32, score: f64) {
        self.0.tree.edit_find(
            |&first| first <= hash,
            |leaf| {
                let at = leaf.of(hash).end;
                if leaf.hashes.len() == leaf.hashes.capacity() {
                    leaf.hashes.reserve_exact(GROWTH);
                    leaf.scores.reserve_exact(GROWTH);
                }
                leaf.hashes.insert(at, hash);
                leaf.scores.insert(at, score);
            },
        );
    }

    /// Removes a member that had this score.
    pub(crate) fn remove(&mut self, hash: u32, score: f64) {
        self.0.tree.edit_find(
            |&first| first <= hash,
            |leaf| {
                if let Some(at) = leaf.position(hash, score) {
                    Leaf::remove(leaf, at..at + 1);
                }
            },
        );
    }

    /// Gives a member another score.
    pub(crate) fn rescore(&mut self, hash: u32, old: f64, new: f64) {
        self.0.tree.edit_find(
            |&first| first <= hash,
            |leaf| {
                let at = leaf.position(hash, old);
                if let Some(place) = at.and_then(|at| leaf.scores.get_mut(at)) {
                    *place = new;
                }
            },
        );
    }

    /// Hashes and scores from a hash on, in order.
    pub(crate) fn from(&self, hash: u32) -> impl Iterator<Item = (u32, f64)> {
        let (leaf, base) = self.0.tree.find(|&first| first <= hash);
        let start = base + leaf.hashes.partition_point(|&other| other < hash);
        self.0.tree.leaves(start).flat_map(move |(leaf, base)| {
            let skip = start.saturating_sub(base);
            leaf.hashes.iter().copied().zip(leaf.scores.iter().copied()).skip(skip)
        })
    }
}

#[cfg(test)]
impl Index {
    /// To be counted.
    pub(super) fn tree(&self) -> &Tree<Hashed> {
        &self.0.tree
    }
}
