//! Looking at a hash: HGET, HMGET, HGETALL, HKEYS, HVALS, HLEN, HSTRLEN, HEXISTS, HSCAN.

use super::fields;
use crate::cmd::collection::wrong;
use crate::cmd::generic::scan::{ScanOptions, Scanned, cursor, scanned};
use crate::types::View;
use crate::types::hash::HashTree;
use crate::types::pack::Item;
use crate::{Arity, Flags, Group, Keys, Meta, Reader, Spec};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

const fn row(name: &'static str, arity: Arity, flags: Flags, summary: &'static str) -> Meta {
    Group::Hash.meta(name, arity, Keys::At(1), flags, ("2.0.0", summary))
}

/// Looks at a hash, which is empty if it is absent.
fn look<'a>(
    cx: &Reader<'a>,
    args: Args<'_>,
    answer: impl FnOnce(Option<View<'a, HashTree>>) -> Reply<'a>,
) -> Reply<'a> {
    wrong(cx.view::<HashTree>(args.at(1))).map_or_else(|reply| reply, answer)
}

/// The value of a field.
fn value<'a>(cx: &Reader<'a>, hash: Option<View<'a, HashTree>>, field: &[u8]) -> Option<Item<'a>> {
    hash?.value(cx.keyspace.hash_key, field)
}

pub(super) const HGET: Spec = Spec::read(
    row("HGET", Arity::Exactly(3), Flags::FAST, "Returns the value of a field."),
    |cx, args| look(cx, args, |hash| value(cx, hash, args.at(2)).map_or(Reply::Null, Item::reply)),
);

pub(super) const HMGET: Spec = Spec::read(
    row("HMGET", Arity::AtLeast(3), Flags::FAST, "Returns the values of fields."),
    |cx, args| {
        look(cx, args, |hash| {
            let one = |field| value(cx, hash, field).map_or(Reply::Null, Item::reply);
            Reply::Array(args.from(2).iter().map(one).collect())
        })
    },
)
.costing(|_, args| 200 * args.len() as u64);

pub(super) const HEXISTS: Spec = Spec::read(
    row("HEXISTS", Arity::Exactly(3), Flags::FAST, "Tells whether a hash has a field."),
    |cx, args| look(cx, args, |hash| Reply::Int(i64::from(value(cx, hash, args.at(2)).is_some()))),
);

pub(super) const HLEN: Spec = Spec::read(
    row("HLEN", Arity::Exactly(2), Flags::FAST, "Returns the number of fields of a hash."),
    |cx, args| look(cx, args, |hash| Reply::len(hash.map_or(0, View::<HashTree>::len))),
);

pub(super) const HSTRLEN: Spec = Spec::read(
    Meta {
        since: "3.2.0",
        ..row("HSTRLEN", Arity::Exactly(3), Flags::FAST, "Returns the length of a field's value.")
    },
    |cx, args| look(cx, args, |hash| Reply::len(value(cx, hash, args.at(2)).map_or(0, Item::len))),
);

pub(super) const HGETALL: Spec = Spec::read(
    row("HGETALL", Arity::Exactly(2), Flags::NONE, "Returns all fields with their values."),
    |cx, args| {
        look(cx, args, |hash| {
            let pairs = hash.into_iter().flat_map(View::<HashTree>::iter);
            let mut all = Vec::with_capacity(hash.map_or(0, View::<HashTree>::len));
            all.extend(pairs.map(|(field, value)| (field.reply(), value.reply())));
            Reply::Map(all)
        })
    },
)
.costing(all_cost_ns);

pub(super) const HKEYS: Spec = Spec::read(
    row("HKEYS", Arity::Exactly(2), Flags::NONE, "Returns all fields of a hash."),
    |cx, args| {
        look(cx, args, |hash| {
            let pairs = hash.into_iter().flat_map(View::<HashTree>::iter);
            Reply::Array(pairs.map(|(field, _)| field.reply()).collect())
        })
    },
)
.costing(all_cost_ns);

pub(super) const HVALS: Spec = Spec::read(
    row("HVALS", Arity::Exactly(2), Flags::NONE, "Returns the values of all fields of a hash."),
    |cx, args| {
        look(cx, args, |hash| {
            let pairs = hash.into_iter().flat_map(View::<HashTree>::iter);
            Reply::Array(pairs.map(|(_, value)| value.reply()).collect())
        })
    },
)
.costing(all_cost_ns);

/// A field is read, and written into the reply, in some 50 ns.
const FIELD_NS: u64 = 50;

fn all_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    FIELD_NS * fields(cx, args) as u64
}

pub(super) const HSCAN: Spec = Spec::read(
    Meta {
        since: "2.8.0",
        ..row(
            "HSCAN",
            Arity::AtLeast(3),
            Flags::NONE,
            "Goes through the fields of a hash, some at a time.",
        )
    },
    |cx, args| hscan(cx, args).unwrap_or_else(|reply| reply),
)
.costing(hscan_cost_ns);

fn hscan<'a>(cx: &Reader<'a>, args: Args<'a>) -> Result<Reply<'a>, Reply<'a>> {
    let cursor = cursor(args.at(2))?;
    let Some(hash) = wrong(cx.view::<HashTree>(args.at(1)))? else {
        return Ok(scanned(0, Vec::new()));
    };
    let options = ScanOptions::parse(args.from(3), Scanned::Fields)?;
    let mut found = Vec::new();
    let next = hash.scan(cursor, options.count, &mut |(field, value)| {
        if field.with(|field| options.fits(field)) {
            found.push(field.reply());
            if !options.no_values {
                found.push(value.reply());
            }
        }
    });
    Ok(scanned(next, found))
}

fn hscan_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let options = ScanOptions::parse(args.from(3), Scanned::Fields);
    let count = options.map_or(0, |options| options.count);
    count.min(fields(cx, args)) as u64 * 2 * FIELD_NS
}
