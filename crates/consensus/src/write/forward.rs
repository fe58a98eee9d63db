//! The forwarder: a follower hands its sessions' runs to the leader over one long stream.
//!
//! Runs carry ids; an answer names its run, so replies cannot cross. A run that the leader did not
//! append comes back and is routed again; when the stream breaks, what was on its way is uncertain
//! (the leader may have appended it), and what never left is routed again. Sessions that wait at
//! the leader are told, and register again by themselves. Nothing leaves before the leader has
//! accepted the stream. There is one stream at a time: before runs go elsewhere,
//! those on the old stream are waited for a moment, so that the runs of one session stay in order
//! across a change of leader.

use crate::api::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, NotApplied, OPEN_MAX, Shown};
use crate::env::Env;
use crate::lock::lock;
use crate::peer::transport::{PeerId, Transport, TransportError};
use crate::process::Process;
use crate::proto as pb;
use crate::write::Writes;
use crate::write::in_flight::InFlight;
use crate::write::queue::{End, Slot, Work};
use futures::future::{Either, select};
use futures::stream::{self, StreamExt};
use quorate_engine::{Db, Guard, Registration, Run, RunKind, Waiter};
use quorate_resp::Proto;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long runs on an old stream are waited for.
const SETTLE_MAX: Duration = Duration::from_millis(300);
/// Pause after the leader sent something back.
const RETRY: Duration = Duration::from_millis(10);
/// Most runs on their way. Beyond it they wait in the queue, which is bounded in bytes.
const OUTSTANDING_MAX: usize = 16_384;

/// See the module.
pub(crate) struct Forwarder<E: Env> {
    process: Arc<Process<E>>,
    writes: Arc<Writes>,
    link: Option<Link>,
    next_id: u64,
}

struct Link {
    leader: PeerId,
    requests: mpsc::UnboundedSender<pb::ForwardRequest>,
    way: Arc<InFlight>,
}

impl<E: Env> Forwarder<E> {
    pub(crate) fn new(process: Arc<Process<E>>, writes: Arc<Writes>) -> Self {
        Self { process, writes, link: None, next_id: 1 }
    }

    /// Sends what waits to the leader.
    pub(crate) async fn send(&mut self, leader: &PeerId) {
        self.settle(Some(leader)).await;
        let writes = self.writes.clone();
        if self.link.is_none() {
            self.link = Some(open(&self.process, &writes, leader.clone()));
        }
        let Some(link) = &self.link else { return };
        if link.way.sent_back.swap(false, Ordering::AcqRel) {
            return E::sleep(RETRY).await;
        }
        if link.way.len() >= OUTSTANDING_MAX {
            return writes.queue.changed().await;
        }
        let mut runs = Vec::new();
        for item in writes.queue.take(BATCH_BYTES_MAX, BATCH_COMMANDS_MAX) {
            let Some(run) = forward_run(self.next_id, &item.work) else {
                item.slot.answer(End::NotApplied(NotApplied::NoLeader));
                continue;
            };
            runs.push(run);
            lock(&link.way.items).insert(self.next_id, item);
            self.next_id += 1;
        }
        let request = pb::ForwardRequest { envelope: None, stream: 0, runs };
        if let Err(mpsc::error::SendError(request)) = link.requests.send(request) {
            // The stream has just ended and these never left.
            for run in request.runs {
                if let Some(item) = lock(&link.way.items).remove(&run.id) {
                    writes.queue.put_back(item);
                }
            }
            E::sleep(RETRY).await;
        }
    }

    /// Drops the stream unless it leads to `keep`, after waiting a moment for what is on its way.
    /// Tells whether there was something to drop; then the queue may have grown.
    pub(crate) async fn settle(&mut self, keep: Option<&PeerId>) -> bool {
        let stays =
            |link: &Link| !link.way.ended.load(Ordering::Acquire) && keep == Some(&link.leader);
        let Some(Link { requests, way, .. }) = self.link.take_if(|link| !stays(link)) else {
            return false;
        };
        // The request side ends; the leader answers what it has and then ends, too.
        drop(requests);
        let (process, writes) = (self.process.clone(), self.writes.clone());
        let settled = async {
            while !way.ended.load(Ordering::Acquire) && way.len() > 0 {
                writes.queue.changed().await;
            }
        };
        if E::within(SETTLE_MAX + process.links.round_trip() * 2, settled).await.is_none() {
            way.abandon.notify_one();
            while !way.ended.load(Ordering::Acquire) {
                writes.queue.changed().await;
            }
        }
        writes.queue.wake();
        true
    }
}

/// A run as it travels. No commands: a cut is asked for.
fn forward_run(id: u64, work: &Work) -> Option<pb::ForwardRun> {
    match work {
        Work::Run(run) => Some(pb::ForwardRun {
            id,
            wait: match &run.kind {
                RunKind::Wait(Registration { waiter, since_ms, applied, .. }) => {
                    let (since_ms, applied) = (*since_ms, *applied);
                    Some(pb::ForwardWait { id: waiter.id, since_ms, applied })
                }
                RunKind::Commands | RunKind::Transaction(_) => None,
            },
            give_up: 0,
            kill_script: 0,
            db: u32::from(run.db.0),
            proto: match run.proto {
                Proto::Resp2 => 2,
                Proto::Resp3 => 3,
            },
            count: run.count,
            commands: run.commands.clone(),
            transaction: matches!(run.kind, RunKind::Transaction(_)),
            guards: match &run.kind {
                RunKind::Transaction(guards) => guards.iter().map(guard_to).collect(),
                RunKind::Commands | RunKind::Wait(_) => Vec::new(),
            },
        }),
        Work::Cut => Some(pb::ForwardRun { id, count: 0, ..Default::default() }),
        Work::GiveUp(waiter) => {
            Some(pb::ForwardRun { id, give_up: waiter.id, ..Default::default() })
        }
        Work::KillScript(function) => {
            let kill_script = if *function { 2 } else { 1 };
            Some(pb::ForwardRun { id, kill_script, ..Default::default() })
        }
        Work::Tick | Work::Fact(_) => None,
    }
}

fn open<E: Env>(process: &Arc<Process<E>>, writes: &Arc<Writes>, leader: PeerId) -> Link {
    let (requests, queued) = mpsc::unbounded_channel();
    let way = Arc::new(InFlight::default());
    writes.fly(way.clone());
    let number = writes.figures.streams.fetch_add(1, Ordering::Relaxed) + 1;
    let first = pb::ForwardRequest {
        envelope: Some(process.envelope(leader.node)),
        stream: number,
        runs: Vec::new(),
    };
    let (process, writes) = (process.clone(), writes.clone());
    let (to, on) = (leader.clone(), way.clone());
    E::spawn(async move {
        exchange((&process, &writes), &to, (first, queued), &on).await;
        finish(&writes, &on);
    });
    Link { leader, requests, way }
}

/// Runs the stream to its end.
async fn exchange<E: Env>(
    (process, writes): (&Process<E>, &Writes),
    leader: &PeerId,
    (first, queued): (pb::ForwardRequest, mpsc::UnboundedReceiver<pb::ForwardRequest>),
    way: &Arc<InFlight>,
) {
    let (accept, accepted) = oneshot::channel::<()>();
    let leaving = way.clone();
    let rest = stream::unfold((queued, Some(accepted)), |(mut queued, accepted)| async move {
        if let Some(accepted) = accepted {
            // A leader that has not answered the opening is given nothing.
            accepted.await.ok()?;
        }
        queued.recv().await.map(|request| (request, (queued, None)))
    })
    .map(move |request| leaving.depart(request));
    let requests = stream::once(async { first }).chain(rest).boxed();
    let connect = process.env.transport().forward_stream(leader, requests);
    let mut answers = match E::within(OPEN_MAX + process.links.round_trip() * 2, connect).await {
        Some(Ok(answers)) => answers,
        Some(Err(TransportError::Refused(what))) => {
            return tracing::warn!(%what, "the leader refuses forwarded runs");
        }
        Some(Err(TransportError::Unreachable(_))) | None => return,
    };
    let _ = accept.send(());
    loop {
        let abandoned = pin!(way.abandon.notified());
        match select(answers.next(), abandoned).await {
            Either::Left((Some(Ok(response)), _)) => {
                response.answers.into_iter().for_each(|answer| take_answer(writes, way, answer));
                writes.queue.wake();
            }
            Either::Left(_) | Either::Right(_) => return,
        }
    }
}

fn take_answer(writes: &Writes, way: &InFlight, answer: pb::ForwardAnswer) {
    use pb::forward_answer::Result as Pb;
    let item = lock(&way.items).remove(&answer.id);
    let Some(item) = item.or_else(|| lock(&way.parked).remove(&answer.id)) else { return };
    match answer.result {
        Some(Pb::Parked(since_ms)) => {
            if let Some(registration) = item.work.waits() {
                writes.waiters.registered(registration.waiter.id, since_ms);
                lock(&way.parked).insert(answer.id, item);
            }
        }
        Some(Pb::NotLeader(_)) if item.work.waits().is_some() => {
            way.sent_back.store(true, Ordering::Release);
            item.slot.answer(End::NotApplied(NotApplied::NoLeader));
        }
        Some(Pb::Replies(replies)) => {
            let shown = Shown { index: answer.index, commands: (answer.first, answer.count) };
            item.slot.answer(End::Applied(shown, replies));
        }
        Some(Pb::NotLeader(_)) => {
            way.sent_back.store(true, Ordering::Release);
            writes.queue.put_back(item);
        }
        Some(Pb::Uncertain(_)) | None => item.slot.answer(End::Uncertain),
    }
}

/// The stream has ended: what never left is routed again, the rest is uncertain.
fn finish(writes: &Writes, way: &InFlight) {
    let (left, items) = {
        let mut items = lock(&way.items);
        (way.left.load(Ordering::Acquire), std::mem::take(&mut *items))
    };
    for (id, item) in items {
        if id > left {
            writes.queue.put_back(item);
        } else {
            item.slot.answer(End::Uncertain);
        }
    }
    for item in std::mem::take(&mut *lock(&way.parked)).into_values() {
        item.slot.answer(End::NotApplied(NotApplied::NoLeader));
    }
    way.ended.store(true, Ordering::Release);
    writes.queue.wake();
}

/// What arrived from a follower, as work of this replica. `from` is the follower and its
/// incarnation.
pub(crate) fn work_from(
    from: (u64, u64),
    run: pb::ForwardRun,
    slot: Slot,
) -> Result<(Work, Slot), Slot> {
    let waiter = |id| Waiter { node: from.0, incarnation: from.1, id };
    match (run.count, run.give_up) {
        (0, _) if run.kill_script > 0 => {
            return Ok((Work::KillScript(run.kill_script > 1), slot));
        }
        (0, 0) => return Ok((Work::Cut, slot)),
        (0, id) => return Ok((Work::GiveUp(waiter(id)), slot)),
        (1.., _) => {}
    }
    let proto = match run.proto {
        2 => Proto::Resp2,
        3 => Proto::Resp3,
        _ => return Err(slot),
    };
    let Some(db) = database(run.db) else { return Err(slot) };
    let kind = match guards_from(run.guards) {
        Some(guards) if run.wait.is_some() && (run.transaction || !guards.is_empty()) => {
            return Err(slot);
        }
        Some(guards) if run.transaction => RunKind::Transaction(guards),
        Some(guards) if guards.is_empty() => match run.wait {
            Some(pb::ForwardWait { id, since_ms, applied }) => {
                let again = since_ms > 0;
                RunKind::Wait(Registration { waiter: waiter(id), since_ms, applied, again })
            }
            None => RunKind::Commands,
        },
        _ => return Err(slot),
    };
    Ok((Work::Run(Run { db, proto, commands: run.commands, count: run.count, kind }), slot))
}

fn database(number: u32) -> Option<Db> {
    u8::try_from(number).ok().filter(|number| *number < Db::COUNT).map(Db)
}

/// What a transaction expects of a key, as it travels.
fn guard_to(guard: &Guard) -> pb::ForwardGuard {
    let Guard { db, key, revision } = guard;
    pb::ForwardGuard { db: db.0.into(), key: key.to_vec().into(), revision: *revision }
}

fn guards_from(guards: Vec<pb::ForwardGuard>) -> Option<Box<[Guard]>> {
    let guard = |pb::ForwardGuard { db, key, revision }| {
        Some(Guard { db: database(db)?, key: key[..].into(), revision })
    };
    guards.into_iter().map(guard).collect()
}
