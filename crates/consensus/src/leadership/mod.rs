//! Who leads, as this replica sees it: Raft's word corrected by what was heard (`watch`), where
//! writes and reads therefore go (`route`), and how leadership is handed over (`hand_over`). Raft
//! alone decides; nothing here makes a leader.

pub(crate) mod hand_over;
pub(crate) mod watch;

use crate::api::Role;
use crate::live::Live;
use crate::lock::lock;
use crate::peer::transport::PeerId;
use crate::proto as pb;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A leader that was not heard for so many election time-outs (the longest) leads nobody: its
/// followers have had the time to find that out and to elect another.
pub(crate) const SILENCE: u32 = 2;

/// What a group knows of its leader.
#[derive(Debug)]
pub(crate) struct Leadership {
    /// This replica.
    me: u64,
    live: Arc<Live>,
    office: Mutex<Office>,
    heard: LeaderHeard,
}

impl Leadership {
    pub(crate) fn new(me: u64, live: Arc<Live>) -> Self {
        Self { me, live, office: Mutex::default(), heard: LeaderHeard::default() }
    }

    /// Who leads.
    pub(crate) fn office(&self) -> Office {
        lock(&self.office).clone()
    }

    /// The leader, if one is known.
    pub(crate) fn leader(&self) -> Option<u64> {
        lock(&self.office).leader.as_ref().map(|leader| leader.node)
    }

    /// The term that this replica is in.
    pub(crate) fn term(&self) -> u64 {
        lock(&self.office).term
    }

    /// Whether this replica leads, as far as it knows.
    pub(crate) fn leads(&self) -> bool {
        lock(&self.office).role == Role::Leader
    }

    /// Notes that a leader spoke, unless it is one of a term that is over.
    pub(crate) fn hear(&self, term: u64, now: Duration) {
        if term >= self.term() {
            self.heard.note(now);
        }
    }

    /// Where writes and read barriers go now.
    pub(crate) fn route(&self) -> Route {
        let office = lock(&self.office);
        if office.role == Role::Leader {
            return if self.live.applied.term() == office.term {
                Route::Lead(office.term)
            } else {
                Route::Wait
            };
        }
        match &office.leader {
            Some(leader) if leader.node != self.me => {
                Route::Follow(PeerId { node: leader.node, address: leader.peer_address.clone() })
            }
            _ => Route::Wait,
        }
    }
}

/// When this replica heard a leader last. A vote on disk names one that may be long gone.
#[derive(Debug, Default)]
struct LeaderHeard(Mutex<Option<Duration>>);

impl LeaderHeard {
    /// A leader was heard at this monotonic time.
    fn note(&self, now: Duration) {
        *lock(&self.0) = Some(now);
    }

    /// How long ago; `None`: not since this process began.
    fn age(&self, now: Duration) -> Option<Duration> {
        lock(&self.0).map(|at| now.saturating_sub(at))
    }
}

/// Who leads, as this replica sees it. A leader counts while it is heard, and while it hears a
/// quorum: Raft itself names one that died until there is the next, and lets one go on leading
/// nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Office {
    pub(crate) term: u64,
    pub(crate) role: Role,
    /// The leader and where it is reached.
    pub(crate) leader: Option<pb::Member>,
}

/// Where writes and read barriers go at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// This replica leads and has applied its term's first entry.
    Lead(u64),
    /// To this leader.
    Follow(PeerId),
    /// Nowhere yet.
    Wait,
}
