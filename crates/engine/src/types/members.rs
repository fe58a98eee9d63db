//! Leaves of large sets and hashes: elements in the order of a keyed hash.
//!
//! An element is a packed entry (a set's member), or several of which the first is its name (a
//! hash's field and value). A leaf holds the elements back to back, with an index of their hashes
//! and places, so that finding one is a binary search and no walk. The hash's key is state, so the
//! order is the same on every replica, a cursor is a point in it, and no client can aim at one
//! leaf. Elements of one hash lie in one leaf, in the order of their names: the order of all
//! follows from what they are.

use super::pack::{self, Item};
use super::spread;
use super::tree::{Leaf, Tree};
use crate::point::element_hash;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::hint::black_box;
use core::ops::Range;

/// Key of the hash that orders elements.
pub(crate) type HashKey = [u64; 2];

/// Hash of a name.
pub(crate) fn hash_of(key: HashKey, name: Item<'_>) -> u32 {
    name.with(|name| element_hash(key, name))
}

/// Some elements: those of a leaf, or in any order those that will be made into leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elements {
    /// The hash of each element's name, and where it begins.
    index: Vec<(u32, u32)>,
    entries: Vec<u8>,
}

/// A leaf grows in steps of this part of itself: it is copied seldom, and wastes little.
const GROWTH: usize = 8;

/// A place in a leaf: its elements are far below 4 GiB, since commands are.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Elements {
    /// Where an element begins; the end if there is none.
    fn start(&self, at: usize) -> usize {
        self.index.get(at).map_or(self.entries.len(), |&(_, start)| start as usize)
    }

    fn hash(&self, at: usize) -> u32 {
        self.index.get(at).map_or(0, |&(hash, _)| hash)
    }

    /// The packed entries of an element.
    pub(crate) fn element(&self, at: usize) -> &[u8] {
        self.entries.get(self.start(at)..self.start(at + 1)).unwrap_or_default()
    }

    /// Every element from `at` on, with its hash.
    pub(crate) fn from(&self, at: usize) -> impl Iterator<Item = (u32, &[u8])> {
        (at..self.index.len()).map(|at| (self.hash(at), self.element(at)))
    }

    /// Where the element of this name is, or where it belongs.
    fn find(&self, hash: u32, name: Item<'_>) -> Result<usize, usize> {
        let mut at = spread::below(&self.index, hash, |&(other, _)| other);
        while self.index.get(at).is_some_and(|&(other, _)| other == hash) {
            match pack::first(self.element(at)).map(|(other, _)| other.cmp(&name)) {
                Some(Ordering::Less) => at += 1,
                Some(Ordering::Equal) => return Ok(at),
                _ => break,
            }
        }
        Err(at)
    }

    /// Adds an element behind the others, whatever its hash.
    pub(crate) fn push(&mut self, hash: u32, element: &[u8]) {
        self.put(self.index.len()..self.index.len(), hash, element);
    }

    /// Replaces elements by one, or by none.
    fn put(&mut self, part: Range<usize>, hash: u32, element: &[u8]) {
        let bytes = self.start(part.start)..self.start(part.end);
        let spare = self.entries.capacity() - self.entries.len();
        if element.len() > spare + bytes.len() {
            self.entries.reserve_exact(element.len().max(self.entries.len() / GROWTH));
        }
        let (old, new) = (bytes.len(), element.len());
        let start = bytes.start;
        pack::splice(&mut self.entries, bytes, element);
        if old != new {
            for (_, later) in self.index.get_mut(part.end..).unwrap_or_default() {
                *later = place((*later as usize + new).saturating_sub(old));
            }
        }
        let slot = (hash, place(start));
        match (element.is_empty(), part.len()) {
            (true, _) => drop(self.index.drain(part)),
            (false, 0) => {
                if self.index.len() == self.index.capacity() {
                    self.index.reserve_exact(1.max(self.index.len() / GROWTH));
                }
                self.index.insert(part.start, slot);
            }
            // Another element in one's place begins where that began.
            (false, 1) => {}
            (false, _) => drop(self.index.splice(part, [slot])),
        }
    }

    fn has_room(&self, element: &[u8]) -> bool {
        self.index.len() < Self::ITEMS_MAX && self.entries.len() + element.len() <= Self::BYTES_MAX
    }

    /// The same without elements whose name occurred before, and how many those were.
    pub(crate) fn without_repeats(&self) -> (Self, u64) {
        let name = |at: usize| pack::first(self.element(at)).map(|(name, _)| name);
        let mut order: Vec<usize> = (0..self.index.len()).collect();
        order.sort_by(|&one, &other| {
            (self.hash(one), name(one)).cmp(&(self.hash(other), name(other)))
        });
        let repeated = |pair: &&[usize; 2]| {
            let [one, next] = **pair;
            self.hash(one) == self.hash(next) && name(one) == name(next)
        };
        let mut repeats: Vec<usize> =
            order.array_windows().filter(repeated).map(|&[_, next]| next).collect();
        repeats.sort_unstable();
        let (mut left, mut skipped) = (Self::default(), repeats.iter().peekable());
        for (at, (hash, element)) in self.from(0).enumerate() {
            if skipped.next_if_eq(&&at).is_none() {
                left.push(hash, element);
            }
        }
        (left, repeats.len() as u64)
    }

    /// Sorts what was gathered into a tree; `None` if a name occurs twice.
    pub(crate) fn into_tree(self) -> Option<Tree<Self>> {
        let mut order: Vec<(u32, Option<Item<'_>>, &[u8])> = Vec::with_capacity(self.index.len());
        order
            .extend(self.from(0).map(|(hash, element)| {
                (hash, pack::first(element).map(|(name, _)| name), element)
            }));
        order.sort_unstable();
        let (mut tree, mut leaf) = (Tree::default(), Self::default());
        let mut last = None;
        for (hash, name, element) in order {
            if last == Some((hash, name)) {
                return None;
            }
            let same = last.is_some_and(|(other, _)| other == hash);
            if !leaf.has_room(element) && !same {
                tree.push_back(core::mem::take(&mut leaf).fitted());
            }
            last = Some((hash, name));
            leaf.push(hash, element);
        }
        tree.push_back(leaf.fitted());
        Some(tree)
    }

    /// Without spare memory.
    fn fitted(mut self) -> Self {
        self.index.shrink_to_fit();
        self.entries.shrink_to_fit();
        self
    }
}

impl Leaf for Elements {
    type Key = u32;
    const ITEMS_MAX: usize = 512;
    const BYTES_MAX: usize = 4 << 10;

    fn len(&self) -> usize {
        self.index.len()
    }

    fn bytes(&self) -> usize {
        self.entries.len()
    }

    fn first(&self) -> u32 {
        self.hash(0)
    }

    fn split_off(&mut self, at: usize) -> Self {
        let parted = |at: &usize| self.hash(*at) != self.hash(*at - 1);
        let near = (at.max(1)..self.index.len()).find(parted).or((1..at).rev().find(parted));
        let Some(at) = near else { return Self::default() };
        let start = self.start(at);
        let upper = self.entries.get(start..).unwrap_or_default().to_vec();
        let slots = self.index.get(at..).unwrap_or_default().iter();
        let index = slots.map(|&(hash, place)| (hash, place - start as u32)).collect();
        self.entries.truncate(start);
        self.index.truncate(at);
        self.entries.shrink_to_fit();
        self.index.shrink_to_fit();
        Self { index, entries: upper }
    }

    fn join(&mut self, next: &Self) {
        let start = self.entries.len();
        self.entries.reserve_exact(next.entries.len());
        self.entries.extend_from_slice(&next.entries);
        self.index.reserve_exact(next.index.len());
        let slots = next.index.iter();
        self.index.extend(slots.map(|&(hash, at)| (hash, place(at as usize + start))));
    }

    fn remove(&mut self, part: Range<usize>) {
        self.put(part, 0, &[]);
    }
}

impl Tree<Elements> {
    /// The element of this name.
    pub(crate) fn look(&self, hash: u32, name: Item<'_>) -> Option<&[u8]> {
        let leaf = self.leaf(|&first| first <= hash);
        leaf.find(hash, name).ok().map(|at| leaf.element(at))
    }

    /// Brings what elements of these hashes lie in into the processor's caches: a step for all
    /// before the next, since each waits for memory. Gives how many they are.
    pub(crate) fn touch<const N: usize>(&self, hashes: [Option<u32>; N]) -> usize {
        let leaves = hashes.map(|hash| {
            let hash = hash?;
            Some((self.leaf(|&first| first <= hash), hash))
        });
        let ends = leaves.iter().flatten().map(|(leaf, _)| leaf.index.len() ^ leaf.entries.len());
        black_box(ends.fold(0, |sum, end| sum ^ end));
        let lists = leaves.iter().flatten().map(|(leaf, hash)| (leaf.index.as_slice(), *hash));
        spread::touch(lists, |&(hash, _)| hash);
        let places = leaves.map(|leaf| {
            let (leaf, hash) = leaf?;
            Some((leaf, spread::below(&leaf.index, hash, |&(other, _)| other)))
        });
        // Two lines of memory, where an element lies across them.
        let ends = places.iter().flatten().map(|(leaf, at)| {
            let element = leaf.element(*at);
            element.first().copied().unwrap_or(0) ^ element.last().copied().unwrap_or(0)
        });
        black_box(ends.fold(0, |sum, end| sum ^ end));
        leaves.iter().flatten().count()
    }

    /// The elements of this hash, by their names.
    pub(crate) fn of_hash(&self, hash: u32) -> impl Iterator<Item = &[u8]> {
        let leaf = self.leaf(|&first| first <= hash);
        let start = spread::below(&leaf.index, hash, |&(other, _)| other);
        let same = leaf.from(start).take_while(move |&(other, _)| other == hash);
        same.map(|(_, element)| element)
    }

    /// Puts an element in the place of that of this name, or adds it: then it is true.
    pub(crate) fn put(&mut self, hash: u32, name: Item<'_>, element: &[u8]) -> bool {
        self.edit_find(
            |&first| first <= hash,
            |leaf| {
                let found = leaf.find(hash, name);
                match found {
                    Ok(at) => leaf.put(at..at + 1, hash, element),
                    Err(at) => leaf.put(at..at, hash, element),
                }
                found.is_err()
            },
        )
    }

    /// Adds an element that is not there.
    pub(crate) fn insert(&mut self, hash: u32, name: Item<'_>, element: &[u8]) {
        let (leaf, base) = self.find(|&first| first <= hash);
        let len = leaf.len();
        // Elements that come in order, as from a file, fill their leaves.
        let is_last = base + len == self.len() && len > 0 && leaf.hash(len - 1) < hash;
        if is_last && !leaf.has_room(element) {
            let mut leaf = Elements::default();
            leaf.push(hash, element);
            self.push_back(leaf);
        } else {
            self.edit_find(
                |&first| first <= hash,
                |leaf| {
                    let (Ok(at) | Err(at)) = leaf.find(hash, name);
                    leaf.put(at..at, hash, element);
                },
            );
        }
    }

    /// Replaces the element of this name by another one of this name, or by none if that is empty.
    pub(crate) fn replace(&mut self, hash: u32, name: Item<'_>, element: &[u8]) {
        self.edit_find(
            |&first| first <= hash,
            |leaf| {
                if let Ok(at) = leaf.find(hash, name) {
                    leaf.put(at..at + 1, hash, element);
                }
            },
        );
    }

    /// Element number `at` of all.
    pub(crate) fn element(&self, at: usize) -> Option<&[u8]> {
        let (leaf, within) = self.at(at);
        (within < leaf.len()).then(|| leaf.element(within))
    }

    /// Elements from number `at` on, with their hashes.
    pub(crate) fn elements(&self, at: usize) -> impl Iterator<Item = (u32, &[u8])> {
        self.leaves(at).flat_map(move |(leaf, base)| leaf.from(at.saturating_sub(base)))
    }

    /// Hands out elements from a point in hash order on until at least `count` were; those of one
    /// hash come together. Returns the point to go on from, 0 at the end.
    pub(crate) fn scan<'a>(
        &'a self,
        cursor: u64,
        count: usize,
        visit: &mut dyn FnMut(&'a [u8]),
    ) -> u64 {
        let Ok(point) = u32::try_from(cursor) else { return 0 };
        let (leaf, base) = self.find(|&first| first <= point);
        let start = base + leaf.index.partition_point(|&(hash, _)| hash < point);
        let mut last = None;
        for (seen, (hash, element)) in self.elements(start).enumerate() {
            if seen >= count.max(1) && last != Some(hash) {
                return u64::from(hash);
            }
            last = Some(hash);
            visit(element);
        }
        0
    }

    /// Removes elements by their numbers, which ascend.
    pub(crate) fn remove_all(&mut self, numbers: &[usize]) {
        /// When more than this part of all goes, the rest is built anew.
        const MANY: usize = 16;
        if numbers.len() <= self.len() / MANY {
            for &number in numbers.iter().rev() {
                self.remove_range(number, 1);
            }
            return;
        }
        let mut gone = numbers.iter().copied().peekable();
        let (mut kept, mut leaf) = (Self::default(), Elements::default());
        let mut last = None;
        for (number, (hash, element)) in self.elements(0).enumerate() {
            if gone.next_if_eq(&number).is_some() {
                continue;
            }
            if !leaf.has_room(element) && last != Some(hash) {
                kept.push_back(core::mem::take(&mut leaf).fitted());
            }
            last = Some(hash);
            leaf.push(hash, element);
        }
        kept.push_back(leaf.fitted());
        *self = kept;
    }

    /// Bytes as counted for `maxmemory`.
    pub(crate) fn cost(&self) -> usize {
        /// What an element takes besides its entries.
        const SLOT: usize = 8;
        /// What a leaf takes besides its elements.
        const LEAF: usize = 128;
        let bytes = self.bytes() + SLOT * self.len();
        bytes + LEAF * (1 + bytes / Elements::BYTES_MAX)
    }
}
