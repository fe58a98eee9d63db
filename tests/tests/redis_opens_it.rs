//! Nobody is locked in: stock Redis 7.0 opens a copy of a data directory and serves the same keys,
//! values and TTLs.

use quorate_engine::{Flags, cmd};
use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok};
use quorate_tests::cluster::{Cluster, Replica, Scratch, binary};
use quorate_tests::contents::{Contents, contents, first_difference};
use quorate_tests::port::free_port;
use quorate_tests::redis::Redis;
use quorate_tests::script::{self, Target};
use quorate_tests::wait::{pause, until};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn copy_log(replica: &Replica, to: &Path) {
    let done = Command::new("cp")
        .arg("-r")
        .arg(replica.dir.join("appendonlydir"))
        .arg(to)
        .status()
        .expect("cp runs");
    assert!(done.success());
}

/// `redis-check-aof` accepts the manifest, and `redis-server` shows `expected`.
fn check_directory(replica: &Replica, expected: &Contents) {
    let copy = Scratch::new("redis-copy");
    copy_log(replica, copy.path());
    let manifest = copy.path().join("appendonlydir/quorate.aof.manifest");
    let checked = Command::new("redis-check-aof")
        .arg(&manifest)
        .output()
        .expect("redis-check-aof is installed");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned()
        + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
    let redis = Redis::on_our_log(copy.path());
    let seen = contents(redis.port);
    assert_eq!(seen.len(), expected.len(), "{:?}", first_difference(&seen, expected));
    assert_eq!(first_difference(&seen, expected), None);
}

fn workload(client: &mut Client) {
    for number in 0..200 {
        let key = format!("key:{number}");
        assert!(is_ok(
            &client
                .call(&["SET", &key, &format!("value {number}\r\n#x \u{1f512}")])
                .expect("an answer")
        ));
    }
    client.call(&["SELECT", "3"]).expect("an answer");
    for number in 0..50 {
        client.call(&["INCRBY", "counter", &number.to_string()]).expect("an answer");
        client.call(&["APPEND", "log", "piece "]).expect("an answer");
        client.call(&["SETBIT", "bits", &(number * 7).to_string(), "1"]).expect("an answer");
        client.call(&["INCRBYFLOAT", "float", "0.1"]).expect("an answer");
    }
    client.call(&["SETEX", "later", "100000", "v"]).expect("an answer");
    client.call(&["GETEX", "later", "EX", "200000"]).expect("an answer");
    client.call(&["SET", "valkey", "one"]).expect("an answer");
    client.call(&["COPY", "counter", "copied", "DB", "5"]).expect("an answer");
    client.call(&["RENAME", "log", "renamed"]).expect("an answer");
    client.call(&["SELECT", "0"]).expect("an answer");
    client.call(&["DEL", "key:7", "key:8", "absent"]).expect("an answer");
}

/// Locks and counters whose TTLs run out and that are set again: what Redis replays must not see
/// the old ones alive.
fn locks(client: &mut Client) {
    for round in 0..5 {
        for lock in 0..5 {
            let key = format!("lock:{lock}");
            let taken = client
                .call(&["SET", &key, &format!("round {round}"), "NX", "PX", "40"])
                .expect("an answer");
            assert!(is_ok(&taken), "round {round}: {taken:?}");
            client.call(&["INCR", &format!("count:{lock}")]).expect("an answer");
            client.call(&["PEXPIRE", &format!("count:{lock}"), "40"]).expect("an answer");
        }
        until("the locks expire", || {
            (0..5)
                .all(|lock| {
                    let key = format!("lock:{lock}");
                    matches!(client.call(&["GET", &key]).expect("an answer"), Value::Null)
                })
                .then_some(())
        });
        pause(Duration::from_millis(60));
    }
    for lock in 0..5 {
        client
            .call(&["SET", &format!("lock:{lock}"), "for long", "NX", "PX", "1000000"])
            .expect("an answer");
        client.call(&["INCR", &format!("count:{lock}")]).expect("an answer");
    }
}

#[test]
fn redis_serves_a_copy_of_the_directory() {
    let mut cluster = Cluster::start("opens", 1, &[]);
    let mut client = cluster.replicas[0].client().expect("it answers");
    workload(&mut client);
    locks(&mut client);
    let expected = contents(cluster.replicas[0].port);
    assert!(expected.len() > 200, "{}", expected.len());
    assert!(cluster.replicas[0].terminate());
    check_directory(&cluster.replicas[0], &expected);
}

#[test]
fn redis_serves_the_log_without_a_final_snapshot() {
    let mut cluster = Cluster::start("opens-log", 1, &[]);
    let mut client = cluster.replicas[0].client().expect("it answers");
    workload(&mut client);
    locks(&mut client);
    let expected = contents(cluster.replicas[0].port);
    cluster.replicas[0].kill();
    check_directory(&cluster.replicas[0], &expected);
}

#[test]
fn redis_serves_a_former_leader_whose_entries_were_truncated() {
    let mut cluster = Cluster::start("truncated", 3, &[]);
    let old = cluster.leader();
    let mut client = cluster.replicas[old].client().expect("it answers");
    workload(&mut client);
    // The leader is alone now, but does not know it yet: what it appends is never committed.
    for (at, replica) in cluster.replicas.iter_mut().enumerate() {
        if at != old {
            replica.kill();
        }
    }
    client.send(&[&["SET", "never", "discarded"], &["INCR", "never-either"]]).expect("it is sent");
    until("the lone leader has appended something", || {
        let index: u64 = cluster.replicas[old].info("raft_last_log_index")?.parse().ok()?;
        let commit: u64 = cluster.replicas[old].info("raft_commit_index")?.parse().ok()?;
        (index > commit).then_some(())
    });
    cluster.replicas[old].kill();
    for at in (0..3).filter(|at| *at != old) {
        cluster.replicas[at].start();
    }
    let other = (old + 1) % 3;
    until("the others have a leader", || cluster.replicas[other].accepts_writes().then_some(()));
    let mut survivor = cluster.replicas[other].client().expect("it answers");
    assert!(is_ok(&survivor.call(&["SET", "after", "kept"]).expect("an answer")));
    cluster.replicas[old].start();
    cluster.wait_agreed();
    let expected = contents(cluster.replicas[old].port);
    assert_eq!(
        expected.get(&(0, "after".to_owned())).map(|(value, _)| value.as_str()),
        Some("kept")
    );
    assert!(!expected.contains_key(&(0, "never".to_owned())), "a discarded write is visible");
    cluster.replicas[old].kill();
    check_directory(&cluster.replicas[old], &expected);
}

/// What the manifest says of what Redis would replay differently.
fn is_inexact(replica: &Replica) -> bool {
    let path = replica.dir.join("appendonlydir/quorate.aof.manifest");
    let manifest = std::fs::read_to_string(path).expect("a manifest");
    manifest.contains("# inexact since")
}

/// A write that Redis 7.0 does not know: in the log it is hidden from it.
fn hidden(replica: &Replica, value: &str) {
    let mut client = replica.client().expect("it answers");
    assert!(is_ok(&client.call(&["SET", "guarded", "first"]).expect("an answer")));
    let set = client.call(&["SET", "guarded", value, "IFEQ", "first"]).expect("an answer");
    assert!(is_ok(&set), "{set:?}");
}

#[test]
fn a_clean_stop_makes_the_directory_exact() {
    let mut cluster = Cluster::start("exact", 3, &[]);
    let leader = cluster.leader();
    workload(&mut cluster.replicas[leader].client().expect("it answers"));
    hidden(&cluster.replicas[leader], "second");
    cluster.wait_agreed();
    let expected = contents(cluster.replicas[leader].port);
    assert!(is_inexact(&cluster.replicas[leader]));
    let guarded = &expected[&(0, "guarded".to_owned())];
    assert_eq!(guarded.0, "second");
    assert!(cluster.replicas[leader].terminate());
    assert!(!is_inexact(&cluster.replicas[leader]));
    check_directory(&cluster.replicas[leader], &expected);
    // The others did not wait for it, and it comes back as it was.
    let other = (leader + 1) % 3;
    until("the others go on", || cluster.replicas[other].accepts_writes().then_some(()));
    cluster.replicas[leader].start();
    cluster.wait_writable();
    cluster.wait_agreed();
}

/// Three ports in a row, and the same for peers.
fn ports_in_a_row() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    until("free ports", || {
        let port = free_port();
        let row = port..port + 3;
        row.into_iter().all(|port| is_free(port) && is_free(port + 10_000)).then_some(port)
    })
}

/// `quorate dev` in a process group of its own, as a shell starts it.
fn dev(port: u16, dir: &Path) -> Child {
    Command::new(binary())
        .args(["dev", "--port", &port.to_string(), "--dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("the binary starts")
}

/// The replicas of `quorate dev`, as soon as they serve.
fn nodes_of(port: u16, dir: &Path) -> Vec<Replica> {
    let ports = [port, port + 1, port + 2];
    let nodes = ports.into_iter().zip(1..).map(|(port, number)| {
        Replica::at((port, port + 10_000), dir.join(format!("node{number}")), "")
    });
    let nodes: Vec<Replica> = nodes.collect();
    for node in &nodes {
        until("a node serves", || node.accepts_writes().then_some(()));
    }
    nodes
}

#[test]
fn a_dev_cluster_that_was_interrupted_is_opened_too() {
    let (scratch, port) = (Scratch::new("dev"), ports_in_a_row());
    let mut child = dev(port, scratch.path());
    let nodes = nodes_of(port, scratch.path());
    let mut client = nodes[0].client().expect("it answers");
    client.call(&["SADD", "set", "a", "b", "c", "d", "e", "f", "g"]).expect("an answer");
    client.call(&["SPOP", "set", "3"]).expect("an answer");
    hidden(&nodes[0], "second");
    until("all have applied it", || {
        let digests: Vec<_> = nodes.iter().map(|node| node.info("state_digest")).collect();
        digests.iter().all(|digest| digest == &digests[0] && digest.is_some()).then_some(())
    });
    let expected = contents(nodes[0].port);
    let group = Pid::from_child(&child);
    // A hangup opens the logs anew and ends nothing.
    kill_process_group(group, Signal::HUP).expect("it is ours");
    assert!(nodes.iter().all(Replica::accepts_writes));
    kill_process_group(group, Signal::INT).expect("it is ours");
    assert!(until("it stops", || child.try_wait().ok().flatten()).success());
    for node in &nodes {
        assert!(!is_inexact(node), "{:?}", node.dir);
        check_directory(node, &expected);
    }
}

#[test]
fn shutdown_saves_as_it_is_told() {
    let mut cluster = Cluster::start("shutdown", 1, &[]);
    let mut bases = Vec::new();
    // Twice nothing to make exact; then something that shall stay; then the same, by default.
    for (number, (words, inexact)) in
        [(&["SAVE"][..], false), (&[][..], false), (&["NOSAVE"][..], true), (&[][..], false)]
            .into_iter()
            .enumerate()
    {
        let replica = &mut cluster.replicas[0];
        let mut client = replica.client().expect("it answers");
        client.call(&["SET", "plain", &number.to_string()]).expect("an answer");
        if inexact {
            hidden(replica, "second");
        }
        let refused = client.call(&["SHUTDOWN", "SAVE", "NOSAVE"]).expect("an answer");
        assert_eq!(refused, Value::Error("ERR syntax error".into()));
        let words: Vec<&str> = std::iter::once("SHUTDOWN").chain(words.iter().copied()).collect();
        assert!(client.call(&words).is_err(), "it closes the connection");
        assert_eq!(replica.wait_exit(), Some(0));
        assert_eq!(is_inexact(replica), inexact, "{words:?}");
        let dir = std::fs::read_dir(replica.dir.join("appendonlydir")).expect("it is there");
        let names = dir.map(|item| item.expect("a name").file_name().into_string());
        bases.push(names.filter(|name| name.as_ref().is_ok_and(|it| it.ends_with("rdb"))).count());
        replica.start();
        cluster.wait_writable();
    }
    assert_eq!(bases, [1, 1, 1, 2]);
}

/// A client of one replica that keeps the directory exact, and looks what a command makes of it.
struct Watch<'a> {
    replica: &'a Replica,
    client: Client,
    /// Writes that Redis 7.0 does not know, and that no script has sent yet.
    newer: BTreeSet<&'static str>,
}

/// Whether a version is above 7.0.
fn is_newer(since: &str) -> bool {
    let mut numbers = since.split('.').map(|number| number.parse::<u32>().expect("a number"));
    (numbers.next(), numbers.next()) > (Some(7), Some(0))
}

impl Watch<'_> {
    fn make_exact(&mut self) {
        until("a snapshot makes the directory exact", || {
            if is_inexact(self.replica) {
                let _ = self.client.call(&["BGSAVE"]);
            }
            (!is_inexact(self.replica)).then_some(())
        });
    }
}

impl Target for Watch<'_> {
    fn call(&mut self, args: &[Vec<u8>]) -> Value {
        let newer = cmd::lookup(&args[0]).filter(|row| self.newer.contains(row.meta.name));
        if newer.is_some() {
            self.make_exact();
        }
        let answer = self.client.call_bytes(args).expect("an answer");
        if let Some(row) = newer
            && answer.as_error().is_none()
        {
            until(row.meta.name, || is_inexact(self.replica).then_some(()));
            self.newer.remove(row.meta.name);
        }
        answer
    }

    fn advance(&mut self, ms: u64) {
        pause(Duration::from_millis(ms));
    }
}

/// The mark comes with the first of them and goes with the next base; then Redis serves what they
/// made. What is in the table is in a transcript, so that a new row is met here by itself.
#[test]
fn every_newer_command_marks_the_manifest_until_the_next_base() {
    let mut cluster = Cluster::start("newer", 1, &[]);
    let newer = cmd::all()
        .iter()
        .filter(|row| row.is_write() && !row.meta.flags.has(Flags::INTERNAL))
        .filter(|row| is_newer(row.meta.since))
        .map(|row| row.meta.name)
        .collect();
    let client = cluster.replicas[0].client().expect("it answers");
    let mut watch = Watch { replica: &cluster.replicas[0], client, newer };
    assert!(!is_inexact(watch.replica));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    for entry in std::fs::read_dir(folder).expect("the transcripts are there") {
        let text = std::fs::read_to_string(entry.expect("a file").path()).expect("a text");
        let upper = text.to_ascii_uppercase();
        if watch.newer.iter().any(|name| upper.contains(&format!("> {name} "))) {
            watch.client.call(&["FLUSHALL"]).expect("an answer");
            script::run(&text, &mut watch).expect("a script");
        }
    }
    assert!(watch.newer.is_empty(), "no transcript sends {:?}", watch.newer);
    watch.make_exact();
    let expected = contents(cluster.replicas[0].port);
    cluster.replicas[0].kill();
    assert!(!is_inexact(&cluster.replicas[0]));
    check_directory(&cluster.replicas[0], &expected);
}
