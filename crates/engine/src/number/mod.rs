//! Fractions as Redis reads, adds and prints them in string values.
//!
//! They are 80-bit extended floats done in software, so that every replica, on any processor, gets
//! the bits that Redis gets on x86. Integers need no room of their own: `quorate_resp::parse_int`
//! and `int_text` read and print them. Nothing here knows of keys or commands.

mod big;
mod extended;
mod float;

pub use extended::Extended;
pub(crate) use float::{parse_bound, parse_double};
