//! Waiting for a condition, with a limit and a name. The only place in the tests that sleeps: it
//! polls what another process does, which cannot be awaited in any other way, and gives up loudly.
//! No result depends on how long it sleeps.

use std::time::{Duration, Instant};

/// How long a condition may take on a loaded two-core machine before the test fails. It is a limit
/// against hanging and never a measure of speed.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Polls `condition` until it gives `Some`; panics with `what` after [`PATIENCE`].
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "gave up waiting: {what}");
        pause(Duration::from_millis(10));
    }
}

/// Polls `condition` until it gives `Some`; `None` if it has not within `limit`. For what may
/// rightly stay away.
pub fn within<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        match condition() {
            None if start.elapsed() < limit => pause(Duration::from_millis(5)),
            outcome => return outcome,
        }
    }
}

/// Lets another process run for a while: for faults that must last (a stopped process, a cut link).
pub fn pause(length: Duration) {
    #[allow(clippy::disallowed_methods, reason = "see the head of this file")]
    std::thread::sleep(length);
}
