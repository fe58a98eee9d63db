//! Raft between the replicas: one straight way for writes, one for reads.
//!
//! A write: `Node::submit` → proposer (local) or forwarder (to the leader) → `engine::seal` → one
//! log entry → store and peers in parallel → commit → apply → answer. A read: `Node::read` → read
//! gate (one `ReadIndex` round for all that wait) → shared lock on the keyspace. Only this room
//! names openraft and the generated peer types. It never sees a client socket and never a command's
//! name.

mod assembly;
mod backup;
mod bootstrap;
mod clock;
mod compare;
mod core;
mod env;
mod following;
mod forward;
mod grpc;
mod handover;
mod host;
mod links;
mod load;
mod log;
mod machine;
mod members;
mod network;
mod node;
mod office;
mod offline;
mod pace;
mod pieces;
mod proposer;
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
mod proto;
mod queue;
mod raft;
mod reads;
mod saving;
mod service;
mod shared;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod sizes;
mod snapshot;
mod status;
mod tail;
mod transfer;
mod transport;
mod trust;
mod wire;

pub use backup::Backup;
pub use following::{Feed, FeedEnd};
pub use node::{
    Answer, Failed, KeyspaceGuard, Loading, MemberStatus, Node, NotApplied, Options, ReadError,
    Role, StartError, Status,
};
pub use offline::{Exported, Restored, Step, export, restore};
pub use saving::{LastSnapshot, SavingStatus};
