//! What has to be done now and then, for all sessions at once: idle clients, idle buffers, rates.
//!
//! One timer for the process instead of one for each connection.

use crate::backend::Backend;
use crate::clients::{KILL, Peer, SHRINK};
use crate::evict::evict;
use crate::settings::Tuned;
use crate::shared::Shared;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Time between two rounds.
const ROUND: Duration = Duration::from_millis(250);
/// Seconds a client has to authenticate, when it must.
const AUTH_S: u64 = 10;
/// Buffers above this are looked at every round, smaller ones when the client is idle.
const LARGE_BYTES: usize = 32 << 10;

/// Runs for as long as the process.
pub(crate) async fn run<B: Backend>(node: B, shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(ROUND);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut before, mut bytes_before) = (0, (0, 0));
    loop {
        ticks.tick().await;
        let now = shared.stats.commands_total.load(Relaxed);
        shared.stats.ops_per_second.store(per_second(now, before), Relaxed);
        before = now;
        let stats = &shared.stats;
        let bytes = (stats.bytes_in.load(Relaxed), stats.bytes_out.load(Relaxed));
        stats.bytes_per_second.0.store(per_second(bytes.0, bytes_before.0), Relaxed);
        stats.bytes_per_second.1.store(per_second(bytes.1, bytes_before.1), Relaxed);
        bytes_before = bytes;
        let tuned = shared.tuned();
        for peer in shared.clients.all() {
            tend(&peer, &tuned, &shared);
        }
        // What was left for a client by others is seen here only.
        evict(&shared);
        let cluster = node.peek().await.settings().clone();
        shared.see_cluster(&cluster);
    }
}

/// What a counter that was looked at a round ago gained.
fn per_second(now: u64, before: u64) -> u64 {
    now.saturating_sub(before) * 1000 / ROUND.as_millis() as u64
}

fn tend(peer: &Peer, tuned: &Tuned, shared: &Shared) {
    let idle_s = peer.idle_s();
    let known = peer.authenticated.load(Relaxed);
    let late = !known && tuned.password.is_some() && peer.since.elapsed().as_secs() >= AUTH_S;
    let stays = peer.monitor.load(Relaxed) || peer.replica.load(Relaxed) || peer.is_subscriber();
    let idle = tuned.timeout_s > 0 && idle_s >= tuned.timeout_s && !stays;
    if late || idle {
        peer.signal(KILL);
        return;
    }
    let skip_until_ms = peer.skip_until_ms.load(Relaxed);
    if skip_until_ms > 0 && peer.since.elapsed().as_millis() as u64 > skip_until_ms {
        give_up_skipping(peer, shared);
        return;
    }
    let capacity = peer.held().input;
    let waiting = peer.output.load(Relaxed) + peer.pushed();
    // The signal also makes the session compare what waits with its soft limit.
    if capacity > LARGE_BYTES || (capacity > 0 && idle_s >= 2) || waiting > LARGE_BYTES {
        peer.signal(SHRINK);
    }
}

#[cold]
fn give_up_skipping(peer: &Peer, shared: &Shared) {
    shared.stats.query_limit_closed.fetch_add(1, Relaxed);
    tracing::warn!(id = peer.id, address = %peer.address,
        "closing a client that sends too slowly what is too large to be served");
    peer.signal(KILL);
}
