//! Snapshots between replicas.
//!
//! The sender asks first how much of this very snapshot the receiver has, and goes on from there
//! (`send`). The receiver writes what comes to its disk, piece by piece, and lets Raft install it
//! once it is whole, verified and decoded (`receive`). What a snapshot is known by is cluster, last
//! log id, length and checksum, so it makes no difference which leader sends it, and neither side's
//! restart costs more than the piece that was on its way.

mod error;
pub(crate) mod receive;
pub(crate) mod scrub;
mod send;
#[cfg(test)]
mod tests;

use quorate_store::{Disk, Incoming};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::{Mutex as Turns, watch};

use crate::lock::lock;
use crate::write::Writes;
use crate::write::queue::Work;

/// What a replica remembers of snapshots on their way, in and out.
pub(crate) struct Transfers<D: Disk> {
    /// Rises when a sender speaks up; whoever still receives for an earlier one stops.
    turn: watch::Sender<u64>,
    /// Held by whoever receives, until what came is installed.
    held: Turns<Held<D>>,
    /// Log indexes behind which nothing may be purged, by the number of the transfer: the receiver
    /// will ask for the entries behind its snapshot.
    holds: Mutex<BTreeMap<u64, u64>>,
    /// Paths of snapshots that were not as they had been written.
    bad: Mutex<BTreeSet<String>>,
}

/// What has come of a snapshot.
enum Held<D: Disk> {
    /// The disk was not looked at yet, or not since something went wrong.
    Unknown,
    Nothing,
    Part(Incoming<D>),
}

impl<D: Disk> Default for Transfers<D> {
    fn default() -> Self {
        Self {
            turn: watch::Sender::new(0),
            held: Turns::new(Held::Unknown),
            holds: Mutex::default(),
            bad: Mutex::default(),
        }
    }
}

impl<D: Disk> Transfers<D> {
    /// Another sender's turn begins; the receiver tells when it is over.
    fn take_turn(&self) -> watch::Receiver<u64> {
        self.turn.send_modify(|turn| *turn += 1);
        self.turn.subscribe()
    }

    /// Up to where the log may be purged while snapshots travel.
    pub(crate) fn purge_limit(&self) -> u64 {
        lock(&self.holds).values().min().copied().unwrap_or(u64::MAX)
    }

    /// Keeps the log behind `index` until [`Transfers::release`].
    fn hold(&self, index: u64) -> u64 {
        let mut holds = lock(&self.holds);
        let number = holds.last_key_value().map_or(0, |(last, _)| last + 1);
        holds.insert(number, index);
        number
    }

    fn release(&self, number: u64) {
        lock(&self.holds).remove(&number);
    }

    fn is_bad(&self, path: &str) -> bool {
        lock(&self.bad).contains(path)
    }

    /// False when that was known.
    fn note_bad(&self, path: &str) -> bool {
        lock(&self.bad).insert(path.to_owned())
    }
}

/// Notes a damaged snapshot and asks for a new one, once.
fn replace_damaged<D: Disk>(
    transfers: &Transfers<D>,
    writes: &Writes,
    (path, now): (&str, Duration),
) {
    if transfers.note_bad(path) {
        tracing::error!(path, "a snapshot is damaged: it is not used, a new one is made");
        drop(writes.queue.ask(Work::Cut, now));
    }
}
