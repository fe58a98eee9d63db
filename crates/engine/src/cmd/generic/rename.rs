//! A value under another name or in another database: RENAME, RENAMENX, MOVE, COPY.

use super::{SYNTAX, always, db_argument};
use crate::{Db, Flags, Group, Keys, Reader, Replied, Spec, Writer, exactly, least};
use quorate_resp::{Args, Reply};

const PAIR: Keys = Keys::Range { first: 1, last: 2, step: 1 };
const SAME: &str = "ERR source and destination objects are the same";
const NO_KEY: &str = "ERR no such key";

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Generic.rows([
    Spec::write("COPY", "source destination [DB destination-db] [REPLACE]", copy)
        .facts(least(3), PAIR, Flags::DENYOOM.and(Flags::OTHER_DB))
        .doc("6.2.0", "Copies the value of a key to a new key.")
        .access(&["RO access", "OW update"])
        .moving(always),
    Spec::write("MOVE", "key db", move_to)
        .facts(exactly(3), Keys::At(1), Flags::FAST.and(Flags::OTHER_DB))
        .doc("1.0.0", "Moves a key to another database.")
        .access(&["RW access update"])
        .moving(always),
    Spec::write("RENAME", "key newkey", rename)
        .facts(exactly(3), PAIR, Flags::NONE)
        .doc("1.0.0", "Renames a key, replacing what the new name holds.")
        .access(&["RW access delete", "OW update"])
        .moving(always),
    Spec::write("RENAMENX", "key newkey", rename_nx)
        .facts(exactly(3), PAIR, Flags::FAST)
        .doc("1.0.0", "Renames a key only if the new name is free.")
        .access(&["RW access delete", "OW insert"])
        .moving(always),
]);

fn rename(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (from, to) = (args.at(1), args.at(2));
    if !cx.reader().exists(from) {
        return Err(Reply::error(NO_KEY));
    }
    if from != to {
        renamed(cx, from, to);
    }
    Ok(Reply::OK)
}

fn rename_nx(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (from, to) = (args.at(1), args.at(2));
    if !cx.reader().exists(from) {
        return Err(Reply::error(NO_KEY));
    }
    if cx.reader().exists(to) {
        return Ok(Reply::Int(0));
    }
    renamed(cx, from, to);
    Ok(Reply::Int(1))
}

fn renamed(cx: &mut Writer<'_>, from: &[u8], to: &[u8]) {
    cx.move_key(from, cx.db, to);
    cx.notify(b'g', "rename_from", from);
    cx.notify(b'g', "rename_to", to);
}

fn move_to(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let key = args.at(1);
    let db = db_argument(args.at(2))?;
    if db == cx.db {
        return Err(Reply::error(SAME));
    }
    if !cx.reader().exists(key) || exists_in(cx, db, key) {
        return Ok(Reply::Int(0));
    }
    cx.move_key(key, db, key);
    cx.notify(b'g', "move_from", key);
    notify_in(cx, db, "move_to", key);
    Ok(Reply::Int(1))
}

fn copy(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (from, to) = (args.at(1), args.at(2));
    let (db, replace) = copy_options(args.from(3), cx.db)?;
    if db == cx.db && from == to {
        return Err(Reply::error(SAME));
    }
    if !cx.reader().exists(from) || (!replace && exists_in(cx, db, to)) {
        return Ok(Reply::Int(0));
    }
    cx.copy_key(from, db, to);
    notify_in(cx, db, "copy_to", to);
    Ok(Reply::Int(1))
}

fn copy_options(args: Args<'_>, home: Db) -> Result<(Db, bool), Reply<'static>> {
    let (mut db, mut replace) = (home, false);
    let mut at = 0;
    while let Some(option) = args.get(at) {
        if option.eq_ignore_ascii_case(b"REPLACE") {
            replace = true;
        } else if let (true, Some(text)) = (option.eq_ignore_ascii_case(b"DB"), args.get(at + 1)) {
            db = db_argument(text)?;
            at += 1;
        } else {
            return Err(Reply::error(SYNTAX));
        }
        at += 1;
    }
    Ok((db, replace))
}

fn exists_in(cx: &Writer<'_>, db: Db, key: &[u8]) -> bool {
    Reader { db, ..cx.reader() }.exists(key)
}

/// The event of a key in another database than the command's.
fn notify_in(cx: &mut Writer<'_>, db: Db, event: &'static str, key: &[u8]) {
    let home = core::mem::replace(&mut cx.db, db);
    cx.notify(b'g', event, key);
    cx.db = home;
}
