//! Several sets: SINTER, SUNION, SDIFF, their stores, and SINTERCARD.
//!
//! A result is a list of members where they lie, with their hashes: a reply borrows them, a store
//! builds a set aside and puts it in one edit.

use super::len;
use crate::cmd::generic::SYNTAX;
use crate::types::members::HashKey;
use crate::types::pack::{Item, Pack};
use crate::types::set::SetTree;
use crate::types::{Form, Open, View};
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

type Sets<'a> = Vec<Option<View<'a, SetTree>>>;
type Result<T> = core::result::Result<T, Reply<'static>>;

/// What becomes of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Inter,
    Union,
    Diff,
}

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Set.rows([
    Spec::read("SINTER", "key [key ...]", |cx, args| reply(cx, args, How::Inter))
        .facts(least(2), Keys::Range { first: 1, last: -1, step: 1 }, Flags::NONE)
        .doc("1.0.0", "Returns the members that all sets have.")
        .costing(cost_ns),
    Spec::read("SUNION", "key [key ...]", |cx, args| reply(cx, args, How::Union))
        .facts(least(2), Keys::Range { first: 1, last: -1, step: 1 }, Flags::NONE)
        .doc("1.0.0", "Returns the members that any set has.")
        .costing(cost_ns),
    Spec::read("SDIFF", "key [key ...]", |cx, args| reply(cx, args, How::Diff))
        .facts(least(2), Keys::Range { first: 1, last: -1, step: 1 }, Flags::NONE)
        .doc("1.0.0", "Returns the members of the first set that no other has.")
        .costing(cost_ns),
    Spec::write("SINTERSTORE", "destination key [key ...]", |cx, args| store(cx, args, How::Inter))
        .facts(least(3), Keys::Range { first: 1, last: -1, step: 1 }, Flags::DENYOOM)
        .doc("1.0.0", "Stores the members that all sets have.")
        .access(&["RW update", "RO access"])
        .costing(cost_ns),
    Spec::write("SUNIONSTORE", "destination key [key ...]", |cx, args| store(cx, args, How::Union))
        .facts(least(3), Keys::Range { first: 1, last: -1, step: 1 }, Flags::DENYOOM)
        .doc("1.0.0", "Stores the members that any set has.")
        .access(&["OW update", "RO access"])
        .costing(cost_ns),
    Spec::write("SDIFFSTORE", "destination key [key ...]", |cx, args| store(cx, args, How::Diff))
        .facts(least(3), Keys::Range { first: 1, last: -1, step: 1 }, Flags::DENYOOM)
        .doc("1.0.0", "Stores the members of the first set that no other has.")
        .access(&["OW update", "RO access"])
        .costing(cost_ns),
    Spec::read("SINTERCARD", "numkeys key [key ...] [LIMIT limit]", sintercard)
        .facts(least(3), Keys::Counted { count: 1 }, Flags::NONE)
        .doc("7.0.0", "Counts the members that all sets have, up to a limit.")
        .costing(cost_ns),
]);

/// The sets at keys; one of another type is an error, wherever it stands.
fn sets<'a>(cx: &Reader<'a>, keys: Args<'_>) -> Result<Sets<'a>> {
    Ok(keys.iter().map(|key| cx.view::<SetTree>(key)).collect::<core::result::Result<_, _>>()?)
}

fn reply<'a>(cx: &Reader<'a>, args: Args<'a>, how: How) -> Replied<'a> {
    let members = combine(sets(cx, args.from(1))?, how, cx.keyspace.hash_key);
    Ok(Reply::Set(members.into_iter().map(Item::reply).collect()))
}

fn store(cx: &mut Writer<'_>, args: Args<'_>, how: How) -> Result<Reply<'static>> {
    let (to, rules) = (args.at(1), cx.keyspace.rules());
    let sets = sets(&cx.reader(), args.from(2))?;
    let mut result = Open::<SetTree>::new(Form::Intset, Pack::default(), None, rules);
    match &sets[..] {
        [Some(first), others @ ..]
            if how == How::Diff && is_cheaper_to_take_away(*first, others) =>
        {
            take_away(&mut result, *first, others);
        }
        _ => {
            for member in combine(sets, how, rules.hash_key) {
                member.with(|member| result.add(member));
            }
        }
    }
    let len = result.len();
    let changed = cx.replace(to, result);
    if len > 0 {
        let event = match how {
            How::Inter => "sinterstore",
            How::Union => "sunionstore",
            How::Diff => "sdiffstore",
        };
        cx.notify(b's', event, to);
    } else if changed {
        cx.notify(b'g', "del", to);
    }
    Ok(Reply::len(len))
}

/// Whether Redis makes a difference by taking the other sets out of the first, because it looks up
/// fewer members than when it asks the others for each of the first.
fn is_cheaper_to_take_away(first: View<'_, SetTree>, others: &[Option<View<'_, SetTree>>]) -> bool {
    let others: Vec<usize> = others.iter().flatten().map(|set| set.len()).collect();
    // The first set is among those counted, and asking counts half: most members are found early.
    first.len() * (1 + others.len()) / 2 > first.len() + others.iter().sum::<usize>()
}

/// Leaves in the result what the first set has and no other. It keeps the form that the whole first
/// set took, as Redis's result does.
fn take_away<'a>(
    result: &mut Open<SetTree>,
    first: View<'a, SetTree>,
    others: &[Option<View<'a, SetTree>>],
) {
    first.iter().for_each(|member| {
        member.with(|member| result.add(member));
    });
    for member in others.iter().flatten().flat_map(|set| set.iter()) {
        member.with(|member| result.remove(member));
    }
}

fn sintercard<'a>(cx: &Reader<'a>, args: Args<'a>) -> Result<Reply<'a>> {
    let count = parse_int(args.at(1)).and_then(|count| usize::try_from(count).ok());
    let count = count
        .filter(|&count| count > 0)
        .ok_or(Reply::error("ERR numkeys should be greater than 0"))?;
    if count > args.len() - 2 {
        return Err(Reply::error("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = 0;
    let mut at = 2 + count;
    while let Some(option) = args.get(at) {
        let value = args.get(at + 1).filter(|_| option.eq_ignore_ascii_case(b"LIMIT"));
        let value = value.ok_or(Reply::error(SYNTAX))?;
        limit = parse_int(value)
            .and_then(|limit| usize::try_from(limit).ok())
            .ok_or(Reply::error("ERR LIMIT can't be negative"))?;
        at += 2;
    }
    let keys = args.from(2).iter().take(count);
    let sets =
        keys.map(|key| cx.view::<SetTree>(key)).collect::<core::result::Result<Sets<'a>, _>>()?;
    let most = if limit == 0 { usize::MAX } else { limit };
    Ok(Reply::len(inter(sets, cx.keyspace.hash_key).take(most).count()))
}

fn combine(sets: Sets<'_>, how: How, key: HashKey) -> Vec<Item<'_>> {
    match how {
        How::Inter => inter(sets, key).collect(),
        How::Union => union(sets, key),
        How::Diff => diff(sets, key),
    }
}

/// The members of the smallest set that all others have.
fn inter<'a>(sets: Sets<'a>, key: HashKey) -> impl Iterator<Item = Item<'a>> {
    // One that is absent is empty.
    let whole: Option<Vec<View<'a, SetTree>>> = sets.into_iter().collect();
    let mut sets = whole.unwrap_or_default();
    sets.sort_by_key(|set| set.len());
    let first = if sets.is_empty() { None } else { Some(sets.remove(0)) };
    first.into_iter().flat_map(move |first| first.hashed(key)).filter_map(move |(hash, member)| {
        sets.iter().all(|set| set.has_hashed(hash, member)).then_some(member)
    })
}

/// All members once, those of one set in its order when there is no other.
fn union(sets: Sets<'_>, key: HashKey) -> Vec<Item<'_>> {
    let mut sets = sets.into_iter().flatten();
    let (Some(first), second) = (sets.next(), sets.next()) else { return Vec::new() };
    let Some(second) = second else { return first.iter().collect() };
    let all = [first, second].into_iter().chain(sets);
    let mut members: Vec<(u32, Item<'_>)> = all.flat_map(|set| set.hashed(key)).collect();
    members.sort_unstable();
    members.dedup();
    members.into_iter().map(|(_, member)| member).collect()
}

/// The members of the first set that no other has.
fn diff(sets: Sets<'_>, key: HashKey) -> Vec<Item<'_>> {
    let mut sets = sets.into_iter();
    let Some(Some(first)) = sets.next() else { return Vec::new() };
    let mut others: Vec<View<'_, SetTree>> = sets.flatten().collect();
    let sum: usize = others.iter().map(|set| set.len()).sum();
    let keep = |has: &dyn Fn(u32, Item<'_>) -> bool| {
        let members = first.hashed(key).filter(|&(hash, member)| !has(hash, member));
        members.map(|(_, member)| member).collect()
    };
    // Asking each of many sets for each member is more work than sorting all of them once.
    if first.len().saturating_mul(others.len()) > 4 * (first.len() + sum) {
        let mut gone: Vec<_> = others.iter().flat_map(|set| set.hashed(key)).collect();
        gone.sort_unstable();
        return keep(&|hash, member| gone.binary_search(&(hash, member)).is_ok());
    }
    // The largest is the likeliest to have it.
    others.sort_by_key(|set| core::cmp::Reverse(set.len()));
    keep(&|hash, member| others.iter().any(|set| set.has_hashed(hash, member)))
}

/// A member of any set takes some 100 ns.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let members: usize = args.from(1).iter().map(|key| len(cx, key)).sum();
    100 * members as u64
}
