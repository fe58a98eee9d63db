//! Counters in fields: HINCRBY, HINCRBYFLOAT.
//!
//! Both are logged as they came: `Extended` computes what Redis's `long double` computes. A field
//! keeps its deadline.

use super::Hash;
use crate::cmd::generic::NOT_AN_INTEGER;
use crate::number::Extended;
use crate::types::hash::HashTree;
use crate::types::pack::Item;
use crate::{Deadline, Flags, Group, Keys, Replied, Spec, Writer, exactly};
use quorate_resp::{Args, Reply, int_text, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Hash.rows([
    Spec::write("HINCRBY", "key field increment", hincrby)
        .facts(exactly(4), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
        .doc("2.0.0", "Adds to the integer in a field, which counts as 0 if absent.")
        .access(&["RW access update"]),
    Spec::write("HINCRBYFLOAT", "key field increment", hincrbyfloat)
        .facts(exactly(4), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
        .doc("2.6.0", "Adds to the floating-point number in a field, which counts as 0 if absent.")
        .access(&["RW access update"]),
]);

fn hincrby(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let addend = parse_int(args.at(3)).ok_or(Reply::error(NOT_AN_INTEGER))?;
    let (key, field) = (args.at(1), args.at(2));
    let hash = cx.reader().view::<HashTree>(key)?;
    let value = hash.and_then(|hash| hash.value(cx.keyspace.hash_key, field));
    let Item::Int(value) = value.unwrap_or(Item::Int(0)) else {
        return Err(Reply::error("ERR hash value is not an integer"));
    };
    let sum = value.checked_add(addend);
    let sum = sum.ok_or(Reply::error("ERR increment or decrement would overflow"))?;
    let text = int_text(sum);
    cx.edit_or_create(key, |hash: &mut Hash| hash.put(field, text.as_bytes(), Deadline::Keep))?;
    cx.notify(b'h', "hincrby", key);
    Ok(Reply::Int(sum))
}

fn hincrbyfloat(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let addend = Extended::parse(args.at(3));
    let addend = addend.ok_or(Reply::error("ERR value is not a valid float"))?;
    if addend.plus(Extended::ZERO).is_none() {
        return Err(Reply::error("ERR value is NaN or Infinity"));
    }
    let (key, field) = (args.at(1), args.at(2));
    let hash = cx.reader().view::<HashTree>(key)?;
    let value = match hash.and_then(|hash| hash.value(cx.keyspace.hash_key, field)) {
        Some(value) => value.with(Extended::parse),
        None => Some(Extended::ZERO),
    };
    let value = value.ok_or(Reply::error("ERR hash value is not a float"))?;
    let sum = value.plus(addend);
    let sum = sum.ok_or(Reply::error("ERR increment would produce NaN or Infinity"))?.print();
    cx.edit_or_create(key, |hash: &mut Hash| hash.put(field, &sum, Deadline::Keep))?;
    cx.notify(b'h', "hincrbyfloat", key);
    Ok(Reply::owned(sum))
}
