//! What a client has queued between MULTI and EXEC, and which keys it watches.
//!
//! Commands are kept as they are logged, in canonical RESP; they are looked at again when EXEC
//! comes. What is watched is a key with its revision, which means the same on every node, whoever
//! leads.

use crate::registry::Entry;
use bytes::BytesMut;
use quorate_engine::{Db, Guard, Keyspace};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    queue: Option<Queue>,
    watched: Vec<Guard>,
    /// Bytes of their keys.
    watched_bytes: usize,
}

/// What was queued since MULTI.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Canonical RESP, back to back.
    pub(crate) commands: BytesMut,
    /// Registry ids, in order.
    pub(crate) ids: Vec<u16>,
    /// A command was refused, so that EXEC will be.
    pub(crate) spoiled: bool,
}

impl Transaction {
    /// Whether commands are queued now.
    pub(crate) fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// MULTI; false if it was said before.
    pub(crate) fn open(&mut self) -> bool {
        let is_first = self.queue.is_none();
        self.queue.get_or_insert_default();
        is_first
    }

    /// Queues a command.
    pub(crate) fn push(&mut self, entry: &Entry, canonical: &[u8]) {
        if let Some(queue) = &mut self.queue {
            queue.commands.extend_from_slice(canonical);
            queue.ids.push(entry.id);
        }
    }

    /// A command was refused: EXEC will not take place.
    pub(crate) fn spoil(&mut self) {
        if let Some(queue) = &mut self.queue {
            *queue = Queue { spoiled: true, ..Queue::default() };
        }
    }

    /// The end of it, with what was queued and watched; `None` without MULTI.
    pub(crate) fn take(&mut self) -> Option<(Queue, Vec<Guard>)> {
        let queue = self.queue.take()?;
        self.watched_bytes = 0;
        Some((queue, std::mem::take(&mut self.watched)))
    }

    /// WATCH: from now on, as the key is now.
    pub(crate) fn watch(&mut self, keyspace: &Keyspace, db: Db, key: &[u8]) {
        if self.watched.iter().any(|guard| guard.db == db && *guard.key == *key) {
            return;
        }
        let revision = keyspace.revision(db, key);
        self.watched_bytes += key.len();
        self.watched.push(Guard { db, key: key.into(), revision });
    }

    /// UNWATCH.
    pub(crate) fn unwatch(&mut self) {
        self.watched = Vec::new();
        self.watched_bytes = 0;
    }

    /// Commands queued, as CLIENT LIST shows them; -1 without MULTI.
    pub(crate) fn queued(&self) -> i64 {
        self.queue.as_ref().map_or(-1, |queue| queue.ids.len() as i64)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let queued = self.queue.as_ref().map_or(0, |queue| queue.commands.capacity());
        queued + self.watched_bytes + self.watched.capacity() * size_of::<Guard>()
    }
}
