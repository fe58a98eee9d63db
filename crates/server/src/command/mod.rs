//! The server's own commands: those about the connection, the node and the cluster.
//!
//! They have the same rows as data commands and handlers of their own kind. A handler is a
//! plain function: it looks, changes its client's state, and returns a reply, or [`Work`] for the
//! session to carry out when something must be awaited. Only `perform` and `log` await.

mod access;
mod acl;
mod arguments;
mod call;
mod client;
mod cluster;
mod config;
mod connection;
mod debug;
mod docs;
mod functions;
mod info;
mod keys;
mod kill;
mod latency;
mod log;
mod memory;
mod module;
mod perform;
mod server;
mod slowlog;
mod sync;
mod work;

pub(crate) use call::{Call, Client, Mode, ReplyMode};
pub(crate) use config::set_in_cluster;
pub(crate) use debug::allowed as debug_allowed;
pub(crate) use docs::help;
pub(crate) use info::REDIS_VERSION;
pub(crate) use perform::perform;
pub(crate) use work::{ConfigChange, Work};

use quorate_consensus::Status;
use quorate_engine::{Flags, Keyspace};
use quorate_resp::{Args, Reply};

/// Every family's rows.
pub(crate) const FAMILIES: &[&[Row]] = &[
    connection::ROWS,
    client::ROWS,
    server::ROWS,
    config::ROWS,
    docs::ROWS,
    slowlog::ROWS,
    latency::ROWS,
    memory::ROWS,
    module::ROWS,
    acl::ROWS,
    cluster::ROWS,
    functions::ROWS,
    debug::ROWS,
    sync::ROWS,
];

/// One command of the server; subcommands have rows of their own behind their parent's.
pub(crate) type Row = quorate_engine::Row<Run>;

/// What a command has that any node answers at any time.
const NODE: Flags = Flags::LOADING.and(Flags::STALE);

/// What a handler needs besides its client.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// Nothing: it answers at once.
    Here(fn(&mut Call<'_>, Args<'_>) -> Reply<'static>),
    /// The state applied here now, and the replica's figures. `true`: a linearizable view instead.
    Look(fn(&mut Call<'_>, &View<'_>, Args<'_>) -> Reply<'static>, bool),
    /// It says what is to be awaited, or answers at once (with an error, mostly).
    Ask(fn(&mut Call<'_>, Args<'_>) -> Result<Work, Reply<'static>>),
    /// Nothing: only its subcommands run.
    Parent,
}

/// What [`Run::Look`] sees.
pub(crate) struct View<'a> {
    /// The state.
    pub(crate) keyspace: &'a Keyspace,
    /// The replica's figures.
    pub(crate) status: &'a Status,
    /// Whether it knows a leader and has its state.
    pub(crate) ready: bool,
}

/// An error whose text is made for the occasion.
#[cold]
pub(crate) fn error(text: impl Into<String>) -> Reply<'static> {
    Reply::Error(text.into().into())
}

/// Redis's `ERR syntax error`.
#[cold]
pub(crate) fn syntax_error() -> Reply<'static> {
    Reply::error("ERR syntax error")
}

/// Redis's error for a number that is none.
#[cold]
pub(crate) fn not_an_integer() -> Reply<'static> {
    Reply::error("ERR value is not an integer or out of range")
}

/// A bulk string.
pub(crate) fn bulk(text: impl Into<Vec<u8>>) -> Reply<'static> {
    Reply::owned(text.into())
}

/// Whether an argument is this word, in any case.
pub(crate) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// The argument as a number.
pub(crate) fn int(arg: &[u8]) -> Option<i64> {
    quorate_resp::parse_int(arg)
}

/// The argument as text, for messages.
pub(crate) fn text(arg: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(arg)
}
