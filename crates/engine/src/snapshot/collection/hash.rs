//! Hashes: fields with their values one by one, or packed as listpack, ziplist or zipmap.

use super::super::code::kind;
use super::super::input::{Input, Result, Stop};
use super::{DUPLICATE, Gather, rows};
use crate::keyspace::element_hash;
use crate::types::hash::{HashTree, element};
use crate::types::members::Elements;
use crate::types::pack::{self, Item};
use crate::types::tree::Leaf;
use crate::types::{Open, PACKED_BYTES_MAX};
use alloc::vec::Vec;

const ODD: Stop = Stop::Malformed("a field without a value");

/// A hash that is being read: fields are gathered until they are too many to be packed.
#[derive(Debug)]
pub(in super::super) struct Reading {
    pub(super) open: Open<HashTree>,
    gathered: Elements,
}

impl Reading {
    pub(super) fn new(open: Open<HashTree>) -> Self {
        Self { open, gathered: Elements::default() }
    }

    /// Reads a field with its value, or a packed hash.
    pub(super) fn read(&mut self, of: u8, input: &mut Input<'_>) -> Result<()> {
        let text = input.text()?;
        match of {
            kind::HASH => {
                let value = input.text()?;
                self.add(&text.bytes()?, &value.bytes()?)
            }
            kind::HASH_ZIPMAP => self.zipmap(&text.bytes()?),
            kind::HASH_ZIPLIST => self.all(rows::ziplist(&text.bytes()?)?.into_iter()),
            _ => self.all(rows::listpack(&text.bytes()?)?.0),
        }
    }

    fn all<'a>(&mut self, mut items: impl Iterator<Item = Item<'a>>) -> Result<()> {
        while let Some(field) = items.next() {
            let value = items.next().ok_or(ODD)?;
            field.with(|field| value.with(|value| self.add(field, value)))?;
        }
        Ok(())
    }

    fn add(&mut self, field: &[u8], value: &[u8]) -> Result<()> {
        let hash = element_hash(self.open.rules.hash_key, field);
        let pair = element(Item::of(field), Item::of(value));
        if self.open.large.is_some() {
            return self.open.add_read(hash, &pair).then_some(()).ok_or(DUPLICATE);
        }
        self.gathered.push(hash, &pair);
        if self.gathered.bytes() > PACKED_BYTES_MAX {
            return self.settle(kind::HASH);
        }
        Ok(())
    }

    /// Makes a hash of what was gathered, which was read as this type.
    pub(super) fn settle(&mut self, of: u8) -> Result<()> {
        let gathered = core::mem::take(&mut self.gathered);
        let whole = gathered.len() == 0 || self.open.fill(gathered, of != kind::HASH);
        whole.then_some(()).ok_or(DUPLICATE)
    }

    /// How Redis 2.4 packed them: a count, then each field and each value behind its length, the
    /// value's also says how many bytes are free behind it.
    fn zipmap(&mut self, bytes: &[u8]) -> Result<()> {
        const DAMAGED: Stop = Stop::Malformed("a zipmap is damaged");
        let (&said, mut rest) = bytes.split_first().ok_or(DAMAGED)?;
        let mut count = 0_u64;
        while rest != [0xff] {
            let field = zipmap_text(&mut rest, false).ok_or(DAMAGED)?;
            let value = zipmap_text(&mut rest, true).ok_or(DAMAGED)?;
            self.add(field, value)?;
            count += 1;
        }
        // From 254 on the count was not kept.
        let counted = said >= 254 || u64::from(said) == count;
        counted.then_some(()).ok_or(DAMAGED)
    }
}

/// A text of a zipmap.
fn zipmap_text<'a>(rest: &mut &'a [u8], is_value: bool) -> Option<&'a [u8]> {
    let (&first, behind) = rest.split_first()?;
    let (length, behind) = match first {
        0xfe => {
            let (length, behind) = behind.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*length) as usize, behind)
        }
        0xff => return None,
        short => (usize::from(short), behind),
    };
    let (free, behind) = if is_value { behind.split_first()? } else { (&0, behind) };
    let (text, behind) = behind.split_at_checked(length)?;
    *rest = behind.get(usize::from(*free)..)?;
    Some(text)
}

/// A packed hash is a listpack.
pub(super) fn write_packed(packed: &[u8], out: &mut Vec<u8>) {
    let (count, row) = pack::parts(packed);
    rows::push_listpack(out, count, row);
}

/// Fields with their values, in their order.
pub(super) fn write_large(HashTree(tree): &HashTree, out: &mut Gather<'_>) {
    out.length(tree.len() as u64);
    for (_, element) in tree.elements(0) {
        let field = pack::first(element);
        let value = field.and_then(|(_, length)| pack::first(element.get(length..)?));
        out.item(field);
        out.item(value);
    }
}
