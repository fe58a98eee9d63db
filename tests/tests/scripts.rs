//! Every transcript of `tests/scripts` against the bare engine, the engine's log against a stock
//! Redis, and the command table against transcripts and documentation.
//!
//! Two replicas run along: one makes replies, the other only applies. Their digests must never
//! differ. The log they leave is an append-only file, and `redis-server` must make the same keys of
//! it.

use bytes::BytesMut;
use quorate_engine::{
    Applied, Db, Flags, Group, Keyspace, Plan, Reader, Run, RunKind, SealLimits, Sealed, Stamp,
    Waiting, apply, cmd, rehearse, seal,
};
use quorate_resp::{Proto, Value, decode_reply, parse_int, write_command};
use quorate_tests::client::Client;
use quorate_tests::cluster::Scratch;
use quorate_tests::contents;
use quorate_tests::generate::template::Template;
use quorate_tests::redis::Redis;
use quorate_tests::script::{self, Target};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The engine with one client, sealed and applied as a leader and a follower would.
struct Engine {
    leader: Keyspace,
    follower: Keyspace,
    db: Db,
    now_ms: u64,
    index: u64,
    /// All payloads, back to back: an append-only file.
    log: Vec<u8>,
}

impl Engine {
    fn new() -> Self {
        let keyspace = || Keyspace::new([1, 2]);
        Self {
            leader: keyspace(),
            follower: keyspace(),
            db: Db(0),
            now_ms: 1_900_000_000_123,
            index: 0,
            log: Vec::new(),
        }
    }

    /// Removes all that is due.
    fn sweep(&mut self) {
        let stamp = Stamp { now_ms: self.now_ms, seed: 0 };
        let limits = SealLimits { refuse_writes: None, expire_max: usize::MAX };
        let tick = seal(&self.leader, &[], &stamp, &limits);
        self.log(&tick, stamp);
    }

    fn log(&mut self, sealed: &Sealed, stamp: Stamp) -> Vec<bytes::Bytes> {
        self.index += 1;
        let at = Applied { index: self.index, stamp };
        let outcome = apply(&mut self.leader, at, &sealed.payload, Some(&sealed.plan)).unwrap();
        let silent = apply(&mut self.follower, at, &sealed.payload, None).unwrap();
        assert!(silent.replies.is_empty());
        assert_eq!(silent.effects.list, outcome.effects.list);
        assert_eq!(self.leader.digest(), self.follower.digest());
        self.log.extend_from_slice(&sealed.payload);
        // Redis skips what is armoured, so it lacks it.
        let is_armoured =
            |line: &[u8]| [b"#H ", b"#h ", b"#w "].iter().any(|mark| line.starts_with(*mark));
        assert!(sealed.inexact || !sealed.payload.split(|byte| *byte == b'\n').any(is_armoured));
        if sealed.inexact {
            self.rewrite();
        }
        outcome.replies
    }

    /// After a command that Redis cannot replay comes, in a data directory, a new base. Here it is
    /// the whole state once more, behind what stands there already.
    fn rewrite(&mut self) {
        let mut out = BytesMut::new();
        write_command(&mut out, [b"FLUSHALL".as_slice()].into_iter());
        for (db, keys) in (0..16_u8).zip(all_keys(&self.leader)) {
            let number = db.to_string();
            write_command(&mut out, [b"SELECT".as_slice(), number.as_bytes()].into_iter());
            let db = Db(db);
            let reader = Reader { keyspace: &self.leader, db, seed: 0, clock_ms: 0 };
            for (key, (_, deadline)) in &keys {
                let (at, payload) = (deadline.max(&0).to_string(), reader.dump(key).unwrap());
                // Of a hash with deadlines of fields Redis 7.0 takes no payload.
                let payload = match payload.iter().rev().nth(9) {
                    Some(10) => payload,
                    _ => without_deadlines(&self.leader, db, key),
                };
                let parts = [b"RESTORE".as_slice(), key, at.as_bytes(), &payload, b"ABSTTL"];
                write_command(&mut out, parts.into_iter());
            }
        }
        self.log.extend_from_slice(&out);
    }
}

/// The payload of the same hash without deadlines of its fields.
fn without_deadlines(keyspace: &Keyspace, db: Db, key: &[u8]) -> Vec<u8> {
    let mut plain = Engine::new();
    let fields = read(keyspace, db, &[b"HGETALL", key]);
    let fields = fields.as_items().unwrap().iter().filter_map(Value::as_bytes);
    let set = [b"HSET".as_slice(), b"key"].into_iter().chain(fields);
    plain.call(&set.map(<[u8]>::to_vec).collect::<Vec<_>>());
    let reader = Reader { keyspace: &plain.leader, db: Db(0), seed: 0, clock_ms: 0 };
    reader.dump(b"key").unwrap()
}

impl Target for Engine {
    fn call(&mut self, args: &[Vec<u8>]) -> Value {
        if let [name, number] = args
            && name.eq_ignore_ascii_case(b"SELECT")
            && let Some(number @ 0..16) = parse_int(number)
        {
            self.db = Db(number as u8);
            return Value::Simple("OK".into());
        }
        let mut commands = BytesMut::new();
        write_command(&mut commands, args.iter().map(Vec::as_slice));
        let (db, proto) = (self.db, Proto::Resp2);
        let runs =
            [Run { db, proto, commands: commands.freeze(), count: 1, kind: RunKind::Commands }];
        let stamp = Stamp { now_ms: self.now_ms, seed: self.index };
        let limits = SealLimits { refuse_writes: None, expire_max: 0 };
        let mut sealed = seal(&self.leader, &runs, &stamp, &limits);
        // What waits elsewhere is answered at once.
        if sealed.taken == 0 {
            let nobody = &mut Waiting::default();
            sealed = rehearse(&mut self.leader, nobody, &runs, &stamp, &limits).0;
        }
        let replies = if sealed.payload.is_empty() {
            answer(&self.leader, &sealed.plan)
        } else {
            self.log(&sealed, stamp)
        };
        let [reply] = replies.as_slice() else { panic!("one run, {} replies", replies.len()) };
        let (value, used) = decode_reply(reply).unwrap().expect("a whole reply");
        assert_eq!(used, reply.len());
        value
    }

    fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        let stamp = Stamp { now_ms: self.now_ms, seed: 0 };
        let tick = seal(&self.leader, &[], &stamp, &SealLimits::default());
        self.log(&tick, stamp);
    }
}

fn answer(keyspace: &Keyspace, plan: &Plan) -> Vec<bytes::Bytes> {
    plan.answer(keyspace, 7).unwrap()
}

/// Answers a read.
fn read(keyspace: &Keyspace, db: Db, words: &[&[u8]]) -> Value {
    let mut commands = BytesMut::new();
    write_command(&mut commands, words.iter().copied());
    let run = Run {
        db,
        proto: Proto::Resp2,
        commands: commands.freeze(),
        count: 1,
        kind: RunKind::Commands,
    };
    let stamp = Stamp { now_ms: keyspace.now_ms(), seed: 0 };
    let sealed = seal(keyspace, &[run], &stamp, &SealLimits::default());
    assert!(sealed.payload.is_empty());
    decode_reply(&answer(keyspace, &sealed.plan)[0]).unwrap().expect("a whole reply").0
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut found: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|end| end == "txt"));
    found.sort();
    assert!(!found.is_empty());
    found
}

#[test]
fn the_engine_answers_as_the_transcripts_say() {
    let failures: Vec<String> =
        scripts().iter().filter_map(|path| script::check(path, &mut Engine::new()).err()).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Key to what its value shows and deadline in Unix milliseconds, -1 for none.
type Keys = BTreeMap<Vec<u8>, (Vec<Vec<u8>>, i64)>;

/// What each database shows.
fn all_keys(keyspace: &Keyspace) -> Vec<Keys> {
    let of = |db| {
        let reader = Reader { keyspace, db: Db(db), seed: 0, clock_ms: 0 };
        let mut keys = Keys::new();
        reader.keys(&mut |key| {
            let value = contents::value(&mut |words| read(keyspace, Db(db), words), key).unwrap();
            let deadline = reader.deadline_ms(key).flatten().map_or(-1, |at| at as i64);
            keys.insert(key.to_vec(), (value, deadline));
        });
        keys
    };
    (0..16).map(of).collect()
}

/// What a Redis shows of each database, but for the keys that the engine knows to be due: its clock
/// is years ahead.
fn shown_by(redis: &Redis, keyspace: &Keyspace) -> Vec<Keys> {
    let mut client = Client::connect(redis.port, Duration::from_secs(20)).unwrap();
    let of = |db: u8| {
        client.call(&["SELECT", &db.to_string()]).unwrap();
        let listed = client.call(&["KEYS", "*"]).unwrap();
        let mut keys = Keys::new();
        for key in listed.as_items().unwrap().iter().filter_map(Value::as_bytes) {
            if keyspace.is_due(Db(db), key, keyspace.now_ms()) {
                continue;
            }
            let mut ask = |words: &[&[u8]]| {
                let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
                client.call_bytes(&words).unwrap()
            };
            let value = contents::value(&mut ask, key).unwrap();
            keys.insert(key.to_vec(), (value, ask(&[b"PEXPIRETIME", key]).as_int().unwrap()));
        }
        keys
    };
    (0..16).map(of).collect()
}

/// Since every command is in some transcript, this loads the logged form of every row.
#[test]
fn redis_makes_the_same_keys_of_the_log() {
    for path in scripts() {
        let text = std::fs::read_to_string(&path).unwrap();
        // Cut before each line that would empty the database, so that no part's work is lost.
        for part in parts(&text) {
            let mut engine = Engine::new();
            script::run(&part, &mut engine).unwrap();
            engine.sweep();
            let scratch = Scratch::new("logged-form");
            let folder = scratch.path().join("appendonlydir");
            std::fs::create_dir(&folder).unwrap();
            let manifest = "file quorate.aof.1.incr.aof seq 1 type i\n";
            std::fs::write(folder.join("quorate.aof.manifest"), manifest).unwrap();
            std::fs::write(folder.join("quorate.aof.1.incr.aof"), &engine.log).unwrap();
            let redis = Redis::on_our_log(scratch.path());
            let (found, expected) = (shown_by(&redis, &engine.leader), all_keys(&engine.leader));
            for (db, (found, expected)) in found.iter().zip(&expected).enumerate() {
                check_keys(db, found, expected, &format!("{}:\n{part}", path.display()));
            }
        }
    }
}

/// The same keys; a difference is shown short, for a value may have half a gigabyte.
fn check_keys(db: usize, found: &Keys, expected: &Keys, which: &str) {
    let names = |keys: &Keys| keys.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "keys of database {db}, {which}");
    for (key, (value, deadline)) in expected {
        let Some((other, at)) = found.get(key) else { continue };
        let short = |parts: &[Vec<u8>]| {
            let bytes: usize = parts.iter().map(Vec::len).sum();
            let head = parts.iter().map(|part| &part[..part.len().min(99)]).take(20);
            let head: Vec<_> =
                head.map(|part| String::from_utf8_lossy(part).into_owned()).collect();
            (bytes, head)
        };
        let key = String::from_utf8_lossy(key);
        assert_eq!(at, deadline, "deadline of {key} in database {db}, {which}");
        assert!(other == value, "{key}: {:?}, Redis {:?}, {which}", short(value), short(other));
    }
}

/// A script, cut in front of every `FLUSHALL` and `FLUSHDB`.
fn parts(script: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in script.lines() {
        if line.starts_with("> FLUSH") {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts
}

#[test]
fn every_command_is_in_some_transcript() {
    let texts: Vec<String> =
        scripts().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    // What needs an interpreter is in the transcripts of sessions.
    let sessions = Path::new(env!("CARGO_MANIFEST_DIR")).join("sessions/scripts.txt");
    let sessions = std::fs::read_to_string(sessions).unwrap();
    let of_sessions = sessions.lines().filter_map(|line| Some(line.split_once("> ")?.1));
    let used: Vec<String> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.strip_prefix("> "))
        .chain(of_sessions)
        .map(str::to_ascii_uppercase)
        .collect();
    let missing: Vec<&str> = cmd::all()
        .iter()
        .filter(|spec| !spec.meta.flags.has(Flags::INTERNAL))
        .map(|spec| spec.meta.name)
        .filter(|name| {
            let name = name.replace('|', " ");
            let is_call = |line: &String| {
                line.strip_prefix(&name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            };
            !used.iter().any(is_call)
        })
        .collect();
    assert!(missing.is_empty(), "no transcript in tests/scripts calls {missing:?}");
}

/// No matter of data: texts, a test of the machine, and what would empty the tester's databases.
const UNMADE: [&str; 6] =
    ["FLUSHALL", "MEMORY|HELP", "OBJECT|HELP", "PFSELFTEST", "XGROUP|HELP", "XINFO|HELP"];

/// Of commands that the tester's Redis 7.0 knows.
#[test]
fn every_command_has_a_template() {
    let families = quorate_tests::generate::FAMILIES.iter();
    let templates = families.flat_map(|family| family.templates);
    let names: Vec<Vec<String>> = templates.map(|text| Template::new(text).names()).collect();
    let is_made = |name: &str| {
        let words: Vec<&str> = name.split('|').collect();
        names.iter().any(|made| made.iter().map(String::as_str).take(words.len()).eq(words.clone()))
    };
    let is_old = |since: &str| {
        let parts: Vec<u32> = since.split('.').map(|part| part.parse().unwrap()).collect();
        parts < vec![7, 1]
    };
    let public = cmd::all().iter().filter(|spec| !spec.meta.flags.has(Flags::INTERNAL));
    // Scripts have transcripts that Redis answers alike, and `crates/script` compares what its
    // interpreter makes of thousands of expressions.
    let public = public.filter(|spec| spec.meta.group != Group::Scripting);
    let known = public.filter(|spec| is_old(spec.meta.since)).map(|spec| spec.meta.name);
    let missing: Vec<&str> =
        known.filter(|name| !UNMADE.contains(name) && !is_made(name)).collect();
    assert!(missing.is_empty(), "no template in tests/src/generate makes {missing:?}");
}

/// Commands that others are told by or logged as.
const FORMS: [&str; 6] = ["HDEL", "PEXPIREAT", "RESTORE", "SPOP", "SREM", "UNLINK"];
/// Names of commands that are words of something else too.
const WORDS: [&str; 9] =
    ["APPEND", "GET", "INCR", "INCRBY", "KEYS", "PERSIST", "SET", "TTL", "TYPE"];

/// A command is added with its row and function, a transcript and a template: nothing that ships
/// names it outside of its family, so there is no list to add it to.
#[test]
fn a_command_is_named_where_its_row_stands() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut sources = Vec::new();
    for name in ["engine", "consensus", "store", "server", "resp"] {
        read_sources(&crates.join(name).join("src"), &mut sources);
    }
    let row = |name: &str, text: &str| {
        let starts = [
            "Spec::read(",
            "Spec::write(",
            "Spec::waiting(",
            "Spec::script(",
            "Spec::new(",
            "Row::new(",
            "logged(",
        ];
        text.match_indices(&format!("\"{name}\""))
            .any(|(at, _)| starts.iter().any(|start| text[..at].trim_end().ends_with(start)))
    };
    let mut wrong = Vec::new();
    for spec in cmd::all().iter().filter(|spec| !spec.meta.flags.has(Flags::INTERNAL)) {
        let name = spec.meta.name;
        let mut homes = sources.iter().filter(|(_, text)| row(name, text));
        let Some((home, _)) = homes.next() else { panic!("{name} has no row") };
        assert!(homes.next().is_none(), "{name} has two rows");
        let family = home.parent().unwrap();
        let quoted = format!("\"{name}\"");
        let is_named =
            |(path, text): &&(PathBuf, String)| !path.starts_with(family) && text.contains(&quoted);
        if !FORMS.contains(&name) && !WORDS.contains(&name) {
            wrong.extend(sources.iter().filter(is_named).map(|(path, _)| (name, path)));
        }
    }
    assert!(wrong.is_empty(), "named outside of their families: {wrong:?}");
}

/// What ships below a folder: sources without comments, and without tests.
fn read_sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains("test") || name == "sim" {
            continue;
        }
        if path.is_dir() {
            read_sources(&path, found);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.push((path, lines.collect::<Vec<_>>().join("\n")));
        }
    }
}

#[test]
fn the_list_of_commands_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    let listed = std::fs::read_to_string(path).unwrap();
    assert!(listed == cmd::docs_markdown(), "docs/commands.md is stale: run `cargo xtask gen`");
}
