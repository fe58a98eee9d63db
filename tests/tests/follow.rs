//! A stock redis-server follows a node as a replica: that is how a user leaves.
//!
//! It is compared with what the node shows, after commands of all families on many nodes at once, a
//! change of leader, and a snapshot that takes the place of a node's state. CI takes twenty
//! seconds; `QUORATE_FOLLOW_SECONDS=600` is what a release is tested with.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::{Cluster, Replica, Scratch};
use quorate_tests::contents::{Contents, contents, first_difference};
use quorate_tests::generate::{Command, Maker};
use quorate_tests::random::Random;
use quorate_tests::redis::Redis;
use quorate_tests::wait::until;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn seconds() -> u64 {
    std::env::var("QUORATE_FOLLOW_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

fn connect(port: u16) -> Client {
    Client::connect(port, Duration::from_secs(30)).expect("it answers")
}

/// A replica of the node on this port.
fn follower(scratch: &Scratch, port: u16) -> Redis {
    let dir = scratch.path().join(format!("redis-of-{port}"));
    std::fs::create_dir_all(&dir).expect("a directory can be made");
    let master = format!("127.0.0.1 {port}");
    Redis::start(&dir, &["--replicaof", &master, "--repl-diskless-load", "swapdb"])
}

fn log_of(scratch: &Scratch, port: u16) -> String {
    let path = scratch.path().join(format!("redis-of-{port}/redis.log"));
    std::fs::read_to_string(path).unwrap_or_default()
}

fn info(port: u16, field: &str) -> Option<String> {
    Client::connect(port, Duration::from_secs(30)).ok()?.info(field)
}

fn await_link(redis: &Redis) {
    until("the replica's link is up", || {
        (info(redis.port, "master_link_status")? == "up").then_some(())
    });
}

/// What the generated commands leave out: what ends soon, pops, moves and empties. `K` ends the
/// name of a key, `V` is a value, `N` a number, `T` milliseconds, `D` a database.
const HASTY: &[&str] = &[
    "SET K V PX T",
    "SET K V EX 1",
    "PEXPIRE K T",
    "PEXPIRE hash-K T",
    "GETEX K PX T",
    "SPOP set-K",
    "SPOP set-K 3",
    "SADD set-K V N 1 2 3 4 5",
    "HSET hash-K a V b N c 3 d V",
    "HPEXPIRE hash-K T FIELDS 2 a b",
    "HEXPIRE hash-K 100 FIELDS 1 c",
    "HPERSIST hash-K FIELDS 1 a",
    "HSETEX hash-K PX T FIELDS 2 d V e N",
    "HGETEX hash-K PX T FIELDS 1 d",
    "HGETDEL hash-K FIELDS 1 e",
    "HINCRBY hash-K n 1",
    "COPY hash-K hash-N",
    "RENAME hash-K hash-N",
    "RENAME K other-K",
    "MOVE K D",
    "COPY K K DB D REPLACE",
    "SWAPDB D D",
    "XADD log-K * f V",
    "XADD log-K * f V g N",
    "XADD log-K MAXLEN ~ 200 * f V",
    "XADD log-K MAXLEN 150 * f V",
    "XADD log-K IDMPAUTO p * f V",
    "XGROUP CREATE log-K g 0 MKSTREAM",
    "XREADGROUP GROUP g c1 COUNT 5 STREAMS log-K >",
    "XREADGROUP GROUP g c2 COUNT 3 STREAMS log-K >",
    "XREADGROUP GROUP g c1 COUNT 3 STREAMS log-K 0",
    "XREADGROUP GROUP g c3 NOACK COUNT 2 STREAMS log-K >",
    "XAUTOCLAIM log-K g c2 0 - COUNT 4",
    "XTRIM log-K MAXLEN ~ 100 LIMIT 100",
    "INCREX counter-K BYINT 2 PX T",
    "MSETEX 2 K V other-K N PX T",
    "DELEX K IFEQ V",
    "SORT set-K BY nosort ALPHA STORE sorted-K",
    "EVAL nothing 0",
];

/// One of those.
fn hasty(random: &mut Random) -> Command {
    let template = *random.pick(HASTY);
    let mut word = |word: &str| -> String {
        let number = random.below(12);
        match word {
            "V" => "value ".repeat(1 + random.below(12)),
            "N" => number.to_string(),
            "T" => (50 + random.below(3000)).to_string(),
            "D" => random.below(3).to_string(),
            word if word.ends_with('K') => word.replace('K', &format!("key{number}")),
            word if word.ends_with("-N") => word.replace('N', &format!("key{number}")),
            word => word.to_owned(),
        }
    };
    template.split(' ').map(|it| word(it).into_bytes()).collect()
}

/// Sends commands of all families to these nodes until the time is over; how many.
fn load(ports: &[u16], seed: u64, length: Duration) -> u64 {
    let mut maker = Maker::new(seed, None, &|_| true);
    let mut random = Random::new(seed + 1);
    let mut clients: Vec<Client> = ports.iter().map(|&port| connect(port)).collect();
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < length {
        for client in &mut clients {
            let mut batch: Vec<Command> = Vec::new();
            let db = random.below(3).to_string();
            batch.push(vec![b"SELECT".to_vec(), db.into_bytes()]);
            for _ in 0..30 {
                let is_hasty = random.chance(1, 2);
                batch.push(if is_hasty { hasty(&mut random) } else { maker.make() });
            }
            if random.chance(1, 400) {
                let flush = *random.pick(&["FLUSHDB", "FLUSHALL"]);
                batch.push(vec![flush.as_bytes().to_vec()]);
            }
            sent += batch.len() as u64;
            client.pipeline_bytes(&batch).expect("answers");
        }
    }
    sent
}

/// What is pending in the groups of all streams: entry, consumer, how often delivered.
fn pending(port: u16, seen: &Contents) -> Vec<String> {
    let mut client = connect(port);
    let mut all = Vec::new();
    for (db, key) in seen.keys() {
        if !seen[&(*db, key.clone())].0.starts_with("stream ") {
            continue;
        }
        client.call(&["SELECT", &db.to_string()]).expect("an answer");
        let Ok(Value::Array(groups)) = client.call(&["XINFO", "GROUPS", key]) else { continue };
        for group in groups {
            let Value::Array(facts) = group else { panic!("{group:?}") };
            let name = text(&facts[1]).expect("a name");
            let ask = ["XPENDING", key, &name, "-", "+", "100000"];
            let Value::Array(rows) = client.call(&ask).expect("an answer") else { continue };
            for row in rows {
                let Value::Array(row) = row else { panic!("{row:?}") };
                all.push(format!("{db} {key} {name} {:?} {:?} {:?}", row[0], row[1], row[3]));
            }
        }
    }
    all
}

/// Where they differ, in words; `None` if they show the same.
fn difference(node: u16, redis: u16) -> Option<String> {
    let (mine, theirs) = (contents(node), contents(redis));
    if let Some(found) = first_difference(&theirs, &mine) {
        return Some(found);
    }
    let (here, there) = (pending(node, &mine), pending(redis, &mine));
    if let Some((one, other)) = here.iter().zip(&there).find(|(one, other)| one != other) {
        return Some(format!("expected {one}, seen {other}"));
    }
    let sizes = [node, redis].map(|port| connect(port).call(&["DBSIZE"]).expect("an answer"));
    let alike = here.len() == there.len() && sizes[0] == sizes[1];
    (!alike).then(|| format!("{} and {} pending, {sizes:?} keys", here.len(), there.len()))
}

/// Waits until the replica shows what the node shows: all of it.
fn await_equal(node: u16, redis: u16) -> Contents {
    let start = Instant::now();
    while let Some(found) = difference(node, redis) {
        assert!(start.elapsed() < Duration::from_mins(1), "{found}");
    }
    contents(node)
}

/// Every key of it expires by itself, or not at all, while the rest is compared.
fn settle(ports: &[u16]) {
    until("nothing ends soon any more", || {
        let all = contents(ports[0]);
        let Value::Array(time) = connect(ports[0]).call(&["TIME"]).ok()? else { return None };
        let now_ms = text(&time[0])?.parse::<i64>().ok()? * 1000;
        all.values().all(|(_, at)| *at < 0 || *at > now_ms + 20_000).then_some(())
    });
}

/// The figures of the node and those of the replica come to the same bytes and the same entry.
fn check_figures(node: u16, redis: &Redis) {
    until("the replica has acknowledged everything", || {
        let line = info(node, "redis_replica0")?;
        let figure = |name: &str| {
            let (_, rest) = line.split_once(&format!(",{name}="))?;
            rest.split(',').next()?.parse::<u64>().ok()
        };
        let offset: u64 = info(redis.port, "master_repl_offset")?.parse().ok()?;
        (figure("sent")? == figure("acked")? && figure("acked")? == offset).then_some(())
    });
    let shown = until("it is listed as a replica", || {
        let all = connect(node).call(&["INFO", "replication"]).ok()?;
        let all = text(&all)?;
        let port = format!(",port={},", redis.port);
        all.lines().find(|line| line.contains(&port)).map(str::to_owned)
    });
    assert!(shown.contains("ip=127.0.0.1") && shown.contains("state=online"), "{shown}");
    let roles = format!("{:?}", connect(node).call(&["ROLE"]).expect("an answer"));
    let port = format!("{:?}", Value::Bulk(redis.port.to_string().into_bytes()));
    assert!(roles.contains(&port), "{roles}");
    let listed = connect(node).call(&["CLIENT", "LIST", "TYPE", "replica"]).expect("an answer");
    assert!(text(&listed).is_some_and(|list| list.contains(" flags=S ")), "{listed:?}");
}

#[test]
fn redis_follows_a_leader_and_a_follower_through_a_change_of_leader() {
    let mut cluster = Cluster::start("follow", 3, &[]);
    let leader = cluster.leader();
    let ports = cluster.ports();
    let (first, second) = (ports[leader], ports[(leader + 1) % 3]);
    load(&ports, 11, Duration::from_secs(2));
    let replicas = [first, second].map(|port| (port, follower(&cluster.scratch, port)));
    for (_, redis) in &replicas {
        await_link(redis);
    }
    let half = Duration::from_secs(seconds()) / 2;
    let before = load(&ports, 12, half);
    assert!(is_ok(&connect(first).call(&["FAILOVER"]).expect("an answer")));
    until("another leads", || (cluster.leader() != leader).then_some(()));
    cluster.wait_writable();
    let after = load(&ports, 13, half);
    let start = Instant::now();
    settle(&ports);
    let mut keys = 0;
    for (port, redis) in &replicas {
        keys = await_equal(*port, redis.port).len();
        assert_eq!(info(*port, "sync_full").as_deref(), Some("1"), "it followed all the time");
        assert_eq!(info(redis.port, "master_link_status").as_deref(), Some("up"));
        check_figures(*port, redis);
        let said = log_of(&cluster.scratch, *port);
        assert!(!said.contains("CRITICAL"), "{said}");
    }
    let sent = info(first, "redis_replica0").unwrap_or_default();
    eprintln!(
        "{} commands in {} s, {keys} keys equal after {:?}; {sent}",
        before + after,
        seconds(),
        start.elapsed()
    );
    // It leaves: a master of its own, with everything.
    let (port, redis) = &replicas[0];
    let expected = contents(*port);
    assert!(is_ok(&connect(redis.port).call(&["REPLICAOF", "NO", "ONE"]).expect("an answer")));
    assert_eq!(first_difference(&contents(redis.port), &expected), None);
    assert!(is_ok(&connect(redis.port).call(&["SET", "left", "1"]).expect("an answer")));
}

/// A replica that reads only when it is told to.
struct Raw(TcpStream);

impl Raw {
    fn connect(replica: &Replica) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", replica.port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("it can be set");
        Self(stream)
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("the node reads");
    }

    /// A line that is not empty.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") || line == b"\n" {
            if line == b"\n" {
                line.clear();
            }
            line.extend(self.exactly(1));
        }
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        let mut got = vec![0; bytes];
        self.0.read_exact(&mut got).expect("the node sends");
        got
    }

    /// Asks for everything and takes the snapshot.
    fn follow(&mut self) -> String {
        self.send("PSYNC ? -1\r\n");
        let heading = self.line();
        let length = self.line();
        let bytes = length.strip_prefix('$').and_then(|text| text.parse().ok());
        assert!(self.exactly(bytes.expect("a length")).starts_with(b"REDIS"));
        heading
    }

    /// Commands of the stream.
    fn expect(&mut self, commands: &[&[&str]]) {
        for words in commands {
            let mut wanted = bytes::BytesMut::new();
            quorate_resp::write_command(&mut wanted, words.iter().map(|word| word.as_bytes()));
            let got = self.exactly(wanted.len());
            assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&wanted));
        }
    }
}

#[test]
fn acknowledgements_are_not_answered_and_a_ping_comes() {
    let cluster = Cluster::start("follow-acks", 1, &[]);
    let node = &cluster.replicas[0];
    let mut raw = Raw::connect(node);
    raw.send("REPLCONF listening-port 7777 ip-address 127.0.0.9\r\n");
    assert_eq!(raw.line(), "+OK");
    raw.send("REPLCONF rdb-filter-only functions\r\n");
    assert!(raw.line().starts_with("-ERR rdb-filter-only is not supported"));
    raw.send("REPLCONF ACK 0\r\nREPLCONF capa eof capa psync2\r\n");
    assert_eq!(raw.line(), "+OK");
    let first = raw.follow();
    raw.send("REPLCONF ACK 0\r\n\nREPLCONF ACK 0\r\n");
    let mut client = connect(node.port);
    client.call(&["SADD", "s", "one"]).expect("an answer");
    client.call(&["SELECT", "3"]).expect("an answer");
    client.call(&["SET", "k", "v"]).expect("an answer");
    client.call(&["DEL", "nothing"]).expect("an answer");
    client.call(&["LPUSH", "k", "wrong"]).expect("an answer");
    client.call(&["HSET", "h", "a", "1", "b", "2"]).expect("an answer");
    client.call(&["HPEXPIRE", "h", "100000", "FIELDS", "1", "a"]).expect("an answer");
    client.call(&["HGETDEL", "h", "FIELDS", "1", "b"]).expect("an answer");
    client.call(&["SELECT", "0"]).expect("an answer");
    client.call(&["SPOP", "s"]).expect("an answer");
    raw.expect(&[
        &["SELECT", "0"],
        &["SADD", "s", "one"],
        &["SELECT", "3"],
        &["SET", "k", "v"],
        &["SELECT", "3"],
        &["HSET", "h", "a", "1", "b", "2"],
        &["SELECT", "3"],
        &["HDEL", "h", "b"],
        &["SELECT", "0"],
        &["UNLINK", "s"],
        &["PING"],
    ]);
    let line = node.info("redis_replica0").expect("it is listed");
    assert!(line.starts_with("ip=127.0.0.9,port=7777,state=online"), "{line}");
    begin_anew(node, &first);
}

#[test]
fn signs_of_life_come_and_are_expected_as_the_settings_say() {
    let settings = ["--repl-ping-replica-period", "1", "--repl-timeout", "3"];
    let cluster = Cluster::start("follow-silent", 1, &settings);
    let node = &cluster.replicas[0];
    let mut raw = Raw::connect(node);
    raw.follow();
    raw.send("REPLCONF ACK 0\r\n");
    raw.expect(&[&["PING"]]);
    let mut rest = Vec::new();
    assert!(raw.0.read_to_end(&mut rest).is_ok());
    until("its end is logged", || node.output().contains("it was silent for 3 s").then_some(()));
}

/// Somebody who followed comes again, and then a backup client.
fn begin_anew(node: &Replica, first: &str) {
    // Who comes again gets everything anew, under another name.
    let id = first.split(' ').nth(1).expect("an id").to_owned();
    assert_eq!((first.matches(' ').count(), id.len()), (2, 40), "{first}");
    let mut again = Raw::connect(node);
    again.send(&format!("PSYNC {id} 1\r\n"));
    let second = again.line();
    assert!(second.starts_with("+FULLRESYNC ") && !second.contains(&id), "{second}");
    assert_eq!(node.info("sync_partial_err").as_deref(), Some("1"));
    // A backup client is sent the snapshot alone.
    until("one snapshot is sent at a time", || {
        let mut backup = Raw::connect(node);
        backup.send("REPLCONF rdb-only 1\r\nSYNC\r\n");
        assert_eq!(backup.line(), "+OK");
        let length = backup.line();
        let bytes = length.strip_prefix('$').and_then(|text| text.parse().ok())?;
        backup.exactly(bytes);
        backup.send("PING\r\n");
        assert_eq!(backup.line(), "+PONG");
        Some(())
    });
}

#[test]
fn a_replica_that_does_not_read_is_cut_off_at_the_bound() {
    let cluster = Cluster::start("follow-slow", 1, &[]);
    let node = &cluster.replicas[0];
    let mut client = connect(node.port);
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "replica 2mb 0 0"];
    assert!(is_ok(&client.call(&limit).expect("an answer")));
    let mut raw = Raw::connect(node);
    raw.follow();
    let value = "x".repeat(100_000);
    until("it is cut off", || {
        for _ in 0..20 {
            assert!(is_ok(&client.call(&["SET", "k", &value]).ok()?));
            let waiting = node.info("redis_replica0").unwrap_or_default();
            let waiting = waiting.split("waiting=").nth(1).and_then(|text| text.split(',').next());
            let waiting = waiting.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            assert!(waiting <= (2 << 20) + 200_000, "{waiting} bytes wait");
        }
        (node.info("redis_replicas_cut").as_deref() == Some("1")).then_some(())
    });
    assert_eq!(node.info("redis_replicas").as_deref(), Some("0"));
    assert_eq!(node.info("client_output_buffer_limit_disconnections").as_deref(), Some("1"));
    until("it is logged", || {
        node.output().contains("more than 2097152 bytes waited for it").then_some(())
    });
    // What was sent before is whole, and then the connection ends.
    let mut rest = Vec::new();
    assert!(raw.0.read_to_end(&mut rest).is_ok() && !rest.is_empty());
    // It comes again, and has everything.
    let redis = follower(&cluster.scratch, node.port);
    await_link(&redis);
    await_equal(node.port, redis.port);
}

#[test]
fn a_node_that_takes_over_a_snapshot_lets_its_replica_begin_anew() {
    let extra = ["--segment-bytes", "1mb", "--snapshot-log-bytes", "1mb"];
    let mut cluster = Cluster::start("follow-installed", 3, &extra);
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    let port = cluster.replicas[behind].port;
    let redis = follower(&cluster.scratch, port);
    await_link(&redis);
    cluster.replicas[behind].signal(Signal::STOP);
    let stopped_at = cluster.replicas[leader].info("raft_commit_index").expect("it answers");
    let stopped_at: u64 = stopped_at.parse().expect("a number");
    let mut client = cluster.replicas[leader].client().expect("it answers");
    let value = "y".repeat(60_000);
    until("the log is purged beyond the stopped node", || {
        for number in 0..40 {
            let key = format!("fat:{number}");
            client.call(&["SET", &key, &value]).ok()?;
        }
        let _ = client.call(&["BGSAVE"]);
        let purged = cluster.replicas[leader].info("raft_purged_index")?;
        (purged.parse::<u64>().ok()? > stopped_at).then_some(())
    });
    client.call(&["SELECT", "5"]).expect("an answer");
    client.call(&["SET", "after", "all that"]).expect("an answer");
    cluster.replicas[behind].signal(Signal::CONT);
    cluster.wait_writable();
    until("the stream ends with a reason", || {
        let said = cluster.replicas[behind].output();
        said.contains("took over a snapshot of the leader's").then_some(())
    });
    until("the replica is given everything", || {
        let synced: u64 = cluster.replicas[behind].info("sync_full")?.parse().ok()?;
        (synced >= 2).then_some(())
    });
    await_link(&redis);
    let all = await_equal(port, redis.port);
    assert!(all.contains_key(&(5, "after".to_owned())));
}

#[test]
fn functions_alone_are_refused_clearly() {
    let cluster = Cluster::start("follow-functions", 1, &[]);
    let out = cluster.scratch.path().join("functions.rdb");
    let port = cluster.replicas[0].port.to_string();
    let done = std::process::Command::new("redis-cli")
        .args(["-p", &port, "--functions-rdb"])
        .arg(&out)
        .output()
        .expect("redis-cli is installed");
    assert!(!done.status.success());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let said = said + &String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("rdb-filter-only"), "{said}");
}
