//! A snapshot that fails costs nothing else, and two are not taken at once.

use super::Faults;
use super::check::{Checks, Wrong};
use super::cluster::{Cluster, Running};
use super::rt::SimRt;
use crate::api::Answer;
use crate::replica::error::StartError;
use crate::snapshot::error::NoSnapshot;
use crate::snapshot::load::LoadError;
use bytes::Bytes;
use openraft::AsyncRuntime;
use quorate_engine::{Db, Run, RunKind};
use quorate_resp::Proto;
use quorate_store::StoreError;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn founded() -> (Cluster, usize, Running) {
    let cluster = Cluster::new(3, Faults::default(), Arc::new(Checks::default()));
    cluster.found().await.expect("it is founded");
    for _ in 0..1000 {
        SimRt::sleep(Duration::from_millis(10)).await;
        let leads = |at: usize| cluster.running(at).filter(|it| it.replica.is_ready());
        if let Some((at, running)) = cluster.leader().and_then(|at| Some((at, leads(at)?))) {
            return (cluster, at, running);
        }
    }
    panic!("nobody leads after ten seconds");
}

pub(super) async fn set(running: &Running, key: &str, length: usize) -> Bytes {
    let value = "v".repeat(length);
    let text = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${length}\r\n{value}\r\n", key.len());
    let run = Run {
        db: Db(1),
        proto: Proto::Resp2,
        commands: Bytes::from(text),
        count: 1,
        kind: RunKind::Commands,
    };
    match running.replica.submit(run).await {
        Ok(Answer::Replies(replies, _)) => replies,
        other => panic!("{other:?}"),
    }
}

pub(super) fn used(cluster: &Cluster, at: usize) -> u64 {
    let disk = cluster.disk(at).expect("a host");
    let bytes = |path: &String| disk.contents(path).map_or(0, |bytes| bytes.len() as u64);
    disk.paths().iter().map(bytes).sum()
}

#[test]
fn a_full_disk_costs_the_snapshot_and_nothing_else() {
    SimRt::with_seed(5).block_on(async {
        let (cluster, at, leader) = founded().await;
        set(&leader, "large", 2_000_000).await;
        let first = leader.replica.snapshot().await.expect("there is space");
        let disk = cluster.disk(at).expect("a host");
        // Enough for the log, not for two megabytes.
        set(&leader, "small", 10).await;
        disk.set_capacity(Some(used(&cluster, at) + 1_300_000));
        let why = leader.replica.snapshot().await.expect_err("there is no space");
        let full = matches!(&why, NoSnapshot::Store(why) if matches!(**why, StoreError::Full));
        assert!(full, "{why}");
        let status = leader.replica.status();
        assert!(status.saving.failed && status.snapshot_index == first);
        assert_eq!(&set(&leader, "more", 10).await[..], b"+OK\r\n");
        while leader.replica.status().saving.running.is_some() {
            SimRt::sleep(Duration::from_millis(10)).await;
        }
        disk.set_capacity(None);
        let second = leader.replica.snapshot().await.expect("there is space again");
        let status = leader.replica.status();
        assert!(!status.saving.failed && status.snapshot_index == second && second > first);
        assert_eq!(status.saving.changes, 0);
        cluster.judge().await.expect("all agree");
    });
}

#[test]
fn a_cut_during_a_snapshot_is_told_so() {
    SimRt::with_seed(6).block_on(async {
        let (cluster, _, leader) = founded().await;
        for key in 0..400 {
            set(&leader, &format!("key{key}"), 10).await;
        }
        let one = leader.replica.clone();
        let first = SimRt::spawn(async move { one.snapshot().await });
        while leader.replica.status().saving.running.is_none() {
            SimRt::sleep(Duration::from_millis(1)).await;
        }
        let why = leader.replica.snapshot().await.expect_err("one at a time");
        assert!(matches!(why, NoSnapshot::Already), "{why}");
        let first = first.await.expect("it did not panic").expect("the first goes on");
        assert!(leader.replica.group.snapshots.newest().0 == first);
        leader.replica.snapshot().await.expect("the next one is taken");
        cluster.judge().await.expect("all agree");
    });
}

/// Two snapshots, then one bit of a follower's newest flips while it is down. Gives the follower.
/// With `purge` its log does not reach back to the older one.
async fn rotten(cluster: &Cluster, (at, leader): (usize, &Running), purge: bool) -> usize {
    for key in ["one", "two"] {
        set(leader, key, 100).await;
        leader.replica.snapshot().await.expect("nothing is in its way");
    }
    let victim = (at + 1) % 3;
    let replica = cluster.running(victim).expect("it runs").replica;
    let older = || replica.group.snapshots.files.all().get(1).map_or(0, |file| file.last.index);
    // Some rounds long, so that what is on its way to the disk arrives.
    let mut rounds = 0;
    while rounds < 5 {
        set(leader, "behind", 100).await;
        SimRt::sleep(Duration::from_millis(20)).await;
        let is_so = older() > 0 && (replica.status().purged_index > older() || !purge);
        rounds = if is_so { rounds + 1 } else { 0 };
    }
    let newest = replica.group.snapshots.files.newest().expect("it was made");
    cluster.kill(victim, false);
    let disk = cluster.disk(victim).expect("a host");
    let mut bytes = disk.contents(&newest.path).expect("it is there");
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).expect("it is not empty") ^= 4;
    disk.tamper(&newest.path, Some(bytes));
    victim
}

#[test]
fn a_start_passes_over_a_rotten_snapshot() {
    SimRt::with_seed(7).block_on(async {
        let (cluster, at, leader) = founded().await;
        let victim = rotten(&cluster, (at, &leader), false).await;
        cluster.start(victim).await.expect("the one before it is used");
        let replica = cluster.running(victim).expect("it runs").replica;
        let lost = replica.group.snapshots.files.lost().expect("it was noticed");
        for _ in 0..1000 {
            SimRt::sleep(Duration::from_millis(10)).await;
        }
        let all = replica.group.snapshots.files.all();
        assert!(all.len() == 2 && all[0].last > lost && all[1].last < lost, "{all:?}");
        let disk = cluster.disk(victim).expect("a host");
        let report = quorate_store::check(&disk).expect("the log is well");
        assert!(report.snapshots.iter().all(|(_, whole)| *whole), "{report:?}");
        cluster.judge().await.expect("all agree");
    });
}

#[test]
fn a_rotten_snapshot_without_its_log_is_refused() {
    SimRt::with_seed(8).block_on(async {
        let (cluster, at, leader) = founded().await;
        let victim = rotten(&cluster, (at, &leader), true).await;
        let why = cluster.start(victim).await.expect_err("there is no way to its state");
        assert!(
            matches!(&why, Wrong::NotStarted(_, StartError::Load(LoadError::NoBridge(_)))),
            "{why}"
        );
    });
}
