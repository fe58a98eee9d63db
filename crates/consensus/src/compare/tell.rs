//! Telling a replica that it is not as the others are. It is told by whoever
//! found out, sets its directory aside and begins anew; a message that is
//! lost is sent again after the next comparison.

use crate::env::Env;
use crate::peer::transport::{PeerId, Request};
use crate::process::Process;
use crate::proto as pb;
use std::sync::Arc;
use std::time::Duration;

/// How long a replica may take to come to the point.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Tells a peer what is wrong with it as of this entry.
pub(super) async fn tell<E: Env>(process: &Process<E>, peer: &PeerId, at: u64, what: String) {
    let request = pb::DivergedRequest {
        envelope: Some(process.envelope(peer.node)),
        vote: None,
        at: Some(pb::LogId { term: 0, index: at }),
        what,
    };
    // It may be gone before it has answered; else the next comparison tells it again.
    let _ = process.env.call(peer, Request::Diverged(request), ANSWER_MAX).await;
}

/// A follower does not have the entry that it acknowledged last: its log is an older copy, or has
/// lost its end. Whoever counts on it would count wrong, so it begins anew.
pub(crate) fn has_lost<E: Env>(
    process: &Arc<Process<E>>,
    peer: &PeerId,
    acknowledged: Option<pb::LogId>,
) {
    let at = acknowledged.map_or(0, |id| id.index);
    let what = format!(
        "node {} has acknowledged entry {at} and does not have it any more: its data directory is \
         an older copy, or its disk has lost what was synced",
        peer.node
    );
    let (process, peer) = (process.clone(), peer.clone());
    E::spawn(async move {
        tracing::error!("{what}");
        tell(&process, &peer, at, what).await;
    });
}
