//! Who listens to a replica: the server, which hands on to its clients what the replica tells.
//!
//! The replica knows neither clients nor sockets. It tells what happens in the order in which it
//! does, and reads in the interest who listens on which node.

use crate::bus::interest::Interest;
use crate::bus::message::Message;
use quorate_engine::Effects;
use std::sync::Arc;

/// Who is told what happens on this node, in the order in which it does. Called on the way of every
/// entry: it must not wait.
pub trait Listener: Send + Sync + 'static {
    /// An entry was applied and asks for this. Whoever waits for the entry hears of it later.
    fn carry_out(&self, effects: Effects);

    /// A message is for whoever listens here.
    fn deliver(&self, message: &Message);
}

/// Somebody who does nothing.
struct Nobody;

impl Listener for Nobody {
    fn carry_out(&self, _: Effects) {}

    fn deliver(&self, _: &Message) {}
}

/// Who is told, and what is known of those who listen on all nodes.
#[derive(Clone)]
pub struct Audience {
    /// Who is told.
    pub listener: Arc<dyn Listener>,
    /// Who listens to what.
    pub interest: Arc<Interest>,
}

impl Default for Audience {
    /// Nobody.
    fn default() -> Self {
        Self { listener: Arc::new(Nobody), interest: Arc::default() }
    }
}
