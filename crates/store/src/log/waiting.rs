//! How threads wait for a log: for how long at most, and then what.
//!
//! Threads that write and prepare segments wait with these; which condition for stands with those
//! who know it, in [`Log`](super::Log). A simulation has no such threads.

use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// After so long without anything to write, what may wait (committed marks, the durable mark) is
/// written without a sync.
pub(crate) const REST: Duration = Duration::from_millis(50);
/// How often a log that met a full disk tries again.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// Waits for the condition, or for so long; says whether the time ran out.
pub(crate) fn wait_for<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    time: Duration,
) -> (MutexGuard<'a, T>, bool) {
    let (guard, outcome) =
        condition.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner);
    (guard, outcome.timed_out())
}
