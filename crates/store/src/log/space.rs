//! Space on the disk: who may still take some of it, and what is kept back for the rest.
//!
//! Everything counts bytes of the disk, prepared and half-used segments included. Below the
//! *reserve* clients' writes are refused; what Raft itself needs (votes, cuts, snapshots that let
//! the log be purged) goes on down to the *floor*, a quarter of it, and votes below that. A small
//! *spare* file stands for the case that others fill the disk to the last byte: it is given up
//! where a start or a vote would fail otherwise.

use crate::disk::{Disk, DiskFile};
use crate::file::record::filler;
use crate::log::{Log, LogOptions, Shared};
use crate::{LogId, StoreError};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Below the data directory.
const SPARE: &str = "spare";
/// Bytes of the spare file, if the reserve is a few times larger: some segments of the least size,
/// and what `facts/` writes at a start.
const SPARE_BYTES: u64 = 4 << 20;
/// So many closed segments are kept at most.
const CLOSED_MAX: usize = 16;
/// The disk is looked at again when so many bytes were let through,
const LOOK_BYTES: u64 = 1 << 20;
/// or so many questions were asked; fewer while it is full, to see that no sooner than needed.
const LOOK_EVERY: [u32; 2] = [64, 8];

/// What is known of the space on the disk.
#[derive(Debug, Default)]
pub(crate) struct Space {
    full: AtomicBool,
    asked: AtomicU32,
    /// Bytes let through since the disk was looked at.
    passed: AtomicU64,
}

impl Space {
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Notes whether there is too little. A change is told to whoever reads the log, once.
    pub(crate) fn set_full(&self, full: bool) {
        if self.full.swap(full, Ordering::Relaxed) == full {
            return;
        }
        if full {
            tracing::warn!("the disk is full: writes are refused until there is space");
        } else {
            tracing::info!("there is space on the disk again");
        }
    }

    /// Whether it is time to look at the disk, now that so many bytes more want to pass.
    fn is_look_due(&self, bytes: u64) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let passed = self.passed.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let [every, while_full] = LOOK_EVERY;
        let every = if self.is_full() { while_full } else { every };
        if passed < LOOK_BYTES && !asked.is_multiple_of(every) {
            return false;
        }
        self.passed.store(0, Ordering::Relaxed);
        true
    }
}

impl LogOptions {
    /// Free bytes that only votes may go below.
    pub(crate) fn floor(&self) -> u64 {
        self.reserve_bytes / 4
    }

    fn spare_bytes(&self) -> u64 {
        (self.reserve_bytes / 8).min(SPARE_BYTES)
    }
}

impl<D: Disk> Log<D> {
    /// Whether the disk has too little space for a client's write of so many bytes. Votes, cuts and
    /// blank entries still fit the reserve. Looks at the disk for every megabyte, and now and then,
    /// so it may be called per batch.
    pub fn is_full(&self, bytes: u64) -> bool {
        let space = &self.shared.space;
        if !space.is_look_due(bytes) {
            return space.is_full();
        }
        let Ok(free) = self.shared.disk.free_bytes() else { return space.is_full() };
        let reserve = self.shared.options.reserve_bytes;
        space.set_full(free < reserve);
        // What is small has its place in a segment that is made already.
        let more = if bytes < LOOK_BYTES { 0 } else { bytes };
        free < reserve.saturating_add(more)
    }

    /// [`StoreError::Full`] unless the disk has so many bytes besides those that only votes may
    /// use.
    pub fn ask_for(&self, bytes: u64) -> Result<(), StoreError> {
        self.shared.ask_for(bytes)
    }

    /// Whether space is short: less than `bytes` and twice the reserve.
    pub fn is_short_of(&self, bytes: u64) -> bool {
        let wanted = self.shared.options.reserve_bytes.saturating_mul(2).saturating_add(bytes);
        self.shared.disk.free_bytes().is_ok_and(|free| free < wanted)
    }

    /// Up to where the log can be purged so that its closed segments take at most so many bytes of
    /// the disk, and are not too many: each is an open file. `None` when there is no need. Whether
    /// a snapshot covers that is not asked.
    pub fn index_before(&self, bytes: u64) -> Option<u64> {
        let inner = self.shared.inner();
        let mut newest_first = inner.segments.iter().rev();
        let start = |number: &u32| inner.starts.get(number).copied().flatten();
        // The one that is written to stays.
        let mut later: Option<LogId> = start(newest_first.next()?.0);
        let mut sum = 0;
        for (count, (number, segment)) in newest_first.enumerate() {
            sum += segment.bytes;
            if sum > bytes || count >= CLOSED_MAX {
                return later.map(|id| id.index);
            }
            later = start(number);
        }
        None
    }
}

impl<D: Disk> Shared<D> {
    /// Whether so many bytes more leave the reserve alone.
    pub(crate) fn has_spare(&self, bytes: u64) -> bool {
        let wanted = self.options.reserve_bytes.saturating_add(bytes);
        self.disk.free_bytes().is_ok_and(|free| free >= wanted)
    }

    /// [`StoreError::Full`] unless so many bytes more leave the floor alone.
    pub(crate) fn ask_for(&self, bytes: u64) -> Result<(), StoreError> {
        ask_for(&self.disk, bytes, self.options.floor())
    }

    /// Makes the spare file, if there is none and space for it. Nothing depends on it now.
    pub(crate) fn keep_spare(&self) {
        let bytes = self.options.spare_bytes();
        if bytes == 0 || !self.has_spare(bytes) {
            return;
        }
        let is_whole = |file: D::File| file.len().is_ok_and(|len| len == bytes);
        if self.disk.open(SPARE).is_ok_and(is_whole) {
            return;
        }
        let made = self.disk.create(SPARE).and_then(|file| {
            file.write_at(&[&filler(0, bytes as usize)], 0)?;
            file.sync()
        });
        if let Err(error) = made {
            tracing::debug!(%error, "no spare file");
            let _ = self.disk.remove(SPARE);
        }
    }
}

/// See [`Shared::ask_for`].
pub(crate) fn ask_for<D: Disk>(disk: &D, bytes: u64, floor: u64) -> Result<(), StoreError> {
    let short = disk.free_bytes().is_ok_and(|free| free < floor.saturating_add(bytes));
    if short { Err(StoreError::Full) } else { Ok(()) }
}

/// Gives the spare file up if the disk is nearly full; says whether there was one.
pub(crate) fn give_up_spare<D: Disk>(disk: &D) -> bool {
    let full = disk.free_bytes().is_ok_and(|free| free < SPARE_BYTES);
    if !full || disk.remove(SPARE).is_err() {
        return false;
    }
    tracing::warn!("the disk is full: the spare file is given up");
    true
}
