//! What the tools do to the data directory of a node that does not run: take its state out as an
//! RDB file, and make a new cluster's first directory from one. The state is loaded as a start
//! loads it; nothing of a directory that is only read is changed.

use crate::env::real::random;
use crate::membership::guard::draw_cluster;
use crate::membership::members::Members;
use crate::raft::types::{Peer, SnapshotMeta, StoredMembership, log_id};
use crate::snapshot::facts::Facts;
use crate::snapshot::load::{LoadError, Progress, State, alone};
use quorate_engine::{Foreign, Report, SnapshotError, SnapshotReader};
use quorate_store::{Disk, Identity, Log, LogId, LogOptions, OsDisk, Snapshots, StoreError, Vote};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{fmt, io};

/// Bytes of a file taken at once.
const PIECE_BYTES: usize = 256 << 10;
/// The term that a restored directory begins with.
const FIRST_TERM: u64 = 1;

/// Figures of a tool's work, for whoever waits: bytes done, of how many (0: unknown).
pub type Step<'a> = &'a mut dyn FnMut(u64, u64);

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Last entry that the file covers.
    pub index: u64,
    /// Entries in the log behind it, which are not known to be committed: they are left out.
    pub uncertain: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Keys.
    pub keys: u64,
    /// The new cluster, 32 hexadecimal digits.
    pub cluster: String,
    /// What was mended and left out.
    pub report: Report,
}

fn options() -> LogOptions {
    LogOptions { reserve_bytes: 0, ..LogOptions::default() }
}

/// Why a tool did not do its work.
#[derive(Debug)]
pub enum OfflineError {
    /// The file that is written or read refuses, or the system at the directory.
    Io(io::Error),
    /// The directory's log or snapshots do.
    Store(StoreError),
    /// No node's data is in this directory.
    NoData(PathBuf),
    /// The directory does not say whose it is.
    Nameless,
    /// Its node never belonged to a cluster.
    NoCluster,
    /// Its state cannot be loaded.
    Load(Box<dyn Error + Send + Sync>),
    /// This directory holds data already.
    Occupied(PathBuf),
    /// The file is not one that can be taken.
    File(SnapshotError),
}

impl fmt::Display for OfflineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => why.fmt(f),
            Self::Store(why) => why.fmt(f),
            Self::NoData(dir) => write!(f, "{}: no node's data is here", dir.display()),
            Self::Nameless => f.write_str("the directory does not say whose it is"),
            Self::NoCluster => f.write_str("the node never belonged to a cluster"),
            Self::Load(why) => why.fmt(f),
            Self::Occupied(dir) => write!(
                f,
                "{} holds data already: a restore makes the first directory of a new cluster",
                dir.display()
            ),
            Self::File(why) if why.fault.can_be_skipped() => {
                write!(f, "{why}; --skip-unsupported leaves such things out and lists them")
            }
            Self::File(why) => why.fmt(f),
        }
    }
}

impl Error for OfflineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // These are told in the cause's own words.
            Self::Io(why) => why.source(),
            Self::Store(why) => why.source(),
            Self::Load(why) => why.source(),
            Self::File(why) => why.source(),
            Self::NoData(_) | Self::Nameless | Self::NoCluster | Self::Occupied(_) => None,
        }
    }
}

impl From<io::Error> for OfflineError {
    fn from(why: io::Error) -> Self {
        Self::Io(why)
    }
}

impl From<StoreError> for OfflineError {
    fn from(why: StoreError) -> Self {
        Self::Store(why)
    }
}

impl From<LoadError> for OfflineError {
    fn from(why: LoadError) -> Self {
        Self::Load(Box::new(why))
    }
}

impl From<SnapshotError> for OfflineError {
    fn from(why: SnapshotError) -> Self {
        Self::File(why)
    }
}

/// Gives the committed state of a stopped node as an RDB file to `sink`.
pub fn export(
    dir: &Path,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    step: Step<'_>,
) -> Result<Exported, OfflineError> {
    let disk = OsDisk::new(dir)?;
    // It is somebody else's: nothing in it is changed, not even a torn tail.
    let opened = Log::open_to_read(disk.clone(), options())?;
    let nothing = || OfflineError::NoData(dir.to_owned());
    let (log, recovered) = opened.ok_or_else(nothing)?;
    let identity = recovered.identity.ok_or(OfflineError::Nameless)?;
    let cluster = identity.cluster.ok_or(OfflineError::NoCluster)?;
    let snapshots = Snapshots::open(disk)?;
    let progress = Arc::new(Progress::default());
    let total = snapshots.newest().map_or(0, |file| file.bytes) + log.stats().bytes;
    progress.total.store(total, Ordering::Relaxed);
    let (mut state, _) = State::begin((&snapshots, &log), cluster, &progress)?;
    step(progress.done.load(Ordering::Relaxed), total);
    let last = recovered.last.map_or(0, |id| id.index);
    let committed = recovered.committed.map_or(0, |id| id.index).min(last);
    let committed = committed.max(snapshots.lost().map_or(0, |id| id.index));
    // Alone, a node has committed whatever is on its disk. Otherwise only what it knows of counts.
    state.replay(&log, committed, &progress)?;
    if state.is_alone(identity.node) {
        state.replay(&log, last, &progress)?;
    }
    step(total, total);
    let index = state.meta.last_log_id.map_or(0, |id| id.index);
    let fields = Facts { cluster, meta: state.meta, members: state.members }.to_fields();
    let (mut bytes, mut outcome) = (0, Ok(()));
    state.keyspace.write_snapshot(&fields, &mut |piece| {
        if outcome.is_ok() {
            outcome = sink(piece);
            bytes += piece.len() as u64;
            step(bytes, 0);
        }
    });
    outcome?;
    Ok(Exported { index, uncertain: last.saturating_sub(index), bytes })
}

/// Makes the first data directory of a new cluster from an RDB file that `source` gives (0 at its
/// end; `total` bytes in all). Nodes without data join the node that starts from it.
pub fn restore(
    dir: &Path,
    foreign: Foreign,
    source: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    (total, step): (u64, Step<'_>),
) -> Result<Restored, OfflineError> {
    let disk = OsDisk::new(dir)?;
    let there = |name: &str| disk.list(name).map(|names| !names.is_empty());
    if there("appendonlydir")? || there("facts")? {
        return Err(OfflineError::Occupied(dir.to_owned()));
    }
    let node = random().max(1);
    let cluster = draw_cluster(node, random());
    let mut reader = SnapshotReader::foreign([(cluster >> 64) as u64, cluster as u64], foreign);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = source(&mut piece)?;
        if count == 0 {
            break;
        }
        reader.feed(piece.get(..count).unwrap_or_default())?;
        step(reader.bytes(), total);
    }
    let (keys, report) = (reader.keys(), reader.report().clone());
    let (keyspace, _) = reader.finish()?;
    let last = LogId { term: FIRST_TERM, index: keyspace.applied_index().max(1) };
    let id = log_id(last.term, last.index);
    // Where it is reached is known when it starts.
    let alone = alone(node, Peer::default());
    let membership = alone.map_err(LoadError::Membership)?;
    let last_membership = StoredMembership::new(Some(id), membership);
    let meta = SnapshotMeta { last_log_id: Some(id), last_membership };
    let fields = Facts { cluster, meta, members: Members::default() }.to_fields();
    let write = || -> Result<(), StoreError> {
        let (log, _) = Log::open(disk.clone(), options())?;
        let snapshots = Snapshots::open(disk.clone())?;
        snapshots.write(&log, last, &mut |sink| {
            let mut outcome = Ok(());
            keyspace.write_snapshot(&fields, &mut |piece| {
                if outcome.is_ok() {
                    outcome = sink(piece);
                }
            });
            outcome
        })?;
        log.purge(last)?;
        let vote = Vote { term: FIRST_TERM, voted_for: node, committed: true };
        log.save_vote(vote, Box::new(|_| ()))?;
        log.flush()?;
        // Last: a directory that nobody owns is refused, should this end half way.
        log.set_identity(Identity { cluster: Some(cluster), node, incarnation: 0 })?;
        log.close();
        Ok(())
    };
    write()?;
    Ok(Restored { keys, cluster: format!("{cluster:032x}"), report })
}
