//! The way out: openraft's network on [`Transport`].
//!
//! Appends ride on one long stream per follower; heartbeats are unary, or each would open a stream
//! of its own. Three duties that openraft leaves to its network are done here: a stream is opened
//! only after its first request was asked for (that is where openraft sleeps its back-off;
//! connecting first would spin against a dead peer), a stream on which nothing moves is broken off,
//! and entry-less requests wait at the peer's gate (see `tail`). A stream opens with an entry-less
//! request, so that opening takes one round trip whatever the first entry weighs; large payloads
//! follow in pieces (see `pieces`).

use crate::api::OPEN_MAX;
use crate::clock::Clock;
use crate::compare::tell::has_lost;
use crate::env::Env;
use crate::lock::lock;
use crate::membership::members::Start;
use crate::peer::links::{IDLE_MAX, grace};
use crate::peer::pieces;
use crate::peer::transport::{PeerId, Request, Response, Transport, TransportError};
use crate::process::Process;
use crate::proto as pb;
use crate::raft::convert;
use crate::raft::log::RaftLog;
use crate::raft::tail::Gate;
use crate::raft::types::{Config, Peer, Vote};
use crate::snapshot::content::Content;
use crate::snapshot::transfer::Transfers;
use crate::write::Writes;
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
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;

/// A request with entries is followed by an entry-less one no sooner than this, unless a reader
/// waits for it.
const COMMIT_ONLY_DELAY: Duration = Duration::from_millis(20);
/// A call that openraft no longer waits for is waited for so long.
const STRAGGLER_MAX: Duration = Duration::from_secs(5);
/// A snapshot makes no progress for so long: given up. Installing counts as one step.
pub(crate) const SNAPSHOT_STALL_MAX: Duration = Duration::from_mins(1);

/// What a client uses.
pub(crate) struct Handles<E: Env> {
    pub(crate) process: Arc<Process<E>>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) log: Arc<RaftLog<E>>,
    pub(crate) writes: Arc<Writes>,
    pub(crate) transfers: Arc<Transfers<E::Disk>>,
    /// As it is set, not as it is paced.
    pub(crate) heartbeat: Duration,
}

impl<E: Env> Handles<E> {
    fn leader_clock(&self) -> u64 {
        self.clock.leader(&self.process.env)
    }
}

/// Makes clients for peers; connects nowhere itself.
pub(crate) struct Network<E: Env>(pub(crate) Arc<Handles<E>>);

/// A client for one peer.
pub(crate) struct Client<E: Env> {
    pub(crate) handles: Arc<Handles<E>>,
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
        Client { handles: self.0.clone(), to, unary, beat: None }
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

fn malformed<E: Env>(what: convert::Malformed) -> RPCError<Config<E>> {
    RPCError::Unreachable(unreachable::<E>(what.0))
}

/// A heartbeat or a call for a vote, whose round trip is measured. openraft puts its own limit
/// around it; what it then drops is waited for here, or a link that has become slower than the
/// limit would never be known to be slow.
struct Measured<E: Env> {
    handles: Arc<Handles<E>>,
    to: PeerId,
    begun: Duration,
    call: Option<BoxFuture<'static, Result<Response, TransportError>>>,
}

impl<E: Env> Measured<E> {
    fn call(handles: &Arc<Handles<E>>, to: &PeerId, request: Request) -> Self {
        let call = Some(handles.process.env.transport().call(to, request) as BoxFuture<'static, _>);
        Self {
            begun: handles.process.env.elapsed(),
            handles: handles.clone(),
            to: to.clone(),
            call,
        }
    }
}

/// Notes a round trip if there was one, and tells when a peer is lost or found.
fn measure<E: Env>(
    handles: &Handles<E>,
    (to, begun): (&PeerId, Duration),
    answer: &Result<Response, TransportError>,
) {
    let now = handles.process.env.elapsed();
    if let Err(TransportError::Unreachable(why)) = answer {
        if handles.process.links.missed(to.node, now) {
            tracing::warn!(peer = to.address, why, "a peer does not answer");
        }
        return;
    }
    handles.process.links.measured(to.node, now, now.saturating_sub(begun));
    if let Some(silent) = handles.process.links.found(to.node, now) {
        let after_s = silent.as_secs();
        tracing::info!(peer = to.address, after_s, "a peer answers again");
    }
}

impl<E: Env> Future for Measured<E> {
    type Output = Result<Response, TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = self.call.as_mut() else { return Poll::Pending };
        let answer = std::task::ready!(call.as_mut().poll(cx));
        self.call = None;
        measure(&self.handles, (&self.to, self.begun), &answer);
        Poll::Ready(answer)
    }
}

impl<E: Env> Drop for Measured<E> {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        let (handles, to, begun) = (self.handles.clone(), self.to.clone(), self.begun);
        if handles.writes.queue.is_closed()
            || !handles.process.links.straggles(to.node, handles.process.env.elapsed())
        {
            return;
        }
        E::spawn(async move {
            let answer = E::within(STRAGGLER_MAX, call).await;
            let never = || Err(TransportError::Unreachable("no answer in time".to_owned()));
            measure(&handles, (&to, begun), &answer.unwrap_or_else(never));
            handles.process.links.caught(to.node);
        });
    }
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
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<RaftStream<'s, Answer<E>>, RPCError<Config<E>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Config<E>>> + Send + Unpin + 'static,
    {
        if self.unary {
            self.note_beat();
            let beat = heartbeat(self.handles.clone(), self.to.clone(), input);
            let answers = stream::once(beat).filter_map(futures::future::ready);
            return Box::pin(async move { Ok(Box::pin(answers) as RaftStream<'s, _>) });
        }
        let answers = replicate(self.handles.clone(), self.to.clone(), input);
        Box::pin(async move { Ok(answers) })
    }
}

impl<E: Env> Client<E> {
    /// A heartbeat begins. It is late by what the pause since the last exceeds the interval.
    fn note_beat(&mut self) {
        let now = self.handles.process.env.elapsed();
        if let Some(last) = self.beat.replace(now) {
            let due = self.handles.process.links.paced(self.handles.heartbeat);
            let late = now.saturating_sub(last).saturating_sub(due);
            self.handles.process.links.note_late(late);
        }
    }
}

async fn heartbeat<E: Env>(
    handles: Arc<Handles<E>>,
    to: PeerId,
    mut input: impl Stream<Item = AppendEntriesRequest<Config<E>>> + Send + Unpin,
) -> Option<Answer<E>> {
    let request = input.next().await?;
    let term = request.vote.leader_id.term;
    if handles.process.links.stalled(to.node, term, handles.process.env.elapsed()) {
        let what = "no heartbeat: its entries do not move";
        return Some(Err(failed::<E>(TransportError::Unreachable(what.to_owned()))));
    }
    let mut request = convert::append_to_pb::<E::Rt>(request, handles.leader_clock());
    request.envelope = Some(handles.process.envelope(to.node));
    request.last = handles.log.last_id();
    request.round_trip_ms = handles.process.links.round_trip_ms();
    let prev = request.prev;
    Some(match Measured::call(&handles, &to, Request::Heartbeat(request)).await {
        Ok(Response::Heartbeat(response)) => {
            let shown = Start { incarnation: response.incarnation, nonce: response.start };
            if let Err(why) = handles.process.guard.answered(to.node, shown) {
                return Some(Err(failed::<E>(TransportError::Refused(why.to_string()))));
            }
            handles.process.links.note_full(to.node, response.disk_full);
            handles.process.links.note_level(to.node, response.max_level);
            let answer = convert::append_result_from_pb::<E::Rt>(response);
            if matches!(answer, Ok(Err(StreamAppendError::Conflict(_)))) {
                has_lost(&handles.process, &to, prev);
            }
            answer.map_err(|what| malformed::<E>(what))
        }
        Ok(_) => Err(malformed::<E>(convert::Malformed("an answer to something else"))),
        Err(error) => Err(failed::<E>(error)),
    })
}

/// What the two directions of an append stream share.
#[derive(Default)]
struct Flow {
    /// Bytes of entries in each request that is not answered yet, the opening included.
    unanswered: Mutex<VecDeque<u64>>,
    /// The opening is answered.
    opened: AtomicBool,
    /// The receiver takes pieces. Known when opened.
    takes_pieces: AtomicBool,
    /// The answers are no longer listened to: the request side ends, and takes no more from
    /// openraft.
    closed: AtomicBool,
    changed: Notify,
}

impl Flow {
    /// A request goes out. Gives the bytes that are now unanswered.
    fn send(&self, bytes: u64) -> u64 {
        let mut unanswered = lock(&self.unanswered);
        unanswered.push_back(bytes);
        unanswered.iter().sum()
    }

    /// The oldest request is answered. Whether there are others.
    fn answered(&self) -> bool {
        let mut unanswered = lock(&self.unanswered);
        unanswered.pop_front();
        !unanswered.is_empty()
    }

    /// How long what is unanswered may be so without a sign; `None` when nothing is.
    fn patience(&self) -> Option<Duration> {
        let unanswered = lock(&self.unanswered);
        (!unanswered.is_empty()).then(|| IDLE_MAX + grace(unanswered.iter().sum()))
    }

    fn open(&self, takes_pieces: bool) {
        self.takes_pieces.store(takes_pieces, Ordering::Release);
        self.opened.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether the receiver takes pieces, as soon as that is known.
    async fn pieces_taken(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            if self.opened.load(Ordering::Acquire) {
                return self.takes_pieces.load(Ordering::Acquire);
            }
            if self.closed.load(Ordering::Acquire) {
                return false;
            }
            changed.await;
        }
    }
}

/// Closes the flow when the answers are dropped.
struct CloseOnDrop(Arc<Flow>, Arc<Gate>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
        self.1.open();
    }
}

fn replicate<E: Env>(
    handles: Arc<Handles<E>>,
    to: PeerId,
    mut input: impl Stream<Item = AppendEntriesRequest<Config<E>>> + Send + Unpin + 'static,
) -> BoxStream<'static, Answer<E>> {
    let begin = async move {
        // openraft sleeps its back-off in here, so nothing is connected before.
        let Some(first) = input.next().await else { return stream::empty().boxed() };
        let flow = Arc::new(Flow::default());
        let gate = handles.log.tail.gate(to.node);
        let guard = CloseOnDrop(flow.clone(), gate.clone());
        let requests = Sending {
            opening: Some(opening(&handles, &to, &first)),
            first: Some(first),
            input,
            parts: VecDeque::new(),
            sent_to: None,
            to: to.node,
            handles: handles.clone(),
            flow,
            gate,
        };
        let requests = stream::unfold(requests, |mut requests| async move {
            requests.next().await.map(|request| (request, requests))
        });
        let connect = handles.process.env.transport().append_stream(&to, requests.boxed());
        match E::within(OPEN_MAX + handles.process.links.round_trip() * 2, connect).await {
            Some(Ok(responses)) => {
                let hearing = Hearing { responses, guard, to: to.node, handles };
                stream::unfold(Some(hearing), Hearing::next).boxed()
            }
            Some(Err(error)) => stream::once(async { Err(failed::<E>(error)) }).boxed(),
            None => {
                let error = TransportError::Unreachable("no stream in time".to_owned());
                stream::once(async { Err(failed::<E>(error)) }).boxed()
            }
        }
    };
    stream::once(begin).flatten().boxed()
}

/// The message that opens a stream: a heartbeat, which any build answers at once.
fn opening<E: Env>(
    handles: &Handles<E>,
    to: &PeerId,
    first: &AppendEntriesRequest<Config<E>>,
) -> pb::AppendRequest {
    pb::AppendRequest {
        envelope: Some(handles.process.envelope(to.node)),
        vote: Some(convert::vote_to_pb(&first.vote)),
        clock_ms: handles.leader_clock(),
        round_trip_ms: handles.process.links.round_trip_ms(),
        // A replica that does not know this one goes by it.
        last: handles.log.last_id(),
        ..Default::default()
    }
}

/// The requests of a stream as they go out, behind the gate.
struct Sending<E: Env, S> {
    handles: Arc<Handles<E>>,
    to: u64,
    opening: Option<pb::AppendRequest>,
    first: Option<AppendEntriesRequest<Config<E>>>,
    input: S,
    /// The rest of a request that travels in pieces.
    parts: VecDeque<pb::AppendRequest>,
    /// Last entry of the request before.
    sent_to: Option<u64>,
    flow: Arc<Flow>,
    gate: Arc<Gate>,
}

impl<E: Env, S> Sending<E, S>
where
    S: Stream<Item = AppendEntriesRequest<Config<E>>> + Send + Unpin + 'static,
{
    async fn next(&mut self) -> Option<pb::AppendRequest> {
        if let Some(opening) = self.opening.take() {
            self.flow.send(0);
            return Some(opening);
        }
        if let Some(part) = self.parts.pop_front() {
            return Some(part);
        }
        if let Some(last) = self.sent_to.take() {
            hold(&self.handles, &self.gate, &self.flow, last).await;
        }
        if self.flow.closed.load(Ordering::Acquire) {
            return None;
        }
        let request = match self.first.take() {
            Some(first) => first,
            None => self.input.next().await?,
        };
        self.sent_to = request.entries.last().map(|entry| entry.log_id.index);
        let term = request.vote.leader_id.term;
        let request = convert::append_to_pb::<E::Rt>(request, self.handles.leader_clock());
        let bytes = request.entries.iter().map(|entry| entry.payload.len() as u64).sum();
        let unanswered = self.flow.send(bytes);
        if self.sent_to.is_some() {
            let now = self.handles.process.env.elapsed();
            self.handles.process.links.sent(self.to, term, (now, unanswered));
        }
        if pieces::is_large(&request) && self.flow.pieces_taken().await {
            self.parts = pieces::split(request);
            return self.parts.pop_front();
        }
        Some(request)
    }
}

/// Waits until there is a newer entry than `last`, or somebody opens the gate, or the delay is
/// over.
async fn hold<E: Env>(handles: &Handles<E>, gate: &Gate, flow: &Flow, last: u64) {
    let mut delay = pin!(E::sleep(COMMIT_ONLY_DELAY));
    loop {
        let go = handles.log.tail.last() > last || gate.take_open();
        if go || flow.closed.load(Ordering::Acquire) {
            return;
        }
        if let Either::Left(_) = select(delay.as_mut(), pin!(gate.changed())).await {
            return;
        }
    }
}

/// The answers of a stream, until they end or fail to come.
struct Hearing<E: Env> {
    handles: Arc<Handles<E>>,
    to: u64,
    responses: BoxStream<'static, Result<pb::AppendResponse, TransportError>>,
    guard: CloseOnDrop,
}

impl<E: Env> Hearing<E> {
    async fn next(this: Option<Self>) -> Option<(Answer<E>, Option<Self>)> {
        let mut this = this?;
        loop {
            let patience = this.guard.0.patience();
            let limit = patience.unwrap_or(IDLE_MAX);
            let response = match E::within(limit, this.responses.next()).await {
                Some(None) => return None,
                Some(Some(Ok(response))) => response,
                Some(Some(Err(error))) => return Some((Err(failed::<E>(error)), None)),
                None if patience.is_some() => {
                    let error = TransportError::Unreachable("appends unanswered".to_owned());
                    return Some((Err(failed::<E>(error)), None));
                }
                None => continue,
            };
            if pieces::is_receipt(&response) {
                this.handles.process.links.moved(this.to, this.handles.process.env.elapsed());
                continue;
            }
            let takes_pieces = response.takes_pieces;
            let answer = match convert::append_result_from_pb::<E::Rt>(response) {
                Ok(answer) => answer,
                Err(what) => return Some((Err(malformed::<E>(what)), None)),
            };
            let more = this.guard.0.answered();
            if !this.guard.0.opened.load(Ordering::Acquire) {
                this.guard.0.open(takes_pieces);
                // openraft has not asked for the opening; a refusal concerns it all the same.
                if answer.is_ok() {
                    continue;
                }
            } else if more {
                this.handles.process.links.moved(this.to, this.handles.process.env.elapsed());
            } else {
                this.handles.process.links.idle(this.to);
            }
            return Some((Ok(answer), Some(this)));
        }
    }
}

impl<E: Env> Client<E> {
    async fn ask_vote(
        &self,
        rpc: VoteRequest<Config<E>>,
        pre_vote: bool,
    ) -> Result<VoteResponse<Config<E>>, RPCError<Config<E>>> {
        let envelope = self.handles.process.envelope(self.to.node);
        let request = convert::vote_request_to_pb::<E::Rt>(&rpc, pre_vote, envelope);
        match Measured::call(&self.handles, &self.to, Request::Vote(request)).await {
            Ok(Response::Vote(answer)) => {
                if answer.clock_known {
                    self.handles.clock.hear(answer.clock_ms, self.handles.process.env.elapsed());
                }
                let vote =
                    convert::vote_from_pb(answer.vote).map_err(|what| malformed::<E>(what))?;
                let last = answer.last.map(convert::log_id_from_pb);
                Ok(VoteResponse::new(vote, last, answer.granted))
            }
            Ok(_) => Err(malformed::<E>(convert::Malformed("an answer to something else"))),
            Err(error) => Err(failed::<E>(error)),
        }
    }
}

impl<E: Env> NetVote<Config<E>> for Client<E> {
    async fn vote(
        &mut self,
        rpc: VoteRequest<Config<E>>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Config<E>>, RPCError<Config<E>>> {
        self.ask_vote(rpc, false).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Config<E>>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Config<E>>, RPCError<Config<E>>> {
        self.ask_vote(rpc, true).await
    }
}

impl<E: Env> NetTransferLeader<Config<E>> for Client<E> {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Config<E>>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<Config<E>>, RPCError<Config<E>>> {
        let message = pb::TransferRequest {
            envelope: Some(self.handles.process.envelope(self.to.node)),
            from_leader: Some(convert::vote_to_pb(request.from_leader())),
            to: *request.to_node_id(),
            last: request.last_log_id().copied().map(convert::log_id_to_pb),
        };
        let answer =
            self.handles.process.env.transport().call(&self.to, Request::Transfer(message));
        answer.await.map(|_| Ok(())).map_err(failed::<E>)
    }
}

impl<E: Env> NetSnapshot<Config<E>> for Client<E> {
    type SnapshotData = Content<E::Disk>;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Config<E>, Content<E::Disk>>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Config<E>>, StreamingError<Config<E>>> {
        self.handles.process.links.idle(self.to.node);
        let progress = Arc::new(AtomicU64::new(0));
        let mut sending = pin!(self.send_snapshot(vote, snapshot, progress.clone()));
        let mut cancel = pin!(cancel);
        let mut seen = 0;
        loop {
            let stall = pin!(E::sleep(SNAPSHOT_STALL_MAX));
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
