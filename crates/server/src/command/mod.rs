//! The server's own commands: those about the connection, the node and the cluster.
//!
//! They have the same `Meta` rows as data commands and a handler of their own kind. A handler is a
//! plain function: it looks, changes its client's state, and returns a reply, or [`Work`] for the
//! session to carry out when something must be awaited. Only `perform` and `log` await.

mod access;
mod acl;
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
use quorate_engine::{Arity, Flags, Group, Keys, Keyspace, Meta};
use quorate_resp::{Args, Reply};

/// Every family's rows.
pub(crate) const SERVER_FAMILIES: &[&[Row]] = &[
    connection::COMMANDS,
    client::COMMANDS,
    server::COMMANDS,
    config::COMMANDS,
    docs::COMMANDS,
    slowlog::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    module::COMMANDS,
    acl::COMMANDS,
    cluster::COMMANDS,
    functions::COMMANDS,
    debug::COMMANDS,
    sync::COMMANDS,
];

/// One command of the server.
pub(crate) struct Row {
    /// Facts, as for data commands.
    pub(crate) meta: Meta,
    /// The function.
    pub(crate) run: Run,
    /// Subcommands, if this is only their parent.
    pub(crate) subs: &'static [Row],
}

/// What a handler needs besides its client.
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

impl Row {
    const fn new(name: &'static str, arity: Arity, run: Run, summary: &'static str) -> Self {
        Self {
            meta: Meta {
                name,
                arity,
                keys: Keys::None,
                group: Group::Server,
                flags: Flags::LOADING.and(Flags::STALE),
                summary,
                since: "1.0.0",
            },
            run,
            subs: &[],
        }
    }

    const fn parent(name: &'static str, subs: &'static [Row], summary: &'static str) -> Self {
        Self { subs, ..Self::new(name, Arity::AtLeast(2), Run::Parent, summary) }
    }

    const fn group(mut self, group: Group) -> Self {
        self.meta.group = group;
        self
    }

    const fn flags(mut self, flags: Flags) -> Self {
        self.meta.flags = self.meta.flags.and(flags);
        self
    }

    /// Answered only when the state is there, as in Redis.
    const fn after_loading(mut self) -> Self {
        self.meta.flags = self.meta.flags.without(Flags::LOADING);
        self
    }

    const fn since(mut self, since: &'static str) -> Self {
        self.meta.since = since;
        self
    }
}

/// `AtLeast` and `Exactly` in short, for the tables.
const fn least(count: u8) -> Arity {
    Arity::AtLeast(count)
}

const fn exactly(count: u8) -> Arity {
    Arity::Exactly(count)
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
