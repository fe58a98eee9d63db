//! Members in no order that is asked for: ZSCAN, ZRANDMEMBER.

use super::{Zset, pairs_reply, size, zset};
use crate::cmd::generic::scan::cursor;
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::glob::Pattern;
use crate::types::pick;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, least};
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::SortedSet.rows([
    Spec::read("ZSCAN", "key cursor [MATCH pattern] [COUNT count]", zscan)
        .facts(least(3), Keys::At(1), Flags::NONE)
        .doc("2.8.0", "Goes through a sorted set step by step.")
        .costing(scan_cost_ns),
    Spec::read("ZRANDMEMBER", "key [count [WITHSCORES]]", zrandmember)
        .facts(least(2), Keys::At(1), Flags::NONE)
        .doc("6.2.0", "Returns members of a sorted set that are picked at random.")
        .costing(random_cost_ns),
]);

fn zscan<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let cursor = cursor(args.at(2))?;
    let Some(zset) = zset(cx, args.at(1))? else { return Ok(scanned(0, Vec::new())) };
    let options = Options::parse(args.from(3))?;
    let (next, members) = zset.scan(cursor, options.count);
    let mut found = Vec::with_capacity(members.len() * 2);
    for (member, score) in members {
        let matches = |pattern: &Pattern<'_>| member.with(|bytes| pattern.matches(bytes));
        if options.pattern.as_ref().is_none_or(matches) {
            found.push(member.reply());
            if options.scores {
                found.push(zset.score_text(score));
            }
        }
    }
    Ok(scanned(next, found))
}

fn scanned(next: u64, found: Vec<Reply<'_>>) -> Reply<'_> {
    Reply::Array(vec![Reply::owned(next.to_string().into_bytes()), Reply::Array(found)])
}

struct Options<'a> {
    count: usize,
    pattern: Option<Pattern<'a>>,
    scores: bool,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Reply<'static>> {
        /// What Redis looks at by default.
        const COUNT: usize = 10;
        let mut options = Self { count: COUNT, pattern: None, scores: true };
        let mut at = 0;
        while let Some(word) = args.get(at) {
            let value = args.get(at + 1);
            at += 2;
            match value {
                Some(value) if word.eq_ignore_ascii_case(b"COUNT") => {
                    let count = parse_int(value).ok_or(Reply::error(NOT_AN_INTEGER))?;
                    let count = usize::try_from(count).ok().filter(|&count| count > 0);
                    options.count = count.ok_or(Reply::error(SYNTAX))?;
                }
                Some(value) if word.eq_ignore_ascii_case(b"MATCH") => {
                    options.pattern = (value != b"*").then(|| Pattern::new(value));
                }
                _ if word.eq_ignore_ascii_case(b"NOSCORES") => {
                    options.scores = false;
                    at -= 1;
                }
                _ => return Err(Reply::error(SYNTAX)),
            }
        }
        Ok(options)
    }
}

/// A member takes some 100 ns. Where all scores are equal, each of them is looked at besides.
fn scan_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let size = size(cx, args.at(1));
    let options = Options::parse(args.from(3)).map_or(0, |options| options.count as u64);
    100 * options.min(size) + 2 * size
}

/// So many members are picked at most, where they may repeat. Redis has no such limit, and a
/// client that asks for more would only be cut off by its output buffer.
const PICKS_MAX: usize = 1 << 20;

fn zrandmember<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let mut seed = cx.seed;
    let Some(text) = args.get(2) else {
        return zset(cx, args.at(1)).map(|zset| {
            let member = zset.and_then(|zset| zset.get(pick::one(zset.count(), &mut seed)));
            member.map_or(Reply::Null, |(member, _)| member.reply())
        });
    };
    let Some(wanted) = parse_int(text) else { return Err(Reply::error(NOT_AN_INTEGER)) };
    if wanted == i64::MIN {
        return Err(Reply::error(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        ));
    }
    let with_scores = args.len() == 4;
    if args.len() > 4 || with_scores && !args.at(3).eq_ignore_ascii_case(b"WITHSCORES") {
        return Err(Reply::error(SYNTAX));
    }
    let count = usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX);
    if with_scores && !(-i64::MAX / 2..=i64::MAX / 2).contains(&wanted)
        || wanted < 0 && count > PICKS_MAX
    {
        return Err(Reply::error("ERR value is out of range"));
    }
    zset(cx, args.at(1)).map(|zset| {
        let Some(zset) = zset else { return Reply::Array(Vec::new()) };
        let ranks = if wanted < 0 {
            (0..count).map(|_| pick::one(zset.count(), &mut seed)).collect()
        } else {
            pick::distinct(zset.count(), count, &mut seed)
        };
        picked(zset, &ranks, with_scores)
    })
}

fn picked<'a>(zset: Zset<'a>, ranks: &[usize], with_scores: bool) -> Reply<'a> {
    /// From this part of all on, it is cheaper to go through all than to look for each.
    const MANY: usize = 8;
    let mut found = Vec::with_capacity(ranks.len());
    if ranks.len() > zset.count() / MANY {
        let all: Vec<_> = zset.pairs(0).collect();
        found.extend(ranks.iter().filter_map(|&rank| all.get(rank).copied()));
    } else {
        found.extend(ranks.iter().filter_map(|&rank| zset.get(rank)));
    }
    let found = found.into_iter().map(|(member, score)| (member.reply(), score));
    pairs_reply(found, ranks.len(), with_scores)
}

/// A pick takes some 300 ns.
fn random_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let count = args.get(2).and_then(parse_int).unwrap_or(1);
    let size = size(cx, args.at(1));
    let picks = if count < 0 { PICKS_MAX as u64 } else { size };
    300 * count.unsigned_abs().min(picks)
}
