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
mod context;
mod entry;
mod geo;
pub mod glob;
mod keyspace;
pub mod number;
mod settings;
mod snapshot;
mod spec;
mod types;

pub use context::{Effect, Effects, Reader, Stamp, Writer};
pub use entry::{
    Applied, Decoded, Outcome, Plan, Refusal, Run, SealLimits, Sealed, apply, apply_told, decode,
    read, seal,
};
pub use keyspace::{
    Ahead, Content, ContentPoint, Db, Deadline, FreezeStep, Frozen, Garbage, Keyspace, StrRef,
    WrongType,
};
pub use settings::{SettingError, Settings};
pub use snapshot::{
    Checksum, Foreign, NOTES_MAX, Note, Piece, Report, SnapshotError, SnapshotFacts, SnapshotFault,
    SnapshotReader,
};
pub use spec::{
    Arity, CostFn, Flags, Group, Keys, LogForm, LogFormFn, Logged, Meta, ReadFn, Run as RunFn,
    Sealing, Span, Spec, WriteFn,
};
