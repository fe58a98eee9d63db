//! What one session listens to.
//!
//! It is the session's own, so nobody waits to count or to name it. It is left as a whole when the
//! session ends, however it ends.

use super::Hub;
use crate::clients::Peer;
use bytes::Bytes;
use quorate_consensus::Kind;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes that a subscription takes besides its name, here and in the tables, about.
const EACH_BYTES: usize = 256;

/// The subscriptions of a session.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    hub: Arc<Hub>,
    peer: Arc<Peer>,
    /// Channels, patterns, channels of shards.
    names: [BTreeSet<Bytes>; 3],
    bytes: usize,
}

impl Subscriptions {
    /// None yet.
    pub(crate) fn new(hub: &Arc<Hub>, peer: &Arc<Peer>) -> Self {
        let (hub, peer) = (Arc::clone(hub), Arc::clone(peer));
        Self { hub, peer, names: Default::default(), bytes: 0 }
    }

    fn of(&self, kind: Kind) -> &BTreeSet<Bytes> {
        let [channels, patterns, shards] = &self.names;
        match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shards,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut BTreeSet<Bytes> {
        let [channels, patterns, shards] = &mut self.names;
        match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shards,
        }
    }

    /// Whether there is any: the client then counts as a subscriber.
    pub(crate) fn any(&self) -> bool {
        self.bytes > 0
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number in replies about this kind: channels and patterns count as one, shards apart.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => {
                self.of(Kind::Channel).len() + self.of(Kind::Pattern).len()
            }
            Kind::Shard => self.of(Kind::Shard).len(),
        }
    }

    /// Subscribes, unless it is so already.
    pub(crate) fn join(&mut self, kind: Kind, name: &[u8]) {
        if self.of(kind).contains(name) {
            return;
        }
        let name = Bytes::copy_from_slice(name);
        self.hub.join(kind, &name, &self.peer);
        self.bytes += name.len() + EACH_BYTES;
        self.of_mut(kind).insert(name);
        self.show();
    }

    /// Unsubscribes, if it is subscribed.
    pub(crate) fn leave(&mut self, kind: Kind, name: &[u8]) {
        let Some(name) = self.of_mut(kind).take(name) else { return };
        self.hub.leave(kind, &name, &self.peer);
        self.bytes -= name.len() + EACH_BYTES;
        self.show();
    }

    /// The names of a kind, in order.
    pub(crate) fn names(&self, kind: Kind) -> Vec<Bytes> {
        self.of(kind).iter().cloned().collect()
    }

    /// Leaves everything.
    pub(crate) fn leave_all(&mut self) {
        for kind in Kind::ALL {
            for name in std::mem::take(self.of_mut(kind)) {
                self.hub.leave(kind, &name, &self.peer);
            }
        }
        self.bytes = 0;
        self.show();
    }

    /// Shows others what there is.
    fn show(&self) {
        for (shown, names) in self.peer.subscriptions.iter().zip(&self.names) {
            shown.store(names.len(), Relaxed);
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.leave_all();
    }
}
