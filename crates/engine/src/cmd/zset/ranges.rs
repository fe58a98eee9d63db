//! Ranges of scores, of members' bytes and of ranks, and which ranks they are.

use super::Zset;
use crate::number::parse_bound;
use crate::types::zset::same;
use core::ops::Range;
use quorate_resp::Reply;

/// From one score to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoreRange {
    min: f64,
    min_open: bool,
    max: f64,
    max_open: bool,
}

impl ScoreRange {
    /// Reads both ends; `(` in front of one leaves it out.
    pub(super) fn parse(min: &[u8], max: &[u8]) -> Result<Self, Reply<'static>> {
        let end = |text: &[u8]| match text {
            [b'(', rest @ ..] => parse_bound(rest).map(|score| (score, true)),
            _ => parse_bound(text).map(|score| (score, false)),
        };
        match (end(min), end(max)) {
            (Some((min, min_open)), Some((max, max_open))) => {
                Ok(Self { min, min_open, max, max_open })
            }
            _ => Err(Reply::error("ERR min or max is not a float")),
        }
    }

    /// Ranks of the members in the range.
    pub(super) fn ranks(self, zset: Zset<'_>) -> Range<usize> {
        let start =
            zset.partition(|score, _| score < self.min || self.min_open && same(score, self.min));
        let end =
            zset.partition(|score, _| score < self.max || !self.max_open && same(score, self.max));
        start..end.max(start)
    }
}

/// An end of a range of bytes, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound<'a> {
    /// Before all.
    Lowest,
    /// At these bytes, or with `true` right behind or before them.
    At(&'a [u8], bool),
    /// Behind all.
    Highest,
}

/// From some bytes to others. It means something where all scores are equal.
#[derive(Clone, Copy, Debug)]
pub(super) struct LexRange<'a> {
    min: Bound<'a>,
    max: Bound<'a>,
}

impl<'a> LexRange<'a> {
    /// Reads both ends: `-`, `+`, or bytes behind `[` or `(`.
    pub(super) fn parse(min: &'a [u8], max: &'a [u8]) -> Result<Self, Reply<'static>> {
        let end = |text: &'a [u8]| match text {
            b"-" => Some(Bound::Lowest),
            b"+" => Some(Bound::Highest),
            [b'[', rest @ ..] => Some(Bound::At(rest, false)),
            [b'(', rest @ ..] => Some(Bound::At(rest, true)),
            _ => None,
        };
        match (end(min), end(max)) {
            (Some(min), Some(max)) => Ok(Self { min, max }),
            _ => Err(Reply::error("ERR min or max not valid string range item")),
        }
    }

    fn at_min(self, member: &[u8]) -> bool {
        match self.min {
            Bound::Lowest => true,
            Bound::At(bytes, open) => member > bytes || !open && member == bytes,
            Bound::Highest => false,
        }
    }

    fn at_max(self, member: &[u8]) -> bool {
        match self.max {
            Bound::Lowest => false,
            Bound::At(bytes, open) => member < bytes || !open && member == bytes,
            Bound::Highest => true,
        }
    }

    fn is_empty(self) -> bool {
        match (self.min, self.max) {
            (Bound::Highest, _) | (_, Bound::Lowest) => true,
            (Bound::At(min, open), Bound::At(max, open_too)) => {
                min > max || min == max && (open || open_too)
            }
            _ => false,
        }
    }

    /// Ranks of the members in the range. Where scores differ, Redis says that nothing is promised;
    /// here it is what Redis makes of a small set: from the first member that is not below the
    /// range to the last before one that is above it (`reverse`: the same from the other end). So
    /// it does not depend on how a set lies.
    pub(super) fn ranks(self, zset: Zset<'_>, reverse: bool) -> Range<usize> {
        let count = zset.count();
        let (Some((low, lowest)), Some((high, highest))) =
            (zset.get(0), zset.get(count.saturating_sub(1)))
        else {
            return 0..0;
        };
        if same(lowest, highest) {
            let start = zset.partition(|_, member| !self.at_min(member));
            let end = zset.partition(|_, member| self.at_max(member));
            return start..end.max(start);
        }
        if self.is_empty()
            || !high.with(|member| self.at_min(member))
            || !low.with(|member| self.at_max(member))
        {
            return 0..0;
        }
        if reverse {
            let above = |(member, _): &(_, f64)| !self.lets(*member, false);
            let end = count - zset.pairs_back(count - 1).take_while(above).count();
            let within = |(member, _): &(_, f64)| self.lets(*member, true);
            let Some(last) = end.checked_sub(1) else { return 0..0 };
            return end - zset.pairs_back(last).take_while(within).count()..end;
        }
        let below = |(member, _): &(_, f64)| !self.lets(*member, true);
        let start = zset.pairs(0).take_while(below).count();
        let within = |(member, _): &(_, f64)| self.lets(*member, false);
        start..start + zset.pairs(start).take_while(within).count()
    }

    /// Whether a member is not below the range, or not above it.
    fn lets(self, member: crate::types::pack::Item<'_>, at_min: bool) -> bool {
        member.with(|bytes| if at_min { self.at_min(bytes) } else { self.at_max(bytes) })
    }
}

/// Ranks from `first` to `last`, both included, negative ones from the end, within `count`.
pub(super) fn ranks(first: i64, last: i64, count: usize) -> Range<usize> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { count.saturating_add(at) } else { at };
    let (first, last) = (place(first).max(0), place(last).min(count - 1));
    if first > last || first >= count {
        return 0..0;
    }
    usize::try_from(first).unwrap_or(0)..usize::try_from(last).map_or(0, |last| last + 1)
}
