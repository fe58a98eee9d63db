//! What the parts of a replica have in common. Each field has one writer, named beside it.

use crate::api::{MAX_LEVEL, Settings};
use crate::applied::{Applied, Figures};
use crate::clock::Clock;
use crate::compare::Comparing;
use crate::env::{Env, LogWriter};
use crate::failure::Failure;
use crate::leadership::hand_over::Leaving;
use crate::leadership::{LeaderHeard, Office, Route};
use crate::lock::lock;
use crate::membership::guard::Guard;
use crate::peer::links::Links;
use crate::proto as pb;
use crate::raft::Raft;
use crate::raft::tail::Tail;
use crate::raft::types::{Config, StoredMembership};
use crate::read::gate::Reads;
use crate::snapshot::content::Kept;
use crate::snapshot::feed::Followers;
use crate::snapshot::take::Saving;
use crate::snapshot::transfer::Transfers;
use crate::write::in_flight::InFlight;
use crate::write::queue::{Proposed, Queue};
use quorate_engine::{Effects, Keyspace};
use quorate_store::{Log, Snapshots};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::{RwLock, mpsc};

/// See the module.
pub(crate) struct Shared<E: Env> {
    pub(crate) env: E,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    /// Written by apply (`machine`) alone.
    pub(crate) keyspace: Arc<RwLock<Keyspace>>,
    pub(crate) applied: Applied,
    /// The last membership applied. Written by apply alone.
    pub(crate) membership: Mutex<StoredMembership<Config<E>>>,
    pub(crate) log: Log<E::Disk>,
    pub(crate) tail: Arc<Tail>,
    /// Written by `network`.
    pub(crate) links: Links,
    pub(crate) writer: Arc<dyn LogWriter>,
    pub(crate) snapshots: Arc<Snapshots<E::Disk>>,
    /// The newest snapshot; written by `snapshot` and `machine`.
    pub(crate) kept: Mutex<Option<Kept<E>>>,
    /// Written by `transfer`.
    pub(crate) transfers: Transfers<E::Disk>,
    /// Written by `saving`.
    pub(crate) saving: Saving,
    pub(crate) queue: Queue,
    /// Told by apply.
    pub(crate) followers: Arc<Followers>,
    pub(crate) proposed: Proposed,
    pub(crate) reads: Reads,
    /// What is on its way to the leader; written by `forward`.
    pub(crate) way: Mutex<Option<Arc<InFlight>>>,
    /// Written by the watcher (`office`).
    pub(crate) office: Mutex<Office>,
    /// Written by `handover`.
    pub(crate) leaving: Leaving,
    /// Written by `service`.
    pub(crate) leader_heard: LeaderHeard,
    pub(crate) guard: Arc<Guard>,
    /// Nodes that no member knows, and when that was found. Written by `trust`.
    pub(crate) strangers: Mutex<BTreeMap<u64, Duration>>,
    /// Greatest incarnation heard of each peer, and the number of its newest forward stream;
    /// written by `service`.
    pub(crate) heard: Mutex<BTreeMap<u64, Heard>>,
    pub(crate) effects: mpsc::UnboundedSender<Effects>,
    pub(crate) raft: OnceLock<Raft<E>>,
    /// Written by `compare`, and by apply through [`Shared::see`].
    pub(crate) comparing: Comparing,
    pub(crate) failure: Arc<Failure>,
    pub(crate) figures: Figures,
}

/// What is known of a peer from its messages.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) incarnation: u64,
    /// Which process of this incarnation.
    pub(crate) start: u64,
    pub(crate) stream: u64,
    pub(crate) fenced: Option<Arc<std::sync::atomic::AtomicBool>>,
}

impl<E: Env> Shared<E> {
    /// The envelope of a message to a peer.
    pub(crate) fn envelope(&self, to: u64) -> pb::Envelope {
        self.guard.envelope(Some(self.settings.cluster), to, MAX_LEVEL)
    }

    /// Notes that a leader spoke, unless it is one of a term that is over.
    pub(crate) fn hear_leader(&self, term: u64) {
        if term >= lock(&self.office).term {
            self.leader_heard.note(self.env.elapsed());
        }
    }

    /// Where writes and read barriers go now.
    pub(crate) fn route(&self) -> Route {
        let office = lock(&self.office);
        if office.role == crate::api::Role::Leader {
            return if self.applied.term() == office.term {
                Route::Lead(office.term)
            } else {
                Route::Wait
            };
        }
        match &office.leader {
            Some(leader) if leader.node != self.settings.me.node => {
                Route::Follow(crate::peer::transport::PeerId {
                    node: leader.node,
                    address: leader.peer_address.clone(),
                })
            }
            _ => Route::Wait,
        }
    }

    /// The cluster clock as the leader tells it: never behind what is applied.
    pub(crate) fn leader_clock(&self) -> u64 {
        self.clock.lead(self.env.elapsed(), self.env.wall_ms())
    }

    /// The last entry of this replica's log, as it stands in messages.
    pub(crate) fn last_id(&self) -> Option<pb::LogId> {
        self.log.bounds().1.map(|id| pb::LogId { term: id.term, index: id.index })
    }

    /// Raft, once it is started.
    pub(crate) fn raft(&self) -> Option<&Raft<E>> {
        self.raft.get()
    }
}
