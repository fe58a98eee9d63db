//! `CLUSTER …`: this is not a Redis Cluster (every node has every key), and it says so as Redis
//! does.
//!
//! Clients made for Redis Cluster ask at the start and then go on without it.

use super::{Call, Row, Run, exactly, least};
use quorate_engine::{Flags, Group};
use quorate_resp::{Args, Reply};

/// The row.
pub(super) const COMMANDS: &[Row] =
    &[Row::parent("CLUSTER", SUBS, "Answers that this is not a Redis Cluster.")
        .group(Group::Cluster)];

const fn sub(name: &'static str, arity: quorate_engine::Arity, summary: &'static str) -> Row {
    Row::new(name, arity, Run::Here(disabled), summary)
        .after_loading()
        .group(Group::Cluster)
        .since("3.0.0")
}

const SUBS: &[Row] = &[
    sub("CLUSTER|INFO", exactly(2), "Would describe the Redis Cluster."),
    sub("CLUSTER|NODES", exactly(2), "Would list the Redis Cluster's nodes."),
    sub("CLUSTER|SLOTS", exactly(2), "Would list the slots of each node."),
    sub("CLUSTER|SHARDS", exactly(2), "Would list the shards."),
    sub("CLUSTER|MYID", exactly(2), "Would answer the node's id."),
    sub("CLUSTER|LINKS", exactly(2), "Would list the cluster bus's links."),
    sub("CLUSTER|COUNTKEYSINSLOT", exactly(3), "Would count the keys of a slot."),
    sub("CLUSTER|GETKEYSINSLOT", exactly(4), "Would list keys of a slot."),
    sub("CLUSTER|KEYSLOT", exactly(3), "Would answer the slot of a key."),
    sub("CLUSTER|RESET", least(2), "Would leave the Redis Cluster.").flags(Flags::ADMIN),
];

fn disabled(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::error("ERR This instance has cluster support disabled")
}
