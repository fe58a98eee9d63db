//! Who listens to what, on all nodes: this node's table, which it tells the others, and theirs as
//! they told it.
//!
//! A table is told as state and not as a history: a stream to a peer begins with the whole of it,
//! piece by piece, and goes on with the counts that changed, each as it is when it is told. So what
//! waits for a slow peer is bounded by the names that there are, and a message that is lost with
//! its stream is made good by the next one. Counts answer questions (`PUBLISH`, `PUBSUB`); where
//! messages go is decided by one bit for each node, whether anybody listens there. When that bit
//! turns, peers acknowledge it, and whoever turned it can wait for that. Another bit says whether
//! anybody wants to hear which keys change: only the leader heeds it.

use crate::bus::message::{Kind, Message};
use crate::lock::lock;
use bytes::Bytes;
use quorate_engine::glob;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Bytes of names that are kept of one peer. Of what it tells beyond, counts are not known here;
/// messages go there all the same.
const TABLE_BYTES_MAX: usize = 16 << 20;
/// A longer name is not told: counts of it are those of its own node.
pub(crate) const NAME_BYTES_MAX: usize = 64 << 10;
/// Counted for a name besides its bytes.
const NAME_BYTES: usize = 64;

/// How many listen to each name of one node.
#[derive(Debug, Default)]
struct Counts {
    by_kind: [BTreeMap<Bytes, u64>; 3],
    /// Bytes of the names.
    bytes: usize,
}

impl Counts {
    fn of(&self, kind: Kind) -> &BTreeMap<Bytes, u64> {
        let [channels, patterns, shards] = &self.by_kind;
        match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shards,
        }
    }

    fn set(&mut self, kind: Kind, name: &Bytes, count: u64) {
        let [channels, patterns, shards] = &mut self.by_kind;
        let names = match kind {
            Kind::Channel => channels,
            Kind::Pattern => patterns,
            Kind::Shard => shards,
        };
        let bytes = name.len() + NAME_BYTES;
        let before =
            if count == 0 { names.remove(name) } else { names.insert(name.clone(), count) };
        match (before.is_some(), count > 0) {
            (false, true) => self.bytes += bytes,
            (true, false) => self.bytes -= bytes,
            _ => {}
        }
    }

    fn get(&self, kind: Kind, name: &[u8]) -> u64 {
        self.of(kind).get(name).copied().unwrap_or(0)
    }

    fn is_empty(&self) -> bool {
        self.by_kind.iter().all(BTreeMap::is_empty)
    }

    /// The first name behind this one, in order of kind and name.
    fn behind(&self, at: Option<&Place>) -> Option<(Place, u64)> {
        use std::ops::Bound;
        let from = at.map_or(Kind::Channel, |at| at.kind);
        Kind::ALL.into_iter().filter(|kind| *kind >= from).find_map(|kind| {
            let after = at.filter(|at| at.kind == kind).map(|at| &at.name);
            let bound = after.map_or(Bound::Unbounded, Bound::Excluded);
            let (name, count) =
                self.of(kind).range::<Bytes, _>((bound, Bound::Unbounded)).next()?;
            Some((Place { kind, name: name.clone() }, *count))
        })
    }

    /// Who gets this message.
    fn receivers(&self, message: &Message) -> u64 {
        if message.shard {
            return self.get(Kind::Shard, &message.channel);
        }
        let patterns = self.of(Kind::Pattern).iter();
        let matching = patterns.filter(|(pattern, _)| glob::matches(pattern, &message.channel));
        sum(matching.map(|(_, count)| *count))
            .saturating_add(self.get(Kind::Channel, &message.channel))
    }
}

/// A sum of what peers told, which may be anything.
fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// One name in a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    kind: Kind,
    name: Bytes,
}

impl Place {
    fn bytes(&self) -> usize {
        self.name.len() + NAME_BYTES
    }
}

/// What a node tells of its subscribers in one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// What was told before on an older stream does not count.
    pub(crate) anew: bool,
    /// Whether anybody listens at all.
    pub(crate) anybody: bool,
    /// Whether anybody wants to hear which keys change.
    pub(crate) changes: bool,
    /// Number of the turn of those bits; acknowledged by it.
    pub(crate) turn: u64,
    /// How many listen now to these names; 0: nobody.
    pub(crate) counts: Vec<(Kind, Bytes, u64)>,
}

/// Whether a peer can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A stream is being opened.
    Trying,
    /// There is a stream.
    Open,
    /// The last try failed: nobody waits for this peer.
    Lost,
}

/// How far a table was told from its beginning.
#[derive(Debug)]
enum Walk {
    /// Nothing of it.
    Begun,
    /// Up to this name.
    At(Place),
    /// All.
    Done,
}

/// How far a peer was told.
#[derive(Debug)]
struct Teller {
    reach: Reach,
    /// The next message is the first of its stream.
    anew: bool,
    /// How far telling the whole table has come.
    walk: Walk,
    /// Names before that place whose counts have changed since.
    changed: BTreeSet<Place>,
    changed_bytes: usize,
    /// The turn that was told last on this stream, and the last that was acknowledged.
    told: Option<u64>,
    acknowledged: u64,
    /// Rung when there is something to be told.
    wake: Arc<Notify>,
}

impl Teller {
    fn new() -> Self {
        Self {
            reach: Reach::Trying,
            anew: true,
            walk: Walk::Begun,
            changed: BTreeSet::new(),
            changed_bytes: 0,
            told: None,
            acknowledged: 0,
            wake: Arc::default(),
        }
    }

    /// From here on everything is told, as to one that knows nothing.
    fn begin(&mut self) {
        (self.anew, self.walk, self.told) = (true, Walk::Begun, None);
        self.acknowledged = 0;
        self.changed.clear();
        self.changed_bytes = 0;
    }

    fn note(&mut self, place: &Place) {
        if self.reach != Reach::Open {
            return;
        }
        // What the walk has not come to yet it will tell as it is then.
        let is_walked = match &self.walk {
            Walk::Begun => false,
            Walk::At(at) => place <= at,
            Walk::Done => true,
        };
        if is_walked && self.changed.insert(place.clone()) {
            self.changed_bytes += place.bytes();
            if self.changed_bytes > TABLE_BYTES_MAX {
                self.begin();
            }
        }
        self.wake.notify_one();
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Interest {
    state: Mutex<State>,
    /// Rung when a peer has acknowledged something, or cannot be reached.
    heard: Notify,
    /// Whether anybody on another node wants to hear which keys change.
    others_want: AtomicBool,
}

/// What another node told.
#[derive(Debug, Default)]
struct Other {
    anybody: bool,
    changes: bool,
    counts: Counts,
}

#[derive(Debug, Default)]
struct State {
    own: Counts,
    /// Whether anybody here wants to hear which keys change.
    changes: bool,
    /// How often that, or "somebody listens here", has turned.
    turns: u64,
    /// By nodes.
    others: BTreeMap<u64, Other>,
    tellers: BTreeMap<u64, Teller>,
}

impl State {
    fn all(&self) -> impl Iterator<Item = &Counts> {
        std::iter::once(&self.own).chain(self.others.values().map(|other| &other.counts))
    }

    fn turn(&mut self) {
        self.turns += 1;
        self.tellers.values().for_each(|teller| teller.wake.notify_one());
    }
}

impl Interest {
    /// So many listen to this name here now.
    pub fn set(&self, kind: Kind, name: &Bytes, count: u64) {
        let mut state = lock(&self.state);
        let was_empty = state.own.is_empty();
        state.own.set(kind, name, count);
        if was_empty != state.own.is_empty() {
            state.turn();
        }
        if name.len() <= NAME_BYTES_MAX {
            let place = Place { kind, name: name.clone() };
            state.tellers.values_mut().for_each(|teller| teller.note(&place));
        }
    }

    /// Whether anybody here wants to hear which keys change has turned: `now` looks.
    pub(crate) fn set_changes(&self, now: impl FnOnce() -> bool) {
        let mut state = lock(&self.state);
        let now = now();
        if std::mem::replace(&mut state.changes, now) != now {
            state.turn();
        }
    }

    /// Whether nobody listens here.
    pub(crate) fn is_own_empty(&self) -> bool {
        lock(&self.state).own.is_empty()
    }

    /// Names of this kind that somebody listens to on any node, in order.
    pub fn names(&self, kind: Kind) -> BTreeSet<Bytes> {
        let state = lock(&self.state);
        state.all().flat_map(|counts| counts.of(kind).keys().cloned()).collect()
    }

    /// How many listen to this name on all nodes.
    pub fn count(&self, kind: Kind, name: &[u8]) -> u64 {
        sum(lock(&self.state).all().map(|counts| counts.get(kind, name)))
    }

    /// How many get this message on all nodes.
    pub fn receivers(&self, message: &Message) -> u64 {
        sum(lock(&self.state).all().map(|counts| counts.receivers(message)))
    }
}

/// What this node tells.
impl Interest {
    /// A peer is to be told, as soon as there is a stream to it. Rung when there is something.
    pub(crate) fn meet(&self, node: u64) -> Arc<Notify> {
        let mut state = lock(&self.state);
        state.tellers.entry(node).or_insert_with(Teller::new).wake.clone()
    }

    /// A stream to the peer is open, is tried, or could not be opened.
    pub(crate) fn reach(&self, node: u64, reach: Reach) {
        if let Some(teller) = lock(&self.state).tellers.get_mut(&node) {
            teller.begin();
            teller.reach = reach;
            teller.wake.notify_one();
        }
        self.heard.notify_waiters();
    }

    /// A peer is none any more.
    pub(crate) fn part(&self, node: u64) {
        lock(&self.state).tellers.remove(&node);
        self.forget(node);
        self.heard.notify_waiters();
    }

    /// What is to be told next to a peer, with so many bytes of names at most and at least one.
    pub(crate) fn next(&self, node: u64, bytes_max: usize) -> Option<Told> {
        let mut state = lock(&self.state);
        let State { own, changes, turns, tellers, .. } = &mut *state;
        let teller = tellers.get_mut(&node).filter(|teller| teller.reach == Reach::Open)?;
        let mut counts = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max {
            if let Some(place) = teller.changed.pop_first() {
                teller.changed_bytes -= place.bytes();
                bytes += place.bytes();
                let count = own.get(place.kind, &place.name);
                counts.push((place.kind, place.name, count));
                continue;
            }
            let found = match &teller.walk {
                Walk::Begun => own.behind(None),
                Walk::At(at) => own.behind(Some(at)),
                Walk::Done => None,
            };
            let Some((place, count)) = found else {
                teller.walk = Walk::Done;
                break;
            };
            teller.walk = Walk::At(place.clone());
            if place.name.len() <= NAME_BYTES_MAX {
                bytes += place.bytes();
                counts.push((place.kind, place.name, count));
            }
        }
        let anew = std::mem::take(&mut teller.anew);
        if counts.is_empty() && !anew && teller.told == Some(*turns) {
            return None;
        }
        teller.told = Some(*turns);
        let (anybody, changes) = (!own.is_empty(), *changes);
        Some(Told { anew, anybody, changes, turn: *turns, counts })
    }

    /// A peer knows of this turn.
    pub(crate) fn acknowledge(&self, node: u64, turn: u64) {
        if let Some(teller) = lock(&self.state).tellers.get_mut(&node) {
            teller.acknowledged = teller.acknowledged.max(turn);
        }
        self.heard.notify_waiters();
    }

    /// Whether every peer that can be reached knows of this turn.
    fn is_heard(&self, turn: u64) -> bool {
        let state = lock(&self.state);
        let knows = |teller: &Teller| teller.reach == Reach::Lost || teller.acknowledged >= turn;
        state.tellers.values().all(knows)
    }

    /// Resolves when every peer that can be reached knows whether anybody listens here, as it is
    /// now.
    pub(crate) async fn heard(&self) {
        let turn = lock(&self.state).turns;
        loop {
            let changed = self.heard.notified();
            if self.is_heard(turn) {
                return;
            }
            changed.await;
        }
    }
}

/// What others tell.
impl Interest {
    /// A peer has told this.
    pub(crate) fn hear(&self, node: u64, told: Told) {
        let mut state = lock(&self.state);
        let Other { anybody, changes, counts } = state.others.entry(node).or_default();
        (*anybody, *changes) = (told.anybody, told.changes);
        if told.anew {
            *counts = Counts::default();
        }
        for (kind, name, count) in told.counts {
            if count == 0 || counts.bytes + name.len() + NAME_BYTES <= TABLE_BYTES_MAX {
                counts.set(kind, &name, count);
            }
        }
        self.see_others(&state);
    }

    /// Nothing is known of a node any more.
    pub(crate) fn forget(&self, node: u64) {
        let mut state = lock(&self.state);
        state.others.remove(&node);
        self.see_others(&state);
    }

    fn see_others(&self, state: &State) {
        self.others_want.store(state.others.values().any(|other| other.changes), Relaxed);
    }

    /// Nodes on which somebody listens.
    pub(crate) fn listening(&self) -> Vec<u64> {
        let state = lock(&self.state);
        state.others.iter().filter(|(_, other)| other.anybody).map(|(node, _)| *node).collect()
    }

    /// Nodes on which somebody wants to hear which keys change. One load when there are none.
    pub(crate) fn curious(&self) -> Vec<u64> {
        if !self.others_want.load(Relaxed) {
            return Vec::new();
        }
        let state = lock(&self.state);
        state.others.iter().filter(|(_, other)| other.changes).map(|(node, _)| *node).collect()
    }
}

#[cfg(test)]
mod tests;
