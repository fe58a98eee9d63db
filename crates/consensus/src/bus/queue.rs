//! Messages that wait: to leave for a peer, or to be handed on here.
//!
//! Bounded in bytes. Full means that the publisher waits a moment, and then that the message does
//! not come to whoever does not take it: one that took nothing for that long holds up nobody else
//! until it takes something again.

use crate::bus::message::Message;
use crate::lock::lock;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;

/// Bytes that wait at most. A larger message waits alone.
const BYTES_MAX: usize = 16 << 20;
/// Bytes counted for a message besides its own.
const MESSAGE_BYTES: usize = 128;

/// What became of a message that was to wait here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It waits.
    Taken,
    /// There is no room now.
    Full,
    /// It is not wanted: nobody can be reached, or nothing was taken for long.
    Refused,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Rung when there is something to be taken, or it has ended.
    more: Notify,
    /// Rung when something was taken, or nothing will be.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// With the time when each came.
    messages: VecDeque<(Duration, Message)>,
    bytes: usize,
    /// What was taken last is still on its way.
    in_hand: bool,
    /// Somebody has waited for room in vain since something was taken last.
    stuck: bool,
    door: Door,
}

/// Whether messages are let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Door {
    #[default]
    Open,
    /// They are refused.
    Shut,
    /// They are refused for good.
    Ended,
}

fn bytes(message: &Message) -> usize {
    message.channel.len() + message.payload.len() + MESSAGE_BYTES
}

impl Queue {
    /// Adds a message that has come `now`.
    pub(crate) fn offer(&self, message: &Message, now: Duration) -> Offer {
        let mut state = lock(&self.state);
        if state.door != Door::Open {
            return Offer::Refused;
        }
        let more = bytes(message);
        if state.bytes > 0 && state.bytes.saturating_add(more) > BYTES_MAX {
            return if state.stuck { Offer::Refused } else { Offer::Full };
        }
        state.bytes += more;
        state.messages.push_back((now, message.clone()));
        drop(state);
        self.more.notify_one();
        Offer::Taken
    }

    /// The same, when there is room.
    pub(crate) async fn put(&self, message: &Message, now: Duration) {
        loop {
            let room = self.room.notified();
            if self.offer(message, now) != Offer::Full {
                return;
            }
            room.await;
        }
    }

    /// There was no room for long: until something is taken nobody waits for it.
    pub(crate) fn give_up(&self) {
        let mut state = lock(&self.state);
        state.stuck |= state.bytes > 0;
    }

    /// Takes what is next, with so many bytes at most and at least one. What was taken before has
    /// gone where it goes.
    pub(crate) fn take(&self, bytes_max: usize) -> Vec<(Duration, Message)> {
        let mut state = lock(&self.state);
        let mut taken = Vec::new();
        let mut sum = 0;
        while let Some((_, message)) = state.messages.front() {
            sum += bytes(message);
            if !taken.is_empty() && sum > bytes_max {
                break;
            }
            state.bytes -= bytes(message);
            taken.extend(state.messages.pop_front());
        }
        state.in_hand = !taken.is_empty();
        if !taken.is_empty() {
            state.stuck = false;
            drop(state);
            self.room.notify_waiters();
        }
        taken
    }

    /// The same, when there is something; `None` at the end.
    pub(crate) async fn next(&self, bytes_max: usize) -> Option<Vec<(Duration, Message)>> {
        loop {
            let taken = self.take(bytes_max);
            if !taken.is_empty() {
                return Some(taken);
            }
            if self.has_ended() {
                return None;
            }
            self.more.notified().await;
        }
    }

    /// Whether all that came has gone where it goes.
    pub(crate) fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.messages.is_empty() && !state.in_hand
    }

    /// Resolves when there may be something to be taken, or it has ended.
    pub(crate) async fn changed(&self) {
        self.more.notified().await;
    }

    /// Refuses messages from now on and drops what waits, or takes them again.
    pub(crate) fn set_shut(&self, shut: bool) {
        let mut state = lock(&self.state);
        if state.door == Door::Ended {
            return;
        }
        state.door = if shut { Door::Shut } else { Door::Open };
        if shut {
            state.messages.clear();
            state.bytes = 0;
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Nothing comes any more; what waits is still taken.
    pub(crate) fn end(&self) {
        lock(&self.state).door = Door::Ended;
        self.more.notify_one();
        self.room.notify_waiters();
    }

    /// Whether nothing comes any more.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.state).door == Door::Ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures::FutureExt;

    const NOW: Duration = Duration::ZERO;

    fn message(bytes: usize) -> Message {
        let payload = Bytes::from(vec![b'x'; bytes]);
        Message { channel: Bytes::from_static(b"c"), payload, shard: false, after: 0 }
    }

    #[test]
    fn full_means_wait_and_then_refused_until_something_is_taken() {
        let queue = Queue::default();
        let half = message(BYTES_MAX / 2);
        assert_eq!(queue.offer(&half, NOW), Offer::Taken);
        assert_eq!(queue.offer(&half, NOW), Offer::Full);
        let mut put = Box::pin(queue.put(&half, NOW));
        assert!(put.as_mut().now_or_never().is_none());
        queue.give_up();
        assert_eq!(queue.offer(&half, NOW), Offer::Refused);
        assert_eq!(queue.offer(&message(1), NOW), Offer::Taken, "there is room for this");
        assert_eq!(queue.take(1).len(), 1);
        assert!(put.as_mut().now_or_never().is_some());
        assert_eq!(queue.offer(&half, NOW), Offer::Full);
        assert_eq!(queue.take(usize::MAX).len(), 2);
    }

    #[test]
    fn a_message_beyond_the_bound_goes_alone() {
        let queue = Queue::default();
        assert_eq!(queue.offer(&message(2 * BYTES_MAX), NOW), Offer::Taken);
        assert_eq!(queue.offer(&message(0), NOW), Offer::Full);
        assert_eq!(queue.take(1).len(), 1);
        assert_eq!(queue.offer(&message(0), NOW), Offer::Taken);
    }

    #[test]
    fn it_is_idle_when_what_was_taken_has_gone() {
        let queue = Queue::default();
        assert!(queue.is_idle());
        queue.offer(&message(1), NOW);
        assert!(!queue.is_idle());
        queue.take(usize::MAX);
        assert!(!queue.is_idle(), "it is on its way");
        assert!(queue.take(usize::MAX).is_empty() && queue.is_idle());
    }

    #[test]
    fn a_shut_queue_holds_nothing_and_an_ended_one_is_emptied_first() {
        let queue = Queue::default();
        queue.offer(&message(1), NOW);
        queue.set_shut(true);
        assert_eq!(queue.offer(&message(1), NOW), Offer::Refused);
        assert!(queue.is_idle());
        queue.set_shut(false);
        queue.offer(&message(1), NOW);
        queue.end();
        assert_eq!(queue.offer(&message(1), NOW), Offer::Refused);
        let next = || queue.next(1).now_or_never().expect("it does not wait");
        assert_eq!(next().map(|taken| taken.len()), Some(1));
        assert!(next().is_none());
    }
}
