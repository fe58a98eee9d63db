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
use crate::lock::lock;
use std::sync::Mutex;
use std::time::Duration;

/// Pause after a round that failed.
const RETRY: Duration = Duration::from_millis(10);

/// What is proved. Changed by rounds and by [`run`].
#[derive(Debug, Default)]
pub(super) struct Proof(Mutex<Proved>);

#[derive(Debug, Default)]
struct Proved {
    /// Up to this monotonic time.
    until: Option<Duration>,
    /// Whether that was recent when the server was told last.
    told: bool,
}

/// Everything acknowledged before this moment is applied here. Called before readers go on, who
/// then read what is known to be fresh.
pub(super) fn prove<E: Env>(group: &Group<E>, began: Duration) {
    let mut proved = lock(&group.reads.proof.0);
    proved.until = proved.until.max(Some(began));
    if !std::mem::replace(&mut proved.told, true) {
        group.process.audience.listener.keeps_up(true);
    }
}

/// How long ago that was; beyond the limit the server is told.
fn look<E: Env>(group: &Group<E>, limit: Duration) -> Option<Duration> {
    let now = group.process.env.elapsed();
    let mut proved = lock(&group.reads.proof.0);
    let age = proved.until.map(|until| now.saturating_sub(until));
    if age.is_none_or(|age| age >= limit) && std::mem::take(&mut proved.told) {
        group.process.audience.listener.keeps_up(false);
    }
    age
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
        let age = look(&group, limit).unwrap_or(limit);
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
