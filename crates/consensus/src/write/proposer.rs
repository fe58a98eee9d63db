//! The proposer: one task that takes what waits and sees it through, on the leader by sealing and
//! proposing it, on a follower by forwarding it.
//!
//! One proposal is in flight at a time. Sealing therefore sees everything earlier applied, and
//! whatever arrives meanwhile goes into the next entry: commands per entry are what makes a cluster
//! fast. No timer collects batches; a few rounds of the scheduler pass while the batch still grows.

use crate::api::{NotApplied, Role};
use crate::env::Env;
use crate::leadership::Route;
use crate::lock::lock;
use crate::peer::links::grace;
use crate::raft::Raft;
use crate::raft::types::{Data, DataKind, Outcome, TermId};
use crate::read::gate::tick_due;
use crate::shared::Shared;
use crate::write::forward::Forwarder;
use crate::write::queue::{Batch, End, Item, Work};
use crate::write::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, PROPOSAL_MAX};
use bytes::Bytes;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::ClientWriteError;
use openraft::{ReadPolicy, ServerState};
use prost::Message;
use quorate_engine::{Applied, Plan, Refusal, Run, SealLimits, Stamp};
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

/// Runs until the queue is closed.
pub(crate) async fn run<E: Env>(shared: Arc<Shared<E>>) {
    let mut forwarder = Forwarder::new(shared.clone());
    while !shared.queue.is_closed() {
        let route = shared.route();
        if shared.queue.len() == 0 {
            // What is on its way to who no longer leads need not wait for that stream to break.
            let settled = match &route {
                Route::Lead(_) => forwarder.settle(None).await,
                Route::Follow(leader) => forwarder.settle(Some(leader)).await,
                Route::Wait => false,
            };
            if !settled {
                shared.queue.changed().await;
            }
            continue;
        }
        match route {
            Route::Lead(term) => {
                forwarder.settle(None).await;
                propose(&shared, term).await;
            }
            Route::Follow(leader) => {
                send_back_forwarded(&shared);
                forwarder.send(&leader).await;
            }
            Route::Wait => {
                if lock(&shared.office).role != Role::Leader {
                    send_back_forwarded(&shared);
                }
                shared.queue.changed().await;
            }
        }
    }
    forwarder.settle(None).await;
}

/// What a follower forwarded to a replica that does not lead goes back: it is never forwarded
/// twice.
fn send_back_forwarded<E: Env>(shared: &Shared<E>) {
    for item in shared.queue.take_if(|item| item.slot.is_remote()) {
        item.slot.answer(End::NotApplied(NotApplied::NoLeader));
    }
}

/// One batch, from the queue to its outcome.
async fn propose<E: Env>(shared: &Arc<Shared<E>>, term: u64) {
    patience(shared).await;
    let items = shared.queue.take(BATCH_BYTES_MAX, BATCH_COMMANDS_MAX);
    if items.is_empty() {
        return;
    }
    let alone = match items.first().map(|item| &item.work) {
        Some(Work::Cut) => Some((DataKind::Cut, Bytes::new())),
        Some(Work::Fact(fact)) => Some((DataKind::Fact, fact.encode_to_vec().into())),
        _ => None,
    };
    if let Some(entry) = alone {
        return propose_alone(shared, term, entry, items).await;
    }
    let refusal = refusal(shared, &items);
    if refusal == Some(Refusal::DiskFull) && shared.leaves_for_space() {
        return put_back(shared, items).await;
    }
    let Batched { data, plan, cost_ns, commands } = seal(shared, term, &items, refusal).await;
    if data.payload.is_empty() {
        return answer_unlogged(shared, term, plan, items).await;
    }
    shared.figures.commands.fetch_add(u64::from(commands), Ordering::Relaxed);
    let carried = grace(data.payload.len() as u64);
    let limit = PROPOSAL_MAX + carried + Duration::from_nanos(cost_ns.saturating_mul(4));
    commit(shared, term, data, Batch { plan, items }, limit).await;
}

/// Lets a batch grow while it grows.
async fn patience<E: Env>(shared: &Shared<E>) {
    let mut length = shared.queue.len();
    for _ in 0..PATIENCE_ROUNDS {
        tokio::task::yield_now().await;
        let now = shared.queue.len();
        if now == length {
            return;
        }
        length = now;
    }
}

/// A sealed batch on its way into an entry.
struct Batched {
    data: Data,
    plan: Plan,
    cost_ns: u64,
    commands: u32,
}

/// Why no write of this batch may be logged, if so.
fn refusal<E: Env>(shared: &Shared<E>, items: &[Item]) -> Option<Refusal> {
    if shared.comparing.is_divided() {
        return Some(Refusal::Divided);
    }
    let bytes = items.iter().map(|item| match &item.work {
        Work::Run(run) => run.commands.len() as u64,
        Work::Tick | Work::Cut | Work::Fact(_) => 0,
    });
    shared.log.is_full(bytes.sum()).then_some(Refusal::DiskFull)
}

/// Nothing of it was logged: it waits for its turn, here or at the next leader.
async fn put_back<E: Env>(shared: &Shared<E>, items: Vec<Item>) {
    for item in items {
        shared.queue.put_back(item);
    }
    E::sleep(RETRY).await;
}

async fn seal<E: Env>(
    shared: &Shared<E>,
    term: u64,
    items: &[Item],
    refusal: Option<Refusal>,
) -> Batched {
    let run = |item: &Item| match &item.work {
        Work::Run(run) => Some(run.clone()),
        Work::Tick | Work::Cut | Work::Fact(_) => None,
    };
    let runs: Vec<Run> = items.iter().filter_map(run).collect();
    let limits = SealLimits { refuse_writes: refusal, expire_max: EXPIRE_MAX };
    let mut seed = seed(shared, term);
    let bytes: usize = runs.iter().map(|run| run.commands.len()).sum();
    let keyspace = shared.keyspace.clone().read_owned().await;
    let now_ms = shared.leader_clock().max(keyspace.now_ms());
    let stamp = Stamp { now_ms, seed };
    let work = move || quorate_engine::seal(&keyspace, &runs, &stamp, &limits);
    let sealed = if bytes > SEAL_BYTES_MAX { shared.env.heavy(work).await } else { work() };
    if sealed.cost_ns > HEAVY_NS {
        seed |= Data::HEAVY;
    }
    if sealed.inexact {
        seed |= Data::INEXACT;
    }
    Batched {
        data: Data { kind: DataKind::Commands, now_ms, seed, payload: sealed.payload },
        plan: sealed.plan,
        cost_ns: sealed.cost_ns,
        commands: sealed.commands,
    }
}

/// A seed that no other batch of this term has: the mixing below is a bijection of the batch's
/// number, and the two lowest bits, which carry flags, are not part of it.
fn seed<E: Env>(shared: &Shared<E>, term: u64) -> u64 {
    let number = shared.figures.batches.fetch_add(1, Ordering::Relaxed);
    let base = shared.settings.me.node ^ term.rotate_left(32);
    mix62(number.wrapping_add(base)) << 2
}

/// A bijection on 62 bits (xor-shifts and multiplications by odd numbers, all modulo 2^62).
fn mix62(number: u64) -> u64 {
    const MASK: u64 = (1 << 62) - 1;
    let mut z = number & MASK;
    z = (z ^ (z >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) & MASK;
    z = (z ^ (z >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) & MASK;
    z ^ (z >> 32)
}

/// Proposes one entry and sees to it that everybody in the batch hears an end.
async fn commit<E: Env>(shared: &Shared<E>, term: u64, data: Data, batch: Batch, limit: Duration) {
    let Some(raft) = shared.raft() else { return };
    let seed = data.seed;
    shared.figures.entries.fetch_add(1, Ordering::Relaxed);
    shared.proposed.insert(term, seed, batch);
    let (told, mut outcome) = oneshot::channel();
    let write = raft.write(data).responder(Outcome(told)).with_leader(TermId::new(term));
    if write.await.is_err() {
        return end(shared, (term, seed), &End::NotApplied(NotApplied::Stopping));
    }
    match E::within(limit, &mut outcome).await {
        // Apply has taken the batch and answered.
        Some(Ok(Ok(_))) => {}
        Some(Ok(Err(ClientWriteError::ForwardToLeader(_)))) => {
            // Definitely not appended: this replica no longer leads, or cannot reach a quorum now.
            for item in shared.proposed.take(term, seed).into_iter().flat_map(|batch| batch.items) {
                shared.queue.put_back(item);
            }
            E::sleep(RETRY).await;
        }
        Some(Ok(Err(_)) | Err(_)) => end(shared, (term, seed), &End::Uncertain),
        None => {
            end(shared, (term, seed), &End::Uncertain);
            // It may still be applied. Nothing is sealed in this term before that is known, also
            // when the quorum that was lost comes back to it.
            while leads_in(raft, term) && E::within(RETRY, &mut outcome).await.is_none() {}
        }
    }
}

/// Whether Raft still leads in this term, with or without a quorum that answers.
fn leads_in<E: Env>(raft: &Raft<E>, term: u64) -> bool {
    let changes = raft.server_metrics();
    let now = changes.borrow_watched();
    now.state == ServerState::Leader && now.vote.leader_id.term == term
}

/// Tells everybody in a batch that is still open.
fn end<E: Env>(shared: &Shared<E>, (term, seed): (u64, u64), end: &End) {
    for item in shared.proposed.take(term, seed).into_iter().flat_map(|batch| batch.items) {
        item.slot.answer(end.clone());
    }
}

/// An entry that holds no commands.
async fn propose_alone<E: Env>(
    shared: &Shared<E>,
    term: u64,
    (kind, payload): (DataKind, Bytes),
    items: Vec<Item>,
) {
    let seed = seed(shared, term);
    let data = Data { kind, now_ms: shared.leader_clock(), seed, payload };
    commit(shared, term, data, Batch { plan: Plan::default(), items }, PROPOSAL_MAX).await;
}

/// Nothing has to be logged: every write was refused, or nothing was due. Reads that rode along are
/// answered after a barrier, here and in order, so that no later batch of the same session
/// overtakes them.
async fn answer_unlogged<E: Env>(shared: &Shared<E>, term: u64, plan: Plan, items: Vec<Item>) {
    let has_runs = items.iter().any(|item| matches!(item.work, Work::Run(_)));
    if has_runs && !barrier(shared, term).await {
        return put_back(shared, items).await;
    }
    let outcome = {
        let mut keyspace = shared.keyspace.write().await;
        let stamp = Stamp { now_ms: keyspace.now_ms(), seed: seed(shared, term) };
        let at = Applied { index: keyspace.applied_index(), stamp };
        quorate_engine::apply(&mut keyspace, at, &[], Some(&plan))
    };
    let mut replies = outcome.map(|outcome| outcome.replies).unwrap_or_default().into_iter();
    let index = shared.applied.index();
    for item in items {
        let reply = match item.work {
            Work::Run(_) => replies.next().unwrap_or_default(),
            Work::Tick | Work::Cut | Work::Fact(_) => Bytes::new(),
        };
        item.slot.answer(End::Applied(index, reply));
    }
}

/// A read barrier from within the proposer, which cannot wait for itself to commit a tick through
/// the queue.
async fn barrier<E: Env>(shared: &Shared<E>, term: u64) -> bool {
    let Some(raft) = shared.raft() else { return false };
    let Ok(linearizer) = raft.get_read_linearizer(ReadPolicy::ReadIndex).await else {
        return false;
    };
    let applied = shared.applied.reached(linearizer.read_log_id().index());
    if E::within(PROPOSAL_MAX, applied).await.is_none() {
        return false;
    }
    if tick_due(shared).await {
        let Batched { data, plan, .. } = seal(shared, term, &[], refusal(shared, &[])).await;
        if !data.payload.is_empty() {
            let batch = Batch { plan, items: Vec::new() };
            commit(shared, term, data, batch, PROPOSAL_MAX).await;
            return !tick_due(shared).await;
        }
    }
    true
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
