//! Putting a group together: the state from its snapshot and log, the parts, and what openraft asks
//! for. Whatever is known to be committed is folded in before openraft starts, which finds nothing
//! left to replay.

use crate::api::ReplicaOptions;
use crate::bus::audience::Audience;
use crate::bus::carry::Bus;
use crate::clock::Clock;
use crate::env::{Check, Env};
use crate::group::Group;
use crate::leadership::Leadership;
use crate::live::Live;
use crate::membership::guard::Guard;
use crate::process::Process;
use crate::proto as pb;
use crate::raft::log::RaftLog;
use crate::raft::log_storage;
use crate::raft::network::{Handles, Network};
use crate::raft::state_machine::StateMachine;
use crate::replica::error::StartError;
use crate::snapshot::content::Kept;
use crate::snapshot::load::{LoadError, Progress, State};
use crate::snapshot::take::Snapshotter;
use quorate_store::{Log, Recovered, Snapshots};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Whose replica it is.
pub(crate) struct Who {
    /// The cluster.
    pub(crate) cluster: u128,
    /// This replica: node id and addresses, as they stand in the membership.
    pub(crate) me: pb::Member,
    /// Which start this is, and what is known of the peers'.
    pub(crate) guard: Arc<Guard>,
}

/// The opened data directory.
pub(crate) struct Storage<E: Env> {
    /// The log.
    pub(crate) log: Log<E::Disk>,
    /// What opening it found.
    pub(crate) recovered: Recovered,
    /// The snapshots.
    pub(crate) snapshots: Snapshots<E::Disk>,
    /// Where loading shows how far it is.
    pub(crate) progress: Arc<Progress>,
}

/// A group, and what openraft is built from.
pub(crate) struct Parts<E: Env> {
    pub(crate) group: Group<E>,
    pub(crate) storage: log_storage::Storage<E>,
    pub(crate) machine: StateMachine<E>,
    pub(crate) network: Network<E>,
}

/// Loads the state and puts the parts together. openraft finds nothing left to replay.
pub(crate) async fn assemble<E: Env>(
    env: E,
    (who, options): (Who, ReplicaOptions),
    storage: Storage<E>,
    audience: Audience,
) -> Result<Parts<E>, StartError> {
    let Storage { log, recovered, snapshots, progress } = storage;
    let Who { cluster, me, guard } = who;
    let snapshots = Arc::new(snapshots);
    let loaded = load(&env, (cluster, &me), (&snapshots, &log), progress).await?;
    let Loaded { state, kept, taken_ms } = loaded;
    let clock = Arc::new(Clock::default());
    clock.remember(recovered.stamp_ms.max(state.keyspace.now_ms()));
    *guard.members() = state.members;
    let last = recovered.last.map_or(0, |id| id.index);
    let process = Arc::new(Process::new(env, (cluster, me), guard, audience));
    let log = Arc::new(RaftLog::new(&process.env, log, last));
    let live = Arc::new(Live::new(state.keyspace, state.meta.last_membership));
    let parts = (log.clone(), live.clone());
    let snapshots = Arc::new(Snapshotter::new(process.clone(), parts, snapshots, kept));
    if let Some(taken_ms) = taken_ms {
        // Cluster time then is when it was taken.
        snapshots.saving.loaded(taken_ms / 1000);
    }
    let reads = Arc::default();
    let group = Group {
        bus: Arc::new(Bus::new(process.clone(), live.clone(), Arc::clone(&reads))),
        leadership: Arc::new(Leadership::new(process.me.node, live.clone())),
        process,
        options,
        clock,
        log,
        keyspace: live,
        writes: Arc::default(),
        reads,
        snapshots,
        transfers: Arc::default(),
    };
    let machine = StateMachine::new(&group, state.meta.last_log_id);
    let storage = log_storage::Storage::<E>::new(group.log.clone());
    let storage = if group.process.env.skips(Check::Contradiction) {
        storage
    } else {
        storage.with_failure(group.process.failure.clone())
    };
    let network = Network(Arc::new(Handles {
        process: group.process.clone(),
        clock: group.clock.clone(),
        log: group.log.clone(),
        writes: group.writes.clone(),
        transfers: group.transfers.clone(),
        heartbeat: group.options.heartbeat,
    }));
    Ok(Parts { group, storage, machine, network })
}

/// The state as of the last entry known to be committed.
struct Loaded {
    state: State,
    kept: Option<Kept>,
    /// Cluster time of the snapshot.
    taken_ms: Option<u64>,
}

async fn load<E: Env>(
    env: &E,
    (cluster, me): (u128, &pb::Member),
    (snapshots, log): (&Arc<Snapshots<E::Disk>>, &Log<E::Disk>),
    progress: Arc<Progress>,
) -> Result<Loaded, StartError> {
    let (snapshots, log) = (snapshots.clone(), log.clone());
    let bytes = snapshots.newest().map_or(0, |file| file.bytes) + log.stats().bytes;
    let scanned = progress.done.load(Ordering::Relaxed);
    progress.total.store(scanned + bytes, Ordering::Relaxed);
    progress.since_s.store(env.wall_ms() / 1000, Ordering::Relaxed);
    let me = me.clone();
    let shown = progress.clone();
    let work = move || {
        let (mut state, file) = State::begin((&snapshots, &log), cluster, &shown)?;
        let kept = file.map(|file| Kept { file, meta: state.meta.clone() });
        let taken_ms = kept.is_some().then(|| state.keyspace.now_ms());
        let last = log.bounds().1;
        let committed = log.committed().filter(|id| Some(*id) <= last);
        // What a snapshot held is committed, also one that is damaged now.
        let upto = committed.map(|id| id.index).max(snapshots.lost().map(|id| id.index));
        if let Some(upto) = upto {
            state.replay(&log, upto, &shown)?;
        }
        state.move_to(&me)?;
        Ok::<_, LoadError>(Loaded { state, kept, taken_ms })
    };
    let loaded = env.heavy(work).await.map_err(StartError::Load)?;
    progress.over.store(true, Ordering::Relaxed);
    Ok(loaded)
}
