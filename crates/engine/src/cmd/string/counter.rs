//! Counters: INCR, DECR, INCRBY, DECRBY, and INCRBYFLOAT.
//!
//! INCRBYFLOAT is logged as it came: Redis on x86 replays it to the same bytes, because `Extended`
//! computes what its `long double` computes.

use super::FAST_GROWTH;
use crate::cmd::generic::NOT_AN_INTEGER;
use crate::number::Extended;
use crate::{Deadline, Group, Keys, Replied, Spec, Writer, exactly};
use quorate_resp::{Args, Reply, int_text, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::String.rows([
    Spec::write("INCR", "key", |cx, args| add(cx, args.at(1), 1))
        .facts(exactly(2), Keys::At(1), FAST_GROWTH)
        .doc("1.0.0", "Adds one to the integer at a key, which counts as 0 if absent.")
        .access(&["RW access update"]),
    Spec::write("DECR", "key", |cx, args| add(cx, args.at(1), -1))
        .facts(exactly(2), Keys::At(1), FAST_GROWTH)
        .doc("1.0.0", "Takes one from the integer at a key, which counts as 0 if absent.")
        .access(&["RW access update"]),
    Spec::write("INCRBY", "key increment", incrby)
        .facts(exactly(3), Keys::At(1), FAST_GROWTH)
        .doc("1.0.0", "Adds to the integer at a key, which counts as 0 if absent.")
        .access(&["RW access update"]),
    Spec::write("DECRBY", "key decrement", decrby)
        .facts(exactly(3), Keys::At(1), FAST_GROWTH)
        .doc("1.0.0", "Takes from the integer at a key, which counts as 0 if absent.")
        .access(&["RW access update"]),
    Spec::write("INCRBYFLOAT", "key increment", incrbyfloat)
        .facts(exactly(3), Keys::At(1), FAST_GROWTH)
        .doc("2.6.0", "Adds to the floating-point number at a key, which counts as 0 if absent.")
        .access(&["RW access update"]),
]);

fn incrby(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    match parse_int(args.at(2)) {
        Some(addend) => add(cx, args.at(1), addend),
        None => Err(Reply::error(NOT_AN_INTEGER)),
    }
}

fn decrby(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    match parse_int(args.at(2)).map(i64::checked_neg) {
        Some(Some(addend)) => add(cx, args.at(1), addend),
        Some(None) => Err(Reply::error("ERR decrement would overflow")),
        None => Err(Reply::error(NOT_AN_INTEGER)),
    }
}

/// The longest integer, `-9223372036854775808`. Longer values are not looked at: they may be huge.
const INT_BYTES_MAX: usize = 20;

fn add(cx: &mut Writer<'_>, key: &[u8], addend: i64) -> Replied<'static> {
    let value = match cx.reader().string(key)? {
        Some(value) if value.len() <= INT_BYTES_MAX => parse_int(&value.bytes()),
        Some(_) => None,
        None => Some(0),
    };
    let value = value.ok_or(Reply::error(NOT_AN_INTEGER))?;
    let sum = value
        .checked_add(addend)
        .ok_or(Reply::error("ERR increment or decrement would overflow"))?;
    cx.set_string(key, int_text(sum).as_bytes(), Deadline::Keep);
    cx.notify(b'$', "incrby", key);
    Ok(Reply::Int(sum))
}

fn incrbyfloat(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let value = match cx.reader().string(key)? {
        Some(value) if value.len() <= Extended::TEXT_BYTES_MAX => Extended::parse(&value.bytes()),
        Some(_) => None,
        None => Some(Extended::ZERO),
    };
    let Some((value, addend)) = value.zip(Extended::parse(args.at(2))) else {
        return Err(Reply::error("ERR value is not a valid float"));
    };
    let sum =
        value.plus(addend).ok_or(Reply::error("ERR increment would produce NaN or Infinity"))?;
    let sum = sum.print();
    cx.set_string(key, &sum, Deadline::Keep);
    cx.notify(b'$', "incrbyfloat", key);
    Ok(Reply::owned(sum))
}
