//! openraft, and what it asks of us: types, log storage, state machine, network.
//!
//! Only this room and those above it name openraft; `convert` is where each field is moved between
//! its types, the store's and the wire's.

pub(crate) mod config;
pub(crate) mod convert;
pub(crate) mod fold;
pub(crate) mod log;
pub(crate) mod log_storage;
pub(crate) mod metrics;
pub(crate) mod network;
pub(crate) mod state_machine;
pub(crate) mod tail;
pub(crate) mod types;

/// The Raft of an environment.
pub(crate) type Raft<E> = openraft::Raft<types::Config<E>, state_machine::StateMachine<E>>;
