//! Both ends of lists: LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP.

use crate::types::Open;
use crate::types::list::{End, ListTree};
use crate::types::pack::Item;
use crate::{Flags, Group, Keys, Replied, Spec, Writer, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

const GROWS: Flags = Flags::FAST.and(Flags::DENYOOM);

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::List.rows([
    Spec::write("LPUSH", "key element [element ...]", |cx, args| push(cx, args, End::Front))
        .facts(least(3), Keys::At(1), GROWS)
        .doc("1.0.0", "Puts elements in front of a list, one after the other.")
        .access(&["RW insert"]),
    Spec::write("RPUSH", "key element [element ...]", |cx, args| push(cx, args, End::Back))
        .facts(least(3), Keys::At(1), GROWS)
        .doc("1.0.0", "Adds elements at the end of a list.")
        .access(&["RW insert"]),
    Spec::write("LPUSHX", "key element [element ...]", |cx, args| {
        push_existing(cx, args, End::Front)
    })
    .facts(least(3), Keys::At(1), GROWS)
    .doc("2.2.0", "Puts elements in front of a list that exists.")
    .access(&["RW insert"]),
    Spec::write("RPUSHX", "key element [element ...]", |cx, args| {
        push_existing(cx, args, End::Back)
    })
    .facts(least(3), Keys::At(1), GROWS)
    .doc("2.2.0", "Adds elements at the end of a list that exists.")
    .access(&["RW insert"]),
    Spec::write("LPOP", "key [count]", |cx, args| pop(cx, args, End::Front))
        .facts(least(2), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Takes one or more elements off the front of a list.")
        .access(&["RW access delete"]),
    Spec::write("RPOP", "key [count]", |cx, args| pop(cx, args, End::Back))
        .facts(least(2), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Takes one or more elements off the end of a list.")
        .access(&["RW access delete"]),
]);

fn push(cx: &mut Writer<'_>, args: Args<'_>, end: End) -> Replied<'static> {
    let len = cx.edit_or_create(args.at(1), |list| add(list, args, end))?;
    Ok(pushed(cx, args, end, len))
}

fn push_existing(cx: &mut Writer<'_>, args: Args<'_>, end: End) -> Replied<'static> {
    match cx.edit(args.at(1), |list| add(list, args, end))? {
        Some(len) => Ok(pushed(cx, args, end, len)),
        None => Ok(Reply::Int(0)),
    }
}

fn add(list: &mut Open<ListTree>, args: Args<'_>, end: End) -> usize {
    args.from(2).iter().for_each(|element| list.push(end, element));
    list.len()
}

fn pushed(cx: &mut Writer<'_>, args: Args<'_>, end: End, len: usize) -> Reply<'static> {
    gave(cx, args.at(1), end);
    Reply::len(len)
}

/// Tells that an element was added at an end.
pub(super) fn gave(cx: &mut Writer<'_>, key: &[u8], end: End) {
    cx.notify(b'l', if end == End::Front { "lpush" } else { "rpush" }, key);
}

fn pop(cx: &mut Writer<'_>, args: Args<'_>, end: End) -> Replied<'static> {
    if args.len() > 3 {
        return Err(crate::cmd::wrong_arity(if end == End::Front { "LPOP" } else { "RPOP" }));
    }
    let count = match args.get(2).map(|text| parse_int(text).map(usize::try_from)) {
        None => None,
        Some(Some(Ok(count))) => Some(count),
        Some(_) => return Err(Reply::error("ERR value is out of range, must be positive")),
    };
    let key = args.at(1);
    Ok(match take(cx, key, end, count.unwrap_or(1))? {
        Some(elements) if count.is_some() => Reply::Array(elements),
        Some(mut elements) => elements.pop().unwrap_or(Reply::Null),
        None if count.is_some() => Reply::NullArray,
        None => Reply::Null,
    })
}

/// Removes elements from an end of the list at a key, the outermost first. `None`: there is none.
pub(super) fn take(
    cx: &mut Writer<'_>,
    key: &[u8],
    end: End,
    count: usize,
) -> Result<Option<Vec<Reply<'static>>>, Reply<'static>> {
    let taken = cx.edit(key, |list| (take_from(list, end, count), list.is_empty()))?;
    let Some((elements, is_empty)) = taken else { return Ok(None) };
    if !elements.is_empty() {
        took(cx, key, end, is_empty);
    }
    Ok(Some(elements))
}

/// Tells that elements were taken off an end, perhaps the last ones.
pub(super) fn took(cx: &mut Writer<'_>, key: &[u8], end: End, is_empty: bool) {
    cx.notify(b'l', if end == End::Front { "lpop" } else { "rpop" }, key);
    if is_empty {
        cx.notify(b'g', "del", key);
    }
}

fn take_from(list: &mut Open<ListTree>, end: End, count: usize) -> Vec<Reply<'static>> {
    let (len, view) = (list.len(), list.view());
    let count = count.min(len);
    let mut elements = Vec::with_capacity(count);
    match end {
        End::Front => elements.extend(view.from(0).take(count).map(Item::owned)),
        End::Back => {
            let back = view.back_from(len.saturating_sub(1)).take(count);
            elements.extend(back.map(Item::owned));
        }
    }
    list.remove(if end == End::Front { 0 } else { len - count }, count);
    elements
}
