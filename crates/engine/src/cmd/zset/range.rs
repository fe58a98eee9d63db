//! Ranges of sorted sets: ZRANGE and the commands before it, ZRANGESTORE.

use super::ranges::{LexRange, ScoreRange, ranks};
use super::{Member, Zset, owned, pairs_reply, store, zset};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::types::pack::Item;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, least};
use alloc::vec::Vec;
use core::ops::Range;
use quorate_resp::{Args, Reply, parse_int};

/// What a range is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// A range with its ends.
#[derive(Clone, Copy, Debug)]
enum Ends<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Lex(LexRange<'a>),
}

/// What a command leaves open for options to say.
#[derive(Clone, Copy, Debug)]
struct Fixed {
    by: Option<By>,
    reverse: Option<bool>,
    stores: bool,
}

const ANY: Fixed = Fixed { by: None, reverse: None, stores: false };

const fn fixed(by: By, reverse: bool) -> Fixed {
    Fixed { by: Some(by), reverse: Some(reverse), stores: false }
}

/// A range as a command asks for it.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    ends: Ends<'a>,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    /// Negative: any number.
    limit: i64,
}

impl<'a> Query<'a> {
    /// Reads key, ends and options.
    fn parse(args: Args<'a>, fixed: Fixed) -> Result<Self, Reply<'static>> {
        let (mut by, mut reverse, mut with_scores) = (fixed.by, fixed.reverse, false);
        let (mut offset, mut limit) = (0, -1);
        let mut at = 3;
        while let Some(word) = args.get(at) {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if !fixed.stores && is(b"WITHSCORES") {
                with_scores = true;
            } else if is(b"LIMIT") && args.len() > at + 2 {
                let number = |at| parse_int(args.at(at)).ok_or(Reply::error(NOT_AN_INTEGER));
                (offset, limit) = (number(at + 1)?, number(at + 2)?);
                at += 2;
            } else if reverse.is_none() && is(b"REV") {
                reverse = Some(true);
            } else if by.is_none() && is(b"BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && is(b"BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(Reply::error(SYNTAX));
            }
            at += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(Reply::error(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(Reply::error(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let ends = Ends::parse(args, by, reverse)?;
        Ok(Self { ends, reverse, with_scores, offset, limit })
    }

    /// Ranks of what it asks for.
    fn ranks(self, zset: Zset<'_>) -> Range<usize> {
        let count = zset.count();
        let all = match self.ends {
            Ends::Ranks(first, last) => {
                let ranks = ranks(first, last, count);
                return if self.reverse { count - ranks.end..count - ranks.start } else { ranks };
            }
            Ends::Scores(range) => range.ranks(zset),
            Ends::Lex(range) => range.ranks(zset, self.reverse),
        };
        // A negative offset goes beyond the end, a negative limit is none.
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX).min(all.len());
        let left = all.len() - offset;
        let taken = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        let start = if self.reverse { all.start + left - taken } else { all.start + offset };
        start..start + taken
    }

    /// Hands out members and scores in the order asked for.
    fn take(self, zset: Zset<'_>) -> (usize, impl Iterator<Item = (Item<'_>, f64)>) {
        let ranks = self.ranks(zset);
        let count = ranks.len();
        let (up, down) = if self.reverse { (0, count) } else { (count, 0) };
        let back = zset.pairs_back(ranks.end.saturating_sub(1)).take(down);
        (count, zset.pairs(ranks.start).take(up).chain(back))
    }
}

impl<'a> Ends<'a> {
    fn parse(args: Args<'a>, by: By, reverse: bool) -> Result<Self, Reply<'static>> {
        let (one, other) = (args.at(1), args.at(2));
        // Backwards, the greater end is named first.
        let (min, max) = if reverse { (other, one) } else { (one, other) };
        Ok(match by {
            By::Rank => match (parse_int(one), parse_int(other)) {
                (Some(first), Some(last)) => Self::Ranks(first, last),
                _ => return Err(Reply::error(NOT_AN_INTEGER)),
            },
            By::Score => Self::Scores(ScoreRange::parse(min, max)?),
            By::Lex => Self::Lex(LexRange::parse(min, max)?),
        })
    }
}

fn range<'a>(cx: &Reader<'a>, args: Args<'a>, fixed: Fixed) -> Replied<'a> {
    let query = Query::parse(args.from(1), fixed)?;
    let Some(zset) = zset(cx, args.at(1))? else { return Ok(Reply::Array(Vec::new())) };
    let (count, pairs) = query.take(zset);
    let pairs = pairs.map(|(member, score)| (member.reply(), score));
    Ok(pairs_reply(pairs, count, query.with_scores))
}

/// A member takes some 50 ns; where scores differ, a range of bytes asks every one, 5 ns each.
fn cost(cx: &Reader<'_>, args: Args<'_>, fixed: Fixed) -> u64 {
    let (Ok(query), Ok(Some(zset))) = (Query::parse(args, fixed), zset(cx, args.at(0))) else {
        return 0;
    };
    match query.ends {
        Ends::Lex(_) => 50 * zset.count() as u64,
        _ => 50 * query.ranks(zset).len() as u64,
    }
}

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::SortedSet.rows([
    Spec::read(
        "ZRANGE",
        "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
        |cx, args| range(cx, args, ANY),
    )
    .facts(least(4), Keys::At(1), Flags::NONE)
    .doc("1.2.0", "Returns members in a range of ranks, scores or bytes.")
    .costing(|cx, args| cost(cx, args.from(1), ANY)),
    Spec::read("ZREVRANGE", "key start stop [WITHSCORES]", |cx, args| {
        range(cx, args, fixed(By::Rank, true))
    })
    .facts(least(4), Keys::At(1), Flags::NONE)
    .doc("1.2.0", "Returns members in a range of ranks, from the highest score.")
    .costing(|cx, args| cost(cx, args.from(1), fixed(By::Rank, true))),
    Spec::read("ZRANGEBYSCORE", "key min max [WITHSCORES] [LIMIT offset count]", |cx, args| {
        range(cx, args, fixed(By::Score, false))
    })
    .facts(least(4), Keys::At(1), Flags::NONE)
    .doc("1.0.5", "Returns members in a range of scores.")
    .costing(|cx, args| cost(cx, args.from(1), fixed(By::Score, false))),
    Spec::read("ZREVRANGEBYSCORE", "key max min [WITHSCORES] [LIMIT offset count]", |cx, args| {
        range(cx, args, fixed(By::Score, true))
    })
    .facts(least(4), Keys::At(1), Flags::NONE)
    .doc("2.2.0", "Returns members in a range of scores, from the highest.")
    .costing(|cx, args| cost(cx, args.from(1), fixed(By::Score, true))),
    Spec::read("ZRANGEBYLEX", "key min max [LIMIT offset count]", |cx, args| {
        range(cx, args, fixed(By::Lex, false))
    })
    .facts(least(4), Keys::At(1), Flags::NONE)
    .doc("2.8.9", "Returns members in a range of their bytes.")
    .costing(|cx, args| cost(cx, args.from(1), fixed(By::Lex, false))),
    Spec::read("ZREVRANGEBYLEX", "key max min [LIMIT offset count]", |cx, args| {
        range(cx, args, fixed(By::Lex, true))
    })
    .facts(least(4), Keys::At(1), Flags::NONE)
    .doc("2.8.9", "Returns members in a range of their bytes, from the last.")
    .costing(|cx, args| cost(cx, args.from(1), fixed(By::Lex, true))),
    Spec::write(
        "ZRANGESTORE",
        "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
        zrangestore,
    )
    .facts(least(5), Keys::Range { first: 1, last: 2, step: 1 }, Flags::DENYOOM)
    .doc("6.2.0", "Stores a range of a sorted set in another key.")
    .access(&["OW update", "RO access"])
    .costing(|cx, args| 10 * cost(cx, args.from(2), STORE)),
]);

const STORE: Fixed = Fixed { stores: true, ..ANY };

fn zrangestore(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let query = Query::parse(args.from(2), STORE)?;
    let mut members: Vec<_> = match zset(&cx.reader(), args.at(2))? {
        Some(zset) => query.take(zset).1.map(owned).collect(),
        None => Vec::new(),
    };
    lose_signs_of_zeros(&mut members, query.ends, cx.keyspace.rules().limits.zset);
    if query.reverse {
        members.reverse();
    }
    Ok(store(cx, args.at(1), &members, "zrangestore"))
}

/// Scores that pass through a packed set lose the sign of a zero, and those of the first members do
/// even if the set then becomes a large one: Redis adds them one by one, in the order of the query,
/// to a set that is packed unless more ranks than that were asked for.
fn lose_signs_of_zeros(
    members: &mut [Member<'_>],
    ends: Ends<'_>,
    (count_max, length_max): (u64, u64),
) {
    let count_max = usize::try_from(count_max).unwrap_or(usize::MAX);
    if matches!(ends, Ends::Ranks(..)) && members.len() > count_max {
        return;
    }
    let packed = members.iter_mut().take(count_max);
    for (_, score) in packed.take_while(|(member, _)| member.len() as u64 <= length_max) {
        // Of zeros, only the sum of two negative ones is negative (IEEE 754, 6.3).
        *score += 0.0;
    }
}
