//! What a client hears about a command that cannot be run at all, in Redis's words.
//!
//! Used by sealing and reading here, and by the server, which answers most of them before anything
//! is proposed.

use alloc::format;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, up_to_zero};

/// Redis shows so many bytes of a name, and so many of the arguments together.
const SHOWN_BYTES_MAX: usize = 128;

/// `ERR unknown command 'foo', with args beginning with: 'bar' `
#[cold]
pub fn unknown_command(args: Args<'_>) -> Reply<'static> {
    let mut shown = Vec::new();
    for arg in args.iter().skip(1) {
        let Some(room) = SHOWN_BYTES_MAX.checked_sub(shown.len()).filter(|&room| room > 0) else {
            break;
        };
        shown.extend_from_slice(&[b"'", shown_of(arg, room), b"' "].concat());
    }
    let name = shown_of(args.at(0), SHOWN_BYTES_MAX);
    Reply::error_of(&[b"ERR unknown command '", name, b"', with args beginning with: ", &shown])
}

/// `ERR unknown subcommand 'foo'. Try OBJECT HELP.`
#[cold]
pub fn unknown_subcommand(parent: &str, sub: &[u8]) -> Reply<'static> {
    let sub = shown_of(sub, SHOWN_BYTES_MAX);
    Reply::error_of(&[b"ERR unknown subcommand '", sub, b"'. Try ", parent.as_bytes(), b" HELP."])
}

/// `ERR wrong number of arguments for 'get' command`, from the row's name.
#[cold]
pub fn wrong_arity(name: &str) -> Reply<'static> {
    let name = name.to_ascii_lowercase();
    Reply::Error(format!("ERR wrong number of arguments for '{name}' command").into())
}

/// At most `most` bytes, up to a zero byte, as C prints a string.
fn shown_of(bytes: &[u8], most: usize) -> &[u8] {
    up_to_zero(bytes.get(..most).unwrap_or(bytes))
}
