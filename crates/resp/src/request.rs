//! Requests: arrays of bulk strings and inline commands, found in a buffer without copying.
//!
//! The session owns the buffer and reads into it; [`Parser`] looks at it and remembers how far it
//! got, so that a request that arrives byte by byte costs no more than one that arrives whole, and
//! gives the same result. Leniencies of Redis are kept: a line is ended by CR and *any* byte, and
//! the two bytes behind an argument are not looked at. Such a command is not canonical, and what is
//! kept of it (the log, the peers) is [`Parser::canonical`], its only exact form.
//!
//! A command that exceeds a limit of a known client is understood as far as is needed to find its
//! end ([`skip`]), and reported there.

mod skip;

pub use skip::TooLarge;

use crate::limits::{
    ARGS_MAX, BULK_BYTES_MAX, LINE_BYTES_MAX, SKIPPED_ARGS_MAX, SKIPPED_BULK_BYTES_MAX,
};
use crate::number::unsigned_text;
use crate::{Args, Limits, Span, parse_int, split_line};
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use bytes::BytesMut;
use core::fmt;
use skip::Skip;

/// Spans kept allocated between commands; what a huge command needed beyond is given back.
const SPANS_KEPT: usize = 1024;

/// A request that can never become a command. The session answers it and closes.
/// Display gives Redis's text, for example `Protocol error: invalid bulk length`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError(pub Cow<'static, str>);

impl ProtocolError {
    #[cold]
    fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl core::error::Error for ProtocolError {}

/// What [`Parser::parse`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole command lies in the first `len` bytes of the buffer; its spans are in the parser.
    Command {
        /// Bytes to consume, terminator included.
        len: usize,
        /// False for an inline command, whose bytes are not the canonical array form.
        canonical: bool,
    },
    /// An empty request (`\r\n`, `*0\r\n`): nothing to answer, `len` bytes to consume.
    Empty {
        /// Bytes to consume.
        len: usize,
    },
    /// Bytes of a command that exceeds a limit, to be consumed and forgotten; there is more of it.
    Skipped {
        /// Bytes to consume, at least one.
        len: usize,
    },
    /// The end of a command that exceeds a limit. It is to be answered, and did not run.
    TooLarge {
        /// Bytes to consume: what is left of it.
        len: usize,
        /// The limit.
        why: TooLarge,
    },
    /// More bytes are needed. Progress is kept, so that feeding one byte at a time stays linear.
    Incomplete,
}

/// How far an unfinished request is understood.
#[derive(Debug, Default)]
struct Progress {
    /// First byte not yet understood. Everything before it is in the spans.
    pos: usize,
    /// First byte not yet searched for a line's end. Invariant: `pos <= scanned` within a line.
    scanned: usize,
    /// Arguments still to come; `None` until the array's header is read.
    args_left: Option<usize>,
    /// Bytes of the argument whose header is read and whose body is not.
    bulk_bytes: Option<usize>,
    /// Whether a terminator was something other than CR LF.
    sloppy: bool,
}

/// What became of reading an argument.
enum Argument {
    Whole,
    Unfinished,
    /// It goes beyond a limit; with what its header declared, if that is read.
    TooLarge(TooLarge, Option<usize>),
}

/// An incremental parser. One per session; it remembers how far it got in an unfinished request.
#[derive(Debug, Default)]
pub struct Parser {
    spans: Vec<Span>,
    progress: Progress,
    /// Whether the last call returned `Incomplete`, so that `progress` counts.
    unfinished: bool,
    /// The canonical form of a command that did not arrive in it; the spans then point here.
    rewritten: Vec<u8>,
    /// The command that is being skipped.
    skip: Option<Skip>,
}

impl Parser {
    /// Looks for one command at the front of `buffer`. The caller consumes the returned length
    /// before it calls again, and after `Incomplete` calls again with the same bytes and more
    /// behind them.
    pub fn parse(&mut self, buffer: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        if self.skip.is_some() {
            return self.skip_on(buffer, limits);
        }
        if !self.unfinished {
            self.forget();
            if let Some(len) = self.whole(buffer, limits) {
                return Ok(Parsed::Command { len, canonical: true });
            }
            self.spans.clear();
        }
        let found = match buffer.first() {
            None => Ok(Parsed::Incomplete),
            Some(b'*') => self.array(buffer, limits),
            Some(_) => self.inline(buffer, limits),
        };
        self.unfinished = found == Ok(Parsed::Incomplete);
        found
    }

    /// Takes a line for a command: words with one space between each two. They are found as
    /// [`Self::args`] of the same line. Knows no quotes; what lies between two spaces, at the
    /// beginning or at the end, is an empty argument. The line is shorter than 4 GiB.
    pub fn words(&mut self, line: &[u8]) {
        self.forget();
        self.spans.clear();
        self.unfinished = false;
        let mut start = 0;
        for word in line.split(|&byte| byte == b' ') {
            let end = start + word.len();
            self.spans.push(Span { start: start as u32, end: end as u32 });
            start = end + 1;
        }
    }

    /// The arguments that the last [`Parsed::Command`] found, as slices of the same `buffer`.
    pub fn args<'a>(&'a self, buffer: &'a [u8]) -> Args<'a> {
        Args::new(if self.rewritten.is_empty() { buffer } else { &self.rewritten }, &self.spans)
    }

    /// The last command's bytes in canonical form: the front of the same `buffer`, or, for a
    /// command that arrived otherwise, the parser's own rewriting of it. The spans fit either.
    pub fn canonical<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        if self.rewritten.is_empty() {
            buffer.get(..self.progress.pos).unwrap_or(&[])
        } else {
            &self.rewritten
        }
    }

    /// Where the last command's arguments lie in [`Self::canonical`].
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// What nearly every request is: an array, all of it there, canonical, of short arguments.
    /// Where this finds anything else, the way for all requests begins anew.
    fn whole(&mut self, buffer: &[u8], limits: &Limits) -> Option<usize> {
        let (count, mut pos) = short_header(buffer, b'*')?;
        if count > limits.args_max {
            return None;
        }
        // All of them are written below. In a pipeline the command before has left as many.
        if self.spans.len() != count {
            self.spans.resize(count, Span { start: 0, end: 0 });
        }
        for span in &mut self.spans {
            let (bytes, behind) = short_header(buffer.get(pos..)?, b'$')?;
            let start = pos + behind;
            let end = start + bytes;
            if bytes > limits.bulk_bytes_max || buffer.get(end..)?.first_chunk()? != b"\r\n" {
                return None;
            }
            *span = Span { start: start as u32, end: end as u32 };
            pos = end + 2;
        }
        if pos > limits.command_bytes_max {
            return None;
        }
        self.progress.pos = pos;
        Some(pos)
    }

    /// Forgets the last command but for its spans, which may be written over.
    fn forget(&mut self) {
        self.progress = Progress::default();
        if self.spans.capacity() > SPANS_KEPT {
            self.spans.clear();
            self.spans.shrink_to(SPANS_KEPT);
        }
        self.rewritten.clear();
        self.rewritten.shrink_to(LINE_BYTES_MAX);
    }

    fn array(&mut self, buffer: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        if self.progress.args_left.is_none() {
            let Some(declared) = self.array_header(buffer, limits)? else {
                return Ok(Parsed::Incomplete);
            };
            if declared == 0 {
                return Ok(Parsed::Empty { len: self.progress.pos });
            }
            if declared > limits.args_max {
                return self.begin_skip(buffer, limits, Skip::arguments(declared, limits));
            }
            self.progress.args_left = Some(declared);
            self.spans.reserve(declared.min(SPANS_KEPT));
        }
        while let Some(left @ 1..) = self.progress.args_left {
            match self.argument(buffer, limits)? {
                Argument::Whole => self.progress.args_left = Some(left - 1),
                Argument::Unfinished => return Ok(Parsed::Incomplete),
                Argument::TooLarge(why, bytes) => {
                    return self.begin_skip(buffer, limits, Skip::argument(why, left, bytes));
                }
            }
        }
        let len = self.progress.pos;
        if self.progress.sloppy {
            let spans = core::mem::take(&mut self.spans);
            let args: Vec<_> = Args::new(buffer, &spans).iter().collect();
            self.rewrite(&args);
        }
        Ok(Parsed::Command { len, canonical: self.rewritten.is_empty() })
    }

    /// The number of arguments; 0 for an empty request, `None` while the line is not whole.
    fn array_header(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        const TOO_LONG: &str = "Protocol error: too big mbulk count string";
        const INVALID: &str = "Protocol error: invalid multibulk length";
        const UNKNOWN_CLIENT: &str = "Protocol error: unauthenticated multibulk length";
        let Some(line) = self.header_line(buffer, TOO_LONG)? else { return Ok(None) };
        let declared =
            line.get(1..).and_then(parse_int).ok_or_else(|| ProtocolError::new(INVALID))?;
        let declared = usize::try_from(declared).unwrap_or(0);
        let most = if limits.skips { SKIPPED_ARGS_MAX } else { limits.args_max };
        if declared > most {
            let known = limits.authenticated || declared > ARGS_MAX;
            return Err(ProtocolError::new(if known { INVALID } else { UNKNOWN_CLIENT }));
        }
        Ok(Some(declared))
    }

    /// Reads one argument.
    fn argument(&mut self, buffer: &[u8], limits: &Limits) -> Result<Argument, ProtocolError> {
        let bytes = if let Some(bytes) = self.progress.bulk_bytes {
            bytes
        } else {
            let header = self.bulk_header(buffer, limits)?;
            if let Some(why) = self.exceeded(buffer, header, limits) {
                return Ok(Argument::TooLarge(why, header));
            }
            let Some(bytes) = header else { return Ok(Argument::Unfinished) };
            bytes
        };
        let start = self.progress.pos;
        let end = start.saturating_add(bytes);
        let Some(terminator) = buffer.get(end..).and_then(<[u8]>::first_chunk) else {
            self.progress.bulk_bytes = Some(bytes);
            return Ok(Argument::Unfinished);
        };
        self.progress.sloppy |= terminator != b"\r\n";
        self.spans.push(Span { start: start as u32, end: end as u32 });
        self.progress.bulk_bytes = None;
        self.progress.pos = end + 2;
        Ok(Argument::Whole)
    }

    /// Bytes that the buffer will hold when the argument that is under way is there, if its header
    /// is: more need not be made room for.
    pub fn wants(&self) -> Option<usize> {
        let bytes = self.progress.bulk_bytes.filter(|_| self.unfinished)?;
        Some(self.progress.pos.saturating_add(bytes).saturating_add(2))
    }

    /// Bytes that the parser itself takes.
    pub fn bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>() + self.rewritten.capacity()
    }

    /// The declared length of one argument, `None` while the line is not whole.
    fn bulk_header(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        const TOO_LONG: &str = "Protocol error: too big bulk count string";
        const INVALID: &str = "Protocol error: invalid bulk length";
        const UNKNOWN_CLIENT: &str = "Protocol error: unauthenticated bulk length";
        let Some(line) = self.header_line(buffer, TOO_LONG)? else { return Ok(None) };
        let (kind, number) = line.split_first().unwrap_or((&b'\r', &[]));
        if *kind != b'$' {
            return Err(unexpected_kind(*kind));
        }
        let declared = parse_int(number).and_then(|number| usize::try_from(number).ok());
        let declared = declared.ok_or_else(|| ProtocolError::new(INVALID))?;
        let most = if limits.skips { SKIPPED_BULK_BYTES_MAX } else { limits.bulk_bytes_max };
        if declared > most {
            let known = limits.authenticated || declared > BULK_BYTES_MAX;
            return Err(ProtocolError::new(if known { INVALID } else { UNKNOWN_CLIENT }));
        }
        // A span holds 32-bit positions: what would end behind them is refused before it arrives.
        if self.progress.pos.saturating_add(declared) > u32::MAX as usize - 2 {
            return Err(ProtocolError::new(INVALID));
        }
        Ok(Some(declared))
    }

    /// The line at `pos` without its end, consumed; `None` while it is not whole.
    fn header_line<'a>(
        &mut self,
        buffer: &'a [u8],
        too_long: &'static str,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        let start = self.progress.pos;
        let Some(end) = self.find(buffer, b'\r', LINE_BYTES_MAX, too_long)? else {
            return Ok(None);
        };
        let Some(behind) = buffer.get(end + 1) else { return Ok(None) };
        self.progress.sloppy |= *behind != b'\n';
        self.progress.pos = end + 2;
        self.progress.scanned = end + 2;
        Ok(buffer.get(start..end))
    }

    /// Where `delimiter` lies, searching on from where the last search ended. More than `line_max`
    /// bytes without one are an error, however they arrive.
    fn find(
        &mut self,
        buffer: &[u8],
        delimiter: u8,
        line_max: usize,
        too_long: &'static str,
    ) -> Result<Option<usize>, ProtocolError> {
        let from = self.progress.scanned.max(self.progress.pos);
        let until = buffer.len().min(self.progress.pos.saturating_add(line_max).saturating_add(1));
        let window = buffer.get(from..until).unwrap_or(&[]);
        if let Some(at) = window.iter().position(|&byte| byte == delimiter) {
            self.progress.scanned = from + at;
            return Ok(Some(from + at));
        }
        self.progress.scanned = from.max(until);
        if until.saturating_sub(self.progress.pos) > line_max {
            return Err(ProtocolError::new(too_long));
        }
        Ok(None)
    }

    fn inline(&mut self, buffer: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        const TOO_LONG: &str = "Protocol error: too big inline request";
        let Some(end) = self.find(buffer, b'\n', limits.inline_bytes_max, TOO_LONG)? else {
            return Ok(Parsed::Incomplete);
        };
        let line = buffer.get(..end).unwrap_or(&[]);
        let args = split_line(line.strip_suffix(b"\r").unwrap_or(line))
            .ok_or_else(|| ProtocolError::new("Protocol error: unbalanced quotes in request"))?;
        self.progress.pos = end + 1;
        if args.is_empty() {
            return Ok(Parsed::Empty { len: end + 1 });
        }
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        self.rewrite(&args);
        Ok(Parsed::Command { len: end + 1, canonical: false })
    }

    /// Keeps the canonical form of a command that arrived in another one.
    fn rewrite(&mut self, args: &[&[u8]]) {
        let mut out = BytesMut::new();
        put_header(&mut out, b'*', args.len());
        let mut spans = Vec::with_capacity(args.len());
        for arg in args {
            put_header(&mut out, b'$', arg.len());
            spans.push(Span { start: out.len() as u32, end: (out.len() + arg.len()) as u32 });
            out.extend_from_slice(arg);
            out.extend_from_slice(b"\r\n");
        }
        self.spans = spans;
        self.rewritten = out.into();
    }
}

/// A header's number of one to three digits, as a canonical one has them, and its length; not 0 of
/// an array. Every header has six bytes from its mark on, with what must follow.
#[inline]
pub(crate) fn short_header(buffer: &[u8], kind: u8) -> Option<(usize, usize)> {
    let digit = |byte: u8| Some(usize::from(byte.wrapping_sub(b'0'))).filter(|&digit| digit < 10);
    let [mark, first, rest @ ..] = *buffer.first_chunk::<6>()?;
    let one = if mark == kind { digit(first)? } else { return None };
    if let [b'\r', b'\n', ..] = rest {
        return (one > 0 || kind != b'*').then_some((one, 4));
    }
    let [second, rest @ ..] = rest;
    let two = if one > 0 { 10 * one + digit(second)? } else { return None };
    if let [b'\r', b'\n', ..] = rest {
        return Some((two, 5));
    }
    let [third, rest @ ..] = rest;
    let three = 10 * two + digit(third)?;
    (rest == *b"\r\n").then_some((three, 6))
}

#[cold]
fn unexpected_kind(kind: u8) -> ProtocolError {
    ProtocolError(Cow::Owned(format!("Protocol error: expected '$', got '{}'", char::from(kind))))
}

/// Appends one command in canonical form (`*n\r\n$len\r\n…`).
pub fn write_command<'a>(out: &mut BytesMut, args: impl ExactSizeIterator<Item = &'a [u8]>) {
    put_header(out, b'*', args.len());
    for arg in args {
        out.reserve(arg.len() + 32);
        put_header(out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a command, which lies in canonical form, with another argument (not the name) at one
/// place: what is around it is copied as it lies. If there is no such place nothing is replaced.
pub fn write_replaced(out: &mut BytesMut, args: Args<'_>, at: usize, by: &[u8]) {
    let Some((front, behind)) = args.around(at) else {
        return out.extend_from_slice(args.whole());
    };
    out.reserve(front.len() + by.len() + behind.len() + 32);
    out.extend_from_slice(front);
    put_header(out, b'$', by.len());
    out.extend_from_slice(by);
    out.extend_from_slice(behind);
}

/// Appends a type byte, a count and a line's end.
pub(crate) fn put_header(out: &mut BytesMut, kind: u8, count: usize) {
    out.extend_from_slice(unsigned_text(count as u64).into_line(kind).as_line());
}

#[cfg(test)]
mod tests;
