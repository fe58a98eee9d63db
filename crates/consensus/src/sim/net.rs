//! The simulated network: every message takes a seeded while, links can be cut one way or both,
//! streams keep their order until they break. A killed process breaks what it held.

use super::rt::{Process, SimRt};
use crate::peer::transport::{
    PeerId, Refused, Request, Response, Service, Transport, TransportError,
};
use crate::proto as pb;
use futures::future::{BoxFuture, Either, select};
use futures::stream::{self, BoxStream, StreamExt};
use openraft::AsyncRuntime;
use openraft_rt_sim::SimInstant;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A stream whose link is cut breaks after this.
const BREAK_AFTER: Duration = Duration::from_secs(2);
/// How often a stalled stream looks whether its link is back.
const STALL_LOOK: Duration = Duration::from_millis(20);

/// xorshift64*, the simulation's own randomness.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Seeds that differ in one bit must not give the same beginnings.
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end.max(1)
    }

    /// True once in `times`.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

struct Host {
    service: Arc<dyn Service>,
    process: Process,
}

struct State {
    random: Random,
    hosts: BTreeMap<String, Host>,
    /// Links that carry nothing, from and to.
    cut: BTreeSet<(String, String)>,
    /// Whether messages are slow and streams break by themselves.
    rough: bool,
    /// The greatest vote each host has given word of: term, and whom it is for.
    votes: BTreeMap<String, (u64, u64)>,
    /// The host that gave the last one.
    last_voter: Option<String>,
    snapshots: Snapshots,
    /// Hosts whose entries stand still on their way out, while everything else passes.
    held: BTreeSet<String>,
    /// Bytes a millisecond on an append stream; 0: any number.
    width: u64,
}

/// Snapshots on their way.
#[derive(Debug, Default)]
struct Snapshots {
    /// Where each began: offset and length.
    begun: Vec<(u64, u64)>,
    /// The next one stops when so many hundredths of it have passed.
    stop_at: Option<u64>,
    /// One has stopped.
    stopped: bool,
}

/// The network; clones share it.
#[derive(Clone)]
pub(crate) struct Net(Arc<Mutex<State>>);

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Random::new(seed),
            hosts: BTreeMap::new(),
            cut: BTreeSet::new(),
            rough: false,
            votes: BTreeMap::new(),
            last_voter: None,
            snapshots: Snapshots::default(),
            held: BTreeSet::new(),
            width: 0,
        })))
    }

    /// A host answers a call for votes: from here on it may not forget how.
    fn voted(&self, host: &str, vote: (u64, u64)) {
        let mut state = self.lock();
        let known = state.votes.entry(host.to_owned()).or_default();
        *known = vote.max(*known);
        state.last_voter = Some(host.to_owned());
    }

    /// What a host has given word of.
    pub(crate) fn vote_of(&self, host: &str) -> Option<(u64, u64)> {
        self.lock().votes.get(host).copied()
    }

    /// Who starts on this host next is another node, which has voted for nobody.
    pub(crate) fn forget_vote(&self, host: &str) {
        self.lock().votes.remove(host);
    }

    /// The host that votes next.
    pub(crate) async fn next_voter(&self) -> String {
        self.lock().last_voter = None;
        loop {
            if let Some(voter) = self.lock().last_voter.take() {
                return voter;
            }
            SimRt::sleep(Duration::from_micros(200)).await;
        }
    }

    /// Where each snapshot that was sent began: offset and length.
    pub(crate) fn snapshots(&self) -> Vec<(u64, u64)> {
        self.lock().snapshots.begun.clone()
    }

    /// Has the next snapshot come to a standstill when `percent` of it have passed.
    #[cfg(test)]
    pub(crate) fn stop_snapshot_at(&self, percent: u64) {
        let snapshots = &mut self.lock().snapshots;
        (snapshots.stop_at, snapshots.stopped) = (Some(percent), false);
    }

    /// Resolves when one stands still. It does so for good.
    #[cfg(test)]
    pub(crate) async fn snapshot_stopped(&self) {
        while !self.lock().snapshots.stopped {
            SimRt::sleep(Duration::from_micros(200)).await;
        }
    }

    /// Lets the chunks of a snapshot arrive, as far as they may.
    fn watch(&self, input: Incoming<pb::SnapshotChunk>) -> Incoming<pb::SnapshotChunk> {
        use pb::snapshot_chunk::Part;
        let (net, mut at, mut stop) = (self.clone(), 0, None::<u64>);
        let watched = input.then(move |chunk| {
            let part = chunk.as_ref().ok().and_then(|chunk| chunk.part.as_ref());
            let stands = match part {
                Some(Part::Head(head)) => {
                    let snapshots = &mut net.lock().snapshots;
                    snapshots.begun.push((head.offset, head.bytes));
                    stop = snapshots.stop_at.take().map(|percent| head.bytes * percent / 100);
                    at = head.offset;
                    false
                }
                Some(Part::Data(data)) => {
                    at += data.len() as u64;
                    stop.is_some_and(|stop| at > stop)
                }
                None => false,
            };
            if stands {
                net.lock().snapshots.stopped = true;
            }
            async move {
                if stands {
                    futures::future::pending::<()>().await;
                }
                chunk
            }
        });
        watched.boxed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn attach(&self, address: &str, service: Arc<dyn Service>, process: Process) {
        self.lock().hosts.insert(address.to_owned(), Host { service, process });
    }

    pub(crate) fn detach(&self, address: &str) {
        let host = self.lock().hosts.remove(address);
        drop(host);
    }

    pub(crate) fn cut(&self, from: &str, to: &str) {
        self.lock().cut.insert((from.to_owned(), to.to_owned()));
    }

    pub(crate) fn heal(&self) {
        let mut state = self.lock();
        state.cut.clear();
        state.held.clear();
    }

    pub(crate) fn set_rough(&self, rough: bool) {
        self.lock().rough = rough;
    }

    /// Entries from this host stand still from now on, as where large packets are lost.
    #[cfg(test)]
    pub(crate) fn hold_entries(&self, from: &str) {
        self.lock().held.insert(from.to_owned());
    }

    /// Append streams carry so many bytes a millisecond.
    #[cfg(test)]
    pub(crate) fn set_width(&self, bytes: u64) {
        self.lock().width = bytes;
    }

    /// An append stream as it leaves its host.
    fn appends(
        &self,
        from: &str,
        input: BoxStream<'static, pb::AppendRequest>,
    ) -> BoxStream<'static, pb::AppendRequest> {
        let (net, from) = (self.clone(), from.to_owned());
        let sent = input.then(move |request| {
            let (net, from) = (net.clone(), from.clone());
            async move {
                let carries = request.piece.is_some() || !request.entries.is_empty();
                while carries && net.lock().held.contains(&from) {
                    SimRt::sleep(STALL_LOOK).await;
                }
                let width = net.lock().width;
                if let Some(ms) = (request.encoded_len() as u64).checked_div(width) {
                    SimRt::sleep(Duration::from_millis(ms)).await;
                }
                request
            }
        });
        sent.boxed()
    }

    fn is_cut(&self, from: &str, to: &str) -> bool {
        self.lock().cut.contains(&(from.to_owned(), to.to_owned()))
    }

    /// How long the next message takes: mostly 0.1 to 0.6 ms, now and then much longer.
    fn delay(&self) -> Duration {
        let mut state = self.lock();
        let slow = state.rough && state.random.one_in(50);
        let micros = 100 + state.random.below(if slow { 100_000 } else { 500 });
        Duration::from_micros(micros)
    }

    fn breaks(&self) -> bool {
        let mut state = self.lock();
        state.rough && state.random.one_in(2000)
    }

    fn host(&self, address: &str) -> Option<(Arc<dyn Service>, Process)> {
        let state = self.lock();
        state.hosts.get(address).map(|host| (host.service.clone(), host.process.clone()))
    }
}

fn unreachable(what: &str) -> TransportError {
    TransportError::Unreachable(what.to_owned())
}

/// One host's way to the others.
#[derive(Clone)]
pub(crate) struct SimTransport {
    pub(crate) net: Net,
    pub(crate) address: String,
}

impl SimTransport {
    /// One message one way, outside of any stream.
    async fn carry(&self, from: &str, to: &str) -> Result<(), TransportError> {
        SimRt::sleep(self.net.delay()).await;
        if self.net.is_cut(from, to) {
            SimRt::sleep(BREAK_AFTER).await;
            return Err(unreachable("cut off"));
        }
        Ok(())
    }

    /// There, served by the other process, and back.
    async fn round<T: Send + 'static>(
        self,
        to: String,
        serve: impl FnOnce(Arc<dyn Service>) -> BoxFuture<'static, Result<T, Refused>> + Send,
    ) -> Result<T, TransportError> {
        self.carry(&self.address, &to).await?;
        let (service, process) = self.net.host(&to).ok_or_else(|| unreachable("refused"))?;
        let (done, answer) = oneshot::channel();
        let serving = serve(service);
        process.enter(|| {
            drop(SimRt::spawn(async move {
                let _ = done.send(serving.await);
            }));
        });
        let answer = answer.await.map_err(|_| unreachable("the peer died"))?;
        self.carry(&to, &self.address).await?;
        answer.map_err(|why| TransportError::Refused(why.to_string()))
    }

    /// A one-way stream: what is sent arrives in order, late, or not at all.
    fn pipe<T: Send + 'static>(&self, from: &str, to: &str) -> (Sender<T>, Incoming<T>) {
        let (items, queued) = mpsc::unbounded_channel::<(SimInstant, Sent<T>)>();
        let (net, from, to) = (self.net.clone(), from.to_owned(), to.to_owned());
        let sender = Sender { net: net.clone(), items, last: None };
        let state = Some((queued, net, from, to));
        let incoming = stream::unfold(state, |state| async move {
            let (mut queued, net, from, to) = state?;
            let Some((at, item)) = queued.recv().await else {
                return Some((Err(unreachable("the peer died")), None));
            };
            SimRt::sleep_until(at).await;
            let mut stalled = Duration::ZERO;
            while net.is_cut(&from, &to) {
                if stalled >= BREAK_AFTER {
                    return Some((Err(unreachable("cut off")), None));
                }
                SimRt::sleep(STALL_LOOK).await;
                stalled += STALL_LOOK;
            }
            if net.breaks() {
                return Some((Err(unreachable("broken")), None));
            }
            match item {
                Sent::Item(item) => Some((Ok(item), Some((queued, net, from, to)))),
                Sent::End => None,
            }
        });
        (sender, incoming.boxed())
    }

    /// Both ways.
    async fn exchange<Q: Send + 'static, A: Send + 'static>(
        self,
        to: String,
        input: BoxStream<'static, Q>,
        serve: impl FnOnce(
            Arc<dyn Service>,
            Incoming<Q>,
        ) -> BoxFuture<'static, Result<BoxStream<'static, A>, Refused>>
        + Send,
    ) -> Result<Incoming<A>, TransportError> {
        self.carry(&self.address, &to).await?;
        let (service, process) = self.net.host(&to).ok_or_else(|| unreachable("refused"))?;
        let (requests, arriving) = self.pipe(&self.address, &to);
        let (responses, answers) = self.pipe(&to, &self.address);
        // The way out ends when nobody listens to the answers any more.
        let (listening, gone) = oneshot::channel::<()>();
        drop(SimRt::spawn(pump(input, requests, gone)));
        let serving = serve(service, arriving);
        let (done, accepted) = oneshot::channel();
        process.enter(|| {
            drop(SimRt::spawn(async move {
                match serving.await {
                    Ok(stream) => {
                        let _ = done.send(Ok(()));
                        let (_never, forever) = oneshot::channel::<()>();
                        pump(stream, responses, forever).await;
                    }
                    Err(why) => drop(done.send(Err(why))),
                }
            }));
        });
        let accepted = accepted.await.map_err(|_| unreachable("the peer died"))?;
        self.carry(&to, &self.address).await?;
        accepted.map_err(|why: Refused| TransportError::Refused(why.to_string()))?;
        let answers = stream::unfold((answers, listening), |(mut answers, listening)| async move {
            answers.next().await.map(|answer| (answer, (answers, listening)))
        });
        Ok(answers.boxed())
    }
}

/// What a receiver of a stream sees.
type Incoming<T> = BoxStream<'static, Result<T, TransportError>>;

enum Sent<T> {
    Item(T),
    End,
}

struct Sender<T> {
    net: Net,
    items: mpsc::UnboundedSender<(SimInstant, Sent<T>)>,
    last: Option<SimInstant>,
}

impl<T> Sender<T> {
    fn send(&mut self, item: Sent<T>) -> bool {
        let at = <SimInstant as openraft::Instant>::now() + self.net.delay();
        let at = self.last.map_or(at, |last| last.max(at));
        self.last = Some(at);
        self.items.send((at, item)).is_ok()
    }
}

/// Moves a stream into a pipe until it ends, nobody receives, or `gone` resolves.
async fn pump<T>(
    mut input: BoxStream<'static, T>,
    mut into: Sender<T>,
    gone: oneshot::Receiver<()>,
) {
    let mut gone = pin!(gone);
    loop {
        let closed = into.items.clone();
        let closed = pin!(closed.closed());
        let listened = select(gone.as_mut(), closed);
        let sent = match select(input.next(), listened).await {
            Either::Left((Some(item), _)) => into.send(Sent::Item(item)),
            Either::Left((None, _)) => {
                into.send(Sent::End);
                return;
            }
            Either::Right(_) => return,
        };
        if !sent {
            return;
        }
    }
}

impl Transport for SimTransport {
    fn call(
        &self,
        to: &PeerId,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        let (this, to) = (self.clone(), to.address.clone());
        let (net, host) = (self.net.clone(), to.clone());
        let binding = matches!(&request, Request::Vote(request) if !request.pre_vote);
        Box::pin(this.round(to, move |service| {
            Box::pin(async move {
                let response = service.call(request).await;
                if let (true, Ok(Response::Vote(response))) = (binding, &response)
                    && let Some(vote) = response.vote.filter(|_| response.granted)
                {
                    net.voted(&host, (vote.term, vote.voted_for));
                }
                response
            })
        }))
    }

    fn append_stream(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::AppendRequest>,
    ) -> BoxFuture<'static, Result<Incoming<pb::AppendResponse>, TransportError>> {
        let (this, to) = (self.clone(), to.address.clone());
        let input = self.net.appends(&self.address, input);
        Box::pin(this.exchange(to, input, |service, input| {
            Box::pin(async move { service.append_stream(input).await })
        }))
    }

    fn forward_stream(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::ForwardRequest>,
    ) -> BoxFuture<'static, Result<Incoming<pb::ForwardResponse>, TransportError>> {
        let (this, to) = (self.clone(), to.address.clone());
        Box::pin(this.exchange(to, input, |service, input| {
            Box::pin(async move { service.forward_stream(input).await })
        }))
    }

    fn bus_stream(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::BusRequest>,
    ) -> BoxFuture<'static, Result<Incoming<pb::BusResponse>, TransportError>> {
        let (this, to) = (self.clone(), to.address.clone());
        Box::pin(this.exchange(to, input, |service, input| {
            Box::pin(async move { service.bus_stream(input).await })
        }))
    }

    fn snapshot(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::SnapshotChunk>,
    ) -> BoxFuture<'static, Result<pb::SnapshotResponse, TransportError>> {
        let (this, to) = (self.clone(), to.address.clone());
        let (requests, arriving) = this.pipe(&this.address, &to);
        let arriving = this.net.watch(arriving);
        let (listening, gone) = oneshot::channel::<()>();
        Box::pin(async move {
            drop(SimRt::spawn(pump(input, requests, gone)));
            let answer = this
                .round(to, |service| Box::pin(async move { service.snapshot(arriving).await }))
                .await;
            drop(listening);
            answer
        })
    }
}
