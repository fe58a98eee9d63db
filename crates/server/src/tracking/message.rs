//! What a client is told, and the way there.
//!
//! A client that speaks RESP3 is told on its own connection, or on the one that it has named. One
//! that speaks RESP2 must have named another: that one hears of it as a message to a channel, if it
//! listens to anything at all, as in Redis.

use crate::clients::{BROKEN, Peer};
use bytes::{Bytes, BytesMut};
use quorate_resp::{Proto, Reply};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Whom a client wants told.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) peer: Arc<Peer>,
    /// Somebody else in its place.
    pub(super) redirect: Option<Arc<Peer>>,
}

/// That keys have changed: these, or all. Encoded once for each protocol.
pub(super) struct Message<'k> {
    keys: Option<Vec<&'k [u8]>>,
    older: Option<Bytes>,
    newer: Option<Bytes>,
}

impl<'k> Message<'k> {
    /// These keys.
    pub(super) fn of(keys: Vec<&'k [u8]>) -> Self {
        Self { keys: Some(keys), older: None, newer: None }
    }

    /// All keys.
    pub(super) fn of_all() -> Self {
        Self { keys: None, older: None, newer: None }
    }

    /// Tells a client.
    pub(super) fn send(&mut self, way: &Way) {
        let (to, is_other) = match &way.redirect {
            None => (&way.peer, false),
            Some(other) if other.is_leaving() => return break_off(way, other.id),
            Some(other) => (other, true),
        };
        if to.resp3.load(Relaxed) {
            let frame = self.newer.get_or_insert_with(|| encode(self.keys.as_deref(), true));
            to.push(frame.clone());
        } else if is_other && to.is_subscriber() {
            let frame = self.older.get_or_insert_with(|| encode(self.keys.as_deref(), false));
            to.push(frame.clone());
        }
    }
}

/// Whoever was to be told is gone: the client itself hears of that.
#[cold]
fn break_off(way: &Way, id: u64) {
    way.peer.tracking.fetch_or(BROKEN, Relaxed);
    if way.peer.resp3.load(Relaxed) {
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        let mut out = BytesMut::new();
        let words = vec![Reply::bulk(b"tracking-redir-broken"), Reply::Int(id)];
        Reply::Push(words).encode(Proto::Resp3, &mut out);
        way.peer.push(out.freeze());
    }
}

fn encode(keys: Option<&[&[u8]]>, resp3: bool) -> Bytes {
    /// Of the headers of a frame and of each key, amply.
    const HEADER_BYTES: usize = 24;
    let bytes: usize =
        keys.iter().flat_map(|keys| keys.iter()).map(|key| key.len() + HEADER_BYTES).sum();
    let mut out = BytesMut::with_capacity(bytes + 4 * HEADER_BYTES);
    let keys = match keys {
        Some(keys) => Reply::Array(keys.iter().map(|key| Reply::bulk(key)).collect()),
        None => Reply::Null,
    };
    if resp3 {
        Reply::Push(vec![Reply::bulk(b"invalidate"), keys]).encode(Proto::Resp3, &mut out);
    } else {
        let words = vec![Reply::bulk(b"message"), Reply::bulk(CHANNEL), keys];
        Reply::Push(words).encode(Proto::Resp2, &mut out);
    }
    out.freeze()
}
