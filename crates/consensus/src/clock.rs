//! The cluster clock: what time it is for TTLs, whoever leads.
//!
//! It is the greatest stamp heard from any leader plus the monotonic time since that stamp was
//! *received*. A new leader therefore goes on where the old one was, at most the network's delay
//! behind, however wrong its own wall clock is. Wall time counts in two places only: at a cold
//! start, when neither this replica nor any voter has heard a leader; and as a slow pull (at most
//! 500 ppm) that makes up for the delays lost at each change of leader. A wall clock that differs
//! by more than [`PULL_MAX_MS`] is taken to be wrong and does not pull.
//!
//! The clock never runs back. It knows nothing of Raft: callers tell it what they heard.

use crate::env::Env;
use std::sync::Mutex;
use std::time::Duration;

/// Pull towards the wall clock per elapsed time: 1/2000 = 500 ppm.
const PULL_DIVISOR: u64 = 2000;
/// Beyond this difference the wall clock does not pull, milliseconds.
const PULL_MAX_MS: u64 = 2000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Greatest stamp known.
    stamp_ms: u64,
    /// Monotonic time when it was received. `None`: only known from disk, so that nobody knows how
    /// long ago it was.
    received: Option<Duration>,
    /// Monotonic time up to which the wall clock has pulled.
    pulled: Duration,
}

impl State {
    fn at(&self, elapsed: Duration) -> u64 {
        let since = self.received.map_or(Duration::ZERO, |at| elapsed.saturating_sub(at));
        self.stamp_ms.saturating_add(millis(since))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Clock {
    /// Notes a stamp read from disk. It says how late it was at least, and nothing about now.
    pub(crate) fn remember(&self, stamp_ms: u64) {
        let mut state = self.lock();
        if state.received.is_none() {
            state.stamp_ms = state.stamp_ms.max(stamp_ms);
        }
    }

    /// Notes a stamp that a leader (or a voter that had heard one) sent just now.
    pub(crate) fn hear(&self, stamp_ms: u64, elapsed: Duration) {
        let mut state = self.lock();
        if state.received.is_none() {
            state.pulled = elapsed;
        }
        if state.received.is_none() || stamp_ms > state.at(elapsed) {
            state.stamp_ms = state.stamp_ms.max(stamp_ms);
            state.received = Some(elapsed);
        }
    }

    /// The cluster clock, if anything was heard since this process began.
    pub(crate) fn known(&self, elapsed: Duration) -> Option<u64> {
        let state = self.lock();
        state.received.map(|_| state.at(elapsed))
    }

    /// The cluster clock for a leader: falls back to wall time when nobody knew better, and lets
    /// the wall clock pull.
    pub(crate) fn lead(&self, elapsed: Duration, wall_ms: u64) -> u64 {
        let mut state = self.lock();
        if state.received.is_none() {
            state.stamp_ms = state.stamp_ms.max(wall_ms);
            state.received = Some(elapsed);
            state.pulled = elapsed;
        }
        let now = state.at(elapsed);
        let ahead = wall_ms.saturating_sub(now);
        let pull = millis(elapsed.saturating_sub(state.pulled)) / PULL_DIVISOR;
        if pull == 0 {
            return now;
        }
        state.pulled = elapsed;
        if ahead == 0 || ahead > PULL_MAX_MS {
            return now;
        }
        state.stamp_ms = now.saturating_add(pull.min(ahead));
        state.received = Some(elapsed);
        state.stamp_ms
    }

    /// The same, by the clocks of these surroundings.
    pub(crate) fn leader<E: Env>(&self, env: &E) -> u64 {
        self.lead(env.elapsed(), env.wall_ms())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_leader_whose_wall_clock_is_ahead_ends_no_ttl_early() {
        let clock = Clock::default();
        clock.hear(1_000_000, MS(5));
        // It takes over 300 ms later, with a wall clock 10 s ahead, and leads for a minute.
        assert_eq!(clock.lead(MS(305), 1_010_300), 1_000_300);
        for step in 1..600 {
            let elapsed = MS(305 + step * 100);
            assert_eq!(clock.lead(elapsed, 1_010_300 + step * 100), 1_000_300 + step * 100);
        }
    }

    #[test]
    fn a_leader_whose_wall_clock_is_behind_revives_nothing() {
        let clock = Clock::default();
        clock.hear(1_000_000, MS(0));
        assert_eq!(clock.lead(MS(50), 990_000), 1_000_050);
        assert_eq!(clock.lead(MS(60_000), 1_049_950), 1_060_000);
    }

    #[test]
    fn a_cold_start_takes_wall_time_but_never_runs_back() {
        let clock = Clock::default();
        clock.remember(2_000_000);
        assert_eq!(clock.known(MS(9)), None);
        assert_eq!(clock.lead(MS(10), 1_500_000), 2_000_000);
        assert_eq!(clock.lead(MS(20), 1_500_010), 2_000_010);
        let clock = Clock::default();
        clock.remember(2_000_000);
        assert_eq!(clock.lead(MS(10), 2_500_000), 2_500_000);
    }

    #[test]
    fn older_stamps_change_nothing_and_newer_ones_move_it() {
        let clock = Clock::default();
        clock.hear(1000, MS(0));
        clock.hear(900, MS(10));
        assert_eq!(clock.known(MS(10)), Some(1010));
        clock.hear(1500, MS(20));
        assert_eq!(clock.known(MS(30)), Some(1510));
    }

    #[test]
    fn a_small_lag_is_made_up_slowly() {
        let clock = Clock::default();
        clock.hear(1_000_000, MS(0));
        let mut last = 0;
        for step in 1..=100_u64 {
            let elapsed = step * 1000;
            let now = clock.lead(MS(elapsed), 1_000_020 + elapsed);
            let pulled = now - 1_000_000 - elapsed;
            assert!(now > last && pulled <= 20 && pulled <= elapsed / PULL_DIVISOR, "{pulled}");
            last = now;
        }
        assert_eq!(last, 1_100_020);
    }
}
