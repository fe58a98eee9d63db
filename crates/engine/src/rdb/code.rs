//! Opcodes, types and encodings of RDB, as far as they occur.
//!
//! The numbers are those of Redis (`rdb.h`); of Valkey, where both differ, those that a comment
//! says.

pub(crate) const MAGIC: &[u8; 5] = b"REDIS";
/// Redis 8.6; in Valkey 9 slots that are being taken over.
pub(crate) const KEY_META: u8 = 243;
pub(crate) const SLOT_INFO: u8 = 244;
pub(crate) const FUNCTION: u8 = 245;
pub(crate) const FUNCTION_PRE_GA: u8 = 246;
pub(crate) const MODULE_AUX: u8 = 247;
pub(crate) const IDLE: u8 = 248;
pub(crate) const FREQ: u8 = 249;
pub(crate) const AUX: u8 = 250;
pub(crate) const RESIZE_DB: u8 = 251;
pub(crate) const EXPIRE_MS: u8 = 252;
pub(crate) const EXPIRE_S: u8 = 253;
pub(crate) const SELECT_DB: u8 = 254;
pub(crate) const END: u8 = 255;
pub(crate) const LEN_32: u8 = 0x80;
pub(crate) const LEN_64: u8 = 0x81;
pub(crate) const INT_8: u8 = 0xc0;
pub(crate) const INT_16: u8 = 0xc1;
pub(crate) const INT_32: u8 = 0xc2;
pub(crate) const LZF: u8 = 0xc3;

/// Types of values, with the names of `redis-check-rdb`.
pub(crate) mod kind {
    pub(crate) const STRING: u8 = 0;
    pub(crate) const LIST: u8 = 1;
    pub(crate) const SET: u8 = 2;
    pub(crate) const ZSET: u8 = 3;
    pub(crate) const HASH: u8 = 4;
    pub(crate) const ZSET_2: u8 = 5;
    pub(crate) const MODULE_2: u8 = 7;
    pub(crate) const HASH_ZIPMAP: u8 = 9;
    pub(crate) const LIST_ZIPLIST: u8 = 10;
    pub(crate) const SET_INTSET: u8 = 11;
    pub(crate) const ZSET_ZIPLIST: u8 = 12;
    pub(crate) const HASH_ZIPLIST: u8 = 13;
    pub(crate) const LIST_QUICKLIST: u8 = 14;
    pub(crate) const STREAM: u8 = 15;
    pub(crate) const HASH_LISTPACK: u8 = 16;
    pub(crate) const ZSET_LISTPACK: u8 = 17;
    pub(crate) const LIST_QUICKLIST_2: u8 = 18;
    pub(crate) const STREAM_2: u8 = 19;
    pub(crate) const SET_LISTPACK: u8 = 20;
    pub(crate) const STREAM_3: u8 = 21;
    pub(crate) const HASH_TIMED_EARLY: u8 = 22;
    pub(crate) const HASH_LISTPACK_TIMED_EARLY: u8 = 23;
    pub(crate) const HASH_TIMED: u8 = 24;
    pub(crate) const HASH_LISTPACK_TIMED: u8 = 25;
    pub(crate) const STREAM_4: u8 = 26;
    /// Valkey's hash with deadlines of fields, which has another type's number in the file.
    pub(crate) const HASH_VALKEY: u8 = 128;

    /// Whether a value of this type is one string of packed bytes, without a count.
    pub(crate) fn is_packed(kind: u8) -> bool {
        matches!(kind, 9..=13 | 16 | 17 | 20 | 23 | 25)
    }
}

/// What a module's data are made of.
pub(crate) mod module {
    pub(crate) const END: u64 = 0;
    pub(crate) const SIGNED: u64 = 1;
    pub(crate) const UNSIGNED: u64 = 2;
    pub(crate) const FLOAT: u64 = 3;
    pub(crate) const DOUBLE: u64 = 4;
    pub(crate) const STRING: u64 = 5;
}

/// The version of RDB that is written: Redis 7.0 refuses 11.
pub(crate) const WRITTEN: u16 = 10;
/// The newest version that we know.
pub(crate) const VERSION_MAX: u16 = 12;
