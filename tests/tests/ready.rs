//! Who says that it serves: a node that hears no leader, or leads and is heard by nobody, does not,
//! and answers writes in time and for certain. And what a node says at its start is true.

use quorate_resp::Value;
use quorate_tests::client::is_ok;
use quorate_tests::cluster::{Cluster, Replica, binary};
use quorate_tests::wait::until;
use std::process::{Command, Output};

/// `quorate ping`, as health checks call it.
fn ping(replica: &Replica) -> Output {
    let port = replica.port.to_string();
    Command::new(binary()).args(["ping", "--port", &port]).output().expect("the binary runs")
}

fn becomes_ready(replica: &Replica) {
    until("it is ready", || ping(replica).status.success().then_some(()));
}

/// What it shows in INFO.
fn shown(replica: &Replica) -> Option<[String; 4]> {
    let field = |name| replica.info(name);
    Some([field("ready")?, field("healthy")?, field("raft_role")?, field("raft_leader")?])
}

/// It serves nobody, says so, and refuses a write for certain.
fn serves_nobody(replica: &Replica) {
    let nobody = ["0", "0", "follower", ""].map(str::to_owned);
    let mut client = replica.client().expect("it answers");
    let answer = client.call(&["SET", "key", "value"]).expect("an answer");
    let Value::Error(line) = &answer else { panic!("{answer:?}") };
    assert!(line.starts_with("CLUSTERDOWN "), "{line}");
    assert_eq!(shown(replica), Some(nobody));
    let asked = ping(replica);
    assert!(!asked.status.success(), "{asked:?}");
    let why = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(why.contains("not ready"), "{why}");
}

fn kill_others(cluster: &mut Cluster, at: usize) {
    let others = cluster.replicas.iter_mut().enumerate().filter(|(other, _)| *other != at);
    others.for_each(|(_, replica)| replica.kill());
}

fn start_others(cluster: &mut Cluster, at: usize) {
    let others = cluster.replicas.iter_mut().enumerate().filter(|(other, _)| *other != at);
    others.for_each(|(_, replica)| replica.start());
    cluster.replicas.iter().for_each(becomes_ready);
    cluster.wait_writable();
}

/// Everybody is ready, then one is left alone and says so.
fn leave_alone(cluster: &mut Cluster, at: usize) {
    cluster.replicas.iter().for_each(becomes_ready);
    kill_others(cluster, at);
    let alone = &cluster.replicas[at];
    until("it notices that it is alone", || (!ping(alone).status.success()).then_some(()));
    serves_nobody(alone);
}

#[test]
fn a_follower_alone_is_not_ready() {
    let mut cluster = Cluster::start("lone-follower", 3, &[]);
    let at = (cluster.leader() + 1) % 3;
    leave_alone(&mut cluster, at);
    // What is on its disk names the leader.
    cluster.replicas[at].kill();
    cluster.replicas[at].start();
    until("it has loaded its state", || {
        let answer = cluster.replicas[at].client()?.call(&["SET", "key", "value"]).ok()?;
        matches!(answer, Value::Error(line) if line.starts_with("CLUSTERDOWN ")).then_some(())
    });
    serves_nobody(&cluster.replicas[at]);
    start_others(&mut cluster, at);
}

#[test]
fn a_leader_alone_steps_down() {
    let mut cluster = Cluster::start("lone-leader", 3, &[]);
    let at = cluster.leader();
    leave_alone(&mut cluster, at);
    start_others(&mut cluster, at);
    let mut client = cluster.replicas[at].client().expect("it answers");
    assert!(is_ok(&client.call(&["SET", "key", "value"]).expect("an answer")));
}

#[test]
fn a_founder_that_starts_again_has_lost_nothing() {
    let mut cluster = Cluster::start("founder", 3, &[]);
    // The one whose name sorts first has founded it.
    let founder =
        cluster.replicas.iter_mut().min_by_key(|it| format!("127.0.0.1:{}", it.peer_port));
    let founder = founder.expect("three");
    for _ in 0..5 {
        founder.kill();
        founder.start();
        becomes_ready(founder);
    }
    let said = founder.output();
    assert!(said.contains("founded cluster"), "{said}");
    assert!(!said.contains("lost its log"), "{said}");
}
