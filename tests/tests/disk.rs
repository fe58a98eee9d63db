//! Disks that lie, fill up or stop: an acknowledgement is never wrong, and the message says what to
//! do.

use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::{Cluster, Replica};
use quorate_tests::shim::Shim;
use quorate_tests::small_disk::SmallDisk;
use quorate_tests::wait::{until, within};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The segment that was written last, by number.
fn newest_segment(replica: &Replica) -> PathBuf {
    let dir = replica.dir.join("appendonlydir");
    let mut found: Vec<(u64, PathBuf)> = fs::read_dir(&dir)
        .expect("the log's directory is there")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.to_owned();
            let number =
                name.strip_prefix("quorate.aof.")?.strip_suffix(".incr.aof")?.parse().ok()?;
            // The next segment is prepared ahead and holds nothing but filler.
            fs::read(&path).ok()?.windows(5).any(|w| w == b"\r\nSET").then_some(())?;
            Some((number, path))
        })
        .collect();
    found.sort();
    found.pop().expect("a segment with writes").1
}

fn find_last(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).rposition(|w| w == needle).expect("the value is in the log")
}

#[test]
fn a_torn_tail_recovers() {
    let mut cluster = Cluster::start("torn", 1, &[]);
    let mut client = cluster.replicas[0].client().expect("it answers");
    for number in 0..20 {
        assert!(is_ok(
            &client.call(&["SET", &format!("key{number}"), "value"]).expect("an answer")
        ));
    }
    let path = newest_segment(&cluster.replicas[0]);
    let durable = cluster.replicas[0].dir.join("durable");
    let read = |path: &Path| fs::read(path).expect("it can be read");
    let (segment_before, durable_before) = (read(&path), read(&durable));
    assert!(is_ok(&client.call(&["SET", "last", "the-last-value"]).expect("an answer")));
    cluster.replicas[0].kill();
    let (whole, durable_after) = (read(&path), read(&durable));
    let cut = find_last(&whole, b"the-last-value") + 3;
    // What a power cut leaves of an unfinished write: the record's head, what was there before
    // behind it, and the notes of the sync before this one.
    let mut torn = whole.clone();
    let filler = whole.last().copied().expect("not empty");
    assert_eq!(filler, b'\n', "a segment ends with a whole line");
    for byte in torn.iter_mut().skip(cut).take(16) {
        *byte = b'#';
    }
    // With the notes of its own sync it is no torn write, but one that was acknowledged.
    fs::write(&path, &torn).expect("the segment can be written");
    cluster.replicas[0].start();
    assert_eq!(cluster.replicas[0].wait_exit(), Some(1));
    assert!(cluster.replicas[0].output().contains("that was durable is damaged"));
    let foot = torn.len() - 4096;
    torn[foot..].copy_from_slice(&segment_before[foot..]);
    fs::write(&path, &torn).expect("the segment can be written");
    assert_ne!(durable_before, durable_after);
    fs::write(&durable, &durable_before).expect("the note can be written");
    cluster.replicas[0].start();
    cluster.wait_writable();
    let mut client = cluster.replicas[0].client().expect("it answers");
    for number in 0..20 {
        let value = client.call(&["GET", &format!("key{number}")]).expect("an answer");
        assert_eq!(text(&value).as_deref(), Some("value"));
    }
}

#[test]
fn a_flipped_bit_in_an_acknowledged_record_is_refused() {
    let mut cluster = Cluster::start("bitrot", 1, &[]);
    let mut client = cluster.replicas[0].client().expect("it answers");
    assert!(is_ok(&client.call(&["SET", "victim", "acknowledged-value"]).expect("an answer")));
    for number in 0..50 {
        assert!(is_ok(&client.call(&["SET", &format!("key{number}"), "v"]).expect("an answer")));
    }
    cluster.replicas[0].kill();
    let path = newest_segment(&cluster.replicas[0]);
    let mut bytes = fs::read(&path).expect("the segment can be read");
    let at = find_last(&bytes, b"acknowledged-value");
    bytes[at] ^= 0x04;
    fs::write(&path, &bytes).expect("the segment can be written");
    cluster.replicas[0].start();
    let code = cluster.replicas[0].wait_exit();
    assert!(code.is_some_and(|code| code != 0), "it must refuse to start, got {code:?}");
    let said = cluster.replicas[0].output();
    let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
    assert!(said.contains(name), "the message names the file: {said}");
    assert!(said.contains("data directory aside"), "the message says what to do: {said}");
}

#[test]
fn a_failed_fsync_stops_the_process_without_an_acknowledgement() {
    let mut cluster = Cluster::prepare("eio", 1, &[]);
    let shim = Shim::attach(&mut cluster.replicas[0]);
    cluster.replicas[0].start();
    cluster.wait_writable();
    let mut client = cluster.replicas[0].client().expect("it answers");
    assert!(is_ok(&client.call(&["SET", "before", "1"]).expect("an answer")));
    shim.set("fsync_eio", 1);
    let answer = client.call(&["SET", "during", "1"]);
    assert!(
        !matches!(&answer, Ok(value) if is_ok(value)),
        "acknowledged without a sync: {answer:?}"
    );
    let code = cluster.replicas[0].wait_exit();
    assert!(code.is_some_and(|code| code != 0), "it must stop with a failure, got {code:?}");
    shim.clear("fsync_eio");
    cluster.replicas[0].start();
    cluster.wait_writable();
    let mut client = cluster.replicas[0].client().expect("it answers");
    assert_eq!(text(&client.call(&["GET", "before"]).expect("an answer")).as_deref(), Some("1"));
}

#[test]
fn a_slow_disk_and_a_long_command_do_not_cost_the_leader_its_office() {
    let mut cluster = Cluster::prepare("slow", 3, &[]);
    let shims: Vec<_> = cluster.replicas.iter_mut().map(Shim::attach).collect();
    for replica in &mut cluster.replicas {
        replica.start();
    }
    cluster.wait_writable();
    let leader = cluster.leader();
    let term = cluster.replicas[leader].info("raft_term");
    let mut client = cluster.replicas[leader].client().expect("it answers");

    shims[leader].set("fsync_ms", 500);
    for number in 0..4 {
        assert!(is_ok(&client.call(&["SET", &format!("slow{number}"), "v"]).expect("an answer")));
    }
    shims[leader].clear("fsync_ms");

    // Two seconds of work at apply, on every replica: as many turns as this build and machine need.
    let mut spin = |millions: u32| {
        let start = Instant::now();
        let spun = client.call(&["DEBUG", "SPIN", &millions.to_string()]).expect("an answer");
        assert!(is_ok(&spun), "{spun:?}");
        start.elapsed()
    };
    let probe = spin(20).max(Duration::from_millis(1));
    let took = spin((20.0 * 2.2 / probe.as_secs_f64()).clamp(20.0, 50_000.0) as u32);
    eprintln!("the long command took {took:?}");
    assert_eq!(cluster.replicas[leader].info("raft_term"), term, "the leader lost its office");
    assert_eq!(cluster.replicas[leader].info("raft_role").as_deref(), Some("leader"));
    let late = cluster.replicas[leader].info("heartbeat_late_ms_max").expect("a figure");
    eprintln!("heartbeats were at most {late} ms late");
    cluster.wait_agreed();
}

#[test]
fn a_full_disk_refuses_writes_and_recovers() {
    let mut cluster = Cluster::prepare("full", 1, &["--segment-bytes", "4mb"]);
    let disk = SmallDisk::mount(cluster.replicas[0].dir.clone(), 640);
    cluster.replicas[0].start();
    cluster.wait_writable();
    let mut client = cluster.replicas[0].client().expect("it answers");
    assert!(is_ok(&client.call(&["SET", "before", "1"]).expect("an answer")));

    let before = cluster.replicas[0].output().lines().count();
    disk.fill(0);
    let big = "x".repeat(256 << 10);
    let refused = until("a write is refused", || {
        let answer = client.call(&["SET", "big", &big]).expect("the connection stays");
        (!is_ok(&answer)).then_some(answer)
    });
    let said = format!("{refused:?}");
    assert!(said.contains("disk"), "the error names the disk: {said}");
    assert_eq!(text(&client.call(&["GET", "before"]).expect("reads go on")).as_deref(), Some("1"));

    // It is tried again and again, and told once.
    let held = |client: &mut Client| client.info("log_lines_held")?.parse::<u64>().ok();
    let quiet = within(Duration::from_secs(3), || held(&mut client).filter(|held| *held > 30));
    let said = cluster.replicas[0].output();
    let lines = said.lines().skip(before).collect::<Vec<_>>();
    assert!(lines.len() < 12, "{quiet:?} were held back: {lines:#?}");
    assert!(said.contains("the disk is full: writes are refused"), "{said}");

    disk.empty();
    until("writes are accepted again", || {
        is_ok(&client.call(&["SET", "after", "1"]).expect("the connection stays")).then_some(())
    });
    cluster.replicas[0].kill();
    cluster.replicas[0].start();
    cluster.wait_writable();
    let mut client = cluster.replicas[0].client().expect("it answers");
    assert_eq!(text(&client.call(&["GET", "after"]).expect("an answer")).as_deref(), Some("1"));
    cluster.replicas[0].kill();
    drop(disk);
}
