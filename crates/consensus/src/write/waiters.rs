//! Sessions of this process that wait until there is something for them.
//!
//! A waiter is served by an entry that names it (`#p` in the payload), when this replica applies
//! that: whichever leader served it, and whether or not that one lives. What comes for a session
//! that is gone is given back.

use crate::api::{Answer, Shown};
use crate::lock::lock;
use bytes::BytesMut;
use quorate_engine::{Run, give_back};
use quorate_resp::Reply;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    last: AtomicU64,
    table: Mutex<BTreeMap<u64, Waits>>,
    /// What is being given back, and what nobody knows of whether it was.
    returning: AtomicUsize,
}

/// Something is being given back.
pub(super) struct Returning<'w>(&'w Waiters);

impl Returning<'_> {
    /// It is.
    pub(super) fn end(self) {
        self.0.returning.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Waits {
    run: Run,
    /// Since when, by the clock of the leader that it registered with first; 0: with none yet.
    since_ms: u64,
    /// `None`: the session is gone.
    told: Option<oneshot::Sender<Answer>>,
}

impl Waiters {
    /// A session begins to wait; its number here.
    pub(super) fn begin(&self, run: Run) -> (u64, oneshot::Receiver<Answer>) {
        let (told, answer) = oneshot::channel();
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.table).insert(id, Waits { run, since_ms: 0, told: Some(told) });
        (id, answer)
    }

    /// A leader has it wait since this time, unless an earlier one did.
    pub(crate) fn registered(&self, id: u64, since_ms: u64) {
        if let Some(waits) = lock(&self.table).get_mut(&id)
            && waits.since_ms == 0
        {
            waits.since_ms = since_ms;
        }
    }

    /// Since when it waits; 0: since it registers.
    pub(super) fn since_ms(&self, id: u64) -> u64 {
        lock(&self.table).get(&id).map_or(0, |waits| waits.since_ms)
    }

    /// The session is gone, or will take nothing any more.
    pub(super) fn abandon(&self, id: u64) {
        if let Some(waits) = lock(&self.table).get_mut(&id) {
            waits.told = None;
        }
    }

    /// It waits no longer, and nothing comes for it any more.
    pub(super) fn end(&self, id: u64) {
        lock(&self.table).remove(&id);
    }

    /// Something is to be given back.
    pub(super) fn begin_return(&self) -> Returning<'_> {
        self.returning.fetch_add(1, Ordering::Relaxed);
        Returning(self)
    }

    /// What is being given back, and what nobody knows of whether it was.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn returning(&self) -> usize {
        self.returning.load(Ordering::Relaxed)
    }

    /// How many sessions something may come for, or has come that is given back.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn len(&self) -> usize {
        lock(&self.table).len() + self.returning()
    }

    /// Something was for it, in the entry with this index. If nobody takes it: the run that gives
    /// it back.
    pub(crate) fn serve(&self, id: u64, reply: &Reply<'_>, index: u64) -> Option<Run> {
        let Waits { run, told, .. } = lock(&self.table).remove(&id)?;
        if let Some(told) = told {
            let mut out = BytesMut::new();
            reply.encode(run.proto, &mut out);
            if told.send(Answer::Replies(out.freeze(), Shown::up_to(index))).is_ok() {
                return None;
            }
        }
        give_back(&run, reply)
    }
}
