//! What a value is made of: OBJECT and MEMORY USAGE.
//!
//! Nothing is recorded when a key is read (reads are answered on every node, and state is the same
//! on all), so IDLETIME is always 0; values are not shared between keys, so REFCOUNT is always 1.

use super::{NOT_AN_INTEGER, SYNTAX};
use crate::{Flags, Group, Keys, Reader, Replied, Spec, exactly, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Generic.rows([
    Spec::read("MEMORY|HELP", "", |cx, args| Ok(memory_help(cx, args)))
        .facts(exactly(2), Keys::None, Flags::LOADING.and(Flags::STALE))
        .doc("4.0.0", "Lists the subcommands.")
        .filed(&[]),
    Spec::read("MEMORY|USAGE", "key [SAMPLES count]", usage)
        .facts(least(3), Keys::At(2), Flags::NONE)
        .doc("4.0.0", "Tells how many bytes a key takes with its value.")
        .access(&["RO"])
        .filed(&[]),
    Spec::read("OBJECT|ENCODING", "key", |cx, args| Ok(encoding(cx, args)))
        .facts(exactly(3), Keys::At(2), Flags::NONE)
        .doc("2.2.3", "Tells how a value is stored.")
        .access(&["RO"]),
    Spec::read("OBJECT|FREQ", "key", freq)
        .facts(exactly(3), Keys::At(2), Flags::NONE)
        .doc("4.0.0", "Tells how often a key is used, under LFU.")
        .access(&["RO"]),
    Spec::read("OBJECT|HELP", "", |cx, args| Ok(object_help(cx, args)))
        .facts(exactly(2), Keys::None, Flags::LOADING.and(Flags::STALE))
        .doc("6.2.0", "Lists the subcommands."),
    Spec::read("OBJECT|IDLETIME", "key", |cx, args| Ok(idletime(cx, args)))
        .facts(exactly(3), Keys::At(2), Flags::NONE)
        .doc("2.2.3", "Tells how many seconds a key has not been used.")
        .access(&["RO"]),
    Spec::read("OBJECT|REFCOUNT", "key", |cx, args| Ok(refcount(cx, args)))
        .facts(exactly(3), Keys::At(2), Flags::NONE)
        .doc("2.2.3", "Tells how many references a value has.")
        .access(&["RO"]),
]);

fn encoding<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    cx.encoding(args.at(2)).map_or(Reply::Null, |name| Reply::bulk(name.as_bytes()))
}

fn idletime<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    if cx.exists(args.at(2)) { Reply::Int(0) } else { Reply::Null }
}

fn refcount<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    if cx.exists(args.at(2)) { Reply::Int(1) } else { Reply::Null }
}

fn freq<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    if !cx.exists(args.at(2)) {
        return Ok(Reply::Null);
    }
    Err(Reply::error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
         Please note that when switching between policies at runtime LRU and LFU data \
         will take some time to adjust.",
    ))
}

fn usage<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let mut at = 3;
    while let Some(option) = args.get(at) {
        let (true, Some(count)) = (option.eq_ignore_ascii_case(b"SAMPLES"), args.get(at + 1))
        else {
            return Err(Reply::error(SYNTAX));
        };
        // Sizes are counted exactly, whatever the number of samples.
        match parse_int(count) {
            None => return Err(Reply::error(NOT_AN_INTEGER)),
            Some(count) if count < 0 => return Err(Reply::error(SYNTAX)),
            Some(_) => at += 2,
        }
    }
    match cx.usage_bytes(args.at(2)) {
        None => Ok(Reply::Null),
        Some(bytes) => Ok(Reply::Int(i64::try_from(bytes).unwrap_or(i64::MAX))),
    }
}

fn object_help<'a>(_: &Reader<'a>, _: Args<'a>) -> Reply<'a> {
    lines(&[
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Tell how the value at <key> is stored.",
        "FREQ <key>",
        "    Tell how often <key> is used; needs an LFU policy.",
        "IDLETIME <key>",
        "    Always 0 for a key that exists: reads leave no trace.",
        "REFCOUNT <key>",
        "    Always 1 for a key that exists: values are not shared.",
        "HELP",
        "    Print this help.",
    ])
}

fn memory_help<'a>(_: &Reader<'a>, _: Args<'a>) -> Reply<'a> {
    lines(&[
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "USAGE <key> [SAMPLES <count>]",
        "    Tell how many bytes <key> takes with its value; exact, whatever <count> is.",
        "HELP",
        "    Print this help.",
    ])
}

fn lines<'a>(lines: &[&'static str]) -> Reply<'a> {
    Reply::Array(lines.iter().map(|&line| Reply::Simple(line.into())).collect::<Vec<_>>())
}
