//! Looking at entries and deleting them: XLEN, XRANGE, XREVRANGE, XDEL.

use super::{INVALID_ID, Result, id, shown};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::types::stream::{Id, Stream};
use crate::types::{Open, View};
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, exactly, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// What a change is called in the digest.
const DELETE: u64 = 2;

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Stream.rows([
    Spec::read("XLEN", "key", xlen)
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("5.0.0", "Counts the entries of a stream.")
        .access(&["RO"]),
    Spec::read("XRANGE", "key start end [COUNT count]", |cx, args| range(cx, args, false))
        .facts(least(4), Keys::At(1), Flags::NONE)
        .doc("5.0.0", "Returns the entries of a stream between two ids, both included.")
        .costing(range_cost_ns),
    Spec::read("XREVRANGE", "key end start [COUNT count]", |cx, args| range(cx, args, true))
        .facts(least(4), Keys::At(1), Flags::NONE)
        .doc("5.0.0", "Returns the entries of a stream between two ids, the last one first.")
        .costing(range_cost_ns),
    Spec::write("XDEL", "key id [id ...]", xdel)
        .facts(least(3), Keys::At(1), Flags::FAST)
        .doc("5.0.0", "Deletes entries of a stream.")
        .access(&["RW delete"]),
]);

fn xlen<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let stream = stream(cx, args.at(1))?;
    Ok(Reply::Int(stream.map_or(0, |stream| stream.len().cast_signed())))
}

/// The stream at a key.
pub(super) fn stream<'a>(cx: &Reader<'a>, key: &[u8]) -> Result<Option<&'a Stream>> {
    Ok(cx.view::<Stream>(key)?.and_then(View::stream))
}

/// The first and the last id of a range; an open end is the neighbour.
pub(super) fn interval(first: &[u8], last: &[u8]) -> Result<(Id, Id)> {
    let first = interval_start(first)?;
    let last = match last {
        [b'(', text @ ..] if !text.is_empty() => Id::parse(text, u64::MAX)
            .ok_or(Reply::error(INVALID_ID))?
            .previous()
            .ok_or(Reply::error("ERR invalid end ID for the interval"))?,
        text => Id::parse_end(text, u64::MAX).ok_or(Reply::error(INVALID_ID))?,
    };
    Ok((first, last))
}

/// The first id of a range.
pub(super) fn interval_start(first: &[u8]) -> Result<Id> {
    match first {
        [b'(', text @ ..] if !text.is_empty() => {
            id(text)?.next().ok_or(Reply::error("ERR invalid start ID for the interval"))
        }
        text => Id::parse_end(text, 0).ok_or(Reply::error(INVALID_ID)),
    }
}

/// A range's options. `None`: no COUNT was given.
fn count(options: Args<'_>) -> Result<Option<usize>> {
    let (mut count, mut at) = (None, 0);
    while let Some(option) = options.get(at) {
        let (true, Some(number)) = (option.eq_ignore_ascii_case(b"COUNT"), options.get(at + 1))
        else {
            return Err(Reply::error(SYNTAX));
        };
        let number = parse_int(number).ok_or(Reply::error(NOT_AN_INTEGER))?;
        // A negative one is none at all.
        count = Some(usize::try_from(number).unwrap_or(0));
        at += 2;
    }
    Ok(count)
}

fn range<'a>(cx: &Reader<'a>, args: Args<'a>, back: bool) -> Result<Reply<'a>> {
    let (first, last) = if back { (3, 2) } else { (2, 3) };
    let (first, last) = interval(args.at(first), args.at(last))?;
    let count = count(args.from(4))?;
    let Some(stream) = stream(cx, args.at(1))? else { return Ok(Reply::Array(Vec::new())) };
    let most = match count {
        Some(0) => return Ok(Reply::NullArray),
        count => count.unwrap_or(usize::MAX),
    };
    Ok(Reply::Array(if back {
        let entries = stream.back_from(last).take_while(|entry| entry.id >= first);
        entries.take(most).map(shown).collect()
    } else {
        let entries = stream.from(first).take_while(|entry| entry.id <= last);
        entries.take(most).map(shown).collect()
    }))
}

/// An entry takes some 200 ns; how many are between two ids is estimated from blocks.
fn range_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    const ENTRY_NS: u64 = 200;
    let Ok(Some(stream)) = stream(cx, args.at(1)) else { return 0 };
    let ends = [2, 3].map(|at| Id::parse_end(args.at(at), 0).unwrap_or(Id::MIN));
    let [one, other] = ends.map(|id| stream.blocks().place(&id).0 as u64);
    let blocks = stream.blocks().len().max(1) as u64;
    let within = (one.abs_diff(other) + 1).saturating_mul(stream.len().div_ceil(blocks));
    let count = count(args.from(4)).ok().flatten().map_or(u64::MAX, |count| count as u64);
    ENTRY_NS.saturating_mul(within.min(count))
}

fn xdel(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let key = args.at(1);
    if stream(&cx.reader(), key)?.is_none() {
        return Ok(Reply::Int(0));
    }
    let ids: Vec<Id> = args.from(2).iter().map(id).collect::<Result<_>>()?;
    let gone = cx.edit(key, |open: &mut Open<Stream>| {
        let mut gone = 0;
        for id in ids {
            if open.stream().delete(id) {
                open.note(DELETE, &id.bytes());
                gone += 1;
            }
        }
        gone
    })?;
    let gone = gone.unwrap_or(0);
    if gone > 0 {
        cx.notify(b't', "xdel", key);
    }
    Ok(Reply::Int(gone))
}
