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
const FAT_WRITES: usize = 40;
/// Keys written in each round.
const KEYS: u64 = 20;

fn number(replica: &Replica, field: &str) -> Option<u64> {
    replica.info(field)?.parse().ok()
}

/// What happens to the directory while a snapshot is made, becomes the base, and the log behind it
/// is purged (see `shim.c`).
const STEPS: [(&str, &str); 12] = [
    ("open", ".base-"),
    ("sync", ".base-"),
    ("rename", ".base.rdb"),
    ("sync", "=appendonlydir"),
    ("open", ".manifest.tmp"),
    ("sync", ".manifest.tmp"),
    ("rename", ".manifest"),
    ("open", ".next.tmp"),
    ("sync", ".next.tmp"),
    ("rename", ".incr.aof"),
    ("unlink", ".base.rdb"),
    ("unlink", ".incr.aof"),
];

/// Makes the log grow, if the process lives.
fn grow(client: &mut Client) {
    let fat = "f".repeat(FAT_BYTES);
    let fat: &[&str] = &["SET", "fat", &fat];
    let _ = client.pipeline(&vec![fat; FAT_WRITES]);
}

/// Makes the log grow and writes a round's keys. The node is well.
fn write(client: &mut Client, written: &mut u64) {
    grow(client);
    for _ in 0..KEYS {
        let set = client.call(&["SET", &format!("key:{written}"), &written.to_string()]);
        assert!(is_ok(&set.expect("an answer")));
        *written += 1;
    }
}

/// Number of the oldest segment.
fn oldest(replica: &Replica) -> Option<u32> {
    let names = std::fs::read_dir(replica.dir.join("appendonlydir")).ok()?;
    let names = names.filter_map(|item| item.ok()?.file_name().into_string().ok());
    names
        .filter_map(|name| {
            name.strip_prefix("quorate.aof.")?.strip_suffix(".incr.aof")?.parse().ok()
        })
        .min()
}

/// Has a snapshot made of what is there now, and waits until the oldest segment is gone. False: the
/// process died.
fn snapshot_and_purge(replica: &mut Replica, written: &mut u64) -> bool {
    let first = oldest(replica);
    let Some(now) = number(replica, "raft_last_log_index") else { return false };
    let mut client = replica.client();
    let mut looks = 0;
    until("the log is purged, or the process dies", || {
        // Writes go on all the time, and what is acknowledged counts.
        let key = format!("key:{written}");
        let set = client.as_mut().and_then(|it| it.call(&["SET", &key, &written.to_string()]).ok());
        *written += u64::from(set.is_some_and(|answer| is_ok(&answer)));
        looks += 1;
        let made = number(replica, "raft_snapshot_index") >= Some(now);
        let again = looks % 200 == 0;
        if again {
            // More log, for a purge that reaches further.
            client.as_mut().map(grow);
        }
        if (!made || again) && replica.info("rdb_bgsave_in_progress").as_deref() == Some("0") {
            // Refused while another one is being made.
            let _ = client.as_mut().map(|it| it.call(&["BGSAVE"]));
        }
        if !replica.is_running() {
            return Some(false);
        }
        (made && oldest(replica)? > first?).then_some(true)
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
    let mut written = 0;
    // Two snapshots first, so that every further one makes another superfluous; then a walk through
    // each kind of step, until there are no more of it.
    for (what, part) in [("none", "none"); 2].into_iter().chain(STEPS) {
        for count in 1.. {
            replica.start();
            until("it serves again", || replica.accepts_writes().then_some(()));
            assert_nothing_lost(replica, written);
            write(&mut replica.client().expect("it answers"), &mut written);
            shim.kill_at(count, what, part);
            let survived = snapshot_and_purge(replica, &mut written);
            shim.clear("kill_at");
            replica.kill();
            assert_readable(replica);
            if survived {
                eprintln!("{what} {part}: killed {} times", count - 1);
                assert!(count > 1 || what == "none", "no {what} of {part}");
                break;
            }
        }
    }
    replica.start();
    until("it serves again", || replica.accepts_writes().then_some(()));
    assert_nothing_lost(replica, written);
    assert!(replica.terminate(), "it ends well");
    assert_readable(replica);
}
