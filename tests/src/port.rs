//! Ports for the processes under test.
//!
//! Found by trying, so that tests of several runs at a time do not meet.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A free TCP port below the range that the kernel gives to outgoing connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 12_000 + (std::process::id() % 1_500) as u16 * 12;
    loop {
        let port = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 30_000 + 1_500;
        if port > 2_000 && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
