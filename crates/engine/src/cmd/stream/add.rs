//! Adding entries and trimming: XADD, XTRIM.
//!
//! An id that is made (`*`) is logged as `ms-*`, with the time of the seal or the last id's,
//! whichever is later: Redis 7.0 makes the same id of it. That holds as long as nothing raises the
//! last id between sealing and applying; sealing watches for it ([`may_raise`]).
//!
//! Approximate trimming (`~`) removes whole blocks, which are Redis's as long as the settings are.
//! It has a limit that Redis does not apply to a file it loads: where that could matter the command
//! is armoured.

use super::{INVALID_ID, Result, id, wrong};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::types::stream::{CannotAdd, Id, Stream, Trim, Wanted};
use crate::types::{Limits, Open};
use crate::{
    Arity, Db, Flags, Group, Judgement, Keys, Keyspace, Logged, Reader, Spec, Stamp, Writer,
};
use alloc::format;
use quorate_resp::{Args, Reply, parse_int};

/// What a change is called in the digest.
mod what {
    pub(super) const ADD: u64 = 1;
    pub(super) const TRIM: u64 = 3;
}

pub(super) const XADD: Spec = Spec::write(
    Group::Stream.meta(
        "XADD",
        Arity::AtLeast(5),
        Keys::At(1),
        Flags::FAST.and(Flags::DENYOOM),
        ("5.0.0", "Adds an entry at the end of a stream, and may trim it."),
    ),
    Logged::Judged(judge_add),
    |cx, args| xadd(cx, args).unwrap_or_else(|reply| reply),
)
.costing(trim_cost_ns);

pub(super) const XTRIM: Spec = Spec::write(
    Group::Stream.meta(
        "XTRIM",
        Arity::AtLeast(4),
        Keys::At(1),
        Flags::NONE,
        ("5.0.0", "Removes entries from the front of a stream."),
    ),
    Logged::Judged(judge_trim),
    |cx, args| xtrim(cx, args).unwrap_or_else(|reply| reply),
)
.costing(trim_cost_ns);

/// How a stream is to be trimmed.
#[derive(Clone, Copy, Debug)]
struct Trimming {
    trim: Trim,
    /// Only whole blocks.
    whole: bool,
    /// No more than so many entries; `None`: any number.
    limit: Option<u64>,
}

/// XADD's and XTRIM's options.
#[derive(Clone, Copy, Debug)]
struct Options {
    trimming: Option<Trimming>,
    /// The key must exist.
    existing: bool,
    /// The id, for XADD.
    wanted: Wanted,
    /// Where the id stands.
    at: usize,
}

/// What was read so far.
#[derive(Default)]
struct Found {
    trim: Option<Trim>,
    whole: bool,
    limit: Option<u64>,
    existing: bool,
}

impl Options {
    fn parse(args: Args<'_>, adds: bool, limits: Limits) -> Result<Self> {
        let mut found = Found::default();
        let (mut at, mut wanted) = (2, Wanted::Auto);
        while let Some(option) = args.get(at) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            let more = args.len() - at - 1;
            if adds && option == b"*" {
                break;
            } else if more > 0 && (is(b"MAXLEN") || is(b"MINID")) {
                at = found.strategy(args, at, is(b"MINID"))?;
            } else if more > 0 && is(b"LIMIT") {
                at += 1;
                let limit = parse_int(args.at(at)).ok_or(Reply::error(NOT_AN_INTEGER))?;
                let limit = u64::try_from(limit)
                    .map_err(|_| Reply::error("ERR The LIMIT argument must be >= 0."))?;
                found.limit = Some(limit);
            } else if adds && is(b"NOMKSTREAM") {
                found.existing = true;
            } else if adds {
                wanted = Wanted::parse(option, 0).ok_or(Reply::error(INVALID_ID))?;
                break;
            } else {
                return Err(Reply::error(SYNTAX));
            }
            at += 1;
        }
        let existing = found.existing;
        Ok(Self { trimming: found.trimming(adds, limits)?, existing, wanted, at })
    }
}

impl Found {
    /// Reads MAXLEN or MINID at `at`; where its last argument stands.
    fn strategy(&mut self, args: Args<'_>, mut at: usize, by_id: bool) -> Result<usize> {
        if self.trim.is_some() {
            return Err(Reply::error(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        self.whole = false;
        if args.len() - at > 2 && matches!(args.at(at + 1), b"~" | b"=") {
            at += 1;
            self.whole = args.at(at) == b"~";
        }
        at += 1;
        self.trim = Some(if by_id {
            Trim::Below(id(args.at(at))?)
        } else {
            let most = parse_int(args.at(at)).ok_or(Reply::error(NOT_AN_INTEGER))?;
            let most = u64::try_from(most);
            Trim::Length(most.map_err(|_| Reply::error("ERR The MAXLEN argument must be >= 0."))?)
        });
        Ok(at)
    }

    fn trimming(self, adds: bool, limits: Limits) -> Result<Option<Trimming>> {
        let Some(trim) = self.trim else {
            if self.limit.is_some_and(|limit| limit > 0) {
                return Err(Reply::error(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                ));
            }
            if !adds {
                return Err(Reply::error(
                    "ERR syntax error, XTRIM must be called with a trimming strategy",
                ));
            }
            return self.no_limit().map(|()| None);
        };
        if !self.whole {
            self.no_limit()?;
        }
        let limit = self.limit.unwrap_or_else(|| default_limit(limits));
        let limit = Some(limit).filter(|&limit| limit > 0 && self.whole);
        Ok(Some(Trimming { trim, whole: self.whole, limit }))
    }

    fn no_limit(&self) -> Result<()> {
        match self.limit {
            None => Ok(()),
            Some(_) => Err(Reply::error(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            )),
        }
    }
}

/// How many entries one approximate trimming removes at most: those of a hundred blocks.
fn default_limit(limits: Limits) -> u64 {
    match limits.stream.0.saturating_mul(100) {
        0 => 10_000,
        limit => limit.min(1_000_000),
    }
}

fn xadd(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let key = args.at(1);
    let options = Options::parse(args, true, cx.keyspace.rules().limits)?;
    let pairs = args.from(options.at + 1);
    if pairs.len() < 2 || !pairs.len().is_multiple_of(2) {
        return Err(crate::cmd::wrong_arity("XADD"));
    }
    if options.wanted == Wanted::Exactly(Id::MIN) {
        return Err(Reply::error("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let now_ms = cx.now_ms();
    let work = |open: &mut Open<Stream>| add(open, options, pairs, now_ms);
    let added = if options.existing {
        match wrong(cx.edit(key, work))? {
            Some(added) => added,
            None => return Ok(Reply::Null),
        }
    } else {
        wrong(cx.edit_or_create(key, work))?
    };
    let (id, trimmed) = added.map_err(|why| {
        Reply::error(match why {
            CannotAdd::Exhausted => {
                "ERR The stream has exhausted the last possible ID, unable to add more items"
            }
            CannotAdd::NotAbove => {
                "ERR The ID specified in XADD is equal or smaller than the target stream top item"
            }
            CannotAdd::TooLarge => "ERR Elements are too large to be stored",
        })
    })?;
    cx.notify(b't', "xadd", key);
    if trimmed > 0 {
        cx.notify(b't', "xtrim", key);
    }
    Ok(id.reply())
}

/// Adds an entry and trims: its id, and how many went.
fn add(
    open: &mut Open<Stream>,
    options: Options,
    pairs: Args<'_>,
    now_ms: u64,
) -> core::result::Result<(Id, u64), CannotAdd> {
    let limits = open.rules.limits;
    let known = open.large.as_ref();
    let id = known.map_or_else(
        || Stream::default().next_id(options.wanted, now_ms),
        |stream| stream.next_id(options.wanted, now_ms),
    )?;
    let is_new = known.is_none();
    if let Err(why) = open.stream().append(id, pairs, limits) {
        if is_new {
            open.large = None;
        }
        return Err(why);
    }
    open.note(what::ADD, &id.bytes());
    pairs.iter().for_each(|item| open.note(what::ADD, item));
    Ok((id, options.trimming.map_or(0, |trimming| trim(open, trimming))))
}

fn trim(open: &mut Open<Stream>, Trimming { trim, whole, limit }: Trimming) -> u64 {
    let gone = open.stream().trim(trim, whole, limit);
    if gone > 0 {
        let first = open.stream().facts().first;
        open.note(what::TRIM | gone << 8, &first.bytes());
    }
    gone
}

fn xtrim(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let key = args.at(1);
    let options = Options::parse(args, false, cx.keyspace.rules().limits)?;
    let gone = wrong(cx.edit(key, |open: &mut Open<Stream>| {
        options.trimming.map_or(0, |trimming| trim(open, trimming))
    }))?;
    let gone = gone.unwrap_or(0);
    if gone > 0 {
        cx.notify(b't', "xtrim", key);
    }
    Ok(Reply::Int(gone.cast_signed()))
}

fn judge_add(cx: &Reader<'_>, stamp: &Stamp, args: Args<'_>) -> Judgement {
    let Ok(options) = Options::parse(args, true, cx.keyspace.rules().limits) else {
        return Judgement::Plain;
    };
    if options.trimming.is_some_and(|trimming| differs(cx, args.at(1), trimming)) {
        return Judgement::Hidden;
    }
    if options.wanted != Wanted::Auto {
        return if options.trimming.is_some_and(|trimming| trimming.whole) {
            Judgement::Guarded(None)
        } else {
            Judgement::Plain
        };
    }
    let last = super::range::stream(cx, args.at(1)).ok().flatten();
    let last = last.map_or(Id::MIN, |stream| stream.facts().last);
    let ms = match last.ms.max(stamp.now_ms) {
        // The time's numbers are used up: `*` goes on with the next millisecond.
        ms if ms == last.ms && last.seq == u64::MAX => ms.saturating_add(1),
        ms => ms,
    };
    Judgement::Guarded(Some((options.at, format!("{ms}-*").into_bytes())))
}

fn judge_trim(cx: &Reader<'_>, _: &Stamp, args: Args<'_>) -> Judgement {
    match Options::parse(args, false, cx.keyspace.rules().limits) {
        Ok(Options { trimming: Some(trimming), .. }) if differs(cx, args.at(1), trimming) => {
            Judgement::Hidden
        }
        Ok(Options { trimming: Some(Trimming { whole: true, .. }), .. }) => {
            Judgement::Guarded(None)
        }
        _ => Judgement::Plain,
    }
}

/// Whether Redis would trim otherwise while it loads: it cuts blocks by its own settings, and knows
/// no limit then. Half the limit is left for what the same batch adds.
fn differs(cx: &Reader<'_>, key: &[u8], trimming: Trimming) -> bool {
    if !trimming.whole {
        return false;
    }
    if cx.keyspace.rules().limits.stream != Limits::default().stream {
        return true;
    }
    let (Some(limit), Ok(Some(stream))) = (trimming.limit, super::range::stream(cx, key)) else {
        return false;
    };
    let near = limit / 2;
    let (blocks, _) = stream.trimmable(trimming.trim, Some(near));
    // The next block would be over half the limit, or stays.
    stream.trimmable(trimming.trim, Some(limit.saturating_mul(2))).0 > blocks
}

/// Whether a command may leave a greater last id at its keys than was there, or another stream.
pub(crate) fn may_raise(name: &str, args: Args<'_>) -> bool {
    match name {
        "XADD" => {
            let parsed = Options::parse(args, true, Limits::default());
            parsed.is_ok_and(|options| options.wanted != Wanted::Auto)
        }
        "XSETID" | "RESTORE" | "COPY" | "RENAME" | "RENAMENX" | "MOVE" | "SWAPDB" => true,
        _ => false,
    }
}

/// A removed block takes some 300 ns.
fn trim_cost_ns(keyspace: &Keyspace, db: Db, args: Args<'_>) -> u64 {
    const BLOCK_NS: u64 = 300;
    let reader = Reader { keyspace, db, seed: 0, clock_ms: 0 };
    let adds = args.at(0).eq_ignore_ascii_case(b"XADD");
    // Most commands do not trim, and show it at once.
    if adds && args.at(2) == b"*" {
        return 0;
    }
    let Ok(options) = Options::parse(args, adds, keyspace.rules().limits) else { return 0 };
    let Ok(Some(stream)) = super::range::stream(&reader, args.at(1)) else { return 0 };
    options.trimming.map_or(0, |Trimming { trim, limit, .. }| {
        BLOCK_NS.saturating_mul(stream.trimmable(trim, limit).0 as u64)
    })
}
