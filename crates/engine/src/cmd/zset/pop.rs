//! Taking members off an end: ZPOPMIN, ZPOPMAX, ZMPOP.

use super::{changed, owned, size, wrong, zset};
use crate::cmd::generic::SYNTAX;
use crate::types::Open;
use crate::types::zset::ZsetTree;
use crate::{Arity, Flags, Group, Keys, Logged, Meta, Reader, Spec, Writer};
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// Either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

const fn row(name: &'static str, summary: &'static str) -> Meta {
    Group::SortedSet.meta(name, Arity::AtLeast(2), Keys::At(1), Flags::FAST, ("5.0.0", summary))
}

pub(super) const ZPOPMIN: Spec = Spec::write(
    row("ZPOPMIN", "Removes and returns the members with the lowest scores."),
    Logged::PLAIN,
    |cx, args| zpop(cx, args, End::Min),
)
.costing(cost_ns);

pub(super) const ZPOPMAX: Spec = Spec::write(
    row("ZPOPMAX", "Removes and returns the members with the highest scores."),
    Logged::PLAIN,
    |cx, args| zpop(cx, args, End::Max),
)
.costing(cost_ns);

/// A member that goes takes some 400 ns.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let count = args.get(2).and_then(parse_int).and_then(|count| u64::try_from(count).ok());
    400 * count.unwrap_or(1).min(size(cx, args.at(1)))
}

fn zpop(cx: &mut Writer<'_>, args: Args<'_>, end: End) -> Reply<'static> {
    if args.len() > 3 {
        return Reply::error(SYNTAX);
    }
    let count = match args.get(2).map(|text| parse_int(text).map(usize::try_from)) {
        None => None,
        Some(Some(Ok(count))) => Some(count),
        Some(_) => return Reply::error("ERR value is out of range, must be positive"),
    };
    let pairs = match pop(cx, args.at(1), end, count.unwrap_or(1)) {
        Ok(pairs) => pairs,
        Err(reply) => return reply,
    };
    if count.is_some() {
        return Reply::Pairs(pairs);
    }
    Reply::Array(pairs.into_iter().flat_map(|(member, score)| [member, score]).collect())
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
    let taken = wrong(cx.edit(key, work))?.unwrap_or_default();
    if !taken.is_empty() {
        changed(cx, if end == End::Min { "zpopmin" } else { "zpopmax" }, key);
    }
    let reply = |(member, score): super::Member<'static>| {
        (Reply::owned(member.into_owned()), Reply::Double(score))
    };
    Ok(taken.into_iter().map(reply).collect())
}

pub(super) const ZMPOP: Spec = Spec::write(
    Group::SortedSet.meta(
        "ZMPOP",
        Arity::AtLeast(4),
        Keys::Counted { count: 1 },
        Flags::NONE,
        ("7.0.0", "Removes and returns members of the first sorted set that is not empty."),
    ),
    Logged::PLAIN,
    zmpop,
);

fn zmpop(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let (keys, end, count) = match options(args) {
        Ok(options) => options,
        Err(reply) => return reply,
    };
    for key in args.from(2).iter().take(keys) {
        match zset(&cx.reader(), key) {
            Ok(None) => {}
            Ok(Some(_)) => {
                let pairs = match pop(cx, key, end, count) {
                    Ok(pairs) => pairs,
                    Err(reply) => return reply,
                };
                let nested = pairs.into_iter().map(|(m, s)| Reply::Array(vec![m, s])).collect();
                return Reply::Array(vec![Reply::owned(key.to_vec()), Reply::Array(nested)]);
            }
            Err(reply) => return reply,
        }
    }
    Reply::NullArray
}

/// How many keys, which end, and how many members.
fn options(args: Args<'_>) -> Result<(usize, End, usize), Reply<'static>> {
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
