//! Whole values: GET and MGET, and the two that change a key as they read it, GETDEL and GETEX.

use super::expiry::{Expiry, Unit, push_deadline};
use super::owned;
use crate::cmd::generic::SYNTAX;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Stamp, Writer, exactly, least};
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::String.rows([
    Spec::read("GET", "key", get)
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Returns the string at a key."),
    Spec::read("MGET", "key [key ...]", |cx, args| Ok(mget(cx, args)))
        .facts(least(2), Keys::Range { first: 1, last: -1, step: 1 }, Flags::FAST)
        .doc("1.0.0", "Returns the strings at one or more keys."),
    Spec::write("GETDEL", "key", getdel)
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("6.2.0", "Returns the string at a key and deletes the key.")
        .access(&["RW access delete"]),
    Spec::write(
        "GETEX",
        "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
         unix-time-milliseconds | PERSIST]",
        getex,
    )
    .facts(least(2), Keys::At(1), Flags::FAST)
    .doc("6.2.0", "Returns the string at a key and sets or removes the key's deadline.")
    .access(&["RW access update"])
    .logged("rewritten", |cx, args| cx.absolute(args, |stamp| getex_absolute(stamp, args))),
]);

fn get<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    Ok(cx.string(args.at(1))?.map_or(Reply::Null, |value| value.reply()))
}

/// A key of another type counts as absent.
fn mget<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let value = |key| match cx.string(key) {
        Ok(Some(value)) => value.reply(),
        _ => Reply::Null,
    };
    Reply::Array(args.from(1).iter().map(value).collect())
}

fn getdel(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let Some(old) = cx.reader().string(key)? else { return Ok(Reply::Null) };
    let old = owned(Some(old));
    cx.remove(key);
    cx.notify(b'g', "del", key);
    Ok(old)
}

/// What GETEX does to the deadline.
enum Change<'a> {
    Nothing,
    Persist,
    Expire(Expiry<'a>),
}

impl<'a> Change<'a> {
    /// Reads GETEX's options; `None` is a syntax error.
    fn parse(args: Args<'a>) -> Option<Self> {
        let mut change = Change::Nothing;
        let mut options = args.from(2).iter();
        while let Some(option) = options.next() {
            change = match (Unit::option(option), change) {
                (Some(unit), Change::Nothing) => Change::Expire(Expiry::new(unit, options.next()?)),
                (Some(unit), Change::Expire(expiry)) if expiry.same_unit(unit) => {
                    Change::Expire(Expiry::new(unit, options.next()?))
                }
                (None, Change::Nothing | Change::Persist)
                    if option.eq_ignore_ascii_case(b"PERSIST") =>
                {
                    Change::Persist
                }
                _ => return None,
            };
        }
        Some(change)
    }
}

fn getex(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let change = Change::parse(args).ok_or(Reply::error(SYNTAX))?;
    let now_ms = cx.now_ms();
    let reader = cx.reader();
    let Some(value) = reader.string(key)? else { return Ok(Reply::Null) };
    let deadline = match change {
        Change::Nothing => return Ok(owned(Some(value))),
        Change::Persist => None,
        Change::Expire(expiry) => match expiry.deadline_ms(now_ms) {
            Ok(deadline) => Some(deadline),
            Err(bad) => return Err(bad.reply("ERR invalid expire time in 'getex' command")),
        },
    };
    let old = owned(Some(value));
    match deadline {
        Some(deadline) if deadline <= now_ms => {
            cx.remove(key);
            cx.notify(b'g', "del", key);
        }
        Some(deadline) => {
            cx.set_deadline(key, Some(deadline));
            cx.notify(b'g', "expire", key);
        }
        None if matches!(cx.reader().deadline_ms(key), Some(Some(_))) => {
            cx.set_deadline(key, None);
            cx.notify(b'g', "persist", key);
        }
        None => {}
    }
    Ok(old)
}

/// A deadline that is past deletes the key, but not while Redis loads an AOF, so it is logged as
/// the GETDEL that it amounts to: same reply, same event.
fn getex_absolute(stamp: &Stamp, args: Args<'_>) -> Option<Vec<Vec<u8>>> {
    let Change::Expire(expiry) = Change::parse(args)? else {
        return None;
    };
    let deadline = expiry.deadline_ms(stamp.now_ms).ok()?;
    let key = args.at(1).to_vec();
    if deadline <= stamp.now_ms {
        return Some(vec![b"GETDEL".to_vec(), key]);
    }
    if !expiry.is_relative() {
        return None;
    }
    let mut words = vec![b"GETEX".to_vec(), key];
    push_deadline(&mut words, deadline);
    Some(words)
}
