//! The receiving side of a session: bytes as they came, and the commands found in them.
//!
//! A command is looked at where it lies. Consecutive data commands that go to the log are cut out
//! of the buffer as one piece (no copy); inline commands and gaps make the run a copied one.

use crate::registry::{Entry, Registry};
use bytes::{Buf as _, Bytes, BytesMut};
use quorate_resp::{Args, Limits, Parsed, Parser, ProtocolError};

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
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES_MIN {
            // Growing by what has arrived, never by what a header declares.
            self.buffer.reserve(READ_BYTES.max(self.buffer.len()));
        }
        &mut self.buffer
    }

    /// Whether there is no buffer at all (an idle session).
    pub(super) fn is_bare(&self) -> bool {
        self.buffer.capacity() == 0
    }

    /// Bytes that wait, and bytes the buffer takes.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.buffer.len() - self.done, self.buffer.capacity())
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
                Parsed::Empty { len } => self.done += len,
                Parsed::Command { len, canonical } => {
                    let entry = self.registry.resolve_like(self.last, self.parser.args(waiting));
                    self.last = entry;
                    self.found = Some(Found { entry, len, canonical });
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
            self.buffer.split_to(run.end - run.start).freeze()
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
        self.done = 0;
        if self.buffer.is_empty() {
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
