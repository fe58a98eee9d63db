//! Registers as runs, while few are set.
//!
//! ```text
//! 00nnnnnn           n + 1 registers of 0
//! 01nnnnnn nnnnnnnn  n + 1 registers of 0
//! 1vvvvvnn           n + 1 registers of v + 1
//! ```
//! Redis raises a register by splitting its run and then joining neighbours, a few of them; the
//! same steps in the same order give the same bytes.

use super::estimate::{Mark, REGISTERS};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

/// Bytes in front of the registers.
pub(super) const HEADER: usize = 16;
/// All registers 0.
pub(super) const EMPTY: [u8; 2] = [0x7f, 0xff];
/// A run has values up to this.
const VALUE_MAX: u8 = 32;
/// A run of values is no longer.
const LENGTH_MAX: usize = 4;
/// A run of zeros in one byte is no longer.
const SHORT_MAX: usize = 64;
/// So many runs are looked at for neighbours to join.
const JOINED: usize = 5;

/// The value is not one that PFADD makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Of every register in it.
    value: u8,
    /// How many registers.
    length: usize,
    /// Bytes it takes.
    bytes: usize,
}

impl Run {
    /// The run that begins at `at`; `None` if there is no whole one.
    fn at(runs: &[u8], at: usize) -> Option<Self> {
        let byte = *runs.get(at)?;
        let low = usize::from(byte & 0x3f);
        Some(match byte >> 6 {
            0 => Self { value: 0, length: low + 1, bytes: 1 },
            1 => {
                let next = usize::from(*runs.get(at + 1)?);
                Self { value: 0, length: (low << 8 | next) + 1, bytes: 2 }
            }
            _ => {
                let length = usize::from(byte & 3) + 1;
                Self { value: (byte >> 2 & 0x1f) + 1, length, bytes: 1 }
            }
        })
    }
}

/// Writes a run of a value, or of zeros, in as few bytes as it takes. No registers: nothing.
fn push(out: &mut Vec<u8>, value: u8, length: usize) {
    match (value.checked_sub(1), length.checked_sub(1)) {
        (_, None) => {}
        (Some(value), Some(more)) => out.push(0x80 | value << 2 | more as u8 & 3),
        (None, Some(more)) if length <= SHORT_MAX => out.push(more as u8),
        (None, Some(more)) => out.extend([0x40 | (more >> 8) as u8 & 0x3f, more as u8]),
    }
}

/// Shows all registers that are not 0. The runs must give all registers, and no more.
pub(super) fn each(runs: &[u8], show: &mut dyn FnMut(Mark)) -> Result<(), Corrupt> {
    let (mut at, mut first) = (0, 0);
    while at < runs.len() {
        let run = Run::at(runs, at).ok_or(Corrupt)?;
        let past = first + run.length;
        // Checked before anything is shown: a run beyond the end once wrote beyond the array.
        if past > REGISTERS {
            return Err(Corrupt);
        }
        if run.value > 0 {
            (first..past).for_each(|register| show(Mark { register, value: run.value }));
        }
        (at, first) = (at + run.bytes, past);
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// The runs as PFDEBUG DECODE shows them, broken ones too. Redis finds a zero behind the last byte.
pub(super) fn text(runs: &[u8]) -> String {
    let padded = [runs, &[0]].concat();
    let mut out = String::new();
    let mut at = 0;
    while let Some(Run { value, length, bytes }) = Run::at(&padded, at) {
        if at >= runs.len() {
            break;
        }
        let blank = if at == 0 { "" } else { " " };
        let _ = match (value, bytes) {
            (0, 1) => write!(out, "{blank}z:{length}"),
            (0, _) => write!(out, "{blank}Z:{length}"),
            _ => write!(out, "{blank}v:{value},{length}"),
        };
        at += bytes;
    }
    out
}

/// What came of raising a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It was as high.
    No,
    /// It is raised.
    Yes,
    /// Nothing changed: runs cannot say it, or not in so few bytes.
    TooLarge,
}

/// Raises a register among the runs behind the header of `sketch`. The runs behind the register's
/// own are not looked at.
pub(super) fn raise(sketch: &mut Vec<u8>, mark: Mark, bytes_max: u64) -> Result<Raised, Corrupt> {
    if mark.value > VALUE_MAX {
        return Ok(Raised::TooLarge);
    }
    let (mut before, mut at, mut first) = (None, HEADER, 0);
    let run = loop {
        let run = Run::at(sketch, at).ok_or(Corrupt)?;
        if mark.register < first + run.length {
            break run;
        }
        before = Some(at);
        (at, first) = (at + run.bytes, first + run.length);
    };
    if run.value >= mark.value {
        return Ok(Raised::No);
    }
    let mut split = Vec::with_capacity(5);
    push(&mut split, run.value, mark.register - first);
    push(&mut split, mark.value, 1);
    push(&mut split, run.value, first + run.length - mark.register - 1);
    let length = sketch.len() - run.bytes + split.len();
    if split.len() > run.bytes && length as u64 > bytes_max {
        return Ok(Raised::TooLarge);
    }
    sketch.splice(at..at + run.bytes, split);
    join(sketch, before.unwrap_or(HEADER));
    Ok(Raised::Yes)
}

/// Joins neighbouring runs of the same value from `at` on.
fn join(sketch: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED {
        let Some(run) = Run::at(sketch, at) else { return };
        let next = Run::at(sketch, at + 1).filter(|next| run.value > 0 && next.value == run.value);
        match next.map(|next| run.length + next.length) {
            Some(length) if length <= LENGTH_MAX => {
                let mut joined = Vec::new();
                push(&mut joined, run.value, length);
                sketch.splice(at..at + 2, joined);
            }
            _ => at += run.bytes,
        }
    }
}
