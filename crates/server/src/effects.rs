//! What the replica tells this process while it applies: events and messages go to subscribers at
//! once, which keys changed to those who keep copies, and what has to be freed to a thread of its
//! own.
//!
//! All of it happens on the way of an entry, before whoever waits for it is answered. So nothing
//! here waits or queues: a subscriber that takes nothing is bounded in its session's outbox, and
//! garbage has taken its memory already.

use crate::pubsub::Hub;
use crate::tracking::Tracking;
use crate::watched::Watched;
use quorate_consensus::{Audience, Listener, Message};
use quorate_engine::{Effects, Garbage};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Who hears what the replica tells.
struct Hearing {
    hub: Arc<Hub>,
    watched: Arc<Watched>,
    tracking: Arc<Tracking>,
    /// To the thread that frees.
    bin: Sender<Vec<Garbage>>,
}

impl Listener for Hearing {
    fn carry_out(&self, effects: Effects) {
        self.hub.tell(&effects.list);
        self.watched.changed(&effects.changed);
        self.tracking.changed(&effects.changed);
        if !effects.garbage.is_empty() {
            // Without the thread the send fails and hands the garbage back, to be dropped here.
            drop(self.bin.send(effects.garbage));
        }
    }

    fn deliver(&self, message: &Message) {
        self.hub.deliver(message);
    }

    fn keeps_up(&self, keeps_up: bool) {
        self.tracking.keeps_up(keeps_up);
    }

    fn replaced(&self) {
        self.watched.replaced();
        self.tracking.replaced();
    }
}

/// The audience of a replica whose clients listen at this hub, wait for keys, and keep copies of
/// them.
pub(crate) fn audience(
    hub: &Arc<Hub>,
    watched: &Arc<Watched>,
    tracking: &Arc<Tracking>,
) -> Audience {
    let (bin, garbage) = channel();
    let freer = std::thread::Builder::new().name("free".to_owned());
    if let Err(why) = freer.spawn(move || free(&garbage)) {
        tracing::warn!(%why, "no thread for freeing memory: it is freed in line");
    }
    let hearing = Hearing {
        hub: Arc::clone(hub),
        watched: Arc::clone(watched),
        tracking: Arc::clone(tracking),
        bin,
    };
    Audience::new(Arc::new(hearing), tracking.wanted())
}

/// Frees what comes, at the least priority: whoever serves goes first where processors are few. The
/// kernel may see that only at its next tick, 4 ms later, unless the thread asks.
fn free(garbage: &Receiver<Vec<Garbage>>) {
    /// Some tens of microseconds' work.
    const PIECES: u32 = 16;
    if let Err(why) = rustix::process::nice(19) {
        tracing::warn!(%why, "memory is freed at the priority of the server");
    }
    let mut pieces = 0;
    for garbage in garbage.iter().flatten() {
        garbage.free(&mut || {
            pieces = (pieces + 1) % PIECES;
            if pieces == 0 {
                std::thread::yield_now();
            }
        });
    }
}
