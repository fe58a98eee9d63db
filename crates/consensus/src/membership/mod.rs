//! From a directory and a list of addresses to a replica of one cluster: founding, adopting,
//! joining.
//!
//! Every replica has the same static list of peers and may be started in any order, at any time,
//! again and again. Exactly one replica founds the cluster, and only after every listed peer has
//! said that it knows of none: silence is never taken for absence. The rules are in [`plan`]
//! (pure), who may say what to whom is in [`guard`], and [`run`](Bootstrap::run) carries the plan
//! out in small repeatable steps, so that a crash between any two of them is repaired by starting
//! again. Time, randomness, disk and network come from a [`Ground`]; nothing here knows tokio or
//! tonic.

pub(crate) mod admit;
mod driver;
pub(crate) mod guard;
pub(crate) mod members;
pub(crate) mod peers;
mod plan;
mod service;
pub(crate) mod starts;
#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed expectation fails the test"
)]
mod tests;

use crate::api::{Joined, RaftFailure, Seat};
use crate::membership::members::Start;
use crate::membership::peers::PeersError;
use crate::peer::transport::{Service, Transport};
use crate::proto as pb;
use crate::replica::error::StartError;
use futures::future::BoxFuture;
use guard::Guard;
use quorate_store::StoreError;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What bootstrap needs from its surroundings.
pub(crate) trait Ground: Send + Sync + 'static {
    /// What [`open`](Self::open) starts.
    type Replica: Started;
    /// The way to the peers.
    type Transport: Transport;

    /// The way to the peers.
    fn transport(&self) -> &Self::Transport;
    /// Keeps the cluster id durably with this replica's identity.
    fn keep_cluster(&self, cluster: u128) -> Result<(), StoreError>;
    /// Starts the replica as part of `cluster`. Called once.
    fn open(&self, cluster: u128) -> BoxFuture<'_, Result<Self::Replica, StartError>>;
    /// Waits.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;
    /// A random number.
    fn random(&self) -> u64;
}

/// What bootstrap needs from a running replica. [`Replica`](crate::replica::Replica) is the real
/// one.
pub(crate) trait Started: Service + Clone {
    /// Whether a membership is in its log or snapshot.
    fn is_initialized(&self) -> bool;
    /// The membership in its log; empty when there is none. While it changes, only who votes before
    /// and after votes.
    fn members(&self) -> Vec<Seat>;
    /// The leader, if it knows one.
    fn leader(&self) -> Option<u64>;
    /// Founds the cluster with these voters; `Ok` if that has happened before.
    fn initialize(
        &self,
        members: Vec<pb::Member>,
    ) -> impl Future<Output = Result<(), RaftFailure>> + Send;
    /// On the leader: lets a replica in, in place of a silent one of the same name. Repeatable.
    fn join(&self, who: pb::Member, replace: bool) -> impl Future<Output = Joined> + Send;
}

/// Who this replica is and whom it was told about.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    me: pb::Member,
    guard: Arc<Guard>,
    max_level: u64,
    /// Sorted, without repetition; holds `me.name`.
    peers: Vec<String>,
}

impl Local {
    /// Checks the list of peers. `me.name` is this replica's entry in it; an empty list is a
    /// cluster of one.
    pub(crate) fn new(
        me: pb::Member,
        start: Start,
        max_level: u64,
        peers: &[String],
    ) -> Result<Self, PeersError> {
        let mut sorted = peers.to_vec();
        if sorted.is_empty() {
            sorted.push(me.name.clone());
        }
        sorted.sort();
        if let Some([twice, ..]) = sorted.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(PeersError::Twice(twice.clone()));
        }
        if let Some(bad) = sorted.iter().find(|peer| !is_host_and_port(peer)) {
            return Err(PeersError::NotHostAndPort(bad.clone()));
        }
        if !sorted.contains(&me.name) {
            return Err(PeersError::NotListed { name: me.name, peers: sorted });
        }
        let guard = Arc::new(Guard::new(me.node, me.name.clone(), start));
        Ok(Self { me, guard, max_level, peers: sorted })
    }

    /// The one guard of this process.
    pub(crate) fn guard(&self) -> Arc<Guard> {
        self.guard.clone()
    }

    /// The listed peers without this replica.
    fn others(&self) -> impl Iterator<Item = &String> {
        self.peers.iter().filter(|peer| **peer != self.me.name)
    }
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p != 0))
}

/// Why a cluster does not become this replica's own.
#[derive(Debug)]
enum KeepError {
    /// It belongs to another one.
    Another { name: String, known: u128, cluster: u128 },
    /// It cannot be noted.
    Store(StoreError),
}

impl fmt::Display for KeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Another { name, known, cluster } => {
                write!(f, "{name} belongs to cluster {known:032x}, not to {cluster:032x}")
            }
            Self::Store(why) => why.fmt(f),
        }
    }
}

impl Error for KeepError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Another { .. } => None,
            Self::Store(why) => why.source(),
        }
    }
}

/// Finds or founds the cluster, and answers peers that do. Also the [`Service`] of the peer port:
/// it hands everything but Hello, Adopt and Join to the replica once there is one.
pub(crate) struct Bootstrap<G: Ground> {
    local: Local,
    ground: G,
    guard: Arc<Guard>,
    /// The cluster, once known. Never changes from one id to another.
    cluster: Mutex<Option<u128>>,
    /// The running replica, once the cluster is known.
    replica: watch::Sender<Option<G::Replica>>,
    /// Wakes the driver: a peer had us adopt a cluster.
    adopted: Notify,
}

impl<G: Ground> Bootstrap<G> {
    /// `cluster` is what the disk says.
    pub(crate) fn new(local: Local, cluster: Option<u128>, ground: G) -> Arc<Self> {
        let guard = local.guard();
        Arc::new(Self {
            local,
            ground,
            guard,
            cluster: Mutex::new(cluster),
            replica: watch::Sender::new(None),
            adopted: Notify::new(),
        })
    }

    /// The running replica, as soon as there is one.
    pub(crate) fn replica(&self) -> watch::Receiver<Option<G::Replica>> {
        self.replica.subscribe()
    }

    /// The cluster, if known.
    pub(crate) fn cluster(&self) -> Option<u128> {
        *self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `cluster` ours, durably. Refuses when another one is already.
    fn keep(&self, cluster: u128) -> Result<(), KeepError> {
        let mut ours = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        match *ours {
            Some(known) if known == cluster => Ok(()),
            Some(known) => {
                let name = self.local.me.name.clone();
                Err(KeepError::Another { name, known, cluster })
            }
            None => {
                self.ground.keep_cluster(cluster).map_err(KeepError::Store)?;
                *ours = Some(cluster);
                Ok(())
            }
        }
    }

    fn envelope(&self, to: u64) -> pb::Envelope {
        self.guard.envelope(self.cluster(), to, self.local.max_level)
    }
}
