//! Publish and subscribe over a cluster: clients of every node hear each other, and keyspace events
//! are told on every node.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok};
use quorate_tests::cluster::Cluster;
use quorate_tests::wait::until;

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

fn client(cluster: &Cluster, at: usize) -> Client {
    cluster.replicas[at].client().expect("it answers")
}

/// Sends a command that subscribes to one name, and reads its confirmation.
fn subscribe(client: &mut Client, words: &[&str]) {
    let confirmed = client.call(words).expect("a confirmation");
    let first = confirmed.as_items().and_then(|items| items.first());
    assert_eq!(first, Some(&bulk(&words[0].to_ascii_lowercase())), "{confirmed:?}");
}

fn subscriber(cluster: &Cluster, at: usize, channel: &str) -> Client {
    let mut client = client(cluster, at);
    subscribe(&mut client, &["SUBSCRIBE", channel]);
    client
}

/// The next message's payload.
fn payload(client: &mut Client) -> String {
    let message = client.receive().expect("a message");
    let items = message.as_items().expect("a frame");
    assert!(items[0] == bulk("message") || items[0] == bulk("pmessage"), "{message:?}");
    String::from_utf8_lossy(items.last().and_then(Value::as_bytes).expect("a payload")).into_owned()
}

fn number(client: &mut Client, words: &[&str]) -> i64 {
    client.call(words).expect("an answer").as_int().expect("a number")
}

#[test]
fn what_is_published_on_any_node_comes_to_all_in_order() {
    let cluster = Cluster::start("pubsub", 3, &[]);
    let mut listeners: Vec<Client> = (0..3).map(|at| subscriber(&cluster, at, "news")).collect();
    for publisher in 0..3 {
        let mut client = client(&cluster, publisher);
        until("all are counted", || {
            let counts = client.call(&["PUBSUB", "NUMSUB", "news"]).expect("an answer");
            (counts == Value::Array(vec![bulk("news"), Value::Int(3)])).then_some(())
        });
        let texts: Vec<String> = (0..200).map(|at| format!("{publisher}.{at}")).collect();
        let lines: Vec<[&str; 3]> = texts.iter().map(|text| ["PUBLISH", "news", text]).collect();
        let lines: Vec<&[&str]> = lines.iter().map(|line| &line[..]).collect();
        let answers = client.pipeline(&lines).expect("answers");
        assert!(answers.iter().all(|answer| *answer == Value::Int(3)), "{answers:?}");
        for listener in &mut listeners {
            for text in &texts {
                assert_eq!(payload(listener), *text);
            }
        }
    }
    // By patterns and shards too, on another node each.
    subscribe(&mut listeners[1], &["PSUBSCRIBE", "n[aeiou]*"]);
    subscribe(&mut listeners[2], &["SSUBSCRIBE", "news"]);
    let mut client = client(&cluster, 0);
    until("the pattern counts", || (number(&mut client, &["PUBSUB", "NUMPAT"]) == 1).then_some(()));
    assert_eq!(number(&mut client, &["PUBLISH", "news", "x"]), 4);
    let shards = Value::Array(vec![bulk("news")]);
    until("the shard channel is listed", || {
        (client.call(&["PUBSUB", "SHARDCHANNELS"]).expect("an answer") == shards).then_some(())
    });
    assert_eq!(number(&mut client, &["SPUBLISH", "news", "y"]), 1);
    assert_eq!([payload(&mut listeners[1]), payload(&mut listeners[1])], ["x", "x"]);
    assert_eq!(payload(&mut listeners[2]), "x");
    let of_shard = listeners[2].receive().expect("a message");
    assert_eq!(of_shard, Value::Array(vec![bulk("smessage"), bulk("news"), bulk("y")]));
    assert_eq!(client.call(&["PUBSUB", "CHANNELS"]).expect("an answer"), shards);
}

/// A request, and the channel for its answer: whoever answers may be on any node and be fast.
#[test]
fn what_is_published_elsewhere_right_after_a_subscription_comes() {
    let cluster = Cluster::start("pubsub-at-once", 3, &[]);
    let mut publishers: Vec<Client> = (0..3).map(|at| client(&cluster, at)).collect();
    for round in 0..30 {
        let (at, channel) = (round % 3, format!("reply{round}"));
        let mut listener = subscriber(&cluster, at, &channel);
        for publisher in &mut publishers {
            publisher.call(&["PUBLISH", &channel, "done"]).expect("an answer");
            assert_eq!(payload(&mut listener), "done");
        }
        // The last one of its node, so that the next has to be told of again.
    }
}

#[test]
fn a_message_never_overtakes_its_publishers_write() {
    let cluster = Cluster::start("pubsub-order", 3, &[]);
    let mut listeners: Vec<Client> = (0..3).map(|at| subscriber(&cluster, at, "written")).collect();
    let mut readers: Vec<Client> = (0..3).map(|at| client(&cluster, at)).collect();
    let mut writers: Vec<Client> = (0..3).map(|at| client(&cluster, at)).collect();
    for reader in &mut readers {
        // What is applied on its node, without asking the leader.
        assert!(is_ok(&reader.call(&["READONLY"]).expect("an answer")));
    }
    for number in 0..90 {
        let text = number.to_string();
        let writer = &mut writers[number % 3];
        writer.pipeline(&[&["SET", "k", &text], &["PUBLISH", "written", &text]]).expect("answers");
        for (listener, reader) in listeners.iter_mut().zip(&mut readers) {
            assert_eq!(payload(listener), text);
            assert_eq!(reader.call(&["GET", "k"]).expect("an answer"), bulk(&text));
        }
    }
}

#[test]
fn messages_need_no_leader_and_go_on_around_a_dead_node() {
    let mut cluster = Cluster::start("pubsub-kill", 3, &[]);
    let dead = cluster.leader();
    let (one, other) = ((dead + 1) % 3, (dead + 2) % 3);
    let mut listener = subscriber(&cluster, one, "c");
    let mut publisher = client(&cluster, other);
    let gone = subscriber(&cluster, dead, "c");
    until("all are counted", || {
        (number(&mut publisher, &["PUBLISH", "c", "all"]) == 2).then_some(())
    });
    cluster.replicas[dead].kill();
    drop(gone);
    publisher.call(&["PUBLISH", "c", "without a leader"]).expect("an answer");
    while payload(&mut listener) != "without a leader" {}
    until("the dead one is not counted", || {
        (number(&mut publisher, &["PUBLISH", "c", "x"]) == 1).then_some(())
    });
    // Without a majority either.
    cluster.replicas[other].kill();
    let mut here = client(&cluster, one);
    here.call(&["PUBLISH", "c", "alone"]).expect("an answer");
    while payload(&mut listener) != "alone" {}
    for at in [dead, other] {
        cluster.replicas[at].start();
    }
    cluster.wait_writable();
    let mut again = subscriber(&cluster, dead, "c");
    let mut publisher = client(&cluster, other);
    until("it hears and is heard", || {
        (number(&mut publisher, &["PUBLISH", "c", "back"]) == 2).then_some(())
    });
    assert_eq!(payload(&mut again), "back");
    while payload(&mut listener) != "back" {}
}

/// Keyspace events that come up to a last one, as `channel payload`.
fn events(listener: &mut Client, last: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    while found.last().is_none_or(|event| event != last) {
        let frame = listener.receive().expect("an event");
        let text = |at: usize| {
            let bytes = frame.as_items().expect("a frame")[at].as_bytes().expect("a string");
            String::from_utf8_lossy(bytes).into_owned()
        };
        found.push(format!("{} {}", text(2), text(3)));
    }
    found
}

#[test]
fn keyspace_events_are_told_on_every_node() {
    let cluster = Cluster::start("pubsub-events", 3, &[]);
    let mut listeners: Vec<Client> = (0..3).map(|at| client(&cluster, at)).collect();
    for listener in &mut listeners {
        subscribe(listener, &["PSUBSCRIBE", "__key*@*__:*"]);
    }
    let mut writer = client(&cluster, 1);
    assert!(is_ok(
        &writer.call(&["CONFIG", "SET", "notify-keyspace-events", "KEAn"]).expect("yes")
    ));
    for line in ["SET k 1", "RPUSH l a", "SELECT 2", "SET k 2 PX 1", "DEL none", "DEL last"] {
        writer.call(&line.split(' ').collect::<Vec<_>>()).expect("an answer");
    }
    until("it has expired", || {
        (writer.call(&["EXISTS", "k"]).expect("an answer") == Value::Int(0)).then_some(())
    });
    writer.call(&["SET", "end", "1"]).expect("an answer");
    let expected = [
        "__keyspace@0__:k new",
        "__keyevent@0__:new k",
        "__keyspace@0__:k set",
        "__keyevent@0__:set k",
        "__keyspace@0__:l new",
        "__keyevent@0__:new l",
        "__keyspace@0__:l rpush",
        "__keyevent@0__:rpush l",
        "__keyspace@2__:k new",
        "__keyevent@2__:new k",
        "__keyspace@2__:k set",
        "__keyevent@2__:set k",
        "__keyspace@2__:k expire",
        "__keyevent@2__:expire k",
        "__keyspace@2__:k expired",
        "__keyevent@2__:expired k",
        "__keyspace@2__:end new",
        "__keyevent@2__:new end",
        "__keyspace@2__:end set",
        "__keyevent@2__:set end",
    ];
    for listener in &mut listeners {
        assert_eq!(events(listener, "__keyevent@2__:set end"), expected);
    }
    // Only what is asked for.
    assert!(is_ok(&writer.call(&["CONFIG", "SET", "notify-keyspace-events", "E$"]).expect("yes")));
    for line in ["SELECT 0", "RPUSH l b", "SET k 3", "SET end 2"] {
        writer.call(&line.split(' ').collect::<Vec<_>>()).expect("an answer");
    }
    for listener in &mut listeners {
        assert_eq!(
            events(listener, "__keyevent@0__:set end"),
            ["__keyevent@0__:set k", "__keyevent@0__:set end"]
        );
    }
}

/// A writer's own subscriber on its node hears of a write before the writer's next answer.
#[test]
fn events_come_before_the_writers_next_answer() {
    let cluster = Cluster::start("pubsub-before", 1, &[]);
    let mut both = client(&cluster, 0);
    both.call(&["CONFIG", "SET", "notify-keyspace-events", "E$"]).expect("an answer");
    both.call(&["HELLO", "3"]).expect("an answer");
    subscribe(&mut both, &["SUBSCRIBE", "__keyevent@0__:set"]);
    for _ in 0..100 {
        both.send(&[&["SET", "k", "v"], &["PING"]]).expect("it is sent");
        let answers: Vec<Value> = (0..3).map(|_| both.receive().expect("an answer")).collect();
        let at = |value: &Value| answers.iter().position(|answer| answer == value);
        let event = answers.iter().position(|answer| answer.as_items().is_some());
        assert!(event < at(&Value::Simple("PONG".into())), "{answers:?}");
    }
}
