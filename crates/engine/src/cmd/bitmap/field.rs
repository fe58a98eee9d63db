//! Integers of any width at any bit: BITFIELD and `BITFIELD_RO`.
//!
//! All operations are read and checked before the first runs. Each then works on a window of nine
//! bytes, which holds 64 bits at any offset within a byte, in 128-bit arithmetic: no sum overflows,
//! and what OVERFLOW says is applied to the exact result.

use super::{BAD_OFFSET, integer, offset};
use crate::cmd::generic::SYNTAX;
use crate::{Flags, Group, Keys, Keyspace, Reader, Replied, Spec, StrRef, Writer, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Bitmap.rows([
    Spec::write(
        "BITFIELD",
        "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding \
         offset value | INCRBY encoding offset increment> ...]",
        bitfield,
    )
    .facts(least(2), Keys::At(1), Flags::DENYOOM)
    .doc("3.2.0", "Reads and changes integers of any width within a string.")
    .access(&["RW access update variable_flags"])
    .access_by(access)
    .logged("rewritten", |cx, args| {
        cx.absolute(args, |_| bitfield_without_effect(cx.reader.keyspace, args))
    })
    .costing(cost_ns),
    Spec::read("BITFIELD_RO", "key [GET encoding offset [GET encoding offset ...]]", bitfield_ro)
        .facts(least(2), Keys::At(1), Flags::FAST)
        .doc("6.0.0", "Reads integers of any width within a string."),
]);

/// Whether the old value is given away, or the new one depends on it.
fn access(args: Args<'_>) -> &'static str {
    let changes = [&b"SET"[..], b"INCRBY"];
    let changes = |word: &[u8]| changes.iter().any(|it| word.eq_ignore_ascii_case(it));
    if args.from(2).iter().any(changes) { "RW access update" } else { "RO access" }
}

/// Where an integer lies and how it is read.
#[derive(Clone, Copy, Debug)]
struct Field {
    signed: bool,
    /// Bits: 1 to 64, or to 63 if unsigned.
    width: u32,
    /// Bit at which it begins. Below eight times the longest value.
    offset: u64,
}

/// What happens to a result that its field cannot hold.
#[derive(Clone, Copy, Debug)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// What is done to a field.
#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

impl Field {
    fn parse(keyspace: &Keyspace, kind: &[u8], at: &[u8]) -> Result<Self, Reply<'static>> {
        let (signed, width) = match kind {
            [b'i', width @ ..] => (true, parse_int(width)),
            [b'u', width @ ..] => (false, parse_int(width)),
            _ => (false, None),
        };
        let most = if signed { 64 } else { 63 };
        let width = width.and_then(|width| u32::try_from(width).ok());
        let Some(width) = width.filter(|width| (1..=most).contains(width)) else {
            return Err(Reply::error(
                "ERR Invalid bitfield type. Use something like i16 u8. \
                 Note that u64 is not supported but i64 is.",
            ));
        };
        match offset(keyspace, at, Some(width)) {
            Some(offset) => Ok(Self { signed, width, offset }),
            None => Err(Reply::error(BAD_OFFSET)),
        }
    }

    /// The first byte that holds some of it.
    fn byte(self) -> usize {
        (self.offset >> 3) as usize
    }

    /// How many bytes hold some of it: at most nine.
    fn bytes(self) -> usize {
        ((self.offset & 7) as usize + self.width as usize).div_ceil(8)
    }

    /// Its lowest bit in a window of nine bytes from `byte` on, taken as a number.
    fn shift(self) -> u32 {
        WINDOW_BITS - (self.offset & 7) as u32 - self.width
    }

    /// All its bits, at the low end.
    fn mask(self) -> u128 {
        (1 << self.width) - 1
    }

    /// Its value in the window.
    fn read(self, window: u128) -> i128 {
        let bits = (window >> self.shift()) & self.mask();
        self.extend(bits as i128)
    }

    /// Its low bits as a number of its kind.
    fn extend(self, bits: i128) -> i128 {
        let spare = 128 - self.width;
        if self.signed { bits << spare >> spare } else { bits & self.mask() as i128 }
    }

    /// The window with `value` in its place.
    fn write(self, window: u128, value: i128) -> u128 {
        let cleared = window & !(self.mask() << self.shift());
        cleared | (value as u128 & self.mask()) << self.shift()
    }

    /// What is stored for an exact result; `None` if it does not fit and `Fail` was asked for.
    fn fit(self, exact: i128, overflow: Overflow) -> Option<i128> {
        let (least, most) = if self.signed {
            let half = 1i128 << (self.width - 1);
            (-half, half - 1)
        } else {
            (0, self.mask() as i128)
        };
        match overflow {
            _ if (least..=most).contains(&exact) => Some(exact),
            Overflow::Wrap => Some(self.extend(exact)),
            Overflow::Saturate => Some(exact.clamp(least, most)),
            Overflow::Fail => None,
        }
    }
}

/// Bytes that are enough for 64 bits at any offset.
const WINDOW_BYTES: usize = 9;
const WINDOW_BITS: u32 = 72;

/// The bytes of `value` under `field`, with zeros behind the end.
fn window(value: Option<StrRef<'_>>, field: Field) -> u128 {
    let Some(value) = value else {
        return 0;
    };
    let start = field.byte();
    let bytes = value.range(start, start.saturating_add(WINDOW_BYTES));
    let padded = bytes.iter().copied().chain(core::iter::repeat(0));
    padded.take(WINDOW_BYTES).fold(0, |window, byte| window << 8 | u128::from(byte))
}

/// Reads all operations; an error leaves everything as it was.
fn parse(keyspace: &Keyspace, args: Args<'_>) -> Result<Vec<(Field, Action)>, Reply<'static>> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut words = args.from(2).iter();
    while let Some(name) = words.next() {
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        let (sets, adds) = (is(b"SET"), is(b"INCRBY"));
        let needs = if is(b"OVERFLOW") { 1 } else { 2 + usize::from(sets || adds) };
        if words.len() < needs || !(sets || adds || is(b"GET") || is(b"OVERFLOW")) {
            return Err(Reply::error(SYNTAX));
        }
        let mut next = || words.next().unwrap_or(&[]);
        if needs == 1 {
            overflow = parse_overflow(next())?;
            continue;
        }
        let field = Field::parse(keyspace, next(), next())?;
        let action = match (sets, adds) {
            (true, _) => Action::Set(integer(next())?, overflow),
            (_, true) => Action::Add(integer(next())?, overflow),
            _ => Action::Get,
        };
        operations.push((field, action));
    }
    Ok(operations)
}

fn parse_overflow(name: &[u8]) -> Result<Overflow, Reply<'static>> {
    if name.eq_ignore_ascii_case(b"WRAP") {
        Ok(Overflow::Wrap)
    } else if name.eq_ignore_ascii_case(b"SAT") {
        Ok(Overflow::Saturate)
    } else if name.eq_ignore_ascii_case(b"FAIL") {
        Ok(Overflow::Fail)
    } else {
        Err(Reply::error("ERR Invalid OVERFLOW type specified"))
    }
}

fn bitfield(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let operations = parse(cx.keyspace, args)?;
    let writes = operations.iter().filter(|(_, action)| !matches!(action, Action::Get));
    let needed = writes.map(|(field, _)| field.byte() + field.bytes()).max();
    let len = cx.reader().string(key)?.map_or(0, |value| value.len());
    // The value grows to the last bit that may be written, even if OVERFLOW FAIL writes nothing.
    let grows = needed.filter(|&needed| needed > len);
    if let Some(last) = grows.and_then(|needed| needed.checked_sub(1)) {
        cx.write_at(key, last, &[0])?;
    }
    let mut changed = false;
    let mut replies = Vec::with_capacity(operations.len());
    for (field, action) in operations {
        let window = window(cx.reader().string(key).ok().flatten(), field);
        let old = field.read(window);
        let (stored, shown) = match action {
            Action::Get => (None, Some(old)),
            Action::Set(value, overflow) => {
                let stored = field.fit(taken(field, value), overflow);
                (stored, stored.map(|_| old))
            }
            Action::Add(addend, overflow) => {
                let stored = field.fit(old + i128::from(addend), overflow);
                (stored, stored)
            }
        };
        if let Some(new) = stored.filter(|&new| new != old) {
            put(cx, key, field, field.write(window, new))?;
        }
        changed |= stored.is_some_and(|new| grows.is_some() || new != old);
        replies.push(shown.map_or(Reply::Null, |value| Reply::Int(value as i64)));
    }
    if changed {
        cx.notify(b'$', "setbit", key);
    }
    Ok(Reply::Array(replies))
}

/// As for SETBIT: an offset beyond the limit must not stand in the log.
fn bitfield_without_effect(keyspace: &Keyspace, args: Args<'_>) -> Option<Vec<Vec<u8>>> {
    let refused = parse(keyspace, args).err()? == Reply::error(BAD_OFFSET);
    let words: [&[u8]; 5] = [b"BITFIELD", args.at(1), b"GET", b"u8", b"-1"];
    refused.then(|| words.map(<[u8]>::to_vec).to_vec())
}

/// SET's argument as the field's kind takes it: for an unsigned field, -1 is the greatest of 64
/// bits.
///
/// Redis measures the distance to a signed field's greatest value in 64 bits, where it wraps for
/// the very lowest arguments: they count as too large, and saturate to the greatest value. A
/// replay by Redis must give the same, so they are moved up by 2^64, which changes none of the
/// bits kept.
fn taken(field: Field, value: i64) -> i128 {
    if !field.signed {
        return i128::from(value as u64);
    }
    let wraps = field.width < 64 && value < i64::MIN + (1 << (field.width - 1));
    i128::from(value) + if wraps { 1 << 64 } else { 0 }
}

/// Stores the bytes of a window that hold the field. They lie within the value, which has grown.
fn put(cx: &mut Writer<'_>, key: &[u8], field: Field, window: u128) -> Result<(), Reply<'static>> {
    let bytes = (window << (128 - WINDOW_BITS)).to_be_bytes();
    let touched = bytes.get(..field.bytes()).unwrap_or(&[]);
    cx.write_at(key, field.byte(), touched)?;
    Ok(())
}

fn bitfield_ro<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let operations = parse(cx.keyspace, args)?;
    if operations.iter().any(|(_, action)| !matches!(action, Action::Get)) {
        return Err(Reply::error("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    let value = cx.string(args.at(1))?;
    let read = |(field, _): (Field, Action)| Reply::Int(field.read(window(value, field)) as i64);
    Ok(Reply::Array(operations.into_iter().map(read).collect()))
}

/// Filling a gap with zeros takes some 0.25 ns a byte; each operation some 100 ns.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let gap = parse(cx.keyspace, args).map_or(0, |operations| {
        operations.iter().map(|(field, _)| field.offset / 32).max().unwrap_or(0)
    });
    gap.saturating_add(args.len() as u64 * 30)
}
