//! A follower that lost its data joins again while writes go on, and whoever takes part in the
//! transfer of the snapshot is killed on the way: it ends with the same state.

use quorate_tests::client::is_ok;
use quorate_tests::cluster::{Cluster, Replica};
use quorate_tests::load::{Load, missing};
use quorate_tests::shim::Shim;
use quorate_tests::wait::until;
use std::fmt::Write;
use std::fs;

/// Reading a mebibyte of a snapshot takes so much longer, so that a transfer can be caught in the
/// middle.
const READ_MS: i64 = 20;
/// Bytes of each value.
const VALUE_BYTES: usize = 16 << 10;

/// Mebibytes of data. CI takes few; `QUORATE_TRANSFER_MB=128` is what a release is tested with.
fn mebibytes() -> usize {
    std::env::var("QUORATE_TRANSFER_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

fn number(replica: &Replica, field: &str) -> Option<u64> {
    replica.info(field)?.parse().ok()
}

/// Values that differ, so that nothing makes them shorter.
fn fill(replica: &Replica) {
    let mut client = replica.client().expect("it answers");
    let mut random = 1_u64;
    for round in 0..mebibytes() {
        let values: Vec<(String, String)> = (0..(1 << 20) / VALUE_BYTES)
            .map(|at| {
                let mut value = String::with_capacity(VALUE_BYTES + 16);
                while value.len() < VALUE_BYTES {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    write!(value, "{random:016x}").expect("memory");
                }
                (format!("fat:{round}:{at}"), value)
            })
            .collect();
        let sets: Vec<[&str; 3]> = values.iter().map(|(key, value)| ["SET", key, value]).collect();
        let sets: Vec<&[&str]> = sets.iter().map(<[&str; 3]>::as_slice).collect();
        assert!(client.pipeline(&sets).expect("answers").iter().all(is_ok));
    }
}

/// How much of a snapshot has come, in percent.
fn arrived(replica: &Replica) -> Option<u64> {
    let dir = replica.dir.join("appendonlydir");
    let journal = fs::read_to_string(dir.join("incoming.journal")).ok()?;
    let (_, rest) = journal.lines().next()?.split_once(" bytes ")?;
    let bytes: u64 = rest.split_whitespace().next()?.parse().ok()?;
    let here = fs::metadata(dir.join("incoming.snapshot")).ok()?.len();
    Some(here * 100 / bytes.max(1))
}

/// A new node in the place of this one: its data is gone.
fn wipe(replica: &mut Replica) {
    replica.kill();
    fs::remove_dir_all(&replica.dir).expect("it can be removed");
    replica.start();
}

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Receiver,
    Leader,
}

/// Waits until `percent` of the snapshot is with the receiver, and kills. A transfer that is over
/// before that is begun again.
fn kill_at(cluster: &mut Cluster, receiver: usize, percent: u64, victim: Victim) {
    until("enough of the snapshot has come", || {
        let whole = number(&cluster.replicas[receiver], "raft_snapshot_index") > Some(0);
        if whole {
            wipe(&mut cluster.replicas[receiver]);
        }
        (arrived(&cluster.replicas[receiver]) >= Some(percent)).then_some(())
    });
    let whom = match victim {
        Victim::Receiver => receiver,
        Victim::Leader => cluster.leader(),
    };
    let at = arrived(&cluster.replicas[receiver]);
    cluster.replicas[whom].kill();
    cluster.replicas[whom].start();
    eprintln!("{victim:?} killed at {percent} % (then {at:?})");
}

#[test]
fn a_wiped_follower_joins_under_load_whoever_dies() {
    let extra = ["--segment-bytes", "4mb", "--snapshot-log-bytes", "4mb"];
    let mut cluster = Cluster::prepare("transfer", 3, &extra);
    for replica in &mut cluster.replicas {
        Shim::attach(replica).set("read_ms", READ_MS);
        replica.start();
    }
    cluster.wait_writable();
    fill(&cluster.replicas[0]);
    let leader = cluster.leader();
    until("the log is purged, so that who has nothing needs the snapshot", || {
        let _ = cluster.replicas[leader].client()?.call(&["BGSAVE"]);
        (number(&cluster.replicas[leader], "raft_purged_index")? > 10).then_some(())
    });
    let receiver = (leader + 1) % 3;
    let others: Vec<u16> =
        (0..3).filter(|at| *at != receiver).map(|at| cluster.replicas[at].port).collect();
    let load = Load::start(&others, 8);
    wipe(&mut cluster.replicas[receiver]);
    for percent in [10, 50, 90] {
        for victim in [Victim::Receiver, Victim::Leader] {
            kill_at(&mut cluster, receiver, percent, victim);
        }
    }
    until("the wiped one serves", || cluster.replicas[receiver].accepts_writes().then_some(()));
    let from = load.acknowledged();
    until("writes go on", || (load.acknowledged() > from + 100).then_some(()));
    let acknowledged = load.stop();
    cluster.wait_agreed();
    for port in cluster.ports() {
        let lost = missing(port, &acknowledged);
        assert!(lost.is_empty(), "{} lost at {port}: {:?}", lost.len(), lost.first());
    }
}
