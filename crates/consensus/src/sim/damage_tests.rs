//! The faults of disks, copies and memory that broke the promise once, each with the check against
//! it taken away, too: then the loss must show.

use super::check::{Checks, Wrong};
use super::cluster::{Cluster, Running};
use super::damage::{End, FOUND_MAX, damage_end, lose_log};
use super::net::Random;
use super::rt::SimRt;
use super::{Faults, clients};
use crate::api::Answer;
use crate::membership::guard::Unfit;
use crate::membership::members::Outdated;
use openraft::AsyncRuntime;
use std::sync::Arc;
use std::time::Duration;

/// Within this a cluster of two serves, if it does at all.
const SERVE_MAX: Duration = Duration::from_secs(15);

/// Whether a write was acknowledged.
async fn set(running: &Running, key: &str) -> bool {
    let run = clients::command(0, &["SET", key, "v"]);
    let answer = SimRt::timeout(SERVE_MAX, running.replica.submit(run)).await;
    matches!(answer, Ok(Ok(Answer::Replies(replies, _))) if &replies[..] == b"+OK\r\n")
}

/// Has `through` acknowledge writes, and notes them as acknowledged.
async fn write(cluster: &Cluster, through: usize, count: usize) {
    for number in 0..count {
        let running = cluster.running(through).expect("it runs");
        let key = format!("{}:{number}", running.name);
        while !set(&running, &key).await {}
        cluster.checks.set(&key, &running.name);
    }
}

async fn founded(faults: Faults) -> Cluster {
    let cluster = Cluster::new(3, faults, Arc::new(Checks::default()));
    cluster.found().await.expect("it is founded");
    write(&cluster, 0, 5).await;
    cluster
}

/// n2 misses what n0 and n1 acknowledge. Then both die.
async fn ahead_of_n2(cluster: &Cluster) {
    cluster.kill(2, false);
    write(cluster, 0, 50).await;
    cluster.kill(1, false);
    cluster.kill(0, false);
}

/// Some time for n0 and n2 to do what they must not; then n1 comes back, and all is judged.
async fn and_n1_returns(cluster: &Cluster) -> Result<(), Wrong> {
    cluster.start(2).await?;
    SimRt::sleep(SERVE_MAX).await;
    cluster.start(1).await?;
    if cluster.running(0).is_none() {
        cluster.replace(0).await?;
        let joined = SimRt::timeout(SERVE_MAX * 4, cluster.let_in(0)).await;
        joined.map_err(|_| "n0 is not let in")?;
    }
    cluster.heal().await?;
    cluster.judge().await
}

fn run(faults: Faults, test: impl AsyncFnOnce(Cluster) -> Result<(), Wrong>) -> Result<(), Wrong> {
    SimRt::with_seed(5).block_on(async { test(founded(faults).await).await })
}

/// A damaged directory is refused, with advice; where the check is planted away, it starts.
fn starts_if(planted: bool, outcome: Result<(), Wrong>) -> Result<(), Wrong> {
    match outcome {
        outcome if planted => outcome,
        Err(why) if why.is_refusal() => Ok(()),
        other => other.and(Err("it starts".into())),
    }
}

#[test]
fn a_log_that_was_deleted_takes_its_votes_with_it() {
    let deleted = |planted| {
        let faults = Faults { trust_facts: planted, ..Faults::default() };
        run(faults, async move |cluster: Cluster| {
            ahead_of_n2(&cluster).await;
            lose_log(&cluster.disk(0).expect("a host"));
            starts_if(planted, cluster.start(0).await)?;
            and_n1_returns(&cluster).await
        })
    };
    deleted(false).expect("nothing is lost");
    deleted(true).expect_err("without the check it shows");
}

#[test]
fn a_log_that_lost_its_end_is_not_taken_for_torn() {
    let damaged = |planted, end| {
        let faults = Faults { lose_foot: planted, ..Faults::default() };
        run(faults, async move |cluster: Cluster| {
            ahead_of_n2(&cluster).await;
            let disk = cluster.disk(0).expect("a host");
            for _ in 0..if planted { 6 } else { 1 } {
                damage_end(&disk, end, planted);
            }
            starts_if(planted, cluster.start(0).await)?;
            and_n1_returns(&cluster).await
        })
    };
    damaged(false, End::Zeroed).expect("nothing is lost");
    damaged(false, End::Cut).expect("nothing is lost");
    damaged(true, End::Zeroed).expect_err("without the foot it shows");
}

/// An operator puts an old copy back and starts it with the replica that knows no better. What was
/// acknowledged meanwhile is gone, by that hand; but no two replicas go on with different states.
#[test]
fn a_leader_of_the_past_that_contradicts_the_log_starts_anew() {
    let put_back = |planted| {
        let faults =
            Faults { skip_contradiction: planted, skip_comparison: planted, ..Faults::default() };
        run(faults, async move |cluster: Cluster| {
            let old = cluster.disk(0).expect("a host").duplicate();
            ahead_of_n2(&cluster).await;
            cluster.put_back(0, old);
            cluster.checks.forget();
            cluster.start(0).await?;
            cluster.start(2).await?;
            write(&cluster, 0, 20).await;
            let before = cluster.node_of(1);
            cluster.start(1).await?;
            SimRt::sleep(SERVE_MAX).await;
            if !planted && cluster.node_of(1) == before {
                return Err("n1 goes on with what it had".into());
            }
            cluster.heal().await?;
            cluster.judge().await
        })
    };
    put_back(false).expect("all agree");
    put_back(true).expect_err("without the check it shows");
}

#[test]
fn an_older_copy_of_a_directory_is_not_listened_to() {
    let put_back = |planted| {
        let faults = Faults { skip_start: planted, ..Faults::default() };
        run(faults, async move |cluster: Cluster| {
            cluster.kill(0, false);
            let old = cluster.disk(0).expect("a host").duplicate();
            cluster.start(0).await?;
            let node = cluster.node_of(0);
            let known = |at: usize| {
                let replica = cluster.running(at).expect("it runs").replica;
                let known = replica.group.process.guard.members().start_of(node);
                known.incarnation
            };
            while known(1) < 2 || known(2) < 2 {
                write(&cluster, 1, 1).await;
                SimRt::sleep(Duration::from_millis(100)).await;
            }
            cluster.kill(0, false);
            cluster.put_back(0, old);
            cluster.start(0).await?;
            SimRt::sleep(SERVE_MAX).await;
            let refused = |at: usize| {
                let replica = cluster.running(at).expect("it runs").replica;
                replica.group.process.guard.last_refusal(node)
            };
            let why = refused(1).or(refused(2)).ok_or("n0 is listened to")?;
            assert!(matches!(why, Unfit::Outdated(Outdated::Start { .. })), "{why}");
            Ok(())
        })
    };
    put_back(false).expect("it is refused");
    put_back(true).expect_err("without the check it shows");
}

#[test]
fn a_bit_that_flips_in_memory_is_noticed() {
    let flipped = |planted, leader: bool| {
        let faults = Faults { skip_comparison: planted, ..Faults::default() };
        run(faults, async move |cluster: Cluster| {
            cluster.set_stone().await;
            let leads = cluster.leader().ok_or("nobody leads")?;
            let at = if leader { leads } else { (leads + 1) % 3 };
            cluster.flip(&mut Random::new(1), at).await?;
            cluster.heal().await?;
            cluster.judge().await
        })
    };
    flipped(false, false).expect("it is replaced");
    flipped(false, true).expect("it hands over and is replaced");
    flipped(true, false).expect_err("without the check it shows");
}

#[test]
fn without_a_majority_writes_stop() {
    run(Faults::default(), async |cluster: Cluster| {
        cluster.set_stone().await;
        let leads = cluster.leader().ok_or("nobody leads")?;
        let (differs, away) = ((leads + 1) % 3, (leads + 2) % 3);
        let leader = cluster.running(leads).ok_or("it leads")?;
        let follower = cluster.running(differs).ok_or("it follows")?;
        while follower.replica.read().await.is_err() {}
        cluster.kill(away, false);
        assert!(follower.replica.flip_bit(quorate_engine::Db(5), b"stone", 3).await);
        let divided = || leader.replica.group.keyspace.comparing.is_divided();
        let found = async {
            while !divided() {
                SimRt::sleep(Duration::from_millis(20)).await;
            }
        };
        SimRt::timeout(FOUND_MAX, found).await.map_err(|_| "it is not found out")?;
        // For as long as nobody can tell who is right.
        for _ in 0..600 {
            SimRt::sleep(Duration::from_millis(50)).await;
            assert!(divided() && cluster.node_of(differs) == follower.node);
        }
        assert!(!set(&leader, "refused").await);
        cluster.start(away).await?;
        let replaced = async {
            while cluster.node_of(differs) == follower.node || divided() {
                SimRt::sleep(Duration::from_millis(20)).await;
            }
            cluster.let_in(differs).await;
        };
        SimRt::timeout(FOUND_MAX, replaced).await.map_err(|_| "it is not replaced")?;
        assert!(set(&leader, "taken").await);
        cluster.heal().await?;
        cluster.judge().await
    })
    .expect("the third one decides");
}

#[test]
fn forged_messages_have_no_effect() {
    run(Faults::default(), async |cluster: Cluster| {
        for at in 0..3 {
            cluster.forge(&mut Random::new(7), at).await?;
        }
        let terms: Vec<u64> = (0..3)
            .filter_map(|at| cluster.running(at))
            .map(|it| it.replica.status().term)
            .collect();
        assert!(terms.iter().all(|term| *term < 5), "{terms:?}");
        write(&cluster, 1, 5).await;
        cluster.heal().await?;
        cluster.judge().await
    })
    .expect("they are refused");
}
