//! How a replica of Redis 7.0 is told of commands on streams that it does not know, or that it
//! would carry out by its own clock or by the blocks of its own streams.
//!
//! Deliveries go as Redis itself sends them: claims with the time of delivery, and how far the
//! group has come. A trimmed stream's new first entry is named. Deletions with regard to groups go
//! as acknowledgements and deletions.

use super::{add, claim, range, read, refs};
use crate::Reader;
use crate::entry::{Applying, Teller};
use crate::types::stream::{Group, Id, Pending};
use alloc::vec::Vec;
use quorate_resp::{Reply, int_text, unsigned_text};

/// A stream before it may be trimmed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    len: u64,
    added: u64,
}

impl Before {
    /// Of the record's stream, if it is one that trims.
    pub(crate) fn of(cx: &Reader<'_>, Applying { spec, args, .. }: Applying<'_>) -> Option<Self> {
        if !matches!(spec.meta.name, "XADD" | "XTRIM") {
            return None;
        }
        let stream = range::stream(cx, args.at(1)).ok()?;
        Some(stream.map_or_else(Self::default, |stream| Self {
            len: stream.len(),
            added: stream.facts().added,
        }))
    }
}

/// Tells a record that changed a stream; false if it may go as any other.
pub(crate) fn tell(
    teller: &mut Teller,
    cx: &Reader<'_>,
    Applying { spec, found, args }: Applying<'_>,
    reply: &Reply<'_>,
) -> bool {
    match spec.meta.name {
        name @ ("XADD" | "XTRIM") => {
            let adds = name == "XADD";
            let told = add::told(cx, args, adds);
            let plain = matches!(found, crate::Decoded::Command(..));
            let Some(told) = told.filter(|told| !plain || told.whole) else { return false };
            trimmed(teller, cx, args.at(1), (told, adds, reply));
        }
        "XREADGROUP" => {
            let Ok(request) = read::Request::parse(args, true) else { return false };
            let (group, consumer) = request.group.unwrap_or_default();
            for key in request.keys() {
                Delivery { key, group, consumer }.tell(teller, cx, &ids_of(key, reply));
            }
        }
        "XCLAIM" => {
            let delivery = Delivery { key: args.at(1), group: args.at(2), consumer: args.at(3) };
            delivery.tell(teller, cx, &claim::named(args).collect::<Vec<_>>());
        }
        "XAUTOCLAIM" => {
            let delivery = Delivery { key: args.at(1), group: args.at(2), consumer: args.at(3) };
            let mut ids = Vec::new();
            if let Reply::Array(parts) = reply {
                parts.iter().skip(1).for_each(|entries| push_ids(entries, &mut ids));
            }
            delivery.tell(teller, cx, &ids);
        }
        "XDELEX" | "XACKDEL" => {
            let at = if spec.meta.name == "XDELEX" { 2 } else { 3 };
            let Ok((_, ids)) = refs::parse(args.from(at)) else { return false };
            deleted(teller, cx, args.at(1), &ids);
        }
        // What a stream remembers of its producers does not exist in Redis 7.0.
        "XCFGSET" => {}
        _ => return false,
    }
    true
}

/// An XADD or XTRIM: the entry that was added, and which one is the first now.
fn trimmed(
    teller: &mut Teller,
    cx: &Reader<'_>,
    key: &[u8],
    (told, adds, reply): (add::Told<'_>, bool, &Reply<'_>),
) {
    let before = teller.stream_before().unwrap_or_default();
    let Ok(Some(stream)) = range::stream(cx, key) else { return };
    let facts = stream.facts();
    let added = adds && facts.added != before.added;
    let gone = before.len + u64::from(added) != stream.len();
    if gone && told.by_refs {
        return teller.whole(cx, key);
    }
    if let (true, Reply::Bulk(id)) = (added, reply) {
        let mut words: Vec<&[u8]> = alloc::vec![b"XADD", key, id];
        words.extend(told.pairs.iter());
        teller.say(cx.db, &words);
    }
    if !gone {
        return;
    }
    if stream.len() == 0 {
        return teller.say(cx.db, &[b"XTRIM", key, b"MAXLEN", b"=", b"0"]);
    }
    teller.say(cx.db, &[b"XTRIM", key, b"MINID", b"=", &facts.first.text()]);
}

/// Entries that went, and what was acknowledged with them.
fn deleted(teller: &mut Teller, cx: &Reader<'_>, key: &[u8], ids: &[Id]) {
    let Ok(Some(stream)) = range::stream(cx, key) else { return };
    for group in stream.groups().rows(0) {
        let free = ids.iter().filter(|&&id| group.get(id).is_none());
        names(teller, cx, (&[b"XACK", key, &group.name], free));
    }
    names(teller, cx, (&[b"XDEL", key], ids.iter().filter(|&&id| stream.get(id).is_none())));
}

fn names<'i>(
    teller: &mut Teller,
    cx: &Reader<'_>,
    (head, ids): (&[&[u8]], impl Iterator<Item = &'i Id>),
) {
    let texts: Vec<Vec<u8>> = ids.map(|id| id.text()).collect();
    let head = head.to_vec();
    teller.with_names(cx.db, &head, texts.iter().map(Vec::as_slice));
}

/// Entries that were delivered to a consumer of a group.
#[derive(Clone, Copy)]
struct Delivery<'a> {
    key: &'a [u8],
    group: &'a [u8],
    consumer: &'a [u8],
}

impl Delivery<'_> {
    /// Tells how the group stands with these entries, and that the consumer is there.
    fn tell(self, teller: &mut Teller, cx: &Reader<'_>, ids: &[Id]) {
        let Ok(Some(stream)) = range::stream(cx, self.key) else { return };
        let Some(group) = stream.group(self.group) else { return };
        if group.consumer(self.consumer).is_some() {
            let words: [&[u8]; 5] =
                [b"XGROUP", b"CREATECONSUMER", self.key, self.group, self.consumer];
            teller.say(cx.db, &words);
        }
        let mut claimed: Vec<Pending> = Vec::new();
        for pending in ids.iter().filter(|&&id| stream.get(id).is_some()) {
            let Some(pending) = group.get(*pending) else { continue };
            if claimed.last().is_some_and(|last| !is_alike(last, &pending)) {
                self.claim(teller, cx, (group, &core::mem::take(&mut claimed)));
            }
            claimed.push(pending);
        }
        self.claim(teller, cx, (group, &claimed));
        let is_over = |id: &&Id| stream.get(**id).is_none() && group.get(**id).is_none();
        names(teller, cx, (&[b"XACK", self.key, self.group], ids.iter().filter(is_over)));
        self.position(teller, cx, group);
    }

    /// Claims entries that were delivered alike.
    fn claim(self, teller: &mut Teller, cx: &Reader<'_>, (group, entries): (&Group, &[Pending])) {
        let Some(first) = entries.first() else { return };
        let (time, count) = (int_text(first.time_ms), unsigned_text(first.count));
        let ids: Vec<Vec<u8>> = entries.iter().map(|pending| pending.id.text()).collect();
        let consumer = group.name_of(first.consumer);
        let mut words: Vec<&[u8]> = alloc::vec![b"XCLAIM", self.key, self.group, consumer, b"0"];
        words.extend(ids.iter().map(Vec::as_slice));
        words.extend([b"TIME".as_slice(), time.as_bytes(), b"RETRYCOUNT", count.as_bytes()]);
        words.extend([b"FORCE".as_slice(), b"JUSTID"]);
        teller.say(cx.db, &words);
    }

    /// How far the group has read.
    fn position(self, teller: &mut Teller, cx: &Reader<'_>, group: &Group) {
        let read = int_text(group.read);
        let last = group.last.text();
        let words: [&[u8]; 7] =
            [b"XGROUP", b"SETID", self.key, self.group, &last, b"ENTRIESREAD", read.as_bytes()];
        teller.say(cx.db, &words);
    }
}

/// Whether one claim can name both.
fn is_alike(one: &Pending, other: &Pending) -> bool {
    let what = |pending: &Pending| (pending.consumer, pending.time_ms, pending.count);
    what(one) == what(other)
}

/// The ids of entries that XREADGROUP tells of a stream.
fn ids_of(key: &[u8], reply: &Reply<'_>) -> Vec<Id> {
    let mut ids = Vec::new();
    let Reply::Keyed(streams) = reply else { return ids };
    for (name, entries) in streams {
        if matches!(name, Reply::Bulk(name) if **name == *key) {
            push_ids(entries, &mut ids);
        }
    }
    ids
}

/// The ids of entries, or ids alone.
fn push_ids(entries: &Reply<'_>, ids: &mut Vec<Id>) {
    let Reply::Array(entries) = entries else { return };
    for entry in entries {
        let id = match entry {
            Reply::Array(parts) => parts.first(),
            id => Some(id),
        };
        if let Some(Reply::Bulk(text)) = id {
            ids.extend(Id::parse(text, 0));
        }
    }
}
