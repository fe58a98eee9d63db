//! The one place of this room that looks at a clock: how long a sync takes, for the figures.
//!
//! Nothing decides anything by it, so a simulation stays deterministic. Whatever else needs a time
//! is given one.

use std::time::Instant;

/// Runs `work`; returns its result and the microseconds it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let start = Instant::now();
    let result = work();
    (result, u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
}
