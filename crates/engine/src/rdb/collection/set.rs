//! Sets: members one by one, a listpack of them, or numbers in a row.
//!
//! Members are gathered until they are too many to be packed. One that occurs twice is refused, or
//! mended in the file of another.

use super::super::code::kind;
use super::super::encode::put_string;
use super::super::input::{Input, Result, Stop};
use super::gather::{DUPLICATE, Gather};
use super::rows;
use crate::point::element_hash;
use crate::types::intset::Ints;
use crate::types::members::Elements;
use crate::types::pack::{self, Item, Items};
use crate::types::set::SetTree;
use crate::types::tree::Leaf;
use crate::types::{Open, PACKED_BYTES_MAX};
use alloc::vec::Vec;

/// A set that is being read: members are gathered until they are too many to be packed.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) open: Open<SetTree>,
    gathered: Elements,
}

impl Reading {
    pub(super) fn new(open: Open<SetTree>) -> Self {
        Self { open, gathered: Elements::default() }
    }

    /// Reads a member, or a packed set.
    pub(super) fn read(&mut self, of: u8, input: &mut Input<'_>) -> Result<()> {
        let text = input.text()?.bytes()?;
        match of {
            kind::SET_INTSET => self.ints(&text, input),
            kind::SET_LISTPACK => {
                for member in rows::listpack(&text, input)? {
                    member.with(|member| self.add(member, input))?;
                }
                Ok(())
            }
            _ => self.add(&text, input),
        }
    }

    fn add(&mut self, member: &[u8], input: &mut Input<'_>) -> Result<()> {
        let hash = element_hash(self.open.rules.hash_key, member);
        let entry = Item::of(member).encoded();
        if self.open.large.is_some() {
            let is_new = self.open.add_read(hash, &entry);
            return if is_new { Ok(()) } else { input.odd(DUPLICATE) };
        }
        self.gathered.push(hash, &entry);
        if self.gathered.bytes() > PACKED_BYTES_MAX {
            return self.settle(input, false);
        }
        Ok(())
    }

    /// Makes a set of what was gathered: all of it, or so much that it will be a large one.
    pub(super) fn settle(&mut self, input: &mut Input<'_>, all: bool) -> Result<()> {
        let gathered = core::mem::take(&mut self.gathered);
        let spare = input.lenient.then(|| gathered.clone());
        if gathered.len() == 0 || self.open.fill(gathered) {
            return Ok(());
        }
        let (left, twice) = spare.unwrap_or_default().without_repeats();
        input.odd_times(DUPLICATE, twice)?;
        if !all && left.bytes() <= PACKED_BYTES_MAX {
            self.gathered = left;
            return Ok(());
        }
        self.open.fill(left).then_some(()).ok_or(Stop::Malformed(DUPLICATE))
    }

    /// How wide the numbers are, how many, then the numbers.
    fn ints(&mut self, bytes: &[u8], input: &mut Input<'_>) -> Result<()> {
        let parts = || {
            let (width, rest) = bytes.split_first_chunk::<4>()?;
            let (count, row) = rest.split_first_chunk::<4>()?;
            let (width, count) = (u32::from_le_bytes(*width), u32::from_le_bytes(*count) as usize);
            let whole =
                matches!(width, 2 | 4 | 8) && (width as usize).checked_mul(count)? == row.len();
            whole.then_some((row, count))
        };
        let Some((row, count)) = parts() else {
            input.odd("an intset is damaged")?;
            return self.any_ints(bytes);
        };
        if self.open.fill_row(row, count) {
            return Ok(());
        }
        input.odd("the numbers of an intset do not ascend")?;
        self.any_ints(bytes)
    }

    /// The numbers that an intset has, as far as its width and count tell.
    fn any_ints(&mut self, bytes: &[u8]) -> Result<()> {
        let word = |at: usize| {
            let word = bytes.get(at..)?.first_chunk::<4>()?;
            usize::try_from(u32::from_le_bytes(*word)).ok()
        };
        let (width, count) = (word(0).unwrap_or(0), word(4).unwrap_or(0));
        if !matches!(width, 2 | 4 | 8) {
            return Ok(());
        }
        let row = bytes.get(8..).unwrap_or_default();
        let count = count.min(row.len() / width);
        let row = row.get(..count * width).unwrap_or_default();
        let mut numbers: Vec<i64> = Ints::new(row, count).iter().collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            return Ok(());
        }
        self.open.fill_ints(&numbers).then_some(()).ok_or(Stop::Malformed(DUPLICATE))
    }
}

/// Numbers in a row.
pub(super) fn write_ints(packed: &[u8], out: &mut Vec<u8>) {
    let (count, row) = pack::parts(packed);
    super::super::encode::put_length(out, row.len() as u64 + 8);
    out.extend_from_slice(&(Ints::new(row, count).width() as u32).to_le_bytes());
    out.extend_from_slice(&(count as u32).to_le_bytes());
    out.extend_from_slice(row);
}

/// RDB 10 has no packed form for other sets.
pub(super) fn write_packed(packed: &[u8], out: &mut Vec<u8>) {
    let (count, row) = pack::parts(packed);
    super::super::encode::put_length(out, count as u64);
    Items::new(row).for_each(|member| member.with(|member| put_string(out, member)));
}

/// Members in their order.
pub(super) fn write_large(SetTree(tree): &SetTree, out: &mut Gather<'_>) {
    out.length(tree.len() as u64);
    for (_, element) in tree.elements(0) {
        out.item(pack::first(element));
    }
}
