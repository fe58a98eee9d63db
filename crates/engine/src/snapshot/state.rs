//! The state that is being read: keys as they come, and what our AUX fields say about it.
//!
//! A file with our format field is held to what we write (fields, a revision for every key); any
//! other RDB file is taken with revisions 0 under the hash key that the reader was given.

use super::value::Value;
use crate::keyspace::{Head, Record};
use crate::point::{BUCKETS, Point};
use crate::rdb::collection::take_active;
use crate::rdb::input::{Result, Stop};
use crate::rdb::text::{parse, take_number};
use crate::rdb::{SnapshotFacts, SnapshotFault, field, producers};
use crate::types::hash::HashTree;
use crate::types::stream::Stream;
use crate::types::{Form, Rules};
use crate::{Db, Keyspace};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str::FromStr;

/// AUX fields that Redis itself writes; they say nothing about the data.
const OF_REDIS: [&[u8]; 9] = [
    b"redis-ver",
    b"redis-bits",
    b"ctime",
    b"used-mem",
    b"aof-base",
    b"aof-preamble",
    b"repl-stream-db",
    b"repl-id",
    b"repl-offset",
];

/// So many keys of a file that is not in our order are sorted before they go to their places, where
/// neighbours then meet warm caches: 5 million keys of a dump of Redis took 5.4 s of CPU one by one
/// and 2.4 s so (`cargo run --release --example load`), for 24 MiB.
const SORTED_MAX: usize = 1 << 20;

/// The state so far.
#[derive(Debug)]
pub(super) struct State {
    keyspace: Keyspace,
    facts: SnapshotFacts,
    /// The file has our format field.
    pub(super) ours: bool,
    /// Keys read.
    pub(super) keys: u64,
    db: Db,
    /// Keys with deadlines, by database. The indexes are built when all are known.
    deadlines: [Vec<(u64, Box<[u8]>)>; Db::COUNT as usize],
    /// Hashes with deadlines of fields, by the earliest of each.
    field_deadlines: [Vec<(u64, Box<[u8]>)>; Db::COUNT as usize],
    /// Field of the last key of which no deadline was told.
    next_field: usize,
    /// First deletion bucket that no field has spoken of.
    next_bucket: usize,
    /// Keys of ours whose revisions are still to come; of others, those not sorted in yet.
    waiting: Vec<(Point, Record)>,
}

impl State {
    pub(super) fn new(hash_key: [u64; 2]) -> Self {
        Self {
            keyspace: Keyspace::new(hash_key),
            facts: SnapshotFacts::default(),
            ours: false,
            keys: 0,
            db: Db(0),
            deadlines: Default::default(),
            field_deadlines: Default::default(),
            next_field: 0,
            next_bucket: 0,
            waiting: Vec::new(),
        }
    }

    /// The keys that follow are in this database.
    pub(super) fn select(&mut self, db: u64) -> Result<()> {
        self.complete()?;
        let known = u8::try_from(db).ok().filter(|&db| db < Db::COUNT);
        let fault = || Stop::Fault(SnapshotFault::Database(db));
        self.db = Db(known.ok_or_else(fault)?);
        Ok(())
    }

    /// Takes a library of functions; `None`: it is not one that can be kept.
    pub(super) fn library(&mut self, code: &[u8]) -> Option<()> {
        self.keyspace.side.restore_library(code)
    }

    /// The database of the keys that follow.
    pub(super) fn db(&self) -> Db {
        self.db
    }

    /// The keys of a database end: ours have had their revisions, others go to their places.
    pub(super) fn complete(&mut self) -> Result<()> {
        if self.ours && !self.waiting.is_empty() {
            return Err(Stop::Malformed("keys without revisions"));
        }
        self.sort_in()
    }

    /// Puts waiting keys where they belong, in the order in which they will lie.
    fn sort_in(&mut self) -> Result<()> {
        let mut waiting = core::mem::take(&mut self.waiting);
        waiting.sort_unstable_by_key(|(at, _)| *at);
        for (at, record) in waiting.drain(..) {
            self.put(at, record)?;
        }
        // Its memory serves the next ones.
        self.waiting = waiting;
        Ok(())
    }

    /// Takes a key with its value. `expire_ms` is what stands in the file, a signed number.
    pub(super) fn key(
        &mut self,
        key: &[u8],
        value: Value<'_>,
        expire_ms: Option<i64>,
    ) -> Result<()> {
        let at = Point::of(self.keyspace.hash_key, key);
        self.next_field = 0;
        if self.ours {
            if self.waiting.len() == field::ITEMS_MAX {
                return Err(Stop::Malformed("keys without revisions"));
            }
            let deadline = expire_ms.map(i64::cast_unsigned);
            self.waiting.push((at, value.record(key, 0, deadline)));
        } else {
            // To Redis -1 is no deadline, and any other time before 1970 is past.
            let deadline = expire_ms.filter(|&at_ms| at_ms != -1);
            let deadline = deadline.map(|at_ms| u64::try_from(at_ms).unwrap_or(0));
            self.waiting.push((at, value.record(key, 0, deadline)));
            if self.waiting.len() == SORTED_MAX {
                self.sort_in()?;
            }
        }
        self.keys += 1;
        Ok(())
    }

    /// How collections are made: what is packed in our own files stays so until the marks tell.
    pub(super) fn rules(&self) -> Rules {
        let rules = Rules { now_ms: 0, ..self.keyspace.rules() };
        if self.ours { rules.packed() } else { rules }
    }

    /// What was read, once the file has ended.
    pub(super) fn finish(mut self) -> (Keyspace, SnapshotFacts) {
        for (db, deadlines) in Db::all().zip(self.deadlines) {
            self.keyspace.database_mut(db).expiry.fill(deadlines);
        }
        for (db, deadlines) in Db::all().zip(self.field_deadlines) {
            self.keyspace.database_mut(db).field_expiry.fill(deadlines);
        }
        (self.keyspace, self.facts)
    }

    fn put(&mut self, at: Point, record: Record) -> Result<()> {
        if let Some(deadline) = record.deadline()
            && let Some(deadlines) = self.deadlines.get_mut(self.db.number())
        {
            deadlines.push((deadline, record.key().into()));
        }
        if let Some(deadline) = record.field_deadline()
            && let Some(deadlines) = self.field_deadlines.get_mut(self.db.number())
        {
            deadlines.push((deadline, record.key().into()));
        }
        let known = self.keyspace.database_mut(self.db).restore(at, record);
        let twice = |record: Record| SnapshotFault::Key(record.key().to_vec(), "it occurs twice");
        known.map_or(Ok(()), |record| Err(Stop::Fault(twice(record))))
    }

    /// Takes an AUX field.
    pub(super) fn aux(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if name.starts_with(field::PREFIX.as_bytes()) {
            if self.ours == (name == field::FORMAT.as_bytes()) {
                return Err(Stop::Malformed("fields of the state without a format, or two"));
            }
            let taken = self.field(&text(name), value)?;
            return taken.ok_or(Stop::Malformed("a field of the state"));
        }
        // Of a file that is not ours they are nobody's facts; Redis skips unknown ones too.
        if self.ours && !OF_REDIS.contains(&name) {
            self.facts.fields.push((text(name), text(value)));
        }
        Ok(())
    }

    /// Takes a field of the state; `None` if its value is not what we write.
    fn field(&mut self, name: &str, value: &[u8]) -> Result<Option<()>> {
        let keyspace = &mut self.keyspace;
        Ok(match name {
            field::FORMAT => {
                // Keys before it would have been taken without a revision.
                self.ours = self.keys == 0;
                number::<u64>(value)
                    .filter(|&format| format == field::VERSION && self.ours)
                    .map(drop)
            }
            field::HASH_KEY if self.keys > 0 => None,
            field::HASH_KEY => value
                .split_at_checked(16)
                .and_then(|(one, two)| Some([hex(one)?, hex(two)?]))
                .map(|hash_key| keyspace.hash_key = hash_key),
            field::TIME => number(value).map(|now_ms| keyspace.now_ms = now_ms),
            field::INDEX => number(value).map(|index| keyspace.applied_index = index),
            field::DIGEST => hex(value).map(|digest| keyspace.digest.0 = digest),
            field::FLOORS => self.floors(value),
            field::GONE => self.gone(value),
            field::KEYS => return self.revisions(value),
            field::FIELDS => self.fields(value),
            field::PRODUCERS => self.producers(value),
            _ => {
                let value = core::str::from_utf8(value).ok();
                value.and_then(|value| keyspace.side.restore(name, value))
            }
        })
    }

    fn floors(&mut self, value: &[u8]) -> Option<()> {
        let list = parse(value)?;
        let mut rest = &list[..];
        for db in Db::all() {
            let floors = (take_number(&mut rest)?, take_number(&mut rest)?);
            self.keyspace.revisions.set_floors(db, floors);
        }
        rest.is_empty().then_some(())
    }

    fn gone(&mut self, value: &[u8]) -> Option<()> {
        let list = parse(value)?;
        let mut rest = &list[..];
        while !rest.is_empty() {
            let skipped = usize::try_from(take_number(&mut rest)?).ok()?;
            let bucket = self.next_bucket.checked_add(skipped).filter(|&at| at < BUCKETS)?;
            let revision = take_number(&mut rest).filter(|&revision| revision != 0)?;
            self.keyspace.revisions.set_bucket(bucket, revision);
            self.next_bucket = bucket + 1;
        }
        Some(())
    }

    /// Fields of the last key get their deadlines.
    fn fields(&mut self, value: &[u8]) -> Option<()> {
        let list = parse(value)?;
        let (mut rest, mut found) = (&list[..], Vec::new());
        while !rest.is_empty() {
            let skipped = usize::try_from(take_number(&mut rest)?).ok()?;
            let at = self.next_field.checked_add(skipped)?;
            let at_ms = take_number(&mut rest)?;
            i64::try_from(at_ms).ok().filter(|&at_ms| at_ms > 0)?;
            found.push((at, at_ms));
            self.next_field = at.checked_add(1)?;
        }
        let rules = self.rules();
        let (_, record) = self.waiting.last_mut().filter(|_| self.ours)?;
        record.view::<HashTree>(0)?;
        let mut hash = record.open::<HashTree>(rules);
        let taken = hash.add_deadlines(&found);
        record.close(hash);
        taken.then_some(())
    }

    /// A stream that waits gets what it knows of its producers.
    fn producers(&mut self, value: &[u8]) -> Option<()> {
        let (position, list) = producers::read(value)?;
        let rules = self.keyspace.rules();
        let (_, record) = self.waiting.get_mut(position)?;
        if record.head().form != Form::Stream {
            return None;
        }
        let mut open = record.open::<Stream>(rules);
        let taken = open.large.as_mut().and_then(|stream| producers::take(stream, &list));
        record.close(open);
        taken
    }

    /// The keys that wait get their revisions.
    fn revisions(&mut self, value: &[u8]) -> Result<Option<()>> {
        let Some(list) = parse(value) else { return Ok(None) };
        let mut rest = &list[..];
        let mut waiting = core::mem::take(&mut self.waiting);
        for (at, mut record) in waiting.drain(..) {
            let Some(number) = take_number(&mut rest) else { return Ok(None) };
            let Some(revision) = self.keyspace.applied_index.checked_sub(number >> 1) else {
                return Ok(None);
            };
            let (head, odd) = (record.head(), number & 1 == 1);
            let form = if odd && head.form.is_string() { Form::Raw } else { head.form };
            record.set_head(Head { form, revision, ..head });
            if odd && head.form == Form::Stream {
                let mut open = record.open::<Stream>(self.keyspace.rules());
                let taken = open.large.as_mut().and_then(|stream| take_active(stream, &mut rest));
                record.close(open);
                if taken.is_none() {
                    return Ok(None);
                }
            } else if odd {
                record.enlarge(self.keyspace.rules());
            }
            self.put(at, record)?;
        }
        // Its memory serves the next slot.
        self.waiting = waiting;
        Ok(rest.is_empty().then_some(()))
    }
}

fn number<T: FromStr + ToString>(value: &[u8]) -> Option<T> {
    let text = core::str::from_utf8(value).ok()?;
    text.parse::<T>().ok().filter(|number| number.to_string() == text)
}

fn hex(value: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(value).ok().filter(|text| text.len() == 16)?;
    let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}
