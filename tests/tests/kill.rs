//! Killing processes under load: no acknowledged write is ever missing, and nobody has to help.

use quorate_tests::cluster::Cluster;
use quorate_tests::load::{Load, missing};
use quorate_tests::wait::until;
use std::time::{Duration, Instant};

/// Rounds of each kind of fault. CI runs a few; `QUORATE_ROUNDS=20` is what a release is tested
/// with.
fn rounds(few: u32) -> u32 {
    std::env::var("QUORATE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

fn wait_for_more(load: &Load, more: u64) {
    let from = load.acknowledged();
    until("writes are acknowledged again", || (load.acknowledged() >= from + more).then_some(()));
}

fn assert_nothing_lost(cluster: &mut Cluster, load: Load) {
    let acknowledged = load.stop();
    let total: usize = acknowledged.iter().map(Vec::len).sum();
    assert!(total > 0, "the load wrote nothing");
    cluster.wait_writable();
    for port in cluster.ports() {
        let lost = missing(port, &acknowledged);
        assert!(
            lost.is_empty(),
            "{} of {total} lost at {port}: {:?}",
            lost.len(),
            &lost[..lost.len().min(5)]
        );
    }
    cluster.wait_agreed();
    eprintln!("{total} acknowledged writes, all present on {} replicas", cluster.replicas.len());
}

#[test]
fn killing_the_leader_loses_nothing() {
    let mut cluster = Cluster::start("kill-leader", 3, &[]);
    let load = Load::start(&cluster.ports(), 50);
    let mut gaps = Vec::new();
    for _ in 0..rounds(4) {
        wait_for_more(&load, 500);
        let leader = cluster.leader();
        load.take_longest_gap();
        let start = Instant::now();
        cluster.replicas[leader].kill();
        wait_for_more(&load, 200);
        gaps.push(load.take_longest_gap().min(start.elapsed()));
        cluster.replicas[leader].start();
        until("the killed replica is back", || {
            cluster.replicas[leader].accepts_writes().then_some(())
        });
    }
    gaps.sort();
    eprintln!("gaps until writes succeed again: median {:?}, all {gaps:?}", gaps[gaps.len() / 2]);
    assert_nothing_lost(&mut cluster, load);
}

#[test]
fn killing_all_at_once_loses_nothing() {
    let mut cluster = Cluster::start("kill-all", 3, &[]);
    let load = Load::start(&cluster.ports(), 50);
    let mut downtimes: Vec<Duration> = Vec::new();
    for _ in 0..rounds(3) {
        wait_for_more(&load, 500);
        for replica in &mut cluster.replicas {
            replica.kill();
        }
        let start = Instant::now();
        for replica in &mut cluster.replicas {
            replica.start();
        }
        wait_for_more(&load, 200);
        downtimes.push(start.elapsed());
    }
    eprintln!("from start to writes: {downtimes:?}");
    assert_nothing_lost(&mut cluster, load);
}

#[test]
fn a_clean_restart_of_every_replica_loses_nothing() {
    let mut cluster = Cluster::start("rolling", 3, &[]);
    let load = Load::start(&cluster.ports(), 8);
    for at in 0..3 {
        wait_for_more(&load, 300);
        assert!(cluster.replicas[at].terminate(), "SIGTERM ends with status 0");
        wait_for_more(&load, 100);
        cluster.replicas[at].start();
        until("it is back", || cluster.replicas[at].accepts_writes().then_some(()));
    }
    assert_nothing_lost(&mut cluster, load);
}
