//! The small recurring duties of a replica, each looked at every tenth of a second: what was held
//! too long is given up, what is due expires, a full log is cut and purged, and time-outs follow
//! the round trip. Nothing here decides who leads.

use crate::api::{MAX_LEVEL, NotApplied, PROPOSAL_MAX, SavingStatus};
use crate::env::Env;
use crate::group::Group;
use crate::leadership::Route;
use crate::leadership::hand_over::HandOver;
use crate::peer::links::grace;
use crate::raft::Raft;
use crate::write::queue::{End, Work, is_over};
use bytes::BytesMut;
use openraft::async_runtime::WatchReceiver;
use quorate_engine::{Db, Run, RunKind};
use quorate_resp::{Proto, write_command};
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
pub(crate) async fn run<E: Env>(group: Group<E>, raft: Raft<E>, hand_over: Arc<HandOver<E>>) {
    let mut tick: Option<oneshot::Receiver<_>> = None;
    let mut cut: Option<oneshot::Receiver<_>> = None;
    let mut level: Option<oneshot::Receiver<_>> = None;
    let started_s = group.process.env.wall_ms() / 1000;
    let mut round = 0_u32;
    let (mut seen, mut rested) = (0, true);
    let mut proposing = Duration::ZERO;
    while !group.writes.queue.is_closed() {
        E::sleep(PERIOD).await;
        if !group.writes.proposed.is_empty() {
            proposing = group.process.env.elapsed();
        }
        give_up_held(&group, proposing);
        keep_pace(&group, &raft);
        let applied = group.keyspace.applied.index();
        if std::mem::replace(&mut seen, applied) != applied {
            rested = false;
        } else if !std::mem::replace(&mut rested, true) {
            group.log.writer.rest();
        }
        round = round.wrapping_add(1);
        let look_at_disk = round.is_multiple_of(DISK_EVERY);
        if look_at_disk {
            purge(&group, &raft).await;
        }
        let leads = matches!(group.leadership.route(), Route::Lead(_));
        if look_at_disk
            && is_over(&mut cut)
            && (leads && cut_due(&group, started_s) || space_due(&group))
        {
            cut = Some(group.writes.queue.ask(Work::Cut, group.process.env.elapsed()));
        }
        if !leads {
            continue;
        }
        if is_over(&mut level) {
            level = raise_level(&group);
        }
        if look_at_disk && group.log.entries.is_full(0) {
            hand_over.leaves_for_space();
        }
        if is_over(&mut tick) && group.is_due().await {
            tick = Some(group.writes.queue.ask(Work::Tick, group.process.env.elapsed()));
        }
    }
}

/// Raises the feature level once every member supports more; no older build can take part then.
fn raise_level<E: Env>(group: &Group<E>) -> Option<oneshot::Receiver<Result<u64, NotApplied>>> {
    if u64::from(group.keyspace.seen.level.load(Ordering::Relaxed)) >= MAX_LEVEL {
        return None;
    }
    let (process, members) = (&group.process, group.keyspace.members());
    let others = members.iter().map(|peer| peer.node).filter(|node| *node != process.me.node);
    if members.is_empty() || !process.links.support(others, MAX_LEVEL) {
        return None;
    }
    let mut commands = BytesMut::new();
    let level = MAX_LEVEL.to_string();
    write_command(&mut commands, [b"QUORATE.LEVEL", level.as_bytes()].into_iter());
    let (db, proto, commands) = (Db(0), Proto::Resp2, commands.freeze());
    let run = Run { db, proto, commands, count: 1, kind: RunKind::Commands };
    Some(group.writes.queue.ask(Work::Run(run), process.env.elapsed()))
}

/// Lets Raft's time-outs follow the round trip to a quorum.
fn keep_pace<E: Env>(group: &Group<E>, raft: &Raft<E>) {
    // As appended, not as applied: the first leader is elected before anything is applied.
    let voters = raft.metrics().borrow_watched().membership_config.voter_ids().count();
    let leads = group.leadership.leads();
    let times = (group.options.heartbeat, group.options.election_max);
    group.process.links.keep_pace(&group.process.env, (voters, leads), times);
}

/// Tells Raft of each snapshot that was taken, as long as Raft runs.
pub(crate) async fn tell_of_snapshots<E: Env>(group: Group<E>, raft: Raft<E>) {
    loop {
        group.snapshots.taken().await;
        if let Err(error) = raft.trigger().snapshot().await {
            tracing::debug!(%error, "Raft has stopped and hears of no snapshot");
            return;
        }
    }
}

/// Gives up what has been held too long; `proposing` is when a proposal was last under way.
fn give_up_held<E: Env>(group: &Group<E>, proposing: Duration) {
    let now = group.process.env.elapsed();
    // Behind a proposal that is under way (long work, a large value on a narrow link) the queue
    // will move, and has its turn right after it. Without one, or without a quorum that could
    // finish it, what waits does so for want of a leader.
    let short = group.options.write_timeout;
    let long = if group.leadership.route() == Route::Wait {
        short
    } else {
        short.max(PROPOSAL_MAX) * 2 + grace(LARGE_BYTES)
    };
    let held = |since: Duration| since.max(proposing) + short < now || since + long < now;
    for item in group.writes.queue.take_if(|item| held(item.since)) {
        item.slot.answer(End::NotApplied(NotApplied::NoLeader));
    }
    if let Some(in_flight) = group.writes.in_flight() {
        in_flight.give_up(now, group.options.write_timeout);
    }
}

/// Enough was written since the last snapshot, or it is old; none is being made, and none has
/// failed just now. Enough is never less than the last snapshot has (Redis's
/// auto-aof-rewrite-percentage 100): or a large state would be written again for every little log.
fn cut_due<E: Env>(group: &Group<E>, started_s: u64) -> bool {
    let now = group.process.env.elapsed();
    if !group.snapshots.saving.is_idle(now) {
        return false;
    }
    let (_, newest) = group.snapshots.newest();
    let enough = group.options.snapshot_log_bytes.max(newest);
    let saving =
        group.snapshots.saving.status(now, group.keyspace.seen.changes.load(Ordering::Relaxed));
    let now_s = group.process.env.wall_ms() / 1000;
    group.log.entries.stats().bytes_since_purge >= enough
        || is_old(&saving, (started_s, now_s), group.options.snapshot_age)
}

/// Space is short here, and a snapshot would free more than it takes: the log behind the newest one
/// has more bytes than that. Any replica asks for it.
fn space_due<E: Env>(group: &Group<E>) -> bool {
    let (_, newest) = group.snapshots.newest();
    group.log.entries.stats().bytes_since_purge >= newest.max(WORTH_BYTES)
        && group.snapshots.saving.is_idle(group.process.env.elapsed())
        && group.log.entries.is_short_of(newest)
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
async fn purge<E: Env>(group: &Group<E>, raft: &Raft<E>) {
    let (covered, _) = group.snapshots.newest();
    if covered == 0 {
        return;
    }
    let short = group.log.entries.is_short_of(0);
    let keep = if short { 0 } else { group.options.snapshot_log_bytes / 4 };
    let Some(upto) = group.log.entries.index_before(keep).map(|index| index.min(covered)) else {
        return;
    };
    let upto = upto.min(group.transfers.purge_limit());
    let purged = group.log.entries.bounds().0.map_or(0, |id| id.index);
    // Until it has happened: Raft does nothing before it has heard of the snapshot, and says so to
    // nobody.
    if upto > purged
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
