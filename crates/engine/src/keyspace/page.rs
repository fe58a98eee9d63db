//! A page: up to 64 keys of one slot that share the upper bits of their keyed hash, in (hash, key)
//! order.
//!
//! A hash lies beside its record: a look-up guesses the position, touches a cache line or two, and
//! follows the pointer. (Two arrays, of hashes and of records, took 4 bytes a key less and one more
//! cache miss.) Capacities grow in small exact steps: a page wastes little whatever its length.

use super::record::Record;
use alloc::vec::Vec;

/// Most keys of a page, unless their hashes cannot be told apart.
pub(super) const PAGE_MAX: usize = 64;
/// Two pages that split from one are joined when they hold no more than this: far below
/// [`PAGE_MAX`], so that keys that come and go do not split and join.
pub(super) const JOIN_MAX: usize = PAGE_MAX / 2;

/// What fits into the size classes of mimalloc (eight to a doubling at most), 24 bytes an element.
const STEPS: [usize; 20] = [1, 2, 3, 4, 5, 6, 8, 9, 10, 13, 16, 18, 21, 26, 32, 37, 42, 53, 64, 74];

/// A record with the upper half of its key's hash.
#[derive(Debug)]
struct Keyed {
    hash: u32,
    record: Record,
}

const _: () = assert!(size_of::<Keyed>() == 24, "the steps are made for this");

/// Invariants: `keys` is in (hash, key) order without duplicates; the upper `depth` bits of every
/// hash are `prefix`.
#[derive(Debug, Default)]
pub(super) struct Page {
    keys: Vec<Keyed>,
    prefix: u32,
    depth: u8,
}

impl Page {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many upper bits of the hash all keys here share by the page's place.
    pub(super) fn depth(&self) -> u8 {
        self.depth
    }

    /// Those bits, as a number.
    pub(super) fn prefix(&self) -> u32 {
        self.prefix
    }

    /// The first hash that belongs here.
    pub(super) fn start(&self) -> u32 {
        self.prefix.checked_shl(32 - u32::from(self.depth)).unwrap_or_default()
    }

    /// The first hash behind it that does not.
    pub(super) fn end(&self) -> u64 {
        (u64::from(self.prefix) + 1) << (32 - self.depth)
    }

    pub(super) fn hash(&self, at: usize) -> Option<u32> {
        self.keys.get(at).map(|keyed| keyed.hash)
    }

    pub(super) fn record(&self, at: usize) -> Option<&Record> {
        self.keys.get(at).map(|keyed| &keyed.record)
    }

    pub(super) fn entry_mut(&mut self, at: usize) -> Option<&mut Record> {
        self.keys.get_mut(at).map(|keyed| &mut keyed.record)
    }

    /// Position of the first key whose hash is not below `hash`. Hashes spread evenly over the
    /// page's range, so a guess in proportion is nearly right.
    pub(super) fn lower_bound(&self, hash: u32) -> usize {
        let within = (u64::from(hash.wrapping_sub(self.start())) << self.depth) >> 16;
        let guess = (within * self.len() as u64) >> 16;
        let mut at = (guess as usize).min(self.len());
        while at > 0 && self.hash(at - 1).is_some_and(|other| other >= hash) {
            at -= 1;
        }
        while self.hash(at).is_some_and(|other| other < hash) {
            at += 1;
        }
        at
    }

    /// The first record that a look-up of this hash would meet.
    pub(super) fn near(&self, hash: u32) -> Option<&Record> {
        self.record(self.lower_bound(hash))
    }

    /// Reads a byte of every record from `at` on: the cache misses overlap, where one record after
    /// the other would wait for each.
    pub(super) fn touch_from(&self, at: usize) {
        let rest = self.keys.get(at..).unwrap_or_default();
        let sum = rest.iter().fold(0_u8, |sum, keyed| sum.wrapping_add(keyed.record.touch()));
        core::hint::black_box(sum);
    }

    /// Where the key is, or where it belongs.
    pub(super) fn find(&self, hash: u32, key: &[u8]) -> Result<usize, usize> {
        let mut at = self.lower_bound(hash);
        while self.hash(at) == Some(hash) {
            match self.record(at).map(|record| record.key().cmp(key)) {
                Some(core::cmp::Ordering::Equal) => return Ok(at),
                Some(core::cmp::Ordering::Less) => at += 1,
                _ => break,
            }
        }
        Err(at)
    }

    /// Puts a record where [`Page::find`] said that it belongs.
    pub(super) fn insert(&mut self, at: usize, hash: u32, record: Record) {
        if self.len() == self.keys.capacity() {
            self.keys.reserve_exact(step(self.len() + 1) - self.len());
        }
        self.keys.insert(at, Keyed { hash, record });
    }

    /// Takes the record at a position that [`Page::find`] gave.
    pub(super) fn remove(&mut self, at: usize) -> Option<Record> {
        if at >= self.len() {
            return None;
        }
        let Keyed { record, .. } = self.keys.remove(at);
        let spare = self.keys.capacity() - self.len();
        if spare > 2 && spare > self.len() / 4 {
            self.keys.shrink_to(step(self.len()));
        }
        Some(record)
    }

    /// Drops all records: see [`Garbage::free`](super::Garbage::free).
    pub(super) fn free(self, pause: &mut dyn FnMut()) {
        self.keys.into_iter().for_each(|keyed| keyed.record.free(pause));
        pause();
    }

    /// Goes one bit deeper; the keys with that bit set leave for the page returned.
    pub(super) fn split(&mut self) -> Page {
        let mut upper =
            Page { prefix: self.prefix << 1 | 1, depth: self.depth + 1, ..Page::default() };
        let at = self.lower_bound(upper.start());
        self.prefix <<= 1;
        self.depth += 1;
        upper.keys.reserve_exact(step(self.len() - at + 1));
        upper.keys.extend(self.keys.drain(at..));
        self.keys.shrink_to(step(at + 1));
        upper
    }

    /// Undoes a split: `upper` is the page with the last bit set.
    pub(super) fn join(&mut self, upper: Page) {
        self.depth -= 1;
        self.prefix >>= 1;
        self.keys.reserve_exact(step(self.len() + upper.len()) - self.len());
        self.keys.extend(upper.keys);
    }
}

/// The least step that holds `length`.
fn step(length: usize) -> usize {
    STEPS.into_iter().find(|&step| step >= length).unwrap_or(length + length / 8)
}

#[cfg(test)]
impl Page {
    /// Checks the invariants.
    pub(super) fn check(&self) {
        for at in 0..self.len() {
            let hash = self.hash(at).unwrap();
            assert!(hash >= self.start() && u64::from(hash) < self.end());
            if let (Some(next), Some(record)) = (self.hash(at + 1), self.record(at + 1)) {
                assert!((hash, self.record(at).unwrap().key()) < (next, record.key()));
            }
        }
    }
}
