//! Hashes: fields and values in turn, packed while small (`hash-max-listpack-*`), a tree of leaves
//! in hash order beyond.
//!
//! A hash never goes back to the smaller form, as in Redis. The order in which fields are seen is
//! state: as they came, or that of their hashes.

use super::members::{Elements, HashKey, hash_of};
use super::pack::{self, Item, Items};
use super::tree::{Leaf, Tree};
use super::{Form, Large, Open, PACKED_BYTES_MAX, Value, View};
use alloc::vec::Vec;

/// A large hash. An element is the entry of a field and that of its value.
#[derive(Clone, Debug, Default)]
pub(crate) struct HashTree(pub(crate) Tree<Elements>);

impl Large for HashTree {
    const FORM: Form = Form::Hash;

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Hash(hash) = value { Some(hash) } else { None }
    }

    fn of_value(value: &Value) -> Option<&Self> {
        if let Value::Hash(hash) = value { Some(hash) } else { None }
    }

    fn into_value(self) -> Value {
        Value::Hash(self)
    }

    fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    fn enlarge(open: &mut Open<Self>) {
        open.grow();
    }
}

/// A field with its value.
pub(crate) type Pair<'a> = (Item<'a>, Item<'a>);

/// Entries of a packed field with its value.
const STEP: usize = 2;

/// The pair at the front of a row, as which an element lies too.
fn pair(row: &[u8]) -> Option<Pair<'_>> {
    let (field, length) = pack::first(row)?;
    let (value, _) = pack::first(row.get(length..)?)?;
    Some((field, value))
}

/// The pairs of a row.
fn pairs(row: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let mut items = Items::new(row);
    core::iter::from_fn(move || Some((items.next()?, items.next()?)))
}

/// The entries of a field and its value.
pub(crate) fn element(field: Item<'_>, value: Item<'_>) -> Vec<u8> {
    let mut element = Vec::with_capacity(field.len() + value.len() + 22);
    field.encode(&mut element);
    value.encode(&mut element);
    element
}

impl<'a> View<'a, HashTree> {
    /// The packed pairs.
    fn row(self) -> &'a [u8] {
        pack::parts(self.packed).1
    }

    /// Fields.
    pub(crate) fn len(self) -> usize {
        self.large.map_or_else(|| pack::parts(self.packed).0 / STEP, |hash| hash.0.len())
    }

    /// The value of a field.
    pub(crate) fn value(self, key: HashKey, field: &[u8]) -> Option<Item<'a>> {
        let name = Item::of(field);
        match self.large {
            Some(hash) => pair(hash.0.look(hash_of(key, name), name)?).map(|(_, value)| value),
            None => pairs(self.row()).find(|(other, _)| *other == name).map(|(_, value)| value),
        }
    }

    /// Field number `at` with its value.
    pub(crate) fn get(self, at: usize) -> Option<Pair<'a>> {
        match self.large {
            Some(hash) => pair(hash.0.element(at)?),
            None => pairs(self.row()).nth(at),
        }
    }

    /// All fields with their values, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Pair<'a>> {
        let large = self.large.into_iter().flat_map(|hash| hash.0.elements(0));
        pairs(self.row()).chain(large.filter_map(|(_, element)| pair(element)))
    }

    /// Some fields from a cursor on: see [`Tree::scan`]. A small hash is given whole.
    pub(crate) fn scan(self, cursor: u64, count: usize, visit: &mut dyn FnMut(Pair<'a>)) -> u64 {
        let Some(hash) = self.large else {
            self.iter().for_each(visit);
            return 0;
        };
        hash.0.scan(cursor, count, &mut |element| pair(element).into_iter().for_each(&mut *visit))
    }

    /// Fields by their numbers, which ascend.
    pub(crate) fn picked(self, numbers: &[usize]) -> Vec<Pair<'a>> {
        let mut found = Vec::with_capacity(numbers.len());
        if self.large.is_some() && numbers.len() < self.len() / 16 {
            found.extend(numbers.iter().filter_map(|&at| self.get(at)));
            return found;
        }
        let mut wanted = numbers.iter().copied().peekable();
        for (at, pair) in self.iter().enumerate() {
            if wanted.next_if_eq(&at).is_some() {
                found.push(pair);
            }
        }
        found
    }
}

/// What a change is called in the digest.
mod what {
    pub(super) const FIELD: u64 = 1;
    pub(super) const VALUE: u64 = 2;
    pub(super) const REMOVE: u64 = 3;
}

impl Open<HashTree> {
    /// Tells what is about to be set, fields and values in turn. Where so much would not fit the
    /// small form, it is left at once.
    pub(crate) fn expect<'b>(&mut self, pairs: impl Iterator<Item = &'b [u8]>) {
        let (count_max, length_max) = self.rules.limits.hash;
        for (at, part) in (0_u64..).zip(pairs) {
            if part.len() as u64 > length_max || at / STEP as u64 >= count_max {
                self.grow();
                return;
            }
        }
    }

    /// Sets a field. True: it is new.
    pub(crate) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.note(what::FIELD, field);
        self.note(what::VALUE, value);
        let (name, value) = (Item::of(field), Item::of(value));
        if self.large.is_none() {
            if let Some(is_new) = self.set_packed(name, value) {
                return is_new;
            }
            self.grow();
        }
        let hash = hash_of(self.rules.hash_key, name);
        let element = element(name, value);
        let Some(HashTree(tree)) = &mut self.large else { return false };
        let is_new = tree.look(hash, name).is_none();
        if is_new {
            tree.insert(hash, name, &element);
        } else {
            tree.replace(hash, name, &element);
        }
        is_new
    }

    /// The same in the small form; `None` if it does not fit there.
    fn set_packed(&mut self, name: Item<'_>, value: Item<'_>) -> Option<bool> {
        let (count_max, length_max) = self.rules.limits.hash;
        let (row, count) = (self.pack.row(), self.pack.count());
        if name.len().max(value.len()) as u64 > length_max {
            return None;
        }
        let field = name.encoded();
        let found = pack::find(row, &field, STEP);
        let is_new = found.is_none();
        let (place, entries) = match found {
            Some((_, place)) => {
                let old = row.get(place.end..).and_then(pack::first).map_or(0, |(_, len)| len);
                (place.end..place.end + old, value.encoded())
            }
            None => (row.len()..row.len(), element(name, value)),
        };
        let count = count + if is_new { STEP } else { 0 };
        let bytes = row.len() + entries.len() - place.len();
        if (count / STEP) as u64 > count_max || bytes > PACKED_BYTES_MAX {
            return None;
        }
        self.pack.splice(place, &entries, if is_new { STEP.cast_signed() } else { 0 });
        Some(is_new)
    }

    /// Removes a field. False: it was not there.
    pub(crate) fn remove(&mut self, field: &[u8]) -> bool {
        let name = Item::of(field);
        let removed = if let Some(HashTree(tree)) = &mut self.large {
            let hash = hash_of(self.rules.hash_key, name);
            let found = tree.look(hash, name).is_some();
            if found {
                tree.replace(hash, name, &[]);
            }
            found
        } else {
            let row = self.pack.row();
            let found = pack::find(row, &name.encoded(), STEP).map(|(_, place)| place);
            if let Some(place) = &found {
                let value = row.get(place.end..).and_then(pack::first).map_or(0, |(_, len)| len);
                let place = place.start..place.end + value;
                self.pack.splice(place, &[], -STEP.cast_signed());
            }
            found.is_some()
        };
        if removed {
            self.note(what::REMOVE, field);
        }
        removed
    }

    /// Makes it a large one, as it is.
    fn grow(&mut self) {
        if self.large.is_some() {
            return;
        }
        let mut gathered = Elements::default();
        for (field, value) in self.view().iter() {
            gathered.push(hash_of(self.rules.hash_key, field), &element(field, value));
        }
        // What lies here has no field twice.
        self.large = Some(HashTree(gathered.into_tree().unwrap_or_default()));
        self.pack.clear();
    }

    /// Takes fields as a file has them, in its order, into an empty hash; `small` if they were
    /// packed there. False: one occurs twice.
    pub(crate) fn fill(&mut self, gathered: Elements, small: bool) -> bool {
        let (count_max, length_max) = self.rules.limits.hash;
        let lengths = gathered.from(0).filter_map(|(_, element)| pair(element));
        let longest = lengths.map(|(field, value)| field.len().max(value.len())).max();
        let (count, bytes) = (gathered.len(), gathered.bytes());
        let fits = bytes <= PACKED_BYTES_MAX
            && if self.rules.as_written {
                small
            } else {
                count as u64 <= count_max && longest.unwrap_or(0) as u64 <= length_max
            };
        let mut row = Vec::with_capacity(if fits { bytes } else { 0 });
        if fits {
            gathered.from(0).for_each(|(_, element)| row.extend_from_slice(element));
        }
        let Some(tree) = gathered.into_tree() else { return false };
        if fits {
            self.pack.splice(0..0, &row, (count * STEP).cast_signed());
        } else {
            self.large = Some(HashTree(tree));
        }
        true
    }

    /// Adds a field that a file has behind those that made the hash large. False: it is there.
    pub(crate) fn add_read(&mut self, hash: u32, element: &[u8]) -> bool {
        let (Some(HashTree(tree)), Some((name, _))) = (&mut self.large, pair(element)) else {
            return false;
        };
        let is_new = tree.look(hash, name).is_none();
        if is_new {
            tree.insert(hash, name, element);
        }
        is_new
    }
}

#[cfg(test)]
mod tests;
