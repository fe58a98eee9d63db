//! Whether there is space on the disk for what somebody is about to write, and what a purge frees.
//!
//! Asked by those above before they write, per batch, so it looks at the disk only now and then.
//! Who is refused from which point on is told in [`space`](super::space).

use crate::log::space::LOOK_BYTES;
use crate::{Disk, Log, LogId, StoreError};

/// So many closed segments are kept at most.
const CLOSED_MAX: usize = 16;

impl<D: Disk> Log<D> {
    /// Whether the disk has too little space for a client's write of so many bytes. Votes, cuts and
    /// blank entries still fit the reserve. Looks at the disk for every megabyte, and now and then,
    /// so it may be called per batch.
    pub fn is_full(&self, bytes: u64) -> bool {
        let space = &self.shared().space;
        if !space.is_look_due(bytes) {
            return space.is_full();
        }
        let Ok(free) = self.shared().disk.free_bytes() else { return space.is_full() };
        let reserve = self.shared().options.reserve_bytes;
        space.set_full(free < reserve);
        // What is small has its place in a segment that is made already.
        let more = if bytes < LOOK_BYTES { 0 } else { bytes };
        free < reserve.saturating_add(more)
    }

    /// [`StoreError::Full`] unless the disk has so many bytes besides those that only votes may
    /// use.
    pub fn ask_for(&self, bytes: u64) -> Result<(), StoreError> {
        self.shared().ask_for(bytes)
    }

    /// Whether space is short: less than `bytes` and twice the reserve.
    pub fn is_short_of(&self, bytes: u64) -> bool {
        let wanted = self.shared().options.reserve_bytes.saturating_mul(2).saturating_add(bytes);
        self.shared().disk.free_bytes().is_ok_and(|free| free < wanted)
    }

    /// Up to where the log can be purged so that its closed segments take at most so many bytes of
    /// the disk, and are not too many: each is an open file. `None` when there is no need. Whether
    /// a snapshot covers that is not asked.
    pub fn index_before(&self, bytes: u64) -> Option<u64> {
        let memory = self.shared().memory();
        let mut newest_first = memory.index.segments.iter().rev();
        let start = |number: &u32| memory.index.starts.get(number).copied().flatten();
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
