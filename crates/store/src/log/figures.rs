//! Figures for INFO and metrics: how much was written, how long syncs take.
//!
//! Only counted here, by the writer, under the log's short mutex; what they are good for (when to
//! make a snapshot, what to show) is decided above.

use std::collections::VecDeque;

/// So many sync times make the sliding window.
const SYNC_WINDOW: usize = 512;

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

/// What is counted as it happens; the rest of [`LogStats`] is looked up when asked for.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Bytes used of the segment that is written to.
    pub(crate) active_bytes: u64,
    pub(crate) written_since_purge: u64,
    syncs: u64,
    sync_times_us: VecDeque<u64>,
}

impl Figures {
    /// Counts a sync and how long it took.
    pub(crate) fn note_sync(&mut self, us: u64) {
        self.syncs += 1;
        if self.sync_times_us.len() == SYNC_WINDOW {
            self.sync_times_us.pop_front();
        }
        self.sync_times_us.push_back(us);
    }

    /// `fdatasync` calls so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Median and 99th percentile of the last sync times, in microseconds.
    pub(crate) fn sync_us(&self) -> (u64, u64) {
        let mut times: Vec<u64> = self.sync_times_us.iter().copied().collect();
        times.sort_unstable();
        let quantile = |percent: usize| {
            times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied()
        };
        (quantile(50).unwrap_or(0), quantile(99).unwrap_or(0))
    }
}
