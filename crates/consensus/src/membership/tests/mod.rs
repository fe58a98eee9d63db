//! Three processes and their disks on a virtual clock: started in any order, killed at any step,
//! wiped, cross-wired.

mod admission;
mod world;

use super::plan::{Answer, Plan, View, decide};
use super::{Local, guard};
use crate::membership::members::Start;
use crate::peer::transport::{Request, TransportError};
use crate::proto as pb;
use std::collections::BTreeSet;
use std::time::Duration;
use world::{World, names, pass, simulate};

const LONG: Duration = Duration::from_mins(10);

fn abc() -> Vec<String> {
    names(["a:1", "b:1", "c:1"])
}

async fn founded(peers: &[String]) -> World {
    let world = World::new();
    for name in peers {
        world.start(name, peers);
    }
    world.settle(peers).await;
    assert_eq!(world.founded().len(), 1);
    world
}

#[test]
fn any_order_and_any_delay_found_one_cluster() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for delay in [0, 3, 180] {
            simulate(async move {
                let (world, peers) = (World::new(), abc());
                for at in order {
                    world.start(&peers[at], &peers);
                    pass(Duration::from_secs(delay)).await;
                }
                world.settle(&peers).await;
                let nodes = peers.iter().map(|name| world.disk(name).node).collect::<BTreeSet<_>>();
                let founded = world.founded();
                assert_eq!(founded.len(), 1, "{order:?}, {delay} s apart");
                assert_eq!(founded[0].1.iter().copied().collect::<BTreeSet<_>>(), nodes);
            });
        }
    }
}

#[test]
fn silence_is_not_absence() {
    simulate(async {
        let (world, peers) = (World::new(), abc());
        world.start("a:1", &peers);
        world.start("b:1", &peers);
        pass(LONG).await;
        assert_eq!(world.founded(), vec![], "one was never started");
        world.start("c:1", &peers);
        world.cut("c:1");
        pass(LONG).await;
        assert_eq!(world.founded(), vec![], "one is cut off");
        assert_eq!(world.disk("a:1").cluster, None);
        world.heal();
        world.settle(&peers).await;
        assert_eq!(world.founded().len(), 1);
    });
}

#[test]
fn a_cluster_of_one_founds_itself_once() {
    for peers in [vec![], names(["a:1"])] {
        simulate(async move {
            let world = World::new();
            for _ in 0..3 {
                world.start("a:1", &peers);
                world.settle(&names(["a:1"])).await;
                pass(Duration::from_secs(5)).await;
            }
            assert_eq!(world.founded().len(), 1);
        });
    }
}

#[test]
fn starting_again_changes_nothing() {
    simulate(async {
        let peers = abc();
        let world = founded(&peers).await;
        let before = world.founded();
        for all in [false, true] {
            for name in &peers {
                if all {
                    for name in &peers {
                        world.stop(name);
                    }
                }
                for name in
                    peers.iter().skip_while(|it| !all && *it != name).take(1 + 2 * usize::from(all))
                {
                    world.start(name, &peers);
                }
                pass(Duration::from_secs(5)).await;
                assert!(world.settled(&peers));
            }
        }
        assert_eq!(world.founded(), before);
    });
}

/// Kills `victim` at its first step, at its second, … until it survives, and starts it again each
/// time.
fn killed_at_every_step(victim: &'static str) -> u32 {
    for steps in 1.. {
        let (sender, died) = std::sync::mpsc::channel();
        simulate(async move {
            let (world, peers) = (World::new(), abc());
            world.doom(victim, steps);
            for name in &peers {
                world.start(name, &peers);
            }
            for _ in 0..500 {
                pass(Duration::from_millis(10)).await;
            }
            let _ = sender.send(!world.runs(victim));
            if !world.runs(victim) {
                world.start(victim, &peers);
            }
            world.settle(&peers).await;
            let founded = world.founded();
            assert_eq!(founded.len(), 1, "killed at step {steps}");
            assert_eq!(guard::founder_of(founded[0].0), world.disk("a:1").node);
        });
        if died.recv() == Ok(false) {
            return steps - 1;
        }
    }
    0
}

#[test]
fn the_founder_may_die_at_any_step() {
    let steps = killed_at_every_step("a:1");
    assert!(steps >= 13, "2 × (hello, adopt) × 2 peers, 2 × keep, open, 2 × initialize: {steps}");
}

#[test]
fn a_member_may_die_at_any_step() {
    for victim in ["b:1", "c:1"] {
        assert!(killed_at_every_step(victim) >= 4);
    }
}

#[test]
fn a_wiped_node_comes_back_as_another() {
    for victim in ["a:1", "b:1", "c:1"] {
        simulate(async move {
            let peers = abc();
            let world = founded(&peers).await;
            let (old, cluster) = (world.disk(victim).node, world.disk(victim).cluster);
            world.wipe(victim);
            pass(Duration::from_secs(10)).await;
            world.start(victim, &peers);
            world.settle(&peers).await;
            assert_ne!(world.disk(victim).node, old);
            assert_eq!(world.disk(victim).cluster, cluster);
            assert_eq!(world.founded().len(), 1);
        });
    }
}

#[test]
fn a_joining_node_may_die_at_any_step() {
    for steps in 1..12 {
        simulate(async move {
            let peers = abc();
            let world = founded(&peers).await;
            world.wipe("a:1");
            pass(Duration::from_secs(1)).await;
            world.doom("a:1", steps);
            world.start("a:1", &peers);
            pass(Duration::from_secs(5)).await;
            if !world.runs("a:1") {
                world.start("a:1", &peers);
            }
            world.settle(&peers).await;
            assert_eq!(world.founded().len(), 1, "killed at step {steps}");
        });
    }
}

#[test]
fn without_a_majority_a_wiped_node_waits() {
    simulate(async {
        let peers = abc();
        let world = founded(&peers).await;
        world.wipe("a:1");
        world.wipe("b:1");
        world.start("a:1", &peers);
        world.start("b:1", &peers);
        pass(LONG).await;
        assert_eq!(world.founded().len(), 1);
        assert_eq!((world.disk("a:1").cluster, world.disk("b:1").cluster), (None, None));
    });
}

#[test]
fn a_founder_that_loses_its_disk_half_way_does_not_found_twice() {
    simulate(async {
        let (world, peers) = (World::new(), abc());
        // Steps of a: two Hellos (4), keep (2), open (1), two Adopts (4), then initialize.
        world.doom("a:1", 11);
        for name in &peers {
            world.start(name, &peers);
        }
        pass(Duration::from_secs(5)).await;
        assert!(!world.runs("a:1"));
        assert!(world.disk("b:1").cluster.is_some() && world.founded().is_empty());
        world.wipe("a:1");
        world.start("a:1", &peers);
        pass(LONG).await;
        assert_eq!((world.founded(), world.disk("a:1").cluster), (vec![], None));
        for name in &peers {
            world.wipe(name);
        }
        for name in &peers {
            world.start(name, &peers);
        }
        world.settle(&peers).await;
    });
}

#[test]
fn two_clusters_do_not_mix() {
    simulate(async {
        let peers = abc();
        let world = founded(&peers).await;
        let others = names(["d:1", "e:1", "f:1"]);
        for name in &others {
            world.start(name, &others);
        }
        world.settle(&others).await;
        let mixed = names(["a:1", "d:1", "g:1"]);
        world.start("g:1", &mixed);
        pass(LONG).await;
        assert_eq!(world.disk("g:1").cluster, None, "it is told of two clusters and joins neither");

        let (a, d) = (world.disk("a:1"), world.disk("d:1"));
        for to in [0, d.node] {
            let envelope = pb::Envelope {
                cluster: guard::cluster_bytes(a.cluster),
                from: a.node,
                to,
                incarnation: 1,
                wire_version: guard::WIRE_VERSION,
                ..Default::default()
            };
            let hello = pb::HelloRequest { envelope: Some(envelope), ..Default::default() };
            match world.call("a:1", "d:1", Request::Hello(hello)).await {
                Err(TransportError::Refused(text)) => assert!(text.contains("cluster"), "{text}"),
                other => panic!("{other:?}"),
            }
        }
        let (c, f) = (world.disk("c:1"), world.disk("f:1"));
        world.wipe("c:1");
        world.route("b:1", "e:1");
        world.route("a:1", "d:1");
        world.start("c:1", &peers);
        pass(LONG).await;
        assert_eq!(world.disk("c:1").cluster, None, "its peers' addresses lead to another cluster");
        assert_ne!(c.cluster, f.cluster);
        assert_eq!(world.disk("f:1").cluster, f.cluster);
    });
}

#[test]
fn swapped_addresses_found_nothing() {
    simulate(async {
        let (world, peers) = (World::new(), abc());
        world.route("b:1", "c:1");
        world.route("c:1", "b:1");
        for name in &peers {
            world.start(name, &peers);
        }
        pass(LONG).await;
        assert_eq!(world.founded(), vec![]);
    });
}

#[test]
fn different_lists_found_nothing() {
    simulate(async {
        let (world, peers) = (World::new(), abc());
        world.start("a:1", &peers);
        world.start("b:1", &names(["b:1", "c:1"]));
        world.start("c:1", &peers);
        pass(LONG).await;
        assert_eq!(world.founded(), vec![]);
    });
}

#[test]
fn a_list_that_cannot_be_right_is_refused() {
    let check = |peers: &[&str], expect: &str| {
        let me = pb::Member { node: 1, name: "a:1".to_owned(), ..Default::default() };
        let peers: Vec<String> = peers.iter().map(|&peer| peer.to_owned()).collect();
        let refused = Local::new(me, Start::default(), 1, &peers).err();
        let text = refused.map_or(String::new(), |why| why.to_string());
        assert!(text.contains(expect) && text.is_empty() == expect.is_empty(), "{text:?}");
    };
    check(&[], "");
    check(&["b:1", "a:1", "[::1]:7"], "");
    check(&["b:1", "c:1"], "a:1 is not in the list");
    check(&["a:1", "b:1", "a:1"], "a:1 twice");
    for bad in ["b", "b:", ":1", "b:0", "b:70000", "b:x"] {
        check(&["a:1", bad], "not host:port");
    }
}

#[test]
fn contradictions_are_named() {
    let member =
        |node, name: &str| pb::Member { node, name: name.to_owned(), ..Default::default() };
    let peers = abc();
    let said = |node, name: &str, cluster| pb::HelloResponse {
        me: Some(member(node, name)),
        cluster: guard::cluster_bytes(cluster),
        initialized: cluster.is_some(),
        leader: 2,
        peers: peers.clone(),
    };
    let check = |cluster, b: pb::HelloResponse, c: pb::HelloResponse, expect: &str| {
        let me = member(1, "a:1");
        let view = View { me: &me, peers: &peers, cluster, has_log: false };
        let answer = |name: &str, said| Answer { name: name.to_owned(), said: Ok(said) };
        match decide(view, &[answer("b:1", b), answer("c:1", c)]) {
            Plan::Wrong(text) => assert!(text.contains(expect), "{text}"),
            plan => assert_eq!(format!("{plan:?}"), expect),
        }
    };
    let b = |cluster| said(2, "b:1", cluster);
    let c = |cluster| said(3, "c:1", cluster);
    let mine = guard::draw_cluster(1, 5);
    check(None, b(None), c(None), "Found");
    check(None, b(None), said(3, "x:1", None), "calls itself x:1");
    check(None, b(None), said(2, "c:1", None), "c:1 and b:1 have the same node id");
    check(None, b(None), said(1, "c:1", None), "c:1 and a:1 have the same node id");
    check(None, b(Some(8)), c(Some(9)), "nodes of two clusters");
    check(Some(7), b(Some(8)), c(None), "nodes of two clusters");
    check(Some(mine), b(Some(mine)), c(None), "has lost its log");
    let join = r#"Join { leader: PeerId { node: 2, address: "b:1" }, cluster: 8 }"#;
    check(None, b(Some(8)), c(Some(8)), join);
    let begun = pb::HelloResponse { initialized: false, ..b(Some(8)) };
    check(None, begun, c(None), "lost its disk before the cluster existed");

    let me = member(1, "a:1");
    let view = View { me: &me, peers: &peers, cluster: None, has_log: false };
    let down = |name: &str| TransportError::Unreachable(format!("{name} is down"));
    let answers = [("b:1", Ok(b(None))), ("c:1", Err(down("c:1")))];
    let answers = answers.map(|(name, said)| Answer { name: name.to_owned(), said });
    match decide(view, &answers) {
        Plan::Wait(text) => assert!(text.starts_with("waiting for c:1:"), "{text}"),
        plan => panic!("{plan:?}"),
    }
}
