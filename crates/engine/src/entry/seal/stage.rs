//! The state that a batch is judged against: as it stands ([`Still`]), or as the batch makes it
//! ([`Rehearsed`]).
//!
//! Sealing is written once for both; without a rehearsal nothing of it is compiled.

use crate::entry::replies::mix;
use crate::keyspace::rehearsal::{Mark, Rehearsal};
use crate::{Changed, Db, Effect, Keyspace, Stamp, Waiting, WriteFn, Writer};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

/// What became of a command that is to be logged.
pub(super) enum Ran {
    /// It did not run: apply will see.
    Unseen,
    /// It changed something; with the seed that it drew from, if it drew, and its reply.
    Changed(Option<u64>, Reply<'static>),
    /// It changed nothing, and this is its reply.
    Unchanged(Reply<'static>),
}

/// See the module.
pub(super) trait Stage {
    /// Whether the state shows what ran of the batch.
    const SHOWS: bool;

    /// The state.
    fn keyspace(&self) -> &Keyspace;

    /// A key goes at the head of the payload, because it is due.
    fn expire(&mut self, db: Db, key: &[u8]);

    /// Fields of a hash go there.
    fn expire_fields(&mut self, db: Db, key: &[u8], fields: &[Vec<u8>]);

    /// Who waits.
    fn waiting(&self) -> &Waiting;

    /// The same, to be changed; `None` where nothing runs.
    fn desk(&mut self) -> Option<&mut Waiting>;

    /// Which keys changed since this was asked last.
    fn changed(&mut self) -> Changed;

    /// A command goes into the payload in these words.
    fn run(&mut self, db: Db, write: WriteFn, args: Args<'_>) -> Ran;

    /// Bytes that are kept to undo what ran.
    fn bytes(&self) -> u64 {
        0
    }

    /// Marks a place, to go back to.
    fn mark(&mut self) -> Option<Mark> {
        None
    }

    /// Undoes what ran since then.
    fn go_back(&mut self, _: Mark) {}
}

/// Nothing runs: whoever depends on what the batch did before has to look for it.
pub(super) struct Still<'a>(pub(super) &'a Keyspace, pub(super) &'a Waiting);

impl Stage for Still<'_> {
    const SHOWS: bool = false;

    fn keyspace(&self) -> &Keyspace {
        self.0
    }

    fn expire(&mut self, _: Db, _: &[u8]) {}

    fn expire_fields(&mut self, _: Db, _: &[u8], _: &[Vec<u8>]) {}

    fn waiting(&self) -> &Waiting {
        self.1
    }

    fn desk(&mut self) -> Option<&mut Waiting> {
        None
    }

    fn changed(&mut self) -> Changed {
        Changed::default()
    }

    fn run(&mut self, _: Db, _: WriteFn, _: Args<'_>) -> Ran {
        Ran::Unseen
    }
}

/// Everything runs, and will be undone.
pub(super) struct Rehearsed<'k> {
    pub(super) state: Rehearsal<'k>,
    waiting: &'k mut Waiting,
    /// Of the last command. Its seed belongs to no command of an entry.
    stamp: Stamp,
}

impl<'k> Rehearsed<'k> {
    /// Begins. The entry will be the next one, with this stamp.
    pub(super) fn begin(
        keyspace: &'k mut Keyspace,
        waiting: &'k mut Waiting,
        stamp: Stamp,
    ) -> Self {
        let index = keyspace.applied_index() + 1;
        let state = Rehearsal::begin(keyspace, index, stamp.now_ms);
        Self { state, waiting, stamp: Stamp { seed: !stamp.seed, ..stamp } }
    }

    fn writer(&mut self, db: Db) -> Writer<'_> {
        let (keyspace, effects) = self.state.parts();
        let index = keyspace.applied_index();
        Writer::new(keyspace, db, self.stamp, index, effects)
    }
}

impl Stage for Rehearsed<'_> {
    const SHOWS: bool = true;

    fn keyspace(&self) -> &Keyspace {
        self.state.keyspace()
    }

    fn expire(&mut self, db: Db, key: &[u8]) {
        self.writer(db).expire(key);
    }

    fn expire_fields(&mut self, db: Db, key: &[u8], fields: &[Vec<u8>]) {
        self.writer(db).expire_fields(key, fields.iter().map(Vec::as_slice));
    }

    fn waiting(&self) -> &Waiting {
        self.waiting
    }

    fn desk(&mut self) -> Option<&mut Waiting> {
        Some(self.waiting)
    }

    fn changed(&mut self) -> Changed {
        self.state.changed()
    }

    fn run(&mut self, db: Db, write: WriteFn, args: Args<'_>) -> Ran {
        let before = self.state.keyspace().changes();
        self.stamp.seed = mix(self.stamp.seed);
        let seed = self.stamp.seed;
        let mut writer = self.writer(db);
        writer.effects.list.clear();
        let reply = write(&mut writer, args).unwrap_or_else(|error| error);
        let drew = writer.stamp.seed != seed;
        let publishes = matches!(writer.effects.list.pop(), Some(Effect::Publish { .. }));
        if self.state.keyspace().changes() == before && !publishes {
            return Ran::Unchanged(reply);
        }
        Ran::Changed(drew.then_some(seed), reply)
    }

    fn bytes(&self) -> u64 {
        self.state.bytes()
    }

    fn mark(&mut self) -> Option<Mark> {
        self.state.mark()
    }

    fn go_back(&mut self, mark: Mark) {
        self.state.go_back(mark);
    }
}
