//! PFDEBUG and PFSELFTEST: how a sketch lies, and whether the arithmetic works on this machine.

use super::estimate::{Mark, REGISTERS, estimate};
use super::sketch::Sketch;
use super::{Refused, sketch_at, sparse};
use crate::{Deadline, Flags, Group, Keys, Reader, Replied, Spec, Writer, exactly};
use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, up_to_zero};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Hyperloglog.rows([
    Spec::write("PFDEBUG", "subcommand key", pfdebug)
        .facts(exactly(3), Keys::At(2), Flags::ADMIN.and(Flags::DENYOOM))
        .doc("2.8.9", "Shows how a counter of distinct elements is stored, or makes it dense.")
        .access(&["RW access"]),
    Spec::read("PFSELFTEST", "", pfselftest)
        .facts(exactly(1), Keys::None, Flags::ADMIN)
        .doc("2.8.9", "Tests that counting distinct elements works on this machine.")
        .costing(|_, _| 5_000_000),
]);

fn pfselftest<'a>(_: &Reader<'a>, _: Args<'a>) -> Replied<'a> {
    self_test().map(|()| Reply::OK).map_err(Reply::error)
}

fn pfdebug(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (name, key) = (args.at(1), args.at(2));
    let Some(found) = sketch_at(&cx.reader(), key)? else {
        return Err(Reply::error("ERR The specified key does not exist"));
    };
    let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
    if is(b"ENCODING") {
        let encoding = if found.is_sparse() { "sparse" } else { "dense" };
        return Ok(Reply::Simple(encoding.into()));
    }
    if is(b"DECODE") {
        let text = found.is_sparse().then(|| sparse::text(found.registers()));
        let text = text.ok_or(Reply::error("ERR HLL encoding is not sparse"))?;
        return Ok(Reply::owned(text.into_bytes()));
    }
    if !is(b"GETREG") && !is(b"TODENSE") {
        return Err(Reply::error_of(&[
            b"ERR Unknown PFDEBUG subcommand '",
            up_to_zero(name),
            b"'",
        ]));
    }
    let mut sketch = Sketch::of(Cow::Owned(found.bytes().to_vec())).ok_or(Refused::NoSketch)?;
    let changed = sketch.make_dense()?;
    if changed {
        cx.set_string(key, sketch.bytes(), Deadline::Keep);
    }
    if is(b"TODENSE") {
        return Ok(Reply::Int(i64::from(changed)));
    }
    let mut registers: Vec<Reply<'static>> = vec![Reply::Int(0); REGISTERS];
    sketch.each(&mut |mark| {
        if let Some(register) = registers.get_mut(mark.register) {
            *register = Reply::Int(i64::from(mark.value));
        }
    })?;
    Ok(Reply::Array(registers))
}

/// Adds 10,000 elements to a sparse and to a dense sketch. They must agree, be right within six
/// standard errors, and the small one must stay sparse.
fn self_test() -> Result<(), &'static str> {
    const CORRUPT: &str = "TESTFAILED a sketch of our own is corrupted";
    let mut dense = Sketch::empty();
    let mut sparse = Sketch::empty();
    dense.make_dense().map_err(|_| CORRUPT)?;
    let mut checkpoint = 1;
    for number in 1..=10_000_u64 {
        let mark = Mark::of(&number.to_le_bytes());
        for sketch in [&mut dense, &mut sparse] {
            sketch.raise(mark, 3000).map_err(|_| CORRUPT)?;
        }
        if number < checkpoint {
            continue;
        }
        let count = |sketch: &Sketch<'_>| sketch.histogram().map(|histogram| estimate(&histogram));
        let (one, other) =
            (count(&dense).map_err(|_| CORRUPT)?, count(&sparse).map_err(|_| CORRUPT)?);
        if one != other {
            return Err("TESTFAILED dense/sparse disagree");
        }
        if number < 1000 && !sparse.is_sparse() {
            return Err("TESTFAILED sparse encoding not used");
        }
        let error = one.abs_diff(number as i64);
        if error > number * 49 / 1000 + 1 {
            return Err("TESTFAILED Too big error.");
        }
        checkpoint *= 10;
    }
    Ok(())
}
