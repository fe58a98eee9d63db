//! What everybody who works on a log has: the disk, the memory, the space, who waits for what.
//!
//! Stands below the writer, which is handed it with every call and has its own lock. Lock order:
//! `preparing`, `writer` (both in [`Log`](super::Log)), `memory`; the arena's is held alone.

use crate::log::memory::Memory;
use crate::log::options::LogOptions;
use crate::log::space::{Space, ask_for};
use crate::{Disk, StoreError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// See the module.
pub(crate) struct Shared<D: Disk> {
    pub(crate) disk: D,
    pub(crate) options: LogOptions,
    pub(crate) memory: Mutex<Memory<D::File>>,
    /// Something was queued, or the log ended.
    pub(crate) queued: Condvar,
    /// The helper thread has something to do, or the log ended.
    pub(crate) rolled: Condvar,
    pub(crate) space: Space,
}

impl<D: Disk> Shared<D> {
    /// For a moment; never while the disk is waited for.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory<D::File>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether so many bytes more leave the reserve alone.
    pub(crate) fn has_spare(&self, bytes: u64) -> bool {
        let wanted = self.options.reserve_bytes.saturating_add(bytes);
        self.disk.free_bytes().is_ok_and(|free| free >= wanted)
    }

    /// [`StoreError::Full`] unless so many bytes more leave the floor alone.
    pub(crate) fn ask_for(&self, bytes: u64) -> Result<(), StoreError> {
        ask_for(&self.disk, bytes, self.options.floor())
    }
}
