//! Deleting with regard to consumer groups, as since Redis 8.2: XDELEX, XACKDEL. Redis 7.0 knows
//! neither, so they are logged armoured.

use super::{Result, id};
use crate::cmd::generic::SYNTAX;
use crate::types::Open;
use crate::types::stream::{Id, Refs, Stream};
use crate::{Flags, Group, Keys, Spec, Writer, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// What a change is called in the digest.
mod what {
    pub(super) const DELETE: u64 = 80;
    pub(super) const FORGET: u64 = 81;
    pub(super) const ACKNOWLEDGE: u64 = 82;
}

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Stream.rows([
    Spec::write("XDELEX", "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]", xdelex)
        .facts(least(5), Keys::At(1), Flags::FAST)
        .doc("8.2.0", "Deletes entries of a stream with regard to its consumer groups.")
        .access(&["RW delete"])
        .hidden(),
    Spec::write("XACKDEL", "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]", xackdel)
        .facts(least(6), Keys::At(1), Flags::FAST)
        .doc("8.2.0", "Acknowledges entries and deletes them with regard to all consumer groups.")
        .access(&["RW delete"])
        .hidden(),
]);

/// `KEEPREF`, `DELREF` or `ACKED`; `None` is another word.
pub(super) fn option(word: &[u8]) -> Option<Refs> {
    Some(match word {
        _ if word.eq_ignore_ascii_case(b"KEEPREF") => Refs::Keep,
        _ if word.eq_ignore_ascii_case(b"DELREF") => Refs::Drop,
        _ if word.eq_ignore_ascii_case(b"ACKED") => Refs::Acked,
        _ => return None,
    })
}

/// Reads the options, in any order.
pub(super) fn parse(words: Args<'_>) -> Result<(Refs, Vec<Id>)> {
    let (mut refs, mut ids, mut at) = (None, None, 0);
    while let Some(word) = words.get(at) {
        at += 1;
        if let (Some(found), None) = (option(word), refs) {
            refs = Some(found);
        } else if ids.is_none() && word.eq_ignore_ascii_case(b"IDS") {
            let count = words.get(at).and_then(parse_int).filter(|&count| count > 0);
            let count = count.and_then(|count| usize::try_from(count).ok());
            let count =
                count.ok_or(Reply::error("ERR Number of IDs must be a positive integer"))?;
            at += 1;
            if count > words.len() - at {
                return Err(Reply::error(
                    "ERR The `numids` parameter must match the number of arguments",
                ));
            }
            ids = Some(words.from(at).iter().take(count).map(id).collect::<Result<_>>()?);
            at += count;
        } else {
            return Err(Reply::error(SYNTAX));
        }
    }
    Ok((refs.unwrap_or_default(), ids.ok_or(Reply::error(SYNTAX))?))
}

/// What has become of an entry, as the reply says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Absent = -1,
    Deleted = 1,
    /// Some group has still to read it or to acknowledge it.
    Awaited = 2,
}

fn told(fates: &[Fate]) -> Reply<'static> {
    Reply::Array(fates.iter().map(|&fate| Reply::Int(fate as i64)).collect())
}

/// Deletes an entry if `refs` let it; whether it was there.
fn delete(open: &mut Open<Stream>, id: Id, refs: Refs) -> Option<bool> {
    if refs == Refs::Drop && open.stream().forget(id) {
        open.note(what::FORGET, &id.bytes());
    }
    if refs == Refs::Acked && open.stream().is_awaited(id) {
        return None;
    }
    let deleted = open.stream().delete(id);
    if deleted {
        open.note(what::DELETE, &id.bytes());
    }
    Some(deleted)
}

fn xdelex(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let key = args.at(1);
    let (refs, ids) = parse(args.from(2))?;
    let fates = cx.edit(key, |open: &mut Open<Stream>| {
        let one = |&id: &Id| {
            if refs == Refs::Acked && open.stream().get(id).is_none() {
                return Fate::Absent;
            }
            match delete(open, id, refs) {
                None => Fate::Awaited,
                Some(true) => Fate::Deleted,
                Some(false) => Fate::Absent,
            }
        };
        ids.iter().map(one).collect::<Vec<_>>()
    })?;
    let fates = fates.unwrap_or_else(|| alloc::vec![Fate::Absent; ids.len()]);
    if fates.contains(&Fate::Deleted) {
        cx.notify(b't', "xdel", key);
    }
    Ok(told(&fates))
}

fn xackdel(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, group) = (args.at(1), args.at(2));
    let (refs, ids) = parse(args.from(3))?;
    let mut deleted = false;
    let fates = cx.edit(key, |open: &mut Open<Stream>| {
        let one = |&id: &Id| {
            let acknowledged = open.stream().group(group).is_some_and(|it| it.get(id).is_some());
            if !acknowledged {
                return Fate::Absent;
            }
            open.stream().change_group(group, |group| group.acknowledge(id));
            open.note(what::ACKNOWLEDGE, group);
            open.note(what::ACKNOWLEDGE, &id.bytes());
            let gone = delete(open, id, refs);
            deleted |= gone == Some(true);
            // What is not there any more needs no deleting.
            if gone.is_some() { Fate::Deleted } else { Fate::Awaited }
        };
        ids.iter().map(one).collect::<Vec<_>>()
    })?;
    if deleted {
        cx.notify(b't', "xdel", key);
    }
    Ok(told(&fates.unwrap_or_else(|| alloc::vec![Fate::Absent; ids.len()])))
}
