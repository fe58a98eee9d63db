//! Putting a replica together at its start.
//!
//! The state from its snapshot and the log behind it, the parts that openraft asks for, and
//! openraft's settings.

use crate::api::{Settings, StartError};
use crate::applied::{Applied, Figures};
use crate::clock::Clock;
use crate::compare::Comparing;
use crate::env::{Check, Env};
use crate::leadership::hand_over::Leaving;
use crate::leadership::{LeaderHeard, Office};
use crate::peer::links::Links;
use crate::raft::log_storage;
use crate::raft::state_machine::StateMachine;
use crate::raft::tail::Tail;
use crate::read::gate::Reads;
use crate::replica::Storage;
use crate::shared::Shared;
use crate::snapshot::content::Kept;
use crate::snapshot::load::{Progress, State};
use crate::snapshot::take::Saving;
use crate::snapshot::transfer::Transfers;
use crate::write::queue::{Proposed, Queue};
use openraft::SnapshotPolicy;
use quorate_engine::Effects;
use quorate_store::{Log, Snapshots};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::{RwLock, mpsc};

/// What openraft is built from.
pub(crate) struct Parts<E: Env> {
    pub(crate) shared: Arc<Shared<E>>,
    pub(crate) storage: log_storage::Storage<E>,
    pub(crate) machine: StateMachine<E>,
}

/// Loads the state and puts the parts together. openraft finds nothing left to replay.
pub(crate) async fn assemble<E: Env>(
    env: E,
    settings: Settings,
    storage: Storage<E>,
    effects: mpsc::UnboundedSender<Effects>,
) -> Result<Parts<E>, StartError> {
    let Storage { log, recovered, snapshots, progress } = storage;
    let snapshots = Arc::new(snapshots);
    let Loaded { state, kept, taken_ms } =
        load(&env, &settings, (&snapshots, &log), progress).await?;
    let clock = Clock::default();
    clock.remember(recovered.stamp_ms.max(state.keyspace.now_ms()));
    let (saving, figures) = (Saving::default(), Figures::default());
    figures.begin(&state.keyspace);
    let comparing = Comparing::default();
    comparing.see(&state.keyspace);
    if let Some(taken_ms) = taken_ms {
        // Cluster time then is when it was taken.
        saving.loaded(taken_ms / 1000);
    }
    *settings.guard.members() = state.members;
    let writer = env.log_writer(log.clone());
    let last = recovered.last.map_or(0, |id| id.index);
    let shared = Arc::new(Shared {
        clock,
        keyspace: Arc::new(RwLock::new(state.keyspace)),
        applied: Applied::default(),
        membership: Mutex::new(state.meta.last_membership.clone()),
        tail: Arc::new(Tail::new(last)),
        links: Links::default(),
        writer,
        snapshots,
        kept: Mutex::new(kept),
        transfers: Transfers::default(),
        saving,
        queue: Queue::default(),
        followers: Arc::default(),
        proposed: Proposed::default(),
        reads: Reads::default(),
        way: Mutex::default(),
        office: Mutex::new(Office::default()),
        leaving: Leaving::default(),
        leader_heard: LeaderHeard::default(),
        guard: settings.guard.clone(),
        strangers: Mutex::default(),
        heard: Mutex::default(),
        effects,
        raft: OnceLock::new(),
        comparing,
        failure: Arc::default(),
        figures,
        log,
        settings,
        env,
    });
    let storage = log_storage::Storage::<E>::new(
        shared.log.clone(),
        shared.writer.clone(),
        shared.tail.clone(),
    );
    let storage = if shared.env.skips(Check::Contradiction) {
        storage
    } else {
        storage.with_failure(shared.failure.clone())
    };
    let machine = StateMachine::new(shared.clone(), state.meta);
    Ok(Parts { shared, storage, machine })
}

/// openraft's settings. Each that is not a matter of taste says why it is as it is.
pub(crate) fn raft_config(settings: &Settings) -> Result<openraft::Config, StartError> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = openraft::Config {
        cluster_name: format!("{:032x}", settings.cluster),
        heartbeat_interval: ms(settings.heartbeat),
        election_timeout_min: ms(settings.election_min),
        election_timeout_max: ms(settings.election_max),
        // A restarted leader must be elected anew. With openraft's default it resumes its term, and
        // where its last entries were on its followers' disks but not yet on its own, it gives
        // their log ids to other entries: the replicas then differ for ever, and nobody notices.
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        // A leader that no quorum answers stops its heartbeats for as long, over and over: where
        // they arrive and the answers do not, its followers would wait for it for ever.
        quorum_loss_probe_interval: Some(ms(settings.election_max.saturating_mul(2))),
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
    config.validate().map_err(|error| StartError(format!("the time-outs do not fit: {error}")))
}

/// The state as of the last entry known to be committed.
struct Loaded<E: Env> {
    state: State<E>,
    kept: Option<Kept<E>>,
    /// Cluster time of the snapshot.
    taken_ms: Option<u64>,
}

async fn load<E: Env>(
    env: &E,
    settings: &Settings,
    (snapshots, log): (&Arc<Snapshots<E::Disk>>, &Log<E::Disk>),
    progress: Arc<Progress>,
) -> Result<Loaded<E>, StartError> {
    let (snapshots, log, cluster) = (snapshots.clone(), log.clone(), settings.cluster);
    let bytes = snapshots.newest().map_or(0, |file| file.bytes) + log.stats().bytes;
    let scanned = progress.done.load(Ordering::Relaxed);
    progress.total.store(scanned + bytes, Ordering::Relaxed);
    progress.since_s.store(env.wall_ms() / 1000, Ordering::Relaxed);
    let me = settings.me.clone();
    let shown = progress.clone();
    let work = move || {
        let (mut state, file) = State::<E>::begin((&snapshots, &log), cluster, &shown)?;
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
        Ok::<_, String>(Loaded { state, kept, taken_ms })
    };
    let loaded = env.heavy(work).await.map_err(StartError)?;
    progress.over.store(true, Ordering::Relaxed);
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::guard::Guard;
    use crate::membership::members::Start;
    use crate::proto as pb;

    #[test]
    fn a_restarted_leader_never_resumes_its_term() {
        let settings = Settings {
            cluster: 1,
            me: pb::Member::default(),
            guard: Arc::new(Guard::new(1, String::new(), Start::default())),
            heartbeat: Duration::from_millis(75),
            election_min: Duration::from_millis(250),
            election_max: Duration::from_millis(400),
            write_timeout: Duration::from_secs(2),
            snapshot_log_bytes: 1 << 20,
            snapshot_age: Duration::ZERO,
        };
        let config = raft_config(&settings).map_err(|error| error.0);
        let switches = config.map(|c| (c.enable_leader_restore, c.enable_pre_vote));
        assert_eq!(switches, Ok((Some(false), Some(true))));
    }
}
