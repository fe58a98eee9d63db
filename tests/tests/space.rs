//! Small disks: what the log takes at rest is bounded, a disk that the log filled is freed by a
//! snapshot, and a node on a full disk starts and serves.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::{Cluster, Replica};
use quorate_tests::small_disk::{SmallDisk, bytes_on_disk};
use quorate_tests::wait::until;

const MIB: u64 = 1 << 20;

/// A node alone on a disk of its own.
fn on_small_disk(name: &str, mebibytes: u32) -> (Cluster, SmallDisk) {
    let mut cluster = Cluster::prepare(name, 1, &[]);
    let disk = SmallDisk::mount(cluster.replicas[0].dir.clone(), mebibytes);
    cluster.replicas[0].start();
    cluster.wait_writable();
    (cluster, disk)
}

fn client(cluster: &Cluster) -> Client {
    cluster.replicas[0].client().expect("it answers")
}

fn call(client: &mut Client, words: &[&str]) -> Value {
    client.call(words).expect("the connection stays")
}

fn log_bytes(replica: &Replica) -> u64 {
    let figure = replica.info("log_disk_bytes").expect("a figure");
    figure.parse().expect("a number")
}

/// Bytes that snapshots take of the disk, unfinished ones included.
fn snapshot_bytes(replica: &Replica) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = std::fs::read_dir(replica.dir.join("appendonlydir")).expect("it is there");
    let is_snapshot =
        |file: &std::fs::DirEntry| file.file_name().to_string_lossy().contains("base");
    let bytes = |file: std::fs::DirEntry| file.metadata().map_or(0, |facts| facts.blocks() * 512);
    files.flatten().filter(is_snapshot).map(bytes).sum()
}

/// Asks for a snapshot and waits until it is there.
fn save(client: &mut Client, replica: &Replica) {
    let said = until("a snapshot begins", || {
        let said = call(client, &["BGSAVE"]);
        text(&said).filter(|said| said.contains("started"))
    });
    assert!(said.contains("started"));
    until("it is done", || (replica.info("rdb_bgsave_in_progress")? == "0").then_some(()));
    assert_eq!(replica.info("rdb_last_bgsave_status").as_deref(), Some("ok"));
}

#[test]
fn snapshots_do_not_fill_the_disk() {
    let (mut cluster, disk) = on_small_disk("saves", 300);
    let mut one = client(&cluster);
    for number in 0..31 {
        assert!(is_ok(&call(&mut one, &["SET", "key", &number.to_string()])));
        save(&mut one, &cluster.replicas[0]);
    }
    // 37 MiB between two snapshots, of which a quarter may stay, and two segments of 4 MiB at most.
    let most = (37 / 4 + 2 * 4) * MIB;
    until("what is not needed any more goes", || {
        (log_bytes(&cluster.replicas[0]) <= most).then_some(())
    });
    // The files of what was purged are removed behind that. Snapshots, `spare` and others besides.
    until("the files go as well", || {
        (bytes_on_disk(&cluster.replicas[0].dir) <= most + 5 * MIB).then_some(())
    });
    cluster.replicas[0].kill();
    cluster.replicas[0].start();
    cluster.wait_writable();
    let value = call(&mut client(&cluster), &["GET", "key"]);
    assert_eq!(text(&value).as_deref(), Some("30"));
    cluster.replicas[0].kill();
    drop(disk);
}

#[test]
fn a_disk_that_the_log_fills_is_freed_by_a_snapshot() {
    let (mut cluster, disk) = on_small_disk("log-fills", 300);
    // Reserve and a little: less than the log would take before its next snapshot.
    disk.fill(60 * MIB);
    let mut one = client(&cluster);
    let value = "x".repeat(256 << 10);
    let mut refused = 0;
    for number in 0..800 {
        let key = format!("key{}", number % 4);
        // 200 MiB in all. What is refused for a moment is accepted again without anybody's help.
        until("the write is accepted", || {
            let answer = call(&mut one, &["SET", &key, &value]);
            refused += u32::from(!is_ok(&answer));
            is_ok(&answer).then_some(())
        });
    }
    eprintln!("{refused} writes were refused for a moment");
    cluster.replicas[0].kill();
    cluster.replicas[0].start();
    cluster.wait_writable();
    let found = call(&mut client(&cluster), &["STRLEN", "key3"]);
    assert_eq!(found, Value::Int(256 << 10));
    cluster.replicas[0].kill();
    drop(disk);
}

#[test]
fn a_node_on_a_full_disk_starts_serves_and_recovers() {
    let (mut cluster, disk) = on_small_disk("starts-full", 300);
    let mut one = client(&cluster);
    assert!(is_ok(&call(&mut one, &["SET", "before", "1"])));
    cluster.replicas[0].kill();
    disk.fill(0);
    assert!(disk.free() < 64 << 10);
    cluster.replicas[0].start();
    let mut one = until("it answers", || {
        let mut one = cluster.replicas[0].client()?;
        let value = one.call(&["GET", "before"]).ok()?;
        (text(&value).as_deref() == Some("1")).then_some(one)
    });
    let refused = format!("{:?}", call(&mut one, &["SET", "key", "1"]));
    assert!(refused.contains("MISCONF") && refused.contains("disk"), "{refused}");
    disk.empty();
    until("writes are accepted again", || {
        is_ok(&call(&mut one, &["SET", "after", "1"])).then_some(())
    });
    cluster.replicas[0].kill();
    drop(disk);
}

#[test]
fn large_values_do_not_pass_the_reserve() {
    let (mut cluster, disk) = on_small_disk("reserve", 300);
    let mut one = client(&cluster);
    disk.fill(50 * MIB);
    let value = "x".repeat(4 << 20);
    let mut accepted = 0;
    for number in 0..64 {
        let key = format!("key{number}");
        accepted += u32::from(is_ok(&call(&mut one, &["SET", &key, &value])));
    }
    // Some fit; the reserve stays, but for what was made ready before.
    assert!(accepted < 16, "{accepted}");
    // A snapshot that lets the log be purged may take some of it: at once it is counted out,
    let snapshots = snapshot_bytes(&cluster.replicas[0]);
    assert!(disk.free() + snapshots > 24 * MIB, "{} {snapshots}", disk.free());
    // and in the end nothing is.
    until("the log is purged behind it", || (disk.free() > 24 * MIB).then_some(()));
    cluster.replicas[0].kill();
    drop(disk);
}

#[test]
fn a_leader_with_a_full_disk_hands_over() {
    let mut cluster = Cluster::prepare("leaves", 3, &[]);
    let disks: Vec<_> =
        cluster.replicas.iter().map(|it| SmallDisk::mount(it.dir.clone(), 300)).collect();
    for replica in &mut cluster.replicas {
        replica.start();
    }
    cluster.wait_writable();
    let before = cluster.leader();
    let mut one = cluster.replicas[before].client().expect("it answers");
    assert!(is_ok(&call(&mut one, &["SET", "key", "1"])));
    disks[before].fill(10 * MIB);
    until("another one leads", || {
        assert!(is_ok(&call(&mut one, &["SET", "key", "2"])), "nothing is refused");
        let role = cluster.replicas[before].info("raft_role")?;
        (role == "follower").then_some(())
    });
    assert!(is_ok(&call(&mut one, &["SET", "key", "3"])));
    for replica in &mut cluster.replicas {
        replica.kill();
    }
    drop(disks);
}
