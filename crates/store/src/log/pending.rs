//! What waits to be written: records in order, and whom they wake.
//!
//! A part of what stands behind the log's short mutex. Appenders push, the writer takes all at once
//! and puts back what a full disk refused.

use crate::log::cache::ENTRY_BYTES;
use crate::{Ack, Entry, Identity, LogId, Vote};
use std::collections::VecDeque;
use std::sync::Arc;

/// A record to write.
pub(crate) enum Record {
    Entry(Entry),
    Vote(Vote),
    Committed(LogId),
    Truncate(Option<LogId>),
    Purge(LogId),
    Identity(Identity),
    Mark,
    /// No record: its ack waits for what was queued before.
    Barrier,
}

impl Record {
    /// Whether somebody waits for it to be durable. The others ride along.
    pub(crate) fn urgent(&self) -> bool {
        !matches!(self, Self::Committed(_) | Self::Mark)
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Entry(entry) => (entry.payload.len() + ENTRY_BYTES) as u64,
            _ => ENTRY_BYTES as u64,
        }
    }
}

/// A queued record.
pub(crate) struct Queued {
    pub(crate) record: Record,
    /// Rises with each record queued.
    pub(crate) ticket: u64,
    pub(crate) ack: Option<Ack>,
}

/// The queue. Invariants:
///
/// - Tickets rise along it by one.
/// - `urgent` says whether somebody waits for one of its records.
/// - `bytes` counts what is in it and what the writer took and has not made durable.
#[derive(Default)]
pub(crate) struct Pending {
    queue: VecDeque<Queued>,
    urgent: bool,
    bytes: u64,
    /// The last ticket given out.
    tickets: u64,
    /// The last flush met a full disk; try again later.
    pub(crate) stalled: bool,
    /// Neither a record nor a foot says yet that what was synced last is durable.
    pub(crate) mark_due: bool,
    /// Called when the queue becomes urgent.
    pub(crate) wake: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Pending {
    /// Nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// It holds something somebody waits for.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Bytes queued and not yet durable.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a record; its ticket.
    pub(crate) fn push(&mut self, record: Record, ack: Option<Ack>) -> u64 {
        self.tickets += 1;
        self.urgent |= record.urgent();
        self.bytes += record.bytes();
        self.queue.push_back(Queued { record, ticket: self.tickets, ack });
        self.tickets
    }

    /// Queues a committed mark; several in a row are one.
    pub(crate) fn push_committed(&mut self, committed: LogId) {
        if let Some(Queued { record: Record::Committed(old), .. }) = self.queue.back_mut() {
            *old = committed;
        } else {
            self.push(Record::Committed(committed), None);
        }
    }

    /// Lets `ack` wait for all that is queued or being written.
    pub(crate) fn attach(&mut self, ack: Ack) {
        match self.queue.back_mut() {
            Some(queued) if queued.ack.is_none() && queued.record.urgent() => {
                queued.ack = Some(ack);
            }
            _ => drop(self.push(Record::Barrier, Some(ack))),
        }
    }

    /// Moves all that is queued into `batch`, which is empty.
    pub(crate) fn take(&mut self, batch: &mut VecDeque<Queued>) {
        std::mem::swap(&mut self.queue, batch);
        self.urgent = false;
    }

    /// Puts the rest of a batch back in front of what was queued meanwhile: the disk is full.
    pub(crate) fn put_back(&mut self, batch: &mut VecDeque<Queued>) {
        batch.append(&mut self.queue);
        std::mem::swap(&mut self.queue, batch);
        self.urgent = self.queue.iter().any(|queued| queued.record.urgent());
        self.stalled = true;
    }

    /// Moves what is queued behind `batch`, for good: nothing is written any more.
    pub(crate) fn give_up(&mut self, batch: &mut VecDeque<Queued>) {
        batch.append(&mut self.queue);
    }

    /// Takes one record that was written off the count of bytes.
    pub(crate) fn note_done(&mut self, queued: &Queued) {
        self.bytes = self.bytes.saturating_sub(queued.record.bytes());
    }
}
