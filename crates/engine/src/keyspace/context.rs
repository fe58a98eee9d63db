//! What a handler may see and do: [`Reader`] for reads, [`Writer`] for writes.
//!
//! Their methods are in `access`. What others must hear of a write leaves as data ([`Effects`]):
//! a handler calls nobody.

use super::ahead::Known;
use super::{Changed, Garbage, Keyspace};
use crate::db::Db;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The leader's inputs to an entry. Part of the log record, the same on every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// The leader's cluster clock when the batch was sealed, Unix milliseconds.
    pub now_ms: u64,
    /// Seed of whatever the commands of this entry draw at random.
    pub seed: u64,
}

/// Something that happened at apply and that the server carries out. Data, never a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A keyspace event (`notify-keyspace-events`): the class is Redis's letter.
    Notify {
        /// Redis's class letter: `g` generic, `$` string, `x` expired, `e` evicted, `n` new.
        class: u8,
        /// `set`, `del`, `expired`, …
        event: &'static str,
        /// Database.
        db: Db,
        /// Key.
        key: Box<[u8]>,
        /// Whether the channel of the key is told (`K`).
        by_key: bool,
        /// Whether the channel of the event is told (`E`).
        by_event: bool,
    },
    /// A message to subscribers, as part of a transaction.
    Publish {
        /// Where it is published.
        channel: Box<[u8]>,
        /// What it says.
        payload: Box<[u8]>,
        /// Whether the channel is one of a shard.
        shard: bool,
    },
}

/// Effects of one entry, in order, and garbage that must not be freed on the apply path.
#[derive(Debug, Default)]
pub struct Effects {
    /// What happened.
    pub list: Vec<Effect>,
    /// Large values that left the keyspace; whoever receives this drops it elsewhere.
    pub garbage: Vec<Garbage>,
    /// Keys that changed, if somebody wants to know ([`Keyspace::note_changes`]).
    ///
    /// [`Keyspace::note_changes`]: crate::Keyspace::note_changes
    pub changed: Changed,
}

/// The view of one read. An expired key is invisible.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The state.
    pub keyspace: &'a Keyspace,
    /// The session's database.
    pub db: Db,
    /// Randomness of this read (RANDOMKEY): reads need not repeat, so the server draws it.
    pub seed: u64,
    /// The leader's clock when the read was allowed, Unix milliseconds; 0 if nobody asked it. Only
    /// remaining times are counted from it (cluster time stands still while nothing is written):
    /// which keys are visible is decided by cluster time alone.
    pub clock_ms: u64,
}

impl<'a> Reader<'a> {
    /// The view of something that neither draws nor asks for the time.
    pub const fn at(keyspace: &'a Keyspace, db: Db) -> Self {
        Self { keyspace, db, seed: 0, clock_ms: 0 }
    }
}

/// The means of one write. All changes go through its methods, which end in the keyspace's one
/// mutation point.
pub struct Writer<'a> {
    /// The state.
    pub keyspace: &'a mut Keyspace,
    /// The database the command runs in.
    pub db: Db,
    /// Stamp of the entry. `now_ms` is cluster time: it never runs back.
    pub stamp: Stamp,
    /// Log index of the entry; becomes the revision of what the command changes.
    pub index: u64,
    /// What others must hear.
    pub effects: &'a mut Effects,
    /// Where the command's key lies, if somebody has looked ahead.
    pub(crate) known: Option<Known<'a>>,
}
