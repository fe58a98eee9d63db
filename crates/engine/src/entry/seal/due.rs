//! What is due and goes at the head of a payload: keys that the batch names, all of databases that
//! change places, and some others while there is room; of hashes that it writes to, and of some
//! others, the fields that are due.

use super::stage::Stage;
use crate::entry::payload::Payload;
use crate::{Db, Flags, Keyspace, Spec};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use quorate_resp::Args;

/// Due fields of a hash that go in front of a write that names it. If there are more, stock Redis
/// may make something else of the write.
pub(super) const NAMED_FIELDS_MAX: usize = 256;

/// What was found due while a batch was judged.
pub(super) struct Due {
    now_ms: u64,
    /// Whether any key at all is due, so that keys are worth looking up.
    pub(super) any: bool,
    /// Due keys that the batch names.
    named: BTreeSet<(Db, Vec<u8>)>,
    /// Due fields of hashes that the batch writes to.
    fields: BTreeMap<(Db, Vec<u8>), Vec<Vec<u8>>>,
    /// Databases that change places in this batch (a bit each): their due keys all go first.
    swapped: u16,
    /// Stock Redis may make something else of the payload.
    pub(super) inexact: bool,
}

impl Due {
    pub(super) fn new(keyspace: &Keyspace, now_ms: u64) -> Self {
        Self {
            now_ms,
            any: keyspace.next_deadline_ms().is_some_and(|deadline| deadline < now_ms),
            named: BTreeSet::new(),
            fields: BTreeMap::new(),
            swapped: 0,
            inexact: false,
        }
    }

    /// Notes the due keys that this command could meet, and the due fields of hashes that it could
    /// change, carry elsewhere, or leave without any other.
    #[cold]
    pub(super) fn note(&mut self, stage: &mut impl Stage, spec: &Spec, db: Db, args: Args<'_>) {
        let elsewhere = spec.meta.flags.has(Flags::OTHER_DB);
        let dbs = if elsewhere { 0..Db::COUNT } else { db.0..db.0 + 1 };
        for key in spec.meta.keys.positions(args).filter_map(|at| args.get(at)) {
            for db in dbs.clone().map(Db) {
                if stage.keyspace().is_due(db, key, self.now_ms) {
                    self.named.insert((db, key.to_vec()));
                    stage.expire(db, key);
                } else if spec.run.of(args).is_write() {
                    let (fields, more) =
                        self.note_fields(stage.keyspace(), (db, key), NAMED_FIELDS_MAX);
                    if let Some(fields) = fields {
                        stage.expire_fields(db, key, fields);
                    }
                    self.inexact |= more;
                }
            }
        }
        if elsewhere && spec.meta.flags.has(Flags::KEYSPACE_WIDE) {
            for db in args.iter().filter_map(Db::parse) {
                self.swap(stage, db);
            }
        }
    }

    /// Removes again what was noted, where a part of a rehearsal has been undone.
    pub(super) fn meet_again(&self, stage: &mut impl Stage) {
        for (db, key) in &self.named {
            stage.expire(*db, key);
        }
        for ((db, key), fields) in &self.fields {
            stage.expire_fields(*db, key, fields);
        }
    }

    fn swap(&mut self, stage: &mut impl Stage, db: Db) {
        let is_new = self.swapped & (1 << db.0) == 0;
        self.swapped |= 1 << db.0;
        if is_new {
            let due = stage.keyspace().due(self.now_ms).filter(|(_, of, _)| *of == db);
            let keys: Vec<Vec<u8>> = due.map(|(_, _, key)| key.to_vec()).collect();
            for key in &keys {
                stage.expire(db, key);
            }
        }
    }

    /// Notes so many due fields of a hash, once; those, and whether there are more.
    fn note_fields(
        &mut self,
        keyspace: &Keyspace,
        (db, key): (Db, &[u8]),
        most: usize,
    ) -> (Option<&[Vec<u8>]>, bool) {
        let place = (db, key.to_vec());
        if self.fields.contains_key(&place) {
            return (None, false);
        }
        let (due, more) = keyspace.due_fields_of(db, key, self.now_ms, most);
        if due.is_empty() {
            return (None, more);
        }
        (Some(self.fields.entry(place).or_insert(due)), more)
    }

    /// The removals at the head of the payload, and how many. The state is as it was before the
    /// batch.
    pub(super) fn head(
        &mut self,
        keyspace: &Keyspace,
        mut room: usize,
    ) -> Option<(Payload, usize)> {
        let mut chosen = core::mem::take(&mut self.named);
        for (_, db, key) in keyspace.due(self.now_ms) {
            let is_swapped = self.swapped & (1 << db.0) != 0;
            if is_swapped {
                chosen.insert((db, key.to_vec()));
            } else if room > 0 {
                room -= usize::from(chosen.insert((db, key.to_vec())));
            } else if self.swapped == 0 {
                break;
            }
        }
        self.more_fields(keyspace, &mut chosen, room);
        let fields = core::mem::take(&mut self.fields);
        let removed = chosen.len() + fields.values().map(Vec::len).sum::<usize>();
        if removed == 0 {
            return None;
        }
        let mut head = Payload::default();
        for db in (0..Db::COUNT).map(Db) {
            let keys: Vec<&[u8]> =
                chosen.iter().filter(|(at, _)| *at == db).map(|(_, key)| key.as_slice()).collect();
            head.expiry(db, &keys);
            for ((_, key), due) in fields.iter().filter(|((at, _), _)| *at == db) {
                let due: Vec<&[u8]> = due.iter().map(Vec::as_slice).collect();
                head.field_expiry(db, key, &due);
            }
        }
        Some((head, removed))
    }

    /// Chooses hashes of which some fields are due, while there is room: those that end with them
    /// go whole.
    fn more_fields(
        &mut self,
        keyspace: &Keyspace,
        chosen: &mut BTreeSet<(Db, Vec<u8>)>,
        mut room: usize,
    ) {
        for (_, db, key) in keyspace.due_fields(self.now_ms) {
            let is_swapped = self.swapped & (1 << db.0) != 0;
            // Fields that go later go under another number of their database.
            self.inexact |= is_swapped;
            if room == 0 {
                if self.swapped == 0 {
                    break;
                }
            } else if keyspace.is_due(db, key, self.now_ms) {
                room -= usize::from(chosen.insert((db, key.to_vec())));
            } else {
                let (found, _) = self.note_fields(keyspace, (db, key), room);
                room -= found.map_or(0, <[_]>::len);
            }
        }
    }
}
