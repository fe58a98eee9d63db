//! Looking at a set: SCARD, SISMEMBER, SMISMEMBER, SMEMBERS, SSCAN.

use super::members;
use crate::cmd::generic::scan::{ScanOptions, Scanned, cursor, scanned};
use crate::types::View;
use crate::types::pack::Item;
use crate::types::set::SetTree;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, exactly, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Set.rows([
    Spec::read("SCARD", "key", scard)
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Returns the number of members of a set.")
        .access(&["RO"]),
    Spec::read("SISMEMBER", "key member", sismember)
        .facts(exactly(3), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Tells whether a set has a member.")
        .access(&["RO"]),
    Spec::read("SMISMEMBER", "key member [member ...]", smismember)
        .facts(least(3), Keys::At(1), Flags::FAST)
        .doc("6.2.0", "Tells which members a set has."),
    Spec::read("SMEMBERS", "key", smembers)
        .facts(exactly(2), Keys::At(1), Flags::NONE)
        .doc("1.0.0", "Returns all members of a set.")
        .costing(|cx, args| MEMBER_NS * members(cx, args) as u64),
    Spec::read("SSCAN", "key cursor [MATCH pattern] [COUNT count]", sscan)
        .facts(least(3), Keys::At(1), Flags::NONE)
        .doc("2.8.0", "Goes through the members of a set, some at a time.")
        .costing(sscan_cost_ns),
]);

fn scard<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let set = cx.view::<SetTree>(args.at(1))?;
    Ok(Reply::len(set.map_or(0, View::<SetTree>::len)))
}

fn sismember<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let set = cx.view::<SetTree>(args.at(1))?;
    Ok(is_member(cx, set, args.at(2)))
}

fn smismember<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let set = cx.view::<SetTree>(args.at(1))?;
    let members = args.from(2);
    Ok(Reply::Array(members.iter().map(|member| is_member(cx, set, member)).collect()))
}

fn smembers<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let set = cx.view::<SetTree>(args.at(1))?;
    let mut found = Vec::with_capacity(set.map_or(0, View::<SetTree>::len));
    found.extend(set.into_iter().flat_map(View::<SetTree>::iter).map(Item::reply));
    Ok(Reply::Set(found))
}

fn is_member(cx: &Reader<'_>, set: Option<View<'_, SetTree>>, member: &[u8]) -> Reply<'static> {
    let has = set.is_some_and(|set| set.has(cx.keyspace.hash_key, Item::of(member)));
    Reply::Int(i64::from(has))
}

/// A member is read, and written into the reply, in some 30 ns.
const MEMBER_NS: u64 = 30;

fn sscan<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let cursor = cursor(args.at(2))?;
    let Some(set) = cx.view::<SetTree>(args.at(1))? else {
        return Ok(scanned(0, Vec::new()));
    };
    let options = ScanOptions::parse(args.from(3), Scanned::Members)?;
    let mut found = Vec::new();
    let next = set.scan(cursor, options.count, &mut |member| {
        if member.with(|member| options.fits(member)) {
            found.push(member.reply());
        }
    });
    Ok(scanned(next, found))
}

fn sscan_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let options = ScanOptions::parse(args.from(3), Scanned::Members);
    let count = options.map_or(0, |options| options.count);
    count.min(members(cx, args)) as u64 * 2 * MEMBER_NS
}
