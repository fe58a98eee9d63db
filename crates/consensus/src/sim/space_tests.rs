//! Disks that fill: who has space leads, and what snapshots leave behind is bounded.

use super::cluster::Cluster;
use super::rt::SimRt;
use super::snapshot_tests::{founded, set, used};
use openraft::AsyncRuntime;
use std::time::Duration;

/// The reserve that the simulation's replicas keep.
const RESERVE: u64 = 64 << 10;

fn leave(cluster: &Cluster, at: usize, free: u64) {
    cluster.disk(at).expect("a host").set_capacity(Some(used(cluster, at) + free));
}

#[test]
fn a_leader_whose_disk_is_full_hands_over_before_it_refuses_anything() {
    SimRt::with_seed(11).block_on(async {
        let (cluster, at, leader) = founded().await;
        set(&leader, "before", 10).await;
        leave(&cluster, at, RESERVE / 2);
        // The client stays where it is; nothing is refused.
        for number in 0..200 {
            assert_eq!(&set(&leader, "key", number).await[..], b"+OK\r\n", "{number}");
        }
        let next = cluster.leader().expect("somebody leads");
        assert_ne!(next, at);

        // Where all are full the leader stays, and says so.
        let heir = cluster.running(next).expect("it runs");
        for host in 0..3 {
            leave(&cluster, host, RESERVE / 2);
        }
        let refused = loop {
            let reply = set(&heir, "key", 10).await;
            if &reply[..] != b"+OK\r\n" {
                break reply;
            }
        };
        assert!(refused.starts_with(b"-MISCONF"), "{refused:?}");
        // With space at another one it leaves again, and what waits is written there.
        leave(&cluster, at, RESERVE * 100);
        while &set(&heir, "key", 10).await[..] != b"+OK\r\n" {
            SimRt::sleep(Duration::from_millis(50)).await;
        }
        for host in 0..3 {
            cluster.disk(host).expect("a host").set_capacity(None);
        }
        cluster.heal().await.expect("all is well");
        cluster.judge().await.expect("all agree");
    });
}

#[test]
fn a_month_of_snapshots_leaves_little_behind() {
    SimRt::with_seed(12).block_on(async {
        let (cluster, at, leader) = founded().await;
        let mut most = 0;
        for day in 0..31 {
            set(&leader, "key", 100 + day).await;
            leader.replica.snapshot().await.expect("nothing is in its way");
            // Time for the housekeeper to look; a day of heartbeats would show nothing more.
            SimRt::sleep(Duration::from_mins(1)).await;
            most = most.max(leader.replica.status().log_disk_bytes);
        }
        // A quarter of what is logged between two snapshots, and two segments; one more until the
        // housekeeper has looked.
        assert!(most <= (12 + 3 * 8) << 10, "{most}");
        let all = used(&cluster, at);
        assert!(all <= most + (64 << 10), "{all}");
        cluster.judge().await.expect("all agree");
    });
}
