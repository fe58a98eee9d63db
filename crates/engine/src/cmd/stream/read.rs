//! Reading on: XREAD, XREADGROUP.
//!
//! What there is is answered at once. XREADGROUP waits as other writes do: for what serves it then.
//! XREAD is a read and not logged, so whoever asked reads again when a key changes, from where the
//! ids stood at first ([`xread_from`]).

use super::{INVALID_ID, Result, id, inexact, now_ms, shown, shown_owned};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::types::Open;
use crate::types::stream::{Id, Pending, Stream};
use crate::{
    Cause, Flags, Group, Handler, Keys, Reader, Sealing, Serving, Spec, Wait, Writer, least,
};
use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;
use quorate_resp::{Args, Reply, parse_int, up_to_zero};

/// What a change is called in the digest.
mod what {
    pub(super) const SEEN: u64 = 32;
    pub(super) const DELIVER: u64 = 33;
    pub(super) const AGAIN: u64 = 34;
}

/// Where the keys are.
const STREAMS: Keys = Keys::Streams { options: 1 };

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Stream.rows([
    Spec::read(
        "XREAD",
        "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        xread,
    )
    .facts(least(4), STREAMS, Flags::BLOCKING)
    .doc("5.0.0", "Returns the entries of streams behind given ids.")
    .costing(cost_ns),
    Spec::new(
        "XREADGROUP",
        "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS \
         key [key ...] id [id ...]",
        Handler::WaitsIf { waits: blocks, wait: WAIT, write: xreadgroup },
    )
    .facts(least(7), STREAMS, Flags::BLOCKING)
    .doc("5.0.0", "Delivers new entries of streams to a consumer, or what it has pending.")
    .access(&["RO access"])
    // Redis delivers the same entries to the same consumer, but at the time at which it loads them.
    .logged("plain", inexact)
    .costing(cost_ns),
]);

/// How XREADGROUP waits.
const WAIT: Wait = Wait {
    serve,
    keys: STREAMS,
    timeout_ms: |args| Ok(Request::parse(args, true)?.block_ms.unwrap_or(0)),
    alike: |args| match Request::parse(args, true) {
        Ok(Request { group: Some((group, _)), .. }) => group,
        _ => b"",
    },
    // What was delivered is pending.
    give_back: |_, _| None,
};

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    /// How long to wait where there is nothing, in milliseconds.
    block_ms: Option<u64>,
    /// Most entries of a stream.
    most: usize,
    /// The group and the consumer.
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    /// What is delivered is acknowledged.
    noack: bool,
    /// The keys, then as many ids.
    streams: Args<'a>,
}

impl<'a> Request<'a> {
    pub(super) fn parse(args: Args<'a>, groups: bool) -> Result<Self> {
        let mut found = Self {
            block_ms: None,
            most: usize::MAX,
            group: None,
            noack: false,
            streams: args.from(args.len()),
        };
        let mut at = 1;
        while let Some(option) = args.get(at) {
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            let more = args.len() - at - 1;
            at += 1;
            if is(b"BLOCK") && more > 0 {
                found.block_ms = Some(timeout(args.at(at))?);
                at += 1;
            } else if is(b"COUNT") && more > 0 {
                let count = parse_int(args.at(at)).ok_or(Reply::error(NOT_AN_INTEGER))?;
                let most = usize::try_from(count).unwrap_or(0);
                found.most = if most == 0 { usize::MAX } else { most };
                at += 1;
            } else if is(b"STREAMS") && more > 0 {
                found.streams = args.from(at);
                break;
            } else if is(b"GROUP") && more >= 2 {
                Self::only_groups(groups, "GROUP")?;
                found.group = Some((args.at(at), args.at(at + 1)));
                at += 2;
            } else if is(b"NOACK") {
                Self::only_groups(groups, "NOACK")?;
                found.noack = true;
            } else {
                return Err(Reply::error(SYNTAX));
            }
        }
        if !found.streams.len().is_multiple_of(2) {
            return Err(Reply::error(
                "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be \
                 specified.",
            ));
        }
        if found.streams.is_empty() {
            return Err(Reply::error(SYNTAX));
        }
        if groups && found.group.is_none() {
            return Err(Reply::error("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(found)
    }

    fn only_groups(groups: bool, option: &str) -> Result<()> {
        if groups {
            return Ok(());
        }
        Err(Reply::Error(
            format!(
                "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
            )
            .into(),
        ))
    }

    /// The keys.
    pub(super) fn keys(self) -> impl Iterator<Item = &'a [u8]> {
        self.streams.iter().take(self.streams.len() / 2)
    }

    /// Each key with what stands for its id.
    fn each(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let half = self.streams.len() / 2;
        self.streams.iter().take(half).zip(self.streams.from(half).iter())
    }
}

/// How long BLOCK waits, in milliseconds.
fn timeout(text: &[u8]) -> Result<u64> {
    let number =
        parse_int(text).ok_or(Reply::error("ERR timeout is not an integer or out of range"))?;
    u64::try_from(number).map_err(|_| Reply::error("ERR timeout is negative"))
}

/// Whether the arguments have BLOCK.
fn blocks(args: Args<'_>) -> bool {
    options(args).any(|option| args.at(option.start).eq_ignore_ascii_case(b"BLOCK"))
}

/// Where each option in front of STREAMS stands, with its own arguments.
fn options(args: Args<'_>) -> impl Iterator<Item = Range<usize>> {
    let mut at = 1;
    core::iter::from_fn(move || {
        let option = args.get(at)?;
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        let len = match () {
            () if is(b"STREAMS") => return None,
            () if is(b"GROUP") => 3,
            () if is(b"BLOCK") || is(b"COUNT") => 2,
            () => 1,
        };
        at += len;
        Some(at - len..at)
    })
}

/// The words of the same command without BLOCK.
fn at_once(args: Args<'_>) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = args.iter().map(<[u8]>::to_vec).collect();
    let options: Vec<Range<usize>> = options(args).collect();
    for option in options.into_iter().rev() {
        if args.at(option.start).eq_ignore_ascii_case(b"BLOCK") {
            words.drain(option.start..option.end.min(words.len()));
        }
    }
    words
}

/// What XREAD wants of a key: the stream, if there is one, and what is behind this id.
fn wanted<'a>(cx: &Reader<'a>, key: &[u8], after: &[u8]) -> Result<(Option<&'a Stream>, Id)> {
    let stream = super::range::stream(cx, key)?;
    let after = match after {
        b"$" => stream.map_or(Id::MIN, |stream| stream.facts().last),
        b">" => {
            return Err(Reply::error(
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                 <group> <consumer> option.",
            ));
        }
        text => id(text)?,
    };
    Ok((stream, after))
}

/// Whether a stream has entries behind an id.
fn has_behind(stream: &Stream, after: Id) -> bool {
    after.next().is_some_and(|start| stream.from(start).next().is_some())
}

/// How an XREAD goes on that has BLOCK and finds nothing: how long it may wait, in milliseconds (0:
/// for ever), and its words without BLOCK, with the id that each `$` means now (an absent stream's
/// is `0-0`). Whoever asked for it reads with these words once a key has changed; there, a key of
/// another type means that there is still nothing. `None`: it is no such command, or its reply is
/// another than nil.
pub fn xread_from(reader: &Reader<'_>, args: Args<'_>) -> Option<(u64, Vec<Vec<u8>>)> {
    if !args.at(0).eq_ignore_ascii_case(b"XREAD") {
        return None;
    }
    let request = Request::parse(args, false).ok()?;
    let timeout_ms = request.block_ms?;
    let mut words = at_once(args);
    let ids = words.len().checked_sub(request.streams.len() / 2)?;
    for ((key, text), word) in request.each().zip(words.get_mut(ids..)?) {
        let (stream, after) = wanted(reader, key, text).ok()?;
        if stream.is_some_and(|stream| has_behind(stream, after)) {
            return None;
        }
        if text == b"$" {
            *word = after.text();
        }
    }
    Some((timeout_ms, words))
}

fn xread<'a>(cx: &Reader<'a>, args: Args<'a>) -> Result<Reply<'a>> {
    let request = Request::parse(args, false)?;
    let mut found = Vec::new();
    for (key, after) in request.each() {
        let (stream, after) = wanted(cx, key, after)?;
        found.extend(stream.map(|stream| (key, stream, after)));
    }
    let mut streams = Vec::new();
    for (key, stream, after) in found {
        let Some(start) = after.next() else { continue };
        let entries: Vec<_> = stream.from(start).take(request.most).map(shown).collect();
        if !entries.is_empty() {
            streams.push((Reply::bulk(key), Reply::Array(entries)));
        }
    }
    Ok(if streams.is_empty() { Reply::NullArray } else { Reply::Keyed(streams) })
}

/// The error for a group that is not there.
fn no_group(key: &[u8], group: &[u8]) -> Reply<'static> {
    Reply::error_of(&[
        b"NOGROUP No such key '",
        up_to_zero(key),
        b"' or consumer group '",
        up_to_zero(group),
        b"' in XREADGROUP with GROUP option",
    ])
}

/// Serves XREADGROUP: at once if an id is not `>`, else once a group has something new in its
/// stream. Whoever waited is given the entries of one stream, as by Redis 7.0.
fn serve(cx: &mut Sealing<'_>, args: Args<'_>, cause: Cause<'_>) -> Serving {
    match has_news(&cx.reader, args, cause) {
        Ok(true) => {
            // As without BLOCK.
            cx.inexact = true;
            let mut words = at_once(args);
            if let (Cause::Changed(key), Ok(request)) = (cause, Request::parse(args, true)) {
                words.truncate(words.len().saturating_sub(request.streams.len()));
                words.extend([key.to_vec(), b">".to_vec()]);
            }
            Serving::By { words, flat: false }
        }
        Ok(false) => Serving::Nothing(Reply::NullArray),
        Err(refusal) => Serving::Refused(refusal),
    }
}

/// Whether there is anything to be delivered, or to be told again. A group that goes, with its
/// stream or by itself, does not come back for who waits.
fn has_news(cx: &Reader<'_>, args: Args<'_>, cause: Cause<'_>) -> Result<bool> {
    let request = Request::parse(args, true)?;
    let (name, _) = request.group.unwrap_or_default();
    let mut found = false;
    for (key, after) in request.each().filter(|(key, _)| cause.concerns(key)) {
        let stream = match super::range::stream(cx, key) {
            Ok(None) | Err(_) if !cause.is_new() => {
                return Err(Reply::error("UNBLOCKED the stream key no longer exists"));
            }
            stream => stream?,
        };
        let group = stream.and_then(|stream| Some((stream, stream.group(name)?.last)));
        let Some((stream, last)) = group else {
            let is_new = cause.is_new();
            return Err(if is_new { no_group(key, name) } else { Reply::error(GROUP_GONE) });
        };
        found |= after_of(after)?.is_some() || has_behind(stream, last);
    }
    Ok(found)
}

/// The error for who waits for a group that is gone.
const GROUP_GONE: &str = "NOGROUP the consumer group this client was blocked on no longer exists";

fn xreadgroup(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let request = Request::parse(args, true)?;
    let (group, consumer) = request.group.unwrap_or_default();
    let mut wanted = Vec::new();
    for (key, after) in request.each() {
        let stream = super::range::stream(&cx.reader(), key)?;
        stream.and_then(|stream| stream.group(group)).ok_or_else(|| no_group(key, group))?;
        wanted.push((key, after_of(after)?));
    }
    let reading =
        Reading { group, consumer, most: request.most, noack: request.noack, now_ms: now_ms(cx) };
    let mut streams = Vec::new();
    for (key, after) in wanted {
        let read = cx.edit(key, |open: &mut Open<Stream>| reading.read(open, after))?;
        let Some((is_new, entries)) = read else { continue };
        if is_new {
            cx.notify(b't', "xgroup-createconsumer", key);
        }
        if let Some(entries) = entries {
            streams.push((Reply::owned(key.to_vec()), Reply::Array(entries)));
        }
    }
    Ok(if streams.is_empty() { Reply::NullArray } else { Reply::Keyed(streams) })
}

/// The id behind which a consumer wants its own entries again; `None` for `>`.
fn after_of(after: &[u8]) -> Result<Option<Id>> {
    match after {
        b"$" => Err(Reply::error(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the \
             history of this consumer by specifying a proper ID, or use the > ID to get new \
             messages. The $ ID would just return an empty result set.",
        )),
        b">" => Ok(None),
        text => Ok(Some(Id::parse(text, 0).ok_or(Reply::error(INVALID_ID))?)
            .filter(|&after| after != Id::MAX)),
    }
}

/// A consumer that reads.
#[derive(Clone, Copy)]
struct Reading<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    most: usize,
    noack: bool,
    now_ms: i64,
}

/// Entries as they are told; `None`: nothing is new.
type Told = Option<Vec<Reply<'static>>>;

impl Reading<'_> {
    /// Whether the consumer is new, and what it gets.
    fn read(self, open: &mut Open<Stream>, after: Option<Id>) -> (bool, Told) {
        let added = open.stream().change_group(self.group, |group| {
            let (number, is_new) = group.add_consumer(self.consumer, self.now_ms);
            group.touch(self.consumer, self.now_ms, None);
            (number, is_new)
        });
        let Some((number, is_new)) = added else { return (false, None) };
        open.note(what::SEEN, self.group);
        open.note(what::SEEN, self.consumer);
        open.note(what::SEEN, &self.now_ms.to_le_bytes());
        let told = match after {
            None => self.deliver(open, number),
            Some(after) => Some(self.again(open, after)),
        };
        (is_new, told)
    }

    /// Delivers what is new to the group.
    fn deliver(self, open: &mut Open<Stream>, number: u32) -> Told {
        let stream = open.stream();
        let group = stream.group(self.group)?;
        let (mut last, mut read) = (group.last, group.read);
        let start = last.next()?;
        let (mut told, mut ids) = (Vec::new(), Vec::new());
        for entry in stream.from(start).take(self.most) {
            read = stream.read_until(read, entry.id);
            last = entry.id;
            ids.push(entry.id);
            told.push(shown_owned(entry));
        }
        if told.is_empty() {
            return None;
        }
        stream.change_group(self.group, |group| {
            (group.last, group.read) = (last, read);
            if self.noack {
                return;
            }
            for &id in &ids {
                group.put(Pending { id, time_ms: self.now_ms, count: 1, consumer: number });
            }
            group.touch(self.consumer, self.now_ms, Some(self.now_ms));
        });
        open.note(what::DELIVER | (ids.len() as u64) << 8, &last.bytes());
        open.note(what::DELIVER, &[u8::from(self.noack)]);
        Some(told)
    }

    /// Tells what the consumer has pending behind an id.
    fn again(self, open: &mut Open<Stream>, after: Id) -> Vec<Reply<'static>> {
        let stream = open.stream();
        let Some(group) = stream.group(self.group) else { return Vec::new() };
        let Some(consumer) = group.consumer(self.consumer) else { return Vec::new() };
        let start = after.next().unwrap_or(Id::MAX);
        let (mut told, mut delivered) = (Vec::new(), Vec::new());
        let at = consumer.pending.place(&start).0;
        for &id in consumer.pending.rows(at).take(self.most) {
            if let Some(entry) = stream.get(id) {
                delivered.extend(group.get(id));
                told.push(shown_owned(entry));
            } else {
                told.push(Reply::Array(alloc::vec![id.reply(), Reply::NullArray]));
            }
        }
        let count = delivered.len() as u64;
        stream.change_group(self.group, |group| {
            for old in delivered {
                let count = old.count.saturating_add(1);
                group.put(Pending { time_ms: self.now_ms, count, ..old });
            }
        });
        open.note(what::AGAIN | count << 8, &start.bytes());
        open.note(what::AGAIN, &(self.most as u64).to_le_bytes());
        told
    }
}

/// An entry that is read takes some 300 ns, one that is delivered a microsecond.
fn cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let groups = args.at(0).len() > 5;
    let Ok(request) = Request::parse(args, groups) else { return 0 };
    let entry_ns = if groups { 1000 } else { 300 };
    let entries = |(key, after): (&[u8], &[u8])| {
        let Ok(Some(stream)) = super::range::stream(cx, key) else { return 0 };
        let after = match request.group.and_then(|(group, _)| stream.group(group)) {
            Some(group) => group.last,
            None => Id::parse(after, 0).unwrap_or(Id::MAX),
        };
        let blocks = stream.blocks();
        let left = blocks.len().saturating_sub(blocks.place(&after).0) as u64 + 1;
        let each = stream.len().div_ceil(blocks.len().max(1) as u64);
        left.saturating_mul(each).min(request.most as u64)
    };
    request.each().map(entries).fold(0, u64::saturating_add).saturating_mul(entry_ns)
}
