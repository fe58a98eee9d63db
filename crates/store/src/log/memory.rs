//! What is in memory of a log: the queue, the tail cache, where entries stand, and what the records
//! add up to.
//!
//! One short mutex guards all of it; no disk access happens under it. Each part has a type of its
//! own, with what always holds of it; what concerns several of them at once is a method here.

use crate::file::segment::Standing;
use crate::log::cache::Cache;
use crate::log::figures::{Figures, LogStats};
use crate::log::index::Index;
use crate::log::pending::{Pending, Record};
use crate::{Entry, LogId, StoreError, Vote};
use std::collections::VecDeque;
use std::io::{Error, ErrorKind};

/// What the records add up to, those that are queued and not yet written included. Invariant:
/// `purged <= last`. (What is written adds up to the writer's `standing`.)
#[derive(Debug, Default)]
pub(crate) struct Latest {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    /// The last entry, or the purged id.
    pub(crate) last: Option<LogId>,
}

/// What stock Redis may replay differently. Invariant: `since` is what the manifest says, so it is
/// durable; `last` may be ahead of it while the manifest is written.
#[derive(Debug, Default)]
pub(crate) struct Inexact {
    pub(crate) since: Option<u64>,
    /// Newest such entry known of.
    pub(crate) last: Option<u64>,
}

/// What is to be done beside the writing: see [`crate::Log::prepare`].
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// Size of the next segment. Invariant: some if, and only if, the writer has one ready.
    pub(crate) next_bytes: Option<u64>,
    /// The last attempt to make it did not succeed.
    pub(crate) failed: bool,
    /// Files that are no longer part of anything, oldest first. Invariant: no segment that may be
    /// read, and nothing that the manifest lists, is among them.
    pub(crate) doomed: VecDeque<String>,
}

/// How a log ends.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// The first error that is not a full disk. Invariant: once set it stays, and nothing is
    /// queued, written or read any more.
    pub(crate) poison: Option<(ErrorKind, String)>,
    /// Nobody waits for work any more.
    pub(crate) closed: bool,
}

/// Everything behind the short mutex.
pub(crate) struct Memory<F> {
    pub(crate) pending: Pending,
    pub(crate) cache: Cache,
    pub(crate) index: Index<F>,
    pub(crate) latest: Latest,
    pub(crate) inexact: Inexact,
    pub(crate) upkeep: Upkeep,
    pub(crate) ending: Ending,
    pub(crate) figures: Figures,
}

impl<F> Memory<F> {
    /// Of a log that was just opened, all of whose records are durable.
    pub(crate) fn new(cache_bytes: usize, index: Index<F>, standing: &Standing) -> Self {
        let Standing { vote, committed, purged, last, .. } = *standing;
        Self {
            pending: Pending::default(),
            cache: Cache::new(cache_bytes),
            index,
            latest: Latest { vote, committed, purged, last },
            inexact: Inexact::default(),
            upkeep: Upkeep::default(),
            ending: Ending::default(),
            figures: Figures::default(),
        }
    }

    /// Refuses once the log is poisoned.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &self.ending.poison {
            None => Ok(()),
            Some((kind, text)) => Err(StoreError::Io(Error::new(*kind, text.clone()))),
        }
    }

    /// Queues an entry, which can be read at once.
    pub(crate) fn push_entry(&mut self, entry: Entry) {
        self.latest.last = Some(entry.id);
        let ticket = self.pending.push(Record::Entry(entry.clone()), None);
        self.cache.push(ticket, entry);
    }

    /// Drops entries behind `after` from memory; false when there is none.
    pub(crate) fn truncate(&mut self, after: Option<LogId>) -> bool {
        let Latest { committed, purged, last, .. } = &mut self.latest;
        let floor = after.max(*purged);
        if last.map(|last| last.index) <= floor.map(|floor| floor.index) {
            return false;
        }
        *last = floor;
        *committed = (*committed).min(floor);
        self.cache.truncate(floor);
        true
    }

    /// Drops entries up to `upto` from memory; false when that has happened before.
    pub(crate) fn purge(&mut self, upto: LogId) -> bool {
        let Latest { purged, last, .. } = &mut self.latest;
        if purged.is_some_and(|purged| purged.index >= upto.index) {
            return false;
        }
        *purged = Some(upto);
        if last.is_none_or(|last| last.index <= upto.index) {
            *last = Some(upto);
        }
        self.cache.purge(upto.index);
        self.figures.written_since_purge = 0;
        true
    }

    /// See [`LogStats`].
    pub(crate) fn stats(&self) -> LogStats {
        let (disk_bytes, bytes) = self.index.bytes(self.figures.active_bytes);
        LogStats {
            disk_bytes: disk_bytes + self.upkeep.next_bytes.unwrap_or(0),
            bytes,
            bytes_since_purge: self.figures.written_since_purge,
            syncs: self.figures.syncs(),
            sync_us: self.figures.sync_us(),
            queued_bytes: self.pending.bytes(),
            segments: self.index.segments.len() as u64,
            cached_bytes: self.cache.bytes() as u64,
        }
    }
}
