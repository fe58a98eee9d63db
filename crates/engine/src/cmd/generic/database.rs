//! Whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.

use super::always;
use super::{NO_DB, SYNTAX};
use crate::{Arity, Db, Flags, Group, Keys, Logged, Meta, Reader, Spec, Writer};
use quorate_resp::{Args, Reply, parse_int};

const WIDE: Flags = Flags::KEYSPACE_WIDE.and(Flags::DANGEROUS);

/// The rows.
pub(in crate::cmd) const COMMANDS: &[Spec] = &[
    Spec::read(
        wide(
            "DBSIZE",
            Arity::Exactly(1),
            Flags::FAST,
            ("1.0.0", "Counts the keys of the database."),
        ),
        dbsize,
    ),
    Spec::write(
        wide("FLUSHALL", Arity::AtLeast(1), WIDE, ("1.0.0", "Removes all keys of all databases.")),
        Logged::PLAIN,
        flushall,
    ),
    Spec::write(
        wide("FLUSHDB", Arity::AtLeast(1), WIDE, ("1.0.0", "Removes all keys of the database.")),
        Logged::PLAIN,
        flushdb,
    ),
    Spec::write(
        wide(
            "SWAPDB",
            Arity::Exactly(3),
            WIDE.and(Flags::FAST).and(Flags::OTHER_DB),
            ("4.0.0", "Exchanges two databases."),
        ),
        Logged::PLAIN,
        swapdb,
    )
    .moving(always),
];

const fn wide(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    facts: (&'static str, &'static str),
) -> Meta {
    Group::Generic.meta(name, arity, Keys::None, flags, facts)
}

fn dbsize<'a>(cx: &Reader<'a>, _: Args<'a>) -> Reply<'a> {
    Reply::Int(i64::try_from(cx.key_count()).unwrap_or(i64::MAX))
}

fn flushdb(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    flush(cx, args, Some(cx.db))
}

fn flushall(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    flush(cx, args, None)
}

/// `ASYNC` and `SYNC` mean the same here: the memory is always freed elsewhere.
fn flush(cx: &mut Writer<'_>, args: Args<'_>, db: Option<Db>) -> Reply<'static> {
    let known =
        |word: &[u8]| word.eq_ignore_ascii_case(b"ASYNC") || word.eq_ignore_ascii_case(b"SYNC");
    if args.len() > 2 || args.get(1).is_some_and(|word| !known(word)) {
        return Reply::error(SYNTAX);
    }
    cx.flush(db);
    Reply::OK
}

fn swapdb(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    if !is_int(args.at(1)) {
        return Reply::error("ERR invalid first DB index");
    }
    if !is_int(args.at(2)) {
        return Reply::error("ERR invalid second DB index");
    }
    let (Some(one), Some(other)) = (Db::parse(args.at(1)), Db::parse(args.at(2))) else {
        return Reply::error(NO_DB);
    };
    if one != other {
        cx.swap_db(one, other);
    }
    Reply::OK
}

fn is_int(text: &[u8]) -> bool {
    parse_int(text).is_some_and(|number| i32::try_from(number).is_ok())
}
