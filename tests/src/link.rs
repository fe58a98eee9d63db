//! Links between processes that are slow, narrow, or both: a port that hands on to another port
//! what it gets, later, and no more than so many bytes a second.
//!
//! Written here because a kernel need not be able to delay packets, and so that a test needs no
//! rights. Both properties can be changed while it runs; opening a connection is not delayed. All
//! connections of one link share its width, one direction apart from the other, as those of one
//! cable do.

use crate::port::free_port;
use crate::wait::pause;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes taken at once.
const CHUNK: usize = 16 << 10;
/// Chunks on their way in one direction of a connection: enough for 1 Gbit/s over 400 ms.
const CHUNKS_MAX: usize = 4096;
/// What waits in front of a narrow place, as time: a router's buffer.
const BUFFER: Duration = Duration::from_millis(50);

/// A link to a port.
#[derive(Debug)]
pub struct Link {
    /// Where it is entered.
    pub port: u16,
    shape: Arc<Shape>,
}

#[derive(Debug, Default)]
struct Shape {
    delay_us: AtomicU64,
    /// 0: as wide as the machine.
    bytes_per_second: AtomicU64,
    closed: AtomicBool,
    /// When the link is free again, there and back.
    free: [Mutex<Option<Instant>>; 2],
}

impl Shape {
    /// When what is sent now has left the narrow place, after waiting until there is room in front
    /// of it.
    fn pass(&self, way: usize, bytes: usize) -> Instant {
        let width = self.bytes_per_second.load(Ordering::Relaxed);
        if width == 0 {
            return Instant::now();
        }
        let takes = Duration::from_secs_f64(bytes as f64 / width as f64);
        let left = {
            let mut free = self.free[way].lock().expect("nobody panics here");
            let left = free.map_or(Instant::now(), |free| free.max(Instant::now())) + takes;
            *free = Some(left);
            left
        };
        pause(left.saturating_duration_since(Instant::now()).saturating_sub(BUFFER));
        left
    }

    fn delay(&self) -> Duration {
        Duration::from_micros(self.delay_us.load(Ordering::Relaxed))
    }
}

impl Link {
    /// A link to a port on loopback, with no delay and full width.
    pub fn to(port: u16) -> Self {
        let shape = Arc::new(Shape::default());
        let entry = free_port();
        let listener = TcpListener::bind(("127.0.0.1", entry)).expect("a free port");
        let serving = Arc::clone(&shape);
        std::thread::spawn(move || serve(&listener, port, &serving));
        Self { port: entry, shape }
    }

    /// Each byte takes so long, one way.
    pub fn set_delay(&self, delay: Duration) {
        self.shape.delay_us.store(delay.as_micros() as u64, Ordering::Relaxed);
    }

    /// So many bytes a second pass, each way.
    pub fn set_width(&self, bytes_per_second: u64) {
        self.shape.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shape.closed.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(listener: &TcpListener, to: u16, shape: &Arc<Shape>) {
    for near in listener.incoming() {
        if shape.closed.load(Ordering::Relaxed) {
            return;
        }
        // Nobody there: the connection closes, as a refused one would.
        let (Ok(near), Ok(far)) = (near, TcpStream::connect(("127.0.0.1", to))) else { continue };
        let _ = connect(&near, &far, shape);
    }
}

fn connect(near: &TcpStream, far: &TcpStream, shape: &Arc<Shape>) -> io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ways = [(near.try_clone()?, far.try_clone()?), (far.try_clone()?, near.try_clone()?)];
    for (way, (from, into)) in ways.into_iter().enumerate() {
        let (sent, arriving) = mpsc::sync_channel(CHUNKS_MAX);
        let shape = Arc::clone(shape);
        std::thread::spawn(move || take(from, way, &shape, &sent));
        std::thread::spawn(move || give(into, &arriving));
    }
    Ok(())
}

/// What is due at a moment; empty at the end.
type Sent = (Instant, Vec<u8>);

fn take(mut from: TcpStream, way: usize, shape: &Shape, sent: &SyncSender<Sent>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        let due = shape.pass(way, read) + shape.delay();
        if sent.send((due, buffer[..read].to_vec())).is_err() || read == 0 {
            return;
        }
    }
}

fn give(mut into: TcpStream, arriving: &Receiver<Sent>) {
    for (due, bytes) in arriving {
        pause(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() || into.write_all(&bytes).is_err() {
            break;
        }
    }
    // Whoever sends into a closed connection must notice.
    let _ = into.shutdown(Shutdown::Both);
}
