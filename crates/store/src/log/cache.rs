//! The tail cache: the newest entries, in memory, for those who read them.
//!
//! Followers and apply ask for what was appended just now; hardly anybody reads the disk. Where the
//! payloads lie is [`arena`](super::arena)'s.

use crate::{Entry, LogId};
use std::collections::VecDeque;

/// What an entry costs besides its payload.
pub(crate) const ENTRY_BYTES: usize = 96;

struct Cached {
    ticket: u64,
    entry: Entry,
}

/// The newest entries. Invariants:
///
/// - Without holes, and ends with the log's last entry, or is empty.
/// - Holds every entry that is not durable yet, so one that is not cached has a spot on disk.
/// - `bytes` is what they cost together; beyond `limit` only as far as they are not durable.
#[derive(Default)]
pub(crate) struct Cache {
    list: VecDeque<Cached>,
    bytes: usize,
    limit: usize,
}

impl Cache {
    /// An empty one for so many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Takes the entry behind the last one; `ticket` is its record's.
    pub(crate) fn push(&mut self, ticket: u64, entry: Entry) {
        self.bytes += entry.payload.len() + ENTRY_BYTES;
        self.list.push_back(Cached { ticket, entry });
    }

    /// What the entries cost.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Index of the oldest cached entry.
    pub(crate) fn first(&self) -> Option<u64> {
        self.list.front().map(|cached| cached.entry.id.index)
    }

    /// Cached entries from `first` on.
    pub(crate) fn from(&self, first: u64) -> impl Iterator<Item = &Entry> {
        let skip = self.first().map_or(0, |start| first.saturating_sub(start));
        self.list.iter().skip(skip as usize).map(|cached| &cached.entry)
    }

    /// Forgets entries behind `after`.
    pub(crate) fn truncate(&mut self, after: Option<LogId>) {
        while let Some(cached) = self.list.back()
            && after.is_none_or(|after| cached.entry.id.index > after.index)
        {
            self.bytes -= cached.entry.payload.len() + ENTRY_BYTES;
            self.list.pop_back();
        }
    }

    /// Forgets entries up to `upto`.
    pub(crate) fn purge(&mut self, upto: u64) {
        self.pop_while(|cached, _| cached.entry.id.index <= upto);
    }

    /// Forgets durable entries (ticket at most `durable`) beyond the limit, oldest first.
    pub(crate) fn trim(&mut self, durable: u64) {
        let limit = self.limit;
        self.pop_while(|cached, bytes| bytes > limit && cached.ticket <= durable);
    }

    fn pop_while(&mut self, gone: impl Fn(&Cached, usize) -> bool) {
        while let Some(cached) = self.list.front()
            && gone(cached, self.bytes)
        {
            self.bytes -= cached.entry.payload.len() + ENTRY_BYTES;
            self.list.pop_front();
        }
    }
}
