//! The Raft log as an append-only file: one ordered stream of records for votes, entries,
//! truncations, purges and committed marks, in segments that Redis 7 can load.
//!
//! Writers enqueue; [`Log::flush`] writes what is queued with one `pwritev` and one `fdatasync` and
//! then fires the acks (group commit). Who calls `flush` is decided above: a writer thread, inline,
//! or a simulated task. This file is the face; the queue and the tail cache are in `queue`, bytes
//! go out in `writer`, come back in `read` and `recover`.

mod arena;
mod encode;
mod pending;
mod read;
mod rebase;
pub(crate) mod recover;
pub(crate) mod scan;
pub(crate) mod space;
mod timing;
mod writer;

use crate::facts::Identity;
use crate::log::arena::Arena;
use crate::log::pending::{Inner, What};
use crate::log::space::Space;
use crate::log::writer::Writer;
use crate::{Disk, StoreError};
use bytes::Bytes;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Largest payload of one entry. What is armoured doubles, and lengths on disk have 32 bits.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 30;
/// After so long without anything to write, what may wait (committed marks, the durable mark) is
/// written without a sync.
const REST: Duration = Duration::from_millis(50);
/// How often a log that met a full disk tries again.
const RETRY: Duration = Duration::from_millis(100);

/// Term and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct LogId {
    /// Term.
    pub term: u64,
    /// Index.
    pub index: u64,
}

/// What an entry is. The store keeps the difference but gives it no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A new leader's first entry.
    Blank,
    /// Commands (payload is RESP and annotations).
    Commands,
    /// A membership (payload is opaque bytes, armoured on disk).
    Membership,
    /// A cut: every replica snapshots the state as of this entry, and the log rolls to a new
    /// segment behind it.
    Cut,
    /// What all replicas know of a member (payload is opaque bytes, armoured on disk).
    Fact,
}

/// One log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Term and index.
    pub id: LogId,
    /// Kind.
    pub kind: EntryKind,
    /// Leader's cluster clock, Unix milliseconds.
    pub now_ms: u64,
    /// Leader's seed.
    pub seed: u64,
    /// Payload.
    pub payload: Bytes,
}

/// A Raft vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Vote {
    /// Term.
    pub term: u64,
    /// Whom this replica voted for; 0 is nobody.
    pub voted_for: u64,
    /// Whether a quorum granted it (openraft's "committed" vote).
    pub committed: bool,
}

/// Called exactly once when everything queued before it is durable, or with the error that poisoned
/// the log.
pub type Ack = Box<dyn FnOnce(Result<(), std::io::Error>) + Send>;

/// How the log behaves.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Bytes of one segment (default 64 MiB); a larger record gets a segment of its own size.
    pub segment_bytes: u64,
    /// Bytes of entries kept in memory for readers, besides those not yet durable (default 64 MiB).
    pub cache_bytes: usize,
    /// Below so many free bytes on the disk, [`Log::is_full`] says so (default 256 MiB or 2
    /// segments).
    pub reserve_bytes: u64,
    /// False only for benches: no `fdatasync`.
    pub fsync: bool,
    /// Raft group, in every record.
    pub group: u32,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            cache_bytes: 64 << 20,
            reserve_bytes: 256 << 20,
            fsync: true,
            group: 0,
        }
    }
}

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The last vote.
    pub vote: Option<Vote>,
    /// The last committed mark (never beyond `last`).
    pub committed: Option<LogId>,
    /// The last purged id.
    pub purged: Option<LogId>,
    /// The last entry, or the purged id.
    pub last: Option<LogId>,
    /// Bytes of a torn tail that were cut.
    pub torn_bytes: u64,
    /// Greatest stamp in any record, Unix milliseconds.
    pub stamp_ms: u64,
    /// Whom the log's records say this replica is. Wins over `facts/`.
    pub identity: Option<Identity>,
    /// There was no log: it was made just now, and knows nothing of what this replica may have
    /// promised before.
    pub created: bool,
}

/// Figures for INFO and metrics.
#[derive(Clone, Debug, Default)]
pub struct LogStats {
    /// Bytes in segments that hold entries not yet purged.
    pub bytes: u64,
    /// Bytes of all segments on the disk, what is not written yet included.
    pub disk_bytes: u64,
    /// Bytes written since the last purge or snapshot mark; drives the snapshot policy.
    pub bytes_since_purge: u64,
    /// `fdatasync` calls.
    pub syncs: u64,
    /// Time of the last ones in microseconds: median and 99th percentile over a sliding window.
    pub sync_us: (u64, u64),
    /// Bytes queued and not yet durable.
    pub queued_bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of memory that the newest entries take, for those who read them.
    pub cached_bytes: u64,
}

/// A handle; clones share one log.
pub struct Log<D: Disk> {
    pub(crate) shared: Arc<Shared<D>>,
}

/// What the handles share. Lock order: `preparing`, `writer`, `inner`; `arena` is held alone.
pub(crate) struct Shared<D: Disk> {
    pub(crate) disk: D,
    pub(crate) options: LogOptions,
    pub(crate) inner: Mutex<Inner<D::File>>,
    /// Held for a moment by whoever appends.
    pub(crate) arena: Mutex<Arena>,
    /// Held while bytes go out; never while waiting for anything but the disk.
    pub(crate) writer: Mutex<Writer<D>>,
    /// Held by whoever makes the next segment, so that only one is made.
    pub(crate) preparing: Mutex<()>,
    pub(crate) queued: Condvar,
    pub(crate) rolled: Condvar,
    pub(crate) space: Space,
    /// Nothing may be written.
    pub(crate) read_only: bool,
    /// The directory's lock.
    pub(crate) _lock: Box<dyn Send + Sync>,
}

impl<D: Disk> Shared<D> {
    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner<D::File>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer<D>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk> Clone for Log<D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<D: Disk> std::fmt::Debug for Log<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (purged, last) = self.bounds();
        f.debug_struct("Log").field("purged", &purged).field("last", &last).finish_non_exhaustive()
    }
}

impl<D: Disk> Log<D> {
    /// Opens or creates the log in `appendonlydir/`, recovers, and cuts a torn tail.
    pub fn open(disk: D, options: LogOptions) -> Result<(Self, Recovered), StoreError> {
        crate::log::recover::open(disk, options, &mut |_| ())
    }

    /// As [`Log::open`]; `step` hears of the bytes that were scanned, segment by segment.
    pub fn open_watched(
        disk: D,
        options: LogOptions,
        step: &mut dyn FnMut(u64),
    ) -> Result<(Self, Recovered), StoreError> {
        crate::log::recover::open(disk, options, step)
    }

    /// Opens an existing log to be read, and changes nothing: a torn tail is passed over and not
    /// cut. Whatever would write is refused, or of no effect where there is nobody to tell. `None`
    /// when there is no log.
    pub fn open_to_read(
        disk: D,
        options: LogOptions,
    ) -> Result<Option<(Self, Recovered)>, StoreError> {
        crate::log::recover::open_to_read(disk, options)
    }

    /// Queues entries; they are readable at once. `ack` fires when they are durable. Indexes must
    /// follow the last one.
    pub fn append(&self, mut entries: Vec<Entry>, ack: Option<Ack>) -> Result<(), StoreError> {
        if entries.iter().any(|entry| entry.payload.len() > PAYLOAD_BYTES_MAX) {
            return Err(refused("the payload of an entry is too long"));
        }
        let mut arena = self.shared.arena.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in &mut entries {
            entry.payload = arena.keep(std::mem::take(&mut entry.payload));
        }
        drop(arena);
        self.enqueue(|inner| {
            let mut next = inner.last.map(|last| last.index + 1);
            for entry in &entries {
                if next.is_some_and(|next| entry.id.index != next) {
                    return Err(refused("the index of an entry does not follow the last one"));
                }
                next = Some(entry.id.index + 1);
            }
            for entry in entries {
                inner.push_entry(entry);
            }
            if let Some(ack) = ack {
                inner.attach(ack);
            }
            Ok(())
        })
    }

    /// Queues a vote. Durable when `ack` fires.
    pub fn save_vote(&self, vote: Vote, ack: Ack) -> Result<(), StoreError> {
        self.enqueue(|inner| {
            inner.vote = Some(vote);
            inner.push(What::Vote(vote), Some(ack));
            Ok(())
        })
    }

    /// Queues a committed mark; rides along with the next flush and wakes nobody.
    pub fn save_committed(&self, committed: LogId) -> Result<(), StoreError> {
        self.enqueue(|inner| {
            inner.committed = Some(committed);
            inner.push_committed(committed);
            Ok(())
        })
    }

    /// Makes known who this replica is, durably before it returns: in a record, and in each segment
    /// from now on.
    pub fn set_identity(&self, identity: Identity) -> Result<(), StoreError> {
        self.enqueue(|inner| {
            inner.push(What::Identity(identity), None);
            Ok(())
        })?;
        self.flush().map(|_| ())
    }

    /// Drops every entry behind `after` (all when `None`). Makes the truncate record durable, then
    /// blanks payloads. Flushes, so it must not be called from an ack.
    pub fn truncate_after(&self, after: Option<LogId>) -> Result<(), StoreError> {
        self.enqueue(|inner| {
            if inner.truncate(after) {
                inner.push(What::Truncate(after), None);
            }
            Ok(())
        })?;
        self.flush().map(|_| ())
    }

    /// Drops every entry up to and including `upto`, which may lie beyond the last entry (after an
    /// install). Whole segments below the manifest's base are removed once the purge record is
    /// durable.
    pub fn purge(&self, upto: LogId) -> Result<(), StoreError> {
        self.enqueue(|inner| {
            if inner.purge(upto) {
                inner.push(What::Purge(upto), None);
            }
            Ok(())
        })
    }

    /// Writes and syncs what is queued, fires the acks. True when there was something. Any thread
    /// may call it; acks fire in order and must not flush themselves. [`StoreError::Full`] keeps
    /// the queue: call again when there is space. Any other error is for good.
    pub fn flush(&self) -> Result<bool, StoreError> {
        self.shared.writer().flush(&self.shared)
    }

    /// Bytes that wait to be written.
    pub fn queued_bytes(&self) -> u64 {
        self.shared.inner().queued_bytes
    }

    /// Writes what could wait for company (committed marks, how far the log is known durable),
    /// without a sync. For moments of rest; [`Log::wait_queued`] does it by itself.
    pub fn write_marks(&self) -> Result<(), StoreError> {
        {
            let mut inner = self.shared.inner();
            if inner.mark_due && inner.queue.is_empty() {
                inner.push_mark();
            }
        }
        self.flush()?;
        self.shared.writer().rest(&self.shared)
    }

    /// Blocks the calling thread until something is queued or the log closes; false when closed or
    /// broken.
    pub fn wait_queued(&self) -> bool {
        let mut inner = self.shared.inner();
        loop {
            if inner.poison.is_some() {
                return false;
            }
            let (stalled, urgent) = (std::mem::take(&mut inner.stalled), inner.urgent);
            if inner.closed {
                return urgent && !stalled;
            }
            if urgent && !stalled {
                return true;
            }
            let resting = inner.mark_due || !inner.queue.is_empty();
            inner = if stalled || resting {
                let pause = if stalled { RETRY } else { REST };
                let (inner, timeout) = wait_for(&self.shared.queued, inner, pause);
                if stalled {
                    return true;
                }
                if timeout && !inner.urgent {
                    drop(inner);
                    if self.write_marks().is_err() {
                        self.shared.inner().stalled = true;
                    }
                    self.shared.inner()
                } else {
                    inner
                }
            } else {
                self.shared.queued.wait(inner).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Calls `wake` (from the enqueuing caller) whenever the queue goes from empty to not empty.
    /// Committed marks do not count.
    pub fn on_queued(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.shared.inner().wake = Some(Arc::from(wake));
    }

    /// Ends `wait_queued` and `wait_prepare`, and leaves a durable mark behind, so that the next
    /// start can tell any damage from a torn tail.
    pub fn close(&self) {
        self.shared.inner().closed = true;
        if self.shared.read_only {
            return;
        }
        self.shared.queued.notify_all();
        self.shared.rolled.notify_all();
        if let Err(error) = self.shared.writer().finish(&self.shared) {
            tracing::warn!(%error, "the log could not be closed cleanly");
        }
        self.sweep();
    }

    /// Removes files that are no longer part of anything. What cannot be removed now is tried
    /// again.
    pub(crate) fn sweep(&self) {
        if let Err(error) = crate::log::rebase::sweep(&self.shared) {
            tracing::warn!(%error, "files that are not needed any more stay for now");
        }
    }

    /// Removes files that are no longer needed, and makes the next segment ready, if it is not:
    /// creates and fills it without holding up writers.
    /// For a helper thread (see [`Log::wait_prepare`]) or, in a simulation, whenever time is free.
    /// True when it did something.
    pub fn prepare(&self) -> Result<bool, StoreError> {
        crate::log::writer::prepare(&self.shared)
    }

    /// Blocks the calling thread until [`Log::prepare`] has something to do; false when the log
    /// closes.
    pub fn wait_prepare(&self) -> bool {
        let mut inner = self.shared.inner();
        loop {
            if inner.closed || inner.poison.is_some() {
                return false;
            }
            if inner.prepared.is_some() && inner.doomed.is_empty() {
                inner = self.shared.rolled.wait(inner).unwrap_or_else(PoisonError::into_inner);
            } else if std::mem::take(&mut inner.prepare_failed) {
                inner = wait_for(&self.shared.rolled, inner, RETRY).0;
            } else {
                return true;
            }
        }
    }

    /// Entries `first..end` that exist, in order, at most about `bytes_max` (at least one if there
    /// is one).
    pub fn read(&self, first: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, StoreError> {
        crate::log::read::read(&self.shared, first, end, bytes_max)
    }

    /// The last vote.
    pub fn vote(&self) -> Option<Vote> {
        self.shared.inner().vote
    }

    /// The last committed mark.
    pub fn committed(&self) -> Option<LogId> {
        self.shared.inner().committed
    }

    /// Last purged id and last entry (or the purged id).
    pub fn bounds(&self) -> (Option<LogId>, Option<LogId>) {
        let inner = self.shared.inner();
        (inner.purged, inner.last)
    }

    /// Notes that the entry `since` cannot be replayed exactly by stock Redis: the manifest then
    /// says so, durably, until a base covers it. Cheap when the manifest says so already.
    pub fn mark_inexact(&self, since: u64) -> Result<(), StoreError> {
        {
            let mut inner = self.shared.inner();
            inner.inexact_last = inner.inexact_last.max(Some(since));
            let known = inner.inexact_since.is_some_and(|known| known <= since);
            if known || self.shared.read_only {
                return Ok(());
            }
        }
        self.shared.writer().note_inexact(&self.shared, since)
    }

    /// From which index on stock Redis may replay something else than we did.
    pub fn inexact_since(&self) -> Option<u64> {
        self.shared.inner().inexact_since
    }

    /// Figures.
    pub fn stats(&self) -> LogStats {
        self.shared.inner().stats()
    }

    /// Queues under the lock, then wakes the writer if the queue was empty.
    fn enqueue(
        &self,
        work: impl FnOnce(&mut Inner<D::File>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.shared.read_only {
            return Err(refused("the log is only being read"));
        }
        let mut inner = self.shared.inner();
        inner.check()?;
        let before = inner.urgent;
        work(&mut inner)?;
        if !before && inner.urgent {
            let wake = inner.wake.clone();
            drop(inner);
            self.shared.queued.notify_one();
            if let Some(wake) = wake {
                wake();
            }
        }
        Ok(())
    }
}

fn wait_for<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    time: Duration,
) -> (MutexGuard<'a, T>, bool) {
    let (guard, outcome) =
        condition.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner);
    (guard, outcome.timed_out())
}

fn refused(why: &'static str) -> StoreError {
    StoreError::Io(Error::new(ErrorKind::InvalidInput, why))
}

#[cfg(test)]
pub(crate) mod tests;
