//! A replica behind its seams: Raft, proposer, forwarder, read gate and clock on one [`Env`].
//!
//! Started once the cluster is known (by bootstrap, by adoption, or from disk). `Node` wraps it for
//! the server; bootstrap calls [`Replica::initialize`] and [`Replica::join`]; the peer port calls
//! its [`Service`], behind bootstrap's own service, which answers Hello, Adopt and Join.

pub(crate) mod assembly;
mod backup;
pub(crate) mod error;
mod status;

use crate::api::{
    Answer, Failed, Joined, LastSnapshot, NotApplied, RaftFailure, ReadError, ReplicaOptions, Role,
    Seat, Shown,
};
use crate::bus::audience::Audience;
use crate::bus::message::Message;
use crate::bus::{intake, link};
use crate::env::Env;
use crate::group::Group;
use crate::leadership::hand_over::{HandOver, HandOverError};
use crate::leadership::watch;
use crate::membership::admit::Admission;
use crate::membership::{Started, starts};
use crate::peer::service::PeerService;
use crate::peer::transport::{Refused, Request, Response, Service, TransportError};
use crate::proto as pb;
use crate::raft::config::raft_config;
use crate::raft::metrics::{metrics, seats};
use crate::raft::{Raft, convert};
use crate::read::{fresh, round};
use crate::replica::assembly::{Parts, Storage, Who, assemble};
use crate::replica::error::StartError;
use crate::snapshot::transfer::receive::Receiver;
use crate::snapshot::transfer::scrub;
use crate::write::blocked::ask;
use crate::write::proposer::Proposer;
use crate::write::queue::{End, Slot, Work};
use crate::write::scripts::Kill;
use crate::{compare, maintenance};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use quorate_engine::{Db, Keyspace, Run};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{RwLockReadGuard, oneshot};

/// How often it is tried to replace a damaged snapshot.
const REPLACE_RETRY: Duration = Duration::from_secs(1);

/// A running replica. Clones share it.
pub(crate) struct Replica<E: Env> {
    pub(crate) group: Group<E>,
    raft: Raft<E>,
    peers: Arc<PeerService<E>>,
    hand_over: Arc<HandOver<E>>,
}

impl<E: Env> Clone for Replica<E> {
    fn clone(&self) -> Self {
        let Self { group, raft, peers, hand_over } = self;
        Self {
            group: group.clone(),
            raft: raft.clone(),
            peers: peers.clone(),
            hand_over: hand_over.clone(),
        }
    }
}

impl<E: Env> Replica<E> {
    /// Loads the newest snapshot, replays the log up to the last commit known, starts Raft.
    pub(crate) async fn start(
        env: E,
        (who, options): (Who, ReplicaOptions),
        storage: Storage<E>,
        audience: Audience,
    ) -> Result<Self, StartError> {
        let config = raft_config(who.cluster, &options).map_err(StartError::TimeOuts)?;
        Self::start_with(env, (who, options), storage, audience, config).await
    }

    /// As [`Replica::start`], with openraft's settings as given: the simulation breaks them on
    /// purpose.
    pub(crate) async fn start_with(
        env: E,
        (who, options): (Who, ReplicaOptions),
        storage: Storage<E>,
        audience: Audience,
        config: openraft::Config,
    ) -> Result<Self, StartError> {
        let node = who.me.node;
        let parts = assemble(env, (who, options), storage, audience).await?;
        let Parts { group, storage, machine, network } = parts;
        let raft = Raft::<E>::build(node, Arc::new(config), network, storage, machine).await;
        let raft = raft.map_err(|error| StartError::Raft(RaftFailure::new(error)))?;
        raft.run();
        // Its figures come after what it has loaded. Until then a member of a cluster would seem to
        // have no log, and a founder be told to throw its directory away.
        let loaded = raft.with_raft_state(|_| ()).await;
        loaded.map_err(|error| StartError::Raft(RaftFailure::new(error)))?;
        let this = Self::new(group, raft);
        this.spawn_duties();
        Ok(this)
    }

    fn new(group: Group<E>, raft: Raft<E>) -> Self {
        let receiver = Arc::new(Receiver::new(group.clone(), raft.clone()));
        let peers = Arc::new(PeerService::new(&group, &raft, receiver));
        let hand_over = HandOver::new(&group, &raft);
        Self { group, raft, peers, hand_over }
    }

    /// What goes on for as long as this replica runs.
    fn spawn_duties(&self) {
        let (group, raft) = (|| self.group.clone(), || self.raft.clone());
        E::spawn(watch::run(group(), raft()));
        E::spawn(maintenance::run(group(), raft(), self.hand_over.clone()));
        E::spawn(maintenance::tell_of_snapshots(group(), raft()));
        E::spawn(starts::run(group(), self.peers.trust.clone()));
        E::spawn(compare::run(group(), raft()));
        E::spawn(self.peers.receiver.clone().find_incoming());
        E::spawn(scrub::run(group()));
        E::spawn(round::run(group(), raft()));
        E::spawn(fresh::run(group()));
        E::spawn(link::run(group()));
        E::spawn(Proposer::new(&self.group, &self.raft, self.hand_over.clone()).run());
        E::spawn(self.clone().replace_lost());
    }

    /// A damaged snapshot was passed over at the start: has a new one made.
    async fn replace_lost(self) {
        let group = &self.group;
        while group.snapshots.files.lost().is_some() && !group.writes.queue.is_closed() {
            if self.is_ready()
                && let Err(why) = self.snapshot().await
            {
                tracing::warn!(%why, "the damaged snapshot is not replaced yet");
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
        seats::<E>(&metrics(&self.raft))
    }

    /// The leader, if one is known.
    pub(crate) fn leader(&self) -> Option<u64> {
        self.group.leadership.leader()
    }

    /// Hands over a run with at least one write. Runs of one caller keep their order.
    pub(crate) fn submit(&self, run: Run) -> oneshot::Receiver<Answer> {
        let (slot, answer) = oneshot::channel();
        let now = self.group.process.env.elapsed();
        self.group.writes.queue.push(Work::Run(run), Slot::Local(slot), now);
        answer
    }

    /// Ends the script, or the function, that runs at the leader.
    pub(crate) async fn kill_script(&self, function: bool) -> Kill {
        let here = self.group.writes.script.kill(function);
        if here != Kill::Idle {
            return here;
        }
        let asked = ask(&self.group, Work::KillScript(function));
        match E::within(self.group.options.write_timeout, asked).await {
            Some(Ok(Answer::Replies(_, Shown { index, .. }))) => Kill::numbered(index),
            _ => Kill::Idle,
        }
    }

    /// Sends a client's message to whoever listens, on every node; how many those are, as far as is
    /// known.
    pub(crate) async fn publish(&self, message: Message) -> u64 {
        self.group.bus.publish(message).await
    }

    /// Resolves when what is published on other nodes comes here.
    pub(crate) async fn announced(&self) {
        self.group.bus.announced().await;
    }

    /// Resolves when an entry is applied here, or after a second.
    pub(crate) async fn applied(&self, index: u64) {
        self.group.bus.applied(index).await;
    }

    /// A linearizable view.
    pub(crate) async fn read(&self) -> Result<RwLockReadGuard<'_, Keyspace>, ReadError> {
        self.group.reads.barrier().await?;
        Ok(self.group.keyspace.read().await)
    }

    /// Whatever is applied now.
    pub(crate) async fn peek(&self) -> RwLockReadGuard<'_, Keyspace> {
        self.group.keyspace.read().await
    }

    /// Flips a bit of a value of this replica alone, for tests: see [`Keyspace::flip_bit`].
    pub(crate) async fn flip_bit(&self, db: Db, key: &[u8], bit: u64) -> bool {
        self.group.keyspace.write().await.flip_bit(db, key, bit)
    }

    /// The leader's clock as known here; 0 when nothing was heard of one.
    pub(crate) fn clock_ms(&self) -> u64 {
        if self.group.leadership.leads() {
            return self.group.leader_clock();
        }
        self.group.clock.known(self.group.process.env.elapsed()).unwrap_or(0)
    }

    /// Whether this replica has its state and serves: it has heard a leader, or leads and was heard
    /// by a quorum, within [`crate::leadership::SILENCE`].
    pub(crate) fn is_ready(&self) -> bool {
        let office = self.group.leadership.office();
        office.leader.is_some()
            && (office.role != Role::Leader || self.group.keyspace.applied.term() == office.term)
    }

    /// Whether a node is a member, as this replica knows.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn is_member(&self, node: u64) -> bool {
        self.peers.trust.is_member(node)
    }

    /// See [`HandOver::to`].
    pub(crate) async fn hand_over(&self, to: Option<&str>) -> Result<(), HandOverError> {
        self.hand_over.to(to).await
    }

    /// Resolves with the reason when this process must stop.
    pub(crate) async fn failed(&self) -> Failed {
        self.group.process.failure.wait().await
    }

    /// Answers what is pending, makes a last snapshot if there is a use for it, syncs the log,
    /// stops. A leader that others are to follow without a pause has handed over before.
    pub(crate) async fn shutdown(&self, last: LastSnapshot) {
        let group = &self.group;
        for item in group.writes.queue.close() {
            item.slot.answer(End::NotApplied(NotApplied::Stopping));
        }
        group.reads.close();
        if self.raft.shutdown().await.is_err() {
            tracing::warn!("Raft ended with a panic");
        }
        for item in group.writes.proposed.take_all().into_iter().flat_map(|batch| batch.items) {
            item.slot.answer(End::Uncertain);
        }
        group.snapshots.save_last(last).await;
        group.snapshots.end();
        let writer = group.log.writer.clone();
        group.process.env.heavy(move || writer.stop()).await;
    }
}

/// Answers Heartbeat, Vote, Transfer, `ReadIndex`, the streams and snapshots. Hello, Adopt and Join
/// are refused here: bootstrap's service answers them before it comes to this.
impl<E: Env> Service for Replica<E> {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Refused>> {
        Box::pin(self.peers.serve(request))
    }

    fn append_stream(
        &self,
        input: BoxStream<'static, Result<pb::AppendRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::AppendResponse>, Refused>> {
        Box::pin(self.peers.clone().serve_appends(input))
    }

    fn forward_stream(
        &self,
        input: BoxStream<'static, Result<pb::ForwardRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::ForwardResponse>, Refused>> {
        Box::pin(self.peers.clone().serve_forwards(input))
    }

    fn bus_stream(
        &self,
        input: BoxStream<'static, Result<pb::BusRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::BusResponse>, Refused>> {
        Box::pin(intake::serve(&self.group, &self.peers.trust, input))
    }

    fn snapshot(
        &self,
        input: BoxStream<'static, Result<pb::SnapshotChunk, TransportError>>,
    ) -> BoxFuture<'_, Result<pb::SnapshotResponse, Refused>> {
        Box::pin(self.peers.serve_snapshot(input))
    }
}

impl<E: Env> Replica<E> {
    /// Founds the cluster with these voters. Exactly one replica calls it, once; a repeated call is
    /// `Ok`.
    pub(crate) async fn initialize(&self, members: Vec<pb::Member>) -> Result<(), RaftFailure> {
        use openraft::errors::{InitializeError, RaftError};
        let members: BTreeMap<u64, _> = members.into_iter().map(convert::peer).collect();
        match self.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(RaftFailure::new(error)),
        }
    }

    /// The members; one votes if it does so before and after a change under way.
    pub(crate) fn settled_seats(&self) -> Vec<Seat> {
        self.admission().settled_seats()
    }

    /// On the leader: lets a replica in. See [`Admission::join`].
    pub(crate) async fn join(&self, who: pb::Member, replace_same_name: bool) -> Joined {
        self.admission().join(who, replace_same_name).await
    }

    fn admission(&self) -> Admission<E> {
        Admission::new(self.group.clone(), self.raft.clone())
    }
}

impl<E: Env> Started for Replica<E> {
    fn is_initialized(&self) -> bool {
        Replica::is_initialized(self)
    }

    fn members(&self) -> Vec<Seat> {
        self.settled_seats()
    }

    fn leader(&self) -> Option<u64> {
        Replica::leader(self)
    }

    fn initialize(
        &self,
        members: Vec<pb::Member>,
    ) -> impl Future<Output = Result<(), RaftFailure>> + Send {
        Replica::initialize(self, members)
    }

    fn join(&self, who: pb::Member, replace: bool) -> impl Future<Output = Joined> + Send {
        Replica::join(self, who, replace)
    }
}
