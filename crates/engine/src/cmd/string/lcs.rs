//! LCS: the longest common subsequence of two strings, its length, or where it matches.
//!
//! The textbook table, of which one bit a cell is kept: which neighbour the way back takes. Redis
//! keeps four bytes a cell and refuses what would need more than `proto-max-bulk-len`; the same
//! pairs are refused here, with a thirty-second of the memory.

use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::{Flags, Group, Keys, Reader, Replied, Spec, StrRef, least};
use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::String.rows([Spec::read(
    "LCS",
    "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    lcs,
)
.facts(least(3), Keys::Range { first: 1, last: 2, step: 1 }, Flags::NONE)
.doc("7.0.0", "Finds the longest common subsequence of the strings at two keys.")
.costing(cost_ns)]);

/// What is asked for.
#[derive(Default)]
struct Options {
    /// `LEN`: only the length.
    len: bool,
    /// `IDX`: where it matches.
    idx: bool,
    /// `MINMATCHLEN`: shorter matches are left out of `IDX`.
    match_len_min: u64,
    /// `WITHMATCHLEN`
    with_match_len: bool,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self, Reply<'static>> {
        let mut found = Self::default();
        let mut options = args.from(3).iter();
        while let Some(option) = options.next() {
            if option.eq_ignore_ascii_case(b"IDX") {
                found.idx = true;
            } else if option.eq_ignore_ascii_case(b"LEN") {
                found.len = true;
            } else if option.eq_ignore_ascii_case(b"WITHMATCHLEN") {
                found.with_match_len = true;
            } else if option.eq_ignore_ascii_case(b"MINMATCHLEN") {
                let amount = options.next().ok_or_else(|| Reply::error(SYNTAX))?;
                let amount = parse_int(amount).ok_or_else(|| Reply::error(NOT_AN_INTEGER))?;
                found.match_len_min = amount.max(0).unsigned_abs();
            } else {
                return Err(Reply::error(SYNTAX));
            }
        }
        if found.len && found.idx {
            return Err(Reply::error(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(found)
    }
}

fn lcs<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let (Ok(left), Ok(right)) = (cx.string(args.at(1)), cx.string(args.at(2))) else {
        return Err(Reply::error("ERR The specified keys must contain string values"));
    };
    let options = Options::parse(args)?;
    let len = |value: Option<StrRef<'_>>| value.map_or(0, |value| value.len());
    match table_bytes(len(left), len(right)) {
        None => return Err(Reply::error("ERR String too long for LCS")),
        Some(bytes) if bytes > cx.keyspace.settings().string_bytes_max => {
            return Err(Reply::error(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ));
        }
        Some(_) => {}
    }
    let bytes = |value: Option<StrRef<'a>>| value.map_or(Cow::Borrowed(&[][..]), |v| v.bytes());
    let (left, right) = (bytes(left), bytes(right));
    let table = Table::new(&left, &right);
    if options.len {
        Ok(Reply::Int(i64::from(table.len)))
    } else if options.idx {
        let matches = table.matches().into_iter();
        let matches = matches.filter(|found| found.len as u64 >= options.match_len_min);
        let matches = matches.map(|found| found.reply(options.with_match_len)).collect();
        Ok(Reply::Map(vec![
            (Reply::bulk(b"matches"), Reply::Array(matches)),
            (Reply::bulk(b"len"), Reply::Int(i64::from(table.len))),
        ]))
    } else {
        Ok(Reply::owned(table.subsequence()))
    }
}

/// What Redis's table of four-byte cells would take; `None` for strings that its indexes cannot
/// reach.
fn table_bytes(left: usize, right: usize) -> Option<u64> {
    let side = |len: usize| u32::try_from(len).ok()?.checked_add(1).filter(|&side| side < u32::MAX);
    let cells = u64::from(side(left)?).checked_mul(u64::from(side(right)?));
    Some(cells.and_then(|cells| cells.checked_mul(4)).unwrap_or(u64::MAX))
}

/// A run of bytes that match in both strings.
#[derive(Clone, Copy, Debug)]
struct Match {
    left: usize,
    right: usize,
    len: usize,
}

impl Match {
    fn reply(self, with_len: bool) -> Reply<'static> {
        let range = |start: usize| {
            Reply::Array(vec![Reply::len(start), Reply::len(start + self.len.saturating_sub(1))])
        };
        let mut fields = vec![range(self.left), range(self.right)];
        if with_len {
            fields.push(Reply::len(self.len));
        }
        Reply::Array(fields)
    }
}

/// The solved table: the length, and the way back.
struct Table<'a> {
    left: &'a [u8],
    right: &'a [u8],
    /// Length of the longest common subsequence.
    len: u32,
    /// One bit a cell, row after row: whether the way back leaves the last byte of the left string
    /// out, rather than that of the right one. Says nothing where the bytes are equal.
    leaves_left: Vec<u64>,
}

impl<'a> Table<'a> {
    fn new(left: &'a [u8], right: &'a [u8]) -> Self {
        let mut leaves_left = Vec::new();
        // Lengths for the left string up to the byte before, and up to this byte.
        let mut above = vec![0u32; right.len() + 1];
        let mut here = vec![0u32; right.len() + 1];
        let (mut word, mut in_word) = (0u64, 0u32);
        for byte in left {
            let (mut diagonal, mut before) = (0, 0);
            let cells = here.iter_mut().skip(1).zip(above.iter().skip(1));
            for ((cell, &over), other) in cells.zip(right) {
                *cell = if byte == other { diagonal + 1 } else { over.max(before) };
                word |= u64::from(over > before) << in_word;
                in_word += 1;
                if in_word == u64::BITS {
                    leaves_left.push(word);
                    (word, in_word) = (0, 0);
                }
                (diagonal, before) = (over, *cell);
            }
            core::mem::swap(&mut above, &mut here);
        }
        leaves_left.push(word);
        Self { left, right, len: above.last().copied().unwrap_or(0), leaves_left }
    }

    /// Walks back from the ends and hands out each pair of equal bytes that it takes, last first.
    fn walk(&self, mut take: impl FnMut(usize, usize, u8)) {
        let (mut at_left, mut at_right) = (self.left.len(), self.right.len());
        while let (Some(left), Some(right)) = (at_left.checked_sub(1), at_right.checked_sub(1)) {
            let (Some(&byte), Some(other)) = (self.left.get(left), self.right.get(right)) else {
                return;
            };
            if byte == *other {
                take(left, right, byte);
                (at_left, at_right) = (left, right);
                continue;
            }
            let cell = left * self.right.len() + right;
            let word = self.leaves_left.get(cell / 64).copied().unwrap_or(0);
            if word >> (cell % 64) & 1 == 1 {
                at_left = left;
            } else {
                at_right = right;
            }
        }
    }

    fn subsequence(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len as usize);
        self.walk(|_, _, byte| bytes.push(byte));
        bytes.reverse();
        bytes
    }

    /// The runs of the subsequence, last first, as Redis lists them.
    fn matches(&self) -> Vec<Match> {
        let mut matches: Vec<Match> = Vec::new();
        self.walk(|left, right, _| match matches.last_mut() {
            Some(run) if run.left == left + 1 && run.right == right + 1 => {
                *run = Match { left, right, len: run.len + 1 };
            }
            _ => matches.push(Match { left, right, len: 1 }),
        });
        matches
    }
}

/// Some 1.2 ns a cell.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let len = |key| cx.string(key).ok().flatten().map_or(0, |value| value.len() as u64);
    len(args.at(1)).saturating_mul(len(args.at(2))).saturating_mul(6) / 5
}
