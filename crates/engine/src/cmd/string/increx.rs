//! INCREX of Redis 8.8: a counter within bounds, and its deadline, in one command; with the
//! conditions NX and XX that Valkey 9.2 adds. Redis 7.0 does not know it, so it is logged armoured;
//! a relative TTL counts from the entry's stamp on every replica.
//!
//! It counts in integers, or with BYFLOAT in the `long double`s of INCRBYFLOAT ([`Number`]). What
//! would leave the bounds is declined and changes nothing, the deadline neither; with SATURATE it
//! stops at the bound.

use super::FAST_GROWTH;
use super::expiry::{Expiry, Unit};
use crate::cmd::generic::SYNTAX;
use crate::number::Extended;
use crate::{Deadline, Group, Keys, Spec, Writer, least};
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::cmp::Ordering;
use quorate_resp::{Args, Reply, int_text, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::String.rows([Spec::write(
    "INCREX",
    "key [BYINT increment | BYFLOAT increment] [LBOUND bound] [UBOUND bound] \
         [SATURATE] [NX | XX] [EX seconds | PX milliseconds | EXAT \
         unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] [ENX]",
    increx,
)
.facts(least(2), Keys::At(1), FAST_GROWTH)
.doc("8.8.0", "Adds to the number at a key, within bounds, and sets the key's deadline.")
.access(&["RW access update"])
.hidden()]);

type Result<T> = core::result::Result<T, Reply<'static>>;

/// What stands behind the key. Nothing may stand there twice.
#[derive(Clone, Copy, Default)]
struct Options<'a> {
    /// `BYINT` (false) or `BYFLOAT` (true), and by how much.
    by: Option<(bool, &'a [u8])>,
    /// `LBOUND`
    lower: Option<&'a [u8]>,
    /// `UBOUND`
    upper: Option<&'a [u8]>,
    /// `SATURATE`
    saturate: bool,
    /// `NX` (false) or `XX` (true): the key must be absent, or there.
    present: Option<bool>,
    expiry: Option<Expiry<'a>>,
    /// `PERSIST`
    persist: bool,
    /// `ENX`: only a key without a deadline gets one.
    only_first: bool,
}

impl<'a> Options<'a> {
    /// Reads them; `None` is a syntax error.
    fn parse(words: Args<'a>) -> Option<Self> {
        let mut found = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let is = |option: &[u8]| word.eq_ignore_ascii_case(option);
            let timeless = found.expiry.is_none() && !found.persist;
            match () {
                () if is(b"BYINT") && found.by.is_none() => found.by = Some((false, words.next()?)),
                () if is(b"BYFLOAT") && found.by.is_none() => {
                    found.by = Some((true, words.next()?));
                }
                () if is(b"LBOUND") && found.lower.is_none() => found.lower = Some(words.next()?),
                () if is(b"UBOUND") && found.upper.is_none() => found.upper = Some(words.next()?),
                () if is(b"SATURATE") && !found.saturate => found.saturate = true,
                () if is(b"NX") && found.present.is_none() => found.present = Some(false),
                () if is(b"XX") && found.present.is_none() => found.present = Some(true),
                () if is(b"PERSIST") && timeless && !found.only_first => found.persist = true,
                () if is(b"ENX") && !found.only_first && !found.persist => found.only_first = true,
                () if timeless => {
                    found.expiry = Some(Expiry::new(Unit::option(word)?, words.next()?));
                }
                () => return None,
            }
        }
        Some(found)
    }
}

fn increx(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let options = Options::parse(args.from(2)).ok_or(Reply::error(SYNTAX))?;
    if options.only_first && options.expiry.is_none() {
        return Err(Reply::error("ERR ENX flag requires an expiration"));
    }
    match options.by {
        Some((true, by)) => count(cx, args.at(1), options, Extended::increment(by)?),
        Some((false, by)) => count(cx, args.at(1), options, i64::increment(by)?),
        None => count(cx, args.at(1), options, 1i64),
    }
}

/// Adds `by`, and answers the new value and what was added; of what is declined, the value and 0.
fn count<N: Number>(
    cx: &mut Writer<'_>,
    key: &[u8],
    options: Options<'_>,
    by: N,
) -> Result<Reply<'static>> {
    let bounds = Bounds::parse(options)?;
    let now_ms = cx.now_ms();
    let deadline = options.expiry.map(|expiry| expiry.deadline_ms(now_ms)).transpose();
    let deadline =
        deadline.map_err(|bad| bad.reply("ERR invalid expire time in 'increx' command"))?;
    let old: Option<N> = match cx.reader().string(key)? {
        Some(text) if text.len() <= N::TEXT_BYTES_MAX => Some(N::stored(&text.bytes())?),
        Some(_) => return Err(wrong::<N>("value")),
        None => None,
    };
    let is_refused = options.present.is_some_and(|present| present != old.is_some());
    let old = old.unwrap_or(N::ZERO);
    let new = if is_refused { None } else { bounds.sum(old, by, options.saturate) };
    let Some(new) = new else {
        return Ok(Reply::Array(vec![old.reply(), N::ZERO.reply()]));
    };
    let added = new.minus(old).ok_or(Reply::error(N::TOO_FAR))?;
    let reply = Reply::Array(vec![new.reply(), added.reply()]);
    let current = cx.reader().deadline_ms(key).flatten();
    let deadline = deadline.filter(|_| !options.only_first || current.is_none());
    if deadline.is_some_and(|deadline| deadline <= now_ms) {
        if cx.remove(key) {
            cx.notify(b'g', "del", key);
        }
        return Ok(reply);
    }
    let (deadline, event) = match deadline {
        Some(deadline) => (Deadline::At(deadline), Some("expire")),
        None if options.persist => (Deadline::Clear, current.map(|_| "persist")),
        None => (Deadline::Keep, None),
    };
    cx.set_string(key, &new.text(), deadline);
    cx.notify(b'$', N::EVENT, key);
    if let Some(event) = event {
        cx.notify(b'g', event, key);
    }
    Ok(reply)
}

/// Between what the sum must lie.
struct Bounds<N> {
    lower: N,
    upper: N,
}

impl<N: Number> Bounds<N> {
    fn parse(options: Options<'_>) -> Result<Self> {
        let read = |text: Option<&[u8]>, name, otherwise| {
            text.map_or(Ok(otherwise), |text| N::read(text).ok_or_else(|| wrong::<N>(name)))
        };
        let lower = read(options.lower, "LBOUND", N::LEAST)?;
        let upper = read(options.upper, "UBOUND", N::GREATEST)?;
        if lower.order(upper) == Ordering::Greater {
            return Err(Reply::error("ERR LBOUND can't be greater than UBOUND"));
        }
        Ok(Self { lower, upper })
    }

    /// The sum, or where it stops if it may; `None` if it would leave the bounds and may not. A sum
    /// that no `N` holds lies beyond all bounds.
    fn sum(&self, old: N, by: N, saturate: bool) -> Option<N> {
        let sum = old.plus(by);
        let goes_down = by.order(N::ZERO) == Ordering::Less;
        let is_above = sum.map_or(!goes_down, |sum| sum.order(self.upper) == Ordering::Greater);
        let is_below = sum.map_or(goes_down, |sum| sum.order(self.lower) == Ordering::Less);
        match sum {
            _ if is_above => Some(self.upper).filter(|_| saturate),
            _ if is_below => Some(self.lower).filter(|_| saturate),
            sum => sum,
        }
    }
}

/// What INCREX counts in.
trait Number: Copy {
    const ZERO: Self;
    /// The bounds where none are given.
    const LEAST: Self;
    const GREATEST: Self;
    /// No number has a longer text. Longer values are not looked at: they may be huge.
    const TEXT_BYTES_MAX: usize;
    /// What is wrong with a text that is none.
    const WRONG: &'static str;
    /// The error when what was added cannot be told.
    const TOO_FAR: &'static str;
    /// What listeners hear.
    const EVENT: &'static str;

    /// Reads a bound, which may be infinite.
    fn read(text: &[u8]) -> Option<Self>;
    /// Reads what to add.
    fn increment(text: &[u8]) -> Result<Self>;
    /// Reads what is stored.
    fn stored(text: &[u8]) -> Result<Self>;
    fn order(self, other: Self) -> Ordering;
    fn plus(self, other: Self) -> Option<Self>;
    fn minus(self, other: Self) -> Option<Self>;
    fn text(self) -> Vec<u8>;
    fn reply(self) -> Reply<'static>;
}

/// The error for a text that is no number.
#[cold]
fn wrong<N: Number>(name: &str) -> Reply<'static> {
    Reply::Error(format!("ERR {name} is not {}", N::WRONG).into())
}

impl Number for i64 {
    const ZERO: Self = 0;
    const LEAST: Self = i64::MIN;
    const GREATEST: Self = i64::MAX;
    const TEXT_BYTES_MAX: usize = 20;
    const WRONG: &'static str = "an integer or out of range";
    const TOO_FAR: &'static str = "ERR applied increment would overflow";
    const EVENT: &'static str = "incrby";

    fn read(text: &[u8]) -> Option<Self> {
        parse_int(text)
    }

    fn increment(text: &[u8]) -> Result<Self> {
        Self::read(text).ok_or_else(|| wrong::<Self>("Increment"))
    }

    fn stored(text: &[u8]) -> Result<Self> {
        Self::read(text).ok_or_else(|| wrong::<Self>("value"))
    }

    fn order(self, other: Self) -> Ordering {
        self.cmp(&other)
    }

    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    fn minus(self, other: Self) -> Option<Self> {
        self.checked_sub(other)
    }

    fn text(self) -> Vec<u8> {
        int_text(self).as_bytes().to_vec()
    }

    fn reply(self) -> Reply<'static> {
        Reply::Int(self)
    }
}

impl Number for Extended {
    const ZERO: Self = Extended::ZERO;
    const LEAST: Self = Extended::MAX.negated();
    const GREATEST: Self = Extended::MAX;
    const TEXT_BYTES_MAX: usize = Extended::TEXT_BYTES_MAX;
    const WRONG: &'static str = "a valid float";
    const TOO_FAR: &'static str = "ERR applied increment would be Infinity";
    const EVENT: &'static str = "incrbyfloat";

    fn read(text: &[u8]) -> Option<Self> {
        Extended::parse(text)
    }

    fn increment(text: &[u8]) -> Result<Self> {
        match Self::read(text) {
            Some(by) if by.is_finite() => Ok(by),
            Some(_) => Err(Reply::error("ERR BYFLOAT increment cannot be Infinity")),
            None => Err(wrong::<Self>("Increment")),
        }
    }

    fn stored(text: &[u8]) -> Result<Self> {
        match Self::read(text) {
            Some(value) if value.is_finite() => Ok(value),
            Some(_) => Err(Reply::error("ERR value cannot be Infinity")),
            None => Err(wrong::<Self>("value")),
        }
    }

    fn order(self, other: Self) -> Ordering {
        Extended::order(self, other)
    }

    fn plus(self, other: Self) -> Option<Self> {
        Extended::plus(self, other)
    }

    fn minus(self, other: Self) -> Option<Self> {
        Extended::plus(self, other.negated())
    }

    fn text(self) -> Vec<u8> {
        self.print()
    }

    fn reply(self) -> Reply<'static> {
        Reply::Digits(String::from_utf8_lossy(&self.print()).into_owned())
    }
}
