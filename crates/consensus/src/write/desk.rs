//! Those who wait at the leader, and how each is told.
//!
//! Soft state of one term. Whoever waits here registers again when it is told that this replica no
//! longer leads, or when its stream broke. So that nobody is served twice, the desk remembers whom
//! this term has served: a registration says how much its node had applied, and if what served it
//! lies behind that, it will hear of it when it applies it.

use crate::api::{NotApplied, Shown};
use crate::write::queue::{End, Slot};
use bytes::Bytes;
use quorate_engine::{Registration, Waiter, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of what those who wait ask for, at most.
const BYTES_MAX: usize = 64 << 20;
/// So many that were served are remembered before it is looked who need not be.
const SERVED_MIN: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Taken while a batch is rehearsed beside the event loop.
    pub(super) waiting: Waiting,
    slots: BTreeMap<Waiter, Slot>,
    term: u64,
    /// Whom this term has served, and the index of that.
    served: BTreeMap<Waiter, u64>,
    /// What the nodes had applied when they registered last.
    applied: BTreeMap<u64, u64>,
    /// When it is looked next who need not be remembered.
    served_max: usize,
}

/// What becomes of a registration.
pub(super) enum Entry {
    /// It is looked at.
    New(Slot),
    /// It was answered.
    Answered,
}

impl Desk {
    /// Whether there is nobody and nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.served.is_empty()
    }

    /// From now on this term counts.
    pub(super) fn lead(&mut self, term: u64) {
        if term != self.term {
            self.lose();
            self.term = term;
        }
    }

    /// Everybody has to register again: this replica does not lead any more, or what it judged by
    /// did not happen.
    pub(super) fn lose(&mut self) {
        self.waiting.clear();
        self.served.clear();
        self.applied.clear();
        for slot in std::mem::take(&mut self.slots).into_values() {
            slot.answer(End::NotApplied(NotApplied::NoLeader));
        }
    }

    /// The same for those whose stream no longer counts, and for those of nodes that were not heard
    /// lately: their clients are probably gone.
    pub(super) fn sweep(&mut self, is_silent: impl Fn(u64) -> bool) {
        let nodes: BTreeSet<u64> = self.slots.keys().map(|waiter| waiter.node).collect();
        let silent: BTreeSet<u64> = nodes.into_iter().filter(|node| is_silent(*node)).collect();
        let lost = self
            .slots
            .extract_if(.., |waiter, slot| slot.is_fenced() || silent.contains(&waiter.node));
        for (waiter, slot) in lost {
            self.waiting.remove(waiter);
            slot.answer(End::NotApplied(NotApplied::NoLeader));
        }
    }

    /// A session registers.
    pub(super) fn enter(&mut self, registration: Registration, slot: Slot) -> Entry {
        let Registration { waiter, applied, .. } = registration;
        let known = self.applied.entry(waiter.node).or_default();
        *known = applied.max(*known);
        if let Some(index) = self.served.get(&waiter) {
            // Its node will apply that, or has been given a snapshot in its place.
            slot.answer(End::Applied(Shown::up_to(*index), Bytes::new()));
            return Entry::Answered;
        }
        if self.waiting.bytes() > BYTES_MAX {
            let refusal = b"-ERR too many clients wait\r\n";
            slot.answer(End::Applied(Shown::default(), Bytes::from_static(refusal)));
            return Entry::Answered;
        }
        Entry::New(slot)
    }

    /// It waits from now on.
    pub(super) fn park(&mut self, registration: Registration, slot: Slot) {
        slot.parked(registration.since_ms);
        self.slots.insert(registration.waiter, slot);
    }

    /// An entry has served these, and told those of an error.
    pub(super) fn settle(
        &mut self,
        served: Vec<Waiter>,
        relayed: Vec<(Waiter, Bytes)>,
        index: u64,
    ) {
        for waiter in served {
            self.served.insert(waiter, index);
            if let Some(slot) = self.slots.remove(&waiter) {
                slot.answer(End::Applied(Shown::up_to(index), Bytes::new()));
            }
        }
        for (waiter, reply) in relayed {
            if let Some(slot) = self.slots.remove(&waiter) {
                slot.answer(End::Applied(Shown::up_to(index), reply));
            }
        }
        if self.served.len() > self.served_max.max(SERVED_MIN) {
            let applied = &self.applied;
            self.served.retain(|waiter, index| {
                applied.get(&waiter.node).is_none_or(|applied| *index > *applied)
            });
            self.served_max = self.served.len() * 2;
        }
    }

    /// Nobody is remembered as served: for the simulation, which is to notice.
    pub(super) fn forget(&mut self) {
        self.served.clear();
    }

    /// A session gives up: it waits no longer, and `slot` hears what has served it, if anything.
    pub(super) fn leave(&mut self, waiter: Waiter, slot: Slot) {
        if self.waiting.remove(waiter)
            && let Some(parked) = self.slots.remove(&waiter)
        {
            parked.answer(End::Applied(Shown::default(), Bytes::new()));
        }
        let index = self.served.get(&waiter).copied().unwrap_or(0);
        slot.answer(End::Applied(Shown::up_to(index), Bytes::new()));
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}
