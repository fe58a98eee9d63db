//! Adding entries and trimming: XADD, XTRIM.
//!
//! An id that is made (`*`) is logged as `ms-*`, with the time of the seal or the last id's,
//! whichever is later: Redis 7.0 makes the same id of it. That holds as long as nothing raises the
//! last id between sealing and applying; sealing watches for it
//! ([`Row::moves`](crate::Row::moves)).
//!
//! Approximate trimming (`~`) removes whole blocks, which are Redis's as long as the settings are.
//! It has a limit that Redis does not apply to a file it loads: where that could matter the command
//! is armoured. So are the options of Redis 8: what trimming does with consumer groups' references,
//! and ids by which an entry that is sent twice is added once.

use super::{INVALID_ID, Result, id};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::side::settings::Limits;
use crate::types::Open;
use crate::types::stream::{
    CannotAdd, Claim, Id, Refs, Stream, Trim, Wanted, token, token_of_content,
};
use crate::{Flags, Group, Keys, LogForm, Reader, Sealing, Spec, Writer, least};
use quorate_resp::{Args, Reply, parse_int};

/// What a change is called in the digest.
mod what {
    pub(super) const ADD: u64 = 1;
    pub(super) const TRIM: u64 = 3;
    pub(super) const CLAIM: u64 = 4;
    pub(super) const DUPLICATE: u64 = 5;
}

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Stream.rows([
    Spec::write(
        "XADD",
        "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer-id | IDMP \
         producer-id idempotent-id] [<MAXLEN | MINID> [= | ~] threshold [LIMIT \
         count]] <* | id> field value [field value ...]",
        xadd,
    )
    .facts(least(5), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
    .doc("5.0.0", "Adds an entry at the end of a stream, and may trim it.")
    .logged("rewritten or armoured", add_form)
    .costing(trim_cost_ns)
    .moving(names_its_id),
    Spec::write(
        "XTRIM",
        "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | \
         ACKED]",
        xtrim,
    )
    .facts(least(4), Keys::At(1), Flags::NONE)
    .doc("5.0.0", "Removes entries from the front of a stream.")
    .access(&["RW delete"])
    .logged("plain or armoured", trim_form)
    .costing(trim_cost_ns),
]);

/// How a stream is to be trimmed.
#[derive(Clone, Copy, Debug)]
struct Trimming {
    trim: Trim,
    /// Only whole blocks.
    whole: bool,
    /// No more than so many entries; `None`: any number.
    limit: Option<u64>,
    /// What becomes of references to them.
    refs: Refs,
}

/// `IDMP` or `IDMPAUTO`: where the producer stands, and the idempotent id unless the content is it.
#[derive(Clone, Copy, Debug)]
struct Once {
    producer: usize,
    sent: Option<usize>,
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
    /// Whether it is added only once.
    once: Option<Once>,
    /// It has an option that Redis 7.0 does not know.
    is_new: bool,
}

/// What was read so far.
#[derive(Default)]
struct Found {
    trim: Option<Trim>,
    whole: bool,
    limit: Option<u64>,
    existing: bool,
    refs: Option<Refs>,
    once: Option<Once>,
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
            } else if let (Some(refs), None) = (super::refs::option(option), found.refs) {
                found.refs = Some(refs);
            } else if adds && more > 0 && (is(b"IDMP") || is(b"IDMPAUTO")) {
                at = found.once(args, at, is(b"IDMPAUTO"))?;
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
        let Found { existing, once, refs, .. } = found;
        if once.is_some() && wanted != Wanted::Auto {
            return Err(Reply::error("ERR IDMP/IDMPAUTO can be used only with auto-generated IDs"));
        }
        let is_new = once.is_some() || refs.is_some();
        Ok(Self { trimming: found.trimming(adds, limits)?, existing, wanted, at, once, is_new })
    }
}

impl Found {
    /// Reads IDMP or IDMPAUTO at `at`; where its last argument stands.
    fn once(&mut self, args: Args<'_>, at: usize, of_content: bool) -> Result<usize> {
        if self.once.is_some() {
            return Err(Reply::error("ERR IDMP/IDMPAUTO specified multiple times"));
        }
        let (producer, sent) = (at + 1, (!of_content).then_some(at + 2));
        if args.at(producer).is_empty() {
            return Err(Reply::error(if of_content {
                "ERR IDMPAUTO requires a non-empty producer ID"
            } else {
                "ERR IDMP requires a non-empty producer ID"
            }));
        }
        if sent.is_some_and(|sent| args.at(sent).is_empty()) {
            return Err(Reply::error("ERR IDMP requires a non-empty idempotent ID"));
        }
        self.once = Some(Once { producer, sent });
        Ok(sent.unwrap_or(producer))
    }

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
        let refs = self.refs.unwrap_or_default();
        Ok(Some(Trimming { trim, whole: self.whole, limit, refs }))
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
    let work = |open: &mut Open<Stream>| add(open, options, args, now_ms);
    let added = if options.existing {
        match cx.edit(key, work)? {
            Some(added) => added,
            None => return Ok(Reply::Null),
        }
    } else {
        cx.edit_or_create(key, work)?
    };
    let added = added.map_err(|why| {
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
    if let Added::New(_, trimmed) = added {
        cx.notify(b't', "xadd", key);
        if trimmed > 0 {
            cx.notify(b't', "xtrim", key);
        }
    }
    let (Added::New(id, _) | Added::Before(id)) = added;
    Ok(id.reply())
}

/// What has become of an entry.
enum Added {
    /// It got this id, and so many entries were trimmed.
    New(Id, u64),
    /// It was added before, under this id.
    Before(Id),
}

/// Who sends the entry as what.
fn claim(open: &Open<Stream>, once: Once, args: Args<'_>, pairs: Args<'_>, now_ms: u64) -> Claim {
    let hash_key = open.rules.hash_key;
    let sent = once
        .sent
        .map_or_else(|| token_of_content(hash_key, pairs), |sent| token(hash_key, args.at(sent)));
    Claim { producer: token(hash_key, args.at(once.producer)), sent, now_ms }
}

/// Adds an entry and trims.
fn add(
    open: &mut Open<Stream>,
    options: Options,
    args: Args<'_>,
    now_ms: u64,
) -> core::result::Result<Added, CannotAdd> {
    let pairs = args.from(options.at + 1);
    let claim = options.once.map(|once| claim(open, once, args, pairs, now_ms));
    let limits = open.rules.limits;
    let known = open.large.as_ref();
    let producers = known.and_then(|stream| stream.producers());
    if let (Some(claim), Some(producers)) = (&claim, producers)
        && let Some(id) = producers.find(claim)
    {
        let producers = open.stream().producers_mut();
        producers.duplicates = producers.duplicates.saturating_add(1);
        open.note(what::DUPLICATE, &claim.sent);
        return Ok(Added::Before(id));
    }
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
    if let Some(claim) = claim {
        open.stream().producers_mut().add(&claim, id);
        open.note(what::CLAIM, &claim.producer);
        open.note(what::CLAIM, &claim.sent);
    }
    Ok(Added::New(id, options.trimming.map_or(0, |trimming| trim(open, trimming))))
}

fn trim(open: &mut Open<Stream>, Trimming { trim, whole, limit, refs }: Trimming) -> u64 {
    let gone = open.stream().trim_by_refs(trim, whole, limit, refs);
    if gone > 0 {
        let first = open.stream().facts().first;
        open.note(what::TRIM | gone << 8, &first.bytes());
    }
    gone
}

fn xtrim(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let key = args.at(1);
    let options = Options::parse(args, false, cx.keyspace.rules().limits)?;
    let gone = cx.edit(key, |open: &mut Open<Stream>| {
        options.trimming.map_or(0, |trimming| trim(open, trimming))
    })?;
    let gone = gone.unwrap_or(0);
    if gone > 0 {
        cx.notify(b't', "xtrim", key);
    }
    Ok(Reply::Int(gone.cast_signed()))
}

fn add_form(cx: &mut Sealing<'_>, args: Args<'_>) -> LogForm {
    let Ok(options) = Options::parse(args, true, cx.reader.keyspace.rules().limits) else {
        return LogForm::Plain;
    };
    if options.is_new || options.trimming.is_some_and(|it| differs(&cx.reader, args.at(1), it)) {
        return LogForm::Hidden;
    }
    if options.at >= args.len() {
        // Options and no id: it is refused when it is applied.
        return LogForm::Plain;
    }
    if options.wanted != Wanted::Auto {
        cx.by_value = options.trimming.is_some_and(|trimming| trimming.whole);
        return LogForm::Plain;
    }
    let last = super::range::stream(&cx.reader, args.at(1)).ok().flatten();
    let last = last.map_or(Id::MIN, |stream| stream.facts().last);
    let ms = match last.ms.max(cx.stamp.now_ms) {
        // The time's numbers are used up: `*` goes on with the next millisecond.
        ms if ms == last.ms && last.seq == u64::MAX => ms.saturating_add(1),
        ms => ms,
    };
    cx.by_value = true;
    LogForm::Replaced(options.at, Wanted::text_of(ms))
}

fn trim_form(cx: &mut Sealing<'_>, args: Args<'_>) -> LogForm {
    let Ok(options) = Options::parse(args, false, cx.reader.keyspace.rules().limits) else {
        return LogForm::Plain;
    };
    if options.is_new || options.trimming.is_some_and(|it| differs(&cx.reader, args.at(1), it)) {
        return LogForm::Hidden;
    }
    cx.by_value = options.trimming.is_some_and(|trimming| trimming.whole);
    LogForm::Plain
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

/// What must be known of an XADD or XTRIM that was carried out, to tell it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    /// Fields and values of the entry that was added.
    pub(super) pairs: Args<'a>,
    /// Entries may have gone from the middle, or from lists of pending ones.
    pub(super) by_refs: bool,
    /// Whole blocks were trimmed: Redis's may lie otherwise.
    pub(super) whole: bool,
}

/// `None`: it was not carried out.
pub(super) fn told<'a>(cx: &Reader<'_>, args: Args<'a>, adds: bool) -> Option<Told<'a>> {
    let options = Options::parse(args, adds, cx.keyspace.rules().limits).ok()?;
    let trimming = options.trimming;
    Some(Told {
        pairs: args.from(options.at + 1),
        by_refs: trimming.is_some_and(|trimming| trimming.refs != Refs::Keep),
        whole: trimming.is_some_and(|trimming| trimming.whole),
    })
}

/// Whether an XADD may leave a greater last id than a time that was chosen for it.
fn names_its_id(args: Args<'_>) -> bool {
    // As nearly every one is.
    if args.at(2) == b"*" {
        return false;
    }
    let parsed = Options::parse(args, true, Limits::default());
    parsed.is_ok_and(|options| options.wanted != Wanted::Auto)
}

/// A removed block takes some 300 ns; an entry that is looked at for references, as long.
fn trim_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    const BLOCK_NS: u64 = 300;
    let adds = args.at(0).eq_ignore_ascii_case(b"XADD");
    // Most commands do not trim, and show it at once.
    if adds && args.at(2) == b"*" {
        return 0;
    }
    let Ok(options) = Options::parse(args, adds, cx.keyspace.rules().limits) else { return 0 };
    let Ok(Some(stream)) = super::range::stream(cx, args.at(1)) else { return 0 };
    options.trimming.map_or(0, |Trimming { trim, limit, refs, .. }| {
        let (blocks, entries) = stream.trimmable(trim, limit);
        BLOCK_NS.saturating_mul(if refs == Refs::Keep { blocks as u64 } else { entries })
    })
}
