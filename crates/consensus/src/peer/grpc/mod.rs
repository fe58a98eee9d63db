//! The peer contract over gRPC: [`GrpcTransport`] calls peers, [`serve`] answers them.
//!
//! This is the only place that names tonic. It carries messages and streams as they are, keeps
//! connections, bounds sizes and times of the *connection*, and checks the shared secret. It does
//! not look into an envelope: who may say what is decided by `crate::membership` and the replica.
//! Nothing here needs more than one thread.

mod client;
mod inbound;
mod secret;
mod server;
#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed expectation fails the test"
)]
mod tests;

pub(crate) use client::GrpcTransport;
pub(crate) use server::{connections_max, serve};

use std::time::Duration;

/// Greatest message that is decoded. One entry holds at least one command, and a command may fill a
/// client's query buffer (128 MiB); the rest is room for the other fields. Checked from the frame's
/// header, before anything is decoded.
const MESSAGE_BYTES_MAX: usize = (128 + 16) * 1024 * 1024;

/// HTTP/2 flow-control window of one stream, on both sides. hyper's default of 1 MiB stalls a
/// pipeline of 1 MiB entries on any link with latency.
const STREAM_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// HTTP/2 window of one connection: two full streams.
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;

/// A connection that was silent for this long is asked for a sign of life.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// A connection whose peer gives no sign of life for this long is given up. With the interval: a
/// peer that vanished without a word is noticed after 3 s, and the next try opens a fresh
/// connection instead of waiting for TCP. Twice the slowest round trip that is tested.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The same for connections that carry much in one direction: a ping waits there behind what the
/// operating system has taken (4 MiB and more, which at 10 Mbit/s is 4 s). A peer that vanished
/// while something was on its way is noticed by [`UNACKNOWLEDGED_TIMEOUT`].
const BUSY_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest a connect may take, name resolution included. A lost packet of the handshake is repeated
/// after 1 s.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// Sent bytes that stay unacknowledged for this long break the connection (`TCP_USER_TIMEOUT`).
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(3);

/// Greatest header block a peer may send.
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// Streams one connection may have open at a time: far more than a peer needs.
const STREAMS_PER_CONNECTION_MAX: u32 = 256;

/// After `stop`, how long open connections may take to say goodbye.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// Pause of the accept loop after the operating system refused a connection (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
