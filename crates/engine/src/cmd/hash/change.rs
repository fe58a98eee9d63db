//! Fields come and go: HSET, HMSET, HSETNX, HDEL.

use super::Hash;
use crate::cmd::collection::tell_if_gone;
use crate::types::hash::HashTree;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, exactly, least};
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Hash.rows([
    Spec::write("HSET", "key field value [field value ...]", hset)
        .facts(least(4), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
        .doc("2.0.0", "Sets fields of a hash.")
        .costing(change_cost_ns),
    Spec::write("HMSET", "key field value [field value ...]", |cx, args| {
        set(cx, args, "HMSET").map(|_| Reply::OK)
    })
    .facts(least(4), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
    .doc("2.0.0", "Sets fields of a hash; HSET does the same.")
    .costing(change_cost_ns),
    Spec::write("HSETNX", "key field value", hsetnx)
        .facts(exactly(4), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
        .doc("2.0.0", "Sets a field of a hash unless it is there.")
        .access(&["RW insert"]),
    Spec::write("HDEL", "key field [field ...]", hdel)
        .facts(least(3), Keys::At(1), Flags::FAST)
        .doc("2.0.0", "Removes fields from a hash.")
        .access(&["RW delete"])
        .costing(change_cost_ns),
]);

fn hset(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let created = set(cx, args, "HSET")?;
    Ok(Reply::len(created))
}

/// Sets fields; how many of them are new.
fn set(cx: &mut Writer<'_>, args: Args<'_>, name: &'static str) -> Result<usize, Reply<'static>> {
    if !args.len().is_multiple_of(2) {
        return Err(crate::cmd::wrong_arity(name));
    }
    let pairs = args.from(2);
    let created = cx.edit_or_create(args.at(1), |hash: &mut Hash| {
        hash.expect(pairs.iter());
        let fields = pairs.iter().step_by(2).zip(pairs.iter().skip(1).step_by(2));
        fields.filter(|(field, value)| hash.set(field, value)).count()
    })?;
    cx.notify(b'h', "hset", args.at(1));
    Ok(created)
}

fn hsetnx(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (key, field, value) = (args.at(1), args.at(2), args.at(3));
    let hash = cx.reader().view::<HashTree>(key)?;
    if hash.is_some_and(|hash| hash.value(cx.keyspace.hash_key, field).is_some()) {
        return Ok(Reply::Int(0));
    }
    cx.edit_or_create(key, |hash: &mut Hash| {
        hash.expect([field, value].into_iter());
        hash.set(field, value);
    })?;
    cx.notify(b'h', "hset", key);
    Ok(Reply::Int(1))
}

fn hdel(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let removed = cx.edit(key, |hash: &mut Hash| {
        args.from(2).iter().filter(|field| hash.remove(field)).count()
    })?;
    match removed {
        Some(removed) => {
            if removed > 0 {
                cx.notify(b'h', "hdel", key);
                tell_if_gone(cx, key);
            }
            Ok(Reply::len(removed))
        }
        None => Ok(Reply::Int(0)),
    }
}

/// A field takes some 200 ns.
fn change_cost_ns(_: &Reader<'_>, args: Args<'_>) -> u64 {
    200 * args.len() as u64
}
