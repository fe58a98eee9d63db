//! How large a request may be. Every bound of the request side has its name here.
//!
//! The parser refuses what a header *declares* beyond these bounds, before a byte of the body has
//! arrived, and it allocates for what has arrived only. What a known client sends beyond them is
//! skipped, so that it can be answered in its place; what Redis would take for no protocol at all,
//! and what a stranger sends, is an error that ends the connection. How much may wait in a
//! session's buffer (the query buffer limit) is the session's business, since it owns the buffer.

/// Arguments of one command once the client is known.
pub(crate) const ARGS_MAX: usize = 1024 * 1024;
/// Bytes of one argument once the client is known.
pub(crate) const BULK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one command once the client is known, headers included.
pub(crate) const COMMAND_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes of an argument that is skipped: beyond them the header is invalid, as it is in Redis with
/// its defaults.
pub(crate) const SKIPPED_BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Arguments of a command that is skipped, as in Redis.
pub(crate) const SKIPPED_ARGS_MAX: usize = i32::MAX as usize;
/// Bytes of a command that is skipped. Redis closes a connection whose command needs more than
/// these, its query buffer limit.
pub(crate) const SKIPPED_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Bytes of an inline command, and of a header line (`*…`, `$…`), as in Redis.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

/// How large a request may be. Nothing is ever allocated by a declared size; these bound what is
/// *accepted*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Arguments of one command (1,048,576; 10 before authentication).
    pub args_max: usize,
    /// Bytes of one argument (`proto-max-bulk-len`, default 64 MiB here; 16,384 before
    /// authentication).
    pub bulk_bytes_max: usize,
    /// Bytes of one command, headers included (128 MiB).
    pub command_bytes_max: usize,
    /// Bytes of an inline command (Redis: 65,536).
    pub inline_bytes_max: usize,
    /// Whether a command beyond these limits is skipped, so that what follows it is understood. If
    /// not, it is a [`ProtocolError`](crate::ProtocolError).
    pub skips: bool,
    /// Whether the client may use the server. If not, a request that only a known client may send
    /// is refused with the error that says so.
    pub authenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            args_max: ARGS_MAX,
            bulk_bytes_max: BULK_BYTES_MAX,
            command_bytes_max: COMMAND_BYTES_MAX,
            inline_bytes_max: LINE_BYTES_MAX,
            skips: true,
            authenticated: true,
        }
    }
}

impl Limits {
    /// What a client may send that has not authenticated yet, as in Redis: enough for `AUTH` and
    /// `HELLO`, too little to be a burden.
    pub fn unauthenticated() -> Self {
        Self {
            args_max: 10,
            bulk_bytes_max: 16_384,
            skips: false,
            authenticated: false,
            ..Self::default()
        }
    }

    /// For bytes that were accepted once and are read again from the log: only what a span can
    /// express is a limit, so that a setting lowered since then cannot make an entry unreadable.
    pub fn stored() -> Self {
        let all = u32::MAX as usize;
        Self {
            args_max: all,
            bulk_bytes_max: all,
            command_bytes_max: all,
            inline_bytes_max: 0,
            skips: false,
            authenticated: true,
        }
    }
}
