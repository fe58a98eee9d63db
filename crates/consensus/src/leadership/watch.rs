//! Who leads, kept up to date: what Raft says, corrected by what was heard. Raft names a leader
//! that died until there is the next one, and lets one lead that reaches nobody; both count for
//! nothing here.

use crate::api::Role;
use crate::env::Env;
use crate::group::Group;
use crate::leadership::{Office, SILENCE};
use crate::lock::lock;
use crate::raft::{Raft, convert, types::Config};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use openraft::metrics::RaftServerMetrics;
use openraft::{Instant, ServerState};
use std::time::Duration;

/// What Raft says, corrected by what was heard: a leader that has been silent for too long is
/// nobody's leader.
fn office<E: Env>(metrics: &RaftServerMetrics<Config<E>>, heard: bool) -> Office {
    let role = match metrics.state {
        ServerState::Leader if heard => Role::Leader,
        ServerState::Leader | ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner | ServerState::Shutdown => Role::Learner,
    };
    let leader = metrics.current_leader.filter(|_| heard).and_then(|node| {
        let peer = metrics.membership_config.get_node(&node)?;
        Some(convert::member(node, peer))
    });
    Office { term: metrics.vote.leader_id.term, role, leader }
}

/// The office that this replica was elected to: its term, and the monotonic time of that.
type Elected = Option<(u64, Duration)>;

/// How long ago the leader was heard: on a follower by itself, on the leader by a quorum. A leader
/// that no quorum has answered yet counts from its election.
fn silence<E: Env>(
    group: &Group<E>,
    raft: &Raft<E>,
    metrics: &RaftServerMetrics<Config<E>>,
    elected: &mut Elected,
) -> Option<Duration> {
    let now = group.process.env.elapsed();
    if metrics.state != ServerState::Leader {
        *elected = None;
        return group.leadership.heard.age(now);
    }
    let term = metrics.vote.leader_id.term;
    let since = match *elected {
        Some((of, since)) if of == term => since,
        _ => elected.insert((term, now)).1,
    };
    let me = group.process.me.node;
    if metrics.membership_config.voter_ids().all(|voter| voter == me) {
        return Some(Duration::ZERO);
    }
    let acked = raft.data_metrics().borrow_watched().last_quorum_acked.map(|at| at.elapsed());
    Some(acked.unwrap_or_else(|| now.saturating_sub(since)))
}

/// Keeps the office up to date; when Raft ends, says why.
pub(crate) async fn run<E: Env>(group: Group<E>, raft: Raft<E>) {
    let mut changes = raft.server_metrics();
    let mut elected = None;
    let limit = group.options.election_max * SILENCE;
    loop {
        let metrics = changes.borrow_and_update().clone();
        let silence = silence(&group, &raft, &metrics, &mut elected);
        let left = silence.and_then(|age| limit.checked_sub(age)).filter(|left| !left.is_zero());
        let now = office::<E>(&metrics, left.is_some());
        let before = std::mem::replace(&mut *lock(&group.leadership.office), now.clone());
        if before != now {
            let leader = now.leader.as_ref().map_or("none", |leader| leader.name.as_str());
            tracing::info!(term = now.term, role = ?now.role, leader, "office");
        }
        group.writes.queue.wake();
        let others = metrics.membership_config.voter_ids().count() > 1;
        group.log.writer.lead(metrics.state == ServerState::Leader && others);
        // Whoever is heard again is seen no later than at the next heartbeat.
        let look = left.unwrap_or(group.options.heartbeat);
        if let Some(Err(_)) = E::within(look, changes.changed()).await {
            break;
        }
    }
    let state = raft.metrics().borrow_watched().running_state.clone();
    match state {
        Ok(()) | Err(Fatal::Stopped) => {}
        Err(fatal) => group.process.failure.set(fatal.to_string()),
    }
}
