//! A group's log: its entries on the disk, how far they reach, and who syncs
//! them. openraft's view of it is `log_storage`; the other parts read from it
//! what they need and never append.

use crate::env::{Env, LogWriter};
use crate::proto as pb;
use crate::raft::tail::Tail;
use quorate_store::Log;
use std::sync::Arc;

/// See the module.
pub(crate) struct RaftLog<E: Env> {
    pub(crate) entries: Log<E::Disk>,
    pub(crate) tail: Tail,
    pub(crate) writer: Arc<dyn LogWriter>,
}

impl<E: Env> RaftLog<E> {
    /// Starts the writer of a log whose last entry is `last`.
    pub(crate) fn new(env: &E, entries: Log<E::Disk>, last: u64) -> Self {
        let writer = env.log_writer(entries.clone());
        Self { entries, tail: Tail::new(last), writer }
    }

    /// The last entry, as it stands in messages.
    pub(crate) fn last_id(&self) -> Option<pb::LogId> {
        self.entries.bounds().1.map(|id| pb::LogId { term: id.term, index: id.index })
    }
}
