//! What a stream remembers of its producers, so that an entry that is sent twice is added once
//! (Redis 8.6): for each producer the idempotent ids it sent last, and what they became.
//!
//! An id is forgotten when it is older than the stream's duration by cluster time, or when its
//! producer has sent so many others since. The old ones are taken out a few at a time, by each
//! entry that is added; until then they lie there and count for nothing.

use super::super::tree::Tree;
use super::sorted::{Row, Sorted};
use super::{Id, group::Name};
use quorate_resp::Args;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use triomphe::Arc;

/// How long ids are remembered, in seconds: what may be set.
pub(crate) const DURATION_MAX: u64 = 86_400;
/// How many ids of a producer are remembered: what may be set.
pub(crate) const SIZE_MAX: u64 = 10_000;
/// Old ids of one producer that an added entry takes out.
const SWEPT: usize = 8;

/// A producer's name or an idempotent id as it is kept.
pub(crate) fn token(hash_key: [u64; 2], text: &[u8]) -> Name {
    /// What is longer is kept as a hash of 128 bits, under the state's key: nobody can aim at two
    /// of the same.
    const LENGTH_MAX: usize = 64;
    if text.len() <= LENGTH_MAX {
        text.into()
    } else {
        hash(hash_key, &[text]).to_be_bytes().into()
    }
}

/// The idempotent id of an entry's content, whatever the order of its fields.
pub(crate) fn token_of_content(hash_key: [u64; 2], pairs: Args<'_>) -> Name {
    let mut sum = 0_u128;
    for (name, value) in pairs.iter().step_by(2).zip(pairs.iter().skip(1).step_by(2)) {
        let length = (name.len() as u64).to_le_bytes();
        sum = sum.wrapping_add(hash(hash_key, &[&length, name, value]));
    }
    sum.to_be_bytes().into()
}

fn hash([one, two]: [u64; 2], parts: &[&[u8]]) -> u128 {
    use core::hash::Hasher as _;
    let mut hasher = SipHasher13::new_with_keys(one, two);
    for part in parts {
        hasher.write(part);
    }
    hasher.finish128().as_u128()
}

/// Who sends, and what it calls the entry.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// The producer.
    pub(crate) producer: Name,
    /// The idempotent id.
    pub(crate) sent: Name,
    /// Cluster time.
    pub(crate) now_ms: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Producers {
    /// Ids are remembered for so many seconds.
    pub(crate) duration_s: u64,
    /// So many ids of a producer are remembered.
    pub(crate) size: u64,
    /// Entries ever added with an idempotent id.
    pub(crate) added: u64,
    /// How often one was sent again.
    pub(crate) duplicates: u64,
    all: Tree<Sorted<Producer>>,
}

impl Default for Producers {
    /// Redis's defaults.
    fn default() -> Self {
        Self { duration_s: 100, size: 100, added: 0, duplicates: 0, all: Tree::default() }
    }
}

/// One producer. It has sent something, or it is not there.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    name: Name,
    by_id: Tree<Sorted<Sent>>,
    by_age: Tree<Sorted<Aged>>,
}

/// An idempotent id, and where it stands by age.
#[derive(Clone, Debug)]
struct Sent {
    name: Name,
    number: u64,
}

/// The same by age.
#[derive(Clone, Debug)]
pub(crate) struct Aged {
    /// Rises with each id that the producer sends. Says nothing else: it never shows.
    number: u64,
    /// The idempotent id.
    pub(crate) name: Name,
    /// The entry that it became.
    pub(crate) id: Id,
    /// When that was, in cluster time. Never less than that of the one before.
    pub(crate) time_ms: u64,
}

impl Row for Producer {
    type Key = Name;
    type Look = [u8];

    fn key(&self) -> Name {
        self.name.clone()
    }

    fn look(&self) -> &[u8] {
        &self.name
    }

    fn bytes(&self) -> usize {
        /// The row, the name's counters and the roots of its trees.
        const BESIDES: usize = 160;
        BESIDES + self.name.len() + self.by_id.bytes() + self.by_age.bytes()
    }
}

impl Row for Sent {
    type Key = Name;
    type Look = [u8];

    fn key(&self) -> Name {
        self.name.clone()
    }

    fn look(&self) -> &[u8] {
        &self.name
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.name.len()
    }
}

impl Row for Aged {
    type Key = u64;
    type Look = u64;

    fn key(&self) -> u64 {
        self.number
    }

    fn look(&self) -> &u64 {
        &self.number
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Producer {
    fn new(name: Name) -> Self {
        Self { name, by_id: Tree::default(), by_age: Tree::default() }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// What it has sent, the oldest first.
    pub(crate) fn sent(&self) -> impl Iterator<Item = &Aged> {
        self.by_age.rows(0)
    }

    fn take_oldest(&mut self) {
        let oldest = self.by_age.row(0).map(|aged| (aged.number, aged.name.clone()));
        if let Some((number, name)) = oldest {
            self.by_age.take(&number);
            self.by_id.take(&name);
        }
    }

    /// Takes some out that are too old.
    fn sweep(&mut self, oldest_ms: u64) {
        for _ in 0..SWEPT {
            if self.by_age.row(0).is_none_or(|aged| aged.time_ms > oldest_ms) {
                return;
            }
            self.take_oldest();
        }
    }

    fn add(&mut self, name: &Name, id: Id, time_ms: u64) {
        if let Some(old) = self.by_id.take(name) {
            self.by_age.take(&old.number);
        }
        let number = self.by_age.last().map_or(0, |last| last.number.wrapping_add(1));
        self.by_id.add(Sent { name: name.clone(), number });
        self.by_age.add(Aged { number, name: name.clone(), id, time_ms });
    }

    /// How many are not too old.
    fn live(&self, oldest_ms: u64) -> usize {
        let (mut old, mut end) = (0, self.by_age.len());
        while old < end {
            let middle = old.midpoint(end);
            match self.by_age.row(middle) {
                Some(aged) if aged.time_ms <= oldest_ms => old = middle + 1,
                _ => end = middle,
            }
        }
        self.by_age.len() - old
    }
}

impl Producers {
    /// Bytes as counted for `maxmemory`.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Self>() + self.all.bytes()
    }

    /// All of them.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Producer> {
        self.all.rows(0)
    }

    /// Producers, those with nothing left among them.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those from a position on.
    pub(crate) fn rows_from(&self, at: usize) -> impl Iterator<Item = &Producer> {
        self.all.rows(at)
    }

    /// What is as old as this, or older, is forgotten.
    fn oldest_ms(&self, now_ms: u64) -> Option<u64> {
        now_ms.checked_sub(self.duration_s.saturating_mul(1000))
    }

    /// What an entry became that was sent before.
    pub(crate) fn find(&self, claim: &Claim) -> Option<Id> {
        let producer = self.all.get(&claim.producer)?;
        let sent = producer.by_id.get(&claim.sent)?;
        let aged = producer.by_age.get(&sent.number)?;
        let too_old = self.oldest_ms(claim.now_ms).is_some_and(|oldest| aged.time_ms <= oldest);
        (!too_old).then_some(aged.id)
    }

    /// Remembers what an entry has become.
    pub(crate) fn add(&mut self, claim: &Claim, id: Id) {
        self.added = self.added.saturating_add(1);
        let oldest_ms = self.oldest_ms(claim.now_ms);
        if self.all.get(&claim.producer).is_none() {
            self.all.add(Producer::new(claim.producer.clone()));
        }
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        self.all.change(&claim.producer, |producer| {
            if let Some(oldest_ms) = oldest_ms {
                producer.sweep(oldest_ms);
            }
            producer.add(&claim.sent, id, claim.now_ms);
            if producer.by_age.len() > size {
                producer.take_oldest();
            }
        });
        if let Some(oldest_ms) = oldest_ms {
            self.sweep_next(oldest_ms);
        }
    }

    /// Takes old ids of one producer out: each in its turn, so that one that sends nothing more
    /// goes too.
    fn sweep_next(&mut self, oldest_ms: u64) {
        let turn = usize::try_from(self.added).unwrap_or(0) % self.all.len().max(1);
        let Some(name) = self.all.row(turn).map(|producer| producer.name.clone()) else { return };
        let left = self.all.change(&name, |producer| {
            producer.sweep(oldest_ms);
            producer.by_age.len()
        });
        if left == Some(0) {
            self.all.take(&name);
        }
    }

    /// Forgets all that was sent.
    pub(crate) fn clear(&mut self) {
        self.all = Tree::default();
    }

    /// How many producers there are whose ids are remembered, and how many ids.
    pub(crate) fn tracked(&self, now_ms: u64) -> (usize, usize) {
        let live = |producer: &Producer| match self.oldest_ms(now_ms) {
            Some(oldest_ms) => producer.live(oldest_ms),
            None => producer.by_age.len(),
        };
        let live = self.rows().map(live).filter(|&live| live > 0);
        live.fold((0, 0), |(producers, ids), live| (producers + 1, ids + live))
    }

    /// Adds what was read from a file; false if it cannot be: an id twice, too many of them, or one
    /// that is older than the one before it.
    pub(crate) fn restore(&mut self, producer: &[u8], name: &[u8], id: Id, time_ms: u64) -> bool {
        if self.all.get(producer).is_none() {
            self.all.add(Producer::new(producer.into()));
        }
        let added = self.all.change(producer, |producer| {
            let last = producer.by_age.last().map_or(0, |aged| aged.time_ms);
            let fits = producer.by_id.get(name).is_none()
                && (producer.by_age.len() as u64) < self.size
                && time_ms >= last;
            if fits {
                producer.add(&name.into(), id, time_ms);
            }
            fits
        });
        added == Some(true)
    }
}

impl super::Parts {
    /// What it knows of its producers; `None` if it never had one.
    pub(crate) fn producers(&self) -> Option<&Arc<Producers>> {
        self.producers.as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn producers_mut(&mut self) -> &mut Producers {
        Arc::make_mut(self.producers.get_or_insert_default())
    }
}
