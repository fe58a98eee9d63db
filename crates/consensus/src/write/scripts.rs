//! What runs of scripts here: how long it may, who ends it, and who is told that it takes long.
//!
//! The engine asks ([`Watch`]) while a script runs beside the event loop; whoever ends it, from
//! whatever node, only sets a flag, and needs no lock on the state.

use crate::api::Scripts as Options;
use crate::env::Env;
use crate::lock::lock;
use quorate_engine::{Budget, LogLevel, Stopped, Watch};
use quorate_resp::Reply;
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
    /// Libraries and functions, as they were counted last.
    counts: Mutex<(usize, usize)>,
    /// When it began, microseconds of the surroundings' clock; 0: none runs.
    since_us: AtomicU64,
}

#[derive(Clone, Debug)]
struct Now {
    since: Duration,
    name: String,
    is_function: bool,
    command: Vec<u8>,
}

/// What became of the wish to end a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// None runs.
    Idle,
    /// It ends.
    Ends,
    /// A function runs where a script was meant, or the other way round.
    Other,
}

impl Kill {
    /// As a number, for the way between two nodes.
    pub(crate) fn number(self) -> u64 {
        match self {
            Kill::Idle => 0,
            Kill::Ends => 1,
            Kill::Other => 2,
        }
    }

    /// What [`Kill::number`] gave.
    pub(crate) fn numbered(number: u64) -> Self {
        match number {
            1 => Kill::Ends,
            2 => Kill::Other,
            _ => Kill::Idle,
        }
    }
}

/// What is told of a script that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningScript {
    /// A function's name, or the digest of a script.
    pub name: String,
    /// Whether it is a function.
    pub is_function: bool,
    /// The command, as RESP.
    pub command: Vec<u8>,
    /// How long it has run.
    pub age: Duration,
    /// How many libraries there are, and functions in them, as far as is known.
    pub counts: (usize, usize),
}

impl Running {
    /// How long the one that runs has run, if one does.
    pub(crate) fn age(&self, now: impl FnOnce() -> Duration) -> Option<Duration> {
        match self.since_us.load(Ordering::Acquire) {
            0 => None,
            since => Some(now().saturating_sub(Duration::from_micros(since))),
        }
    }

    /// Ends the one that runs, if it is a function, or none, as is meant.
    pub(crate) fn kill(&self, function: bool) -> Kill {
        match &*lock(&self.now) {
            None => Kill::Idle,
            Some(now) if now.is_function != function => Kill::Other,
            Some(_) => {
                self.killed.store(true, Ordering::Release);
                Kill::Ends
            }
        }
    }

    /// The one that runs.
    pub(crate) fn shown(&self, now: Duration) -> Option<RunningScript> {
        let Now { since, name, is_function, command } = lock(&self.now).clone()?;
        let (age, counts) = (now.saturating_sub(since), *lock(&self.counts));
        Some(RunningScript { name, is_function, command, age, counts })
    }
}

/// Looks after the scripts of one batch.
pub(crate) struct Watcher<E> {
    pub(crate) env: E,
    pub(crate) running: Arc<Running>,
    pub(crate) limit: Duration,
    pub(crate) server: fn(&[Vec<u8>]) -> Option<Reply<'static>>,
}

impl<E: Env> Watch for Watcher<E> {
    fn begins(&self, name: &str, is_function: bool, command: &[u8]) {
        self.running.killed.store(false, Ordering::Release);
        let since = self.env.elapsed();
        let since_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX).max(1);
        self.running.since_us.store(since_us, Ordering::Release);
        *lock(&self.running.now) =
            Some(Now { since, name: name.to_owned(), is_function, command: command.to_vec() });
    }

    fn ends(&self) {
        *lock(&self.running.now) = None;
        self.running.killed.store(false, Ordering::Release);
        self.running.since_us.store(0, Ordering::Release);
    }

    fn counted(&self, libraries: usize, functions: usize) {
        *lock(&self.running.counts) = (libraries, functions);
    }

    fn stop(&self) -> Option<Stopped> {
        if self.running.killed.load(Ordering::Acquire) {
            return Some(Stopped::Killed);
        }
        let age = self.running.age(|| self.env.elapsed())?;
        (age > self.limit).then_some(Stopped::Time)
    }

    fn server(&self, words: &[Vec<u8>]) -> Option<Reply<'static>> {
        (self.server)(words)
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
