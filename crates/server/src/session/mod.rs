//! A client's connection from its first byte to its last.
//!
//! One task, one straight line: wait for bytes, serve every whole command among them, send the
//! replies with one write. Consecutive reads share one read barrier and run under one guard;
//! writes, and reads behind them, go to the log as one run. Replies come in the order of the
//! commands because nothing overtakes: a batch is served piece after piece.

mod batch;
mod exec;
mod follow;
mod intake;
mod pushes;
mod replies;
mod server;
mod socket;
mod sync;
mod wait;

use crate::backend::Backend;
use crate::clients::{Held, Peer};
use crate::command::Client;
use crate::evict::evict;
use crate::shared::Shared;
use bytes::{Bytes, BytesMut};
use intake::Intake;
use quorate_resp::Limits;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tokio::net::TcpStream;

/// Bytes of replies that may wait before further commands of the same client are held back.
const OUTPUT_HOLD_BYTES: usize = 4 << 20;
/// Bytes of replies a client gets before it has authenticated.
const OUTPUT_UNKNOWN_BYTES: usize = 16 << 10;
/// Bytes of requests that may wait of a client that has not authenticated.
const QUERY_UNKNOWN_BYTES: usize = 64 << 10;
/// Greatest argument whatever `proto-max-bulk-len` says: a command has to fit an entry and a peer's
/// frame.
const BULK_BYTES_MAX: usize = 64 << 20;

/// Greatest command whatever `client-query-buffer-limit` says.
const COMMAND_BYTES_MAX: usize = 128 << 20;
/// A client whose command is too large to be served, and is skipped, has to send something in so
/// many milliseconds,
const SKIP_STALL_MS: u64 = 10_000;
/// and altogether so many bytes a millisecond: a link of 2 Mbit/s.
const SKIP_BYTES_PER_MS: u64 = 256;

/// A session.
struct Session<B: Backend> {
    node: B,
    shared: Arc<Shared>,
    stream: TcpStream,
    client: Client,
    intake: Intake,
    /// A large pushed frame that goes out before `output`: shared with others who get it.
    ahead: Bytes,
    output: BytesMut,
    /// Whether commands wait until the client has taken replies.
    held: bool,
    /// Every node runs a version that has scripts.
    may_script: bool,
    /// Set when the connection ends whatever still waits.
    killed: bool,
    /// Since when more than the soft limit waits.
    over_soft_since: Option<Instant>,
    /// Since when, in milliseconds of the session, a command is skipped.
    skipping_since_ms: Option<u64>,
    /// The generation of settings last looked at.
    generation: u64,
    /// State of the generator behind RANDOMKEY and its like: reads need not repeat.
    seed: u64,
}

/// Serves one connection until it ends.
pub(crate) async fn serve<B: Backend>(
    node: B,
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: Arc<Peer>,
) {
    let client = Client::new(Arc::clone(&peer), &shared);
    let all = Arc::clone(&shared);
    let mut session = Session {
        node,
        intake: Intake::new(shared.registry, Limits::unauthenticated()),
        stream,
        client,
        ahead: Bytes::new(),
        output: BytesMut::new(),
        held: false,
        may_script: false,
        killed: false,
        over_soft_since: None,
        skipping_since_ms: None,
        generation: 0,
        seed: crate::shared::unix_micros() ^ peer.id.rotate_left(32),
        shared,
    };
    session.run().await;
    // Closes the socket.
    drop(session);
    all.clients.remove(&peer);
    peer.set_gone();
}

impl<B: Backend> Session<B> {
    async fn run(&mut self) {
        std::future::poll_fn(|cx| {
            self.client.peer.set_waker(cx.waker());
            std::task::Poll::Ready(())
        })
        .await;
        while self.wait().await {
            self.look_at_settings();
            self.serve_batch().await;
            self.publish();
        }
    }

    /// Takes over changed settings. One load when nothing changed.
    fn look_at_settings(&mut self) {
        let generation = self.shared.generation.load(Relaxed);
        if generation != self.generation {
            self.generation = generation;
            self.client.tuned = self.shared.tuned();
            self.client.limit_pushes();
            self.set_limits();
        }
    }

    /// Fits the parser's limits to the settings and to whether the client is known.
    fn set_limits(&mut self) {
        self.intake.limits = if self.client.authenticated {
            let bytes = usize::try_from(self.shared.cluster().string_bytes_max);
            let bulk_bytes_max = bytes.unwrap_or(usize::MAX).min(BULK_BYTES_MAX);
            let command_bytes_max = self.client.tuned.query_bytes_max.min(COMMAND_BYTES_MAX);
            Limits { bulk_bytes_max, command_bytes_max, ..Limits::default() }
        } else {
            Limits::unauthenticated()
        };
    }

    /// Shows others how this session stands.
    fn publish(&mut self) {
        self.intake.compact();
        self.show_sizes(0);
        let peer = &self.client.peer;
        let now_ms = peer.since.elapsed().as_millis() as u64;
        peer.active_ms.store(now_ms, Relaxed);
        peer.queued.store(self.client.transaction.queued(), Relaxed);
        match self.intake.skipping() {
            Some(bytes) => self.limit_skip(bytes as u64, now_ms),
            None if self.skipping_since_ms.take().is_some() => peer.skip_until_ms.store(0, Relaxed),
            None => {}
        }
    }

    /// Says how long the rest of a command that is too large may take, by what it has declared.
    #[cold]
    fn limit_skip(&mut self, bytes: u64, now_ms: u64) {
        let since_ms = *self.skipping_since_ms.get_or_insert(now_ms);
        let last_ms = since_ms + SKIP_STALL_MS + bytes / SKIP_BYTES_PER_MS;
        let until_ms = last_ms.min(now_ms + SKIP_STALL_MS);
        self.client.peer.skip_until_ms.store(until_ms, Relaxed);
    }

    /// Shows what this session holds, with so many bytes of a run that is under way; others may
    /// have to go for it, or this one.
    fn show_sizes(&self, run: usize) {
        let (waiting, capacity) = self.intake.sizes();
        let run = run + self.client.transaction.bytes();
        let output = self.output.capacity() + self.ahead.len();
        let subscriptions = self.client.subscriptions.bytes() + self.client.tracker.bytes();
        let held = Held { input: capacity, run, output, subscriptions };
        let peer = &self.client.peer;
        peer.input.store(waiting, Relaxed);
        peer.output.store(self.output.len() + self.ahead.len(), Relaxed);
        if self.shared.clients.hold(peer, held) {
            evict(&self.shared);
        }
    }
}

#[cfg(test)]
mod tests;
