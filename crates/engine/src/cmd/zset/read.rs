//! Looking at sorted sets: ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZCOUNT, ZLEXCOUNT.

use super::ranges::{LexRange, ScoreRange};
use super::{Zset, size, zset};
use crate::cmd::generic::SYNTAX;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, exactly, least};
use alloc::vec;
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::SortedSet.rows([
    Spec::read("ZCARD", "key", zcard)
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("1.2.0", "Counts the members of a sorted set.")
        .access(&["RO"]),
    Spec::read("ZSCORE", "key member", zscore)
        .facts(exactly(3), Keys::At(1), Flags::FAST)
        .doc("1.2.0", "Returns the score of a member."),
    Spec::read("ZMSCORE", "key member [member ...]", zmscore)
        .facts(least(3), Keys::At(1), Flags::FAST)
        .doc("6.2.0", "Returns the scores of members."),
    Spec::read("ZRANK", "key member [WITHSCORE]", |cx, args| rank(cx, args, "ZRANK", false))
        .facts(least(3), Keys::At(1), Flags::FAST)
        .doc("2.0.0", "Returns the rank of a member, from the lowest."),
    Spec::read("ZREVRANK", "key member [WITHSCORE]", |cx, args| rank(cx, args, "ZREVRANK", true))
        .facts(least(3), Keys::At(1), Flags::FAST)
        .doc("2.0.0", "Returns the rank of a member, from the highest."),
    Spec::read("ZCOUNT", "key min max", zcount)
        .facts(exactly(4), Keys::At(1), Flags::FAST)
        .doc("2.0.0", "Counts the members in a range of scores."),
    Spec::read("ZLEXCOUNT", "key min max", zlexcount)
        .facts(exactly(4), Keys::At(1), Flags::FAST)
        .doc("2.8.9", "Counts the members in a range of their bytes.")
        .costing(lex_cost_ns),
]);

fn zcard<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    zset(cx, args.at(1)).map(|zset| Reply::len(zset.map_or(0, Zset::count)))
}

fn zscore<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    zset(cx, args.at(1)).map(|zset| score(zset, args.at(2)))
}

fn zmscore<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    zset(cx, args.at(1))
        .map(|zset| Reply::Array(args.from(2).iter().map(|member| score(zset, member)).collect()))
}

fn zcount<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let range = ScoreRange::parse(args.at(2), args.at(3))?;
    let found = zset(cx, args.at(1));
    found.map(|zset| Reply::len(zset.map_or(0, |zset| range.ranks(zset).len())))
}

fn zlexcount<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let range = LexRange::parse(args.at(2), args.at(3))?;
    let found = zset(cx, args.at(1));
    found.map(|zset| Reply::len(zset.map_or(0, |zset| range.ranks(zset, false).len())))
}

fn score(zset: Option<Zset<'_>>, member: &[u8]) -> Reply<'static> {
    zset.and_then(|zset| zset.score(member)).map_or(Reply::Null, Reply::Double)
}

fn rank<'a>(cx: &Reader<'a>, args: Args<'a>, name: &'static str, reverse: bool) -> Replied<'a> {
    if args.len() > 4 {
        return Err(crate::cmd::wrong_arity(name));
    }
    let with_score = args.get(3).is_some();
    if args.get(3).is_some_and(|word| !word.eq_ignore_ascii_case(b"WITHSCORE")) {
        return Err(Reply::error(SYNTAX));
    }
    zset(cx, args.at(1)).map(|zset| {
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
    })
}

/// Where scores differ, every member is asked: some 5 ns.
fn lex_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    5 * size(cx, args.at(1))
}
