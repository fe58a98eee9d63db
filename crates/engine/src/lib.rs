//! The data engine: `state = fold(apply, log)`, and every data command of Redis on that state.
//!
//! Deterministic by construction: no clock, no randomness, no threads, no disk (`no_std` +
//! `alloc`). Time and seed arrive with each entry. A write is sealed once on the leader
//! ([`seal()`]) and applied on every replica ([`apply()`]); a read runs on `&Keyspace`
//! ([`read()`]).
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod cmd;
mod db;
mod digest;
mod entry;
mod geo;
pub mod glob;
mod hex;
mod keyspace;
pub mod number;
mod point;
mod rdb;
mod script;
mod shebang;
mod side;
mod snapshot;
mod spec;
mod types;

pub use cmd::xread_from;
pub use db::{Db, Deadline, WrongType};
pub use entry::{
    Applied, Decoded, Guard, Outcome, Plan, Refusal, Registration, Run, RunKind, SealLimits,
    Sealed, Served, Waiter, Waiting, apply, apply_told, decode, function_stats, give_back, read,
    rehearse, rehearse_with, seal, seal_beside,
};
pub use keyspace::{
    Ahead, Changed, Content, ContentPoint, Effect, Effects, FreezeStep, Frozen, Garbage, Keyspace,
    Reader, Stamp, StrRef, Writer,
};
pub use rdb::{Checksum, Piece, SnapshotError, SnapshotFacts, SnapshotFault};
pub use script::{
    Budget, Call, Function, Host, Interpreter, Language, LogLevel, Program, ScriptFlags, Scripting,
    Stopped, Watch,
};
pub use shebang::Shebang;
pub use side::level::{LEVEL_MAX, LEVEL_TRANSACTIONS};
pub use side::settings::{SettingError, Settings};
pub use snapshot::{Foreign, NOTES_MAX, Note, Report, SnapshotReader};
pub use spec::{
    Arity, Cause, CostFn, Flags, Group, Handler, Keys, LogForm, LogFormFn, Logged, Meta, ReadFn,
    Replied, Row, Scripted, Sealing, ServeFn, Serving, Span, Spec, Wait, WriteFn, exactly, least,
};
