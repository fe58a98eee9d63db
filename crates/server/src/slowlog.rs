//! SLOWLOG: the last commands that took long, in memory.
//!
//! A write is timed from its submission to its answer, since that is what its client waited; a read
//! by its run alone.

use quorate_resp::Args;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Arguments kept of one command, as in Redis.
const ARGS_MAX: usize = 32;
/// Bytes kept of one argument, as in Redis.
const ARG_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    pub(crate) id: u64,
    pub(crate) unix_s: u64,
    pub(crate) micros: u64,
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) address: String,
    pub(crate) name: String,
}

#[derive(Debug, Default)]
struct Inner {
    next_id: u64,
    /// Newest first.
    entries: VecDeque<Slow>,
}

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Slowlog(Mutex<Inner>);

impl Slowlog {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a command; at most `len_max` stay.
    pub(crate) fn add(&self, mut slow: Slow, len_max: usize) {
        let mut inner = self.lock();
        slow.id = inner.next_id;
        inner.next_id += 1;
        inner.entries.push_front(slow);
        inner.entries.truncate(len_max);
    }

    /// The newest `count`.
    pub(crate) fn newest(&self, count: usize) -> Vec<Slow> {
        self.lock().entries.iter().take(count).cloned().collect()
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Forgets all.
    pub(crate) fn reset(&self) {
        self.lock().entries.clear();
    }
}

/// The arguments as they are kept: shortened, secrets left out.
pub(crate) fn shown(args: Args<'_>, secret: bool) -> Vec<Vec<u8>> {
    let mut shown = Vec::new();
    for (at, arg) in args.iter().enumerate() {
        if at == ARGS_MAX - 1 && args.len() > ARGS_MAX {
            let more = args.len() - at;
            shown.push(format!("... ({more} more arguments)").into_bytes());
            break;
        }
        if secret && at > 0 {
            shown.push(b"(redacted)".to_vec());
        } else if let Some(head) = arg.get(..ARG_BYTES_MAX).filter(|_| arg.len() > ARG_BYTES_MAX) {
            let more = format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX);
            shown.push([head, more.as_bytes()].concat());
        } else {
            shown.push(arg.to_vec());
        }
    }
    shown
}
