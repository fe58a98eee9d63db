//! Rows in the order of their keys, in a tree: blocks by first id, pending entries by id, groups
//! and consumers by name.

use super::super::tree::{Leaf, Tree};
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt::Debug;
use core::ops::Range;

/// What lies in such a tree.
pub(crate) trait Row: Clone + Debug {
    /// What rows are ordered by; no two rows have the same.
    type Key: Clone + Debug + Borrow<Self::Look> + Default;
    /// The same, borrowed.
    type Look: Ord + ?Sized;

    /// The row's key.
    fn key(&self) -> Self::Key;

    /// The same, borrowed.
    fn look(&self) -> &Self::Look;

    /// Bytes as counted for `maxmemory`.
    fn bytes(&self) -> usize;
}

/// A leaf of rows.
#[derive(Clone, Debug)]
pub(crate) struct Sorted<R>(Vec<R>);

impl<R> Default for Sorted<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A leaf's vector grows by so many rows.
const GROWTH: usize = 8;

impl<R: Row> Sorted<R> {
    /// The rows.
    pub(crate) fn rows(&self) -> &[R] {
        &self.0
    }

    /// A row to be changed; its key must stay.
    pub(crate) fn row_mut(&mut self, at: usize) -> Option<&mut R> {
        self.0.get_mut(at)
    }

    /// All rows to be changed; their keys must stay.
    pub(crate) fn rows_mut(&mut self) -> &mut [R] {
        &mut self.0
    }

    fn search(&self, look: &R::Look) -> Result<usize, usize> {
        self.0.binary_search_by(|row| row.look().cmp(look))
    }

    fn insert(&mut self, at: usize, row: R) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(GROWTH);
        }
        self.0.insert(at.min(self.0.len()), row);
    }
}

impl<R: Row> Leaf for Sorted<R> {
    type Key = R::Key;
    const ITEMS_MAX: usize = 64;
    /// Rows of any size lie together: what is large in them is shared.
    const BYTES_MAX: usize = usize::MAX;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Row::bytes).sum()
    }

    fn first(&self) -> R::Key {
        self.0.first().map(Row::key).unwrap_or_default()
    }

    fn split_off(&mut self, at: usize) -> Self {
        let upper = self.0.split_off(at.min(self.0.len()));
        self.0.shrink_to_fit();
        Self(upper)
    }

    fn join(&mut self, next: &Self) {
        self.0.reserve_exact(next.0.len());
        self.0.extend_from_slice(&next.0);
    }

    fn remove(&mut self, part: Range<usize>) {
        let end = part.end.min(self.0.len());
        self.0.drain(part.start.min(end)..end);
    }
}

impl<R: Row> Tree<Sorted<R>> {
    /// The position of the first row that is not below a key, and whether it has that key.
    pub(crate) fn place(&self, look: &R::Look) -> (usize, bool) {
        let (leaf, base) = self.find(|first| first.borrow() <= look);
        match leaf.search(look) {
            Ok(at) => (base + at, true),
            Err(at) => (base + at, false),
        }
    }

    /// The row of a key.
    pub(crate) fn get(&self, look: &R::Look) -> Option<&R> {
        let leaf = self.leaf(|first| first.borrow() <= look);
        leaf.search(look).ok().and_then(|at| leaf.0.get(at))
    }

    /// The row at a position.
    pub(crate) fn row(&self, at: usize) -> Option<&R> {
        let (leaf, within) = self.at(at);
        leaf.0.get(within)
    }

    /// The last row.
    pub(crate) fn last(&self) -> Option<&R> {
        self.row(self.len().checked_sub(1)?)
    }

    /// Adds a row that is not there.
    pub(crate) fn add(&mut self, row: R) {
        // Keys come in order as a rule: then leaves are filled.
        let (leaf, _) = self.at(self.len());
        let behind = leaf.0.last().is_some_and(|last| last.look() < row.look());
        if behind && leaf.len() >= Sorted::<R>::ITEMS_MAX {
            return self.push_back(Sorted(alloc::vec![row]));
        }
        let key = row.key();
        self.edit_find(
            |first| first.borrow() <= key.borrow(),
            |leaf| {
                if let Err(at) = leaf.search(key.borrow()) {
                    leaf.insert(at, row);
                }
            },
        );
    }

    /// Changes the row of a key, which stays.
    pub(crate) fn change<T>(
        &mut self,
        look: &R::Look,
        work: impl FnOnce(&mut R) -> T,
    ) -> Option<T> {
        self.get(look)?;
        self.edit_find(
            |first| first.borrow() <= look,
            |leaf| {
                let at = leaf.search(look).ok()?;
                leaf.0.get_mut(at).map(work)
            },
        )
    }

    /// Takes the row of a key out. Nothing is copied if it is not there.
    pub(crate) fn take(&mut self, look: &R::Look) -> Option<R> {
        self.get(look)?;
        self.edit_find(
            |first| first.borrow() <= look,
            |leaf| leaf.search(look).ok().map(|at| leaf.0.remove(at)),
        )
    }

    /// The rows from a position on.
    pub(crate) fn rows(&self, from: usize) -> impl Iterator<Item = &R> {
        self.leaves(from).flat_map(move |(leaf, base)| {
            leaf.0.get(from.saturating_sub(base)..).unwrap_or_default()
        })
    }

    /// The rows from a position back to the first.
    pub(crate) fn rows_back(&self, from: usize) -> impl Iterator<Item = &R> {
        self.leaves_back(from).flat_map(move |(leaf, base)| {
            let end = from.saturating_add(1).saturating_sub(base).min(leaf.len());
            leaf.0.get(..end).unwrap_or_default().iter().rev()
        })
    }
}
