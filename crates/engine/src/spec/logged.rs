//! How a write stands in the log, which must stay an append-only file that Redis 7.0 replays to
//! the same state.
//!
//! A row's [`Logged`] chooses a [`LogForm`] when the command is sealed, in a stamp and in a state
//! that does not show yet what the same batch does before it ([`Sealing`]). Nothing is chosen at
//! apply.

use crate::{Reader, Scripted, Stamp};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The form of one write in the log.
#[derive(Debug)]
pub enum LogForm {
    /// As it came.
    Plain,
    /// These words instead.
    Rewritten(Vec<Vec<u8>>),
    /// The same, and the reply is told without arrays within it.
    Flat(Vec<Vec<u8>>),
    /// As it came, but for the argument at this position.
    Replaced(usize, Vec<u8>),
    /// As it came, armoured in `#` lines: Redis 7.0 does not know it, or would make something else
    /// of it. The manifest says `inexact` until the next base.
    Hidden,
    /// None: it cannot succeed, and this is the answer.
    Refused(Reply<'static>),
    /// What it writes when it runs.
    Script(Scripted),
}

/// Chooses the form of a write. Arguments that are wrong are logged as they came: apply answers the
/// error.
pub type LogFormFn = fn(&mut Sealing<'_>, Args<'_>) -> LogForm;

/// How the writes of one row are logged.
#[derive(Clone, Copy)]
pub struct Logged {
    /// Which forms there are, in the words of `docs/commands.md`.
    pub forms: &'static str,
    /// Chooses one. `None`: it is always plain.
    pub form: Option<LogFormFn>,
}

impl Logged {
    /// A read, or what the server runs: never logged.
    pub const NEVER: Logged = Logged { forms: "–", form: None };
    /// As it came: Redis 7.0 replays it to the same state.
    pub const PLAIN: Logged = Logged { forms: "plain", form: None };
    /// Armoured, because Redis 7.0 does not know it.
    pub const HIDDEN: Logged = Logged { forms: "armoured", form: Some(|_, _| LogForm::Hidden) };
}

/// What is known when the form of a write is chosen, and what is said about it.
#[derive(Clone, Copy)]
pub struct Sealing<'a> {
    /// What is applied already.
    pub reader: Reader<'a>,
    /// The stamp of the entry to be; its clock does not run behind cluster time.
    pub stamp: Stamp,
    /// The form was chosen by the value at the command's first key: if an earlier command of the
    /// batch may put another there, or raise a stream's last id ([`Row::moves`](crate::Row)), the
    /// command is armoured.
    pub by_value: bool,
    /// Redis makes the same data of the form, but for times that it takes from its own clock.
    pub inexact: bool,
}

impl<'a> Sealing<'a> {
    /// The same for every command of a database.
    pub const fn new(reader: Reader<'a>, stamp: Stamp) -> Self {
        Self { reader, stamp, by_value: false, inexact: false }
    }

    /// What `rewrite` makes of a command that may set a deadline: relative ones become absolute.
    /// `rewrite` gives `None` for what may be logged as it came.
    pub fn absolute(
        &self,
        args: Args<'_>,
        rewrite: impl Fn(&Stamp) -> Option<Vec<Vec<u8>>>,
    ) -> LogForm {
        // Redis stores a past deadline while it loads, where a running Redis (and we) delete the
        // key: not exact.
        let now_ms = self.stamp.now_ms;
        match rewrite(&self.stamp) {
            Some(words) if is_past(words.iter().map(Vec::as_slice), now_ms) => LogForm::Hidden,
            Some(words) => LogForm::Rewritten(words),
            None if is_past(args.iter(), now_ms) => LogForm::Hidden,
            // A TTL that overflows by this clock and not by one that stands at 0: a refusal, and
            // Redis, which would load it with another clock, must not see it.
            None if rewrite(&Stamp { now_ms: 0, ..self.stamp }).is_some() => LogForm::Hidden,
            None => LogForm::Plain,
        }
    }
}

/// Armoured if so, else as it came.
pub(crate) fn hidden_if(hidden: bool) -> LogForm {
    if hidden { LogForm::Hidden } else { LogForm::Plain }
}

/// Whether a command in its logged form sets a deadline that is past: `PEXPIREAT key ms`, or `EXAT
/// s`, `PXAT ms` among the options. An argument that only looks like an option makes the answer
/// true too often, never too rarely.
fn is_past<'x>(mut args: impl Iterator<Item = &'x [u8]>, now_ms: u64) -> bool {
    let past = |text: Option<&[u8]>, scale: i64| {
        text.and_then(parse_int)
            .is_some_and(|at| at.saturating_mul(scale) <= i64::try_from(now_ms).unwrap_or(i64::MAX))
    };
    if args.next().is_some_and(|name| name.eq_ignore_ascii_case(b"PEXPIREAT")) {
        return past(args.nth(1), 1);
    }
    let mut args = args.skip(1).peekable();
    while let Some(arg) = args.next() {
        let is = |option: &[u8]| arg.eq_ignore_ascii_case(option);
        let scale = if is(b"PXAT") {
            1
        } else if is(b"EXAT") {
            1000
        } else {
            continue;
        };
        if past(args.peek().copied(), scale) {
            return true;
        }
    }
    false
}
