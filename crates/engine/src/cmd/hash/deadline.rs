//! Deadlines of fields: the HEXPIRE and HTTL families, HPERSIST (Redis 7.4).
//!
//! Redis 7.0 knows none of them, so the writes are logged armoured, as they came; a relative time
//! counts from the entry's stamp on every replica. A field that is due is removed by an explicit
//! `HDEL` in the log, as a key is by an `UNLINK`.

use super::{Hash, fields};
use crate::cmd::collection::tell_if_gone;
use crate::cmd::generic::NOT_AN_INTEGER;
use crate::types::hash::HashTree;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, least};
use alloc::format;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

pub(super) type Result<T> = core::result::Result<T, Reply<'static>>;

/// What is answered for a field that is not there, for one without a deadline, for one whose
/// condition is not met, for one that got its deadline (or lost it), and for one that went because
/// its deadline is past.
const NO_FIELD: i64 = -2;
const NO_DEADLINE: i64 = -1;
const UNMET: i64 = 0;
const DONE: i64 = 1;
const GONE: i64 = 2;

const FIELDS_MISSING: &str =
    "ERR Mandatory argument FIELDS is missing or not at the right position";
const FIELDS_MISMATCH: &str = "ERR The `numfields` parameter must match the number of arguments";
/// For a count of fields that is none.
pub(super) const NOT_A_COUNT: &str = "ERR Number of fields must be a positive integer";

/// The fields behind `FIELDS` and their count, of which the first is at `at`.
pub(super) fn named<'a>(args: Args<'a>, at: usize, not_a_count: &'static str) -> Result<Args<'a>> {
    if !args.at(at).eq_ignore_ascii_case(b"FIELDS") {
        return Err(Reply::error(FIELDS_MISSING));
    }
    let count = parse_int(args.at(at + 1)).and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|&count| count > 0).ok_or(Reply::error(not_a_count))?;
    if args.len().saturating_sub(at + 2) != count {
        return Err(Reply::error(FIELDS_MISMATCH));
    }
    Ok(args.from(at + 2))
}

/// How a command gives its deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// Milliseconds of it.
    scale: i64,
    /// Whether it counts from now.
    is_relative: bool,
}

impl Unit {
    pub(super) const SECONDS: Self = Self { scale: 1000, is_relative: true };
    pub(super) const MILLISECONDS: Self = Self { scale: 1, is_relative: true };
    pub(super) const AT_SECONDS: Self = Self { scale: 1000, is_relative: false };
    pub(super) const AT_MILLISECONDS: Self = Self { scale: 1, is_relative: false };

    /// The unit that an option of HGETEX or HSETEX names.
    pub(super) fn option(word: &[u8]) -> Option<Self> {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        match () {
            () if is(b"EX") => Some(Self::SECONDS),
            () if is(b"PX") => Some(Self::MILLISECONDS),
            () if is(b"EXAT") => Some(Self::AT_SECONDS),
            () if is(b"PXAT") => Some(Self::AT_MILLISECONDS),
            () => None,
        }
    }

    /// The deadline in Unix milliseconds; `command` is for the error text.
    pub(super) fn deadline(self, given: &[u8], now_ms: u64, command: &str) -> Result<u64> {
        /// Redis keeps 46 bits of a field's deadline.
        const MAX: i64 = (1 << 46) - 1;
        let given = parse_int(given).ok_or(Reply::error(NOT_AN_INTEGER))?;
        if given < 0 {
            return Err(Reply::error("ERR invalid expire time, must be >= 0"));
        }
        let base = if self.is_relative { i64::try_from(now_ms).unwrap_or(i64::MAX) } else { 0 };
        let at_ms = given.checked_mul(self.scale).and_then(|span| span.checked_add(base));
        at_ms.filter(|&at_ms| at_ms <= MAX).map(i64::unsigned_abs).ok_or_else(|| {
            Reply::Error(format!("ERR invalid expire time in '{command}' command").into())
        })
    }
}

/// When a deadline may be set, by the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    /// `NX`: there is none.
    Absent,
    /// `XX`: there is one.
    Present,
    /// `GT`: it is earlier. None is later than any.
    Later,
    /// `LT`: it is later.
    Earlier,
}

impl Condition {
    /// The condition that a word names.
    fn parse(word: &[u8]) -> Self {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        match () {
            () if is(b"NX") => Self::Absent,
            () if is(b"XX") => Self::Present,
            () if is(b"GT") => Self::Later,
            () if is(b"LT") => Self::Earlier,
            () => Self::Always,
        }
    }

    fn allows(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => old.is_none(),
            Self::Present => old.is_some(),
            Self::Later => old.is_some_and(|old| new > old),
            Self::Earlier => old.is_none_or(|old| new < old),
        }
    }
}

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Hash.rows([
    Spec::write(
        "HEXPIRE",
        "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        |cx, args| expire(cx, args, (Unit::SECONDS, "hexpire")),
    )
    .facts(least(6), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
    .doc("7.4.0", "Sets how many seconds fields of a hash have left.")
    .hidden()
    .costing(change_cost_ns),
    Spec::write(
        "HPEXPIRE",
        "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        |cx, args| expire(cx, args, (Unit::MILLISECONDS, "hpexpire")),
    )
    .facts(least(6), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
    .doc("7.4.0", "Sets how many milliseconds fields of a hash have left.")
    .hidden()
    .costing(change_cost_ns),
    Spec::write(
        "HEXPIREAT",
        "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field \
         ...]",
        |cx, args| expire(cx, args, (Unit::AT_SECONDS, "hexpireat")),
    )
    .facts(least(6), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
    .doc("7.4.0", "Sets the deadline of fields of a hash in Unix seconds.")
    .hidden()
    .costing(change_cost_ns),
    Spec::write(
        "HPEXPIREAT",
        "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field \
         [field ...]",
        hpexpireat,
    )
    .facts(least(6), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
    .doc("7.4.0", "Sets the deadline of fields of a hash in Unix milliseconds.")
    .hidden()
    .costing(change_cost_ns),
    Spec::write("HPERSIST", "key FIELDS numfields field [field ...]", persist)
        .facts(least(5), Keys::At(1), Flags::FAST)
        .doc("7.4.0", "Removes the deadlines of fields of a hash.")
        .hidden()
        .costing(change_cost_ns),
    Spec::read("HTTL", "key FIELDS numfields field [field ...]", httl)
        .facts(least(5), Keys::At(1), Flags::FAST)
        .doc("7.4.0", "Tells how many seconds fields of a hash have left.")
        .costing(|_, args| 200 * args.len() as u64),
    Spec::read("HPTTL", "key FIELDS numfields field [field ...]", |cx, args| {
        answer(cx, args, u64::saturating_sub)
    })
    .facts(least(5), Keys::At(1), Flags::FAST)
    .doc("7.4.0", "Tells how many milliseconds fields of a hash have left.")
    .costing(|_, args| 200 * args.len() as u64),
    Spec::read("HEXPIRETIME", "key FIELDS numfields field [field ...]", |cx, args| {
        answer(cx, args, |at_ms, _| at_ms.div_ceil(1000))
    })
    .facts(least(5), Keys::At(1), Flags::FAST)
    .doc("7.4.0", "Tells the deadlines of fields of a hash in Unix seconds.")
    .costing(|_, args| 200 * args.len() as u64),
    Spec::read("HPEXPIRETIME", "key FIELDS numfields field [field ...]", |cx, args| {
        answer(cx, args, |at_ms, _| at_ms)
    })
    .facts(least(5), Keys::At(1), Flags::FAST)
    .doc("7.4.0", "Tells the deadlines of fields of a hash in Unix milliseconds.")
    .costing(|_, args| 200 * args.len() as u64),
]);

fn hpexpireat(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    expire(cx, args, (Unit::AT_MILLISECONDS, "hpexpireat"))
}

fn httl<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    answer(cx, args, |at_ms, now_ms| at_ms.saturating_sub(now_ms).div_ceil(1000))
}

fn expire(
    cx: &mut Writer<'_>,
    args: Args<'_>,
    (unit, command): (Unit, &str),
) -> Result<Reply<'static>> {
    let key = args.at(1);
    cx.reader().view::<HashTree>(key)?;
    let at_ms = unit.deadline(args.at(2), cx.now_ms(), command)?;
    let condition = Condition::parse(args.at(3));
    let behind = if condition == Condition::Always { 3 } else { 4 };
    let names = named(args, behind, "ERR Parameter `numFields` should be greater than 0")?;
    let now_ms = cx.now_ms();
    let codes = cx.edit(key, |hash: &mut Hash| {
        let hash_key = hash.rules.hash_key;
        let one = |name: &[u8]| match hash.view().field(hash_key, name) {
            None => NO_FIELD,
            Some(field) if !condition.allows(field.deadline, at_ms) => UNMET,
            Some(_) => retime(hash, name, (at_ms, now_ms)),
        };
        names.iter().map(one).collect::<Vec<_>>()
    })?;
    let codes = codes.unwrap_or_else(|| names.iter().map(|_| NO_FIELD).collect());
    if codes.contains(&GONE) {
        cx.notify(b'h', "hdel", key);
        tell_if_gone(cx, key);
    } else if codes.contains(&DONE) {
        cx.notify(b'h', "hexpire", key);
    }
    Ok(Reply::Array(codes.into_iter().map(Reply::Int).collect()))
}

/// Sets the deadline of a field that is there; a past one removes it.
pub(super) fn retime(hash: &mut Hash, name: &[u8], (at_ms, now_ms): (u64, u64)) -> i64 {
    if at_ms <= now_ms {
        hash.remove(name);
        return GONE;
    }
    hash.set_deadline(name, Some(at_ms));
    DONE
}

fn persist(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let key = args.at(1);
    cx.reader().view::<HashTree>(key)?;
    let names = named(args, 2, NOT_A_COUNT)?;
    let codes = cx.edit(key, |hash: &mut Hash| {
        let hash_key = hash.rules.hash_key;
        let one = |name: &[u8]| match hash.view().field(hash_key, name) {
            None => NO_FIELD,
            Some(field) if field.deadline.is_none() => NO_DEADLINE,
            Some(_) => {
                hash.set_deadline(name, None);
                DONE
            }
        };
        names.iter().map(one).collect::<Vec<_>>()
    })?;
    let codes = codes.unwrap_or_else(|| names.iter().map(|_| NO_FIELD).collect());
    if codes.contains(&DONE) {
        cx.notify(b'h', "hpersist", key);
    }
    Ok(Reply::Array(codes.into_iter().map(Reply::Int).collect()))
}

/// A small hash is written anew for every field: some 20 ns for each that it has.
pub(super) fn change_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    const SMALL: usize = 1024;
    (300 + 20 * fields(cx, args).min(SMALL) as u64) * args.len() as u64
}

/// For each field what `show` makes of its deadline and the time.
fn answer<'a>(cx: &Reader<'a>, args: Args<'a>, show: fn(u64, u64) -> u64) -> Replied<'a> {
    let found = cx.view::<HashTree>(args.at(1)).map_err(Reply::from);
    let found = found.and_then(|hash| Ok((hash, named(args, 2, NOT_A_COUNT)?)));
    let (hash, names) = found?;
    let now_ms = cx.now_ms().max(cx.clock_ms);
    let one = |name| {
        let field = hash.and_then(|hash| hash.field(cx.keyspace.hash_key, name));
        Reply::Int(field.map_or(NO_FIELD, |field| {
            let shown = field.deadline.map(|at_ms| show(at_ms, now_ms));
            shown.map_or(NO_DEADLINE, |shown| i64::try_from(shown).unwrap_or(i64::MAX))
        }))
    };
    Ok(Reply::Array(names.iter().map(one).collect()))
}
