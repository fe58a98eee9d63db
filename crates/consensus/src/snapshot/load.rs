//! From a data directory to a state: the newest snapshot, then the log behind it.
//!
//! Both are read in pieces, so memory holds the state and little else, and everything here blocks:
//! it runs beside the event loop, which answers clients and peers meanwhile. A start and the
//! offline tools come this way.

use crate::api::RaftFailure;
use crate::membership::members::Members;
use crate::raft::convert::{self, Malformed};
use crate::raft::fold::{self, ApplyError, Listening, Parts};
use crate::raft::types::{Membership, Peer, SnapshotMeta, StoredMembership};
use crate::snapshot::facts::{self, Unreadable};
use quorate_engine::Keyspace;
use quorate_store::{Disk, Log, LogId, SnapshotFile, Snapshots, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entry bytes read at once.
const ENTRIES_BYTES: usize = 4 << 20;
const ADVICE: &str = "move the data directory aside and let the node join again as a new one";
/// The header of a record, about: entries are counted with it, since the log's size is.
const RECORD_HEAD_BYTES: u64 = 160;

/// How far loading has come; shared with whoever shows it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) total: AtomicU64,
    pub(crate) done: AtomicU64,
    /// Unix seconds; 0 before it begins.
    pub(crate) since_s: AtomicU64,
    /// Keys in the snapshot.
    pub(crate) keys: AtomicU64,
    /// The state is there.
    pub(crate) over: std::sync::atomic::AtomicBool,
}

impl Progress {
    /// Counts; says so in the log at every tenth.
    pub(crate) fn add(&self, bytes: u64) {
        let total = self.total.load(Ordering::Relaxed).max(1);
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        let tenth = |done: u64| done.min(total) * 10 / total;
        if tenth(before + bytes) > tenth(before) {
            tracing::info!(percent = tenth(before + bytes) * 10, of_bytes = total, "loading");
        }
    }
}

/// Why there is no way from a directory to the state that it stands for.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// There were snapshots, and none of them is whole.
    NoneWhole,
    /// The newest snapshot is damaged, and the log does not reach back to this one before it.
    NoBridge(SnapshotFile),
    /// The snapshot at this path cannot be read, although it is as it was written.
    Snapshot(String, Unreadable),
    /// The log cannot be read, or marked.
    Log(StoreError),
    /// This entry is not there, and the log should reach so far.
    Missing { entry: u64, upto: u64 },
    /// An entry makes no sense.
    Malformed(Malformed),
    /// An entry cannot be applied.
    Apply(ApplyError),
    /// Raft does not take the membership of a node alone.
    Membership(RaftFailure),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneWhole => write!(f, "no snapshot is whole; {ADVICE}"),
            Self::NoBridge(from) => write!(
                f,
                "the newest snapshot is damaged, and the log behind the one before it ({}, up to \
                 entry {}) is not there any more; {ADVICE}",
                from.path, from.last.index
            ),
            Self::Snapshot(path, why) => write!(f, "{path}: {why}"),
            Self::Log(why) => why.fmt(f),
            Self::Missing { entry, upto } => {
                write!(f, "entry {entry} is not in the log, which should reach {upto}")
            }
            Self::Malformed(what) => what.fmt(f),
            Self::Apply(why) => why.fmt(f),
            Self::Membership(why) => why.fmt(f),
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Snapshot(_, why) => Some(why),
            // These are told in the cause's own words.
            Self::Log(why) => why.source(),
            Self::Membership(why) => why.source(),
            Self::NoneWhole
            | Self::NoBridge(_)
            | Self::Missing { .. }
            | Self::Malformed(_)
            | Self::Apply(_) => None,
        }
    }
}

impl From<StoreError> for LoadError {
    fn from(why: StoreError) -> Self {
        Self::Log(why)
    }
}

/// A state and what Raft must know of it.
pub(crate) struct State {
    pub(crate) keyspace: Keyspace,
    pub(crate) meta: SnapshotMeta,
    pub(crate) members: Members,
}

impl State {
    /// Before the first entry. The hash key is drawn from the cluster's id, which was drawn at
    /// random once.
    pub(crate) fn empty(cluster: u128) -> Self {
        let keyspace = Keyspace::new([(cluster >> 64) as u64, cluster as u64]);
        let meta = SnapshotMeta::default();
        Self { keyspace, meta, members: Members::default() }
    }

    /// What a start begins with: the newest snapshot that is whole, if there ever was one. One that
    /// rotted is passed over when the log behind the one before it is there.
    pub(crate) fn begin<D: Disk>(
        (snapshots, log): (&Snapshots<D>, &Log<D>),
        cluster: u128,
        progress: &Progress,
    ) -> Result<(Self, Option<SnapshotFile>), LoadError> {
        loop {
            let Some(file) = snapshots.newest() else {
                return match snapshots.lost() {
                    None => Ok((Self::empty(cluster), None)),
                    Some(_) => Err(LoadError::NoneWhole),
                };
            };
            if let Some(lost) = snapshots.lost() {
                bridge(log, &file, lost)?;
            }
            let why = match Self::from_snapshot(snapshots, &file, cluster, progress) {
                Ok(state) => {
                    let (path, index) = (&file.path, file.last.index);
                    tracing::info!(path, index, "snapshot loaded");
                    progress.keys.store(state.keyspace.keys(), Ordering::Relaxed);
                    return Ok((state, Some(file)));
                }
                Err(why) => LoadError::Snapshot(file.path.clone(), why),
            };
            let verified = snapshots.reader(&file).and_then(|it| it.verify(0, &mut |_| ()));
            if verified.is_ok() {
                // It is as it was written: an older one would not be better.
                return Err(why);
            }
            tracing::error!(%why, "a snapshot is damaged; the one before it is tried");
            snapshots.condemn(&file);
        }
    }

    /// Reads a snapshot.
    fn from_snapshot<D: Disk>(
        snapshots: &Snapshots<D>,
        file: &SnapshotFile,
        cluster: u128,
        progress: &Progress,
    ) -> Result<Self, Unreadable> {
        let from = snapshots.reader(file)?;
        let loaded = facts::load(&from, cluster, &mut |piece| {
            progress.add(piece.len() as u64);
            Ok(())
        });
        let (keyspace, facts) = loaded?;
        let facts::Facts { meta, members, .. } = facts;
        Ok(Self { keyspace, meta, members })
    }

    /// Applies the entries of the log behind this state, up to and including `upto`.
    pub(crate) fn replay<D: Disk>(
        &mut self,
        log: &Log<D>,
        upto: u64,
        progress: &Progress,
    ) -> Result<(), LoadError> {
        let mut next = self.meta.last_log_id.map_or(0, |id| id.index + 1);
        while next <= upto {
            let entries = log.read(next, upto + 1, ENTRIES_BYTES)?;
            if entries.first().is_none_or(|first| first.id.index != next) {
                return Err(LoadError::Missing { entry: next, upto });
            }
            for entry in entries {
                next = entry.id.index + 1;
                progress.add(entry.payload.len() as u64 + RECORD_HEAD_BYTES);
                let entry = convert::entry_from_store(entry).map_err(LoadError::Malformed)?;
                fold::mark(log, &entry)?;
                let folded = fold::apply_entry(self, &entry, Listening::default());
                folded.map_err(LoadError::Apply)?;
                self.meta.last_log_id = Some(entry.log_id);
            }
        }
        Ok(())
    }

    /// Whether this node is the only one that votes.
    pub(crate) fn is_alone(&self, node: u64) -> bool {
        let mut voters = self.meta.last_membership.membership().voter_ids();
        voters.next() == Some(node) && voters.next().is_none()
    }

    /// A node that votes alone knows best where it is reached: a restored directory was written
    /// before anybody knew.
    pub(crate) fn move_to(&mut self, me: &crate::proto::Member) -> Result<(), LoadError> {
        let (node, peer) = convert::peer(me.clone());
        let known = &self.meta.last_membership;
        let now = known.membership().get_node(&node);
        if !self.is_alone(node) || now == Some(&peer) || known.membership().nodes().count() != 1 {
            return Ok(());
        }
        let id = *known.log_id();
        let membership = alone(node, peer).map_err(LoadError::Membership)?;
        self.meta.last_membership = StoredMembership::new(id, membership);
        Ok(())
    }
}

impl Parts for State {
    fn keyspace(&mut self) -> &mut Keyspace {
        &mut self.keyspace
    }

    fn change_members(
        &mut self,
        change: impl FnOnce(&mut StoredMembership, &mut Members) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        change(&mut self.meta.last_membership, &mut self.members)
    }
}

/// Says why not, unless the log leads from a snapshot to everything that a newer, lost one held:
/// this replica has answered for all of that, so it may not come back without it.
fn bridge<D: Disk>(log: &Log<D>, from: &SnapshotFile, lost: LogId) -> Result<(), LoadError> {
    let purged = log.bounds().0.map_or(0, |id| id.index);
    // One entry of the same index and term: then everything before it is the same, too.
    let there = log.read(lost.index, lost.index + 1, 1)?;
    if purged <= from.last.index && there.first().is_some_and(|entry| entry.id == lost) {
        return Ok(());
    }
    Err(LoadError::NoBridge(from.clone()))
}

/// A membership of one.
pub(crate) fn alone(node: u64, peer: Peer) -> Result<Membership, RaftFailure> {
    Membership::new(vec![BTreeSet::from([node])], BTreeMap::from([(node, peer)]))
        .map_err(RaftFailure::new)
}
