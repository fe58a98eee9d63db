//! A snapshot is an RDB 10 file; Raft's facts and what RDB cannot say travel in AUX fields.
//!
//! Redis 7.0 loads it and `redis-check-rdb` passes it; any RDB file of version 1 to 12 is read, and
//! newer ones and oddities where others' files are restored (`foreign`). AUX
//! fields stand in front (facts of the caller, then those of the state), and behind every group of
//! keys one with what RDB has no place for: their revisions. A state read back is indistinguishable
//! from the one written. See `docs/formats.md`.

mod collection;
mod crc64;
mod error;
mod foreign;
mod input;
mod lzf;
mod payload;
mod producers;
mod read;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod value;
mod write;

pub use error::{SnapshotError, SnapshotFault};
pub use foreign::{Foreign, NOTES_MAX, Note, Report};
pub(crate) use payload::{Payload, PayloadError, claimed_bytes, dump, dump_untimed, load};
pub use read::SnapshotReader;
pub(crate) use write::Output;
#[cfg(test)]
pub(crate) use write::whole;
pub use write::{Checksum, Piece};

use alloc::string::String;
use alloc::vec::Vec;

/// What a snapshot says besides the data: names and printable values of AUX fields, given by
/// consensus (`quorate-last-log-id`, `quorate-membership`, …). Opaque to the engine.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SnapshotFacts {
    /// Name and value; printable ASCII.
    pub fields: Vec<(String, String)>,
}

/// Opcodes and encodings of RDB, as far as they occur.
mod code {
    pub(super) const MAGIC: &[u8; 5] = b"REDIS";
    /// Redis 8.6; in Valkey 9 slots that are being taken over.
    pub(super) const KEY_META: u8 = 243;
    pub(super) const SLOT_INFO: u8 = 244;
    pub(super) const FUNCTION: u8 = 245;
    pub(super) const FUNCTION_PRE_GA: u8 = 246;
    pub(super) const MODULE_AUX: u8 = 247;
    pub(super) const IDLE: u8 = 248;
    pub(super) const FREQ: u8 = 249;
    pub(super) const AUX: u8 = 250;
    pub(super) const RESIZE_DB: u8 = 251;
    pub(super) const EXPIRE_MS: u8 = 252;
    pub(super) const EXPIRE_S: u8 = 253;
    pub(super) const SELECT_DB: u8 = 254;
    pub(super) const END: u8 = 255;
    pub(super) const LEN_32: u8 = 0x80;
    pub(super) const LEN_64: u8 = 0x81;
    pub(super) const INT_8: u8 = 0xc0;
    pub(super) const INT_16: u8 = 0xc1;
    pub(super) const INT_32: u8 = 0xc2;
    pub(super) const LZF: u8 = 0xc3;

    /// Types of values, with the names of `redis-check-rdb`.
    pub(super) mod kind {
        pub(in super::super) const STRING: u8 = 0;
        pub(in super::super) const LIST: u8 = 1;
        pub(in super::super) const SET: u8 = 2;
        pub(in super::super) const ZSET: u8 = 3;
        pub(in super::super) const HASH: u8 = 4;
        pub(in super::super) const ZSET_2: u8 = 5;
        pub(in super::super) const MODULE_2: u8 = 7;
        pub(in super::super) const HASH_ZIPMAP: u8 = 9;
        pub(in super::super) const LIST_ZIPLIST: u8 = 10;
        pub(in super::super) const SET_INTSET: u8 = 11;
        pub(in super::super) const ZSET_ZIPLIST: u8 = 12;
        pub(in super::super) const HASH_ZIPLIST: u8 = 13;
        pub(in super::super) const LIST_QUICKLIST: u8 = 14;
        pub(in super::super) const STREAM: u8 = 15;
        pub(in super::super) const HASH_LISTPACK: u8 = 16;
        pub(in super::super) const ZSET_LISTPACK: u8 = 17;
        pub(in super::super) const LIST_QUICKLIST_2: u8 = 18;
        pub(in super::super) const STREAM_2: u8 = 19;
        pub(in super::super) const SET_LISTPACK: u8 = 20;
        pub(in super::super) const STREAM_3: u8 = 21;
        pub(in super::super) const HASH_TIMED_EARLY: u8 = 22;
        pub(in super::super) const HASH_LISTPACK_TIMED_EARLY: u8 = 23;
        pub(in super::super) const HASH_TIMED: u8 = 24;
        pub(in super::super) const HASH_LISTPACK_TIMED: u8 = 25;
        pub(in super::super) const STREAM_4: u8 = 26;
        /// Valkey's hash with deadlines of fields, which has another type's number in the file.
        pub(in super::super) const HASH_VALKEY: u8 = 128;

        /// Whether a value of this type is one string of packed bytes, without a count.
        pub(in super::super) fn is_packed(kind: u8) -> bool {
            matches!(kind, 9..=13 | 16 | 17 | 20 | 23 | 25)
        }
    }

    /// What a module's data are made of.
    pub(super) mod module {
        pub(in super::super) const END: u64 = 0;
        pub(in super::super) const SIGNED: u64 = 1;
        pub(in super::super) const UNSIGNED: u64 = 2;
        pub(in super::super) const FLOAT: u64 = 3;
        pub(in super::super) const DOUBLE: u64 = 4;
        pub(in super::super) const STRING: u64 = 5;
    }
}

/// AUX fields of the state. All begin alike, so that they cannot be taken for the caller's.
mod field {
    /// Of every field below.
    pub(super) const PREFIX: &str = "quorate.";
    /// Version of these fields. A file that has it is one of ours and is read strictly.
    pub(super) const FORMAT: &str = "quorate.format";
    pub(super) const HASH_KEY: &str = "quorate.hash-key";
    pub(super) const TIME: &str = "quorate.time-ms";
    pub(super) const INDEX: &str = "quorate.index";
    pub(super) const DIGEST: &str = "quorate.digest";
    pub(super) const LEVEL: &str = "quorate.level";
    /// Followed by the setting's name.
    pub(super) const SETTING: &str = "quorate.setting.";
    /// Per database: floors of absent and of present keys' revisions.
    pub(super) const FLOORS: &str = "quorate.floors";
    /// Deletion buckets: distance to the one before, revision. May occur many times.
    pub(super) const GONE: &str = "quorate.gone";
    /// Of the hash just before it: fields skipped since the last with a deadline, the deadline. May
    /// occur many times.
    pub(super) const FIELDS: &str = "quorate.fields";
    /// For each key since the last: age (applied index less revision) times two, plus one if its
    /// string is `raw` where its length and digits would not say so, if a collection is large, or
    /// if a stream's consumers follow: for each of them in order when it was last active, plus one
    /// (never: 0).
    pub(super) const KEYS: &str = "quorate.keys";
    /// What a stream remembers of its producers. Behind the stream, before the field with its age,
    /// and perhaps many times.
    pub(super) const PRODUCERS: &str = "quorate.producers";
}

/// The format that this build writes and reads.
const FORMAT: u64 = 1;
/// The version of RDB that is written: Redis 7.0 refuses 11.
const WRITTEN: u16 = 10;
/// Most keys, or buckets, that one AUX field speaks of.
const FIELD_ITEMS_MAX: usize = 4096;
