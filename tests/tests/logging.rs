//! The log costs lines and nothing else, whatever becomes of its output, and says the same once a
//! minute.

use quorate_tests::client::{Client, is_ok};
use quorate_tests::cluster::{Cluster, Replica};
use quorate_tests::wait::{pause, until};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, pipe};
use std::path::Path;
use std::time::Duration;

/// A node that logs as much as it can.
fn talkative(name: &str, extra: &[&str]) -> Cluster {
    Cluster::prepare(name, 1, &[&["--loglevel", "debug"], extra].concat())
}

/// Writes until so many log lines are lost, each acknowledged.
fn write_until_lost(client: &mut Client, lines: u64) {
    until("lines are lost", || {
        for _ in 0..100 {
            assert!(is_ok(&client.call(&["SET", "key", "value"]).expect("an answer")));
        }
        (lost(client) >= lines).then_some(())
    });
}

fn lost(client: &mut Client) -> u64 {
    client.info("log_lines_lost").and_then(|lost| lost.parse().ok()).expect("a number")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_reader_of_standard_error_that_is_gone_costs_lines_only() {
    let mut cluster = talkative("log-gone", &[]);
    let (reader, writer) = pipe().expect("a pipe");
    cluster.replicas[0].start_with(|command| command.stderr(writer));
    cluster.wait_writable();
    drop(reader);
    let mut client = cluster.replicas[0].client().expect("it answers");
    write_until_lost(&mut client, 100);
    assert!(cluster.replicas[0].terminate());
}

#[test]
fn a_reader_of_standard_error_that_does_not_read_costs_lines_only() {
    let mut cluster = talkative("log-hung", &[]);
    let (mut reader, writer) = pipe().expect("a pipe");
    cluster.replicas[0].start_with(|command| command.stderr(writer));
    cluster.wait_writable();
    let mut client = cluster.replicas[0].client().expect("it answers");
    write_until_lost(&mut client, 1);
    // It reads again: what was lost is said.
    let reading = std::thread::spawn(move || {
        let mut said = String::new();
        reader.read_to_string(&mut said).map(|_| said)
    });
    until("there is room again", || {
        let before = lost(&mut client);
        assert!(is_ok(&client.call(&["SET", "key", "value"]).expect("an answer")));
        (lost(&mut client) == before).then_some(())
    });
    assert!(cluster.replicas[0].terminate());
    let said = reading.join().expect("no panic").expect("text");
    assert!(said.contains("log lines were lost"), "{}", said.len());
    assert!(said.contains("stopped"), "{}", said.len());
}

#[test]
fn a_node_whose_standard_error_hangs_stops_all_the_same() {
    let mut cluster = talkative("log-stop", &[]);
    let (_reader, writer) = pipe().expect("a pipe");
    cluster.replicas[0].start_with(|command| command.stderr(writer));
    cluster.wait_writable();
    write_until_lost(&mut cluster.replicas[0].client().expect("it answers"), 1);
    assert!(cluster.replicas[0].terminate());
}

#[test]
fn a_full_disk_under_the_log_file_costs_lines_and_a_new_file_is_found() {
    let mut cluster = talkative("log-full", &[]);
    let file = cluster.scratch.path().join("quorate.log");
    std::os::unix::fs::symlink("/dev/full", &file).expect("a link can be made");
    cluster.replicas[0].extra.extend(["--logfile".to_owned(), file.display().to_string()]);
    cluster.replicas[0].start();
    cluster.wait_writable();
    let mut client = cluster.replicas[0].client().expect("it answers");
    write_until_lost(&mut client, 100);
    fs::remove_file(&file).expect("our own file");
    until("what was lost is said", || {
        assert!(is_ok(&client.call(&["SET", "key", "value"]).expect("an answer")));
        let text = read(&file);
        let line = text.lines().find(|line| line.contains("log lines were lost"))?;
        assert!(line.contains("No space left"), "{line}");
        Some(())
    });
    assert!(cluster.replicas[0].terminate());
}

#[test]
fn the_log_file_is_opened_anew_when_it_is_moved_and_on_a_hangup() {
    let mut cluster = Cluster::prepare("log-moved", 1, &[]);
    let file = cluster.scratch.path().join("quorate.log");
    let aside = |number: u32| file.with_extension(format!("log.{number}"));
    cluster.replicas[0].extra.extend(["--logfile".to_owned(), file.display().to_string()]);
    cluster.replicas[0].start();
    cluster.wait_writable();
    assert!(read(&file).contains("ready for clients"));
    for (number, how) in [(1, "by itself"), (2, "on a hangup"), (3, "by itself again")] {
        fs::rename(&file, aside(number)).expect("our own file");
        if number == 2 {
            cluster.replicas[0].signal(Signal::HUP);
        }
        until(how, || file.exists().then_some(()));
    }
    assert!(cluster.replicas[0].is_running());
    assert!(cluster.replicas[0].accepts_writes());
    assert!(cluster.replicas[0].terminate());
    // What it says last is in the new file.
    assert!(read(&file).contains("stopped"), "{}", read(&file));
    assert!(!read(&aside(1)).contains("stopped"));
}

fn held(replica: &Replica) -> u64 {
    replica.info("log_lines_held").and_then(|held| held.parse().ok()).unwrap_or(0)
}

#[test]
fn a_dead_peer_is_told_of_once_and_so_is_its_return() {
    let mut cluster = Cluster::start("log-spam", 3, &[]);
    let leader = cluster.leader();
    let (dead, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let name = format!("127.0.0.1:{}", cluster.replicas[dead].peer_port);
    let lines = |replica: &Replica| replica.output().lines().count();
    let before = [leader, other].map(|at| lines(&cluster.replicas[at]));
    cluster.replicas[dead].kill();
    // As many tries as would have been lines.
    until("the same is held back", || (held(&cluster.replicas[leader]) > 100).then_some(()));
    let told = |what: &str| {
        let output = cluster.replicas[leader].output();
        output.lines().filter(|line| line.contains(what) && line.contains(&name)).count()
    };
    assert_eq!(told("a peer does not answer"), 1);
    assert_eq!(told("a peer answers again"), 0);
    for (at, before) in [leader, other].into_iter().zip(before) {
        let output = cluster.replicas[at].output();
        let new: Vec<&str> = output.lines().skip(before).collect();
        assert!(new.len() < 12, "replica {at} of leader {leader}: {new:#?}");
    }
    let port = cluster.replicas[dead].port;
    cluster.replicas[dead].start();
    until("it is back", || Client::connect(port, Duration::from_secs(5)).is_ok().then_some(()));
    until("its return is told", || {
        let output = cluster.replicas[leader].output();
        output.contains("a peer answers again").then_some(())
    });
}

#[test]
fn a_hung_peer_is_told_of() {
    let cluster = Cluster::start("log-hung-peer", 3, &[]);
    let leader = cluster.leader();
    let hung = (leader + 1) % 3;
    cluster.replicas[hung].signal(Signal::STOP);
    until("it is told", || {
        let output = cluster.replicas[leader].output();
        output.contains("a peer does not answer").then_some(())
    });
    pause(Duration::from_millis(500));
    cluster.replicas[hung].signal(Signal::CONT);
    until("its return is told", || {
        let output = cluster.replicas[leader].output();
        output.contains("a peer answers again").then_some(())
    });
}
