//! The real surroundings: tokio, the operating system's disk, clocks and randomness, gRPC, and the
//! thread that syncs.

use crate::env::{Env, LogWriter};
use crate::grpc::GrpcTransport;
use crate::pace::{self, PacedRuntime};
use futures::future::BoxFuture;
use quorate_store::{Disk, Log, OsDisk, StoreError};
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A flush on the event loop that takes longer than this is slow.
const INLINE_MAX: Duration = Duration::from_millis(5);
/// Another slow one in so short a time sends the following ones to the thread. A single one says
/// little: where nothing is synced, one in some 30,000 meets a commit of the file system's journal
/// or another process, and through the thread a single node is a tenth slower.
const SLOW_TWICE: Duration = Duration::from_secs(1);
/// For how long they go there.
const THREAD_FOR: Duration = Duration::from_secs(10);
/// So many bytes are not written on the event loop: at 300 MB/s they take as long as the slowest
/// flush that belongs there. One entry of 63 MiB held everybody for half a second in a single node.
const INLINE_BYTES_MAX: u64 = 1 << 20;
/// A full disk is tried again after this.
const FULL_RETRY: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Clone)]
pub(crate) struct Host {
    transport: GrpcTransport,
}

impl Host {
    pub(crate) fn new(transport: GrpcTransport) -> Self {
        Self { transport }
    }
}

/// Monotonic, and goes on while the machine is suspended: a TTL is not longer for a closed lid.
fn elapsed() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

impl Env for Host {
    type Rt = PacedRuntime;
    type Disk = OsDisk;
    type Transport = GrpcTransport;

    fn transport(&self) -> &GrpcTransport {
        &self.transport
    }

    fn elapsed(&self) -> Duration {
        elapsed()
    }

    fn set_pace(&self, stretch: u32, round_trip: Duration) {
        pace::set(stretch, round_trip);
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock; through libc, where a test can shift it"
    )]
    fn wall_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn log_writer(&self, log: Log<OsDisk>) -> Arc<dyn LogWriter> {
        ThreadWriter::start(log)
    }

    fn heavy<T, F>(&self, work: F) -> BoxFuture<'static, T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let done = tokio::task::spawn_blocking(work);
        Box::pin(async move {
            match done.await {
                Ok(value) => value,
                // A panic there is a panic here; it ends the process.
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is going down: whoever waits goes with it.
                    Err(_) => std::future::pending().await,
                },
            }
        })
    }
}

/// A random number from the operating system.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            // No kernel that runs this refuses; without randomness node ids would not be unique.
            Err(error) => std::panic::panic_any(format!("no randomness: {error}")),
        }
    }
    u64::from_ne_bytes(bytes)
}

/// Flushes on a thread of its own while this replica leads others, and otherwise right where the
/// records are queued, which saves two thread switches per flush (follower c=1: 147 to 117 us of
/// CPU per write) as long as the disk is quick. A second thread makes the next segment ready.
struct ThreadWriter<D: Disk> {
    log: Log<D>,
    signal: Mutex<Signal>,
    changed: Condvar,
    leading: AtomicBool,
    /// The thread is at work: a flush elsewhere would wait for it.
    busy: AtomicBool,
    slowness: Mutex<Slowness>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What is known of a slow disk, in monotonic time.
#[derive(Clone, Copy, Default)]
struct Slowness {
    /// When a flush on the event loop was slow last.
    last: Option<Duration>,
    /// Until then it is taken to be slow.
    until: Option<Duration>,
}

impl Slowness {
    /// A flush on the event loop took so long.
    fn note(&mut self, now: Duration, took: Duration) {
        if took <= INLINE_MAX {
            return;
        }
        if self.last.is_some_and(|last| now.saturating_sub(last) <= SLOW_TWICE) {
            self.until = Some(now + THREAD_FOR);
        }
        self.last = Some(now);
    }

    fn lasts(&self, now: impl FnOnce() -> Duration) -> bool {
        self.until.is_some_and(|until| now() < until)
    }
}

#[derive(Clone, Copy, Default)]
struct Signal {
    queued: bool,
    rest: bool,
    stop: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D: Disk> ThreadWriter<D> {
    fn start(log: Log<D>) -> Arc<Self> {
        let this = Arc::new(Self {
            log,
            signal: Mutex::default(),
            changed: Condvar::new(),
            leading: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            slowness: Mutex::default(),
            threads: Mutex::default(),
        });
        let (writing, preparing) = (this.clone(), this.log.clone());
        let write = move || writing.work();
        let prepare = move || {
            while preparing.wait_prepare() {
                if let Err(error) = preparing.prepare() {
                    tracing::warn!(%error, "the next segment cannot be prepared");
                }
            }
        };
        let threads = [spawn("log", write), spawn("log-prepare", prepare)];
        *lock(&this.threads) = threads.into();
        this
    }

    fn work(&self) {
        let mut full = false;
        loop {
            let Signal { queued, rest, stop } = self.wait(full.then_some(FULL_RETRY));
            full = (queued || full) && !self.flush();
            if rest && self.log.write_marks().is_err() {
                tracing::debug!("marks wait for space on the disk");
            }
            if stop {
                return;
            }
        }
    }

    fn wait(&self, limit: Option<Duration>) -> Signal {
        let mut signal = lock(&self.signal);
        self.busy.store(signal.queued, Ordering::Release);
        while !signal.queued && !signal.rest && !signal.stop {
            signal = match limit {
                None => self.changed.wait(signal).unwrap_or_else(PoisonError::into_inner),
                Some(limit) => {
                    let waited = self.changed.wait_timeout(signal, limit);
                    return self.take(&mut waited.unwrap_or_else(PoisonError::into_inner).0);
                }
            };
        }
        self.take(&mut signal)
    }

    fn take(&self, signal: &mut Signal) -> Signal {
        self.busy.store(true, Ordering::Release);
        std::mem::take(signal)
    }

    /// Until nothing is queued; false when the disk is full and it has to be tried again. Any other
    /// error has reached whoever waits for durability, and Raft stops over it.
    fn flush(&self) -> bool {
        loop {
            match self.log.flush() {
                Ok(true) => {}
                Ok(false) => return true,
                Err(StoreError::Full) => return false,
                Err(error) => {
                    tracing::error!(%error, "the log cannot be synced");
                    return true;
                }
            }
        }
    }

    fn signal(&self, set: impl FnOnce(&mut Signal)) {
        set(&mut lock(&self.signal));
        self.changed.notify_one();
    }

    fn flush_inline(&self) {
        let before = elapsed();
        if !self.flush() {
            self.signal(|signal| signal.queued = true);
        }
        let now = elapsed();
        lock(&self.slowness).note(now, now.saturating_sub(before));
    }

    fn is_slow(&self) -> bool {
        lock(&self.slowness).lasts(elapsed)
    }
}

/// A thread of the log. A process that cannot have it at its start must not go on: nothing would
/// ever be durable.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    match std::thread::Builder::new().name(name.to_owned()).spawn(work) {
        Ok(thread) => thread,
        Err(error) => std::panic::panic_any(format!("no thread `{name}`: {error}")),
    }
}

impl<D: Disk> LogWriter for ThreadWriter<D> {
    fn kick(&self) {
        let elsewhere = self.leading.load(Ordering::Acquire)
            || self.busy.load(Ordering::Acquire)
            || self.log.queued_bytes() > INLINE_BYTES_MAX
            || self.is_slow();
        if elsewhere {
            self.signal(|signal| signal.queued = true);
        } else {
            self.flush_inline();
        }
    }

    fn lead(&self, leading: bool) {
        self.leading.store(leading, Ordering::Release);
    }

    fn rest(&self) {
        self.signal(|signal| signal.rest = true);
    }

    fn stop(&self) {
        self.signal(|signal| (signal.queued, signal.stop) = (true, true));
        self.log.close();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log has panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_slow_that_is_slow_twice() {
        let (mut slowness, slow) = (Slowness::default(), INLINE_MAX * 2);
        let mut after = |ms, took| {
            let now = Duration::from_millis(ms);
            slowness.note(now, took);
            slowness.lasts(|| now)
        };
        assert!(!after(1000, slow), "once");
        assert!(!after(2001, slow), "and again, but later");
        assert!(!after(2002, INLINE_MAX), "in time");
        assert!(after(3001, slow), "twice in a second");
        assert!(after(12_999, Duration::ZERO), "for some time");
        assert!(!after(13_002, Duration::ZERO), "and no longer");
    }
}
