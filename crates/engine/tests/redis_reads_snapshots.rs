//! Redis itself judges our snapshots: `redis-check-rdb` passes them, `redis-server` serves the same
//! keys from them, and we read what it saves, however it was told to save. DUMP's payloads go both
//! ways.
//!
//! Needs the tools of Redis 7.0 in the path; without them these tests fail. The server listens on a
//! socket in a directory of its own and is ready when it says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "Redis's own programs are the judge here; the engine under test still sees bytes alone"
)]

use bytes::BytesMut;
use quorate_engine::{
    Applied, Checksum, Db, Deadline, Effects, Keyspace, Reader, Run, RunKind, SealLimits,
    SnapshotFacts, Stamp, Writer, apply, seal,
};
use quorate_resp::{Proto, Value, decode_reply, write_command};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

#[path = "redis_reads_snapshots/oddities.rs"]
mod oddities;
#[path = "redis_reads_snapshots/old_encodings.rs"]
mod old_encodings;
#[path = "redis_reads_snapshots/versions.rs"]
mod versions;

/// Far enough away that no key expires while the test runs.
const FUTURE_MS: u64 = 4_000_000_000_000;

/// A directory that goes with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let unique = format!("quorate-engine-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `redis-server` on `dump.rdb` of a directory.
struct Redis {
    _process: Running,
    replies: BufReader<UnixStream>,
}

impl Redis {
    fn start(dir: &Path, options: &[&str]) -> Self {
        let socket = dir.join("socket");
        let spawned = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--dbfilename", "dump.rdb", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(dir)
            .args(options)
            .stdout(Stdio::piped())
            .spawn();
        let mut process = Running(spawned.expect("redis-server 7.0 must be installed"));
        let log = BufReader::new(process.0.stdout.take().unwrap());
        let mut seen = String::new();
        for line in log.lines().map(Result::unwrap) {
            if line.contains("ready to accept connections") {
                let replies = BufReader::new(UnixStream::connect(socket).unwrap());
                return Self { _process: process, replies };
            }
            writeln!(seen, "{line}").unwrap();
        }
        panic!("redis-server did not start:\n{seen}");
    }

    /// One command, one reply of any kind.
    fn send(&mut self, arguments: &[&[u8]]) -> Value {
        let mut request = BytesMut::new();
        write_command(&mut request, arguments.iter().copied());
        self.replies.get_mut().write_all(&request).unwrap();
        let mut seen = Vec::new();
        loop {
            let more = self.replies.fill_buf().unwrap();
            let count = more.len();
            assert!(count > 0, "Redis has gone");
            seen.extend_from_slice(more);
            self.replies.consume(count);
            if let Some((value, used)) = decode_reply(&seen).unwrap() {
                assert_eq!(used, seen.len());
                return value;
            }
        }
    }

    /// One command, one reply: the bytes of a string, or the line of anything else.
    fn call(&mut self, arguments: &[&[u8]]) -> Option<Vec<u8>> {
        let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            request.extend(format!("${}\r\n", argument.len()).bytes());
            request.extend_from_slice(argument);
            request.extend(b"\r\n");
        }
        self.replies.get_mut().write_all(&request).unwrap();
        let mut line = String::new();
        self.replies.read_line(&mut line).unwrap();
        let line = line.trim_end();
        assert!(!line.starts_with('-'), "{line}");
        let Some(length) = line.strip_prefix('$') else { return Some(line.as_bytes().to_vec()) };
        let length: usize = length.parse().ok()?;
        let mut bytes = vec![0; length + 2];
        self.replies.read_exact(&mut bytes).unwrap();
        bytes.truncate(length);
        Some(bytes)
    }
}

/// Database, key, value, deadline.
type Shape = (u8, Vec<u8>, Vec<u8>, Option<u64>);

/// Key and value of every shape that RDB writes in its own way, with and without a deadline.
fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    let numbers = ["0", "-1", "127", "128", "-129", "32768", "-2147483648", "2147483648", "007"];
    for (db, number) in (0..).zip(numbers) {
        shapes.push((db, format!("{{slot}}{number}").into_bytes(), number.into(), None));
        shapes.push((db, number.into(), format!("value of {number}").into(), Some(FUTURE_MS)));
    }
    for number in ["9223372036854775807", "-9223372036854775808", "9223372036854775808", "-0"] {
        shapes.push((10, number.into(), number.into(), None));
    }
    shapes.push((10, b"all bytes \0\r\n".to_vec(), (0..=255).collect(), Some(FUTURE_MS)));
    let lengths = [0, 1, 44, 45, 63, 64, 16_383, 16_384, 65_536, 65_537, 300_000];
    for (at, length) in lengths.into_iter().enumerate() {
        let key = vec![b'k'; length / 10 + at];
        let bytes: Vec<u8> = (0..length).map(|byte| (byte * 31 / 7) as u8).collect();
        shapes.push((15, [&key[..], b"a"].concat(), bytes, Some(FUTURE_MS + at as u64)));
        shapes.push((15, [&key[..], b"b"].concat(), vec![b'z'; length], None));
    }
    shapes
}

/// An entry with one write.
fn write(keyspace: &mut Keyspace, effects: &mut Effects, db: u8, act: &dyn Fn(&mut Writer<'_>)) {
    let index = keyspace.applied_index() + 1;
    keyspace.begin_entry(index, 1_700_000_000_000);
    let stamp = Stamp { now_ms: keyspace.now_ms(), seed: 0 };
    act(&mut Writer::new(keyspace, Db(db), stamp, index, effects));
}

fn state() -> Keyspace {
    let mut keyspace = Keyspace::new([3, 4]);
    let mut effects = Effects::default();
    let mut write =
        |db: u8, act: &dyn Fn(&mut Writer<'_>)| write(&mut keyspace, &mut effects, db, act);
    for (db, key, value, deadline) in shapes() {
        let deadline = deadline.map_or(Deadline::Clear, Deadline::At);
        write(db, &|writer| writer.set_string(&key, &value, deadline));
    }
    write(0, &|writer| writer.set_string(b"expired", b"1", Deadline::At(1_600_000_000_000)));
    write(0, &|writer| writer.set_string(b"removed", b"1", Deadline::Clear));
    write(0, &|writer| assert!(writer.remove(b"removed")));
    keyspace
}

fn facts() -> SnapshotFacts {
    let fields = [("quorate-last-log-id", "1-2-34"), ("quorate-membership", "[1,2,3]")];
    let owned = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    SnapshotFacts { fields: owned.to_vec() }
}

#[test]
fn redis_serves_what_we_write() {
    let mut file = Vec::new();
    state().write_snapshot(&facts(), &mut |piece| file.extend_from_slice(piece));
    redis_serves("write", &file);
}

/// Keys that are changed meanwhile stand in front, whatever their database.
#[test]
fn redis_serves_what_we_write_while_it_changes() {
    let mut keyspace = state();
    let mut effects = Effects::default();
    let frozen = keyspace.freeze(&facts()).unwrap();
    for (db, key, ..) in shapes().iter().step_by(2) {
        write(&mut keyspace, &mut effects, *db, &|writer| assert!(writer.remove(key)));
    }
    write(&mut keyspace, &mut effects, 0, &|writer| writer.swap_db(Db(3), Db(4)));
    for (db, key, ..) in shapes().iter().skip(1).step_by(4) {
        let changed = |writer: &mut Writer<'_>| writer.set_string(key, b"new", Deadline::Clear);
        write(&mut keyspace, &mut effects, *db, &changed);
    }
    write(&mut keyspace, &mut effects, 0, &|writer| assert!(writer.flush(None) > 0));
    let (mut file, mut checksum, mut done) = (Vec::new(), Checksum::default(), false);
    while !done {
        let step = keyspace.freeze_step(frozen, 10, &mut || false).unwrap();
        for piece in step.pieces {
            piece.write(&mut |bytes| file.extend_from_slice(bytes));
        }
        done = step.done;
    }
    checksum.update(&file);
    file.extend(checksum.finish());
    redis_serves("frozen", &file);
}

fn redis_serves(name: &str, file: &[u8]) {
    let scratch = Scratch::new(name);
    let path = scratch.0.join("dump.rdb");
    std::fs::write(&path, file).unwrap();
    let checked = Command::new("redis-check-rdb").arg(&path).output();
    let checked = checked.expect("redis-check-rdb 7.0 must be installed");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}");
    let deadlines = shapes().iter().filter(|(.., deadline)| deadline.is_some()).count();
    let (keys, deadlines) = (shapes().len() + 1, deadlines + 1);
    for line in [
        "Checksum OK".to_owned(),
        format!("{keys} keys read"),
        format!("{deadlines} expires"),
        "1 already expired".to_owned(),
    ] {
        assert!(said.contains(&line), "{line} is missing from:\n{said}");
    }

    let mut redis = Redis::start(&scratch.0, &[]);
    let mut counts = [0; 16];
    for (db, key, value, deadline) in shapes() {
        redis.call(&[b"SELECT", db.to_string().as_bytes()]);
        assert!(redis.call(&[b"GET", &key]).as_ref() == Some(&value), "{db} {}", key.len());
        let told = redis.call(&[b"PEXPIRETIME", &key]).unwrap();
        let want = deadline.map_or_else(|| ":-1".to_owned(), |at_ms| format!(":{at_ms}"));
        assert_eq!(String::from_utf8_lossy(&told), want);
        counts[usize::from(db)] += 1;
    }
    for (db, count) in counts.into_iter().enumerate() {
        redis.call(&[b"SELECT", db.to_string().as_bytes()]);
        let told = redis.call(&[b"DBSIZE"]).unwrap();
        assert_eq!(String::from_utf8_lossy(&told), format!(":{count}"), "database {db}");
    }
}

#[test]
fn we_read_what_redis_saves() {
    for (name, options) in [
        ("read", &[][..]),
        ("plain", &["--rdbcompression", "no"]),
        ("unchecked", &["--rdbchecksum", "no"]),
    ] {
        let scratch = Scratch::new(name);
        let mut redis = Redis::start(&scratch.0, options);
        for (db, key, value, deadline) in shapes() {
            redis.call(&[b"SELECT", db.to_string().as_bytes()]);
            redis.call(&[b"SET", &key, &value]);
            if let Some(at_ms) = deadline {
                redis.call(&[b"PEXPIREAT", &key, at_ms.to_string().as_bytes()]);
            }
        }
        redis.call(&[b"SAVE"]);
        let file = std::fs::read(scratch.0.join("dump.rdb")).unwrap();
        assert_eq!(file.len() < 600_000, name != "plain", "Redis compresses the long runs");
        assert_eq!(file.ends_with(&[0; 8]), name == "unchecked");
        reads(&file);
    }
}

/// A file holds all shapes and nothing else.
fn reads(file: &[u8]) {
    let (keyspace, facts) = Keyspace::read_snapshot(file).unwrap();
    assert_eq!(facts, SnapshotFacts::default());
    for (db, key, value, deadline) in shapes() {
        let reader = Reader { keyspace: &keyspace, db: Db(db), seed: 0, clock_ms: 0 };
        let string = reader.string(&key).unwrap().unwrap();
        assert!(string.bytes() == value, "{db} {}", key.len());
        assert_eq!(reader.deadline_ms(&key), Some(deadline));
    }
    let kept: u64 = Db::all().map(|db| keyspace.stats(db).0).sum();
    assert_eq!(kept, shapes().len() as u64);
}

/// A stream of every shape: fields that repeat and that do not, deleted entries, many blocks,
/// groups that have read and that have not, pending entries of entries that are gone.
fn stream_commands() -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for number in 1..=350 {
        let seq = if number % 3 == 0 { u64::MAX - number } else { number };
        let extra = if number % 50 == 0 { " other -7" } else { "" };
        lines.push(format!("XADD key {number}-{seq} field value{number}{extra}"));
    }
    lines.push("XADD key 9000-1 blob ".to_owned() + &"x".repeat(5000));
    lines.push("XDEL key 5-5 200-200 201-18446744073709551414".to_owned());
    for group in ["XGROUP CREATE key read 0", "XGROUP CREATE key new $ ENTRIESREAD 7"] {
        lines.push(group.to_owned());
    }
    lines.push("XGROUP CREATECONSUMER key new idle".to_owned());
    lines.push("XREADGROUP GROUP read alice COUNT 100 STREAMS key >".to_owned());
    lines.push("XREADGROUP GROUP read bob COUNT 120 STREAMS key >".to_owned());
    lines.push("XACK key read 1-1 2-2 50-50".to_owned());
    lines.push("XDEL key 7-7".to_owned());
    lines.push("XTRIM key MAXLEN 333".to_owned());
    lines.push("XADD empty MAXLEN 0 1-1 a b".to_owned());
    lines
}

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

const STREAM_VIEWS: [&str; 5] = [
    "XRANGE key - +",
    "XPENDING key read - + 1000",
    "XPENDING key read",
    "XINFO GROUPS key",
    "XINFO STREAM empty",
];

#[test]
fn streams_go_both_ways() {
    for (name, options) in [
        ("default", &[][..]),
        ("tiny", &["--stream-node-max-entries", "2", "--rdbcompression", "no"]),
        ("one", &["--stream-node-max-bytes", "1"]),
        ("huge", &["--stream-node-max-entries", "0", "--stream-node-max-bytes", "0"]),
    ] {
        let scratch = Scratch::new(&format!("streams-{name}"));
        let mut redis = Redis::start(&scratch.0, options);
        for line in stream_commands() {
            redis.send(&words(&line));
        }
        let payload = redis.call(&[b"DUMP", b"key"]).unwrap();
        redis.call(&[b"SAVE"]);
        let file = std::fs::read(scratch.0.join("dump.rdb")).unwrap();
        let (mut read, _) = Keyspace::read_snapshot(&file).unwrap();
        let mut restored = Keyspace::new([0, 0]);
        call(&mut restored, &[b"RESTORE", b"key", b"0", &payload]);
        let (Value::Bulk(ours), Value::Bulk(again)) =
            (call(&mut read, &[b"DUMP", b"key"]), call(&mut restored, &[b"DUMP", b"key"]))
        else {
            panic!("no payload")
        };
        assert!(ours == again);
        // Blocks and all are those of Redis, but for LZF, which we do not write.
        assert!(name != "tiny" || ours == payload);
        let told: Vec<_> = STREAM_VIEWS.iter().map(|view| redis.send(&words(view))).collect();
        redis.call(&[b"RESTORE", b"key", b"0", &ours, b"REPLACE"]);
        let after: Vec<_> = STREAM_VIEWS.iter().map(|view| redis.send(&words(view))).collect();
        for (at, view) in STREAM_VIEWS.iter().enumerate() {
            let here = call(&mut read, &words(view));
            let timeless = !view.ends_with("1000");
            assert!(!timeless || told[at] == after[at], "{view}");
            assert!(!timeless || here == told[at], "{view}: {here:?} {:?}", told[at]);
        }
        // What we make of the same commands is laid out in the same way.
        if name == "default" {
            let mut made = Keyspace::new([0, 0]);
            for line in stream_commands() {
                call(&mut made, &words(&line));
            }
            let nodes = |reply: Value| reply.as_items().unwrap()[..6].to_vec();
            let view = words("XINFO STREAM key");
            assert_eq!(nodes(call(&mut made, &view)), nodes(redis.send(&view)));
        }
    }
}

/// One command, sealed and applied.
fn call(keyspace: &mut Keyspace, command: &[&[u8]]) -> Value {
    let mut commands = BytesMut::new();
    write_command(&mut commands, command.iter().copied());
    let run = Run {
        db: Db(0),
        proto: Proto::Resp2,
        commands: commands.freeze(),
        count: 1,
        kind: RunKind::Commands,
    };
    let stamp = Stamp { now_ms: 1_700_000_000_000, seed: 0 };
    let sealed = seal(keyspace, &[run], &stamp, &SealLimits::default());
    let replies = if sealed.payload.is_empty() {
        sealed.plan.answer(keyspace, 0).unwrap()
    } else {
        let at = Applied { index: keyspace.applied_index() + 1, stamp };
        apply(keyspace, at, &sealed.payload, Some(&sealed.plan)).unwrap().replies
    };
    decode_reply(&replies[0]).unwrap().unwrap().0
}

#[test]
fn payloads_go_both_ways() {
    for compression in ["yes", "no"] {
        let scratch = Scratch::new(&format!("payloads-{compression}"));
        let mut redis = Redis::start(&scratch.0, &["--rdbcompression", compression]);
        let mut keyspace = Keyspace::new([0, 0]);
        for (_, key, value, _) in shapes() {
            redis.call(&[b"SET", b"theirs", &value]);
            let payload = redis.call(&[b"DUMP", b"theirs"]).unwrap();
            let reply = call(&mut keyspace, &[b"RESTORE", &key, b"0", &payload]);
            assert_eq!(reply, Value::Simple("OK".to_owned()));
            assert!(call(&mut keyspace, &[b"GET", &key]) == Value::Bulk(value.clone()));

            let reply = call(&mut keyspace, &[b"DUMP", &key]);
            let Value::Bulk(payload) = reply else { panic!("{reply:?}") };
            redis.call(&[b"RESTORE", b"ours", b"0", &payload, b"REPLACE"]);
            assert!(redis.call(&[b"GET", b"ours"]).as_ref() == Some(&value));
            let encodings = ["theirs", "ours"]
                .map(|key| redis.call(&[b"OBJECT", b"ENCODING", key.as_bytes()]).unwrap());
            assert_eq!(encodings[0], encodings[1]);
            let ours = call(&mut keyspace, &[b"OBJECT", b"ENCODING", &key]);
            assert_eq!(ours, Value::Bulk(encodings[0].clone()));
        }
    }
}

/// A command that makes a sorted set.
fn zadd(members: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut command = vec![b"ZADD".to_vec(), b"zset".to_vec()];
    for (score, member) in members {
        command.push(score.clone().into_bytes());
        command.push(member.clone());
    }
    command
}

/// Scores and members of every shape that RDB writes in its own way. The scores' texts are the same
/// in Redis 7.0 and 7.2.
fn zsets() -> Vec<Vec<(String, Vec<u8>)>> {
    let scores = [
        "0",
        "127",
        "-1",
        "4096",
        "-70000",
        "1e9",
        "0.5",
        "-1234.25",
        "1.2676506002282294e+30",
        "inf",
        "-inf",
    ];
    let each = scores.iter().zip(0..).map(|(score, number)| {
        let member = [&b"member"[..], b"17", b"-3000000000", b"", b"\xff\0"][number % 5];
        ((*score).to_owned(), [member, &vec![b'x'; number / 5 * 40]].concat())
    });
    let many = |count: usize, length: usize| {
        let one = |number: usize| {
            let name = format!("{:0>length$}", number * 7919 % count);
            ((number % 1000).to_string(), name.into_bytes())
        };
        (0..count).map(one).collect()
    };
    vec![
        vec![("1".to_owned(), b"only".to_vec())],
        each.collect(),
        many(128, 4),
        many(129, 4),
        many(100, 65),
        many(20, 5000),
        many(5000, 10),
    ]
}

#[test]
fn sorted_sets_go_both_ways() {
    for (entries, value, compression) in
        [("128", "64", "yes"), ("128", "64", "no"), ("0", "64", "no"), ("100000", "100000", "yes")]
    {
        let scratch = Scratch::new(&format!("zsets-{entries}-{compression}"));
        let options = [
            ("--rdbcompression", compression),
            ("--zset-max-listpack-entries", entries),
            ("--zset-max-listpack-value", value),
        ];
        let options: Vec<&str> = options.iter().flat_map(|(name, value)| [*name, *value]).collect();
        let mut redis = Redis::start(&scratch.0, &options);
        let mut keyspace = Keyspace::new([0, 0]);
        keyspace.set_setting("zset-max-listpack-entries", entries).unwrap();
        keyspace.set_setting("zset-max-listpack-value", value).unwrap();
        for members in zsets() {
            let command = zadd(&members);
            let command: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            redis.call(&[b"DEL", b"zset"]);
            redis.call(&command);
            let theirs = redis.call(&[b"DUMP", b"zset"]).unwrap();
            let reply = call(&mut keyspace, &[b"RESTORE", b"restored", b"0", &theirs, b"REPLACE"]);
            assert_eq!(reply, Value::Simple("OK".to_owned()));
            call(&mut keyspace, &[b"DEL", b"zset"]);
            call(&mut keyspace, &command);
            for key in [&b"restored"[..], b"zset"] {
                let Value::Bulk(ours) = call(&mut keyspace, &[b"DUMP", key]) else { panic!() };
                redis.call(&[b"RESTORE", b"ours", b"0", &ours, b"REPLACE"]);
                assert!(redis.call(&[b"DUMP", b"ours"]).as_ref() == Some(&theirs));
                // Beyond 64 KiB nothing is packed here.
                if ours.len() < 60_000 || entries != "100000" {
                    let encoding = redis.call(&[b"OBJECT", b"ENCODING", b"zset"]).unwrap();
                    let ours = call(&mut keyspace, &[b"OBJECT", b"ENCODING", key]);
                    assert_eq!(ours, Value::Bulk(encoding));
                }
            }
        }
        let (mut file, facts) = (Vec::new(), SnapshotFacts::default());
        keyspace.write_snapshot(&facts, &mut |piece| file.extend_from_slice(piece));
        std::fs::write(scratch.0.join("dump.rdb"), &file).unwrap();
        let checked = Command::new("redis-check-rdb").arg(scratch.0.join("dump.rdb")).output();
        assert!(checked.unwrap().status.success());
        let (read, _) = Keyspace::read_snapshot(&file).unwrap();
        let mut again = Vec::new();
        read.write_snapshot(&facts, &mut |piece| again.extend_from_slice(piece));
        assert!(file == again, "as if it had never stopped");
    }
}

/// Commands that make collections of every size, which both understand.
fn collections() -> Vec<Vec<Vec<u8>>> {
    let numbers =
        ["0", "-1", "127", "40000", "-40000", "3000000000", "-9223372036854775808", "007"];
    let long = |length| vec![b'y'; length];
    let mut commands = Vec::new();
    let mut add = |name: &str, key: &str, elements: Vec<Vec<u8>>| {
        let head = [name, key].map(|word| word.as_bytes().to_vec());
        commands.push(head.into_iter().chain(elements).collect());
    };
    for (name, width) in [("SADD", 1), ("HSET", 2), ("RPUSH", 1)] {
        let text = |number: usize, at: usize| format!("{number} {}", at % width).into_bytes();
        for count in [1, 5, 127, 129, 600, 5000] {
            let texts = (0..count * width).map(|at| text(at / width, at)).collect();
            add(name, &format!("{name} texts {count}"), texts);
            let ints = (0..count * width).map(|at| (at * at).to_string().into_bytes()).collect();
            add(name, &format!("{name} ints {count}"), ints);
        }
        for (at, number) in numbers.iter().enumerate() {
            let numbers = numbers[at..].iter().flat_map(|number| vec![number; width]);
            let numbers = numbers.map(|number| number.as_bytes().to_vec()).collect();
            add(name, &format!("{name} from {number}"), numbers);
        }
        for length in [0, 63, 64, 65, 5000, 70_000, 300_000] {
            add(name, &format!("{name} long {length}"), vec![long(length); width]);
        }
        add(name, &format!("{name} gone"), vec![b"3000000000".to_vec(); width]);
    }
    for (name, key) in [("SREM", "SADD"), ("HDEL", "HSET")] {
        add(name, &format!("{key} from 40000"), vec![b"-9223372036854775808".to_vec()]);
        add(name, &format!("{key} texts 600"), vec![b"3 0".to_vec(), b"77 0".to_vec()]);
        add(name, &format!("{key} gone"), vec![b"3000000000".to_vec()]);
    }
    commands
}

/// What both make of the same commands is the same, whoever reads whose file and payloads.
#[test]
fn collections_go_both_ways() {
    let tiny = ["set-max-intset-entries", "set-max-listpack-entries", "hash-max-listpack-entries"];
    for (name, limit, options) in [
        ("default", None, vec![]),
        ("tiny", Some("2"), vec!["--rdbcompression", "no"]),
        ("huge", Some("100000"), vec![]),
    ] {
        let mut keyspace = Keyspace::new([5, 6]);
        let mut options = [&["--enable-debug-command", "yes"], &options[..]].concat();
        for (limit, name) in
            limit.iter().flat_map(|limit| tiny.iter().map(move |name| (limit, name)))
        {
            keyspace.set_setting(name, limit).unwrap();
            if !name.starts_with("set-max-listpack") {
                options.extend(match *name {
                    "set-max-intset-entries" => ["--set-max-intset-entries", limit],
                    _ => ["--hash-max-listpack-entries", limit],
                });
            }
        }
        let scratch = Scratch::new(&format!("collections-{name}"));
        let mut redis = Redis::start(&scratch.0, &options);
        for command in collections() {
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            redis.call(&words);
            let reply = call(&mut keyspace, &words);
            assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
        }
        let expected = redis.call(&[b"DEBUG", b"DIGEST"]);
        redis.call(&[b"SAVE"]);
        let file = std::fs::read(scratch.0.join("dump.rdb")).unwrap();
        let (theirs, _) = Keyspace::read_snapshot(&file).unwrap();
        let ours = same_when_read(&keyspace);
        for (number, state) in [&ours, &theirs].into_iter().enumerate() {
            let scratch = Scratch::new(&format!("collections-{name}-{number}"));
            let mut file = Vec::new();
            state.write_snapshot(&facts(), &mut |piece| file.extend_from_slice(piece));
            std::fs::write(scratch.0.join("dump.rdb"), file).unwrap();
            let mut other = Redis::start(&scratch.0, &options);
            assert_eq!(other.call(&[b"DEBUG", b"DIGEST"]), expected, "{name} {number}");
        }
        payloads_agree(&mut redis, &keyspace);
        assert_eq!(redis.call(&[b"DEBUG", b"DIGEST"]), expected, "{name}: payloads");
    }
}

/// A state that was written and read once.
fn same_when_read(keyspace: &Keyspace) -> Keyspace {
    let mut file = Vec::new();
    keyspace.write_snapshot(&facts(), &mut |piece| file.extend_from_slice(piece));
    let (read, _) = Keyspace::read_snapshot(&file).unwrap();
    let mut again = Vec::new();
    read.write_snapshot(&facts(), &mut |piece| again.extend_from_slice(piece));
    assert!(again == file, "what is read is what was written");
    read
}

/// Every key's payload goes to Redis in place of its own; Redis's comes here, and stays the same.
fn payloads_agree(redis: &mut Redis, keyspace: &Keyspace) {
    let mut other = same_when_read(keyspace);
    let mut keys = Vec::new();
    let reader = Reader { keyspace, db: Db(0), seed: 0, clock_ms: 0 };
    reader.keys(&mut |key| keys.push(key.to_vec()));
    for key in keys {
        let theirs = redis.call(&[b"DUMP", &key]).unwrap();
        let reply = call(&mut other, &[b"RESTORE", &key, b"0", &theirs, b"REPLACE"]);
        assert_eq!(reply, Value::Simple("OK".to_owned()));
        let there = Reader { keyspace: &other, db: Db(0), seed: 0, clock_ms: 0 };
        assert_eq!(there.encoding(&key), reader.encoding(&key), "{}", key.escape_ascii());
        let ours = reader.dump(&key).unwrap();
        redis.call(&[b"RESTORE", &key, b"0", &ours, b"REPLACE"]);
    }
}
