//! A snapshot as Raft handles it: on this disk, or received and not installed
//! yet. Raft passes these handles on and never looks into one; what stands in
//! a snapshot for Raft is in `facts`.

use crate::membership::members::Members;
use crate::raft::types::SnapshotMeta;
use quorate_engine::Keyspace;
use quorate_store::Disk;
use quorate_store::{Incoming, SnapshotFile, Snapshots};
use std::sync::Arc;

/// A snapshot as it travels through openraft: a handle.
pub(crate) enum Content<D: Disk> {
    /// On a disk.
    Kept(SnapshotFile, Arc<Snapshots<D>>),
    /// Received from the leader: on disk beside the log, verified and decoded.
    Received(Box<Received<D>>),
}

/// See [`Content::Received`].
pub(crate) struct Received<D: Disk> {
    pub(crate) incoming: Incoming<D>,
    pub(crate) keyspace: Keyspace,
    pub(crate) members: Members,
}

/// The newest snapshot on disk.
pub(crate) struct Kept {
    pub(crate) file: SnapshotFile,
    pub(crate) meta: SnapshotMeta,
}
