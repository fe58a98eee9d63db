//! Slow and narrow links between replicas: large values arrive, writes and reads go on.
//!
//! No assertion looks at a time of this test's own. What a link is too slow for shows as an answer:
//! the server gives up by itself (`CLUSTERDOWN`, `UNCERTAIN`), and that is an error here.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::{Cluster, Replica};
use quorate_tests::link::Link;
use quorate_tests::wait::{PATIENCE, until};
use std::time::Duration;

/// As large as a value may be, nearly.
const LARGE: usize = 60 << 20;
/// 200 Mbit/s: the value needs 2.5 s for each replica.
const NARROW: u64 = 25_000_000;
/// Writes and reads through every replica at every delay.
const TURNS: usize = 3;

fn started(name: &str, extra: &[&str]) -> (Cluster, Vec<Link>) {
    let (mut cluster, links) = Cluster::prepare_linked(name, 3, extra);
    for replica in &mut cluster.replicas {
        replica.start();
    }
    cluster.wait_writable();
    (cluster, links)
}

fn connect(cluster: &Cluster, at: usize) -> Client {
    Client::connect(cluster.replicas[at].port, PATIENCE).expect("it listens")
}

fn set_large(client: &mut Client, key: &str) -> Value {
    let value = vec![b'v'; LARGE];
    let set = [b"SET".to_vec(), key.as_bytes().to_vec(), value];
    client.call_bytes(&set).expect("an answer")
}

fn expect_length(cluster: &Cluster, at: usize, key: &str) {
    let length = connect(cluster, at).call(&["STRLEN", key]).expect("an answer");
    assert!(matches!(length, Value::Int(bytes) if bytes == LARGE as i64), "{length:?}");
}

#[test]
fn a_large_value_is_written_over_a_narrow_link_and_others_are_answered() {
    let (cluster, links) = started("narrow", &[]);
    for link in &links {
        link.set_width(NARROW);
    }
    let leader = cluster.leader();
    // Through the leader, and through a follower that forwards it.
    for (at, key) in [(leader, "large:0"), ((leader + 1) % 3, "large:1")] {
        let (mut writer, mut other) = (connect(&cluster, at), connect(&cluster, leader));
        let answer = std::thread::scope(|scope| {
            let writing = scope.spawn(move || set_large(&mut writer, key));
            while !writing.is_finished() {
                for command in [&["SET", "small", "1"][..], &["GET", "small"]] {
                    let answer = other.call(command).expect("an answer");
                    assert!(!matches!(answer, Value::Error(_)), "{answer:?}");
                }
            }
            writing.join().expect("the writer does not panic")
        });
        assert!(is_ok(&answer), "{answer:?}");
        expect_length(&cluster, leader, key);
    }
    cluster.wait_agreed();
    let role = cluster.replicas[leader].info("raft_role");
    assert_eq!(role.as_deref(), Some("leader"), "nothing has moved leadership");
}

#[test]
fn a_follower_fetches_a_large_value_over_a_narrow_link() {
    let (mut cluster, links) = started("fetch", &[]);
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    cluster.replicas[behind].kill();
    let answer = set_large(&mut connect(&cluster, leader), "large");
    assert!(is_ok(&answer), "{answer:?}");
    links[behind].set_width(NARROW);
    cluster.replicas[behind].start();
    cluster.wait_agreed();
    expect_length(&cluster, behind, "large");
}

#[test]
fn writes_and_reads_are_served_at_any_delay() {
    // A write waits that long for a leader: an election may take some seconds here.
    let (cluster, links) = started("delay", &["--cluster-write-timeout", "10000"]);
    for ms in [0, 50, 200, 0] {
        for link in &links {
            link.set_delay(Duration::from_millis(ms));
        }
        serves(&cluster, ms);
    }
    cluster.wait_agreed();
}

/// Every replica answers every write and read.
fn serves(cluster: &Cluster, ms: u64) {
    // The link has just changed. Until that is noticed, writes may be refused.
    until("all replicas serve again", || {
        cluster.replicas.iter().all(Replica::accepts_writes).then_some(())
    });
    std::thread::scope(|scope| {
        for at in 0..cluster.replicas.len() {
            scope.spawn(move || {
                let mut client = connect(cluster, at);
                for turn in 0..TURNS {
                    let (key, value) = (format!("{ms}:{at}"), turn.to_string());
                    let set = client.call(&["SET", &key, &value]).expect("an answer");
                    assert!(is_ok(&set), "{ms} ms, replica {at}: {set:?}");
                    let got = client.call(&["GET", &key]).expect("an answer");
                    assert_eq!(text(&got), Some(value), "{ms} ms, replica {at}: {got:?}");
                }
            });
        }
    });
}
