//! Who wants to hear of every key that begins in a certain way (`BCAST`).
//!
//! A key is looked up once for each length that there is among the prefixes, however many clients
//! have asked. Prefixes of one client do not overlap, those of several may.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Prefixes, and who has asked for them.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    by_name: BTreeMap<Bytes, BTreeSet<u64>>,
    /// How many of them have each length: a key is looked up once for each.
    lengths: BTreeMap<usize, usize>,
}

impl Prefixes {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Somebody asks for a prefix.
    pub(super) fn join(&mut self, prefix: &Bytes, who: u64) {
        let of_prefix = self.by_name.entry(prefix.clone()).or_default();
        if of_prefix.is_empty() {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        of_prefix.insert(who);
    }

    /// Somebody asks for it no longer.
    pub(super) fn leave(&mut self, prefix: &[u8], who: u64) {
        let Some(of_prefix) = self.by_name.get_mut(prefix) else { return };
        of_prefix.remove(&who);
        if !of_prefix.is_empty() {
            return;
        }
        self.by_name.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    /// The prefixes of a key, the shortest first.
    pub(super) fn of<'p>(&'p self, key: &'p [u8]) -> impl Iterator<Item = &'p Bytes> {
        let lengths = self.lengths.keys().take_while(|length| **length <= key.len());
        let find = |length: &usize| self.by_name.get_key_value(key.get(..*length)?);
        lengths.filter_map(find).map(|(prefix, _)| prefix)
    }

    /// Who has asked for a prefix.
    pub(super) fn who(&self, prefix: &[u8]) -> impl Iterator<Item = u64> {
        self.by_name.get(prefix).into_iter().flatten().copied()
    }
}

/// Whether a key can begin with both.
pub(super) fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_every_prefix_that_it_begins_with() {
        let mut prefixes = Prefixes::default();
        let found = |prefixes: &Prefixes, key: &str| -> Vec<String> {
            let text = |prefix: &Bytes| String::from_utf8_lossy(prefix).into_owned();
            prefixes.of(key.as_bytes()).map(text).collect()
        };
        for (prefix, who) in [("a", 1), ("a:b", 2), ("b", 1), ("", 3), ("a", 4)] {
            prefixes.join(&Bytes::from_static(prefix.as_bytes()), who);
        }
        assert_eq!(prefixes.len(), 4);
        assert_eq!(found(&prefixes, "a:bc"), ["", "a", "a:b"]);
        assert_eq!(found(&prefixes, "c"), [""]);
        assert_eq!(found(&prefixes, ""), [""]);
        assert_eq!(prefixes.who(b"a").collect::<Vec<_>>(), [1, 4]);
        prefixes.leave(b"", 3);
        prefixes.leave(b"", 3);
        prefixes.leave(b"a", 1);
        assert_eq!(found(&prefixes, "a:bc"), ["a", "a:b"]);
        prefixes.leave(b"a", 4);
        prefixes.leave(b"a:b", 2);
        assert_eq!((found(&prefixes, "a:bc").len(), prefixes.len()), (0, 1));
    }
}
