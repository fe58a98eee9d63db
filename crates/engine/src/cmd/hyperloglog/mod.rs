//! Counters of distinct elements: PFADD, PFCOUNT, PFMERGE, and two for tests, as in Redis 7.2.
//!
//! The value is a string, byte for byte what Redis would make of the same commands ([`sketch`]), so
//! that DUMP, GET and the log mean the same to both. One thing is not done: PFCOUNT of one key
//! writes nothing. Redis keeps the count in the value, which makes a write of a read; here reads
//! are answered by any replica and never logged, and counting anew takes some microseconds. A count
//! that a value brings along is believed, as in Redis.

mod debug;
mod estimate;
mod sketch;
mod sparse;

use crate::{Deadline, Flags, Group, Keys, Reader, Replied, Spec, Writer, WrongType, least};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use estimate::{Mark, REGISTERS, estimate};
use quorate_resp::{Args, Reply};
use sketch::{STALE, STALE_AT, Sketch};
use sparse::Corrupt;

/// The files of the family.
pub(super) const FILES: &[&[Spec]] = &[debug::ROWS, ROWS];

/// The rows.
pub(super) const ROWS: &[Spec] = &Group::Hyperloglog.rows([
    Spec::write("PFADD", "key [element [element ...]]", pfadd)
        .facts(least(2), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
        .doc("2.8.9", "Adds elements to a counter of distinct elements.")
        .access(&["RW insert"]),
    Spec::read("PFCOUNT", "key [key ...]", pfcount)
        .facts(least(2), ALL_KEYS, Flags::NONE)
        .doc("2.8.9", "Estimates how many distinct elements were added to the keys together.")
        .access(&["RW access"])
        .costing(|_, args| args.len() as u64 * SKETCH_NS),
    Spec::write("PFMERGE", "destkey [sourcekey [sourcekey ...]]", pfmerge)
        .facts(least(2), ALL_KEYS, Flags::DENYOOM)
        .doc("2.8.9", "Adds what was added to other keys to a counter of distinct elements.")
        .access(&["RW access insert", "RO access"])
        .costing(|_, args| args.len() as u64 * SKETCH_NS),
]);

const ALL_KEYS: Keys = Keys::Range { first: 1, last: -1, step: 1 };

/// Why a value cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    WrongType,
    /// A string, but no sketch.
    NoSketch,
    Corrupt,
}

impl From<Refused> for Reply<'static> {
    #[cold]
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::WrongType => Reply::WRONG_TYPE,
            Refused::NoSketch => {
                Reply::error("WRONGTYPE Key is not a valid HyperLogLog string value.")
            }
            Refused::Corrupt => Reply::error("INVALIDOBJ Corrupted HLL object detected"),
        }
    }
}

impl From<Corrupt> for Reply<'static> {
    fn from(corrupt: Corrupt) -> Self {
        Refused::from(corrupt).into()
    }
}

impl From<Corrupt> for Refused {
    fn from(_: Corrupt) -> Self {
        Refused::Corrupt
    }
}

impl From<WrongType> for Refused {
    fn from(_: WrongType) -> Self {
        Refused::WrongType
    }
}

/// The sketch at a key, where it lies.
fn sketch_at<'a>(cx: &Reader<'a>, key: &[u8]) -> Result<Option<Sketch<'a>>, Refused> {
    let Some(value) = cx.string(key)? else { return Ok(None) };
    Sketch::of(value.bytes()).map(Some).ok_or(Refused::NoSketch)
}

/// `hll-sparse-max-bytes`.
fn bytes_max(cx: &Writer<'_>) -> u64 {
    cx.keyspace.settings().limits.hll_bytes
}

/// Stores what changed, its count out of date, and tells who listens.
fn store(cx: &mut Writer<'_>, key: &[u8], mut sketch: Sketch<'_>) {
    sketch.forget_count();
    cx.set_string(key, sketch.bytes(), Deadline::Keep);
    cx.notify(b'$', "pfadd", key);
}

fn pfadd(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let bytes_max = bytes_max(cx);
    let marks = args.from(2).iter().map(Mark::of);
    let found = sketch_at(&cx.reader(), key)?;
    let mut changed = found.is_none();
    let mut sketch = match found {
        Some(sketch) if !sketch.is_sparse() => return Ok(add_dense(cx, key, marks)),
        Some(sketch) => Sketch::of(Cow::Owned(sketch.bytes().to_vec())).ok_or(Refused::NoSketch)?,
        None => Sketch::empty(),
    };
    for mark in marks {
        changed |= sketch.raise(mark, bytes_max)?;
    }
    if changed {
        store(cx, key, sketch);
    }
    Ok(Reply::Int(i64::from(changed)))
}

/// Adds to a dense sketch in its place: few bytes of 12 KiB change.
fn add_dense(cx: &mut Writer<'_>, key: &[u8], marks: impl Iterator<Item = Mark>) -> Reply<'static> {
    let mut changed = false;
    for mark in marks {
        let patch = match sketch_at(&cx.reader(), key) {
            Ok(Some(sketch)) => sketch.patch(mark),
            _ => None,
        };
        if let Some((at, bytes)) = patch {
            changed |= cx.write_at(key, at, &bytes).is_ok();
        }
    }
    if changed {
        let old = cx.reader().string(key).ok().flatten().map_or(0, |value| value.byte(STALE_AT));
        if old & STALE == 0 && cx.write_at(key, STALE_AT, &[old | STALE]).is_err() {
            return Reply::WRONG_TYPE;
        }
        cx.notify(b'$', "pfadd", key);
    }
    Reply::Int(i64::from(changed))
}

/// Going through all registers takes about as long.
const SKETCH_NS: u64 = 15_000;

fn pfcount<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let histogram = if args.len() == 2 {
        let Some(sketch) = sketch_at(cx, args.at(1))? else { return Ok(Reply::Int(0)) };
        if let Some(count) = sketch.known_count() {
            return Ok(Reply::Int(count));
        }
        sketch.histogram()?
    } else {
        let mut histogram = [0; _];
        for value in &united(cx, args)?.0 {
            sketch::count(&mut histogram, *value, 1);
        }
        histogram
    };
    Ok(Reply::Int(estimate(&histogram)))
}

/// The greatest value that each register has in any of the command's keys, and whether one of them
/// is dense.
fn united(cx: &Reader<'_>, args: Args<'_>) -> Result<(Box<[u8]>, bool), Refused> {
    let mut registers: Box<[u8]> = alloc::vec![0; REGISTERS].into();
    let mut any_dense = false;
    for key in args.from(1).iter() {
        let Some(sketch) = sketch_at(cx, key)? else { continue };
        any_dense |= !sketch.is_sparse();
        sketch.each(&mut |mark| {
            if let Some(register) = registers.get_mut(mark.register) {
                *register = mark.value.max(*register);
            }
        })?;
    }
    Ok((registers, any_dense))
}

fn pfmerge(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let bytes_max = bytes_max(cx);
    let reader = cx.reader();
    let (registers, any_dense) = united(&reader, args)?;
    let mut sketch = match sketch_at(&reader, args.at(1))? {
        Some(sketch) => Sketch::of(Cow::Owned(sketch.bytes().to_vec())).ok_or(Refused::NoSketch)?,
        None => Sketch::empty(),
    };
    if any_dense {
        sketch.make_dense()?;
    }
    for (register, value) in registers.iter().copied().enumerate().filter(|(_, value)| *value > 0) {
        sketch.raise(Mark { register, value }, bytes_max)?;
    }
    store(cx, args.at(1), sketch);
    Ok(Reply::OK)
}

#[cfg(test)]
mod tests;
