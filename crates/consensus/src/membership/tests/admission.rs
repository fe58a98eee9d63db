//! A wiped replica is let in again by real cores in simulation, whatever dies meanwhile.

use crate::api::{JoinRefusal, Joined};
use crate::proto as pb;
use crate::sim::Faults;
use crate::sim::check::Checks;
use crate::sim::cluster::{Cluster, HOSTS};
use crate::sim::rt::SimRt;
use openraft::AsyncRuntime;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

async fn pass(ms: u64) {
    <SimRt as AsyncRuntime>::sleep(Duration::from_millis(ms)).await;
}

fn simulate<T: Send + 'static>(act: impl Future<Output = T> + Send + 'static) -> T {
    SimRt::with_seed(5).block_on(act)
}

/// A founded cluster whose host 0 or 1, not the leader, was wiped and started again.
async fn with_wiped() -> (Cluster, usize, pb::Member) {
    let cluster = Cluster::new(11, Faults::default(), Arc::new(Checks::default()));
    cluster.found().await.expect("it is founded");
    let leader = leader(&cluster).await;
    let at = usize::from(leader == 0);
    pass(1000).await;
    let member = cluster.wipe(at).expect("a host");
    cluster.start(at).await.expect("it starts");
    (cluster, at, member)
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

/// Asks whoever leads until the replica is let in.
async fn let_in(cluster: &Cluster, who: &pb::Member) -> Vec<Joined> {
    let mut answers = Vec::new();
    for _ in 0..300 {
        let at = leader(cluster).await;
        if let Some(running) = cluster.running(at) {
            let answer = running.replica.join(who.clone(), true).await;
            answers.push(answer.clone());
            if matches!(answer, Joined::Voter) {
                return answers;
            }
        }
        pass(100).await;
    }
    panic!("not let in: {:?}", answers.last());
}

/// Names and ids of all members, all of them voters, once the change is over.
async fn members(cluster: &Cluster) -> BTreeSet<(String, u64)> {
    let at = leader(cluster).await;
    let seats = cluster.running(at).expect("the leader runs").replica.settled_seats();
    assert!(seats.iter().all(|seat| seat.voter), "{seats:?}");
    seats.into_iter().map(|seat| (seat.member.name, seat.member.node)).collect()
}

#[test]
fn a_lost_voter_is_replaced_when_it_was_silent_long_enough() {
    simulate(async {
        let (cluster, _, who) = with_wiped().await;
        let answers = let_in(&cluster, &who).await;
        let refused = answers.len() - 1;
        assert!(
            (10..40).contains(&refused),
            "two seconds of silence, asked every 100 ms: {refused}"
        );
        match answers.first() {
            Some(Joined::Refused(JoinRefusal::Answers { .. })) => {}
            other => panic!("{other:?}"),
        }
        let members = members(&cluster).await;
        assert_eq!(members.len(), HOSTS);
        assert!(members.contains(&(who.name.clone(), who.node)));
        cluster.heal().await.expect("all serve");
        cluster.judge().await.expect("all agree");
    });
}

#[test]
fn a_voter_that_answers_is_not_replaced() {
    simulate(async {
        let cluster = Cluster::new(11, Faults::default(), Arc::new(Checks::default()));
        cluster.found().await.expect("it is founded");
        for _ in 0..2 {
            let at = leader(&cluster).await;
            let replica = cluster.running(at).expect("the leader runs").replica;
            for seat in replica.settled_seats() {
                let twin = pb::Member { node: seat.member.node ^ 2, ..seat.member };
                for replace in [false, true] {
                    let answer = replica.join(twin.clone(), replace).await;
                    assert!(matches!(answer, Joined::Refused(_)), "{}: {answer:?}", twin.name);
                }
            }
            // The next round meets a leader that has only just come to office.
            cluster.kill(at, false);
            leader(&cluster).await;
            cluster.start(at).await.expect("it starts");
        }
    });
}

/// Kills the leader so long after it began to let a replica in. True when that left a
/// change half done.
async fn leader_dies_after(wait: Duration) -> bool {
    let (cluster, _, who) = with_wiped().await;
    pass(3000).await;
    let at = leader(&cluster).await;
    let replica = cluster.running(at).expect("the leader runs").replica;
    {
        let asking = std::pin::pin!(replica.join(who.clone(), true));
        let limit = std::pin::pin!(<SimRt as AsyncRuntime>::sleep(wait));
        futures::future::select(asking, limit).await;
    }
    cluster.kill(at, true);
    cluster.start(at).await.expect("it starts");
    let next = leader(&cluster).await;
    let seats = cluster.running(next).expect("the leader runs").replica.settled_seats();
    let half_done = seats.len() == HOSTS + 1 && seats.iter().filter(|seat| seat.voter).count() == 2;
    let_in(&cluster, &who).await;
    let members = members(&cluster).await;
    assert_eq!(members.len(), HOSTS, "killed after {wait:?}: {members:?}");
    assert!(members.contains(&(who.name.clone(), who.node)));
    cluster.heal().await.expect("all serve");
    half_done
}

#[test]
fn a_change_left_half_done_is_finished() {
    // With this seed, the new node learns until 2.4 ms have passed, and the change is over at 3 ms.
    let moments = (2..=8).map(|step| Duration::from_micros(step * 400));
    let half_done = moments.filter(|wait| simulate(leader_dies_after(*wait))).count();
    assert!(half_done > 0, "no moment was between the two entries: the test shows nothing");
}
