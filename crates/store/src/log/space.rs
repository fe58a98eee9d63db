//! Space on the disk: who may still take some of it, and what is kept back for the rest.
//!
//! Everything counts bytes of the disk, prepared and half-used segments included. Below the
//! *reserve* clients' writes are refused; what Raft itself needs (votes, cuts, snapshots that let
//! the log be purged) goes on down to the *floor*, a quarter of it, and votes below that. A small
//! *spare* file stands for the case that others fill the disk to the last byte: it is given up
//! where a start or a vote would fail otherwise.

use crate::StoreError;
use crate::disk::{Disk, DiskFile};
use crate::file::filler::filler;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Below the data directory.
const SPARE: &str = "spare";
/// Bytes of the spare file, if the reserve is a few times larger: some segments of the least size,
/// and what `facts/` writes at a start.
pub(crate) const SPARE_BYTES: u64 = 4 << 20;
/// The disk is looked at again when so many bytes were let through,
pub(crate) const LOOK_BYTES: u64 = 1 << 20;
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
    /// What was found when the disk was last looked at.
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
    pub(crate) fn is_look_due(&self, bytes: u64) -> bool {
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

/// [`StoreError::Full`] unless so many bytes more leave `floor` bytes free.
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

/// Makes the spare file of so many bytes, if there is none. Nothing depends on it now.
pub(crate) fn keep_spare<D: Disk>(disk: &D, bytes: u64) {
    if bytes == 0 {
        return;
    }
    let is_whole = |file: D::File| file.len().is_ok_and(|len| len == bytes);
    if disk.open(SPARE).is_ok_and(is_whole) {
        return;
    }
    let made = disk.create(SPARE).and_then(|file| {
        file.write_at(&[&filler(0, bytes as usize)], 0)?;
        file.sync()
    });
    if let Err(error) = made {
        tracing::debug!(%error, "no spare file");
        let _ = disk.remove(SPARE);
    }
}
