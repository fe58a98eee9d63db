//! A small set of numbers as it lies in its key's record: sorted, each as wide as the widest needs.
//!
//! The width never shrinks, as in Redis, whose file format carries it. So which width a set has
//! is state, though it can only be seen in its snapshot.

use alloc::vec::Vec;

/// Sorted numbers of one width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ints<'a> {
    row: &'a [u8],
    width: usize,
}

impl<'a> Ints<'a> {
    /// Of a row of so many numbers.
    pub(crate) fn new(row: &'a [u8], count: usize) -> Self {
        Self { row, width: row.len().checked_div(count).unwrap_or(2).max(1) }
    }

    /// Bytes of a number.
    pub(crate) fn width(self) -> usize {
        self.width
    }

    /// Numbers.
    pub(crate) fn len(self) -> usize {
        self.row.len() / self.width
    }

    /// Number `at`.
    pub(crate) fn get(self, at: usize) -> Option<i64> {
        let start = at.checked_mul(self.width)?;
        read(self.row.get(start..start + self.width)?)
    }

    /// All of them, ascending.
    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = i64> + use<'a> {
        self.row.chunks_exact(self.width).map(|bytes| read(bytes).unwrap_or_default())
    }

    /// Where a number is, or where it belongs.
    pub(crate) fn find(self, number: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle) {
                Some(found) if found == number => return Ok(middle),
                Some(found) if found < number => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }

    /// The row with numbers of another width.
    pub(crate) fn widened(self, width: usize) -> Vec<u8> {
        let mut row = Vec::with_capacity(self.len() * width);
        self.iter().for_each(|number| push(&mut row, number, width));
        row
    }
}

fn read(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        2 => i64::from(i16::from_le_bytes(*bytes.first_chunk()?)),
        4 => i64::from(i32::from_le_bytes(*bytes.first_chunk()?)),
        _ => i64::from_le_bytes(*bytes.first_chunk()?),
    })
}

/// Adds a number of this width.
pub(crate) fn push(row: &mut Vec<u8>, number: i64, width: usize) {
    row.extend_from_slice(number.to_le_bytes().get(..width).unwrap_or_default());
}

/// Bytes that a number needs.
pub(crate) fn width_of(number: i64) -> usize {
    match (i16::try_from(number), i32::try_from(number)) {
        (Ok(_), _) => 2,
        (_, Ok(_)) => 4,
        _ => 8,
    }
}
