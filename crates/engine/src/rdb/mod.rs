//! RDB, the format of Redis's snapshots: how a key and its value are written, and a value is read.
//!
//! [`Output`] makes a file of keys as they come, `collection` knows the forms of each type, `input`
//! and `encode` the alphabet (lengths, strings), `field` the AUX fields that say what RDB has no
//! place for. Nothing here knows the keyspace, which hands out its keys as [`Key`]s; the room
//! `snapshot` reads whole files.

pub(crate) mod code;
pub(crate) mod collection;
pub(crate) mod crc64;
pub(crate) mod encode;
pub(crate) mod error;
pub(crate) mod field;
mod header;
pub(crate) mod input;
mod lzf;
mod output;
pub(crate) mod producers;
pub(crate) mod text;

pub use error::{SnapshotError, SnapshotFault};
pub(crate) use header::Header;
pub use header::SnapshotFacts;
#[cfg(test)]
pub(crate) use output::SLICE;
pub use output::{Checksum, Piece};
pub(crate) use output::{Key, Output, PIECE};
