//! Members and figures: what a replica tells about itself and its cluster.
//! How its membership changes is in `membership`. Everything here is read
//! without waiting for the keyspace.

use crate::api::{MemberStatus, Seat, Status};
use crate::env::Env;
use crate::raft::metrics::{Metrics, metrics, seats, silence};
use crate::replica::Replica;
use std::sync::atomic::Ordering;

impl<E: Env> Replica<E> {
    /// Figures.
    pub(crate) fn status(&self) -> Status {
        let metrics = metrics(&self.raft);
        let group = &self.group;
        let office = group.leadership.office();
        let load = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
        let log = group.log.entries.stats();
        let (seen, writes) = (&group.keyspace.seen, &group.writes.figures);
        Status {
            loading: None,
            loaded_keys: 0,
            expired_keys: load(&seen.expired),
            log_cached_bytes: log.cached_bytes,
            cluster: format!("{:032x}", group.process.cluster),
            node: group.process.me.node,
            incarnation: group.process.guard.start().incarnation,
            role: office.role,
            term: office.term,
            healthy: office.leader.is_some(),
            leader: office.leader.map(|leader| leader.resp_address),
            last_log_index: metrics.last_log_index.unwrap_or(0),
            commit_index: metrics.local_committed.map_or(0, |id| id.index),
            applied_index: group.keyspace.applied.index(),
            snapshot_index: group.snapshots.newest().0,
            purged_index: metrics.purged.map_or(0, |id| id.index),
            members: self.member_status(&metrics),
            state_digest: load(&seen.digest),
            agreed_index: group.keyspace.comparing.agreed(),
            divided: group.keyspace.comparing.is_divided(),
            cluster_time_ms: load(&seen.now_ms),
            proposed: (load(&writes.entries), load(&writes.commands)),
            waiting_clients: writes.parked.load(Ordering::Relaxed),
            read_rounds: group.reads.figures(),
            heartbeat_late_ms_max: group.process.links.late_ms_max(),
            log_bytes: log.bytes,
            fsync: (log.syncs, log.sync_us.0, log.sync_us.1),
            log_disk_bytes: log.disk_bytes,
            disk_full: group.log.entries.is_full(0),
            saving: group.snapshots.saving.status(group.process.env.elapsed(), load(&seen.changes)),
        }
    }

    fn member_status(&self, metrics: &Metrics<E>) -> Vec<MemberStatus> {
        let me = self.group.process.me.node;
        let live_within = self.group.options.election_max;
        let status = |Seat { member, voter }: Seat| {
            let matched = metrics.replication.as_ref().and_then(|all| all.get(&member.node));
            let live = silence::<E>(metrics, member.node).is_some_and(|age| age < live_within);
            MemberStatus {
                node: member.node,
                live: live || member.node == me,
                matched: matched.map(|id| id.map_or(0, |id| id.index)),
                resp_address: member.resp_address,
                peer_address: member.peer_address,
                voter,
            }
        };
        seats::<E>(metrics).into_iter().map(status).collect()
    }
}
