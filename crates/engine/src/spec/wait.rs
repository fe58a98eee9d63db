//! Commands that wait for what somebody else writes.
//!
//! Such a command is served by another one, which never waits and is logged in its place: BLPOP by
//! LMPOP, BLMOVE by LMOVE. A [`Wait`] finds that command in a state, or finds that there is nothing
//! yet; it changes nothing itself. Who waits, and in which order, is the business of
//! [`Waiting`](crate::Waiting).

use super::{Keys, Sealing};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

/// What a command that waits comes to in a state.
#[derive(Debug)]
pub enum Serving {
    /// This command serves it now, and is logged.
    By {
        /// Its words, without the time that it may wait.
        words: Vec<Vec<u8>>,
        /// The reply is that of the words without arrays within it (`[key, [element]]` is told as
        /// `[key, element]`).
        flat: bool,
    },
    /// There is nothing for it. Whoever does not wait, or no longer, gets this reply.
    Nothing(Reply<'static>),
    /// It cannot succeed.
    Refused(Reply<'static>),
}

/// Why somebody who may have to wait is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'k> {
    /// The command has just come. A key of another type is an error.
    New,
    /// It waited already, at another leader: a key of another type is passed over from now on.
    Back,
    /// It waits, and this key has changed. No other is looked at: each serves those who wait for it
    /// in the order in which they came, whatever else they wait for.
    Changed(&'k [u8]),
}

impl Cause<'_> {
    /// Whether a key of another type is an error.
    pub fn is_new(self) -> bool {
        self == Cause::New
    }

    /// Whether this key counts.
    pub fn concerns(self, key: &[u8]) -> bool {
        !matches!(self, Cause::Changed(changed) if changed != key)
    }
}

/// Looks for what serves a command.
pub type ServeFn = fn(&mut Sealing<'_>, Args<'_>, Cause<'_>) -> Serving;

/// How a command waits.
#[derive(Clone, Copy)]
pub struct Wait {
    /// Looks for what serves it.
    pub serve: ServeFn,
    /// Which of its keys it waits for (not for the one that BLMOVE moves to).
    pub keys: Keys,
    /// How long it waits, in milliseconds; 0: for ever. Or what is wrong with the arguments: all
    /// that Redis finds before it looks at a key.
    pub timeout_ms: fn(Args<'_>) -> Result<u64, Reply<'static>>,
    /// Where one waits in vain at a key, so does everybody who gave the same command with the same
    /// of this (the group of XREADGROUP).
    pub alike: for<'a> fn(Args<'a>) -> &'a [u8],
    /// The command that puts back what served this one with this reply, for whoever is gone by
    /// then. `None`: it stays where it went.
    pub give_back: fn(Args<'_>, &Reply<'_>) -> Option<Vec<Vec<u8>>>,
}
