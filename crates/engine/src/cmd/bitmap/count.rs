//! Whole ranges of bits: BITCOUNT and BITPOS.
//!
//! Both reduce their range, whether it was given in bytes or in bits, to bits `first..=last` of the
//! value, and walk the pieces under it eight bytes at a time; only the two ends need masks.

use super::integer;
use crate::cmd::generic::SYNTAX;
use crate::cmd::string::clip;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, StrRef, least};
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Bitmap.rows([
    Spec::read("BITCOUNT", "key [start end [BYTE | BIT]]", bitcount)
        .facts(least(2), Keys::At(1), Flags::NONE)
        .doc("2.6.0", "Counts the bits that are set in a string or in a range of it.")
        .costing(cost_ns),
    Spec::read("BITPOS", "key bit [start [end [BYTE | BIT]]]", bitpos)
        .facts(least(3), Keys::At(1), Flags::NONE)
        .doc("2.8.7", "Finds the first bit that is set, or clear, in a string or in a range of it.")
        .costing(cost_ns),
]);

fn bitcount<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let range = match args.len() {
        2 => Range { first: 0, last: -1, bits: false },
        4 | 5 => Range {
            first: integer(args.at(2))?,
            last: integer(args.at(3))?,
            bits: in_bits(args.get(4))?,
        },
        _ => return Err(Reply::error(SYNTAX)),
    };
    let Some(value) = cx.string(args.at(1))? else {
        return Ok(Reply::Int(0));
    };
    if range.first < 0 && range.last < 0 && range.first > range.last {
        return Ok(Reply::Int(0));
    }
    let count = range.within(value.len()).map_or(0, |(first, last)| count(value, first, last));
    Ok(Reply::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

fn bitpos<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let wanted = match integer(args.at(2))? {
        0 => false,
        1 => true,
        _ => return Err(Reply::error("ERR The bit argument must be 1 or 0.")),
    };
    if args.len() > 6 {
        return Err(Reply::error(SYNTAX));
    }
    let first = args.get(3).map_or(Ok(0), integer)?;
    let bits = in_bits(args.get(5))?;
    let last = args.get(4).map_or(Ok(-1), integer)?;
    let Some(value) = cx.string(args.at(1))? else {
        return Ok(Reply::Int(if wanted { -1 } else { 0 }));
    };
    let Some((first, last)) = (Range { first, last, bits }).within(value.len()) else {
        return Ok(Reply::Int(-1));
    };
    let found = match find(value, wanted, first, last) {
        // Without an end the value goes on with zeros for ever.
        None if !wanted && args.len() < 5 => Some(last.saturating_add(1)),
        found => found,
    };
    Ok(Reply::Int(found.and_then(|found| i64::try_from(found).ok()).unwrap_or(-1)))
}

/// Whether a range is given in bits: the argument `BIT` or `BYTE`.
fn in_bits(unit: Option<&[u8]>) -> Result<bool, Reply<'static>> {
    match unit {
        None => Ok(false),
        Some(unit) if unit.eq_ignore_ascii_case(b"BYTE") => Ok(false),
        Some(unit) if unit.eq_ignore_ascii_case(b"BIT") => Ok(true),
        Some(_) => Err(Reply::error(SYNTAX)),
    }
}

/// A range as it was given: both ends included, negative ones counted from the end.
#[derive(Clone, Copy)]
struct Range {
    first: i64,
    last: i64,
    bits: bool,
}

impl Range {
    /// The bits that it covers of `len` bytes, both ends included; `None` if there are none.
    fn within(self, len: usize) -> Option<(u64, u64)> {
        let len = i64::try_from(len).ok()?;
        let total = if self.bits { len.checked_mul(8)? } else { len };
        let from_end = |end: i64| if end < 0 { end.saturating_add(total).max(0) } else { end };
        let first = u64::try_from(from_end(self.first)).ok()?;
        let last = u64::try_from(from_end(self.last).min(total - 1)).ok()?;
        if first > last {
            None
        } else if self.bits {
            Some((first, last))
        } else {
            // `last` lies within the value, whose bits 64 bits can number.
            Some((first * 8, last * 8 + 7))
        }
    }
}

/// Bits of a byte from `bit & 7` on, and up to it.
fn from_mask(bit: u64) -> u8 {
    0xFF >> (bit & 7)
}

fn to_mask(bit: u64) -> u8 {
    !(0x7F >> (bit & 7))
}

fn count(value: StrRef<'_>, first: u64, last: u64) -> u64 {
    let (start, end) = ((first >> 3) as usize, (last >> 3) as usize);
    let whole: u64 = clip(value, start, end.saturating_add(1)).map(ones).sum();
    let before = value.byte(start) & !from_mask(first);
    let behind = value.byte(end) & !to_mask(last);
    whole - u64::from(before.count_ones()) - u64::from(behind.count_ones())
}

fn ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones()));
    words.sum::<u64>() + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// The first bit of `first..=last` that is `wanted`.
fn find(value: StrRef<'_>, wanted: bool, first: u64, last: u64) -> Option<u64> {
    let (start, end) = ((first >> 3) as usize, (last >> 3) as usize);
    // The bits of a byte that are wanted.
    let hits = |byte: u8| if wanted { byte } else { !byte };
    let bit = |at: usize, hits: u8| at as u64 * 8 + u64::from(hits.leading_zeros());
    let mut head = hits(value.byte(start)) & from_mask(first);
    if start == end {
        head &= to_mask(last);
    }
    if head != 0 {
        return Some(bit(start, head));
    }
    let mut at = start.saturating_add(1);
    for piece in clip(value, at, end) {
        if let Some(found) = piece_position(piece, if wanted { 0 } else { 0xFF }) {
            let byte = piece.get(found).copied().unwrap_or(0);
            return Some(bit(at + found, hits(byte)));
        }
        at += piece.len();
    }
    let tail = hits(value.byte(end)) & to_mask(last);
    (end > start && tail != 0).then(|| bit(end, tail))
}

/// The first byte that is not `dull`.
fn piece_position(piece: &[u8], dull: u8) -> Option<usize> {
    let (words, _) = piece.as_chunks::<8>();
    let skipped = words.iter().take_while(|word| **word == [dull; 8]).count() * 8;
    let found = piece.get(skipped..)?.iter().position(|&byte| byte != dull)?;
    Some(skipped + found)
}

/// Some 0.1 ns a byte, for the whole value at worst.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    cx.string(args.at(1)).ok().flatten().map_or(0, |value| value.len() as u64 / 10)
}
