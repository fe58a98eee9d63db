//! Who waits at the leader, for which keys, and in which order.
//!
//! Soft state: it is in no log and no snapshot. A session registers with the leader, is served or
//! gives up, and registers again when there is another leader. First come, first served: by the
//! time of the first registration, then by arrival.

use super::payload::{Run, RunKind};
use super::waiter::{Registration, Waiter};
use crate::{Changed, Db, Handler, Spec, Wait, cmd};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::BytesMut;
use quorate_resp::{Args, Limits, Parsed, Parser, Reply, write_command};

/// A place in the order: since when, and a number of the leader's.
pub(super) type Place = (u64, u64);

/// Those who wait in vain together: the command's row, and [`Wait::alike`].
pub(super) type Kind = (u16, Box<[u8]>);

/// Those who wait for one key.
type Queues = BTreeMap<Kind, BTreeSet<Place>>;

/// A run that waits.
#[derive(Debug)]
struct Parked {
    waiter: Waiter,
    run: Run,
    kind: Kind,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Waiting {
    parked: BTreeMap<Place, Parked>,
    places: BTreeMap<Waiter, Place>,
    keys: BTreeMap<Db, BTreeMap<Box<[u8]>, Queues>>,
    next: u64,
    bytes: usize,
}

impl Waiting {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.parked.len()
    }

    /// Bytes of what they ask for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Everybody who waits.
    pub fn waiters(&self) -> impl Iterator<Item = Waiter> {
        self.places.keys().copied()
    }

    /// Whether somebody waits for this key.
    pub(super) fn awaits(&self, db: Db, key: &[u8]) -> bool {
        self.keys.get(&db).is_some_and(|keys| keys.contains_key(key))
    }

    /// A session begins to wait; where. Once: whoever registers again, with the same time, keeps
    /// the earlier place. `None`: the run holds no command that waits.
    pub(super) fn park(&mut self, run: &Run) -> Option<Place> {
        let RunKind::Wait(Registration { waiter, since_ms, .. }) = run.kind else { return None };
        let earlier = self.places.get(&waiter).copied().filter(|place| place.0 == since_ms);
        self.remove(waiter);
        let mut parser = Parser::default();
        let (spec, wait) = waits(&mut parser, run)?;
        let args = parser.args(&run.commands);
        let kind = (spec.meta.number, (wait.alike)(args).into());
        self.next += 1;
        let place = earlier.unwrap_or((since_ms, self.next));
        for key in keys_of(wait, args) {
            let at = self.keys.entry(run.db).or_default().entry(key.into()).or_default();
            at.entry(Kind::clone(&kind)).or_default().insert(place);
        }
        self.bytes += run.bytes();
        self.places.insert(waiter, place);
        self.parked.insert(place, Parked { waiter, run: run.clone(), kind });
        Some(place)
    }

    /// A session waits no longer; whether it did.
    pub fn remove(&mut self, waiter: Waiter) -> bool {
        self.places.get(&waiter).copied().is_some_and(|place| self.take(place).is_some())
    }

    /// The same for everybody.
    pub fn clear(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    pub(super) fn take(&mut self, place: Place) -> Option<Waiter> {
        let Parked { waiter, run, kind } = self.parked.remove(&place)?;
        self.places.remove(&waiter);
        self.bytes -= run.bytes();
        let mut parser = Parser::default();
        let (_, wait) = waits(&mut parser, &run)?;
        for key in keys_of(wait, parser.args(&run.commands)) {
            let Some(keys) = self.keys.get_mut(&run.db) else { continue };
            let Some(at) = keys.get_mut(key) else { continue };
            if let Some(places) = at.get_mut(&kind) {
                places.remove(&place);
                if places.is_empty() {
                    at.remove(&kind);
                }
            }
            if at.is_empty() {
                keys.remove(key);
            }
        }
        Some(waiter)
    }

    /// What the one at a place asks for.
    pub(super) fn at(&self, place: Place) -> Option<(&Run, &Kind)> {
        self.parked.get(&place).map(|parked| (&parked.run, &parked.kind))
    }

    /// The first who waits for a key behind a place, and has not waited in vain already.
    pub(super) fn next(
        &self,
        (db, key): (Db, &[u8]),
        behind: Option<Place>,
        vain: &BTreeSet<Kind>,
    ) -> Option<Place> {
        use core::ops::Bound::{Excluded, Unbounded};
        let from = behind.map_or(Unbounded, Excluded);
        let at = self.keys.get(&db)?.get(key)?;
        let asked = at.iter().filter(|(kind, _)| !vain.contains(*kind));
        asked.filter_map(|(_, places)| places.range((from, Unbounded)).next().copied()).min()
    }

    /// Which keys that somebody waits for may have changed, in the order of their first changes.
    pub(super) fn touched(&self, changed: &Changed) -> Vec<(Db, Box<[u8]>)> {
        let mut keys: Vec<_> =
            changed.keys.iter().filter(|(db, key)| self.awaits(*db, key)).cloned().collect();
        for (db, all) in self.keys.iter().filter(|(db, _)| changed.is_all_of(**db)) {
            keys.extend(all.keys().map(|key| (*db, key.clone())));
        }
        let mut seen = BTreeSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        keys
    }
}

/// The command of a run that waits: its row, and how it waits. The parser holds it then.
pub(super) fn waits(parser: &mut Parser, run: &Run) -> Option<(&'static Spec, Wait)> {
    let Ok(Parsed::Command { len, canonical: true }) =
        parser.parse(&run.commands, &Limits::stored())
    else {
        return None;
    };
    let args = parser.args(&run.commands);
    let spec = cmd::resolve(args).filter(|spec| spec.meta.arity.fits(args.len()))?;
    match spec.run.of(args) {
        Handler::Wait(wait) if len == run.commands.len() => Some((spec, wait)),
        _ => None,
    }
}

/// The command that puts back what served a run that waits, with this reply, because whoever asked
/// is gone. `None`: what was moved stays where it went, and what was delivered is pending.
pub fn give_back(run: &Run, reply: &Reply<'_>) -> Option<Run> {
    let mut parser = Parser::default();
    let (_, wait) = waits(&mut parser, run)?;
    let words = (wait.give_back)(parser.args(&run.commands), reply)?;
    let mut commands = BytesMut::new();
    write_command(&mut commands, words.iter().map(Vec::as_slice));
    let kind = RunKind::Commands;
    Some(Run { db: run.db, proto: run.proto, commands: commands.freeze(), count: 1, kind })
}

/// The keys that a command waits for.
fn keys_of(wait: Wait, args: Args<'_>) -> impl Iterator<Item = &[u8]> {
    wait.keys.positions(args).filter_map(move |at| args.get(at))
}
