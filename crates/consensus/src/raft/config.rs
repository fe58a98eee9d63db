//! openraft's settings. Each that is not a matter of taste says why it is as
//! it is; those that safety rests on (a restarted leader never resumes its
//! term) have a test.

use crate::api::{RaftFailure, ReplicaOptions};
use openraft::SnapshotPolicy;
use std::time::Duration;

/// The settings of a replica of this cluster.
pub(crate) fn raft_config(
    cluster: u128,
    options: &ReplicaOptions,
) -> Result<openraft::Config, RaftFailure> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = openraft::Config {
        cluster_name: format!("{cluster:032x}"),
        heartbeat_interval: ms(options.heartbeat),
        election_timeout_min: ms(options.election_min),
        election_timeout_max: ms(options.election_max),
        // A restarted leader must be elected anew. With openraft's default it resumes its term, and
        // where its last entries were on its followers' disks but not yet on its own, it gives
        // their log ids to other entries: the replicas then differ for ever, and nobody notices.
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        // A leader that no quorum answers stops its heartbeats for as long, over and over: where
        // they arrive and the answers do not, its followers would wait for it for ever.
        quorum_loss_probe_interval: Some(ms(options.election_max.saturating_mul(2))),
        // Snapshots are made at cuts, which the leader logs by bytes; purging keeps bytes, not
        // entries.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        purge_batch_size: 256,
        // Requests are bounded by bytes, in the log reader.
        max_payload_entries: 1024,
        replication_lag_threshold: 1000,
        api_channel_size: Some(4096),
        // A follower that has lost what it acknowledged is told to stop (`network`), and must not
        // take the leader with it.
        allow_log_reversion: Some(true),
        backoff: "50ms 100ms 200ms ...500ms".to_owned(),
        ..openraft::Config::default()
    };
    config.validate().map_err(RaftFailure::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_leader_never_resumes_its_term() {
        let config = raft_config(1, &ReplicaOptions::default()).map_err(|error| error.to_string());
        let switches = config.map(|c| (c.enable_leader_restore, c.enable_pre_vote));
        assert_eq!(switches, Ok((Some(false), Some(true))));
    }
}
