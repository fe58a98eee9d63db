//! Going through the keys: SCAN, KEYS, RANDOMKEY.

use super::{NOT_AN_INTEGER, SYNTAX};
use crate::{Arity, Db, Flags, Group, Keys, Keyspace, Reader, Spec, glob};
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// Keys that a SCAN without COUNT looks at.
const COUNT: usize = 10;

/// The rows.
pub(in crate::cmd) const COMMANDS: &[Spec] = &[
    Spec::read(
        Group::Generic.meta(
            "KEYS",
            Arity::Exactly(2),
            Keys::None,
            Flags::KEYSPACE_WIDE.and(Flags::DANGEROUS),
            ("1.0.0", "Lists all keys that match a pattern."),
        ),
        keys,
    )
    .costing(keys_cost_ns),
    Spec::read(
        Group::Generic.meta(
            "RANDOMKEY",
            Arity::Exactly(1),
            Keys::None,
            Flags::KEYSPACE_WIDE,
            ("1.0.0", "Picks a key at random."),
        ),
        randomkey,
    ),
    Spec::read(
        Group::Generic.meta(
            "SCAN",
            Arity::AtLeast(2),
            Keys::None,
            Flags::KEYSPACE_WIDE,
            ("2.8.0", "Goes through the keys of the database, some at a time."),
        ),
        scan,
    )
    .costing(scan_cost_ns),
];

/// A key is looked at, matched and written in some 100 ns.
const KEY_NS: u64 = 100;

fn keys_cost_ns(keyspace: &Keyspace, db: Db, _: Args<'_>) -> u64 {
    keyspace.stats(db).0.saturating_mul(KEY_NS)
}

fn scan_cost_ns(keyspace: &Keyspace, db: Db, args: Args<'_>) -> u64 {
    let count = ScanOptions::parse(args.from(2)).map_or(0, |options| options.count as u64);
    count.min(keyspace.stats(db).0).saturating_mul(KEY_NS)
}

fn keys<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let pattern = args.at(1);
    let mut found = Vec::new();
    cx.keys(&mut |key| {
        if glob::matches(pattern, key) {
            found.push(Reply::bulk(key));
        }
    });
    Reply::Array(found)
}

fn randomkey<'a>(cx: &Reader<'a>, _: Args<'a>) -> Reply<'a> {
    cx.random_key().map_or(Reply::Null, Reply::bulk)
}

fn scan<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let Some(cursor) = cursor(args.at(1)) else {
        return Reply::error("ERR invalid cursor");
    };
    let options = match ScanOptions::parse(args.from(2)) {
        Ok(options) => options,
        Err(reply) => return reply,
    };
    let mut found = Vec::new();
    let next = cx.scan(cursor, options.count, &mut |key| {
        if options.matches(cx, key) {
            found.push(Reply::bulk(key));
        }
    });
    Reply::Array(vec![Reply::owned(next.to_string().into_bytes()), Reply::Array(found)])
}

/// As `strtoul` reads it where the whole text must be used: nothing is 0, and a sign is allowed,
/// so that `-1` is the greatest cursor.
pub(crate) fn cursor(text: &[u8]) -> Option<u64> {
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

struct ScanOptions<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Reply<'static>> {
        let mut options = Self { count: COUNT, pattern: None, kind: None };
        let mut at = 0;
        while let Some(name) = args.get(at) {
            let Some(value) = args.get(at + 1) else {
                return Err(Reply::error(SYNTAX));
            };
            if name.eq_ignore_ascii_case(b"COUNT") {
                let count = parse_int(value).ok_or_else(|| Reply::error(NOT_AN_INTEGER))?;
                let count = usize::try_from(count).ok().filter(|&count| count > 0);
                options.count = count.ok_or_else(|| Reply::error(SYNTAX))?;
            } else if name.eq_ignore_ascii_case(b"MATCH") {
                options.pattern = (value != b"*").then_some(value);
            } else if name.eq_ignore_ascii_case(b"TYPE") {
                options.kind = Some(value);
            } else {
                return Err(Reply::error(SYNTAX));
            }
            at += 2;
        }
        Ok(options)
    }

    fn matches(&self, cx: &Reader<'_>, key: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, key))
            && self.kind.is_none_or(|kind| {
                cx.type_name(key).is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(kind))
            })
    }
}
