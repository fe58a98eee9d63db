//! How large a request may be. Every bound of the request side has its name here.
//!
//! The parser refuses what a header *declares* beyond these bounds, before a byte of the body has
//! arrived, and it allocates for what has arrived only. How much may wait in a session's buffer
//! (the query buffer limit) is the session's business, since it owns the buffer.

/// Arguments of one command once the client is known.
pub(crate) const ARGS_MAX: usize = 1024 * 1024;
/// Bytes of one argument once the client is known.
pub(crate) const BULK_BYTES_MAX: usize = 64 * 1024 * 1024;
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
    /// Bytes of an inline command (Redis: 65,536).
    pub inline_bytes_max: usize,
    /// Whether the client may use the server. If not, a request that only a known client may send
    /// is refused with the error that says so.
    pub authenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            args_max: ARGS_MAX,
            bulk_bytes_max: BULK_BYTES_MAX,
            inline_bytes_max: LINE_BYTES_MAX,
            authenticated: true,
        }
    }
}

impl Limits {
    /// What a client may send that has not authenticated yet, as in Redis: enough for `AUTH` and
    /// `HELLO`, too little to be a burden.
    pub fn unauthenticated() -> Self {
        Self { args_max: 10, bulk_bytes_max: 16_384, authenticated: false, ..Self::default() }
    }

    /// For bytes that were accepted once and are read again from the log: only what a span can
    /// express is a limit, so that a setting lowered since then cannot make an entry unreadable.
    pub fn stored() -> Self {
        let all = u32::MAX as usize;
        Self { args_max: all, bulk_bytes_max: all, inline_bytes_max: 0, authenticated: true }
    }
}
