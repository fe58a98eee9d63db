//! Single bits: SETBIT and GETBIT.
//!
//! SETBIT changes one byte of the value, and the value's length if the bit lies beyond it; a bit
//! that has its value already is left alone, and nothing is told to listeners.

use super::{BAD_OFFSET, offset};
use crate::{Arity, Flags, Group, Keys, Keyspace, Logged, Reader, Spec, Writer, WrongType};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

pub(super) const SETBIT: Spec = Spec::write(
    Group::Bitmap.meta(
        "SETBIT",
        Arity::Exactly(4),
        Keys::At(1),
        Flags::DENYOOM,
        ("2.2.0", "Sets or clears one bit of a string and returns what it was."),
    ),
    Logged::new("rewritten", |cx, args| {
        cx.absolute(args, |_| setbit_without_effect(cx.reader.keyspace, args))
    }),
    setbit,
)
.costing(cost_ns);

fn setbit(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let key = args.at(1);
    let Some(bit) = offset(cx.keyspace, args.at(2), None) else {
        return Reply::error(BAD_OFFSET);
    };
    let on = match parse_int(args.at(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Reply::error("ERR bit is not an integer or out of range"),
    };
    let at = (bit >> 3) as usize;
    let mask = mask(bit);
    let (inside, old) = match cx.reader().string(key) {
        Ok(value) => value.map_or((false, 0), |value| (at < value.len(), value.byte(at))),
        Err(WrongType) => return Reply::WRONG_TYPE,
    };
    let was_on = old & mask != 0;
    if !inside || was_on != on {
        let new = if on { old | mask } else { old & !mask };
        if cx.write_at(key, at, &[new]).is_err() {
            return Reply::WRONG_TYPE;
        }
        cx.notify(b'$', "setbit", key);
    }
    Reply::Int(i64::from(was_on))
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

pub(super) const GETBIT: Spec = Spec::read(
    Group::Bitmap.meta(
        "GETBIT",
        Arity::Exactly(3),
        Keys::At(1),
        Flags::FAST,
        ("2.2.0", "Returns one bit of a string."),
    ),
    getbit,
);

fn getbit<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let Some(bit) = offset(cx.keyspace, args.at(2), None) else {
        return Reply::error(BAD_OFFSET);
    };
    match cx.string(args.at(1)) {
        Ok(value) => {
            let byte = value.map_or(0, |value| value.byte((bit >> 3) as usize));
            Reply::Int(i64::from(byte & mask(bit) != 0))
        }
        Err(WrongType) => Reply::WRONG_TYPE,
    }
}
