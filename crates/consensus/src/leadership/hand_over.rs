//! Handing leadership over: because an operator asks, because this replica stops, or because its
//! disk is full and another's is not. Raft carries it out; who is fit to be the next, and whether
//! somebody is, is found out here.

use crate::api::RaftFailure;
use crate::env::Env;
use crate::group::Group;
use crate::leadership::{Leadership, SILENCE};
use crate::lock::lock;
use crate::process::Process;
use crate::raft::Raft;
use crate::raft::metrics::{metrics, silence};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a hand-over is waited for.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);
/// After one for want of space has failed, writes are refused for so long before the next.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why leadership is not handed over.
#[derive(Clone, Debug)]
pub enum HandOverError {
    /// This replica does not lead.
    NotLeading,
    /// No other voter answers; with an address: none answers there.
    NoHeir(Option<String>),
    /// Raft does not begin it.
    Raft(RaftFailure),
    /// It began, and nobody leads yet who did not before.
    TooLate,
}

impl fmt::Display for HandOverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeading => f.write_str("this replica does not lead"),
            Self::NoHeir(None) => f.write_str("no other voter answers"),
            Self::NoHeir(Some(to)) => write!(f, "no other voter answers at {to}"),
            Self::Raft(why) => why.fmt(f),
            Self::TooLate => f.write_str("no other replica has taken over in time"),
        }
    }
}

impl Error for HandOverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Raft(why) => why.source(),
            Self::NotLeading | Self::NoHeir(_) | Self::TooLate => None,
        }
    }
}

/// Hands leadership over.
pub(crate) struct HandOver<E: Env> {
    process: Arc<Process<E>>,
    leadership: Arc<Leadership>,
    raft: Raft<E>,
    election_max: Duration,
    /// Where a hand-over for want of space stands.
    leaving: Mutex<Attempt>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Attempt {
    running: bool,
    /// When the last one failed, monotonic.
    failed: Option<Duration>,
}

impl<E: Env> HandOver<E> {
    pub(crate) fn new(group: &Group<E>, raft: &Raft<E>) -> Arc<Self> {
        Arc::new(Self {
            process: group.process.clone(),
            leadership: group.leadership.clone(),
            raft: raft.clone(),
            election_max: group.options.election_max,
            leaving: Mutex::default(),
        })
    }

    /// Hands leadership to the voter whose client or peer address is `to`, or to the one that is
    /// most up to date, if this replica leads and such a voter answers. Without a name, one that
    /// has space on its disk comes first.
    pub(crate) async fn to(&self, to: Option<&str>) -> Result<(), HandOverError> {
        if !self.leadership.leads() {
            return Err(HandOverError::NotLeading);
        }
        let links = &self.process.links;
        let heir =
            self.heirs(to).into_iter().max_by_key(|(node, at)| (links.has_space(*node), *at));
        let (heir, _) = heir.ok_or_else(|| HandOverError::NoHeir(to.map(str::to_owned)))?;
        let asked = self.raft.trigger().transfer_leader(heir).await;
        asked.map_err(|error| HandOverError::Raft(RaftFailure::new(error)))?;
        let me = self.process.me.node;
        let gone = async {
            while self.leadership.leader().is_none_or(|leader| leader == me) {
                E::sleep(Duration::from_millis(5)).await;
            }
        };
        let done = E::within(HAND_OVER_MAX, gone).await;
        done.ok_or(HandOverError::TooLate)
    }

    /// The other voters that answer, or the one at this address: node, and how much of the log it
    /// has.
    fn heirs(&self, to: Option<&str>) -> Vec<(u64, Option<u64>)> {
        let metrics = metrics(&self.raft);
        let me = self.process.me.node;
        // As for a leader: a busy machine is no reason to refuse.
        let live_within = self.election_max * SILENCE;
        let matched = |node: u64| metrics.replication.as_ref()?.get(&node)?.map(|id| id.index);
        let is_at = |node: u64, to: &str| {
            let peer = metrics.membership_config.get_node(&node);
            peer.is_some_and(|peer| to == peer.resp_address || to == peer.peer_address)
        };
        metrics
            .membership_config
            .voter_ids()
            .filter(|node| *node != me)
            .filter(|node| to.is_none_or(|to| is_at(*node, to)))
            .filter(|node| silence::<E>(&metrics, *node).is_some_and(|age| age < live_within))
            .map(|node| (node, matched(node)))
            .collect()
    }

    /// Whether this leader, whose disk is full, hands over, because that of another voter is not;
    /// begins to, if so. Nothing is sealed meanwhile: what waits goes to the next leader.
    pub(crate) fn leaves_for_space(self: &Arc<Self>) -> bool {
        if !self.leadership.leads() {
            return false;
        }
        let now = self.process.env.elapsed();
        let mut attempt = lock(&self.leaving);
        if attempt.running {
            return true;
        }
        if attempt.failed.is_some_and(|at| now < at.saturating_add(RETRY_AFTER)) {
            return false;
        }
        if !self.heirs(None).iter().any(|(node, _)| self.process.links.has_space(*node)) {
            return false;
        }
        attempt.running = true;
        drop(attempt);
        tracing::warn!("the disk is full: handing over to a replica that has space");
        let this = self.clone();
        E::spawn(async move {
            let outcome = this.to(None).await;
            let failed = outcome.is_err().then(|| this.process.env.elapsed());
            *lock(&this.leaving) = Attempt { running: false, failed };
            if let Err(why) = outcome {
                tracing::warn!(%why, "leadership is not handed over");
            }
        });
        true
    }
}
