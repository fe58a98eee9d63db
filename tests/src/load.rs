//! Load that remembers: many connections write unique keys and keep what was acknowledged, while
//! faults happen.
//!
//! A key is *acknowledged* when `+OK` was read. Anything else (an error, a lost connection) leaves
//! it open: it may be there or not. At the end every acknowledged key must be readable on every
//! replica.

use crate::client::{Client, is_ok, text};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    longest_gap_us: AtomicU64,
    last_ack: Mutex<Option<Instant>>,
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<Vec<u64>>>,
}

impl Load {
    /// Starts `connections` writers spread over `ports`. A writer that loses its connection turns
    /// to the next port.
    pub fn start(ports: &[u16], connections: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let workers = (0..connections)
            .map(|id| {
                let shared = Arc::clone(&shared);
                let ports = ports.to_vec();
                std::thread::spawn(move || write_until_stopped(id, &ports, &shared))
            })
            .collect();
        Self { shared, workers }
    }

    /// Writes acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// The longest time between two acknowledgements (of any connection) since the last call.
    pub fn take_longest_gap(&self) -> Duration {
        Duration::from_micros(self.shared.longest_gap_us.swap(0, Ordering::Relaxed))
    }

    /// Ends the load and returns, per connection, the numbers of its acknowledged keys.
    pub fn stop(self) -> Vec<Vec<u64>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.workers
            .into_iter()
            .map(|worker| worker.join().expect("a writer does not panic"))
            .collect()
    }
}

fn write_until_stopped(id: usize, ports: &[u16], shared: &Shared) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let mut client = None;
    let mut turn = id;
    for number in 0_u64.. {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        if client.is_none() {
            client = Client::connect(ports[turn % ports.len()], Duration::from_secs(10)).ok();
            turn += 1;
            if client.is_none() {
                crate::wait::pause(Duration::from_millis(2));
                continue;
            }
        }
        let Some(open) = client.as_mut() else { continue };
        match open.call(&["SET", &key(id, number), &number.to_string()]) {
            Ok(value) if is_ok(&value) => {
                note(shared);
                acknowledged.push(number);
            }
            Ok(_) => {}
            Err(_) => client = None,
        }
    }
    acknowledged
}

fn note(shared: &Shared) {
    shared.acknowledged.fetch_add(1, Ordering::Relaxed);
    let now = Instant::now();
    let mut last = shared.last_ack.lock().expect("no writer panics");
    if let Some(before) = last.replace(now) {
        let gap = now.duration_since(before).as_micros() as u64;
        shared.longest_gap_us.fetch_max(gap, Ordering::Relaxed);
    }
}

fn key(connection: usize, number: u64) -> String {
    format!("load:{connection}:{number}")
}

/// Reads every acknowledged key through `port`; the keys that are missing or wrong.
pub fn missing(port: u16, acknowledged: &[Vec<u64>]) -> Vec<String> {
    let mut client = Client::connect(port, Duration::from_mins(1)).expect("the replica answers");
    let mut lost = Vec::new();
    for (connection, numbers) in acknowledged.iter().enumerate() {
        for chunk in numbers.chunks(256) {
            let keys: Vec<String> = chunk.iter().map(|&number| key(connection, number)).collect();
            let commands: Vec<Vec<&str>> = keys.iter().map(|k| vec!["GET", k.as_str()]).collect();
            let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
            let answers = client.pipeline(&commands).expect("the replica answers");
            for ((key, number), answer) in keys.iter().zip(chunk).zip(&answers) {
                if text(answer) != Some(number.to_string()) {
                    lost.push(format!("{key}: {answer:?}"));
                }
            }
        }
    }
    lost
}
