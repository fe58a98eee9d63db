//! Deadlines as the string commands take them: EX, PX, EXAT, PXAT.
//!
//! The log holds absolute deadlines only. Sealing and the handler compute them here from the same
//! stamp, so a command gives the same deadline whether it was rewritten or not.

use crate::cmd::generic::NOT_AN_INTEGER;
use alloc::vec::Vec;
use quorate_resp::{Reply, int_text, parse_int};

/// A deadline as it was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry<'a> {
    unit: Unit,
    amount: &'a [u8],
}

/// What the amount of a deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// `EX`: seconds from now.
    Seconds,
    /// `PX`: milliseconds from now.
    Milliseconds,
    /// `EXAT`: Unix seconds.
    AtSeconds,
    /// `PXAT`: Unix milliseconds.
    AtMilliseconds,
}

impl Unit {
    /// The unit that an option names.
    pub(super) fn option(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"EX") {
            Some(Unit::Seconds)
        } else if name.eq_ignore_ascii_case(b"PX") {
            Some(Unit::Milliseconds)
        } else if name.eq_ignore_ascii_case(b"EXAT") {
            Some(Unit::AtSeconds)
        } else if name.eq_ignore_ascii_case(b"PXAT") {
            Some(Unit::AtMilliseconds)
        } else {
            None
        }
    }
}

/// Why an amount gives no deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadExpiry {
    /// It is not an integer.
    NotAnInteger,
    /// It is not positive, or beyond what 64 bits of milliseconds hold.
    OutOfRange,
}

impl BadExpiry {
    /// The reply; `out_of_range` names the command.
    #[cold]
    pub(super) fn reply(self, out_of_range: &'static str) -> Reply<'static> {
        match self {
            BadExpiry::NotAnInteger => Reply::error(NOT_AN_INTEGER),
            BadExpiry::OutOfRange => Reply::error(out_of_range),
        }
    }
}

impl<'a> Expiry<'a> {
    /// `amount` of `unit`.
    pub(super) fn new(unit: Unit, amount: &'a [u8]) -> Self {
        Self { unit, amount }
    }

    /// Whether both count in the same unit; only then may one option follow the other (the last
    /// one holds).
    pub(super) fn same_unit(self, unit: Unit) -> bool {
        self.unit == unit
    }

    /// Whether it counts from now.
    pub(super) fn is_relative(self) -> bool {
        matches!(self.unit, Unit::Seconds | Unit::Milliseconds)
    }

    /// The deadline in Unix milliseconds, given the stamp of the entry.
    pub(super) fn deadline_ms(self, now_ms: u64) -> Result<u64, BadExpiry> {
        let amount = parse_int(self.amount).ok_or(BadExpiry::NotAnInteger)?;
        if amount <= 0 {
            return Err(BadExpiry::OutOfRange);
        }
        let scale = match self.unit {
            Unit::Seconds | Unit::AtSeconds => 1000,
            Unit::Milliseconds | Unit::AtMilliseconds => 1,
        };
        let base = if self.is_relative() { i64::try_from(now_ms).unwrap_or(i64::MAX) } else { 0 };
        let deadline = amount.checked_mul(scale).and_then(|span| span.checked_add(base));
        deadline.map(i64::unsigned_abs).ok_or(BadExpiry::OutOfRange)
    }
}

/// `PXAT` and the deadline, as words of a rewritten command.
pub(super) fn push_deadline(words: &mut Vec<Vec<u8>>, deadline_ms: u64) {
    let deadline = int_text(i64::try_from(deadline_ms).unwrap_or(i64::MAX));
    words.push(b"PXAT".to_vec());
    words.push(deadline.as_bytes().to_vec());
}
