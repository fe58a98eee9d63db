//! The form of a row: what a handler is, and what it is given.
//!
//! The facts beside the function are those of data commands ([`quorate_engine::Row`]).

use super::call::Call;
use super::work::Work;
use quorate_consensus::Status;
use quorate_engine::{Flags, Keyspace};
use quorate_resp::{Args, Reply};

/// One command of the server; subcommands have rows of their own behind their parent's.
pub(crate) type Row = quorate_engine::Row<Run>;

/// What a command has that any node answers at any time.
pub(super) const NODE: Flags = Flags::LOADING.and(Flags::STALE);

/// What a handler needs besides its client.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// Nothing: it answers at once.
    Here(fn(&mut Call<'_>, Args<'_>) -> Reply<'static>),
    /// The state applied here now, and the replica's figures. `true`: a linearizable view instead.
    Look(Look, bool),
    /// It says what is to be awaited, or answers at once (with an error, mostly).
    Ask(fn(&mut Call<'_>, Args<'_>) -> Result<Work, Reply<'static>>),
    /// Nothing: only its subcommands run.
    Parent,
}

/// The function of [`Run::Look`].
pub(crate) type Look = fn(&mut Call<'_>, &View<'_>, Args<'_>) -> Reply<'static>;

/// What [`Run::Look`] sees.
pub(crate) struct View<'a> {
    /// The state.
    pub(crate) keyspace: &'a Keyspace,
    /// The replica's figures.
    pub(crate) status: &'a Status,
    /// Whether it knows a leader and has its state.
    pub(crate) ready: bool,
}
