//! The small recurring duties of a replica.
//!
//! What was held too long is given up, what is due expires, a full log is cut and purged. Each is
//! looked at once in a while and does little; what takes long happens elsewhere.

use crate::api::{NotApplied, SavingStatus};
use crate::env::Env;
use crate::leadership::Route;
use crate::lock::lock;
use crate::peer::links::grace;
use crate::read::gate::tick_due;
use crate::shared::Shared;
use crate::write::PROPOSAL_MAX;
use crate::write::queue::{End, Work, ask, is_over};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(100);
/// As much as one argument of a command may have.
const LARGE_BYTES: u64 = 64 << 20;
/// For fewer bytes of log no snapshot is made for want of space.
const WORTH_BYTES: u64 = 4 << 20;
/// Every so many looks it looks at the disk.
const DISK_EVERY: u32 = 10;

/// Gives up what was held too long, ticks when something is due, cuts and purges the log.
pub(crate) async fn run<E: Env>(shared: Arc<Shared<E>>) {
    let mut tick: Option<oneshot::Receiver<_>> = None;
    let mut cut: Option<oneshot::Receiver<_>> = None;
    let started_s = shared.env.wall_ms() / 1000;
    let mut round = 0_u32;
    let (mut seen, mut rested) = (0, true);
    let mut proposing = Duration::ZERO;
    while !shared.queue.is_closed() {
        E::sleep(PERIOD).await;
        if !shared.proposed.is_empty() {
            proposing = shared.env.elapsed();
        }
        give_up_held(&shared, proposing);
        shared.keep_pace();
        let applied = shared.applied.index();
        if std::mem::replace(&mut seen, applied) != applied {
            rested = false;
        } else if !std::mem::replace(&mut rested, true) {
            shared.writer.rest();
        }
        round = round.wrapping_add(1);
        let look_at_disk = round.is_multiple_of(DISK_EVERY);
        if look_at_disk {
            purge(&shared).await;
        }
        let leads = matches!(shared.route(), Route::Lead(_));
        if look_at_disk
            && is_over(&mut cut)
            && (leads && cut_due(&shared, started_s) || space_due(&shared))
        {
            cut = Some(ask(&shared.queue, Work::Cut, shared.env.elapsed()));
        }
        if !leads {
            continue;
        }
        if look_at_disk && shared.log.is_full(0) {
            shared.leaves_for_space();
        }
        if is_over(&mut tick) && tick_due(&shared).await {
            tick = Some(ask(&shared.queue, Work::Tick, shared.env.elapsed()));
        }
    }
}

/// Gives up what has been held too long; `proposing` is when a proposal was last under way.
fn give_up_held<E: Env>(shared: &Shared<E>, proposing: Duration) {
    let now = shared.env.elapsed();
    // Behind a proposal that is under way (long work, a large value on a narrow link) the queue
    // will move, and has its turn right after it. Without one, or without a quorum that could
    // finish it, what waits does so for want of a leader.
    let short = shared.settings.write_timeout;
    let long = if shared.route() == Route::Wait {
        short
    } else {
        short.max(PROPOSAL_MAX) * 2 + grace(LARGE_BYTES)
    };
    let held = |since: Duration| since.max(proposing) + short < now || since + long < now;
    for item in shared.queue.take_if(|item| held(item.since)) {
        item.slot.answer(End::NotApplied(NotApplied::NoLeader));
    }
    let way = lock(&shared.way).clone();
    if let Some(way) = way {
        way.give_up(now, shared.settings.write_timeout);
    }
}

/// Enough was written since the last snapshot, or it is old; none is being made, and none has
/// failed just now. Enough is never less than the last snapshot has (Redis's
/// auto-aof-rewrite-percentage 100): or a large state would be written again for every little log.
fn cut_due<E: Env>(shared: &Shared<E>, started_s: u64) -> bool {
    let now = shared.env.elapsed();
    if !shared.saving.is_idle(now) {
        return false;
    }
    let newest = lock(&shared.kept).as_ref().map_or(0, |kept| kept.file.bytes);
    let enough = shared.settings.snapshot_log_bytes.max(newest);
    let saving = shared.saving.status(now, shared.figures.changes.load(Ordering::Relaxed));
    let now_s = shared.env.wall_ms() / 1000;
    shared.log.stats().bytes_since_purge >= enough
        || is_old(&saving, (started_s, now_s), shared.settings.snapshot_age)
}

/// Space is short here, and a snapshot would free more than it takes: the log behind the newest one
/// has more bytes than that. Any replica asks for it.
fn space_due<E: Env>(shared: &Shared<E>) -> bool {
    let newest = lock(&shared.kept).as_ref().map_or(0, |kept| kept.file.bytes);
    shared.log.stats().bytes_since_purge >= newest.max(WORTH_BYTES)
        && shared.saving.is_idle(shared.env.elapsed())
        && shared.log.is_short_of(newest)
}

/// Whether something has changed since the newest snapshot, and that is old; without one, since
/// this process began. By the wall clock: a snapshot outlives the process. A clock that jumps costs
/// a snapshot too many or makes one late, no more.
fn is_old(saving: &SavingStatus, (started_s, now_s): (u64, u64), age: Duration) -> bool {
    let since_s = if saving.newest_at == 0 { started_s } else { saving.newest_at };
    !age.is_zero() && saving.changes > 0 && now_s.saturating_sub(since_s) >= age.as_secs()
}

/// Purges what a snapshot covers, but for the last bytes, which keep a follower that paused from
/// needing a snapshot. Where space is short nothing is kept for it.
async fn purge<E: Env>(shared: &Shared<E>) {
    let Some(covered) = lock(&shared.kept).as_ref().map(|kept| kept.file.last.index) else {
        return;
    };
    let short = shared.log.is_short_of(0);
    let keep = if short { 0 } else { shared.settings.snapshot_log_bytes / 4 };
    let Some(upto) = shared.log.index_before(keep).map(|index| index.min(covered)) else {
        return;
    };
    let upto = upto.min(shared.transfers.purge_limit());
    let purged = shared.log.bounds().0.map_or(0, |id| id.index);
    // Until it has happened: Raft does nothing before it has heard of the snapshot, and says so to
    // nobody.
    if upto > purged
        && let Some(raft) = shared.raft()
        && let Err(error) = raft.trigger().purge_log(upto).await
    {
        tracing::debug!(%error, "Raft has stopped and purges nothing");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_made_when_the_last_one_is_old_and_something_changed() {
        let check = |(newest_at, changes), now_s, age, expected| {
            let saving = SavingStatus { newest_at, changes, ..SavingStatus::default() };
            let age = Duration::from_secs(age);
            assert_eq!(is_old(&saving, (1000, now_s), age), expected, "{saving:?} {now_s}");
        };
        check((5000, 1), 5059, 60, false);
        check((5000, 1), 5060, 60, true);
        check((5000, 0), 9999, 60, false);
        check((5000, 1), 9999, 0, false);
        // None yet: from the start of the process.
        check((0, 1), 1059, 60, false);
        check((0, 1), 1060, 60, true);
        // The clock went back.
        check((5000, 1), 100, 60, false);
    }
}
