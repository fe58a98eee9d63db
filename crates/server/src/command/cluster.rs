//! `CLUSTER …`: this is not a Redis Cluster (every node has every key), and it says so as Redis
//! does.
//!
//! Clients made for Redis Cluster ask at the start and then go on without it.

use super::{Call, NODE, Row, Run};
use quorate_engine::{Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply};

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Cluster.rows([
    Row::new("CLUSTER", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("1.0.0", "Answers that this is not a Redis Cluster."),
    Row::new("CLUSTER|INFO", "", Run::Here(disabled))
        .facts(exactly(2), Keys::None, Flags::STALE)
        .doc("3.0.0", "Would describe the Redis Cluster."),
    Row::new("CLUSTER|NODES", "", Run::Here(disabled))
        .facts(exactly(2), Keys::None, Flags::STALE)
        .doc("3.0.0", "Would list the Redis Cluster's nodes."),
    Row::new("CLUSTER|SLOTS", "", Run::Here(disabled))
        .facts(exactly(2), Keys::None, Flags::STALE)
        .doc("3.0.0", "Would list the slots of each node."),
    Row::new("CLUSTER|SHARDS", "", Run::Here(disabled))
        .facts(exactly(2), Keys::None, Flags::STALE)
        .doc("3.0.0", "Would list the shards."),
    Row::new("CLUSTER|MYID", "", Run::Here(disabled))
        .facts(exactly(2), Keys::None, Flags::STALE)
        .doc("3.0.0", "Would answer the node's id."),
    Row::new("CLUSTER|LINKS", "", Run::Here(disabled))
        .facts(exactly(2), Keys::None, Flags::STALE)
        .doc("3.0.0", "Would list the cluster bus's links."),
    Row::new("CLUSTER|COUNTKEYSINSLOT", "slot", Run::Here(disabled))
        .facts(exactly(3), Keys::None, Flags::STALE)
        .doc("3.0.0", "Would count the keys of a slot."),
    Row::new("CLUSTER|GETKEYSINSLOT", "slot count", Run::Here(disabled))
        .facts(exactly(4), Keys::None, Flags::STALE)
        .doc("3.0.0", "Would list keys of a slot."),
    Row::new("CLUSTER|KEYSLOT", "key", Run::Here(disabled))
        .facts(exactly(3), Keys::None, Flags::STALE)
        .doc("3.0.0", "Would answer the slot of a key."),
    Row::new("CLUSTER|RESET", "[HARD | SOFT]", Run::Here(disabled))
        .facts(least(2), Keys::None, Flags::STALE.and(Flags::ADMIN))
        .doc("3.0.0", "Would leave the Redis Cluster."),
]);

fn disabled(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::error("ERR This instance has cluster support disabled")
}
