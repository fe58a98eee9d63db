//! Redis's wire protocol: requests as slices of the buffer they arrived in, replies as data.
//!
//! This room knows bytes and nothing else: no command, no socket, no clock. Requests go through
//! [`Parser`], which leaves the arguments where they are and hands out [`Args`]; replies are
//! [`Reply`] values that [`Reply::encode`] writes in RESP2 or RESP3. The other direction, for
//! tools and tests that stand on a client's side: [`write_command`] and [`decode_reply`].
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod args;
mod encode;
mod error_text;
mod inline;
mod limits;
mod number;
mod reply;
mod request;
mod skim;
mod strings;
mod value;

pub use args::{Args, Span};
pub use error_text::{ErrorText, up_to_zero};
pub use inline::split_line;
pub use limits::Limits;
pub use number::{DoubleText, IntText, double_text, int_text, parse_int, unsigned_text};
pub use reply::{Proto, Reply};
pub use request::{Parsed, Parser, ProtocolError, TooLarge, write_command, write_replaced};
pub use skim::{Skimmed, skim};
pub use strings::Strings;
pub use value::{DecodeError, Value, decode_reply};
