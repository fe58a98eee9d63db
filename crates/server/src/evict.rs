//! The bound on what all clients together hold (`maxmemory-clients`): beyond it those that hold
//! most are closed.
//!
//! A session shows what it holds whenever that changes, a megabyte at a time while it reads, so the
//! bound is exceeded by little and for as long as a session takes to end. What is being carried out
//! is counted and cannot be taken back: it ends by itself, and its client is the last to go.

use crate::clients::{Held, Peer};
use crate::shared::Shared;
use std::cmp::Reverse;
use std::sync::atomic::Ordering::Relaxed;

/// Who holds no more than this, which anybody may who has just been served, is spared where closing
/// everybody would not be enough: the others are exempt, or have their commands carried out.
const ORDINARY_BYTES: usize = 64 << 10;

/// Closes clients until the others are within the bound.
#[cold]
pub(crate) fn evict(shared: &Shared) {
    let most = shared.clients.bytes_max();
    if most == 0 {
        return;
    }
    let mut peers = shared.clients.all();
    peers.retain(|peer| !peer.evicted.load(Relaxed));
    let mut bytes: usize = peers.iter().map(|peer| peer.bytes()).sum();
    if bytes <= most {
        return;
    }
    // What waits for a replica has a bound of its own.
    let is_exempt = |peer: &Peer| peer.no_evict.load(Relaxed) || peer.replica.load(Relaxed);
    peers.retain(|peer| !is_exempt(peer) && gain(peer) > 0);
    peers.sort_by_cached_key(|peer| (peer.held().run > 0, Reverse(gain(peer))));
    let all: usize = peers.iter().map(|peer| gain(peer)).sum();
    let enough = bytes.saturating_sub(all) <= most;
    for peer in peers {
        if bytes <= most {
            break;
        }
        let gain = gain(&peer);
        if enough || gain > ORDINARY_BYTES {
            close(shared, &peer, gain, bytes);
            bytes -= gain;
        }
    }
}

/// Bytes that closing a client frees at once.
fn gain(peer: &Peer) -> usize {
    let Held { input, output, subscriptions, .. } = peer.held();
    input + output + subscriptions
}

fn close(shared: &Shared, peer: &Peer, held: usize, bytes: usize) {
    tracing::warn!(
        id = peer.id,
        address = %peer.address,
        held,
        bytes,
        "closing the client that holds most: all of them hold more than maxmemory-clients"
    );
    shared.stats.evicted_clients.fetch_add(1, Relaxed);
    shared.clients.give_up(peer);
}
