//! What `cjson` is set to.
//!
//! It stands apart because the state that all functions share holds it, which knows nothing else
//! of JSON.

/// What `cjson.encode_max_depth` and its like set: for one call, unlike in Redis, where it holds
/// for all scripts that follow.
#[derive(Clone, Copy)]
pub(crate) struct Config {
    pub(crate) sparse_convert: bool,
    pub(crate) sparse_ratio: i64,
    pub(crate) sparse_safe: i64,
    pub(crate) encode_max_depth: i64,
    pub(crate) decode_max_depth: i64,
    pub(crate) encode_invalid: Invalid,
    pub(crate) decode_invalid: bool,
    pub(crate) keep_buffer: bool,
    pub(crate) precision: usize,
}

/// What becomes of a number that JSON has no text for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    Refused,
    Written,
    Null,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_max_depth: 1_000,
            decode_max_depth: 1_000,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
            keep_buffer: true,
            precision: 14,
        }
    }
}
