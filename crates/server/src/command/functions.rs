//! `FUNCTION …`: there are no functions yet, and asking for them says so.
//!
//! `FLUSH` and `LIST` are what tools and test suites send to any server; both are answered
//! truthfully. The scripting issue replaces this file.

use super::{Call, Row, Run, is, least, syntax_error};
use quorate_engine::Flags;
use quorate_resp::{Args, Reply};

/// The row.
pub(super) const COMMANDS: &[Row] =
    &[Row::parent("FUNCTION", SUBS, "Looks at functions: there are none.").since("7.0.0")];

const SUBS: &[Row] = &[
    Row::new("FUNCTION|FLUSH", least(2), Run::Here(flush), "Deletes all functions: none.")
        .after_loading()
        .flags(Flags::DANGEROUS)
        .since("7.0.0"),
    Row::new("FUNCTION|LIST", least(2), Run::Here(list), "Lists functions: none.")
        .after_loading()
        .since("7.0.0"),
];

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
