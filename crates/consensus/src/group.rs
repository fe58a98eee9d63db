//! One Raft group of a process: its log, the state that the log makes, and those who wait for
//! either.
//!
//! Each part owns what it keeps and is reached through its handle. There is one group today; what
//! another would need of its own is here, and what it would share is in [`Process`].

use crate::api::ReplicaOptions;
use crate::bus::carry::Bus;
use crate::clock::Clock;
use crate::env::Env;
use crate::leadership::Leadership;
use crate::live::Live;
use crate::process::Process;
use crate::raft::log::RaftLog;
use crate::read::gate::Gate;
use crate::snapshot::take::Snapshotter;
use crate::snapshot::transfer::Transfers;
use crate::write::Writes;
use std::sync::Arc;

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct Group<E: Env> {
    pub(crate) process: Arc<Process<E>>,
    pub(crate) options: ReplicaOptions,
    pub(crate) clock: Arc<Clock>,
    pub(crate) log: Arc<RaftLog<E>>,
    pub(crate) keyspace: Arc<Live>,
    pub(crate) writes: Arc<Writes>,
    pub(crate) reads: Arc<Gate>,
    pub(crate) snapshots: Arc<Snapshotter<E>>,
    pub(crate) transfers: Arc<Transfers<E::Disk>>,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) bus: Arc<Bus<E>>,
}

impl<E: Env> Group<E> {
    /// The cluster clock as the leader tells it: never behind what is applied.
    pub(crate) fn leader_clock(&self) -> u64 {
        self.clock.leader(&self.process.env)
    }

    /// Whether a key may be due by the leader's clock that is still visible.
    pub(crate) async fn is_due(&self) -> bool {
        self.keyspace.is_due(|| self.leader_clock()).await
    }

    /// Whether this replica is stopping.
    pub(crate) fn is_closed(&self) -> bool {
        self.writes.queue.is_closed()
    }
}
