//! Streams: blocks of entries by id, and consumer groups.
//!
//! A stream is large from its first entry on, as in Redis, where it has one encoding. Its blocks
//! are those that Redis would make ([`block`]); each is shared, and so are the nodes of the tree in
//! which they lie, so a clone costs some counters and a write copies one block.

mod block;
mod group;
mod id;
mod producers;
mod refs;
mod sorted;
#[cfg(test)]
mod tests;

pub(crate) use block::{Block, Entry};
pub(crate) use group::{Consumer, Group, Pending};
pub(crate) use id::{Id, Wanted};
pub(crate) use producers::{
    Claim, DURATION_MAX, Producer, Producers, SIZE_MAX, token, token_of_content,
};
pub(crate) use refs::Refs;
pub(crate) use sorted::{Row, Sorted};

use super::tree::{Leaf as _, Tree};
use super::{Form, Kind, Open, View};
use crate::side::settings::Limits;
use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};
use quorate_resp::Args;
use triomphe::Arc;

/// A stream, in a box: every write takes it out of its place and puts it back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream(Box<Parts>);

impl Stream {
    /// Drops it leaf by leaf: see [`Garbage::free`](crate::Garbage::free).
    pub(crate) fn free(self, pause: &mut dyn FnMut()) {
        let parts = *self.0;
        parts.blocks.free(pause);
        parts.groups.free(pause);
    }
}

impl Deref for Stream {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Stream {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

/// All of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    blocks: Tree<Sorted<Block>>,
    len: u64,
    facts: Facts,
    groups: Tree<Sorted<Group>>,
    producers: Option<Arc<Producers>>,
}

/// What a stream knows besides its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The last id that was given.
    pub(crate) last: Id,
    /// The first entry, as Redis records it: 0-0 without entries.
    pub(crate) first: Id,
    /// The greatest id that XDEL took.
    pub(crate) deleted: Id,
    /// Entries ever added.
    pub(crate) added: u64,
}

/// What is to be removed from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trim {
    /// Down to so many entries.
    Length(u64),
    /// Everything below this id.
    Below(Id),
}

/// Why an entry cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CannotAdd {
    /// The last id of all is given.
    Exhausted,
    /// Its id is not above the last one.
    NotAbove,
    /// Its fields and values are more than Redis stores in one.
    TooLarge,
}

/// More than this Redis stores in no block.
const BLOCK_BYTES_MAX: usize = 1 << 30;

impl Stream {
    /// Of what was read.
    pub(crate) fn of_parts(blocks: Tree<Sorted<Block>>, len: u64, facts: Facts) -> Self {
        Self(Box::new(Parts { blocks, len, facts, ..Parts::default() }))
    }
}

impl Parts {
    /// Entries.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Ids and counters.
    pub(crate) fn facts(&self) -> Facts {
        self.facts
    }

    /// The same, to be changed.
    pub(crate) fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// Its blocks.
    pub(crate) fn blocks(&self) -> &Tree<Sorted<Block>> {
        &self.blocks
    }

    /// Its groups.
    pub(crate) fn groups(&self) -> &Tree<Sorted<Group>> {
        &self.groups
    }

    /// A group by its name.
    pub(crate) fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// Changes a group that is there.
    pub(crate) fn change_group<T>(
        &mut self,
        name: &[u8],
        work: impl FnOnce(&mut Group) -> T,
    ) -> Option<T> {
        self.groups.change(name, work)
    }

    /// Adds a group; false if there is one of this name.
    pub(crate) fn add_group(&mut self, group: Group) -> bool {
        let new = self.groups.get(&group.name).is_none();
        if new {
            self.groups.add(group);
        }
        new
    }

    /// Removes a group; false if there is none.
    pub(crate) fn remove_group(&mut self, name: &[u8]) -> bool {
        self.groups.take(name).is_some()
    }

    /// Bytes as counted for `maxmemory`.
    pub(crate) fn cost(&self) -> usize {
        let producers = self.producers.as_ref().map_or(0, |producers| producers.cost());
        size_of::<Self>() + self.blocks.bytes() + self.groups.bytes() + producers
    }

    /// The position of the block in which an entry of this id would be.
    fn block_of(&self, id: Id) -> usize {
        let (at, found) = self.blocks.place(&id);
        if found { at } else { at.saturating_sub(1) }
    }

    /// Entries from this id on.
    pub(crate) fn from(&self, start: Id) -> impl Iterator<Item = Entry<'_>> {
        let blocks = self.blocks.rows(self.block_of(start));
        blocks.flat_map(Block::entries).skip_while(move |entry| entry.id < start)
    }

    /// Entries from this id back to the first.
    pub(crate) fn back_from(&self, end: Id) -> impl Iterator<Item = Entry<'_>> {
        let blocks = self.blocks.rows_back(self.block_of(end));
        blocks.flat_map(|block| block.entries().rev()).skip_while(move |entry| entry.id > end)
    }

    /// An entry by its id.
    pub(crate) fn get(&self, id: Id) -> Option<Entry<'_>> {
        let block = self.blocks.row(self.block_of(id))?;
        block.entries().find(|entry| entry.id >= id).filter(|entry| entry.id == id)
    }

    /// The last entry's id.
    pub(crate) fn last_id(&self) -> Option<Id> {
        self.back_from(Id::MAX).next().map(|entry| entry.id)
    }

    /// The id that a new entry gets.
    pub(crate) fn next_id(&self, wanted: Wanted, now_ms: u64) -> Result<Id, CannotAdd> {
        let last = self.facts.last;
        if last == Id::MAX {
            return Err(CannotAdd::Exhausted);
        }
        let id = match wanted {
            Wanted::Auto if now_ms > last.ms => Some(Id { ms: now_ms, seq: 0 }),
            Wanted::Auto => last.next(),
            Wanted::Of(ms) if ms == last.ms => last.seq.checked_add(1).map(|seq| Id { ms, seq }),
            Wanted::Of(ms) => Some(Id { ms, seq: 0 }),
            Wanted::Exactly(id) => Some(id),
        };
        id.filter(|&id| id > last).ok_or(CannotAdd::NotAbove)
    }

    /// Adds an entry with an id from [`Parts::next_id`].
    pub(crate) fn append(
        &mut self,
        id: Id,
        pairs: Args<'_>,
        limits: Limits,
    ) -> Result<(), CannotAdd> {
        let bytes: usize = pairs.iter().map(<[u8]>::len).sum();
        if bytes > BLOCK_BYTES_MAX {
            return Err(CannotAdd::TooLarge);
        }
        let fits = self.blocks.edit_end(false, |leaf| {
            let fits = leaf.rows().last().is_some_and(|last| has_room(last, bytes, limits));
            if fits {
                let leaf = Arc::make_mut(leaf);
                leaf.change_row(leaf.len().saturating_sub(1), |last| last.append(id, pairs));
            }
            fits
        });
        if !fits {
            add_block(&mut self.blocks, Block::new(id, pairs));
        }
        self.len += 1;
        self.facts.added = self.facts.added.saturating_add(1);
        self.facts.last = id;
        if self.len == 1 {
            self.facts.first = id;
        }
        Ok(())
    }

    /// Removes entries from the front; with `whole` only whole blocks, and with a limit no more
    /// than so many entries. How many went.
    pub(crate) fn trim(&mut self, trim: Trim, whole: bool, limit: Option<u64>) -> u64 {
        let (blocks, mut gone) = self.trimmable(trim, limit);
        self.blocks.remove_range(0, blocks);
        self.len -= gone.min(self.len);
        let within = limit.is_none_or(|limit| {
            let next = self.blocks.row(0).map_or(0, |block| block.counts().0);
            gone.saturating_add(next) <= limit
        });
        if !whole && within && self.is_longer(trim) {
            let mut len = self.len;
            let deleted = self.blocks.edit_at(0, |leaf, _| {
                leaf.change_row(0, |block| {
                    block.delete(|entry, deleted| {
                        let choose = match trim {
                            Trim::Length(most) => len > most,
                            Trim::Below(least) => entry.id < least,
                        };
                        len -= u64::from(choose && !deleted).min(len);
                        choose.then_some(true)
                    })
                })
            });
            let deleted = deleted.unwrap_or(0);
            gone += deleted;
            self.len -= deleted.min(self.len);
        }
        if gone > 0 || self.len == 0 {
            self.find_first();
        }
        gone
    }

    /// Whether something is left to be trimmed.
    fn is_longer(&self, trim: Trim) -> bool {
        match trim {
            Trim::Length(most) => self.len > most,
            Trim::Below(least) => self.blocks.row(0).is_some_and(|block| block.first < least),
        }
    }

    /// Whole blocks at the front that may be trimmed, and how many entries are in them.
    pub(crate) fn trimmable(&self, trim: Trim, limit: Option<u64>) -> (usize, u64) {
        let (mut count, mut gone) = (0, 0_u64);
        for block in self.blocks.rows(0) {
            let (live, _) = block.counts();
            let left = self.len - gone.min(self.len);
            let may = match trim {
                Trim::Length(most) => left > most && left.saturating_sub(live) >= most,
                Trim::Below(least) => block.last_id() < least,
            };
            if !may || limit.is_some_and(|limit| gone.saturating_add(live) > limit) {
                break;
            }
            count += 1;
            gone += live;
        }
        (count, gone)
    }

    /// Deletes an entry; false if it is not there.
    pub(crate) fn delete(&mut self, id: Id) -> bool {
        if self.get(id).is_none() {
            return false;
        }
        let at = self.block_of(id);
        if self.blocks.row(at).is_some_and(|block| block.counts().0 == 1) {
            self.blocks.remove_range(at, 1);
        } else {
            self.blocks.edit_at(at, |leaf, within| {
                leaf.change_row(within, |block| {
                    block.delete(|entry, _| (entry.id <= id).then_some(entry.id == id))
                });
            });
        }
        self.len -= 1;
        if id > self.facts.deleted {
            self.facts.deleted = id;
        }
        if self.len == 0 || id == self.facts.first {
            self.find_first();
        }
        true
    }

    /// Records the first entry anew.
    fn find_first(&mut self) {
        let first = self.blocks.rows(0).flat_map(Block::entries).next();
        self.facts.first = first.map_or(Id::MIN, |entry| entry.id);
    }

    /// Whether an entry at or above `start` was deleted, as far as Redis remembers.
    pub(crate) fn has_gaps_from(&self, start: Id) -> bool {
        let Facts { first, deleted, .. } = self.facts;
        self.len > 0 && deleted != Id::MIN && first <= deleted && start <= deleted
    }

    /// How many entries were ever added up to an id; `None` if nobody can tell.
    pub(crate) fn count_until(&self, id: Id) -> Option<u64> {
        let Facts { last, first, deleted, added } = self.facts;
        if added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= last || id == last {
            return Some(added);
        }
        if id > last || deleted != Id::MIN && deleted >= first || id > first {
            return None;
        }
        let before = added.wrapping_sub(self.len);
        Some(if id == first { before.wrapping_add(1) } else { before })
    }

    /// How many entries a group has still to read; `None` if nobody can tell.
    ///
    /// As Redis 7.4 and 8 tell it. The counter of entries read is state, and goes on as that of 7.0
    /// does, which knows nothing of trimmed entries: where nothing was deleted but from the front,
    /// what stands behind the group's last entry is counted instead.
    pub(crate) fn lag(&self, group: &Group) -> Option<i64> {
        let Facts { first, deleted, added, .. } = self.facts;
        if added == 0 || self.len == 0 {
            return Some(0);
        }
        let is_whole = deleted < first;
        if is_whole && group.last < first {
            return Some(self.len.cast_signed());
        }
        if group.read != -1 && !self.has_gaps_from(group.last) {
            let by_counter = added.cast_signed().wrapping_sub(group.read);
            return Some(if is_whole { self.count_behind(group.last) } else { by_counter });
        }
        if group.last != Id::MIN && group.last < deleted {
            return None;
        }
        self.count_until(group.last).map(|read| added.wrapping_sub(read).cast_signed())
    }

    /// How many entries stand behind an id. Looks at every block behind it.
    fn count_behind(&self, id: Id) -> i64 {
        let at = self.block_of(id);
        let within = self
            .blocks
            .row(at)
            .map_or(0, |block| block.entries().filter(|entry| entry.id > id).count());
        let behind = self.blocks.rows(at + 1).map(|block| block.counts().0);
        (within as u64).saturating_add(behind.sum()).cast_signed()
    }

    /// A group's counter of entries read, when it goes on to an entry.
    pub(crate) fn read_until(&self, read: i64, id: Id) -> i64 {
        if read != -1 && !self.has_gaps_from(id) {
            read.wrapping_add(1)
        } else if self.facts.added > 0 {
            self.count_until(id).map_or(-1, u64::cast_signed)
        } else {
            read
        }
    }
}

/// Adds a block behind all others. The one before it is the last no longer, and lies as it will
/// stay.
pub(crate) fn add_block(blocks: &mut Tree<Sorted<Block>>, new: Block) {
    let end = blocks.len();
    if end > 0 {
        blocks.edit_at(end, |leaf, _| {
            let is_full = leaf.rows().len() >= Sorted::<Block>::ITEMS_MAX;
            leaf.change_rows(|blocks| {
                blocks.last_mut().into_iter().for_each(Block::close);
                block::gather(blocks, is_full);
            });
        });
    }
    blocks.add(new);
}

fn has_room(block: &Block, bytes: usize, limits: Limits) -> bool {
    let (entries_max, bytes_max) = limits.stream;
    let bytes_max = match usize::try_from(bytes_max).unwrap_or(usize::MAX) {
        0 => BLOCK_BYTES_MAX,
        bytes => bytes.min(BLOCK_BYTES_MAX),
    };
    let (live, deleted) = block.counts();
    block.listpack_len().saturating_add(bytes) < bytes_max
        && (entries_max == 0 || live + deleted < entries_max)
}

impl Kind for Stream {
    const FORM: Form = Form::Stream;

    /// A stream without entries is a stream.
    fn is_empty(&self) -> bool {
        false
    }

    fn enlarge(_: &mut Open<Self>) {}
}

impl<'a> View<'a, Stream> {
    /// The stream. Without one there is no key.
    pub(crate) fn stream(self) -> Option<&'a Stream> {
        self.large
    }
}

impl Open<Stream> {
    /// The stream, made if there is none.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        self.large.get_or_insert_default()
    }
}
