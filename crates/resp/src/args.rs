//! The arguments of one command: spans of the buffer that holds them, so nothing is copied.
//!
//! Spans are 32-bit, so a command ends below 4 GiB; the parser refuses what would not. A span that
//! does not fit its buffer yields an empty argument, never a panic.

/// Where one argument lies in its buffer, in bytes from the buffer's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A command as it was received: its name and arguments, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// Views `spans` of `buffer`.
    pub fn new(buffer: &'a [u8], spans: &'a [Span]) -> Self {
        Self { buffer, spans }
    }

    /// Number of arguments, the command's name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is nothing at all, not even a name.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `at` (0 is the command's name), if there is one.
    pub fn get(&self, at: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(at)?;
        self.buffer.get(span.start as usize..span.end as usize)
    }

    /// The argument at `at`, or an empty slice: for places that the arity check has proved.
    pub fn at(&self, at: usize) -> &'a [u8] {
        self.get(at).unwrap_or(&[])
    }

    /// The arguments from `first` on.
    #[must_use]
    pub fn from(&self, first: usize) -> Args<'a> {
        Args { buffer: self.buffer, spans: self.spans.get(first..).unwrap_or(&[]) }
    }

    /// The whole canonical command.
    pub(crate) fn whole(&self) -> &'a [u8] {
        let end = self.spans.last().map(|last| last.end as usize + 2);
        end.and_then(|end| self.buffer.get(..end)).unwrap_or_default()
    }

    /// What is around an argument (not the name) of a canonical command: all up to its header, and
    /// all from the line's end behind it on. `None`: there is no such argument.
    pub(crate) fn around(&self, at: usize) -> Option<(&'a [u8], &'a [u8])> {
        let before = self.spans.get(at.checked_sub(1)?)?;
        let span = self.spans.get(at)?;
        let front = self.buffer.get(..before.end as usize + 2)?;
        Some((front, self.whole().get(span.end as usize..)?))
    }

    /// All arguments in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let buffer = self.buffer;
        self.spans
            .iter()
            .map(move |span| buffer.get(span.start as usize..span.end as usize).unwrap_or(&[]))
    }
}
