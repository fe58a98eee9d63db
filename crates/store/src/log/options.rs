//! How a log behaves: sizes, what is kept free, whether it syncs.
//!
//! Chosen once, when it is opened. What is derived from them for space on the disk stands here too,
//! so that the relation of reserve, floor and spare file is seen at one place.

use crate::log::space::SPARE_BYTES;

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

impl LogOptions {
    /// Free bytes that only votes may go below.
    pub(crate) fn floor(&self) -> u64 {
        self.reserve_bytes / 4
    }

    /// Bytes of the spare file.
    pub(crate) fn spare_bytes(&self) -> u64 {
        (self.reserve_bytes / 8).min(SPARE_BYTES)
    }
}
