//! Rows in the order of their keys, in a tree.
//!
//! A stream keeps so its blocks by first id, pending entries by id, groups and consumers by name;
//! a hash its deadlines by time.

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
pub(crate) struct Sorted<R> {
    rows: Vec<R>,
    /// Sum of their [`Row::bytes`]: every write asks for it twice.
    bytes: usize,
}

impl<R> Default for Sorted<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), bytes: 0 }
    }
}

/// A leaf's vector grows by so many rows.
const GROWTH: usize = 8;

impl<R: Row> Sorted<R> {
    fn of(rows: Vec<R>) -> Self {
        let bytes = rows.iter().map(Row::bytes).sum();
        Self { rows, bytes }
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &[R] {
        &self.rows
    }

    /// Changes a row; its key must stay.
    pub(crate) fn change_row<T>(&mut self, at: usize, work: impl FnOnce(&mut R) -> T) -> Option<T> {
        let row = self.rows.get_mut(at)?;
        let before = row.bytes();
        let result = work(row);
        self.bytes = (self.bytes + row.bytes()).saturating_sub(before);
        Some(result)
    }

    /// Changes all rows; their keys must stay.
    pub(crate) fn change_rows(&mut self, work: impl FnOnce(&mut [R])) {
        work(&mut self.rows);
        self.bytes = self.rows.iter().map(Row::bytes).sum();
    }

    fn search(&self, look: &R::Look) -> Result<usize, usize> {
        self.rows.binary_search_by(|row| row.look().cmp(look))
    }

    fn insert(&mut self, at: usize, row: R) {
        if self.rows.len() == self.rows.capacity() {
            self.rows.reserve_exact(GROWTH);
        }
        self.bytes += row.bytes();
        self.rows.insert(at.min(self.rows.len()), row);
    }

    fn take(&mut self, at: usize) -> R {
        let row = self.rows.remove(at);
        self.bytes -= row.bytes().min(self.bytes);
        row
    }
}

impl<R: Row> Leaf for Sorted<R> {
    type Key = R::Key;
    const ITEMS_MAX: usize = 64;
    /// Rows of any size lie together: what is large in them is shared.
    const BYTES_MAX: usize = usize::MAX;

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn first(&self) -> R::Key {
        self.rows.first().map(Row::key).unwrap_or_default()
    }

    fn split_off(&mut self, at: usize) -> Self {
        let upper = Self::of(self.rows.split_off(at.min(self.rows.len())));
        self.rows.shrink_to_fit();
        self.bytes -= upper.bytes.min(self.bytes);
        upper
    }

    fn join(&mut self, next: &Self) {
        self.rows.reserve_exact(next.rows.len());
        self.rows.extend_from_slice(&next.rows);
        self.bytes += next.bytes;
    }

    fn remove(&mut self, part: Range<usize>) {
        let end = part.end.min(self.rows.len());
        let gone = self.rows.drain(part.start.min(end)..end);
        let bytes: usize = gone.map(|row| row.bytes()).sum();
        self.bytes -= bytes.min(self.bytes);
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
        leaf.search(look).ok().and_then(|at| leaf.rows.get(at))
    }

    /// The row at a position.
    pub(crate) fn row(&self, at: usize) -> Option<&R> {
        let (leaf, within) = self.at(at);
        leaf.rows.get(within)
    }

    /// The last row.
    pub(crate) fn last(&self) -> Option<&R> {
        self.row(self.len().checked_sub(1)?)
    }

    /// Adds a row that is not there.
    pub(crate) fn add(&mut self, row: R) {
        // Keys come in order as a rule: then leaves are filled.
        let (leaf, _) = self.at(self.len());
        let behind = leaf.rows.last().is_some_and(|last| last.look() < row.look());
        if behind && leaf.len() >= Sorted::<R>::ITEMS_MAX {
            return self.push_back(Sorted::of(alloc::vec![row]));
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
                leaf.change_row(at, work)
            },
        )
    }

    /// Takes the row of a key out. Nothing is copied if it is not there.
    pub(crate) fn take(&mut self, look: &R::Look) -> Option<R> {
        self.get(look)?;
        self.edit_find(
            |first| first.borrow() <= look,
            |leaf| leaf.search(look).ok().map(|at| leaf.take(at)),
        )
    }

    /// The rows from a position on.
    pub(crate) fn rows(&self, from: usize) -> impl Iterator<Item = &R> {
        self.leaves(from).flat_map(move |(leaf, base)| {
            leaf.rows.get(from.saturating_sub(base)..).unwrap_or_default()
        })
    }

    /// The rows from a position back to the first.
    pub(crate) fn rows_back(&self, from: usize) -> impl Iterator<Item = &R> {
        self.leaves_back(from).flat_map(move |(leaf, base)| {
            let end = from.saturating_add(1).saturating_sub(base).min(leaf.len());
            leaf.rows.get(..end).unwrap_or_default().iter().rev()
        })
    }
}
