//! Small facts in `facts/` (sled): identity and snapshot catalogue. Each value is a record (see
//! `records`) and is written as insert, flush, `fdatasync` through a second descriptor, because
//! sled's own flush is not durable.
//!
//! Nothing here is the only copy: the log's records repeat the identity and the manifest lists the
//! snapshots. So when sled cannot read its files (it panics on some damage) they are moved aside
//! and built anew. Votes and entries never live here. That the identity stands twice also shows
//! when log and facts are not of one directory, or not of one time: see [`Identity::agree`].

mod agree;
mod records;

use crate::{Identity, SnapshotFile, StoreError};
use records::{IdentityRecord, SnapshotRecord, decode_identity, decode_snapshots, encode};
use std::fs::File;
use std::io::{Error, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

const IDENTITY: &str = "identity";
const SNAPSHOTS: &str = "snapshots";

/// The facts of one data directory.
#[derive(Debug)]
pub struct Facts {
    db: sled::Db,
    /// A second descriptor of sled's data file: `fdatasync` works on the file, whoever opened it.
    file: File,
}

impl Facts {
    /// Opens `root/facts`, rebuilding it when sled cannot read it, and says what it knows of the
    /// identity.
    pub fn open(root: &Path) -> Result<(Self, Option<Identity>), StoreError> {
        let dir = root.join("facts");
        // Release builds abort on a panic, so an open that never came back is seen at the next
        // start.
        let opening = root.join("facts.opening");
        let before = File::options().write(true).create_new(true).open(&opening);
        let opened = match before {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.exists() => {
                Err(Error::other("opening it did not end the last time"))
            }
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Self::open_dir(&dir),
        };
        let facts = match opened {
            Ok(facts) => facts,
            Err(error) if !dir.exists() => return Err(error.into()),
            Err(error) => {
                let aside = aside(root)?;
                let aside_name = aside.display();
                tracing::warn!(%error, %aside_name, "facts/ is unreadable: moved aside");
                std::fs::rename(&dir, &aside)?;
                Self::open_dir(&dir).map_err(StoreError::Io)?
            }
        };
        std::fs::remove_file(&opening)?;
        File::open(&dir)?.sync_all()?;
        File::open(root)?.sync_all()?;
        let kept = facts.identity();
        Ok((facts, kept))
    }

    fn open_dir(dir: &Path) -> Result<Self, Error> {
        // sled panics on some kinds of damage (spacejam/sled#1387).
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let db = sled::Config::new()
                .path(dir)
                .cache_capacity(1 << 20)
                .segment_size(64 << 10)
                .flush_every_ms(None)
                .open()?;
            // Reads everything once, so that damage shows here and not later.
            db.iter().try_for_each(|item| item.map(|_| ()))?;
            Ok(db)
        }));
        let db = match opened {
            Ok(Ok(db)) => db,
            Ok(Err(sled::Error::Io(error))) => return Err(error),
            Ok(Err(error)) => return Err(Error::new(ErrorKind::InvalidData, error.to_string())),
            Err(_) => return Err(Error::new(ErrorKind::InvalidData, "sled panicked")),
        };
        let file = File::options().read(true).write(true).open(dir.join("db"))?;
        Ok(Self { db, file })
    }

    /// Keeps the identity durably.
    pub fn set_identity(&self, identity: Identity) -> Result<(), StoreError> {
        self.put(IDENTITY, encode(&IdentityRecord::from(identity))?)
    }

    fn identity(&self) -> Option<Identity> {
        decode_identity(&self.get(IDENTITY)?)
    }

    /// Keeps a copy of the snapshot catalogue, newest first. For people and tools: the manifest is
    /// what counts.
    pub fn set_snapshots(&self, snapshots: &[SnapshotFile]) -> Result<(), StoreError> {
        let records: Vec<SnapshotRecord> = snapshots.iter().map(SnapshotRecord::from).collect();
        self.put(SNAPSHOTS, encode(&records)?)
    }

    /// The copy of the snapshot catalogue, newest first.
    pub fn snapshots(&self) -> Option<Vec<SnapshotFile>> {
        decode_snapshots(&self.get(SNAPSHOTS)?)
    }

    /// Writes a value; returns when it is on disk.
    fn put(&self, key: &str, value: Vec<u8>) -> Result<(), StoreError> {
        let written = self.db.insert(key, value).and_then(|_| self.db.flush());
        written.map_err(|error| StoreError::Io(Error::other(error.to_string())))?;
        self.file.sync_data()?;
        Ok(())
    }

    fn get(&self, key: &str) -> Option<sled::IVec> {
        self.db.get(key).ok()?
    }
}

/// A free name for unreadable facts.
fn aside(root: &Path) -> Result<PathBuf, Error> {
    (1..10_000)
        .map(|number| root.join(format!("facts.unreadable.{number}")))
        .find(|path| !path.exists())
        .ok_or_else(|| ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests;
