//! The libraries that Redis brings besides Lua's: `cjson`, `cmsgpack`, `struct` and `bit`.
//!
//! Written here, because what other crates speak are other dialects: sparse arrays, a null that
//! is a value, 14 digits, a nesting of 16, alignment.

mod bit;
pub(crate) mod json;
mod msgpack;
mod pack;

pub(crate) use bit::BIT;
pub(crate) use msgpack::MSGPACK;
pub(crate) use pack::STRUCT;

/// How many values a function returns at most; about what Lua 5.1's stack holds.
const RESULTS_MAX: usize = 7_900;
