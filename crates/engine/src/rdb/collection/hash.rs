//! Hashes: fields with their values one by one, or packed as listpack, ziplist or zipmap.
//!
//! Those of Redis 7.4 also have deadlines of fields. Version 10, which we write, has no place for
//! them: they stand in AUX fields behind the hash.

use super::super::code::kind;
use super::super::encode::{put_aux, put_length, put_string};
use super::super::field;
use super::super::input::{Input, Result, Stop};
use super::super::text::{print, push_number};
use super::gather::{DUPLICATE, Gather};
use super::rows;
use crate::point::element_hash;
use crate::types::hash::{Field, HashTree};
use crate::types::members::Elements;
use crate::types::pack::{self, Item};
use crate::types::tree::Leaf;
use crate::types::{Form, Open, PACKED_BYTES_MAX, View};
use alloc::vec::Vec;

const ODD: &str = "a field without a value";
const DEADLINE: &str = "a deadline of a field is out of range";
const ZIPMAP: &str = "a zipmap is damaged";

/// The latest deadline that Redis stores.
const DEADLINE_MAX: u64 = (1 << 48) - 2;

/// A hash that is being read: fields are gathered until they are too many to be packed.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) open: Open<HashTree>,
    gathered: Elements,
    /// Deadlines that stand one by one count from here, plus 1, so that 0 can be none.
    base: u64,
}

impl Reading {
    pub(super) fn new(open: Open<HashTree>) -> Self {
        Self { open, gathered: Elements::default(), base: 1 }
    }

    /// Begins one with deadlines of fields. But for candidates of Redis 7.4, the earliest deadline
    /// stands in front.
    pub(super) fn timed(of: u8, open: Open<HashTree>, input: &mut Input<'_>) -> Result<Self> {
        let mut reading = Self::new(open);
        if matches!(of, kind::HASH_TIMED | kind::HASH_LISTPACK_TIMED) {
            reading.base = u64::from_le_bytes(*input.array()?);
        }
        Ok(reading)
    }

    /// Reads a field with its value, or a packed hash.
    pub(super) fn read(&mut self, of: u8, input: &mut Input<'_>) -> Result<()> {
        let is_timed = matches!(of, kind::HASH_TIMED | kind::HASH_TIMED_EARLY);
        let number = if is_timed { input.length()? } else { 0 };
        let text = input.text()?;
        match of {
            kind::HASH | kind::HASH_TIMED | kind::HASH_TIMED_EARLY => {
                let value = input.text()?;
                let deadline = self.moment(number, input)?;
                self.add((&text.bytes()?, &value.bytes()?), deadline, input)
            }
            kind::HASH_VALKEY => {
                let (value, at_ms) = (input.text()?, i64::from_le_bytes(*input.array()?));
                let deadline = if at_ms == -1 { None } else { timely(at_ms, input)? };
                self.add((&text.bytes()?, &value.bytes()?), deadline, input)
            }
            kind::HASH_ZIPMAP => self.zipmap(&text.bytes()?, input),
            kind::HASH_ZIPLIST => {
                let row = text.bytes()?;
                let items = rows::ziplist(&row, input)?;
                self.all(items.into_iter(), input)
            }
            kind::HASH_LISTPACK_TIMED | kind::HASH_LISTPACK_TIMED_EARLY => {
                let row = text.bytes()?;
                let items = rows::listpack(&row, input)?;
                self.all_timed(items, input)
            }
            _ => {
                let row = text.bytes()?;
                let items = rows::listpack(&row, input)?;
                self.all(items, input)
            }
        }
    }

    /// The deadline of a field that stands by itself.
    fn moment(&self, number: u64, input: &mut Input<'_>) -> Result<Option<u64>> {
        if number == 0 {
            return Ok(None);
        }
        match self.base.checked_add(number - 1).filter(|&at_ms| at_ms <= DEADLINE_MAX) {
            // Before 1970 and in its first millisecond are the same: past.
            Some(at_ms) => Ok(Some(at_ms.max(1))),
            None => input.odd(DEADLINE).map(|()| Some(DEADLINE_MAX)),
        }
    }

    fn all<'a>(
        &mut self,
        mut items: impl Iterator<Item = Item<'a>>,
        input: &mut Input<'_>,
    ) -> Result<()> {
        while let Some(field) = items.next() {
            let Some(value) = items.next() else { return input.odd(ODD) };
            field.with(|field| value.with(|value| self.add((field, value), None, input)))?;
        }
        Ok(())
    }

    fn all_timed<'a>(
        &mut self,
        mut items: impl Iterator<Item = Item<'a>>,
        input: &mut Input<'_>,
    ) -> Result<()> {
        while let Some(field) = items.next() {
            let Some((value, at_ms)) = items.next().zip(items.next()) else {
                return input.odd(ODD);
            };
            let deadline = match at_ms {
                Item::Int(0) => None,
                Item::Int(at_ms) => timely(at_ms, input)?,
                Item::Bytes(_) => input.odd(DEADLINE).map(|()| None)?,
            };
            field.with(|field| value.with(|value| self.add((field, value), deadline, input)))?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        (name, value): (&[u8], &[u8]),
        deadline: Option<u64>,
        input: &mut Input<'_>,
    ) -> Result<()> {
        let hash = element_hash(self.open.rules.hash_key, name);
        let element = Field { name: Item::of(name), value: Item::of(value), deadline }.element();
        if self.open.large.is_some() {
            let is_new = self.open.add_read(&element);
            return if is_new { Ok(()) } else { input.odd(DUPLICATE) };
        }
        self.gathered.push(hash, &element);
        if self.gathered.bytes() > PACKED_BYTES_MAX {
            return self.settle(kind::HASH, input, false);
        }
        Ok(())
    }

    /// Makes a hash of what was gathered, which was read as this type: of all of it, or of so much
    /// that it will be a large one.
    pub(super) fn settle(&mut self, of: u8, input: &mut Input<'_>, all: bool) -> Result<()> {
        let gathered = core::mem::take(&mut self.gathered);
        let spare = input.lenient.then(|| gathered.clone());
        if gathered.len() == 0 || self.open.fill(gathered, kind::is_packed(of)) {
            return Ok(());
        }
        let (left, twice) = spare.unwrap_or_default().without_repeats();
        input.odd_times(DUPLICATE, twice)?;
        if !all && left.bytes() <= PACKED_BYTES_MAX {
            self.gathered = left;
            return Ok(());
        }
        let whole = self.open.fill(left, kind::is_packed(of));
        whole.then_some(()).ok_or(Stop::Malformed(DUPLICATE))
    }

    /// How Redis 2.4 packed them: a count, then each field and each value behind its length, the
    /// value's also says how many bytes are free behind it.
    fn zipmap(&mut self, bytes: &[u8], input: &mut Input<'_>) -> Result<()> {
        let Some((&said, mut rest)) = bytes.split_first() else { return input.odd(ZIPMAP) };
        let mut count = 0_u64;
        while rest != [0xff] {
            let pair = zipmap_text(&mut rest, false).zip(zipmap_text(&mut rest, true));
            let Some(pair) = pair else { return input.odd(ZIPMAP) };
            self.add(pair, None, input)?;
            count += 1;
        }
        // From 254 on the count was not kept.
        let counted = said >= 254 || u64::from(said) == count;
        if counted { Ok(()) } else { input.odd(ZIPMAP) }
    }
}

/// A deadline in Unix milliseconds, if it is one that Redis stores; what is past may end at once,
/// what is too late never.
fn timely(at_ms: i64, input: &mut Input<'_>) -> Result<Option<u64>> {
    match u64::try_from(at_ms) {
        Ok(at_ms @ 1..=DEADLINE_MAX) => Ok(Some(at_ms)),
        Ok(1..) => input.odd(DEADLINE).map(|()| Some(DEADLINE_MAX)),
        _ => input.odd(DEADLINE).map(|()| Some(1)),
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

/// A packed hash is a listpack. There is no place for deadlines.
pub(super) fn write_packed(form: Form, packed: &[u8], out: &mut Vec<u8>) {
    let (count, row) = pack::parts(packed);
    if form == Form::Hash {
        return rows::push_listpack(out, count, row);
    }
    let (mut row, mut count) = (Vec::with_capacity(packed.len()), 0);
    for field in (View { form, packed, large: None, now_ms: 0 }).all() {
        field.encode_pair(&mut row);
        count += 2;
    }
    rows::push_listpack(out, count, &row);
}

/// Fields with their values, in their order.
pub(super) fn write_large(HashTree { fields, .. }: &HashTree, out: &mut Gather<'_>) {
    out.length(fields.len() as u64);
    for (_, element) in fields.elements(0) {
        let field = pack::first(element);
        let value = field.and_then(|(_, length)| pack::first(element.get(length..)?));
        out.item(field);
        out.item(value);
    }
}

/// Writes what RDB 10 has no place for: AUX fields that stand behind a hash and say which of its
/// fields have deadlines.
pub(crate) fn write_deadlines(hash: View<'_, HashTree>, sink: &mut dyn FnMut(&[u8])) {
    let (mut list, mut count, mut next) = (Vec::new(), 0, 0);
    let mut hand_out = |list: &mut Vec<u8>| {
        let mut out = Vec::new();
        put_aux(&mut out, field::FIELDS, &print(list));
        list.clear();
        sink(&out);
    };
    for (at, found) in hash.all().enumerate() {
        let Some(at_ms) = found.deadline else { continue };
        push_number(&mut list, (at - next) as u64);
        push_number(&mut list, at_ms);
        (next, count) = (at + 1, count + 1);
        if count == field::ITEMS_MAX {
            hand_out(&mut list);
            count = 0;
        }
    }
    if count > 0 {
        hand_out(&mut list);
    }
}

/// Writes a hash with the deadlines of its fields as Redis 7.4 does, its type first. False: none
/// that is left has one, and it was written as any other.
pub(crate) fn write_timed(hash: View<'_, HashTree>, out: &mut Vec<u8>) -> bool {
    let left = || hash.all().filter(|field| field.visible(hash.now_ms));
    let soonest = left().filter_map(|field| field.deadline).min();
    write_left(hash, soonest, out);
    soonest.is_some()
}

/// Writes the fields of a hash that are not due, without their deadlines, its type first.
pub(crate) fn write_untimed(hash: View<'_, HashTree>, out: &mut Vec<u8>) {
    write_left(hash, None, out);
}

/// Fields that are not due; with their deadlines if there is a soonest one.
fn write_left(hash: View<'_, HashTree>, soonest: Option<u64>, out: &mut Vec<u8>) {
    let left = || hash.all().filter(|field| field.visible(hash.now_ms));
    out.push(if soonest.is_some() { kind::HASH_TIMED } else { kind::HASH });
    if let Some(soonest) = soonest {
        out.extend_from_slice(&soonest.to_le_bytes());
    }
    put_length(out, left().count() as u64);
    for field in left() {
        if let Some(soonest) = soonest {
            put_length(out, field.deadline.map_or(0, |at_ms| at_ms - soonest + 1));
        }
        field.name.with(|name| put_string(out, name));
        field.value.with(|value| put_string(out, value));
    }
}
