//! The read gate: who waits for the next round. A read is let through by a
//! round that began after it came (see [`round`](crate::read::round)), with
//! the index that is applied here by then.

use crate::api::ReadError;
use crate::lock::lock;
use crate::read::proof::Proof;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, oneshot};

/// Turns of the scheduler that pass while more reads arrive.
const PATIENCE_ROUNDS: usize = 4;

/// Who waits: hears the index that a round gave, or that there was none.
pub(super) type Reader = oneshot::Sender<Result<u64, ReadError>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    waiting: Mutex<Waiting>,
    wake: Notify,
    pub(super) proof: Proof,
    rounds: AtomicU64,
    released: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    readers: Vec<Reader>,
    closed: bool,
}

impl Gate {
    /// Waits for a round that begins after this call. The index is applied on this replica.
    pub(crate) async fn barrier(&self) -> Result<u64, ReadError> {
        let (done, round) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                return Err(ReadError::Stopping);
            }
            waiting.readers.push(done);
        }
        self.wake.notify_one();
        round.await.unwrap_or(Err(ReadError::Stopping))
    }

    /// Lets the next round grow while it grows: a round costs every replica the same, whether one
    /// read waits for it or a thousand. No timer, only turns of the scheduler.
    async fn patience(&self) {
        let mut length = lock(&self.waiting).readers.len();
        for _ in 0..PATIENCE_ROUNDS {
            tokio::task::yield_now().await;
            let now = lock(&self.waiting).readers.len();
            if now == length {
                return;
            }
            length = now;
        }
    }

    /// Refuses all that wait and all that come.
    pub(crate) fn close(&self) {
        let readers = {
            let mut waiting = lock(&self.waiting);
            waiting.closed = true;
            std::mem::take(&mut waiting.readers)
        };
        self.wake.notify_one();
        drop(readers);
    }

    /// The readers of the next round, when there are some and no more come; `None` when the gate is
    /// closed.
    pub(super) async fn next(&self) -> Option<Vec<Reader>> {
        loop {
            self.wake.notified().await;
            self.patience().await;
            let readers = {
                let mut waiting = lock(&self.waiting);
                if waiting.closed {
                    return None;
                }
                std::mem::take(&mut waiting.readers)
            };
            if !readers.is_empty() {
                self.rounds.fetch_add(1, Ordering::Relaxed);
                self.released.fetch_add(readers.len() as u64, Ordering::Relaxed);
                return Some(readers);
            }
        }
    }

    /// Rounds since this process began, and reads they were for.
    pub(crate) fn figures(&self) -> (u64, u64) {
        (self.rounds.load(Ordering::Relaxed), self.released.load(Ordering::Relaxed))
    }
}
