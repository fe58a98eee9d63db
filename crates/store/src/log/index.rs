//! Where each entry stands on disk, and the open segments it is read from.
//!
//! Sixteen bytes an entry. Brought up to date by the writer once a record is durable, so what is
//! here may be read without asking it.

use crate::LogId;
use crate::file::segment::Segment;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) segment: u32,
    /// Bytes behind its header line.
    pub(crate) length: u32,
    pub(crate) offset: u64,
}

/// The spots of the entries on disk: a run of indexes without holes, 16 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Spots {
    pub(crate) first: u64,
    pub(crate) list: VecDeque<Spot>,
}

impl Spots {
    pub(crate) fn get(&self, index: u64) -> Option<Spot> {
        self.list.get(usize::try_from(index.checked_sub(self.first)?).ok()?).copied()
    }

    /// Sets the spot of an entry: behind the last one, or in place of a copy.
    pub(crate) fn set(&mut self, index: u64, spot: Spot) {
        if self.list.is_empty() {
            self.first = index;
        }
        let at = index.wrapping_sub(self.first) as usize;
        match self.list.get_mut(at) {
            Some(old) => *old = spot,
            None => self.list.push_back(spot),
        }
    }

    /// Forgets entries behind `after`; returns their spots.
    pub(crate) fn truncate(&mut self, after: Option<LogId>) -> VecDeque<Spot> {
        let keep = after.map_or(0, |after| (after.index + 1).saturating_sub(self.first));
        self.list.split_off(
            usize::try_from(keep).map_or(self.list.len(), |keep| keep.min(self.list.len())),
        )
    }

    /// Forgets entries up to `upto`.
    pub(crate) fn purge(&mut self, upto: LogId) {
        let gone = (upto.index + 1).saturating_sub(self.first).min(self.list.len() as u64);
        self.list.drain(..gone as usize);
        self.first += gone;
    }
}

/// What is on disk and may be read. Invariants:
///
/// - `segments` and `starts` have the same numbers; the last one is the segment that is written to.
/// - The segment of every spot is among them: one is given up only when all its entries are purged.
/// - Spots follow each other without holes and end with the last entry written, which is durable
///   unless nothing is synced.
#[derive(Debug)]
pub(crate) struct Index<F> {
    pub(crate) spots: Spots,
    /// Open segments, those that may be read from.
    pub(crate) segments: BTreeMap<u32, Arc<Segment<F>>>,
    /// For each of them, the last entry before it.
    pub(crate) starts: BTreeMap<u32, Option<LogId>>,
}

impl<F> Index<F> {
    /// Takes a segment that is written to from now on; `start` is the last entry before it.
    pub(crate) fn add(&mut self, segment: Arc<Segment<F>>, start: Option<LogId>) {
        self.starts.insert(segment.number, start);
        self.segments.insert(segment.number, segment);
    }

    /// Gives up the oldest segment, if it lies below `listed` and all its entries are purged; its
    /// number.
    pub(crate) fn drop_oldest(&mut self, listed: u32, purged: Option<LogId>) -> Option<u32> {
        let mut starts = self.starts.iter();
        let (Some((&oldest, _)), Some((_, next))) = (starts.next(), starts.next()) else {
            return None;
        };
        let index = |id: LogId| id.index;
        if oldest >= listed || next.map(index) > purged.map(index) {
            return None;
        }
        self.starts.remove(&oldest);
        self.segments.remove(&oldest);
        Some(oldest)
    }

    /// Bytes of all segments, and of those together with `active_bytes` in place of the last one's.
    pub(crate) fn bytes(&self, active_bytes: u64) -> (u64, u64) {
        let all = self.segments.values().map(|segment| segment.bytes).sum();
        let closed = self.segments.values().rev().skip(1).map(|segment| segment.bytes);
        (all, closed.sum::<u64>() + active_bytes)
    }
}
