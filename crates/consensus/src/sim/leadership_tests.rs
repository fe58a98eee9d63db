//! Who is ready, who leads, and what a write is told where nobody does.

use super::cluster::{Cluster, HOSTS, Running};
use super::env::now;
use super::rt::SimRt;
use super::{Faults, check::Checks};
use crate::api::{Answer, NotApplied, Role};
use crate::sim::clients::command;
use openraft::AsyncRuntime;
use std::sync::Arc;
use std::time::Duration;

/// Two of the longest election time-outs of the simulation, and one heartbeat.
const NOTICED: Duration = Duration::from_millis(2 * 400 + 75);
/// The write time-out, and two looks of the housekeeper.
const HELD: Duration = Duration::from_millis(2000 + 2 * 100);

async fn pass(time: Duration) {
    <SimRt as AsyncRuntime>::sleep(time).await;
}

async fn leader(cluster: &Cluster) -> usize {
    for _ in 0..1000 {
        let ready = |at: &usize| cluster.running(*at).is_some_and(|it| it.replica.is_ready());
        if let Some(at) = cluster.leader().filter(ready) {
            return at;
        }
        pass(Duration::from_millis(10)).await;
    }
    panic!("nobody leads after ten seconds");
}

/// A founded cluster of which every replica is ready; its leader, and a follower.
async fn founded() -> (Cluster, usize, usize) {
    let cluster = Cluster::new(3, Faults::default(), Arc::new(Checks::default()));
    cluster.found().await.expect("it is founded");
    let at = leader(&cluster).await;
    pass(Duration::from_secs(1)).await;
    assert!((0..HOSTS).all(|at| running(&cluster, at).replica.is_ready()));
    (cluster, at, (at + 1) % HOSTS)
}

fn running(cluster: &Cluster, at: usize) -> Running {
    cluster.running(at).expect("it runs")
}

fn kill_others(cluster: &Cluster, at: usize) {
    (0..HOSTS).filter(|other| *other != at).for_each(|other| cluster.kill(other, false));
}

/// Writes once: the answer, and the virtual time it took.
async fn write(running: &Running) -> (Answer, Duration) {
    let before = now();
    let answer = running.replica.submit(command(0, &["INCR", "count"])).await;
    (answer.expect("every write is answered"), now().saturating_sub(before))
}

/// For so long it is not ready, says that nobody leads, and refuses writes in time and for certain.
async fn serves_nobody(running: &Running, time: Duration) {
    let end = now() + time;
    while now() < end {
        let status = running.replica.status();
        let shown = (running.replica.is_ready(), status.healthy, status.role, status.leader);
        assert_eq!(shown, (false, false, Role::Follower, None), "at {:?}", now());
        assert_eq!(running.replica.leader(), None);
        let (answer, took) = write(running).await;
        assert!(matches!(answer, Answer::NotApplied(NotApplied::NoLeader)), "{answer:?}");
        assert!(took <= HELD, "{took:?}");
        assert!(running.replica.read().await.is_err());
    }
}

#[test]
fn a_follower_alone_is_not_ready() {
    SimRt::with_seed(1).block_on(async {
        let (cluster, _, at) = founded().await;
        kill_others(&cluster, at);
        let alone = running(&cluster, at);
        // Nobody has noticed yet, but nothing has left either.
        let (answer, took) = write(&alone).await;
        assert!(matches!(answer, Answer::NotApplied(NotApplied::NoLeader)), "{answer:?}");
        assert!(took <= HELD, "{took:?}");
        serves_nobody(&alone, Duration::from_secs(20)).await;
        // Its disk still names the leader.
        cluster.kill(at, false);
        cluster.start(at).await.expect("it starts");
        serves_nobody(&running(&cluster, at), Duration::from_secs(20)).await;
        cluster.heal().await.expect("all serve");
        assert!((0..HOSTS).all(|at| running(&cluster, at).replica.is_ready()));
        cluster.judge().await.expect("all agree");
    });
}

#[test]
fn a_follower_that_is_cut_off_is_not_ready() {
    SimRt::with_seed(2).block_on(async {
        let (cluster, _, at) = founded().await;
        for other in (0..HOSTS).filter(|other| *other != at).map(Cluster::name) {
            cluster.net.cut(&Cluster::name(at), &other);
            cluster.net.cut(&other, &Cluster::name(at));
        }
        pass(NOTICED).await;
        serves_nobody(&running(&cluster, at), Duration::from_secs(10)).await;
        let others = (0..HOSTS).filter(|other| *other != at);
        assert!({ others }.all(|other| running(&cluster, other).replica.is_ready()));
        cluster.heal().await.expect("all serve");
        cluster.judge().await.expect("all agree");
    });
}

#[test]
fn a_leader_alone_steps_down() {
    SimRt::with_seed(3).block_on(async {
        let (cluster, at, _) = founded().await;
        let alone = running(&cluster, at);
        kill_others(&cluster, at);
        // Within its lease it cannot know, and logs.
        let logged = alone.replica.submit(command(0, &["INCR", "count"]));
        pass(NOTICED).await;
        serves_nobody(&alone, Duration::from_secs(10)).await;
        assert!(matches!(logged.await, Ok(Answer::Uncertain)));
        // It leads again as soon as somebody answers it: what it has logged nobody else has.
        let follower = (at + 1) % HOSTS;
        cluster.start(follower).await.expect("it starts");
        assert_eq!(leader(&cluster).await, at);
        let (answer, _) = write(&alone).await;
        assert!(
            matches!(&answer, Answer::Replies(reply, _) if reply[..] == *b":2\r\n"),
            "{answer:?}"
        );
        cluster.heal().await.expect("all serve");
        cluster.judge().await.expect("all agree");
    });
}

#[test]
fn a_leader_that_hears_no_answers_is_replaced() {
    SimRt::with_seed(4).block_on(async {
        let (cluster, at, _) = founded().await;
        for other in (0..HOSTS).filter(|other| *other != at).map(Cluster::name) {
            cluster.net.cut(&other, &Cluster::name(at));
        }
        pass(NOTICED).await;
        assert!(!running(&cluster, at).replica.is_ready());
        let next = leader(&cluster).await;
        assert_ne!(next, at);
        let (answer, _) = write(&running(&cluster, next)).await;
        assert!(matches!(answer, Answer::Replies(_, _)), "{answer:?}");
        cluster.heal().await.expect("all serve");
        cluster.judge().await.expect("all agree");
    });
}
