//! A replica behind its seams: Raft, proposer, forwarder, read gate and clock on one [`Env`].
//!
//! Started once the cluster is known (by bootstrap, by adoption, or from disk). `Node` wraps it for
//! the server; bootstrap calls [`Replica::initialize`] and [`Replica::join`]; the peer port calls
//! its [`Service`], behind bootstrap's own service, which answers Hello, Adopt and Join.

pub(crate) mod assembly;
mod status;

use crate::api::{
    Answer, Failed, LastSnapshot, NotApplied, ReadError, Role, Seat, Settings, StartError,
};
use crate::env::Env;
use crate::leadership::watch;
use crate::lock::lock;
use crate::membership::starts;
use crate::peer::transport::{Request, Response, Service, TransportError};
use crate::proto as pb;
use crate::raft::network::Network;
use crate::raft::{Raft, convert};
use crate::read::gate;
use crate::replica::assembly::{Parts, assemble, raft_config};
use crate::shared::Shared;
use crate::snapshot::load::Progress;
use crate::snapshot::transfer;
use crate::write::proposer;
use crate::write::queue::{End, Slot, Work};
use crate::{compare, maintenance};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use quorate_engine::{Db, Effects, Keyspace, Run};
use quorate_store::{Log, Recovered, Snapshots};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{RwLockReadGuard, mpsc, oneshot};

/// How often it is tried to replace a damaged snapshot.
const REPLACE_RETRY: Duration = Duration::from_secs(1);

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

/// A running replica. Clones share it.
pub(crate) struct Replica<E: Env> {
    pub(crate) shared: Arc<Shared<E>>,
    raft: Raft<E>,
}

impl<E: Env> Clone for Replica<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), raft: self.raft.clone() }
    }
}

impl<E: Env> Replica<E> {
    /// The replica that these parts belong to, once Raft runs.
    pub(crate) fn of(shared: &Arc<Shared<E>>) -> Option<Self> {
        Some(Self { shared: shared.clone(), raft: shared.raft()?.clone() })
    }

    /// Loads the newest snapshot, replays the log up to the last commit known, starts Raft.
    pub(crate) async fn start(
        env: E,
        settings: Settings,
        storage: Storage<E>,
        effects: mpsc::UnboundedSender<Effects>,
    ) -> Result<Self, StartError> {
        let config = raft_config(&settings)?;
        Self::start_with(env, settings, storage, effects, config).await
    }

    /// As [`Replica::start`], with openraft's settings as given: the simulation breaks them on
    /// purpose.
    pub(crate) async fn start_with(
        env: E,
        settings: Settings,
        storage: Storage<E>,
        effects: mpsc::UnboundedSender<Effects>,
        config: openraft::Config,
    ) -> Result<Self, StartError> {
        let node = settings.me.node;
        let Parts { shared, storage, machine } = assemble(env, settings, storage, effects).await?;
        let network = Network(shared.clone());
        let raft = Raft::<E>::build(node, Arc::new(config), network, storage, machine).await;
        let raft = raft.map_err(|error| StartError(format!("Raft does not start: {error}")))?;
        // Set before it runs: from here on cuts make snapshots and peers are answered.
        let _ = shared.raft.set(raft.clone());
        raft.run();
        // Its figures come after what it has loaded. Until then a member of a cluster would seem to
        // have no log, and a founder be told to throw its directory away.
        let loaded = raft.with_raft_state(|_| ()).await;
        loaded.map_err(|error| StartError(format!("Raft does not start: {error}")))?;
        E::spawn(watch::run(shared.clone(), raft.clone()));
        E::spawn(maintenance::run(shared.clone()));
        E::spawn(starts::run(shared.clone()));
        E::spawn(compare::run(shared.clone()));
        E::spawn(shared.clone().find_incoming());
        E::spawn(transfer::scrub(shared.clone()));
        E::spawn(gate::run(shared.clone()));
        E::spawn(proposer::run(shared.clone()));
        let this = Self { shared, raft };
        E::spawn(this.clone().replace_lost());
        Ok(this)
    }

    /// A damaged snapshot was passed over at the start: has a new one made.
    async fn replace_lost(self) {
        let shared = &self.shared;
        while shared.snapshots.lost().is_some() && !shared.queue.is_closed() {
            if self.is_ready()
                && let Err(why) = self.snapshot().await
            {
                tracing::warn!(why, "the damaged snapshot is not replaced yet");
            }
            E::sleep(REPLACE_RETRY).await;
        }
    }

    /// Whether there is a membership in the log or in the snapshot: this replica belongs to a
    /// cluster.
    pub(crate) fn is_initialized(&self) -> bool {
        !self.members().is_empty()
    }

    /// The membership as it stands in this replica's log.
    pub(crate) fn members(&self) -> Vec<Seat> {
        self.seats()
    }

    /// The leader, if one is known.
    pub(crate) fn leader(&self) -> Option<u64> {
        lock(&self.shared.office).leader.as_ref().map(|leader| leader.node)
    }

    /// Raft's handle, for the parts of this type in other files.
    pub(crate) fn raft(&self) -> &Raft<E> {
        &self.raft
    }

    /// Hands over a run with at least one write. Runs of one caller keep their order.
    pub(crate) fn submit(&self, run: Run) -> oneshot::Receiver<Answer> {
        let (slot, answer) = oneshot::channel();
        self.shared.queue.push(Work::Run(run), Slot::Local(slot), self.shared.env.elapsed());
        answer
    }

    /// A linearizable view.
    pub(crate) async fn read(&self) -> Result<RwLockReadGuard<'_, Keyspace>, ReadError> {
        self.shared.reads.barrier().await?;
        Ok(self.shared.keyspace.read().await)
    }

    /// Whatever is applied now.
    pub(crate) async fn peek(&self) -> RwLockReadGuard<'_, Keyspace> {
        self.shared.keyspace.read().await
    }

    /// Flips a bit of a value of this replica alone, for tests: see [`Keyspace::flip_bit`].
    pub(crate) async fn flip_bit(&self, db: Db, key: &[u8], bit: u64) -> bool {
        self.shared.keyspace.write().await.flip_bit(db, key, bit)
    }

    /// The leader's clock as known here; 0 when nothing was heard of one.
    pub(crate) fn clock_ms(&self) -> u64 {
        if lock(&self.shared.office).role == Role::Leader {
            return self.shared.leader_clock();
        }
        self.shared.clock.known(self.shared.env.elapsed()).unwrap_or(0)
    }

    /// Whether this replica has its state and serves: it has heard a leader, or leads and was heard
    /// by a quorum, within [`crate::leadership::SILENCE`].
    pub(crate) fn is_ready(&self) -> bool {
        let office = lock(&self.shared.office).clone();
        office.leader.is_some()
            && (office.role != Role::Leader || self.shared.applied.term() == office.term)
    }

    /// Has the leader log a cut and waits for this replica's snapshot of it. The error says why
    /// there is none.
    pub(crate) async fn snapshot(&self) -> Result<u64, String> {
        let shared = &self.shared;
        let (slot, cut) = oneshot::channel();
        shared.queue.push(Work::Cut, Slot::Index(slot), shared.env.elapsed());
        let index = match cut.await {
            Ok(Ok(index)) => index,
            Ok(Err(why)) => return Err(format!("no cut was logged: {why:?}")),
            Err(_) => return Err("stopping".to_owned()),
        };
        shared.applied.reached(index).await;
        loop {
            // In this order: one that is finished in between is kept.
            let taking = shared.saving.is_at(index);
            let kept = lock(&shared.kept).as_ref().map(|kept| kept.file.last.index);
            if kept >= Some(index) {
                return Ok(index);
            }
            taking?;
            E::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Resolves with the reason when this process must stop.
    pub(crate) async fn failed(&self) -> Failed {
        self.shared.failure.wait().await
    }

    /// Hands over, answers what is pending, makes a last snapshot if there is a use for it, syncs
    /// the log, stops.
    pub(crate) async fn shutdown(&self, last: LastSnapshot) {
        let shared = &self.shared;
        if let Err(why) = self.hand_over(None).await {
            tracing::debug!(%why, "leadership is not handed over");
        }
        for item in shared.queue.close() {
            item.slot.answer(End::NotApplied(NotApplied::Stopping));
        }
        shared.reads.close();
        if self.raft.shutdown().await.is_err() {
            tracing::warn!("Raft ended with a panic");
        }
        for item in shared.proposed.take_all().into_iter().flat_map(|batch| batch.items) {
            item.slot.answer(End::Uncertain);
        }
        shared.save_last(last).await;
        let writer = shared.writer.clone();
        shared.env.heavy(move || writer.stop()).await;
    }
}

/// Answers Heartbeat, Vote, Transfer, `ReadIndex`, the streams and snapshots. Hello, Adopt and Join
/// are refused here: bootstrap's service answers them before it comes to this.
impl<E: Env> Service for Replica<E> {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, String>> {
        Box::pin(self.shared.serve(request))
    }

    fn append_stream(
        &self,
        input: BoxStream<'static, Result<pb::AppendRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::AppendResponse>, String>> {
        Box::pin(self.shared.clone().serve_appends(input))
    }

    fn forward_stream(
        &self,
        input: BoxStream<'static, Result<pb::ForwardRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::ForwardResponse>, String>> {
        Box::pin(self.shared.clone().serve_forwards(input))
    }

    fn snapshot(
        &self,
        input: BoxStream<'static, Result<pb::SnapshotChunk, TransportError>>,
    ) -> BoxFuture<'_, Result<pb::SnapshotResponse, String>> {
        Box::pin(self.shared.clone().serve_snapshot(input))
    }
}

impl<E: Env> Replica<E> {
    /// Founds the cluster with these voters. Exactly one replica calls it, once; a repeated call is
    /// `Ok`.
    pub(crate) async fn initialize(&self, members: Vec<pb::Member>) -> Result<(), String> {
        use openraft::errors::{InitializeError, RaftError};
        let members: BTreeMap<u64, _> = members.into_iter().map(convert::peer).collect();
        match self.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
