//! A snapshot as Raft handles it: on this disk, or received and not installed yet.
//!
//! openraft only carries it about; what is read, checked and written for it happens in the rest of
//! this room.

use crate::env::Env;
use crate::lock::lock;
use crate::membership::members::Members;
use crate::raft::types::{Config, SnapshotMeta};
use crate::shared::Shared;
use crate::snapshot::take::Saved;
use openraft::alias::SnapshotOf;
use openraft::storage::{RaftSnapshotBuilder, Snapshot};
use quorate_engine::Keyspace;
use quorate_store::{Incoming, SnapshotFile, Snapshots};
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A snapshot as it travels through openraft: a handle.
pub(crate) enum Content<E: Env> {
    /// On a disk.
    Kept(SnapshotFile, Arc<Snapshots<E::Disk>>),
    /// Received from the leader: on disk beside the log, verified and decoded.
    Received(Box<Received<E>>),
}

/// See [`Content::Received`].
pub(crate) struct Received<E: Env> {
    pub(crate) incoming: Incoming<E::Disk>,
    pub(crate) keyspace: Keyspace,
    pub(crate) members: Members,
}

/// The newest snapshot on disk.
pub(crate) struct Kept<E: Env> {
    pub(crate) file: SnapshotFile,
    pub(crate) meta: SnapshotMeta<Config<E>>,
}

/// Hands a snapshot to Raft. What takes time happened before (see `take`), because Raft takes a
/// builder's failure for the end of the disk.
pub(crate) struct Builder<E: Env> {
    pub(crate) shared: Arc<Shared<E>>,
    /// One that is still being taken; otherwise the newest one is meant.
    pub(crate) saved: Option<oneshot::Receiver<Saved>>,
}

impl<E: Env> RaftSnapshotBuilder<Config<E>> for Builder<E> {
    type SnapshotData = Content<E>;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Config<E>, Content<E>>, io::Error> {
        if let Some(saved) = self.saved.take() {
            let outcome = saved.await.map_err(|_| io::Error::other("stopping"))?;
            outcome.map_err(io::Error::other)?;
        }
        let newest = self.shared.newest_snapshot();
        newest.ok_or_else(|| io::Error::other("there is no snapshot"))
    }
}

impl<E: Env> Shared<E> {
    /// Notes a snapshot on disk, if it is the newest.
    pub(crate) fn keep(&self, file: SnapshotFile, meta: SnapshotMeta<Config<E>>) {
        let mut kept = lock(&self.kept);
        if kept.as_ref().is_none_or(|kept| kept.file.last.index <= file.last.index) {
            *kept = Some(Kept { file, meta });
        }
    }

    /// A handle of the newest snapshot on disk.
    pub(crate) fn newest_snapshot(&self) -> Option<SnapshotOf<Config<E>, Content<E>>> {
        let kept = lock(&self.kept);
        let Kept { file, meta } = kept.as_ref()?;
        let snapshot = Content::Kept(file.clone(), self.snapshots.clone());
        Some(Snapshot { meta: meta.clone(), snapshot })
    }
}
