//! SORT's options. They may stand in any order; of those that come twice the last one counts, but
//! for GET, which adds up.

use super::super::NOT_AN_INTEGER;
use super::pattern::Pattern;
use super::{Result, SYNTAX};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// What SORT is to do.
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    /// BY: what finds the weights. Only with a `*` in it.
    pub(super) by: Option<Pattern<'a>>,
    /// BY without a `*`: nothing is sorted.
    pub(super) unsorted: bool,
    /// DESC.
    pub(super) descending: bool,
    /// ALPHA: texts are compared, not numbers.
    pub(super) alpha: bool,
    /// LIMIT: elements to pass, and to take (negative: all).
    limit: Option<(i64, i64)>,
    /// GET: what is given for each element, instead of itself.
    pub(super) gets: Vec<Pattern<'a>>,
    /// STORE.
    pub(super) store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Reads them. `may_store`: whether there is STORE.
    pub(super) fn parse(args: Args<'a>, may_store: bool) -> Result<Self> {
        let mut found = Self::default();
        let mut words = args.iter();
        let integer = |text| parse_int(text).ok_or(Reply::error(NOT_AN_INTEGER));
        while let Some(word) = words.next() {
            let is = |option: &[u8]| word.eq_ignore_ascii_case(option);
            let mut value = || words.next().ok_or(Reply::error(SYNTAX));
            match () {
                () if is(b"ASC") => found.descending = false,
                () if is(b"DESC") => found.descending = true,
                () if is(b"ALPHA") => found.alpha = true,
                () if is(b"LIMIT") => {
                    let (start, count) = (value()?, value()?);
                    found.limit = Some((integer(start)?, integer(count)?));
                }
                () if is(b"STORE") && may_store => found.store = Some(value()?),
                () if is(b"BY") => found.weigh_by(value()?),
                () if is(b"GET") => found.gets.push(Pattern::new(value()?)),
                () => return Err(Reply::error(SYNTAX)),
            }
        }
        Ok(found)
    }

    /// Once something says that nothing is sorted, it stays so, whatever BY follows.
    fn weigh_by(&mut self, pattern: &'a [u8]) {
        let pattern = Pattern::new(pattern);
        self.unsorted |= !pattern.has_star();
        self.by = Some(pattern);
    }

    /// What LIMIT leaves of so many elements.
    pub(super) fn range(&self, len: usize) -> (usize, usize) {
        let Some((start, count)) = self.limit else { return (0, len) };
        let clamped = |number: i64| usize::try_from(number).unwrap_or(usize::MAX).min(len);
        let start = clamped(start.max(0));
        let end = if count < 0 { len } else { start.saturating_add(clamped(count)).min(len) };
        (start, end)
    }
}
