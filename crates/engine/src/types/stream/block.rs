//! A block of a stream: some consecutive entries, as Redis lays them into a listpack.
//!
//! ```text
//! live | deleted | n | n master fields | 0
//! then for each entry:
//! flags | ms less the block's | seq less the block's | [n, n pairs | n values] | count
//! ```
//! The block's id is that of its first entry, whose fields are the master fields; an entry with the
//! same fields keeps only values. `count` is how many rows the entry has before it, so that blocks
//! are read from behind. A deleted entry stays, with a flag, until the block goes.
//!
//! Where a block ends shows (approximate trimming, XINFO, RDB), so its bytes are state, exactly as
//! Redis would have them.

use super::super::pack::{self, Item, Items};
use super::Id;
use super::sorted::Row;
use alloc::vec::Vec;
use core::ops::Deref;
use quorate_resp::Args;
use triomphe::Arc;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Rows of every entry besides fields and values: flags and the two parts of the id.
const FIXED: usize = 3;
/// A listpack's header and end, which are not kept here but counted where Redis counts.
const FRAME: usize = 7;

/// A block in its place.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Id of its first entry.
    pub(crate) first: Id,
    rows: Rows,
}

/// A block's rows. Which of both they are says nothing about the block and never shows.
#[derive(Clone, Debug)]
enum Rows {
    /// With room to grow: the block is the last one.
    Open(Arc<Vec<u8>>),
    /// Copied from there into an allocation of just their length. (Shrinking the vector would not
    /// do: an allocator may leave it where it is, and a stream of small entries was a third larger
    /// for that.)
    Closed(Arc<[u8]>),
    /// A part of an allocation that neighbours share ([`gather`]).
    Part { whole: Arc<[u8]>, start: u32, end: u32 },
}

impl Deref for Rows {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Open(rows) => rows,
            Self::Closed(rows) => rows,
            Self::Part { whole, start, end } => {
                whole.get(*start as usize..*end as usize).unwrap_or_default()
            }
        }
    }
}

impl Rows {
    /// Changes them, with room for `need` more bytes. They are open then.
    fn edit(&mut self, need: usize, work: impl FnOnce(&mut Vec<u8>)) {
        match self {
            Self::Open(rows) => {
                let rows = Arc::make_mut(rows);
                if rows.capacity() - rows.len() < need {
                    rows.reserve_exact(need.max(rows.len().min(GROWTH_MAX)));
                }
                work(rows);
            }
            Self::Closed(_) | Self::Part { .. } => {
                let mut open = Vec::with_capacity(self.len() + need);
                open.extend_from_slice(self);
                work(&mut open);
                *self = Self::Open(Arc::new(open));
            }
        }
    }

    fn close(&mut self) {
        if let Self::Open(rows) = self {
            *self = Self::Closed(rows.as_slice().into());
        }
    }
}

/// An allocation of many blocks has at least so many bytes.
const GATHERED_MIN: usize = 24 << 10;

/// Puts the last of these blocks into one allocation, as soon as that is as large as it gets within
/// a size class, or at once with `now`. Alone, blocks of less than 4 KiB waste an eighth of their
/// size class in the mean; their neighbours fill it. The allocation goes when its last block has
/// gone or has changed, which copies that block out.
pub(crate) fn gather(blocks: &mut [Block], now: bool) {
    /// An allocation's counter.
    const BESIDES: usize = 8;
    let is_alone = |block: &&Block| match &block.rows {
        Rows::Closed(rows) => rows.len() < GATHERED_MIN,
        Rows::Open(_) | Rows::Part { .. } => false,
    };
    let alone = blocks.iter().rev().take_while(is_alone).count();
    let start = blocks.len() - alone;
    let group = blocks.get_mut(start..).unwrap_or_default();
    let next = group.last().map_or(0, |block| block.rows.len());
    let bytes = BESIDES + group.iter().map(|block| block.rows.len()).sum::<usize>();
    let has_room = bytes < GATHERED_MIN || bytes + next <= size_class(bytes);
    if alone < 2 || has_room && !now {
        return;
    }
    let mut whole = Vec::with_capacity(bytes);
    for block in group.iter() {
        whole.extend_from_slice(&block.rows);
    }
    let (whole, mut end): (Arc<[u8]>, u32) = (whole.into(), 0);
    for block in group {
        let start = end;
        end += u32::try_from(block.rows.len()).unwrap_or(0);
        block.rows = Rows::Part { whole: whole.clone(), start, end };
    }
}

/// What an allocator with four size classes to a doubling, as mimalloc, takes for so many bytes.
fn size_class(bytes: usize) -> usize {
    bytes.next_multiple_of((bytes.next_power_of_two() / 8).max(8))
}

impl Row for Block {
    type Key = Id;
    type Look = Id;

    fn key(&self) -> Id {
        self.first
    }

    fn look(&self) -> &Id {
        &self.first
    }

    fn bytes(&self) -> usize {
        /// What a block takes besides its rows: its place, the allocation and the counters.
        const BESIDES: usize = 80;
        BESIDES + self.rows.len()
    }
}

/// What stands in front of a block's entries.
#[derive(Clone, Copy, Debug)]
struct Head<'a> {
    live: i64,
    deleted: i64,
    fields: usize,
    /// The master fields.
    names: &'a [u8],
    /// Length of the first two rows.
    counts_len: usize,
    /// Where entries begin.
    entries: usize,
}

/// Takes a number off the front.
fn take_int(rest: &mut &[u8]) -> Option<i64> {
    let (item, length) = pack::first(rest)?;
    *rest = rest.get(length..)?;
    match item {
        Item::Int(number) => Some(number),
        Item::Bytes(_) => None,
    }
}

/// Takes `count` rows off the front.
fn take_rows<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let whole = *rest;
    for _ in 0..count {
        let (_, length) = pack::first(rest)?;
        *rest = rest.get(length..)?;
    }
    whole.get(..whole.len() - rest.len())
}

fn head(rows: &[u8]) -> Option<Head<'_>> {
    let mut rest = rows;
    let (live, deleted) = (take_int(&mut rest)?, take_int(&mut rest)?);
    let counts_len = rows.len() - rest.len();
    let fields = usize::try_from(take_int(&mut rest)?).ok()?;
    let names = take_rows(&mut rest, fields)?;
    take_int(&mut rest)?;
    Some(Head { live, deleted, fields, names, counts_len, entries: rows.len() - rest.len() })
}

/// An entry where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Its id.
    pub(crate) id: Id,
    /// The rest of it is a trace.
    deleted: bool,
    /// Pairs of field and value.
    pub(crate) pairs: usize,
    /// The fields, if they are the block's.
    names: Option<&'a [u8]>,
    /// Values; fields with values.
    body: &'a [u8],
    /// Where it begins in the block.
    at: usize,
}

impl<'a> Entry<'a> {
    /// Whether its rows end with how many they are.
    fn said(&self, rows: &[u8]) -> bool {
        let fields = if self.names.is_some() { self.pairs } else { 2 * self.pairs + 1 };
        let count = Item::Int((fields + FIXED).cast_signed() as i64);
        pack::last(rows).is_some_and(|(said, _)| said == count)
    }

    /// Fields and values.
    pub(crate) fn items(self) -> impl Iterator<Item = (Item<'a>, Item<'a>)> {
        let mut names = Items::new(self.names.unwrap_or_default());
        let mut body = Items::new(self.body);
        core::iter::from_fn(move || {
            let name = if self.names.is_some() { names.next() } else { body.next() };
            Some((name?, body.next()?))
        })
    }
}

/// The entries of a block, from either end.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    first: Id,
    head: Option<Head<'a>>,
    rest: &'a [u8],
    /// Where `rest` begins in the block.
    at: usize,
}

impl<'a> Entries<'a> {
    /// Takes the entry at the front, deleted or not.
    fn take_front(&mut self) -> Option<Entry<'a>> {
        let (head, mut rest) = (self.head?, self.rest);
        let flags = take_int(&mut rest)?;
        let ms = self.first.ms.wrapping_add(take_int(&mut rest)?.cast_unsigned());
        let seq = self.first.seq.wrapping_add(take_int(&mut rest)?.cast_unsigned());
        let same = flags & SAME_FIELDS != 0;
        let pairs = if same { head.fields } else { usize::try_from(take_int(&mut rest)?).ok()? };
        let body = take_rows(&mut rest, if same { pairs } else { pairs.checked_mul(2)? })?;
        take_int(&mut rest)?;
        let at = self.at;
        self.at += self.rest.len() - rest.len();
        self.rest = rest;
        let names = same.then_some(head.names);
        Some(Entry { id: Id { ms, seq }, deleted: flags & DELETED != 0, pairs, names, body, at })
    }

    /// Takes the entry at the end, deleted or not.
    fn take_back(&mut self) -> Option<Entry<'a>> {
        let (count, mut length) = pack::last(self.rest)?;
        let Item::Int(count) = count else { return None };
        for _ in 0..count {
            let front = self.rest.get(..self.rest.len().checked_sub(length)?)?;
            length += pack::last(front)?.1;
        }
        let (before, entry) = self.rest.split_at_checked(self.rest.len().checked_sub(length)?)?;
        let at = self.at + before.len();
        let mut one = Self { rest: entry, at, ..*self };
        self.rest = before;
        one.take_front()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let entry = self.take_front()?;
            if !entry.deleted {
                return Some(entry);
            }
        }
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            let entry = self.take_back()?;
            if !entry.deleted {
                return Some(entry);
            }
        }
    }
}

fn put_int(rows: &mut Vec<u8>, number: i64) {
    Item::Int(number).encode(rows);
}

impl Block {
    /// A block that begins with this entry.
    pub(crate) fn new(id: Id, pairs: Args<'_>) -> Self {
        let fields = pairs.len() / 2;
        let mut rows = Vec::with_capacity(room(pairs) * 2);
        put_int(&mut rows, 0);
        put_int(&mut rows, 0);
        put_int(&mut rows, fields.cast_signed() as i64);
        pairs.iter().step_by(2).for_each(|name| Item::of(name).encode(&mut rows));
        put_int(&mut rows, 0);
        let mut block = Self { first: id, rows: Rows::Open(Arc::new(rows)) };
        block.append(id, pairs);
        block
    }

    /// A block that was read, if its rows are one.
    pub(crate) fn checked(first: Id, rows: Vec<u8>) -> Option<Self> {
        let block = Self { first, rows: Rows::Closed(rows.into()) };
        block.check()?;
        Some(block)
    }

    /// As many entries of damaged rows as are right, under counts that are: `None` if that is none.
    /// Every row is a whole entry of a listpack.
    pub(crate) fn mended(first: Id, rows: &[u8]) -> Option<Self> {
        let head = head(rows).filter(|head| head.fields > 0)?;
        let zero = rows.get(..head.entries).and_then(pack::last)?.0;
        let mut entries =
            Entries { first, head: Some(head), rest: rows.get(head.entries..)?, at: head.entries };
        let (mut live, mut deleted, mut end, mut before) = (0, 0, head.entries, None);
        while let Some(entry) = entries.take_front()
            && entry.said(rows.get(entry.at..entries.at).unwrap_or_default())
            && before.map_or(entry.id >= first, |before| before < entry.id)
        {
            (before, end) = (Some(entry.id), entries.at);
            if entry.deleted { deleted += 1 } else { live += 1 }
        }
        if live == 0 || zero != Item::Int(0) {
            return None;
        }
        let mut mended = Vec::with_capacity(end + 2);
        put_int(&mut mended, live);
        put_int(&mut mended, deleted);
        mended.extend_from_slice(rows.get(head.counts_len..end)?);
        Self::checked(first, mended)
    }

    /// Every entry is whole and says its length, ids rise, and the counts are right.
    fn check(&self) -> Option<()> {
        let head = head(&self.rows)?;
        let zero = self.rows.get(..head.entries).and_then(pack::last)?.0;
        let (mut live, mut deleted) = (0, 0);
        let (mut entries, mut before) = (self.all(), None);
        while !entries.rest.is_empty() {
            let start = entries.rest;
            let entry = entries.take_front()?;
            let rows = start.get(..start.len() - entries.rest.len())?;
            let rises = before.map_or(entry.id >= self.first, |before| before < entry.id);
            if !entry.said(rows) || !rises {
                return None;
            }
            before = Some(entry.id);
            if entry.deleted { deleted += 1 } else { live += 1 }
        }
        let counted = (live, deleted) == (head.live, head.deleted) && before.is_some();
        (counted && zero == Item::Int(0) && head.fields > 0).then_some(())
    }

    /// Its rows.
    pub(crate) fn rows(&self) -> &[u8] {
        &self.rows
    }

    /// Length as Redis counts it.
    pub(crate) fn listpack_len(&self) -> usize {
        self.rows.len() + FRAME
    }

    fn head(&self) -> Option<Head<'_>> {
        head(&self.rows)
    }

    /// Entries that are there, and entries that were deleted.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let mut rest = &self.rows[..];
        let mut next = || take_int(&mut rest).and_then(|count| u64::try_from(count).ok());
        (next().unwrap_or(0), next().unwrap_or(0))
    }

    /// All entries.
    fn all(&self) -> Entries<'_> {
        let head = self.head();
        let at = head.map_or(self.rows.len(), |head| head.entries);
        Entries { first: self.first, head, rest: self.rows.get(at..).unwrap_or_default(), at }
    }

    /// The entries that are there.
    pub(crate) fn entries(&self) -> Entries<'_> {
        self.all()
    }

    /// The ids of all entries, and whether each was deleted.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (Id, bool)> {
        let mut all = self.all();
        core::iter::from_fn(move || all.take_front().map(|entry| (entry.id, entry.deleted)))
    }

    /// The id of its last entry, deleted or not.
    pub(crate) fn last_id(&self) -> Id {
        self.all().take_back().map_or(self.first, |entry| entry.id)
    }

    /// Adds an entry; its id is above all others.
    pub(crate) fn append(&mut self, id: Id, pairs: Args<'_>) {
        let Some(Head { live, deleted, fields, names, counts_len, .. }) = self.head() else {
            return;
        };
        let same = fields == pairs.len() / 2
            && Items::new(names).zip(pairs.iter().step_by(2)).all(|(a, b)| a == Item::of(b));
        let first = self.first;
        self.rows.edit(room(pairs), |rows| {
            put_int(rows, if same { SAME_FIELDS } else { 0 });
            put_int(rows, id.ms.wrapping_sub(first.ms).cast_signed());
            put_int(rows, id.seq.wrapping_sub(first.seq).cast_signed());
            let mut count = FIXED + fields_of(pairs);
            if same {
                pairs.iter().skip(1).step_by(2).for_each(|value| Item::of(value).encode(rows));
            } else {
                put_int(rows, fields_of(pairs).cast_signed() as i64);
                pairs.iter().for_each(|item| Item::of(item).encode(rows));
                count += fields_of(pairs) + 1;
            }
            put_int(rows, count.cast_signed() as i64);
            put_counts(rows, counts_len, live + 1, deleted);
        });
    }

    /// Marks entries as deleted: those that `choose` names, asked in order for what is there and
    /// what is not (`true`), until it says `None`. How many they are.
    pub(crate) fn delete(
        &mut self,
        mut choose: impl FnMut(&Entry<'_>, bool) -> Option<bool>,
    ) -> u64 {
        let mut chosen = Vec::new();
        let mut entries = self.all();
        while let Some(entry) = entries.take_front() {
            match choose(&entry, entry.deleted) {
                None => break,
                Some(true) if !entry.deleted => chosen.push(entry.at),
                Some(_) => {}
            }
        }
        if chosen.is_empty() {
            return 0;
        }
        let Some(Head { live, deleted, counts_len, .. }) = self.head() else { return 0 };
        let gone = chosen.len() as i64;
        let was_closed = !matches!(self.rows, Rows::Open(_));
        self.rows.edit(0, |rows| {
            // From the back, so that places before keep their meaning.
            for &at in chosen.iter().rev() {
                let Some(rest) = rows.get(at..) else { continue };
                let Some((Item::Int(flags), length)) = pack::first(rest) else { continue };
                let flags = Item::Int(flags | DELETED).encoded();
                pack::splice(rows, at..at + length, &flags);
            }
            put_counts(rows, counts_len, (live - gone).max(0), deleted + gone);
        });
        if was_closed {
            self.rows.close();
        }
        gone.cast_unsigned()
    }

    /// Nothing will be added: gives back memory that was held for growth.
    pub(crate) fn close(&mut self) {
        self.rows.close();
    }
}

/// Says how many entries there are, in the first two rows.
fn put_counts(rows: &mut Vec<u8>, counts_len: usize, live: i64, deleted: i64) {
    let mut counts = Vec::with_capacity(8);
    put_int(&mut counts, live);
    put_int(&mut counts, deleted);
    pack::splice(rows, 0..counts_len, &counts);
}

/// A block's vector grows by no more than this at once.
const GROWTH_MAX: usize = 1 << 10;

fn fields_of(pairs: Args<'_>) -> usize {
    pairs.len() / 2
}

/// Bytes that an entry's rows take at most, as a rule.
fn room(pairs: Args<'_>) -> usize {
    /// Rows besides fields and values.
    const BESIDES: usize = 40;
    pairs.iter().map(|item| item.len() + 4).sum::<usize>() + BESIDES
}
