//! The value: Redis's header of 16 bytes, then registers, sparse or dense.
//!
//! ```text
//! "HYLL"  encoding (0 dense, 1 sparse)  3 unused  count (8 bytes, little-endian)  registers
//! ```
//! The count is one that was made before; its highest bit says that it is out of date. Dense
//! registers have 6 bits each, lowest first; sparse ones are runs ([`super::sparse`]). Clients may
//! write any bytes under a key, so nothing here trusts a length or a run.

use super::estimate::{Histogram, Mark, REGISTERS};
use super::sparse::{self, Corrupt, HEADER};
use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

const MAGIC: &[u8; 4] = b"HYLL";
/// Where the encoding stands.
const ENCODING: usize = 4;
/// Where the count begins.
const COUNT: usize = 8;
/// The byte with the mark of a count that is out of date.
pub(super) const STALE_AT: usize = 15;
pub(super) const STALE: u8 = 0x80;
const DENSE_BYTES: usize = HEADER + REGISTERS * 6 / 8;

/// A sketch in its bytes, borrowed until something changes. Invariant: a whole header, and if
/// dense exactly [`DENSE_BYTES`].
#[derive(Clone, Debug)]
pub(super) struct Sketch<'a> {
    bytes: Cow<'a, [u8]>,
}

impl<'a> Sketch<'a> {
    /// Without an element, sparse, its count known to be 0.
    pub(super) fn empty() -> Sketch<'static> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[1, 0, 0, 0]);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&sparse::EMPTY);
        Sketch { bytes: Cow::Owned(bytes) }
    }

    /// Takes bytes that look like one; `None` for others.
    pub(super) fn of(bytes: Cow<'a, [u8]>) -> Option<Self> {
        let is_whole = match (bytes.starts_with(MAGIC), bytes.get(ENCODING)) {
            (true, Some(0)) => bytes.len() == DENSE_BYTES,
            (true, Some(1)) => bytes.len() >= HEADER,
            _ => false,
        };
        is_whole.then_some(Self { bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_sparse(&self) -> bool {
        self.bytes.get(ENCODING) == Some(&1)
    }

    /// What stands behind the header.
    pub(super) fn registers(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// The count in the header, if it is not out of date.
    pub(super) fn known_count(&self) -> Option<i64> {
        let count = self.bytes.get(COUNT..).and_then(<[u8]>::first_chunk::<8>);
        count.map(|bytes| i64::from_le_bytes(*bytes)).filter(|count| *count >= 0)
    }

    /// Marks the count as out of date.
    pub(super) fn forget_count(&mut self) {
        if let Some(byte) = self.bytes.to_mut().get_mut(STALE_AT) {
            *byte |= STALE;
        }
    }

    /// Shows all registers that are not 0.
    pub(super) fn each(&self, show: &mut dyn FnMut(Mark)) -> Result<(), Corrupt> {
        if self.is_sparse() {
            return sparse::each(self.registers(), show);
        }
        for (register, value) in dense_values(self.registers()).enumerate() {
            if value > 0 {
                show(Mark { register, value });
            }
        }
        Ok(())
    }

    /// How many registers have each value.
    pub(super) fn histogram(&self) -> Result<Histogram, Corrupt> {
        let mut histogram = [0; _];
        let mut seen = 0;
        self.each(&mut |mark| {
            seen += 1;
            count(&mut histogram, mark.value, 1);
        })?;
        count(&mut histogram, 0, REGISTERS as u32 - seen);
        Ok(histogram)
    }

    /// Turns runs into registers. `false`: it was dense.
    pub(super) fn make_dense(&mut self) -> Result<bool, Corrupt> {
        if !self.is_sparse() {
            return Ok(false);
        }
        let mut dense = vec![0; DENSE_BYTES];
        for (to, from) in dense.iter_mut().zip(self.bytes.iter().take(HEADER)) {
            *to = *from;
        }
        if let Some(encoding) = dense.get_mut(ENCODING) {
            *encoding = 0;
        }
        let registers = dense.get_mut(HEADER..).unwrap_or_default();
        self.each(&mut |mark| set_dense(registers, mark))?;
        self.bytes = Cow::Owned(dense);
        Ok(true)
    }

    /// Raises a register; `false` if it was as high. Runs that would take more than `bytes_max`
    /// bytes, header included, become registers; so they do for a value that no run can have.
    pub(super) fn raise(&mut self, mark: Mark, bytes_max: u64) -> Result<bool, Corrupt> {
        if self.is_sparse() {
            match sparse::raise(self.bytes.to_mut(), mark, bytes_max)? {
                sparse::Raised::No => return Ok(false),
                sparse::Raised::Yes => return Ok(true),
                sparse::Raised::TooLarge => self.make_dense()?,
            };
        }
        if dense_value(self.registers(), mark.register) >= mark.value {
            return Ok(false);
        }
        set_dense(self.bytes.to_mut().get_mut(HEADER..).unwrap_or_default(), mark);
        Ok(true)
    }

    /// For a dense sketch that lies in the keyspace: the bytes that a raised register changes, and
    /// where they go. `None` if it is as high already.
    pub(super) fn patch(&self, mark: Mark) -> Option<(usize, Vec<u8>)> {
        let registers = self.registers();
        if dense_value(registers, mark.register) >= mark.value {
            return None;
        }
        let (at, shift) = place(mark.register);
        let mut pair: Vec<u8> = registers.get(at..)?.iter().copied().take(2).collect();
        put(&mut pair, shift, mark.value);
        Some((HEADER + at, pair))
    }
}

/// Adds so many registers of a value.
pub(super) fn count(histogram: &mut Histogram, value: u8, more: u32) {
    if let Some(number) = histogram.get_mut(usize::from(value)) {
        *number += more;
    }
}

/// All registers in order. Four lie in three bytes.
fn dense_values(registers: &[u8]) -> impl Iterator<Item = u8> {
    let (triples, _) = registers.as_chunks::<3>();
    triples
        .iter()
        .flat_map(|&[a, b, c]| [a & 63, (a >> 6 | b << 2) & 63, (b >> 4 | c << 4) & 63, c >> 2])
}

fn dense_value(registers: &[u8], register: usize) -> u8 {
    let (at, shift) = place(register);
    let byte = |at: usize| u16::from(registers.get(at).copied().unwrap_or(0));
    ((byte(at) | byte(at + 1) << 8) >> shift) as u8 & 63
}

fn set_dense(registers: &mut [u8], Mark { register, value }: Mark) {
    let (at, shift) = place(register);
    put(registers.get_mut(at..).unwrap_or_default(), shift, value);
}

/// The first byte that has bits of a register, and where in it they begin.
fn place(register: usize) -> (usize, usize) {
    (register * 6 / 8, register * 6 % 8)
}

/// Writes a register that begins in the first of these bytes; it may end in the second.
fn put(bytes: &mut [u8], shift: usize, value: u8) {
    let (mask, bits) = (63_u16 << shift, u16::from(value & 63) << shift);
    for (byte, (mask, bits)) in
        bytes.iter_mut().zip(mask.to_le_bytes().into_iter().zip(bits.to_le_bytes()))
    {
        *byte = *byte & !mask | bits;
    }
}
