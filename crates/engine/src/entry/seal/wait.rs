//! Commands that wait: what serves them now, and who is served by what a batch changes.
//!
//! Only a rehearsal can tell. Behind each command, and behind each transaction, whoever waits for a
//! key that it changed is looked at in order; what serves one may change keys that others wait for.

use super::stage::{Ran, Stage};
use super::{Sealer, rehearse_one};
use crate::entry::waiter::{Registration, Waiter};
use crate::entry::waiting::{Place, waits};
use crate::{Cause, Db, Flags, LogForm, Reader, Run, Sealing, Serving, Spec, Wait, cmd};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use bytes::BytesMut;
use quorate_resp::{Args, Limits, Parser, write_command};

/// What came of looking at somebody who waits.
enum Looked {
    /// There was something.
    Done,
    /// There was nothing.
    InVain,
}

impl<S: Stage> Sealer<'_, S> {
    /// Whether somebody may wait for what this changes.
    pub(super) fn is_awaited(&self, spec: &Spec, db: Db, args: Args<'_>) -> bool {
        let waiting = self.stage.waiting();
        if waiting.is_empty() {
            return false;
        }
        let flags = spec.meta.flags;
        if flags.has(Flags::OTHER_DB) || flags.has(Flags::KEYSPACE_WIDE) {
            return true;
        }
        let mut keys = spec.meta.keys.positions(args).filter_map(|at| args.get(at));
        keys.any(|key| waiting.awaits(db, key))
    }

    /// The form of a command that would wait and must not: within a transaction.
    pub(super) fn at_once(&mut self, wait: Wait, db: Db, args: Args<'_>) -> LogForm {
        if !S::SHOWS {
            self.unsure = true;
            return LogForm::Plain;
        }
        match self.serving(wait, (db, args), Cause::New) {
            Serving::By { words, flat: true } => LogForm::Flat(words),
            Serving::By { words, flat: false } => LogForm::Rewritten(words),
            Serving::Nothing(reply) | Serving::Refused(reply) => LogForm::Refused(reply),
        }
    }

    fn serving(&mut self, wait: Wait, (db, args): (Db, Args<'_>), cause: Cause<'_>) -> Serving {
        if let Err(refusal) = (wait.timeout_ms)(args) {
            return Serving::Refused(refusal);
        }
        let mut sealing = Sealing::new(Reader::at(self.stage.keyspace(), db), self.stamp);
        let serving = (wait.serve)(&mut sealing, args, cause);
        self.inexact |= sealing.inexact && matches!(serving, Serving::By { .. });
        serving
    }

    /// Takes a run that waits: it is refused, served, or parked.
    pub(super) fn wait(&mut self, run: &Run, registration: &Registration) {
        let waiter = registration.waiter;
        if !S::SHOWS {
            self.unsure = true;
            return;
        }
        let mut parser = Parser::default();
        let Some((spec, wait)) = waits(&mut parser, run) else {
            self.plan.run(run.db, run.proto);
            return self.malformed(run, 1);
        };
        let args = parser.args(&run.commands);
        let serving = if let Some(refusal) = self.refusal(spec.meta.flags) {
            Serving::Refused(refusal.reply())
        } else {
            if self.due.any {
                self.due.note(&mut self.stage, spec, run.db, args);
            }
            let cause = if registration.again { Cause::Back } else { Cause::New };
            self.serving(wait, (run.db, args), cause)
        };
        match serving {
            Serving::Refused(reply) => {
                self.plan.run(run.db, run.proto);
                self.plan.known(reply);
            }
            Serving::By { words, flat } if self.serve((run.db, waiter), &words, flat) => {
                self.parked.push(self.place.0);
                self.wake();
            }
            Serving::By { .. } | Serving::Nothing(_) => {
                self.parked.push(self.place.0);
                if let Some(desk) = self.stage.desk() {
                    desk.park(run);
                }
            }
        }
    }

    /// Serves whoever waits for what has changed.
    pub(super) fn wake(&mut self) {
        let changed = self.stage.changed();
        if changed.is_empty() || self.stage.waiting().is_empty() {
            return;
        }
        let mut keys = VecDeque::from(self.stage.waiting().touched(&changed));
        // Each of them once.
        let mut queued: BTreeSet<_> = keys.iter().cloned().collect();
        while let Some(at) = keys.pop_front() {
            let (mut behind, mut vain) = (None, BTreeSet::new());
            while let Some(place) = self.stage.waiting().next((at.0, &at.1), behind, &vain) {
                behind = Some(place);
                let kind = self.stage.waiting().at(place).map(|(_, kind)| kind.clone());
                if let Looked::InVain = self.look_again(place, &at.1) {
                    vain.extend(kind);
                }
                // What is taken from this key gives nobody anything who waits for it in vain.
                let more = self.stage.changed();
                let more = self.stage.waiting().touched(&more);
                keys.extend(more.into_iter().filter(|key| queued.insert(key.clone())));
            }
            queued.remove(&at);
        }
    }

    /// Looks at one who waits for a key that has changed.
    fn look_again(&mut self, place: Place, key: &[u8]) -> Looked {
        let Some((run, _)) = self.stage.waiting().at(place) else { return Looked::Done };
        let run = run.clone();
        let mut parser = Parser::default();
        let Some((spec, wait)) = waits(&mut parser, &run) else { return Looked::Done };
        let args = parser.args(&run.commands);
        // Since it came, a key that it names may have become due: it goes first, as for anybody.
        if self.due.any {
            self.due.note(&mut self.stage, spec, run.db, args);
        }
        match self.serving(wait, (run.db, args), Cause::Changed(key)) {
            Serving::Nothing(_) => Looked::InVain,
            Serving::By { words, flat } => {
                let Some(waiter) = self.stage.desk().and_then(|desk| desk.take(place)) else {
                    return Looked::Done;
                };
                if self.serve((run.db, waiter), &words, flat) {
                    return Looked::Done;
                }
                if let Some(desk) = self.stage.desk() {
                    desk.park(&run);
                }
                Looked::InVain
            }
            Serving::Refused(reply) => {
                if let Some(waiter) = self.stage.desk().and_then(|desk| desk.take(place)) {
                    let mut out = BytesMut::new();
                    reply.encode(run.proto, &mut out);
                    self.relayed.push((waiter, out.freeze()));
                }
                Looked::Done
            }
        }
    }

    /// Logs what serves somebody; false if it changes nothing, which it does not.
    fn serve(&mut self, (db, waiter): (Db, Waiter), words: &[Vec<u8>], flat: bool) -> bool {
        let mut command = BytesMut::new();
        write_command(&mut command, words.iter().map(Vec::as_slice));
        let mut parser = Parser::default();
        // It was written here.
        let _ = parser.parse(&command, &Limits::stored());
        let args = parser.args(&command);
        let cost_ns = cmd::resolve(args).map_or(0, |spec| self.cost(spec, db, args));
        let Ran::Changed(seed, _) = rehearse_one(&mut self.stage, db, args) else {
            return false;
        };
        self.cost_ns = self.cost_ns.saturating_add(cost_ns);
        if let Some(seed) = seed {
            self.body.seed(seed);
            self.inexact = true;
        }
        self.body.served(waiter, flat);
        self.body.command(db, words);
        self.plan.served();
        self.served.push(waiter);
        true
    }
}
