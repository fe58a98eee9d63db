//! A replica whose state differs from the others' is found out while everything runs, and rebuilds
//! itself; clients of the others see nothing.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::{Cluster, Replica};
use quorate_tests::wait::until;
use std::time::Duration;

fn call(replica: &Replica, words: &[&str]) -> Option<Value> {
    Client::connect(replica.port, Duration::from_secs(5)).ok()?.call(words).ok()
}

/// Whether a replica shows the value, also by a read that asks nobody else.
fn shows(replica: &Replica, key: &str, value: &str) -> bool {
    let shown = call(replica, &["GET", key]).and_then(|reply| text(&reply));
    shown.as_deref() == Some(value)
}

fn aside(replica: &Replica) -> usize {
    let names = std::fs::read_dir(&replica.dir).expect("the directory is there");
    let names = names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("diverged-")).count()
}

/// Flips a bit of a value on the replica at `at`, and waits until it has begun anew.
fn flipped(cluster: &Cluster, at: usize) {
    let victim = &cluster.replicas[at];
    let value = "a value of some length".repeat(3);
    let others = || cluster.replicas.iter().enumerate().filter(|(other, _)| *other != at);
    for key in 0..500 {
        let set = call(victim, &["SET", &format!("key:{key}"), &value]).expect("an answer");
        assert!(is_ok(&set), "{set:?}");
    }
    let before = victim.info("node_id").expect("it has an id");
    let flip = call(victim, &["DEBUG", "FLIP-BIT", "key:77", "5"]).expect("an answer");
    assert!(is_ok(&flip), "{flip:?}");
    assert!(!shows(victim, "key:77", &value), "the bit shows");
    let anew = || victim.info("node_id").filter(|id| *id != before).map(drop);
    until("the replica begins anew", || {
        for (_, other) in others() {
            // While leadership moves there may be no answer; never a wrong one.
            let shown = call(other, &["GET", "key:77"]).and_then(|reply| text(&reply));
            assert!(shown.is_none_or(|shown| shown == value), "the others are right all the time");
        }
        anew()
    });
    until("it shows what the others show", || shows(victim, "key:77", &value).then_some(()));
    until("it says that it is ready", || {
        (victim.info("ready").as_deref() == Some("1")).then_some(())
    });
    assert_eq!(aside(victim), 1, "what it had is kept");
    assert!(others().all(|(_, other)| aside(other) == 0));
    assert!(victim.output().contains("holds something else in memory"), "it says why");
}

#[test]
fn a_follower_whose_memory_rots_rebuilds_itself() {
    let mut cluster = Cluster::start("rot", 3, &[]);
    let leader = cluster.leader();
    flipped(&cluster, (leader + 1) % 3);
    for replica in &mut cluster.replicas {
        assert!(replica.is_running());
    }
}

#[test]
fn a_leader_whose_memory_rots_hands_over_first() {
    let cluster = Cluster::start("rotten-leader", 3, &[]);
    flipped(&cluster, cluster.leader());
}
