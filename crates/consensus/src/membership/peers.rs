//! What may be wrong with the list of peers.
//!
//! Every node is given the same list and nobody can correct it for the operator, so it is looked at
//! (by `Local`, above) before anything else is done.

use std::error::Error;
use std::fmt;

/// Why a list of peers is not sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeersError {
    /// It names this one twice.
    Twice(String),
    /// This entry is not `host:port`.
    NotHostAndPort(String),
    /// This replica is not in it.
    NotListed {
        /// This replica's name.
        name: String,
        /// The list.
        peers: Vec<String>,
    },
}

impl fmt::Display for PeersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(peer) => write!(f, "the list of peers names {peer} twice"),
            Self::NotHostAndPort(peer) => {
                write!(f, "{peer:?} in the list of peers is not host:port")
            }
            Self::NotListed { name, peers } => write!(
                f,
                "{name} is not in the list of peers ({}): the list is the same on every node and \
                 names the node itself",
                peers.join(", ")
            ),
        }
    }
}

impl Error for PeersError {}
