//! Adding members and changing scores: ZADD, ZINCRBY.

use super::NOT_A_FLOAT;
use crate::cmd::generic::SYNTAX;
use crate::number::parse_double;
use crate::types::Open;
use crate::types::zset::{ZsetTree, same};
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, exactly, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::SortedSet.rows([
    Spec::write(
        "ZADD",
        "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
        zadd,
    )
    .facts(least(4), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
    .doc("1.2.0", "Adds members to a sorted set, or gives them other scores.")
    .costing(cost_ns),
    Spec::write("ZINCRBY", "key increment member", zincrby)
        .facts(exactly(4), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
        .doc("1.2.0", "Adds to the score of a member.")
        .access(&["RW access update"]),
]);

fn zincrby(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    match parse_double(args.at(2)) {
        // Redis takes options here too, and then misses a member.
        _ if option(args.at(2)).is_some() => Err(Reply::error(SYNTAX)),
        Some(score) => put_all(cx, args.at(1), INCR, &[(score, args.at(3))]),
        None => Err(Reply::error(NOT_A_FLOAT)),
    }
}

/// A member takes some 600 ns.
fn cost_ns(_: &Reader<'_>, args: Args<'_>) -> u64 {
    300 * args.len() as u64
}

/// Options of ZADD, as bits.
pub(in crate::cmd) type Options = u8;
/// Only members that are not there.
pub(in crate::cmd) const NX: Options = 1;
/// Only members that are there.
pub(in crate::cmd) const XX: Options = 2;
const GT: Options = 4;
const LT: Options = 8;
/// Members that were changed count too.
pub(in crate::cmd) const CH: Options = 16;
const INCR: Options = 32;

fn option(word: &[u8]) -> Option<Options> {
    const WORDS: [(&[u8], Options); 6] =
        [(b"NX", NX), (b"XX", XX), (b"GT", GT), (b"LT", LT), (b"CH", CH), (b"INCR", INCR)];
    WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, option)| *option)
}

fn zadd(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (mut options, mut at) = (0, 2);
    while let Some(option) = args.get(at).and_then(option) {
        options |= option;
        at += 1;
    }
    let has = |all: Options| options & all == all;
    let pairs = args.from(at);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(Reply::error(SYNTAX));
    }
    if has(NX | XX) {
        return Err(Reply::error("ERR XX and NX options at the same time are not compatible"));
    }
    if has(GT | NX) || has(LT | NX) || has(GT | LT) {
        return Err(Reply::error(
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ));
    }
    if has(INCR) && pairs.len() > 2 {
        return Err(Reply::error("ERR INCR option supports a single increment-element pair"));
    }
    let mut members = Vec::with_capacity(pairs.len() / 2);
    for at in (0..pairs.len()).step_by(2) {
        let Some(score) = parse_double(pairs.at(at)) else { return Err(Reply::error(NOT_A_FLOAT)) };
        members.push((score, pairs.at(at + 1)));
    }
    put_all(cx, args.at(1), options, &members)
}

/// What was done.
#[derive(Default)]
struct Done {
    added: usize,
    updated: usize,
    /// The score of the last member that an option did not hold back.
    score: Option<f64>,
    /// A sum of two infinities was none: nothing more was done.
    nan: bool,
}

/// Gives members scores, as ZADD does with these options.
pub(in crate::cmd) fn put_all(
    cx: &mut Writer<'_>,
    key: &[u8],
    options: Options,
    members: &[(f64, &[u8])],
) -> Replied<'static> {
    let work = |zset: &mut Open<ZsetTree>| put(zset, options, members);
    let done = if options & XX == 0 {
        cx.edit_or_create(key, work)?
    } else {
        cx.edit(key, work)?.unwrap_or_default()
    };
    let is_increment = options & INCR != 0;
    if done.added + done.updated > 0 {
        cx.notify(b'z', if is_increment { "zincr" } else { "zadd" }, key);
    }
    if done.nan {
        return Err(Reply::error("ERR resulting score is not a number (NaN)"));
    }
    if is_increment {
        return Ok(done.score.map_or(Reply::Null, Reply::Double));
    }
    Ok(Reply::len(done.added + if options & CH == 0 { 0 } else { done.updated }))
}

fn put(zset: &mut Open<ZsetTree>, options: Options, members: &[(f64, &[u8])]) -> Done {
    let mut done = Done::default();
    let has = |option: Options| options & option != 0;
    for &(given, member) in members {
        let old = zset.score(member);
        if has(if old.is_some() { NX } else { XX }) {
            continue;
        }
        let score = match old {
            Some(old) if has(INCR) => given + old,
            _ => given,
        };
        if score.is_nan() {
            done.nan = true;
            return done;
        }
        if old.is_some_and(|old| has(LT) && score >= old || has(GT) && score <= old) {
            continue;
        }
        done.score = Some(score);
        match old {
            Some(old) if same(old, score) => continue,
            Some(_) => done.updated += 1,
            None => done.added += 1,
        }
        zset.expect(members.len());
        zset.put(member, score, old);
    }
    done
}
