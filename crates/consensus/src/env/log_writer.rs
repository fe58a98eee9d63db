//! The thread that writes and syncs the log, and when it is left out: a replica that leads nobody
//! writes where the record is queued, as long as the disk is quick. What is durable, and who hears
//! of it, is the store's business.

use crate::env::LogWriter;
use crate::lock::lock;
use quorate_store::{Disk, Log, StoreError};
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

/// Monotonic, and goes on while the machine is suspended: a TTL is not longer for a closed lid.
pub(super) fn elapsed() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Flushes on a thread of its own while this replica leads others, and otherwise right where the
/// records are queued, which saves two thread switches per flush (follower c=1: 147 to 117 us of
/// CPU per write) as long as the disk is quick. A second thread makes the next segment ready.
pub(super) struct ThreadWriter<D: Disk> {
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

impl<D: Disk> ThreadWriter<D> {
    pub(super) fn start(log: Log<D>) -> Arc<Self> {
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
