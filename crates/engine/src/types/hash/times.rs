//! When fields of a hash end: of a small hash in front of its row, of a large one in an index.
//!
//! A deadline itself stands with its field. What lies here follows from that, and makes short work
//! of what is asked all the time: when the next field ends, whether any is left, and how many are
//! due.

use super::Field;
use crate::types::stream::{Row, Sorted};
use crate::types::tree::Tree;
use alloc::boxed::Box;

/// What stands in front of the row of a small hash with deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// The earliest deadline.
    pub(super) soonest: u64,
    /// The latest one; [`Ends::NEVER`] if a field has none.
    pub(super) last: u64,
}

impl Ends {
    /// Its bytes.
    pub(super) const LEN: usize = 16;
    pub(super) const NEVER: u64 = u64::MAX;
    /// Of no fields.
    pub(super) const NONE: Self = Self { soonest: Self::NEVER, last: 0 };

    /// Of these fields and one more.
    pub(super) fn with(self, field: &Field<'_>) -> Self {
        let at_ms = field.deadline.unwrap_or(Self::NEVER);
        Self { soonest: self.soonest.min(at_ms), last: self.last.max(at_ms) }
    }

    /// As they stand in front of a row.
    pub(super) fn read(row: &[u8]) -> Self {
        let number =
            |bytes: Option<&[u8; 8]>| bytes.map_or(Self::NEVER, |b| u64::from_le_bytes(*b));
        let (soonest, rest) = row.split_at_checked(8).unwrap_or_default();
        Self { soonest: number(soonest.first_chunk()), last: number(rest.first_chunk()) }
    }

    /// Writes them there.
    pub(super) fn write(self, row: &mut [u8]) {
        let bytes = self.soonest.to_le_bytes().into_iter().chain(self.last.to_le_bytes());
        for (to, from) in row.iter_mut().zip(bytes) {
            *to = from;
        }
    }
}

/// A deadline, the hash of the field's name, and a number that tells apart those with the same of
/// both: the n-th of them in the order of the leaf.
pub(super) type Time = (u64, u32, u32);

#[derive(Clone, Debug)]
pub(super) struct TimeRow(Time);

impl Row for TimeRow {
    type Key = Time;
    type Look = Time;

    fn key(&self) -> Time {
        self.0
    }

    fn look(&self) -> &Time {
        &self.0
    }

    fn bytes(&self) -> usize {
        size_of::<Time>()
    }
}

/// The deadlines of a large hash in order. Without any it has no memory of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(Option<Box<Tree<Sorted<TimeRow>>>>);

impl Times {
    /// Fields with a deadline.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |tree| tree.len())
    }

    /// The earliest deadline.
    pub(super) fn first(&self) -> Option<u64> {
        self.0.as_ref()?.row(0).map(|row| row.0.0)
    }

    /// The latest one.
    pub(super) fn last(&self) -> Option<u64> {
        self.0.as_ref()?.last().map(|row| row.0.0)
    }

    /// How many are before this time.
    pub(super) fn due(&self, now_ms: u64) -> usize {
        self.0.as_ref().map_or(0, |tree| tree.place(&(now_ms, 0, 0)).0)
    }

    /// Those, the earliest first.
    pub(super) fn before(&self, now_ms: u64) -> impl Iterator<Item = Time> {
        let rows = self.0.iter().flat_map(|tree| tree.rows(0)).map(|row| row.0);
        rows.take_while(move |time| time.0 < now_ms)
    }

    /// So many of this deadline and hash are here.
    fn twins(&self, at_ms: u64, hash: u32) -> u32 {
        let Some(tree) = &self.0 else { return 0 };
        (0..u32::MAX).find(|&twin| tree.get(&(at_ms, hash, twin)).is_none()).unwrap_or(0)
    }

    /// Adds the deadline of a field.
    pub(super) fn add(&mut self, at_ms: u64, hash: u32) {
        let twin = self.twins(at_ms, hash);
        self.0.get_or_insert_default().add(TimeRow((at_ms, hash, twin)));
    }

    /// Takes one away that is here.
    pub(super) fn remove(&mut self, at_ms: u64, hash: u32) {
        let last = self.twins(at_ms, hash).checked_sub(1);
        if let (Some(tree), Some(twin)) = (&mut self.0, last) {
            tree.take(&(at_ms, hash, twin));
        }
        if self.len() == 0 {
            self.0 = None;
        }
    }

    /// Bytes as counted for `maxmemory`.
    pub(super) fn cost(&self) -> usize {
        /// The index itself.
        const FIXED: usize = 128;
        match self.len() {
            0 => 0,
            len => FIXED + len * size_of::<Time>() * 4 / 3,
        }
    }
}
