//! Why a snapshot that a leader sends is not received.
//!
//! The sender is told the text, and tries again: none of it hurts anything that stood here before.

use crate::api::RaftFailure;
use crate::peer::transport::TransportError;
use crate::raft::convert::Malformed;
use crate::snapshot::facts::Unreadable;
use quorate_engine::SnapshotError;
use quorate_store::StoreError;
use std::error::Error;
use std::fmt;

/// Why a snapshot is not received.
#[derive(Debug)]
pub(crate) enum Unreceived {
    /// Its head makes no sense.
    Malformed(Malformed),
    /// Its sender leads no longer.
    Deposed { theirs: u64, term: u64 },
    /// It holds no entry.
    Nothing,
    /// It does not begin with a head.
    NoHead,
    /// Its head says nothing to check it by.
    NoChecksum,
    /// The sender goes on from a point that is not where this side is.
    Moved,
    /// So many bytes have no room, or cannot be begun.
    NoRoom(u64, StoreError),
    /// The connection ended.
    Connection(TransportError),
    /// Another sender speaks up.
    Overtaken,
    /// A head stands where bytes should.
    SecondHead,
    /// Bytes are not those that were sent.
    DamagedChunk,
    /// The end is missing.
    Short,
    /// It is no snapshot that this version can take.
    Decode(SnapshotError),
    /// It is not one of this cluster, or Raft's fields make no sense.
    File(Unreadable),
    /// What it holds is not what its head said.
    OtherHead,
    /// The disk refuses.
    Store(StoreError),
    /// Raft does not install it.
    Raft(RaftFailure),
    /// The process is stopping.
    Stopping,
}

impl fmt::Display for Unreceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(what) => return what.fmt(f),
            Self::Deposed { theirs, term } => {
                return write!(f, "term {theirs} is over, this is {term}");
            }
            Self::Nothing => "a snapshot of nothing",
            Self::NoHead => "a snapshot without a head",
            Self::NoChecksum => "a snapshot without a checksum",
            Self::Moved => "something else is here by now: offer the snapshot again",
            Self::NoRoom(bytes, why) => return write!(f, "a snapshot of {bytes} bytes: {why}"),
            Self::Connection(why) => return write!(f, "{why:?}"),
            Self::Overtaken => "another sender has taken over",
            Self::SecondHead => "a second head",
            Self::DamagedChunk => "a damaged chunk",
            Self::Short => "the snapshot ends early",
            Self::Decode(why) => return why.fmt(f),
            Self::File(why) => return why.fmt(f),
            Self::OtherHead => "head and snapshot differ",
            Self::Store(why) => return why.fmt(f),
            Self::Raft(why) => return why.fmt(f),
            Self::Stopping => "stopping",
        })
    }
}

impl Error for Unreceived {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoRoom(_, why) => Some(why),
            Self::Connection(why) => Some(why),
            // These are told in the cause's own words.
            Self::File(why) => why.source(),
            Self::Store(why) => why.source(),
            Self::Raft(why) => why.source(),
            _ => None,
        }
    }
}

impl From<StoreError> for Unreceived {
    fn from(why: StoreError) -> Self {
        Self::Store(why)
    }
}
