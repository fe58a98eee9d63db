//! The keys of one database that have a deadline, in (deadline, key) order. In a second such index
//! are the hashes that have a field with a deadline, by the earliest of each.
//!
//! Each database has its own index, so that SWAPDB and FLUSHDB move it whole; [`merge`] walks all
//! of them in (deadline, database, key) order, which is the order in which expired keys are
//! removed.

use crate::db::Db;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Invariants: `count` is the number of keys, `sum` the sum of their deadlines; no set is empty.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    deadlines: BTreeMap<u64, Keys>,
    count: u64,
    sum: u128,
}

/// The keys of one deadline: nearly always one.
#[derive(Debug)]
enum Keys {
    One(Box<[u8]>),
    Many(BTreeSet<Box<[u8]>>),
}

impl Keys {
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let (one, many) = match self {
            Self::One(key) => (Some(&**key), None),
            Self::Many(keys) => (None, Some(keys)),
        };
        one.into_iter().chain(many.into_iter().flatten().map(|key| &**key))
    }
}

impl Expiry {
    /// Keys with a deadline.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// The earliest deadline.
    pub(crate) fn first(&self) -> Option<u64> {
        self.deadlines.first_key_value().map(|(&deadline, _)| deadline)
    }

    /// Average time to the deadlines, milliseconds; 0 when most are past or there are none.
    pub(crate) fn average_ms(&self, now_ms: u64) -> u64 {
        let average = self.sum.checked_div(u128::from(self.count)).unwrap_or_default();
        (average as u64).saturating_sub(now_ms)
    }

    /// Adds a key that is not here.
    pub(crate) fn insert(&mut self, deadline: u64, key: &[u8]) {
        self.count += 1;
        self.sum += u128::from(deadline);
        match self.deadlines.get_mut(&deadline) {
            None => {
                self.deadlines.insert(deadline, Keys::One(key.into()));
            }
            Some(Keys::Many(keys)) => {
                keys.insert(key.into());
            }
            Some(place @ Keys::One(_)) => {
                let first = core::mem::replace(place, Keys::Many(BTreeSet::new()));
                if let (Keys::One(first), Keys::Many(keys)) = (first, place) {
                    keys.insert(first);
                    keys.insert(key.into());
                }
            }
        }
    }

    /// Fills an empty index with different keys, all at once: sorted and built from the left. One
    /// by one each would search a tree that is in no cache.
    pub(crate) fn fill(&mut self, mut keys: Vec<(u64, Box<[u8]>)>) {
        keys.sort_unstable();
        self.count = keys.len() as u64;
        self.sum = keys.iter().map(|&(deadline, _)| u128::from(deadline)).sum();
        let mut keys = keys.into_iter().peekable();
        let groups = core::iter::from_fn(|| {
            let (deadline, first) = keys.next()?;
            let mut next = || keys.next_if(|(other, _)| *other == deadline).map(|(_, key)| key);
            let Some(second) = next() else { return Some((deadline, Keys::One(first))) };
            let many = [first, second].into_iter().chain(core::iter::from_fn(next));
            Some((deadline, Keys::Many(many.collect())))
        });
        self.deadlines = groups.collect();
    }

    /// Removes a key that is here.
    pub(crate) fn remove(&mut self, deadline: u64, key: &[u8]) {
        self.count -= 1;
        self.sum -= u128::from(deadline);
        if let Some(Keys::Many(keys)) = self.deadlines.get_mut(&deadline) {
            keys.remove(key);
            if !keys.is_empty() {
                return;
            }
        }
        self.deadlines.remove(&deadline);
    }

    /// Moves a key from one deadline to another, either of which may be none.
    pub(crate) fn change(&mut self, key: &[u8], old: Option<u64>, new: Option<u64>) {
        if old == new {
            return;
        }
        if let Some(deadline) = old {
            self.remove(deadline, key);
        }
        if let Some(deadline) = new {
            self.insert(deadline, key);
        }
    }

    /// How many keys are due at `now_ms`. They are few: every entry removes some.
    pub(crate) fn due_count(&self, now_ms: u64) -> u64 {
        self.due(now_ms).count() as u64
    }

    /// Keys that are due at `now_ms`: Redis keeps a key alive in the very millisecond of its
    /// deadline.
    fn due(&self, now_ms: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let passed = self.deadlines.range(..now_ms);
        passed.flat_map(|(&deadline, keys)| keys.iter().map(move |key| (deadline, key)))
    }
}

/// Due keys of all databases in (deadline, database, key) order.
pub(crate) fn merge<'a>(
    all: impl Iterator<Item = (Db, &'a Expiry)>,
    now_ms: u64,
) -> impl Iterator<Item = (u64, Db, &'a [u8])> {
    let mut heads: Vec<_> = all
        .filter_map(|(db, expiry)| {
            let mut due = expiry.due(now_ms);
            due.next().map(|first| (first, db, due))
        })
        .collect();
    core::iter::from_fn(move || {
        let soonest =
            heads.iter().enumerate().min_by_key(|(_, ((deadline, _), db, _))| (*deadline, *db));
        let at = soonest?.0;
        let (head, db, due) = heads.get_mut(at)?;
        let ((deadline, key), db) = (*head, *db);
        if let Some(next) = due.next() {
            *head = next;
        } else {
            drop(heads.swap_remove(at));
        }
        Some((deadline, db, key))
    })
}
