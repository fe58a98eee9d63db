//! Removing members: ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.

use super::ranges::{LexRange, ScoreRange, ranks};
use super::{Zset, changed, size, wrong};
use crate::cmd::generic::NOT_AN_INTEGER;
use crate::types::Open;
use crate::types::zset::ZsetTree;
use crate::{Arity, Flags, Group, Keys, Logged, Meta, Reader, Spec, Writer};
use core::ops::Range;
use quorate_resp::{Args, Reply, parse_int};

pub(super) const ZREM: Spec = Spec::write(
    Group::SortedSet.meta(
        "ZREM",
        Arity::AtLeast(3),
        Keys::At(1),
        Flags::FAST,
        ("1.2.0", "Removes members from a sorted set."),
    ),
    Logged::PLAIN,
    zrem,
);

fn zrem(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let key = args.at(1);
    let removed = wrong(cx.edit(key, |zset: &mut Open<ZsetTree>| {
        args.from(2).iter().filter(|member| zset.remove(member)).count()
    }));
    match removed {
        Ok(Some(count)) if count > 0 => {
            changed(cx, "zrem", key);
            Reply::len(count)
        }
        Ok(_) => Reply::Int(0),
        Err(reply) => reply,
    }
}

const fn range_row(name: &'static str, since: &'static str, summary: &'static str) -> Meta {
    Group::SortedSet.meta(name, Arity::Exactly(4), Keys::At(1), Flags::NONE, (since, summary))
}

pub(super) const ZREMRANGEBYRANK: Spec = Spec::write(
    range_row("ZREMRANGEBYRANK", "2.0.0", "Removes the members of a range of ranks."),
    Logged::PLAIN,
    |cx, args| match (parse_int(args.at(2)), parse_int(args.at(3))) {
        (Some(first), Some(last)) => {
            remove(cx, args, "zremrangebyrank", |zset| ranks(first, last, zset.count()))
        }
        _ => Reply::error(NOT_AN_INTEGER),
    },
)
.costing(cost_ns);

pub(super) const ZREMRANGEBYSCORE: Spec = Spec::write(
    range_row("ZREMRANGEBYSCORE", "1.2.0", "Removes the members of a range of scores."),
    Logged::PLAIN,
    |cx, args| match ScoreRange::parse(args.at(2), args.at(3)) {
        Ok(range) => remove(cx, args, "zremrangebyscore", |zset| range.ranks(zset)),
        Err(reply) => reply,
    },
)
.costing(cost_ns);

pub(super) const ZREMRANGEBYLEX: Spec = Spec::write(
    range_row("ZREMRANGEBYLEX", "2.8.9", "Removes the members of a range of their bytes."),
    Logged::PLAIN,
    |cx, args| match LexRange::parse(args.at(2), args.at(3)) {
        Ok(range) => remove(cx, args, "zremrangebylex", |zset| range.ranks(zset, false)),
        Err(reply) => reply,
    },
)
.costing(cost_ns);

/// A member that goes takes some 300 ns.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    300 * size(cx, args.at(1))
}

fn remove(
    cx: &mut Writer<'_>,
    args: Args<'_>,
    event: &'static str,
    ranks: impl FnOnce(Zset<'_>) -> Range<usize>,
) -> Reply<'static> {
    let key = args.at(1);
    let removed = wrong(cx.edit(key, |zset: &mut Open<ZsetTree>| {
        let ranks = ranks(zset.view());
        let count = ranks.len();
        zset.remove_ranks(ranks);
        count
    }));
    match removed {
        Ok(Some(count)) if count > 0 => {
            changed(cx, event, key);
            Reply::len(count)
        }
        Ok(_) => Reply::Int(0),
        Err(reply) => reply,
    }
}
