//! What WATCH compares when a key is absent: when a key of its bucket was last deleted, or its
//! database was emptied.
//!
//! Coarse on purpose: a transaction may fail though its key was not touched, never the other way
//! round. A present key carries its own revision (see `record`); only SWAPDB, which brings other
//! keys under the same names, raises those.

use crate::db::Db;
use crate::point::{BUCKETS, Point};
use alloc::vec::Vec;

/// Revisions of what is no longer there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revisions {
    /// Empty until the first deletion, then [`BUCKETS`] long.
    gone: Vec<u64>,
    /// No absent key of a database has a lower revision: when it was last emptied or exchanged.
    absent: [u64; Db::COUNT as usize],
    /// No key of a database has a lower revision: when it was last exchanged.
    present: [u64; Db::COUNT as usize],
}

/// See [`Revisions::kept`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floors {
    absent: [u64; Db::COUNT as usize],
    present: [u64; Db::COUNT as usize],
}

impl Revisions {
    /// A key was deleted.
    pub(crate) fn delete(&mut self, db: Db, at: Point, index: u64) {
        self.set_bucket(at.bucket(db.0), index);
    }

    /// A database with keys was emptied.
    pub(crate) fn flush(&mut self, db: Db, index: u64) {
        if let Some(floor) = self.absent.get_mut(db.number()) {
            *floor = index;
        }
    }

    /// A database was exchanged with another.
    pub(crate) fn exchange(&mut self, db: Db, index: u64) {
        self.flush(db, index);
        if let Some(floor) = self.present.get_mut(db.number()) {
            *floor = index;
        }
    }

    /// Revision of a key: of the key itself if it is there, else of its bucket.
    pub(crate) fn of(&self, db: Db, at: Point, present: Option<u64>) -> u64 {
        let floor = |floors: &[u64]| floors.get(db.number()).copied().unwrap_or_default();
        if let Some(revision) = present {
            return revision.max(floor(&self.present));
        }
        let gone = self.gone.get(at.bucket(db.0)).copied().unwrap_or_default();
        gone.max(floor(&self.absent))
    }

    /// The bucket of a key, and its revision.
    pub(crate) fn bucket(&self, db: Db, at: Point) -> (usize, u64) {
        let bucket = at.bucket(db.0);
        (bucket, self.gone.get(bucket).copied().unwrap_or_default())
    }

    /// What a rehearsal keeps of this besides buckets.
    pub(crate) fn kept(&self) -> Floors {
        Floors { absent: self.absent, present: self.present }
    }

    /// Undoes what a rehearsal did besides buckets, whose revisions are back already.
    pub(crate) fn put_back(&mut self, floors: Floors, had_buckets: bool) {
        self.absent = floors.absent;
        self.present = floors.present;
        if !had_buckets {
            self.gone = Vec::new();
        }
    }

    /// All buckets, or nothing while all are 0.
    pub(crate) fn gone(&self) -> &[u64] {
        &self.gone
    }

    /// Sets a bucket; numbers beyond the last are ignored.
    pub(crate) fn set_bucket(&mut self, bucket: usize, revision: u64) {
        if self.gone.is_empty() {
            self.gone.resize(BUCKETS, 0);
        }
        if let Some(place) = self.gone.get_mut(bucket) {
            *place = revision;
        }
    }

    /// Both floors of each database: for absent keys, for all keys.
    pub(crate) fn floors(&self) -> [(u64, u64); Db::COUNT as usize] {
        let mut present = self.present.iter();
        self.absent.map(|absent| (absent, present.next().copied().unwrap_or_default()))
    }

    /// Sets both floors of a database.
    pub(crate) fn set_floors(&mut self, db: Db, (absent, present): (u64, u64)) {
        self.exchange(db, present);
        self.flush(db, absent);
    }
}
