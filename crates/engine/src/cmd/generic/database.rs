//! Whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.

use super::{NO_DB, SYNTAX, always};
use crate::{Db, Flags, Group, Keys, Reader, Replied, Spec, Writer, exactly, least};
use quorate_resp::{Args, Reply, parse_int};

const WIDE: Flags = Flags::KEYSPACE_WIDE.and(Flags::DANGEROUS);

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Generic.rows([
    Spec::read("DBSIZE", "", |cx, args| Ok(dbsize(cx, args)))
        .facts(exactly(1), Keys::None, Flags::FAST)
        .doc("1.0.0", "Counts the keys of the database."),
    Spec::write("FLUSHALL", "[ASYNC | SYNC]", flushall)
        .facts(least(1), Keys::None, WIDE)
        .doc("1.0.0", "Removes all keys of all databases."),
    Spec::write("FLUSHDB", "[ASYNC | SYNC]", flushdb)
        .facts(least(1), Keys::None, WIDE)
        .doc("1.0.0", "Removes all keys of the database."),
    Spec::write("SWAPDB", "index1 index2", swapdb)
        .facts(exactly(3), Keys::None, WIDE.and(Flags::FAST).and(Flags::OTHER_DB))
        .doc("4.0.0", "Exchanges two databases.")
        .moving(always),
]);

fn dbsize<'a>(cx: &Reader<'a>, _: Args<'a>) -> Reply<'a> {
    Reply::Int(i64::try_from(cx.key_count()).unwrap_or(i64::MAX))
}

fn flushdb(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    flush(cx, args, Some(cx.db))
}

fn flushall(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    flush(cx, args, None)
}

/// `ASYNC` and `SYNC` mean the same here: the memory is always freed elsewhere.
fn flush(cx: &mut Writer<'_>, args: Args<'_>, db: Option<Db>) -> Replied<'static> {
    let known =
        |word: &[u8]| word.eq_ignore_ascii_case(b"ASYNC") || word.eq_ignore_ascii_case(b"SYNC");
    if args.len() > 2 || args.get(1).is_some_and(|word| !known(word)) {
        return Err(Reply::error(SYNTAX));
    }
    cx.flush(db);
    Ok(Reply::OK)
}

fn swapdb(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    if !is_int(args.at(1)) {
        return Err(Reply::error("ERR invalid first DB index"));
    }
    if !is_int(args.at(2)) {
        return Err(Reply::error("ERR invalid second DB index"));
    }
    let (Some(one), Some(other)) = (Db::parse(args.at(1)), Db::parse(args.at(2))) else {
        return Err(Reply::error(NO_DB));
    };
    if one != other {
        cx.swap_db(one, other);
    }
    Ok(Reply::OK)
}

fn is_int(text: &[u8]) -> bool {
    parse_int(text).is_some_and(|number| i32::try_from(number).is_ok())
}
