//! Looking at lists: LLEN, LINDEX, LRANGE.

use super::{position, range};
use crate::cmd::generic::NOT_AN_INTEGER;
use crate::types::View;
use crate::types::list::ListTree;
use crate::types::pack::Item;
use crate::{Arity, Db, Flags, Group, Keys, Keyspace, Reader, Spec, WrongType};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

pub(super) const LLEN: Spec = Spec::read(
    Group::List.meta(
        "LLEN",
        Arity::Exactly(2),
        Keys::At(1),
        Flags::FAST,
        ("1.0.0", "Returns the length of a list."),
    ),
    llen,
);

fn llen<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    match cx.view::<ListTree>(args.at(1)) {
        Ok(list) => Reply::len(list.map_or(0, View::len)),
        Err(WrongType) => Reply::WRONG_TYPE,
    }
}

pub(super) const LINDEX: Spec = Spec::read(
    Group::List.meta(
        "LINDEX",
        Arity::Exactly(3),
        Keys::At(1),
        Flags::NONE,
        ("1.0.0", "Returns an element of a list by its position."),
    ),
    lindex,
);

fn lindex<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let list = match cx.view::<ListTree>(args.at(1)) {
        Ok(Some(list)) => list,
        Ok(None) => return Reply::Null,
        Err(WrongType) => return Reply::WRONG_TYPE,
    };
    let Some(at) = parse_int(args.at(2)) else { return Reply::error(NOT_AN_INTEGER) };
    let element = position(at, list.len()).and_then(|at| list.get(at));
    element.map_or(Reply::Null, Item::reply)
}

pub(super) const LRANGE: Spec = Spec::read(
    Group::List.meta(
        "LRANGE",
        Arity::Exactly(4),
        Keys::At(1),
        Flags::NONE,
        ("1.0.0", "Returns the elements of a list between two positions, both included."),
    ),
    lrange,
)
.costing(lrange_cost_ns);

fn lrange<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let (Some(first), Some(last)) = (parse_int(args.at(2)), parse_int(args.at(3))) else {
        return Reply::error(NOT_AN_INTEGER);
    };
    let list = match cx.view::<ListTree>(args.at(1)) {
        Ok(Some(list)) => list,
        Ok(None) => return Reply::Array(Vec::new()),
        Err(WrongType) => return Reply::WRONG_TYPE,
    };
    let Some((start, end)) = range(first, last, list.len()) else {
        return Reply::Array(Vec::new());
    };
    let mut elements = Vec::with_capacity(end - start);
    elements.extend(list.from(start).take(end - start).map(Item::reply));
    Reply::Array(elements)
}

/// An element takes some 30 ns.
fn lrange_cost_ns(keyspace: &Keyspace, db: Db, args: Args<'_>) -> u64 {
    let reader = Reader { keyspace, db, seed: 0, clock_ms: 0 };
    let (Some(first), Some(last)) = (parse_int(args.at(2)), parse_int(args.at(3))) else {
        return 0;
    };
    let len = reader.view::<ListTree>(args.at(1)).ok().flatten().map_or(0, View::len);
    range(first, last, len).map_or(0, |(start, end)| 30 * (end - start) as u64)
}
