//! A load whose every latency is kept with its time.
//!
//! What happened in a window can be told from what happened before it; `redis-benchmark` gives one
//! distribution for a whole run.

use rustix::event::{PollFd, PollFlags, poll};
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
///
/// One thread drives them all, as `redis-benchmark` does. Fifty threads of two processors waited
/// for up to 10 ms for their turn behind each other, which is no wait for the server.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Sample>, String>>,
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
        let (told, request) = (stop.clone(), request.clone());
        let thread = std::thread::spawn(move || {
            let load = Load::connect(port, clients, &*request);
            load.and_then(|load| load.drive(&told)).map_err(|why| format!("probing {port}: {why}"))
        });
        Self { stop, thread }
    }

    /// Stops and gives all samples.
    pub(crate) fn finish(self) -> Result<Vec<Sample>, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the probe's thread panicked")?
    }
}

/// Samples that there is room for from the start: no growing in the middle of a measurement.
const SAMPLES: usize = 4 << 20;

/// The connections of one probe.
struct Load<'r> {
    request: &'r Request,
    streams: Vec<TcpStream>,
    clients: Vec<Client>,
}

/// One connection: its random state, when its request was sent, and what was answered so far.
struct Client {
    state: u64,
    sent: Instant,
    said: Vec<u8>,
}

impl<'r> Load<'r> {
    fn connect(port: u16, clients: u32, request: &'r Request) -> Result<Self, String> {
        let connect = |_| {
            let stream = TcpStream::connect(("127.0.0.1", port)).map_err(text)?;
            stream.set_nodelay(true).map_err(text)?;
            Ok(stream)
        };
        let streams = (0..clients).map(connect).collect::<Result<_, String>>()?;
        let client =
            |number| Client { state: u64::from(number) + 1, sent: Instant::now(), said: vec![] };
        Ok(Self { request, streams, clients: (0..clients).map(client).collect() })
    }

    /// Sends and answers until told to stop.
    fn drive(mut self, stop: &AtomicBool) -> Result<Vec<Sample>, String> {
        let mut samples = Vec::with_capacity(SAMPLES);
        let mut out = Vec::new();
        for (stream, client) in self.streams.iter().zip(&mut self.clients) {
            client.send(stream, self.request, &mut out)?;
        }
        let mut waiting: Vec<PollFd<'_>> =
            self.streams.iter().map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
        while !stop.load(Ordering::Relaxed) {
            poll(&mut waiting, None).map_err(|why| why.to_string())?;
            let all = self.streams.iter().zip(&mut self.clients).zip(&waiting);
            for ((stream, client), fd) in all {
                if fd.revents().is_empty() {
                    continue;
                }
                if let Some(sample) = client.receive(stream)? {
                    samples.push(sample);
                    client.send(stream, self.request, &mut out)?;
                }
            }
        }
        Ok(samples)
    }
}

impl Client {
    fn send(
        &mut self,
        mut stream: &TcpStream,
        request: &Request,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        // An LCG step (Knuth's constants); its upper bits are random enough to choose keys.
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        out.clear();
        request(self.state >> 33, out);
        self.sent = Instant::now();
        stream.write_all(out).map_err(text)
    }

    /// Reads what is there; a sample, if that completes the answer.
    fn receive(&mut self, mut stream: &TcpStream) -> Result<Option<Sample>, String> {
        let mut piece = [0_u8; 256];
        let got = stream.read(&mut piece).map_err(text)?;
        self.said.extend_from_slice(piece.get(..got).unwrap_or_default());
        if got == 0 || self.said.starts_with(b"-") {
            return Err(format!("answered {:?}", String::from_utf8_lossy(&self.said)));
        }
        if !is_whole(&self.said) {
            return Ok(None);
        }
        self.said.clear();
        let now = Instant::now();
        Ok(Some((now, now - self.sent)))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "what `map_err` calls")]
fn text(error: std::io::Error) -> String {
    error.to_string()
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
