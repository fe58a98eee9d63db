//! Looking at a set: SCARD, SISMEMBER, SMISMEMBER, SMEMBERS, SSCAN.

use super::members;
use crate::cmd::collection::wrong;
use crate::cmd::generic::scan::{ScanOptions, Scanned, cursor, scanned};
use crate::types::View;
use crate::types::pack::Item;
use crate::types::set::SetTree;
use crate::{Arity, Flags, Group, Keys, Meta, Reader, Spec};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

const fn row(name: &'static str, arity: Arity, flags: Flags, summary: &'static str) -> Meta {
    Group::Set.meta(name, arity, Keys::At(1), flags, ("1.0.0", summary))
}

pub(super) const SCARD: Spec = Spec::read(
    row("SCARD", Arity::Exactly(2), Flags::FAST, "Returns the number of members of a set."),
    |cx, args| match wrong(cx.view::<SetTree>(args.at(1))) {
        Ok(set) => Reply::len(set.map_or(0, View::<SetTree>::len)),
        Err(reply) => reply,
    },
);

pub(super) const SISMEMBER: Spec = Spec::read(
    row("SISMEMBER", Arity::Exactly(3), Flags::FAST, "Tells whether a set has a member."),
    |cx, args| match wrong(cx.view::<SetTree>(args.at(1))) {
        Ok(set) => is_member(cx, set, args.at(2)),
        Err(reply) => reply,
    },
);

fn is_member(cx: &Reader<'_>, set: Option<View<'_, SetTree>>, member: &[u8]) -> Reply<'static> {
    let has = set.is_some_and(|set| set.has(cx.keyspace.hash_key, Item::of(member)));
    Reply::Int(i64::from(has))
}

pub(super) const SMISMEMBER: Spec = Spec::read(
    Meta {
        since: "6.2.0",
        ..row("SMISMEMBER", Arity::AtLeast(3), Flags::FAST, "Tells which members a set has.")
    },
    |cx, args| match wrong(cx.view::<SetTree>(args.at(1))) {
        Ok(set) => {
            let members = args.from(2);
            Reply::Array(members.iter().map(|member| is_member(cx, set, member)).collect())
        }
        Err(reply) => reply,
    },
);

pub(super) const SMEMBERS: Spec = Spec::read(
    row("SMEMBERS", Arity::Exactly(2), Flags::NONE, "Returns all members of a set."),
    |cx, args| match wrong(cx.view::<SetTree>(args.at(1))) {
        Ok(Some(set)) => {
            let mut found = Vec::with_capacity(set.len());
            found.extend(set.iter().map(Item::reply));
            Reply::Set(found)
        }
        Ok(None) => Reply::Set(Vec::new()),
        Err(reply) => reply,
    },
)
.costing(|cx, args| MEMBER_NS * members(cx, args) as u64);

/// A member is read, and written into the reply, in some 30 ns.
const MEMBER_NS: u64 = 30;

pub(super) const SSCAN: Spec = Spec::read(
    Meta {
        since: "2.8.0",
        ..row(
            "SSCAN",
            Arity::AtLeast(3),
            Flags::NONE,
            "Goes through the members of a set, some at a time.",
        )
    },
    |cx, args| sscan(cx, args).unwrap_or_else(|reply| reply),
)
.costing(sscan_cost_ns);

fn sscan<'a>(cx: &Reader<'a>, args: Args<'a>) -> Result<Reply<'a>, Reply<'a>> {
    let cursor = cursor(args.at(2))?;
    let Some(set) = wrong(cx.view::<SetTree>(args.at(1)))? else {
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
