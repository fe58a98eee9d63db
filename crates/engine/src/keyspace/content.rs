//! A digest of what stands, stretch by stretch: what replicas compare while they run.
//!
//! The rolling digest says what was done, and a bit that flips in memory does not change it. This
//! one is made of the keys as they lie here now. It is equal on replicas that hold the same,
//! however they came to it: a stretch begins and ends at a point in scan order, or at a part of a
//! large value, and both follow from the keys alone. Pages, leaves and the epoch do not show.

use super::Keyspace;
use super::record::Record;
use crate::db::Db;
use crate::point::Point;
use crate::point::SLOTS;
use crate::types::content::Sum;
use crate::types::value::Value;

/// A place in the keyspace from which a walk goes on: databases in order, in each the order of
/// SCAN's cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentPoint {
    /// Number of the database.
    pub db: u8,
    /// A cursor of SCAN, and above it the number of a part of what lies at that point.
    pub cursor: u64,
}

/// What a stretch of the keyspace holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Digest of it.
    pub digest: u64,
    /// Keys that begin in it. (A large value may go on in further stretches.)
    pub keys: u64,
    /// Where the next stretch begins; `None`: the end was reached.
    pub next: Option<ContentPoint>,
}

/// Bits of a point's hash, and of its slot.
const HASH_BITS: u32 = 32;
const SLOT_BITS: u32 = SLOTS.ilog2();
const POINT_BITS: u32 = HASH_BITS + SLOT_BITS;
/// Numbers of parts fit into what is left.
const PARTS_MAX: usize = 1 << (u64::BITS - POINT_BITS);

/// A cursor, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    slot: u16,
    hash: u32,
    /// Parts of the records at this point (nearly always one) are counted on.
    part: usize,
}

impl Place {
    fn of(cursor: u64) -> Self {
        let slot = (cursor >> HASH_BITS) as usize % SLOTS;
        Self { slot: slot as u16, hash: cursor as u32, part: (cursor >> POINT_BITS) as usize }
    }

    fn cursor(self) -> u64 {
        (self.part as u64) << POINT_BITS | u64::from(self.slot) << HASH_BITS | u64::from(self.hash)
    }
}

/// A stretch in the making.
struct Stretch {
    sum: Sum,
    keys: u64,
    /// Parts folded in.
    parts: usize,
    keys_max: usize,
    bytes_max: usize,
}

impl Stretch {
    fn is_over(&self) -> bool {
        let enough = self.keys >= self.keys_max as u64 || self.sum.bytes >= self.bytes_max;
        enough && self.parts > 0
    }

    /// Folds in the parts of a record from one on. Gives the part with which the next stretch has
    /// to begin, if this one is over before the record is; `fits` says which can.
    fn record(
        &mut self,
        db: Db,
        record: &Record,
        from: usize,
        fits: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let value = record.value().map(|value| (value, value.parts()));
        let count = value.map_or(1, |(_, parts)| parts.count());
        for part in from..count {
            if self.is_over() && fits(part) {
                return Some(part);
            }
            if part == from {
                let (flags, bytes) = record.stands();
                let (apart, flags) = (u64::from(value.is_some()), u64::from(flags));
                self.sum.words(&[db.number() as u64 | apart << 8 | flags << 16, part as u64]);
                self.sum.row(bytes);
            }
            if let Some((value, parts)) = value {
                Value::fold(value, parts, part, &mut self.sum);
            }
            self.keys += u64::from(part == 0);
            self.parts += 1;
        }
        None
    }
}

impl Keyspace {
    /// Digest of what stands (not of what was done) from `from` on, until about `keys_max` keys or
    /// `bytes_max` bytes were looked at.
    ///
    /// Equal on replicas that hold the same keys with the same values, deadlines and revisions, due
    /// or not, however they came to it; whether a collection is packed counts. At least one key, or
    /// one part of a large value, is looked at: some 64 KiB, unless a single element is larger,
    /// which is folded whole. What is no key (settings, cluster time, revisions of what is gone)
    /// and what follows from the keys (indexes by deadline, by score) is not in it. Changes nothing
    /// and allocates nothing. The digest is no format: builds that differ must not compare it.
    pub fn content(&self, from: ContentPoint, keys_max: usize, bytes_max: usize) -> Content {
        let mut stretch = Stretch { sum: Sum::new(), keys: 0, parts: 0, keys_max, bytes_max };
        let mut next = None;
        for db in Db::all().skip(usize::from(from.db)) {
            let cursor = if db.0 == from.db { from.cursor } else { 0 };
            next = self.content_of(db, Place::of(cursor), &mut stretch);
            if next.is_some() {
                break;
            }
        }
        Content { digest: stretch.sum.digest.0, keys: stretch.keys, next }
    }

    /// Goes on in one database; the point behind the stretch, if it ends here.
    fn content_of(&self, db: Db, from: Place, stretch: &mut Stretch) -> Option<ContentPoint> {
        let mut place = Place { part: 0, ..from };
        for found in self.database(db).table.walk_warmed(usize::from(from.slot), from.hash) {
            if (found.slot, found.hash) != (place.slot, place.hash) {
                place = Place { slot: found.slot, hash: found.hash, part: 0 };
            }
            let is_first = (place.slot, place.hash) == (from.slot, from.hash);
            let skipped = if is_first { from.part.saturating_sub(place.part) } else { 0 };
            let fits = |part: usize| place.part + part < PARTS_MAX;
            if let Some(part) = stretch.record(db, found.record, skipped, fits) {
                let cursor = Place { part: place.part + part, ..place }.cursor();
                return Some(ContentPoint { db: db.0, cursor });
            }
            place.part += found.record.value().map_or(1, |value| value.parts().count());
        }
        None
    }

    /// Flips one bit of a value, past everything that notices a change (no digest, no revision):
    /// for tests of what compares replicas. Bits are counted around. False: the key is not there or
    /// has a form without spare bytes, which strings have, small lists and small hashes.
    pub fn flip_bit(&mut self, db: Db, key: &[u8], bit: u64) -> bool {
        let at = Point::of(self.hash_key, key);
        let record = self.database_mut(db).table.get_mut(at, key);
        record.is_some_and(|record| record.flip_bit(bit))
    }
}

#[cfg(test)]
pub(crate) mod tests;
