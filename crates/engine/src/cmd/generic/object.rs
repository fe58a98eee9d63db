//! What a value is made of: OBJECT and MEMORY USAGE.
//!
//! Nothing is recorded when a key is read (reads are answered on every node, and state is the same
//! on all), so IDLETIME is always 0; values are not shared between keys, so REFCOUNT is always 1.

use super::{NOT_AN_INTEGER, SYNTAX};
use crate::{Arity, Flags, Group, Keys, Meta, Reader, Spec};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, parse_int};

/// The rows.
pub(in crate::cmd) const COMMANDS: &[Spec] = &[
    Spec::read(help("MEMORY|HELP", "4.0.0"), memory_help),
    Spec::read(
        Group::Generic.meta(
            "MEMORY|USAGE",
            Arity::AtLeast(3),
            Keys::At(2),
            Flags::NONE,
            ("4.0.0", "Tells how many bytes a key takes with its value."),
        ),
        usage,
    ),
    Spec::read(object("OBJECT|ENCODING", "2.2.3", "Tells how a value is stored."), encoding),
    Spec::read(object("OBJECT|FREQ", "4.0.0", "Tells how often a key is used, under LFU."), freq),
    Spec::read(help("OBJECT|HELP", "6.2.0"), object_help),
    Spec::read(
        object("OBJECT|IDLETIME", "2.2.3", "Tells how many seconds a key has not been used."),
        idletime,
    ),
    Spec::read(
        object("OBJECT|REFCOUNT", "2.2.3", "Tells how many references a value has."),
        refcount,
    ),
];

const fn object(name: &'static str, since: &'static str, summary: &'static str) -> Meta {
    Group::Generic.meta(name, Arity::Exactly(3), Keys::At(2), Flags::NONE, (since, summary))
}

const fn help(name: &'static str, since: &'static str) -> Meta {
    let flags = Flags::LOADING.and(Flags::STALE);
    Group::Generic.meta(
        name,
        Arity::Exactly(2),
        Keys::None,
        flags,
        (since, "Lists the subcommands."),
    )
}

fn encoding<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    cx.encoding(args.at(2)).map_or(Reply::Null, |name| Reply::bulk(name.as_bytes()))
}

fn idletime<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    if cx.exists(args.at(2)) { Reply::Int(0) } else { Reply::Null }
}

fn refcount<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    if cx.exists(args.at(2)) { Reply::Int(1) } else { Reply::Null }
}

fn freq<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    if !cx.exists(args.at(2)) {
        return Reply::Null;
    }
    Reply::error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
         Please note that when switching between policies at runtime LRU and LFU data \
         will take some time to adjust.",
    )
}

fn usage<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    let mut at = 3;
    while let Some(option) = args.get(at) {
        let (true, Some(count)) = (option.eq_ignore_ascii_case(b"SAMPLES"), args.get(at + 1))
        else {
            return Reply::error(SYNTAX);
        };
        // Sizes are counted exactly, whatever the number of samples.
        match parse_int(count) {
            None => return Reply::error(NOT_AN_INTEGER),
            Some(count) if count < 0 => return Reply::error(SYNTAX),
            Some(_) => at += 2,
        }
    }
    match cx.usage_bytes(args.at(2)) {
        None => Reply::Null,
        Some(bytes) => Reply::Int(i64::try_from(bytes).unwrap_or(i64::MAX)),
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
