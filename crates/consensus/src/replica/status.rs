//! Members and figures: what a replica tells about itself and its cluster.
//!
//! Read for INFO, for CLUSTER and by those who decide whether this node is ready. How its
//! membership changes is in `membership`.

use crate::api::{MemberStatus, Seat, Status};
use crate::env::Env;
use crate::lock::lock;
use crate::raft::convert;
use crate::raft::types::Config;
use crate::replica::Replica;
use openraft::Instant;
use openraft::async_runtime::WatchReceiver;
use openraft::metrics::RaftMetrics;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl<E: Env> Replica<E> {
    /// Raft's figures.
    pub(crate) fn metrics(&self) -> RaftMetrics<Config<E>> {
        // Cloned at once: holding the reference would hold up Raft.
        self.raft().metrics().borrow_watched().clone()
    }

    /// The membership as it stands in this replica's log.
    pub(crate) fn seats(&self) -> Vec<Seat> {
        let metrics = self.metrics();
        let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        let nodes = metrics.membership_config.nodes();
        nodes
            .map(|(id, node)| Seat {
                member: convert::member(*id, node),
                voter: voters.contains(id),
            })
            .collect()
    }

    /// Time since a member answered this leader; `None`: it leads not, or the member never
    /// answered.
    pub(crate) fn silence(metrics: &RaftMetrics<Config<E>>, node: u64) -> Option<Duration> {
        let heartbeat = metrics.heartbeat.as_ref()?;
        heartbeat.get(&node)?.as_ref().map(|at| at.elapsed())
    }

    /// Time since a member answered this leader; `None`: it leads not, or the member never
    /// answered.
    pub(crate) fn silence_of(&self, node: u64) -> Option<Duration> {
        Self::silence(&self.metrics(), node)
    }

    /// Figures.
    pub(crate) fn status(&self) -> Status {
        let metrics = self.metrics();
        let shared = &self.shared;
        let office = lock(&shared.office).clone();
        let load = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
        let log = shared.log.stats();
        let figures = &shared.figures;
        Status {
            loading: None,
            loaded_keys: 0,
            expired_keys: load(&figures.expired),
            log_cached_bytes: log.cached_bytes,
            cluster: format!("{:032x}", shared.settings.cluster),
            node: shared.settings.me.node,
            incarnation: shared.guard.start().incarnation,
            role: office.role,
            term: office.term,
            healthy: office.leader.is_some(),
            leader: office.leader.map(|leader| leader.resp_address),
            last_log_index: metrics.last_log_index.unwrap_or(0),
            commit_index: metrics.local_committed.map_or(0, |id| id.index),
            applied_index: shared.applied.index(),
            snapshot_index: lock(&shared.kept).as_ref().map_or(0, |kept| kept.file.last.index),
            purged_index: metrics.purged.map_or(0, |id| id.index),
            members: self.member_status(&metrics),
            state_digest: load(&figures.digest),
            agreed_index: shared.comparing.agreed(),
            divided: shared.comparing.is_divided(),
            cluster_time_ms: load(&figures.now_ms),
            proposed: (load(&figures.entries), load(&figures.commands)),
            read_rounds: (load(&figures.rounds), load(&figures.reads)),
            heartbeat_late_ms_max: load(&figures.heartbeat_late_ms_max),
            log_bytes: log.bytes,
            fsync: (log.syncs, log.sync_us.0, log.sync_us.1),
            log_disk_bytes: log.disk_bytes,
            disk_full: shared.log.is_full(0),
            saving: shared.saving.status(shared.env.elapsed(), load(&figures.changes)),
        }
    }

    fn member_status(&self, metrics: &RaftMetrics<Config<E>>) -> Vec<MemberStatus> {
        let me = self.shared.settings.me.node;
        let live_within = self.shared.settings.election_max;
        let status = |Seat { member, voter }: Seat| {
            let matched = metrics.replication.as_ref().and_then(|all| all.get(&member.node));
            let live = Self::silence(metrics, member.node).is_some_and(|age| age < live_within);
            MemberStatus {
                node: member.node,
                live: live || member.node == me,
                matched: matched.map(|id| id.map_or(0, |id| id.index)),
                resp_address: member.resp_address,
                peer_address: member.peer_address,
                voter,
            }
        };
        self.seats().into_iter().map(status).collect()
    }
}
