//! Replicas of Redis that follow this node: what INFO, ROLE and CLIENT LIST show of them.
//!
//! A session that follows publishes its figures here with relaxed stores. Redis counts its stream
//! in bytes, and so does a replica of its own; what INFO replication and ROLE show is the log entry
//! that those bytes come to, since every other offset there is an entry of the log.

use crate::clients::Peer;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One that follows.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) peer: Arc<Peer>,
    /// Where it says that it listens.
    pub(crate) host: String,
    pub(crate) port: u16,
    since: Instant,
    /// It has acknowledged something: it has loaded the snapshot.
    pub(crate) online: AtomicBool,
    /// Bytes of the stream that were sent, and that it has.
    pub(crate) sent: AtomicU64,
    pub(crate) acked: AtomicU64,
    /// The last log entry that it has.
    pub(crate) index: AtomicU64,
    /// Bytes that wait for it.
    pub(crate) waiting: AtomicU64,
    /// Milliseconds from `since` to when it was last heard.
    heard_ms: AtomicU64,
}

impl Follower {
    /// One whose snapshot is as of this entry.
    pub(crate) fn new(peer: Arc<Peer>, (host, port): (String, u16), index: u64) -> Self {
        Self {
            peer,
            host,
            port,
            since: Instant::now(),
            online: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            index: AtomicU64::new(index),
            waiting: AtomicU64::new(0),
            heard_ms: AtomicU64::new(0),
        }
    }

    /// It was heard just now.
    pub(crate) fn note_heard(&self) {
        self.heard_ms.store(self.since.elapsed().as_millis() as u64, Relaxed);
    }

    /// Milliseconds since it was heard.
    pub(crate) fn silent_ms(&self) -> u64 {
        let now_ms = self.since.elapsed().as_millis() as u64;
        now_ms.saturating_sub(self.heard_ms.load(Relaxed))
    }

    /// In Redis's words.
    pub(crate) fn state(&self) -> &'static str {
        if self.online.load(Relaxed) { "online" } else { "send_bulk" }
    }
}

/// All of them, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    list: Mutex<Vec<Arc<Follower>>>,
    /// How often one was given everything.
    pub(crate) synced: AtomicU64,
    /// How often one asked to go on where it was, and was given everything instead.
    pub(crate) refused: AtomicU64,
    /// How many were cut off: behind, silent, or because this node's state was replaced.
    pub(crate) cut: AtomicU64,
    /// How many streams there were, so that each has a name of its own.
    names: AtomicU64,
}

impl Followers {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Follower>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, follower: &Arc<Follower>) {
        self.lock().push(Arc::clone(follower));
    }

    pub(crate) fn remove(&self, follower: &Arc<Follower>) {
        self.lock().retain(|it| !Arc::ptr_eq(it, follower));
    }

    /// Those that follow now, in the order in which they came.
    pub(crate) fn all(&self) -> Vec<Arc<Follower>> {
        self.lock().clone()
    }

    /// Bytes that wait for all of them.
    pub(crate) fn waiting(&self) -> u64 {
        self.lock().iter().map(|follower| follower.waiting.load(Relaxed)).sum()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// A replication id as Redis has them, 40 hexadecimal digits. Every stream gets its own:
    /// offsets of two streams have nothing to do with each other, and whoever follows a replica
    /// must not take one for the other.
    pub(crate) fn name(&self, run_id: &str) -> String {
        let number = self.names.fetch_add(1, Relaxed) + 1;
        format!("{}{number:016x}", run_id.get(..24).unwrap_or("000000000000000000000000"))
    }
}

/// What a client has said with REPLCONF.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announced {
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
    /// It wants the snapshot alone.
    pub(crate) rdb_only: bool,
}
