//! Looking at sorted sets: ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZCOUNT, ZLEXCOUNT.

use super::ranges::{LexRange, ScoreRange};
use super::{Zset, answer, size, zset};
use crate::cmd::generic::SYNTAX;
use crate::{Arity, Flags, Group, Keys, Meta, Reader, Spec};
use alloc::vec;
use quorate_resp::{Args, Reply};

const fn row(name: &'static str, arity: Arity, since: &'static str, summary: &'static str) -> Meta {
    Group::SortedSet.meta(name, arity, Keys::At(1), Flags::FAST, (since, summary))
}

pub(super) const ZCARD: Spec = Spec::read(
    row("ZCARD", Arity::Exactly(2), "1.2.0", "Counts the members of a sorted set."),
    |cx, args| answer(zset(cx, args.at(1)).map(|zset| Reply::len(zset.map_or(0, Zset::count)))),
);

pub(super) const ZSCORE: Spec = Spec::read(
    row("ZSCORE", Arity::Exactly(3), "1.2.0", "Returns the score of a member."),
    |cx, args| answer(zset(cx, args.at(1)).map(|zset| score(zset, args.at(2)))),
);

fn score(zset: Option<Zset<'_>>, member: &[u8]) -> Reply<'static> {
    zset.and_then(|zset| zset.score(member)).map_or(Reply::Null, Reply::Double)
}

pub(super) const ZMSCORE: Spec = Spec::read(
    row("ZMSCORE", Arity::AtLeast(3), "6.2.0", "Returns the scores of members."),
    |cx, args| {
        answer(zset(cx, args.at(1)).map(|zset| {
            Reply::Array(args.from(2).iter().map(|member| score(zset, member)).collect())
        }))
    },
);

pub(super) const ZRANK: Spec = Spec::read(
    row("ZRANK", Arity::AtLeast(3), "2.0.0", "Returns the rank of a member, from the lowest."),
    |cx, args| rank(cx, args, "ZRANK", false),
);

pub(super) const ZREVRANK: Spec = Spec::read(
    row("ZREVRANK", Arity::AtLeast(3), "2.0.0", "Returns the rank of a member, from the highest."),
    |cx, args| rank(cx, args, "ZREVRANK", true),
);

fn rank<'a>(cx: &Reader<'a>, args: Args<'a>, name: &'static str, reverse: bool) -> Reply<'a> {
    if args.len() > 4 {
        return crate::cmd::wrong_arity(name);
    }
    let with_score = args.get(3).is_some();
    if args.get(3).is_some_and(|word| !word.eq_ignore_ascii_case(b"WITHSCORE")) {
        return Reply::error(SYNTAX);
    }
    answer(zset(cx, args.at(1)).map(|zset| {
        let found = zset.and_then(|zset| Some((zset.rank(args.at(2))?, zset.count())));
        match found {
            None if with_score => Reply::NullArray,
            None => Reply::Null,
            Some(((rank, score), count)) => {
                let rank = if reverse { count.saturating_sub(rank + 1) } else { rank };
                let rank = Reply::len(rank);
                if with_score { Reply::Array(vec![rank, Reply::Double(score)]) } else { rank }
            }
        }
    }))
}

pub(super) const ZCOUNT: Spec = Spec::read(
    row("ZCOUNT", Arity::Exactly(4), "2.0.0", "Counts the members in a range of scores."),
    |cx, args| {
        let range = match ScoreRange::parse(args.at(2), args.at(3)) {
            Ok(range) => range,
            Err(reply) => return reply,
        };
        let found = zset(cx, args.at(1));
        answer(found.map(|zset| Reply::len(zset.map_or(0, |zset| range.ranks(zset).len()))))
    },
);

pub(super) const ZLEXCOUNT: Spec = Spec::read(
    row("ZLEXCOUNT", Arity::Exactly(4), "2.8.9", "Counts the members in a range of their bytes."),
    |cx, args| {
        let range = match LexRange::parse(args.at(2), args.at(3)) {
            Ok(range) => range,
            Err(reply) => return reply,
        };
        let found = zset(cx, args.at(1));
        answer(found.map(|zset| Reply::len(zset.map_or(0, |zset| range.ranks(zset, false).len()))))
    },
)
.costing(lex_cost_ns);

/// Where scores differ, every member is asked: some 5 ns.
fn lex_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    5 * size(cx, args.at(1))
}
