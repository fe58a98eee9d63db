//! Packed rows of elements as Redis has written them: listpack, and ziplist before it.
//!
//! Both are read strictly: the header says what is there, every entry is whole and says its own
//! length, nothing stands behind the end. Where damage is to be mended, what stands in front of it
//! is taken.

use super::super::input::{Input, Result};
use super::gather::Gather;
use crate::types::pack::{Item, Items};
use alloc::vec::Vec;

/// A listpack's header: all bytes (4), elements (2, or the greatest number for "count them").
const HEADER: usize = 6;
/// A ziplist's header: all bytes (4), the last entry's place (4), elements (2).
const ZIPLIST_HEADER: usize = 10;
const COUNT_UNKNOWN: u16 = u16::MAX;
const END: u8 = 0xff;

/// Writes the frame of a listpack around entries.
pub(super) fn frame(count: usize, entries: usize) -> [u8; HEADER] {
    let bytes = u32::try_from(entries + HEADER + 1).unwrap_or(u32::MAX).to_le_bytes();
    let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN).to_le_bytes();
    let mut header = [0; HEADER];
    for (to, from) in header.iter_mut().zip(bytes.into_iter().chain(count)) {
        *to = from;
    }
    header
}

/// Writes a listpack as a string of the file.
pub(super) fn put_listpack(out: &mut Gather<'_>, count: usize, row: &[u8]) {
    out.length((row.len() + HEADER + 1) as u64);
    out.add(&frame(count, row.len()));
    out.add(row);
    out.add(&[END]);
}

/// The same into a vector.
pub(super) fn push_listpack(out: &mut Vec<u8>, count: usize, row: &[u8]) {
    super::super::encode::put_length(out, (row.len() + HEADER + 1) as u64);
    out.extend_from_slice(&frame(count, row.len()));
    out.extend_from_slice(row);
    out.push(END);
}

const LISTPACK: &str = "a listpack is damaged";
const ZIPLIST: &str = "a ziplist is damaged";

/// The entries of a listpack. They may be in a longer form than ours. Of a damaged one, if that is
/// to be mended, those in front of the damage.
pub(super) fn listpack<'a>(bytes: &'a [u8], input: &mut Input<'_>) -> Result<Items<'a>> {
    if let Some(items) = read_listpack(bytes) {
        return Ok(items);
    }
    input.odd(LISTPACK)?;
    let row = bytes.get(HEADER..).unwrap_or_default();
    Ok(Items::new(row.get(..Items::sound(row)).unwrap_or_default()))
}

/// The entries of a listpack that is whole.
pub(super) fn read_listpack(bytes: &[u8]) -> Option<Items<'_>> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let (said, rest) = rest.split_first_chunk::<2>()?;
    let (&end, row) = rest.split_last()?;
    let whole = u32::from_le_bytes(*size) as usize == bytes.len() && end == END;
    let count = Items::checked(row).filter(|_| whole)?;
    let said = u16::from_le_bytes(*said);
    (said == COUNT_UNKNOWN || usize::from(said) == count).then_some(Items::new(row))
}

/// The elements of a ziplist; of a damaged one, if that is to be mended, as many as can be told.
pub(super) fn ziplist<'a>(bytes: &'a [u8], input: &mut Input<'_>) -> Result<Vec<Item<'a>>> {
    if let Some(items) = read_ziplist(bytes) {
        return Ok(items);
    }
    input.odd(ZIPLIST)?;
    let (mut items, mut rest) = (Vec::new(), bytes.get(ZIPLIST_HEADER..).unwrap_or_default());
    while let Some((_, body)) = previous_length(rest)
        && let Some((item, behind)) = ziplist_entry(body)
    {
        items.push(item);
        rest = behind;
    }
    Ok(items)
}

fn read_ziplist(bytes: &[u8]) -> Option<Vec<Item<'_>>> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let (tail, rest) = rest.split_first_chunk::<4>()?;
    let (said, rest) = rest.split_first_chunk::<2>()?;
    let (&end, mut rest) = rest.split_last()?;
    if u32::from_le_bytes(*size) as usize != bytes.len() || end != END {
        return None;
    }
    let (mut items, mut before, mut last_at) = (Vec::new(), 0, ZIPLIST_HEADER);
    while !rest.is_empty() {
        let at = bytes.len() - 1 - rest.len();
        let (previous, body) = previous_length(rest)?;
        if previous != before {
            return None;
        }
        let (item, after) = ziplist_entry(body)?;
        (before, last_at) = (rest.len() - after.len(), at);
        items.push(item);
        rest = after;
    }
    let said = u16::from_le_bytes(*said);
    let counted = said == COUNT_UNKNOWN || usize::from(said) == items.len();
    (counted && u32::from_le_bytes(*tail) as usize == last_at).then_some(items)
}

/// The length of the entry before this one.
fn previous_length(entry: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = entry.split_first()?;
    match first {
        0xfe => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*length) as usize, rest))
        }
        0xff => None,
        short => Some((usize::from(short), rest)),
    }
}

fn ziplist_entry(body: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&first, rest) = body.split_first()?;
    let (length, rest) = match first >> 6 {
        0 => (usize::from(first), rest),
        1 => {
            let (&low, rest) = rest.split_first()?;
            (usize::from(first & 0x3f) << 8 | usize::from(low), rest)
        }
        2 => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*length) as usize, rest)
        }
        _ => return ziplist_int(first, rest),
    };
    let (bytes, rest) = rest.split_at_checked(length)?;
    Some((Item::of(bytes), rest))
}

fn ziplist_int(first: u8, rest: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let width = match first {
        0xc0 => 2,
        0xd0 => 4,
        0xe0 => 8,
        0xf0 => 3,
        0xfe => 1,
        0xf1..=0xfd => return Some((Item::Int(i64::from(first & 0x0f) - 1), rest)),
        _ => return None,
    };
    let (bytes, rest) = rest.split_at_checked(width)?;
    let bits = bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte));
    let shift = 64 - 8 * width as u32;
    Some((Item::Int((bits << shift).cast_signed() >> shift), rest))
}
