//! The keys of one database in scan order: (slot, keyed hash, key), whatever the order they came
//! in.
//!
//! Slots stand in groups of 128, allocated with their first key, so that a database with few keys
//! costs a few kilobytes; groups also count their keys, which makes a random pick short.

use super::page::Page;
use super::record::Record;
use super::slot::Slot;
use crate::digest::next_random;
use crate::point::{Point, SLOTS};
use alloc::boxed::Box;
use alloc::vec::Vec;

const GROUP: usize = 128;

/// Invariant: each count is the sum of the lengths below it; a group without keys is not allocated.
#[derive(Debug, Default)]
pub(crate) struct Table {
    groups: Vec<Option<Box<Group>>>,
    count: u64,
}

#[derive(Debug)]
struct Group {
    slots: [Slot; GROUP],
    /// Keys of each slot.
    counts: [u32; GROUP],
    count: u64,
}

impl Table {
    /// How many keys.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Drops all records: see [`Garbage::free`](super::Garbage::free).
    pub(super) fn free(self, pause: &mut dyn FnMut()) {
        for group in self.groups.into_iter().flatten() {
            group.slots.into_iter().for_each(|slot| slot.free(pause));
        }
    }

    fn slot(&self, slot: usize) -> Option<&Slot> {
        self.groups.get(slot / GROUP)?.as_ref()?.slots.get(slot % GROUP)
    }

    fn slot_mut(&mut self, slot: usize) -> Option<&mut Slot> {
        self.groups.get_mut(slot / GROUP)?.as_mut()?.slots.get_mut(slot % GROUP)
    }

    /// The page where a key belongs.
    pub(super) fn page(&self, at: Point) -> Option<&Page> {
        self.slot(usize::from(at.slot))?.page(at.hash)
    }

    /// The record of a key.
    pub(crate) fn get(&self, at: Point, key: &[u8]) -> Option<&Record> {
        self.slot(usize::from(at.slot))?.get(at.hash, key)
    }

    /// The record of a key, to be changed; its key must stay.
    pub(crate) fn get_mut(&mut self, at: Point, key: &[u8]) -> Option<&mut Record> {
        self.slot_mut(usize::from(at.slot))?.get_mut(at.hash, key)
    }

    /// Puts a record at its key's point; gives back what it replaced.
    pub(crate) fn insert(&mut self, at: Point, record: Record) -> Option<Record> {
        if self.groups.is_empty() {
            self.groups.resize_with(SLOTS / GROUP, || None);
        }
        let slot = usize::from(at.slot);
        let group = self.groups.get_mut(slot / GROUP)?.get_or_insert_with(|| {
            let slots = core::array::from_fn(|_| Slot::Empty);
            Box::new(Group { slots, counts: [0; GROUP], count: 0 })
        });
        let old = group.slots.get_mut(slot % GROUP)?.insert(at.hash, record);
        if old.is_none() {
            *group.counts.get_mut(slot % GROUP)? += 1;
            group.count += 1;
            self.count += 1;
        }
        old
    }

    /// Takes a key's record out.
    pub(crate) fn remove(&mut self, at: Point, key: &[u8]) -> Option<Record> {
        let slot = usize::from(at.slot);
        let place = self.groups.get_mut(slot / GROUP)?;
        let group = place.as_mut()?;
        let keys = group.slots.get_mut(slot % GROUP)?;
        let record = keys.remove(at.hash, key)?;
        let count = group.counts.get_mut(slot % GROUP)?;
        *count -= 1;
        if *count == 0 {
            *keys = Slot::Empty;
        }
        group.count -= 1;
        if group.count == 0 {
            *place = None;
        }
        self.count -= 1;
        Some(record)
    }

    /// Every record at or behind (`slot`, `hash`), in order.
    pub(crate) fn walk(&self, slot: usize, hash: u32) -> Walk<'_> {
        let mut walk = Walk { table: self, slot, page: None, at: 0, warms: false };
        if let Some(page) = self.slot(slot).and_then(|slot| slot.page(hash)) {
            walk.page = Some(page);
            walk.at = page.lower_bound(hash);
        } else {
            walk.slot = slot.saturating_add(1);
            walk.next_slot();
        }
        walk
    }

    /// The same for somebody who reads the records, many of them: those of a page are brought into
    /// the cache together. A digest of a million short strings took 130 ns a key, and 275 without.
    pub(crate) fn walk_warmed(&self, slot: usize, hash: u32) -> Walk<'_> {
        let walk = Walk { warms: true, ..self.walk(slot, hash) };
        walk.warm();
        walk
    }

    /// Gives the records at or behind (slot, hash) to `visit`, which may change all but their keys,
    /// until it has enough or a page ends; records of one hash are given together. Where to go on,
    /// if there may be more.
    pub(crate) fn visit(
        &mut self,
        (slot, hash): (usize, u32),
        visit: &mut dyn FnMut(&mut Record) -> bool,
    ) -> Option<(usize, u32)> {
        let first = self.slot_with_keys(slot)?;
        let hash = if first == slot { hash } else { 0 };
        let page = self.slot_mut(first)?.page_mut(hash)?;
        let mut at = page.lower_bound(hash);
        page.touch_from(at);
        while let Some(record) = page.entry_mut(at) {
            let enough = !visit(record);
            let (this, next) = (page.hash(at), page.hash(at + 1));
            at += 1;
            if let Some(next) = next.filter(|_| enough && this != next) {
                return Some((first, next));
            }
        }
        Some(u32::try_from(page.end()).map_or((first + 1, 0), |hash| (first, hash)))
    }

    /// The first slot with keys at or behind `slot`.
    fn slot_with_keys(&self, slot: usize) -> Option<usize> {
        let first = slot / GROUP;
        for (number, group) in self.groups.iter().enumerate().skip(first) {
            let Some(group) = group else { continue };
            let from = if number == first { slot % GROUP } else { 0 };
            let within = group.counts.iter().skip(from).position(|&count| count > 0);
            if let Some(within) = within {
                return Some(number * GROUP + from + within);
            }
        }
        None
    }

    /// A key picked by `seed`, every key with the same chance but for the last of many tries. The
    /// choice depends on the keys alone, not on how the pages came to lie.
    pub(crate) fn pick(&self, seed: &mut u64) -> Option<&Record> {
        let (slot, count) = self.pick_slot(below(next_random(seed), self.count))?;
        // Prefixes so long that one of them holds 8 to 16 keys on average; a prefix with m of them
        // is taken with chance m/64, so that each key has the same.
        let bits = (count / 8).checked_ilog2().unwrap_or(0).min(32);
        for _ in 0..64 {
            let random = next_random(seed);
            let prefix = (random >> 32) >> (32 - bits);
            let first = (prefix << (32 - bits)) as u32;
            let same = |hash: u32| u64::from(hash) >> (32 - bits) == prefix;
            let rank = below(random << 32, if bits == 0 { count } else { 64 });
            let mut walk = self
                .walk(slot, first)
                .take_while(|found| usize::from(found.slot) == slot && same(found.hash));
            if let Some(found) = walk.nth(rank as usize) {
                return Some(found.record);
            }
        }
        self.walk(slot, 0).next().map(|found| found.record)
    }

    /// The slot that holds the key of this rank, and its length.
    fn pick_slot(&self, mut rank: u64) -> Option<(usize, u64)> {
        for (number, group) in self.groups.iter().enumerate() {
            let Some(group) = group else { continue };
            if rank >= group.count {
                rank -= group.count;
                continue;
            }
            for (within, &count) in group.counts.iter().enumerate() {
                let length = u64::from(count);
                if rank < length {
                    return Some((number * GROUP + within, length));
                }
                rank -= length;
            }
        }
        None
    }
}

/// A random number scaled to `0..limit`.
fn below(random: u64, limit: u64) -> u64 {
    ((u128::from(random) * u128::from(limit)) >> 64) as u64
}

/// One step of a walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    /// Hash slot.
    pub(crate) slot: u16,
    /// Keyed hash.
    pub(crate) hash: u32,
    /// The key and its value.
    pub(crate) record: &'a Record,
}

/// Entries in scan order.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'a> {
    table: &'a Table,
    /// Slot of `page`.
    slot: usize,
    page: Option<&'a Page>,
    /// Position in `page`.
    at: usize,
    /// Records are read ahead, a page at a time.
    warms: bool,
}

impl Walk<'_> {
    fn warm(&self) {
        if let Some(page) = self.page.filter(|_| self.warms) {
            page.touch_from(self.at);
        }
    }

    /// Goes to the first page of the first slot at or behind `self.slot` that has keys.
    fn next_slot(&mut self) {
        self.at = 0;
        self.page = None;
        while self.slot < SLOTS {
            match self.table.groups.get(self.slot / GROUP) {
                Some(Some(group)) => {
                    let page = group.slots.get(self.slot % GROUP).and_then(|slot| slot.page(0));
                    if page.is_some() {
                        self.page = page;
                        return;
                    }
                    self.slot += 1;
                }
                _ => self.slot = (self.slot / GROUP + 1) * GROUP,
            }
        }
    }

    /// Goes to the page behind this one in the same slot, or to the next slot.
    fn next_page(&mut self, page: &Page) {
        self.at = 0;
        self.page = u32::try_from(page.end())
            .ok()
            .and_then(|hash| self.table.slot(self.slot).and_then(|slot| slot.page(hash)));
        if self.page.is_none() {
            self.slot += 1;
            self.next_slot();
        }
        self.warm();
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        loop {
            let page = self.page?;
            if let (Some(hash), Some(record)) = (page.hash(self.at), page.record(self.at)) {
                self.at += 1;
                return Some(Found { slot: self.slot as u16, hash, record });
            }
            self.next_page(page);
        }
    }
}

#[cfg(test)]
impl Table {
    /// Checks the invariants of all slots, and the counts.
    pub(super) fn check(&self) {
        let mut total = 0;
        for group in self.groups.iter().flatten() {
            for (slot, &count) in group.slots.iter().zip(&group.counts) {
                assert_eq!(slot.check(), count as usize);
            }
            assert_eq!(
                group.count,
                group.counts.iter().map(|&count| u64::from(count)).sum::<u64>()
            );
            assert!(group.count > 0);
            total += group.count;
        }
        assert_eq!(total, self.count);
    }
}
