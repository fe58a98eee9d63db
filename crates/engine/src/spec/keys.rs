//! Which arguments of a command are keys.
//!
//! The rules are data, because COMMAND describes them; what they find in one command is a [`Span`],
//! which routing, sealing and COMMAND GETKEYS read.

use quorate_resp::{Args, parse_int};

/// Which arguments are keys. Positions count from the command's name, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// None.
    None,
    /// One, at this position.
    At(u8),
    /// From `first` to `last` (negative: counted from the end, -1 is the last argument), every
    /// `step`-th.
    Range {
        /// Position of the first key.
        first: u8,
        /// Position of the last key; negative counts from the end.
        last: i8,
        /// Distance between two keys.
        step: u8,
    },
    /// A count of keys at `count`, then so many keys right behind it (LMPOP, SINTERCARD, EVAL).
    Counted {
        /// Position of the count.
        count: u8,
    },
    /// A count of keys at `count`, then so many keys, each with a value behind it (MSETEX).
    CountedPairs {
        /// Position of the count.
        count: u8,
    },
    /// One key at `at`, and others behind a count of them (ZUNIONSTORE).
    AtAndCounted {
        /// Position of the first key.
        at: u8,
        /// Position of the count of the others.
        count: u8,
    },
    /// The first half of what follows the word STREAMS; options begin at `options` (XREAD,
    /// XREADGROUP).
    Streams {
        /// Position of the first option.
        options: u8,
    },
    /// The first argument, and what follows the last STORE among SORT's options. The keys that BY
    /// and GET make out of elements nobody knows beforehand.
    Sort,
    /// The first argument, and what follows the last STORE or STOREDIST; options begin at `options`
    /// (GEORADIUS, GEORADIUSBYMEMBER).
    Radius {
        /// Position of the first option.
        options: u8,
    },
}

/// Where the keys of one command are: perhaps one, then a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// A key in front of the others.
    pub head: Option<usize>,
    /// The first of the others.
    pub first: usize,
    /// Behind the last of them.
    pub past: usize,
    /// The distance between two of them, at least 1.
    pub step: usize,
}

impl Span {
    /// No keys.
    const EMPTY: Span = Span { head: None, first: 0, past: 0, step: 1 };

    fn one(at: usize) -> Self {
        Self { first: at, past: at + 1, ..Self::EMPTY }
    }

    /// The same keys behind one at `head`.
    fn behind(self, head: usize) -> Self {
        Self { head: Some(head), ..self }
    }

    /// The positions in order, as many as there are among `len` arguments.
    pub fn positions(self, len: usize) -> impl Iterator<Item = usize> {
        let head = self.head.filter(|at| *at < len);
        head.into_iter().chain((self.first..self.past.min(len)).step_by(self.step))
    }

    /// Whether all of it lies among `len` arguments.
    pub fn fits(self, len: usize) -> bool {
        self.head.is_none_or(|at| at < len) && self.past <= len
    }
}

impl Keys {
    /// Positions of the keys of one command. Arguments that fit no command (a count that is no
    /// number) have none.
    pub fn positions(self, args: Args<'_>) -> impl Iterator<Item = usize> + use<> {
        self.span(args).unwrap_or(Span::EMPTY).positions(args.len())
    }

    /// Where the keys of one command are, which may be beyond its end. `None`: the arguments fit no
    /// command.
    pub fn span(self, args: Args<'_>) -> Option<Span> {
        let len = args.len();
        Some(match self {
            Keys::None => Span::EMPTY,
            Keys::At(at) => Span::one(usize::from(at)),
            Keys::Range { first, last, step } => {
                let past = match usize::try_from(last) {
                    Ok(last) => last + 1,
                    Err(_) => (len + 1).saturating_sub(usize::from(last.unsigned_abs())),
                };
                let step = usize::from(step).max(1);
                Span { head: None, first: usize::from(first), past, step }
            }
            Keys::Counted { count } => counted(args, count, 1)?,
            Keys::CountedPairs { count } => counted(args, count, 2)?,
            Keys::AtAndCounted { at, count } => {
                // Without any the command is none, other than where only counted keys are named.
                let others = counted(args, count, 1).filter(|keys| keys.first < keys.past)?;
                others.behind(usize::from(at))
            }
            Keys::Streams { options } => streams(args, usize::from(options))?,
            Keys::Sort => stored(args, 2, sort_option),
            Keys::Radius { options } => stored(args, usize::from(options), radius_option),
        })
    }

    /// Whether COMMAND calls them movable: where they are depends on the arguments.
    pub const fn are_movable(self) -> bool {
        !matches!(self, Keys::None | Keys::At(_) | Keys::Range { .. })
    }

    /// First key, last key and step, as COMMAND prints them; of movable keys, those that always
    /// stand at one place.
    pub fn bounds(self) -> (i64, i64, i64) {
        let at = |at: u8| (i64::from(at), i64::from(at), 1);
        match self {
            Keys::None
            | Keys::Counted { .. }
            | Keys::CountedPairs { .. }
            | Keys::Streams { .. } => (0, 0, 0),
            Keys::At(place) | Keys::AtAndCounted { at: place, .. } => at(place),
            Keys::Range { first, last, step } => {
                (i64::from(first), i64::from(last), i64::from(step))
            }
            Keys::Sort | Keys::Radius { .. } => at(1),
        }
    }
}

/// Keys behind their count. A negative count, or none, is no command; 0 is for the command to
/// judge (EVAL takes it).
fn counted(args: Args<'_>, count: u8, step: usize) -> Option<Span> {
    let count = usize::from(count);
    let keys = usize::try_from(parse_int(args.get(count)?)?).ok()?;
    let past = (count + 1).saturating_add(keys.saturating_mul(step));
    Some(Span { head: None, first: count + 1, past, step })
}

/// The keys of XREAD: options are skipped with their arguments, so that a group called STREAMS is
/// none.
fn streams(args: Args<'_>, options: usize) -> Option<Span> {
    const OPTIONS: [(&[u8], usize); 4] =
        [(b"BLOCK", 1), (b"COUNT", 1), (b"GROUP", 2), (b"NOACK", 0)];
    let mut at = options;
    while let Some(word) = args.get(at) {
        at += 1;
        if word.eq_ignore_ascii_case(b"STREAMS") {
            let rest = args.len() - at;
            let is_even = rest > 0 && rest.is_multiple_of(2);
            return is_even.then(|| Span { first: at, past: at + rest / 2, ..Span::EMPTY });
        }
        let option = OPTIONS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        at += option?.1;
    }
    None
}

/// The first argument and, behind the last option that stores, the destination. `option` says how
/// many arguments an option has, and `None` for one that stores.
fn stored(args: Args<'_>, options: usize, option: fn(&[u8]) -> Option<usize>) -> Span {
    let mut found = Span::EMPTY;
    let mut at = options;
    while let Some(word) = args.get(at) {
        at += 1;
        match option(word) {
            Some(skipped) => at += skipped,
            None if at < args.len() => {
                found = Span::one(at);
                at += 1;
            }
            None => {}
        }
    }
    found.behind(1)
}

fn sort_option(word: &[u8]) -> Option<usize> {
    let is = |option: &[u8]| word.eq_ignore_ascii_case(option);
    match () {
        () if is(b"STORE") => None,
        () if is(b"LIMIT") => Some(2),
        () if is(b"GET") || is(b"BY") => Some(1),
        () => Some(0),
    }
}

fn radius_option(word: &[u8]) -> Option<usize> {
    let stores = word.eq_ignore_ascii_case(b"STORE") || word.eq_ignore_ascii_case(b"STOREDIST");
    (!stores).then_some(0)
}
