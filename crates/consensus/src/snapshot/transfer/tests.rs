//! A follower far behind, or wiped, gets its snapshot by real cores in simulation, whoever dies in
//! the middle of it.

use crate::api::Answer;
use crate::sim::Faults;
use crate::sim::check::Checks;
use crate::sim::clients::command;
use crate::sim::cluster::{Cluster, HOSTS};
use crate::sim::rt::SimRt;
use crate::snapshot::error::NoSnapshot;
use openraft::AsyncRuntime;
use std::sync::Arc;
use std::time::Duration;

async fn pass(ms: u64) {
    <SimRt as AsyncRuntime>::sleep(Duration::from_millis(ms)).await;
}

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Receiver,
    Leader,
}

async fn leader(cluster: &Cluster) -> usize {
    for _ in 0..1000 {
        let leads = |at: &usize| cluster.running(*at).is_some_and(|it| it.replica.is_ready());
        if let Some(at) = cluster.leader().filter(leads) {
            return at;
        }
        pass(10).await;
    }
    panic!("nobody leads after ten seconds");
}

/// Writes until the leader has purged its log, so that who missed it needs a snapshot.
async fn write_and_purge(cluster: &Cluster) {
    let at = leader(cluster).await;
    let replica = cluster.running(at).expect("the leader runs").replica;
    let value = "v".repeat(500);
    for number in 0..400 {
        let answer = replica.submit(command(0, &["SET", &format!("key:{number}"), &value])).await;
        assert!(matches!(answer, Ok(Answer::Replies(_, _))), "{answer:?}");
    }
    // Each of them may be making one of its own accord, and then makes none of this cut.
    let has = |at: usize| cluster.running(at).map(|it| it.replica.status().snapshot_index);
    loop {
        match replica.snapshot().await {
            Ok(cut) => {
                pass(200).await;
                if (0..HOSTS).filter_map(has).all(|index| index == cut) {
                    break;
                }
            }
            Err(why) => assert!(matches!(why, NoSnapshot::Already), "{why}"),
        }
        pass(20).await;
    }
    for round in 0.. {
        let status = replica.status();
        if status.purged_index > 100 {
            return;
        }
        assert!(round < 500, "not purged: {status:?}");
        pass(20).await;
    }
}

/// Waits until a host shows what the leader shows.
async fn caught_up(cluster: &Cluster, at: usize) {
    for _ in 0..3000 {
        let leading = cluster.leader().and_then(|at| cluster.running(at));
        let shown = |replica: &crate::replica::Replica<_>| {
            let keyspace = replica.group.keyspace.try_read()?;
            Some((keyspace.applied_index(), keyspace.digest()))
        };
        if let (Some(leading), Some(running)) = (leading, cluster.running(at)) {
            let (theirs, ours) = (shown(&leading.replica), shown(&running.replica));
            if theirs.is_some() && theirs == ours {
                return;
            }
        }
        pass(10).await;
    }
    panic!("n{at} has not caught up: {:?}", cluster.net.snapshots());
}

async fn stopped(cluster: &Cluster) {
    let stopped = SimRt::timeout(Duration::from_secs(30), cluster.net.snapshot_stopped()).await;
    assert!(stopped.is_ok(), "no snapshot came so far: {:?}", cluster.net.snapshots());
}

/// A transfer stands still at `percent`, `victim` dies, and everything comes to a good end. Gives
/// where the snapshots that were sent began, and their length.
fn broken_at(seed: u64, percent: u64, victim: Victim, power_cut: bool) -> Vec<(u64, u64)> {
    SimRt::with_seed(seed).block_on(async move {
        let cluster = Cluster::new(seed, Faults::default(), Arc::new(Checks::default()));
        cluster.found().await.expect("it is founded");
        let behind = (leader(&cluster).await + 1) % HOSTS;
        cluster.kill(behind, power_cut);
        write_and_purge(&cluster).await;
        cluster.net.stop_snapshot_at(percent);
        cluster.start(behind).await.expect("it starts");
        stopped(&cluster).await;
        let dead = match victim {
            Victim::Receiver => behind,
            Victim::Leader => leader(&cluster).await,
        };
        cluster.kill(dead, power_cut);
        if victim == Victim::Receiver {
            cluster.start(dead).await.expect("it starts again");
        }
        caught_up(&cluster, behind).await;
        cluster.heal().await.expect("all serve");
        caught_up(&cluster, dead).await;
        cluster.judge().await.expect("all agree");
        cluster.net.snapshots()
    })
}

#[test]
fn a_broken_transfer_goes_on_where_it_was() {
    for percent in [10, 50, 90] {
        for victim in [Victim::Receiver, Victim::Leader] {
            let sent = broken_at(percent, percent, victim, false);
            let case = format!("{percent} %, {victim:?}: {sent:?}");
            assert_eq!(sent.first().map(|sent| sent.0), Some(0), "{case}");
            let (offset, bytes) = sent.get(1).copied().expect("a second transfer");
            let got = offset * 100 / bytes;
            // What the network still held when one end died did not count.
            assert!((percent.saturating_sub(5)..=percent).contains(&got), "{case}");
        }
    }
}

#[test]
fn a_power_cut_costs_no_more_than_a_fresh_start() {
    for percent in [10, 50, 90] {
        for victim in [Victim::Receiver, Victim::Leader] {
            for seed in 0..3 {
                broken_at(seed * 1000 + percent, percent, victim, true);
            }
        }
    }
}

#[test]
fn a_wiped_replica_joins_while_leaders_die() {
    SimRt::with_seed(3).block_on(async {
        let cluster = Cluster::new(3, Faults::default(), Arc::new(Checks::default()));
        cluster.found().await.expect("it is founded");
        let at = (leader(&cluster).await + 1) % HOSTS;
        cluster.wipe(at).expect("a host");
        write_and_purge(&cluster).await;
        cluster.start(at).await.expect("it starts");
        cluster.net.stop_snapshot_at(30);
        let this = cluster.clone();
        let joining = SimRt::spawn(async move { this.let_in(at).await });
        for next in [60, 101] {
            stopped(&cluster).await;
            cluster.net.stop_snapshot_at(next);
            let dead = leader(&cluster).await;
            cluster.kill(dead, true);
            pass(500).await;
            cluster.start(dead).await.expect("it starts again");
        }
        joining.await.expect("it is let in");
        cluster.heal().await.expect("all serve");
        caught_up(&cluster, at).await;
        cluster.judge().await.expect("all agree");
        let sent = cluster.net.snapshots();
        assert!(sent.iter().skip(1).all(|(offset, _)| *offset > 0), "{sent:?}");
    });
}

#[test]
fn a_snapshot_that_rots_is_not_sent_but_made_anew() {
    SimRt::with_seed(4).block_on(async {
        let cluster = Cluster::new(4, Faults::default(), Arc::new(Checks::default()));
        cluster.found().await.expect("it is founded");
        let leading = leader(&cluster).await;
        let behind = (leading + 1) % HOSTS;
        cluster.kill(behind, false);
        write_and_purge(&cluster).await;
        let replica = cluster.running(leading).expect("it leads").replica;
        let disk = cluster.disk(leading).expect("a disk");
        let newest = replica.group.snapshots.files.newest().expect("one was made");
        let mut bytes = disk.contents(&newest.path).expect("it is there");
        let middle = bytes.len() / 2;
        *bytes.get_mut(middle).expect("it is long") ^= 1;
        disk.tamper(&newest.path, Some(bytes));
        cluster.start(behind).await.expect("it starts");
        caught_up(&cluster, behind).await;
        let replaced = replica.group.snapshots.files.newest().expect("one was made");
        assert!(replaced.last > newest.last, "{replaced:?} in place of {newest:?}");
        cluster.judge().await.expect("all agree");
    });
}
