//! Connections that peers have opened to here: no more than a bound, or whoever reaches the peer
//! port could take the descriptors that the log needs.
//!
//! A connection counts as a peer's from the first request that passes the gate. At the bound the
//! oldest one that is nobody's is closed; where all are peers', the newcomer is.

use futures::task::AtomicWaker;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::Connected;

/// The bound, and who is connected.
pub(super) struct Inbound {
    most: usize,
    /// From the oldest on. Weak: a connection that ended leaves by itself.
    here: Mutex<Vec<Weak<Standing>>>,
}

/// What is known of one connection. Requests carry it.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) from: SocketAddr,
    of_a_peer: AtomicBool,
    closed: AtomicBool,
    waker: AtomicWaker,
}

impl Standing {
    /// A request of this connection has passed the gate.
    pub(super) fn is_of_a_peer(&self) {
        self.of_a_peer.store(true, Ordering::Release);
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Inbound {
    /// At most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, here: Mutex::default() }
    }

    /// Takes a connection, unless there are too many of peers.
    pub(super) fn admit(&self, stream: TcpStream, from: SocketAddr) -> Option<Connection> {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        here.retain(|standing| standing.strong_count() > 0);
        if here.len() >= self.most {
            let strangers = |standing: &Weak<Standing>| {
                standing.upgrade().is_none_or(|it| !it.of_a_peer.load(Ordering::Acquire))
            };
            let oldest = here.iter().position(strangers)?;
            if let Some(standing) = here.remove(oldest).upgrade() {
                standing.close();
            }
        }
        let standing = Arc::new(Standing {
            from,
            of_a_peer: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        here.push(Arc::downgrade(&standing));
        Some(Connection { stream, standing })
    }
}

/// A connection that can be closed from outside.
pub(super) struct Connection {
    stream: TcpStream,
    standing: Arc<Standing>,
}

impl Connected for Connection {
    type ConnectInfo = Arc<Standing>;

    fn connect_info(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.standing.waker.register(cx.waker());
        if self.standing.closed.load(Ordering::Acquire) {
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
