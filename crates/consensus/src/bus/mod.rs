//! The bus: what clients publish goes from node to node without the log, without a leader and
//! without a disk.
//!
//! There is one stream from each node to each other (`link`, `intake`). On it a node tells who
//! listens there (`interest`), and sends what its clients publish to the nodes where somebody does.
//! A message names the last entry that its publisher knows to be applied; whoever receives it hands
//! it on when that entry is applied there, so that it never overtakes what the publisher has
//! written. Messages of one publisher keep their order over all channels. Who cannot be reached
//! misses messages.

pub(crate) mod audience;
pub(crate) mod carry;
pub(crate) mod intake;
pub(crate) mod interest;
pub(crate) mod link;
pub(crate) mod message;
pub(crate) mod queue;
