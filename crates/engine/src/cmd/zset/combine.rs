//! Several sorted sets at once: ZUNION, ZINTER, ZDIFF, their forms that store, ZINTERCARD.
//!
//! An input may also be a plain set: each member of it has score 1. Scores are added up in order of
//! the inputs' sizes, as Redis does, because floating sums depend on their order.

use super::{Member, Zset, pairs_reply, store};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::number::parse_double;
use crate::types::View;
use crate::types::members::HashKey;
use crate::types::pack::Item;
use crate::types::set::SetTree;
use crate::types::zset::{ZsetTree, order};
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, least};
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::SortedSet.rows([
    Spec::read(
        "ZUNION",
        "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | \
         MIN | MAX>] [WITHSCORES]",
        |cx, args| reply(cx, args, Op::Union),
    )
    .facts(least(3), Keys::Counted { count: 1 }, Flags::NONE)
    .doc("6.2.0", "Returns the members of any of several sorted sets.")
    .costing(|cx, args| cost(cx, args.from(1))),
    Spec::read(
        "ZINTER",
        "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | \
         MIN | MAX>] [WITHSCORES]",
        |cx, args| reply(cx, args, Op::Inter),
    )
    .facts(least(3), Keys::Counted { count: 1 }, Flags::NONE)
    .doc("6.2.0", "Returns the members of all of several sorted sets.")
    .costing(|cx, args| cost(cx, args.from(1))),
    Spec::read("ZDIFF", "numkeys key [key ...] [WITHSCORES]", |cx, args| reply(cx, args, Op::Diff))
        .facts(least(3), Keys::Counted { count: 1 }, Flags::NONE)
        .doc("6.2.0", "Returns the members of the first sorted set alone.")
        .costing(|cx, args| cost(cx, args.from(1))),
    Spec::read("ZINTERCARD", "numkeys key [key ...] [LIMIT limit]", zintercard)
        .facts(least(3), Keys::Counted { count: 1 }, Flags::NONE)
        .doc("7.0.0", "Counts the members of all of several sorted sets.")
        .costing(|cx, args| cost(cx, args.from(1))),
    Spec::write(
        "ZUNIONSTORE",
        "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] \
         [AGGREGATE <SUM | MIN | MAX>]",
        |cx, args| stored(cx, args, Op::Union, "zunionstore"),
    )
    .facts(least(4), Keys::AtAndCounted { at: 1, count: 2 }, Flags::DENYOOM)
    .doc("2.0.0", "Stores the members of any of several sorted sets.")
    .access(&["OW update", "RO access"])
    .costing(|cx, args| 2 * cost(cx, args.from(2))),
    Spec::write(
        "ZINTERSTORE",
        "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] \
         [AGGREGATE <SUM | MIN | MAX>]",
        |cx, args| stored(cx, args, Op::Inter, "zinterstore"),
    )
    .facts(least(4), Keys::AtAndCounted { at: 1, count: 2 }, Flags::DENYOOM)
    .doc("2.0.0", "Stores the members of all of several sorted sets.")
    .access(&["OW update", "RO access"])
    .costing(|cx, args| 2 * cost(cx, args.from(2))),
    Spec::write("ZDIFFSTORE", "destination numkeys key [key ...]", |cx, args| {
        stored(cx, args, Op::Diff, "zdiffstore")
    })
    .facts(least(4), Keys::AtAndCounted { at: 1, count: 2 }, Flags::DENYOOM)
    .doc("6.2.0", "Stores the members of the first sorted set alone.")
    .access(&["OW update", "RO access"])
    .costing(|cx, args| 2 * cost(cx, args.from(2))),
]);

fn zintercard<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    Query::parse(cx, args.from(1), Op::Count).map(|query| {
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        Reply::len(query.common().take(limit).count())
    })
}

/// A member of an input takes some 400 ns.
fn cost(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let count = args.get(0).and_then(parse_int).and_then(|count| usize::try_from(count).ok());
    let keys = args.from(1).iter().take(count.unwrap_or(0));
    let sizes = keys.map(|key| Source::of(cx, key).map_or(0, Source::count));
    400 * sizes.sum::<usize>() as u64
}

fn reply<'a>(cx: &Reader<'a>, args: Args<'a>, op: Op) -> Replied<'a> {
    Query::parse(cx, args.from(1), op).map(|query| {
        let members = query.members(op);
        let count = members.len();
        let members = members.into_iter().map(|(member, score)| (Reply::Bulk(member), score));
        pairs_reply(members, count, query.with_scores)
    })
}

fn stored(cx: &mut Writer<'_>, args: Args<'_>, op: Op, event: &'static str) -> Replied<'static> {
    let reader = cx.reader();
    let members = Query::parse(&reader, args.from(2), op.storing())?.members(op).into_iter();
    let members: Vec<Member<'static>> =
        members.map(|(member, score)| (Cow::Owned(member.into_owned()), score)).collect();
    Ok(store(cx, args.at(1), &members, event))
}

/// What is made of the inputs, and for which command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Union,
    Inter,
    Diff,
    Count,
    UnionStore,
    InterStore,
    DiffStore,
}

impl Op {
    fn storing(self) -> Self {
        match self {
            Self::Union => Self::UnionStore,
            Self::Inter => Self::InterStore,
            _ => Self::DiffStore,
        }
    }

    /// The command's name, for an error.
    fn name(self) -> &'static str {
        match self {
            Self::Union => "zunion",
            Self::Inter => "zinter",
            Self::Diff => "zdiff",
            Self::Count => "zintercard",
            Self::UnionStore => "zunionstore",
            Self::InterStore => "zinterstore",
            Self::DiffStore => "zdiffstore",
        }
    }

    fn is_weighed(self) -> bool {
        !matches!(self, Self::Diff | Self::DiffStore | Self::Count)
    }

    fn shows_scores(self) -> bool {
        matches!(self, Self::Union | Self::Inter | Self::Diff)
    }
}

/// An input.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Absent,
    Zset(Zset<'a>),
    Set(View<'a, SetTree>, HashKey),
}

impl<'a> Source<'a> {
    fn of(cx: &Reader<'a>, key: &[u8]) -> Result<Self, Reply<'static>> {
        if let Ok(zset) = cx.view::<ZsetTree>(key) {
            return Ok(zset.map_or(Self::Absent, Self::Zset));
        }
        let set = cx.view::<SetTree>(key)?;
        Ok(set.map_or(Self::Absent, |set| Self::Set(set, cx.keyspace.hash_key)))
    }

    fn count(self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Zset(zset) => zset.count(),
            Self::Set(set, _) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Absent => None,
            Self::Zset(zset) => zset.score(member),
            Self::Set(set, key) => set.has(key, Item::of(member)).then_some(1.0),
        }
    }

    fn members(self) -> impl Iterator<Item = Member<'a>> {
        let (zset, set) = match self {
            Self::Absent => (None, None),
            Self::Zset(zset) => (Some(zset), None),
            Self::Set(set, _) => (None, Some(set)),
        };
        let scored = zset.into_iter().flat_map(|zset| zset.pairs(0));
        let plain = set.into_iter().flat_map(View::<SetTree>::iter).map(|member| (member, 1.0));
        scored.chain(plain).map(|(member, score)| (member.bytes(), score))
    }
}

/// How the scores of one member become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(word: &[u8]) -> Result<Self, Reply<'static>> {
        const WORDS: [(&[u8], Aggregate); 3] =
            [(b"SUM", Aggregate::Sum), (b"MIN", Aggregate::Min), (b"MAX", Aggregate::Max)];
        let found = WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        found.map(|(_, aggregate)| *aggregate).ok_or(Reply::error(SYNTAX))
    }

    /// Infinity less infinity counts as 0.
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => number(one + other),
            Self::Min if other < one => other,
            Self::Max if other > one => other,
            _ => one,
        }
    }
}

fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// The inputs with their weights, and the options.
#[derive(Debug)]
struct Query<'a> {
    /// But for a difference in order of size.
    sources: Vec<(Source<'a>, f64)>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

impl<'a> Query<'a> {
    /// Reads a count of keys, the keys and options.
    fn parse(cx: &Reader<'a>, args: Args<'_>, op: Op) -> Result<Self, Reply<'static>> {
        let count = parse_int(args.at(0)).ok_or(Reply::error(NOT_AN_INTEGER))?;
        let count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or_else(|| {
            let name = op.name();
            Reply::Error(format!("ERR at least 1 input key is needed for '{name}' command").into())
        })?;
        if count > args.len() - 1 {
            return Err(Reply::error(SYNTAX));
        }
        let mut sources = Vec::with_capacity(count);
        for key in args.from(1).iter().take(count) {
            sources.push((Source::of(cx, key)?, 1.0));
        }
        let mut query = Self { sources, aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
        query.parse_options(args.from(1 + count), op)?;
        if !matches!(op, Op::Diff | Op::DiffStore) {
            query.sources.sort_by_key(|(source, _)| source.count());
        }
        Ok(query)
    }

    fn parse_options(&mut self, args: Args<'_>, op: Op) -> Result<(), Reply<'static>> {
        let mut at = 0;
        while let Some(word) = args.get(at) {
            let left = args.len() - at;
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            at += 1;
            if op.is_weighed() && left > self.sources.len() && is(b"WEIGHTS") {
                for (_, weight) in &mut self.sources {
                    *weight = parse_double(args.at(at))
                        .ok_or(Reply::error("ERR weight value is not a float"))?;
                    at += 1;
                }
            } else if op.is_weighed() && left >= 2 && is(b"AGGREGATE") {
                self.aggregate = Aggregate::parse(args.at(at))?;
                at += 1;
            } else if op.shows_scores() && is(b"WITHSCORES") {
                self.with_scores = true;
            } else if op == Op::Count && left >= 2 && is(b"LIMIT") {
                let limit = parse_int(args.at(at)).and_then(|limit| usize::try_from(limit).ok());
                self.limit = limit.ok_or(Reply::error("ERR LIMIT can't be negative"))?;
                at += 1;
            } else {
                return Err(Reply::error(SYNTAX));
            }
        }
        Ok(())
    }

    /// The result in order.
    fn members(&self, op: Op) -> Vec<Member<'a>> {
        let mut members = match op {
            Op::Union | Op::UnionStore => self.union(),
            Op::Diff | Op::DiffStore => self.difference(),
            _ => self.common().collect(),
        };
        members.sort_unstable_by(|(one, low), (next, high)| order((*low, one), (*high, next)));
        members
    }

    fn union(&self) -> Vec<Member<'a>> {
        let mut all: Vec<Member<'a>> = Vec::new();
        for &(source, weight) in &self.sources {
            all.extend(source.members().map(|(member, score)| (member, number(score * weight))));
        }
        // Stable: the scores of one member stay in order of the inputs.
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = self.aggregate.of(kept.1, next.1);
            }
            same
        });
        all
    }

    /// What is in all inputs.
    fn common(&self) -> impl Iterator<Item = Member<'a>> {
        let (smallest, others) = match self.sources.split_first() {
            Some((first, others)) => (*first, others),
            None => ((Source::Absent, 1.0), &[][..]),
        };
        smallest.0.members().filter_map(move |(member, score)| {
            let mut sum = number(score * smallest.1);
            for (other, weight) in others {
                sum = self.aggregate.of(sum, other.score(&member)? * weight);
            }
            Some((member, sum))
        })
    }

    /// What is in the first input alone.
    fn difference(&self) -> Vec<Member<'a>> {
        let Some(((first, _), others)) = self.sources.split_first() else { return Vec::new() };
        let alone = |(member, _): &Member<'a>| {
            !others.iter().any(|(other, _)| other.score(member).is_some())
        };
        first.members().filter(alone).collect()
    }
}
