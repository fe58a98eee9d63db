//! Keyspace events (`notify-keyspace-events`): what happened to a key at apply, as messages to this
//! node's own subscribers.
//!
//! Messages that were published within a transaction come the same way: with its entry.
//!
//! Every replica applies every entry, so nothing travels. Which classes are wanted, and on which
//! channels, the engine has decided by the state as of the entry.

use super::Hub;
use bytes::Bytes;
use quorate_consensus::Message;
use quorate_engine::Effect;

impl Hub {
    /// Tells the events of an entry, in their order: on the key's channel, then on the event's. One
    /// load if nobody listens.
    pub(crate) fn tell(&self, effects: &[Effect]) {
        if effects.is_empty() || !self.has_any() {
            return;
        }
        for effect in effects {
            let (event, db, key, by_key, by_event) = match effect {
                Effect::Notify { event, db, key, by_key, by_event, .. } => {
                    (event, db.0, key, by_key, by_event)
                }
                Effect::Publish { channel, payload, shard } => {
                    let mut message = message(channel.to_vec(), payload);
                    message.shard = *shard;
                    self.deliver(&message);
                    continue;
                }
            };
            let event = event.as_bytes();
            if *by_key {
                let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
                self.deliver(&message(channel, event));
            }
            if *by_event {
                let channel = [format!("__keyevent@{db}__:").as_bytes(), event].concat();
                self.deliver(&message(channel, key));
            }
        }
    }
}

fn message(channel: Vec<u8>, payload: &[u8]) -> Message {
    let payload = Bytes::copy_from_slice(payload);
    Message { channel: channel.into(), payload, shard: false, after: 0 }
}
