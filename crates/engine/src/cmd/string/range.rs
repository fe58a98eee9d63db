//! Parts of values: APPEND, STRLEN, GETRANGE with its old name SUBSTR, SETRANGE.
//!
//! Every length is checked before anything is touched: no offset, however large, allocates.

use super::{FAST_GROWTH, clip};
use crate::cmd::generic::NOT_AN_INTEGER;
use crate::spec::hidden_if;
use crate::{Deadline, Flags, Group, Keys, Keyspace, Reader, Replied, Spec, Writer, exactly};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

const TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::String.rows([
    Spec::write("APPEND", "key value", append)
        .facts(exactly(3), Keys::At(1), FAST_GROWTH)
        .doc(
            "2.0.0",
            "Appends to the string at a key, which may be absent, and returns its length.",
        )
        .access(&["RW insert"])
        .logged("plain or armoured", |cx, args| hidden_if(append_may_not_fit(&cx.reader, args))),
    Spec::read("STRLEN", "key", strlen)
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("2.2.0", "Returns the length of the string at a key.")
        .access(&["RO"]),
    Spec::read("GETRANGE", "key start end", getrange)
        .facts(exactly(4), Keys::At(1), Flags::NONE)
        .doc("2.4.0", "Returns the part of a string between two offsets, both included."),
    Spec::read("SUBSTR", "key start end", getrange)
        .facts(exactly(4), Keys::At(1), Flags::NONE)
        .doc("1.0.0", "Returns the part of a string between two offsets, both included."),
    Spec::write("SETRANGE", "key offset value", setrange)
        .facts(exactly(4), Keys::At(1), Flags::DENYOOM)
        .doc("2.2.0", "Overwrites a string from an offset on and returns its length.")
        .logged("plain or armoured", |cx, args| hidden_if(setrange_does_not_fit(&cx.reader, args)))
        .costing(setrange_cost_ns),
]);

fn append(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (key, added) = (args.at(1), args.at(2));
    let old_len = cx.reader().string(key)?.map(|old| old.len());
    let new_len = match old_len {
        // A new value gets the encoding that SET would choose.
        None => {
            cx.set_string(key, added, Deadline::Clear);
            added.len()
        }
        Some(old_len) if !fits(cx.keyspace, old_len, added.len()) => {
            return Err(Reply::error(TOO_LONG));
        }
        Some(_) => cx.append(key, added)?,
    };
    cx.notify(b'$', "append", key);
    Ok(Reply::len(new_len))
}

/// Redis applies no limit while it loads an AOF: what may be refused here must not stand there.
/// What the same batch appends before counts too, so this begins an eighth short of the limit.
fn append_may_not_fit(cx: &Reader<'_>, args: Args<'_>) -> bool {
    let old_len = cx.string(args.at(1)).ok().flatten().map_or(0, |old| old.len());
    let slack = usize::try_from(cx.keyspace.settings().string_bytes_max / 8).unwrap_or(0);
    !fits(cx.keyspace, old_len.saturating_add(slack), args.at(2).len())
}

/// Whether a value may have `front + back` bytes.
fn fits(keyspace: &Keyspace, front: usize, back: usize) -> bool {
    let sum = (front as u64).checked_add(back as u64);
    sum.is_some_and(|sum| sum <= keyspace.settings().string_bytes_max)
}

fn strlen<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let value = cx.string(args.at(1))?;
    Ok(Reply::len(value.map_or(0, |value| value.len())))
}

fn getrange<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let (Some(first), Some(last)) = (parse_int(args.at(2)), parse_int(args.at(3))) else {
        return Err(Reply::error(NOT_AN_INTEGER));
    };
    let Some(value) = cx.string(args.at(1))? else { return Ok(Reply::bulk(&[])) };
    let Some((start, end)) = resolve(first, last, value.len()) else {
        return Ok(Reply::bulk(&[]));
    };
    let mut pieces: Vec<&[u8]> = clip(value, start, end).collect();
    match pieces.pop() {
        Some(only) if pieces.is_empty() => Ok(Reply::bulk(only)),
        Some(last) => {
            pieces.push(last);
            Ok(Reply::Chunks(pieces))
        }
        None => Ok(Reply::bulk(&[])),
    }
}

/// Offsets as Redis takes them (both included, negative ones from the end) as `start..end` within
/// `len`; `None` if nothing lies between.
fn resolve(first: i64, last: i64, len: usize) -> Option<(usize, usize)> {
    if first < 0 && last < 0 && first > last {
        return None;
    }
    let len = i64::try_from(len).ok()?;
    let from_end =
        |offset: i64| if offset < 0 { offset.saturating_add(len).max(0) } else { offset };
    let (first, last) = (from_end(first), from_end(last).min(len - 1));
    let past = usize::try_from(last.checked_add(1)?).ok()?;
    (first <= last).then_some((usize::try_from(first).ok()?, past))
}

fn setrange(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (key, bytes) = (args.at(1), args.at(3));
    let offset = parse_int(args.at(2)).ok_or(Reply::error(NOT_AN_INTEGER))?;
    let offset = usize::try_from(offset).map_err(|_| Reply::error("ERR offset is out of range"))?;
    if bytes.is_empty() {
        return Ok(Reply::len(cx.reader().string(key)?.map_or(0, |value| value.len())));
    }
    // The type comes before the length, as in Redis.
    cx.reader().string(key)?;
    if !fits(cx.keyspace, offset, bytes.len()) {
        return Err(Reply::error(TOO_LONG));
    }
    let len = cx.write_at(key, offset, bytes)?;
    cx.notify(b'$', "setrange", key);
    Ok(Reply::len(len))
}

/// As for APPEND; here the arguments tell.
fn setrange_does_not_fit(cx: &Reader<'_>, args: Args<'_>) -> bool {
    let offset = parse_int(args.at(2)).and_then(|offset| usize::try_from(offset).ok());
    let bytes = args.at(3);
    !bytes.is_empty() && offset.is_some_and(|offset| !fits(cx.keyspace, offset, bytes.len()))
}

/// Filling a gap with zeros takes some 0.25 ns a byte; a gap ends below the size limit.
fn setrange_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let offset = parse_int(args.at(2)).and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0);
    offset.min(cx.keyspace.settings().string_bytes_max) / 4
}
