//! Which keys change is told where somebody wants to know, and who cannot hear of it is told that.

use super::Faults;
use super::check::Checks;
use super::clients::command;
use super::cluster::{Cluster, HOSTS, Running, Told};
use super::rt::SimRt;
use crate::api::{Answer, Shown};
use openraft::AsyncRuntime;
use std::sync::Arc;
use std::time::Duration;

/// Two of the longest election time-outs of the simulation, and one heartbeat.
const NOTICED: Duration = Duration::from_millis(2 * 400 + 75);
const STEP: Duration = Duration::from_millis(5);

async fn founded(seed: u64) -> Cluster {
    let cluster = Cluster::new(seed, Faults::default(), Arc::new(Checks::default()));
    cluster.found().await.expect("it is founded");
    cluster.heal().await.expect("all serve");
    cluster
}

fn running(cluster: &Cluster, at: usize) -> Running {
    cluster.running(at).expect("it runs")
}

/// Sets a key through one host; it is applied on another when this returns.
async fn set(cluster: &Cluster, (at, then): (usize, usize), key: &str) {
    let run = command(0, &["SET", key, "v"]);
    match running(cluster, at).replica.submit(run).await {
        Ok(Answer::Replies(_, Shown { index, commands })) => {
            assert_eq!(commands, (0, 1), "it is alone in its entry");
            running(cluster, then).replica.applied(index).await;
        }
        other => panic!("{other:?}"),
    }
}

/// The keys that a host has heard of, and whether it keeps up.
fn heard(cluster: &Cluster, at: usize) -> (Vec<String>, bool) {
    let (mut keys, mut keeps_up) = (Vec::new(), false);
    for told in cluster.heard(at).all() {
        match told {
            Told::Changed(key) => keys.push(String::from_utf8_lossy(&key).into_owned()),
            Told::KeepsUp(now) => keeps_up = now,
            _ => {}
        }
    }
    (keys, keeps_up)
}

async fn wait(limit: Duration, what: &str, mut condition: impl FnMut() -> bool + Send) {
    let holds = async {
        while !condition() {
            SimRt::sleep(STEP).await;
        }
    };
    assert!(SimRt::timeout(limit, holds).await.is_ok(), "{what}");
}

#[test]
fn changes_are_told_while_somebody_wants_to_know() {
    SimRt::with_seed(1).block_on(async {
        let cluster = founded(1).await;
        set(&cluster, (0, 1), "before").await;
        let wanted = running(&cluster, 1).replica.group.process.audience.wanted.clone();
        wanted.add();
        wanted.add();
        wanted.remove();
        for at in 0..HOSTS {
            set(&cluster, (at, 1), &format!("k{at}")).await;
        }
        let all = ["k0", "k1", "k2"].map(str::to_owned);
        assert_eq!(heard(&cluster, 1).0, all);
        wanted.remove();
        set(&cluster, (1, 1), "behind").await;
        assert_eq!((heard(&cluster, 0).0, heard(&cluster, 2).0), (Vec::new(), Vec::new()));
        assert_eq!(heard(&cluster, 1).0, all);
    });
}

#[test]
fn who_hears_no_leader_is_told_in_time() {
    SimRt::with_seed(2).block_on(async {
        let cluster = founded(2).await;
        let leader = cluster.leader().expect("somebody leads");
        for cut_off in [(leader + 1) % HOSTS, leader] {
            assert!((0..HOSTS).all(|at| heard(&cluster, at).1), "all keep up");
            for other in (0..HOSTS).filter(|other| *other != cut_off) {
                cluster.net.cut(&Cluster::name(cut_off), &Cluster::name(other));
                cluster.net.cut(&Cluster::name(other), &Cluster::name(cut_off));
            }
            wait(NOTICED, "it is told", || !heard(&cluster, cut_off).1).await;
            cluster.heal().await.expect("all serve");
        }
    });
}
