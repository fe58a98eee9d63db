//! Commands that wait, over a cluster: in the order in which they came, whichever node they came
//! to, through failovers, and nothing that was pushed comes twice or is lost.

use quorate_resp::Value;
use quorate_tests::client::Client;
use quorate_tests::cluster::Cluster;
use quorate_tests::wait::until;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

fn client(cluster: &Cluster, at: usize) -> Client {
    cluster.replicas[at].client().expect("it answers")
}

/// How many wait at the leader.
fn waiting(cluster: &Cluster) -> usize {
    let shown = cluster.replicas[cluster.leader()].info("waiting_clients");
    shown.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Clients that wait for a queue, one after the other, on one node after the other.
fn line_up(cluster: &Cluster, nodes: &[usize]) -> Vec<Client> {
    let before = waiting(cluster);
    let mut clients = Vec::new();
    for at in nodes {
        let mut client = client(cluster, *at);
        client.send(&[&["BLPOP", "queue", "0"]]).expect("sent");
        clients.push(client);
        until("it waits at the leader", || {
            (waiting(cluster) == before + clients.len()).then_some(())
        });
    }
    clients
}

fn element(client: &mut Client) -> String {
    let reply = client.receive().expect("an element");
    let items = reply.as_items().expect("key and element");
    assert_eq!(items[0], bulk("queue"), "{reply:?}");
    String::from_utf8_lossy(items[1].as_bytes().expect("an element")).into_owned()
}

#[test]
fn who_came_first_is_served_first_over_all_nodes() {
    let cluster = Cluster::start("blocking-order", 3, &[]);
    let mut pusher = client(&cluster, (cluster.leader() + 1) % 3);
    for _ in 0..3 {
        let mut clients = line_up(&cluster, &[0, 1, 2, 0, 2, 1]);
        let texts: Vec<String> = (0..clients.len()).map(|at| at.to_string()).collect();
        for text in &texts {
            assert_eq!(pusher.call(&["RPUSH", "queue", text]).expect("an answer"), Value::Int(1));
        }
        let got: Vec<String> = clients.iter_mut().map(element).collect();
        assert_eq!(got, texts);
    }
    // A client that hangs up waits no longer; the next one is served.
    let mut clients = line_up(&cluster, &[1, 2]);
    drop(clients.remove(0));
    until("one has left", || (waiting(&cluster) == 1).then_some(()));
    pusher.call(&["RPUSH", "queue", "x"]).expect("an answer");
    assert_eq!(element(&mut clients[0]), "x");
    assert_eq!(pusher.call(&["EXISTS", "queue"]).expect("an answer"), Value::Int(0));
}

#[test]
fn a_failover_is_not_seen_by_who_waits() {
    let mut cluster = Cluster::start("blocking-kill", 3, &[]);
    let leader = cluster.leader();
    let [one, other] = [(leader + 1) % 3, (leader + 2) % 3];
    let mut clients = line_up(&cluster, &[one, other, one, other]);
    cluster.replicas[leader].kill();
    let mut pusher = client(&cluster, one);
    until("all wait at the next leader", || {
        let seen = [one, other].map(|at| cluster.replicas[at].info("waiting_clients"));
        seen.iter().flatten().any(|count| count == "4").then_some(())
    });
    for text in ["0", "1", "2", "3"] {
        until("there is a leader", || {
            let answer = pusher.call(&["RPUSH", "queue", text]).expect("an answer");
            answer.as_int()
        });
    }
    let got: Vec<String> = clients.iter_mut().map(element).collect();
    assert_eq!(got, ["0", "1", "2", "3"]);
    assert_eq!(pusher.call(&["EXISTS", "queue"]).expect("an answer"), Value::Int(0));
}

/// What a worker of the history did.
#[derive(Default)]
struct History {
    pushed: Mutex<Vec<String>>,
    popped: Mutex<Vec<String>>,
    /// Connections that broke while a client waited: each may have cost an element.
    broken: AtomicUsize,
    uncertain: Mutex<BTreeSet<String>>,
    over: AtomicBool,
}

fn push(history: &History, ports: &[u16], name: usize) {
    let mut number = 0;
    let mut client = None;
    while !history.over.load(Ordering::Acquire) {
        let port = ports[(name + number) % ports.len()];
        let Some(connected) =
            client.take().or_else(|| Client::connect(port, Duration::from_secs(15)).ok())
        else {
            number += 1;
            continue;
        };
        let mut connected = connected;
        let text = format!("{name}:{number}");
        number += 1;
        match connected.call(&["RPUSH", "queue", &text]) {
            Ok(Value::Int(_)) => history.pushed.lock().expect("whole").push(text),
            Ok(Value::Error(line)) if line.starts_with("CLUSTERDOWN") => {}
            Ok(_) | Err(_) => {
                history.uncertain.lock().expect("whole").insert(text);
                continue;
            }
        }
        client = Some(connected);
    }
}

fn pop(history: &History, port: u16) {
    while !history.over.load(Ordering::Acquire) {
        let Ok(mut client) = Client::connect(port, Duration::from_secs(15)) else { continue };
        while !history.over.load(Ordering::Acquire) {
            match client.call(&["BLPOP", "queue", "0.2"]) {
                Ok(Value::Array(items)) => {
                    let text = String::from_utf8_lossy(items[1].as_bytes().expect("an element"));
                    history.popped.lock().expect("whole").push(text.into_owned());
                }
                Ok(Value::NullArray | Value::Null) => {}
                Ok(other) => {
                    let text = format!("{other:?}");
                    assert!(text.contains("CLUSTERDOWN") || text.contains("LOADING"), "{text}");
                }
                Err(_) => {
                    history.broken.fetch_add(1, Ordering::AcqRel);
                    break;
                }
            }
        }
    }
}

#[test]
fn what_is_pushed_is_popped_once_or_left_while_leaders_die_and_pause() {
    let mut cluster = Cluster::start("blocking-history", 3, &[]);
    let ports = cluster.ports();
    let history = Arc::new(History::default());
    let spawn = |work: Box<dyn FnOnce(&History) + Send>| {
        let history = Arc::clone(&history);
        std::thread::spawn(move || work(&history))
    };
    let mut workers = Vec::new();
    for name in 0..3 {
        let all = ports.clone();
        workers.push(spawn(Box::new(move |history| push(history, &all, name))));
        for _ in 0..2 {
            let port = ports[name];
            workers.push(spawn(Box::new(move |history| pop(history, port))));
        }
    }
    let popped = |history: &History| history.popped.lock().expect("whole").len();
    let some_more = |history: &History| {
        let before = popped(history);
        until("elements come", || (popped(history) > before + 300).then_some(()));
    };
    for round in 0..4 {
        some_more(&history);
        let leader = cluster.leader();
        if round % 2 == 0 {
            cluster.replicas[leader].kill();
            some_more(&history);
            cluster.replicas[leader].start();
        } else {
            cluster.replicas[leader].signal(Signal::STOP);
            until("another leads", || {
                let others = (0..3).filter(|at| *at != leader);
                let mut roles = others.map(|at| cluster.replicas[at].info("raft_role"));
                roles.any(|role| role.as_deref() == Some("leader")).then_some(())
            });
            some_more(&history);
            cluster.replicas[leader].signal(Signal::CONT);
        }
    }
    some_more(&history);
    history.over.store(true, Ordering::Release);
    for worker in workers {
        worker.join().expect("a worker ends well");
    }
    cluster.wait_writable();
    judge(&cluster, &history);
}

fn judge(cluster: &Cluster, history: &History) {
    let mut reader = client(cluster, cluster.leader());
    let left = reader.call(&["LRANGE", "queue", "0", "-1"]).expect("an answer");
    let left = left
        .as_items()
        .expect("elements")
        .iter()
        .map(|item| String::from_utf8_lossy(item.as_bytes().expect("an element")).into_owned());
    let mut seen = BTreeSet::new();
    for text in history.popped.lock().expect("whole").iter().cloned().chain(left) {
        assert!(seen.insert(text.clone()), "{text} came twice");
    }
    let pushed = history.pushed.lock().expect("whole");
    let lost: Vec<&String> = pushed.iter().filter(|text| !seen.contains(*text)).collect();
    let broken = history.broken.load(Ordering::Acquire);
    assert!(lost.len() <= broken, "{lost:?} are lost, {broken} connections broke");
    let pushed: BTreeSet<&String> = pushed.iter().collect();
    let uncertain = history.uncertain.lock().expect("whole");
    let unknown = |text: &&String| !pushed.contains(*text) && !uncertain.contains(*text);
    assert_eq!(seen.iter().find(unknown), None);
}
