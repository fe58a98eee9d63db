//! What is in memory: the queue of records not yet written, the tail cache that serves the readers,
//! and where each entry stands on disk.
//!
//! One short mutex guards all of it; no disk access happens under it. The cache always holds every
//! entry that is not durable yet, so an entry that is not cached has a place on disk.

use crate::file::segment::Segment;
use crate::log::{Ack, Entry, LogId, LogStats, Vote};
use crate::{Identity, StoreError};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Error, ErrorKind};
use std::sync::Arc;

/// What an entry costs in the cache besides its payload.
const ENTRY_BYTES: usize = 96;
/// So many sync times make the sliding window of the figures.
const SYNC_WINDOW: usize = 512;

/// A record to write.
pub(crate) enum What {
    Entry(Entry),
    Vote(Vote),
    Committed(LogId),
    Truncate(Option<LogId>),
    Purge(LogId),
    Identity(Identity),
    Mark,
    /// No record: its ack waits for what was queued before.
    Barrier,
}

impl What {
    /// Whether somebody waits for it to be durable. The others ride along.
    pub(crate) fn urgent(&self) -> bool {
        !matches!(self, Self::Committed(_) | Self::Mark)
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Entry(entry) => (entry.payload.len() + ENTRY_BYTES) as u64,
            _ => ENTRY_BYTES as u64,
        }
    }
}

/// A queued record.
pub(crate) struct Queued {
    pub(crate) what: What,
    /// Rises with each record queued.
    pub(crate) ticket: u64,
    pub(crate) ack: Option<Ack>,
}

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

struct Cached {
    ticket: u64,
    entry: Entry,
}

/// The newest entries; ends with the log's last one. Bounded by bytes, but for what is not durable.
#[derive(Default)]
pub(crate) struct Cache {
    list: VecDeque<Cached>,
    bytes: usize,
    limit: usize,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    fn push(&mut self, ticket: u64, entry: Entry) {
        self.bytes += entry.payload.len() + ENTRY_BYTES;
        self.list.push_back(Cached { ticket, entry });
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

    fn truncate(&mut self, after: Option<LogId>) {
        while let Some(cached) = self.list.back()
            && after.is_none_or(|after| cached.entry.id.index > after.index)
        {
            self.bytes -= cached.entry.payload.len() + ENTRY_BYTES;
            self.list.pop_back();
        }
    }

    fn purge(&mut self, upto: u64) {
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

/// Everything behind the short mutex.
#[allow(clippy::struct_excessive_bools, reason = "conditions that others wait for, one by one")]
pub(crate) struct Inner<F> {
    pub(crate) queue: VecDeque<Queued>,
    /// The queue holds something somebody waits for.
    pub(crate) urgent: bool,
    pub(crate) queued_bytes: u64,
    tickets: u64,
    pub(crate) cache: Cache,
    pub(crate) spots: Spots,
    /// Open segments, those that may be read from.
    pub(crate) segments: BTreeMap<u32, Arc<Segment<F>>>,
    /// For each of them, the last entry before it.
    pub(crate) starts: BTreeMap<u32, Option<LogId>>,
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    /// The last entry, or the purged id.
    pub(crate) last: Option<LogId>,
    pub(crate) inexact_since: Option<u64>,
    /// Newest inexact entry known of.
    pub(crate) inexact_last: Option<u64>,
    /// Set for good by the first error that is not a full disk.
    pub(crate) poison: Option<(ErrorKind, String)>,
    pub(crate) closed: bool,
    /// The last flush met a full disk; try again later.
    pub(crate) stalled: bool,
    /// Neither a record nor a foot says yet that what was synced last is durable.
    pub(crate) mark_due: bool,
    /// Size of the next segment, if it is ready.
    pub(crate) prepared: Option<u64>,
    pub(crate) prepare_failed: bool,
    /// Files that are no longer part of anything, oldest first: [`crate::log::rebase::sweep`] removes
    /// them.
    pub(crate) doomed: VecDeque<String>,
    pub(crate) wake: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Bytes used of the segment that is written to.
    pub(crate) active_bytes: u64,
    pub(crate) written_since_purge: u64,
    pub(crate) syncs: u64,
    sync_times_us: VecDeque<u64>,
}

impl<F> Inner<F> {
    pub(crate) fn new(cache_bytes: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            urgent: false,
            queued_bytes: 0,
            tickets: 0,
            cache: Cache::new(cache_bytes),
            spots: Spots::default(),
            segments: BTreeMap::new(),
            starts: BTreeMap::new(),
            vote: None,
            committed: None,
            purged: None,
            last: None,
            inexact_since: None,
            inexact_last: None,
            poison: None,
            closed: false,
            stalled: false,
            mark_due: false,
            prepared: None,
            prepare_failed: false,
            doomed: VecDeque::new(),
            wake: None,
            active_bytes: 0,
            written_since_purge: 0,
            syncs: 0,
            sync_times_us: VecDeque::new(),
        }
    }

    /// Refuses once the log is poisoned.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &self.poison {
            None => Ok(()),
            Some((kind, text)) => Err(StoreError::Io(Error::new(*kind, text.clone()))),
        }
    }

    pub(crate) fn push(&mut self, what: What, ack: Option<Ack>) {
        self.tickets += 1;
        self.urgent |= what.urgent();
        self.queued_bytes += what.bytes();
        self.queue.push_back(Queued { what, ticket: self.tickets, ack });
    }

    pub(crate) fn push_entry(&mut self, entry: Entry) {
        self.last = Some(entry.id);
        self.cache.push(self.tickets + 1, entry.clone());
        self.push(What::Entry(entry), None);
    }

    /// Queues a committed mark; several in a row are one.
    pub(crate) fn push_committed(&mut self, committed: LogId) {
        if let Some(Queued { what: What::Committed(old), .. }) = self.queue.back_mut() {
            *old = committed;
        } else {
            self.push(What::Committed(committed), None);
        }
    }

    pub(crate) fn push_mark(&mut self) {
        self.push(What::Mark, None);
    }

    /// Lets `ack` wait for all that is queued or being written.
    pub(crate) fn attach(&mut self, ack: Ack) {
        match self.queue.back_mut() {
            Some(queued) if queued.ack.is_none() && queued.what.urgent() => queued.ack = Some(ack),
            _ => self.push(What::Barrier, Some(ack)),
        }
    }

    /// Drops entries behind `after` from memory; false when there is none.
    pub(crate) fn truncate(&mut self, after: Option<LogId>) -> bool {
        let floor = after.max(self.purged);
        if self.last.map(|last| last.index) <= floor.map(|floor| floor.index) {
            return false;
        }
        self.last = floor;
        self.committed = self.committed.min(floor);
        self.cache.truncate(floor);
        true
    }

    /// Drops entries up to `upto` from memory; false when that has happened before.
    pub(crate) fn purge(&mut self, upto: LogId) -> bool {
        if self.purged.is_some_and(|purged| purged.index >= upto.index) {
            return false;
        }
        self.purged = Some(upto);
        if self.last.is_none_or(|last| last.index <= upto.index) {
            self.last = Some(upto);
        }
        self.cache.purge(upto.index);
        self.written_since_purge = 0;
        true
    }

    /// Counts a sync and how long it took.
    pub(crate) fn note_sync(&mut self, us: u64) {
        self.syncs += 1;
        if self.sync_times_us.len() == SYNC_WINDOW {
            self.sync_times_us.pop_front();
        }
        self.sync_times_us.push_back(us);
    }

    pub(crate) fn note_written(&mut self, bytes: u64) {
        self.written_since_purge += bytes;
    }

    /// Takes one record off the count of queued bytes.
    pub(crate) fn note_done(&mut self, queued: &Queued) {
        self.queued_bytes = self.queued_bytes.saturating_sub(queued.what.bytes());
    }

    pub(crate) fn stats(&self) -> LogStats {
        let mut times: Vec<u64> = self.sync_times_us.iter().copied().collect();
        times.sort_unstable();
        let quantile = |percent: usize| {
            times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied()
        };
        let segments: u64 = self.segments.values().map(|segment| segment.bytes).sum();
        LogStats {
            disk_bytes: segments + self.prepared.unwrap_or(0),
            bytes: self.segments.values().rev().skip(1).map(|segment| segment.bytes).sum::<u64>()
                + self.active_bytes,
            bytes_since_purge: self.written_since_purge,
            syncs: self.syncs,
            sync_us: (quantile(50).unwrap_or(0), quantile(99).unwrap_or(0)),
            queued_bytes: self.queued_bytes,
            segments: self.segments.len() as u64,
            cached_bytes: self.cache.bytes as u64,
        }
    }
}
