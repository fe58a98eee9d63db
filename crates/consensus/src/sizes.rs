//! Sizes that suit the disk: what is set for large ones would leave a small one no room. Looked at
//! once, when the directory is opened; nothing that was asked for grows by it, but for a reserve
//! that two segments would not fit into.

use crate::api::Options;

const MIB: u64 = 1 << 20;
/// A segment has at most this part of the disk,
const SEGMENTS: u64 = 64;
/// reserve and log between two snapshots at most this.
const SHARES: u64 = 8;

impl Options {
    /// With sizes that suit a disk of so many bytes: never more than was asked for. A reserve
    /// smaller than two segments could not take the one that is written to and the next.
    #[must_use]
    pub(crate) fn suited_to(mut self, disk: u64) -> Self {
        let share = |parts: u64| (disk / parts / MIB * MIB).max(MIB);
        self.segment_bytes = self.segment_bytes.min(share(SEGMENTS));
        let log_bytes = &mut self.replica.snapshot_log_bytes;
        *log_bytes = (*log_bytes).min(share(SHARES));
        self.reserve_bytes =
            self.reserve_bytes.min(share(SHARES)).max(self.segment_bytes.saturating_mul(2));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ReplicaOptions;

    /// Segment, reserve, log between snapshots, in MiB.
    fn sizes(disk_mib: u64) -> [u64; 3] {
        let options = Options {
            dir: "data".into(),
            peer_bind: ([127, 0, 0, 1], 0).into(),
            peer_address: String::new(),
            resp_address: String::new(),
            peers: Vec::new(),
            peer_secret: None,
            replica: ReplicaOptions { snapshot_log_bytes: 512 * MIB, ..Default::default() },
            segment_bytes: 64 * MIB,
            reserve_bytes: 256 * MIB,
            fsync: true,
        };
        let suited = options.suited_to(disk_mib * MIB);
        let log_bytes = suited.replica.snapshot_log_bytes;
        [suited.segment_bytes, suited.reserve_bytes, log_bytes].map(|it| it / MIB)
    }

    #[test]
    fn small_disks_get_small_sizes() {
        assert_eq!(sizes(1 << 20), [64, 256, 512]);
        assert_eq!(sizes(4096), [64, 256, 512]);
        assert_eq!(sizes(1024), [16, 128, 128]);
        assert_eq!(sizes(300), [4, 37, 37]);
        assert_eq!(sizes(3), [1, 2, 1]);
    }
}
