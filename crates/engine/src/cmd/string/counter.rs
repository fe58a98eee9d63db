//! Counters: INCR, DECR, INCRBY, DECRBY, and INCRBYFLOAT.
//!
//! INCRBYFLOAT is logged as it came: Redis on x86 replays it to the same bytes, because `Extended`
//! computes what its `long double` computes.

use super::FAST_GROWTH;
use crate::cmd::generic::NOT_AN_INTEGER;
use crate::number::Extended;
use crate::{Arity, Deadline, Group, Keys, Logged, Meta, Spec, Writer, WrongType};
use quorate_resp::{Args, Reply, int_text, parse_int};

pub(super) const INCR: Spec = Spec::write(
    counter("INCR", 2, "1.0.0", "Adds one to the integer at a key, which counts as 0 if absent."),
    Logged::PLAIN,
    |cx, args| add(cx, args.at(1), 1),
);

pub(super) const DECR: Spec = Spec::write(
    counter(
        "DECR",
        2,
        "1.0.0",
        "Takes one from the integer at a key, which counts as 0 if absent.",
    ),
    Logged::PLAIN,
    |cx, args| add(cx, args.at(1), -1),
);

pub(super) const INCRBY: Spec = Spec::write(
    counter("INCRBY", 3, "1.0.0", "Adds to the integer at a key, which counts as 0 if absent."),
    Logged::PLAIN,
    |cx, args| match parse_int(args.at(2)) {
        Some(addend) => add(cx, args.at(1), addend),
        None => Reply::error(NOT_AN_INTEGER),
    },
);

pub(super) const DECRBY: Spec = Spec::write(
    counter("DECRBY", 3, "1.0.0", "Takes from the integer at a key, which counts as 0 if absent."),
    Logged::PLAIN,
    |cx, args| match parse_int(args.at(2)).map(i64::checked_neg) {
        Some(Some(addend)) => add(cx, args.at(1), addend),
        Some(None) => Reply::error("ERR decrement would overflow"),
        None => Reply::error(NOT_AN_INTEGER),
    },
);

const fn counter(
    name: &'static str,
    arity: u8,
    since: &'static str,
    summary: &'static str,
) -> Meta {
    Group::String.meta(name, Arity::Exactly(arity), Keys::At(1), FAST_GROWTH, (since, summary))
}

/// The longest integer, `-9223372036854775808`. Longer values are not looked at: they may be huge.
const INT_BYTES_MAX: usize = 20;

fn add(cx: &mut Writer<'_>, key: &[u8], addend: i64) -> Reply<'static> {
    let value = match cx.reader().string(key) {
        Ok(Some(value)) if value.len() <= INT_BYTES_MAX => parse_int(&value.bytes()),
        Ok(Some(_)) => None,
        Ok(None) => Some(0),
        Err(WrongType) => return Reply::WRONG_TYPE,
    };
    let Some(value) = value else {
        return Reply::error(NOT_AN_INTEGER);
    };
    let Some(sum) = value.checked_add(addend) else {
        return Reply::error("ERR increment or decrement would overflow");
    };
    cx.set_string(key, int_text(sum).as_bytes(), Deadline::Keep);
    cx.notify(b'$', "incrby", key);
    Reply::Int(sum)
}

pub(super) const INCRBYFLOAT: Spec = Spec::write(
    counter(
        "INCRBYFLOAT",
        3,
        "2.6.0",
        "Adds to the floating-point number at a key, which counts as 0 if absent.",
    ),
    Logged::PLAIN,
    incrbyfloat,
);

fn incrbyfloat(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let key = args.at(1);
    let value = match cx.reader().string(key) {
        Ok(Some(value)) if value.len() <= Extended::TEXT_BYTES_MAX => {
            Extended::parse(&value.bytes())
        }
        Ok(Some(_)) => None,
        Ok(None) => Some(Extended::ZERO),
        Err(WrongType) => return Reply::WRONG_TYPE,
    };
    let Some((value, addend)) = value.zip(Extended::parse(args.at(2))) else {
        return Reply::error("ERR value is not a valid float");
    };
    let Some(sum) = value.plus(addend) else {
        return Reply::error("ERR increment would produce NaN or Infinity");
    };
    let sum = sum.print();
    cx.set_string(key, &sum, Deadline::Keep);
    cx.notify(b'$', "incrbyfloat", key);
    Reply::owned(sum)
}
