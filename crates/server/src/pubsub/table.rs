//! Names and who listens to them.
//!
//! One table for each kind of name. What goes to the subscribers of a name is encoded here, once
//! for each protocol that any of them speaks.

use crate::clients::Peer;
use bytes::{Bytes, BytesMut};
use quorate_engine::glob;
use quorate_resp::{Proto, Reply};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Subscribers by the ids of their connections, by names.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<Bytes, BTreeMap<u64, Arc<Peer>>>);

impl Table {
    /// Adds a subscriber; how many the name has now.
    pub(super) fn join(&mut self, name: &Bytes, peer: &Arc<Peer>) -> u64 {
        let of_name = self.0.entry(name.clone()).or_default();
        of_name.insert(peer.id, Arc::clone(peer));
        of_name.len() as u64
    }

    /// Removes a subscriber; how many the name has left.
    pub(super) fn leave(&mut self, name: &Bytes, peer: &Peer) -> u64 {
        let Some(of_name) = self.0.get_mut(name) else { return 0 };
        of_name.remove(&peer.id);
        let left = of_name.len() as u64;
        if left == 0 {
            self.0.remove(name);
        }
        left
    }

    /// Sends these words to the subscribers of a name.
    pub(super) fn send(&self, name: &[u8], words: &[&[u8]]) {
        if let Some(subscribers) = self.0.get(name) {
            send(subscribers, words);
        }
    }

    /// Sends to the subscribers of each pattern that matches the channel what `words` makes of it.
    pub(super) fn send_matching<'a>(
        &'a self,
        channel: &[u8],
        words: &dyn Fn(&'a [u8]) -> [&'a [u8]; 4],
    ) {
        for (pattern, subscribers) in &self.0 {
            if glob::matches(pattern, channel) {
                send(subscribers, &words(pattern));
            }
        }
    }
}

/// Encodes at most once for each protocol; the bytes are shared.
fn send(subscribers: &BTreeMap<u64, Arc<Peer>>, words: &[&[u8]]) {
    let (mut older, mut newer) = (None, None);
    for peer in subscribers.values() {
        let (frame, proto) = if peer.resp3.load(Relaxed) {
            (&mut newer, Proto::Resp3)
        } else {
            (&mut older, Proto::Resp2)
        };
        peer.push(frame.get_or_insert_with(|| encode(words, proto)).clone());
    }
}

fn encode(words: &[&[u8]], proto: Proto) -> Bytes {
    /// Of the headers of a frame and of each word, amply.
    const HEADER_BYTES: usize = 24;
    let bytes: usize = words.iter().map(|word| word.len() + HEADER_BYTES).sum();
    let mut out = BytesMut::with_capacity(bytes + HEADER_BYTES);
    Reply::Push(words.iter().map(|word| Reply::bulk(word)).collect()).encode(proto, &mut out);
    out.freeze()
}
