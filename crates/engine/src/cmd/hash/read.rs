//! Looking at a hash: HGET, HMGET, HGETALL, HKEYS, HVALS, HLEN, HSTRLEN, HEXISTS, HSCAN.

use super::fields;
use crate::cmd::generic::scan::{ScanOptions, Scanned, cursor, scanned};
use crate::types::View;
use crate::types::hash::HashTree;
use crate::types::pack::Item;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, exactly, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Hash.rows([
    Spec::read("HGET", "key field", hget)
        .facts(exactly(3), Keys::At(1), Flags::FAST)
        .doc("2.0.0", "Returns the value of a field."),
    Spec::read("HMGET", "key field [field ...]", hmget)
        .facts(least(3), Keys::At(1), Flags::FAST)
        .doc("2.0.0", "Returns the values of fields.")
        .costing(|_, args| 200 * args.len() as u64),
    Spec::read("HEXISTS", "key field", hexists)
        .facts(exactly(3), Keys::At(1), Flags::FAST)
        .doc("2.0.0", "Tells whether a hash has a field.")
        .access(&["RO"]),
    Spec::read("HLEN", "key", hlen)
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("2.0.0", "Returns the number of fields of a hash.")
        .access(&["RO"]),
    Spec::read("HSTRLEN", "key field", hstrlen)
        .facts(exactly(3), Keys::At(1), Flags::FAST)
        .doc("3.2.0", "Returns the length of a field's value.")
        .access(&["RO"]),
    Spec::read("HGETALL", "key", hgetall)
        .facts(exactly(2), Keys::At(1), Flags::NONE)
        .doc("2.0.0", "Returns all fields with their values.")
        .costing(all_cost_ns),
    Spec::read("HKEYS", "key", hkeys)
        .facts(exactly(2), Keys::At(1), Flags::NONE)
        .doc("2.0.0", "Returns all fields of a hash.")
        .costing(all_cost_ns),
    Spec::read("HVALS", "key", hvals)
        .facts(exactly(2), Keys::At(1), Flags::NONE)
        .doc("2.0.0", "Returns the values of all fields of a hash.")
        .costing(all_cost_ns),
    Spec::read("HSCAN", "key cursor [MATCH pattern] [COUNT count] [NOVALUES]", hscan)
        .facts(least(3), Keys::At(1), Flags::NONE)
        .doc("2.8.0", "Goes through the fields of a hash, some at a time.")
        .costing(hscan_cost_ns),
]);

fn hget<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    look(cx, args, |hash| value(cx, hash, args.at(2)).map_or(Reply::Null, Item::reply))
}

fn hmget<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    look(cx, args, |hash| {
        let one = |field| value(cx, hash, field).map_or(Reply::Null, Item::reply);
        Reply::Array(args.from(2).iter().map(one).collect())
    })
}

fn hexists<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    look(cx, args, |hash| Reply::Int(i64::from(value(cx, hash, args.at(2)).is_some())))
}

fn hlen<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    look(cx, args, |hash| Reply::len(hash.map_or(0, View::<HashTree>::len)))
}

fn hstrlen<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    look(cx, args, |hash| Reply::len(value(cx, hash, args.at(2)).map_or(0, Item::len)))
}

fn hgetall<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    look(cx, args, |hash| {
        let pairs = hash.into_iter().flat_map(View::<HashTree>::iter);
        let mut all = Vec::with_capacity(hash.map_or(0, View::<HashTree>::len));
        all.extend(pairs.map(|(field, value)| (field.reply(), value.reply())));
        Reply::Map(all)
    })
}

fn hkeys<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    look(cx, args, |hash| {
        let pairs = hash.into_iter().flat_map(View::<HashTree>::iter);
        Reply::Array(pairs.map(|(field, _)| field.reply()).collect())
    })
}

fn hvals<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    look(cx, args, |hash| {
        let pairs = hash.into_iter().flat_map(View::<HashTree>::iter);
        Reply::Array(pairs.map(|(_, value)| value.reply()).collect())
    })
}

/// Looks at a hash, which is empty if it is absent.
fn look<'a>(
    cx: &Reader<'a>,
    args: Args<'_>,
    answer: impl FnOnce(Option<View<'a, HashTree>>) -> Reply<'a>,
) -> Replied<'a> {
    cx.view::<HashTree>(args.at(1)).map_err(Reply::from).map(answer)
}

/// The value of a field.
fn value<'a>(cx: &Reader<'a>, hash: Option<View<'a, HashTree>>, field: &[u8]) -> Option<Item<'a>> {
    hash?.value(cx.keyspace.hash_key, field)
}

/// A field is read, and written into the reply, in some 50 ns.
const FIELD_NS: u64 = 50;

fn all_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    FIELD_NS * fields(cx, args) as u64
}

fn hscan<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let cursor = cursor(args.at(2))?;
    let Some(hash) = cx.view::<HashTree>(args.at(1))? else {
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
