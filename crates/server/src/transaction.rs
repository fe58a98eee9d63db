//! What a client has queued between MULTI and EXEC, and which keys it watches.
//!
//! Commands are kept as they are logged, in canonical RESP; they are looked at again when EXEC
//! comes. What is watched is a key with its revision, which means the same on every node, whoever
//! leads.

use crate::registry;
use bytes::BytesMut;
use quorate_engine::{Db, Guard, Keyspace};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    queue: Option<Queue>,
    /// Keys, and their revisions.
    watched: BTreeMap<(Db, Box<[u8]>), u64>,
    /// Bytes that they take.
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

/// Bytes that a watched key takes, about.
pub(crate) fn watched_bytes(key: &[u8]) -> usize {
    key.len() + 2 * size_of::<Guard>()
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
    pub(crate) fn push(&mut self, entry: &registry::Entry, canonical: &[u8]) {
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
        let guard = |((db, key), revision)| Guard { db, key, revision };
        Some((queue, std::mem::take(&mut self.watched).into_iter().map(guard).collect()))
    }

    /// WATCH: from now on, as the key is now.
    pub(crate) fn watch(&mut self, keyspace: &Keyspace, db: Db, key: &[u8]) {
        if let Entry::Vacant(place) = self.watched.entry((db, key.into())) {
            place.insert(keyspace.revision(db, key));
            self.watched_bytes += watched_bytes(key);
        }
    }

    /// UNWATCH.
    pub(crate) fn unwatch(&mut self) {
        self.watched = BTreeMap::new();
        self.watched_bytes = 0;
    }

    /// Commands queued, as CLIENT LIST shows them; -1 without MULTI.
    pub(crate) fn queued(&self) -> i64 {
        self.queue.as_ref().map_or(-1, |queue| queue.ids.len() as i64)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let queued = self.queue.as_ref().map_or(0, |queue| queue.commands.capacity());
        queued + self.watched_bytes
    }
}
