//! What commands on several types of collections share.

use super::generic::NOT_AN_INTEGER;
use crate::Writer;
use crate::types::pick;
use alloc::vec::Vec;
use quorate_resp::{Reply, parse_int};

/// Tells of a key that went because its collection became empty.
pub(crate) fn tell_if_gone(cx: &mut Writer<'_>, key: &[u8]) {
    if !cx.reader().exists(key) {
        cx.notify(b'g', "del", key);
    }
}

/// How many random elements SRANDMEMBER and its like are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picks {
    /// So many different ones.
    Distinct(usize),
    /// So many, which may repeat.
    Repeating(usize),
}

/// Picks that may repeat, in one reply. Redis has no such limit, and writes until it has no memory.
const REPEATS_MAX: usize = 1 << 20;

impl Picks {
    /// Reads a count, negative for picks that may repeat. The lowest number has no opposite and is
    /// refused as Redis does.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Reply<'static>> {
        let count = parse_int(text).ok_or_else(|| Reply::error(NOT_AN_INTEGER))?;
        let picks = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        match count {
            0.. => Ok(Self::Distinct(picks)),
            i64::MIN => Err(Reply::error(
                "ERR value is out of range, value must between \
                 -9223372036854775807 and 9223372036854775807",
            )),
            _ => Ok(Self::Repeating(picks)),
        }
    }

    /// Positions among `len` elements.
    pub(super) fn positions(self, len: usize, seed: u64) -> Result<Vec<usize>, Reply<'static>> {
        let mut seed = seed;
        match self {
            Self::Distinct(count) => Ok(pick::distinct(len, count, &mut seed)),
            Self::Repeating(count) if count > REPEATS_MAX => Err(Reply::error(OUT_OF_RANGE)),
            Self::Repeating(count) => Ok((0..count).map(|_| pick::one(len, &mut seed)).collect()),
        }
    }

    /// How many elements will be given of so many.
    pub(super) fn of(self, len: usize) -> usize {
        match self {
            Self::Distinct(count) => count.min(len),
            Self::Repeating(count) => count.min(REPEATS_MAX),
        }
    }
}

/// The error for numbers that are no use here.
pub(super) const OUT_OF_RANGE: &str = "ERR value is out of range";
