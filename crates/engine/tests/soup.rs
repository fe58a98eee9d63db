//! Properties of sealing and applying, on a soup of commands, options and edge numbers.
//!
//! Whatever clients send, nothing panics, every command has one reply, replicas agree, an expired
//! key is never seen, and the log alone, read by something that never expires a key (Redis while it
//! loads), gives the same keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, with the place"
)]

#[path = "soup/told.rs"]
mod told;
#[path = "soup/waiting.rs"]
mod waiting;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use quorate_engine::{
    Applied, Content, ContentPoint, Db, Decoded, Flags, Guard, Keyspace, Reader, Registration, Run,
    RunKind, SealLimits, Sealed, SnapshotFacts, Stamp, Waiting, apply, apply_told, cmd, decode,
    read, rehearse, seal, seal_beside,
};
use quorate_resp::{Limits, Parser, Proto, decode_reply, write_command};

const NOW: u64 = 1_900_000_000_000;
/// Few databases and keys, so that commands meet.
const DBS: [&str; 3] = ["0", "1", "2"];
const KEYS: [&str; 5] = ["a", "b", "{t}c", "", "k\r\n\u{1}"];
const WORDS: [&str; 40] = [
    "NX",
    "XX",
    "GT",
    "LT",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "KEEPTTL",
    "GET",
    "REPLACE",
    "DB",
    "MATCH",
    "COUNT",
    "TYPE",
    "ASYNC",
    "SYNC",
    "PERSIST",
    "BIT",
    "BYTE",
    "AND",
    "NOT",
    "OVERFLOW",
    "SAT",
    "FAIL",
    "INCRBY",
    "SET",
    "u8",
    "i64",
    "#1",
    "IDX",
    "LEN",
    "WITHMATCHLEN",
    "MINMATCHLEN",
    "IFEQ",
    "SAMPLES",
    "string",
    "*",
    "[^a",
    "",
];
const NUMBERS: [&str; 22] = [
    "0",
    "1",
    "-1",
    "2",
    "7",
    "8",
    "10",
    "15",
    "16",
    "63",
    "64",
    "100",
    "4294967295",
    "4294967296",
    "-9223372036854775808",
    "9223372036854775807",
    "9223372036854775808",
    "1.5",
    "nan",
    "1900000000",
    "1900000000050",
    "3e-7",
];
/// What real clients send: `K` a key, `N` a number, `D` a database, `V` any text, `M` milliseconds,
/// `A` a time, `P` a payload of DUMP.
const TEMPLATES: [&str; 169] = [
    "XADD K MAXLEN ~ N LIMIT 1 * f N",
    "XADD K MAXLEN 2 DELREF * f N",
    "XADD K MINID A ACKED * f N",
    "XADD K IDMP p V * f N",
    "XADD K IDMPAUTO p * f N",
    "XTRIM K MAXLEN N DELREF",
    "XTRIM K MAXLEN 1 ACKED",
    "XTRIM K MAXLEN ~ 1 LIMIT 2",
    "XDELEX K DELREF IDS 2 5-0 5-1",
    "XDELEX K ACKED IDS 2 5-0 A",
    "XACKDEL K g DELREF IDS 2 5-0 5-1",
    "XACKDEL K g KEEPREF IDS 1 5-0",
    "XCFGSET K IDMP-DURATION 60",
    "DELEX K IFEQ V",
    "SET K V IFEQ V PX M",
    "MSETEX 2 K V K V PX M",
    "INCREX K BYINT N PX M",
    "GEOADD K 13.361389 38.115556 1 15.087269 37.502669 V",
    "GEOSEARCHSTORE K K FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST",
    "GEORADIUS K 15 37 200 km STORE K",
    "PFADD K V N",
    "PFMERGE K K",
    "RPUSH K K K",
    "SORT K ALPHA DESC GET *",
    "SORT K ALPHA LIMIT N N STORE K",
    "SORT K BY * GET # GET * STORE K",
    "SORT K BY * ALPHA STORE K",
    "SORT K BY nosort STORE K",
    "SADD K V V N",
    "SADD K N N N",
    "SADD K 1 2 3",
    "SREM K V 2",
    "SPOP K",
    "SPOP K N",
    "SRANDMEMBER K N",
    "SMOVE K K 2",
    "SINTERSTORE K K K",
    "SUNIONSTORE K K K",
    "SDIFFSTORE K K K",
    "SINTERCARD 2 K K LIMIT 1",
    "SSCAN K 0 COUNT 1",
    "HSET K V V N N",
    "HSET K 1 N",
    "HSETNX K 1 V",
    "HDEL K 1 V",
    "HINCRBY K 1 N",
    "HINCRBYFLOAT K 1 1.5",
    "HRANDFIELD K N WITHVALUES",
    "HGETALL K",
    "HSCAN K 0 NOVALUES",
    "HEXPIRE K N FIELDS 1 1",
    "HPEXPIRE K M FIELDS 2 1 V",
    "HPEXPIRE K M GT FIELDS 1 1",
    "HPEXPIREAT K A NX FIELDS 2 1 V",
    "HPTTL K FIELDS 2 1 V",
    "HPERSIST K FIELDS 1 1",
    "HGETEX K PX M FIELDS 2 1 N",
    "HGETEX K PERSIST FIELDS 1 1",
    "HSETEX K PX M FIELDS 2 1 N V V",
    "HSETEX K FXX KEEPTTL FIELDS 1 1 V",
    "HSETEX K FNX PXAT A FIELDS 1 N V",
    "HGETDEL K FIELDS 2 1 V",
    "HLEN K",
    "RPUSH K V V V",
    "LPUSH K N V",
    "LPOP K N",
    "LMOVE K K LEFT RIGHT",
    "RPOPLPUSH K K",
    "LMPOP 2 K K RIGHT COUNT N",
    "LPOS K V RANK N COUNT N MAXLEN N",
    "LINSERT K BEFORE V V",
    "LREM K N V",
    "LTRIM K N N",
    "LSET K N V",
    "ZADD K N V N K 3 three",
    "ZADD K INCR N K",
    "ZADD K GT CH N V 1 K",
    "ZINCRBY K N V",
    "ZREM K V K",
    "ZRANGE K N N BYSCORE REV LIMIT N N WITHSCORES",
    "ZRANGE K - + BYLEX LIMIT N N",
    "ZRANGESTORE K K N N REV",
    "ZREMRANGEBYRANK K N N",
    "ZREMRANGEBYSCORE K N N",
    "ZREMRANGEBYLEX K [a +",
    "ZPOPMIN K N",
    "ZMPOP 2 K K MAX COUNT N",
    "ZUNIONSTORE K 2 K K WEIGHTS N N",
    "ZINTERSTORE K 2 K K AGGREGATE MIN",
    "ZDIFFSTORE K 2 K K",
    "ZSCAN K 0 COUNT N",
    "ZRANDMEMBER K N WITHSCORES",
    "XADD K * V N",
    "XADD K 5-* V N",
    "XADD K A f V",
    "XADD K NOMKSTREAM * f V g N",
    "XADD K MAXLEN ~ N * f N",
    "XADD K MINID A * f N",
    "XDEL K 5-0 5-1",
    "XDEL K A A",
    "XTRIM K MAXLEN N",
    "XTRIM K MINID ~ A LIMIT N",
    "XSETID K A",
    "XLEN K",
    "XRANGE K - + COUNT N",
    "XREVRANGE K + (5-0 COUNT N",
    "XREAD COUNT N STREAMS K K 0 5",
    "XGROUP CREATE K g 0 MKSTREAM",
    "XGROUP CREATE K h $",
    "XGROUP SETID K g A ENTRIESREAD N",
    "XGROUP CREATECONSUMER K g N",
    "XGROUP DELCONSUMER K g c",
    "XGROUP DESTROY K g",
    "XREADGROUP GROUP g c COUNT 2 STREAMS K >",
    "XREADGROUP GROUP g N STREAMS K K > 0",
    "XREADGROUP GROUP g c NOACK STREAMS K >",
    "XACK K g 5-0 5-1 A",
    "XCLAIM K g d 0 5-0 5-1 JUSTID",
    "XCLAIM K g d N A IDLE M RETRYCOUNT N FORCE",
    "XAUTOCLAIM K g d M - COUNT 2",
    "XPENDING K g",
    "XPENDING K g IDLE M - + N c",
    "XINFO STREAM K FULL",
    "XINFO CONSUMERS K g",
    "DUMP K",
    "RESTORE K 0 P",
    "RESTORE K M P REPLACE",
    "RESTORE K A P ABSTTL REPLACE",
    "RESTORE K M P",
    "SET K V",
    "SET K V PX M",
    "SET K V PX M NX",
    "SET K V KEEPTTL",
    "SET K V PXAT A",
    "SET K N",
    "SETEX K N V",
    "SETNX K V",
    "GET K",
    "GETEX K PX M",
    "GETEX K PXAT A",
    "GETDEL K",
    "APPEND K V",
    "INCR K",
    "INCRBYFLOAT K 1.5",
    "MSET K V K V",
    "MSETNX K V K V",
    "SETRANGE K 3 V",
    "SETBIT K 77 1",
    "BITOP OR K K K",
    "DEL K K",
    "UNLINK K",
    "EXISTS K K",
    "TYPE K",
    "RENAME K K",
    "RENAMENX K K",
    "COPY K K",
    "COPY K K DB D REPLACE",
    "MOVE K D",
    "SWAPDB D D",
    "FLUSHDB",
    "EXPIRE K N",
    "PEXPIRE K M",
    "PEXPIRE K M NX",
    "PEXPIRE K M GT",
    "PEXPIREAT K A",
    "PEXPIREAT K A LT",
    "PERSIST K",
    "SCAN 0 COUNT 3",
    "RANDOMKEY",
];

/// `hello`, 10, eighteen times `a` (compressed, of version 12, which the log must not keep), and
/// one whose checksum is wrong.
const PAYLOADS: [&[u8]; 4] = [
    b"\x00\x05hello\x0a\x00cr\xdfve4 \x0a",
    b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb",
    b"\x00\xc3\x05\x12\x00a\xe0\x08\x00\x0c\x00\x9dB'\xb4;\x91\xfd\xf8",
    b"\x00\xc0\x05\n\x00n\x9fWE\x0e\xaec\xbb",
];

type Command = Vec<Vec<u8>>;

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(from).prop_map(|text| text.as_bytes().to_vec())
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        pick(&KEYS),
        pick(&WORDS),
        pick(&NUMBERS),
        prop::collection::vec(any::<u8>(), 0..70),
    ]
}

/// Any command's name with any arguments.
fn soup() -> impl Strategy<Value = Command> {
    let names: Vec<&str> = cmd::all()
        .iter()
        .filter(|spec| !spec.meta.flags.has(Flags::INTERNAL))
        .map(|spec| spec.meta.name)
        .collect();
    let name = prop::sample::select(names);
    (name, prop::collection::vec(text(), 0..7)).prop_map(|(name, args)| {
        let words = name.split('|').map(|word| word.as_bytes().to_vec());
        words.chain(args).collect()
    })
}

/// A command that is probably right.
fn sensible() -> impl Strategy<Value = Command> {
    prop_oneof![12 => filled(&TEMPLATES), 1 => filled(&waiting::TEMPLATES)]
}

/// A command of one of these forms.
fn filled(templates: &'static [&'static str]) -> impl Strategy<Value = Command> {
    let slots = prop::collection::vec(any::<u16>(), 8);
    (prop::sample::select(templates), slots, prop::collection::vec(any::<u8>(), 0..70)).prop_map(
        |(template, slots, value)| {
            let mut slots = slots.into_iter().map(usize::from);
            let fill = |word: &str| {
                let slot = slots.next().unwrap_or(0);
                match word {
                    "K" => KEYS[slot % KEYS.len()].as_bytes().to_vec(),
                    "N" => NUMBERS[slot % NUMBERS.len()].as_bytes().to_vec(),
                    "D" => DBS[slot % DBS.len()].as_bytes().to_vec(),
                    "V" => value.clone(),
                    "P" => PAYLOADS[slot % PAYLOADS.len()].to_vec(),
                    "M" => (slot % 60).to_string().into_bytes(),
                    "A" => (NOW + slot as u64 % 200 - 20).to_string().into_bytes(),
                    word => word.as_bytes().to_vec(),
                }
            };
            template.split(' ').map(fill).collect()
        },
    )
}

#[derive(Clone, Debug)]
struct Batch {
    /// Milliseconds since the batch before.
    later_ms: u64,
    expire_max: usize,
    runs: Vec<Sent>,
    /// Whether it is rehearsed before it is logged.
    rehearsed: bool,
    /// Which one of those who wait leaves before it.
    leaves: Option<usize>,
}

fn batches(command: impl Strategy<Value = Command> + 'static) -> impl Strategy<Value = Vec<Batch>> {
    let command = command.boxed();
    let sent = (0..DBS.len() as u8, any::<bool>());
    let sent = (sent, prop::collection::vec(command.clone(), 0..6));
    let sent = sent.prop_map(|((db, is_resp3), commands)| (db, is_resp3, commands));
    let watched = (0..DBS.len() as u8, 0..KEYS.len(), prop::bool::weighted(0.8));
    let watched = prop::collection::vec(watched, 0..3);
    let exec = (watched, (0..6_usize, 0..DBS.len()));
    let exec = exec.prop_map(|(watched, select)| Kind::Exec(Exec { watched, select }));
    let kind = prop_oneof![7 => Just(Kind::Each), 3 => exec];
    let run = (sent, kind).prop_map(|(sent, kind)| Sent { sent, kind });
    // Rarely something else than a command that waits.
    let waits = prop_oneof![20 => filled(&waiting::TEMPLATES), 1 => command];
    let waits = (0..DBS.len() as u8, any::<bool>(), waits, prop::bool::weighted(0.1));
    let waits = waits.prop_map(|(db, is_resp3, command, again)| Sent {
        sent: (db, is_resp3, vec![command]),
        kind: Kind::Wait { again },
    });
    let runs = prop::collection::vec(prop_oneof![4 => run, 1 => waits], 0..5);
    let leaves = prop::option::weighted(0.1, any::<usize>());
    let batch = (0..40_u64, 0..3_usize, runs, prop::bool::weighted(0.4), leaves);
    let batch = batch.prop_map(|(later_ms, expire_max, runs, rehearsed, leaves)| Batch {
        later_ms,
        expire_max,
        runs,
        rehearsed,
        leaves,
    });
    prop::collection::vec(batch, 1..14)
}

/// What a session sends.
#[derive(Clone, Debug)]
struct Sent {
    /// Database, whether it speaks RESP3, and the commands.
    sent: (u8, bool, Vec<Command>),
    kind: Kind,
}

/// What its commands are to each other.
#[derive(Clone, Debug)]
enum Kind {
    /// Each is by itself.
    Each,
    /// One transaction.
    Exec(Exec),
    /// It is one, which may wait; perhaps it did before, elsewhere.
    Wait { again: bool },
}

/// A transaction.
#[derive(Clone, Debug)]
struct Exec {
    /// What it watched (database and key), and whether that is as it was then.
    watched: Vec<(u8, usize, bool)>,
    /// In front of which command another database is selected, and which.
    select: (usize, usize),
}

impl Sent {
    /// As a run; whoever waits has this number.
    fn run(&self, keyspace: &Keyspace, id: u64) -> Run {
        let (db, is_resp3, commands) = &self.sent;
        let mut bytes = BytesMut::new();
        let (mut count, mut kind) = (commands.len() as u32, RunKind::Commands);
        for (place, command) in commands.iter().enumerate() {
            if let Kind::Exec(Exec { select: (at, db), .. }) = &self.kind
                && *at == place
            {
                write_command(&mut bytes, [b"SELECT", DBS[*db].as_bytes()].into_iter());
                count += 1;
            }
            write_command(&mut bytes, command.iter().map(Vec::as_slice));
        }
        if let Kind::Wait { again } = self.kind {
            let waiter = waiting::waiter(id);
            kind = RunKind::Wait(Registration { waiter, since_ms: NOW, applied: 0, again });
        }
        if let Kind::Exec(Exec { watched, .. }) = &self.kind {
            let guard = |&(db, key, holds): &(u8, usize, bool)| {
                let (db, key) = (Db(db), KEYS[key].as_bytes());
                let revision = keyspace.revision(db, key) + u64::from(!holds);
                Guard { db, key: key.into(), revision }
            };
            kind = RunKind::Transaction(watched.iter().map(guard).collect());
        }
        let proto = if *is_resp3 { Proto::Resp3 } else { Proto::Resp2 };
        Run { db: Db(*db), proto, commands: bytes.freeze(), count, kind }
    }

    /// One reply for each command, or one for all.
    fn check_replies(&self, replies: &[u8]) {
        let is_exec = matches!(self.kind, Kind::Exec(_));
        check_replies(replies, if is_exec { 1 } else { self.sent.2.len() as u32 });
        if replies.first() == Some(&b'*') && replies.get(1) != Some(&b'-') && is_exec {
            let header = format!("*{}\r\n", self.sent.2.len());
            assert!(replies.starts_with(header.as_bytes()));
        }
    }
}

/// Values stay small, or the soup would fill memory with zeros.
fn empty() -> Keyspace {
    let mut keyspace = Keyspace::new([3, 4]);
    keyspace.set_setting("proto-max-bulk-len", "4096").unwrap();
    keyspace.set_setting("notify-keyspace-events", "KEA").unwrap();
    keyspace
}

/// A leader, a follower, and what a reader of the log makes of it.
struct World {
    leader: Keyspace,
    follower: Keyspace,
    /// Applies the same commands at time zero, expiries as plain `UNLINK`: nothing ever expires.
    replay: Keyspace,
    /// A replica of Redis 7.0: it applies what it is told.
    replica: Keyspace,
    now_ms: u64,
    index: u64,
    /// Whether the log alone still says everything.
    exact: bool,
    /// Who waits, as the leader and as their nodes know it.
    waiting: Waiting,
    asked: waiting::Asked,
    /// How many have.
    waiters: u64,
}

impl World {
    fn new() -> Self {
        let [leader, follower, replay, replica] = [(); 4].map(|()| empty());
        let (waiting, asked) = (Waiting::default(), waiting::Asked::default());
        Self {
            leader,
            follower,
            replay,
            replica,
            now_ms: NOW,
            index: 0,
            exact: true,
            waiting,
            asked,
            waiters: 0,
        }
    }

    fn step(&mut self, batch: &Batch) {
        self.now_ms += batch.later_ms;
        let stamp = Stamp { now_ms: self.now_ms, seed: self.index };
        if let Some(number) = batch.leaves {
            self.asked.leave(number, &mut self.waiting);
        }
        let numbered = batch.runs.iter().zip(self.waiters..);
        let runs: Vec<Run> = numbered.map(|(sent, id)| sent.run(&self.leader, id)).collect();
        self.waiters += runs.len() as u64;
        let limits = SealLimits { refuse_writes: None, expire_max: batch.expire_max };
        let mut sealed = seal_beside(&self.waiting, &self.leader, &runs, &stamp, &limits);
        if batch.rehearsed || sealed.taken < runs.len() {
            sealed = self.rehearse(&runs, &stamp, &limits);
        }
        self.asked.sealed(&runs, &sealed, &self.waiting);
        let replies = if sealed.payload.is_empty() {
            assert!(sealed.served.is_empty());
            sealed.plan.answer(&self.leader, 1).unwrap()
        } else {
            self.log(&sealed, stamp)
        };
        assert_eq!(replies.len() + sealed.parked.len(), runs.len());
        let answered = (0..).zip(&batch.runs).filter(|(run, _)| !sealed.parked.contains(run));
        for ((_, sent), replies) in answered.zip(&replies) {
            sent.check_replies(replies);
        }
        self.check_expiry();
        self.asked.check(&self.leader);
    }

    /// Seals after a rehearsal, which must leave nothing behind. That it comes to what then happens
    /// is looked at when it is applied.
    fn rehearse(&mut self, runs: &[Run], stamp: &Stamp, limits: &SealLimits) -> Sealed {
        let figures = |keyspace: &Keyspace| {
            let used = (keyspace.used_bytes(), keyspace.changes(), keyspace.next_deadline_ms());
            (keyspace.digest(), keyspace.now_ms(), keyspace.applied_index(), used)
        };
        let before = (file(&self.leader), figures(&self.leader));
        let (sealed, _) = rehearse(&mut self.leader, &mut self.waiting, runs, stamp, limits);
        assert_eq!(figures(&self.leader), before.1);
        assert!(file(&self.leader) == before.0);
        assert_eq!(sealed.taken, runs.len());
        sealed
    }

    fn log(&mut self, sealed: &Sealed, stamp: Stamp) -> Vec<Bytes> {
        self.index += 1;
        self.exact &= !sealed.inexact;
        let at = Applied { index: self.index, stamp };
        let (outcome, told) =
            apply_told(&mut self.leader, at, &sealed.payload, Some(&sealed.plan)).unwrap();
        told::hear(&mut self.replica, self.index, &told);
        told::check(&self.leader, &self.replica, DBS.len() as u8);
        let silent = apply(&mut self.follower, at, &sealed.payload, None).unwrap();
        assert!(silent.replies.is_empty());
        assert_eq!(silent.effects.list, outcome.effects.list);
        waiting::check_served(sealed, &outcome.served, &silent.served);
        assert_eq!(self.leader.digest(), self.follower.digest());
        let at = Applied { index: self.index, stamp: Stamp { now_ms: 0, ..stamp } };
        apply(&mut self.replay, at, &without_marks(&sealed.payload), None).unwrap();
        outcome.replies
    }

    /// The follower starts anew from a snapshot of the leader.
    fn restore(&mut self) {
        let written = file(&self.leader);
        let (read, _) = Keyspace::read_snapshot(&written).unwrap();
        assert!(file(&read) == written);
        assert_eq!(contents(&read), contents(&self.leader));
        assert_eq!(contents(&self.follower), contents(&self.leader));
        self.follower = read;
    }

    /// No read shows a key whose deadline is past.
    fn check_expiry(&self) {
        let now_ms = self.leader.now_ms();
        for db in 0..DBS.len() as u8 {
            let reader = Reader { keyspace: &self.leader, db: Db(db), seed: 5, clock_ms: 0 };
            for key in KEYS.map(str::as_bytes) {
                let is_there = reader.exists(key);
                assert!(!is_there || !self.leader.is_due(Db(db), key, now_ms));
                assert_eq!(is_there, reader.type_name(key).is_some());
                assert_eq!(is_there, reader.deadline_ms(key).is_some());
                let (due, _) = self.leader.due_fields_of(Db(db), key, now_ms, usize::MAX);
                let one = |field: Vec<u8>| {
                    let read = [b"HEXISTS".as_slice(), key, &field];
                    assert_eq!(answer(&reader, &read), b":0\r\n", "{field:?} of {key:?}");
                };
                if is_there {
                    due.into_iter().for_each(one);
                }
            }
            reader.keys(&mut |key| assert!(reader.exists(key)));
            assert!(reader.random_key().is_none_or(|key| reader.exists(key)));
        }
    }

    /// The log alone gives the same keys, but for those that are due and that time will end.
    fn check_replay(&self) {
        if !self.exact {
            return;
        }
        let now_ms = self.leader.now_ms();
        for db in (0..DBS.len() as u8).map(Db) {
            let here = Reader { keyspace: &self.leader, db, seed: 0, clock_ms: 0 };
            let there = Reader { keyspace: &self.replay, db, seed: 0, clock_ms: 0 };
            let mut keys = Vec::new();
            here.keys(&mut |key| keys.push(key.to_vec()));
            for key in &keys {
                assert_eq!(here.dump(key), there.dump(key), "{key:?}");
                assert_eq!(here.deadline_ms(key), there.deadline_ms(key), "{key:?}");
            }
            there.keys(&mut |key| {
                let is_due = self.replay.is_due(db, key, now_ms);
                assert!(is_due || here.exists(key), "{key:?} lives on in {db:?} of the replay");
            });
        }
    }
}

/// A snapshot.
fn file(keyspace: &Keyspace) -> Vec<u8> {
    let mut file = Vec::new();
    keyspace.write_snapshot(&SnapshotFacts::default(), &mut |piece| file.extend_from_slice(piece));
    file
}

/// What stands, by stretches of some keys and by the smallest ones.
fn contents(keyspace: &Keyspace) -> Vec<Content> {
    let mut found: Vec<Content> = Vec::new();
    for (keys_max, bytes_max) in [(3, 4096), (1, 1)] {
        let mut next = Some(ContentPoint::default());
        let mut keys = 0;
        while let Some(from) = next {
            let stretch = keyspace.content(from, keys_max, bytes_max);
            keys += stretch.keys;
            next = stretch.next;
            found.push(stretch);
        }
        assert_eq!(keys, Db::all().map(|db| keyspace.stats(db).0).sum::<u64>());
    }
    found
}

/// What a read is answered.
fn answer(reader: &Reader<'_>, words: &[&[u8]]) -> Vec<u8> {
    let (mut command, mut out) = (BytesMut::new(), BytesMut::new());
    write_command(&mut command, words.iter().copied());
    let mut parser = Parser::default();
    parser.parse(&command, &Limits::stored()).unwrap();
    read(reader, parser.args(&command), Proto::Resp2, &mut out);
    out.to_vec()
}

/// Exactly so many whole replies, and nothing behind them.
fn check_replies(mut bytes: &[u8], count: u32) {
    for _ in 0..count {
        let (_, used) = decode_reply(bytes).unwrap().expect("a reply for every command");
        bytes = &bytes[used..];
    }
    assert!(bytes.is_empty());
}

/// The commands of a payload, expiries like any other.
fn without_marks(payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for found in decode(payload) {
        let Decoded::Command(db, bytes, _) = found.unwrap() else { continue };
        let number = db.0.to_string();
        write_command(&mut out, [b"SELECT".as_slice(), number.as_bytes()].into_iter());
        out.extend_from_slice(bytes);
    }
    out.to_vec()
}

fn live(batches: &[Batch]) {
    let mut world = World::new();
    for (number, batch) in batches.iter().enumerate() {
        if number == batches.len() / 2 {
            world.restore();
        }
        world.step(batch);
    }
    world.restore();
    world.check_replay();
}

/// 400 cases for each property, or as many as `PROPTEST_CASES` asks for.
fn config() -> ProptestConfig {
    ProptestConfig::with_cases(ProptestConfig::default().cases.max(400))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn replicas_and_the_log_agree(batches in batches(sensible())) {
        live(&batches);
    }

    #[test]
    fn those_who_wait_are_served(
        batches in batches(prop_oneof![
            3 => filled(&waiting::BUSY),
            1 => filled(&waiting::TEMPLATES),
        ])
    ) {
        live(&batches);
    }

    #[test]
    fn any_soup_is_served(batches in batches(prop_oneof![soup(), sensible()])) {
        live(&batches);
    }

    #[test]
    fn a_damaged_payload_is_an_error_or_another_payload(
        batches in batches(sensible()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut leader = empty();
        for (number, batch) in batches.iter().enumerate() {
            let stamp = Stamp { now_ms: NOW + number as u64 * 20, seed: 0 };
            let runs: Vec<Run> = batch.runs.iter().map(|sent| sent.run(&leader, 0)).collect();
            let limits = SealLimits { refuse_writes: None, expire_max: 2 };
            let sealed = seal(&leader, &runs, &stamp, &limits);
            if sealed.payload.is_empty() || sealed.taken < runs.len() {
                continue;
            }
            let at = Applied { index: number as u64, stamp };
            let mut damaged = sealed.payload.to_vec();
            for (place, byte) in &damage {
                let place = place.index(damaged.len());
                damaged[place] = *byte;
            }
            let _ = apply(&mut empty(), at, &damaged, None);
            let _ = apply(&mut empty(), at, &sealed.payload[..cut.index(damaged.len())], None);
            apply(&mut leader, at, &sealed.payload, Some(&sealed.plan)).unwrap();
        }
    }

    #[test]
    fn any_bytes_as_a_run_are_answered(
        commands in prop::collection::vec(any::<u8>(), 0..200), count in 0..9_u32,
        kind in 0..3,
    ) {
        let (db, proto) = (Db(0), Proto::Resp2);
        let waiter = waiting::waiter(0);
        let (kind, is_rehearsed) = match kind {
            0 => (RunKind::Commands, false),
            1 => (RunKind::Transaction(Box::default()), true),
            _ => {
                let registration = Registration { waiter, since_ms: 0, applied: 0, again: false };
                (RunKind::Wait(registration), true)
            }
        };
        let runs = [Run { db, proto, commands: Bytes::from(commands), count, kind }];
        let stamp = Stamp { now_ms: NOW, seed: 0 };
        let sealed = if is_rehearsed {
            rehearse(&mut empty(), &mut Waiting::default(), &runs, &stamp, &SealLimits::default()).0
        } else {
            seal(&empty(), &runs, &stamp, &SealLimits::default())
        };
        let at = Applied { index: 1, stamp };
        apply(&mut empty(), at, &sealed.payload, Some(&sealed.plan)).unwrap();
    }
}

/// The soup must not be so wrong that it is all refused.
#[test]
fn the_templates_are_commands() {
    for template in TEMPLATES.iter().chain(&waiting::TEMPLATES).chain(&waiting::BUSY) {
        let words: Vec<&[u8]> = template.split(' ').map(str::as_bytes).collect();
        let mut bytes = BytesMut::new();
        write_command(&mut bytes, words.into_iter());
        let mut parser = Parser::default();
        parser.parse(&bytes, &Limits::stored()).unwrap();
        assert!(cmd::check(parser.args(&bytes)).is_ok(), "{template}");
    }
}
