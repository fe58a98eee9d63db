//! Looking ahead: the keys of the next commands are found where they lie before their turn.
//!
//! A look-up is a chain of cache misses; step by step over many keys they overlap. Overwriting
//! random keys of a million took 786 ns each, and 427 ns when 64 at a time were warmed first
//! (that included); of a thousand keys, which are in the cache anyway, 92 and 126 ns. Worth it
//! from some four keys on. Where a key lies is computed once: the writer that meets the very same
//! bytes ([`Known`]) takes it from here, and so does the next command if it names the same key, as
//! pipelines that fill one collection do. Then what their second argument names in it is looked up
//! ahead too, if it is a large set or hash.

use super::Keyspace;
use crate::db::Db;
use crate::point::Point;
use crate::types::members::{Elements, hash_of};
use crate::types::pack::Item;
use crate::types::set::SetTree;
use crate::types::tree::Tree;
use crate::types::value::Value;

/// Most keys that are looked at ahead of their turn, and the fewest for which that pays.
pub(super) const WARM_MAX: usize = 32;
const WARM_MIN: usize = 4;
/// A collection of fewer elements is in the cache anyway.
pub(super) const ELEMENTS_MIN: usize = 8192;

/// A key, and where it lies in any database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'k> {
    key: &'k [u8],
    at: Point,
}

impl<'k> Known<'k> {
    fn key(self) -> &'k [u8] {
        self.key
    }

    /// Where `key` lies, if it is this one: the same bytes in the same place, which is seen without
    /// reading them.
    pub(super) fn point_of(&self, key: &[u8]) -> Option<Point> {
        core::ptr::eq(self.key, key).then_some(self.at)
    }
}

/// What is known of the next commands, or of the next keys of one.
#[derive(Debug, Default)]
pub struct Ahead<'k> {
    known: [Option<Known<'k>>; WARM_MAX],
    count: usize,
    /// Keys that are not the one before.
    fresh: usize,
    taken: usize,
}

impl<'k> Ahead<'k> {
    /// For how many.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether all were taken: it is time to look ahead again.
    pub(crate) fn is_over(&self) -> bool {
        self.taken == self.count
    }

    /// The next one, if it names a key.
    pub(crate) fn take(&mut self) -> Option<Known<'k>> {
        let next = self.known.get(self.taken).filter(|_| !self.is_over())?;
        self.taken += 1;
        *next
    }

    /// Adds a key, or a command without one.
    fn push(&mut self, key: Option<&'k [u8]>, hash_key: [u64; 2]) {
        let last = self.count.checked_sub(1).and_then(|last| self.known.get(last).copied()?);
        let Some(place) = self.known.get_mut(self.count) else { return };
        *place = key.map(|key| match last {
            Some(Known { key: same, at }) if same == key => Known { key, at },
            _ => {
                self.fresh += 1;
                Known { key, at: Point::of(hash_key, key) }
            }
        });
        self.count += 1;
    }
}

impl Keyspace {
    /// Brings what the next commands lie in into the processor's caches, ahead of their turn. Each
    /// says its database, its key (or nothing), and what it names in it. Changes nothing.
    pub(crate) fn warm_places<'k>(
        &self,
        commands: impl Iterator<Item = (Db, &'k [u8], &'k [u8])>,
    ) -> Ahead<'k> {
        let (mut ahead, mut places) = (Ahead::default(), [(Db(0), &[][..]); WARM_MAX]);
        for (place, (db, key, name)) in places.iter_mut().zip(commands) {
            *place = (db, name);
            ahead.push(Some(key).filter(|key| !key.is_empty()), self.hash_key);
        }
        self.touch(&ahead, |at| places.get(at).map(|&(db, _)| db));
        self.touch_elements(&ahead, &places);
        ahead
    }

    /// The same for the keys of one command.
    pub(crate) fn warm_keys<'k>(&self, db: Db, keys: impl Iterator<Item = &'k [u8]>) -> Ahead<'k> {
        let mut ahead = Ahead::default();
        keys.take(WARM_MAX).for_each(|key| ahead.push(Some(key), self.hash_key));
        self.touch(&ahead, |_| Some(db));
        ahead
    }

    /// Reads a byte of each record, all pages before. The keys lie in the databases of `db_at`.
    fn touch(&self, ahead: &Ahead<'_>, db_at: impl Fn(usize) -> Option<Db>) {
        if ahead.fresh < WARM_MIN {
            return;
        }
        let mut numbers = 0..ahead.count;
        let pages = ahead.known.map(|known| {
            let db = db_at(numbers.next()?)?;
            let Known { at, .. } = known?;
            Some((self.database(db).table.page(at)?, at.hash))
        });
        let entries = pages.map(|page| page.and_then(|(page, hash)| page.near(hash)));
        let touched = entries.iter().flatten().map(|record| u64::from(record.touch()));
        core::hint::black_box(touched.sum::<u64>());
    }

    /// Looks up what commands in a row on one key name in it, all of them at once: HSETs of random
    /// fields of 100,000 became a quarter faster. `places` gives for each command its database and
    /// the name. Gives how many it looked up.
    pub(super) fn touch_elements(
        &self,
        ahead: &Ahead<'_>,
        places: &[(Db, &[u8]); WARM_MAX],
    ) -> usize {
        if ahead.count - ahead.fresh < WARM_MIN {
            return 0;
        }
        let known = ahead.known.get(..ahead.count).unwrap_or_default();
        let (mut places, mut touched) = (&places[..], 0);
        for commands in known.chunk_by(|one, next| one.map(Known::key) == next.map(Known::key)) {
            let Some((these, rest)) = places.split_at_checked(commands.len()) else { break };
            places = rest;
            if let Some(&Some(known)) = commands.first()
                && let Some(&(db, _)) = these.first()
                && these.len() >= WARM_MIN
                && let Some(elements) = self.large_elements(db, known)
            {
                let mut names = these.iter().filter(|(_, name)| !name.is_empty());
                let hash = |&(_, name): &(Db, &[u8])| hash_of(self.hash_key, Item::of(name));
                touched += elements.touch([(); WARM_MAX].map(|()| names.next().map(hash)));
            }
        }
        touched
    }

    /// What lies in a set or hash, if it is a large one.
    fn large_elements(&self, db: Db, known: Known<'_>) -> Option<&Tree<Elements>> {
        let elements = match self.database(db).table.get(known.at, known.key)?.value()? {
            Value::Set(SetTree(members)) => members,
            Value::Hash(hash) => &hash.fields,
            _ => return None,
        };
        Some(elements).filter(|elements| elements.len() >= ELEMENTS_MIN)
    }
}
