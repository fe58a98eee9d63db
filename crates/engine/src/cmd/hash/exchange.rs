//! Fields read or set together with their deadlines: HGETEX, HSETEX, HGETDEL (Redis 8.0).
//!
//! Logged armoured, as the others with deadlines (see [`deadline`](super::deadline)).

use super::Hash;
use super::deadline::{NOT_A_COUNT, Result, Unit, change_cost_ns, named, retime};
use crate::cmd::collection::tell_if_gone;
use crate::types::hash::HashTree;
use crate::types::pack::Item;
use crate::{Deadline, Flags, Group, Keys, Spec, Writer, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int, up_to_zero};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Hash.rows([
    Spec::write("HGETDEL", "key FIELDS numfields field [field ...]", hgetdel)
        .facts(least(5), Keys::At(1), Flags::FAST)
        .doc("8.0.0", "Returns the values of fields and removes them.")
        .access(&["RW access delete"])
        .hidden()
        .costing(change_cost_ns),
    Spec::write(
        "HGETEX",
        "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
         unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
        hgetex,
    )
    .facts(least(5), Keys::At(1), Flags::FAST)
    .doc("8.0.0", "Returns the values of fields and perhaps sets their deadline.")
    .access(&["RW access update"])
    .hidden()
    .costing(change_cost_ns),
    Spec::write(
        "HSETEX",
        "key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
         PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value \
         [field value ...]",
        hsetex,
    )
    .facts(least(6), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
    .doc(
        "8.0.0",
        "Sets fields of a hash and their deadline, perhaps only if all or none are there.",
    )
    .hidden()
    .costing(change_cost_ns),
]);

fn hgetdel(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let key = args.at(1);
    cx.reader().view::<HashTree>(key)?;
    let names = named(args, 2, NOT_A_COUNT)?;
    let values = cx.edit(key, |hash: &mut Hash| {
        let one = |name: &[u8]| {
            let value = value(hash, name);
            hash.remove(name);
            value
        };
        names.iter().map(one).collect::<Vec<_>>()
    })?;
    let values = values.unwrap_or_else(|| names.iter().map(|_| Reply::Null).collect());
    if values.iter().any(|value| !matches!(value, Reply::Null)) {
        cx.notify(b'h', "hdel", key);
        tell_if_gone(cx, key);
    }
    Ok(Reply::Array(values))
}

/// The value of a field, to be kept while the hash changes.
fn value(hash: &Hash, name: &[u8]) -> Reply<'static> {
    hash.view().value(hash.rules.hash_key, name).map_or(Reply::Null, Item::owned)
}

fn hgetex(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, now_ms) = (args.at(1), cx.now_ms());
    cx.reader().view::<HashTree>(key)?;
    let option = args.at(2);
    let (deadline, behind) = match Unit::option(option) {
        Some(unit) => {
            let at_ms = unit.deadline(args.at(3), now_ms, "hgetex")?;
            (Deadline::At(at_ms), 4)
        }
        None if option.eq_ignore_ascii_case(b"PERSIST") => (Deadline::Clear, 3),
        None => (Deadline::Keep, 2),
    };
    let names = named(args, behind, NOT_A_COUNT)?;
    let mut changed = 0;
    let values = cx.edit(key, |hash: &mut Hash| {
        let mut one = |name: &[u8]| {
            let field = hash.view().field(hash.rules.hash_key, name);
            let Some(timed) = field.map(|field| field.deadline.is_some()) else {
                return Reply::Null;
            };
            let value = value(hash, name);
            match deadline {
                Deadline::At(at_ms) => _ = retime(hash, name, (at_ms, now_ms)),
                Deadline::Clear if timed => hash.set_deadline(name, None),
                Deadline::Clear | Deadline::Keep => return value,
            }
            changed += 1;
            value
        };
        names.iter().map(&mut one).collect::<Vec<_>>()
    })?;
    if changed > 0 {
        let event = match deadline {
            Deadline::At(at_ms) if at_ms <= now_ms => "hdel",
            Deadline::At(_) => "hexpire",
            Deadline::Clear | Deadline::Keep => "hpersist",
        };
        cx.notify(b'h', event, key);
        tell_if_gone(cx, key);
    }
    Ok(Reply::Array(values.unwrap_or_else(|| names.iter().map(|_| Reply::Null).collect())))
}

/// The options of HSETEX, and what they stand in front of.
struct Setting<'a> {
    /// `FXX` (true): all fields are there; `FNX` (false): none is.
    present: Option<bool>,
    deadline: Option<Deadline>,
    /// Fields and values in turn.
    pairs: Args<'a>,
}

impl<'a> Setting<'a> {
    /// Reads them in the order in which Redis does.
    fn parse(args: Args<'a>, now_ms: u64) -> Result<Self> {
        let (mut present, mut deadline) = (None, None);
        let mut at = 2;
        loop {
            let Some(word) = args.get(at) else {
                return Err(crate::cmd::wrong_arity("HSETEX"));
            };
            let is = |option: &[u8]| word.eq_ignore_ascii_case(option);
            if is(b"FIELDS") {
                return Ok(Self { present, deadline, pairs: pairs(args, at)? });
            }
            let unit = Unit::option(word);
            if unit.is_some() || is(b"KEEPTTL") {
                if deadline.is_some() {
                    return Err(Reply::error(
                        "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
                    ));
                }
                deadline = Some(Deadline::Keep);
            } else if is(b"FXX") || is(b"FNX") {
                if present.is_some() {
                    return Err(Reply::error(
                        "ERR Only one of FXX or FNX arguments can be specified",
                    ));
                }
                present = Some(is(b"FXX"));
            } else {
                return Err(Reply::error_of(&[b"ERR unknown argument: ", up_to_zero(word)]));
            }
            if let Some(unit) = unit {
                at += 1;
                let given = args.get(at).ok_or(Reply::error("ERR missing expire time"))?;
                deadline = Some(Deadline::At(unit.deadline(given, now_ms, "hsetex")?));
            }
            at += 1;
        }
    }
}

/// The pairs behind `FIELDS`, which is at `at`, and their count.
fn pairs(args: Args<'_>, at: usize) -> Result<Args<'_>> {
    let wrong = || crate::cmd::wrong_arity("HSETEX");
    if at + 3 >= args.len() {
        return Err(wrong());
    }
    let count = parse_int(args.at(at + 1)).and_then(|count| i32::try_from(count).ok());
    let count = count.and_then(|count| usize::try_from(count).ok()).filter(|&count| count > 0);
    let count = count.ok_or(Reply::error("ERR invalid number of fields"))?;
    let pairs = args.from(at + 2);
    if pairs.len() != 2 * count {
        return Err(wrong());
    }
    Ok(pairs)
}

fn hsetex(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, now_ms) = (args.at(1), cx.now_ms());
    let setting = Setting::parse(args, now_ms)?;
    let pairs = setting.pairs;
    let fields = || pairs.iter().step_by(2);
    let hash = cx.reader().view::<HashTree>(key)?;
    let is_there = |name| hash.is_some_and(|h| h.field(cx.keyspace.hash_key, name).is_some());
    if let Some(present) = setting.present
        && fields().any(|name| is_there(name) != present)
    {
        return Ok(Reply::Int(0));
    }
    let deadline = setting.deadline.unwrap_or(Deadline::Clear);
    let past = matches!(deadline, Deadline::At(at_ms) if at_ms <= now_ms);
    let was_there = hash.is_some();
    cx.edit_or_create(key, |hash: &mut Hash| {
        if past {
            return fields().for_each(|name| _ = hash.remove(name));
        }
        hash.expect(pairs.iter());
        let values = pairs.iter().skip(1).step_by(2);
        fields().zip(values).for_each(|(name, value)| _ = hash.put(name, value, deadline));
    })?;
    cx.notify(b'h', "hset", key);
    match deadline {
        Deadline::At(_) if past => cx.notify(b'h', "hdel", key),
        Deadline::At(_) => cx.notify(b'h', "hexpire", key),
        Deadline::Clear | Deadline::Keep => {}
    }
    if past && was_there {
        tell_if_gone(cx, key);
    }
    Ok(Reply::Int(1))
}
