//! The way in: what peers ask of this replica, checked and given to Raft.
//!
//! Every unary request and the first message of every stream carries an envelope, which is checked
//! before anything else. What a peer sends is validated before openraft sees it: openraft trusts
//! its callers and would panic.

use crate::api::{NotApplied, Role};
use crate::env::Env;
use crate::lock::lock;
use crate::membership::members::Start;
use crate::peer::pieces;
use crate::peer::transport::{Request, Response, TransportError};
use crate::proto as pb;
use crate::raft::types::Config;
use crate::raft::{Raft, convert};
use crate::shared::Shared;
use crate::write::forward::work_from;
use crate::write::queue::{End, Remote, Slot};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest};
use quorate_store::LogId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, watch};

/// Answers given to a follower in one message at most.
const ANSWERS_MAX: usize = 4096;

type Incoming<T> = BoxStream<'static, Result<T, TransportError>>;

impl<E: Env> Shared<E> {
    fn running(&self) -> Result<&Raft<E>, String> {
        self.raft().ok_or_else(|| "this replica is still starting".to_owned())
    }

    fn hear_clock(&self, clock_ms: u64) {
        if clock_ms != 0 {
            self.clock.hear(clock_ms, self.env.elapsed());
        }
    }

    /// Heartbeat, Vote, Transfer, `ReadIndex`, Offer.
    pub(crate) async fn serve(self: &Arc<Self>, request: Request) -> Result<Response, String> {
        match request {
            Request::Heartbeat(request) => self.serve_heartbeat(request).await,
            Request::Vote(request) => self.serve_vote(request).await,
            Request::Transfer(request) => self.serve_transfer(request).await,
            Request::ReadIndex(request) => {
                let from = self.check(request.envelope.as_ref())?;
                self.trust(from, None).await?;
                Ok(Response::ReadIndex(self.read_index(from).await))
            }
            Request::Offer(request) => self.serve_offer(request).await.map(Response::Offer),
            Request::Vouch(request) => self.serve_vouch(&request),
            Request::Compare(request) => self.serve_compare(request).await,
            Request::Diverged(request) => self.serve_diverged(request).await,
            Request::Hello(_) | Request::Adopt(_) | Request::Join(_) => {
                Err("not answered here".to_owned())
            }
        }
    }

    async fn serve_heartbeat(&self, request: pb::AppendRequest) -> Result<Response, String> {
        self.check_leader(&request).await?;
        let (clock_ms, round_trip_ms) = (request.clock_ms, request.round_trip_ms);
        let request =
            convert::append_from_pb::<E::Rt>(request).map_err(|what| what.0.to_owned())?;
        self.hear_leader(request.vote.leader_id.term);
        let one = stream::once(futures::future::ready(request));
        let mut answers = Box::pin(self.running()?.stream_append(one));
        let answer = answers.next().await.ok_or("no answer")?;
        let answer = answer.map_err(|error| error.to_string())?;
        self.hear_clock(clock_ms);
        if answer.is_ok() {
            self.hear_round_trip(round_trip_ms);
        }
        let Start { incarnation, nonce } = self.guard.start();
        let answer = convert::append_result_to_pb::<E::Rt>(&answer);
        let disk_full = self.log.is_full(0);
        let facts = pb::AppendResponse { incarnation, start: nonce, disk_full, ..answer };
        Ok(Response::Heartbeat(facts))
    }

    async fn serve_vote(&self, request: pb::VoteRequest) -> Result<Response, String> {
        let from = self.check(request.envelope.as_ref())?;
        let last = request.last.map(|id| LogId { term: id.term, index: id.index });
        self.trust(from, last).await?;
        self.check_term(request.vote.as_ref())?;
        let rpc =
            convert::vote_request_from_pb::<E::Rt>(&request).map_err(|what| what.0.to_owned())?;
        let raft = self.running()?;
        let answer = if request.pre_vote { raft.pre_vote(rpc).await } else { raft.vote(rpc).await };
        let answer = answer.map_err(|error| error.to_string())?;
        let clock = self.clock.known(self.env.elapsed());
        Ok(Response::Vote(pb::VoteResponse {
            vote: Some(convert::vote_to_pb::<E::Rt>(&answer.vote)),
            granted: answer.vote_granted,
            last: answer.last_log_id.map(convert::log_id_to_pb::<E::Rt>),
            clock_ms: clock.unwrap_or(0),
            clock_known: clock.is_some(),
        }))
    }

    async fn serve_transfer(&self, request: pb::TransferRequest) -> Result<Response, String> {
        let from = self.check(request.envelope.as_ref())?;
        self.trust(from, None).await?;
        self.check_term(request.from_leader.as_ref())?;
        let from = convert::vote_from_pb::<E::Rt>(request.from_leader);
        let from = from.map_err(|what| what.0.to_owned())?;
        let last = request.last.map(convert::log_id_from_pb::<E::Rt>);
        let rpc = TransferLeaderRequest::<Config<E>>::new(from, request.to, last);
        let done = self.running()?.handle_transfer_leader(rpc).await;
        match done {
            Ok(Ok(())) => Ok(Response::Transfer(pb::TransferResponse {})),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Appends, until either side ends.
    pub(crate) async fn serve_appends(
        self: Arc<Self>,
        mut input: Incoming<pb::AppendRequest>,
    ) -> Result<BoxStream<'static, pb::AppendResponse>, String> {
        let Some(Ok(first)) = input.next().await else {
            return Err("a stream without a message".to_owned());
        };
        self.check_leader(&first).await?;
        let raft = self.running()?.clone();
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
                if let Err(what) = self.check_append(&request) {
                    tracing::error!(what, "an append was refused");
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
    ) -> Result<BoxStream<'static, pb::ForwardResponse>, String> {
        let Some(Ok(first)) = input.next().await else {
            return Err("a stream without a message".to_owned());
        };
        let from = self.check(first.envelope.as_ref())?;
        self.trust(from, None).await?;
        let fenced = self.fence(from, first.stream)?;
        let (answers, given) = mpsc::unbounded_channel();
        let this = self.clone();
        let requests = stream::once(futures::future::ready(Ok(first))).chain(input);
        E::spawn(async move { this.take_forwarded(requests.boxed(), &answers, &fenced).await });
        let responses = stream::unfold(given, |mut given| async move {
            let mut answers = Vec::new();
            if given.recv_many(&mut answers, ANSWERS_MAX).await == 0 {
                return None;
            }
            Some((pb::ForwardResponse { answers }, given))
        });
        Ok(responses.boxed())
    }

    /// Makes this stream the one that counts for the peer; what came on older ones and is not
    /// sealed is dropped.
    fn fence(&self, from: u64, stream: u64) -> Result<Arc<AtomicBool>, String> {
        let mut heard = lock(&self.heard);
        let peer = heard.entry(from).or_default();
        if stream <= peer.stream {
            return Err(format!("forward stream {stream} of node {from} is not its newest"));
        }
        peer.stream = stream;
        let fenced = Arc::new(AtomicBool::new(false));
        if let Some(older) = peer.fenced.replace(fenced.clone()) {
            older.store(true, Ordering::Release);
        }
        Ok(fenced)
    }

    async fn take_forwarded(
        &self,
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
                match work_from(run, Slot::Remote(remote)) {
                    Ok((work, slot)) if self.leads() => {
                        self.queue.push(work, slot, self.env.elapsed());
                    }
                    Ok((_, slot)) | Err(slot) => {
                        slot.answer(End::NotApplied(NotApplied::NoLeader));
                    }
                }
            }
        }
    }

    /// Whether this replica leads, as far as it knows.
    pub(crate) fn leads(&self) -> bool {
        lock(&self.office).role == Role::Leader
    }
}
