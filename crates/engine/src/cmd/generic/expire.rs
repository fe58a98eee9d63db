//! Deadlines: the EXPIRE and TTL families, PERSIST.
//!
//! The log knows absolute deadlines only: sealing turns every form into `PEXPIREAT`. A deadline
//! that is already past deletes the key, and Redis does not do that while it loads an AOF; such a
//! command is logged as `UNLINK`, whose reply and event are the same.

use super::NOT_AN_INTEGER;
use crate::{
    Flags, Group, Keys, LogForm, Reader, Replied, Sealing, Spec, Stamp, Writer, exactly, least,
};
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use quorate_resp::{Args, Reply, int_text, parse_int, up_to_zero};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Generic.rows([
    Spec::write("EXPIRE", "key seconds [NX | XX | GT | LT]", |cx, args| EXPIRE.run(cx, args))
        .facts(least(3), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Sets how many seconds a key has left.")
        .logged("rewritten", |cx, args| EXPIRE.form(cx, args)),
    Spec::write("EXPIREAT", "key unix-time-seconds [NX | XX | GT | LT]", |cx, args| {
        EXPIREAT.run(cx, args)
    })
    .facts(least(3), Keys::At(1), Flags::FAST)
    .doc("1.2.0", "Sets a key's deadline in Unix seconds.")
    .logged("rewritten", |cx, args| EXPIREAT.form(cx, args)),
    Spec::read("EXPIRETIME", "key", |cx, args| Ok(expiretime(cx, args)))
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("7.0.0", "Tells a key's deadline in Unix seconds."),
    Spec::write("PERSIST", "key", |cx, args| Ok(persist(cx, args)))
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("2.2.0", "Removes a key's deadline."),
    Spec::write("PEXPIRE", "key milliseconds [NX | XX | GT | LT]", |cx, args| {
        PEXPIRE.run(cx, args)
    })
    .facts(least(3), Keys::At(1), Flags::FAST)
    .doc("2.6.0", "Sets how many milliseconds a key has left.")
    .logged("rewritten", |cx, args| PEXPIRE.form(cx, args)),
    Spec::write("PEXPIREAT", "key unix-time-milliseconds [NX | XX | GT | LT]", |cx, args| {
        PEXPIREAT.run(cx, args)
    })
    .facts(least(3), Keys::At(1), Flags::FAST)
    .doc("2.6.0", "Sets a key's deadline in Unix milliseconds.")
    .logged("rewritten", |cx, args| PEXPIREAT.form(cx, args)),
    Spec::read("PEXPIRETIME", "key", |cx, args| Ok(pexpiretime(cx, args)))
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("7.0.0", "Tells a key's deadline in Unix milliseconds."),
    Spec::read("PTTL", "key", |cx, args| Ok(pttl(cx, args)))
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("2.6.0", "Tells how many milliseconds a key has left."),
    Spec::read("TTL", "key", |cx, args| Ok(ttl(cx, args)))
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Tells how many seconds a key has left."),
]);

/// How one command of the family gives its deadline.
struct Setter {
    /// For the error text.
    name: &'static str,
    /// Milliseconds of its unit.
    scale: i64,
    /// Whether it counts from now.
    relative: bool,
}

const EXPIRE: Setter = Setter { name: "expire", scale: 1000, relative: true };
const PEXPIRE: Setter = Setter { name: "pexpire", scale: 1, relative: true };
const EXPIREAT: Setter = Setter { name: "expireat", scale: 1000, relative: false };
const PEXPIREAT: Setter = Setter { name: "pexpireat", scale: 1, relative: false };

/// Which options were given, a bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Conditions(u8);

impl Conditions {
    /// Only without a deadline.
    const NX: u8 = 1;
    /// Only with a deadline.
    const XX: u8 = 2;
    /// Only if later.
    const GT: u8 = 4;
    /// Only if earlier.
    const LT: u8 = 8;
}

impl Setter {
    fn run(&self, cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
        let key = args.at(1);
        let now = clamp(cx.now_ms());
        let (conditions, when) = self.parse(args, now)?;
        let Some(current) = cx.reader().deadline_ms(key) else {
            return Ok(Reply::Int(0));
        };
        if !conditions.allow(current.map(clamp), when) {
            return Ok(Reply::Int(0));
        }
        if when <= now {
            cx.remove(key);
            cx.notify(b'g', "del", key);
        } else {
            cx.set_deadline(key, Some(when.unsigned_abs()));
            cx.notify(b'g', "expire", key);
        }
        Ok(Reply::Int(1))
    }

    fn form(&self, cx: &Sealing<'_>, args: Args<'_>) -> LogForm {
        cx.absolute(args, |stamp| self.rewrite(stamp, args))
    }

    /// The words for the log. `None`: the arguments are wrong, or it is in that form already.
    fn rewrite(&self, stamp: &Stamp, args: Args<'_>) -> Option<Vec<Vec<u8>>> {
        let now = clamp(stamp.now_ms);
        let (conditions, when) = self.parse(args, now).ok()?;
        let key = args.at(1).to_vec();
        if when <= now && conditions == Conditions::default() {
            return Some(vec![b"UNLINK".to_vec(), key]);
        }
        if !self.relative && self.scale == 1 {
            return None;
        }
        let when = int_text(when).as_bytes().to_vec();
        let mut rewritten = vec![b"PEXPIREAT".to_vec(), key, when];
        rewritten.extend(args.from(3).iter().map(<[u8]>::to_vec));
        Some(rewritten)
    }

    /// Options and absolute deadline, or the error, in the order in which Redis looks.
    fn parse(&self, args: Args<'_>, now: i64) -> Result<(Conditions, i64), Reply<'static>> {
        let conditions = Conditions::parse(args.from(3))?;
        let Some(given) = parse_int(args.at(2)) else {
            return Err(Reply::error(NOT_AN_INTEGER));
        };
        let base = if self.relative { now } else { 0 };
        match given.checked_mul(self.scale).and_then(|span| span.checked_add(base)) {
            Some(when) => Ok((conditions, when)),
            None => Err(error(format!("ERR invalid expire time in '{}' command", self.name))),
        }
    }
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Self, Reply<'static>> {
        let options: [(&[u8], u8); 4] =
            [(b"NX", Self::NX), (b"XX", Self::XX), (b"GT", Self::GT), (b"LT", Self::LT)];
        let mut found = Self::default();
        for given in args.iter() {
            let option = options.iter().find(|(name, _)| given.eq_ignore_ascii_case(name));
            let Some((_, bit)) = option else {
                return Err(Reply::error_of(&[b"ERR Unsupported option ", up_to_zero(given)]));
            };
            found.0 |= bit;
        }
        if found.has(Self::NX) && found.0 != Self::NX {
            return Err(Reply::error(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if found.has(Self::GT) && found.has(Self::LT) {
            return Err(Reply::error("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(found)
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Whether `when` may take the place of the current deadline; no deadline counts as infinitely
    /// late.
    fn allow(self, current: Option<i64>, when: i64) -> bool {
        !(self.has(Self::NX) && current.is_some()
            || self.has(Self::XX) && current.is_none()
            || self.has(Self::GT) && current.is_none_or(|current| when <= current)
            || self.has(Self::LT) && current.is_some_and(|current| when >= current))
    }
}

#[cold]
fn error(text: String) -> Reply<'static> {
    Reply::Error(text.into())
}

/// Times as Redis counts them, signed.
fn clamp(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn persist(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let key = args.at(1);
    if !matches!(cx.reader().deadline_ms(key), Some(Some(_))) {
        return Reply::Int(0);
    }
    cx.set_deadline(key, None);
    cx.notify(b'g', "persist", key);
    Reply::Int(1)
}

fn ttl<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    answer(cx, args, |deadline, now| seconds(deadline.saturating_sub(now)))
}

fn pttl<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    answer(cx, args, u64::saturating_sub)
}

fn expiretime<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    answer(cx, args, |deadline, _| seconds(deadline))
}

fn pexpiretime<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    answer(cx, args, |deadline, _| deadline)
}

/// Rounded to the nearest second, as Redis does.
fn seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

/// -2 without a key, -1 without a deadline, else what `show` makes of deadline and cluster time.
fn answer<'a>(cx: &Reader<'a>, args: Args<'a>, show: fn(u64, u64) -> u64) -> Reply<'a> {
    Reply::Int(match cx.deadline_ms(args.at(1)) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => clamp(show(deadline, cx.now_ms().max(cx.clock_ms))),
    })
}
