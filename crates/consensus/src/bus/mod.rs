//! The bus: what clients publish goes from node to node without the log, without a leader and
//! without a disk.
//!
//! There is one stream from each node to each other. On it a node tells who listens there
//! (`interest`), and sends what its clients publish to the nodes where somebody does. A message
//! names the last entry that its publisher knows to be applied; whoever receives it hands it on when
//! that entry is applied there, so that it never overtakes what the publisher has written. Messages
//! of one publisher keep their order over all channels. Who cannot be reached misses messages.

pub(crate) mod interest;

pub use interest::Interest;

use bytes::Bytes;

/// What a name is that is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A channel.
    Channel,
    /// A pattern of channels.
    Pattern,
    /// A channel of a shard.
    Shard,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];
}

/// What a client publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub channel: Bytes,
    /// What.
    pub payload: Bytes,
    /// Whether the channel is one of a shard.
    pub shard: bool,
    /// Index of the last entry that the publisher knows of: the message comes behind it.
    pub after: u64,
}
