//! The way of a write: a queue, and who takes from it.
//!
//! On the leader the proposer seals a batch and proposes it, on a follower the forwarder sends it
//! to the leader.

pub(crate) mod forward;
pub(crate) mod in_flight;
pub(crate) mod proposer;
pub(crate) mod queue;

use std::time::Duration;

/// Most bytes of commands in one entry. A larger single run is an entry of its own.
pub(crate) const BATCH_BYTES_MAX: usize = 1 << 20;
/// Most commands in one entry.
pub(crate) const BATCH_COMMANDS_MAX: usize = 8192;
/// How long the outcome of a proposal is waited for, besides the time its commands take.
pub(crate) const PROPOSAL_MAX: Duration = Duration::from_secs(5);
