//! A load whose every latency is kept with its time, so that what happened in a window can be told
//! from what happened before it. `redis-benchmark` gives one distribution for a whole run.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One request: when it was answered, and how long that took.
type Sample = (Instant, Duration);

/// Writes one request, which is answered by one line or by one bulk string, for a random number.
pub(crate) type Request = dyn Fn(u64, &mut Vec<u8>) + Send + Sync;

/// Connections that send random writes, one request at a time each, until stopped.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Vec<Sample>, String>>>,
}

/// Latencies of one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Requests per second.
    pub(crate) per_second: f64,
    /// 99th percentile, milliseconds.
    pub(crate) p99_ms: f64,
    /// Longest, milliseconds.
    pub(crate) max_ms: f64,
}

impl Probe {
    /// Starts `clients` connections to `port` that send `request`.
    pub(crate) fn start(port: u16, clients: u32, request: &Arc<Request>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..clients)
            .map(|number| {
                let (stop, request) = (stop.clone(), request.clone());
                std::thread::spawn(move || drive(port, number, &*request, &stop))
            })
            .collect();
        Self { stop, threads }
    }

    /// Stops and gives all samples.
    pub(crate) fn finish(self) -> Result<Vec<Sample>, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in self.threads {
            all.extend(thread.join().map_err(|_| "a connection's thread panicked")??);
        }
        Ok(all)
    }
}

fn drive(
    port: u16,
    number: u32,
    request: &Request,
    stop: &AtomicBool,
) -> Result<Vec<Sample>, String> {
    let text = |error: std::io::Error| format!("probing port {port}: {error}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    let mut samples = Vec::new();
    let mut state = u64::from(number) + 1;
    let (mut out, mut answer) = (Vec::new(), [0_u8; 256]);
    while !stop.load(Ordering::Relaxed) {
        // An LCG step (Knuth's constants); its upper bits are random enough to choose keys.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.clear();
        request(state >> 33, &mut out);
        let start = Instant::now();
        stream.write_all(&out).map_err(text)?;
        let mut length = 0;
        loop {
            let got = stream.read(answer.get_mut(length..).unwrap_or_default()).map_err(text)?;
            length += got;
            let said = answer.get(..length).unwrap_or_default();
            if got == 0 || said.starts_with(b"-") {
                let said = String::from_utf8_lossy(said);
                return Err(format!("probing port {port}: answered {said:?}"));
            }
            if is_whole(said) {
                break;
            }
        }
        let now = Instant::now();
        samples.push((now, now - start));
    }
    Ok(samples)
}

/// Whether all of a one-line reply or of a bulk string without line ends in it is there.
fn is_whole(said: &[u8]) -> bool {
    let ends = said.split(|byte| *byte == b'\n').count() - 1;
    ends == if said.starts_with(b"$") { 2 } else { 1 }
}

/// The samples that ended between two moments.
pub(crate) fn window(samples: &[Sample], from: Instant, to: Instant) -> Window {
    let inside = samples.iter().filter(|(at, _)| (from..to).contains(at));
    let mut ms: Vec<f64> = inside.map(|(_, took)| took.as_secs_f64() * 1e3).collect();
    ms.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = (ms.len() as f64 * part) as usize;
        ms.get(place.min(ms.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    };
    Window {
        per_second: ms.len() as f64 / (to - from).as_secs_f64(),
        p99_ms: at(0.99),
        max_ms: at(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_what_ended_in_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let samples: Vec<Sample> = (0..100).map(|n| (at(n), Duration::from_millis(n))).collect();
        let all = window(&samples, at(0), at(100));
        let check = |found: f64, want: f64| assert!((found - want).abs() < 1e-6, "{all:?}");
        check(all.per_second, 1000.0);
        check(all.p99_ms, 99.0);
        check(window(&samples, at(10), at(20)).max_ms, 19.0);
        assert!(window(&samples, at(200), at(300)).p99_ms.is_nan());
    }
}
