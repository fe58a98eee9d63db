//! What belongs to Redis's modules and to its replication, which are not ours: questions are
//! answered truthfully, and what cannot be done is refused with the reason.
//!
//! Tools ask without a need for the answer; an honest one lets them go on.

use super::{Call, NODE, Row, Run, int, is};
use quorate_engine::{Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply};

const ADMIN: Flags = Flags::ADMIN.and(Flags::DANGEROUS);

/// The rows.
pub(super) const ROWS: &[Row] = &[
    Row::new("MODULE", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("4.0.0", "Looks at modules: there are none.")
        .group(Group::Server),
    Row::new("REPLICAOF", "<host port | NO ONE>", Run::Here(replica_of))
        .facts(exactly(3), Keys::None, NODE.and(ADMIN))
        .doc("5.0.0", "Accepts NO ONE, refuses a master.")
        .group(Group::Server),
    Row::new("SLAVEOF", "<host port | NO ONE>", Run::Here(replica_of))
        .facts(exactly(3), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Accepts NO ONE, refuses a master.")
        .group(Group::Server),
    Row::new(
        "MIGRATE",
        "host port <key | \"\"> destination-db timeout [COPY] [REPLACE] [AUTH \
         password | AUTH2 username password] [KEYS key [key ...]]",
        Run::Here(migrate),
    )
    .facts(least(6), Keys::None, NODE.and(Flags::DANGEROUS))
    .doc("2.6.0", "Is refused: DUMP and RESTORE do it.")
    .group(Group::Generic),
    Row::new("MODULE|LIST", "", Run::Here(list))
        .facts(exactly(2), Keys::None, NODE.and(ADMIN))
        .doc("4.0.0", "Lists modules: none.")
        .group(Group::Server),
    Row::new("MODULE|LOAD", "path [arg [arg ...]]", Run::Here(load))
        .facts(least(3), Keys::None, NODE.and(ADMIN))
        .doc("4.0.0", "Is refused.")
        .group(Group::Server),
    Row::new(
        "MODULE|LOADEX",
        "path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]",
        Run::Here(load),
    )
    .facts(least(3), Keys::None, NODE.and(ADMIN))
    .doc("7.0.0", "Is refused.")
    .group(Group::Server),
    Row::new("MODULE|UNLOAD", "name", Run::Here(unload))
        .facts(exactly(3), Keys::None, NODE.and(ADMIN))
        .doc("4.0.0", "Finds no module of that name.")
        .group(Group::Server),
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
