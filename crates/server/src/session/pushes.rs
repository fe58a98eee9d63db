//! What is pushed to a client: how it comes among the replies, and what a subscriber may ask.
//!
//! Others leave frames in the peer's outbox. They go into the output when there is room in it, and
//! all of them before the next command is looked at: whoever unsubscribes gets no message behind
//! the confirmation. A large frame is sent as it lies, so that a thousand subscribers share it.

use super::{OUTPUT_HOLD_BYTES, Session};
use crate::backend::Backend;
use crate::command::error;
use crate::registry::Entry;
use bytes::{Buf as _, Bytes, BytesMut};
use quorate_engine::{Effect, Reader};
use quorate_resp::{Args, Reply};

/// Pushed frames are copied into the output while less than this is in it.
const OUTPUT_FILL_BYTES: usize = 64 << 10;

impl<B: Backend> Session<B> {
    /// Whether the client may run this: a subscriber that speaks RESP2 may do little.
    pub(super) fn may_run_subscribed(&self, entry: &Entry) -> Result<(), Reply<'static>> {
        /// What else it may do than to change what it listens to.
        const OTHERS: [&str; 3] = ["PING", "QUIT", "RESET"];
        if !self.client.is_confined() {
            return Ok(());
        }
        let name = entry.meta.name;
        if name.ends_with("SUBSCRIBE") || OTHERS.contains(&name) {
            return Ok(());
        }
        Err(error(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
             are allowed in this context",
            entry.name
        )))
    }

    /// Bytes that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.ahead.len() + self.output.len() + self.client.peer.pushed()
    }

    /// Whether something that was pushed waits to be sent.
    pub(super) fn has_pushes(&self) -> bool {
        !self.ahead.is_empty() || self.client.peer.pushed() > 0
    }

    /// Whether all that is to be sent is sent, but for what others have left since.
    pub(super) fn is_sent(&self) -> bool {
        self.ahead.is_empty() && self.output.is_empty()
    }

    /// So many bytes of what waits were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        if self.ahead.is_empty() {
            self.output.advance(bytes);
        } else {
            self.ahead.advance(bytes);
        }
        if self.is_sent() {
            self.ahead = Bytes::new();
            self.take_pushes();
        }
    }

    /// Takes of what others have left as much as there is room for. One load when there is nothing.
    pub(super) fn take_pushes(&mut self) {
        if self.client.peer.pushed() == 0 || self.client.closing || !self.ahead.is_empty() {
            return;
        }
        let alone = self.client.peer.take_pushed(&mut self.output, OUTPUT_FILL_BYTES);
        if !alone.is_empty() {
            self.ahead = alone;
        }
        // Whoever pushes counts both.
        self.show_sizes(0);
    }

    /// Whether the next command may run: what was pushed before it goes out before its reply, and
    /// too much must not wait.
    pub(super) fn takes_commands(&mut self) -> bool {
        if self.waiting() >= OUTPUT_HOLD_BYTES {
            return false;
        }
        while self.client.peer.pushed() > 0 {
            // What is replied would stand before a frame that is sent as it lies.
            let mut small = BytesMut::new();
            let alone = self.client.peer.take_pushed(&mut small, usize::MAX);
            self.output.extend_from_slice(&small);
            self.output.extend_from_slice(&alone);
        }
        true
    }

    /// Tells which keys of a read are not there (class `m`), to subscribers of this node: a read
    /// leaves no trace elsewhere. Subcommands look at keys without using them.
    #[cold]
    pub(super) fn tell_misses(&self, entry: &Entry, reader: &Reader<'_>, args: Args<'_>) {
        if entry.meta.is_sub() || !self.shared.pubsub.has_any() {
            return;
        }
        let notify = &self.shared.cluster().notify;
        let (by_key, by_event) = (notify.contains('K'), notify.contains('E'));
        let keys = entry.meta.keys.positions(args).filter_map(|at| args.get(at));
        for key in keys.filter(|key| !reader.exists(key)) {
            let (class, event, db, key) = (b'm', "keymiss", reader.db, key.into());
            let effect = Effect::Notify { class, event, db, key, by_key, by_event };
            self.shared.pubsub.tell(&[effect]);
        }
    }

    /// Sends the frames of the present command; whether there are any.
    pub(super) fn send_frames(&mut self) -> bool {
        let has_frames = !self.client.frames.is_empty();
        if has_frames {
            self.output.extend_from_slice(&std::mem::take(&mut self.client.frames));
        }
        has_frames
    }
}
