//! Fields come and go: HSET, HMSET, HSETNX, HDEL.

use super::Hash;
use crate::cmd::collection::{tell_if_gone, wrong};
use crate::types::hash::HashTree;
use crate::{Arity, Flags, Group, Keys, Logged, Meta, Reader, Spec, Writer};
use quorate_resp::{Args, Reply};

const fn row(name: &'static str, arity: Arity, since: &'static str, summary: &'static str) -> Meta {
    let flags = Flags::FAST.and(Flags::DENYOOM);
    Group::Hash.meta(name, arity, Keys::At(1), flags, (since, summary))
}

pub(super) const HSET: Spec = Spec::write(
    row("HSET", Arity::AtLeast(4), "2.0.0", "Sets fields of a hash."),
    Logged::PLAIN,
    |cx, args| match set(cx, args, "HSET") {
        Ok(created) => Reply::len(created),
        Err(reply) => reply,
    },
)
.costing(change_cost_ns);

pub(super) const HMSET: Spec = Spec::write(
    row("HMSET", Arity::AtLeast(4), "2.0.0", "Sets fields of a hash; HSET does the same."),
    Logged::PLAIN,
    |cx, args| set(cx, args, "HMSET").map_or_else(|reply| reply, |_| Reply::OK),
)
.costing(change_cost_ns);

/// Sets fields; how many of them are new.
fn set(cx: &mut Writer<'_>, args: Args<'_>, name: &'static str) -> Result<usize, Reply<'static>> {
    if !args.len().is_multiple_of(2) {
        return Err(crate::cmd::wrong_arity(name));
    }
    let pairs = args.from(2);
    let created = wrong(cx.edit_or_create(args.at(1), |hash: &mut Hash| {
        hash.expect(pairs.iter());
        let fields = pairs.iter().step_by(2).zip(pairs.iter().skip(1).step_by(2));
        fields.filter(|(field, value)| hash.set(field, value)).count()
    }))?;
    cx.notify(b'h', "hset", args.at(1));
    Ok(created)
}

pub(super) const HSETNX: Spec = Spec::write(
    row("HSETNX", Arity::Exactly(4), "2.0.0", "Sets a field of a hash unless it is there."),
    Logged::PLAIN,
    |cx, args| hsetnx(cx, args).unwrap_or_else(|reply| reply),
);

fn hsetnx(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>, Reply<'static>> {
    let (key, field, value) = (args.at(1), args.at(2), args.at(3));
    let hash = wrong(cx.reader().view::<HashTree>(key))?;
    if hash.is_some_and(|hash| hash.value(cx.keyspace.hash_key, field).is_some()) {
        return Ok(Reply::Int(0));
    }
    wrong(cx.edit_or_create(key, |hash: &mut Hash| {
        hash.expect([field, value].into_iter());
        hash.set(field, value);
    }))?;
    cx.notify(b'h', "hset", key);
    Ok(Reply::Int(1))
}

pub(super) const HDEL: Spec = Spec::write(
    Group::Hash.meta(
        "HDEL",
        Arity::AtLeast(3),
        Keys::At(1),
        Flags::FAST,
        ("2.0.0", "Removes fields from a hash."),
    ),
    Logged::PLAIN,
    hdel,
)
.costing(change_cost_ns);

fn hdel(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let key = args.at(1);
    let removed = wrong(cx.edit(key, |hash: &mut Hash| {
        args.from(2).iter().filter(|field| hash.remove(field)).count()
    }));
    match removed {
        Ok(Some(removed)) => {
            if removed > 0 {
                cx.notify(b'h', "hdel", key);
                tell_if_gone(cx, key);
            }
            Reply::len(removed)
        }
        Ok(None) => Reply::Int(0),
        Err(reply) => reply,
    }
}

/// A field takes some 200 ns.
fn change_cost_ns(_: &Reader<'_>, args: Args<'_>) -> u64 {
    200 * args.len() as u64
}
