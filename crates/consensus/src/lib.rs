//! Raft between the replicas: one straight way for writes, one for reads.
//!
//! A write: `Node::submit` → proposer (local) or forwarder (to the leader) → `engine::seal` → one
//! log entry → store and peers in parallel → commit → apply → answer. A read: `Node::read` → read
//! gate (one `ReadIndex` round for all that wait) → shared lock on the keyspace. Only this room
//! names openraft and the generated peer types. It never sees a client socket and never a command's
//! name.

mod api;
mod bus;
mod clock;
mod compare;
mod env;
mod failure;
mod group;
mod leadership;
mod live;
mod lock;
mod maintenance;
mod membership;
mod node;
mod peer;
mod process;
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
mod proto;
mod raft;
mod read;
mod replica;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod sizes;
mod snapshot;
mod write;

pub use api::{
    Answer, Failed, LastSnapshot, Loading, MemberStatus, NotApplied, Options, RaftFailure,
    ReadError, ReplicaOptions, Role, SavingStatus, Scripts, Shown, Status,
};
pub use bus::audience::{Audience, Listener, Wanted};
pub use bus::interest::Interest;
pub use bus::message::{Kind, Message};
pub use leadership::hand_over::HandOverError;
pub use membership::peers::PeersError;
pub use node::{KeyspaceGuard, Node, Waits};
pub use snapshot::backup::Backup;
pub use snapshot::error::NoSnapshot;
pub use snapshot::feed::{Feed, FeedEnd};
pub use snapshot::offline::{Exported, OfflineError, Restored, Step, export, restore};
pub use write::scripts::{Kill, RunningScript};
