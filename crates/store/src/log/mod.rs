//! The Raft log as an append-only file: one ordered stream of records for votes, entries,
//! truncations, purges and committed marks, in segments that Redis 7 can load.
//!
//! Writers enqueue; [`Log::flush`] writes what is queued with one `pwritev` and one `fdatasync` and
//! then fires the acks (group commit). Who calls `flush` is decided above: a writer thread, inline,
//! or a simulated task. This file is the face. What is in memory is in `memory` and its parts
//! (`pending`, `cache`, `index`), bytes go out in `writer` (`roll`, `rebase`) and come back in
//! `read`; `open` begins, with what `recover` and `scan` make of a directory.

mod arena;
mod cache;
mod encode;
mod figures;
mod index;
mod memory;
mod open;
mod options;
mod pending;
mod read;
mod rebase;
pub(crate) mod recover;
mod reserve;
mod roll;
pub(crate) mod scan;
mod shared;
pub(crate) mod space;
mod timing;
mod tip;
mod upkeep;
mod waiting;
mod writer;

pub use figures::LogStats;
pub use options::LogOptions;
pub use recover::Recovered;

use crate::entry::{Ack, Entry, LogId, PAYLOAD_BYTES_MAX, Vote};
use crate::file::manifest::Base;
use crate::{Disk, Identity, StoreError};
use arena::Arena;
use memory::Memory;
use pending::Record;
use shared::Shared;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use waiting::{REST, RETRY, wait_for};
use writer::Writer;

/// A handle; clones share one log.
pub struct Log<D: Disk> {
    parts: Arc<Parts<D>>,
}

/// What the handles share. Lock order: `preparing`, `writer`, the memory in `shared`; `arena` is
/// held alone.
struct Parts<D: Disk> {
    shared: Shared<D>,
    /// Held for a moment by whoever appends.
    arena: Mutex<Arena>,
    /// Held while bytes go out; never while waiting for anything but the disk.
    writer: Mutex<Writer<D>>,
    /// Held by whoever makes the next segment, so that only one is made.
    preparing: Mutex<()>,
    /// Nothing may be written.
    read_only: bool,
    /// The directory's lock.
    _lock: Box<dyn Send + Sync>,
}

impl<D: Disk> Clone for Log<D> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone() }
    }
}

impl<D: Disk> std::fmt::Debug for Log<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (purged, last) = self.bounds();
        f.debug_struct("Log").field("purged", &purged).field("last", &last).finish_non_exhaustive()
    }
}

impl<D: Disk> Log<D> {
    /// Queues entries; they are readable at once. `ack` fires when they are durable. Indexes must
    /// follow the last one.
    pub fn append(&self, mut entries: Vec<Entry>, ack: Option<Ack>) -> Result<(), StoreError> {
        if entries.iter().any(|entry| entry.payload.len() > PAYLOAD_BYTES_MAX) {
            return Err(refused("the payload of an entry is too long"));
        }
        let mut arena = self.parts.arena.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in &mut entries {
            entry.payload = arena.keep(std::mem::take(&mut entry.payload));
        }
        drop(arena);
        self.enqueue(|memory| {
            let mut next = memory.latest.last.map(|last| last.index + 1);
            for entry in &entries {
                if next.is_some_and(|next| entry.id.index != next) {
                    return Err(refused("the index of an entry does not follow the last one"));
                }
                next = Some(entry.id.index + 1);
            }
            for entry in entries {
                memory.push_entry(entry);
            }
            if let Some(ack) = ack {
                memory.pending.attach(ack);
            }
            Ok(())
        })
    }

    /// Queues a vote. Durable when `ack` fires.
    pub fn save_vote(&self, vote: Vote, ack: Ack) -> Result<(), StoreError> {
        self.enqueue(|memory| {
            memory.latest.vote = Some(vote);
            memory.pending.push(Record::Vote(vote), Some(ack));
            Ok(())
        })
    }

    /// Queues a committed mark; rides along with the next flush and wakes nobody.
    pub fn save_committed(&self, committed: LogId) -> Result<(), StoreError> {
        self.enqueue(|memory| {
            memory.latest.committed = Some(committed);
            memory.pending.push_committed(committed);
            Ok(())
        })
    }

    /// Makes known who this replica is, durably before it returns: in a record, and in each segment
    /// from now on.
    pub fn set_identity(&self, identity: Identity) -> Result<(), StoreError> {
        self.enqueue(|memory| {
            memory.pending.push(Record::Identity(identity), None);
            Ok(())
        })?;
        self.flush().map(|_| ())
    }

    /// Drops every entry behind `after` (all when `None`). Makes the truncate record durable, then
    /// blanks payloads. Flushes, so it must not be called from an ack.
    pub fn truncate_after(&self, after: Option<LogId>) -> Result<(), StoreError> {
        self.enqueue(|memory| {
            if memory.truncate(after) {
                memory.pending.push(Record::Truncate(after), None);
            }
            Ok(())
        })?;
        self.flush().map(|_| ())
    }

    /// Drops every entry up to and including `upto`, which may lie beyond the last entry (after an
    /// install). Whole segments below the manifest's base are removed once the purge record is
    /// durable.
    pub fn purge(&self, upto: LogId) -> Result<(), StoreError> {
        self.enqueue(|memory| {
            if memory.purge(upto) {
                memory.pending.push(Record::Purge(upto), None);
            }
            Ok(())
        })
    }

    /// Writes and syncs what is queued, fires the acks. True when there was something. Any thread
    /// may call it; acks fire in order and must not flush themselves. [`StoreError::Full`] keeps
    /// the queue: call again when there is space. Any other error is for good.
    pub fn flush(&self) -> Result<bool, StoreError> {
        self.writer().flush(self.shared())
    }

    /// Bytes that wait to be written.
    pub fn queued_bytes(&self) -> u64 {
        self.memory().pending.bytes()
    }

    /// Writes what could wait for company (committed marks, how far the log is known durable),
    /// without a sync. For moments of rest; [`Log::wait_queued`] does it by itself.
    pub fn write_marks(&self) -> Result<(), StoreError> {
        {
            let mut memory = self.memory();
            if memory.pending.mark_due && memory.pending.is_empty() {
                memory.pending.push(Record::Mark, None);
            }
        }
        self.flush()?;
        self.writer().rest(self.shared())
    }

    /// Blocks the calling thread until something is queued or the log closes; false when closed or
    /// broken.
    pub fn wait_queued(&self) -> bool {
        let mut memory = self.memory();
        loop {
            if memory.ending.poison.is_some() {
                return false;
            }
            let (stalled, urgent) =
                (std::mem::take(&mut memory.pending.stalled), memory.pending.is_urgent());
            if memory.ending.closed {
                return urgent && !stalled;
            }
            if urgent && !stalled {
                return true;
            }
            let resting = memory.pending.mark_due || !memory.pending.is_empty();
            memory = if stalled || resting {
                let pause = if stalled { RETRY } else { REST };
                let (guard, timeout) = wait_for(&self.shared().queued, memory, pause);
                if stalled {
                    return true;
                }
                if timeout && !guard.pending.is_urgent() {
                    drop(guard);
                    if self.write_marks().is_err() {
                        self.memory().pending.stalled = true;
                    }
                    self.memory()
                } else {
                    guard
                }
            } else {
                self.shared().queued.wait(memory).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Calls `wake` (from the enqueuing caller) whenever the queue goes from empty to not empty.
    /// Committed marks do not count.
    pub fn on_queued(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.memory().pending.wake = Some(Arc::from(wake));
    }

    /// Ends `wait_queued` and `wait_prepare`, and leaves a durable mark behind, so that the next
    /// start can tell any damage from a torn tail.
    pub fn close(&self) {
        self.memory().ending.closed = true;
        if self.parts.read_only {
            return;
        }
        self.shared().queued.notify_all();
        self.shared().rolled.notify_all();
        if let Err(error) = self.writer().finish(self.shared()) {
            tracing::warn!(%error, "the log could not be closed cleanly");
        }
        self.sweep();
    }

    /// Entries `first..end` that exist, in order, at most about `bytes_max` (at least one if there
    /// is one).
    pub fn read(&self, first: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, StoreError> {
        read::read(self.shared(), first, end, bytes_max)
    }

    /// The last vote.
    pub fn vote(&self) -> Option<Vote> {
        self.memory().latest.vote
    }

    /// The last committed mark.
    pub fn committed(&self) -> Option<LogId> {
        self.memory().latest.committed
    }

    /// Last purged id and last entry (or the purged id).
    pub fn bounds(&self) -> (Option<LogId>, Option<LogId>) {
        let memory = self.memory();
        (memory.latest.purged, memory.latest.last)
    }

    /// Notes that the entry `since` cannot be replayed exactly by stock Redis: the manifest then
    /// says so, durably, until a base covers it. Cheap when the manifest says so already.
    pub fn mark_inexact(&self, since: u64) -> Result<(), StoreError> {
        {
            let mut memory = self.memory();
            memory.inexact.last = memory.inexact.last.max(Some(since));
            let known = memory.inexact.since.is_some_and(|known| known <= since);
            if known || self.parts.read_only {
                return Ok(());
            }
        }
        self.writer().note_inexact(self.shared(), since)
    }

    /// From which index on stock Redis may replay something else than we did.
    pub fn inexact_since(&self) -> Option<u64> {
        self.memory().inexact.since
    }

    /// Figures.
    pub fn stats(&self) -> LogStats {
        self.memory().stats()
    }

    /// Makes `base` the manifest's base and keeps `kept` beside it; see the writer's.
    pub(crate) fn rebase(&self, base: Base, kept: Option<Base>) -> Result<(), StoreError> {
        self.writer().rebase(self.shared(), base, kept)
    }

    /// Takes the snapshot before the newest one off the manifest.
    pub(crate) fn unlist_kept(&self) -> Result<(), StoreError> {
        self.writer().unlist_kept(self.shared())
    }

    /// Free bytes that only votes may go below.
    pub(crate) fn floor(&self) -> u64 {
        self.shared().options.floor()
    }

    fn shared(&self) -> &Shared<D> {
        &self.parts.shared
    }

    fn memory(&self) -> MutexGuard<'_, Memory<D::File>> {
        self.shared().memory()
    }

    fn writer(&self) -> MutexGuard<'_, Writer<D>> {
        self.parts.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn preparing(&self) -> MutexGuard<'_, ()> {
        self.parts.preparing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues under the lock, then wakes the writer if the queue was empty.
    fn enqueue(
        &self,
        work: impl FnOnce(&mut Memory<D::File>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.parts.read_only {
            return Err(refused("the log is only being read"));
        }
        let mut memory = self.memory();
        memory.check()?;
        let before = memory.pending.is_urgent();
        work(&mut memory)?;
        if !before && memory.pending.is_urgent() {
            let wake = memory.pending.wake.clone();
            drop(memory);
            self.shared().queued.notify_one();
            if let Some(wake) = wake {
                wake();
            }
        }
        Ok(())
    }
}

fn refused(why: &'static str) -> StoreError {
    StoreError::Io(Error::new(ErrorKind::InvalidInput, why))
}

#[cfg(test)]
pub(crate) mod tests;
