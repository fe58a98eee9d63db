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
mod entry;
mod error;
mod facts;
mod file;
mod identity;
mod inspect;
mod log;
mod set_aside;
mod snapshots;

pub use disk::{Disk, DiskFile, OsDisk};
#[cfg(any(test, feature = "fake"))]
pub use disk::{FakeDisk, FakeFile};
pub use entry::{Ack, Entry, EntryKind, LogId, PAYLOAD_BYTES_MAX, Vote};
pub use error::StoreError;
pub use facts::Facts;
pub use file::record::RecordKind;
pub use identity::Identity;
pub use inspect::{Report, check, inspect, repair};
pub use log::scan::RecordView;
pub use log::{Log, LogOptions, LogStats, Recovered};
pub use set_aside::set_aside;
pub use snapshots::draft::Draft;
pub use snapshots::incoming::{Incoming, IncomingId};
pub use snapshots::outgoing::SnapshotReader;
pub use snapshots::{Sink, SnapshotFile, Snapshots};
