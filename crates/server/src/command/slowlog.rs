//! `SLOWLOG …`: commands that took long.
//!
//! Each node keeps its own: what was slow here need not have been slow elsewhere.
//! Entries are made by the session ([`slowlog`](crate::slowlog)).

use super::{Call, Row, Run, bulk, error, exactly, int, least};
use crate::slowlog::Slow;
use quorate_engine::Flags;
use quorate_resp::{Args, Reply};

const ADMIN: Flags = Flags::ADMIN.and(Flags::DANGEROUS);

/// The row.
pub(super) const COMMANDS: &[Row] =
    &[Row::parent("SLOWLOG", SUBS, "Shows the commands that took long.").since("2.2.12")];

const SUBS: &[Row] = &[
    Row::new("SLOWLOG|GET", least(2), Run::Here(get), "Shows the newest slow commands.")
        .flags(ADMIN),
    Row::new("SLOWLOG|LEN", exactly(2), Run::Here(len), "Answers how many are kept.").flags(ADMIN),
    Row::new("SLOWLOG|RESET", exactly(2), Run::Here(reset), "Forgets them.").flags(ADMIN),
];

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
