//! Why a replica does not start.
//!
//! What went wrong stays a value with its cause as far as here; the operator is told it in one
//! sentence, which says what to do where somebody has to do something.

use crate::api::RaftFailure;
use crate::membership::peers::PeersError;
use crate::snapshot::load::LoadError;
use quorate_store::StoreError;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::{fmt, io};

/// Why a replica does not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The list of peers is not sound.
    Peers(PeersError),
    /// The data directory cannot be opened.
    Directory(PathBuf, StoreError),
    /// Opening it ended with a panic.
    Opening(tokio::task::JoinError),
    /// The peer port cannot be had.
    PeerPort(SocketAddr, io::Error),
    /// Raft does not take the time-outs.
    TimeOuts(RaftFailure),
    /// There is no way to the state.
    Load(LoadError),
    /// Raft itself.
    Raft(RaftFailure),
    /// A process starts one replica, once.
    Again,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peers(why) => why.fmt(f),
            Self::Directory(dir, why) => write!(f, "{}: {why}", dir.display()),
            Self::Opening(why) => why.fmt(f),
            Self::PeerPort(at, why) => write!(f, "the peer port {at} cannot be opened: {why}"),
            Self::TimeOuts(why) => write!(f, "the time-outs do not fit: {why}"),
            Self::Load(why) => why.fmt(f),
            Self::Raft(why) => write!(f, "Raft does not start: {why}"),
            Self::Again => f.write_str("the replica was started before"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Directory(_, why) => Some(why),
            Self::PeerPort(_, why) => Some(why),
            Self::TimeOuts(why) | Self::Raft(why) => Some(why),
            // These are told in the cause's own words.
            Self::Peers(why) => why.source(),
            Self::Opening(why) => why.source(),
            Self::Load(why) => why.source(),
            Self::Again => None,
        }
    }
}

impl From<PeersError> for StartError {
    fn from(why: PeersError) -> Self {
        Self::Peers(why)
    }
}
