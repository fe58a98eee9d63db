//! Snapshot files beside the log: written aside, synced, renamed, listed in the manifest as its
//! base.
//!
//! The catalogue is the manifest's: the newest snapshot is the base of the append-only file, the
//! one before it is kept beside it in case the newest turns out damaged. What a snapshot holds is
//! not this room's business.

pub(crate) mod draft;
pub(crate) mod incoming;
pub(crate) mod outgoing;

use crate::disk::DiskFile;
use crate::file::manifest::{Base, DIR, Listing, Manifest, base_path};
use crate::snapshots::outgoing::SnapshotReader;
use crate::{Disk, Draft, Incoming, IncomingId, Log, LogId, StoreError};
use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One complete snapshot on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Last entry it covers.
    pub last: LogId,
    /// Path below the data directory.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// The snapshots of one data directory.
#[derive(Debug)]
pub struct Snapshots<D: Disk> {
    disk: D,
    catalogue: Mutex<Catalogue>,
    /// Drafts begun by this process.
    drafts: AtomicU64,
}

#[derive(Debug, Default)]
struct Catalogue {
    /// Newest first, at most two.
    whole: Vec<Base>,
    /// The newest one that is listed and cannot be used.
    lost: Option<LogId>,
}

/// What a snapshot's writer is given to write into.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), StoreError>;

impl<D: Disk> Snapshots<D> {
    /// Opens the catalogue: what the manifest and the directory show. Open the log first.
    pub fn open(disk: D) -> Result<Self, StoreError> {
        let manifest = Manifest::load(&disk)?.unwrap_or_default();
        let mut catalogue = Catalogue::default();
        for base in [manifest.base, manifest.kept].into_iter().flatten() {
            match disk.open(&base_path(base.number)).and_then(|file| file.len()) {
                Ok(bytes) if bytes == base.bytes => catalogue.whole.push(base),
                outcome => {
                    let path = base_path(base.number);
                    tracing::error!(%path, ?outcome, "a snapshot is missing or not whole");
                    catalogue.lost = catalogue.lost.max(Some(base.last));
                }
            }
        }
        if catalogue.whole.is_empty() && manifest.base.is_some() {
            return Err(StoreError::Corrupt(format!(
                "{DIR}/: no snapshot is there in full. Move the data directory \
                 aside and let the node join again as a new one"
            )));
        }
        Ok(Self { disk, catalogue: Mutex::new(catalogue), drafts: AtomicU64::new(0) })
    }

    fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest complete snapshot.
    pub fn newest(&self) -> Option<SnapshotFile> {
        self.all().into_iter().next()
    }

    /// All complete snapshots, newest first. The second is for the day the first proves damaged.
    pub fn all(&self) -> Vec<SnapshotFile> {
        let file = |base: &Base| SnapshotFile {
            last: base.last,
            path: base_path(base.number),
            bytes: base.bytes,
        };
        self.catalogue().whole.iter().map(file).collect()
    }

    /// A snapshot proved damaged: the one before it counts as the newest, until there is a new one.
    pub fn condemn(&self, file: &SnapshotFile) {
        let mut catalogue = self.catalogue();
        catalogue.whole.retain(|base| base_path(base.number) != file.path);
        catalogue.lost = catalogue.lost.max(Some(file.last));
    }

    /// Last entry of the newest snapshot there was, if it is damaged and no newer one was made.
    pub fn lost(&self) -> Option<LogId> {
        let catalogue = self.catalogue();
        let newest = catalogue.whole.first().map(|base| base.last);
        catalogue.lost.filter(|lost| Some(*lost) > newest)
    }

    /// Begins a snapshot, to be written piece by piece.
    pub fn begin(&self, log: &Log<D>) -> Result<Draft<D>, StoreError> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        Draft::create(&self.disk, number, log.floor())
    }

    /// Gives up the snapshot before the newest one, to make space; says whether there was one.
    pub fn give_up_older(&self, log: &Log<D>) -> Result<bool, StoreError> {
        let mut catalogue = self.catalogue();
        if catalogue.whole.len() < 2 {
            return Ok(false);
        }
        log.unlist_kept()?;
        catalogue.whole.truncate(1);
        drop(catalogue);
        log.sweep();
        Ok(true)
    }

    /// Makes a complete draft the newest snapshot: the manifest names it as the base, with the log
    /// rolled so that base and segments never hold an entry twice, before this returns.
    pub fn publish(
        &self,
        log: &Log<D>,
        last: LogId,
        draft: Draft<D>,
    ) -> Result<SnapshotFile, StoreError> {
        let Some((bytes, crc)) = draft.sums() else {
            let why = "the snapshot is not complete";
            return Err(StoreError::Io(Error::new(ErrorKind::InvalidInput, why)));
        };
        self.adopt(log, (last, bytes, crc), |path| draft.move_to(path))
    }

    /// Writes a snapshot in one go: `write` is called once with a sink.
    pub fn write(
        &self,
        log: &Log<D>,
        last: LogId,
        write: &mut dyn FnMut(Sink<'_>) -> Result<(), StoreError>,
    ) -> Result<SnapshotFile, StoreError> {
        let mut draft = self.begin(log)?;
        write(&mut |piece| draft.write(piece))?;
        draft.complete()?;
        self.publish(log, last, draft)
    }

    /// Makes a snapshot that was received whole, and is durable, the newest one.
    pub fn install(&self, log: &Log<D>, incoming: Incoming<D>) -> Result<SnapshotFile, StoreError> {
        let IncomingId { last, bytes, crc, .. } = incoming.id();
        self.adopt(log, (last, bytes, crc), |path| incoming.move_to(path))
    }

    /// Names a file by `name`, which makes that durable, and lists it as the base; then removes
    /// what it makes superfluous.
    fn adopt(
        &self,
        log: &Log<D>,
        (last, bytes, crc): (LogId, u64, u32),
        name: impl FnOnce(&str) -> Result<(), StoreError>,
    ) -> Result<SnapshotFile, StoreError> {
        // Held throughout: one snapshot at a time.
        let mut catalogue = self.catalogue();
        let newest = catalogue.whole.first().copied();
        if newest.is_some_and(|newest| newest.last.index > last.index) {
            let why = "a snapshot must not be older than the newest one";
            return Err(StoreError::Io(Error::new(ErrorKind::InvalidInput, why)));
        }
        let listed = Listing::read(&self.disk)?.bases.last().copied().unwrap_or(0);
        let known = newest.map_or(0, |base| base.number);
        let base = Base { number: listed.max(known) + 1, last, bytes, crc };
        let path = base_path(base.number);
        name(&path)?;
        let outcome = log.rebase(base, newest);
        if let Err(error) = outcome {
            // Unless the very last step failed: then the manifest names it, and it must stay.
            let manifest = Manifest::load(&self.disk)?.unwrap_or_default();
            if manifest.base.is_none_or(|listed| listed.number != base.number) {
                let _ = self.disk.remove(&path);
            }
            return Err(error);
        }
        catalogue.whole.insert(0, base);
        catalogue.whole.truncate(2);
        drop(catalogue);
        log.sweep();
        Ok(SnapshotFile { last, path, bytes })
    }

    /// Reads a whole snapshot file, verified.
    pub fn read(&self, file: &SnapshotFile) -> Result<Vec<u8>, StoreError> {
        let reader = self.reader(file)?;
        let bytes = reader.read(0, usize::try_from(file.bytes).unwrap_or(usize::MAX))?;
        if crc32c::crc32c(&bytes) == reader.crc() { Ok(bytes) } else { Err(unusable(&file.path)) }
    }

    /// Opens a snapshot file to be read piece by piece.
    pub fn reader(&self, file: &SnapshotFile) -> Result<SnapshotReader<D>, StoreError> {
        SnapshotReader::open(&self.disk, self.base(file)?)
    }

    fn base(&self, file: &SnapshotFile) -> Result<Base, StoreError> {
        let catalogue = self.catalogue();
        let known =
            catalogue.whole.iter().find(|base| base_path(base.number) == file.path).copied();
        known.ok_or_else(|| unusable(&file.path))
    }

    /// The disk they lie on, for what comes in.
    pub fn disk(&self) -> &D {
        &self.disk
    }
}

pub(crate) fn unusable(path: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "{path} is damaged or no longer listed; use the snapshot before it, \
         or fetch one from a peer"
    ))
}
