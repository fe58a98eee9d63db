//! What takes memory, as INFO and MEMORY tell it: the data, what is held for clients and for the
//! log, and what the process has without any of them.
//!
//! The parts are counted where they are held. Only the last is measured: what was resident when the
//! node had its state, less the data, so that a small node does not look like a fragmented one.

use crate::process::Figures;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// An empty process takes less; what is resident beyond it at the start is no fixed cost.
const STARTUP_BYTES_MAX: u64 = 64 << 20;

/// What has to be remembered from before. Bytes.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// 0 until the node has its state.
    startup: AtomicU64,
    /// Most in use at once, as far as it was looked at.
    peak: AtomicU64,
}

/// What is counted where it is held, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// Keys and values.
    pub(crate) data: u64,
    /// Buffers of clients.
    pub(crate) clients: u64,
    /// What waits for replicas of Redis.
    pub(crate) replicas: u64,
    /// Entries of the log that are kept for followers.
    pub(crate) log: u64,
}

/// The figures of one moment, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// The process without data, clients and log.
    pub(crate) startup: u64,
    /// Keys and values.
    pub(crate) data: u64,
    /// Buffers of clients.
    pub(crate) clients: u64,
    /// Of these, what waits for replicas of Redis.
    pub(crate) replicas: u64,
    /// Entries of the log that are kept for followers.
    pub(crate) log: u64,
    /// What the operating system counts.
    pub(crate) resident: u64,
    /// The most that `used` was.
    pub(crate) peak: u64,
}

impl Memory {
    /// Adds it up. The first call with the state loaded (`is_loaded`) fixes what counts as the
    /// process's own.
    pub(crate) fn now(
        remembered: &Remembered,
        process: &Figures,
        held: Held,
        is_loaded: bool,
    ) -> Self {
        let Held { data, clients, replicas, log } = held;
        let resident = process.rss_bytes;
        let clients = clients + replicas;
        let own = resident.saturating_sub(data + clients + log).clamp(1, STARTUP_BYTES_MAX);
        if is_loaded {
            let _ = remembered.startup.compare_exchange(0, own, Relaxed, Relaxed);
        }
        let startup = match remembered.startup.load(Relaxed) {
            0 => own,
            fixed => fixed,
        };
        let mut figures = Self { startup, data, clients, replicas, log, resident, peak: 0 };
        let used = figures.used();
        figures.peak = remembered.peak.fetch_max(used, Relaxed).max(used);
        figures
    }

    /// All that is in use.
    pub(crate) fn used(&self) -> u64 {
        self.overhead() + self.data
    }

    /// All but the data.
    pub(crate) fn overhead(&self) -> u64 {
        self.startup + self.clients + self.log
    }

    /// Resident for each byte in use.
    pub(crate) fn fragmentation(&self) -> f64 {
        self.resident as f64 / self.used().max(1) as f64
    }

    /// How much of what was added since the start is data, in percent.
    pub(crate) fn data_percent(&self) -> f64 {
        let net = self.used() - self.startup;
        if net == 0 { 0.0 } else { self.data as f64 * 100.0 / net as f64 }
    }
}
