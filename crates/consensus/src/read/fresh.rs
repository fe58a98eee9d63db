//! Whether what is applied here is what was acknowledged anywhere, up to a short time ago.
//!
//! Every round of the gate that succeeds proves it for the moment at which it began: by this
//! replica's own clock, whatever leaders there are and however long messages take. While somebody
//! here wants to hear which keys change there is a round at least every half election time-out, and
//! if none has succeeded for two of them, the server is told: keys may have changed since of which
//! nothing was heard here.

use crate::env::Env;
use crate::group::Group;
use crate::leadership::SILENCE;
use std::time::Duration;

/// Pause after a round that failed.
const RETRY: Duration = Duration::from_millis(10);

/// A round that began at this moment has succeeded. Called before its readers go on, who then read
/// what is known to be fresh.
pub(super) fn prove<E: Env>(group: &Group<E>, began: Duration) {
    group.reads.proof.prove(began, || group.process.audience.listener.keeps_up(true));
}

/// How long ago the last one began; beyond the limit the server is told.
fn age<E: Env>(group: &Group<E>, limit: Duration) -> Option<Duration> {
    let now = group.process.env.elapsed();
    let late = || group.process.audience.listener.keeps_up(false);
    group.reads.proof.age(now, limit, late)
}

/// Sees to it while somebody wants to hear which keys change, until the gate is closed.
pub(crate) async fn run<E: Env>(group: Group<E>) {
    let every = group.options.election_max / 2;
    while !group.is_closed() {
        if !group.process.audience.wanted.any() {
            E::sleep(every).await;
            continue;
        }
        let limit = group.options.election_max * SILENCE + group.process.links.round_trip() * 4;
        let age = age(&group, limit).unwrap_or(limit);
        if let Some(left) = every.checked_sub(age).filter(|left| !left.is_zero()) {
            E::sleep(left).await;
            continue;
        }
        // Looked at again when the limit is reached, whatever becomes of this round.
        let left = limit.checked_sub(age).filter(|left| !left.is_zero());
        if let Some(Err(_)) = E::within(left.unwrap_or(every), group.reads.barrier()).await {
            E::sleep(RETRY).await;
        }
    }
}
