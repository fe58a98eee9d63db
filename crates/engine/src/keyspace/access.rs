//! What handlers call: reading through [`Reader`], changing through [`Writer`].
//!
//! Expired keys are invisible here. Every change ends in the keyspace's one mutation point
//! (`change`), which keeps revision, digest, expiry index and counters in step.

use super::ahead::Known;
use super::change::Site;
use super::change::garbage;
use super::context::{Effect, Effects, Reader, Stamp, Writer};
use super::record::{Head, Record};
use super::{Garbage, Keyspace};
use crate::db::{Db, Deadline, WrongType};
use crate::digest::next_random;
use crate::types::chunks::CHUNK;
use crate::types::hash::HashTree;
use crate::types::value::Large;
use crate::types::{Form, Open, View};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use quorate_resp::Reply;
use triomphe::Arc;

/// A string value where it lies: one piece, or chunks when it is large.
#[derive(Clone, Copy, Debug)]
pub struct StrRef<'a> {
    /// The whole value, unless it lies in chunks.
    packed: &'a [u8],
    /// All but the last are [`CHUNK`] long.
    chunks: &'a [Arc<Vec<u8>>],
    len: usize,
}

impl<'a> StrRef<'a> {
    fn new(record: &'a Record) -> Self {
        let (packed, chunks) = record.bytes();
        let (chunks, len) = chunks.map_or((&[][..], packed.len()), |c| (c.list(), c.len()));
        Self { packed, chunks, len }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is the empty string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole value; borrowed unless it lies in chunks.
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        self.range(0, self.len)
    }

    /// Bytes `start..end`, clamped to the value; borrowed when they lie in one piece.
    pub fn range(&self, start: usize, end: usize) -> Cow<'a, [u8]> {
        let end = end.min(self.len);
        let start = start.min(end);
        if self.chunks.is_empty() {
            return Cow::Borrowed(self.packed.get(start..end).unwrap_or_default());
        }
        let mut pieces = (start / CHUNK..end.div_ceil(CHUNK)).map(|number| {
            let base = number * CHUNK;
            let within = start.saturating_sub(base)..(end - base).min(CHUNK);
            self.chunks.get(number).and_then(|chunk| chunk.get(within)).unwrap_or_default()
        });
        let first = pieces.next().unwrap_or_default();
        if first.len() == end - start {
            return Cow::Borrowed(first);
        }
        let mut whole = Vec::with_capacity(end - start);
        whole.extend_from_slice(first);
        pieces.for_each(|piece| whole.extend_from_slice(piece));
        Cow::Owned(whole)
    }

    /// The pieces in order, none of them empty.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let packed = Some(self.packed).filter(|piece| !piece.is_empty());
        packed.into_iter().chain(self.chunks.iter().map(|chunk| chunk.as_slice()))
    }

    /// The byte at `at`, or 0 beyond the end (bitmaps read zeros there).
    pub fn byte(&self, at: usize) -> u8 {
        let byte = if self.chunks.is_empty() {
            self.packed.get(at)
        } else {
            self.chunks.get(at / CHUNK).and_then(|chunk| chunk.get(at % CHUNK))
        };
        byte.copied().unwrap_or_default()
    }

    /// The value as a reply: `Bulk` or `Chunks`, no copy.
    pub fn reply(&self) -> Reply<'a> {
        if self.chunks.is_empty() {
            Reply::bulk(self.packed)
        } else {
            Reply::Chunks(self.pieces().collect())
        }
    }
}

impl<'a> Reader<'a> {
    /// The record of a key that is there (and not expired).
    pub(crate) fn visible(&self, key: &[u8]) -> Option<&'a Record> {
        let record = self.keyspace.record(self.db, key)?;
        record.visible(self.now_ms()).then_some(record)
    }

    /// Whether the key is there (and not expired).
    pub fn exists(&self, key: &[u8]) -> bool {
        self.visible(key).is_some()
    }

    /// The string at `key`.
    pub fn string(&self, key: &[u8]) -> Result<Option<StrRef<'a>>, WrongType> {
        let Some(record) = self.visible(key) else { return Ok(None) };
        if record.form().is_string() { Ok(Some(StrRef::new(record))) } else { Err(WrongType) }
    }

    /// The collection of type `T` at `key`.
    pub(crate) fn view<T: Large>(&self, key: &[u8]) -> Result<Option<View<'a, T>>, WrongType> {
        self.visible(key).map(|record| record.view(self.now_ms()).ok_or(WrongType)).transpose()
    }

    /// What `OBJECT ENCODING` says of the value at `key`, `None` when absent.
    pub fn encoding(&self, key: &[u8]) -> Option<&'static str> {
        self.visible(key).map(Record::encoding)
    }

    /// Redis's name of the type at `key` (`string`, …), `None` when absent.
    pub fn type_name(&self, key: &[u8]) -> Option<&'static str> {
        self.visible(key).map(|record| record.form().type_name())
    }

    /// `None`: absent. `Some(None)`: no deadline. Else the deadline in Unix milliseconds.
    pub fn deadline_ms(&self, key: &[u8]) -> Option<Option<u64>> {
        self.visible(key).map(Record::deadline)
    }

    /// Cluster time, Unix milliseconds: what TTLs are measured against.
    pub fn now_ms(&self) -> u64 {
        self.keyspace.now_ms()
    }

    /// Keys of the database; those that are due and not removed yet are invisible here too.
    pub fn key_count(&self) -> u64 {
        let database = self.keyspace.database(self.db);
        database.table.len() - database.expiry.due_count(self.now_ms())
    }

    /// Keys at or after `cursor` in (slot, keyed hash) order, visible ones only, until at least
    /// `count` keys were looked at (all keys of one hash come together). Returns the next cursor, 0
    /// at the end. The guarantee of SCAN: a key that is there throughout is given; cursors hold
    /// across replicas.
    pub fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(&'a [u8])) -> u64 {
        let Ok(slot) = usize::try_from(cursor >> 32) else { return 0 };
        let mut last = None;
        for (seen, found) in
            self.keyspace.database(self.db).table.walk(slot, cursor as u32).enumerate()
        {
            let at = u64::from(found.slot) << 32 | u64::from(found.hash);
            if seen >= count.max(1) && last != Some(at) {
                return at;
            }
            last = Some(at);
            if found.record.visible(self.now_ms()) {
                visit(found.record.key());
            }
        }
        0
    }

    /// Every visible key of the database, in scan order.
    pub fn keys(&self, visit: &mut dyn FnMut(&'a [u8])) {
        self.scan(0, usize::MAX, visit);
    }

    /// A key picked by `seed`, near-uniformly; `None` when the database is empty, or as good as
    /// that: all but a few of its keys are expired and not removed yet.
    pub fn random_key(&self) -> Option<&'a [u8]> {
        /// So many picks may meet expired keys before the first visible one is taken.
        const TRIES: usize = 100;
        /// So many keys are walked then. Nearly all are expired, and about to be removed.
        const WALK: usize = 10_000;
        let table = &self.keyspace.database(self.db).table;
        let mut seed = self.seed;
        let picked = (0..TRIES).filter_map(|_| table.pick(&mut seed));
        let walked = table.walk(0, 0).take(WALK).map(|found| found.record);
        picked.chain(walked).find(|record| record.visible(self.now_ms())).map(Record::key)
    }

    /// Bytes the key takes with its value, as counted (MEMORY USAGE).
    pub fn usage_bytes(&self, key: &[u8]) -> Option<u64> {
        self.visible(key).map(Record::cost)
    }
}

impl<'a> Writer<'a> {
    /// The means to write in an entry with this log index.
    pub fn new(
        keyspace: &'a mut Keyspace,
        db: Db,
        stamp: Stamp,
        index: u64,
        effects: &'a mut Effects,
    ) -> Self {
        Self { keyspace, db, stamp, index, effects, known: None }
    }

    /// The same, where a key is known to lie. It draws the same random numbers.
    pub(crate) fn knowing<'s>(&'s mut self, known: Option<Known<'s>>) -> Writer<'s> {
        let Self { db, stamp, index, .. } = *self;
        Writer { keyspace: self.keyspace, db, stamp, index, effects: self.effects, known }
    }

    fn site<'k>(&self, db: Db, key: &'k [u8]) -> Site<'k> {
        let at = self.known.and_then(|known| known.point_of(key));
        self.keyspace.site(db, key, at, self.index)
    }

    fn discard(&mut self, garbage: Option<Garbage>) {
        self.effects.garbage.extend(garbage);
    }

    /// The same database for reading.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            keyspace: self.keyspace,
            db: self.db,
            seed: self.stamp.seed,
            clock_ms: self.stamp.now_ms,
        }
    }

    /// Cluster time of this entry, Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.stamp.now_ms
    }

    /// Sets a string, whatever was there. The encoding is decided here as Redis does (`int`,
    /// `embstr`, `raw`). A deadline that is already past removes the key instead (no: callers
    /// check; here it is stored as given).
    pub fn set_string(&mut self, key: &[u8], value: &[u8], deadline: Deadline) {
        let is_new = self.is_new(key);
        let site = self.site(self.db, key);
        let old = self.keyspace.store(&site, value, Form::of_string(value), deadline);
        self.discard(old);
        self.notify_new(is_new, key);
    }

    /// Puts a record that was made aside, whatever was there. `element` stands for its value in the
    /// digest.
    pub(crate) fn put_record(&mut self, key: &[u8], record: Record, element: u64) {
        let is_new = self.is_new(key);
        let site = self.site(self.db, key);
        let old = self.keyspace.put_value(&site, record, element);
        self.discard(old);
        self.notify_new(is_new, key);
    }

    /// Overwrites bytes from `offset` on, zero-filling a gap, creating the key; keeps the deadline;
    /// the value becomes `raw`. Returns the new length. Callers have checked the limit. No bytes:
    /// nothing changes.
    pub fn write_at(
        &mut self,
        key: &[u8],
        offset: usize,
        bytes: &[u8],
    ) -> Result<usize, WrongType> {
        self.write(key, Some(offset), bytes)
    }

    /// Appends, creating the key (encoded as if it were set); keeps the deadline; a value that was
    /// there becomes `raw`. Returns the new length.
    pub fn append(&mut self, key: &[u8], bytes: &[u8]) -> Result<usize, WrongType> {
        self.write(key, None, bytes)
    }

    fn write(
        &mut self,
        key: &[u8],
        offset: Option<usize>,
        bytes: &[u8],
    ) -> Result<usize, WrongType> {
        let old = self.reader().string(key)?;
        if bytes.is_empty() && offset.is_some() {
            return Ok(old.map_or(0, |string| string.len()));
        }
        let is_new = self.is_new(key);
        let site = self.site(self.db, key);
        let (length, old) = self.keyspace.write(&site, offset, bytes);
        self.discard(old);
        self.notify_new(is_new, key);
        Ok(length)
    }

    /// Opens the collection of type `T` at `key` for `work`. `None`: the key is absent. One
    /// that is empty afterwards goes with its key.
    pub(crate) fn edit<T: Large, R>(
        &mut self,
        key: &[u8],
        work: impl FnOnce(&mut Open<T>) -> R,
    ) -> Result<Option<R>, WrongType> {
        let site = self.site(self.db, key);
        let (result, old) = self.keyspace.edit(&site, false, work)?;
        self.discard(old);
        Ok(result)
    }

    /// The same, beginning with an empty collection when the key is absent. If it stays empty, the
    /// key stays absent.
    pub(crate) fn edit_or_create<T: Large, R>(
        &mut self,
        key: &[u8],
        work: impl FnOnce(&mut Open<T>) -> R,
    ) -> Result<R, WrongType> {
        let is_new = self.is_new(key);
        let site = self.site(self.db, key);
        let (result, old) = self.keyspace.edit(&site, true, work)?;
        self.discard(old);
        self.notify_new(is_new, key);
        // There is a result: it was created at worst.
        result.ok_or(WrongType)
    }

    /// Puts a collection that was made aside, whatever was there; the key goes if it is empty. No
    /// deadline stays. False: nothing was there, nor is now.
    pub(crate) fn replace<T: Large>(&mut self, key: &[u8], open: Open<T>) -> bool {
        if open.is_empty() {
            return self.remove(key);
        }
        let element = open.noted().unwrap_or_default();
        let head = Head { form: open.form, revision: self.index, deadline: None };
        self.put_record(key, Record::of_open(head, key, open), element);
        true
    }

    /// Removes the key. False when it was absent, or expired (then it is removed all the same).
    /// Large values go to `effects.garbage`.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let site = self.site(self.db, key);
        let Some(record) = self.keyspace.take(&site) else { return false };
        let visible = record.visible(self.keyspace.now_ms());
        self.discard(garbage(record));
        visible
    }

    /// Removes the key if its deadline is past at cluster time. False when it was absent, or is not
    /// due.
    pub fn expire(&mut self, key: &[u8]) -> bool {
        let due = self.keyspace.is_due(self.db, key, self.keyspace.now_ms());
        if due {
            self.remove(key);
            self.keyspace.expired += 1;
        }
        due
    }

    /// Removes fields of a hash whose deadlines are past at cluster time. False: no field was.
    pub fn expire_fields<'f>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = &'f [u8]>,
    ) -> bool {
        let remove = |hash: &mut Open<HashTree>| fields.filter(|field| hash.expire(field)).count();
        matches!(self.edit(key, remove), Ok(Some(1..)))
    }

    /// Sets or clears the deadline. False when the key is absent.
    pub fn set_deadline(&mut self, key: &[u8], deadline_ms: Option<u64>) -> bool {
        let site = self.site(self.db, key);
        self.keyspace.change_deadline(&site, deadline_ms)
    }

    /// Moves value and deadline to (`db`, `to`), replacing what is there. False when `from` is
    /// absent.
    pub fn move_key(&mut self, from: &[u8], db: Db, to: &[u8]) -> bool {
        if !self.reader().exists(from) {
            return false;
        }
        let (from, to_site) = (self.site(self.db, from), self.site(db, to));
        let Some(record) = self.keyspace.take(&from) else { return false };
        let old = self.keyspace.put_moved(&from, &to_site, record);
        self.discard(old);
        self.notify_in(db, (b'n', "new"), to);
        true
    }

    /// Copies value and deadline (sharing chunks) to (`db`, `to`), replacing what is there. False
    /// when absent.
    pub fn copy_key(&mut self, from: &[u8], db: Db, to: &[u8]) -> bool {
        let (from, to_site) = (self.site(self.db, from), self.site(db, to));
        let Some(record) = self.keyspace.copied(&from, &to_site) else { return false };
        let old = self.keyspace.put_copied(&from, &to_site, record);
        self.discard(old);
        self.notify_in(db, (b'n', "new"), to);
        true
    }

    /// Empties one database or all; everything goes to `effects.garbage`. Returns how many keys
    /// went.
    pub fn flush(&mut self, db: Option<Db>) -> u64 {
        let (first, last) = db.map_or((0, Db::COUNT - 1), |db| (db.0, db.0));
        let mut count = 0;
        for number in first..=last {
            let (keys, old) = self.keyspace.empty(Db(number), self.index);
            self.discard(old);
            count += keys;
        }
        count
    }

    /// Exchanges two databases.
    pub fn swap_db(&mut self, one: Db, other: Db) {
        self.keyspace.exchange(one, other, self.index);
    }

    /// Notes a keyspace event, if `notify-keyspace-events` asks for its class (Redis's class
    /// letter).
    pub fn notify(&mut self, class: u8, event: &'static str, key: &[u8]) {
        self.notify_in(self.db, (class, event), key);
    }

    fn notify_in(&mut self, db: Db, (class, event): (u8, &'static str), key: &[u8]) {
        let wanted = self.keyspace.side.settings.wanted;
        if wanted.wants(class) {
            let (by_key, by_event) = (wanted.has(b'K'), wanted.has(b'E'));
            let key = key.into();
            self.effects.list.push(Effect::Notify { class, event, db, key, by_key, by_event });
        }
    }

    /// Whether it is to be told if this key comes to be: it is not there, and somebody asks.
    fn is_new(&self, key: &[u8]) -> bool {
        self.keyspace.side.settings.wanted.wants(b'n') && !self.reader().exists(key)
    }

    /// Notes that a key has come to be, if it has: Redis's event `new`, before the command's own.
    fn notify_new(&mut self, is_new: bool, key: &[u8]) {
        if is_new && self.reader().exists(key) {
            self.notify(b'n', "new", key);
        }
    }

    /// Sends a message to subscribers on every node.
    pub fn publish(&mut self, channel: &[u8], payload: &[u8], shard: bool) {
        let (channel, payload) = (channel.into(), payload.into());
        self.effects.list.push(Effect::Publish { channel, payload, shard });
    }

    /// The next random number of this command, from the entry's seed.
    pub fn random(&mut self) -> u64 {
        next_random(&mut self.stamp.seed)
    }
}
