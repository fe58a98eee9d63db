//! The text of an error reply.
//!
//! Most of it is ours; what it repeats of a client's bytes (a name, an option) goes out as it
//! came, whether that is UTF-8 or not.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// See the module: the whole line behind the `-`, code first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorText(Cow<'static, [u8]>);

impl ErrorText {
    /// A fixed text.
    pub const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    /// Texts and a client's bytes, one behind the other.
    pub fn of(parts: &[&[u8]]) -> Self {
        Self(Cow::Owned(parts.concat()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&'static str> for ErrorText {
    fn from(text: &'static str) -> Self {
        Self::fixed(text)
    }
}

impl From<String> for ErrorText {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text.into_bytes()))
    }
}

impl From<Vec<u8>> for ErrorText {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Cow::Owned(bytes))
    }
}

/// For our own eyes: what is no UTF-8 is replaced.
impl fmt::Display for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// The bytes up to the first zero byte, as C prints a string and so Redis does in its errors.
pub fn up_to_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}
