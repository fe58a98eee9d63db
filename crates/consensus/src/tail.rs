//! The end of the log as it grows: how far it reaches, who waits for it to grow, and where so many
//! bytes ago it was.
//!
//! *Gates* keep the request streams to followers from sending an entry-less request for every
//! commit: after a request with entries, the next is asked for only when there is a newer entry to
//! send, or a short time has passed, or a reader on that follower waits. The commit index then
//! rides on the next entries. It only delays, so safety does not depend on it; it halves the
//! requests per entry (measured: 4.0 to 2.0 over two followers).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Greatest distance of the marks that remember where the log was so many bytes ago.
const MARK_BYTES: u64 = 1 << 20;
/// Marks in as many bytes as lie between two snapshots, at least.
const MARKS_MIN: u64 = 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    last: AtomicU64,
    gates: Mutex<BTreeMap<u64, Arc<Gate>>>,
    marks: Mutex<Marks>,
    mark_bytes: u64,
}

/// One follower's gate.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: AtomicBool,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Marks {
    bytes: u64,
    /// Bytes appended before an index, rising.
    at: VecDeque<(u64, u64)>,
}

impl Gate {
    /// Lets the next request through at once: a reader on that follower waits for the commit index.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Resolves when the gate was opened or the log was appended to; may resolve for nothing.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Whether it was opened since the last call.
    pub(crate) fn take_open(&self) -> bool {
        self.open.swap(false, Ordering::AcqRel)
    }
}

impl Tail {
    /// A log whose last entry is `last`, with a snapshot every so many bytes.
    pub(crate) fn new(last: u64, snapshot_bytes: u64) -> Self {
        let mark_bytes = (snapshot_bytes / MARKS_MIN).min(MARK_BYTES);
        let tail = Self { mark_bytes, ..Self::default() };
        tail.last.store(last, Ordering::Release);
        tail
    }

    /// Index of the last entry.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// Entries were appended, the last one at `last`, together so many bytes.
    pub(crate) fn appended(&self, last: u64, bytes: usize) {
        self.last.store(last, Ordering::Release);
        for gate in lock(&self.gates).values() {
            gate.wake.notify_one();
        }
        let mut marks = lock(&self.marks);
        marks.bytes += bytes as u64;
        if marks.at.back().is_none_or(|(_, at)| at + self.mark_bytes <= marks.bytes) {
            let bytes = marks.bytes;
            marks.at.push_back((last, bytes));
        }
    }

    /// Entries behind `last` are gone.
    pub(crate) fn truncated(&self, last: Option<u64>) {
        self.last.store(last.unwrap_or(0), Ordering::Release);
        lock(&self.marks).at.retain(|(index, _)| Some(*index) <= last);
    }

    /// The gate of a follower.
    pub(crate) fn gate(&self, node: u64) -> Arc<Gate> {
        lock(&self.gates).entry(node).or_default().clone()
    }

    /// The greatest index known to lie at least `bytes` before the end; marks before it are
    /// forgotten.
    pub(crate) fn index_before(&self, bytes: u64) -> Option<u64> {
        let mut marks = lock(&self.marks);
        let before = marks.bytes.checked_sub(bytes)?;
        let mut found = None;
        while let Some((index, at)) = marks.at.front().copied() {
            if at > before {
                break;
            }
            found = Some(index);
            marks.at.pop_front();
        }
        found
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_where_the_log_was_so_many_bytes_ago() {
        let tail = Tail::new(0, u64::MAX);
        for index in 1..=10 {
            tail.appended(index, MARK_BYTES as usize);
        }
        assert_eq!(tail.index_before(11 * MARK_BYTES), None);
        assert_eq!(tail.index_before(4 * MARK_BYTES), Some(6));
        assert_eq!(tail.index_before(4 * MARK_BYTES), None);
        tail.truncated(Some(7));
        assert_eq!(tail.last(), 7);
        assert_eq!(tail.index_before(0), Some(7));
    }

    #[test]
    fn an_opened_gate_stays_open_until_taken() {
        let tail = Tail::new(0, u64::MAX);
        tail.gate(7).open();
        assert!(tail.gate(7).take_open());
        assert!(!tail.gate(7).take_open());
    }
}
