//! Going through the keys: SCAN, KEYS, RANDOMKEY.

use super::{NOT_AN_INTEGER, SYNTAX};
use crate::glob::Pattern;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, exactly, least};
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// Keys that a SCAN without COUNT looks at.
const COUNT: usize = 10;

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Generic.rows([
    Spec::read("KEYS", "pattern", |cx, args| Ok(keys(cx, args)))
        .facts(exactly(2), Keys::None, Flags::KEYSPACE_WIDE.and(Flags::DANGEROUS))
        .doc("1.0.0", "Lists all keys that match a pattern.")
        .costing(keys_cost_ns),
    Spec::read("RANDOMKEY", "", |cx, args| Ok(randomkey(cx, args)))
        .facts(exactly(1), Keys::None, Flags::KEYSPACE_WIDE)
        .doc("1.0.0", "Picks a key at random."),
    Spec::read("SCAN", "cursor [MATCH pattern] [COUNT count] [TYPE type]", scan)
        .facts(least(2), Keys::None, Flags::KEYSPACE_WIDE)
        .doc("2.8.0", "Goes through the keys of the database, some at a time.")
        .costing(scan_cost_ns),
]);

/// A key is looked at, matched and written in some 100 ns.
const KEY_NS: u64 = 100;

fn keys_cost_ns(cx: &Reader<'_>, _: Args<'_>) -> u64 {
    cx.keyspace.stats(cx.db).0.saturating_mul(KEY_NS)
}

fn scan_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let options = ScanOptions::parse(args.from(2), Scanned::Keys);
    let count = options.map_or(0, |options| options.count as u64);
    count.min(cx.keyspace.stats(cx.db).0).saturating_mul(KEY_NS)
}

fn keys<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let pattern = Pattern::new(args.at(1));
    let mut found = Vec::new();
    cx.keys(&mut |key| {
        if pattern.matches(key) {
            found.push(Reply::bulk(key));
        }
    });
    Reply::Array(found)
}

fn randomkey<'a>(cx: &Reader<'a>, _: Args<'a>) -> Reply<'a> {
    cx.random_key().map_or(Reply::Null, Reply::bulk)
}

fn scan<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let cursor = cursor(args.at(1))?;
    let options = ScanOptions::parse(args.from(2), Scanned::Keys)?;
    let mut found = Vec::new();
    let next = cx.scan(cursor, options.count, &mut |key| {
        if options.matches(cx, key) {
            found.push(Reply::bulk(key));
        }
    });
    Ok(scanned(next, found))
}

/// The reply of every SCAN.
pub(in crate::cmd) fn scanned(next: u64, found: Vec<Reply<'_>>) -> Reply<'_> {
    Reply::Array(vec![Reply::owned(next.to_string().into_bytes()), Reply::Array(found)])
}

/// Reads a cursor; the error is the reply.
pub(in crate::cmd) fn cursor(text: &[u8]) -> Result<u64, Reply<'static>> {
    unsigned(text).ok_or_else(|| Reply::error("ERR invalid cursor"))
}

/// As `strtoul` reads it where the whole text must be used: nothing is 0, and a sign is allowed,
/// so that `-1` is the greatest cursor.
fn unsigned(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        Some(_) => (false, text),
        None => return Some(0),
    };
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// What is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cmd) enum Scanned {
    /// The keys of a database: they have types.
    Keys,
    /// The fields of a hash: they have values.
    Fields,
    /// The members of anything else.
    Members,
}

/// The options of SCAN, HSCAN, SSCAN and ZSCAN.
#[derive(Debug)]
pub(in crate::cmd) struct ScanOptions<'a> {
    /// So many elements are looked at.
    pub(in crate::cmd) count: usize,
    pattern: Option<Pattern<'a>>,
    kind: Option<&'a [u8]>,
    /// Without the values of fields.
    pub(in crate::cmd) no_values: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads what stands behind the cursor.
    pub(in crate::cmd) fn parse(args: Args<'a>, what: Scanned) -> Result<Self, Reply<'static>> {
        let mut options = Self { count: COUNT, pattern: None, kind: None, no_values: false };
        let mut at = 0;
        while let Some(name) = args.get(at) {
            if what == Scanned::Fields && name.eq_ignore_ascii_case(b"NOVALUES") {
                options.no_values = true;
                at += 1;
                continue;
            }
            let Some(value) = args.get(at + 1) else {
                return Err(Reply::error(SYNTAX));
            };
            if name.eq_ignore_ascii_case(b"COUNT") {
                let count = parse_int(value).ok_or_else(|| Reply::error(NOT_AN_INTEGER))?;
                let count = usize::try_from(count).ok().filter(|&count| count > 0);
                options.count = count.ok_or_else(|| Reply::error(SYNTAX))?;
            } else if name.eq_ignore_ascii_case(b"MATCH") {
                options.pattern = (value != b"*").then(|| Pattern::new(value));
            } else if what == Scanned::Keys && name.eq_ignore_ascii_case(b"TYPE") {
                options.kind = Some(value);
            } else {
                return Err(Reply::error(SYNTAX));
            }
            at += 2;
        }
        Ok(options)
    }

    /// Whether a name fits the pattern, if there is one.
    pub(in crate::cmd) fn fits(&self, name: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(name))
    }

    fn matches(&self, cx: &Reader<'_>, key: &[u8]) -> bool {
        self.fits(key)
            && self.kind.is_none_or(|kind| {
                cx.type_name(key).is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(kind))
            })
    }
}
