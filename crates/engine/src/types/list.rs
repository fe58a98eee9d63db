//! Lists: a packed row, or a tree of rows.
//!
//! Redis keeps a list in a listpack up to `list-max-listpack-size`, and in a quicklist beyond. The
//! quicklist is a tree of leaves here, found by position alone; its nodes as Redis would make them
//! exist only in files, which cut the elements anew (`snapshot`).

use super::gapped::Gapped;
use super::pack::{self, Item, Items};
use super::tree::{Leaf, Tree};
use super::{Form, Kind, Open, PACKED_BYTES_MAX, View};
use crate::side::settings::Limits;
use alloc::vec::Vec;
use core::ops::Range;
use triomphe::Arc;

/// Some elements of a large list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    entries: Gapped,
    count: usize,
}

/// A leaf grows in steps of this part of itself: it is copied seldom, and wastes little.
const GROWTH: usize = 8;

impl Row {
    /// Of entries.
    pub(crate) fn new(entries: Vec<u8>, count: usize) -> Self {
        Self { entries: entries.into(), count }
    }

    /// The entries of elements, as bytes.
    fn place(&self, part: Range<usize>) -> Range<usize> {
        let start = pack::offset(&self.entries, self.count, part.start);
        let end = match part.len() {
            0 => start,
            1 => start + self.entries.get(start..).and_then(pack::first).map_or(0, |(_, len)| len),
            _ => pack::offset(&self.entries, self.count, part.end),
        };
        start..end
    }

    /// Replaces elements by an entry, or by none.
    fn put(&mut self, part: Range<usize>, entry: &[u8]) {
        let place = self.place(part.clone());
        let room = Self::BYTES_MAX.saturating_sub(self.entries.len());
        self.entries.splice(place, entry, (self.entries.len() / GROWTH).min(room));
        self.count = self.count + usize::from(!entry.is_empty()) - part.len();
    }

    fn has_room(&self, entry: &[u8]) -> bool {
        self.entries.len() + entry.len() <= Self::BYTES_MAX && self.count < Self::ITEMS_MAX
    }
}

impl Leaf for Row {
    type Key = ();
    const ITEMS_MAX: usize = 1024;
    const BYTES_MAX: usize = 4 << 10;

    fn len(&self) -> usize {
        self.count
    }

    fn bytes(&self) -> usize {
        self.entries.len()
    }

    fn first(&self) {}

    fn split_off(&mut self, at: usize) -> Self {
        let start = pack::offset(&self.entries, self.count, at);
        let upper = self.entries.get(start..).unwrap_or_default().to_vec();
        self.entries.truncate(start);
        let count = self.count - at.min(self.count);
        self.count -= count;
        Self::new(upper, count)
    }

    fn join(&mut self, next: &Self) {
        let end = self.entries.len();
        self.entries.splice(end..end, &next.entries, 0);
        self.count += next.count;
    }

    fn remove(&mut self, part: Range<usize>) {
        self.put(part, &[]);
    }
}

/// A large list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListTree(pub(crate) Tree<Row>);

impl ListTree {
    /// Bytes as counted for `maxmemory`.
    pub(crate) fn cost(&self) -> usize {
        /// What a leaf takes besides its entries.
        const LEAF: usize = 96;
        self.0.bytes() + LEAF * (1 + self.0.bytes() / Row::BYTES_MAX)
    }
}

impl Kind for ListTree {
    const FORM: Form = Form::List;

    fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    fn enlarge(open: &mut Open<Self>) {
        open.grow();
    }
}

/// Either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The first element's.
    Front,
    /// The last element's.
    Back,
}

impl<'a> View<'a, ListTree> {
    /// Elements.
    pub(crate) fn len(self) -> usize {
        self.large.map_or_else(|| pack::parts(self.packed).0, |list| list.0.len())
    }

    /// Element `at`.
    pub(crate) fn get(self, at: usize) -> Option<Item<'a>> {
        let (row, count, at) = match self.large {
            None => {
                let (count, row) = pack::parts(self.packed);
                (row, count, at)
            }
            Some(list) => {
                let (leaf, within) = list.0.at(at);
                (&leaf.entries[..], leaf.count, within)
            }
        };
        let start = if at < count { pack::offset(row, count, at) } else { return None };
        pack::first(row.get(start..)?).map(|(item, _)| item)
    }

    /// Elements from `start` on.
    pub(crate) fn from(self, start: usize) -> impl Iterator<Item = Item<'a>> {
        self.rows(start).flat_map(|(items, _)| items)
    }

    /// Elements from `start` back to the first.
    pub(crate) fn back_from(self, start: usize) -> impl Iterator<Item = Item<'a>> {
        let (count, row) = pack::parts(self.packed);
        let end = pack::offset(row, count, start.saturating_add(1).min(count));
        let packed = Items::new(row.get(..end).unwrap_or_default());
        let large = self.large.into_iter().flat_map(move |list| {
            list.0.leaves_back(start).flat_map(move |(leaf, base)| {
                let end = leaf.place(
                    start.saturating_add(1).saturating_sub(base).min(leaf.count)..leaf.count,
                );
                Items::new(leaf.entries.get(..end.start).unwrap_or_default()).rev()
            })
        });
        packed.rev().chain(large)
    }

    /// The rows from element `start` on, without what is before it, and how many elements are in
    /// each.
    pub(crate) fn rows(self, start: usize) -> impl Iterator<Item = (Items<'a>, usize)> {
        let (count, row) = pack::parts(self.packed);
        let from = pack::offset(row, count, start.min(count));
        let packed = (Items::new(row.get(from..).unwrap_or_default()), count - start.min(count));
        let large = self.large.into_iter().flat_map(move |list| {
            list.0.leaves(start).map(move |(leaf, base)| {
                let within = start.saturating_sub(base).min(leaf.count);
                let from = pack::offset(&leaf.entries, leaf.count, within);
                (Items::new(leaf.entries.get(from..).unwrap_or_default()), leaf.count - within)
            })
        });
        core::iter::once(packed).filter(|(_, count)| *count > 0).chain(large)
    }
}

/// What a change is called in the digest.
mod what {
    pub(super) const INSERT: u64 = 1;
    pub(super) const SET: u64 = 2;
    pub(super) const REMOVE: u64 = 3;
}

impl Limits {
    /// Whether a packed list of so many elements and bytes is still a listpack to Redis; with
    /// `part`, whether it fits into that part of one.
    fn list_fits(self, count: usize, bytes: usize, part: usize) -> bool {
        /// A listpack's header and end.
        const FRAME: usize = 7;
        /// Bytes of a listpack that is limited by its elements.
        const SAFE: usize = 8 << 10;
        let (count_max, bytes_max) = match self.list_size {
            size @ 0.. => (usize::try_from(size).unwrap_or(usize::MAX), SAFE),
            size => {
                let class = size.unsigned_abs().min(5) as u32 - 1;
                (usize::MAX, (4 << 10) << class)
            }
        };
        let bytes_max = bytes_max.min(PACKED_BYTES_MAX);
        count <= count_max / part && bytes + FRAME <= bytes_max / part
    }
}

impl Open<ListTree> {
    /// Elements.
    pub(crate) fn len(&self) -> usize {
        self.view().len()
    }

    /// Adds an element at an end.
    pub(crate) fn push(&mut self, end: End, element: &[u8]) {
        let at = if end == End::Front { 0 } else { self.len() };
        self.insert(at, element);
    }

    /// Puts an element before element `at`, or at the end.
    pub(crate) fn insert(&mut self, at: usize, element: &[u8]) {
        let entry = Item::of(element).encoded();
        self.note_at(what::INSERT, at, element);
        if self.large.is_none() {
            let (count, row) = (self.pack.count(), self.pack.row());
            if self.rules.limits.list_fits(count + 1, row.len() + entry.len(), 1) {
                let start = pack::offset(row, count, at.min(count));
                self.pack.splice(start..start, &entry, 1);
                return;
            }
            self.grow();
        }
        let Some(ListTree(tree)) = &mut self.large else { return };
        if at > 0 && at < tree.len() {
            return tree.edit_at(at, |leaf, within| {
                let within = within.min(leaf.count);
                leaf.put(within..within, &entry);
            });
        }
        let front = at == 0;
        let fits = tree.edit_end(front, |leaf| {
            let has_room = leaf.has_room(&entry);
            if has_room {
                let at = if front { 0 } else { leaf.count };
                Arc::make_mut(leaf).put(at..at, &entry);
            }
            has_room
        });
        match fits {
            true => {}
            false if front => tree.push_front(Row::new(entry.to_vec(), 1)),
            false => tree.push_back(Row::new(entry.to_vec(), 1)),
        }
    }

    /// Replaces element `at`, which must be there.
    pub(crate) fn set(&mut self, at: usize, element: &[u8]) {
        let entry = Item::of(element).encoded();
        self.note_at(what::SET, at, element);
        if self.large.is_none() {
            let (count, row) = (self.pack.count(), self.pack.row());
            let start = pack::offset(row, count, at);
            let end = pack::offset(row, count, at + 1);
            if self.rules.limits.list_fits(count, row.len() + entry.len() + start - end, 1) {
                self.pack.splice(start..end, &entry, 0);
                return;
            }
            self.grow();
        }
        if let Some(ListTree(tree)) = &mut self.large {
            // A leaf that is one large element is not copied to be thrown away.
            if tree.at(at).0.count == 1 {
                tree.replace_leaf(at, Row::new(entry.to_vec(), 1));
            } else {
                tree.edit_at(at, |leaf, within| leaf.put(within..within + 1, &entry));
            }
            self.shrink();
        }
    }

    /// Removes elements.
    pub(crate) fn remove(&mut self, start: usize, count: usize) {
        let count = count.min(self.len().saturating_sub(start));
        if count == 0 {
            return;
        }
        self.note_at(what::REMOVE, start, &(count as u64).to_le_bytes());
        if let Some(ListTree(tree)) = &mut self.large {
            tree.remove_range(start, count);
        } else {
            let (all, row) = (self.pack.count(), self.pack.row());
            let part = pack::offset(row, all, start)..pack::offset(row, all, start + count);
            self.pack.splice(part, &[], -count.cast_signed());
        }
        self.shrink();
    }

    fn note_at(&mut self, what: u64, at: usize, element: &[u8]) {
        self.note(what | (at as u64) << 8, element);
    }

    /// Makes it a large one, as it is.
    fn grow(&mut self) {
        let mut tree = Tree::default();
        let (mut entries, mut count) = (Vec::new(), 0);
        let mut rest = Items::new(self.pack.row());
        loop {
            let before = rest.rest();
            let more = rest.next().is_some();
            let entry = before.get(..before.len() - rest.rest().len()).unwrap_or_default();
            if !more || count > 0 && entries.len() + entry.len() > Row::BYTES_MAX {
                entries.shrink_to_fit();
                tree.push_back(Row::new(core::mem::take(&mut entries), count));
                count = 0;
            }
            if !more {
                break;
            }
            entries.extend_from_slice(entry);
            count += 1;
        }
        self.pack.clear();
        self.large = Some(ListTree(tree));
    }

    /// A large list that became small is packed again, with some distance: Redis wants it half as
    /// large as the limit.
    fn shrink(&mut self) {
        let Some(ListTree(tree)) = &self.large else { return };
        if !self.rules.limits.list_fits(tree.len(), tree.bytes(), 2) {
            return;
        }
        let (mut row, count) = (Vec::with_capacity(tree.bytes()), tree.len());
        for (leaf, _) in tree.leaves(0) {
            row.extend_from_slice(&leaf.entries);
        }
        self.large = None;
        self.pack.splice(0..0, &row, count.cast_signed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::tests::cases;
    use crate::types::Rules;
    use alloc::vec;
    use proptest::prelude::*;

    fn all(list: View<'_, ListTree>) -> Vec<Vec<u8>> {
        list.from(0).map(|item| item.bytes().into_owned()).collect()
    }

    proptest! {
        #![proptest_config(cases(100))]
        #[test]
        fn a_list_is_a_vector(
            size in prop::sample::select(vec![-1, -2, 3, 128]),
            steps in prop::collection::vec(
                (0..5_u8, any::<usize>(), prop::sample::select(vec![1_usize, 20, 500, 6000])),
                0..400,
            ),
        ) {
            let limits = Limits { list_size: size, ..Limits::default() };
            let rules = Rules { limits, ..Rules::default() };
            let pack = pack::Pack::open(b"head".to_vec(), 4);
            let mut list = Open::<ListTree>::new(Form::List, pack, None, rules);
            let mut model: Vec<Vec<u8>> = Vec::new();
            for (number, (step, at, length)) in steps.into_iter().enumerate() {
                let at = at % (model.len() + 1);
                let element = vec![number as u8; length];
                match step {
                    0 => { list.push(End::Front, &element); model.insert(0, element); }
                    1 => { list.push(End::Back, &element); model.push(element); }
                    2 => { list.insert(at, &element); model.insert(at, element); }
                    3 if at < model.len() => { list.set(at, &element); model[at] = element; }
                    _ => {
                        let count = length % 7;
                        list.remove(at, count);
                        model.drain(at..(at + count).min(model.len()));
                    }
                }
                prop_assert_eq!(list.len(), model.len());
                prop_assert_eq!(list.is_empty(), model.is_empty());
            }
            prop_assert!(all(list.view()) == model);
            for (at, element) in model.iter().enumerate() {
                prop_assert!(list.view().get(at).unwrap().bytes() == element.as_slice());
            }
            prop_assert!(list.view().get(model.len()).is_none());
            for start in [0, model.len() / 2, model.len().saturating_sub(1), model.len() + 3] {
                let view = list.view();
                let from: Vec<_> = view.from(start).map(|item| item.bytes().into_owned()).collect();
                prop_assert!(from == model[start.min(model.len())..]);
                let back = view.back_from(start).map(|item| item.bytes().into_owned());
                let mut back: Vec<_> = back.collect();
                back.reverse();
                prop_assert!(back == model[..(start + 1).min(model.len())]);
            }
        }
    }
}
