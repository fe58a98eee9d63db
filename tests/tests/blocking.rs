//! Commands that wait, over a cluster: in the order in which they came, whichever node they came
//! to, through failovers, and nothing that was pushed comes twice or is lost.

use quorate_resp::Value;
use quorate_tests::client::Client;
use quorate_tests::cluster::{Cluster, Fault};
use quorate_tests::wait::until;
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

/// What went into a queue and came out of it.
#[derive(Default)]
struct Queue {
    pushed: Mutex<Vec<String>>,
    uncertain: Mutex<BTreeSet<String>>,
    popped: Mutex<Vec<String>>,
    /// Connections that broke while a client waited: each may have cost an element.
    broken: AtomicUsize,
}

/// A list that is pushed to and popped or moved from, and a stream that a group reads.
#[derive(Default)]
struct History {
    list: Queue,
    /// What BLMOVE answered: it lies in another list.
    moved: Mutex<Vec<String>>,
    stream: Queue,
    over: AtomicBool,
}

fn text_of(value: &Value) -> Option<String> {
    Some(String::from_utf8_lossy(value.as_bytes()?).into_owned())
}

fn push(history: &History, ports: &[u16], name: usize) {
    let mut client = None;
    for number in 0_usize.. {
        if history.over.load(Ordering::Acquire) {
            break;
        }
        let port = ports[(name + number) % ports.len()];
        let connected: Option<Client> =
            client.take().or_else(|| Client::connect(port, Duration::from_secs(15)).ok());
        let Some(mut connected) = connected else { continue };
        let text = format!("{name}:{number}");
        let is_list = number % 4 > 0;
        let (queue, command) = if is_list {
            (&history.list, vec!["RPUSH", "queue", &text])
        } else {
            (&history.stream, vec!["XADD", "stream", "*", "element", &text])
        };
        match connected.call(&command) {
            Ok(Value::Int(_) | Value::Bulk(_)) => queue.pushed.lock().expect("whole").push(text),
            Ok(Value::Error(line)) if line.starts_with("CLUSTERDOWN") => {}
            Ok(_) | Err(_) => {
                queue.uncertain.lock().expect("whole").insert(text);
                continue;
            }
        }
        client = Some(connected);
    }
}

/// How a worker waits, and where it notes what it got.
#[derive(Clone, Copy, Debug)]
enum Way {
    Pop,
    Move,
    Read,
}

impl Way {
    const ALL: [Way; 3] = [Way::Pop, Way::Move, Way::Read];

    fn command(self) -> &'static [&'static str] {
        match self {
            Way::Pop => &["BLPOP", "queue", "0.2"],
            Way::Move => &["BLMOVE", "queue", "moved", "LEFT", "RIGHT", "0.2"],
            Way::Read => &[
                "XREADGROUP",
                "GROUP",
                "group",
                "reader",
                "COUNT",
                "1",
                "BLOCK",
                "200",
                "STREAMS",
                "stream",
                ">",
            ],
        }
    }

    /// The element of an answer.
    fn element(self, answer: &Value) -> Option<String> {
        let at = |value: &Value, at: usize| value.as_items().and_then(|it| it.get(at).cloned());
        match self {
            Way::Pop => text_of(&at(answer, 1)?),
            Way::Move => text_of(answer),
            // [[stream, [[id, [field, element]]]]]
            Way::Read => {
                let entry = at(&at(&at(answer, 0)?, 1)?, 0)?;
                text_of(&at(&at(&entry, 1)?, 1)?)
            }
        }
    }

    fn note(self, history: &History, element: String) {
        let popped = match self {
            Way::Pop => &history.list.popped,
            Way::Move => &history.moved,
            Way::Read => &history.stream.popped,
        };
        popped.lock().expect("whole").push(element);
    }

    fn note_broken(self, history: &History) {
        match self {
            Way::Pop => history.list.broken.fetch_add(1, Ordering::AcqRel),
            // What was moved lies in the other list.
            Way::Move => 0,
            Way::Read => history.stream.broken.fetch_add(1, Ordering::AcqRel),
        };
    }
}

fn take(history: &History, port: u16, way: Way) {
    while !history.over.load(Ordering::Acquire) {
        let Ok(mut client) = Client::connect(port, Duration::from_secs(15)) else { continue };
        while !history.over.load(Ordering::Acquire) {
            match client.call(way.command()) {
                Ok(Value::NullArray | Value::Null) => {}
                Ok(Value::Error(line)) => {
                    let known = line.contains("CLUSTERDOWN") || line.contains("LOADING");
                    assert!(known, "{way:?}: {line}");
                }
                Ok(answer) => {
                    let element = way.element(&answer);
                    way.note(history, element.unwrap_or_else(|| panic!("{way:?}: {answer:?}")));
                }
                Err(_) => {
                    way.note_broken(history);
                    break;
                }
            }
        }
    }
}

#[test]
fn what_is_pushed_is_taken_once_or_left_while_leaders_die_and_pause() {
    let mut cluster = Cluster::start("blocking-history", 3, &[]);
    let made = ["XGROUP", "CREATE", "stream", "group", "0", "MKSTREAM"];
    client(&cluster, 0).call(&made).expect("an answer");
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
        for way in Way::ALL {
            let port = ports[name];
            workers.push(spawn(Box::new(move |history| take(history, port, way))));
        }
    }
    let some_more = || {
        for taken in [&history.list.popped, &history.moved, &history.stream.popped] {
            let count = || taken.lock().expect("whole").len();
            let before = count();
            until("elements come", || (count() > before + 100).then_some(()));
        }
    };
    for _ in 0..2 {
        some_more();
        cluster.without_leader(Fault::Killed, &some_more);
        some_more();
        cluster.without_leader(Fault::Paused, &some_more);
    }
    some_more();
    history.over.store(true, Ordering::Release);
    for worker in workers {
        worker.join().expect("a worker ends well");
    }
    cluster.wait_writable();
    judge(&cluster, &history);
}

fn judge(cluster: &Cluster, history: &History) {
    let mut reader = client(cluster, cluster.leader());
    let mut elements = |command: &[&str], of: fn(&Value) -> Option<String>| -> Vec<String> {
        let shown = reader.call(command).expect("an answer");
        let items = shown.as_items().expect("elements").iter();
        items.map(|item| of(item).expect("an element")).collect()
    };
    let in_entry = |entry: &Value| {
        let fields = entry.as_items()?.get(1)?.clone();
        text_of(fields.as_items()?.get(1)?)
    };
    let moved = elements(&["LRANGE", "moved", "0", "-1"], text_of);
    for text in history.moved.lock().expect("whole").iter() {
        assert!(moved.contains(text), "{text} was moved and is not there");
    }
    let left = elements(&["LRANGE", "queue", "0", "-1"], text_of);
    history.list.judge(left.into_iter().chain(moved));
    // Of a stream nothing goes; what the group has not been given is left.
    let entries = elements(&["XRANGE", "stream", "-", "+"], in_entry);
    for text in history.stream.pushed.lock().expect("whole").iter() {
        assert!(entries.contains(text), "{text} is not in the stream");
    }
    let rest = reader.call(&["XREADGROUP", "GROUP", "group", "reader", "STREAMS", "stream", ">"]);
    let rest = rest.expect("an answer");
    let rest = rest.as_items().and_then(|streams| streams.first()?.as_items()?.get(1)?.as_items());
    let rest = rest.unwrap_or_default().iter();
    history.stream.judge(rest.map(|entry| in_entry(entry).expect("an element")));
}

impl Queue {
    /// What was pushed was taken once, or it is left; or a connection broke that waited for it.
    fn judge(&self, left: impl Iterator<Item = String>) {
        let mut seen = BTreeSet::new();
        for text in self.popped.lock().expect("whole").iter().cloned().chain(left) {
            assert!(seen.insert(text.clone()), "{text} came twice");
        }
        let pushed = self.pushed.lock().expect("whole");
        let lost: Vec<&String> = pushed.iter().filter(|text| !seen.contains(*text)).collect();
        let broken = self.broken.load(Ordering::Acquire);
        assert!(lost.len() <= broken, "{lost:?} are lost, {broken} connections broke");
        let pushed: BTreeSet<&String> = pushed.iter().collect();
        let uncertain = self.uncertain.lock().expect("whole");
        let unknown = |text: &&String| !pushed.contains(*text) && !uncertain.contains(*text);
        assert_eq!(seen.iter().find(unknown), None);
    }
}
