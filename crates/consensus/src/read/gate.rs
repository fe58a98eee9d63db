//! The read gate: many reads, one barrier.
//!
//! Reads that wait share a *round*: one `ReadIndex` on the leader, or one question to the leader on
//! a follower, then the wait until this replica has applied that far. A read never uses a round
//! that began before it arrived, so what it sees includes every write acknowledged before it was
//! asked. Where a deadline lies between the time of the state and the leader's clock, the leader
//! commits a tick within the round: expiry is then exact and linearizable.

use crate::api::ReadError;
use crate::env::Env;
use crate::leadership::Route;
use crate::lock::lock;
use crate::peer::transport::{PeerId, Request, Response, Transport};
use crate::proto as pb;
use crate::shared::Shared;
use crate::write::queue::{Slot, Work};
use openraft::ReadPolicy;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// How long a barrier is tried, through elections.
const BARRIER_MAX: Duration = Duration::from_secs(2);
/// Turns of the scheduler that pass while more reads arrive.
const PATIENCE_ROUNDS: usize = 4;
/// Pause between two tries.
const RETRY: Duration = Duration::from_millis(10);

/// Who waits for the next round.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    readers: Vec<oneshot::Sender<Result<u64, ReadError>>>,
    closed: bool,
}

impl Reads {
    /// Waits for a round that begins after this call. The index is applied on this replica.
    pub(crate) async fn barrier(&self) -> Result<u64, ReadError> {
        let (done, round) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                return Err(ReadError::Stopping);
            }
            waiting.readers.push(done);
        }
        self.wake.notify_one();
        round.await.unwrap_or(Err(ReadError::Stopping))
    }

    /// Lets the next round grow while it grows: a round costs every replica the same, whether one
    /// read waits for it or a thousand. No timer, only turns of the scheduler.
    async fn patience(&self) {
        let mut length = lock(&self.waiting).readers.len();
        for _ in 0..PATIENCE_ROUNDS {
            tokio::task::yield_now().await;
            let now = lock(&self.waiting).readers.len();
            if now == length {
                return;
            }
            length = now;
        }
    }

    /// Refuses all that wait and all that come.
    pub(crate) fn close(&self) {
        let readers = {
            let mut waiting = lock(&self.waiting);
            waiting.closed = true;
            std::mem::take(&mut waiting.readers)
        };
        self.wake.notify_one();
        drop(readers);
    }
}

/// Runs rounds until the gate is closed.
pub(crate) async fn run<E: Env>(shared: Arc<Shared<E>>) {
    loop {
        shared.reads.wake.notified().await;
        shared.reads.patience().await;
        let readers = {
            let mut waiting = lock(&shared.reads.waiting);
            if waiting.closed {
                return;
            }
            std::mem::take(&mut waiting.readers)
        };
        if readers.is_empty() {
            continue;
        }
        shared.figures.rounds.fetch_add(1, Ordering::Relaxed);
        shared.figures.reads.fetch_add(readers.len() as u64, Ordering::Relaxed);
        let limit = BARRIER_MAX + shared.round_trip() * 8;
        let round = E::within(limit, round(&shared)).await;
        let result = round.ok_or(ReadError::NoQuorum);
        for reader in readers {
            // A reader that was given up is gone.
            let _ = reader.send(result.clone());
        }
    }
}

/// Tries until it succeeds; the caller limits the time.
async fn round<E: Env>(shared: &Shared<E>) -> u64 {
    loop {
        let done = match shared.route() {
            Route::Lead(_) => lead(shared).await,
            Route::Follow(leader) => ask(shared, &leader).await,
            Route::Wait => None,
        };
        match done {
            Some(index) => return index,
            None => E::sleep(RETRY).await,
        }
    }
}

/// On the leader.
async fn lead<E: Env>(shared: &Shared<E>) -> Option<u64> {
    let linearizer = shared.raft()?.get_read_linearizer(ReadPolicy::ReadIndex).await.ok()?;
    let index = linearizer.read_log_id().index();
    shared.applied.reached(index).await;
    if let Some(applied) = current(shared).await {
        // What brought the time there may be an entry behind the index, such as a tick that was on
        // its way: the follower that asks needs it too.
        return Some(index.max(applied));
    }
    // The tick is committed in this term after the reads arrived, which proves the same and more.
    let (slot, ticked) = oneshot::channel();
    shared.queue.push(Work::Tick, Slot::Index(slot), shared.env.elapsed());
    ticked.await.ok()?.ok()
}

/// Whether a key may be due by the leader's clock that is still visible.
pub(crate) async fn tick_due<E: Env>(shared: &Shared<E>) -> bool {
    current(shared).await.is_none()
}

/// The last entry applied, if no key is visible in this state that is due by the leader's clock.
async fn current<E: Env>(shared: &Shared<E>) -> Option<u64> {
    let keyspace = shared.keyspace.read().await;
    let clock = shared.leader_clock();
    let is_past = |deadline| deadline <= clock && keyspace.now_ms() < clock;
    let is_due = keyspace.next_deadline_ms().is_some_and(is_past);
    (!is_due).then(|| keyspace.applied_index())
}

/// On a follower.
async fn ask<E: Env>(shared: &Shared<E>, leader: &PeerId) -> Option<u64> {
    let request = pb::ReadIndexRequest { envelope: Some(shared.envelope(leader.node)) };
    let call = shared.env.transport().call(leader, Request::ReadIndex(request));
    // Its round trip and that of the leader's own round.
    let limit = shared.settings.election_max + shared.round_trip() * 4;
    let answer = E::within(limit, call).await?;
    let Ok(Response::ReadIndex(response)) = answer else { return None };
    let Some(pb::read_index_response::Result::Index(index)) = response.result else { return None };
    shared.clock.hear(response.clock_ms, shared.env.elapsed());
    shared.applied.reached(index).await;
    Some(index)
}

impl<E: Env> Shared<E> {
    /// Answers a follower's question for a read index, and lets the commit index reach it at once.
    pub(crate) async fn read_index(&self, from: u64) -> pb::ReadIndexResponse {
        use pb::read_index_response::Result as Pb;
        let result = match self.route() {
            Route::Lead(_) => self.reads.barrier().await.ok().map(Pb::Index),
            Route::Follow(_) | Route::Wait => None,
        };
        self.tail.gate(from).open();
        let leader = lock(&self.office).leader.as_ref().map_or(0, |leader| leader.node);
        pb::ReadIndexResponse {
            result: Some(result.unwrap_or(Pb::NotLeader(pb::NotLeader { leader }))),
            clock_ms: self.clock.known(self.env.elapsed()).unwrap_or(0),
        }
    }
}
