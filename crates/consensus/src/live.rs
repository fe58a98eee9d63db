//! The applied state as it lives in this process: the keys, the membership, how far it is, and what
//! whoever asks may know without waiting for the keys.
//!
//! Three write to the keyspace, and all hold its lock meanwhile. The state machine applies entries
//! and installs snapshots: nobody else changes a key for good. The snapshotter takes its steps,
//! which write down what was frozen and change nothing that a command or a digest could see. The
//! proposer rehearses batches, and undoes what they did before it gives the lock back. (Tests also
//! flip bits, past everything that notices a change.) The state
//! machine calls [`Live::see`] before it gives the lock back, so that the figures follow what is
//! under it; a step only notes that nothing waits any more.

use crate::compare::state::Comparing;
use crate::lock::lock;
use crate::peer::transport::PeerId;
use crate::raft::types::StoredMembership;
use crate::snapshot::feed::Feeds;
use quorate_engine::Keyspace;
use quorate_store::LogId;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};

/// Apply waits while more bytes than this were changed since the snapshotter's last step. The
/// snapshotter holds as much again, at most.
const BACKLOG_MAX: u64 = 16 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Live {
    keys: Arc<RwLock<Keyspace>>,
    /// The last membership applied. Written by the state machine alone.
    pub(crate) membership: Mutex<StoredMembership>,
    pub(crate) applied: Position,
    pub(crate) seen: Seen,
    pub(crate) backlog: Backlog,
    pub(crate) comparing: Comparing,
    /// Replicas from outside; told by the state machine.
    pub(crate) feeds: Arc<Feeds>,
}

impl Live {
    /// A state that was loaded.
    pub(crate) fn new(keyspace: Keyspace, membership: StoredMembership) -> Self {
        let (seen, comparing) = (Seen::default(), Comparing::default());
        seen.begin(&keyspace);
        comparing.see(&keyspace);
        Self {
            keys: Arc::new(RwLock::new(keyspace)),
            membership: Mutex::new(membership),
            applied: Position::default(),
            seen,
            backlog: Backlog::default(),
            comparing,
            feeds: Arc::default(),
        }
    }

    /// The keys, to be read.
    pub(crate) async fn read(&self) -> RwLockReadGuard<'_, Keyspace> {
        self.keys.read().await
    }

    /// The same, for work beside the event loop.
    pub(crate) async fn read_owned(&self) -> OwnedRwLockReadGuard<Keyspace> {
        self.keys.clone().read_owned().await
    }

    /// The keys, if nobody writes just now.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn try_read(&self) -> Option<RwLockReadGuard<'_, Keyspace>> {
        self.keys.try_read().ok()
    }

    /// The keys, to be written: see the module for who may.
    pub(crate) async fn write(&self) -> RwLockWriteGuard<'_, Keyspace> {
        self.keys.write().await
    }

    /// The same, for work beside the event loop.
    pub(crate) async fn write_owned(&self) -> OwnedRwLockWriteGuard<Keyspace> {
        self.keys.clone().write_owned().await
    }

    /// Notes how the keyspace is now, for those who do not hold it.
    pub(crate) fn see(&self, keyspace: &Keyspace) {
        self.seen.see(keyspace);
        self.comparing.see(keyspace);
        self.backlog.waits(keyspace.freeze_backlog());
    }

    /// Whether a key may be due by the leader's clock that is still visible. `clock` is read only
    /// if there is a deadline at all.
    pub(crate) async fn is_due(&self, clock: impl FnOnce() -> u64) -> bool {
        self.current(clock).await.is_none()
    }

    /// The last entry applied, if no key is visible in this state that is due by the leader's
    /// clock. `clock` is read only if there is a deadline at all.
    pub(crate) async fn current(&self, clock: impl FnOnce() -> u64) -> Option<u64> {
        let keyspace = self.read().await;
        let is_due = keyspace.next_deadline_ms().is_some_and(|deadline| {
            let clock = clock();
            deadline <= clock && keyspace.now_ms() < clock
        });
        (!is_due).then(|| keyspace.applied_index())
    }

    /// The members of the last membership applied.
    pub(crate) fn members(&self) -> Vec<PeerId> {
        let membership = lock(&self.membership);
        let nodes = membership.membership().nodes();
        nodes
            .map(|(node, peer)| PeerId { node: *node, address: peer.peer_address.clone() })
            .collect()
    }

    /// Those of them that vote.
    pub(crate) fn voters(&self) -> Vec<PeerId> {
        let membership = lock(&self.membership);
        let membership = membership.membership();
        let peer = |node: u64| {
            let address = membership.get_node(&node)?.peer_address.clone();
            Some(PeerId { node, address })
        };
        membership.voter_ids().filter_map(peer).collect()
    }
}

/// How far this replica has applied.
#[derive(Debug, Default)]
pub(crate) struct Position {
    /// Index of the last entry applied, for those who wait for one.
    index: AtomicU64,
    /// The last entry applied: a term and an index that belong together.
    last: Mutex<LogId>,
    changed: Notify,
}

impl Position {
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

/// Figures of the keyspace, so that whoever asks need not wait for it. Written by whoever writes
/// the keyspace, while it does.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) digest: AtomicU64,
    pub(crate) now_ms: AtomicU64,
    pub(crate) changes: AtomicU64,
    /// Feature level.
    pub(crate) level: AtomicU32,
    pub(crate) over_memory: AtomicBool,
    /// Keys removed because their deadline was past, while this process runs.
    pub(crate) expired: AtomicU64,
    /// [`Keyspace::expired`] when it was last seen: another keyspace may take its place.
    expired_before: AtomicU64,
}

impl Seen {
    /// Notes how the keyspace is after loading: what expired in the log was counted when it did.
    fn begin(&self, keyspace: &Keyspace) {
        self.expired_before.store(keyspace.expired(), Ordering::Relaxed);
        self.see(keyspace);
    }

    fn see(&self, keyspace: &Keyspace) {
        self.digest.store(keyspace.digest(), Ordering::Relaxed);
        self.now_ms.store(keyspace.now_ms(), Ordering::Relaxed);
        self.changes.store(keyspace.changes(), Ordering::Relaxed);
        self.level.store(keyspace.level(), Ordering::Relaxed);
        self.over_memory.store(keyspace.is_over_memory(), Ordering::Relaxed);
        let now = keyspace.expired();
        let before = self.expired_before.swap(now, Ordering::Relaxed);
        self.expired.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
    }
}

/// Bytes that wait in the keyspace for the snapshotter. Set by apply and by the snapshotter, both
/// while they hold the keyspace.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: AtomicU64,
    drained: Notify,
}

impl Backlog {
    /// Notes how much waits for the snapshotter. Called with the keyspace held.
    pub(crate) fn waits(&self, bytes: u64) {
        let before = self.bytes.swap(bytes, Ordering::AcqRel);
        if before > BACKLOG_MAX && bytes <= BACKLOG_MAX {
            self.drained.notify_waiters();
        }
    }

    /// Resolves when the snapshotter has caught up. Not to be called with the keyspace held.
    pub(crate) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            if self.bytes.load(Ordering::Acquire) <= BACKLOG_MAX {
                return;
            }
            drained.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn apply_waits_while_too_much_was_changed() {
        let backlog = Backlog::default();
        backlog.waits(BACKLOG_MAX);
        assert!(backlog.room().now_or_never().is_some());
        backlog.waits(BACKLOG_MAX + 1);
        let mut room = std::pin::pin!(backlog.room());
        assert!(room.as_mut().now_or_never().is_none());
        backlog.waits(0);
        assert!(room.now_or_never().is_some());
    }
}
