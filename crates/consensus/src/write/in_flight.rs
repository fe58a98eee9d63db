//! What a follower has sent, or is about to send, to the leader, and is not answered yet. What
//! never left was certainly not appended and may be routed again; what has left may have been, and
//! is uncertain without an answer.

use crate::api::{NotApplied, PROPOSAL_MAX};
use crate::lock::lock;
use crate::peer::links::grace;
use crate::proto as pb;
use crate::write::queue::{End, Item};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// What is on its way to the leader.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    pub(super) items: Mutex<BTreeMap<u64, Item>>,
    /// Sessions that wait at the leader: it answers them when it has something to say, and nothing
    /// else waits for that.
    pub(super) parked: Mutex<BTreeMap<u64, Item>>,
    /// Greatest id given to the transport. What is above it never left. Written under the lock of
    /// `items`, so that a run that is given up either left before or never will.
    pub(super) left: AtomicU64,
    /// The stream has ended; nothing is on its way any more.
    pub(super) ended: AtomicBool,
    /// The leader sent something back: wait a little before sending more.
    pub(super) sent_back: AtomicBool,
    pub(super) abandon: Notify,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        lock(&self.items).len()
    }

    /// Gives up what has been on its way for too long: uncertain if it has left, and not applied
    /// if it has not, which may be said sooner. The longer, the more there is to carry.
    pub(crate) fn give_up(&self, now: Duration, write_timeout: Duration) {
        let (left, old): (u64, Vec<(u64, Item)>) = {
            let mut items = lock(&self.items);
            let left = self.left.load(Ordering::Acquire);
            let carried = grace(items.values().map(|item| item.bytes() as u64).sum());
            let limit = |id| if id > left { write_timeout } else { PROPOSAL_MAX * 2 + carried };
            (left, items.extract_if(.., |id, item| item.since + limit(*id) < now).collect())
        };
        for (id, item) in old {
            let never_left = id > left;
            item.slot.answer(if never_left {
                End::NotApplied(NotApplied::NoLeader)
            } else {
                End::Uncertain
            });
        }
    }

    /// The transport takes a request: its runs leave, but for those that were given up.
    pub(super) fn depart(&self, mut request: pb::ForwardRequest) -> pb::ForwardRequest {
        let items = lock(&self.items);
        request.runs.retain(|run| items.contains_key(&run.id));
        if let Some(run) = request.runs.last() {
            self.left.store(run.id, Ordering::Release);
        }
        request
    }
}
