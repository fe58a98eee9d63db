//! What a replica keeps so that states can be compared: digests of the newest entries, and the
//! point at which somebody wants a stretch of the keyspace looked at. Written with the keyspace
//! held, read without it.

use crate::lock::lock;
use quorate_engine::{Content, ContentPoint, Keyspace};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Notify, oneshot};

/// Points of the log whose digests are remembered.
const RECENT: usize = 4096;

/// What a replica keeps for comparisons.
#[derive(Debug, Default)]
pub(crate) struct Comparing {
    /// Index and digest of the newest entries of commands.
    recent: Mutex<VecDeque<(u64, u64)>>,
    /// The point at which somebody wants a stretch looked at.
    watch: Mutex<Option<Watch>>,
    /// Its index, or the greatest number; so that apply need not lock.
    watched: AtomicU64,
    /// A cut was applied: compare now.
    pub(super) due: Notify,
    /// See [`Comparing::is_divided`].
    pub(super) divided: AtomicBool,
    /// The last point at which all agreed.
    pub(super) agreed: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Watch {
    pub(super) at: u64,
    pub(super) from: ContentPoint,
    pub(super) keys_max: usize,
    pub(super) bytes_max: usize,
    pub(super) done: oneshot::Sender<Option<Content>>,
}

impl Comparing {
    /// Notes how the keyspace is, and looks at what somebody waits for. Called with the keyspace
    /// held, after each entry.
    pub(crate) fn see(&self, keyspace: &Keyspace) {
        let (index, digest) = (keyspace.applied_index(), keyspace.digest());
        let mut recent = lock(&self.recent);
        if recent.back().is_some_and(|(last, _)| *last > index) {
            // Another state was installed.
            recent.clear();
        }
        match recent.back_mut() {
            Some(last) if last.0 == index => last.1 = digest,
            _ => {
                if recent.len() == RECENT {
                    recent.pop_front();
                }
                recent.push_back((index, digest));
            }
        }
        drop(recent);
        self.look(keyspace);
    }

    /// Answers whoever waits, if the point is reached or passed.
    pub(super) fn look(&self, keyspace: &Keyspace) {
        let index = keyspace.applied_index();
        // One less, so that nobody waits is the default.
        if self.watched.load(Ordering::Acquire).wrapping_sub(1) >= index {
            return;
        }
        let Some(watch) = lock(&self.watch).take_if(|watch| watch.at <= index) else { return };
        self.watched.store(0, Ordering::Release);
        let exact = watch.at == index;
        let content = exact.then(|| keyspace.content(watch.from, watch.keys_max, watch.bytes_max));
        let _ = watch.done.send(content);
    }

    pub(super) fn watch(&self, watch: Watch) {
        let at = watch.at;
        *lock(&self.watch) = Some(watch);
        self.watched.store(at, Ordering::Release);
    }

    pub(super) fn digest_at(&self, index: u64) -> Option<u64> {
        let recent = lock(&self.recent);
        let place = recent.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        recent.get(place).map(|(_, digest)| *digest)
    }

    /// A cut was applied: a good moment.
    pub(crate) fn now(&self) {
        self.due.notify_one();
    }

    /// Whether replicas differ and no majority agrees: writes are refused.
    pub(crate) fn is_divided(&self) -> bool {
        self.divided.load(Ordering::Relaxed)
    }

    /// Index of the last entry after which all replicas that answered held the same.
    pub(crate) fn agreed(&self) -> u64 {
        self.agreed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_by_index_until_they_are_old() {
        let comparing = Comparing::default();
        for index in 1..=RECENT as u64 + 5 {
            lock(&comparing.recent).push_back((index * 2, index));
        }
        assert_eq!(comparing.digest_at(8), Some(4));
        assert_eq!(comparing.digest_at(9), None);
    }
}
