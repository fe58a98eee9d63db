//! What a client hears about a command that cannot be run at all, in Redis's words.
//!
//! Used by sealing and reading here, and by the server, which answers most of them before anything
//! is proposed.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use quorate_resp::{Args, Reply};

/// Redis shows so many bytes of a name, and so many of the arguments together.
const SHOWN_BYTES_MAX: usize = 128;

/// `ERR unknown command 'foo', with args beginning with: 'bar' `
#[cold]
pub fn unknown_command(args: Args<'_>) -> Reply<'static> {
    let mut shown = String::new();
    for arg in args.iter().skip(1) {
        let Some(room) = SHOWN_BYTES_MAX.checked_sub(shown.len()).filter(|&room| room > 0) else {
            break;
        };
        let _ = write!(shown, "'{}' ", printable(arg, room));
    }
    let name = printable(args.at(0), SHOWN_BYTES_MAX);
    error(format!("ERR unknown command '{name}', with args beginning with: {shown}"))
}

/// `ERR unknown subcommand 'foo'. Try OBJECT HELP.`
#[cold]
pub fn unknown_subcommand(parent: &str, sub: &[u8]) -> Reply<'static> {
    error(format!(
        "ERR unknown subcommand '{}'. Try {parent} HELP.",
        printable(sub, SHOWN_BYTES_MAX)
    ))
}

/// `ERR wrong number of arguments for 'get' command`, from the row's name.
#[cold]
pub fn wrong_arity(name: &str) -> Reply<'static> {
    error(format!("ERR wrong number of arguments for '{}' command", name.to_ascii_lowercase()))
}

/// At most `most` bytes, up to a zero byte, as C prints a string.
fn printable(bytes: &[u8], most: usize) -> Cow<'_, str> {
    let end = bytes.iter().take(most).take_while(|&&byte| byte != 0).count();
    String::from_utf8_lossy(bytes.get(..end).unwrap_or(&[]))
}

fn error(text: String) -> Reply<'static> {
    Reply::Error(Cow::Owned(text))
}
