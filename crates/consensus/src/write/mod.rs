//! The way of a write: a queue, and who takes from it. On the leader the proposer seals a batch and
//! proposes it, on a follower the forwarder sends it to the leader. Whoever waits for a write is
//! answered exactly once, wherever the write was.

pub(crate) mod blocked;
mod desk;
pub(crate) mod forward;
pub(crate) mod in_flight;
pub(crate) mod proposer;
pub(crate) mod queue;
pub(crate) mod scripts;
mod waiters;

use crate::lock::lock;
use crate::write::in_flight::InFlight;
use crate::write::queue::{Proposed, Queue};
use crate::write::scripts::Running;
use crate::write::waiters::Waiters;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

/// The writes of a group that are not answered yet, wherever they are.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// What waits to be proposed or forwarded.
    pub(crate) queue: Queue,
    /// What was proposed and is not applied.
    pub(crate) proposed: Proposed,
    /// Sessions of this process that wait until there is something for them.
    pub(crate) waiters: Waiters,
    /// The script that runs, if one does.
    pub(crate) script: Arc<Running>,
    /// What is on its way to the leader. Written by the forwarder.
    in_flight: Mutex<Option<Arc<InFlight>>>,
    pub(crate) figures: Figures,
}

/// Counted since this process began.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Entries proposed here.
    pub(crate) entries: AtomicU64,
    /// Commands in them.
    pub(crate) commands: AtomicU64,
    /// Batches sealed; makes seeds unique.
    pub(crate) batches: AtomicU64,
    /// Sessions of any node that wait here, where this replica leads.
    pub(crate) parked: AtomicUsize,
    /// Forward streams opened.
    pub(crate) streams: AtomicU64,
}

impl Writes {
    /// What is on its way to the leader, if a stream was ever opened.
    pub(crate) fn in_flight(&self) -> Option<Arc<InFlight>> {
        lock(&self.in_flight).clone()
    }

    /// From now on this is what is on its way.
    fn fly(&self, in_flight: Arc<InFlight>) {
        *lock(&self.in_flight) = Some(in_flight);
    }
}
