//! Removing members: ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.

use super::ranges::{LexRange, ScoreRange, ranks};
use super::{Zset, changed, size};
use crate::cmd::generic::NOT_AN_INTEGER;
use crate::types::Open;
use crate::types::zset::ZsetTree;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, exactly, least};
use core::ops::Range;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::SortedSet.rows([
    Spec::write("ZREM", "key member [member ...]", zrem)
        .facts(least(3), Keys::At(1), Flags::FAST)
        .doc("1.2.0", "Removes members from a sorted set.")
        .access(&["RW delete"]),
    Spec::write("ZREMRANGEBYRANK", "key start stop", zremrangebyrank)
        .facts(exactly(4), Keys::At(1), Flags::NONE)
        .doc("2.0.0", "Removes the members of a range of ranks.")
        .access(&["RW delete"])
        .costing(cost_ns),
    Spec::write("ZREMRANGEBYSCORE", "key min max", zremrangebyscore)
        .facts(exactly(4), Keys::At(1), Flags::NONE)
        .doc("1.2.0", "Removes the members of a range of scores.")
        .access(&["RW delete"])
        .costing(cost_ns),
    Spec::write("ZREMRANGEBYLEX", "key min max", zremrangebylex)
        .facts(exactly(4), Keys::At(1), Flags::NONE)
        .doc("2.8.9", "Removes the members of a range of their bytes.")
        .access(&["RW delete"])
        .costing(cost_ns),
]);

fn zremrangebyrank(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    match (parse_int(args.at(2)), parse_int(args.at(3))) {
        (Some(first), Some(last)) => {
            remove(cx, args, "zremrangebyrank", |zset| ranks(first, last, zset.count()))
        }
        _ => Err(Reply::error(NOT_AN_INTEGER)),
    }
}

fn zremrangebyscore(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let range = ScoreRange::parse(args.at(2), args.at(3))?;
    remove(cx, args, "zremrangebyscore", |zset| range.ranks(zset))
}

fn zremrangebylex(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let range = LexRange::parse(args.at(2), args.at(3))?;
    remove(cx, args, "zremrangebylex", |zset| range.ranks(zset, false))
}

fn zrem(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let removed = cx.edit(key, |zset: &mut Open<ZsetTree>| {
        args.from(2).iter().filter(|member| zset.remove(member)).count()
    })?;
    match removed {
        Some(count) if count > 0 => {
            changed(cx, "zrem", key);
            Ok(Reply::len(count))
        }
        _ => Ok(Reply::Int(0)),
    }
}

/// A member that goes takes some 300 ns.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    300 * size(cx, args.at(1))
}

fn remove(
    cx: &mut Writer<'_>,
    args: Args<'_>,
    event: &'static str,
    ranks: impl FnOnce(Zset<'_>) -> Range<usize>,
) -> Replied<'static> {
    let key = args.at(1);
    let removed = cx.edit(key, |zset: &mut Open<ZsetTree>| {
        let ranks = ranks(zset.view());
        let count = ranks.len();
        zset.remove_ranks(ranks);
        count
    })?;
    match removed {
        Some(count) if count > 0 => {
            changed(cx, event, key);
            Ok(Reply::len(count))
        }
        _ => Ok(Reply::Int(0)),
    }
}
