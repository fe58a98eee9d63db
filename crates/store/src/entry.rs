//! The words of the log: what an entry is, what its id is, what a vote is.
//!
//! Plain data that all rooms of this crate share and that callers hand in and get back. What stands
//! on disk for it is `file`'s; when it is durable is `log`'s.

use bytes::Bytes;

/// Largest payload of one entry. What is armoured doubles, and lengths on disk have 32 bits.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// Term and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct LogId {
    /// Term.
    pub term: u64,
    /// Index.
    pub index: u64,
}

/// What an entry is. The store keeps the difference but gives it no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A new leader's first entry.
    Blank,
    /// Commands (payload is RESP and annotations).
    Commands,
    /// A membership (payload is opaque bytes, armoured on disk).
    Membership,
    /// A cut: every replica snapshots the state as of this entry, and the log rolls to a new
    /// segment behind it.
    Cut,
    /// What all replicas know of a member (payload is opaque bytes, armoured on disk).
    Fact,
}

/// One log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Term and index.
    pub id: LogId,
    /// Kind.
    pub kind: EntryKind,
    /// Leader's cluster clock, Unix milliseconds.
    pub now_ms: u64,
    /// Leader's seed.
    pub seed: u64,
    /// Payload.
    pub payload: Bytes,
}

/// A Raft vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Vote {
    /// Term.
    pub term: u64,
    /// Whom this replica voted for; 0 is nobody.
    pub voted_for: u64,
    /// Whether a quorum granted it (openraft's "committed" vote).
    pub committed: bool,
}

/// Called exactly once when everything queued before it is durable, or with the error that poisoned
/// the log.
pub type Ack = Box<dyn FnOnce(Result<(), std::io::Error>) + Send>;
