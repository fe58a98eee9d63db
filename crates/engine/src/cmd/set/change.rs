//! Members come and go: SADD, SREM, SMOVE.

use super::Set;
use crate::cmd::collection::tell_if_gone;
use crate::types::pack::Item;
use crate::types::set::SetTree;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, exactly, least};
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Set.rows([
    Spec::write("SADD", "key member [member ...]", sadd)
        .facts(least(3), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
        .doc("1.0.0", "Adds members to a set.")
        .access(&["RW insert"])
        .costing(change_cost_ns),
    Spec::write("SREM", "key member [member ...]", srem)
        .facts(least(3), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Removes members from a set.")
        .access(&["RW delete"])
        .costing(change_cost_ns),
    Spec::write("SMOVE", "source destination member", smove)
        .facts(exactly(4), Keys::Range { first: 1, last: 2, step: 1 }, Flags::FAST)
        .doc("1.0.0", "Moves a member from one set to another.")
        .access(&["RW access delete", "RW insert"]),
]);

fn sadd(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let members = args.from(2);
    let added = cx.edit_or_create(args.at(1), |set: &mut Set| {
        set.expect(members.at(0), members.len());
        members.iter().filter(|member| set.add(member)).count()
    })?;
    if added > 0 {
        cx.notify(b's', "sadd", args.at(1));
    }
    Ok(Reply::len(added))
}

fn srem(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let removed = cx.edit(key, |set: &mut Set| {
        args.from(2).iter().filter(|member| set.remove(member)).count()
    })?;
    match removed {
        Some(removed) => {
            if removed > 0 {
                cx.notify(b's', "srem", key);
                tell_if_gone(cx, key);
            }
            Ok(Reply::len(removed))
        }
        None => Ok(Reply::Int(0)),
    }
}

fn smove(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (from, to, member) = (args.at(1), args.at(2), args.at(3));
    let (reader, key) = (cx.reader(), cx.keyspace.hash_key);
    let Some(source) = reader.view::<SetTree>(from)? else { return Ok(Reply::Int(0)) };
    reader.view::<SetTree>(to)?;
    if from == to || !source.has(key, Item::of(member)) {
        return Ok(Reply::Int(i64::from(source.has(key, Item::of(member)))));
    }
    cx.edit(from, |set: &mut Set| set.remove(member))?;
    cx.notify(b's', "srem", from);
    tell_if_gone(cx, from);
    let is_new = cx.edit_or_create(to, |set: &mut Set| {
        set.expect(member, 1);
        set.add(member)
    })?;
    if is_new {
        cx.notify(b's', "sadd", to);
    }
    Ok(Reply::Int(1))
}

/// A member takes some 200 ns.
fn change_cost_ns(_: &Reader<'_>, args: Args<'_>) -> u64 {
    200 * args.len() as u64
}
