//! A round of the read gate: many reads, one barrier.
//!
//! Reads that wait share a *round*: one `ReadIndex` on the leader, or one question to the leader on
//! a follower, then the wait until this replica has applied that far. A read never uses a round
//! that began before it arrived, so what it sees includes every write acknowledged before it was
//! asked. Where a deadline lies between the time of the state and the leader's clock, the leader
//! commits a tick within the round: expiry is then exact and linearizable.

use crate::api::ReadError;
use crate::env::Env;
use crate::group::Group;
use crate::leadership::Route;
use crate::peer::transport::{PeerId, Request, Response};
use crate::proto as pb;
use crate::raft::Raft;
use crate::read::fresh;
use crate::write::queue::Work;
use openraft::ReadPolicy;
use std::time::Duration;

/// How long a barrier is tried, through elections.
const BARRIER_MAX: Duration = Duration::from_secs(2);
/// Pause between two tries.
const RETRY: Duration = Duration::from_millis(10);

/// Runs rounds until the gate is closed.
pub(crate) async fn run<E: Env>(group: Group<E>, raft: Raft<E>) {
    while let Some(readers) = group.reads.next().await {
        let limit = BARRIER_MAX + group.process.links.round_trip() * 8;
        let round = E::within(limit, round(&group, &raft)).await;
        if let Some((_, began)) = round {
            fresh::prove(&group, began);
        }
        let result = round.map(|(index, _)| index).ok_or(ReadError::NoQuorum);
        for reader in readers {
            // A reader that was given up is gone.
            let _ = reader.send(result.clone());
        }
    }
}

/// Tries until it succeeds; the caller limits the time. Gives also when the try began that did.
async fn round<E: Env>(group: &Group<E>, raft: &Raft<E>) -> (u64, Duration) {
    loop {
        let began = group.process.env.elapsed();
        let done = match group.leadership.route() {
            Route::Lead(_) => lead(group, raft).await,
            Route::Follow(leader) => ask(group, &leader).await,
            Route::Wait => None,
        };
        match done {
            Some(index) => return (index, began),
            None => E::sleep(RETRY).await,
        }
    }
}

/// On the leader.
async fn lead<E: Env>(group: &Group<E>, raft: &Raft<E>) -> Option<u64> {
    let linearizer = raft.get_read_linearizer(ReadPolicy::ReadIndex).await.ok()?;
    let index = linearizer.read_log_id().index();
    group.keyspace.applied.reached(index).await;
    if let Some(applied) = group.keyspace.current(|| group.leader_clock()).await {
        // What brought the time there may be an entry behind the index, such as a tick that was on
        // its way: the follower that asks needs it too.
        return Some(index.max(applied));
    }
    // The tick is committed in this term after the reads arrived, which proves the same and more.
    let ticked = group.writes.queue.ask(Work::Tick, group.process.env.elapsed());
    ticked.await.ok()?.ok()
}

/// On a follower.
async fn ask<E: Env>(group: &Group<E>, leader: &PeerId) -> Option<u64> {
    let process = &group.process;
    let request = pb::ReadIndexRequest { envelope: Some(process.envelope(leader.node)) };
    // Its round trip and that of the leader's own round.
    let limit = group.options.election_max + process.links.round_trip() * 4;
    let answer = process.env.call(leader, Request::ReadIndex(request), limit).await;
    let Ok(Response::ReadIndex(response)) = answer else { return None };
    let Some(pb::read_index_response::Result::Index(index)) = response.result else { return None };
    group.clock.hear(response.clock_ms, process.env.elapsed());
    group.keyspace.applied.reached(index).await;
    Some(index)
}

/// Answers a follower's question for a read index, and lets the commit index reach it at once.
pub(crate) async fn read_index<E: Env>(group: &Group<E>, from: u64) -> pb::ReadIndexResponse {
    use pb::read_index_response::Result as Pb;
    let result = match group.leadership.route() {
        Route::Lead(_) => group.reads.barrier().await.ok().map(Pb::Index),
        Route::Follow(_) | Route::Wait => None,
    };
    group.log.tail.gate(from).open();
    let leader = group.leadership.leader().unwrap_or(0);
    pb::ReadIndexResponse {
        result: Some(result.unwrap_or(Pb::NotLeader(pb::NotLeader { leader }))),
        clock_ms: group.clock.known(group.process.env.elapsed()).unwrap_or(0),
    }
}
