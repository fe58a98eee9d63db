//! Commands that replace whole values: SET with all its options, its older relatives, MSET and
//! MSETNX.
//!
//! A relative TTL is logged as `SET … PXAT`, which every Redis since 6.2 replays; SETEX and PSETEX
//! take the same form, since they answer what SET answers. `IFEQ` (Valkey 8.1, Redis 8.4),
//! `IFNE`, `IFDEQ` and `IFDNE` (Redis 8.4) are newer than Redis 7.0 and are logged armoured. A
//! deadline that is already past is stored as given: the key is invisible from the start and the
//! next expiry removes it, as in Redis.

use super::compare::Wanted;
use super::expiry::{Expiry, Unit, push_deadline};
use super::{FAST_GROWTH, owned};
use crate::cmd::generic::SYNTAX;
use crate::keyspace::Ahead;
use crate::{
    Deadline, Flags, Group, Keys, LogForm, Reader, Replied, Spec, Stamp, Writer, exactly, least,
};
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::String.rows([
    Spec::write(
        "SET",
        "key value [NX | XX | IFEQ value | IFNE value | IFDEQ digest | IFDNE \
         digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
         PXAT unix-time-milliseconds | KEEPTTL]",
        set,
    )
    .facts(least(3), Keys::At(1), Flags::DENYOOM)
    .doc("1.0.0", "Sets the string at a key, whatever it held, with conditions and a deadline.")
    .access(&["RW access update variable_flags"])
    .access_by(access)
    .logged("rewritten or armoured", |cx, args| {
        if compares(args) {
            LogForm::Hidden
        } else {
            cx.absolute(args, |stamp| set_absolute(stamp, args))
        }
    }),
    Spec::write("SETNX", "key value", |cx, args| Ok(setnx(cx, args)))
        .facts(exactly(3), Keys::At(1), FAST_GROWTH)
        .doc("1.0.0", "Sets the string at a key if there is none.")
        .access(&["OW insert"]),
    Spec::write("SETEX", "key seconds value", setex)
        .facts(exactly(4), Keys::At(1), Flags::DENYOOM)
        .doc("2.0.0", "Sets the string at a key and how many seconds it has.")
        .access(&["OW update"])
        .logged("rewritten", |cx, args| {
            cx.absolute(args, |stamp| set_until(stamp, Unit::Seconds, args))
        }),
    Spec::write("PSETEX", "key milliseconds value", psetex)
        .facts(exactly(4), Keys::At(1), Flags::DENYOOM)
        .doc("2.6.0", "Sets the string at a key and how many milliseconds it has.")
        .access(&["OW update"])
        .logged("rewritten", |cx, args| {
            cx.absolute(args, |stamp| set_until(stamp, Unit::Milliseconds, args))
        }),
    Spec::write("GETSET", "key value", getset)
        .facts(exactly(3), Keys::At(1), FAST_GROWTH)
        .doc("1.0.0", "Sets the string at a key and returns the one before.")
        .access(&["RW access update"]),
    Spec::write("MSET", "key value [key value ...]", mset)
        .facts(least(3), PAIRS, Flags::DENYOOM)
        .doc("1.0.1", "Sets the strings at one or more keys.")
        .access(&["OW update"]),
    Spec::write("MSETNX", "key value [key value ...]", msetnx)
        .facts(least(3), PAIRS, Flags::DENYOOM)
        .doc("1.0.1", "Sets the strings at one or more keys if none of the keys exists.")
        .access(&["OW insert"]),
]);

/// Whether the old value is given away, or the new one depends on it.
fn access(args: Args<'_>) -> &'static str {
    let gets = args.from(3).iter().any(|word| word.eq_ignore_ascii_case(b"GET"));
    if gets { "RW access update" } else { "OW update" }
}

fn setex(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    set_for(cx, Unit::Seconds, args)
        .map_err(|bad| bad.reply("ERR invalid expire time in 'setex' command"))
}

fn psetex(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    set_for(cx, Unit::Milliseconds, args)
        .map_err(|bad| bad.reply("ERR invalid expire time in 'psetex' command"))
}

/// Under which condition SET sets.
#[derive(Clone, Copy)]
enum Condition<'a> {
    Always,
    /// `NX`
    Absent,
    /// `XX`
    Present,
    /// `IFEQ` and its like.
    Compared(Wanted<'a>),
}

/// SET's options.
struct Options<'a> {
    condition: Condition<'a>,
    /// `GET`: answer the old value.
    get: bool,
    /// `KEEPTTL`
    keep: bool,
    expiry: Option<Expiry<'a>>,
}

impl<'a> Options<'a> {
    /// Reads them; `None` is a syntax error. An option may be repeated where Redis lets it.
    fn parse(args: Args<'a>) -> Option<Self> {
        let mut found =
            Self { condition: Condition::Always, get: false, keep: false, expiry: None };
        let mut options = args.from(3).iter();
        while let Some(option) = options.next() {
            if let Some(unit) = Unit::option(option) {
                if found.keep || found.expiry.is_some_and(|earlier| !earlier.same_unit(unit)) {
                    return None;
                }
                found.expiry = Some(Expiry::new(unit, options.next()?));
            } else if option.eq_ignore_ascii_case(b"GET") {
                found.get = true;
            } else if option.eq_ignore_ascii_case(b"KEEPTTL") && found.expiry.is_none() {
                found.keep = true;
            } else {
                found.condition = match found.condition {
                    Condition::Always | Condition::Absent if option.eq_ignore_ascii_case(b"NX") => {
                        Condition::Absent
                    }
                    Condition::Always | Condition::Present
                        if option.eq_ignore_ascii_case(b"XX") =>
                    {
                        Condition::Present
                    }
                    Condition::Always => {
                        let argument = options.next()?;
                        Condition::Compared(Wanted::parse(option, argument)?)
                    }
                    _ => return None,
                };
            }
        }
        Some(found)
    }

    /// Whether SET may set, and the old value as a reply if it was asked for.
    fn judge(
        &self,
        cx: &Reader<'_>,
        key: &[u8],
    ) -> Result<(bool, Option<Reply<'static>>), Reply<'static>> {
        let looks = self.get || matches!(self.condition, Condition::Compared(_));
        let old = if looks { cx.string(key)? } else { None };
        let allowed = match self.condition {
            Condition::Always => true,
            Condition::Absent => !cx.exists(key),
            Condition::Present => cx.exists(key),
            Condition::Compared(wanted) => match old {
                Some(old) => wanted.is_met(old)?,
                None => wanted.is_met_by_absence(),
            },
        };
        Ok((allowed, self.get.then(|| owned(old))))
    }
}

fn set(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (key, value) = (args.at(1), args.at(2));
    if args.len() == 3 {
        return Ok(store(cx, key, value, Deadline::Clear));
    }
    let options = Options::parse(args).ok_or(Reply::error(SYNTAX))?;
    let deadline = match options.expiry.map(|expiry| expiry.deadline_ms(cx.now_ms())) {
        Some(Ok(deadline)) => Deadline::At(deadline),
        Some(Err(bad)) => return Err(bad.reply("ERR invalid expire time in 'set' command")),
        None if options.keep => Deadline::Keep,
        None => Deadline::Clear,
    };
    let (allowed, old) = options.judge(&cx.reader(), key)?;
    let reply = if allowed { store(cx, key, value, deadline) } else { Reply::Null };
    Ok(old.unwrap_or(reply))
}

/// Sets the value, tells who listens, and answers OK.
pub(super) fn store(
    cx: &mut Writer<'_>,
    key: &[u8],
    value: &[u8],
    deadline: Deadline,
) -> Reply<'static> {
    cx.set_string(key, value, deadline);
    cx.notify(b'$', "set", key);
    if matches!(deadline, Deadline::At(_)) {
        cx.notify(b'g', "expire", key);
    }
    Reply::OK
}

/// Whether the command uses `IFEQ` or its like. Another option's argument that reads so is an error
/// anyway.
fn compares(args: Args<'_>) -> bool {
    args.from(3).iter().any(|option| Wanted::parse(option, b"").is_some())
}

fn set_absolute(stamp: &Stamp, args: Args<'_>) -> Option<Vec<Vec<u8>>> {
    if args.len() < 5 {
        return None;
    }
    let options = Options::parse(args)?;
    let expiry = options.expiry.filter(|expiry| expiry.is_relative())?;
    let deadline = expiry.deadline_ms(stamp.now_ms).ok()?;
    let mut words = vec![b"SET".to_vec(), args.at(1).to_vec(), args.at(2).to_vec()];
    match options.condition {
        Condition::Always => {}
        Condition::Absent => words.push(b"NX".to_vec()),
        Condition::Present => words.push(b"XX".to_vec()),
        // Logged armoured, as it came.
        Condition::Compared(_) => return None,
    }
    if options.get {
        words.push(b"GET".to_vec());
    }
    push_deadline(&mut words, deadline);
    Some(words)
}

fn setnx(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let absent = !cx.reader().exists(args.at(1));
    if absent {
        store(cx, args.at(1), args.at(2), Deadline::Clear);
    }
    Reply::Int(i64::from(absent))
}

fn set_for(
    cx: &mut Writer<'_>,
    unit: Unit,
    args: Args<'_>,
) -> Result<Reply<'static>, super::expiry::BadExpiry> {
    let deadline = Expiry::new(unit, args.at(2)).deadline_ms(cx.now_ms())?;
    Ok(store(cx, args.at(1), args.at(3), Deadline::At(deadline)))
}

fn set_until(stamp: &Stamp, unit: Unit, args: Args<'_>) -> Option<Vec<Vec<u8>>> {
    let deadline = Expiry::new(unit, args.at(2)).deadline_ms(stamp.now_ms).ok()?;
    let mut words = vec![b"SET".to_vec(), args.at(1).to_vec(), args.at(3).to_vec()];
    push_deadline(&mut words, deadline);
    Some(words)
}

fn getset(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let old = owned(cx.reader().string(args.at(1))?);
    store(cx, args.at(1), args.at(2), Deadline::Clear);
    Ok(old)
}

/// Keys and values in turn.
const PAIRS: Keys = Keys::Range { first: 1, last: -1, step: 2 };

fn mset(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    if args.len().is_multiple_of(2) {
        return Err(Reply::error("ERR wrong number of arguments for 'mset' command"));
    }
    Ok(store_pairs(cx, args))
}

fn msetnx(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    if args.len().is_multiple_of(2) {
        return Err(Reply::error("ERR wrong number of arguments for 'msetnx' command"));
    }
    let reader = cx.reader();
    if args.from(1).iter().step_by(2).any(|key| reader.exists(key)) {
        return Ok(Reply::Int(0));
    }
    store_pairs(cx, args);
    Ok(Reply::Int(1))
}

fn store_pairs(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let mut ahead = Ahead::default();
    for at in (1..args.len()).step_by(2) {
        if ahead.is_over() {
            ahead = cx.keyspace.warm_keys(cx.db, args.from(at).iter().step_by(2));
        }
        store(&mut cx.knowing(ahead.take()), args.at(at), args.at(at + 1), Deadline::Clear);
    }
    Reply::OK
}
