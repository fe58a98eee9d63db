//! The names of those who wait.
//!
//! A run that waits bears one, and in the log it stands in front of what serves the run. Where they
//! wait, and in which order, is in `waiting`.

/// A session that waits, by the node that it is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter {
    /// The node that answers it,
    pub node: u64,
    /// in this start of it.
    pub incarnation: u64,
    /// A number that the node gave it.
    pub id: u64,
}

/// What a session says when it begins to wait, or goes on at another leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Who.
    pub waiter: Waiter,
    /// Since when, by the leader's clock, Unix milliseconds.
    pub since_ms: u64,
    /// Its node had applied so much, and nothing up to there had served it.
    pub applied: u64,
    /// It waited already, at another leader: keys of another type are passed over.
    pub again: bool,
}
