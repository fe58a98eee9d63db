//! Entries that go from one consumer to another: XCLAIM, XAUTOCLAIM.

use super::range::interval_start;
use super::{Result, id, inexact, no_key_or_group, now_ms, shown_owned};
use crate::cmd::generic::SYNTAX;
use crate::types::Open;
use crate::types::stream::{Id, Pending, Stream};
use crate::{Flags, Group, Keys, LogForm, Sealing, Spec, Writer, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, int_text, parse_int, up_to_zero};

/// What a change is called in the digest.
mod what {
    pub(super) const CLAIM: u64 = 64;
    pub(super) const LAST: u64 = 65;
    pub(super) const GONE: u64 = 66;
}

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Stream.rows([
    Spec::write(
        "XCLAIM",
        "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME \
         unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID \
         lastid]",
        xclaim,
    )
    .facts(least(6), Keys::At(1), Flags::FAST)
    .doc("5.0.0", "Makes pending entries those of another consumer.")
    .logged("rewritten", form),
    Spec::write(
        "XAUTOCLAIM",
        "key group consumer min-idle-time start [COUNT count] [JUSTID]",
        xautoclaim,
    )
    .facts(least(6), Keys::At(1), Flags::FAST)
    .doc("6.2.0", "Makes pending entries that nobody handles those of another consumer.")
    .access(&["RW delete"])
    .logged("plain", inexact),
]);

/// XCLAIM's arguments.
struct Claim {
    idle_ms: i64,
    ids: Vec<Id>,
    /// When the entries were delivered.
    time_ms: i64,
    /// How often, if it is given.
    count: Option<u64>,
    force: bool,
    justid: bool,
    last: Id,
}

fn integer(text: &[u8], error: &'static str) -> Result<i64> {
    parse_int(text).ok_or(Reply::error(error))
}

impl Claim {
    fn parse(args: Args<'_>, now_ms: i64) -> Result<Self> {
        let idle_ms = integer(args.at(4), "ERR Invalid min-idle-time argument for XCLAIM")?;
        let ids: Vec<Id> = args.from(5).iter().map_while(|text| Id::parse(text, 0)).collect();
        let mut at = 5 + ids.len();
        let mut found = Self {
            idle_ms: idle_ms.max(0),
            ids,
            time_ms: -1,
            count: None,
            force: false,
            justid: false,
            last: Id::MIN,
        };
        while let Some(option) = args.get(at) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            let more = at + 1 < args.len();
            if is(b"FORCE") {
                found.force = true;
            } else if is(b"JUSTID") {
                found.justid = true;
            } else if more && (is(b"IDLE") || is(b"TIME") || is(b"RETRYCOUNT") || is(b"LASTID")) {
                at += 1;
                found.value(option, args.at(at), now_ms)?;
            } else {
                let option = up_to_zero(option);
                return Err(Reply::error_of(&[b"ERR Unrecognized XCLAIM option '", option, b"'"]));
            }
            at += 1;
        }
        // A time that cannot be is now.
        if found.time_ms < 0 || found.time_ms > now_ms {
            found.time_ms = now_ms;
        }
        Ok(found)
    }

    fn value(&mut self, option: &[u8], value: &[u8], now_ms: i64) -> Result<()> {
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        if is(b"IDLE") {
            let idle_ms = integer(value, "ERR Invalid IDLE option argument for XCLAIM")?;
            self.time_ms = now_ms.saturating_sub(idle_ms);
        } else if is(b"TIME") {
            self.time_ms = integer(value, "ERR Invalid TIME option argument for XCLAIM")?;
        } else if is(b"RETRYCOUNT") {
            let count = integer(value, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
            self.count = u64::try_from(count).ok();
        } else {
            self.last = id(value)?;
        }
        Ok(())
    }
}

/// The group and the consumer that claims.
#[derive(Clone, Copy)]
struct Claimer<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    now_ms: i64,
}

impl Claimer<'_> {
    /// Takes note of the consumer, who may be new; its number, and whether it is.
    fn begin(self, open: &mut Open<Stream>) -> (u32, bool) {
        let known = open.stream().change_group(self.group, |group| {
            let (number, is_new) = group.add_consumer(self.consumer, self.now_ms);
            group.touch(self.consumer, self.now_ms, None);
            (number, is_new)
        });
        open.note(what::CLAIM, self.group);
        open.note(what::CLAIM, self.consumer);
        open.note(what::CLAIM, &self.now_ms.to_le_bytes());
        known.unwrap_or_default()
    }

    /// Makes an entry the consumer's.
    fn take(self, open: &mut Open<Stream>, new: Pending) {
        open.stream().change_group(self.group, |group| {
            group.put(new);
            group.touch(self.consumer, self.now_ms, Some(self.now_ms));
        });
        open.note(what::CLAIM | new.count << 8, &new.id.bytes());
        open.note(what::CLAIM, &new.time_ms.to_le_bytes());
    }

    /// Forgets an entry that was deleted.
    fn forget(self, open: &mut Open<Stream>, id: Id) {
        open.stream().change_group(self.group, |group| group.acknowledge(id));
        open.note(what::GONE, &id.bytes());
    }
}

/// An entry as a claim tells it; `None`: it was deleted.
fn told(stream: &Stream, id: Id, justid: bool) -> Option<Reply<'static>> {
    let entry = stream.get(id)?;
    Some(if justid { id.reply() } else { shown_owned(entry) })
}

fn xclaim(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, now_ms) = (args.at(1), now_ms(cx));
    let claimer = Claimer { group: args.at(2), consumer: args.at(3), now_ms };
    let stream = super::range::stream(&cx.reader(), key)?;
    stream
        .and_then(|stream| stream.group(claimer.group))
        .ok_or_else(|| no_key_or_group(key, claimer.group))?;
    let claim = Claim::parse(args, now_ms)?;
    let claimed = cx.edit(key, |open: &mut Open<Stream>| claimer.claim(open, &claim))?;
    let (is_new, entries) = claimed.unwrap_or_default();
    if is_new {
        cx.notify(b't', "xgroup-createconsumer", key);
    }
    Ok(Reply::Array(entries))
}

impl Claimer<'_> {
    fn claim(self, open: &mut Open<Stream>, claim: &Claim) -> (bool, Vec<Reply<'static>>) {
        let group = open.stream().group(self.group);
        if group.is_some_and(|group| claim.last > group.last) {
            open.stream().change_group(self.group, |group| group.last = claim.last);
            open.note(what::LAST, &claim.last.bytes());
        }
        let (number, is_new) = self.begin(open);
        let mut entries = Vec::new();
        for &id in &claim.ids {
            let stream = open.stream();
            let old = stream.group(self.group).and_then(|group| group.get(id));
            let Some(entry) = told(stream, id, claim.justid) else {
                if old.is_some() {
                    self.forget(open, id);
                }
                continue;
            };
            let count = match old {
                None if !claim.force => continue,
                // As if it had been delivered once.
                None => 1,
                Some(old) => {
                    let idle_ms = self.now_ms.saturating_sub(old.time_ms);
                    if claim.idle_ms > 0 && idle_ms < claim.idle_ms {
                        continue;
                    }
                    old.count
                }
            };
            let more = u64::from(!claim.justid);
            let count = claim.count.unwrap_or(count.saturating_add(more));
            self.take(open, Pending { id, time_ms: claim.time_ms, count, consumer: number });
            entries.push(entry);
        }
        (is_new, entries)
    }
}

/// The time of delivery becomes absolute. Redis would still see the consumer by its own clock, and
/// claim by it what must have been idle for some time.
fn form(cx: &mut Sealing<'_>, args: Args<'_>) -> LogForm {
    let now_ms = i64::try_from(cx.stamp.now_ms).unwrap_or(i64::MAX);
    let Ok(claim) = Claim::parse(args, now_ms) else { return LogForm::Plain };
    let mut words: Vec<Vec<u8>> = Vec::with_capacity(args.len() + 2);
    let mut rest = args.iter();
    words.extend(rest.by_ref().take(5 + claim.ids.len()).map(<[u8]>::to_vec));
    while let Some(option) = rest.next() {
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        if is(b"IDLE") || is(b"TIME") {
            rest.next();
            continue;
        }
        words.push(option.to_vec());
        if is(b"RETRYCOUNT") || is(b"LASTID") {
            words.extend(rest.next().map(<[u8]>::to_vec));
        }
    }
    words.push(b"TIME".to_vec());
    words.push(int_text(claim.time_ms).as_bytes().to_vec());
    cx.inexact = true;
    LogForm::Rewritten(words)
}

/// The ids that an XCLAIM names.
pub(super) fn named(args: Args<'_>) -> impl Iterator<Item = Id> + use<'_> {
    args.from(5).iter().map_while(|text| Id::parse(text, 0))
}

/// XAUTOCLAIM's arguments.
struct Sweep {
    idle_ms: i64,
    start: Id,
    most: usize,
    justid: bool,
}

impl Sweep {
    /// Most entries, as in Redis.
    const MOST: i64 = i64::MAX / 16;

    fn parse(args: Args<'_>) -> Result<Self> {
        let idle_ms = integer(args.at(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
        let start = interval_start(args.at(5))?;
        let mut found = Self { idle_ms: idle_ms.max(0), start, most: 100, justid: false };
        let mut at = 6;
        while let Some(option) = args.get(at) {
            if option.eq_ignore_ascii_case(b"COUNT") && at + 1 < args.len() {
                at += 1;
                let most = parse_int(args.at(at)).filter(|most| (1..=Self::MOST).contains(most));
                let most = most.and_then(|most| usize::try_from(most).ok());
                found.most = most.ok_or(Reply::error("ERR COUNT must be > 0"))?;
            } else if option.eq_ignore_ascii_case(b"JUSTID") {
                found.justid = true;
            } else {
                return Err(Reply::error(SYNTAX));
            }
            at += 1;
        }
        Ok(found)
    }
}

fn xautoclaim(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let sweep = Sweep::parse(args)?;
    let (key, now_ms) = (args.at(1), now_ms(cx));
    let claimer = Claimer { group: args.at(2), consumer: args.at(3), now_ms };
    let stream = super::range::stream(&cx.reader(), key)?;
    stream
        .and_then(|stream| stream.group(claimer.group))
        .ok_or_else(|| no_key_or_group(key, claimer.group))?;
    let swept = cx.edit(key, |open: &mut Open<Stream>| claimer.sweep(open, &sweep))?;
    let Some((is_new, reply)) = swept else { return Ok(Reply::Null) };
    if is_new {
        cx.notify(b't', "xgroup-createconsumer", key);
    }
    Ok(reply)
}

impl Claimer<'_> {
    fn sweep(self, open: &mut Open<Stream>, sweep: &Sweep) -> (bool, Reply<'static>) {
        /// So many entries are looked at for each one that is wanted.
        const ATTEMPTS: usize = 10;
        let (number, is_new) = self.begin(open);
        let (mut entries, mut deleted) = (Vec::new(), Vec::new());
        let (mut attempts, mut most) = (sweep.most.saturating_mul(ATTEMPTS), sweep.most);
        let mut next = self.next(open, sweep.start);
        while let Some(old) = next.filter(|_| attempts > 0 && most > 0) {
            attempts -= 1;
            let idle_ms = self.now_ms.saturating_sub(old.time_ms);
            match told(open.stream(), old.id, sweep.justid) {
                None => {
                    self.forget(open, old.id);
                    deleted.push(old.id.reply());
                    most -= 1;
                }
                Some(_) if sweep.idle_ms > 0 && idle_ms < sweep.idle_ms => {}
                Some(entry) => {
                    let count = old.count.saturating_add(u64::from(!sweep.justid));
                    let time_ms = self.now_ms;
                    self.take(open, Pending { id: old.id, time_ms, count, consumer: number });
                    entries.push(entry);
                    most -= 1;
                }
            }
            next = old.id.next().and_then(|id| self.next(open, id));
        }
        let cursor = next.map_or(Id::MIN, |pending| pending.id);
        let reply = [cursor.reply(), Reply::Array(entries), Reply::Array(deleted)];
        (is_new, Reply::Array(reply.into()))
    }

    /// The first pending entry from an id on.
    fn next(self, open: &mut Open<Stream>, from: Id) -> Option<Pending> {
        let pending = open.stream().group(self.group)?.pending();
        pending.row(pending.place(&from).0).copied()
    }
}
