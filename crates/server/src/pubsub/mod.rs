//! Who listens to which channel on this node, and the way of a message to them.
//!
//! A session joins and leaves by its [`Subscriptions`]; a message is encoded once for each protocol
//! and table entry, and all sessions share those bytes until they go into a socket. Nobody waits:
//! a session that does not take its messages is closed by the limits of its output
//! ([`Peer::push`]) and holds up neither the publisher nor other subscribers. Messages of other
//! nodes come in by the bus of the replica; nothing here knows where one is from.

mod events;
mod subscriptions;
mod table;

pub(crate) use subscriptions::Subscriptions;

use crate::clients::Peer;
use bytes::Bytes;
use quorate_consensus::{Interest, Kind, Message};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use table::Table;

/// The words in front of a message, by its kind.
const WORDS: [&[u8]; 3] = [b"message", b"pmessage", b"smessage"];

/// The subscribers of this node.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    tables: Mutex<[Table; 3]>,
    /// Subscriptions of all sessions. While it is 0, as mostly, an event costs one load.
    count: AtomicUsize,
    /// What other nodes are told of this.
    interest: Arc<Interest>,
}

/// The table of a kind.
fn of(tables: &mut [Table; 3], kind: Kind) -> &mut Table {
    let [channels, patterns, shards] = tables;
    match kind {
        Kind::Channel => channels,
        Kind::Pattern => patterns,
        Kind::Shard => shards,
    }
}

impl Hub {
    /// Where it tells who listens.
    pub(crate) fn told(&self) -> Arc<Interest> {
        Arc::clone(&self.interest)
    }

    /// What is known of all nodes' subscribers.
    pub(crate) fn interest(&self) -> &Interest {
        &self.interest
    }

    fn lock(&self) -> MutexGuard<'_, [Table; 3]> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody listens to anything here. One load.
    pub(crate) fn has_any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Adds a subscriber that is none yet.
    fn join(&self, kind: Kind, name: &Bytes, peer: &Arc<Peer>) {
        let mut tables = self.lock();
        let now = of(&mut tables, kind).join(name, peer);
        self.count.fetch_add(1, Relaxed);
        // Told under the lock, so that other nodes hear of changes in their order.
        self.interest.set(kind, name, now);
    }

    /// Removes one that is a subscriber.
    fn leave(&self, kind: Kind, name: &Bytes, peer: &Peer) {
        let mut tables = self.lock();
        let now = of(&mut tables, kind).leave(name, peer);
        self.count.fetch_sub(1, Relaxed);
        self.interest.set(kind, name, now);
    }

    /// Hands a message to everybody here who listens: to the channel itself first, then to
    /// patterns, as Redis does.
    pub(crate) fn deliver(&self, message: &Message) {
        if !self.has_any() {
            return;
        }
        let [word, word_by_pattern, word_of_shard] = WORDS;
        let (channel, payload) = (&message.channel[..], &message.payload[..]);
        let tables = self.lock();
        let [channels, patterns, shards] = &*tables;
        if message.shard {
            return shards.send(channel, &[word_of_shard, channel, payload]);
        }
        channels.send(channel, &[word, channel, payload]);
        patterns.send_matching(channel, &|pattern| [word_by_pattern, pattern, channel, payload]);
    }

    /// Channels (or channels of shards) that have subscribers on any node, in order.
    pub(crate) fn names(&self, kind: Kind) -> BTreeSet<Bytes> {
        self.interest.names(kind)
    }
}

#[cfg(test)]
mod tests;
