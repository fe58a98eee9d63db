//! The seam between a replica and its surroundings: runtime, disk, network, clocks, and who syncs
//! the log.
//!
//! Everything in this room is generic over one [`Env`], so that the same code runs in production
//! (tokio, threads, the operating system's disk) and in the simulation (virtual clock, seeded
//! randomness, a disk that forgets). Nothing here or below may take time, randomness or threads
//! from anywhere else.

pub(crate) mod log_writer;
pub(crate) mod real;

use crate::peer::transport::{PeerId, Request, Response, Transport, TransportError};
use futures::future::{BoxFuture, Either, select};
use openraft::AsyncRuntime;
use quorate_store::{Disk, Log};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The surroundings of one replica. Clones share them.
pub(crate) trait Env: Clone + Send + Sync + 'static {
    /// Tasks and timers.
    type Rt: openraft::AsyncRuntime;
    /// The disk.
    type Disk: Disk;
    /// The way to the peers.
    type Transport: Transport;

    /// The way to the peers.
    fn transport(&self) -> &Self::Transport;

    /// Monotonic time since some fixed moment before this process began.
    fn elapsed(&self) -> Duration;

    /// The wall clock, Unix milliseconds. May be wrong and may jump; see `clock`.
    fn wall_ms(&self) -> u64;

    /// Bytes of a snapshot that travel in one piece.
    fn chunk_bytes(&self) -> usize {
        256 << 10
    }

    /// Keys that a snapshot's snapshotter looks at while it holds the keyspace: some 0.3 ms of
    /// work.
    fn step_keys(&self) -> usize {
        1024
    }

    /// Whether a check is left out. Only the simulation says yes, to show that it would notice.
    fn skips(&self, _check: Check) -> bool {
        false
    }

    /// Raft's clock runs slower by so many hundredths, and its calls take so long (see `pace`).
    fn set_pace(&self, _stretch: u32, _round_trip: Duration) {}

    /// Starts what writes and syncs the log.
    fn log_writer(&self, log: Log<Self::Disk>) -> Arc<dyn LogWriter>;

    /// Runs long work where it does not hold up the event loop (production) or inline (simulation).
    fn heavy<T, F>(&self, work: F) -> BoxFuture<'static, T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    /// One unary call to a peer under a time limit.
    fn call(
        &self,
        to: &PeerId,
        request: Request,
        limit: Duration,
    ) -> impl Future<Output = Result<Response, TransportError>> + Send {
        let call = self.transport().call(to, request);
        async move {
            let answer = Self::within(limit, call).await;
            let late = || Err(TransportError::Unreachable("no answer in time".to_owned()));
            answer.unwrap_or_else(late)
        }
    }

    /// Spawns a task.
    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        drop(Self::Rt::spawn(task));
    }

    /// Waits.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        Self::Rt::sleep(duration)
    }

    /// Puts a limit on a wait; `None` when it was reached. By real time, which `Rt::timeout` is
    /// not.
    fn within<T: Send>(
        limit: Duration,
        future: impl Future<Output = T> + Send,
    ) -> impl Future<Output = Option<T>> + Send {
        async move {
            match select(pin!(future), pin!(Self::Rt::sleep(limit))).await {
                Either::Left((value, _)) => Some(value),
                Either::Right(_) => None,
            }
        }
    }
}

/// What the simulation can leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Whether the leader's log contradicts what is applied.
    Contradiction,
    /// Whether replicas hold the same.
    Comparison,
    /// Whether what was rehearsed is undone.
    RollBack,
    /// Whether who waits hears of what was served before it registers again.
    WaitBarrier,
    /// Whether the leader remembers whom it has served.
    Served,
    /// Whether what comes for a session that is gone is given back.
    GiveBack,
}

/// Drives [`Log::flush`].
pub(crate) trait LogWriter: Send + Sync + 'static {
    /// Something that must become durable was queued: flush it, now or soon, here or elsewhere.
    fn kick(&self);

    /// Whether this replica leads at least one other voter. Only then must flushing not hold up the
    /// event loop: a leader writes while its followers do; a follower has nothing else to do than
    /// to write.
    fn lead(&self, leading: bool);

    /// Nothing has happened for a moment: what could wait for company is written now.
    fn rest(&self);

    /// Only the simulation says yes, to show that it would notice.
    fn vote_is_durable_at_once(&self) -> bool {
        false
    }

    /// Flushes what is queued and ends. Later kicks do nothing.
    fn stop(&self);
}
