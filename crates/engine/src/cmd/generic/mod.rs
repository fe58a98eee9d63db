//! Commands on keys of any type, as in Redis 7.2.
//!
//! Each file holds rows and functions of one concern; `cmd` lists them. Replies and errors are word
//! for word Redis's.

mod database;
mod dump;
mod expire;
mod keys;
mod object;
mod rename;
pub(super) mod scan;
mod sort;

use crate::{Db, Keys, Spec};
use quorate_resp::{Args, Reply, parse_int};

/// The files of the family.
pub(super) const FILES: &[&[Spec]] = &[
    database::ROWS,
    dump::ROWS,
    expire::ROWS,
    keys::ROWS,
    object::ROWS,
    rename::ROWS,
    scan::ROWS,
    sort::ROWS,
];

pub(crate) const SYNTAX: &str = "ERR syntax error";
pub(crate) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
const NO_INT: &str = "ERR value is out of range, value must between -2147483648 and 2147483647";
const NO_DB: &str = "ERR DB index is out of range";

/// Every argument is a key.
const ALL: Keys = Keys::Range { first: 1, last: -1, step: 1 };

/// Of commands that move values whatever their arguments are.
pub(super) fn always(_: Args<'_>) -> bool {
    true
}

/// A database number with `MOVE`'s and `COPY`'s errors.
fn db_argument(text: &[u8]) -> Result<Db, Reply<'static>> {
    let Some(number) = parse_int(text) else {
        return Err(Reply::error(NOT_AN_INTEGER));
    };
    if i32::try_from(number).is_err() {
        return Err(Reply::error(NO_INT));
    }
    Db::parse(text).ok_or_else(|| Reply::error(NO_DB))
}
