//! RDB's own alphabet: bytes, lengths and strings off the front of a piece of the file.
//!
//! What is not there yet is no error but [`Stop::Need`]: the reader comes again with more. Strings
//! stay slices of the piece; nothing is allocated by a declared size.

use super::error::SnapshotFault;
use super::{code, lzf};
use crate::types::chunks::{CHUNK, Chunks};
use alloc::vec::Vec;
use core::ops::Deref;
use quorate_resp::{IntText, int_text};

/// Why reading stops.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The piece must reach at least this far before it is worth another try.
    Need(usize),
    /// No further bytes will help.
    Malformed(&'static str),
    /// Nor here; nor is the file damaged.
    Fault(SnapshotFault),
    /// The value was read whole, and has no elements.
    Empty,
}

pub(crate) type Result<T> = core::result::Result<T, Stop>;

/// A piece of the file, and how far it was read.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    /// No compressed string may claim to be longer.
    longest: u64,
    /// What is odd within a value is mended, and noted, instead of refused.
    pub(crate) lenient: bool,
    /// What was mended of the value, and how often. An item notes nothing before it is whole, so
    /// nothing is noted twice.
    pub(crate) mended: Vec<(&'static str, u64)>,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self::bounded(bytes, u64::MAX)
    }

    /// With an end to what a few compressed bytes may become.
    pub(crate) fn bounded(bytes: &'a [u8], longest: u64) -> Self {
        Self { bytes, at: 0, longest, lenient: false, mended: Vec::new() }
    }

    /// Something that is no value of ours stands here: a fault, unless it is to be mended.
    pub(crate) fn odd(&mut self, what: &'static str) -> Result<()> {
        self.odd_times(what, 1)
    }

    /// The same, so often.
    pub(crate) fn odd_times(&mut self, what: &'static str, times: u64) -> Result<()> {
        if !self.lenient {
            return Err(Stop::Malformed(what));
        }
        match self.mended.iter_mut().find(|(noted, _)| *noted == what) {
            Some((_, count)) => *count += times,
            None => self.mended.push((what, times)),
        }
        Ok(())
    }

    /// How far it was read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Goes back to where an unfinished item began.
    pub(crate) fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    /// Whether all of it was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let end = self.at.saturating_add(count);
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Need(end))?;
        self.at = end;
        Ok(taken)
    }

    /// What there is of the next `count` bytes; at least one.
    pub(crate) fn some(&mut self, count: u64) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(rest.len()).max(1);
        self.take(count as u64)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let end = self.at + N;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let array = rest.first_chunk().ok_or(Stop::Need(end))?;
        self.at = end;
        Ok(array)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|&[byte]| byte)
    }

    /// A length, or in `Err` the byte that says how a string is encoded instead.
    pub(crate) fn length_or_encoding(&mut self) -> Result<core::result::Result<u64, u8>> {
        let first = self.byte()?;
        let length = match first {
            ..0x40 => u64::from(first),
            0x40..0x80 => u64::from(first & 0x3f) << 8 | u64::from(self.byte()?),
            code::LEN_32 => u64::from(u32::from_be_bytes(*self.array()?)),
            code::LEN_64 => u64::from_be_bytes(*self.array()?),
            0xc0.. => return Ok(Err(first)),
            _ => return Err(Stop::Malformed("unknown form of a length")),
        };
        Ok(Ok(length))
    }

    pub(crate) fn length(&mut self) -> Result<u64> {
        self.length_or_encoding()?.map_err(|_| Stop::Malformed("a length is missing"))
    }

    /// A string, whole but not decoded yet: nothing is done twice if what stands behind it is not
    /// there.
    pub(crate) fn text(&mut self) -> Result<Text<'a>> {
        match self.length_or_encoding()? {
            Ok(length) => self.take(length).map(Text::Plain),
            Err(encoding) => self.encoded(encoding),
        }
    }

    /// The rest of a string whose first byte says that it is encoded.
    pub(crate) fn encoded(&mut self, encoding: u8) -> Result<Text<'a>> {
        Ok(Text::Int(match encoding {
            code::INT_8 => i32::from(i8::from_le_bytes(*self.array()?)),
            code::INT_16 => i32::from(i16::from_le_bytes(*self.array()?)),
            code::INT_32 => i32::from_le_bytes(*self.array()?),
            code::LZF => {
                let (packed, length) = (self.length()?, self.length()?);
                if length > self.longest {
                    return Err(Stop::Malformed("a compressed string is too long"));
                }
                return Ok(Text::Packed(self.take(packed)?, length));
            }
            _ => return Err(Stop::Malformed("unknown encoding of a string")),
        }))
    }
}

/// A string as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Text<'a> {
    /// Its bytes.
    Plain(&'a [u8]),
    /// The decimal text of a number.
    Int(i32),
    /// Compressed, and how long it claims to be.
    Packed(&'a [u8], u64),
}

impl<'a> Text<'a> {
    /// The bytes in one piece.
    pub(crate) fn bytes(self) -> Result<Bytes<'a>> {
        Ok(match self {
            Self::Plain(bytes) => Bytes::Lent(bytes),
            Self::Int(number) => Bytes::Int(int_text(i64::from(number))),
            Self::Packed(packed, length) => {
                let mut whole = Vec::new();
                let rest = unpack(packed, length, &mut |piece| whole.extend_from_slice(piece))?;
                whole.extend_from_slice(&rest);
                Bytes::Own(if whole.is_empty() { rest } else { whole })
            }
        })
    }

    /// Bytes in chunks, decompressed straight into them.
    pub(crate) fn chunks(self) -> Result<Chunks> {
        let mut chunks = Chunks::default();
        match self {
            Self::Packed(packed, length) => {
                let rest = unpack(packed, length, &mut |piece| chunks.append(piece))?;
                chunks.append(&rest);
            }
            _ => chunks.append(&self.bytes()?),
        }
        Ok(chunks)
    }
}

fn unpack(packed: &[u8], length: u64, hand_on: &mut dyn FnMut(&[u8])) -> Result<Vec<u8>> {
    lzf::decompress(packed, length, CHUNK, hand_on)
        .ok_or(Stop::Malformed("a compressed string is damaged"))
}

/// A string's bytes, wherever they lie.
#[derive(Debug)]
pub(crate) enum Bytes<'a> {
    /// In the piece.
    Lent(&'a [u8]),
    /// Printed from a number.
    Int(IntText),
    /// Decompressed.
    Own(Vec<u8>),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Int(text) => text.as_bytes(),
            Self::Own(bytes) => bytes,
        }
    }
}
