//! What the parts of a replica have in common. Each field has one writer, named beside it.

use crate::bootstrap::guard::Guard;
use crate::clock::Clock;
use crate::compare::Comparing;
use crate::core::Settings;
use crate::env::{Env, LogWriter};
use crate::following::Followers;
use crate::forward::Way;
use crate::handover::Leaving;
use crate::links::Links;
use crate::node::Failed;
use crate::proto as pb;
use crate::queue::{Proposed, Queue};
use crate::raft::{Config, Raft, StoredMembership};
use crate::reads::Reads;
use crate::saving::Saving;
use crate::snapshot::Kept;
use crate::tail::Tail;
use crate::transfer::Transfers;
use futures::future::{Either, select};
use openraft::AsyncRuntime;
use quorate_engine::{Effects, Keyspace};
use quorate_store::{Log, LogId, Snapshots};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, RwLock, mpsc};

/// Greatest feature level this build supports.
pub(crate) const MAX_LEVEL: u64 = 1;

/// See the module.
pub(crate) struct Shared<E: Env> {
    pub(crate) env: E,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    /// Written by apply (`machine`) alone.
    pub(crate) keyspace: Arc<RwLock<Keyspace>>,
    pub(crate) applied: Applied,
    /// The last membership applied. Written by apply alone.
    pub(crate) membership: Mutex<StoredMembership<Config<E>>>,
    pub(crate) log: Log<E::Disk>,
    pub(crate) tail: Arc<Tail>,
    /// Written by `network`.
    pub(crate) links: Links,
    pub(crate) writer: Arc<dyn LogWriter>,
    pub(crate) snapshots: Arc<Snapshots<E::Disk>>,
    /// The newest snapshot; written by `snapshot` and `machine`.
    pub(crate) kept: Mutex<Option<Kept<E>>>,
    /// Written by `transfer`.
    pub(crate) transfers: Transfers<E::Disk>,
    /// Written by `saving`.
    pub(crate) saving: Saving,
    pub(crate) queue: Queue,
    /// Told by apply.
    pub(crate) followers: Arc<Followers>,
    pub(crate) proposed: Proposed,
    pub(crate) reads: Reads,
    /// What is on its way to the leader; written by `forward`.
    pub(crate) way: Mutex<Option<Arc<Way>>>,
    /// Written by the watcher (`office`).
    pub(crate) office: Mutex<Office>,
    /// Written by `handover`.
    pub(crate) leaving: Leaving,
    /// Written by `service`.
    pub(crate) leader_heard: LeaderHeard,
    pub(crate) guard: Arc<Guard>,
    /// Nodes that no member knows, and when that was found. Written by `trust`.
    pub(crate) strangers: Mutex<BTreeMap<u64, Duration>>,
    /// Greatest incarnation heard of each peer, and the number of its newest forward stream;
    /// written by `service`.
    pub(crate) heard: Mutex<BTreeMap<u64, Heard>>,
    pub(crate) effects: mpsc::UnboundedSender<Effects>,
    pub(crate) raft: OnceLock<Raft<E>>,
    /// Written by `compare`, and by apply through [`Shared::see`].
    pub(crate) comparing: Comparing,
    pub(crate) failure: Arc<Failure>,
    pub(crate) figures: Figures,
}

/// What is known of a peer from its messages.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) incarnation: u64,
    /// Which process of this incarnation.
    pub(crate) start: u64,
    pub(crate) stream: u64,
    pub(crate) fenced: Option<Arc<std::sync::atomic::AtomicBool>>,
}

/// When this replica heard a leader last. A vote on disk names one that may be long gone.
#[derive(Debug, Default)]
pub(crate) struct LeaderHeard(Mutex<Option<Duration>>);

impl LeaderHeard {
    /// A leader was heard at this monotonic time.
    pub(crate) fn note(&self, now: Duration) {
        *lock(&self.0) = Some(now);
    }

    /// How long ago; `None`: not since this process began.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        lock(&self.0).map(|at| now.saturating_sub(at))
    }
}

/// Who leads, as this replica sees it. A leader counts while it is heard, and while it hears a
/// quorum: Raft itself names one that died until there is the next, and lets one go on leading
/// nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Office {
    pub(crate) term: u64,
    pub(crate) role: crate::node::Role,
    /// The leader and where it is reached.
    pub(crate) leader: Option<pb::Member>,
}

/// Where writes and read barriers go at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// This replica leads and has applied its term's first entry.
    Lead(u64),
    /// To this leader.
    Follow(crate::transport::PeerId),
    /// Nowhere yet.
    Wait,
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

/// Why this process must stop.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    reason: OnceLock<Failed>,
    set: Notify,
}

impl Failure {
    /// The first reason counts.
    pub(crate) fn set(&self, why: String) {
        self.note(Failed { why, diverged: false });
    }

    /// This replica holds something else than the others. The first reason counts.
    pub(crate) fn diverge(&self, why: String) {
        self.note(Failed { why, diverged: true });
    }

    /// The first reason counts.
    pub(crate) fn note(&self, reason: Failed) {
        if let Ok(()) = self.reason.set(reason) {
            self.set.notify_waiters();
        }
    }

    /// The reason, if there is one.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn get(&self) -> Option<&Failed> {
        self.reason.get()
    }

    /// Resolves with the reason.
    pub(crate) async fn wait(&self) -> Failed {
        loop {
            let set = self.set.notified();
            if let Some(reason) = self.reason.get() {
                return reason.clone();
            }
            set.await;
        }
    }
}

impl<E: Env> Shared<E> {
    /// The envelope of a message to a peer.
    pub(crate) fn envelope(&self, to: u64) -> pb::Envelope {
        self.guard.envelope(Some(self.settings.cluster), to, MAX_LEVEL)
    }

    /// Notes that a leader spoke, unless it is one of a term that is over.
    pub(crate) fn hear_leader(&self, term: u64) {
        if term >= lock(&self.office).term {
            self.leader_heard.note(self.env.elapsed());
        }
    }

    /// Where writes and read barriers go now.
    pub(crate) fn route(&self) -> Route {
        let office = lock(&self.office);
        if office.role == crate::node::Role::Leader {
            return if self.applied.term() == office.term {
                Route::Lead(office.term)
            } else {
                Route::Wait
            };
        }
        match &office.leader {
            Some(leader) if leader.node != self.settings.me.node => {
                Route::Follow(crate::transport::PeerId {
                    node: leader.node,
                    address: leader.peer_address.clone(),
                })
            }
            _ => Route::Wait,
        }
    }

    /// The cluster clock as the leader tells it: never behind what is applied.
    pub(crate) fn leader_clock(&self) -> u64 {
        self.clock.lead(self.env.elapsed(), self.env.wall_ms())
    }

    /// The last entry of this replica's log, as it stands in messages.
    pub(crate) fn last_id(&self) -> Option<pb::LogId> {
        self.log.bounds().1.map(|id| pb::LogId { term: id.term, index: id.index })
    }

    /// Raft, once it is started.
    pub(crate) fn raft(&self) -> Option<&Raft<E>> {
        self.raft.get()
    }

    /// Spawns a task.
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        drop(E::Rt::spawn(task));
    }

    /// Waits.
    pub(crate) async fn sleep(duration: Duration) {
        E::Rt::sleep(duration).await;
    }

    /// Puts a limit on a wait; `None` when it was reached. By real time, which `E::Rt::timeout` is
    /// not.
    pub(crate) async fn within<T: Send>(
        limit: Duration,
        future: impl Future<Output = T> + Send,
    ) -> Option<T> {
        match select(pin!(future), pin!(E::Rt::sleep(limit))).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(_) => None,
        }
    }
}

/// Locks; a panic elsewhere does not make the value useless (and ends the process in production).
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
