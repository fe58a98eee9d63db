//! Who listens to a replica: the server, which hands on to its clients what the replica tells.
//!
//! The replica knows neither clients nor sockets. It tells what happens in the order in which it
//! does, and reads in the interest who listens on which node. Which keys change it tells while
//! somebody wants to know ([`Wanted`]).

use crate::bus::interest::Interest;
use crate::bus::message::Message;
use quorate_engine::Effects;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Who is told what happens on this node, in the order in which it does. Called on the way of every
/// entry: it must not wait.
pub trait Listener: Send + Sync + 'static {
    /// An entry was applied and asks for this. Whoever waits for the entry hears of it later.
    fn carry_out(&self, effects: Effects);

    /// A message is for whoever listens here.
    fn deliver(&self, message: &Message);

    /// Whether everything that was acknowledged anywhere, up to a short time ago, is applied here.
    /// If not, keys may have changed of which nothing was heard here. Told when it turns, first
    /// when it is so; while nobody wants to hear which keys change, it may be late.
    fn keeps_up(&self, keeps_up: bool);

    /// Another state has taken the place of the one that was here: any key may have changed.
    fn replaced(&self);
}

/// Whether anybody on this node wants to know which keys change: how many parties do. While it is
/// nobody, changes are not noted and cost nothing.
///
/// Whoever reads a key and wants to hear of its next change says so while it still holds the state
/// that it has read: apply looks when it has the state for itself, so it sees every wish that was
/// uttered by a reader of what it is about to change.
#[derive(Debug, Default)]
pub struct Wanted {
    parties: AtomicUsize,
    /// Where other nodes hear of it: the leader then tells this one at once what is committed.
    interest: Arc<Interest>,
}

impl Wanted {
    /// Nobody yet.
    pub fn new(interest: &Arc<Interest>) -> Self {
        Self { parties: AtomicUsize::new(0), interest: Arc::clone(interest) }
    }

    /// One more party wants to know.
    pub fn add(&self) {
        if self.parties.fetch_add(1, Ordering::AcqRel) == 0 {
            self.interest.set_changes(|| self.any());
        }
    }

    /// One that wanted to know does no longer.
    pub fn remove(&self) {
        if self.parties.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.interest.set_changes(|| self.any());
        }
    }

    /// Whether anybody wants to know. One load.
    pub fn any(&self) -> bool {
        self.parties.load(Ordering::Acquire) > 0
    }
}

/// Somebody who does nothing.
struct Nobody;

impl Listener for Nobody {
    fn carry_out(&self, _: Effects) {}

    fn deliver(&self, _: &Message) {}

    fn keeps_up(&self, _: bool) {}

    fn replaced(&self) {}
}

/// Who is told, and what is known of those who listen on all nodes.
#[derive(Clone)]
pub struct Audience {
    /// Who is told.
    pub listener: Arc<dyn Listener>,
    /// Who listens to what.
    pub interest: Arc<Interest>,
    /// Whether anybody here wants to know which keys change.
    pub wanted: Arc<Wanted>,
}

impl Audience {
    /// This listener, for whom changes are noted while `wanted` says so.
    pub fn new(listener: Arc<dyn Listener>, wanted: &Arc<Wanted>) -> Self {
        Self { listener, interest: Arc::clone(&wanted.interest), wanted: Arc::clone(wanted) }
    }
}

impl Default for Audience {
    /// Nobody.
    fn default() -> Self {
        Self::new(Arc::new(Nobody), &Arc::default())
    }
}
