//! Counters for INFO: cheap to raise, made into text only when asked.
//!
//! Everything is a relaxed atomic or behind a lock that only cold paths take.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Distinct error codes that are counted; what comes beyond is counted as `other` (codes may come
/// from clients' names).
const ERROR_CODES_MAX: usize = 128;
/// Buckets of a latency histogram: four for each power of two of microseconds, up to hours.
const BUCKETS: usize = 4 * 36;

/// Counters of one command.
#[derive(Debug)]
pub(crate) struct CommandStats {
    pub(crate) calls: AtomicU64,
    pub(crate) nanos: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) failed: AtomicU64,
    histogram: Box<[AtomicU64]>,
}

impl CommandStats {
    fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            histogram: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn reset(&self) {
        for counter in [&self.calls, &self.nanos, &self.rejected, &self.failed] {
            counter.store(0, Relaxed);
        }
        self.histogram.iter().for_each(|bucket| bucket.store(0, Relaxed));
    }

    /// Microseconds below which `percent` of the calls stayed; `None` without calls that were
    /// timed.
    pub(crate) fn percentile(&self, percent: f64) -> Option<u64> {
        let counts: Vec<u64> = self.histogram.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return None;
        }
        let wanted = ((percent / 100.0) * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Some(bucket_top(at));
            }
        }
        None
    }

    /// Upper bound in microseconds and calls of every bucket in use.
    pub(crate) fn buckets(&self) -> Vec<(u64, u64)> {
        let counts = self.histogram.iter().map(|bucket| bucket.load(Relaxed));
        counts.enumerate().filter(|(_, n)| *n > 0).map(|(at, n)| (bucket_top(at), n)).collect()
    }
}

/// The bucket of a time in microseconds.
fn bucket(micros: u64) -> usize {
    if micros < 4 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize;
    let quarter = (micros >> (power - 2)) as usize & 3;
    ((power - 1) * 4 + quarter).min(BUCKETS - 1)
}

/// The greatest time in microseconds that falls into bucket `at`.
fn bucket_top(at: usize) -> u64 {
    if at < 4 {
        return at as u64;
    }
    let (power, quarter) = (at / 4 + 1, at as u64 % 4);
    ((quarter + 5) << (power - 2)) - 1
}

/// All counters of the process.
#[derive(Debug)]
pub(crate) struct Stats {
    commands: Box<[CommandStats]>,
    errors: Mutex<BTreeMap<String, u64>>,
    pub(crate) commands_total: AtomicU64,
    pub(crate) connections_total: AtomicU64,
    pub(crate) connections_rejected: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) errors_total: AtomicU64,
    pub(crate) uncertain_total: AtomicU64,
    pub(crate) query_limit_closed: AtomicU64,
    pub(crate) output_limit_closed: AtomicU64,
    pub(crate) evicted_clients: AtomicU64,
    /// Commands a second over the last cron interval.
    pub(crate) ops_per_second: AtomicU64,
    /// Bytes a second over the last cron interval, from clients and to them.
    pub(crate) bytes_per_second: (AtomicU64, AtomicU64),
    /// Times something was read from a client's socket, and written to one.
    pub(crate) socket_reads: AtomicU64,
    pub(crate) socket_writes: AtomicU64,
}

impl Stats {
    /// Counters for `commands` registry entries.
    pub(crate) fn new(commands: usize) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            commands: (0..commands).map(|_| CommandStats::new()).collect(),
            errors: Mutex::default(),
            commands_total: zero(),
            connections_total: zero(),
            connections_rejected: zero(),
            bytes_in: zero(),
            bytes_out: zero(),
            hits: zero(),
            misses: zero(),
            errors_total: zero(),
            uncertain_total: zero(),
            query_limit_closed: zero(),
            output_limit_closed: zero(),
            evicted_clients: zero(),
            ops_per_second: zero(),
            bytes_per_second: (zero(), zero()),
            socket_reads: zero(),
            socket_writes: zero(),
        }
    }

    /// Counters of the command with this registry id.
    pub(crate) fn command(&self, id: u16) -> Option<&CommandStats> {
        self.commands.get(usize::from(id))
    }

    /// Notes a command that ran for `nanos`.
    pub(crate) fn ran(&self, id: u16, nanos: u64, tracking: bool) {
        self.ran_often(id, 1, nanos, tracking);
    }

    /// Notes a command that ran so many times, each for `nanos`.
    pub(crate) fn ran_often(&self, id: u16, count: u64, nanos: u64, tracking: bool) {
        self.commands_total.fetch_add(count, Relaxed);
        let Some(stats) = self.command(id) else { return };
        stats.calls.fetch_add(count, Relaxed);
        stats.nanos.fetch_add(nanos.saturating_mul(count), Relaxed);
        if tracking && let Some(bucket) = stats.histogram.get(bucket(nanos / 1000)) {
            bucket.fetch_add(count, Relaxed);
        }
    }

    /// Notes a read that found its key.
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Relaxed);
    }

    /// Notes a read that found nothing.
    pub(crate) fn missed(&self) {
        self.misses.fetch_add(1, Relaxed);
    }

    /// Notes commands whose outcome is unknown.
    #[cold]
    pub(crate) fn uncertain(&self, count: u64) {
        self.uncertain_total.fetch_add(count, Relaxed);
    }

    /// Notes that the command's answer was this error line (without the `-`).
    #[cold]
    pub(crate) fn failed(&self, id: u16, line: &[u8]) {
        if let Some(stats) = self.command(id) {
            stats.failed.fetch_add(1, Relaxed);
        }
        self.error(line);
    }

    /// Notes that a command was refused before it ran.
    #[cold]
    pub(crate) fn rejected(&self, id: Option<u16>, line: &[u8]) {
        if let Some(stats) = id.and_then(|id| self.command(id)) {
            stats.rejected.fetch_add(1, Relaxed);
        }
        self.error(line);
    }

    fn error(&self, line: &[u8]) {
        self.errors_total.fetch_add(1, Relaxed);
        let code = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        // A code is a word of ours; only DEBUG ERROR lets a client choose it.
        let code = std::str::from_utf8(code).unwrap_or("other");
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else {
            let code = if errors.len() < ERROR_CODES_MAX { code } else { "other" };
            *errors.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// Error codes and how often each was answered.
    pub(crate) fn errors(&self) -> Vec<(String, u64)> {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().map(|(code, count)| (code.clone(), *count)).collect()
    }

    /// `CONFIG RESETSTAT`.
    pub(crate) fn reset(&self) {
        self.commands.iter().for_each(CommandStats::reset);
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for counter in [
            &self.commands_total,
            &self.connections_total,
            &self.connections_rejected,
            &self.bytes_in,
            &self.bytes_out,
            &self.hits,
            &self.misses,
            &self.errors_total,
            &self.uncertain_total,
            &self.query_limit_closed,
            &self.output_limit_closed,
            &self.evicted_clients,
            &self.socket_reads,
            &self.socket_writes,
        ] {
            counter.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_falls_into_it() {
        for micros in (0..5_000).chain([1 << 20, (1 << 30) + 12_345]) {
            let at = bucket(micros);
            assert!(micros <= bucket_top(at), "{micros}");
            assert!(at == 0 || micros > bucket_top(at - 1), "{micros}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_come_from_the_histogram() {
        let stats = Stats::new(1);
        for micros in 1..=100_u64 {
            stats.ran(0, micros * 1000, true);
        }
        let command = stats.command(0).map(|command| {
            [command.percentile(0.0), command.percentile(50.0), command.percentile(100.0)]
        });
        assert_eq!(command, Some([Some(1), Some(55), Some(111)]));
        stats.reset();
        assert_eq!(stats.command(0).and_then(|command| command.percentile(50.0)), None);
    }
}
