//! Commands on strings as arrays of bits, as in Redis 7.2. Bit 0 is the highest bit of the first
//! byte.
//!
//! Large values are walked piece by piece where they lie; a value is zeros beyond its end. Offsets
//! are checked against `proto-max-bulk-len` before anything grows.

mod bit;
mod combine;
mod count;
mod field;

use super::generic::NOT_AN_INTEGER;
use crate::{Keyspace, Spec};
use quorate_resp::{Reply, parse_int};

/// The files of the family.
pub(super) const FILES: &[&[Spec]] = &[bit::ROWS, combine::ROWS, count::ROWS, field::ROWS];

const BAD_OFFSET: &str = "ERR bit offset is not an integer or out of range";

/// Reads a bit's offset, in fields of `width` bits if `width` is given and the text begins with
/// `#`.
fn offset(keyspace: &Keyspace, text: &[u8], width: Option<u32>) -> Option<u64> {
    let offset = match (text, width) {
        ([b'#', number @ ..], Some(width)) => parse_int(number)?.checked_mul(i64::from(width))?,
        _ => parse_int(text)?,
    };
    let offset = u64::try_from(offset).ok()?;
    (offset >> 3 < keyspace.settings().string_bytes_max).then_some(offset)
}

/// An integer argument, or the reply that says that it is none.
fn integer(text: &[u8]) -> Result<i64, Reply<'static>> {
    parse_int(text).ok_or_else(|| Reply::error(NOT_AN_INTEGER))
}

#[cfg(test)]
mod tests;
