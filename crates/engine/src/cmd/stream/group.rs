//! Groups themselves: XGROUP, XSETID.

use super::{INVALID_ID, Result, id, inexact, no_such_group, now_ms};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX, always};
use crate::types::Open;
use crate::types::stream::{Group as Consumers, Id, Stream};
use crate::{Flags, Group, Keys, Reader, Spec, Writer, exactly, least};
use quorate_resp::{Args, Reply, parse_int, up_to_zero};

/// What a change is called in the digest.
mod what {
    pub(super) const CREATE: u64 = 16;
    pub(super) const SETID: u64 = 17;
    pub(super) const DESTROY: u64 = 18;
    pub(super) const CREATE_CONSUMER: u64 = 19;
    pub(super) const DELETE_CONSUMER: u64 = 20;
    pub(super) const STREAM_SETID: u64 = 21;
}

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Stream.rows([
    Spec::write(
        "XGROUP|CREATE",
        "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
        create,
    )
    .facts(least(5), Keys::At(2), Flags::DENYOOM)
    .doc("5.0.0", "Creates a consumer group.")
    .access(&["RW insert"]),
    Spec::write("XGROUP|SETID", "key group <id | $> [ENTRIESREAD entries-read]", set_id)
        .facts(least(5), Keys::At(2), Flags::NONE)
        .doc("5.0.0", "Sets what a consumer group read last."),
    Spec::write("XGROUP|DESTROY", "key group", destroy)
        .facts(exactly(4), Keys::At(2), Flags::NONE)
        .doc("5.0.0", "Removes a consumer group.")
        .access(&["RW delete"]),
    Spec::write("XGROUP|CREATECONSUMER", "key group consumer", create_consumer)
        .facts(exactly(5), Keys::At(2), Flags::DENYOOM)
        .doc("6.2.0", "Adds a consumer to a group.")
        .access(&["RW insert"])
        // Redis sees the consumer when it loads it.
        .logged("plain", inexact),
    Spec::write("XGROUP|DELCONSUMER", "key group consumer", delete_consumer)
        .facts(exactly(5), Keys::At(2), Flags::NONE)
        .doc("5.0.0", "Removes a consumer of a group with what it has pending.")
        .access(&["RW delete"]),
    Spec::read("XGROUP|HELP", "", |cx, args| Ok(help(cx, args)))
        .facts(exactly(2), Keys::None, Flags::LOADING.and(Flags::STALE))
        .doc("5.0.0", "Lists the subcommands."),
    Spec::write(
        "XSETID",
        "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
        xsetid,
    )
    .facts(least(3), Keys::At(1), Flags::FAST.and(Flags::DENYOOM))
    .doc("5.0.0", "Sets the last id of a stream, and its counters.")
    .moving(always),
]);

/// What is wrong with a subcommand that has the right number of arguments.
pub(super) fn bad_subcommand(args: Args<'_>) -> Reply<'static> {
    let parent: &[u8] =
        if args.at(0).eq_ignore_ascii_case(b"XINFO") { b"XINFO" } else { b"XGROUP" };
    Reply::error_of(&[
        b"ERR unknown subcommand or wrong number of arguments for '",
        up_to_zero(args.at(1)),
        b"'. Try ",
        parent,
        b" HELP.",
    ])
}

/// The options behind an id: whether to make the stream, and how much was read.
fn options(args: Args<'_>, creates: bool) -> Result<(bool, i64)> {
    let (mut make, mut read, mut at) = (false, -1, 5);
    while let Some(option) = args.get(at) {
        if creates && option.eq_ignore_ascii_case(b"MKSTREAM") {
            make = true;
        } else if option.eq_ignore_ascii_case(b"ENTRIESREAD") && at + 1 < args.len() {
            at += 1;
            read = parse_int(args.at(at)).ok_or(Reply::error(NOT_AN_INTEGER))?;
            if read < -1 {
                return Err(Reply::error("ERR value for ENTRIESREAD must be positive or -1"));
            }
        } else {
            return Err(bad_subcommand(args));
        }
        at += 1;
    }
    Ok((make, read))
}

/// The stream whose group is meant.
fn stream<'a>(cx: &Reader<'a>, args: Args<'_>) -> Result<&'a Stream> {
    super::range::stream(cx, args.at(2))?.ok_or(Reply::error(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want \
         to use the MKSTREAM option to create an empty stream automatically.",
    ))
}

/// The group that is meant.
fn group<'a>(cx: &Reader<'a>, args: Args<'_>) -> Result<&'a Consumers> {
    let found = stream(cx, args)?.group(args.at(3));
    found.ok_or_else(|| no_such_group(args.at(2), args.at(3)))
}

fn create(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, name) = (args.at(2), args.at(3));
    let (make, read) = options(args, true)?;
    if make {
        super::range::stream(&cx.reader(), key)?;
    } else {
        stream(&cx.reader(), args)?;
    }
    if args.len() > 8 {
        return Err(bad_subcommand(args));
    }
    let given = if args.at(4) == b"$" { None } else { Some(id(args.at(4))?) };
    let created = cx.edit_or_create(key, |open: &mut Open<Stream>| {
        let last = given.unwrap_or(open.stream().facts().last);
        if !open.stream().add_group(Consumers::new(name, last, read)) {
            return false;
        }
        open.note(what::CREATE, name);
        open.note(what::CREATE, &last.bytes());
        open.note(what::CREATE, &read.to_le_bytes());
        true
    })?;
    if !created {
        return Err(Reply::error("BUSYGROUP Consumer Group name already exists"));
    }
    cx.notify(b't', "xgroup-create", key);
    Ok(Reply::OK)
}

fn set_id(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, name) = (args.at(2), args.at(3));
    let (_, read) = options(args, false)?;
    group(&cx.reader(), args)?;
    if args.len() != 5 && args.len() != 7 {
        return Err(bad_subcommand(args));
    }
    let given = match args.at(4) {
        b"$" => None,
        text => Some(Id::parse_end(text, 0).ok_or(Reply::error(INVALID_ID))?),
    };
    cx.edit(key, |open: &mut Open<Stream>| {
        let last = given.unwrap_or(open.stream().facts().last);
        open.stream().change_group(name, |group| (group.last, group.read) = (last, read));
        open.note(what::SETID, name);
        open.note(what::SETID, &last.bytes());
        open.note(what::SETID, &read.to_le_bytes());
    })?;
    cx.notify(b't', "xgroup-setid", key);
    Ok(Reply::OK)
}

fn destroy(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, name) = (args.at(2), args.at(3));
    stream(&cx.reader(), args)?;
    let gone = cx.edit(key, |open: &mut Open<Stream>| {
        let gone = open.stream().remove_group(name);
        if gone {
            open.note(what::DESTROY, name);
        }
        gone
    })?;
    if gone != Some(true) {
        return Ok(Reply::Int(0));
    }
    cx.notify(b't', "xgroup-destroy", key);
    Ok(Reply::Int(1))
}

fn create_consumer(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, name, now_ms) = (args.at(2), args.at(4), now_ms(cx));
    if group(&cx.reader(), args)?.consumer(name).is_some() {
        return Ok(Reply::Int(0));
    }
    cx.edit(key, |open: &mut Open<Stream>| {
        open.stream().change_group(args.at(3), |group| group.add_consumer(name, now_ms));
        open.note(what::CREATE_CONSUMER, args.at(3));
        open.note(what::CREATE_CONSUMER, name);
        open.note(what::CREATE_CONSUMER, &now_ms.to_le_bytes());
    })?;
    cx.notify(b't', "xgroup-createconsumer", key);
    Ok(Reply::Int(1))
}

fn delete_consumer(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, name) = (args.at(2), args.at(4));
    if group(&cx.reader(), args)?.consumer(name).is_none() {
        return Ok(Reply::Int(0));
    }
    let pending = cx.edit(key, |open: &mut Open<Stream>| {
        open.note(what::DELETE_CONSUMER, args.at(3));
        open.note(what::DELETE_CONSUMER, name);
        open.stream().change_group(args.at(3), |group| group.remove_consumer(name))?
    })?;
    cx.notify(b't', "xgroup-delconsumer", key);
    Ok(Reply::len(pending.flatten().unwrap_or(0)))
}

fn help<'a>(_: &Reader<'a>, _: Args<'a>) -> Reply<'a> {
    super::lines(&[
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD <count>]",
        "    Create a consumer group that reads what comes after <id>.",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Add a consumer to a group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove a consumer with what it has pending.",
        "DESTROY <key> <groupname>",
        "    Remove a group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD <count>]",
        "    Set what a group read last.",
        "HELP",
        "    Print this help.",
    ])
}

/// How many entries were added, and the greatest deleted id, as far as they are given.
fn counters(args: Args<'_>, last: Id) -> Result<(Option<u64>, Id)> {
    let (mut added, mut deleted, mut at) = (None, Id::MIN, 3);
    while let Some(option) = args.get(at) {
        let value = args.get(at + 1).ok_or(Reply::error(SYNTAX))?;
        if option.eq_ignore_ascii_case(b"ENTRIESADDED") {
            let count = parse_int(value).ok_or(Reply::error(NOT_AN_INTEGER))?;
            let count = u64::try_from(count);
            added = Some(count.map_err(|_| Reply::error("ERR entries_added must be positive"))?);
        } else if option.eq_ignore_ascii_case(b"MAXDELETEDID") {
            deleted = id(value)?;
            if last < deleted {
                return Err(Reply::error(
                    "ERR The ID specified in XSETID is smaller than the provided \
                     max_deleted_entry_id",
                ));
            }
        } else {
            return Err(Reply::error(SYNTAX));
        }
        at += 2;
    }
    Ok((added, deleted))
}

fn xsetid(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (key, last) = (args.at(1), id(args.at(2))?);
    let (added, deleted) = counters(args, last)?;
    let Some(stream) = super::range::stream(&cx.reader(), key)? else {
        return Err(Reply::error("ERR no such key"));
    };
    if stream.last_id().is_some_and(|top| last < top) {
        return Err(Reply::error(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if stream.len() > 0 && added.is_some_and(|added| added < stream.len()) {
        return Err(Reply::error(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    cx.edit(key, |open: &mut Open<Stream>| {
        let facts = open.stream().facts_mut();
        facts.last = last;
        facts.added = added.unwrap_or(facts.added);
        if deleted != Id::MIN {
            facts.deleted = deleted;
        }
        let facts = *facts;
        open.note(what::STREAM_SETID | facts.added << 8, &facts.last.bytes());
        open.note(what::STREAM_SETID, &facts.deleted.bytes());
    })?;
    cx.notify(b't', "xsetid", key);
    Ok(Reply::OK)
}
