//! `FUNCTION …`: there are no functions yet, and asking for them says so.
//!
//! `FLUSH` and `LIST` are what tools and test suites send to any server; both are answered
//! truthfully. The scripting issue replaces this file.

use super::{Call, NODE, Row, Run, is, syntax_error};
use quorate_engine::{Flags, Group, Keys, least};
use quorate_resp::{Args, Reply};

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Server.rows([
    Row::new("FUNCTION", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("7.0.0", "Looks at functions: there are none."),
    Row::new("FUNCTION|FLUSH", "[ASYNC | SYNC]", Run::Here(flush))
        .facts(least(2), Keys::None, Flags::STALE.and(Flags::DANGEROUS))
        .doc("7.0.0", "Deletes all functions: none."),
    Row::new("FUNCTION|LIST", "[LIBRARYNAME library-name-pattern] [WITHCODE]", Run::Here(list))
        .facts(least(2), Keys::None, Flags::STALE)
        .doc("7.0.0", "Lists functions: none."),
]);

fn flush(_: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    match args.get(2) {
        None => Reply::OK,
        Some(word) if args.len() == 3 && (is(word, "SYNC") || is(word, "ASYNC")) => Reply::OK,
        Some(_) => Reply::error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
    }
}

fn list(_: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let known = |word: &[u8]| is(word, "WITHCODE") || is(word, "LIBRARYNAME");
    match args.get(2) {
        Some(word) if !known(word) => syntax_error(),
        _ => Reply::Array(Vec::new()),
    }
}
