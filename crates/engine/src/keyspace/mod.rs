//! The replicated state: 16 databases, their expiry, cluster time, revisions and digest.
//!
//! [`Reader`] and [`Writer`] carry the methods that handlers use; the methods here are
//! for the rooms above. A database is a [`table`] of 16,384 slots; a slot holds [`page`]s of keys
//! in the order of a keyed hash; a key with its value is one [`record`]. [`change`] is where the
//! state changes, and the only place.

mod access;
mod ahead;
mod change;
mod changed;
mod content;
pub(crate) mod context;
mod database;
mod expiry;
mod freeze;
mod garbage;
mod page;
mod record;
pub(crate) mod rehearsal;
mod revisions;
mod slot;
mod table;
#[cfg(test)]
pub(crate) mod tests;

pub use access::StrRef;
pub use ahead::Ahead;
pub use changed::Changed;
pub use content::{Content, ContentPoint};
pub use context::{Effect, Effects, Reader, Stamp, Writer};
pub use freeze::{FreezeStep, Frozen};
pub use garbage::Garbage;

#[cfg(test)]
pub(crate) use content::tests as content_tests;

pub(crate) use database::Database;
pub(crate) use garbage::Waste;
pub(crate) use record::{Head, PACKED_MAX, Record};
pub(crate) use revisions::Revisions;

use crate::Db;
use crate::digest::{self, Digest};
use crate::point::Point;
use crate::side::level::Level;
use crate::side::libraries::Libraries;
use crate::side::scripts::Scripts;
use crate::side::settings::{SettingError, Settings};
use crate::side::{Change, Side};
use crate::types::Rules;
use crate::types::hash::HashTree;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::convert::Infallible;
use freeze::Freeze;
use rehearsal::Journal;

/// The whole replicated state.
pub struct Keyspace {
    pub(crate) databases: [Database; Db::COUNT as usize],
    /// Key of the hash that orders a slot's keys. Drawn once at bootstrap.
    pub(crate) hash_key: [u64; 2],
    /// Cluster time. Never goes back.
    pub(crate) now_ms: u64,
    pub(crate) applied_index: u64,
    pub(crate) digest: Digest,
    pub(crate) revisions: Revisions,
    /// What is not a key.
    pub(crate) side: Side,
    /// Whatever is put into the table or changed there belongs to this epoch. Flipped by a freeze.
    /// Invariant: without a freeze every key does. Not part of the state: replicas need not agree.
    epoch: bool,
    /// The snapshot that is being taken.
    freeze: Option<Box<Freeze>>,
    /// How to undo what is rehearsed.
    journal: Option<Box<Journal>>,
    /// Which keys change, while somebody wants to know.
    changed: Option<Box<Changed>>,
    /// Changes since this keyspace was made or read. Not part of the state either.
    changes: u64,
    /// Keys removed because their deadline was past, since then. Not part of the state.
    expired: u64,
}

impl core::fmt::Debug for Keyspace {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Keyspace")
            .field("applied_index", &self.applied_index)
            .field("now_ms", &self.now_ms)
            .field("keys", &self.keys())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Keyspace {
    /// An empty state. `hash_key` orders the keys of a slot (SCAN); it is drawn once at bootstrap
    /// and is state.
    pub fn new(hash_key: [u64; 2]) -> Self {
        Self {
            databases: Default::default(),
            hash_key,
            now_ms: 0,
            applied_index: 0,
            digest: Digest(0),
            revisions: Revisions::default(),
            side: Side::default(),
            epoch: false,
            freeze: None,
            journal: None,
            changed: None,
            changes: 0,
            expired: 0,
        }
    }

    /// Cluster time: the greatest stamp applied, Unix milliseconds. Keys expire by it alone.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The earliest deadline of any key, or of a field of any hash, Unix milliseconds.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let of = |database: &Database| [database.expiry.first(), database.field_expiry.first()];
        self.databases.iter().flat_map(of).flatten().min()
    }

    /// Index of the last entry applied.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    /// The rolling digest of everything that changed so far.
    pub fn digest(&self) -> u64 {
        self.digest.0
    }

    /// How often anything changed since this keyspace was made, or read from a snapshot.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How many keys were removed because their deadline was past since this keyspace was made, or
    /// read from a snapshot.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// Bytes the data set takes, as counted by the engine (deterministic; not what the allocator
    /// says).
    pub fn used_bytes(&self) -> u64 {
        let keys: u64 = self.databases.iter().map(|database| database.used).sum();
        keys + self.side.bytes()
    }

    /// Whether that is more than `maxmemory`: commands that may take more are refused.
    pub fn is_over_memory(&self) -> bool {
        let maxmemory = self.side.settings.maxmemory;
        maxmemory > 0 && self.used_bytes() > maxmemory
    }

    /// Keys of all databases.
    pub fn keys(&self) -> u64 {
        self.databases.iter().map(|database| database.table.len()).sum()
    }

    /// Keys (expired ones that were not removed yet among them, as in Redis), keys with a deadline,
    /// and their average remaining TTL in milliseconds.
    pub fn stats(&self, db: Db) -> (u64, u64, u64) {
        let Database { table, expiry, .. } = self.database(db);
        (table.len(), expiry.len(), expiry.average_ms(self.now_ms))
    }

    /// Settings that are part of the state.
    pub fn settings(&self) -> &Settings {
        &self.side.settings
    }

    /// Feature level: nothing above it may be used in the log.
    pub fn level(&self) -> u32 {
        self.side.level.0
    }

    /// Revision of a visible key, or of the last deletion in its bucket when it is absent (WATCH).
    pub fn revision(&self, db: Db, key: &[u8]) -> u64 {
        let at = Point::of(self.hash_key, key);
        let record = self.database(db).table.get(at, key);
        let present = record.filter(|record| record.visible(self.now_ms)).map(Record::revision);
        self.revisions.of(db, at, present)
    }

    /// Deadline of a key that is in the table, expired or not.
    pub fn deadline(&self, db: Db, key: &[u8]) -> Option<u64> {
        self.record(db, key)?.deadline()
    }

    /// Whether the key is in the table and its deadline is past at `now_ms`, or that of the last
    /// field of a hash: it must go before anything names it.
    pub fn is_due(&self, db: Db, key: &[u8], now_ms: u64) -> bool {
        self.record(db, key).is_some_and(|record| !record.visible(now_ms))
    }

    /// Keys whose deadline is past at `now_ms`, in the order in which they must be removed:
    /// (deadline, database, key).
    pub fn due(&self, now_ms: u64) -> impl Iterator<Item = (u64, Db, &[u8])> {
        let all = Db::all().zip(&self.databases).map(|(db, database)| (db, &database.expiry));
        expiry::merge(all, now_ms)
    }

    /// Hashes with a field whose deadline is past at `now_ms`: (earliest deadline, database, key).
    pub fn due_fields(&self, now_ms: u64) -> impl Iterator<Item = (u64, Db, &[u8])> {
        let all = Db::all().zip(&self.databases).map(|(db, database)| (db, &database.field_expiry));
        expiry::merge(all, now_ms)
    }

    /// Some of a hash's fields whose deadline is past at `now_ms`, and whether there are more.
    pub fn due_fields_of(
        &self,
        db: Db,
        key: &[u8],
        now_ms: u64,
        most: usize,
    ) -> (Vec<Vec<u8>>, bool) {
        let hash = self.record(db, key).and_then(|record| record.view::<HashTree>(now_ms));
        hash.map_or((Vec::new(), false), |hash| hash.due(most))
    }

    /// Whether a field of any hash is due at cluster time.
    pub(crate) fn any_field_due(&self) -> bool {
        let due = |database: &Database| database.field_expiry.first();
        self.databases.iter().filter_map(due).any(|at_ms| at_ms < self.now_ms)
    }

    /// An entry begins to be applied: advances the applied index, and cluster time unless it would
    /// go back.
    pub fn begin_entry(&mut self, index: u64, now_ms: u64) {
        self.applied_index = index;
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Changes a setting, as part of applying an entry.
    pub fn set_setting(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        self.change_side(|settings: &mut Settings| {
            settings.set(name, value)?;
            Ok(Some(Change { of: name.as_bytes(), now: digest::of(value.as_bytes()) }))
        })
    }

    /// Raises the feature level, as part of applying an entry. It never goes down.
    pub fn raise_level(&mut self, level: u32) {
        let Ok(()) = self.change_side(|now: &mut Level| Ok::<_, Infallible>(now.raise(level)));
    }

    /// Scripts that EVALSHA finds.
    pub(crate) fn scripts(&self) -> &Scripts {
        &self.side.scripts
    }

    /// How many scripts are kept, and the bytes of their bodies.
    pub fn scripts_kept(&self) -> (usize, u64) {
        (self.side.scripts.len(), self.side.scripts.bytes())
    }

    /// Libraries of functions.
    pub(crate) fn libraries(&self) -> &Libraries {
        &self.side.libraries
    }

    /// How many libraries of functions there are.
    pub fn library_count(&self) -> usize {
        self.side.libraries.len()
    }

    /// Changes scripts, as part of applying an entry; whether anything changed.
    pub(crate) fn change_scripts<'c>(
        &mut self,
        work: impl FnOnce(&mut Scripts) -> Option<Change<'c>>,
    ) -> bool {
        let mut changed = false;
        let Ok(()) = self.change_side(|scripts: &mut Scripts| {
            let change = work(scripts);
            changed = change.is_some();
            Ok::<_, Infallible>(change)
        });
        changed
    }

    /// The same for libraries.
    pub(crate) fn change_libraries<'c>(
        &mut self,
        work: impl FnOnce(&mut Libraries) -> Option<Change<'c>>,
    ) -> bool {
        let mut changed = false;
        let Ok(()) = self.change_side(|libraries: &mut Libraries| {
            let change = work(libraries);
            changed = change.is_some();
            Ok::<_, Infallible>(change)
        });
        changed
    }

    /// What collections must know of the state.
    pub(crate) fn rules(&self) -> Rules {
        let limits = self.side.settings.limits;
        Rules { limits, hash_key: self.hash_key, as_written: false, now_ms: self.now_ms }
    }

    pub(crate) fn database(&self, db: Db) -> &Database {
        #[allow(clippy::indexing_slicing, reason = "`number` is below the array's length")]
        &self.databases[db.number()]
    }

    pub(crate) fn database_mut(&mut self, db: Db) -> &mut Database {
        #[allow(clippy::indexing_slicing, reason = "`number` is below the array's length")]
        &mut self.databases[db.number()]
    }

    /// The record of a key, expired or not.
    fn record(&self, db: Db, key: &[u8]) -> Option<&Record> {
        self.database(db).table.get(Point::of(self.hash_key, key), key)
    }

    /// All of it, on its way out.
    pub fn into_garbage(self) -> Vec<Garbage> {
        let left = self.freeze.map_or_else(Vec::new, |freeze| freeze.into_garbage());
        let waste = |database| Garbage(Waste::Database(Box::new(database)));
        left.into_iter().chain(self.databases.into_iter().map(waste)).collect()
    }
}
