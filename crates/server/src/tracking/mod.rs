//! Client-side caching: which clients of this node keep copies of which keys, and how they hear
//! that a key has changed.
//!
//! A key is noted while whoever reads it holds the state that it reads, so no change slips in
//! between; what a run reads is noted before the run leaves. Changes come from apply on this node
//! ([`Tracking::changed`]), before the writer is answered. While this node does not keep up with a
//! leader it cannot know what has changed, so its clients are told to forget everything, and to
//! keep nothing until it does ([`Tracking::keeps_up`]). Once told of a key, a client of the default
//! mode is told again only when it has read the key again; a client of the broadcasting mode is
//! told of every change of keys with its prefixes.
//!
//! A lock is held for as long as it takes to look keys up and to leave messages in outboxes. What
//! its clients ask for stands in `tracker`.

mod keys;
mod message;
mod prefixes;
mod tracker;
mod under_way;

pub(crate) use tracker::{Options, Tracker};

use bytes::Bytes;
use keys::Keys;
use message::{Message, Way};
use prefixes::Prefixes;
use quorate_consensus::{Shown, Wanted};
use quorate_engine::Changed;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use under_way::{Seen, UnderWay};

/// Readers that are remembered for each key of the limit, on average.
const READERS_PER_KEY: usize = 16;
/// Keys that are swept while one is noted, as long as there may be readers that are gone.
const SWEEP_KEYS: usize = 4;
/// Keys that are given up under one lock.
const GIVE_UP_KEYS: usize = 1000;
/// A table of more keys is dropped by a thread of its own.
const DROP_KEYS: usize = 10_000;

/// A client that keeps copies.
#[derive(Debug)]
struct Keeper {
    way: Way,
    /// It is not told of what it changes itself.
    noloop: bool,
    /// Prefixes of the broadcasting mode; none in the default mode.
    prefixes: Option<Vec<Bytes>>,
    /// What of it is being carried out elsewhere.
    under_way: Option<UnderWay>,
}

impl Keeper {
    /// Whether it is told later that a key changed.
    fn holds(&mut self, key: &[u8], seen: Seen) -> bool {
        self.under_way.as_mut().is_some_and(|run| run.holds(key, seen))
    }

    /// Tells it that these keys changed, those of each prefix by themselves.
    fn tell_by_prefix(&self, keys: &[&[u8]]) {
        for prefix in self.prefixes.iter().flatten() {
            let of_prefix = keys.iter().filter(|key| key.starts_with(prefix)).copied();
            let of_prefix: Vec<_> = of_prefix.collect();
            if !of_prefix.is_empty() {
                Message::of(of_prefix).send(&self.way);
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    keepers: BTreeMap<u64, Keeper>,
    /// Number of the last one. A client that has stopped and begins again is another.
    last: u64,
    keys: Keys,
    prefixes: Prefixes,
    /// The greatest number of keys; 0 is no limit.
    keys_max: usize,
    /// Keys to be swept before no reader is left that is gone.
    to_sweep: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tracking {
    state: Mutex<State>,
    /// Clients that keep copies. While it is 0, as mostly, nothing costs more than a load.
    count: AtomicUsize,
    /// Whether keys may change without being told of here. Set under the lock.
    blind: AtomicBool,
    wanted: Arc<Wanted>,
}

/// What is known, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) clients: usize,
    pub(crate) keys: usize,
    pub(crate) items: usize,
    pub(crate) prefixes: usize,
}

impl Tracking {
    /// Nobody yet; nothing may be kept before this node keeps up.
    pub(crate) fn new(wanted: Arc<Wanted>) -> Self {
        let (state, count) = (Mutex::default(), AtomicUsize::new(0));
        Self { state, count, blind: AtomicBool::new(true), wanted }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody keeps copies. One load.
    pub(crate) fn has_any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    pub(crate) fn figures(&self) -> Figures {
        let state = self.lock();
        Figures {
            clients: state.keepers.len(),
            keys: state.keys.len(),
            items: state.keys.items(),
            prefixes: state.prefixes.len(),
        }
    }

    /// Whoever tells of changes asks for this.
    pub(crate) fn wanted(&self) -> &Arc<Wanted> {
        &self.wanted
    }
}

/// What clients say.
impl Tracking {
    /// Somebody keeps copies from now on; its number.
    fn join(&self, keeper: Keeper) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.keepers.insert(number, keeper);
        if self.count.fetch_add(1, Relaxed) == 0 {
            self.wanted.add();
        }
        number
    }

    /// Somebody keeps none any more.
    fn leave(&self, number: u64) {
        let mut state = self.lock();
        let Some(keeper) = state.keepers.remove(&number) else { return };
        match &keeper.prefixes {
            Some(prefixes) => {
                for prefix in prefixes {
                    state.prefixes.leave(prefix, number);
                }
            }
            None => state.to_sweep = state.keys.len(),
        }
        if self.count.fetch_sub(1, Relaxed) == 1 {
            self.wanted.remove();
            state.to_sweep = 0;
            drop_beside(std::mem::take(&mut state.keys));
        }
    }

    /// Changes what is known of somebody.
    fn change(&self, number: u64, change: impl FnOnce(&mut Keeper)) {
        if let Some(keeper) = self.lock().keepers.get_mut(&number) {
            change(keeper);
        }
    }

    /// Somebody asks for one more prefix.
    fn add_prefix(&self, number: u64, prefix: Bytes) {
        let mut state = self.lock();
        let State { keepers, prefixes, .. } = &mut *state;
        let Some(of_keeper) = keepers.get_mut(&number).and_then(|it| it.prefixes.as_mut()) else {
            return;
        };
        prefixes.join(&prefix, number);
        of_keeper.push(prefix);
    }

    /// Somebody reads these keys, of which it may keep copies. To be called while it holds the
    /// state that it reads, with the replies in its output: what comes of this comes behind them.
    fn read<'k>(&self, number: u64, keys: impl Iterator<Item = &'k [u8]>) {
        let mut state = self.lock();
        for key in keys {
            state.note(key, number);
        }
        if self.blind.load(Relaxed) {
            state.doubt(number);
        }
    }

    /// Somebody may keep no copy of anything that it has read up to here, if there is no telling
    /// what has changed since.
    fn read_nothing_lasting(&self, number: u64) {
        if self.blind.load(Relaxed) {
            self.lock().doubt(number);
        }
    }

    /// Somebody keeps a copy of nothing.
    fn doubt(&self, number: u64) {
        self.lock().doubt(number);
    }

    /// A run of somebody's leaves.
    fn depart(&self, number: u64, mut run: UnderWay, reads: &[Box<[u8]>]) {
        let mut state = self.lock();
        for key in reads {
            let is_fresh = state.note(key, number);
            if let Some(named) = run.keys.get_mut(key) {
                named.is_fresh |= is_fresh;
            }
        }
        if let Some(keeper) = state.keepers.get_mut(&number) {
            keeper.under_way = Some(run);
        }
    }

    /// It has come back, and its replies, if there are any, are in the output.
    fn arrive(&self, number: u64, shown: Option<Shown>) {
        let mut state = self.lock();
        state.arrive(number, shown.as_ref());
        if self.blind.load(Relaxed) {
            state.doubt(number);
        }
    }
}

/// What happens.
impl Tracking {
    /// An entry is applied that has changed keys.
    pub(crate) fn changed(&self, changed: &Changed) {
        if changed.is_empty() || !self.has_any() {
            return;
        }
        let mut state = self.lock();
        if changed.dbs != 0 {
            state.forget(true);
        }
        let mut by_prefix: BTreeMap<Bytes, BTreeMap<&[u8], Seen>> = BTreeMap::new();
        for (key, command) in changed.by_command() {
            let seen = Seen::new(changed.index, command);
            state.tell_readers(key, seen);
            for prefix in state.prefixes.of(key) {
                let keys = by_prefix.entry(prefix.clone()).or_default();
                keys.entry(key).and_modify(|other| other.merge(seen)).or_insert(seen);
            }
        }
        for (prefix, keys) in &by_prefix {
            state.broadcast(prefix, keys);
        }
    }

    /// Another state has taken the place of the one that was here.
    pub(crate) fn replaced(&self) {
        self.lock().forget(false);
    }

    /// Whether this node keeps up with a leader.
    pub(crate) fn keeps_up(&self, keeps_up: bool) {
        let mut state = self.lock();
        self.blind.store(!keeps_up, Relaxed);
        if !keeps_up {
            state.forget(false);
        }
    }

    /// So many keys may be remembered from now on; 0 is no limit.
    pub(crate) fn set_keys_max(&self, keys: usize) {
        self.lock().keys_max = keys;
        while self.lock().give_up() {}
    }
}

impl State {
    /// Notes that somebody reads a key; false if that was known.
    fn note(&mut self, key: &[u8], number: u64) -> bool {
        let is_fresh = self.keys.add(key, number);
        if self.to_sweep > 0 {
            let keepers = &self.keepers;
            self.keys.sweep(SWEEP_KEYS, &|reader| keepers.contains_key(&reader));
            self.to_sweep = self.to_sweep.saturating_sub(SWEEP_KEYS);
        }
        self.give_up();
        is_fresh
    }

    /// Gives up keys beyond the limit, as if they had changed; true if there are more.
    fn give_up(&mut self) -> bool {
        let is_over = |state: &Self| {
            let (most, keys) = (state.keys_max, &state.keys);
            let items_max = most.saturating_mul(READERS_PER_KEY);
            most > 0 && (keys.len() > most || keys.items() > items_max)
        };
        for _ in 0..GIVE_UP_KEYS {
            if !is_over(self) {
                return false;
            }
            let Some((key, readers)) = self.keys.take_any() else { return false };
            self.tell(&key, readers.iter(), Seen::GIVEN_UP);
        }
        is_over(self)
    }

    /// A key has changed: tells those who have read it, once.
    fn tell_readers(&mut self, key: &[u8], seen: Seen) {
        if let Some(readers) = self.keys.take(key) {
            for reader in self.tell(key, readers.iter(), seen) {
                self.keys.add(key, reader);
            }
        }
    }

    /// Gives those who will be told only later.
    fn tell(&mut self, key: &[u8], readers: impl Iterator<Item = u64>, seen: Seen) -> Vec<u64> {
        let (mut message, mut later) = (Message::of(vec![key]), Vec::new());
        for reader in readers {
            let Some(keeper) = self.keepers.get_mut(&reader) else { continue };
            if keeper.holds(key, seen) {
                later.push(reader);
            } else {
                message.send(&keeper.way);
            }
        }
        later
    }

    /// Keys with a prefix have changed: tells everybody who has asked for it.
    fn broadcast(&mut self, prefix: &[u8], keys: &BTreeMap<&[u8], Seen>) {
        let mut message = Message::of(keys.keys().copied().collect());
        for number in self.prefixes.who(prefix) {
            let Some(keeper) = self.keepers.get_mut(&number) else { continue };
            if keeper.under_way.is_none() {
                message.send(&keeper.way);
                continue;
            }
            let now = keys.iter().filter(|(key, seen)| !keeper.holds(key, **seen));
            let now: Vec<_> = now.map(|(key, _)| *key).collect();
            if !now.is_empty() {
                Message::of(now).send(&keeper.way);
            }
        }
    }

    /// Any key may have changed: everybody forgets everything. Whoever may have done that itself is
    /// told behind the reply, if it was by an entry.
    fn forget(&mut self, by_entry: bool) {
        let mut message = Message::of_all();
        for keeper in self.keepers.values_mut() {
            let run = keeper.under_way.as_mut();
            let is_own = by_entry && run.as_ref().is_some_and(|run| run.empties);
            if !is_own {
                message.send(&keeper.way);
            }
            if let Some(run) = run {
                run.forgotten = true;
            }
        }
        drop_beside(std::mem::take(&mut self.keys));
        self.to_sweep = 0;
    }

    /// Somebody may not keep what it has read.
    fn doubt(&mut self, number: u64) {
        if let Some(keeper) = self.keepers.get(&number) {
            Message::of_all().send(&keeper.way);
        }
    }

    /// See [`Tracking::arrive`].
    fn arrive(&mut self, number: u64, shown: Option<&Shown>) {
        let Some(keeper) = self.keepers.get_mut(&number) else { return };
        let Some(run) = keeper.under_way.take() else { return };
        if run.forgotten && (run.reads || run.empties) {
            // Its replies may be older than that.
            Message::of_all().send(&keeper.way);
            run.keys.keys().for_each(|key| self.keys.remove(key, number));
            return;
        }
        let is_stale = |key: &&[u8]| {
            run.keys.get(*key).is_some_and(|named| named.is_stale(shown, keeper.noloop))
        };
        let stale: Vec<&[u8]> = run.keys.keys().map(|key| &**key).filter(is_stale).collect();
        if keeper.prefixes.is_some() {
            return keeper.tell_by_prefix(&stale);
        }
        for key in stale {
            self.keys.remove(key, number);
            Message::of(vec![key]).send(&keeper.way);
        }
        if shown.is_none() {
            let fresh = run.keys.iter().filter(|(_, named)| named.is_fresh);
            fresh.for_each(|(key, _)| self.keys.remove(key, number));
        }
    }
}

/// Drops a table, which takes long if it is large.
fn drop_beside(keys: Keys) {
    if keys.len() > DROP_KEYS {
        // Without a thread it is dropped here, with the closure.
        drop(std::thread::Builder::new().name("forget".to_owned()).spawn(move || drop(keys)));
    }
}

#[cfg(test)]
mod tests;
