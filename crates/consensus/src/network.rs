//! The way out: openraft's network on [`Transport`].
//!
//! Appends ride on one long stream per follower; heartbeats are unary, or each would open a stream
//! of its own. Three duties that openraft leaves to its network are done here: a stream is opened
//! only after its first request was asked for (that is where openraft sleeps its back-off;
//! connecting first would spin against a dead peer), a stream on which requests stay unanswered is
//! broken off, and entry-less requests wait at the peer's gate (see `tail`).

use crate::env::Env;
use crate::proto as pb;
use crate::raft::{Config, Peer, Vote};
use crate::shared::Shared;
use crate::snapshot::Content;
use crate::tail::Gate;
use crate::transport::{PeerId, Request, Response, Transport, TransportError};
use crate::wire;
use futures::future::{Either, select};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use openraft::alias::SnapshotOf;
use openraft::base::{BoxFuture, BoxStream as RaftStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A request with entries is followed by an entry-less one no sooner than this, unless a reader
/// waits for it.
const COMMIT_ONLY_DELAY: Duration = Duration::from_millis(20);
/// Requests outstanding and no answer for so long: the stream is broken off. A hung stream would
/// hold back purging.
const IDLE_MAX: Duration = Duration::from_secs(3);
/// A snapshot makes no progress for so long: given up. Installing counts as one step.
pub(crate) const SNAPSHOT_STALL_MAX: Duration = Duration::from_mins(1);

/// Makes clients for peers; connects nowhere itself.
pub(crate) struct Network<E: Env>(pub(crate) Arc<Shared<E>>);

/// A client for one peer.
pub(crate) struct Client<E: Env> {
    pub(crate) shared: Arc<Shared<E>>,
    pub(crate) to: PeerId,
    /// Heartbeats only: unary.
    unary: bool,
    /// When the last heartbeat was begun, for its lateness.
    beat: Option<Duration>,
}

type Answer<E> = Result<StreamAppendResult<Config<E>>, RPCError<Config<E>>>;

impl<E: Env> Network<E> {
    fn client(&self, target: u64, node: &Peer, unary: bool) -> Client<E> {
        let to = PeerId { node: target, address: node.peer_address.clone() };
        Client { shared: self.0.clone(), to, unary, beat: None }
    }
}

impl<E: Env> RaftNetworkFactory<Config<E>> for Network<E> {
    type Network = Client<E>;

    async fn new_client(&mut self, target: u64, node: &Peer) -> Client<E> {
        self.client(target, node, false)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Peer) -> Client<E> {
        self.client(target, node, true)
    }
}

pub(crate) fn unreachable<E: Env>(what: impl ToString) -> Unreachable<Config<E>> {
    Unreachable::from_string(what)
}

pub(crate) fn failed<E: Env>(error: TransportError) -> RPCError<Config<E>> {
    match error {
        TransportError::Unreachable(what) => RPCError::Unreachable(unreachable::<E>(what)),
        TransportError::Refused(what) => {
            // The peer says so loudly, and once; here it comes with every try.
            tracing::debug!(%what, "a peer refuses to talk to this node");
            RPCError::Unreachable(unreachable::<E>(what))
        }
    }
}

fn malformed<E: Env>(what: wire::Malformed) -> RPCError<Config<E>> {
    RPCError::Unreachable(unreachable::<E>(what.0))
}

/// One unary call under a time limit.
pub(crate) async fn call<E: Env>(
    shared: &Shared<E>,
    to: &PeerId,
    request: Request,
    limit: Duration,
) -> Result<Response, TransportError> {
    let call = shared.env.transport().call(to, request);
    let answer = Shared::<E>::within(limit, call).await;
    answer.unwrap_or_else(|| Err(TransportError::Unreachable("no answer in time".to_owned())))
}

impl<E: Env> NetBackoff<Config<E>> for Client<E> {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

impl<E: Env> NetStreamAppend<Config<E>> for Client<E> {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<RaftStream<'s, Answer<E>>, RPCError<Config<E>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Config<E>>> + Send + Unpin + 'static,
    {
        if self.unary {
            self.note_beat();
            let beat = heartbeat(self.shared.clone(), self.to.clone(), input, option.hard_ttl());
            let answers = stream::once(beat).filter_map(futures::future::ready);
            return Box::pin(async move { Ok(Box::pin(answers) as RaftStream<'s, _>) });
        }
        let answers = replicate(self.shared.clone(), self.to.clone(), input);
        Box::pin(async move { Ok(answers) })
    }
}

impl<E: Env> Client<E> {
    /// A heartbeat begins. It is late by what the pause since the last exceeds the interval.
    fn note_beat(&mut self) {
        let now = self.shared.env.elapsed();
        if let Some(last) = self.beat.replace(now) {
            let late = now.saturating_sub(last).saturating_sub(self.shared.settings.heartbeat);
            let late = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
            self.shared.figures.heartbeat_late_ms_max.fetch_max(late, Ordering::Relaxed);
        }
    }
}

async fn heartbeat<E: Env>(
    shared: Arc<Shared<E>>,
    to: PeerId,
    mut input: impl Stream<Item = AppendEntriesRequest<Config<E>>> + Send + Unpin,
    limit: Duration,
) -> Option<Answer<E>> {
    let request = input.next().await?;
    let mut request = wire::append_to_pb::<E::Rt>(request, shared.leader_clock());
    request.envelope = Some(shared.envelope(to.node));
    Some(match call(&shared, &to, Request::Heartbeat(request), limit).await {
        Ok(Response::Heartbeat(response)) => {
            wire::append_result_from_pb::<E::Rt>(response).map_err(|what| malformed::<E>(what))
        }
        Ok(_) => Err(malformed::<E>(wire::Malformed("an answer to something else"))),
        Err(error) => Err(failed::<E>(error)),
    })
}

/// What the two directions of an append stream share.
#[derive(Default)]
struct Flow {
    sent: AtomicU64,
    /// The answers are no longer listened to: the request side ends, and takes no more from
    /// openraft.
    closed: AtomicBool,
}

/// Closes the flow when the answers are dropped.
struct CloseOnDrop(Arc<Flow>, Arc<Gate>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.1.open();
    }
}

fn replicate<E: Env>(
    shared: Arc<Shared<E>>,
    to: PeerId,
    mut input: impl Stream<Item = AppendEntriesRequest<Config<E>>> + Send + Unpin + 'static,
) -> BoxStream<'static, Answer<E>> {
    let begin = async move {
        // openraft sleeps its back-off in here, so nothing is connected before.
        let Some(first) = input.next().await else { return stream::empty().boxed() };
        let flow = Arc::new(Flow::default());
        let gate = shared.tail.gate(to.node);
        let guard = CloseOnDrop(flow.clone(), gate.clone());
        let requests = requests(shared.clone(), to.node, first, input, (flow.clone(), gate));
        let connect = shared.env.transport().append_stream(&to, requests.boxed());
        match Shared::<E>::within(shared.settings.election_max, connect).await {
            Some(Ok(responses)) => answers::<E>(responses, guard).boxed(),
            Some(Err(error)) => stream::once(async { Err(failed::<E>(error)) }).boxed(),
            None => {
                let error = TransportError::Unreachable("no stream in time".to_owned());
                stream::once(async { Err(failed::<E>(error)) }).boxed()
            }
        }
    };
    stream::once(begin).flatten().boxed()
}

/// The requests as they go out, behind the gate.
fn requests<E: Env>(
    shared: Arc<Shared<E>>,
    to: u64,
    first: AppendEntriesRequest<Config<E>>,
    input: impl Stream<Item = AppendEntriesRequest<Config<E>>> + Send + Unpin + 'static,
    (flow, gate): (Arc<Flow>, Arc<Gate>),
) -> impl Stream<Item = pb::AppendRequest> + Send + 'static {
    let state = (input, Some(first), None::<u64>, true);
    stream::unfold(state, move |(mut input, first, sent_to, opening)| {
        let (shared, flow, gate) = (shared.clone(), flow.clone(), gate.clone());
        async move {
            if let Some(last) = sent_to {
                hold(&shared, &gate, &flow, last).await;
            }
            if flow.closed.load(Ordering::Acquire) {
                return None;
            }
            let request = match first {
                Some(first) => first,
                None => input.next().await?,
            };
            let sent_to = request.entries.last().map(|entry| entry.log_id.index);
            let mut request = wire::append_to_pb::<E::Rt>(request, shared.leader_clock());
            if opening {
                request.envelope = Some(shared.envelope(to));
            }
            flow.sent.fetch_add(1, Ordering::AcqRel);
            Some((request, (input, None, sent_to, false)))
        }
    })
}

/// Waits until there is a newer entry than `last`, or somebody opens the gate, or the delay is
/// over.
async fn hold<E: Env>(shared: &Shared<E>, gate: &Gate, flow: &Flow, last: u64) {
    let mut delay = pin!(Shared::<E>::sleep(COMMIT_ONLY_DELAY));
    loop {
        let go = shared.tail.last() > last || gate.take_open();
        if go || flow.closed.load(Ordering::Acquire) {
            return;
        }
        if let Either::Left(_) = select(delay.as_mut(), pin!(gate.changed())).await {
            return;
        }
    }
}

/// The answers, until they end or fail to come.
fn answers<E: Env>(
    responses: BoxStream<'static, Result<pb::AppendResponse, TransportError>>,
    guard: CloseOnDrop,
) -> impl Stream<Item = Answer<E>> + Send + 'static {
    stream::unfold(Some((responses, guard, 0_u64)), |state| async move {
        let (mut responses, guard, got) = state?;
        loop {
            return match Shared::<E>::within(IDLE_MAX, responses.next()).await {
                Some(None) => None,
                Some(Some(Ok(response))) => {
                    let answer = wire::append_result_from_pb::<E::Rt>(response);
                    match answer {
                        Ok(answer) => Some((Ok(answer), Some((responses, guard, got + 1)))),
                        Err(what) => Some((Err(malformed::<E>(what)), None)),
                    }
                }
                Some(Some(Err(error))) => Some((Err(failed::<E>(error)), None)),
                None if guard.0.sent.load(Ordering::Acquire) > got => {
                    let error = TransportError::Unreachable("appends unanswered".to_owned());
                    Some((Err(failed::<E>(error)), None))
                }
                None => continue,
            };
        }
    })
}

impl<E: Env> Client<E> {
    async fn ask_vote(
        &self,
        rpc: VoteRequest<Config<E>>,
        pre_vote: bool,
        limit: Duration,
    ) -> Result<VoteResponse<Config<E>>, RPCError<Config<E>>> {
        let envelope = self.shared.envelope(self.to.node);
        let request = wire::vote_request_to_pb::<E::Rt>(&rpc, pre_vote, envelope);
        match call(&self.shared, &self.to, Request::Vote(request), limit).await {
            Ok(Response::Vote(answer)) => {
                if answer.clock_known {
                    self.shared.clock.hear(answer.clock_ms, self.shared.env.elapsed());
                }
                let vote = wire::vote_from_pb::<E::Rt>(answer.vote)
                    .map_err(|what| malformed::<E>(what))?;
                let last = answer.last.map(wire::log_id_from_pb::<E::Rt>);
                Ok(VoteResponse::new(vote, last, answer.granted))
            }
            Ok(_) => Err(malformed::<E>(wire::Malformed("an answer to something else"))),
            Err(error) => Err(failed::<E>(error)),
        }
    }
}

impl<E: Env> NetVote<Config<E>> for Client<E> {
    async fn vote(
        &mut self,
        rpc: VoteRequest<Config<E>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Config<E>>, RPCError<Config<E>>> {
        self.ask_vote(rpc, false, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Config<E>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Config<E>>, RPCError<Config<E>>> {
        self.ask_vote(rpc, true, option.hard_ttl()).await
    }
}

impl<E: Env> NetTransferLeader<Config<E>> for Client<E> {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Config<E>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Config<E>>, RPCError<Config<E>>> {
        let message = pb::TransferRequest {
            envelope: Some(self.shared.envelope(self.to.node)),
            from_leader: Some(wire::vote_to_pb::<E::Rt>(request.from_leader())),
            to: *request.to_node_id(),
            last: request.last_log_id().copied().map(wire::log_id_to_pb::<E::Rt>),
        };
        let answer = call(&self.shared, &self.to, Request::Transfer(message), option.hard_ttl());
        answer.await.map(|_| Ok(())).map_err(failed::<E>)
    }
}

impl<E: Env> NetSnapshot<Config<E>> for Client<E> {
    type SnapshotData = Content<E>;

    async fn full_snapshot(
        &mut self,
        vote: Vote<Config<E>>,
        snapshot: SnapshotOf<Config<E>, Content<E>>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Config<E>>, StreamingError<Config<E>>> {
        let progress = Arc::new(AtomicU64::new(0));
        let mut sending = pin!(self.send_snapshot(vote, snapshot, progress.clone()));
        let mut cancel = pin!(cancel);
        let mut seen = 0;
        loop {
            let stall = pin!(Shared::<E>::sleep(SNAPSHOT_STALL_MAX));
            match select(select(sending.as_mut(), cancel.as_mut()), stall).await {
                Either::Left((Either::Left((outcome, _)), _)) => return outcome,
                Either::Left((Either::Right((closed, _)), _)) => return Err(closed.into()),
                Either::Right(_) => {
                    let now = progress.load(Ordering::Acquire);
                    if now == seen {
                        let what = "the snapshot makes no progress";
                        return Err(StreamingError::Unreachable(unreachable::<E>(what)));
                    }
                    seen = now;
                }
            }
        }
    }
}
