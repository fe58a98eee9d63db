//! The types this room gives to openraft: what a node is, what an entry holds, who hears the
//! outcome of a proposal.
//!
//! `leader_id_std` (one leader a term, log id = term and index) keeps log ids 16 bytes and
//! comparable with any textbook. Node ids are random and never reused. Entries carry the bytes that
//! also stand in the log file and on the wire.

use bytes::Bytes;
use openraft::impls::leader_id_std;
use openraft::raft::responder::Responder;
use openraft::{AsyncRuntime, EntryPayload, RaftTypeConfig};
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use tokio::sync::oneshot;

use crate::env::Env;

/// openraft's configuration of types, generic over the runtime alone.
pub(crate) struct Types<R>(PhantomData<fn() -> R>);

/// The configuration of an environment.
pub(crate) type Config<E> = Types<<E as Env>::Rt>;
/// Who led a term, as it stands in votes.
type LeaderId = leader_id_std::LeaderId<u64, u64>;
/// How terms stand in log ids.
pub(crate) type TermId = <LeaderId as openraft::vote::RaftLeaderId>::Committed;
/// Term and index.
pub(crate) type LogId = openraft::LogId<TermId>;
/// A vote.
pub(crate) type Vote = openraft::Vote<LeaderId>;
/// What an entry holds.
pub(crate) type Payload = EntryPayload<Data, u64, Peer>;
/// An entry.
pub(crate) type Entry = openraft::Entry<TermId, Payload>;
/// A membership.
pub(crate) type Membership = openraft::Membership<u64, Peer>;
/// A membership and where it stands in the log.
pub(crate) type StoredMembership = openraft::StoredMembership<TermId, u64, Peer>;
/// What a snapshot covers.
pub(crate) type SnapshotMeta = openraft::storage::SnapshotMeta<TermId, u64, Peer>;

// openraft asks for these of the configuration, a type that has no values worth comparing.
impl<R> fmt::Debug for Types<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}
impl<R> Clone for Types<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Types<R> {}
impl<R> Default for Types<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<R> PartialEq for Types<R> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<R> Eq for Types<R> {}
impl<R> PartialOrd for Types<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<R> Ord for Types<R> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl<R: AsyncRuntime> RaftTypeConfig for Types<R> {
    type D = Data;
    type R = ();
    type NodeId = u64;
    type Node = Peer;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = R;
    type Responder<T>
        = Outcome<T>
    where
        T: Send + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = openraft::AnyError;
}

/// A member as it stands in the membership.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(clippy::struct_field_names, reason = "the words of the wire: a peer's peer port")]
pub(crate) struct Peer {
    /// `host:port` of its peer port.
    pub(crate) peer_address: String,
    /// `host:port` of its client port.
    pub(crate) resp_address: String,
    /// Stable name: its entry in the static peer list.
    pub(crate) name: String,
}

/// What a client entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataKind {
    /// Sealed commands.
    Commands,
    /// A cut: every replica snapshots the state as of this entry.
    Cut,
    /// What all replicas know of a member: see [`crate::membership::members`].
    Fact,
}

/// What an entry of ours holds. `Clone` is a reference count.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Data {
    /// What it is.
    pub(crate) kind: DataKind,
    /// The leader's cluster clock when it was sealed, Unix milliseconds.
    pub(crate) now_ms: u64,
    /// The leader's seed; unique within a term. Its two lowest bits say what the leader found when
    /// it sealed: [`Data::HEAVY`], [`Data::INEXACT`].
    pub(crate) seed: u64,
    /// RESP and annotations.
    pub(crate) payload: Bytes,
}

impl Data {
    /// In `seed`: the leader estimated that applying takes more than 1 ms. Every replica then
    /// applies the entry off the event loop, so that a long command costs nobody its heartbeats.
    pub(crate) const HEAVY: u64 = 1;
    /// In `seed`: the payload holds something that stock Redis cannot replay exactly.
    pub(crate) const INEXACT: u64 = 2;

    /// Whether applying is long work.
    pub(crate) fn is_heavy(&self) -> bool {
        self.seed & Self::HEAVY != 0
    }

    /// Whether the log is no longer an exact AOF from here on.
    pub(crate) fn is_inexact(&self) -> bool {
        self.seed & Self::INEXACT != 0
    }
}

// openraft prints entries in its debug logs; clients' data has no business there.
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.kind, self.payload.len())
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Who hears what became of a proposal. Dropped unheard when Raft stops: then the receiver sees it
/// closed.
pub(crate) struct Outcome<T>(pub(crate) oneshot::Sender<T>);

impl<C, T> Responder<C, T> for Outcome<T>
where
    C: RaftTypeConfig,
    T: Send + 'static,
{
    fn on_complete(self, result: T) {
        // The proposer may have stopped waiting.
        let _ = self.0.send(result);
    }
}

/// Builds a log id.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    openraft::LogId::new_term_index(term, index)
}
