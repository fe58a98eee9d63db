//! MSETEX of Redis 8.4 and Valkey 9.1: several strings at once, under one condition and with one
//! deadline. Redis 7.0 does not know it, so it is logged armoured; a relative TTL counts from the
//! entry's stamp on every replica.

use super::expiry::{Expiry, Unit};
use super::set::store;
use crate::cmd::generic::SYNTAX;
use crate::{Deadline, Flags, Group, Keys, Replied, Spec, Writer, least};
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::String.rows([Spec::write(
    "MSETEX",
    "numkeys key value [key value ...] [NX | XX] [EX seconds | PX \
         milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | \
         KEEPTTL]",
    msetex,
)
.facts(least(4), Keys::CountedPairs { count: 1 }, Flags::DENYOOM)
.doc("8.4.0", "Sets the strings at one or more keys, with conditions and one deadline.")
.access(&["OW update"])
.hidden()]);

/// What stands behind the pairs.
#[derive(Default)]
struct Options<'a> {
    /// `NX` (false) or `XX` (true): all keys must be absent, or there.
    present: Option<bool>,
    keep: bool,
    expiry: Option<Expiry<'a>>,
}

impl<'a> Options<'a> {
    /// Reads them; `None` is a syntax error.
    fn parse(words: Args<'a>) -> Option<Self> {
        let mut found = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let is = |option: &[u8]| word.eq_ignore_ascii_case(option);
            if let Some(unit) = Unit::option(word) {
                if found.keep || found.expiry.is_some_and(|earlier| !earlier.same_unit(unit)) {
                    return None;
                }
                found.expiry = Some(Expiry::new(unit, words.next()?));
            } else if is(b"KEEPTTL") && found.expiry.is_none() {
                found.keep = true;
            } else if is(b"NX") && found.present != Some(true) {
                found.present = Some(false);
            } else if is(b"XX") && found.present != Some(false) {
                found.present = Some(true);
            } else {
                return None;
            }
        }
        Some(found)
    }
}

fn msetex(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let count = parse_int(args.at(1)).and_then(|count| i32::try_from(count).ok());
    let count = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(Reply::error("ERR invalid numkeys value"))?;
    let past = count * 2 + 2;
    if past > args.len() {
        return Err(Reply::error("ERR wrong number of key-value pairs"));
    }
    let options = Options::parse(args.from(past)).ok_or(Reply::error(SYNTAX))?;
    let deadline = match options.expiry.map(|expiry| expiry.deadline_ms(cx.now_ms())) {
        Some(Ok(deadline)) => Deadline::At(deadline),
        Some(Err(bad)) => return Err(bad.reply("ERR invalid expire time in 'msetex' command")),
        None if options.keep => Deadline::Keep,
        None => Deadline::Clear,
    };
    let keys = || (2..past).step_by(2);
    let reader = cx.reader();
    if let Some(present) = options.present
        && keys().any(|at| reader.exists(args.at(at)) != present)
    {
        return Ok(Reply::Int(0));
    }
    for at in keys() {
        store(cx, args.at(at), args.at(at + 1), deadline);
    }
    Ok(Reply::Int(1))
}
