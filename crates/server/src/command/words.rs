//! Small words of all handlers: replies that many give, and arguments as they read them.
//!
//! They stand at the bottom, so that no handler needs its neighbours for them.

use quorate_resp::Reply;

/// An error whose text is made for the occasion.
#[cold]
pub(crate) fn error(text: impl Into<String>) -> Reply<'static> {
    Reply::Error(text.into().into())
}

/// Redis's `ERR syntax error`.
#[cold]
pub(crate) fn syntax_error() -> Reply<'static> {
    Reply::error("ERR syntax error")
}

/// Redis's error for a number that is none.
#[cold]
pub(crate) fn not_an_integer() -> Reply<'static> {
    Reply::error("ERR value is not an integer or out of range")
}

/// A bulk string.
pub(crate) fn bulk(text: impl Into<Vec<u8>>) -> Reply<'static> {
    Reply::owned(text.into())
}

/// Whether an argument is this word, in any case.
pub(crate) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// The argument as a number.
pub(crate) fn int(arg: &[u8]) -> Option<i64> {
    quorate_resp::parse_int(arg)
}

/// The argument as text, for messages.
pub(crate) fn text(arg: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(arg)
}
