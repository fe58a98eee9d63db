//! Fields at random: HRANDFIELD.

use super::fields;
use crate::cmd::collection::{OUT_OF_RANGE, Picks};
use crate::cmd::generic::SYNTAX;
use crate::types::View;
use crate::types::hash::{HashTree, Pair};
use crate::{Flags, Group, Keys, Reader, Replied, Spec, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] =
    &Group::Hash.rows([Spec::read("HRANDFIELD", "key [count [WITHVALUES]]", hrandfield)
        .facts(least(2), Keys::At(1), Flags::NONE)
        .doc("6.2.0", "Picks one or more fields of a hash at random.")
        .costing(cost_ns)]);

fn hrandfield<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let Some(text) = args.get(2) else {
        let hash = cx.view::<HashTree>(args.at(1))?;
        let picked = hash.and_then(|hash| {
            let at = Picks::Repeating(1).positions(hash.len(), cx.seed).ok()?;
            hash.get(at.first().copied()?)
        });
        return Ok(picked.map_or(Reply::Null, |(field, _)| field.reply()));
    };
    let picks = Picks::parse(text)?;
    let with_values = match args.get(3) {
        None => false,
        Some(word) if args.len() == 4 && word.eq_ignore_ascii_case(b"WITHVALUES") => true,
        Some(_) => return Err(Reply::error(SYNTAX)),
    };
    // Twice as many strings would be no number.
    let most = i64::MAX.unsigned_abs() / 2;
    if with_values && parse_int(text).is_none_or(|count| count.unsigned_abs() > most) {
        return Err(Reply::error(OUT_OF_RANGE));
    }
    let Some(hash) = cx.view::<HashTree>(args.at(1))? else {
        return Ok(Reply::Array(Vec::new()));
    };
    let numbers = picks.positions(hash.len(), cx.seed)?;
    let pairs = match picks {
        Picks::Distinct(_) => hash.picked(&numbers),
        Picks::Repeating(_) => repeated(hash, &numbers),
    };
    Ok(if with_values {
        let reply = |(field, value): Pair<'a>| (field.reply(), value.reply());
        Reply::Pairs(pairs.into_iter().map(reply).collect())
    } else {
        Reply::Array(pairs.into_iter().map(|(field, _)| field.reply()).collect())
    })
}

/// Fields by numbers in any order.
fn repeated<'a>(hash: View<'a, HashTree>, numbers: &[usize]) -> Vec<Pair<'a>> {
    if hash.large.is_some() && !hash.picks_slowly() {
        return numbers.iter().filter_map(|&at| hash.get(at)).collect();
    }
    let all: Vec<Pair<'a>> = hash.iter().collect();
    numbers.iter().filter_map(|&at| all.get(at).copied()).collect()
}

fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let Some(Ok(picks)) = args.get(2).map(Picks::parse) else { return 0 };
    let hash = cx.view::<HashTree>(args.at(1)).ok().flatten();
    let slowly = hash.is_some_and(View::<HashTree>::picks_slowly);
    let len = fields(cx, args);
    200 * picks.of(len) as u64 + if slowly { 50 * len as u64 } else { 0 }
}
