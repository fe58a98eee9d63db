//! Which keys were read by whom, by name alone: as in Redis, a name stands for that key of every
//! database.
//!
//! Whoever keeps no copies any more is not looked for in here: it is passed over when its turn
//! comes, and swept out little by little as others read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

/// Who has read one key; mostly one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Readers {
    One(u64),
    Many(BTreeSet<u64>),
}

impl Readers {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(all) => all.len(),
        }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        let (one, many) = match self {
            Self::One(one) => (Some(*one), None),
            Self::Many(all) => (None, Some(all.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn add(&mut self, reader: u64) -> bool {
        match self {
            Self::One(one) if *one == reader => false,
            Self::One(one) => {
                *self = Self::Many([*one, reader].into());
                true
            }
            Self::Many(all) => all.insert(reader),
        }
    }

    /// Keeps those for whom `stays` holds; false if nobody is left.
    fn retain(&mut self, stays: &dyn Fn(u64) -> bool) -> bool {
        match self {
            Self::One(one) => stays(*one),
            Self::Many(all) => {
                all.retain(|reader| stays(*reader));
                !all.is_empty()
            }
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Keys {
    by_name: BTreeMap<Box<[u8]>, Readers>,
    /// Readers of all keys.
    items: usize,
    /// Where the next look begins, at what is to be swept or given up.
    hand: Box<[u8]>,
}

impl Keys {
    /// How many keys.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// How many readers of keys.
    pub(super) fn items(&self) -> usize {
        self.items
    }

    /// Adds a reader of a key; false if it is one already.
    pub(super) fn add(&mut self, key: &[u8], reader: u64) -> bool {
        let added = match self.by_name.get_mut(key) {
            Some(readers) => readers.add(reader),
            None => self.by_name.insert(key.into(), Readers::One(reader)).is_none(),
        };
        self.items += usize::from(added);
        added
    }

    /// Removes a reader of a key.
    pub(super) fn remove(&mut self, key: &[u8], reader: u64) {
        let Some(readers) = self.by_name.get_mut(key) else { return };
        let before = readers.len();
        if readers.retain(&|other| other != reader) {
            self.items -= before - readers.len();
        } else {
            self.items -= before;
            self.by_name.remove(key);
        }
    }

    /// Takes a key out with all its readers.
    pub(super) fn take(&mut self, key: &[u8]) -> Option<Readers> {
        let readers = self.by_name.remove(key)?;
        self.items -= readers.len();
        Some(readers)
    }

    /// The name that the hand comes to next; it goes round.
    fn next(&mut self) -> Option<Box<[u8]>> {
        let behind = self.by_name.range::<[u8], _>((Excluded(&*self.hand), Unbounded)).next();
        let (name, _) = behind.or_else(|| self.by_name.first_key_value())?;
        self.hand = name.clone();
        Some(name.clone())
    }

    /// Takes any key out.
    pub(super) fn take_any(&mut self) -> Option<(Box<[u8]>, Readers)> {
        let name = self.next()?;
        self.take(&name).map(|readers| (name, readers))
    }

    /// Drops, of so many keys, the readers for whom `stays` does not hold.
    pub(super) fn sweep(&mut self, keys: usize, stays: &dyn Fn(u64) -> bool) {
        for _ in 0..keys {
            let Some(name) = self.next() else { return };
            let Some(readers) = self.by_name.get_mut(&name) else { return };
            let before = readers.len();
            if readers.retain(stays) {
                self.items -= before - readers.len();
            } else {
                self.items -= before;
                self.by_name.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(readers: Option<&Readers>) -> Vec<u64> {
        readers.into_iter().flat_map(Readers::iter).collect()
    }

    #[test]
    fn readers_are_counted_and_taken_with_their_key() {
        let mut keys = Keys::default();
        for (key, reader, is_new) in [("a", 1, true), ("a", 1, false), ("a", 2, true)] {
            assert_eq!(keys.add(key.as_bytes(), reader), is_new);
        }
        keys.add(b"b", 2);
        assert_eq!((keys.len(), keys.items()), (2, 3));
        keys.remove(b"a", 1);
        keys.remove(b"a", 7);
        keys.remove(b"none", 1);
        assert_eq!((keys.len(), keys.items()), (2, 2));
        keys.add(b"a", 3);
        assert_eq!(names(keys.take(b"a").as_ref()), [2, 3]);
        keys.remove(b"b", 2);
        assert_eq!((keys.len(), keys.items()), (0, 0));
        assert_eq!(names(keys.take(b"a").as_ref()), Vec::<u64>::new());
        assert!(keys.take_any().is_none());
    }

    #[test]
    fn the_hand_comes_to_every_key() {
        let mut keys = Keys::default();
        for key in 0..100_u8 {
            keys.add(&[key], u64::from(key % 3));
            keys.add(&[key], 7);
        }
        for _ in 0..50 {
            keys.sweep(2, &|reader| reader != 7);
        }
        assert_eq!((keys.len(), keys.items()), (100, 100));
        keys.sweep(30, &|reader| reader == 1);
        keys.sweep(30, &|reader| reader == 1);
        let left: Vec<_> = std::iter::from_fn(|| keys.take_any()).collect();
        assert_eq!((left.len(), keys.items()), (60, 0));
        assert!(left.iter().any(|(_, readers)| readers.iter().eq([0])));
    }
}
