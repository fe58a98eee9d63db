//! The way past a command that exceeds a limit.
//!
//! Nothing of it is kept but how much is still to come. Whether a command is too large is decided
//! by its bytes alone and never by how they arrived, so the story is the same however it is fed.
//! Its headers are still held to the protocol; how long skipping may take is the session's
//! business.

use super::{Parsed, Parser, ProtocolError, SPANS_KEPT};
use crate::Limits;
use crate::limits::SKIPPED_BYTES_MAX;
use core::fmt;

/// A limit that a command exceeds. Display gives a text for its client, without a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLarge {
    /// It has more arguments than this.
    Arguments(usize),
    /// One of its arguments has more bytes than this.
    Argument(usize),
    /// All of it has more bytes than this.
    Command(usize),
}

impl fmt::Display for TooLarge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(most) => write!(out, "too many arguments: the limit is {most}"),
            Self::Argument(most) => {
                write!(out, "argument too large: the limit is {most} bytes (proto-max-bulk-len)")
            }
            Self::Command(most) => write!(out, "command too large: the limit is {most} bytes"),
        }
    }
}

/// A command on its way out.
#[derive(Debug)]
pub(super) struct Skip {
    why: TooLarge,
    /// Arguments whose headers are still to come.
    args_left: usize,
    /// Bytes of the present argument still to come, its end included.
    bytes_left: usize,
    /// Bytes of the command that are behind us.
    skipped: usize,
}

impl Skip {
    /// Of a command with so many arguments, none of which is read.
    pub(super) fn arguments(count: usize, limits: &Limits) -> Self {
        let why = TooLarge::Arguments(limits.args_max);
        Self { why, args_left: count, bytes_left: 0, skipped: 0 }
    }

    /// Of a command with `left` arguments to come, the next of which has so many bytes, if that is
    /// known.
    pub(super) fn argument(why: TooLarge, left: usize, bytes: Option<usize>) -> Self {
        match bytes {
            Some(bytes) => Self { why, args_left: left - 1, bytes_left: bytes + 2, skipped: 0 },
            None => Self { why, args_left: left, bytes_left: 0, skipped: 0 },
        }
    }
}

impl Parser {
    /// Bytes that the command which is being skipped takes, as far as it has said; `None` if none
    /// is.
    pub fn skipping(&self) -> Option<usize> {
        self.skip.as_ref().map(|skip| skip.skipped + skip.bytes_left)
    }

    /// Which limit the command exceeds with the argument whose header was looked for, and is read
    /// (`declared`) or goes on behind the end of the buffer.
    pub(super) fn exceeded(
        &self,
        buffer: &[u8],
        declared: Option<usize>,
        limits: &Limits,
    ) -> Option<TooLarge> {
        if !limits.skips {
            return None;
        }
        let most = limits.command_bytes_max;
        let command = Some(TooLarge::Command(most));
        let Some(bytes) = declared else { return command.filter(|_| buffer.len() >= most) };
        let end = self.progress.pos.saturating_add(bytes).saturating_add(2);
        if self.progress.pos <= most && bytes > limits.bulk_bytes_max {
            return Some(TooLarge::Argument(limits.bulk_bytes_max));
        }
        command.filter(|_| end > most)
    }

    /// Begins to skip the command whose first bytes are understood.
    #[cold]
    pub(super) fn begin_skip(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
        skip: Skip,
    ) -> Result<Parsed, ProtocolError> {
        self.spans.clear();
        self.spans.shrink_to(SPANS_KEPT);
        self.skip = Some(skip);
        self.skip_on(buffer, limits)
    }

    /// Goes on skipping: as far as the buffer reaches, or to the command's end.
    #[cold]
    pub(super) fn skip_on(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
    ) -> Result<Parsed, ProtocolError> {
        let Some(mut skip) = self.skip.take() else { return Ok(Parsed::Incomplete) };
        loop {
            let here = skip.bytes_left.min(buffer.len().saturating_sub(self.progress.pos));
            self.progress.pos += here;
            skip.bytes_left -= here;
            if skip.bytes_left > 0 {
                break;
            }
            if skip.args_left == 0 {
                self.unfinished = false;
                return Ok(Parsed::TooLarge { len: self.progress.pos, why: skip.why });
            }
            let Some(bytes) = self.bulk_header(buffer, limits)? else { break };
            skip.args_left -= 1;
            skip.bytes_left = bytes.saturating_add(2);
            let end = skip.skipped.saturating_add(self.progress.pos);
            if end.saturating_add(skip.bytes_left) > SKIPPED_BYTES_MAX {
                return Err(ProtocolError::new("Protocol error: command too large to be skipped"));
            }
        }
        let len = self.progress.pos;
        skip.skipped += len;
        // The bytes behind are looked at again when they are at the front.
        self.progress.pos = 0;
        self.progress.scanned = self.progress.scanned.saturating_sub(len);
        self.skip = Some(skip);
        self.unfinished = true;
        Ok(if len > 0 { Parsed::Skipped { len } } else { Parsed::Incomplete })
    }
}
