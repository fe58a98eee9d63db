//! Elements in a row: the packed form of every collection, small ones whole and large ones leaf by
//! leaf.
//!
//! The entries are those of Redis's listpack (`listpack.md` in its source), without the header and
//! the end mark, which only a file needs: a small value goes into an RDB file as it lies here.
//! An entry is its encoding with the data, then its own length once more, readable from behind.
//! An element that is the text of a 64-bit number is kept as the number, always in the shortest
//! form. So equal elements are equal bytes, and searching compares entries without reading them.
//!
//! Only what was built here lies here (files are read through [`Items::checked`]); where bytes
//! would not fit all the same, the row ends.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::{Deref, Range};
use quorate_resp::{Reply, Strings, int_text, parse_int};

/// One element. The order is any fixed one: bytes before numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item<'a> {
    /// Its bytes; not the text of a number.
    Bytes(&'a [u8]),
    /// The decimal text of this number.
    Int(i64),
}

impl<'a> Item<'a> {
    /// An element as it will be kept.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        /// Digits and sign of an `i64`.
        const INT_TEXT_MAX: usize = 20;
        match bytes {
            // Most elements that are no number show it at once.
            [b'-' | b'0'..=b'9', ..] if bytes.len() <= INT_TEXT_MAX => {
                parse_int(bytes).map_or(Self::Bytes(bytes), Self::Int)
            }
            _ => Self::Bytes(bytes),
        }
    }

    /// Its bytes.
    pub(crate) fn bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Int(number) => Cow::Owned(int_text(number).as_bytes().to_vec()),
        }
    }

    /// Hands its bytes to somebody who does not keep them; nothing is allocated.
    pub(crate) fn with<R>(self, look: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Bytes(bytes) => look(bytes),
            Self::Int(number) => look(int_text(number).as_bytes()),
        }
    }

    /// It as a reply.
    pub(crate) fn reply(self) -> Reply<'a> {
        match self {
            Self::Bytes(bytes) => Reply::bulk(bytes),
            Self::Int(number) => Reply::Decimal(number),
        }
    }

    /// Adds it to a reply of many.
    pub(crate) fn tell(self, strings: &mut Strings) {
        self.with(|bytes| strings.push(bytes));
    }

    /// It as a reply that outlives the next change.
    pub(crate) fn owned(self) -> Reply<'static> {
        match self {
            Self::Bytes(bytes) => Reply::owned(bytes.to_vec()),
            Self::Int(number) => Reply::Decimal(number),
        }
    }

    /// Length of its bytes.
    pub(crate) fn len(self) -> usize {
        self.with(<[u8]>::len)
    }

    /// Adds its entry.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        self.encode_to(&mut |part| out.extend_from_slice(part));
    }

    /// Its entry alone.
    pub(crate) fn encoded(self) -> Encoded {
        let mut entry = Encoded::default();
        entry.add(self);
        entry
    }

    fn encode_to(self, put: &mut impl FnMut(&[u8])) {
        let length = match self {
            Self::Int(number) => encode_int(number, put),
            Self::Bytes(bytes) => {
                let kind = match bytes.len() {
                    short @ 0..0x40 => {
                        put(&[0x80 | short as u8]);
                        1
                    }
                    middle @ 0x40..0x1000 => {
                        put(&[0xe0 | (middle >> 8) as u8, middle as u8]);
                        2
                    }
                    long => {
                        // Longer than the 4 GiB that fit here nothing ever gets: commands end far
                        // below.
                        let [a, b, c, d] = u32::try_from(long).unwrap_or(u32::MAX).to_le_bytes();
                        put(&[0xf0, a, b, c, d]);
                        5
                    }
                };
                put(bytes);
                kind + bytes.len()
            }
        };
        put_back_length(put, length);
    }
}

/// One or some entries by themselves, on the stack while they are short: most are, and are copied
/// to where they stay at once.
#[derive(Clone, Debug)]
pub(crate) enum Encoded {
    /// So many of these bytes.
    Short([u8; SHORT_MAX], usize),
    /// More.
    Long(Vec<u8>),
}

/// Bytes of a short entry.
const SHORT_MAX: usize = 56;

impl Default for Encoded {
    fn default() -> Self {
        Self::Short([0; SHORT_MAX], 0)
    }
}

impl Encoded {
    /// Adds the entry of an element.
    pub(crate) fn add(&mut self, item: Item<'_>) {
        item.encode_to(&mut |part| self.put(part));
    }

    fn put(&mut self, part: &[u8]) {
        /// For what else belongs to the entry, when it is no longer short.
        const BESIDES: usize = 16;
        match self {
            Self::Long(entry) => entry.extend_from_slice(part),
            Self::Short(entry, len) => {
                if let Some(place) = entry.get_mut(*len..*len + part.len()) {
                    place.copy_from_slice(part);
                    *len += part.len();
                    return;
                }
                let mut long = Vec::with_capacity(*len + part.len() + BESIDES);
                long.extend_from_slice(entry.get(..*len).unwrap_or_default());
                long.extend_from_slice(part);
                *self = Self::Long(long);
            }
        }
    }
}

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(entry, len) => entry.get(..*len).unwrap_or_default(),
            Self::Long(entry) => entry,
        }
    }
}

/// Adds a number's entry but for its length behind it; that length.
fn encode_int(number: i64, put: &mut impl FnMut(&[u8])) -> usize {
    let bytes = number.to_le_bytes();
    let (kind, width) = match number {
        0..128 => {
            put(&[number as u8]);
            return 1;
        }
        -4096..4096 => {
            let bits = number as u16 & 0x1fff;
            put(&[0xc0 | (bits >> 8) as u8, bits as u8]);
            return 2;
        }
        -0x8000..0x8000 => (0xf1, 2),
        -0x80_0000..0x80_0000 => (0xf2, 3),
        -0x8000_0000..0x8000_0000 => (0xf3, 4),
        _ => (0xf4, 8),
    };
    put(&[kind]);
    put(bytes.get(..width).unwrap_or(&bytes));
    1 + width
}

/// The length of an entry, behind it, in groups of seven bits; the lowest group last.
fn put_back_length(put: &mut impl FnMut(&[u8]), length: usize) {
    let groups = back_bytes(length);
    for group in (0..groups).rev() {
        let bits = (length >> (7 * group)) as u8 & 0x7f;
        // All but the first, read from behind, say that it goes on in front of them.
        put(&[if group + 1 == groups { bits } else { bits | 0x80 }]);
    }
}

fn back_bytes(length: usize) -> usize {
    match length {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        0x20_0000..0x1000_0000 => 4,
        _ => 5,
    }
}

/// The entry at the front: the element, and the length of the whole entry.
pub(crate) fn first(row: &[u8]) -> Option<(Item<'_>, usize)> {
    let (&kind, rest) = row.split_first()?;
    let (item, length) = match kind {
        ..0x80 => (Item::Int(i64::from(kind)), 1),
        0x80..0xc0 => {
            let length = usize::from(kind & 0x3f);
            (Item::Bytes(rest.get(..length)?), 1 + length)
        }
        0xc0..0xe0 => {
            let bits = i64::from(kind & 0x1f) << 8 | i64::from(*rest.first()?);
            (Item::Int(bits << 51 >> 51), 2)
        }
        0xe0..0xf0 => {
            let length = usize::from(kind & 0x0f) << 8 | usize::from(*rest.first()?);
            (Item::Bytes(rest.get(1..1 + length)?), 2 + length)
        }
        0xf0 => {
            let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
            (Item::Bytes(rest.get(4..4 + length)?), 5 + length)
        }
        0xf1..=0xf4 => {
            let width = match kind {
                0xf1 => 2,
                0xf2 => 3,
                0xf3 => 4,
                _ => 8,
            };
            let bytes = rest.get(..width)?;
            let bits = bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte));
            let shift = 64 - 8 * width as u32;
            (Item::Int((bits << shift).cast_signed() >> shift), 1 + width)
        }
        0xf5.. => return None,
    };
    Some((item, length + back_bytes(length)))
}

/// What stands in front of an element of so many bytes in its entry, as it is built here.
pub(crate) fn head_length(bytes: usize) -> usize {
    match bytes {
        0..0x40 => 1,
        0x40..0x1000 => 2,
        _ => 5,
    }
}

/// The length of the entry at the end.
fn last_length(row: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (group, &byte) in row.iter().rev().take(5).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * group);
        if byte & 0x80 == 0 {
            return Some(length + back_bytes(length));
        }
    }
    None
}

/// The entry at the end: the element, and the length of the whole entry.
pub(crate) fn last(row: &[u8]) -> Option<(Item<'_>, usize)> {
    let length = last_length(row)?;
    let (item, _) = first(row.get(row.len().checked_sub(length)?..)?)?;
    Some((item, length))
}

/// The elements of a row, from either end.
#[derive(Clone, Debug)]
pub(crate) struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    /// Of a row that was built here.
    pub(crate) fn new(row: &'a [u8]) -> Self {
        Self(row)
    }

    /// How many elements a row from elsewhere has, if all of it are entries: every one whole, with
    /// its length behind it. They need not be in the shortest form.
    pub(crate) fn checked(mut row: &[u8]) -> Option<usize> {
        let mut count = 0;
        while !row.is_empty() {
            let (_, length) = first(row)?;
            let (entry, rest) = row.split_at_checked(length)?;
            if last_length(entry)? != length {
                return None;
            }
            (row, count) = (rest, count + 1);
        }
        Some(count)
    }

    /// The length of the whole entries at the front of a damaged row.
    pub(crate) fn sound(row: &[u8]) -> usize {
        let mut rest = row;
        while let Some((_, length)) = first(rest)
            && let Some((entry, behind)) = rest.split_at_checked(length)
            && last_length(entry) == Some(length)
        {
            rest = behind;
        }
        row.len() - rest.len()
    }

    /// What has not been passed.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let (item, length) = first(self.0)?;
        self.0 = self.0.get(length..).unwrap_or_default();
        Some(item)
    }
}

impl DoubleEndedIterator for Items<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (item, length) = last(self.0)?;
        self.0 = self.0.get(..self.0.len() - length).unwrap_or_default();
        Some(item)
    }
}

/// Where the entry of element `at` begins, counted from the nearer end; the row's end if there are
/// only so many. `count`: elements of the row.
pub(crate) fn offset(row: &[u8], count: usize, at: usize) -> usize {
    if at > count / 2 {
        let mut end = row.len();
        for _ in at..count {
            let front = row.get(..end).unwrap_or_default();
            end -= last_length(front).unwrap_or(end).min(end);
        }
        return end;
    }
    let mut start = 0;
    for _ in 0..at {
        let rest = row.get(start..).unwrap_or_default();
        start += first(rest).map_or(rest.len(), |(_, length)| length);
    }
    start
}

/// Where an entry lies that equals `entry`, looking at every `step`-th element from the first, and
/// which element it is.
pub(crate) fn find(row: &[u8], entry: &[u8], step: usize) -> Option<(usize, Range<usize>)> {
    let (mut at, mut number) = (0, 0);
    while let Some(rest) = row.get(at..).filter(|rest| !rest.is_empty()) {
        let (_, length) = first(rest)?;
        if length == entry.len() && rest.get(..length)? == entry {
            return Some((number, at..at + length));
        }
        at += length;
        for _ in 1..step {
            at += first(row.get(at..)?)?.1;
        }
        number += step;
    }
    None
}

/// The value of a small collection, in its key's record, open for change: a count of two bytes,
/// little-endian, then the row. No allocation of its own, the record is changed where it lies.
#[derive(Debug, Default)]
pub(crate) struct Pack {
    /// Head, key and value. Without a count the value is empty.
    record: Vec<u8>,
    /// Where the value begins.
    at: usize,
}

/// Bytes of the count.
const COUNT_BYTES: usize = 2;

/// The count and the row of a packed value.
pub(crate) fn parts(value: &[u8]) -> (usize, &[u8]) {
    match value.split_first_chunk::<COUNT_BYTES>() {
        Some((count, row)) => (usize::from(u16::from_le_bytes(*count)), row),
        None => (0, &[]),
    }
}

impl Pack {
    /// Opens a record whose value begins at `at`.
    pub(crate) fn open(record: Vec<u8>, at: usize) -> Self {
        Self { record, at }
    }

    /// The record.
    pub(crate) fn into_record(self) -> Vec<u8> {
        self.record
    }

    /// The value as it lies in the record.
    pub(crate) fn value(&self) -> &[u8] {
        self.record.get(self.at..).unwrap_or_default()
    }

    /// How many elements there are.
    pub(crate) fn count(&self) -> usize {
        parts(self.value()).0
    }

    /// The elements.
    pub(crate) fn row(&self) -> &[u8] {
        parts(self.value()).1
    }

    /// Empties the value, for example because it is taken out into a large one.
    pub(crate) fn clear(&mut self) {
        self.record.truncate(self.at);
    }

    /// Replaces a part of the row by other entries, which are `added` more elements (or fewer).
    pub(crate) fn splice(&mut self, part: Range<usize>, entries: &[u8], added: isize) {
        if self.record.len() < self.at + COUNT_BYTES {
            self.record.reserve_exact(COUNT_BYTES + entries.len());
            self.record.extend_from_slice(&[0; COUNT_BYTES]);
        }
        let count = self.count().saturating_add_signed(added).min(usize::from(u16::MAX)) as u16;
        let row = self.at + COUNT_BYTES;
        if let Some(place) = self.record.get_mut(self.at..row) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        let end = self.record.len();
        let part = (row + part.start).min(end)..(row + part.end).min(end);
        splice(&mut self.record, part, entries);
    }
}

/// Replaces a part of a vector, growing it by no more than is needed.
pub(crate) fn splice(bytes: &mut Vec<u8>, part: Range<usize>, by: &[u8]) {
    let (old, new) = (part.end - part.start, by.len());
    let end = bytes.len();
    if new > old {
        bytes.reserve_exact(new - old);
        // Room: all of it is written over, unless it is where the new bytes belong.
        bytes.extend_from_slice(by.get(old..).unwrap_or_default());
    }
    if new != old {
        bytes.copy_within(part.end..end, part.start + new);
        bytes.truncate(end + new - old);
    }
    if let Some(place) = bytes.get_mut(part.start..part.start + new) {
        place.copy_from_slice(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::tests::cases;
    use alloc::vec;
    use proptest::prelude::*;

    fn any_item() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            (-5000..5000_i64).prop_map(|number| number.to_string().into_bytes()),
            (0..64_u32, any::<bool>()).prop_map(|(bits, minus)| {
                let number = 1_i64.checked_shl(bits).unwrap_or(0).wrapping_sub(i64::from(minus));
                number.to_string().into_bytes()
            }),
            prop::collection::vec(any::<u8>(), 0..200),
            prop::sample::select(vec![63, 64, 4095, 4096, 20_000, 70_000])
                .prop_map(|length| vec![b'x'; length]),
            prop::sample::select(vec!["", "-", "-0", "007", "+1", "9223372036854775808"])
                .prop_map(|text| text.as_bytes().to_vec()),
        ]
    }
    use alloc::string::ToString;

    #[test]
    fn entries_are_those_of_listpack() {
        // Taken from `DUMP` of a list in redis-server 7.0.15.
        for (text, entry) in [
            (&b"0"[..], &[0, 1][..]),
            (b"127", &[127, 1]),
            (b"128", &[0xc0, 0x80, 2]),
            (b"-1", &[0xdf, 0xff, 2]),
            (b"-4096", &[0xd0, 0, 2]),
            (b"4096", &[0xf1, 0, 0x10, 3]),
            (b"-32769", &[0xf2, 0xff, 0x7f, 0xff, 4]),
            (b"8388608", &[0xf3, 0, 0, 0x80, 0, 5]),
            (b"abc", b"\x83abc\x04"),
        ] {
            assert_eq!(&*Item::of(text).encoded(), entry);
        }
        let long = Item::of(&[b'a'; 300]).encoded();
        assert_eq!((&long[..2], &long[302..]), (&[0xe1, 44][..], &[0x02, 0xae][..]));
    }

    proptest! {
        #![proptest_config(cases(200))]
        #[test]
        fn what_goes_in_comes_out(items in prop::collection::vec(any_item(), 0..12)) {
            let mut row = Vec::new();
            for item in &items {
                Item::of(item).encode(&mut row);
            }
            let read: Vec<_> = Items::new(&row).map(|item| item.bytes().into_owned()).collect();
            prop_assert!(read == items);
            let mut back: Vec<_> =
                Items::new(&row).rev().map(|item| item.bytes().into_owned()).collect();
            back.reverse();
            prop_assert!(back == items);
            prop_assert_eq!(Items::checked(&row), Some(items.len()));
            for (at, item) in items.iter().enumerate() {
                let start = offset(&row, items.len(), at);
                prop_assert!(first(&row[start..]).unwrap().0.bytes() == item.as_slice());
                let (number, place) = find(&row, &Item::of(item).encoded(), 1).unwrap();
                prop_assert!(number <= at && items[number] == *item);
                prop_assert_eq!(place.start, offset(&row, items.len(), number));
            }
            prop_assert_eq!(offset(&row, items.len(), items.len()), row.len());
        }

        #[test]
        fn anything_ends(row in prop::collection::vec(any::<u8>(), 0..64)) {
            let counted = Items::checked(&row);
            if let Some(count) = counted {
                prop_assert_eq!(Items::new(&row).count(), count);
            }
            prop_assert!(Items::new(&row).rev().count() <= row.len());
        }

        #[test]
        fn a_pack_is_a_vector(
            steps in prop::collection::vec((any::<usize>(), any_item(), 0..3_u8), 0..30),
        ) {
            let mut pack = Pack::open(b"head".to_vec(), 4);
            let mut model: Vec<Vec<u8>> = Vec::new();
            for (at, item, what) in steps {
                let at = at % (model.len() + 1);
                let start = offset(pack.row(), pack.count(), at);
                let end = offset(pack.row(), pack.count(), (at + 1).min(model.len()));
                let entry = Item::of(&item).encoded();
                match what {
                    0 => {
                        pack.splice(start..start, &entry, 1);
                        model.insert(at, item);
                    }
                    1 if at < model.len() => {
                        pack.splice(start..end, &entry, 0);
                        model[at] = item;
                    }
                    2 if at < model.len() => {
                        pack.splice(start..end, &[], -1);
                        model.remove(at);
                    }
                    _ => {}
                }
                prop_assert_eq!(pack.count(), model.len());
                let items = Items::new(pack.row()).map(|item| item.bytes().into_owned());
                prop_assert!(items.eq(model.iter().cloned()));
            }
            pack.clear();
            prop_assert_eq!(pack.into_record(), b"head".to_vec());
        }
    }
}
