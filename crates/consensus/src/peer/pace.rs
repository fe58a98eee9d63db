//! Raft's clock in production: it runs slower on slow links.
//!
//! openraft's time-outs are fixed when it is built, and a leader whose round trip is longer than
//! its lease may never write, although its followers hear it and elect nobody. So the clock that
//! openraft reads, and all that waits by it, is stretched as the measured round trip demands
//! (`links`): intervals, lease and election time-outs keep their proportions. Safety rests on terms
//! and quorums alone (reads ask a quorum), never on two clocks that agree. Everything of our own
//! (`Env::sleep`, `Env::within`) goes by real time.

use openraft::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use std::future::Future;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

/// Real time.
pub(crate) const REAL: u32 = 100;
/// Most that the clock is stretched, hundredths: a round trip of some 4 s.
pub(crate) const PACE_MAX: u32 = 3200;

/// How Raft's time follows from real time. One for the process: the trait behind it has no place
/// for one of each replica, and a process is a replica.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// From this moment on, which is so late by Raft's clock.
    at: (Instant, Duration),
    /// Hundredths of real time in one hundredth of Raft's.
    stretch: u32,
    /// Added to every limit on a call: it needs a round trip whatever else.
    round_trip: Duration,
}

static PACE: LazyLock<RwLock<Pace>> = LazyLock::new(|| {
    // Not at zero: openraft subtracts from instants.
    let at = (Instant::now(), Duration::from_hours(24));
    RwLock::new(Pace { at, stretch: REAL, round_trip: Duration::ZERO })
});

impl Pace {
    fn now() -> Self {
        *PACE.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raft's time at a moment.
    fn raft(&self, moment: Instant) -> Duration {
        let (at, raft) = self.at;
        raft + moment.saturating_duration_since(at) * REAL / self.stretch.max(REAL)
    }

    /// The moment at which Raft's clock will show so much.
    fn real(&self, raft: Duration) -> Instant {
        let (at, since) = self.at;
        at + raft.saturating_sub(since) * self.stretch / REAL
    }

    /// The same clock, faster or slower from `moment` on.
    fn stretched(&self, moment: Instant, stretch: u32, round_trip: Duration) -> Self {
        let at = (moment, self.raft(moment));
        Self { at, stretch: stretch.clamp(REAL, PACE_MAX), round_trip }
    }
}

/// Sets how far Raft's clock is stretched from now on, and the round trip that calls need.
pub(crate) fn set(stretch: u32, round_trip: Duration) {
    let mut pace = PACE.write().unwrap_or_else(PoisonError::into_inner);
    *pace = pace.stretched(Instant::now(), stretch, round_trip);
}

/// tokio, by Raft's clock.
#[derive(Debug)]
pub(crate) struct PacedRuntime(TokioRuntime);

/// A time on Raft's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PacedInstant(Duration);

impl Add<Duration> for PacedInstant {
    type Output = Self;

    fn add(self, more: Duration) -> Self {
        Self(self.0 + more)
    }
}

impl AddAssign<Duration> for PacedInstant {
    fn add_assign(&mut self, more: Duration) {
        self.0 += more;
    }
}

impl Sub<Duration> for PacedInstant {
    type Output = Self;

    fn sub(self, less: Duration) -> Self {
        Self(self.0.saturating_sub(less))
    }
}

impl SubAssign<Duration> for PacedInstant {
    fn sub_assign(&mut self, less: Duration) {
        self.0 = self.0.saturating_sub(less);
    }
}

impl Sub for PacedInstant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl openraft::Instant for PacedInstant {
    fn now() -> Self {
        Self(Pace::now().raft(Instant::now()))
    }
}

impl AsyncRuntime for PacedRuntime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: Send + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = PacedInstant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + Send> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: Send + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        TokioRuntime::spawn(future)
    }

    /// By real time: what sleeps so is a pause between two tries.
    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(duration)
    }

    fn sleep_until(deadline: PacedInstant) -> Self::Sleep {
        tokio::time::sleep_until(Pace::now().real(deadline.0))
    }

    /// Limits on calls: openraft cancels what takes longer.
    fn timeout<R, F: Future<Output = R> + Send>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        let pace = Pace::now();
        tokio::time::timeout(duration * pace.stretch / REAL + pace.round_trip * 2, future)
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(
        deadline: PacedInstant,
        future: F,
    ) -> Self::Timeout<R, F> {
        tokio::time::timeout_at(Pace::now().real(deadline.0), future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretched_clock_neither_jumps_nor_goes_back() {
        let start = Instant::now();
        let pace = Pace { at: (start, Duration::ZERO), stretch: REAL, round_trip: Duration::ZERO };
        let second = Duration::from_secs(1);
        assert_eq!(pace.raft(start + second), second);
        // Four times slower from there on.
        let slow = pace.stretched(start + second, 400, second);
        assert_eq!(slow.raft(start + second), second);
        assert_eq!(slow.raft(start + second * 5), second * 2);
        assert_eq!(slow.real(second * 2), start + second * 5);
        // And back.
        let again = slow.stretched(start + second * 5, REAL, Duration::ZERO);
        assert_eq!(again.raft(start + second * 6), second * 3);
        assert_eq!(again.real(second * 3), start + second * 6);
    }

    #[test]
    fn no_stretch_makes_the_clock_faster_or_stands_it_still() {
        let start = Instant::now();
        let pace = Pace { at: (start, Duration::ZERO), stretch: REAL, round_trip: Duration::ZERO };
        assert_eq!(pace.stretched(start, 0, Duration::ZERO).stretch, REAL);
        assert_eq!(pace.stretched(start, u32::MAX, Duration::ZERO).stretch, PACE_MAX);
    }
}
