//! What belongs to Redis's modules and to its replication, which are not ours: questions are
//! answered truthfully, and what cannot be done is refused with the reason.
//!
//! Tools ask without a need for the answer; an honest one lets them go on.

use super::{Call, Row, Run, exactly, int, is, least};
use quorate_engine::{Flags, Group};
use quorate_resp::{Args, Reply};

const ADMIN: Flags = Flags::ADMIN.and(Flags::DANGEROUS);

/// The rows.
pub(super) const COMMANDS: &[Row] = &[
    Row::parent("MODULE", SUBS, "Looks at modules: there are none.").since("4.0.0"),
    Row::new("REPLICAOF", exactly(3), Run::Here(replica_of), "Accepts NO ONE, refuses a master.")
        .flags(ADMIN)
        .since("5.0.0"),
    Row::new("SLAVEOF", exactly(3), Run::Here(replica_of), "Accepts NO ONE, refuses a master.")
        .flags(ADMIN),
    Row::new("MIGRATE", least(6), Run::Here(migrate), "Is refused: DUMP and RESTORE do it.")
        .group(Group::Generic)
        .flags(Flags::DANGEROUS)
        .since("2.6.0"),
];

const SUBS: &[Row] = &[
    Row::new("MODULE|LIST", exactly(2), Run::Here(list), "Lists modules: none.")
        .flags(ADMIN)
        .since("4.0.0"),
    Row::new("MODULE|LOAD", least(3), Run::Here(load), "Is refused.").flags(ADMIN).since("4.0.0"),
    Row::new("MODULE|LOADEX", least(3), Run::Here(load), "Is refused.").flags(ADMIN).since("7.0.0"),
    Row::new("MODULE|UNLOAD", exactly(3), Run::Here(unload), "Finds no module of that name.")
        .flags(ADMIN)
        .since("4.0.0"),
];

fn list(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::Array(Vec::new())
}

fn load(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::error("ERR modules cannot be loaded: every replica must apply the log alike")
}

fn unload(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::error("ERR Error unloading module: no such module with that name")
}

/// Every node takes writes, so it follows nobody already.
fn replica_of(_: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    if is(args.at(1), "NO") && is(args.at(2), "ONE") {
        return Reply::OK;
    }
    match int(args.at(2)) {
        Some(0..=65535) => Reply::error(
            "ERR a node follows no master: replicas are nodes of one cluster (setting peers); to \
             take over the data of a Redis use quorate backup and quorate restore",
        ),
        _ => Reply::error("ERR Invalid master port"),
    }
}

fn migrate(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::error(
        "ERR MIGRATE is not supported: a node opens no connection for a client; use DUMP here, \
         RESTORE there, and DEL",
    )
}
