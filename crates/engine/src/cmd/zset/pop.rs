//! Taking members off an end: ZPOPMIN, ZPOPMAX, ZMPOP.

use super::{changed, owned, size, zset};
use crate::cmd::generic::SYNTAX;
use crate::types::Open;
use crate::types::zset::ZsetTree;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, least};
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// Either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Min,
    Max,
}

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::SortedSet.rows([
    Spec::write("ZPOPMIN", "key [count]", |cx, args| zpop(cx, args, End::Min))
        .facts(least(2), Keys::At(1), Flags::FAST)
        .doc("5.0.0", "Removes and returns the members with the lowest scores.")
        .access(&["RW access delete"])
        .costing(cost_ns),
    Spec::write("ZPOPMAX", "key [count]", |cx, args| zpop(cx, args, End::Max))
        .facts(least(2), Keys::At(1), Flags::FAST)
        .doc("5.0.0", "Removes and returns the members with the highest scores.")
        .access(&["RW access delete"])
        .costing(cost_ns),
    Spec::write("ZMPOP", "numkeys key [key ...] <MIN | MAX> [COUNT count]", zmpop)
        .facts(least(4), Keys::Counted { count: 1 }, Flags::NONE)
        .doc("7.0.0", "Removes and returns members of the first sorted set that is not empty.")
        .access(&["RW access delete"]),
]);

/// A member that goes takes some 400 ns.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let count = args.get(2).and_then(parse_int).and_then(|count| u64::try_from(count).ok());
    400 * count.unwrap_or(1).min(size(cx, args.at(1)))
}

fn zpop(cx: &mut Writer<'_>, args: Args<'_>, end: End) -> Replied<'static> {
    if args.len() > 3 {
        return Err(Reply::error(SYNTAX));
    }
    let count = match args.get(2).map(|text| parse_int(text).map(usize::try_from)) {
        None => None,
        Some(Some(Ok(count))) => Some(count),
        Some(_) => return Err(Reply::error("ERR value is out of range, must be positive")),
    };
    let pairs = pop(cx, args.at(1), end, count.unwrap_or(1))?;
    if count.is_some() {
        return Ok(Reply::Pairs(pairs));
    }
    Ok(Reply::Array(pairs.into_iter().flat_map(|(member, score)| [member, score]).collect()))
}

type Popped = Vec<(Reply<'static>, Reply<'static>)>;

/// Takes members off an end, the outermost first.
fn pop(cx: &mut Writer<'_>, key: &[u8], end: End, count: usize) -> Result<Popped, Reply<'static>> {
    let work = |zset: &mut Open<ZsetTree>| {
        let (len, view) = (zset.len(), zset.view());
        let count = count.min(len);
        let taken: Vec<_> = match end {
            End::Min => view.pairs(0).take(count).map(owned).collect(),
            End::Max => view.pairs_back(len.saturating_sub(1)).take(count).map(owned).collect(),
        };
        zset.remove_ranks(if end == End::Min { 0..count } else { len - count..len });
        taken
    };
    let taken = cx.edit(key, work)?.unwrap_or_default();
    if !taken.is_empty() {
        changed(cx, if end == End::Min { "zpopmin" } else { "zpopmax" }, key);
    }
    let reply = |(member, score): super::Member<'static>| {
        (Reply::owned(member.into_owned()), Reply::Double(score))
    };
    Ok(taken.into_iter().map(reply).collect())
}

fn zmpop(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (keys, end, count) = options(args)?;
    for key in args.from(2).iter().take(keys) {
        if zset(&cx.reader(), key)?.is_some() {
            let pairs = pop(cx, key, end, count)?;
            let nested = pairs.into_iter().map(|(m, s)| Reply::Array(vec![m, s])).collect();
            return Ok(Reply::Array(vec![Reply::owned(key.to_vec()), Reply::Array(nested)]));
        }
    }
    Ok(Reply::NullArray)
}

/// How many keys, from the third argument on, which end, and how many members. Of BZMPOP the
/// arguments without the first.
pub(super) fn options(args: Args<'_>) -> Result<(usize, End, usize), Reply<'static>> {
    let positive = |text: &[u8]| {
        parse_int(text).and_then(|number| usize::try_from(number).ok()).filter(|&number| number > 0)
    };
    let keys = positive(args.at(1)).ok_or(Reply::error("ERR numkeys should be greater than 0"))?;
    let at = keys.saturating_add(2);
    let end = match args.get(at) {
        Some(word) if word.eq_ignore_ascii_case(b"MIN") => End::Min,
        Some(word) if word.eq_ignore_ascii_case(b"MAX") => End::Max,
        _ => return Err(Reply::error(SYNTAX)),
    };
    let rest = args.from(at + 1);
    match (rest.len(), rest.get(0)) {
        (0, _) => Ok((keys, end, 1)),
        (2.., Some(word)) if word.eq_ignore_ascii_case(b"COUNT") => {
            let count =
                positive(rest.at(1)).ok_or(Reply::error("ERR count should be greater than 0"))?;
            if rest.len() > 2 { Err(Reply::error(SYNTAX)) } else { Ok((keys, end, count)) }
        }
        _ => Err(Reply::error(SYNTAX)),
    }
}
