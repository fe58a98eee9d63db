//! Client-side caching over a cluster: whoever keeps a copy on any node hears of writes through any
//! other, and that it may have missed some.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok};
use quorate_tests::cluster::Cluster;
use quorate_tests::random::Random;
use quorate_tests::wait::{until, within};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Two of the longest election time-outs, and a heartbeat: how long a node without a leader may let
/// its clients believe their copies. On a loaded machine more passes until that is seen.
const BELIEVED: Duration = Duration::from_millis(2 * 400 + 75 + 2000);

fn client(cluster: &Cluster, at: usize) -> Client {
    cluster.replicas[at].client().expect("it answers")
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

/// A client that answers from its copies while it has them.
struct Caching {
    client: Client,
    copies: BTreeMap<String, Value>,
    /// How often it was told to forget everything.
    forgot: usize,
}

impl Caching {
    fn new(cluster: &Cluster, at: usize, options: &[&str]) -> Self {
        let mut client = client(cluster, at);
        client.call(&["HELLO", "3"]).expect("an answer");
        let words: Vec<_> = ["CLIENT", "TRACKING", "ON"].iter().chain(options).copied().collect();
        assert!(is_ok(&client.call(&words).expect("an answer")));
        Self { client, copies: BTreeMap::new(), forgot: 0 }
    }

    /// Takes what comes until there is an answer.
    fn answer(&mut self) -> Value {
        loop {
            match self.client.receive().expect("it is connected") {
                Value::Push(words) => self.hear(&words),
                answer => return answer,
            }
        }
    }

    fn hear(&mut self, words: &[Value]) {
        assert_eq!(words.first(), Some(&bulk("invalidate")), "{words:?}");
        let Some(Value::Array(keys)) = words.get(1) else {
            assert_eq!(words.get(1), Some(&Value::Null));
            self.forgot += 1;
            return self.copies.clear();
        };
        for key in keys {
            let key = String::from_utf8_lossy(key.as_bytes().expect("a key")).into_owned();
            self.copies.remove(&key);
        }
    }

    fn call(&mut self, words: &[&str]) -> Value {
        self.client.send(&[words]).expect("it is sent");
        self.answer()
    }

    /// Takes what has come by now.
    fn listen(&mut self) {
        assert_eq!(self.call(&["PING"]), Value::Simple("PONG".into()));
    }

    /// Takes a copy of a key, if the node answers.
    fn read(&mut self, key: &str) {
        match self.call(&["GET", key]) {
            Value::Error(_) => {}
            value => drop(self.copies.insert(key.to_owned(), value)),
        }
    }
}

#[test]
fn a_write_through_any_node_is_told_on_every_node() {
    let cluster = Cluster::start("tracking", 3, &[]);
    let mut writers: Vec<Client> = (0..3).map(|at| client(&cluster, at)).collect();
    for mode in [&[][..], &["BCAST"], &["NOLOOP"]] {
        let mut readers: Vec<_> = (0..3).map(|at| Caching::new(&cluster, at, mode)).collect();
        for (round, writer) in (0..30).zip((0..3).cycle()) {
            let text = round.to_string();
            for reader in &mut readers {
                reader.read("k");
            }
            assert!(is_ok(&writers[writer].call(&["SET", "k", &text]).expect("an answer")));
            // On the writer's own node before the writer was answered.
            readers[writer].listen();
            assert_eq!(readers[writer].copies.len(), 0, "round {round}");
            for reader in &mut readers {
                until("it is told", || {
                    reader.listen();
                    reader.copies.is_empty().then_some(())
                });
            }
        }
        assert!(readers.iter().all(|reader| reader.forgot == 0));
    }
}

/// Its own writes do not come back, through whatever node, and others' do.
#[test]
fn a_client_without_loop_hears_of_others_alone() {
    let cluster = Cluster::start("tracking-noloop", 3, &[]);
    for at in 0..3 {
        let mut one = Caching::new(&cluster, at, &["NOLOOP"]);
        let mut others: Vec<_> = (0..3).map(|at| client(&cluster, at)).collect();
        for round in 0..100 {
            one.read("mine");
            one.read("shared");
            // In the same entry as others' writes, now and then.
            for other in &mut others {
                other.send(&[&["INCR", "theirs"], &["INCR", "shared"]]).expect("it is sent");
            }
            one.call(&["INCR", "mine"]);
            one.client.send(&[&["INCR", "mine"], &["APPEND", "mine", "0"]]).expect("it is sent");
            (0..2).for_each(|_| drop(one.answer()));
            for other in &mut others {
                (0..2).for_each(|_| drop(other.receive().expect("an answer")));
            }
            until("it hears of what others wrote", || {
                one.listen();
                (!one.copies.contains_key("shared")).then_some(())
            });
            assert!(one.copies.contains_key("mine"), "round {round} through {at}");
        }
    }
}

#[test]
fn a_node_that_hears_no_leader_has_its_clients_forget() {
    let mut cluster = Cluster::start("tracking-alone", 3, &[]);
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    for here in [follower, leader] {
        let mut reader = Caching::new(&cluster, here, &[]);
        let mut all = Caching::new(&cluster, here, &["BCAST"]);
        for reader in [&mut reader, &mut all] {
            reader.read("k");
            assert_eq!((reader.copies.len(), reader.forgot), (1, 0));
        }
        let others: Vec<_> = (0..3).filter(|at| *at != here).collect();
        for other in &others {
            cluster.replicas[*other].signal(Signal::STOP);
        }
        let since = Instant::now();
        let forgot = within(BELIEVED, || {
            reader.listen();
            all.listen();
            (reader.forgot > 0 && all.forgot > 0).then_some(())
        });
        assert!(forgot.is_some(), "after {:?}", since.elapsed());
        assert!(reader.copies.is_empty() && all.copies.is_empty());
        // Nothing that is read now is kept either.
        assert!(is_ok(&reader.call(&["READONLY"])));
        reader.read("k");
        reader.listen();
        assert!(reader.copies.is_empty());
        for other in &others {
            cluster.replicas[*other].signal(Signal::CONT);
        }
        cluster.wait_writable();
        until("copies are kept again", || {
            reader.read("k");
            reader.listen();
            (reader.copies.len() == 1).then_some(())
        });
    }
}

/// Random writes through all nodes, readers with every mode on all of them, and a leader that is
/// killed. In the end, and whenever all is quiet, every copy is what the cluster holds.
#[test]
fn copies_are_what_the_cluster_holds_when_all_is_quiet() {
    const KEYS: usize = 12;
    let mut cluster = Cluster::start("tracking-copies", 3, &[]);
    let mut random = Random::new(7);
    for round in 0..4 {
        let modes = [&[][..], &["NOLOOP"], &["BCAST"], &["BCAST", "NOLOOP"]];
        let places = (0..3).flat_map(|at| modes.iter().map(move |mode| (at, *mode)));
        let mut readers: Vec<_> =
            places.map(|(at, mode)| Caching::new(&cluster, at, mode)).collect();
        for _ in 0..400 {
            let key = format!("k{}", random.below(KEYS));
            let other = format!("k{}", random.below(KEYS));
            let at = random.below(readers.len());
            let reader = &mut readers[at];
            match random.below(6) {
                0..3 => reader.read(&key),
                3 => {
                    // What it writes itself it has no copy of, as without loop nobody tells it.
                    reader.call(&["INCR", &key]);
                    reader.copies.remove(&key);
                }
                4 => {
                    reader.client.send(&[&["INCR", &key], &["GET", &other]]).expect("it is sent");
                    reader.answer();
                    reader.copies.remove(&key);
                    let value = reader.answer();
                    if !matches!(value, Value::Error(_)) {
                        reader.copies.insert(other, value);
                    }
                }
                _ => {
                    reader.call(&["MULTI"]);
                    reader.call(&["GET", &key]);
                    reader.call(&["DEL", &other]);
                    let Value::Array(answers) = reader.call(&["EXEC"]) else { continue };
                    reader.copies.insert(key, answers[0].clone());
                    reader.copies.remove(&other);
                }
            }
        }
        agree(&cluster, &mut readers, KEYS);
        drop(readers);
        let leader = cluster.leader();
        let mut survivors: Vec<_> = (0..3)
            .filter(|at| *at != leader)
            .map(|at| Caching::new(&cluster, at, modes[round]))
            .collect();
        for reader in &mut survivors {
            (0..KEYS).for_each(|key| reader.read(&format!("k{key}")));
        }
        cluster.replicas[leader].kill();
        for number in 0..40 {
            let reader = &mut survivors[number % 2];
            let key = format!("k{}", random.below(KEYS));
            reader.call(&["SET", &key, &number.to_string()]);
            reader.copies.remove(&key);
            reader.read(&format!("k{}", random.below(KEYS)));
        }
        agree(&cluster, &mut survivors, KEYS);
        cluster.replicas[leader].start();
        cluster.wait_writable();
    }
}

/// Waits until every copy is what the cluster holds.
fn agree(cluster: &Cluster, readers: &mut [Caching], keys: usize) {
    let running = cluster.replicas.iter().find_map(|it| {
        let mut client = it.client()?;
        (client.call(&["PING"]).ok()? == Value::Simple("PONG".into())).then_some(client)
    });
    let mut client = running.expect("one answers");
    let held: BTreeMap<String, Value> = (0..keys)
        .map(|key| {
            let key = format!("k{key}");
            let value = until("it is read", || {
                let value = client.call(&["GET", &key]).expect("an answer");
                (!matches!(value, Value::Error(_))).then_some(value)
            });
            (key, value)
        })
        .collect();
    for reader in readers {
        until("copies are what the cluster holds", || {
            reader.listen();
            let differs = |(key, copy): &(&String, &Value)| held.get(*key) != Some(*copy);
            reader.copies.iter().find(differs).is_none().then_some(())
        });
    }
}
