//! Which keys change is told where somebody wants to know, and who cannot hear of it is told that.

use super::clients::command;
use super::cluster::{Cluster, HOSTS, Running, Told};
use super::env::now;
use super::net::Random;
use super::rt::SimRt;
use crate::api::{Answer, Shown};
use crate::lock::lock;
use openraft::AsyncRuntime;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Two of the longest election time-outs of the simulation, and what messages take.
const NOTICED: Duration = Duration::from_millis(2 * 400 + 100);
const STEP: Duration = Duration::from_millis(5);

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
        let cluster = Cluster::founded(1).await;
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
fn who_cannot_know_what_has_changed_is_told_in_time() {
    SimRt::with_seed(2).block_on(async {
        let cluster = Cluster::founded(2).await;
        for at in 0..HOSTS {
            running(&cluster, at).replica.group.process.audience.wanted.add();
        }
        let keep_up = || (0..HOSTS).all(|at| heard(&cluster, at).1);
        wait(NOTICED, "all keep up", keep_up).await;
        SimRt::sleep(Duration::from_mins(1)).await;
        assert!(keep_up(), "without anything that happens");
        let leader = cluster.leader().expect("somebody leads");
        for cut_off in [(leader + 1) % HOSTS, leader] {
            for other in (0..HOSTS).filter(|other| *other != cut_off) {
                cluster.net.cut(&Cluster::name(cut_off), &Cluster::name(other));
                cluster.net.cut(&Cluster::name(other), &Cluster::name(cut_off));
            }
            wait(NOTICED, "it is told", || !heard(&cluster, cut_off).1).await;
            cluster.heal().await.expect("all serve");
            wait(NOTICED, "all keep up again", keep_up).await;
        }
    });
}

/// Writes that were acknowledged, and when.
type Written = Arc<Mutex<Vec<(Duration, String)>>>;

/// Writes keys through random hosts, each once, until the time is over.
async fn write(cluster: Cluster, number: u64, end: Duration, written: Written) {
    let mut random = Random::new(number + 100);
    let mut next = 0;
    while now() < end {
        SimRt::sleep(Duration::from_micros(random.below(30_000))).await;
        let at = usize::try_from(random.below(HOSTS as u64)).unwrap_or(0);
        let key = format!("{number}.{next}");
        next += 1;
        let answer = running(&cluster, at).replica.submit(command(0, &["SET", &key, "v"]));
        if let Ok(Ok(Answer::Replies(replies, _))) = SimRt::timeout(NOTICED, answer).await
            && &replies[..] == b"+OK\r\n"
        {
            lock(&written).push((now(), key));
        }
    }
}

/// Cuts links, and holds entries back while heartbeats go on, now and then.
async fn disturb(cluster: Cluster, seed: u64, end: Duration) {
    let mut random = Random::new(seed);
    let host = |random: &mut Random| Cluster::name(random.below(HOSTS as u64) as usize);
    while now() < end {
        SimRt::sleep(Duration::from_millis(random.below(1500))).await;
        match random.below(4) {
            0 => cluster.net.hold_entries(&host(&mut random)),
            1 | 2 => cluster.net.cut(&host(&mut random), &host(&mut random)),
            _ => cluster.net.heal(),
        }
    }
}

#[test]
fn copies_are_believed_for_no_longer_than_the_limit() {
    for seed in 10..12 {
        SimRt::with_seed(seed).block_on(async {
            let cluster = Cluster::founded(seed).await;
            for at in 0..HOSTS {
                running(&cluster, at).replica.group.process.audience.wanted.add();
            }
            let (end, written) = (now() + Duration::from_mins(1), Written::default());
            SimRt::spawn(disturb(cluster.clone(), seed, end));
            for number in 0..4 {
                SimRt::spawn(write(cluster.clone(), number, end, written.clone()));
            }
            SimRt::sleep(Duration::from_mins(1) + NOTICED).await;
            let written = lock(&written).clone();
            assert!(written.len() > 200, "only {} writes", written.len());
            let missed: usize = (0..HOSTS).map(|at| believed(&cluster, at, &written)).sum();
            assert!(missed > 0, "nothing was disturbed");
        });
    }
}

/// Checks that a copy of a key from just before it was written was believed on a host until the
/// limit at most; how many were given up because it did not keep up.
fn believed(cluster: &Cluster, at: usize, written: &[(Duration, String)]) -> usize {
    let (mut told, mut turns) = (BTreeMap::new(), BTreeMap::new());
    for (when, what) in cluster.heard(at).timed() {
        match what {
            Told::Changed(key) => {
                told.entry(key.to_vec()).or_insert(when);
            }
            Told::KeepsUp(keeps_up) => drop(turns.insert(when, keeps_up)),
            _ => {}
        }
    }
    let mut given_up = 0;
    for (acknowledged, key) in written {
        let limit = *acknowledged + NOTICED;
        if told.get(key.as_bytes()).is_some_and(|when| *when <= limit) {
            continue;
        }
        let before = turns.range(..=*acknowledged).next_back();
        let meanwhile = turns.range(*acknowledged..=limit);
        let knows = before.into_iter().chain(meanwhile).any(|(_, keeps_up)| !*keeps_up);
        assert!(knows, "host {at}: {key}, written at {acknowledged:?}, is believed for longer");
        given_up += 1;
    }
    given_up
}
