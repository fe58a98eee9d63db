//! The proposer: one task that takes what waits and sees it through, on the leader by sealing and
//! proposing it, on a follower by forwarding it.
//!
//! One proposal is in flight at a time. Sealing therefore sees everything earlier applied, and
//! whatever arrives meanwhile goes into the next entry: commands per entry are what makes a cluster
//! fast. No timer collects batches; a few rounds of the scheduler pass while the batch still grows.

use crate::api::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, NotApplied, PROPOSAL_MAX, Scripts, Shown};
use crate::clock::Clock;
use crate::env::{Check, Env};
use crate::group::Group;
use crate::leadership::hand_over::HandOver;
use crate::leadership::{Leadership, Route};
use crate::live::Live;
use crate::peer::links::grace;
use crate::process::Process;
use crate::raft::Raft;
use crate::raft::log::RaftLog;
use crate::raft::metrics::{metrics, silence};
use crate::raft::types::{Data, DataKind, Outcome, TermId};
use crate::write::Writes;
use crate::write::desk::{Desk, Entry};
use crate::write::forward::Forwarder;
use crate::write::queue::{Batch, End, Item, Slot, Work, answer};
use crate::write::scripts::{Watcher, budget};
use bytes::Bytes;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::ClientWriteError;
use openraft::{ReadPolicy, ServerState};
use prost::Message;
use quorate_engine::{
    Applied, Plan, Refusal, Run, RunKind, Scripting, SealLimits, Sealed, Stamp, Waiter, Watch,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// Rounds of the scheduler that pass while a batch still grows (c=50: 41.6k to 47-48k SET/s, CPU
/// -10 %).
const PATIENCE_ROUNDS: usize = 4;
/// Due keys removed by one entry besides those it names.
const EXPIRE_MAX: usize = 200;
/// Sealing more bytes is long work: they are copied.
const SEAL_BYTES_MAX: usize = 2 << 20;
/// Above this estimate applying is long work, nanoseconds.
const HEAVY_NS: u64 = 2_000_000;
/// Pause before something is tried again.
const RETRY: Duration = Duration::from_millis(10);
/// How often it is looked who among those who wait is gone.
const SWEEP: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct Proposer<E: Env> {
    process: Arc<Process<E>>,
    clock: Arc<Clock>,
    log: Arc<RaftLog<E>>,
    live: Arc<Live>,
    writes: Arc<Writes>,
    leadership: Arc<Leadership>,
    hand_over: Arc<HandOver<E>>,
    raft: Raft<E>,
    /// A node that was not heard for so long is silent.
    silent: Duration,
    scripts: Scripts,
    desk: Desk,
    /// When those were looked for last whose node is silent.
    swept: Duration,
}

impl<E: Env> Proposer<E> {
    pub(crate) fn new(group: &Group<E>, raft: &Raft<E>, hand_over: Arc<HandOver<E>>) -> Self {
        let Group { process, clock, log, keyspace: live, writes, leadership, options, .. } =
            group.clone();
        Self {
            process,
            clock,
            log,
            live,
            writes,
            leadership,
            hand_over,
            raft: raft.clone(),
            silent: options.election_max,
            scripts: options.scripts,
            desk: Desk::default(),
            swept: Duration::ZERO,
        }
    }

    /// Runs until the queue is closed.
    pub(crate) async fn run(mut self) {
        let mut forwarder = Forwarder::new(self.process.clone(), self.writes.clone());
        while !self.writes.queue.is_closed() {
            let route = self.leadership.route();
            if !self.leadership.leads() && !self.desk.is_empty() {
                self.desk.lose();
                self.writes.figures.parked.store(0, Ordering::Relaxed);
            }
            if self.writes.queue.len() == 0 {
                // What is on its way to one that no longer leads need not wait for that stream to
                // break.
                let settled = match &route {
                    Route::Lead(_) => forwarder.settle(None).await,
                    Route::Follow(leader) => forwarder.settle(Some(leader)).await,
                    Route::Wait => false,
                };
                if !settled {
                    self.writes.queue.changed().await;
                }
                continue;
            }
            match route {
                Route::Lead(term) => {
                    forwarder.settle(None).await;
                    self.propose(term).await;
                }
                Route::Follow(leader) => {
                    self.send_back_forwarded();
                    forwarder.send(&leader).await;
                }
                Route::Wait => {
                    if !self.leadership.leads() {
                        self.send_back_forwarded();
                    }
                    self.writes.queue.changed().await;
                }
            }
        }
        self.desk.lose();
        forwarder.settle(None).await;
    }

    /// What a follower forwarded to a replica that does not lead goes back: it is never forwarded
    /// twice.
    fn send_back_forwarded(&self) {
        for item in self.writes.queue.take_if(|item| item.slot.is_remote()) {
            item.slot.answer(End::NotApplied(NotApplied::NoLeader));
        }
    }

    /// One batch, from the queue to its outcome.
    async fn propose(&mut self, term: u64) {
        self.patience().await;
        self.desk.lead(term);
        let taken = self.writes.queue.take(BATCH_BYTES_MAX, BATCH_COMMANDS_MAX);
        let Took { items, leaving } = self.enter(taken);
        if !items.is_empty() {
            self.propose_batch(term, items).await;
        }
        for (waiter, slot) in leaving {
            self.withdraw(waiter);
            self.desk.leave(waiter, slot);
        }
        self.writes.figures.parked.store(self.desk.len(), Ordering::Relaxed);
    }

    /// Takes back what a session that leaves has asked for, if that came back to the queue: nobody
    /// would be there for what serves it.
    fn withdraw(&self, waiter: Waiter) {
        let is_its = |item: &Item| item.work.waits().is_some_and(|asked| asked.waiter == waiter);
        for item in self.writes.queue.take_if(is_its) {
            item.slot.answer(End::Applied(Shown::default(), Bytes::new()));
        }
    }

    /// Looks at who begins to wait and who waits no longer. Those leave when the batch has its
    /// outcome: what stands before them in it may serve them.
    fn enter(&mut self, taken: Vec<Item>) -> Took {
        let mut took = Took::default();
        let clock = self.clock.leader(&self.process.env);
        if self.process.env.skips(Check::Served) {
            self.desk.forget();
        }
        for mut item in taken {
            if matches!(item.work, Work::KillScript(_)) {
                // What ran has ended before this could be looked at.
                item.slot.answer(End::Applied(Shown::default(), Bytes::new()));
                continue;
            }
            if let Work::GiveUp(waiter) = item.work {
                took.leaving.push((waiter, item.slot));
                continue;
            }
            if let Work::Run(Run { kind: RunKind::Wait(registration), .. }) = &mut item.work {
                if registration.since_ms == 0 {
                    registration.since_ms = clock;
                    if let Slot::Local(_) = item.slot {
                        self.writes.waiters.registered(registration.waiter.id, clock);
                    }
                }
                match self.desk.enter(*registration, item.slot) {
                    Entry::New(slot) => item.slot = slot,
                    Entry::Answered => continue,
                }
            }
            took.items.push(item);
        }
        took
    }

    async fn propose_batch(&mut self, term: u64, mut items: Vec<Item>) {
        let alone = match items.first().map(|item| &item.work) {
            Some(Work::Cut) => Some((DataKind::Cut, Bytes::new())),
            Some(Work::Fact(fact)) => Some((DataKind::Fact, fact.encode_to_vec().into())),
            _ => None,
        };
        if let Some(entry) = alone {
            return self.propose_alone(term, entry, items).await;
        }
        let refusal = self.refusal(&items);
        if refusal == Some(Refusal::DiskFull) && self.hand_over.leaves_for_space() {
            return self.put_back(items).await;
        }
        let Batched { data, plan, taken, waits, cost_ns, commands } =
            self.seal(term, &items, refusal).await;
        for item in items.split_off(taken) {
            self.writes.queue.put_back(item);
        }
        let items = self.park(items, &waits.parked);
        if data.payload.is_empty() {
            return self.answer_unlogged(term, plan, items).await;
        }
        self.writes.figures.commands.fetch_add(u64::from(commands), Ordering::Relaxed);
        let carried = grace(data.payload.len() as u64);
        let limit = PROPOSAL_MAX + carried + Duration::from_nanos(cost_ns.saturating_mul(4));
        match self.commit(term, data, Batch { plan, items }, limit).await {
            Some(index) => self.desk.settle(waits.served, waits.relayed, index),
            // What they were judged by has not happened, or nobody knows.
            None => self.desk.lose(),
        }
    }

    /// Has those wait who have to; the others are left.
    fn park(&mut self, items: Vec<Item>, parked: &[usize]) -> Vec<Item> {
        let (mut number, mut left) = (0, Vec::with_capacity(items.len()));
        for item in items {
            let is_run = matches!(item.work, Work::Run(_));
            match item.work.waits().filter(|_| parked.contains(&number)) {
                Some(registration) => self.desk.park(registration, item.slot),
                None => left.push(item),
            }
            number += usize::from(is_run);
        }
        left
    }

    /// Lets a batch grow while it grows.
    async fn patience(&self) {
        let mut length = self.writes.queue.len();
        for _ in 0..PATIENCE_ROUNDS {
            tokio::task::yield_now().await;
            let now = self.writes.queue.len();
            if now == length {
                return;
            }
            length = now;
        }
    }

    /// Why no write of this batch may be logged, if so.
    fn refusal(&self, items: &[Item]) -> Option<Refusal> {
        if self.live.comparing.is_divided() {
            return Some(Refusal::Divided);
        }
        let bytes = items.iter().map(|item| match &item.work {
            Work::Run(run) => run.commands.len() as u64,
            Work::Tick | Work::Cut | Work::Fact(_) | Work::GiveUp(_) | Work::KillScript(_) => 0,
        });
        self.log.entries.is_full(bytes.sum()).then_some(Refusal::DiskFull)
    }

    /// Nothing of it was logged: it waits for its turn, here or at the next leader.
    async fn put_back(&self, items: Vec<Item>) {
        for item in items {
            self.writes.queue.put_back(item);
        }
        E::sleep(RETRY).await;
    }

    async fn seal(&mut self, term: u64, items: &[Item], refusal: Option<Refusal>) -> Batched {
        let run = |item: &Item| match &item.work {
            Work::Run(run) => Some(run.clone()),
            Work::Tick | Work::Cut | Work::Fact(_) | Work::GiveUp(_) | Work::KillScript(_) => None,
        };
        self.sweep();
        let runs: Vec<Run> = items.iter().filter_map(run).collect();
        let limits = SealLimits { refuse_writes: refusal, expire_max: EXPIRE_MAX };
        let mut seed = self.seed(term);
        let bytes: usize = runs.iter().map(|run| run.commands.len()).sum();
        let keyspace = self.live.read_owned().await;
        let now_ms = self.leader_clock().max(keyspace.now_ms());
        let stamp = Stamp { now_ms, seed };
        let waiting = std::mem::take(&mut self.desk.waiting);
        let work = move || {
            let sealed = quorate_engine::seal_beside(&waiting, &keyspace, &runs, &stamp, &limits);
            (sealed, runs, waiting)
        };
        let env = &self.process.env;
        let (mut sealed, runs, waiting) =
            if bytes > SEAL_BYTES_MAX { env.heavy(work).await } else { work() };
        self.desk.waiting = waiting;
        if sealed.taken < runs.len() {
            sealed = self.rehearse(runs, stamp, limits).await;
        }
        if sealed.cost_ns > HEAVY_NS {
            seed |= Data::HEAVY;
        }
        if sealed.inexact {
            seed |= Data::INEXACT;
        }
        Batched {
            data: Data { kind: DataKind::Commands, now_ms, seed, payload: sealed.payload },
            plan: sealed.plan,
            taken: items_of(items, sealed.taken),
            waits: Waits { parked: sealed.parked, served: sealed.served, relayed: sealed.relayed },
            cost_ns: sealed.cost_ns,
            commands: sealed.commands,
        }
    }

    /// Seals a batch of which one run depends on what another does, or for which somebody waits.
    /// Reads wait meanwhile, here and not on other replicas, and nothing else does.
    async fn rehearse(&mut self, runs: Vec<Run>, stamp: Stamp, limits: SealLimits) -> Sealed {
        let mut keyspace = self.live.write_owned().await;
        let keeps = self.process.env.skips(Check::RollBack);
        let mut waiting = std::mem::take(&mut self.desk.waiting);
        let scripts = self.scripts.clone();
        let watcher = Watcher {
            env: self.process.env.clone(),
            running: self.writes.script.clone(),
            limit: scripts.time,
            server: scripts.server,
        };
        let work = move || {
            let (sealed, garbage) = with_scripts(&scripts, &watcher, &mut |scripting| {
                let state = (&mut *keyspace, &mut waiting);
                quorate_engine::rehearse_with(scripting, state, &runs, &stamp, &limits)
            });
            if keeps {
                let at = Applied { index: keyspace.applied_index() + 1, stamp };
                let _ = quorate_engine::apply(&mut keyspace, at, &sealed.payload, None);
            }
            (sealed, garbage, waiting)
        };
        let (sealed, garbage, waiting) = self.process.env.heavy(work).await;
        self.desk.waiting = waiting;
        self.process.free(garbage);
        sealed
    }

    /// Those whose node is silent, or whose stream is broken, wait no longer. Looked for now and
    /// then: it costs a look at everybody.
    fn sweep(&mut self) {
        let now = self.process.env.elapsed();
        if self.desk.is_empty() || now < self.swept + SWEEP {
            return;
        }
        self.swept = now;
        let (metrics, me) = (metrics(&self.raft), self.process.me.node);
        let limit = self.silent + self.process.links.round_trip() * 2;
        let is_silent =
            |node| node != me && silence::<E>(&metrics, node).is_none_or(|silence| silence > limit);
        self.desk.sweep(is_silent);
    }

    fn leader_clock(&self) -> u64 {
        self.clock.leader(&self.process.env)
    }

    /// Whether a key may be due by the leader's clock that is still visible.
    async fn is_due(&self) -> bool {
        self.live.is_due(|| self.leader_clock()).await
    }

    /// A seed that no other batch of this term has: the mixing below is a bijection of the batch's
    /// number, and the two lowest bits, which carry flags, are not part of it.
    fn seed(&self, term: u64) -> u64 {
        let number = self.writes.figures.batches.fetch_add(1, Ordering::Relaxed);
        let base = self.process.me.node ^ term.rotate_left(32);
        mix62(number.wrapping_add(base)) << 2
    }

    /// Proposes one entry and sees to it that everybody in the batch hears an end; its index, if it
    /// is known to be applied.
    async fn commit(&self, term: u64, data: Data, batch: Batch, limit: Duration) -> Option<u64> {
        let seed = data.seed;
        self.writes.figures.entries.fetch_add(1, Ordering::Relaxed);
        self.writes.proposed.insert(term, seed, batch);
        let (told, mut outcome) = oneshot::channel();
        let write = self.raft.write(data).responder(Outcome(told)).with_leader(TermId::new(term));
        if write.await.is_err() {
            self.end((term, seed), &End::NotApplied(NotApplied::Stopping));
            return None;
        }
        match E::within(limit, &mut outcome).await {
            // Apply has taken the batch and answered.
            Some(Ok(Ok(written))) => return Some(written.log_id.index),
            Some(Ok(Err(ClientWriteError::ForwardToLeader(_)))) => {
                // Definitely not appended: this replica no longer leads, or cannot reach a quorum
                // now.
                let batch = self.writes.proposed.take(term, seed);
                self.put_back(batch.map_or_else(Vec::new, |batch| batch.items)).await;
            }
            Some(Ok(Err(_)) | Err(_)) => self.end((term, seed), &End::Uncertain),
            None => {
                self.end((term, seed), &End::Uncertain);
                // It may still be applied. Nothing is sealed in this term before that is known,
                // also when the quorum that was lost comes back to it.
                while self.leads_in(term) && E::within(RETRY, &mut outcome).await.is_none() {}
            }
        }
        None
    }

    /// Whether Raft still leads in this term, with or without a quorum that answers.
    fn leads_in(&self, term: u64) -> bool {
        let changes = self.raft.server_metrics();
        let now = changes.borrow_watched();
        now.state == ServerState::Leader && now.vote.leader_id.term == term
    }

    /// Tells everybody in a batch that is still open.
    fn end(&self, (term, seed): (u64, u64), end: &End) {
        for item in self.writes.proposed.take(term, seed).into_iter().flat_map(|batch| batch.items)
        {
            item.slot.answer(end.clone());
        }
    }

    /// An entry that holds no commands.
    async fn propose_alone(&self, term: u64, (kind, payload): (DataKind, Bytes), items: Vec<Item>) {
        let data = Data { kind, now_ms: self.leader_clock(), seed: self.seed(term), payload };
        let _ = self.commit(term, data, Batch { plan: Plan::default(), items }, PROPOSAL_MAX).await;
    }

    /// Nothing has to be logged: every write was refused, or nothing was due. Reads that rode along
    /// are answered after a barrier, here and in order, so that no later batch of the same session
    /// overtakes them.
    async fn answer_unlogged(&mut self, term: u64, plan: Plan, items: Vec<Item>) {
        let has_runs = items.iter().any(|item| matches!(item.work, Work::Run(_)));
        if has_runs && !self.barrier(term).await {
            return self.put_back(items).await;
        }
        let replies = {
            let keyspace = self.live.read().await;
            plan.is_of(&keyspace).then(|| plan.answer(&keyspace, !self.seed(term)))
        };
        // The barrier may have committed a tick: then what is known since the seal is old.
        let Some(Ok(replies)) = replies else { return self.put_back(items).await };
        answer(items, self.live.applied.index(), replies, &[]);
    }

    /// A read barrier from within the proposer, which cannot wait for itself to commit a tick
    /// through the queue.
    async fn barrier(&mut self, term: u64) -> bool {
        let Ok(linearizer) = self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await else {
            return false;
        };
        let applied = self.live.applied.reached(linearizer.read_log_id().index());
        if E::within(PROPOSAL_MAX, applied).await.is_none() {
            return false;
        }
        if self.is_due().await {
            let Batched { data, plan, .. } = self.seal(term, &[], self.refusal(&[])).await;
            if !data.payload.is_empty() {
                let batch = Batch { plan, items: Vec::new() };
                let _ = self.commit(term, data, batch, PROPOSAL_MAX).await;
                return !self.is_due().await;
            }
        }
        true
    }
}

/// Does work with what scripts run with, where there is a language.
fn with_scripts<T>(
    scripts: &Scripts,
    watch: &dyn Watch,
    work: &mut dyn FnMut(Option<Scripting<'_>>) -> T,
) -> T {
    let mut done = None;
    if let Some(language) = &scripts.language {
        language.with(&mut |interpreter| {
            let (budget, payload_bytes) = (budget(scripts), scripts.payload_bytes);
            done = Some(work(Some(Scripting { interpreter, budget, payload_bytes, watch })));
        });
    }
    done.unwrap_or_else(|| work(None))
}

/// A sealed batch on its way into an entry.
struct Batched {
    data: Data,
    plan: Plan,
    /// How many items of the batch are in it; the others wait for what these do.
    taken: usize,
    waits: Waits,
    cost_ns: u64,
    commands: u32,
}

/// Who waits, and for whom a batch has something.
struct Waits {
    parked: Vec<usize>,
    served: Vec<Waiter>,
    relayed: Vec<(Waiter, Bytes)>,
}

/// A batch, and who waits no longer.
#[derive(Default)]
struct Took {
    items: Vec<Item>,
    leaving: Vec<(Waiter, Slot)>,
}

/// How many items hold the first so many runs, and what stands between them.
fn items_of(items: &[Item], runs: usize) -> usize {
    let is_run = |item: &Item| matches!(item.work, Work::Run(_));
    let mut numbered = items.iter().enumerate().filter(|(_, item)| is_run(item));
    numbered.nth(runs).map_or(items.len(), |(at, _)| at)
}

/// A bijection on 62 bits (xor-shifts and multiplications by odd numbers, all modulo 2^62).
fn mix62(number: u64) -> u64 {
    const MASK: u64 = (1 << 62) - 1;
    let mut z = number & MASK;
    z = (z ^ (z >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) & MASK;
    z = (z ^ (z >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) & MASK;
    z ^ (z >> 32)
}

#[cfg(test)]
mod tests {
    use super::mix62;

    #[test]
    fn seeds_of_following_numbers_differ_and_fit() {
        let seeds: std::collections::BTreeSet<u64> = (0..10_000).map(mix62).collect();
        assert_eq!(seeds.len(), 10_000);
        assert!(seeds.iter().all(|seed| *seed < 1 << 62));
    }
}
