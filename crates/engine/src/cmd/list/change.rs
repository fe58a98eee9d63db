//! The inside of lists: LSET, LINSERT, LREM, LTRIM.

use super::{position, range, walk_cost_ns};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::types::Open;
use crate::types::list::ListTree;
use crate::types::pack::Item;
use crate::{Flags, Group, Keys, Replied, Spec, Writer, exactly};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::List.rows([
    Spec::write("LSET", "key index element", lset)
        .facts(exactly(4), Keys::At(1), Flags::DENYOOM)
        .doc("1.0.0", "Replaces an element of a list."),
    Spec::write("LINSERT", "key <BEFORE | AFTER> pivot element", linsert)
        .facts(exactly(5), Keys::At(1), Flags::DENYOOM)
        .doc("2.2.0", "Puts an element before or after the first one that equals another.")
        .access(&["RW insert"])
        .costing(walk_cost_ns),
    Spec::write("LREM", "key count element", lrem)
        .facts(exactly(4), Keys::At(1), Flags::NONE)
        .doc("1.0.0", "Removes the first or last elements that equal another, or all of them (0).")
        .access(&["RW delete"])
        .costing(walk_cost_ns),
    Spec::write("LTRIM", "key start stop", ltrim)
        .facts(exactly(4), Keys::At(1), Flags::NONE)
        .doc("1.0.0", "Keeps only the elements between two positions, both included.")
        .access(&["RW delete"]),
]);

fn lset(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let at = parse_int(args.at(2));
    let done = cx.edit(key, |list: &mut Open<ListTree>| {
        let Some(at) = at else { return Err(NOT_AN_INTEGER) };
        let at = position(at, list.len()).filter(|&at| at < list.len());
        list.set(at.ok_or("ERR index out of range")?, args.at(3));
        Ok(())
    })?;
    match done {
        Some(Ok(())) => {
            cx.notify(b'l', "lset", key);
            Ok(Reply::OK)
        }
        Some(Err(error)) => Err(Reply::error(error)),
        None => Err(Reply::error("ERR no such key")),
    }
}

fn linsert(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let after = match args.at(2) {
        place if place.eq_ignore_ascii_case(b"AFTER") => true,
        place if place.eq_ignore_ascii_case(b"BEFORE") => false,
        _ => return Err(Reply::error(SYNTAX)),
    };
    let pivot = Item::of(args.at(3));
    let done = cx.edit(key, |list: &mut Open<ListTree>| {
        let at = list.view().from(0).position(|element| element == pivot)?;
        list.insert(at + usize::from(after), args.at(4));
        Some(list.len())
    })?;
    match done {
        Some(Some(len)) => {
            cx.notify(b'l', "linsert", key);
            Ok(Reply::len(len))
        }
        Some(None) => Ok(Reply::Int(-1)),
        None => Ok(Reply::Int(0)),
    }
}

fn lrem(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let Some(count) = parse_int(args.at(2)) else { return Err(Reply::error(NOT_AN_INTEGER)) };
    let wanted = Item::of(args.at(3));
    let most = match count {
        0 => usize::MAX,
        _ => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let done = cx.edit(key, |list: &mut Open<ListTree>| {
        let is_wanted = |(at, element): (usize, Item<'_>)| (element == wanted).then_some(at);
        let found: Vec<usize> = if count < 0 {
            let last = list.len().saturating_sub(1);
            let back = list.view().back_from(last).enumerate();
            back.filter_map(is_wanted).take(most).map(|at| last - at).collect()
        } else {
            let mut found: Vec<usize> =
                list.view().from(0).enumerate().filter_map(is_wanted).take(most).collect();
            found.reverse();
            found
        };
        let removed = found.len();
        // From the back, so that the positions before keep their meaning.
        for at in found {
            list.remove(at, 1);
        }
        removed
    })?;
    match done {
        Some(removed) => {
            if removed > 0 {
                changed(cx, "lrem", key);
            }
            Ok(Reply::len(removed))
        }
        None => Ok(Reply::Int(0)),
    }
}

fn ltrim(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let (Some(first), Some(last)) = (parse_int(args.at(2)), parse_int(args.at(3))) else {
        return Err(Reply::error(NOT_AN_INTEGER));
    };
    let done = cx.edit(key, |list: &mut Open<ListTree>| {
        let len = list.len();
        let (start, end) = range(first, last, len).unwrap_or((len, len));
        list.remove(end, len - end);
        list.remove(0, start);
    })?;
    if done.is_some() {
        changed(cx, "ltrim", key);
    }
    Ok(Reply::OK)
}

/// Tells of a change that may have emptied the list.
fn changed(cx: &mut Writer<'_>, event: &'static str, key: &[u8]) {
    cx.notify(b'l', event, key);
    if !cx.reader().exists(key) {
        cx.notify(b'g', "del", key);
    }
}
