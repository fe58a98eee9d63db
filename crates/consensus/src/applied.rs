//! How far this replica has applied, and figures of what it did.
//!
//! Written by the state machine alone; whoever waits for an index (a read behind its barrier, a
//! member that just came) waits here.

use crate::lock::lock;
use quorate_engine::Keyspace;
use quorate_store::LogId;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// How far this replica has applied.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Index of the last entry applied, for those who wait for one.
    index: AtomicU64,
    /// The last entry applied: a term and an index that belong together.
    last: Mutex<LogId>,
    changed: Notify,
}

impl Applied {
    /// Everything up to this entry is applied. Called by apply alone.
    pub(crate) fn set(&self, term: u64, index: u64) {
        *lock(&self.last) = LogId { term, index };
        self.index.store(index, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Term and index of the last entry applied.
    pub(crate) fn id(&self) -> LogId {
        *lock(&self.last)
    }

    pub(crate) fn index(&self) -> u64 {
        self.index.load(Ordering::Acquire)
    }

    /// Term of the last entry applied. A leader may seal once it is its own term: everything
    /// earlier is applied.
    pub(crate) fn term(&self) -> u64 {
        self.id().term
    }

    /// Resolves when `index` is applied.
    pub(crate) async fn reached(&self, index: u64) {
        loop {
            let changed = self.changed.notified();
            if self.index() >= index {
                return;
            }
            changed.await;
        }
    }
}

/// Figures that no other part counts.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) entries: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) rounds: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) heartbeat_late_ms_max: AtomicU64,
    /// Batches sealed by this process; makes seeds unique.
    pub(crate) batches: AtomicU64,
    /// Forward streams opened by this process.
    pub(crate) streams: AtomicU64,
    /// Digest, cluster time and changes of the keyspace, so that whoever asks need not wait for it.
    /// Written by whoever writes the keyspace, while it does.
    pub(crate) digest: AtomicU64,
    pub(crate) now_ms: AtomicU64,
    pub(crate) changes: AtomicU64,
    /// Keys removed because their deadline was past, while this process runs.
    pub(crate) expired: AtomicU64,
    /// [`Keyspace::expired`] when it was last seen: another keyspace may take its place.
    expired_seen: AtomicU64,
}

impl Figures {
    /// Notes how the keyspace is after loading: what expired in the log was counted when it did.
    pub(crate) fn begin(&self, keyspace: &Keyspace) {
        self.expired_seen.store(keyspace.expired(), Ordering::Relaxed);
        self.see(keyspace);
    }

    /// Notes how the keyspace is now. Called by apply alone, which holds it.
    pub(crate) fn see(&self, keyspace: &Keyspace) {
        self.digest.store(keyspace.digest(), Ordering::Relaxed);
        self.now_ms.store(keyspace.now_ms(), Ordering::Relaxed);
        self.changes.store(keyspace.changes(), Ordering::Relaxed);
        let now = keyspace.expired();
        let before = self.expired_seen.swap(now, Ordering::Relaxed);
        self.expired.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
    }
}
