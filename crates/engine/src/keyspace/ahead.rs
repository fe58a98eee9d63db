//! Looking ahead: the keys of the next commands are found where they lie before their turn.
//!
//! A look-up is a chain of cache misses; step by step over many keys they overlap. Overwriting
//! random keys of a million took 786 ns each, and 427 ns when 64 at a time were warmed first
//! (that included); of a thousand keys, which are in the cache anyway, 92 and 126 ns. Worth it
//! from some four keys on. Where a key lies is computed once: the writer that meets the very same
//! bytes ([`Known`]) takes it from here, and so does the next command if it names the same key, as
//! pipelines that fill one collection do. Then what their second argument names in it is looked up
//! ahead too, if it is a large set or hash.

use super::{Db, Entry, Keyspace, Point};
use crate::armour;
use crate::batch::parse_db;
use crate::types::Value;
use crate::types::members::hash_of;
use crate::types::pack::Item;
use crate::types::set::SetTree;
use quorate_resp::skim;

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

impl Known<'_> {
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
    /// Brings what the commands at the front of `commands` (of a payload) lie in into the
    /// processor's caches, ahead of their turn. Changes nothing.
    pub fn warm<'k>(&self, db: Db, commands: &'k [u8]) -> Ahead<'k> {
        let (mut ahead, mut dbs) = (Ahead::default(), [db; WARM_MAX]);
        let mut elements = [&[][..]; WARM_MAX];
        let (mut db, mut rest) = (db, commands);
        while let Some(place) = dbs.get_mut(ahead.count)
            && let Some(element) = elements.get_mut(ahead.count)
            && let Some(skimmed) = skim(rest).or_else(|| armour::skim_words(rest))
        {
            rest = rest.get(skimmed.len..).unwrap_or_default();
            if skimmed.name == b"SELECT" {
                db = parse_db(skimmed.first).unwrap_or(db);
                continue;
            }
            (*place, *element) = (db, skimmed.second);
            let key = Some(skimmed.first).filter(|key| !key.is_empty());
            ahead.push(key, self.hash_key);
        }
        self.touch(&ahead, dbs);
        self.touch_elements(&ahead, dbs, &elements);
        ahead
    }

    /// The same for the keys of one command.
    pub(crate) fn warm_keys<'k>(&self, db: Db, keys: impl Iterator<Item = &'k [u8]>) -> Ahead<'k> {
        let mut ahead = Ahead::default();
        keys.take(WARM_MAX).for_each(|key| ahead.push(Some(key), self.hash_key));
        self.touch(&ahead, [db; WARM_MAX]);
        ahead
    }

    /// Reads a byte of each record, all pages before.
    fn touch(&self, ahead: &Ahead<'_>, dbs: [Db; WARM_MAX]) {
        if ahead.fresh < WARM_MIN {
            return;
        }
        let mut numbers = 0..ahead.count;
        let pages = ahead.known.map(|known| {
            let db = dbs.get(numbers.next()?)?;
            let Known { at, .. } = known?;
            Some((self.database(*db).table.page(at)?, at.hash))
        });
        let entries = pages.map(|page| page.and_then(|(page, hash)| page.near(hash)));
        let touched = entries.iter().flatten().map(|entry| u64::from(entry.touch()));
        core::hint::black_box(touched.sum::<u64>());
    }

    /// Looks up what commands in a row on one key name in it, all of them at once: HSETs of random
    /// fields of 100,000 became a quarter faster. Gives how many it looked up.
    pub(super) fn touch_elements<'k>(
        &self,
        ahead: &Ahead<'k>,
        dbs: [Db; WARM_MAX],
        names: &[&[u8]; WARM_MAX],
    ) -> usize {
        let mut touched = 0;
        if ahead.count - ahead.fresh < WARM_MIN {
            return touched;
        }
        let key = |known: &Option<Known<'k>>| known.map(|known| known.key);
        let mut commands = ahead.known.iter().zip(dbs).zip(*names).take(ahead.count).peekable();
        while let Some(((first, db), name)) = commands.next() {
            let (mut same, mut count) = ([name; WARM_MAX], 1);
            while let Some((_, name)) = commands.next_if(|((next, _), _)| key(next) == key(first))
                && let Some(place) = same.get_mut(count)
            {
                (*place, count) = (name, count + 1);
            }
            let known = first.filter(|_| count >= WARM_MIN);
            let entry = known.and_then(|Known { key, at }| self.database(db).table.get(at, key));
            let elements = match entry.and_then(Entry::value) {
                Some(Value::Set(SetTree(members))) => members,
                Some(Value::Hash(hash)) => &hash.fields,
                _ => continue,
            };
            if elements.len() >= ELEMENTS_MIN {
                let names = same.iter().take(count).filter(|name| !name.is_empty());
                let hash = |name: &&[u8]| hash_of(self.hash_key, Item::of(name));
                touched += elements.touch(names.map(hash));
            }
        }
        touched
    }
}
