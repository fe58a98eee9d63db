//! What was delivered and not acknowledged: XACK, XPENDING.

use super::range::interval;
use super::{Result, clock_ms, id, no_key_or_group};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::types::Open;
use crate::types::stream::{Group as Consumers, Id, Pending, Stream};
use crate::{Flags, Group, Keys, Reader, Spec, Writer, least};
use alloc::boxed::Box;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, int_text, parse_int};

/// What a change is called in the digest.
const ACKNOWLEDGE: u64 = 48;

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Stream.rows([
    Spec::write("XACK", "key group id [id ...]", xack)
        .facts(least(4), Keys::At(1), Flags::FAST)
        .doc("5.0.0", "Takes delivered entries off a group's list of pending ones."),
    Spec::read("XPENDING", "key group [[IDLE min-idle-time] start end count [consumer]]", xpending)
        .facts(least(3), Keys::At(1), Flags::NONE)
        .doc("5.0.0", "Tells what a group has pending, in short or entry by entry."),
]);

fn xack(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, group) = (args.at(1), args.at(2));
    let stream = super::range::stream(&cx.reader(), key)?;
    if stream.and_then(|stream| stream.group(group)).is_none() {
        return Ok(Reply::Int(0));
    }
    let ids: Vec<Id> = args.from(3).iter().map(id).collect::<Result<_>>()?;
    let done = cx.edit(key, |open: &mut Open<Stream>| {
        let done = open
            .stream()
            .change_group(group, |group| ids.iter().filter(|&&id| group.acknowledge(id)).count());
        let done = done.unwrap_or(0);
        if done > 0 {
            open.note(ACKNOWLEDGE, group);
            for id in &ids {
                open.note(ACKNOWLEDGE, &id.bytes());
            }
        }
        done
    })?;
    Ok(Reply::len(done.unwrap_or(0)))
}

/// Which entries XPENDING is to tell.
struct Asked<'a> {
    idle_ms: i64,
    first: Id,
    last: Id,
    most: usize,
    consumer: Option<&'a [u8]>,
}

fn asked(args: Args<'_>) -> Result<Asked<'_>> {
    let mut at = 3;
    let mut idle_ms = 0;
    if args.at(3).eq_ignore_ascii_case(b"IDLE") {
        idle_ms = parse_int(args.at(4)).ok_or(Reply::error(NOT_AN_INTEGER))?;
        if args.len() < 8 {
            return Err(Reply::error(SYNTAX));
        }
        at = 5;
    }
    let most = parse_int(args.at(at + 2)).ok_or(Reply::error(NOT_AN_INTEGER))?;
    let most = usize::try_from(most).unwrap_or(0);
    let (first, last) = interval(args.at(at), args.at(at + 1))?;
    Ok(Asked { idle_ms, first, last, most, consumer: args.get(at + 3) })
}

fn xpending<'a>(cx: &Reader<'a>, args: Args<'a>) -> Result<Reply<'a>> {
    let asked = match args.len() {
        3 => None,
        6..=9 => Some(asked(args)?),
        _ => return Err(Reply::error(SYNTAX)),
    };
    let stream = super::range::stream(cx, args.at(1))?;
    let group = stream.and_then(|stream| stream.group(args.at(2)));
    let group = group.ok_or_else(|| no_key_or_group(args.at(1), args.at(2)))?;
    Ok(match asked {
        None => summary(group),
        Some(asked) => each(group, &asked, clock_ms(cx)),
    })
}

fn summary(group: &Consumers) -> Reply<'_> {
    let pending = group.pending();
    let (Some(first), Some(last)) = (pending.row(0), pending.last()) else {
        let none = [Reply::Int(0), Reply::Null, Reply::Null, Reply::NullArray];
        return Reply::Array(none.into());
    };
    let consumers = group.consumers().rows(0).filter(|consumer| consumer.pending.len() > 0);
    let consumers = consumers.map(|consumer| {
        let count = int_text(consumer.pending.len() as i64).as_bytes().to_vec();
        Reply::Array(alloc::vec![Reply::bulk(&consumer.name), Reply::owned(count)])
    });
    Reply::Array(alloc::vec![
        Reply::len(pending.len()),
        first.id.reply(),
        last.id.reply(),
        Reply::Array(consumers.collect()),
    ])
}

fn each<'a>(group: &'a Consumers, asked: &Asked<'_>, now_ms: i64) -> Reply<'a> {
    let pending = group.pending();
    let entries: Box<dyn Iterator<Item = &'a Pending> + 'a> = match asked.consumer {
        None => Box::new(pending.rows(pending.place(&asked.first).0)),
        Some(name) => {
            let Some(consumer) = group.consumer(name) else { return Reply::Array(Vec::new()) };
            let ids = consumer.pending.rows(consumer.pending.place(&asked.first).0);
            Box::new(ids.filter_map(|id| pending.get(id)))
        }
    };
    let told = entries.take_while(|entry| entry.id <= asked.last).filter_map(|entry| {
        let idle_ms = now_ms.saturating_sub(entry.time_ms);
        (asked.idle_ms == 0 || idle_ms >= asked.idle_ms).then(|| {
            Reply::Array(alloc::vec![
                entry.id.reply(),
                Reply::bulk(group.name_of(entry.consumer)),
                Reply::Int(idle_ms.max(0)),
                Reply::Int(entry.count.cast_signed()),
            ])
        })
    });
    Reply::Array(told.take(asked.most).collect())
}
