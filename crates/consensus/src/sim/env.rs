//! The simulated surroundings of one replica.

use super::Faults;
use super::net::{Random, SimTransport};
use super::rt::SimRt;
use crate::env::{Check, Env, LogWriter};
use futures::future::BoxFuture;
use openraft::AsyncRuntime;
use openraft_rt_sim::SimInstant;
use quorate_store::{FakeDisk, Log, StoreError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Unix milliseconds at which simulations begin.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// See the module.
#[derive(Clone)]
pub(crate) struct SimEnv {
    pub(crate) transport: SimTransport,
    pub(crate) random: Arc<Mutex<Random>>,
    /// How far this replica's wall clock is off, milliseconds.
    pub(crate) wall_skew_ms: i64,
    /// What is broken on purpose.
    pub(crate) faults: Faults,
}

impl SimEnv {
    fn draw<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Virtual time since the simulation began.
pub(crate) fn now() -> Duration {
    <SimInstant as openraft::Instant>::now().elapsed_since_start()
}

impl Env for SimEnv {
    type Rt = SimRt;
    type Disk = FakeDisk;
    type Transport = SimTransport;

    fn transport(&self) -> &SimTransport {
        &self.transport
    }

    fn elapsed(&self) -> Duration {
        now()
    }

    fn wall_ms(&self) -> u64 {
        let now = u64::try_from(now().as_millis()).unwrap_or(u64::MAX);
        (EPOCH_MS + now).saturating_add_signed(self.wall_skew_ms)
    }

    fn chunk_bytes(&self) -> usize {
        2 << 10
    }

    fn step_keys(&self) -> usize {
        16
    }

    fn skips(&self, check: Check) -> bool {
        match check {
            Check::Contradiction => self.faults.skip_contradiction,
            Check::Comparison => self.faults.skip_comparison,
            Check::RollBack => self.faults.keep_rehearsal,
            Check::WaitBarrier => self.faults.skip_wait_barrier,
            Check::Served => self.faults.forget_served,
            Check::GiveBack => self.faults.keep_for_nobody,
        }
    }

    fn log_writer(&self, log: Log<FakeDisk>) -> Arc<dyn LogWriter> {
        let writer = Arc::new(TaskWriter {
            log,
            wake: Notify::new(),
            stopped: AtomicBool::new(false),
            skip_vote_sync: self.faults.skip_vote_sync,
        });
        let (task, env) = (writer.clone(), self.clone());
        drop(SimRt::spawn(async move { task.work(&env).await }));
        writer
    }

    fn heavy<T, F>(&self, work: F) -> BoxFuture<'static, T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        // Time passes around it, so that other tasks run meanwhile.
        let micros = self.draw(|random| random.below(3000));
        Box::pin(async move {
            SimRt::sleep(Duration::from_micros(micros)).await;
            let value = work();
            SimRt::sleep(Duration::from_micros(micros)).await;
            value
        })
    }
}

/// A disk that takes a seeded while for each flush.
struct TaskWriter {
    log: Log<FakeDisk>,
    wake: Notify,
    stopped: AtomicBool,
    skip_vote_sync: bool,
}

impl TaskWriter {
    async fn work(&self, env: &SimEnv) {
        while !self.stopped.load(Ordering::Acquire) {
            self.wake.notified().await;
            loop {
                let micros = env.draw(|random| {
                    if random.one_in(100) { random.below(60_000) } else { 50 + random.below(2000) }
                });
                SimRt::sleep(Duration::from_micros(micros)).await;
                match self.log.flush() {
                    Ok(true) | Err(StoreError::Full) => {}
                    // After an error Raft stops; whoever waits has heard of it.
                    Ok(false) | Err(_) => break,
                }
            }
            // Preparing fails only where flushing will, too.
            let _ = self.log.prepare();
        }
    }
}

impl LogWriter for TaskWriter {
    fn kick(&self) {
        self.wake.notify_one();
    }

    fn lead(&self, _leading: bool) {}

    fn rest(&self) {
        let _ = self.log.write_marks();
    }

    fn vote_is_durable_at_once(&self) -> bool {
        self.skip_vote_sync
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake.notify_one();
        let _ = self.log.flush();
        self.log.close();
    }
}
