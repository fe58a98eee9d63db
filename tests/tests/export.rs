//! In and out, with real processes on both sides: export, restore, backup, and `redis-cli --rdb`.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::{Cluster, Scratch, binary};
use quorate_tests::contents::{Contents, contents, first_difference};
use quorate_tests::redis::Redis;
use quorate_tests::shim::Shim;
use quorate_tests::wait::until;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

fn run(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Output {
    Command::new(program).args(args).output().expect("the program is installed")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn quorate(args: &[&str]) -> Output {
    run(binary(), args)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// Strings of many shapes in several databases, some with deadlines.
fn fill(port: u16) {
    let mut client = Client::connect(port, Duration::from_secs(20)).expect("it answers");
    let long = "a long value, compressible ".repeat(4000);
    for db in ["0", "7"] {
        client.call(&["SELECT", db]).expect("an answer");
        for number in 0..300 {
            let key = format!("key:{number}");
            let set = match number % 4 {
                0 => client.call(&["SET", &key, &number.to_string()]),
                1 => client.call(&["SET", &key, &format!("value {number}\r\n\u{1f512}")]),
                2 => client.call(&["SET", &key, "lease", "EX", "100000"]),
                _ => client.call(&["SET", &key, "-9223372036854775808"]),
            };
            assert!(is_ok(&set.expect("an answer")));
        }
        client.call(&["SET", "long", &long]).expect("an answer");
        client.call(&["SETBIT", "bits", "90001", "1"]).expect("an answer");
        client.call(&["APPEND", "key:8", "0"]).expect("an answer");
        client.call(&["DEL", "key:9"]).expect("an answer");
    }
}

/// The append-only file and its snapshots, byte by byte.
fn files(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let listing = std::fs::read_dir(data.join("appendonlydir")).expect("a data directory");
    let paths = listing.map(|item| item.expect("it can be listed").path());
    paths.map(|path| (path.clone(), std::fs::read(path).expect("it can be read"))).collect()
}

/// `redis-check-rdb` passes the file, and `redis-server` shows exactly `expected` from it.
fn check_rdb(file: &Path, expected: &Contents) {
    let checked = run("redis-check-rdb", &[path(file)]);
    assert!(checked.status.success(), "{}", said(&checked));
    let scratch = Scratch::new("loads");
    std::fs::copy(file, scratch.path().join("dump.rdb")).expect("it can be copied");
    let redis = Redis::start(scratch.path(), &[]);
    let seen = contents(redis.port);
    assert_eq!(first_difference(&seen, expected), None);
    assert!(expected.len() > 600, "{}", expected.len());
}

#[test]
fn an_export_is_what_the_node_showed() {
    let mut cluster = Cluster::start("export", 1, &[]);
    let (port, dir) = (cluster.replicas[0].port, cluster.replicas[0].dir.clone());
    fill(port);
    assert!(is_ok(&cluster.replicas[0].client().expect("it answers").call(&["SAVE"]).expect("ok")));
    // Behind the snapshot there is log.
    let mut client = cluster.replicas[0].client().expect("it answers");
    client.call(&["SET", "after", "the snapshot"]).expect("an answer");
    client.call(&["DEL", "key:1"]).expect("an answer");
    let expected = contents(port);
    let out = cluster.scratch.path().join("out.rdb");
    let args = ["export", "--data", path(&dir), "--out", path(&out)];
    let refused = quorate(&args);
    assert!(!refused.status.success() && said(&refused).contains("another process"), "{refused:?}");
    cluster.replicas[0].kill();
    let before = files(&dir);
    let done = quorate(&args);
    assert!(done.status.success(), "{}", said(&done));
    check_rdb(&out, &expected);
    assert!(files(&dir) == before, "an export changes nothing");
    let again = quorate(&args);
    assert!(said(&again).contains("exists already"), "{}", said(&again));
    // The directory is none the worse for it.
    cluster.replicas[0].start();
    cluster.wait_writable();
    let mut seen = contents(port);
    seen.remove(&(0, "harness:probe".to_owned()));
    let mut expected = expected;
    expected.remove(&(0, "harness:probe".to_owned()));
    assert_eq!(first_difference(&seen, &expected), None);
}

#[test]
fn a_cluster_begins_with_a_dump_of_redis() {
    let scratch = Scratch::new("source");
    let redis = Redis::start(scratch.path(), &[]);
    fill(redis.port);
    let mut client = Client::connect(redis.port, Duration::from_secs(20)).expect("it answers");
    assert!(is_ok(&client.call(&["SAVE"]).expect("an answer")));
    let expected = contents(redis.port);
    let dump = scratch.path().join("dump.rdb");
    let mut cluster = Cluster::prepare("restore", 3, &[]);
    // The one whose name sorts first would found a cluster of its own accord; it may not here.
    let names: Vec<u16> = cluster.replicas.iter().map(|replica| replica.peer_port).collect();
    let last = names.iter().max().expect("three").to_owned();
    let restored = names.iter().position(|port| *port == last).expect("it is one of them");
    let dir = cluster.replicas[restored].dir.clone();
    let args = ["restore", "--from", path(&dump), "--data", path(&dir)];
    let done = quorate(&args);
    assert!(done.status.success(), "{}", said(&done));
    let again = quorate(&args);
    assert!(said(&again).contains("holds data already"), "{}", said(&again));
    for at in (0..3).filter(|at| *at != restored) {
        cluster.replicas[at].start();
    }
    for at in (0..3).filter(|at| *at != restored) {
        let waits = || cluster.replicas[at].output().contains("no cluster is founded before");
        until("an empty node waits for the others", || waits().then_some(()));
    }
    cluster.replicas[restored].start();
    until("all three vote", || {
        let voters = cluster.replicas[restored].info("raft_voters")?;
        (voters.split(',').count() == 3).then_some(())
    });
    cluster.wait_agreed();
    for port in cluster.ports() {
        assert_eq!(first_difference(&contents(port), &expected), None, "port {port}");
    }
    cluster.wait_writable();
    cluster.replicas[restored].kill();
    until("the other two go on", || {
        let mut others = cluster.replicas.iter().enumerate().filter(|(at, _)| *at != restored);
        others.all(|(_, replica)| replica.accepts_writes()).then_some(())
    });
}

#[test]
fn a_damaged_or_foreign_file_is_not_restored() {
    let scratch = Scratch::new("bad");
    let redis = Redis::start(scratch.path(), &[]);
    fill(redis.port);
    let mut client = Client::connect(redis.port, Duration::from_secs(20)).expect("it answers");
    assert!(is_ok(&client.call(&["SAVE"]).expect("an answer")));
    let mut bytes = std::fs::read(scratch.path().join("dump.rdb")).expect("it was saved");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let bad = scratch.path().join("bad.rdb");
    std::fs::write(&bad, bytes).expect("it can be written");
    let dir = scratch.path().join("data");
    let done = quorate(&["restore", "--from", path(&bad), "--data", path(&dir)]);
    assert!(!done.status.success());
    assert!(said(&done).contains("bad.rdb"), "{}", said(&done));
    assert!(!dir.join("appendonlydir").exists(), "nothing half made is left");
}

/// What Redis tolerates is mended and named, unless `--strict` is given; what has no place here is
/// left out and named if `--skip-unsupported` is.
#[test]
fn an_odd_file_is_restored_and_what_was_done_is_said() {
    // A sorted set out of order, a list without elements, a string; bytes behind the end.
    let zset: &[u8] = b"\x11\x06orders\x11\x11\0\0\0\x04\0\x81a\x02\x03\x01\x81b\x02\x01\x01\xff";
    let file = |more: &[u8]| {
        let body = [zset, b"\x01\x05empty\0", more, b"\0\x04name\x05value"].concat();
        [b"REDIS0009\xfe\0", &body[..], b"\xff\0\0\0\0\0\0\0\0behind"].concat()
    };
    let library = b"\xf5\x0f#!foo name=one\n";
    let scratch = Scratch::new("odd");
    let (odd, unsupported) = (scratch.path().join("odd.rdb"), scratch.path().join("lib.rdb"));
    std::fs::write(&odd, file(b"")).expect("it can be written");
    std::fs::write(&unsupported, file(library)).expect("it can be written");
    let dir = scratch.path().join("data");
    for (from, more, why) in [
        (&odd, &["--strict"][..], "the key \"orders\": a sorted set is out of order"),
        (&unsupported, &[], "the function library \"one\""),
        (&unsupported, &[], "--skip-unsupported leaves such things out"),
        (&unsupported, &["--strict", "--skip-unsupported"], "the key \"orders\""),
        (&odd, &["--strict", "7"], "'7' is not understood"),
    ] {
        let args = ["restore", "--from", path(from), "--data", path(&dir)];
        let done = quorate(&[&args[..], more].concat());
        assert!(!done.status.success() && said(&done).contains(why), "{more:?}: {}", said(&done));
        assert!(!dir.join("appendonlydir").exists(), "nothing half made is left");
    }
    let mut cluster = Cluster::prepare("odd", 1, &[]);
    let own = cluster.replicas[0].dir.clone();
    let args =
        ["restore", "--skip-unsupported", "--from", path(&unsupported), "--data", path(&own)];
    let done = quorate(&args);
    assert!(done.status.success(), "{}", said(&done));
    for line in [
        "the key \"orders\" of database 0 is mended: a sorted set is out of order",
        "the key \"empty\" of database 0 is left out: it has no elements",
        "left out: the function library \"one\"",
        "1 keys mended, 1 without elements left out, 1 values and data",
        "6 bytes behind the end of the file are ignored",
        ": 2 keys, ",
    ] {
        assert!(said(&done).contains(line), "{line}: {}", said(&done));
    }
    let (odd, other) = (path(&odd), scratch.path().join("other"));
    let done = quorate(&["restore", "--from", odd, "--data", path(&other)]);
    assert!(done.status.success(), "{}", said(&done));
    cluster.replicas[0].start();
    cluster.wait_writable();
    let mut client = cluster.replicas[0].client().expect("it answers");
    let members = client.call(&["ZRANGE", "orders", "0", "-1"]).expect("an answer");
    assert_eq!(members, Value::Array(vec![Value::Bulk(b"b".to_vec()), Value::Bulk(b"a".to_vec())]));
}

#[test]
fn a_running_cluster_is_backed_up() {
    let mut cluster = Cluster::start("backup", 3, &[]);
    let follower = (cluster.leader() + 1) % 3;
    let port = cluster.replicas[follower].port;
    fill(port);
    cluster.wait_agreed();
    let expected = contents(port);
    let number = port.to_string();
    let by_redis = cluster.scratch.path().join("redis-cli.rdb");
    let done = run("redis-cli", &["-h", "127.0.0.1", "-p", &number, "--rdb", path(&by_redis)]);
    assert!(done.status.success(), "{}", said(&done));
    check_rdb(&by_redis, &expected);
    let by_us = cluster.scratch.path().join("quorate.rdb");
    let from = format!("127.0.0.1:{port}");
    let done = quorate(&["backup", "--from", &from, "--out", path(&by_us)]);
    assert!(done.status.success(), "{}", said(&done));
    check_rdb(&by_us, &expected);
    // Only for who may.
    let mut client = cluster.replicas[follower].client().expect("it answers");
    assert!(is_ok(&client.call(&["CONFIG", "SET", "requirepass", "secret"]).expect("an answer")));
    let refused = cluster.scratch.path().join("refused.rdb");
    let args = ["backup", "--from", &from, "--out", path(&refused)];
    let done = quorate(&args);
    assert!(said(&done).contains("NOAUTH"), "{}", said(&done));
    assert!(!refused.exists());
    let done = quorate(&[&args[..], &["--auth", "secret"]].concat());
    assert!(done.status.success(), "{}", said(&done));
    check_rdb(&refused, &expected);
    for replica in &mut cluster.replicas {
        replica.kill();
    }
}

#[test]
fn any_redis_is_backed_up_alike() {
    let scratch = Scratch::new("backup-redis");
    let redis = Redis::start(scratch.path(), &[]);
    fill(redis.port);
    let out = scratch.path().join("out.rdb");
    let from = format!("127.0.0.1:{}", redis.port);
    let done = quorate(&["backup", "--from", &from, "--out", path(&out)]);
    assert!(done.status.success(), "{}", said(&done));
    check_rdb(&out, &contents(redis.port));
}

/// While the state is loaded the node answers, and says so.
#[test]
fn a_node_answers_while_it_loads() {
    let scratch = Scratch::new("loading");
    let redis = Redis::start(scratch.path(), &[]);
    let mut client = Client::connect(redis.port, Duration::from_mins(1)).expect("it answers");
    client.call(&["DEBUG", "POPULATE", "400000", "key", "100"]).expect("an answer");
    assert!(is_ok(&client.call(&["SAVE"]).expect("an answer")));
    let mut cluster = Cluster::prepare("loads", 1, &[]);
    let replica = &mut cluster.replicas[0];
    let dump = scratch.path().join("dump.rdb");
    let done = quorate(&["restore", "--from", path(&dump), "--data", path(&replica.dir)]);
    assert!(done.status.success(), "{}", said(&done));
    replica.start();
    let mut client = until("it listens", || replica.client());
    let (mut refused, mut shown, mut pings) = (0, 0, 0);
    until("the state is loaded", || {
        let ping = client.call(&["PING"]).expect("an answer");
        let waits = matches!(&ping, Value::Error(line) if line.starts_with("LOADING "));
        pings += u32::from(waits);
        assert!(waits || matches!(ping, Value::Simple(_)), "{ping:?}");
        let info = text(&client.call(&["INFO", "persistence"]).expect("an answer"));
        shown += u32::from(info.is_some_and(|info| info.contains("loading:1")));
        match client.call(&["GET", "key:399999"]).expect("an answer") {
            Value::Error(line) => {
                refused += u32::from(line.starts_with("LOADING "));
                None
            }
            value => Some(value),
        }
    });
    assert!(refused > 0 && shown > 0 && pings > 0, "{refused}, {pings} LOADING, {shown} shown");
}

/// From the first moment, before the node knows who it is: while the log is scanned.
#[test]
fn a_node_answers_while_it_scans_its_log() {
    let mut cluster = Cluster::prepare("scans", 1, &["--segment-bytes", "1mb"]);
    let replica = &mut cluster.replicas[0];
    let shim = Shim::attach(replica);
    replica.start();
    until("it takes writes", || replica.accepts_writes().then_some(()));
    let mut client = replica.client().expect("it answers");
    let value = "v".repeat(100_000);
    for number in 0..60 {
        let set = client.call(&["SET", &format!("key:{}", number % 7), &value]);
        assert!(is_ok(&set.expect("an answer")));
    }
    assert!(replica.terminate());
    shim.set("scan_ms", 200);
    replica.start();
    let mut client = until("it listens", || replica.client());
    let mut shown = Vec::new();
    until("the log is scanned", || {
        let refused = client.call(&["GET", "key:1"]).expect("an answer");
        let info = text(&client.call(&["INFO", "everything"]).expect("an answer"))?;
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse::<u64>().ok())
        };
        if field("node_id") != Some(0) {
            return Some(());
        }
        assert!(matches!(&refused, Value::Error(line) if line.starts_with("LOADING ")), "{info}");
        assert_eq!(field("loading"), Some(1), "{info}");
        shown.extend(field("loading_loaded_bytes"));
        None
    });
    shim.clear("scan_ms");
    shown.dedup();
    assert!(shown.len() > 2 && shown.is_sorted(), "progress is seen: {shown:?}");
    until("it serves", || text(&client.call(&["GET", "key:1"]).expect("an answer")));
}
