//! Single bits: SETBIT and GETBIT.
//!
//! SETBIT changes one byte of the value, and the value's length if the bit lies beyond it; a bit
//! that has its value already is left alone, and nothing is told to listeners.

use super::{BAD_OFFSET, offset};
use crate::{Flags, Group, Keys, Keyspace, Reader, Replied, Spec, Writer, exactly};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Bitmap.rows([
    Spec::write("SETBIT", "key offset value", setbit)
        .facts(exactly(4), Keys::At(1), Flags::DENYOOM)
        .doc("2.2.0", "Sets or clears one bit of a string and returns what it was.")
        .access(&["RW access update"])
        .logged("rewritten", |cx, args| {
            cx.absolute(args, |_| setbit_without_effect(cx.reader.keyspace, args))
        })
        .costing(cost_ns),
    Spec::read("GETBIT", "key offset", getbit)
        .facts(exactly(3), Keys::At(1), Flags::FAST)
        .doc("2.2.0", "Returns one bit of a string."),
]);

fn setbit(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let bit = offset(cx.keyspace, args.at(2), None).ok_or(Reply::error(BAD_OFFSET))?;
    let on = match parse_int(args.at(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(Reply::error("ERR bit is not an integer or out of range")),
    };
    let at = (bit >> 3) as usize;
    let mask = mask(bit);
    let value = cx.reader().string(key)?;
    let (inside, old) = value.map_or((false, 0), |value| (at < value.len(), value.byte(at)));
    let was_on = old & mask != 0;
    if !inside || was_on != on {
        let new = if on { old | mask } else { old & !mask };
        cx.write_at(key, at, &[new])?;
        cx.notify(b'$', "setbit", key);
    }
    Ok(Reply::Int(i64::from(was_on)))
}

/// An offset beyond the limit is refused here, but not by a Redis that loads an AOF: it would make
/// room for gigabytes. A negative one gets the same reply, and no Redis takes it.
fn setbit_without_effect(keyspace: &Keyspace, args: Args<'_>) -> Option<Vec<Vec<u8>>> {
    let refused = offset(keyspace, args.at(2), None).is_none();
    let words: [&[u8]; 4] = [b"SETBIT", args.at(1), b"-1", b"1"];
    refused.then(|| words.map(<[u8]>::to_vec).to_vec())
}

/// The bit within its byte.
fn mask(bit: u64) -> u8 {
    0x80 >> (bit & 7)
}

/// Filling a gap with zeros takes some 0.25 ns a byte; a gap ends below the size limit.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    offset(cx.keyspace, args.at(2), None).unwrap_or(0) / 32
}

fn getbit<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let bit = offset(cx.keyspace, args.at(2), None).ok_or(Reply::error(BAD_OFFSET))?;
    let byte = cx.string(args.at(1))?.map_or(0, |value| value.byte((bit >> 3) as usize));
    Ok(Reply::Int(i64::from(byte & mask(bit) != 0)))
}
