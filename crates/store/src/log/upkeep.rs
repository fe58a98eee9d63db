//! What is done beside the writing, by a helper thread: the next segment is made ready, and files
//! that are no longer part of anything are removed.
//!
//! Both take long, and nobody who writes waits for them: the writer's lock is held for moments.

use crate::disk::{Disk, DiskFile};
use crate::file::manifest::DIR;
use crate::file::segment::{Segment, create_filled};
use crate::log::shared::Shared;
use crate::log::space::keep_spare;
use crate::log::waiting::{RETRY, wait_for};
use crate::{Log, StoreError};
use std::io::ErrorKind;
use std::sync::PoisonError;

impl<D: Disk> Log<D> {
    /// Removes files that are no longer part of anything. What cannot be removed now is tried
    /// again.
    pub(crate) fn sweep(&self) {
        if let Err(error) = sweep(self) {
            tracing::warn!(%error, "files that are not needed any more stay for now");
        }
    }

    /// Removes files that are no longer needed, and makes the next segment ready, if it is not:
    /// creates and fills it without holding up writers.
    /// For a helper thread (see [`Log::wait_prepare`]) or, in a simulation, whenever time is free.
    /// True when it did something.
    pub fn prepare(&self) -> Result<bool, StoreError> {
        prepare(self)
    }

    /// Blocks the calling thread until [`Log::prepare`] has something to do; false when the log
    /// closes.
    pub fn wait_prepare(&self) -> bool {
        let mut memory = self.shared().memory();
        loop {
            if memory.ending.closed || memory.ending.poison.is_some() {
                return false;
            }
            if memory.upkeep.next_bytes.is_some() && memory.upkeep.doomed.is_empty() {
                memory = self.shared().rolled.wait(memory).unwrap_or_else(PoisonError::into_inner);
            } else if std::mem::take(&mut memory.upkeep.failed) {
                memory = wait_for(&self.shared().rolled, memory, RETRY).0;
            } else {
                return true;
            }
        }
    }
}

/// See [`Log::prepare`].
fn prepare<D: Disk>(log: &Log<D>) -> Result<bool, StoreError> {
    let (shared, swept) = (log.shared(), sweep(log));
    if swept.is_err() {
        shared.memory().upkeep.failed = true;
    }
    let swept = swept?;
    let _one = log.preparing();
    let bytes = {
        let writer = log.writer();
        if writer.next.is_some() {
            return Ok(swept);
        }
        writer.next_bytes(shared)
    };
    let spare_bytes = shared.options.spare_bytes();
    if shared.has_spare(spare_bytes) {
        keep_spare(&shared.disk, spare_bytes);
    }
    forget_old(shared);
    // The long part: nobody waits for it.
    let made = shared
        .ask_for(bytes)
        .and_then(|()| create_filled(&shared.disk, "next", bytes, shared.options.fsync));
    let mut writer = log.writer();
    let outcome = made.and_then(|file| {
        let number = writer.active.number + 1;
        writer.name_next("next", number)?;
        writer.next = Some(Segment::fresh(number, bytes, file));
        Ok(())
    });
    shared.memory().upkeep.failed = outcome.is_err();
    match outcome {
        Ok(()) => {
            shared.memory().upkeep.next_bytes = Some(bytes);
            Ok(true)
        }
        Err(StoreError::Full) => {
            shared.space.set_full(true);
            Err(StoreError::Full)
        }
        Err(error) => Err(writer.give_up(shared, error)),
    }
}

/// The newest closed segments stay in memory for followers that are further behind than the tail
/// cache reaches.
const CLOSED_IN_MEMORY: usize = 1;

/// Lets the system use the memory of older segments for the one that is filled next. It would keep
/// them until it has no other memory left, though hardly anybody reads them; and on a virtual
/// machine memory that was never used, or not for a while, is ten times as slow to write to (`dd`
/// of 256 MiB: 0.48 to 5.0 GB/s).
fn forget_old<D: Disk>(shared: &Shared<D>) {
    let memory = shared.memory();
    // The active one and those that stay; then one, and the one before it again: what was not on
    // the disk the first time, where nothing is synced, is now.
    let old = memory.index.segments.values().rev().skip(1 + CLOSED_IN_MEMORY).take(2);
    let old: Vec<_> = old.cloned().collect();
    drop(memory);
    for segment in old {
        segment.file.forget();
    }
}

/// Removes the files that are doomed, without holding up who writes the log; says whether there
/// were any. One after the other, each durably: a hole in the row of segments would look like
/// damage. What a crash leaves of them the next start removes, or the next purge behind it.
fn sweep<D: Disk>(log: &Log<D>) -> Result<bool, StoreError> {
    let shared = log.shared();
    let _one = log.preparing();
    shared.memory().check()?;
    let mut swept = false;
    loop {
        let next = shared.memory().upkeep.doomed.front().cloned();
        let Some(path) = next else { return Ok(swept) };
        let removed = match shared.disk.remove(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => shared.disk.sync_dir(DIR),
        };
        match removed.map_err(StoreError::from) {
            Ok(()) => swept = true,
            // A disk can be too full to remove a file.
            Err(StoreError::Full) => return Err(StoreError::Full),
            Err(error) => return Err(log.writer().give_up(shared, error)),
        }
        shared.memory().upkeep.doomed.pop_front();
    }
}
