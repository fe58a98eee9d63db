//! The way of a message on this node: to whoever listens here, behind the entry that it names, and
//! into what waits for each peer where somebody listens.
//!
//! Streams are opened in `link` and served in `intake`; both hand messages over here.

use crate::bus::interest::Interest;
use crate::bus::message::Message;
use crate::bus::queue::{Offer, Queue};
use crate::env::Env;
use crate::live::Live;
use crate::lock::lock;
use crate::process::Process;
use crate::raft::tail::Tail;
use crate::read::gate::Gate;
use futures::future::{join_all, pending, select};
use quorate_engine::Effects;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// How long a publisher is held up by peers that take nothing.
const HOLD_MAX: Duration = Duration::from_secs(1);
/// How long a message waits for the entry that it comes behind.
const APPLY_MAX: Duration = Duration::from_secs(1);
/// How long SUBSCRIBE waits for peers to know of it, besides two round trips.
const HEARD_MAX: Duration = Duration::from_secs(1);
/// Bytes of messages that are taken at once.
pub(super) const BATCH_BYTES: usize = 256 << 10;

/// The stream from one peer. Kept by `intake`.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Number of the newest one.
    pub(super) stream: u64,
    /// Since when there is none.
    pub(super) lost: Option<Duration>,
}

/// See [`bus`](crate::bus).
pub(crate) struct Bus<E: Env> {
    pub(super) process: Arc<Process<E>>,
    live: Arc<Live>,
    reads: Arc<Gate>,
    /// Messages of this node's clients to this node's clients that wait for an entry.
    pub(super) local: Arc<Queue>,
    /// What waits to leave, by peers.
    pub(super) links: Mutex<BTreeMap<u64, Arc<Queue>>>,
    /// Streams from peers.
    pub(super) heard: Mutex<BTreeMap<u64, Heard>>,
    /// Rung when the members have changed.
    pub(super) members: Notify,
}

impl<E: Env> Bus<E> {
    pub(crate) fn new(process: Arc<Process<E>>, live: Arc<Live>, reads: Arc<Gate>) -> Self {
        Self {
            process,
            live,
            reads,
            local: Arc::default(),
            links: Mutex::default(),
            heard: Mutex::default(),
            members: Notify::new(),
        }
    }

    pub(super) fn interest(&self) -> &Interest {
        &self.process.audience.interest
    }

    /// The members have changed.
    pub(crate) fn see_members(&self) {
        self.members.notify_one();
    }

    /// An entry was applied: followers where somebody listens to its events, or wants to hear which
    /// keys change, are to apply it at once, and not only when the next one comes.
    pub(crate) fn hasten(&self, effects: &Effects, tail: &Tail) {
        let mut nodes = self.interest().curious();
        if !effects.list.is_empty() {
            nodes.extend(self.interest().listening());
        }
        for node in nodes {
            tail.gate(node).open();
        }
    }

    /// Resolves when every peer that can be reached knows whether anybody listens here, or after a
    /// while: from then on, what is published there comes here.
    pub(crate) async fn announced(&self) {
        let limit = HEARD_MAX + self.process.links.round_trip() * 2;
        let _ = E::within(limit, self.interest().heard()).await;
    }

    /// Sends a message to whoever listens, on this node and on others; how many those are, as far
    /// as is known. It is never refused; it waits a moment where somebody takes nothing.
    pub(crate) async fn publish(&self, message: Message) -> u64 {
        let (interest, now) = (self.interest(), self.process.env.elapsed());
        let receivers = interest.receivers(&message);
        let mut full = Vec::new();
        if !interest.is_own_empty() {
            if self.local.is_idle() && self.live.applied.index() >= message.after {
                self.process.audience.listener.deliver(&message);
            } else if self.local.offer(&message, now) == Offer::Full {
                full.push(self.local.clone());
            }
        }
        for node in interest.listening() {
            let queue = lock(&self.links).get(&node).cloned();
            full.extend(queue.filter(|queue| queue.offer(&message, now) == Offer::Full));
        }
        if !full.is_empty() {
            let all = join_all(full.iter().map(|queue| queue.put(&message, now)));
            if E::within(HOLD_MAX, all).await.is_none() {
                for queue in &full {
                    queue.give_up();
                }
            }
        }
        receivers
    }

    /// Hands on what comes, each message when the entry that it comes behind is applied here.
    pub(super) async fn deliver(&self, queue: &Queue) {
        let mut given_up = 0;
        while let Some(messages) = queue.next(BATCH_BYTES).await {
            for (since, message) in messages {
                self.wait_applied((since, message.after), &mut given_up).await;
                self.process.audience.listener.deliver(&message);
            }
        }
    }

    /// Waits until an entry is applied here, for a second at most since the message came. A replica
    /// that lags further holds up nothing until it has made good what was given up.
    async fn wait_applied(&self, (since, after): (Duration, u64), given_up: &mut u64) {
        let applied = &self.live.applied;
        if applied.index() >= after || applied.index() < *given_up {
            return;
        }
        let left = (since + APPLY_MAX).saturating_sub(self.process.env.elapsed());
        if !self.reach(after, left).await {
            *given_up = after;
        }
    }

    /// Waits until an entry is applied here, for so long; whether it is.
    async fn reach(&self, index: u64, limit: Duration) -> bool {
        let reached = async {
            let asked = async {
                // Whoever asks the leader for a read index learns at once what is committed.
                drop(self.reads.barrier().await);
                pending::<()>().await;
            };
            let _ = select(pin!(self.live.applied.reached(index)), pin!(asked)).await;
        };
        E::within(limit, reached).await.is_some()
    }

    /// Waits until an entry is applied here, for a second at most.
    pub(crate) async fn applied(&self, index: u64) {
        if self.live.applied.index() < index {
            let _ = self.reach(index, APPLY_MAX).await;
        }
    }
}
