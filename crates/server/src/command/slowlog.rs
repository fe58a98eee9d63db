//! `SLOWLOG …`: commands that took long.
//!
//! Each node keeps its own: what was slow here need not have been slow elsewhere.
//! Entries are made by the session ([`slowlog`](crate::slowlog)).

use super::{Call, NODE, Row, Run, bulk, error, int};
use crate::slowlog::Slow;
use quorate_engine::{Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply};

const ADMIN: Flags = Flags::ADMIN.and(Flags::DANGEROUS);

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Server.rows([
    Row::new("SLOWLOG", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("2.2.12", "Shows the commands that took long."),
    Row::new("SLOWLOG|GET", "[count]", Run::Here(get))
        .facts(least(2), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Shows the newest slow commands."),
    Row::new("SLOWLOG|LEN", "", Run::Here(len))
        .facts(exactly(2), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Answers how many are kept."),
    Row::new("SLOWLOG|RESET", "", Run::Here(reset))
        .facts(exactly(2), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Forgets them."),
]);

fn get(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let count = match args.get(2).map(int) {
        None => 10,
        Some(Some(-1)) => usize::MAX,
        Some(Some(count @ 0..)) if args.len() == 3 => usize::try_from(count).unwrap_or(usize::MAX),
        Some(_) => {
            return error("ERR count should be greater than or equal to -1");
        }
    };
    Reply::Array(call.shared.slowlog.newest(count).into_iter().map(shown).collect())
}

fn shown(slow: Slow) -> Reply<'static> {
    Reply::Array(vec![
        Reply::Int(slow.id as i64),
        Reply::Int(slow.unix_s as i64),
        Reply::Int(slow.micros as i64),
        Reply::Array(slow.args.into_iter().map(Reply::owned).collect()),
        bulk(slow.address),
        bulk(slow.name),
    ])
}

fn len(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::len(call.shared.slowlog.len())
}

fn reset(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    call.shared.slowlog.reset();
    Reply::OK
}
