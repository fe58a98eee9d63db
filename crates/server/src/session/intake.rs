//! The receiving side of a session: bytes as they came, and the commands found in them.
//!
//! A command is looked at where it lies. Consecutive data commands that go to the log are cut out
//! of the buffer as one piece (no copy); inline commands and gaps make the run a copied one.
//!
//! The buffer takes at most twice what waits in it and a few KiB, and no more than a large argument
//! needs; the bytes of a large run leave with it.

use crate::registry::{Entry, Registry};
use bytes::{Buf as _, Bytes, BytesMut};
use quorate_resp::{Args, Limits, Parsed, Parser, ProtocolError, TooLarge};

/// Bytes of room for one read. A smaller read than the room tells that the socket is empty, which
/// saves a system call.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Room made when there is too little.
const READ_BYTES: usize = 16 * 1024;
/// A buffer above this gives memory back when it is idle.
const KEEP_BYTES: usize = 32 * 1024;
/// Bytes of one run: what is in flight of one session is bounded by this and one command.
const RUN_BYTES_MAX: usize = 1 << 20;
/// Commands of one run.
const RUN_COMMANDS_MAX: usize = 16 * 1024;

/// The command at the front of what is not yet consumed.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// The command; `None` when nobody knows the name.
    pub(super) entry: Option<&'static Entry>,
    /// Bytes it takes in the buffer.
    pub(super) len: usize,
    canonical: bool,
    /// Set when it exceeds a limit: nothing of it is here any more.
    pub(super) too_large: Option<TooLarge>,
}

/// Commands collected for the log.
#[derive(Debug, Default)]
struct Gathered {
    /// Where the run lies in the buffer, while it is one piece of it.
    start: usize,
    end: usize,
    /// The run's bytes, once it is not one piece.
    copied: BytesMut,
    /// Registry ids, in order.
    ids: Vec<u16>,
}

/// A finished run.
pub(super) struct Collected {
    /// Canonical RESP, back to back.
    pub(super) commands: Bytes,
    /// Registry ids, in order; give them back with [`Intake::recycle`].
    pub(super) ids: Vec<u16>,
}

/// See the module.
pub(super) struct Intake {
    registry: &'static Registry,
    buffer: BytesMut,
    /// Bytes at the front that are done with.
    done: usize,
    parser: Parser,
    found: Option<Found>,
    /// The command found last.
    last: Option<&'static Entry>,
    gathered: Gathered,
    /// Greatest fill since memory was last given back.
    peak: usize,
    pub(super) limits: Limits,
}

impl Intake {
    pub(super) fn new(registry: &'static Registry, limits: Limits) -> Self {
        Self {
            registry,
            buffer: BytesMut::new(),
            done: 0,
            parser: Parser::default(),
            found: None,
            last: None,
            gathered: Gathered::default(),
            peak: 0,
            limits,
        }
    }

    /// The buffer with room for a read.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        let room = self.buffer.capacity() - self.buffer.len();
        let lacks = self.lacks().filter(|bytes| *bytes > 0);
        if room < READ_BYTES_MIN && lacks.is_none_or(|bytes| bytes > room) {
            self.grow(lacks);
        }
        &mut self.buffer
    }

    /// What an argument that is under way still lacks. The parser has not seen the last read.
    fn lacks(&self) -> Option<usize> {
        let waiting = self.buffer.len() - self.done;
        self.parser.wants().map(|bytes| bytes.saturating_sub(waiting))
    }

    /// Whether the last read brought the end of an argument: it is served before more is read.
    pub(super) fn is_filled(&self) -> bool {
        self.lacks() == Some(0)
    }

    /// Makes room by what has arrived, never by what a header declares, but for no more than that.
    fn grow(&mut self, lacks: Option<usize>) {
        let len = self.buffer.len();
        let more = READ_BYTES.max(lacks.map_or(len, |bytes| len.min(bytes)));
        if len < KEEP_BYTES {
            return self.buffer.reserve(more);
        }
        // `reserve` would double.
        let mut larger = BytesMut::with_capacity(len + more);
        larger.extend_from_slice(&self.buffer);
        self.buffer = larger;
    }

    /// Whether there is no buffer at all (an idle session).
    pub(super) fn is_bare(&self) -> bool {
        self.buffer.capacity() == 0
    }

    /// Bytes that wait, and bytes taken for them.
    pub(super) fn sizes(&self) -> (usize, usize) {
        // What the parser always keeps is no burden: an idle client takes nothing.
        let spans = self.parser.bytes().saturating_sub(KEEP_BYTES);
        let taken = self.buffer.capacity() + spans + self.gathered.copied.capacity();
        (self.buffer.len() - self.done, taken)
    }

    /// Bytes of the command that is being skipped, as far as it has said; `None` if none is.
    pub(super) fn skipping(&self) -> Option<usize> {
        self.parser.skipping()
    }

    /// The next command, if a whole one is there. It stays until [`Self::consume`] or
    /// [`Self::gather`].
    pub(super) fn next(&mut self) -> Result<Option<Found>, ProtocolError> {
        if self.found.is_some() {
            return Ok(self.found);
        }
        loop {
            let waiting = self.buffer.get(self.done..).unwrap_or(&[]);
            match self.parser.parse(waiting, &self.limits)? {
                Parsed::Incomplete => return Ok(None),
                Parsed::Empty { len } | Parsed::Skipped { len } => self.done += len,
                Parsed::TooLarge { len, why } => {
                    let too_large = Some(why);
                    self.found = Some(Found { entry: None, len, canonical: false, too_large });
                    return Ok(self.found);
                }
                Parsed::Command { len, canonical } => {
                    let entry = self.registry.resolve_like(self.last, self.parser.args(waiting));
                    self.last = entry;
                    self.found = Some(Found { entry, len, canonical, too_large: None });
                    return Ok(self.found);
                }
            }
        }
    }

    /// Everything that has arrived and is not consumed.
    pub(super) fn waiting(&self) -> &[u8] {
        self.buffer.get(self.done..).unwrap_or(&[])
    }

    /// The arguments of the command that [`Self::next`] found.
    pub(super) fn args(&self) -> Args<'_> {
        self.parser.args(self.waiting())
    }

    /// Its bytes, canonical.
    pub(super) fn canonical(&self) -> &[u8] {
        self.parser.canonical(self.waiting())
    }

    /// Steps over the command.
    pub(super) fn consume(&mut self) {
        if let Some(found) = self.found.take() {
            self.done += found.len;
        }
    }

    /// Adds the command to the run.
    pub(super) fn gather(&mut self) {
        let Some(found) = self.found else { return };
        let run = &mut self.gathered;
        run.ids.push(found.entry.map_or(u16::MAX, |entry| entry.id));
        let first = run.ids.len() == 1;
        let in_line = run.copied.is_empty() && (first || run.end == self.done);
        if found.canonical && in_line {
            if first {
                run.start = self.done;
            }
            run.end = self.done + found.len;
        } else {
            if run.copied.is_empty() && !first {
                run.copied.extend_from_slice(self.buffer.get(run.start..run.end).unwrap_or(&[]));
            }
            let waiting = self.buffer.get(self.done..).unwrap_or(&[]);
            run.copied.extend_from_slice(self.parser.canonical(waiting));
        }
        self.consume();
    }

    /// Whether nothing is gathered.
    pub(super) fn is_empty_run(&self) -> bool {
        self.gathered.ids.is_empty()
    }

    /// Whether the run is large enough to go.
    pub(super) fn is_full_run(&self) -> bool {
        let run = &self.gathered;
        run.copied.len().max(run.end - run.start) >= RUN_BYTES_MAX
            || run.ids.len() >= RUN_COMMANDS_MAX
    }

    /// Cuts the run out of the buffer.
    pub(super) fn take_run(&mut self) -> Collected {
        let run = &mut self.gathered;
        let ids = std::mem::take(&mut run.ids);
        let commands = if run.copied.is_empty() {
            self.buffer.advance(run.start);
            self.done -= run.end;
            let commands = self.buffer.split_to(run.end - run.start).freeze();
            if self.buffer.is_empty() && commands.len() >= RUN_BYTES_MAX {
                // The allocation is freed with the run.
                self.buffer = BytesMut::new();
            }
            commands
        } else {
            run.copied.split().freeze()
        };
        run.start = 0;
        run.end = 0;
        run.copied = BytesMut::new();
        Collected { commands, ids }
    }

    /// Takes a run's list back, so that the next run need not allocate one.
    pub(super) fn recycle(&mut self, mut ids: Vec<u16>) {
        ids.clear();
        self.gathered.ids = ids;
    }

    /// Drops what is done with. Called when the batch is served and nothing points into the buffer.
    pub(super) fn compact(&mut self) {
        self.peak = self.peak.max(self.buffer.len());
        self.buffer.advance(self.done);
        let behind = std::mem::take(&mut self.done);
        if self.buffer.is_empty() || behind > KEEP_BYTES {
            // Back to the front of the allocation, if no run points into it any more: room without
            // allocating.
            let _ = self.buffer.try_reclaim(self.buffer.capacity() + 1);
        }
    }

    /// Gives memory back: all of it when `idle` and nothing waits, else what recent requests did
    /// not need.
    pub(super) fn shrink(&mut self, idle: bool) {
        if self.found.is_some() || self.done > 0 {
            return;
        }
        if self.buffer.is_empty() && idle {
            self.buffer = BytesMut::new();
        } else if self.buffer.capacity() > KEEP_BYTES && self.peak < self.buffer.capacity() / 2 {
            let mut smaller = BytesMut::with_capacity(self.peak.max(READ_BYTES));
            smaller.extend_from_slice(&self.buffer);
            self.buffer = smaller;
        }
        self.peak = self.buffer.len();
    }
}
