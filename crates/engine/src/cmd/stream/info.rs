//! What streams, groups and consumers are like: XINFO.

use super::group::bad_subcommand;
use super::{Result, clock_ms, no_such_group, shown};
use crate::cmd::generic::NOT_AN_INTEGER;
use crate::types::stream::{Consumer, Facts, Group as Consumers, Id, Stream};
use crate::{Flags, Group, Keys, Reader, Spec, exactly, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Stream.rows([
    Spec::read("XINFO|CONSUMERS", "key group", consumers)
        .facts(exactly(4), Keys::At(2), Flags::NONE)
        .doc("5.0.0", "Lists the consumers of a group."),
    Spec::read("XINFO|GROUPS", "key", groups)
        .facts(exactly(3), Keys::At(2), Flags::NONE)
        .doc("5.0.0", "Lists the groups of a stream.")
        .costing(groups_cost_ns),
    Spec::read("XINFO|STREAM", "key [FULL [COUNT count]]", info)
        .facts(least(3), Keys::At(2), Flags::NONE)
        .doc("5.0.0", "Tells what is known of a stream.")
        .costing(info_cost_ns),
    Spec::read("XINFO|HELP", "", |cx, args| Ok(help(cx, args)))
        .facts(exactly(2), Keys::None, Flags::LOADING.and(Flags::STALE))
        .doc("5.0.0", "Lists the subcommands."),
]);

/// Names and values.
type Map<'a> = Vec<(Reply<'a>, Reply<'a>)>;

fn name(text: &'static str) -> Reply<'static> {
    Reply::bulk(text.as_bytes())
}

fn stream<'a>(cx: &Reader<'a>, args: Args<'_>) -> Result<&'a Stream> {
    super::range::stream(cx, args.at(2))?.ok_or(Reply::error("ERR no such key"))
}

fn consumers<'a>(cx: &Reader<'a>, args: Args<'a>) -> Result<Reply<'a>> {
    let group = stream(cx, args)?.group(args.at(3));
    let group = group.ok_or_else(|| no_such_group(args.at(2), args.at(3)))?;
    let now_ms = clock_ms(cx);
    let since = |time_ms: i64| Reply::Int(now_ms.saturating_sub(time_ms).max(0));
    let one = |consumer: &'a Consumer| {
        let never = consumer.active_ms == -1;
        Reply::Map(alloc::vec![
            (name("name"), Reply::bulk(&consumer.name)),
            (name("pending"), Reply::len(consumer.pending.len())),
            (name("idle"), since(consumer.seen_ms)),
            (name("inactive"), if never { Reply::Int(-1) } else { since(consumer.active_ms) }),
        ])
    };
    Ok(Reply::Array(group.consumers().rows(0).map(one).collect()))
}

fn groups<'a>(cx: &Reader<'a>, args: Args<'a>) -> Result<Reply<'a>> {
    let stream = stream(cx, args)?;
    let one = |group: &'a Consumers| {
        let mut map = alloc::vec![
            (name("name"), Reply::bulk(&group.name)),
            (name("consumers"), Reply::len(group.consumers().len())),
            (name("pending"), Reply::len(group.pending().len())),
        ];
        map.extend(progress(stream, group));
        Reply::Map(map)
    };
    Ok(Reply::Array(stream.groups().rows(0).map(one).collect()))
}

/// The lag of a group is counted block by block, some 5 ns each.
fn groups_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    self::stream(cx, args).map_or(0, |stream| {
        (stream.groups().len() as u64).saturating_mul(stream.blocks().len() as u64 * 5)
    })
}

/// How far a group has come.
fn progress<'a>(stream: &Stream, group: &Consumers) -> Map<'a> {
    let read = if group.read == -1 { Reply::Null } else { Reply::Int(group.read) };
    alloc::vec![
        (name("last-delivered-id"), group.last.reply()),
        (name("entries-read"), read),
        (name("lag"), stream.lag(group).map_or(Reply::Null, Reply::Int)),
    ]
}

/// XINFO STREAM's options: `None` without FULL; else how many of everything.
fn full(args: Args<'_>) -> Result<Option<usize>> {
    const DEFAULT: usize = 10;
    let is = |at: usize, word: &[u8]| args.at(at).eq_ignore_ascii_case(word);
    match args.len() {
        3 => Ok(None),
        4 if is(3, b"FULL") => Ok(Some(DEFAULT)),
        6 if is(3, b"FULL") && is(4, b"COUNT") => {
            Ok(Some(match parse_int(args.at(5)).ok_or(Reply::error(NOT_AN_INTEGER))? {
                0 => usize::MAX,
                count => usize::try_from(count).unwrap_or(DEFAULT),
            }))
        }
        _ => Err(bad_subcommand(args)),
    }
}

fn info<'a>(cx: &Reader<'a>, args: Args<'a>) -> Result<Reply<'a>> {
    let stream = stream(cx, args)?;
    let full = full(args)?;
    let Facts { last, first, deleted, added } = stream.facts();
    let blocks = stream.blocks();
    let mut map = alloc::vec![
        (name("length"), Reply::Int(stream.len().cast_signed())),
        (name("radix-tree-keys"), Reply::len(blocks.len())),
        (name("radix-tree-nodes"), Reply::len(radix_nodes(stream))),
        (name("last-generated-id"), last.reply()),
        (name("max-deleted-entry-id"), deleted.reply()),
        (name("entries-added"), Reply::Int(added.cast_signed())),
        (name("recorded-first-entry-id"), first.reply()),
    ];
    map.extend(idempotence(stream, cx.keyspace.now_ms().max(cx.clock_ms)));
    let groups = stream.groups();
    if let Some(most) = full {
        let entries = stream.from(Id::MIN).take(most).map(shown).collect();
        let groups = groups.rows(0).map(|group| full_group(stream, group, most));
        map.push((name("entries"), Reply::Array(entries)));
        map.push((name("groups"), Reply::Array(groups.collect())));
    } else {
        let first = stream.from(Id::MIN).next().map_or(Reply::Null, shown);
        let last = stream.back_from(Id::MAX).next().map_or(Reply::Null, shown);
        map.push((name("groups"), Reply::len(groups.len())));
        map.push((name("first-entry"), first));
        map.push((name("last-entry"), last));
    }
    Ok(Reply::Map(map))
}

/// What is remembered of producers, once there was one.
fn idempotence<'a>(stream: &Stream, now_ms: u64) -> Map<'a> {
    let Some(producers) = stream.producers() else { return Vec::new() };
    let (pids, iids) = producers.tracked(now_ms);
    let int = |number: u64| Reply::Int(number.cast_signed());
    alloc::vec![
        (name("idmp-duration"), int(producers.duration_s)),
        (name("idmp-maxsize"), int(producers.size)),
        (name("pids-tracked"), Reply::len(pids)),
        (name("iids-tracked"), Reply::len(iids)),
        (name("iids-added"), int(producers.added)),
        (name("iids-duplicates"), int(producers.duplicates)),
    ]
}

fn full_group<'a>(stream: &Stream, group: &'a Consumers, most: usize) -> Reply<'a> {
    let mut map = alloc::vec![(name("name"), Reply::bulk(&group.name))];
    map.extend(progress(stream, group));
    let pending = group.pending().rows(0).take(most).map(|pending| {
        Reply::Array(alloc::vec![
            pending.id.reply(),
            Reply::bulk(group.name_of(pending.consumer)),
            Reply::Int(pending.time_ms),
            Reply::Int(pending.count.cast_signed()),
        ])
    });
    let consumers = group.consumers().rows(0).map(|consumer| full_consumer(group, consumer, most));
    map.push((name("pel-count"), Reply::len(group.pending().len())));
    map.push((name("pending"), Reply::Array(pending.collect())));
    map.push((name("consumers"), Reply::Array(consumers.collect())));
    Reply::Map(map)
}

fn full_consumer<'a>(group: &'a Consumers, consumer: &'a Consumer, most: usize) -> Reply<'a> {
    let ids = consumer.pending.rows(0).take(most);
    let pending = ids.filter_map(|&id| group.get(id)).map(|pending| {
        Reply::Array(alloc::vec![
            pending.id.reply(),
            Reply::Int(pending.time_ms),
            Reply::Int(pending.count.cast_signed()),
        ])
    });
    Reply::Map(alloc::vec![
        (name("name"), Reply::bulk(&consumer.name)),
        (name("seen-time"), Reply::Int(consumer.seen_ms)),
        (name("active-time"), Reply::Int(consumer.active_ms)),
        (name("pel-count"), Reply::len(consumer.pending.len())),
        (name("pending"), Reply::Array(pending.collect())),
    ])
}

/// How many nodes Redis's radix tree has for these blocks: one for every run of bytes that ids
/// share, one where they part, and one at each end.
fn radix_nodes(stream: &Stream) -> usize {
    let ids: Vec<[u8; 16]> = stream.blocks().rows(0).map(|block| block.first.bytes()).collect();
    if ids.is_empty() {
        return 1;
    }
    nodes_below(&ids, 0)
}

fn nodes_below(ids: &[[u8; 16]], depth: usize) -> usize {
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return 0 };
    let (first, last) = (first.get(depth..), last.get(depth..));
    let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
    // Ids are in order: what the first and the last share, all share.
    let shared = first.iter().zip(last).take_while(|(one, other)| one == other).count();
    if shared > 0 {
        return 1 + nodes_below(ids, depth + shared);
    }
    if first.is_empty() {
        return 1;
    }
    let byte = |id: &[u8; 16]| id.get(depth).copied();
    1 + ids
        .chunk_by(|one, other| byte(one) == byte(other))
        .map(|part| nodes_below(part, depth + 1))
        .sum::<usize>()
}

/// A block is looked at in some 30 ns.
fn info_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let found = super::range::stream(cx, args.at(2)).ok().flatten();
    found.map_or(0, |stream| 30 * stream.blocks().len() as u64)
}

fn help<'a>(_: &Reader<'a>, _: Args<'a>) -> Reply<'a> {
    super::lines(&[
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    List the consumers of a group.",
        "GROUPS <key>",
        "    List the groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]]",
        "    Tell what is known of a stream.",
        "HELP",
        "    Print this help.",
    ])
}
