//! Freezing the keyspace: the state as it was at one entry, written while later entries change it.
//!
//! Every key has an epoch bit. A freeze flips the keyspace's epoch, which costs nothing: a key
//! whose bit differs belongs to the frozen view and was not written yet. Whatever is about to
//! change such a key has it written first ([`Freeze::save`], called from the one place where keys
//! are opened for change); a walk over the tables writes the others, step by step. So the view is
//! exact, and what is held in memory is what changed since the last step. A large value is kept as
//! its spine of shared chunks. A database that is emptied leaves whole, and is walked where it then
//! lies; exchanged databases are found again by their number.
//!
//! Keys come in no particular order. Nothing here knows where the pieces go.

use super::database::Database;
use super::record::Record;
use super::{Garbage, Keyspace, Waste};
use crate::db::Db;
use crate::rdb::{Header, Output, Piece, SnapshotFacts};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A step of the walk ends when it has written so many bytes, however few keys they are.
const STEP_BYTES: u64 = 64 << 10;
/// After so many keys a step asks whether it is to end.
const KEYS_ASKED: usize = 64;

/// A view that is being written: what was frozen, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Index of the last entry in the view.
    pub index: u64,
    /// Its keys.
    pub keys: u64,
}

/// What a step gave.
#[derive(Debug)]
pub struct FreezeStep {
    /// Of the file, in order.
    pub pieces: Vec<Piece>,
    /// Emptied databases that are written; only to be dropped.
    pub garbage: Vec<Garbage>,
    /// Keys of the view that are done so far.
    pub keys: u64,
    /// The file is complete, but for its checksum. The freeze is over.
    pub done: bool,
}

/// Where a database of the view is now.
#[derive(Debug)]
enum Place {
    /// In the keyspace, under this number.
    Live(Db),
    /// Emptied since.
    Left(Box<Database>),
    /// Every key of it is written.
    Done,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Freeze {
    frozen: Frozen,
    /// `None`: the freeze was given up, and the walk goes on only to bring every key into the
    /// present epoch.
    output: Option<Output>,
    /// By the number that each database had in the view.
    places: [Place; Db::COUNT as usize],
    /// How far the first database that is not done was walked.
    at: (usize, u32),
    /// Keys written or passed over.
    keys: u64,
}

impl Freeze {
    /// A key is about to change or to go: its form in the view is written now.
    pub(super) fn save(&mut self, db: Db, record: &Record) {
        if let Some(db) = self.of(db) {
            self.keys += 1;
            if let Some(output) = &mut self.output {
                output.key(db, &record.as_key());
            }
        }
    }

    /// The number in the view of what is now database `db`, unless it is written or newer.
    fn of(&self, db: Db) -> Option<Db> {
        let is_here =
            |place: &Place| matches!(place, Place::Live(now) if now.number() == db.number());
        let number = self.places.iter().position(is_here)?;
        Db::all().nth(number)
    }

    /// Database `db` is emptied: the freeze takes it if it has not written all of it, else it comes
    /// back.
    pub(super) fn take_over(&mut self, db: Db, database: Box<Database>) -> Option<Box<Database>> {
        let place = self.of(db).and_then(|of| self.places.get_mut(of.number()));
        let Some(place) = place else { return Some(database) };
        *place = Place::Left(database);
        None
    }

    /// Two databases of the keyspace have changed places.
    pub(super) fn exchange(&mut self, one: Db, other: Db) {
        for place in &mut self.places {
            if let Place::Live(now) = place {
                if now.number() == one.number() {
                    *now = other;
                } else if now.number() == other.number() {
                    *now = one;
                }
            }
        }
    }

    /// Writes the next keys that have not changed since the freeze, until it has looked at so many
    /// keys or written so many bytes, or it is told that this is enough. Gives the databases that
    /// are no longer needed.
    fn walk(
        &mut self,
        databases: &mut [Database],
        epoch: bool,
        (keys_max, bytes): (usize, u64),
        is_enough: &mut dyn FnMut() -> bool,
    ) -> Vec<Garbage> {
        let Self { output, places, at, keys, .. } = self;
        let written = |output: &Option<Output>| output.as_ref().map_or(0, Output::written);
        let bytes_max = written(output) + bytes;
        let (mut looked, mut garbage) = (0_usize, Vec::new());
        let mut goes_on = |looked: usize, output: &Option<Output>| {
            let asks = looked > 0 && looked.is_multiple_of(KEYS_ASKED);
            looked < keys_max && written(output) < bytes_max && !(asks && is_enough())
        };
        while goes_on(looked, output) {
            let mut waiting = Db::all().zip(places.iter_mut());
            let waiting = waiting.find(|(_, place)| !matches!(place, Place::Done));
            let Some((of, place)) = waiting else { break };
            let database = match place {
                Place::Live(db) => databases.get_mut(db.number()),
                Place::Left(database) => Some(&mut **database),
                Place::Done => None,
            };
            let next = database.and_then(|database| {
                database.table.visit(*at, &mut |record| {
                    looked += 1;
                    if record.epoch() != epoch {
                        *keys += 1;
                        record.set_epoch(epoch);
                        if let Some(output) = output {
                            output.key(of, &record.as_key());
                        }
                    }
                    goes_on(looked, output)
                })
            });
            *at = next.unwrap_or_default();
            if next.is_none()
                && let Place::Left(database) = core::mem::replace(place, Place::Done)
            {
                garbage.push(Garbage(Waste::Database(database)));
            }
        }
        garbage
    }

    /// What it holds, when its keyspace goes.
    pub(super) fn into_garbage(self) -> Vec<Garbage> {
        let databases = self.places.into_iter().filter_map(|place| match place {
            Place::Left(database) => Some(Waste::Database(database)),
            Place::Live(_) | Place::Done => None,
        });
        let output = self.output.map(|output| Waste::Output(Box::new(output)));
        databases.chain(output).map(Garbage).collect()
    }

    fn is_done(&self) -> bool {
        self.places.iter().all(|place| matches!(place, Place::Done))
    }
}

impl Keyspace {
    /// Freezes the state as it is now, to be written as a snapshot by [`Keyspace::freeze_step`].
    /// Takes the same short time however many keys there are. `None` while another freeze runs.
    pub fn freeze(&mut self, facts: &SnapshotFacts) -> Option<Frozen> {
        if self.freeze.is_some() {
            return None;
        }
        let output = self.output(facts);
        let mut numbers = Db::all();
        let places = core::array::from_fn(|_| match numbers.next() {
            Some(db) if self.database(db).table.len() > 0 => Place::Live(db),
            _ => Place::Done,
        });
        let keys = self.databases.iter().map(|database| database.table.len()).sum();
        let frozen = Frozen { index: self.applied_index, keys };
        self.epoch = !self.epoch;
        let output = Some(output);
        self.freeze = Some(Box::new(Freeze { frozen, output, places, at: (0, 0), keys: 0 }));
        Some(frozen)
    }

    /// Begins the file of the state as it is now; its keys are to follow.
    pub(crate) fn output(&self, facts: &SnapshotFacts) -> Output {
        let header = Header {
            facts: facts.clone(),
            hash_key: self.hash_key,
            now_ms: self.now_ms,
            index: self.applied_index,
            digest: self.digest,
            side: self.side.clone(),
            floors: self.revisions.floors(),
            gone: self.revisions.gone().to_vec(),
        };
        let mut numbers = Db::all();
        let sizes = core::array::from_fn(|_| {
            let database = self.database(numbers.next()?);
            Some((database.table.len(), database.expiry.len()))
        });
        Output::new(header, &sizes)
    }

    /// Does a little of the work of a freeze, looking at no more than `keys_max` keys that did not
    /// change, and hands out all that is ready. Every 64 keys it asks whether this is enough.
    /// `None` if that freeze does not run here (any more).
    pub fn freeze_step(
        &mut self,
        of: Frozen,
        keys_max: usize,
        is_enough: &mut dyn FnMut() -> bool,
    ) -> Option<FreezeStep> {
        self.freeze_step_within(of, (keys_max.max(1), STEP_BYTES), is_enough)
    }

    fn freeze_step_within(
        &mut self,
        of: Frozen,
        limits: (usize, u64),
        is_enough: &mut dyn FnMut() -> bool,
    ) -> Option<FreezeStep> {
        let mut freeze = self.freeze.take_if(|freeze| freeze.frozen == of)?;
        let garbage = freeze.walk(&mut self.databases, self.epoch, limits, is_enough);
        let done = freeze.is_done();
        let pieces = freeze.output.as_mut().map(|output| output.take(done)).unwrap_or_default();
        let keys = freeze.keys;
        if !done {
            self.freeze = Some(freeze);
        }
        Some(FreezeStep { pieces, garbage, keys, done })
    }

    /// Gives a freeze up: nothing more is written or held. Its steps go on being due until one is
    /// the last, and no other freeze begins before.
    pub fn freeze_abandon(&mut self, of: Frozen) -> Option<Garbage> {
        let freeze = self.freeze.as_mut().filter(|freeze| freeze.frozen == of)?;
        Some(Garbage(Waste::Output(Box::new(freeze.output.take()?))))
    }

    /// The freeze that runs.
    pub fn frozen(&self) -> Option<Frozen> {
        self.freeze.as_ref().map(|freeze| freeze.frozen)
    }

    /// Bytes that wait for the next step: what was changed since the last one, with the chunks of
    /// large values, which may still be shared.
    pub fn freeze_backlog(&self) -> u64 {
        let output = self.freeze.as_ref().and_then(|freeze| freeze.output.as_ref());
        output.map_or(0, Output::held)
    }
}

#[cfg(test)]
mod tests;
