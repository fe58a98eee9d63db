//! The words of the bus: what is listened to, and what is said.
//!
//! Plain data, shared with the server. The bytes of a message are made once, where a client
//! publishes it or a peer's stream brings it.

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
