//! The one place where the state changes: every change of a key begins with [`Keyspace::open`] and
//! ends in [`Keyspace::settle`]; every other change ends in [`Keyspace::note`], which `settle`
//! calls too.
//!
//! `open` finds what is there and, while a freeze or a rehearsal runs, lets it keep what the key
//! was (see `freeze`, `rehearsal`). A record that is put into the table gets the current epoch
//! first.
//!
//! `settle` keeps counted bytes, expiry index, deletion revisions and digest in step with the
//! table. The functions above it touch the table and say what was there before and what is there
//! now.

use super::record::{Head, Record};
use super::{Garbage, Keyspace, Waste};
use crate::db::{Db, Deadline, WrongType};
use crate::digest::{self, Digest, Op};
use crate::point::Point;
use crate::side::level::LEVEL_TRANSACTIONS;
use crate::side::{Change, Part};
use crate::types::value::Large;
use crate::types::{Form, Open};
use alloc::boxed::Box;

/// The key to be changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'k> {
    pub(crate) db: Db,
    pub(crate) key: &'k [u8],
    /// Where the key lies.
    pub(crate) at: Point,
    /// Log index of the change: the key's revision.
    pub(crate) index: u64,
}

/// What the counters and the expiry index must know of a record.
#[derive(Clone, Copy, Debug)]
struct Indexed {
    cost: u64,
    deadline: Option<u64>,
    /// The earliest deadline of a hash's field.
    field: Option<u64>,
}

impl Indexed {
    fn of(record: &Record) -> Self {
        let (deadline, field) = (record.deadline(), record.field_deadline());
        Self { cost: record.cost_with(deadline, field), deadline, field }
    }
}

impl Keyspace {
    /// `at`: where the key lies, if that is known.
    pub(super) fn site<'k>(
        &self,
        db: Db,
        key: &'k [u8],
        at: Option<Point>,
        index: u64,
    ) -> Site<'k> {
        let at = at.unwrap_or_else(|| Point::of(self.hash_key, key));
        Site { db, key, at, index }
    }

    /// Finds a key that is about to change or to go. A running freeze that has not written the key
    /// keeps it as it is now.
    fn open(&mut self, site: &Site<'_>) -> Option<&mut Record> {
        let database = self.databases.get_mut(site.db.number())?;
        let record = database.table.get_mut(site.at, site.key)?;
        if record.epoch() != self.epoch {
            if let Some(freeze) = &mut self.freeze {
                freeze.save(site.db, record);
            }
            record.set_epoch(self.epoch);
        }
        if let Some(journal) = &mut self.journal {
            journal.key(site, Some(record));
        }
        Some(record)
    }

    /// Whether somebody must see a key before it changes.
    fn is_observed(&self) -> bool {
        self.freeze.is_some() || self.journal.is_some()
    }

    /// Puts a record; gives back what it replaced, which was opened.
    fn insert(&mut self, site: &Site<'_>, mut record: Record) -> Option<Record> {
        record.set_epoch(self.epoch);
        if let Some(journal) = &mut self.journal {
            // What was there was opened, and is noted.
            journal.key(site, None);
        }
        self.database_mut(site.db).table.insert(site.at, record)
    }

    /// Sets a string, whatever was there. Gives back what has to be dropped.
    pub(super) fn store(
        &mut self,
        site: &Site<'_>,
        value: &[u8],
        form: Form,
        deadline: Deadline,
    ) -> Option<Garbage> {
        let (now_ms, epoch) = (self.now_ms, self.epoch);
        let mut found = self.open(site);
        let before = found.as_deref().map(Indexed::of);
        let deadline = match deadline {
            Deadline::Keep => {
                before.and_then(|indexed| indexed.deadline).filter(|&deadline| now_ms <= deadline)
            }
            Deadline::Clear => None,
            Deadline::At(at_ms) => Some(at_ms),
        };
        let head = Head { form, revision: site.index, deadline };
        let in_place = found.as_deref_mut().is_some_and(|record| record.overwrite(head, value));
        let (after, old) = if let (true, Some(record)) = (in_place, &found) {
            (Indexed::of(record), None)
        } else {
            let mut record = Record::string(head, site.key, value);
            let after = Indexed::of(&record);
            let old = match found {
                Some(place) => {
                    record.set_epoch(epoch);
                    Some(core::mem::replace(place, record))
                }
                None => self.insert(site, record),
            };
            (after, old)
        };
        let element = digest::of(value);
        self.settle(Op::Set, site, element, (before, Some(after)));
        old.and_then(garbage)
    }

    /// Puts a value that was read, whatever was there. Gives back what has to be dropped.
    pub(super) fn put_value(
        &mut self,
        site: &Site<'_>,
        record: Record,
        element: u64,
    ) -> Option<Garbage> {
        if self.is_observed() {
            self.open(site);
        }
        let after = Indexed::of(&record);
        let old = self.insert(site, record);
        self.settle(Op::Set, site, element, (old.as_ref().map(Indexed::of), Some(after)));
        old.and_then(garbage)
    }

    /// Writes bytes into a string at `offset`, or at its end; creates it. Gives back its length.
    pub(super) fn write(
        &mut self,
        site: &Site<'_>,
        offset: Option<usize>,
        bytes: &[u8],
    ) -> (usize, Option<Garbage>) {
        let now_ms = self.now_ms;
        let found = self.open(site);
        let before = found.as_deref().map(Indexed::of);
        let (after, length, at, old) = match found {
            Some(record) if record.visible(now_ms) => {
                let at = offset.unwrap_or(record.len());
                let head =
                    Head { form: Form::Raw, revision: site.index, deadline: record.deadline() };
                record.write_at(head, at, bytes);
                (Indexed::of(record), record.len(), at, None)
            }
            _ => {
                let form = match offset {
                    Some(_) => Form::Raw,
                    None => Form::of_string(bytes),
                };
                let head = Head { form, revision: site.index, deadline: None };
                let at = offset.unwrap_or(0);
                let mut record = Record::string(head, site.key, &[]);
                record.write_at(head, at, bytes);
                (Indexed::of(&record), record.len(), at, self.insert(site, record))
            }
        };
        let mut element = Digest(at as u64);
        element.bytes(bytes);
        self.settle(Op::Write, site, element.0, (before, Some(after)));
        (length, old.and_then(garbage))
    }

    /// Opens a collection for `work`; if there is none, an empty one or, without `create`, none at
    /// all. Empty afterwards it goes. If nothing was changed, nothing has happened to the key.
    pub(super) fn edit<T: Large, R>(
        &mut self,
        site: &Site<'_>,
        create: bool,
        work: impl FnOnce(&mut Open<T>) -> R,
    ) -> Result<(Option<R>, Option<Garbage>), WrongType> {
        let (now_ms, rules) = (self.now_ms, self.rules());
        let found = self.open(site).filter(|record| record.visible(now_ms));
        if let Some(record) = &found
            && !T::is(record.form())
        {
            return Err(WrongType);
        }
        let before = found.as_deref().map(Indexed::of);
        let head = Head { form: T::FORM, revision: site.index, deadline: None };
        let mut new = None;
        let record = match found {
            Some(record) => record,
            None if !create => return Ok((None, None)),
            None => new.insert(Record::empty(head, site.key)),
        };
        let mut open = record.open::<T>(rules);
        let result = work(&mut open);
        let (element, is_empty) = (open.noted(), open.is_empty());
        record.close(open);
        // Of a hash only fields that are due may be left.
        let is_empty = is_empty || matches!(T::FORM, Form::Hash) && !record.visible(now_ms);
        let Some(element) = element else { return Ok((Some(result), None)) };
        record.set_head(Head { revision: site.index, ..record.head() });
        let after = Indexed::of(record);
        let old = match (before, is_empty) {
            (Some(_), false) => None,
            (Some(_), true) => self.database_mut(site.db).table.remove(site.at, site.key),
            (None, true) => return Ok((Some(result), None)),
            (None, false) => new.and_then(|record| self.insert(site, record)),
        };
        let before = before.or(old.as_ref().map(Indexed::of));
        self.settle(Op::Edit, site, element, (before, (!is_empty).then_some(after)));
        Ok((Some(result), old.and_then(garbage)))
    }

    /// Takes a key out, expired or not.
    pub(super) fn take(&mut self, site: &Site<'_>) -> Option<Record> {
        if self.is_observed() {
            self.open(site)?;
        }
        let record = self.database_mut(site.db).table.remove(site.at, site.key)?;
        self.settle(Op::Remove, site, 0, (Some(Indexed::of(&record)), None));
        Some(record)
    }

    /// Sets or clears the deadline of a key that is there and not expired.
    pub(super) fn change_deadline(&mut self, site: &Site<'_>, deadline: Option<u64>) -> bool {
        let now_ms = self.now_ms;
        let found = self.open(site).filter(|record| record.visible(now_ms));
        let Some(record) = found else { return false };
        let before = Indexed::of(record);
        record.set_head(Head { revision: site.index, deadline, ..record.head() });
        let after = Indexed::of(record);
        self.settle(Op::Deadline, site, 0, (Some(before), Some(after)));
        true
    }

    /// Puts at `to` what was taken from `from`, under its own deadline.
    pub(super) fn put_moved(
        &mut self,
        from: &Site<'_>,
        to: &Site<'_>,
        record: Record,
    ) -> Option<Garbage> {
        let head = Head { revision: to.index, ..record.head() };
        self.put(Op::Move, from, to, record.renamed(head, to.key))
    }

    /// Copies a key that is there and not expired; `None` if it is not.
    pub(super) fn copied(&self, from: &Site<'_>, to: &Site<'_>) -> Option<Record> {
        let record = self.database(from.db).table.get(from.at, from.key)?;
        let head = Head { revision: to.index, ..record.head() };
        record.visible(self.now_ms).then(|| record.copy(head, to.key))
    }

    /// Puts at `to` what was copied from `from`.
    pub(super) fn put_copied(
        &mut self,
        from: &Site<'_>,
        to: &Site<'_>,
        record: Record,
    ) -> Option<Garbage> {
        self.put(Op::Copy, from, to, record)
    }

    fn put(&mut self, op: Op, from: &Site<'_>, to: &Site<'_>, record: Record) -> Option<Garbage> {
        let after = Indexed::of(&record);
        if self.is_observed() {
            self.open(to);
        }
        let old = self.insert(to, record);
        let mut element = Digest(from.db.number() as u64);
        element.bytes(from.key);
        self.settle(op, to, element.0, (old.as_ref().map(Indexed::of), Some(after)));
        old.and_then(garbage)
    }

    /// Empties a database at once, however large: it leaves whole. A freeze that has not written
    /// all of it takes it.
    pub(super) fn empty(&mut self, db: Db, index: u64) -> (u64, Option<Garbage>) {
        if let Some(changed) = &mut self.changed {
            // Also when there is nothing: whoever keeps copies forgets that keys are absent.
            changed.all_of(db);
        }
        let count = self.database(db).table.len();
        if count == 0 {
            return (0, None);
        }
        let database = core::mem::take(self.database_mut(db));
        self.revisions.flush(db, index);
        self.note(Op::Flush, db, &[], [count, 0, index]);
        if let Some(journal) = &mut self.journal {
            journal.emptied(db, Box::new(database));
            return (count, None);
        }
        let gone = match &mut self.freeze {
            Some(freeze) => freeze.take_over(db, Box::new(database)),
            None => Some(Box::new(database)),
        };
        (count, gone.map(|database| Garbage(Waste::Database(database))))
    }

    /// Exchanges two databases with their expiry.
    pub(super) fn exchange(&mut self, one: Db, other: Db, index: u64) {
        if one.number() == other.number() {
            return;
        }
        self.swap(one, other);
        if let Some(journal) = &mut self.journal {
            journal.exchanged(one, other);
        }
        let is_empty = |db| self.database(db).table.len() == 0;
        if self.level() < LEVEL_TRANSACTIONS || !is_empty(one) || !is_empty(other) {
            self.revisions.exchange(one, index);
            self.revisions.exchange(other, index);
        }
        if let Some(changed) = &mut self.changed {
            changed.all_of(one);
            changed.all_of(other);
        }
        self.note(Op::Exchange, one, &[], [other.number() as u64, 0, index]);
    }

    pub(super) fn swap(&mut self, one: Db, other: Db) {
        self.databases.swap(one.number(), other.number());
        if let Some(freeze) = &mut self.freeze {
            freeze.exchange(one, other);
        }
    }

    /// Changes a part of the side state, as part of applying an entry. `work` says what has
    /// changed, if anything.
    pub(crate) fn change_side<'c, P: Part, E>(
        &mut self,
        work: impl FnOnce(&mut P) -> Result<Option<Change<'c>>, E>,
    ) -> Result<(), E> {
        if let Some(journal) = &mut self.journal {
            journal.side(&self.side);
        }
        if let Some(change) = work(P::of(&mut self.side))? {
            self.note(P::OP, Db(0), change.of, [change.now, 0, self.applied_index]);
        }
        Ok(())
    }

    /// The mutation point of keys. `change` is what was at the key and what is there now.
    fn settle(
        &mut self,
        op: Op,
        site: &Site<'_>,
        element: u64,
        (before, after): (Option<Indexed>, Option<Indexed>),
    ) {
        self.index(site, (before, after));
        if after.is_none() {
            if let Some(journal) = &mut self.journal {
                let (bucket, revision) = self.revisions.bucket(site.db, site.at);
                journal.bucket(bucket, revision);
            }
            self.revisions.delete(site.db, site.at, site.index);
        }
        if let Some(changed) = &mut self.changed {
            changed.key(site.db, site.key);
        }
        let deadline = after.and_then(|indexed| indexed.deadline);
        let deadline = deadline.map_or(0, |deadline| deadline.wrapping_add(1));
        self.note(op, site.db, site.key, [element, deadline, site.index]);
    }

    /// Counts a key as what it is now, and finds it by its deadlines.
    fn index(&mut self, site: &Site<'_>, (before, after): (Option<Indexed>, Option<Indexed>)) {
        let database = self.database_mut(site.db);
        let cost = |indexed: Option<Indexed>| indexed.map_or(0, |indexed| indexed.cost);
        database.used = (database.used + cost(after)).saturating_sub(cost(before));
        let of = |deadline: fn(Indexed) -> Option<u64>| {
            (before.and_then(deadline), after.and_then(deadline))
        };
        let (old, new) = of(|indexed| indexed.deadline);
        database.expiry.change(site.key, old, new);
        let (old, new) = of(|indexed| indexed.field);
        database.field_expiry.change(site.key, old, new);
    }

    /// Puts a key back as it was before a rehearsal.
    pub(super) fn put_back(
        &mut self,
        db: Db,
        key: &[u8],
        record: Option<Record>,
    ) -> Option<Garbage> {
        let site = self.site(db, key, None, 0);
        let was = record.as_ref().map(Indexed::of);
        let table = &mut self.database_mut(db).table;
        let rehearsed = match record {
            Some(record) => table.insert(site.at, record),
            None => table.remove(site.at, key),
        };
        self.index(&site, (rehearsed.as_ref().map(Indexed::of), was));
        rehearsed.and_then(garbage)
    }

    /// Counts a change and folds it into the digest.
    fn note(&mut self, op: Op, db: Db, key: &[u8], [element, deadline, index]: [u64; 3]) {
        self.changes += 1;
        self.digest.word(op as u64 | (db.number() as u64) << 8);
        self.digest.bytes(key);
        self.digest.word(element);
        self.digest.word(deadline);
        self.digest.word(index);
    }
}

/// What has to be dropped elsewhere; a packed record is freed here and now.
pub(super) fn garbage(record: Record) -> Option<Garbage> {
    match record {
        Record::Packed(_) => None,
        Record::Apart(_) => Some(Garbage(Waste::Record(record))),
    }
}
