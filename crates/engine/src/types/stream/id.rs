//! Ids of a stream's entries: a time and a number within it.
//!
//! The forms that clients write (`ms`, `ms-seq`, `ms-*`, `*`) are understood here, and printed as
//! Redis prints them.

use alloc::vec::Vec;
use core::fmt;
use quorate_resp::{Reply, parse_int, unsigned_text};

/// An entry's id. Greater ids come later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    /// Unix milliseconds, as a rule.
    pub(crate) ms: u64,
    /// Tells entries of one millisecond apart.
    pub(crate) seq: u64,
}

/// An id as XADD takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `*`: the next one at this time.
    Auto,
    /// `5-*`: the next one of this millisecond.
    Of(u64),
    /// This one.
    Exactly(Id),
}

impl Id {
    /// The least of all. No entry has it.
    pub(crate) const MIN: Self = Self { ms: 0, seq: 0 };
    /// The greatest of all.
    pub(crate) const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// The one behind it.
    pub(crate) fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The one before it.
    pub(crate) fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Reads `ms-seq`, or `ms` alone with `seq` for the missing part.
    pub(crate) fn parse(text: &[u8], seq: u64) -> Option<Self> {
        match Wanted::parse(text, seq)? {
            Wanted::Exactly(id) => Some(id),
            Wanted::Auto | Wanted::Of(_) => None,
        }
    }

    /// Reads the end of a range, which may also be `-` or `+`.
    pub(crate) fn parse_end(text: &[u8], seq: u64) -> Option<Self> {
        match text {
            b"-" => Some(Self::MIN),
            b"+" => Some(Self::MAX),
            _ => Self::parse(text, seq),
        }
    }

    /// As bytes that are ordered as ids are; RDB's form.
    pub(crate) fn bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// Of such bytes.
    pub(crate) fn of_bytes(bytes: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(bytes);
        Self { ms: (whole >> 64) as u64, seq: whole as u64 }
    }

    /// As text.
    pub(crate) fn text(self) -> Vec<u8> {
        text(self.ms, unsigned_text(self.seq).as_bytes())
    }

    /// As a reply.
    pub(crate) fn reply(self) -> Reply<'static> {
        Reply::owned(self.text())
    }
}

/// The two parts of an id, or of what XADD takes for one.
fn text(ms: u64, seq: &[u8]) -> Vec<u8> {
    let ms = unsigned_text(ms);
    let mut text = Vec::with_capacity(ms.as_bytes().len() + 1 + seq.len());
    text.extend_from_slice(ms.as_bytes());
    text.push(b'-');
    text.extend_from_slice(seq);
    text
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.ms, self.seq)
    }
}

impl Wanted {
    /// The text of [`Wanted::Of`] this millisecond.
    pub(crate) fn text_of(ms: u64) -> Vec<u8> {
        text(ms, b"*")
    }

    /// Reads an id in any form but `*`.
    pub(crate) fn parse(text: &[u8], missing_seq: u64) -> Option<Self> {
        /// Redis reads no longer one.
        const TEXT_MAX: usize = 127;
        if text.len() > TEXT_MAX {
            return None;
        }
        let mut parts = text.splitn(2, |&byte| byte == b'-');
        let ms = number(parts.next()?)?;
        Some(match parts.next() {
            Some(b"*") => Self::Of(ms),
            Some(seq) => Self::Exactly(Id { ms, seq: number(seq)? }),
            None => Self::Exactly(Id { ms, seq: missing_seq }),
        })
    }
}

/// An unsigned number, as leniently as Redis reads it: blanks and a plus sign in front, and zeros.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_int(text) {
        return u64::try_from(number).ok();
    }
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, &digit| {
        sum.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        let id = |ms, seq| Some(Wanted::Exactly(Id { ms, seq }));
        for (text, wanted) in [
            (&b"5"[..], id(5, 9)),
            (b"5-1", id(5, 1)),
            (b"0-0", id(0, 0)),
            (b"18446744073709551615-18446744073709551615", id(u64::MAX, u64::MAX)),
            (b"18446744073709551616-0", None),
            (b"007-+01", id(7, 1)),
            (b"5-*", Some(Wanted::Of(5))),
            (b"5-", None),
            (b"-5", None),
            (b"5--1", None),
            (b"*", None),
            (b"-", None),
            (b"", None),
            (b"5-1-1", None),
            (b"abc", None),
            (&[b'1'; 128], None),
        ] {
            assert_eq!(Wanted::parse(text, 9), wanted, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn neighbours_carry() {
        let of = |ms, seq| Id { ms, seq };
        assert_eq!(of(1, u64::MAX).next(), Some(of(2, 0)));
        assert_eq!(of(2, 0).previous(), Some(of(1, u64::MAX)));
        assert_eq!((Id::MAX.next(), Id::MIN.previous()), (None, None));
        let id = of(0x0102, 0x0304);
        assert_eq!(Id::of_bytes(id.bytes()), id);
    }
}
