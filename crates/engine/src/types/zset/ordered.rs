//! Members in order of score, then of their bytes.
//!
//! This is a leaf of the tree from which ranks and ranges are read. It does not find a member by
//! its bytes alone: `index` tells the score first.

use crate::types::tree::Leaf;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

/// Where a member stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) score: f64,
    pub(crate) member: Box<[u8]>,
}

/// Which of two members comes first. Both zeros are one score, as to Redis; there is no NaN.
pub(crate) fn order(one: (f64, &[u8]), other: (f64, &[u8])) -> Ordering {
    one.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal).then_with(|| one.1.cmp(other.1))
}

/// Whether two scores are one, as both zeros are.
pub(crate) fn same(one: f64, other: f64) -> bool {
    one.partial_cmp(&other) == Some(Ordering::Equal)
}

/// Some members in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranked {
    scores: Vec<f64>,
    /// The members' keyed hashes: a scan picks members by them (see `zset`).
    hashes: Vec<u32>,
    /// Where each member begins in `bytes`; it ends where the next begins.
    starts: Vec<u32>,
    bytes: Vec<u8>,
}

/// A leaf grows in steps of this part of itself: it is copied seldom, and wastes little.
const GROWTH: usize = 16;

/// Makes room for so many more.
fn reserve<T>(vector: &mut Vec<T>, more: usize) {
    if vector.capacity() - vector.len() < more {
        vector.reserve_exact(more.max(vector.len() / GROWTH));
    }
}

impl Ranked {
    /// The score of member `at`.
    pub(crate) fn score(&self, at: usize) -> Option<f64> {
        self.scores.get(at).copied()
    }

    /// The hash of member `at`.
    pub(crate) fn hash(&self, at: usize) -> u32 {
        self.hashes.get(at).copied().unwrap_or_default()
    }

    fn start(&self, at: usize) -> usize {
        self.starts.get(at).map_or(self.bytes.len(), |&start| start as usize)
    }

    /// Member `at`.
    pub(crate) fn member(&self, at: usize) -> &[u8] {
        self.bytes.get(self.start(at)..self.start(at + 1)).unwrap_or_default()
    }

    /// Member and score.
    pub(crate) fn pair(&self, at: usize) -> Option<(&[u8], f64)> {
        Some((self.member(at), self.score(at)?))
    }

    /// How many members come before all for which this does not hold. It holds for all up to some
    /// member, and for none behind it.
    pub(crate) fn partition(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.scores.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let (member, score) = self.pair(middle).unwrap_or_default();
            if before(score, member) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Where a member of this score is, or would be.
    pub(crate) fn find(&self, score: f64, member: &[u8]) -> Result<usize, usize> {
        let at = self.partition(|s, m| order((s, m), (score, member)) == Ordering::Less);
        match self.pair(at) {
            Some((m, s)) if order((s, m), (score, member)) == Ordering::Equal => Ok(at),
            _ => Err(at),
        }
    }

    /// Puts a member where it belongs.
    pub(crate) fn insert(&mut self, score: f64, member: &[u8], hash: u32) {
        let at = match self.find(score, member) {
            Ok(at) | Err(at) => at,
        };
        let start = self.start(at);
        reserve(&mut self.scores, 1);
        reserve(&mut self.hashes, 1);
        reserve(&mut self.starts, 1);
        reserve(&mut self.bytes, member.len());
        self.scores.insert(at, score);
        self.hashes.insert(at, hash);
        // Commands end far below 4 GiB, and a leaf has a few kilobytes besides one member.
        self.starts.insert(at, start as u32);
        self.starts.iter_mut().skip(at + 1).for_each(|other| *other += member.len() as u32);
        crate::types::pack::splice(&mut self.bytes, start..start, member);
    }

    /// Adds a member behind all others.
    pub(crate) fn push(&mut self, score: f64, member: &[u8], hash: u32) {
        self.scores.push(score);
        self.hashes.push(hash);
        self.starts.push(self.bytes.len() as u32);
        self.bytes.extend_from_slice(member);
    }

    /// Gives back unused room.
    pub(crate) fn shrink(&mut self) {
        self.scores.shrink_to_fit();
        self.hashes.shrink_to_fit();
        self.starts.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// Gives a member another score if it stays at its place, between neighbours of this leaf.
    pub(crate) fn rescore(&mut self, at: usize, score: f64) -> bool {
        let neighbours = at
            .checked_sub(1)
            .and_then(|before| Some((self.pair(before)?, self.pair(at)?, self.pair(at + 1)?)));
        let Some(((before, low), (member, _), (behind, high))) = neighbours else { return false };
        let stays = order((low, before), (score, member)) == Ordering::Less
            && order((score, member), (high, behind)) == Ordering::Less;
        if let Some(place) = self.scores.get_mut(at).filter(|_| stays) {
            *place = score;
        }
        stays
    }
}

impl Leaf for Ranked {
    type Key = Place;
    const ITEMS_MAX: usize = 128;
    const BYTES_MAX: usize = 4 << 10;

    fn len(&self) -> usize {
        self.scores.len()
    }

    fn bytes(&self) -> usize {
        self.bytes.len() + 16 * self.scores.len()
    }

    fn first(&self) -> Place {
        let (member, score) = self.pair(0).unwrap_or_default();
        Place { score, member: member.into() }
    }

    fn split_off(&mut self, at: usize) -> Self {
        let at = at.min(self.scores.len());
        let start = self.start(at);
        let upper = Self {
            scores: self.scores.split_off(at),
            hashes: self.hashes.split_off(at),
            starts: self.starts.iter().skip(at).map(|&other| other - start as u32).collect(),
            bytes: self.bytes.get(start..).unwrap_or_default().to_vec(),
        };
        self.starts.truncate(at);
        self.bytes.truncate(start);
        self.shrink();
        upper
    }

    fn join(&mut self, next: &Self) {
        let base = self.bytes.len() as u32;
        self.scores.reserve_exact(next.scores.len());
        self.hashes.reserve_exact(next.scores.len());
        self.starts.reserve_exact(next.scores.len());
        self.bytes.reserve_exact(next.bytes.len());
        self.scores.extend_from_slice(&next.scores);
        self.hashes.extend_from_slice(&next.hashes);
        self.starts.extend(next.starts.iter().map(|&start| start + base));
        self.bytes.extend_from_slice(&next.bytes);
    }

    fn remove(&mut self, part: Range<usize>) {
        let part = part.start.min(self.len())..part.end.min(self.len());
        let bytes = self.start(part.start)..self.start(part.end);
        let gone = bytes.len() as u32;
        self.bytes.drain(bytes);
        self.scores.drain(part.clone());
        self.hashes.drain(part.clone());
        self.starts.drain(part.clone());
        self.starts.iter_mut().skip(part.start).for_each(|start| *start -= gone);
    }
}
