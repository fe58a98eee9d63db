//! What Raft tells of itself: one copy of its figures, and readings of it.
//! Copied at once, since holding Raft's own would hold Raft up; what is read
//! here is as old as the copy.

use crate::api::Seat;
use crate::env::Env;
use crate::raft::types::Config;
use crate::raft::{Raft, convert};
use openraft::Instant;
use openraft::async_runtime::WatchReceiver;
use std::collections::BTreeSet;
use std::time::Duration;

/// Raft's figures.
pub(crate) type Metrics<E> = openraft::metrics::RaftMetrics<Config<E>>;

/// Raft's figures as they are now.
pub(crate) fn metrics<E: Env>(raft: &Raft<E>) -> Metrics<E> {
    // Cloned at once: holding the reference would hold up Raft.
    raft.metrics().borrow_watched().clone()
}

/// The membership as it stands in this replica's log.
pub(crate) fn seats<E: Env>(metrics: &Metrics<E>) -> Vec<Seat> {
    let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
    let nodes = metrics.membership_config.nodes();
    nodes
        .map(|(id, node)| Seat { member: convert::member(*id, node), voter: voters.contains(id) })
        .collect()
}

/// Time since a member answered this leader; `None`: this replica does not lead, or the member
/// never answered.
pub(crate) fn silence<E: Env>(metrics: &Metrics<E>, node: u64) -> Option<Duration> {
    let heartbeat = metrics.heartbeat.as_ref()?;
    heartbeat.get(&node)?.as_ref().map(|at| at.elapsed())
}
