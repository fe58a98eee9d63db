//! What a process has once, however many Raft groups it serves: its surroundings, who it is, what
//! it knows of the other nodes, and its last word. A group holds what is its own (see `group`) and
//! shares this.

use crate::api::MAX_LEVEL;
use crate::bus::audience::Audience;
use crate::env::Env;
use crate::failure::Failure;
use crate::lock::lock;
use crate::membership::guard::{Guard, Needs, Unfit};
use crate::peer::links::Links;
use crate::proto as pb;
use quorate_engine::{Effects, Garbage};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// See the module.
pub(crate) struct Process<E: Env> {
    pub(crate) env: E,
    /// The cluster.
    pub(crate) cluster: u128,
    /// This replica: node id and addresses, as they stand in the membership.
    pub(crate) me: pb::Member,
    /// Which start this is, and what is known of the peers'.
    pub(crate) guard: Arc<Guard>,
    pub(crate) links: Links,
    heard: Mutex<BTreeMap<u64, Heard>>,
    /// Who is told what happens here.
    pub(crate) audience: Audience,
    pub(crate) failure: Arc<Failure>,
}

/// What is known of a peer from its messages: its greatest incarnation, and the number of its
/// newest forward stream.
#[derive(Debug, Default)]
struct Heard {
    incarnation: u64,
    /// Which process of this incarnation.
    start: u64,
    stream: u64,
    fenced: Option<Arc<AtomicBool>>,
}

/// A forward stream that is not the newest of this node.
#[derive(Debug)]
pub(crate) struct OldStream {
    from: u64,
    stream: u64,
}

impl fmt::Display for OldStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, stream } = self;
        write!(f, "forward stream {stream} of node {from} is not its newest")
    }
}

impl Error for OldStream {}

impl<E: Env> Process<E> {
    pub(crate) fn new(
        env: E,
        (cluster, me): (u128, pb::Member),
        guard: Arc<Guard>,
        audience: Audience,
    ) -> Self {
        Self {
            env,
            cluster,
            me,
            guard,
            links: Links::default(),
            heard: Mutex::default(),
            audience,
            failure: Arc::default(),
        }
    }

    /// The envelope of a message to a peer.
    pub(crate) fn envelope(&self, to: u64) -> pb::Envelope {
        self.guard.envelope(Some(self.cluster), to, MAX_LEVEL)
    }

    /// Checks the envelope of a message that only members may send; gives the sender.
    pub(crate) fn check(&self, envelope: Option<&pb::Envelope>) -> Result<u64, Unfit> {
        self.guard.check(Some(self.cluster), envelope, Needs::Member)?;
        let envelope = envelope.ok_or(Unfit::NoEnvelope)?;
        let mut heard = lock(&self.heard);
        let peer = heard.entry(envelope.from).or_default();
        if envelope.start != peer.start || envelope.incarnation > peer.incarnation {
            // It has started again and counts its streams from the beginning.
            (peer.incarnation, peer.start) = (envelope.incarnation, envelope.start);
            peer.stream = 0;
        }
        Ok(envelope.from)
    }

    /// Makes this forward stream the one that counts for the peer; what came on older ones and is
    /// not sealed is dropped.
    pub(crate) fn fence(&self, from: u64, stream: u64) -> Result<Arc<AtomicBool>, OldStream> {
        let mut heard = lock(&self.heard);
        let peer = heard.entry(from).or_default();
        if stream <= peer.stream {
            return Err(OldStream { from, stream });
        }
        peer.stream = stream;
        let fenced = Arc::new(AtomicBool::new(false));
        if let Some(older) = peer.fenced.replace(fenced.clone()) {
            older.store(true, Ordering::Release);
        }
        Ok(fenced)
    }

    /// Gives the server what it has to carry out.
    pub(crate) fn carry_out(&self, effects: Effects) {
        let Effects { list, garbage, changed } = &effects;
        if !list.is_empty() || !garbage.is_empty() || !changed.is_empty() {
            self.audience.listener.carry_out(effects);
        }
    }

    /// Garbage is freed by the server, off the way of a command.
    pub(crate) fn free(&self, garbage: Vec<Garbage>) {
        self.carry_out(Effects { garbage, ..Effects::default() });
    }
}
