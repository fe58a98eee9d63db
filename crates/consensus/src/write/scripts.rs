//! What runs of scripts here: how long it may, who ends it, and who is told that it takes long.

use crate::api::Scripts as Options;
use crate::env::Env;
use crate::lock::lock;
use quorate_engine::{Budget, LogLevel, Stopped, Watch};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The script that runs on this replica as its leader, if one does.
#[derive(Debug, Default)]
pub(crate) struct Running {
    now: Mutex<Option<Now>>,
    /// It must end.
    killed: AtomicBool,
    /// When it began, microseconds of the surroundings' clock; 0: none runs.
    since_us: AtomicU64,
}

#[derive(Clone, Debug)]
struct Now {
    since: Duration,
    name: String,
    command: Vec<u8>,
}

/// What is told of a script that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningScript {
    /// A function's name, or the digest of a script.
    pub name: String,
    /// The command, as RESP.
    pub command: Vec<u8>,
    /// How long it has run.
    pub age: Duration,
}

impl Running {
    /// How long the one that runs has run, if one does.
    pub(crate) fn age(&self, now: impl FnOnce() -> Duration) -> Option<Duration> {
        match self.since_us.load(Ordering::Acquire) {
            0 => None,
            since => Some(now().saturating_sub(Duration::from_micros(since))),
        }
    }

    /// Ends the one that runs; false if none does.
    pub(crate) fn kill(&self) -> bool {
        let runs = lock(&self.now).is_some();
        self.killed.store(runs, Ordering::Release);
        runs
    }

    /// The one that runs.
    pub(crate) fn shown(&self, now: Duration) -> Option<RunningScript> {
        let Now { since, name, command } = lock(&self.now).clone()?;
        Some(RunningScript { name, command, age: now.saturating_sub(since) })
    }
}

/// Looks after the scripts of one batch.
pub(crate) struct Watcher<E> {
    pub(crate) env: E,
    pub(crate) running: Arc<Running>,
    pub(crate) limit: Duration,
}

impl<E: Env> Watch for Watcher<E> {
    fn begins(&self, name: &str, command: &[u8]) {
        self.running.killed.store(false, Ordering::Release);
        let since = self.env.elapsed();
        let since_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX).max(1);
        self.running.since_us.store(since_us, Ordering::Release);
        *lock(&self.running.now) =
            Some(Now { since, name: name.to_owned(), command: command.to_vec() });
    }

    fn ends(&self) {
        *lock(&self.running.now) = None;
        self.running.since_us.store(0, Ordering::Release);
    }

    fn stop(&self) -> Option<Stopped> {
        if self.running.killed.load(Ordering::Acquire) {
            return Some(Stopped::Killed);
        }
        let age = self.running.age(|| self.env.elapsed())?;
        (age > self.limit).then_some(Stopped::Time)
    }

    fn log(&self, level: LogLevel, message: &[u8]) {
        let message = String::from_utf8_lossy(message);
        match level {
            LogLevel::Debug | LogLevel::Verbose => tracing::debug!(%message, "a script says"),
            LogLevel::Notice => tracing::info!(%message, "a script says"),
            LogLevel::Warning => tracing::warn!(%message, "a script says"),
        }
    }
}

/// What a call may use.
pub(crate) fn budget(options: &Options) -> Budget {
    Budget { heap_bytes: options.heap_bytes, reply_bytes: options.reply_bytes }
}
