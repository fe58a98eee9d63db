//! Members come and go: SADD, SREM, SMOVE.

use super::Set;
use crate::cmd::collection::{tell_if_gone, wrong};
use crate::types::pack::Item;
use crate::types::set::SetTree;
use crate::{Arity, Flags, Group, Keys, Logged, Reader, Spec, Writer};
use quorate_resp::{Args, Reply};

pub(super) const SADD: Spec = Spec::write(
    Group::Set.meta(
        "SADD",
        Arity::AtLeast(3),
        Keys::At(1),
        Flags::FAST.and(Flags::DENYOOM),
        ("1.0.0", "Adds members to a set."),
    ),
    Logged::PLAIN,
    sadd,
)
.costing(change_cost_ns);

fn sadd(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let members = args.from(2);
    let added = wrong(cx.edit_or_create(args.at(1), |set: &mut Set| {
        set.expect(members.at(0), members.len());
        members.iter().filter(|member| set.add(member)).count()
    }));
    match added {
        Ok(added) => {
            if added > 0 {
                cx.notify(b's', "sadd", args.at(1));
            }
            Reply::len(added)
        }
        Err(reply) => reply,
    }
}

pub(super) const SREM: Spec = Spec::write(
    Group::Set.meta(
        "SREM",
        Arity::AtLeast(3),
        Keys::At(1),
        Flags::FAST,
        ("1.0.0", "Removes members from a set."),
    ),
    Logged::PLAIN,
    srem,
)
.costing(change_cost_ns);

fn srem(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let key = args.at(1);
    let removed = wrong(cx.edit(key, |set: &mut Set| {
        args.from(2).iter().filter(|member| set.remove(member)).count()
    }));
    match removed {
        Ok(Some(removed)) => {
            if removed > 0 {
                cx.notify(b's', "srem", key);
                tell_if_gone(cx, key);
            }
            Reply::len(removed)
        }
        Ok(None) => Reply::Int(0),
        Err(reply) => reply,
    }
}

pub(super) const SMOVE: Spec = Spec::write(
    Group::Set.meta(
        "SMOVE",
        Arity::Exactly(4),
        Keys::Range { first: 1, last: 2, step: 1 },
        Flags::FAST,
        ("1.0.0", "Moves a member from one set to another."),
    ),
    Logged::PLAIN,
    |cx, args| smove(cx, args).unwrap_or_else(|reply| reply),
);

fn smove(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>, Reply<'static>> {
    let (from, to, member) = (args.at(1), args.at(2), args.at(3));
    let (reader, key) = (cx.reader(), cx.keyspace.hash_key);
    let Some(source) = wrong(reader.view::<SetTree>(from))? else { return Ok(Reply::Int(0)) };
    wrong(reader.view::<SetTree>(to))?;
    if from == to || !source.has(key, Item::of(member)) {
        return Ok(Reply::Int(i64::from(source.has(key, Item::of(member)))));
    }
    wrong(cx.edit(from, |set: &mut Set| set.remove(member)))?;
    cx.notify(b's', "srem", from);
    tell_if_gone(cx, from);
    let is_new = wrong(cx.edit_or_create(to, |set: &mut Set| {
        set.expect(member, 1);
        set.add(member)
    }))?;
    if is_new {
        cx.notify(b's', "sadd", to);
    }
    Ok(Reply::Int(1))
}

/// A member takes some 200 ns.
fn change_cost_ns(_: &Reader<'_>, args: Args<'_>) -> u64 {
    200 * args.len() as u64
}
