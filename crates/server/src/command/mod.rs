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
mod info;
mod keys;
mod kill;
mod latency;
mod log;
mod memory;
mod module;
mod perform;
mod pubsub;
mod row;
mod script;
mod server;
mod slowlog;
mod sync;
mod tracking;
mod transaction;
mod words;
mod work;

pub(crate) use call::{Call, Client, Mode, ReplyMode};
pub(crate) use config::set_in_cluster;
pub(crate) use debug::allowed as debug_allowed;
pub(crate) use debug::in_script;
pub(crate) use docs::help;
pub(crate) use info::REDIS_VERSION;
pub(crate) use perform::perform;
pub(crate) use pubsub::message;
pub(crate) use row::{Look, Row, Run, View};
pub(crate) use words::error;
pub(crate) use work::{ConfigChange, Work};

use crate::registry::Registry;
use row::NODE;
use std::sync::{LazyLock, OnceLock};
use words::{bulk, int, is, not_an_integer, syntax_error, text};

/// Every family's rows.
const FAMILIES: &[&[Row]] = &[
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
    script::ROWS,
    debug::ROWS,
    sync::ROWS,
    transaction::ROWS,
    pubsub::ROWS,
];

/// All of them; a command's number is its place here.
static TABLE: LazyLock<Vec<&'static Row>> =
    LazyLock::new(|| FAMILIES.iter().copied().flatten().collect());

/// The row of this number.
pub(crate) fn row(number: u16) -> Option<&'static Row> {
    TABLE.get(usize::from(number)).copied()
}

/// Every command by its name, the engine's and these. Made once: sessions keep references to its
/// entries.
pub(crate) fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let is_parent = |row: &Row| matches!(row.run, Run::Parent);
    REGISTRY.get_or_init(|| Registry::new(TABLE.iter().map(|row| (row.meta, is_parent(row)))))
}
