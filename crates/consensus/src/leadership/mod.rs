//! Who leads, as this replica sees it.
//!
//! Raft's word corrected by what was heard (`watch`), where writes and reads therefore go, and how
//! leadership is handed over (`hand_over`).

pub(crate) mod hand_over;
pub(crate) mod watch;

use crate::api::Role;
use crate::lock::lock;
use crate::peer::transport::PeerId;
use crate::proto as pb;
use std::sync::Mutex;
use std::time::Duration;

/// A leader that was not heard for so many election time-outs (the longest) leads nobody: its
/// followers have had the time to find that out and to elect another.
pub(crate) const SILENCE: u32 = 2;

/// When this replica heard a leader last. A vote on disk names one that may be long gone.
#[derive(Debug, Default)]
pub(crate) struct LeaderHeard(Mutex<Option<Duration>>);

impl LeaderHeard {
    /// A leader was heard at this monotonic time.
    pub(crate) fn note(&self, now: Duration) {
        *lock(&self.0) = Some(now);
    }

    /// How long ago; `None`: not since this process began.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
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
