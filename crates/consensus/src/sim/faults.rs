//! Trouble: crashes, power cuts, cut links, rough links, hand-overs, snapshots,
//! hosts that fall behind or lose their disks, at seeded moments.

use super::check::Wrong;
use super::cluster::{Cluster, HOSTS};
use super::net::Random;
use super::rt::SimRt;
use openraft::AsyncRuntime;
use std::time::Duration;

/// How many things happen in a run.
const EVENTS: u64 = 16;
/// At most so many milliseconds between two of them.
const PAUSE_MS: u64 = 1200;
/// At most so long a host is down that shall fall behind.
const BEHIND_MS: u64 = 8000;
/// Within this a replaced node votes.
const JOIN_MAX: Duration = Duration::from_mins(1);
/// A disk that was told to fail does so within so many operations.
const CUT_WITHIN_OPS: u64 = 6;

/// Makes trouble for a while.
pub(crate) async fn trouble(cluster: &Cluster, seed: u64) -> Result<(), Wrong> {
    let mut random = Random::new(seed ^ 0x7a0b);
    for _ in 0..EVENTS {
        pause(&mut random, PAUSE_MS).await;
        cluster.checks.verdict()?;
        let at = pick(cluster, &mut random);
        match random.below(28) {
            0..7 => crash(cluster, &mut random, at, true).await?,
            7..9 => crash(cluster, &mut random, at, false).await?,
            9 => power_cut_within_a_write(cluster, &mut random, at).await?,
            10 => power_cut_after_a_vote(cluster, &mut random).await?,
            11 => crash_all(cluster, &mut random).await?,
            12..15 => isolate(cluster, &mut random, at),
            15..17 => {
                cluster.checks.note("links heal");
                cluster.net.heal();
            }
            17 => cluster.net.set_rough(random.one_in(2)),
            18 => hand_over(cluster, at).await,
            19..22 => snapshot(cluster, at),
            22 => fall_behind(cluster, &mut random, at).await?,
            23 => replace(cluster, &mut random, at).await?,
            24 => cluster.flip(&mut random, at).await?,
            25 => cluster.hurt_disk(&mut random, at).await?,
            _ => cluster.forge(&mut random, at).await?,
        }
    }
    Ok(())
}

async fn pause(random: &mut Random, ms: u64) {
    SimRt::sleep(Duration::from_micros(random.below(ms * 1000))).await;
}

/// A host; half of the time the leader's.
fn pick(cluster: &Cluster, random: &mut Random) -> usize {
    let any = usize::try_from(random.below(HOSTS as u64)).unwrap_or(0);
    if random.one_in(2) { cluster.leader().unwrap_or(any) } else { any }
}

/// Often within the lease of the others, sometimes long after.
async fn rest_before_start(random: &mut Random) {
    let ms = if random.one_in(2) { 150 } else { 2500 };
    pause(random, ms).await;
}

async fn crash(
    cluster: &Cluster,
    random: &mut Random,
    at: usize,
    power_cut: bool,
) -> Result<(), Wrong> {
    cluster.kill(at, power_cut);
    rest_before_start(random).await;
    cluster.start(at).await
}

/// The power goes while bytes are on their way to the disk.
async fn power_cut_within_a_write(
    cluster: &Cluster,
    random: &mut Random,
    at: usize,
) -> Result<(), Wrong> {
    if let Some(disk) = cluster.disk(at) {
        disk.cut_at(disk.ops() + 1 + random.below(CUT_WITHIN_OPS));
    }
    pause(random, 50).await;
    crash(cluster, random, at, true).await
}

/// The leader dies, and the power of a replica that votes for the next goes soon after it has said
/// so.
async fn power_cut_after_a_vote(cluster: &Cluster, random: &mut Random) -> Result<(), Wrong> {
    if let Some(leader) = cluster.leader() {
        cluster.kill(leader, true);
    }
    let next = SimRt::timeout(Duration::from_secs(2), cluster.net.next_voter()).await;
    if let Ok(voter) = next {
        pause(random, 2).await;
        if let Some(voter) = (0..HOSTS).find(|at| Cluster::name(*at) == voter) {
            cluster.kill(voter, true);
        }
    }
    for at in 0..HOSTS {
        pause(random, 300).await;
        cluster.start(at).await?;
    }
    Ok(())
}

async fn crash_all(cluster: &Cluster, random: &mut Random) -> Result<(), Wrong> {
    for at in 0..HOSTS {
        cluster.kill(at, true);
    }
    for at in 0..HOSTS {
        pause(random, 300).await;
        cluster.start(at).await?;
    }
    Ok(())
}

/// Down for so long that the others may have purged what it misses: it gets a snapshot.
async fn fall_behind(cluster: &Cluster, random: &mut Random, at: usize) -> Result<(), Wrong> {
    cluster.kill(at, random.one_in(2));
    pause(random, BEHIND_MS).await;
    cluster.start(at).await
}

/// A host loses its disk and comes back as another node of the same name, which is let in and gets
/// a snapshot; one of the others dies meanwhile.
async fn replace(cluster: &Cluster, random: &mut Random, at: usize) -> Result<(), Wrong> {
    cluster.net.heal();
    cluster.replace(at).await?;
    let this = cluster.clone();
    let joining = SimRt::spawn(async move { this.let_in(at).await });
    pause(random, 4000).await;
    let other = (at + 1 + usize::from(random.one_in(2))) % HOSTS;
    crash(cluster, random, other, true).await?;
    let joined = SimRt::timeout(JOIN_MAX, joining).await;
    joined.map(drop).map_err(|_| format!("n{at} is not let in within {JOIN_MAX:?}").into())
}

/// Cuts a host off: from the others, towards the others, or both.
fn isolate(cluster: &Cluster, random: &mut Random, at: usize) {
    let ways = random.below(3);
    let host = Cluster::name(at);
    cluster.checks.note(&format!("{host} cut off, way {ways}"));
    for other in (0..HOSTS).filter(|other| *other != at).map(Cluster::name) {
        if ways != 1 {
            cluster.net.cut(&host, &other);
        }
        if ways != 0 {
            cluster.net.cut(&other, &host);
        }
    }
}

async fn hand_over(cluster: &Cluster, at: usize) {
    if let Some(running) = cluster.running(at) {
        let result = running.replica.hand_over(None).await;
        cluster.checks.note(&format!("{} hands over: {result:?}", running.name));
    }
}

fn snapshot(cluster: &Cluster, at: usize) {
    if let Some(running) = cluster.running(at) {
        cluster.checks.note(&format!("{} asked for a snapshot", running.name));
        let checks = cluster.checks.clone();
        drop(SimRt::spawn(async move {
            let made = running.replica.snapshot().await;
            checks.note(&format!("{} has a snapshot: {made:?}", running.name));
        }));
    }
}
