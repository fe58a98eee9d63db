//! Sorted sets.
//!
//! A small one is a row of members and scores in order, as in Redis's listpack: a score that is a
//! whole number is an integer entry, any other its shortest text. A large one is two trees: one of
//! members in order, and an index from a member's keyed hash to its score. The index holds no
//! members, so that they are in memory once: a hit is verified in the ordered tree.
//!
//! ZSCAN goes in order of hashes, so that a member whose score changes meanwhile is neither missed
//! nor depends on where leaves begin. It takes some hashes with their scores from the index, and
//! then picks, among the members of each score, those whose hash was meant.

mod index;
mod ordered;

use super::pack::{self, Encoded, Item, Items};
use super::tree::{Leaf as _, Tree};
use super::{Form, Kind, Open, PACKED_BYTES_MAX, View};
use crate::point::element_hash;
use crate::side::settings::Limits;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;
use index::Index;
use ordered::{Place, Ranked};
pub(crate) use ordered::{order, same};
use quorate_resp::{Reply, double_text};

/// A large sorted set.
#[derive(Clone, Debug, Default)]
pub(crate) struct ZsetTree {
    ordered: Tree<Ranked>,
    index: Index,
}

impl ZsetTree {
    /// Drops it leaf by leaf: see [`Garbage::free`](crate::Garbage::free).
    pub(crate) fn free(self, pause: &mut dyn FnMut()) {
        self.ordered.free(pause);
        self.index.free(pause);
    }

    /// Bytes as counted for `maxmemory`.
    pub(crate) fn cost(&self) -> usize {
        /// What a member takes besides: its share of two leaves and of the room they have left.
        const MEMBER: usize = 8;
        self.ordered.bytes() + self.index.bytes() + MEMBER * self.ordered.len() + 256
    }

    /// Members, and the bytes that their row takes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.ordered.len(), self.ordered.bytes())
    }

    /// Of members in order, each of them once.
    fn new<'a>(hash_key: [u64; 2], members: impl Iterator<Item = (Item<'a>, f64)>) -> Self {
        let (mut ordered, mut hashes) = (Tree::default(), Vec::new());
        let mut leaf = Ranked::default();
        for (member, score) in members {
            member.with(|member| {
                let full = leaf.len() >= Ranked::ITEMS_MAX / 4 * 3
                    || leaf.bytes() + member.len() > Ranked::BYTES_MAX / 4 * 3;
                if full && leaf.len() > 0 {
                    leaf.shrink();
                    ordered.push_back(core::mem::take(&mut leaf));
                }
                let hash = element_hash(hash_key, member);
                leaf.push(score, member, hash);
                hashes.push((hash, score));
            });
        }
        leaf.shrink();
        ordered.push_back(leaf);
        Self { ordered, index: Index::new(hash_key, hashes) }
    }

    fn has(&self, score: f64, member: &[u8]) -> bool {
        let at = (score, member);
        let not_above =
            |first: &Place| order((first.score, &first.member), at) != Ordering::Greater;
        self.ordered.leaf(not_above).find(score, member).is_ok()
    }

    /// The leaf in which a member belongs, and the rank of its first member.
    fn leaf(&self, score: f64, member: &[u8]) -> (&Ranked, usize) {
        let at = (score, member);
        self.ordered.find(|first| order((first.score, &first.member), at) != Ordering::Greater)
    }

    fn score(&self, hash: u32, member: &[u8]) -> Option<f64> {
        self.index.scores(hash).iter().copied().find(|&score| self.has(score, member))
    }

    /// Gives a member a score; `old` is the one that it has.
    fn set(&mut self, member: &[u8], score: f64, old: Option<f64>) {
        let hash = self.index.hash(member);
        match old {
            Some(old) => {
                self.index.rescore(hash, old, score);
                if self.edit(old, member, |leaf, at| leaf.rescore(at, score)) {
                    return;
                }
                self.edit(old, member, |leaf, at| leaf.remove(at..at + 1));
            }
            None => self.index.insert(hash, score),
        }
        let at = (score, member);
        self.ordered.edit_find(
            |first| order((first.score, &first.member), at) != Ordering::Greater,
            |leaf| leaf.insert(score, member, hash),
        );
    }

    /// Changes the leaf of a member that is there.
    fn edit<R: Default>(
        &mut self,
        score: f64,
        member: &[u8],
        work: impl FnOnce(&mut Ranked, usize) -> R,
    ) -> R {
        let at = (score, member);
        self.ordered.edit_find(
            |first| order((first.score, &first.member), at) != Ordering::Greater,
            |leaf| leaf.find(score, member).map(|at| work(leaf, at)).unwrap_or_default(),
        )
    }

    fn remove(&mut self, member: &[u8], score: f64) {
        self.index.remove(self.index.hash(member), score);
        self.edit(score, member, |leaf, at| leaf.remove(at..at + 1));
    }

    fn remove_ranks(&mut self, start: usize, count: usize) {
        if start == 0 && count >= self.ordered.len() {
            *self = Self { ordered: Tree::default(), index: self.index.emptied() };
            return;
        }
        let mut gone = Vec::with_capacity(count);
        for (leaf, base) in self.ordered.leaves(start) {
            let (from, until) = (start.saturating_sub(base), (start + count).saturating_sub(base));
            let part = from..until.min(leaf.len());
            gone.extend(part.filter_map(|at| Some((leaf.hash(at), leaf.score(at)?))));
            if until <= leaf.len() {
                break;
            }
        }
        for (hash, score) in gone {
            self.index.remove(hash, score);
        }
        self.ordered.remove_range(start, count);
    }
}

impl Kind for ZsetTree {
    const FORM: Form = Form::Zset;

    fn is_empty(&self) -> bool {
        self.ordered.len() == 0
    }

    fn enlarge(open: &mut Open<Self>) {
        open.grow();
    }
}

/// Members and scores of a row, from either end.
#[derive(Clone, Debug)]
struct Pairs<'a>(Items<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (Item<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        let member = self.0.next()?;
        Some((member, score_of(self.0.next()?)))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let score = score_of(self.0.next_back()?);
        Some((self.0.next_back()?, score))
    }
}

/// A score that we wrote.
fn score_of(item: Item<'_>) -> f64 {
    match item {
        Item::Int(number) => number as f64,
        Item::Bytes(text) => {
            core::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
        }
    }
}

/// The whole number that a score is kept as in a row, if it is one.
fn whole(score: f64) -> Option<i64> {
    /// Beyond this Redis keeps whole numbers as text.
    const WHOLE_MAX: f64 = (1_u64 << 62) as f64;
    let whole = score as i64;
    (score.abs() <= WHOLE_MAX && same(whole as f64, score)).then_some(whole)
}

/// Adds the entry of a score.
fn add_score(score: f64, out: &mut Encoded) {
    match whole(score) {
        Some(whole) => out.add(Item::Int(whole)),
        None => out.add(Item::Bytes(double_text(score).as_bytes())),
    }
}

/// Member and score as they lie in a row.
fn entries(member: &[u8], score: f64) -> Encoded {
    let mut entries = Item::of(member).encoded();
    add_score(score, &mut entries);
    entries
}

/// What ZSCAN goes through by and by.
pub(crate) type Scanned<'a> = Vec<(Item<'a>, f64)>;

impl<'a> View<'a, ZsetTree> {
    /// Members.
    pub(crate) fn count(self) -> usize {
        self.large.map_or_else(|| pack::parts(self.packed).0 / 2, |zset| zset.ordered.len())
    }

    fn row(self) -> &'a [u8] {
        pack::parts(self.packed).1
    }

    /// The score of a member.
    pub(crate) fn score(self, member: &[u8]) -> Option<f64> {
        let Some(zset) = self.large else {
            let (_, place) = pack::find(self.row(), &Item::of(member).encoded(), 2)?;
            return pack::first(self.row().get(place.end..)?).map(|(score, _)| score_of(score));
        };
        zset.score(zset.index.hash(member), member)
    }

    /// The rank of a member, counted from the lowest, and its score.
    pub(crate) fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        let Some(zset) = self.large else {
            let (at, place) = pack::find(self.row(), &Item::of(member).encoded(), 2)?;
            let (score, _) = pack::first(self.row().get(place.end..)?)?;
            return Some((at / 2, score_of(score)));
        };
        let score = self.score(member)?;
        let (leaf, base) = zset.leaf(score, member);
        Some((base + leaf.find(score, member).ok()?, score))
    }

    /// Members from rank `start` on.
    pub(crate) fn pairs(self, start: usize) -> impl Iterator<Item = (Item<'a>, f64)> {
        let (count, row) = pack::parts(self.packed);
        let from = pack::offset(row, count, start.saturating_mul(2).min(count));
        let packed = Pairs(Items::new(row.get(from..).unwrap_or_default()));
        let large = self.large.into_iter().flat_map(move |zset| {
            zset.ordered.leaves(start).flat_map(move |(leaf, base)| {
                let part = start.saturating_sub(base)..leaf.len();
                part.filter_map(|at| leaf.pair(at))
                    .map(|(member, score)| (Item::Bytes(member), score))
            })
        });
        packed.chain(large)
    }

    /// Members from rank `start` down to the lowest.
    pub(crate) fn pairs_back(self, start: usize) -> impl Iterator<Item = (Item<'a>, f64)> {
        let (count, row) = pack::parts(self.packed);
        let end = pack::offset(row, count, start.saturating_add(1).saturating_mul(2).min(count));
        let packed = Pairs(Items::new(row.get(..end).unwrap_or_default()));
        let large = self.large.into_iter().flat_map(move |zset| {
            zset.ordered.leaves_back(start).flat_map(move |(leaf, base)| {
                let part = 0..start.saturating_add(1).saturating_sub(base).min(leaf.len());
                let pairs = part.rev().filter_map(|at| leaf.pair(at));
                pairs.map(|(member, score)| (Item::Bytes(member), score))
            })
        });
        packed.rev().chain(large)
    }

    /// A score as ZSCAN shows it: of a small set, the entry.
    pub(crate) fn score_text(self, score: f64) -> Reply<'static> {
        match whole(score).filter(|_| self.large.is_none()) {
            Some(whole) => Reply::Decimal(whole),
            None => Reply::owned(double_text(score).as_bytes().to_vec()),
        }
    }

    /// The member of a rank.
    pub(crate) fn get(self, rank: usize) -> Option<(Item<'a>, f64)> {
        self.pairs(rank).next()
    }

    /// How many members come before all for which this does not hold. It must hold for all up to
    /// some member and for none behind it: where leaves begin would show otherwise.
    pub(crate) fn partition(self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        let Some(zset) = self.large else {
            let holds = |(member, score): &(Item<'_>, f64)| member.with(|m| before(*score, m));
            return self.pairs(0).take_while(holds).count();
        };
        let (leaf, base) = zset.ordered.find(|first| before(first.score, &first.member));
        base + leaf.partition(before)
    }

    /// Ranks of the members of one score.
    fn tied(self, score: f64) -> Range<usize> {
        self.partition(|other, _| other < score)..self.partition(|other, _| other <= score)
    }

    /// Members at or after `cursor` in order of hashes, at least `count` of them, and where to go
    /// on; 0 is the end. A small set comes at once.
    pub(crate) fn scan(self, cursor: u64, count: usize) -> (u64, Scanned<'a>) {
        let Some(zset) = self.large else { return (0, self.pairs(0).collect()) };
        let Ok(from) = u32::try_from(cursor) else { return (0, Vec::new()) };
        let (mut until, mut picked) = zset.some(from, count);
        // Where many members share a score, picking some costs as much as looking at all of them:
        // then more of them come at once.
        let looked: usize = picked.iter().map(|&score| self.tied(score).len()).sum();
        if looked.isqrt() > count {
            (until, picked) = zset.some(from, looked.isqrt());
        }
        let mut found = Vec::new();
        for score in picked {
            let tied = self.tied(score);
            for (leaf, base) in zset.ordered.leaves(tied.start) {
                let part = tied.start.saturating_sub(base)..(tied.end - base).min(leaf.len());
                let meant = |at: &usize| {
                    let hash = leaf.hash(*at);
                    from <= hash && until.is_none_or(|until| hash < until)
                };
                let pairs = part.filter(meant).filter_map(|at| leaf.pair(at));
                found.extend(pairs.map(|(member, score)| (Item::Bytes(member), score)));
                if base + leaf.len() >= tied.end {
                    break;
                }
            }
        }
        (until.map_or(0, u64::from), found)
    }
}

impl ZsetTree {
    /// At least `count` hashes from one on, and all of those: the hash behind them, and the scores
    /// of their members, each once.
    fn some(&self, from: u32, count: usize) -> (Option<u32>, Vec<f64>) {
        let (mut scores, mut last, mut next) = (Vec::new(), None, None);
        for (seen, (hash, score)) in self.index.from(from).enumerate() {
            if seen >= count.max(1) && last != Some(hash) {
                next = Some(hash);
                break;
            }
            last = Some(hash);
            scores.push(score);
        }
        scores.sort_by(f64::total_cmp);
        scores.dedup();
        (next, scores)
    }
}

/// What a change is called in the digest.
mod what {
    pub(super) const SET: u64 = 1;
    pub(super) const SCORE: u64 = 2;
    pub(super) const REMOVE: u64 = 3;
    pub(super) const REMOVE_RANKS: u64 = 4;
}

impl Limits {
    /// Whether a sorted set of so many members is small, if none of them is longer.
    pub(crate) fn zset_fits(self, count: usize, longest: usize) -> bool {
        count as u64 <= self.zset.0 && longest as u64 <= self.zset.1
    }
}

impl Open<ZsetTree> {
    /// Members.
    pub(crate) fn len(&self) -> usize {
        self.view().count()
    }

    /// The score of a member.
    pub(crate) fn score(&self, member: &[u8]) -> Option<f64> {
        self.view().score(member)
    }

    /// Gives a member a score; adds it. The same score changes nothing.
    pub(crate) fn set(&mut self, member: &[u8], score: f64) {
        let old = self.score(member);
        if old.is_none_or(|old| !same(old, score)) {
            self.put(member, score, old);
        }
    }

    /// Gives a member another score than `old`, which is the one that it has.
    pub(crate) fn put(&mut self, member: &[u8], score: f64, old: Option<f64>) {
        self.note(what::SET, member);
        self.note(what::SCORE, &score.to_bits().to_le_bytes());
        if self.large.is_none() {
            if self.put_packed(member, score, old.is_none()) {
                return;
            }
            self.grow();
        }
        if let Some(zset) = &mut self.large {
            zset.set(member, score, old);
        }
    }

    /// Fills an empty one with members in order, each of them once; false if they are in none.
    /// `longest` is the length of the longest of them, as far as it decides.
    pub(crate) fn fill(&mut self, members: &[(Cow<'_, [u8]>, f64)], longest: usize) -> bool {
        let ascending = |[(one, low), (next, high)]: &[(Cow<'_, [u8]>, f64); 2]| {
            order((*low, one), (*high, next)) == Ordering::Less
        };
        if !members.array_windows().all(ascending) {
            return false;
        }
        for (member, score) in members {
            self.note(what::SET, member);
            self.note(what::SCORE, &score.to_bits().to_le_bytes());
        }
        if self.rules.limits.zset_fits(members.len(), longest) {
            let mut row = Vec::new();
            for (member, score) in members {
                if row.len() > PACKED_BYTES_MAX {
                    break;
                }
                row.extend_from_slice(&entries(member, *score));
            }
            if row.len() <= PACKED_BYTES_MAX {
                self.pack.clear();
                self.pack.splice(0..0, &row, (2 * members.len()).cast_signed());
                self.large = None;
                return true;
            }
        }
        let members = members.iter().map(|(member, score)| (Item::Bytes(member), *score));
        let zset = ZsetTree::new(self.rules.hash_key, members);
        self.pack.clear();
        self.large = Some(zset);
        true
    }

    /// Packs a large one if it is small enough to be packed; not in a file of ours,
    /// where it stays what it was when it was written.
    pub(crate) fn pack_if_small(&mut self) {
        let Some(zset) = &self.large else { return };
        if self.rules.as_written
            || zset.ordered.len() > PACKED_BYTES_MAX
            || !self.rules.limits.zset_fits(self.len(), 0)
        {
            return;
        }
        let (mut row, mut longest) = (Vec::new(), 0);
        for (member, score) in self.view().pairs(0) {
            longest = longest.max(member.len());
            member.with(|member| row.extend_from_slice(&entries(member, score)));
            if row.len() > PACKED_BYTES_MAX {
                return;
            }
        }
        if self.rules.limits.zset_fits(self.len(), longest) {
            let count = 2 * self.len();
            self.large = None;
            self.pack.clear();
            self.pack.splice(0..0, &row, count.cast_signed());
        }
    }

    /// False: nothing happened, because it would not be small any more.
    fn put_packed(&mut self, member: &[u8], score: f64, is_new: bool) -> bool {
        let entries = entries(member, score);
        let row = self.pack.row();
        if row.len() + entries.len() > PACKED_BYTES_MAX
            || is_new && !self.rules.limits.zset_fits(self.len() + 1, member.len())
        {
            return false;
        }
        if !is_new {
            self.cut_packed(member);
        }
        let row = self.pack.row();
        let mut pairs = Pairs(Items::new(row));
        let mut at = row.len();
        loop {
            let left = pairs.0.rest().len();
            let Some((other, other_score)) = pairs.next() else { break };
            if other.with(|other| order((other_score, other), (score, member))) == Ordering::Greater
            {
                at = row.len() - left;
                break;
            }
        }
        self.pack.splice(at..at, &entries, 2);
        true
    }

    fn cut_packed(&mut self, member: &[u8]) {
        let row = self.pack.row();
        let Some((_, place)) = pack::find(row, &Item::of(member).encoded(), 2) else { return };
        let score = row.get(place.end..).and_then(pack::first).map_or(0, |(_, length)| length);
        self.pack.splice(place.start..place.end + score, &[], -2);
    }

    /// Removes a member; whether it was there.
    pub(crate) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(score) = self.score(member) else { return false };
        self.note(what::REMOVE, member);
        match &mut self.large {
            Some(zset) => zset.remove(member, score),
            None => self.cut_packed(member),
        }
        true
    }

    /// Removes the members of some ranks.
    pub(crate) fn remove_ranks(&mut self, ranks: Range<usize>) {
        let (start, count) = (ranks.start, ranks.end.min(self.len()).saturating_sub(ranks.start));
        if count == 0 {
            return;
        }
        self.note(what::REMOVE_RANKS | (start as u64) << 8, &(count as u64).to_le_bytes());
        if let Some(zset) = &mut self.large {
            zset.remove_ranks(start, count);
        } else {
            let (all, row) = (self.pack.count(), self.pack.row());
            let from = pack::offset(row, all, 2 * start);
            let until = pack::offset(row, all, 2 * (start + count));
            self.pack.splice(from..until, &[], -(2 * count).cast_signed());
        }
    }

    /// Makes it a large one now if so many members will be too many, as Redis does when it hears
    /// of them. To be called only when something changes.
    pub(crate) fn expect(&mut self, count: usize) {
        if self.large.is_none() && !self.rules.limits.zset_fits(count, 0) {
            self.grow();
        }
    }

    /// Makes it a large one, as it is.
    fn grow(&mut self) {
        let zset = ZsetTree::new(self.rules.hash_key, self.view().pairs(0));
        self.pack.clear();
        self.large = Some(zset);
    }
}

#[cfg(test)]
mod tests;
