//! What a backup client asks: `SYNC`, `PSYNC` and `REPLCONF`, as Redis's replicas speak.
//!
//! They get a snapshot and then silence. A stream of commands behind it would not be a replica of
//! this cluster, only of one node's log.

use super::{Call, Row, Run, Work, is, least};
use quorate_engine::{Arity, Flags};
use quorate_resp::{Args, Reply};

const ADMIN: Flags = Flags::ADMIN.and(Flags::DANGEROUS);

/// The rows.
pub(super) const COMMANDS: &[Row] = &[
    Row::new(
        "SYNC",
        Arity::Exactly(1),
        Run::Ask(|_, _| Ok(Work::Snapshot { heading: false })),
        "Sends a snapshot to a backup client.",
    )
    .after_loading()
    .flags(ADMIN),
    Row::new(
        "PSYNC",
        least(3),
        Run::Ask(|_, _| Ok(Work::Snapshot { heading: true })),
        "Sends a snapshot, under a heading.",
    )
    .after_loading()
    .flags(ADMIN)
    .since("2.8.0"),
    Row::new("REPLCONF", least(1), Run::Here(replconf), "Takes note of what a replica is.")
        .flags(ADMIN)
        .since("3.0.0"),
];

fn replconf(_: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    // A replica that acknowledges, or asks us to, expects no answer in Redis either; nothing makes
    // one do so here.
    if args.len() > 1 && is(args.at(1), "getack") {
        return Reply::error("ERR this node has no master");
    }
    Reply::OK
}
