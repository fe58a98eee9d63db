//! The figures of INFO: what Redis 7.0.15 and its exporter for Prometheus know, we have as well.

use quorate_resp::Value;
use quorate_tests::client::{Client, text};
use quorate_tests::cluster::Cluster;
use quorate_tests::port::free_port;
use quorate_tests::redis::Redis;
use quorate_tests::wait::until;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What only a program like Redis has.
const NOT_OURS: &[(&str, &str)] = &[
    ("atomicvar_api", "how C counts"),
    ("gcc_version", "no C compiler"),
    ("reply_buffer_expands", "replies have no buffer of a fixed size"),
    ("reply_buffer_shrinks", "replies have no buffer of a fixed size"),
];

/// Used a little, so that what is only there after use is there.
fn use_it(client: &mut Client) {
    for words in [
        &["SET", "key", "value"][..],
        &["SET", "passing", "value", "EX", "1000"],
        &["GET", "key"],
        &["LPUSH", "key", "1"],
        &["CONFIG", "SET", "slowlog-log-slower-than", "0"],
    ] {
        client.call(words).expect("the connection stays");
    }
}

fn names(client: &mut Client) -> BTreeSet<String> {
    let info = client.call(&["INFO", "everything"]).expect("an answer");
    let info = text(&info).expect("text");
    let name = |line: &str| Some(line.split_once(':')?.0.to_owned());
    // One for each command or error that there was.
    let counted = ["cmdstat_", "latency_percentiles_", "errorstat_"];
    let is_fixed = |name: &String| !counted.iter().any(|prefix| name.starts_with(prefix));
    let lines = info.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(name).filter(is_fixed).collect()
}

#[test]
fn no_figure_of_redis_is_missing() {
    let cluster = Cluster::start("figures", 1, &[]);
    let redis = Redis::start(&cluster.replicas[0].dir, &[]);
    let mut theirs = Client::connect(redis.port, Duration::from_secs(5)).expect("it listens");
    let mut ours = cluster.replicas[0].client().expect("it answers");
    use_it(&mut theirs);
    use_it(&mut ours);
    let (theirs, ours) = (names(&mut theirs), names(&mut ours));
    let missing: Vec<&String> = theirs.difference(&ours).collect();
    let reasons: Vec<&str> = NOT_OURS.iter().map(|(name, _)| *name).collect();
    assert_eq!(missing, reasons);
}

/// Whoever has an answer to a write finds it in the figures of the same node, whoever leads.
#[test]
fn a_follower_shows_its_clients_writes() {
    let cluster = Cluster::start("shows", 3, &[]);
    let follower = (cluster.leader() + 1) % 3;
    let mut client = cluster.replicas[follower].client().expect("it answers");
    let mut keys = || {
        let info = client.call(&["INFO", "keyspace"]).expect("an answer");
        let line = text(&info).expect("text");
        let count = line.split_once("db5:keys=").map_or("0", |(_, rest)| rest);
        let count = count.split(',').next().unwrap_or_default().to_owned();
        count.parse::<usize>().expect("a number")
    };
    assert_eq!(keys(), 0);
    let mut writer = cluster.replicas[follower].client().expect("it answers");
    writer.call(&["SELECT", "5"]).expect("an answer");
    for number in 1..=200 {
        writer.call(&["SET", &format!("key{number}"), "1"]).expect("an answer");
        assert_eq!(keys(), number);
    }
}

#[test]
fn memory_adds_up() {
    let cluster = Cluster::start("memory", 1, &[]);
    let replica = &cluster.replicas[0];
    let mut client = replica.client().expect("it answers");
    let figure = |name: &str| -> f64 {
        replica.info(name).and_then(|figure| figure.parse().ok()).expect("a number")
    };
    // An empty node is not a fragmented one.
    let ratio = figure("mem_fragmentation_ratio");
    assert!((0.5..3.0).contains(&ratio), "{ratio}");
    let before = figure("used_memory");
    let value = "x".repeat(1 << 20);
    for number in 0..16 {
        client.call(&["SET", &format!("key{number}"), &value]).expect("an answer");
    }
    let (used, data) = (figure("used_memory"), figure("used_memory_dataset"));
    assert!(data >= f64::from(16 << 20) && used >= before + f64::from(16 << 20), "{used} {data}");
    assert!(figure("used_memory_peak") >= used);
    let stats = client.call(&["MEMORY", "STATS"]).expect("an answer");
    let Value::Array(stats) = stats else { panic!("{stats:?}") };
    let at = |name: &str| {
        let found = stats.chunks(2).find(|pair| text(&pair[0]).as_deref() == Some(name));
        let Some(Value::Int(bytes)) = found.map(|pair| &pair[1]) else { panic!("no {name}") };
        *bytes
    };
    let keys = client.call(&["DBSIZE"]).expect("an answer");
    assert_eq!(Value::Int(at("keys.count")), keys);
    assert_eq!(at("total.allocated"), at("overhead.total") + at("dataset.bytes"));
}

/// Debian's exporter beside a server; ended when dropped.
struct Exporter(Child, u16);

impl Exporter {
    fn beside(port: u16) -> Self {
        let listen = free_port();
        let child = Command::new("prometheus-redis-exporter")
            .args(["-redis.addr", &format!("redis://127.0.0.1:{port}")])
            .args(["-web.listen-address", &format!("127.0.0.1:{listen}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-redis-exporter is installed");
        Self(child, listen)
    }

    /// Names of what it shows, with what it could not read.
    fn metrics(&self) -> BTreeSet<String> {
        let shown = until("the exporter answers", || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.1)).ok()?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
            let mut page = String::new();
            stream.read_to_string(&mut page).ok()?;
            page.contains("redis_up 1").then_some(page)
        });
        let name = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
        shown.lines().filter(|line| line.starts_with("redis_")).map(name).collect()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_exporter_misses_nothing() {
    let cluster = Cluster::start("exporter", 1, &[]);
    let redis = Redis::start(&cluster.replicas[0].dir, &[]);
    let mut theirs = Client::connect(redis.port, Duration::from_secs(5)).expect("it listens");
    let mut ours = cluster.replicas[0].client().expect("it answers");
    use_it(&mut theirs);
    use_it(&mut ours);
    let beside_redis = Exporter::beside(redis.port).metrics();
    let beside_us = Exporter::beside(cluster.replicas[0].port).metrics();
    let missing: Vec<&String> = beside_redis.difference(&beside_us).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(beside_redis.len() > 100, "{beside_redis:?}");
}
