//! A snapshot is an RDB 10 file; Raft's facts and what RDB cannot say travel in AUX fields.
//!
//! Redis 7.0 loads it and `redis-check-rdb` passes it; any RDB file of version 1 to 12 is read, and
//! newer ones and oddities where others' files are restored (`foreign`). AUX
//! fields stand in front (facts of the caller, then those of the state), and behind every group of
//! keys one with what RDB has no place for: their revisions. A state read back is indistinguishable
//! from the one written. See `docs/formats.md`; the room `rdb` knows how a value lies in a file.

mod foreign;
mod payload;
mod read;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod value;
mod write;

pub use foreign::{Foreign, NOTES_MAX, Note, Report};
pub(crate) use payload::{
    Payload, PayloadError, claimed_bytes, dump_libraries, dumped_libraries, load,
};
pub use read::SnapshotReader;
#[cfg(test)]
pub(crate) use write::whole;
