//! Rehearsal: commands run on the real state, and everything they did is undone.
//!
//! While a rehearsal runs, whatever is about to change is noted first, in the one place where the
//! state changes (`change`): of a key what it was, once; of an emptied database all of it. Undone
//! in reverse, the state is what it was: the same snapshot, the same digest. What shows in neither
//! (how pages and leaves lie, which keys a running freeze has written early) may be otherwise.
//!
//! A packed record is copied; of a value that lies apart only the counters of its nodes rise.

use super::change::Site;
use super::record::Record;
use super::revisions::Floors;
use super::{Changed, Database, Effects, Garbage, Keyspace, Waste};
use crate::db::Db;
use crate::digest::Digest;
use crate::side::Side;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Bytes that a kept key takes besides itself and its record, by and large.
const KEPT_BYTES: u64 = 128;

/// What is needed to undo. See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    undo: Vec<Undo>,
    /// Keys of which it is known what they were, since databases last went or changed places.
    kept: BTreeSet<(u8, Box<[u8]>)>,
    /// Bytes of copied records.
    bytes: u64,
    before: Before,
}

/// One thing to be undone.
#[derive(Debug)]
enum Undo {
    /// The key was this, or was absent.
    Key(Db, Box<[u8]>, Option<Record>),
    /// The database was emptied.
    Emptied(Db, Box<Database>),
    /// Two databases have changed places.
    Exchanged(Db, Db),
    /// A bucket of deletions had this revision.
    Bucket(usize, u64),
}

/// What is kept whole.
#[derive(Debug)]
struct Before {
    digest: Digest,
    changes: u64,
    expired: u64,
    now_ms: u64,
    applied_index: u64,
    floors: Floors,
    had_buckets: bool,
    side: Option<Box<Side>>,
}

/// A place within a rehearsal to which it can go back.
#[derive(Debug)]
pub(crate) struct Mark {
    /// What was to be undone there.
    undo: usize,
    before: Before,
}

impl Before {
    fn of(keyspace: &Keyspace) -> Self {
        Self {
            digest: keyspace.digest,
            changes: keyspace.changes,
            expired: keyspace.expired,
            now_ms: keyspace.now_ms,
            applied_index: keyspace.applied_index,
            floors: keyspace.revisions.kept(),
            had_buckets: !keyspace.revisions.gone().is_empty(),
            side: None,
        }
    }
}

impl Journal {
    fn of(keyspace: &Keyspace) -> Self {
        let before = Before::of(keyspace);
        Self { undo: Vec::new(), kept: BTreeSet::new(), bytes: 0, before }
    }

    /// From here on keys are noted as they are now.
    fn mark(&mut self, now: Before) -> Mark {
        self.kept.clear();
        Mark { undo: self.undo.len(), before: now }
    }

    /// A key is about to change: what it is now.
    pub(super) fn key(&mut self, site: &Site<'_>, record: Option<&Record>) {
        if !self.kept.insert((site.db.0, site.key.into())) {
            return;
        }
        let copy = record.map(Record::kept);
        self.bytes +=
            KEPT_BYTES + (site.key.len() * 2) as u64 + copy.as_ref().map_or(0, Record::block_bytes);
        self.undo.push(Undo::Key(site.db, site.key.into(), copy));
    }

    /// A database is emptied.
    pub(super) fn emptied(&mut self, db: Db, database: Box<Database>) {
        self.kept.clear();
        self.undo.push(Undo::Emptied(db, database));
    }

    /// Two databases change places.
    pub(super) fn exchanged(&mut self, one: Db, other: Db) {
        self.kept.clear();
        self.undo.push(Undo::Exchanged(one, other));
    }

    /// A bucket of deletions is about to get another revision.
    pub(super) fn bucket(&mut self, bucket: usize, revision: u64) {
        self.undo.push(Undo::Bucket(bucket, revision));
    }

    /// The side state is about to change.
    pub(super) fn side(&mut self, side: &Side) {
        self.before.side.get_or_insert_with(|| Box::new(side.clone()));
    }
}

/// A state in rehearsal; when it goes, everything is undone.
pub(crate) struct Rehearsal<'k> {
    keyspace: &'k mut Keyspace,
    effects: Effects,
    /// What was noted of changes before: nobody hears of these.
    noted: Option<Box<Changed>>,
}

impl<'k> Rehearsal<'k> {
    /// Begins: as if an entry with this index came at this time.
    pub(crate) fn begin(keyspace: &'k mut Keyspace, index: u64, now_ms: u64) -> Self {
        keyspace.journal = Some(Box::new(Journal::of(keyspace)));
        keyspace.begin_entry(index, now_ms);
        let noted = keyspace.changed.replace(Box::default());
        Self { keyspace, effects: Effects::default(), noted }
    }

    /// Which keys changed since this was asked last.
    pub(crate) fn changed(&mut self) -> Changed {
        self.keyspace.take_changed()
    }

    /// The state as it would be; as it is, once that is undone.
    pub(crate) fn keyspace(&self) -> &Keyspace {
        self.keyspace
    }

    /// The state to be changed, and what others would hear of it.
    pub(crate) fn parts(&mut self) -> (&mut Keyspace, &mut Effects) {
        (self.keyspace, &mut self.effects)
    }

    /// Bytes that are kept to undo it.
    pub(crate) fn bytes(&self) -> u64 {
        self.keyspace.journal.as_ref().map_or(0, |journal| journal.bytes)
    }

    /// Index and digest of the state as it would be; none if nothing changed.
    pub(crate) fn expected(&self) -> Option<(u64, u64)> {
        let before = self.keyspace.journal.as_ref().map(|journal| journal.before.digest);
        let now = self.keyspace.digest;
        (before != Some(now)).then_some((self.keyspace.applied_index, now.0))
    }

    /// Marks a place.
    pub(crate) fn mark(&mut self) -> Option<Mark> {
        self.keyspace.mark()
    }

    /// Undoes what was done since a place was marked.
    pub(crate) fn go_back(&mut self, mark: Mark) {
        self.keyspace.go_back(mark, &mut self.effects.garbage);
    }

    /// Undoes everything.
    pub(crate) fn undo(&mut self) {
        if self.keyspace.journal.is_some() {
            self.keyspace.undo(&mut self.effects.garbage);
            self.keyspace.changed = self.noted.take();
        }
    }

    /// What takes long to free.
    pub(crate) fn garbage(&mut self) -> Vec<Garbage> {
        core::mem::take(&mut self.effects.garbage)
    }
}

impl Drop for Rehearsal<'_> {
    fn drop(&mut self) {
        self.undo();
    }
}

impl Keyspace {
    /// Marks a place within a rehearsal.
    fn mark(&mut self) -> Option<Mark> {
        let side = Some(Box::new(self.side.clone()));
        let now = Before { side, ..Before::of(self) };
        Some(self.journal.as_mut()?.mark(now))
    }

    /// Undoes what was done since then.
    fn go_back(&mut self, mark: Mark, garbage: &mut Vec<Garbage>) {
        let Some(mut journal) = self.journal.take() else { return };
        let since = journal.undo.split_off(mark.undo.min(journal.undo.len()));
        // What changes from here on has to be noted again.
        journal.kept.clear();
        self.rewind(since, mark.before, garbage);
        self.journal = Some(journal);
    }

    /// Undoes what was done since a rehearsal began.
    fn undo(&mut self, garbage: &mut Vec<Garbage>) {
        let Some(journal) = self.journal.take() else { return };
        let Journal { undo, before, .. } = *journal;
        self.rewind(undo, before, garbage);
    }

    fn rewind(&mut self, undo: Vec<Undo>, before: Before, garbage: &mut Vec<Garbage>) {
        for undo in undo.into_iter().rev() {
            match undo {
                Undo::Key(db, key, record) => garbage.extend(self.put_back(db, &key, record)),
                Undo::Emptied(db, database) => {
                    let new = core::mem::replace(self.database_mut(db), *database);
                    if new.table.len() > 0 {
                        garbage.push(Garbage(Waste::Database(Box::new(new))));
                    }
                }
                Undo::Exchanged(one, other) => self.swap(one, other),
                Undo::Bucket(bucket, revision) => self.revisions.set_bucket(bucket, revision),
            }
        }
        self.digest = before.digest;
        self.changes = before.changes;
        self.expired = before.expired;
        self.now_ms = before.now_ms;
        self.applied_index = before.applied_index;
        self.revisions.put_back(before.floors, before.had_buckets);
        if let Some(side) = before.side {
            self.side = *side;
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
