//! Both ends of lists: LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP.

use super::wrong;
use crate::types::Open;
use crate::types::list::{End, ListTree};
use crate::types::pack::Item;
use crate::{Arity, Flags, Group, Keys, Logged, Meta, Spec, Writer};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

const GROWS: Flags = Flags::FAST.and(Flags::DENYOOM);

const fn push_row(name: &'static str, since: &'static str, summary: &'static str) -> Meta {
    Group::List.meta(name, Arity::AtLeast(3), Keys::At(1), GROWS, (since, summary))
}

pub(super) const LPUSH: Spec = Spec::write(
    push_row("LPUSH", "1.0.0", "Puts elements in front of a list, one after the other."),
    Logged::PLAIN,
    |cx, args| push(cx, args, End::Front),
);

pub(super) const RPUSH: Spec = Spec::write(
    push_row("RPUSH", "1.0.0", "Adds elements at the end of a list."),
    Logged::PLAIN,
    |cx, args| push(cx, args, End::Back),
);

pub(super) const LPUSHX: Spec = Spec::write(
    push_row("LPUSHX", "2.2.0", "Puts elements in front of a list that exists."),
    Logged::PLAIN,
    |cx, args| push_existing(cx, args, End::Front),
);

pub(super) const RPUSHX: Spec = Spec::write(
    push_row("RPUSHX", "2.2.0", "Adds elements at the end of a list that exists."),
    Logged::PLAIN,
    |cx, args| push_existing(cx, args, End::Back),
);

fn push(cx: &mut Writer<'_>, args: Args<'_>, end: End) -> Reply<'static> {
    match wrong(cx.edit_or_create(args.at(1), |list| add(list, args, end))) {
        Ok(len) => pushed(cx, args, end, len),
        Err(reply) => reply,
    }
}

fn push_existing(cx: &mut Writer<'_>, args: Args<'_>, end: End) -> Reply<'static> {
    match wrong(cx.edit(args.at(1), |list| add(list, args, end))) {
        Ok(Some(len)) => pushed(cx, args, end, len),
        Ok(None) => Reply::Int(0),
        Err(reply) => reply,
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

const fn pop_row(name: &'static str, summary: &'static str) -> Meta {
    Group::List.meta(name, Arity::AtLeast(2), Keys::At(1), Flags::FAST, ("1.0.0", summary))
}

pub(super) const LPOP: Spec = Spec::write(
    pop_row("LPOP", "Takes one or more elements off the front of a list."),
    Logged::PLAIN,
    |cx, args| pop(cx, args, End::Front),
);

pub(super) const RPOP: Spec = Spec::write(
    pop_row("RPOP", "Takes one or more elements off the end of a list."),
    Logged::PLAIN,
    |cx, args| pop(cx, args, End::Back),
);

fn pop(cx: &mut Writer<'_>, args: Args<'_>, end: End) -> Reply<'static> {
    if args.len() > 3 {
        return crate::cmd::wrong_arity(if end == End::Front { "LPOP" } else { "RPOP" });
    }
    let count = match args.get(2).map(|text| parse_int(text).map(usize::try_from)) {
        None => None,
        Some(Some(Ok(count))) => Some(count),
        Some(_) => return Reply::error("ERR value is out of range, must be positive"),
    };
    let key = args.at(1);
    match take(cx, key, end, count.unwrap_or(1)) {
        Ok(Some(elements)) if count.is_some() => Reply::Array(elements),
        Ok(Some(mut elements)) => elements.pop().unwrap_or(Reply::Null),
        Ok(None) if count.is_some() => Reply::NullArray,
        Ok(None) => Reply::Null,
        Err(reply) => reply,
    }
}

/// Removes elements from an end of the list at a key, the outermost first. `None`: there is none.
pub(super) fn take(
    cx: &mut Writer<'_>,
    key: &[u8],
    end: End,
    count: usize,
) -> Result<Option<Vec<Reply<'static>>>, Reply<'static>> {
    let taken = wrong(cx.edit(key, |list| (take_from(list, end, count), list.is_empty())))?;
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
