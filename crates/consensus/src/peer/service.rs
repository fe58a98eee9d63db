//! The way in: what peers ask of this replica, checked and given to Raft.
//!
//! Every unary request and the first message of every stream carries an envelope, which is checked
//! before anything else. What a peer sends is validated before openraft sees it: openraft trusts
//! its callers and would panic.

use crate::api::{MAX_LEVEL, NotApplied, Shown};
use crate::compare;
use crate::env::Env;
use crate::group::Group;
use crate::membership::members::Start;
use crate::peer::pieces;
use crate::peer::transport::{Refused, Request, Response, TransportError};
use crate::peer::trust::Trust;
use crate::proto as pb;
use crate::raft::types::Config;
use crate::raft::{Raft, convert};
use crate::read::round;
use crate::snapshot::transfer::receive::Receiver;
use crate::write::forward::work_from;
use crate::write::queue::{End, Remote, Slot, Work};
use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, watch};

/// Answers given to a follower in one message at most.
const ANSWERS_MAX: usize = 4096;

type Incoming<T> = BoxStream<'static, Result<T, TransportError>>;

/// Why a request is not answered that came through all checks.
#[derive(Clone, Copy, Debug)]
enum Unanswered {
    /// A stream ended before its first message.
    NoMessage,
    /// Raft gave no answer.
    NoAnswer,
    /// This node speaks as the leader, and this replica does not follow it.
    NotLeader(u64),
    /// Bootstrap answers such things.
    Elsewhere,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMessage => f.write_str("a stream without a message"),
            Self::NoAnswer => f.write_str("no answer"),
            Self::NotLeader(node) => {
                write!(f, "node {node} is not the leader that this replica follows")
            }
            Self::Elsewhere => f.write_str("not answered here"),
        }
    }
}

impl Error for Unanswered {}

/// Answers peers.
pub(crate) struct PeerService<E: Env> {
    group: Group<E>,
    raft: Raft<E>,
    pub(crate) trust: Arc<Trust<E>>,
    pub(crate) receiver: Arc<Receiver<E>>,
}

impl<E: Env> PeerService<E> {
    pub(crate) fn new(group: &Group<E>, raft: &Raft<E>, receiver: Arc<Receiver<E>>) -> Self {
        let trust = Arc::new(Trust::new(group, raft.clone()));
        Self { group: group.clone(), raft: raft.clone(), trust, receiver }
    }

    fn hear_leader(&self, term: u64) {
        self.group.leadership.hear(term, self.group.process.env.elapsed());
    }

    fn hear_clock(&self, clock_ms: u64) {
        if clock_ms != 0 {
            self.group.clock.hear(clock_ms, self.group.process.env.elapsed());
        }
    }

    /// Heartbeat, Vote, Transfer, `ReadIndex`, Offer.
    pub(crate) async fn serve(self: &Arc<Self>, request: Request) -> Result<Response, Refused> {
        match request {
            Request::Heartbeat(request) => self.serve_heartbeat(request).await,
            Request::Vote(request) => self.serve_vote(request).await,
            Request::Transfer(request) => self.serve_transfer(request).await,
            Request::ReadIndex(request) => {
                let from = self.trust.check(request.envelope.as_ref()).await?;
                Ok(Response::ReadIndex(round::read_index(&self.group, from).await))
            }
            Request::Offer(request) => {
                let (envelope, vote) = (request.envelope.as_ref(), request.vote.as_ref());
                self.trust.check_sender(envelope, request.last, vote).await?;
                Ok(Response::Offer(self.receiver.serve_offer(request).await?))
            }
            Request::Vouch(request) => self.trust.serve_vouch(&request),
            Request::Compare(request) => {
                self.trust.check(request.envelope.as_ref()).await?;
                let answer = compare::answer::<E>(&self.group.keyspace, &request).await;
                Ok(answer.map(Response::Compare)?)
            }
            Request::Diverged(request) => self.serve_diverged(request).await,
            Request::Hello(_) | Request::Adopt(_) | Request::Join(_) => {
                Err(Unanswered::Elsewhere.into())
            }
        }
    }

    async fn serve_heartbeat(&self, request: pb::AppendRequest) -> Result<Response, Refused> {
        self.trust.check_leader(&request).await?;
        let (clock_ms, round_trip_ms) = (request.clock_ms, request.round_trip_ms);
        let request = convert::append_from_pb::<E::Rt>(request)?;
        self.hear_leader(request.vote.leader_id.term);
        let one = stream::once(futures::future::ready(request));
        let mut answers = Box::pin(self.raft.stream_append(one));
        let answer = answers.next().await.ok_or(Unanswered::NoAnswer)??;
        self.hear_clock(clock_ms);
        if answer.is_ok() {
            self.group.process.links.hear_round_trip(round_trip_ms);
        }
        let Start { incarnation, nonce } = self.group.process.guard.start();
        let answer = convert::append_result_to_pb::<E::Rt>(&answer);
        let disk_full = self.group.log.entries.is_full(0);
        let max_level = MAX_LEVEL;
        let facts =
            pb::AppendResponse { incarnation, start: nonce, disk_full, max_level, ..answer };
        Ok(Response::Heartbeat(facts))
    }

    async fn serve_vote(&self, request: pb::VoteRequest) -> Result<Response, Refused> {
        let (envelope, vote) = (request.envelope.as_ref(), request.vote.as_ref());
        self.trust.check_sender(envelope, request.last, vote).await?;
        let rpc = convert::vote_request_from_pb::<E::Rt>(&request)?;
        let raft = &self.raft;
        let answer = if request.pre_vote { raft.pre_vote(rpc).await } else { raft.vote(rpc).await };
        let answer = answer?;
        let clock = self.group.clock.known(self.group.process.env.elapsed());
        Ok(Response::Vote(pb::VoteResponse {
            vote: Some(convert::vote_to_pb(&answer.vote)),
            granted: answer.vote_granted,
            last: answer.last_log_id.map(convert::log_id_to_pb),
            clock_ms: clock.unwrap_or(0),
            clock_known: clock.is_some(),
        }))
    }

    async fn serve_transfer(&self, request: pb::TransferRequest) -> Result<Response, Refused> {
        let (envelope, vote) = (request.envelope.as_ref(), request.from_leader.as_ref());
        self.trust.check_sender(envelope, None, vote).await?;
        let from = convert::vote_from_pb(request.from_leader)?;
        let last = request.last.map(convert::log_id_from_pb);
        let rpc = TransferLeaderRequest::<Config<E>>::new(from, request.to, last);
        self.raft.handle_transfer_leader(rpc).await??;
        Ok(Response::Transfer(pb::TransferResponse {}))
    }

    /// Appends, until either side ends.
    pub(crate) async fn serve_appends(
        self: Arc<Self>,
        mut input: Incoming<pb::AppendRequest>,
    ) -> Result<BoxStream<'static, pb::AppendResponse>, Refused> {
        let Some(Ok(first)) = input.next().await else {
            return Err(Unanswered::NoMessage.into());
        };
        self.trust.check_leader(&first).await?;
        let raft = self.raft.clone();
        let (receipts, received) = watch::channel(0);
        let requests = self.clone().appends(first, pieces::gathered(input, receipts));
        let answers = raft.stream_append(requests);
        let answers = answers.scan((), |(), answer| {
            futures::future::ready(match answer {
                Ok(answer) => Some(convert::append_result_to_pb::<E::Rt>(&answer)),
                Err(error) => {
                    tracing::debug!(%error, "append stream ended");
                    None
                }
            })
        });
        Ok(pieces::with_receipts(answers, received))
    }

    /// Checked requests; ends at the first that makes no sense.
    fn appends(
        self: Arc<Self>,
        first: pb::AppendRequest,
        input: Incoming<pb::AppendRequest>,
    ) -> impl Stream<Item = AppendEntriesRequest<Config<E>>> + Send + 'static {
        stream::once(futures::future::ready(Ok(first))).chain(input).scan((), move |(), request| {
            let checked = request.ok().and_then(|request| {
                let clock_ms = request.clock_ms;
                if let Err(what) = self.trust.check_append(&request) {
                    tracing::error!(%what, "an append was refused");
                    return None;
                }
                match convert::append_from_pb::<E::Rt>(request) {
                    Ok(request) => {
                        self.hear_clock(clock_ms);
                        self.hear_leader(request.vote.leader_id.term);
                        Some(request)
                    }
                    Err(what) => {
                        tracing::error!(what = what.0, "malformed append from the leader");
                        None
                    }
                }
            });
            futures::future::ready(checked)
        })
    }

    /// Runs that a follower forwards, and their answers in whatever order they come.
    pub(crate) async fn serve_forwards(
        self: Arc<Self>,
        mut input: Incoming<pb::ForwardRequest>,
    ) -> Result<BoxStream<'static, pb::ForwardResponse>, Refused> {
        let Some(Ok(first)) = input.next().await else {
            return Err(Unanswered::NoMessage.into());
        };
        let from = self.trust.check(first.envelope.as_ref()).await?;
        let fenced = self.group.process.fence(from, first.stream)?;
        let incarnation = first.envelope.as_ref().map_or(0, |envelope| envelope.incarnation);
        let (answers, given) = mpsc::unbounded_channel();
        let this = self.clone();
        let requests = stream::once(futures::future::ready(Ok(first))).chain(input);
        let from = (from, incarnation);
        E::spawn(async move {
            this.take_forwarded(from, requests.boxed(), &answers, &fenced).await;
        });
        let responses = stream::unfold(given, |mut given| async move {
            let mut answers = Vec::new();
            if given.recv_many(&mut answers, ANSWERS_MAX).await == 0 {
                return None;
            }
            Some((pb::ForwardResponse { answers }, given))
        });
        Ok(responses.boxed())
    }

    async fn take_forwarded(
        &self,
        from: (u64, u64),
        mut input: Incoming<pb::ForwardRequest>,
        answers: &mpsc::UnboundedSender<pb::ForwardAnswer>,
        fenced: &Arc<AtomicBool>,
    ) {
        loop {
            let request = match input.next().await {
                Some(Ok(request)) => request,
                // Half-closed: the follower still listens for answers.
                None => return,
                // Broken: nobody listens, and whoever sent these holds them for uncertain.
                Some(Err(_)) => return fenced.store(true, Ordering::Release),
            };
            for run in request.runs {
                let remote =
                    Remote { id: run.id, answers: answers.clone(), fenced: fenced.clone() };
                match work_from(from, run, Slot::Remote(remote)) {
                    // Not behind what waits for that script.
                    Ok((Work::KillScript(function), slot)) => {
                        let killed = self.group.writes.script.kill(function).number();
                        slot.answer(End::Applied(Shown::up_to(killed), Bytes::new()));
                    }
                    Ok((work, slot)) if self.group.leadership.leads() => {
                        self.group.writes.queue.push(work, slot, self.group.process.env.elapsed());
                    }
                    Ok((_, slot)) | Err(slot) => {
                        slot.answer(End::NotApplied(NotApplied::NoLeader));
                    }
                }
            }
        }
    }

    /// The leader says that this replica is not as a majority is.
    async fn serve_diverged(&self, request: pb::DivergedRequest) -> Result<Response, Refused> {
        let from = self.trust.check(request.envelope.as_ref()).await?;
        if self.group.leadership.leader() != Some(from) {
            return Err(Unanswered::NotLeader(from).into());
        }
        self.group.process.failure.diverge(request.what);
        Ok(Response::Diverged(pb::DivergedResponse {}))
    }

    /// Receives a snapshot and lets Raft install it.
    pub(crate) async fn serve_snapshot(
        &self,
        input: Incoming<pb::SnapshotChunk>,
    ) -> Result<pb::SnapshotResponse, Refused> {
        self.receiver.clone().serve_snapshot(&self.trust, input).await
    }
}
