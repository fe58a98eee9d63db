//! The socket's side of a session: waiting, reading, writing, and what others signalled meanwhile.
//!
//! Replies are offered to the socket first, then bytes are read, both from one poll, so that a
//! client that sends much before it reads anything blocks nobody. A read that does not fill the
//! room says that the socket is empty; the next poll then costs no system call.

use super::{OUTPUT_HOLD_BYTES, OUTPUT_UNKNOWN_BYTES, QUERY_UNKNOWN_BYTES, Session};
use crate::backend::Backend;
use crate::clients::{FINISH, KILL, OVERFLOW, PUSH, SHRINK};
use bytes::BytesMut;
use std::future::Future as _;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

/// Bytes read before they are served, so that one busy client does not hold the thread.
const READ_BATCH_BYTES: usize = 1 << 20;
/// A reply buffer above this is given back when it is empty.
const OUTPUT_KEEP_BYTES: usize = 64 << 10;
/// Seconds after which an idle session gives its buffers back, as in Redis.
const IDLE_S: u64 = 2;

impl<B: Backend> Session<B> {
    /// Waits until there is something to serve; false when the connection is over.
    pub(super) async fn wait(&mut self) -> bool {
        let open = std::future::poll_fn(|cx| self.poll_wait(cx)).await;
        if !open {
            // What is left in the socket's buffer still goes out; an error here changes nothing.
            let _ = std::future::poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await;
        }
        open
    }

    /// Waits for something that others do for this client, and heeds signals meanwhile: what is
    /// pushed goes out, and a client that is killed is gone at once. `None` then; what was asked
    /// for goes its way without anybody who waits for it.
    ///
    /// The end of what the client sends is not looked for: many send their commands, close their
    /// half of the connection and read the replies.
    pub(super) async fn attend<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            let signals = self.client.peer.take_signals();
            // Also what the socket did not take at once.
            let pushed = signals & PUSH != 0 || self.has_pushes();
            if signals != 0 && !self.heed(signals) || pushed && !self.poll_send(cx) {
                self.killed = true;
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let signals = self.client.peer.take_signals();
        if self.killed || signals != 0 && !self.heed(signals) {
            return Poll::Ready(false);
        }
        if !self.poll_send(cx) || (self.client.closing && self.is_sent()) {
            return Poll::Ready(false);
        }
        if self.client.closing {
            return Poll::Pending;
        }
        if self.held && self.waiting() < OUTPUT_HOLD_BYTES / 2 {
            self.held = false;
            return Poll::Ready(true);
        }
        self.poll_receive(cx)
    }

    /// Acts on what others signalled; false to end.
    pub(super) fn heed(&mut self, signals: u8) -> bool {
        if signals & SHRINK != 0 {
            self.intake.shrink(self.client.peer.idle_s() >= IDLE_S);
            if self.output.is_empty() && self.output.capacity() > OUTPUT_KEEP_BYTES {
                self.output = BytesMut::new();
            }
            self.show_sizes(0);
        }
        if signals & FINISH != 0 {
            self.client.closing = true;
        }
        if signals & OVERFLOW != 0 {
            self.note_over_limit(self.waiting());
        }
        signals & (KILL | OVERFLOW) == 0
    }

    /// Sends what the socket takes; false to end.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> bool {
        self.take_pushes();
        if self.is_sent() {
            return true;
        }
        let waited = self.waiting();
        while !self.is_sent() {
            let next = if self.ahead.is_empty() { &self.output[..] } else { &self.ahead[..] };
            match Pin::new(&mut self.stream).poll_write(cx, next) {
                Poll::Ready(Ok(sent @ 1..)) => {
                    self.sent(sent);
                    self.shared.stats.bytes_out.fetch_add(sent as u64, Relaxed);
                    self.shared.stats.socket_writes.fetch_add(1, Relaxed);
                }
                Poll::Ready(_) => return false,
                Poll::Pending => break,
            }
        }
        if self.is_sent() {
            self.output.clear();
            self.over_soft_since = None;
        }
        if waited != self.waiting() {
            self.show_sizes(0);
        }
        self.within_output_limit()
    }

    /// Whether what waits for the client is within its class's limits.
    fn within_output_limit(&mut self) -> bool {
        let waiting = self.waiting();
        let limit = self.client.output_limit();
        let hard = if self.client.authenticated { limit.hard } else { OUTPUT_UNKNOWN_BYTES };
        let mut within = hard == 0 || waiting <= hard;
        if limit.soft > 0 && waiting > limit.soft {
            let since = *self.over_soft_since.get_or_insert_with(Instant::now);
            within &= since.elapsed().as_secs() < limit.seconds;
        } else {
            self.over_soft_since = None;
        }
        if !within {
            self.note_over_limit(waiting);
        }
        within
    }

    #[cold]
    fn note_over_limit(&self, waiting: usize) {
        self.shared.stats.output_limit_closed.fetch_add(1, Relaxed);
        let peer = &self.client.peer;
        tracing::warn!(id = peer.id, address = %peer.address, waiting,
            "closing a client that does not take its replies");
    }

    /// Reads what has come; ready with true when there is something to serve, with false at the
    /// end.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let (waiting, _) = self.intake.sizes();
        let tuned = &self.client.tuned;
        let max =
            if self.client.authenticated { tuned.query_bytes_max } else { QUERY_UNKNOWN_BYTES };
        if waiting >= max {
            return Poll::Ready(self.over_query_limit(waiting));
        }
        if self.intake.is_bare() {
            match self.stream.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        let mut got = 0;
        loop {
            let buffer = self.intake.room();
            let room = buffer.capacity() - buffer.len();
            match pin!(self.stream.read_buf(buffer)).poll(cx) {
                Poll::Ready(Ok(0) | Err(_)) if got == 0 => return Poll::Ready(false),
                Poll::Pending if got == 0 => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) | Poll::Pending => break,
                Poll::Ready(Ok(bytes)) => {
                    got += bytes;
                    if bytes < room || got >= READ_BATCH_BYTES || self.intake.is_filled() {
                        break;
                    }
                }
            }
        }
        self.shared.stats.bytes_in.fetch_add(got as u64, Relaxed);
        self.shared.stats.socket_reads.fetch_add(1, Relaxed);
        Poll::Ready(true)
    }

    #[cold]
    fn over_query_limit(&self, waiting: usize) -> bool {
        self.shared.stats.query_limit_closed.fetch_add(1, Relaxed);
        let peer = &self.client.peer;
        tracing::warn!(id = peer.id, address = %peer.address, waiting,
            "closing a client that reached the query buffer limit");
        false
    }
}
