//! What a leader does whose entries travel slowly, or not at all.

use super::clients::command;
use super::cluster::{Cluster, HOSTS};
use super::rt::SimRt;
use crate::api::Answer;
use openraft::AsyncRuntime;
use std::time::Duration;

/// Longer than any of this may take, in virtual time.
const LIMIT: Duration = Duration::from_mins(2);

fn leader(cluster: &Cluster) -> usize {
    cluster.leader().expect("somebody leads")
}

/// Sets a key through a host; whether it was done.
async fn set(cluster: &Cluster, at: usize, key: &str, value: &str) -> bool {
    let replica = cluster.running(at).expect("it runs").replica;
    matches!(replica.submit(command(0, &["SET", key, value])).await, Ok(Answer::Replies(_, _)))
}

#[test]
fn a_value_that_takes_many_seconds_is_written_in_one_office() {
    SimRt::with_seed(1).block_on(async {
        let cluster = Cluster::founded(1).await;
        let at = leader(&cluster);
        let term = cluster.running(at).expect("it runs").replica.status().term;
        // 800 KB at 200 KB/s: longer than a stream may be silent.
        cluster.net.set_width(200);
        let value = "v".repeat(800_000);
        assert!(set(&cluster, at, "large", &value).await);
        // One that missed it fetches it.
        let behind = (at + 1) % HOSTS;
        cluster.kill(behind, false);
        assert!(set(&cluster, at, "large", &value).await);
        cluster.start(behind).await.expect("it starts");
        let fetched = async {
            loop {
                let shown = |at: usize| {
                    cluster.running(at).expect("it runs").replica.status().applied_index
                };
                if shown(behind) == shown(at) {
                    return;
                }
                SimRt::sleep(Duration::from_millis(10)).await;
            }
        };
        SimRt::timeout(LIMIT, fetched).await.expect("it catches up");
        let now = cluster.running(at).expect("it runs").replica.status().term;
        assert_eq!((leader(&cluster), now), (at, term));
        cluster.net.set_width(0);
        cluster.judge().await.expect("all agree");
    });
}

#[test]
fn a_leader_whose_entries_do_not_move_loses_its_office() {
    SimRt::with_seed(2).block_on(async {
        let cluster = Cluster::founded(2).await;
        let before = leader(&cluster);
        cluster.net.hold_entries(&Cluster::name(before));
        // Heartbeats pass, so nobody misses the leader, but this cannot commit.
        let written = {
            let cluster = cluster.clone();
            SimRt::spawn(async move { set(&cluster, before, "held", "1").await })
        };
        let moved = async {
            while !set(&cluster, (before + 1) % HOSTS, "moved", "1").await {
                SimRt::sleep(Duration::from_millis(100)).await;
            }
        };
        SimRt::timeout(LIMIT, moved).await.expect("another leads and commits");
        assert_ne!(leader(&cluster), before);
        let _ = written.await;
        cluster.heal().await.expect("all serve");
        cluster.judge().await.expect("all agree");
    });
}
