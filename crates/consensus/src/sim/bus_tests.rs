//! What is published on one replica comes to those who listen on others, in order, and never before
//! what its publisher has written.

use super::clients::command;
use super::cluster::{Cluster, HOSTS, Running, Told};
use super::rt::SimRt;
use crate::api::Answer;
use crate::bus::message::{Kind, Message};
use bytes::Bytes;
use openraft::AsyncRuntime;
use quorate_engine::Effect;
use std::time::Duration;

/// Longer than any of this may take, in virtual time.
const LIMIT: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(5);

fn running(cluster: &Cluster, at: usize) -> Running {
    cluster.running(at).expect("it runs")
}

/// Somebody listens to a channel on this host from now on.
async fn subscribe(cluster: &Cluster, at: usize, channel: &'static str) {
    let replica = running(cluster, at).replica;
    let name = Bytes::from_static(channel.as_bytes());
    replica.group.process.audience.interest.set(Kind::Channel, &name, 1);
    replica.announced().await;
}

async fn publish(
    cluster: &Cluster,
    at: usize,
    channel: &'static str,
    text: String,
    after: u64,
) -> u64 {
    let channel = Bytes::from_static(channel.as_bytes());
    let message = Message { channel, payload: text.into(), shard: false, after };
    running(cluster, at).replica.publish(message).await
}

/// The payloads that have come to a host.
fn got(cluster: &Cluster, at: usize) -> Vec<Bytes> {
    let message = |told| match told {
        Told::Message(message) => Some(message.payload),
        _ => None,
    };
    cluster.heard(at).all().into_iter().filter_map(message).collect()
}

async fn wait(what: &str, mut condition: impl FnMut() -> bool + Send) {
    let holds = async {
        while !condition() {
            SimRt::sleep(STEP).await;
        }
    };
    assert!(SimRt::timeout(LIMIT, holds).await.is_ok(), "{what}");
}

fn texts(name: &str, count: usize) -> Vec<Bytes> {
    (0..count).map(|at| Bytes::from(format!("{name}{at}"))).collect()
}

#[test]
fn messages_come_to_all_who_listen_and_in_order() {
    SimRt::with_seed(1).block_on(async {
        let cluster = Cluster::founded(1).await;
        for at in 0..HOSTS {
            assert_eq!(publish(&cluster, at, "a", "nobody".into(), 0).await, 0);
        }
        subscribe(&cluster, 1, "a").await;
        subscribe(&cluster, 2, "a").await;
        for at in 0..50 {
            let channel = if at % 2 == 0 { "a" } else { "b" };
            let listen = if at % 2 == 0 { 2 } else { 0 };
            let known = publish(&cluster, 0, channel, format!("m{at}"), 0).await;
            assert_eq!(known, listen, "who subscribed was told of before it was answered");
        }
        for at in 1..HOSTS {
            wait("all have come", || got(&cluster, at).len() == 50).await;
            assert_eq!(got(&cluster, at), texts("m", 50));
        }
        assert_eq!(got(&cluster, 0).len(), 0, "nobody listens there");
    });
}

#[test]
fn a_message_never_overtakes_what_its_publisher_wrote() {
    SimRt::with_seed(2).block_on(async {
        let cluster = Cluster::founded(2).await;
        let events = ["QUORATE.CONFIG", "notify-keyspace-events", "KEA"];
        let write = async |at: usize, words: &[&str]| match running(&cluster, at)
            .replica
            .submit(command(0, words))
            .await
        {
            Ok(Answer::Replies(reply, shown)) if !reply.starts_with(b"-") => shown.index,
            other => panic!("{other:?}"),
        };
        write(0, &events).await;
        for at in 0..HOSTS {
            subscribe(&cluster, at, "a").await;
        }
        for number in 0..60 {
            let key = format!("k{number}");
            let at = number % HOSTS;
            let index = write(at, &["SET", &key, "v"]).await;
            publish(&cluster, at, "a", key, index).await;
        }
        for at in 0..HOSTS {
            wait("all have come", || got(&cluster, at).len() == 60).await;
            let mut written = Vec::new();
            for told in cluster.heard(at).all() {
                match told {
                    Told::Event(Effect::Notify { key, .. }) => written.push(key.to_vec()),
                    Told::Message(message) => {
                        assert!(written.contains(&message.payload.to_vec()), "{message:?}");
                    }
                    Told::Event(Effect::Publish { .. }) => panic!("nobody sent a transaction"),
                    other => assert!(matches!(other, Told::KeepsUp(_)), "{other:?}"),
                }
            }
            assert_eq!(written.len(), 60);
        }
    });
}

#[test]
fn who_is_cut_off_misses_messages_and_holds_up_nobody_for_long() {
    SimRt::with_seed(3).block_on(async {
        let cluster = Cluster::founded(3).await;
        subscribe(&cluster, 1, "a").await;
        subscribe(&cluster, 2, "a").await;
        let (here, there) = (Cluster::name(0), Cluster::name(2));
        cluster.net.cut(&here, &there);
        cluster.net.cut(&there, &here);
        let large = "x".repeat(1 << 20);
        // More than may wait for one peer.
        let all = async {
            for at in 0..40 {
                publish(&cluster, 0, "a", format!("{at}{large}"), 0).await;
            }
        };
        assert!(SimRt::timeout(Duration::from_secs(5), all).await.is_ok());
        wait("the other has them", || got(&cluster, 1).len() == 40).await;
        cluster.heal().await.expect("all serve");
        // Sooner or later there is a stream again.
        let mut at = 0;
        let healed = async {
            while !got(&cluster, 2).iter().any(|text| text.starts_with(b"again")) {
                publish(&cluster, 0, "a", format!("again{at}"), 0).await;
                at += 1;
                SimRt::sleep(STEP).await;
            }
        };
        assert!(SimRt::timeout(LIMIT, healed).await.is_ok());
        wait("the other has these too", || got(&cluster, 1).len() == 40 + at).await;
    });
}

#[test]
fn who_is_gone_is_not_counted_for_long() {
    SimRt::with_seed(4).block_on(async {
        let cluster = Cluster::founded(4).await;
        subscribe(&cluster, 1, "a").await;
        subscribe(&cluster, 2, "a").await;
        cluster.kill(2, false);
        let counted = async {
            while publish(&cluster, 0, "a", "x".into(), 0).await != 1 {
                SimRt::sleep(STEP).await;
            }
        };
        assert!(SimRt::timeout(LIMIT, counted).await.is_ok());
        // Nobody waits for it: others may come meanwhile.
        subscribe(&cluster, 0, "b").await;
        assert_eq!(publish(&cluster, 1, "b", "y".into(), 0).await, 1);
        cluster.start(2).await.expect("it starts");
        subscribe(&cluster, 2, "a").await;
        wait("it listens again", || got(&cluster, 0).contains(&Bytes::from_static(b"y"))).await;
        let counted = async {
            while publish(&cluster, 0, "a", "x".into(), 0).await != 2 {
                SimRt::sleep(STEP).await;
            }
        };
        assert!(SimRt::timeout(LIMIT, counted).await.is_ok());
    });
}
