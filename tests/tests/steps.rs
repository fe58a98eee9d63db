//! `kill -9` at every step of making a snapshot, switching to it and purging behind it: the node
//! always starts again, has every acknowledged write, and its directory is readable.

use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::{Cluster, Replica, binary};
use quorate_tests::shim::Shim;
use quorate_tests::wait::until;
use std::process::Command;

/// Of the fat value that makes the log grow.
const FAT_BYTES: usize = 50_000;
/// Enough for a purge: a quarter of a mebibyte of log is kept.
const FAT_WRITES: usize = 30;
/// Keys written in each round.
const KEYS: u64 = 20;

fn number(replica: &Replica, field: &str) -> Option<u64> {
    replica.info(field)?.parse().ok()
}

/// Makes the log grow and writes a round's keys. The node is well.
fn write(client: &mut Client, written: &mut u64) {
    let fat = "f".repeat(FAT_BYTES);
    let fat: &[&str] = &["SET", "fat", &fat];
    assert!(client.pipeline(&vec![fat; FAT_WRITES]).expect("answers").iter().all(is_ok));
    for _ in 0..KEYS {
        let set = client.call(&["SET", &format!("key:{written}"), &written.to_string()]);
        assert!(is_ok(&set.expect("an answer")));
        *written += 1;
    }
}

/// Has a snapshot made of what is there now, and waits until the log behind `start` is purged.
/// False: the process died.
fn snapshot_and_purge(replica: &mut Replica, start: u64, written: &mut u64) -> bool {
    let Some(now) = number(replica, "raft_last_log_index") else { return false };
    let mut client = replica.client();
    until("the log is purged, or the process dies", || {
        // Writes go on all the time, and what is acknowledged counts.
        let key = format!("key:{written}");
        let set = client.as_mut().and_then(|it| it.call(&["SET", &key, &written.to_string()]).ok());
        *written += u64::from(set.is_some_and(|answer| is_ok(&answer)));
        if number(replica, "raft_snapshot_index") < Some(now)
            && replica.info("rdb_bgsave_in_progress").as_deref() == Some("0")
        {
            // Refused while another one is being made.
            let _ = client.as_mut().map(|it| it.call(&["BGSAVE"]));
        }
        if !replica.is_running() {
            return Some(false);
        }
        let made = number(replica, "raft_snapshot_index")? >= now;
        (made && number(replica, "raft_purged_index")? > start).then_some(true)
    })
}

/// What `quorate check` says of a directory: nothing is damaged.
fn assert_readable(replica: &Replica) {
    let check = Command::new(binary()).arg("check").arg(&replica.dir).output().expect("it runs");
    let said = String::from_utf8_lossy(&check.stdout).into_owned()
        + &String::from_utf8_lossy(&check.stderr);
    let fine = check.status.success() || said.contains("there is a torn tail");
    assert!(fine && !said.contains("DAMAGED"), "{said}");
}

fn assert_nothing_lost(replica: &Replica, written: u64) {
    let mut client = replica.client().expect("it answers");
    let keys: Vec<String> = (0..written).map(|number| format!("key:{number}")).collect();
    let gets: Vec<Vec<&str>> = keys.iter().map(|key| vec!["GET", key.as_str()]).collect();
    let gets: Vec<&[&str]> = gets.iter().map(Vec::as_slice).collect();
    let answers = client.pipeline(&gets).expect("answers");
    for (number, answer) in (0..written).zip(&answers) {
        assert_eq!(text(answer), Some(number.to_string()), "key:{number}");
    }
}

#[test]
fn a_kill_at_every_step_of_a_snapshot_is_survived() {
    let extra = ["--segment-bytes", "1mb", "--snapshot-log-bytes", "1mb"];
    let mut cluster = Cluster::prepare("steps", 1, &extra);
    let replica = &mut cluster.replicas[0];
    let shim = Shim::attach(replica);
    let (mut written, mut walked) = (0, Vec::new());
    for step in 1.. {
        replica.start();
        until("it serves again", || replica.accepts_writes().then_some(()));
        assert_nothing_lost(replica, written);
        let start = number(replica, "raft_last_log_index").expect("it answers");
        write(&mut replica.client().expect("it answers"), &mut written);
        shim.set("kill_at", step);
        let survived = snapshot_and_purge(replica, start, &mut written);
        let steps = shim.take_steps();
        shim.clear("kill_at");
        if survived {
            eprintln!("{step} steps, {written} writes: {steps:#?}");
            break;
        }
        walked.extend(steps.last().cloned());
        replica.kill();
        assert_readable(replica);
    }
    let replica = &mut cluster.replicas[0];
    assert!(replica.terminate(), "it ends well");
    assert_readable(replica);
    for (what, part) in [
        ("open", ".base-"),
        ("sync", ".base-"),
        ("rename", ".base.rdb"),
        ("rename", ".manifest"),
        ("sync", "appendonlydir"),
        ("unlink", ".base.rdb"),
        ("unlink", ".incr.aof"),
    ] {
        let there = |step: &String| step.starts_with(what) && step.contains(part);
        assert!(walked.iter().any(there), "no {what} of {part} among {walked:#?}");
    }
}
