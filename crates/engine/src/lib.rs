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

mod apply;
mod armour;
mod batch;
pub mod cmd;
mod context;
mod geo;
pub mod glob;
mod keyspace;
pub mod number;
mod plan;
mod retell;
mod seal;
mod settings;
mod snapshot;
mod spec;
mod types;

pub use apply::{Applied, Outcome, apply, apply_told};
pub use batch::{Decoded, Run, decode};
pub use context::{Effect, Effects, Reader, Stamp, Writer};
pub use keyspace::{
    Ahead, Content, ContentPoint, Db, Deadline, FreezeStep, Frozen, Garbage, Keyspace, StrRef,
    WrongType,
};
pub use plan::{Plan, read};
pub use seal::{Refusal, SealLimits, Sealed, seal};
pub use settings::{SettingError, Settings};
pub use snapshot::{
    Checksum, Foreign, NOTES_MAX, Note, Piece, Report, SnapshotError, SnapshotFacts, SnapshotFault,
    SnapshotReader,
};
pub use spec::{
    Arity, CostFn, Flags, Group, Keys, LogForm, LogFormFn, Logged, Meta, ReadFn, Run as RunFn,
    Sealing, Span, Spec, WriteFn,
};
