//! One key with its value, a record: a single heap block for nearly all, chunks beside it for
//! large values.
//!
//! ```text
//! flags 1 | revision 6, little-endian | [deadline 8] | key length, LEB128 | key | value
//! ```
//! A key of 16 bytes with a value of 16 costs 40 bytes here, 24 for the [`Record`] with its hash.
//! Blocks are built by this file alone, so reading one cannot fail; where a length would not fit,
//! the answer is empty rather than a panic.

use crate::rdb::Key;
use crate::types::chunks::Chunks;
use crate::types::content::spare_bytes;
use crate::types::hash::HashTree;
use crate::types::list::ListTree;
use crate::types::pack::Pack;
use crate::types::set::SetTree;
use crate::types::value::{Large, Value};
use crate::types::zset::ZsetTree;
use crate::types::{Form, Open, Rules, View};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Strings longer than this lie in chunks. Depends on the length alone, never on history.
pub(crate) const PACKED_MAX: usize = crate::types::chunks::CHUNK;

/// Bits of the flags byte. The lowest five are the number of the form.
const FORM: u8 = 0b0001_1111;
/// Eight bytes of deadline follow the revision.
const DEADLINE: u8 = 0b0010_0000;
/// The key's epoch, see `freeze`. Says nothing about the key: it is not compared, not digested and
/// not written. A record that is built anew begins without it.
const EPOCH: u8 = 0b0100_0000;

const REVISION: usize = 1;
const REVISION_BYTES: usize = 6;
const AFTER_REVISION: usize = REVISION + REVISION_BYTES;

/// A key in its page. Sixteen bytes.
#[derive(Debug)]
pub(crate) enum Record {
    /// Head, key and value in one block.
    Packed(Box<[u8]>),
    /// Head and key in one block, the value apart.
    Apart(Box<Apart>),
}

const _: () = assert!(size_of::<Record>() == 16, "a page pays for every byte of it");

/// A record whose value does not lie in its block.
#[derive(Debug)]
pub(crate) struct Apart {
    /// A block whose value is empty.
    head: Box<[u8]>,
    value: Value,
}

/// What a record says besides key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Type and small form.
    pub(crate) form: Form,
    /// Log index of the last change; 48 bits are kept.
    pub(crate) revision: u64,
    /// Unix milliseconds.
    pub(crate) deadline: Option<u64>,
}

impl Record {
    /// Drops it: see [`Garbage::free`](super::Garbage::free).
    pub(super) fn free(self, pause: &mut dyn FnMut()) {
        if let Self::Apart(large) = self {
            large.value.free(pause);
        }
    }

    /// A string record.
    pub(crate) fn string(head: Head, key: &[u8], value: &[u8]) -> Self {
        if value.len() > PACKED_MAX {
            return Self::large(head, key, Chunks::new(value));
        }
        Self::Packed(build(head, key, value))
    }

    /// A string record over [`PACKED_MAX`].
    pub(crate) fn large(head: Head, key: &[u8], chunks: Chunks) -> Self {
        Self::apart(build(head, key, &[]), Value::Str(chunks))
    }

    fn apart(head: Box<[u8]>, value: Value) -> Self {
        Self::Apart(Box::new(Apart { head, value }))
    }

    /// A collection without elements, to be opened at once.
    pub(crate) fn empty(head: Head, key: &[u8]) -> Self {
        Self::Packed(build(head, key, &[]))
    }

    /// The same record once more; what lies apart is shared.
    pub(crate) fn kept(&self) -> Self {
        match self {
            Self::Packed(block) => Self::Packed(block.clone()),
            Self::Apart(large) => Self::apart(large.head.clone(), large.value.clone()),
        }
    }

    /// Bytes of its block.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.block().len() as u64
    }

    /// The same value under another head and key; what lies apart is shared.
    pub(crate) fn copy(&self, head: Head, key: &[u8]) -> Self {
        match self {
            Self::Packed(block) => Self::Packed(build(head, key, value(block))),
            Self::Apart(large) => Self::apart(build(head, key, &[]), large.value.clone()),
        }
    }

    /// A collection for reading; `None`: it is of another type.
    pub(crate) fn view<T: Large>(&self, now_ms: u64) -> Option<View<'_, T>> {
        let form = self.form();
        if !T::is(form) {
            return None;
        }
        Some(match self {
            Self::Packed(block) => View { form, packed: value(block), large: None, now_ms },
            Self::Apart(large) => {
                View { form, packed: &[], large: T::of_value(&large.value), now_ms }
            }
        })
    }

    /// Opens a collection of this type for change: the block and the value leave the record, which
    /// is nothing until [`Record::close`]. The box of a large one stays, for its value to come
    /// back.
    pub(crate) fn open<T: Large>(&mut self, rules: Rules) -> Open<T> {
        let form = self.form();
        let (block, large) = match self {
            Self::Packed(block) => (core::mem::take(block), None),
            Self::Apart(large) => {
                let value = core::mem::replace(&mut large.value, Value::Str(Chunks::default()));
                (core::mem::take(&mut large.head), T::from_value(value))
            }
        };
        let at = value_at(&block);
        Open::new(form, Pack::open(block.into_vec(), at), large, rules)
    }

    /// Takes a collection back after it was changed. It must have been opened here.
    pub(crate) fn close<T: Large>(&mut self, open: Open<T>) {
        let (form, large) = (open.form, open.large);
        let mut block = open.pack.into_record().into_boxed_slice();
        if let Some(flags) = block.first_mut() {
            *flags = *flags & !FORM | form.number();
        }
        match (large, self) {
            (Some(value), Self::Apart(large)) => {
                large.head = block;
                large.value = value.into_value();
            }
            (Some(value), this) => *this = Self::apart(block, value.into_value()),
            (None, this) => *this = Self::Packed(block),
        }
    }

    /// A record of a collection that was made without a key.
    pub(crate) fn of_open<T: Large>(head: Head, key: &[u8], open: Open<T>) -> Self {
        match open.large {
            Some(large) => Self::apart(build(head, key, &[]), large.into_value()),
            None => Self::Packed(build(head, key, open.pack.value())),
        }
    }

    /// Makes a packed collection a large one, as it is.
    pub(crate) fn enlarge(&mut self, rules: Rules) {
        match self.form() {
            // A stream is large from the beginning.
            Form::Int | Form::Embstr | Form::Raw | Form::Stream => {}
            Form::List => self.enlarge_as::<ListTree>(rules),
            Form::Zset => self.enlarge_as::<ZsetTree>(rules),
            Form::Set | Form::Intset => self.enlarge_as::<SetTree>(rules),
            Form::Hash | Form::TimedHash => self.enlarge_as::<HashTree>(rules),
        }
    }

    fn enlarge_as<T: Large>(&mut self, rules: Rules) {
        if matches!(self, Self::Packed(_)) {
            let mut open = self.open::<T>(rules);
            T::enlarge(&mut open);
            self.close(open);
        }
    }

    /// The value, if it lies apart.
    pub(crate) fn value(&self) -> Option<&Value> {
        match self {
            Self::Packed(_) => None,
            Self::Apart(large) => Some(&large.value),
        }
    }

    /// The value's bytes, if it lies in the block.
    pub(crate) fn packed(&self) -> &[u8] {
        match self {
            Self::Packed(block) => value(block),
            Self::Apart(_) => &[],
        }
    }

    /// The same value under another head and key; nothing is copied but the block.
    pub(crate) fn renamed(self, head: Head, key: &[u8]) -> Self {
        match self {
            Self::Packed(_) => self.copy(head, key),
            Self::Apart(mut large) => {
                large.head = build(head, key, &[]);
                Self::Apart(large)
            }
        }
    }

    /// Whether the key is there at `now_ms`. Redis keeps it alive in the very millisecond of its
    /// deadline. A hash ends with its last field.
    pub(crate) fn visible(&self, now_ms: u64) -> bool {
        self.deadline().is_none_or(|deadline| now_ms <= deadline)
            && self.timed().and_then(View::end).is_none_or(|end| now_ms <= end)
    }

    /// The earliest deadline of a hash's field.
    pub(crate) fn field_deadline(&self) -> Option<u64> {
        self.timed().and_then(View::soonest)
    }

    /// The key as a snapshot's file takes it.
    pub(crate) fn as_key(&self) -> Key<'_> {
        Key {
            name: self.key(),
            revision: self.revision(),
            deadline: self.deadline(),
            form: self.form(),
            packed: self.packed(),
            value: self.value(),
            timed: self.timed(),
        }
    }

    /// All of a hash that has deadlines of fields.
    pub(crate) fn timed(&self) -> Option<View<'_, HashTree>> {
        let has_some = match self.value() {
            Some(Value::Hash(hash)) => hash.timed() > 0,
            Some(_) => false,
            None => self.form() == Form::TimedHash,
        };
        if has_some { self.view(0) } else { None }
    }

    fn block(&self) -> &[u8] {
        match self {
            Self::Packed(block) => block,
            Self::Apart(large) => &large.head,
        }
    }

    fn block_mut(&mut self) -> &mut Box<[u8]> {
        match self {
            Self::Packed(block) => block,
            Self::Apart(large) => &mut large.head,
        }
    }

    /// Reads a byte of the block, so that it is in the processor's cache.
    pub(crate) fn touch(&self) -> u8 {
        flags(self.block())
    }

    /// The key.
    pub(crate) fn key(&self) -> &[u8] {
        key(self.block())
    }

    /// All of the record that is state: its flags without the epoch, and what stands behind them
    /// (revision, deadline, key, and the value if it is packed). Equal keys have equal ones.
    pub(crate) fn stands(&self) -> (u8, &[u8]) {
        let block = self.block();
        (flags(block) & !EPOCH, block.get(REVISION..).unwrap_or_default())
    }

    /// Flips a bit of the value where any bytes may stand: see [`Keyspace::flip_bit`].
    ///
    /// [`Keyspace::flip_bit`]: super::Keyspace::flip_bit
    pub(super) fn flip_bit(&mut self, bit: u64) -> bool {
        let form = self.form();
        match self {
            Self::Packed(block) => {
                let at = value_at(block);
                let Some(spare) = spare_bytes(form, value(block)) else { return false };
                let place = block.get_mut(at + spare.start..at + spare.end);
                place.is_some_and(|bytes| flip_bit(bytes, bit))
            }
            Self::Apart(large) => match &mut large.value {
                Value::Str(chunks) => chunks.flip_bit(bit),
                _ => false,
            },
        }
    }

    /// The epoch in which the key was last changed or frozen.
    pub(crate) fn epoch(&self) -> bool {
        flags(self.block()) & EPOCH != 0
    }

    /// Takes the key into an epoch.
    pub(crate) fn set_epoch(&mut self, epoch: bool) {
        if let Some(flags) = self.block_mut().first_mut() {
            *flags = *flags & !EPOCH | if epoch { EPOCH } else { 0 };
        }
    }

    /// Form, revision and deadline.
    pub(crate) fn head(&self) -> Head {
        let block = self.block();
        Head { form: form(flags(block)), revision: revision(block), deadline: deadline(block) }
    }

    /// Log index of the last change.
    pub(crate) fn revision(&self) -> u64 {
        revision(self.block())
    }

    /// Deadline, Unix milliseconds.
    pub(crate) fn deadline(&self) -> Option<u64> {
        deadline(self.block())
    }

    /// Type and small form.
    pub(crate) fn form(&self) -> Form {
        form(flags(self.block()))
    }

    /// What `OBJECT ENCODING` says.
    pub(crate) fn encoding(&self) -> &'static str {
        self.form().encoding(matches!(self, Self::Apart(_)))
    }

    /// A string's bytes: what lies in the block, and what lies in chunks (one of them is empty).
    pub(crate) fn bytes(&self) -> (&[u8], Option<&Chunks>) {
        match self.value() {
            Some(Value::Str(chunks)) => (&[], Some(chunks)),
            _ => (self.packed(), None),
        }
    }

    /// Length of a string in bytes.
    pub(crate) fn len(&self) -> usize {
        match self.bytes() {
            (_, Some(chunks)) => chunks.len(),
            (packed, None) => packed.len(),
        }
    }

    /// Bytes as counted for `maxmemory`.
    pub(crate) fn cost(&self) -> u64 {
        self.cost_with(self.deadline(), self.field_deadline())
    }

    /// The same: the block rounded as allocators do, and this record's share
    /// of its page. `deadline` and `field` are what [`Record::deadline`] and
    /// [`Record::field_deadline`] say.
    pub(crate) fn cost_with(&self, deadline: Option<u64>, field: Option<u64>) -> u64 {
        /// Record and hash, the page's slack and its own share of a list.
        const IN_PAGE: usize = 28;
        /// The box between the block and its value.
        const LARGE: usize = 64;
        /// The expiry index: its share of a tree node and the block of its own copy of the key.
        const EXPIRY: usize = 64;
        let block = self.block().len().next_multiple_of(16);
        let apart = self.value().map_or(0, |value| LARGE + value.cost());
        let indexed = |deadline: Option<u64>| deadline.map_or(0, |_| EXPIRY + self.key().len());
        let expiry = indexed(deadline) + indexed(field);
        (IN_PAGE + block + apart + expiry) as u64
    }

    /// Replaces value and head in place when the block keeps its length, so that no memory moves.
    /// False: nothing happened, the caller builds a new record.
    pub(crate) fn overwrite(&mut self, head: Head, value: &[u8]) -> bool {
        let Self::Packed(block) = self else { return false };
        let at = value_at(block);
        if has_deadline(block) != head.deadline.is_some() {
            return false;
        }
        match block.get_mut(at..) {
            Some(place) if place.len() == value.len() => place.copy_from_slice(value),
            _ => return false,
        }
        write_head(block, head);
        true
    }

    /// Changes form, revision and deadline, keeping value and epoch.
    pub(crate) fn set_head(&mut self, head: Head) {
        let epoch = self.epoch();
        let block = self.block_mut();
        if has_deadline(block) == head.deadline.is_some() {
            write_head(block, head);
        } else {
            *block = build(head, key(block), value(block));
            self.set_epoch(epoch);
        }
    }

    /// Writes bytes at `offset`, zero-filling a gap; in place where the value does not grow. The
    /// epoch stays. The head's deadline must be as present as it was: a write inside a value keeps
    /// it.
    pub(crate) fn write_at(&mut self, head: Head, offset: usize, bytes: &[u8]) {
        let epoch = self.epoch();
        self.set_head(head);
        let end = offset + bytes.len();
        match self {
            Self::Apart(large) => {
                if let Value::Str(chunks) = &mut large.value {
                    chunks.write_at(offset, bytes);
                }
            }
            Self::Packed(block) => {
                let at = value_at(block);
                if at + end <= block.len() {
                    if let Some(place) = block.get_mut(at + offset..at + end) {
                        place.copy_from_slice(bytes);
                    }
                } else if end <= PACKED_MAX {
                    let mut grown = core::mem::take(block).into_vec();
                    grown.reserve_exact((at + end).saturating_sub(grown.len()));
                    grown.resize(at + offset, 0);
                    grown.extend_from_slice(bytes);
                    *block = grown.into_boxed_slice();
                } else {
                    let mut chunks = Chunks::new(value(block));
                    chunks.write_at(offset, bytes);
                    *self = Self::large(head, key(block), chunks);
                    self.set_epoch(epoch);
                }
            }
        }
    }
}

/// Flips a bit of one of the bytes, counted around; false if there are none.
fn flip_bit(bytes: &mut [u8], bit: u64) -> bool {
    let at = (bit / 8).checked_rem(bytes.len() as u64).unwrap_or_default() as usize;
    bytes.get_mut(at).map(|byte| *byte ^= 1 << (bit % 8)).is_some()
}

/// Builds a block in one exact allocation.
fn build(head: Head, key: &[u8], value: &[u8]) -> Box<[u8]> {
    let deadline = if head.deadline.is_some() { 8 } else { 0 };
    let prefix = AFTER_REVISION + deadline + varint_len(key.len());
    let mut block = Vec::with_capacity(prefix + key.len() + value.len());
    block.extend_from_slice(&[0; AFTER_REVISION]);
    if let Some(at_ms) = head.deadline {
        block.extend_from_slice(&at_ms.to_le_bytes());
    }
    let mut rest = key.len();
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
    block.extend_from_slice(key);
    block.extend_from_slice(value);
    let mut block = block.into_boxed_slice();
    write_head(&mut block, head);
    block
}

/// Writes the head of a block that has, or has not, room for the deadline as `head` wants it.
fn write_head(block: &mut [u8], head: Head) {
    let Some((fixed, rest)) = block.split_first_chunk_mut::<AFTER_REVISION>() else { return };
    let [flags, revision @ ..] = fixed;
    let deadline = if head.deadline.is_some() { DEADLINE } else { 0 };
    *flags = *flags & EPOCH | head.form.number() | deadline;
    for (to, from) in revision.iter_mut().zip(head.revision.to_le_bytes()) {
        *to = from;
    }
    if let (Some(at_ms), Some(place)) = (head.deadline, rest.first_chunk_mut::<8>()) {
        *place = at_ms.to_le_bytes();
    }
}

fn varint_len(value: usize) -> usize {
    ((usize::BITS - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

fn flags(block: &[u8]) -> u8 {
    block.first().copied().unwrap_or_default()
}

fn has_deadline(block: &[u8]) -> bool {
    flags(block) & DEADLINE != 0
}

fn form(flags: u8) -> Form {
    Form::of(flags & FORM)
}

fn revision(block: &[u8]) -> u64 {
    let Some([_, bytes @ ..]) = block.first_chunk::<AFTER_REVISION>() else { return 0 };
    bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

fn deadline(block: &[u8]) -> Option<u64> {
    if !has_deadline(block) {
        return None;
    }
    let bytes = block.get(AFTER_REVISION..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

/// Where the key begins and how long it is.
fn key_place(block: &[u8]) -> (usize, usize) {
    let mut at = AFTER_REVISION + if has_deadline(block) { 8 } else { 0 };
    let mut length = 0;
    let mut shift = 0;
    loop {
        let byte = block.get(at).copied().unwrap_or_default();
        at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 56 {
            return (at, length);
        }
    }
}

fn key(block: &[u8]) -> &[u8] {
    let (at, length) = key_place(block);
    block.get(at..at + length).unwrap_or_default()
}

fn value_at(block: &[u8]) -> usize {
    let (at, length) = key_place(block);
    at + length
}

fn value(block: &[u8]) -> &[u8] {
    block.get(value_at(block)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::tests::cases;
    use alloc::vec;
    use proptest::prelude::*;

    fn flat(record: &Record) -> Vec<u8> {
        let (packed, chunks) = record.bytes();
        let mut flat = packed.to_vec();
        for chunk in chunks.map_or(&[][..], Chunks::list) {
            flat.extend_from_slice(chunk);
        }
        assert_eq!(flat.len(), record.len());
        assert_eq!(matches!(record, Record::Apart(_)), flat.len() > PACKED_MAX);
        flat
    }

    fn any_head() -> impl Strategy<Value = Head> {
        let form = prop::sample::select(vec![Form::Int, Form::Embstr, Form::Raw]);
        (form, 0..1_u64 << 48, any::<Option<u64>>()).prop_map(|(form, revision, deadline)| Head {
            form,
            revision,
            deadline,
        })
    }

    #[test]
    fn a_small_record_is_small() {
        let head = Head { form: Form::Raw, revision: 1, deadline: None };
        let Record::Packed(record) = Record::string(head, &[b'k'; 16], &[b'v'; 16]) else {
            panic!("a short value must be packed")
        };
        assert_eq!(record.len(), 40);
    }

    proptest! {
        #![proptest_config(cases(200))]
        #[test]
        fn what_goes_in_comes_out(
            heads in prop::collection::vec(any_head(), 2),
            key_len in prop::sample::select(vec![0, 1, 16, 127, 128, 16_383, 16_384, 70_000]),
            value_len in prop::sample::select(vec![0, 1, 44, 4000, 65_536, 65_537, 200_000]),
            epoch in any::<bool>(),
            (offset, length) in (0..140_000_usize, 0..70_000_usize),
        ) {
            let key = vec![b'k'; key_len];
            let mut model = vec![b'v'; value_len];
            let mut record = Record::string(heads[0], &key, &model);
            prop_assert_eq!(record.head(), heads[0]);
            prop_assert!(record.key() == key && flat(&record) == model);

            record.set_epoch(epoch);
            prop_assert_eq!((record.epoch(), record.head()), (epoch, heads[0]));
            record.set_head(heads[1]);
            prop_assert_eq!(record.epoch(), epoch);
            prop_assert_eq!(record.head(), heads[1]);
            prop_assert!(record.key() == key && flat(&record) == model);

            let before = record.copy(heads[0], b"other");
            let bytes = vec![b'w'; length];
            let offset = if length == 0 { offset.min(model.len()) } else { offset };
            record.write_at(heads[1], offset, &bytes);
            prop_assert!(flat(&before) == model && before.key() == b"other");
            model.resize(model.len().max(offset + length), 0);
            model[offset..offset + length].copy_from_slice(&bytes);
            prop_assert!(record.key() == key && flat(&record) == model);
            prop_assert_eq!(record.head(), heads[1]);

            let done = record.overwrite(heads[0], &vec![b'x'; model.len()]);
            let same = heads[0].deadline.is_some() == heads[1].deadline.is_some();
            prop_assert_eq!(done, same && model.len() <= PACKED_MAX);
            prop_assert_eq!(record.head(), if done { heads[0] } else { heads[1] });
            prop_assert_eq!(record.epoch(), epoch, "no change in place ends an epoch");
        }
    }
}
