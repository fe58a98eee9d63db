//! What a replica keeps on disk: the Raft log as an append-only file, snapshots as RDB files,
//! identity in `facts/`.
//!
//! Knows bytes, files and order. Does not know the network, Raft's rules, or what a command means.
//! All disk access goes through [`Disk`], so that the same code runs on a disk that loses what was
//! not synced.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        reason = "a test that cannot go on has failed"
    )
)]

mod disk;
mod facts;
mod file;
mod inspect;
mod log;
mod set_aside;
mod snapshots;

pub use disk::{Disk, DiskFile, OsDisk};
#[cfg(any(test, feature = "fake"))]
pub use disk::{FakeDisk, FakeFile};
pub use facts::{Facts, Identity};
pub use file::record::RecordKind;
pub use inspect::{Report, check, inspect, repair};
pub use log::scan::RecordView;
pub use log::{
    Ack, Entry, EntryKind, Log, LogId, LogOptions, LogStats, PAYLOAD_BYTES_MAX, Recovered, Vote,
};
pub use set_aside::set_aside;
pub use snapshots::draft::Draft;
pub use snapshots::incoming::{Incoming, IncomingId};
pub use snapshots::outgoing::SnapshotReader;
pub use snapshots::{Sink, SnapshotFile, Snapshots};

/// Why the store cannot go on.
#[derive(Debug)]
pub enum StoreError {
    /// Another process holds the directory's lock.
    Locked(String),
    /// The directory was written by something else or by an unknown version; says what to do.
    Foreign(String),
    /// Bytes that were acknowledged as durable are damaged; the replica must not vote. Says where
    /// and what to do.
    Corrupt(String),
    /// The disk is full. Nothing was hurt.
    Full,
    /// The operating system refused. After a failed sync the log is poisoned: the process must
    /// stop.
    Io(std::io::Error),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Locked(text) | Self::Foreign(text) | Self::Corrupt(text) => f.write_str(text),
            Self::Full => f.write_str("no space left on the disk"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull { Self::Full } else { Self::Io(error) }
    }
}
