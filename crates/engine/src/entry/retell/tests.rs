//! What is told of each command that Redis 7.0 does not know, or would carry out otherwise.

use crate::{
    Applied, Db, Keyspace, Registration, Run, RunKind, SealLimits, Stamp, Waiter, Waiting,
    apply_told, decode, rehearse, seal_beside,
};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::BytesMut;
use quorate_resp::{Limits, Parser, Proto, write_command};

const NOW: u64 = 1_900_000_000_000;

struct World {
    keyspace: Keyspace,
    waiting: Waiting,
    index: u64,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        let (keyspace, waiting) = (Keyspace::new([1, 2]), Waiting::default());
        Self { keyspace, waiting, index: 0, now_ms: NOW }
    }

    /// Seals and applies a command as an entry of its own; what is told, line by line, bytes that
    /// are not text as `?`.
    fn run(&mut self, line: &str) -> Vec<String> {
        self.entry(&[run(line)])
    }

    fn entry(&mut self, runs: &[Run]) -> Vec<String> {
        self.index += 1;
        let stamp = Stamp { now_ms: self.now_ms, seed: self.index };
        let limits = SealLimits { expire_max: 10, ..SealLimits::default() };
        let mut sealed = seal_beside(&self.waiting, &self.keyspace, runs, &stamp, &limits);
        if sealed.taken < runs.len() {
            sealed = rehearse(&mut self.keyspace, &mut self.waiting, runs, &stamp, &limits).0;
        }
        let at = Applied { index: self.index, stamp };
        let applied = apply_told(&mut self.keyspace, at, &sealed.payload, Some(&sealed.plan));
        let (_, told) = applied.expect("what was sealed is applied");
        lines(&told)
    }
}

fn run(line: &str) -> Run {
    let mut commands = BytesMut::new();
    write_command(
        &mut commands,
        line.split(' ').map(str::as_bytes).collect::<Vec<_>>().into_iter(),
    );
    Run {
        db: Db(0),
        proto: Proto::Resp2,
        commands: commands.freeze(),
        count: 1,
        kind: RunKind::Commands,
    }
}

fn lines(told: &[u8]) -> Vec<String> {
    let one = |found: Result<crate::Decoded<'_>, _>| {
        let Ok(crate::Decoded::Command(_, bytes, false)) = found else { panic!("{found:?}") };
        let mut parser = Parser::default();
        parser.parse(bytes, &Limits::stored()).expect("a command");
        let words = parser.args(bytes);
        let shown = words.iter().map(|word| match core::str::from_utf8(word) {
            Ok(text) if !text.contains('\0') => text.to_string(),
            _ => "?".to_string(),
        });
        shown.collect::<Vec<_>>().join(" ")
    };
    decode(told).map(one).collect()
}

/// Runs the commands in front, and compares what is told of the last.
fn check(before: &[&str], line: &str, expect: &[&str]) {
    let mut world = World::new();
    for line in before {
        world.run(line);
    }
    world.now_ms += 1000;
    assert_eq!(world.run(line), expect, "{line}");
}

#[test]
fn what_redis_knows_goes_as_it_stands() {
    check(&[], "SET a b", &["SET a b"]);
    check(&[], "SET a b PX 5000", &["SET a b PXAT 1900000006000"]);
    check(&["SET a b"], "RENAME a c", &["RENAME a c"]);
    check(&["RPUSH l 1 2"], "LPOP l", &["LPOP l"]);
    check(&["SET a b"], "FLUSHALL", &["FLUSHALL"]);
    check(&[], "XADD s * f v", &["XADD s 1900000001000-* f v"]);
}

#[test]
fn what_changes_nothing_is_not_told() {
    check(&[], "DEL a", &[]);
    check(&["SET a b"], "SET a c NX", &[]);
    check(&["SET a b"], "LPUSH a c", &[]);
    check(&["SET a b"], "SWAPDB 3 3", &[]);
    check(&[], "SPOP s", &[]);
    check(&[], "HPEXPIRE h 5 FIELDS 1 f", &[]);
    check(&["SET a b"], "SET a c IFEQ d", &[]);
    check(&[], "QUORATE.CONFIG hash-max-listpack-entries 5", &[]);
}

#[test]
fn popped_members_go_by_name() {
    check(&["SADD s 1"], "SPOP s", &["UNLINK s"]);
    check(&["SADD s 1 2"], "SPOP s 5", &["UNLINK s"]);
    let mut world = World::new();
    world.run("SADD s one two");
    let told = world.run("SPOP s");
    assert!(told == ["SREM s one"] || told == ["SREM s two"], "{told:?}");
    world.run("SADD n 1 2 3 4");
    let told = world.run("SPOP n 3");
    assert!(told.len() == 1 && told[0].split(' ').count() == 5, "{told:?}");
}

#[test]
fn fields_go_when_they_end() {
    let hash = ["HSET h a 1 b 2 c 3"];
    check(&hash, "HPEXPIRE h 500 FIELDS 2 a b", &[]);
    check(&hash, "HPEXPIREAT h 5 FIELDS 2 a x", &["HDEL h a x"]);
    check(&hash, "HPEXPIREAT h 5 FIELDS 3 a b c", &["UNLINK h"]);
    check(&hash, "HGETEX h PX 9 FIELDS 1 a", &[]);
    check(&hash, "HGETDEL h FIELDS 2 a b", &["HDEL h a b"]);
    check(&hash, "HSETEX h PX 9 FIELDS 2 a 7 d 8", &["HSET h a 7 d 8"]);
    check(&hash, "HSETEX h FNX FIELDS 1 a 7", &[]);
    check(&hash, "HSETEX h PXAT 5 FIELDS 1 a 7", &["HDEL h a"]);
    let timed = ["HSET h a 1 b 2 c 3", "HPEXPIRE h 500 FIELDS 2 a b"];
    check(&timed, "SET other x", &["HDEL h a b", "SET other x"]);
    check(&timed, "HPERSIST h FIELDS 1 c", &["HDEL h a b"]);
    check(&["HSET h a 1", "HPEXPIRE h 500 FIELDS 1 a"], "HSET h b 2", &["UNLINK h", "HSET h b 2"]);
}

#[test]
fn keys_go_when_they_end() {
    check(&["SET a b PX 500", "SET c d PX 500"], "SET e f", &["UNLINK a c", "SET e f"]);
    check(&["SET a 1 PX 500"], "INCR a", &["UNLINK a", "INCR a"]);
}

#[test]
fn a_hash_with_more_due_fields_than_are_removed_goes_whole() {
    let mut world = World::new();
    let fields: Vec<String> = (0..400).map(|number| number.to_string()).collect();
    let pairs: Vec<String> = fields.iter().map(|field| alloc::format!("{field} 1")).collect();
    world.run(&alloc::format!("HSET h {} stays 5", pairs.join(" ")));
    world.run(&alloc::format!("HPEXPIRE h 500 FIELDS 400 {}", fields.join(" ")));
    world.now_ms += 1000;
    let told = world.run("HINCRBY h stays 1");
    let last = told.last().expect("something is told");
    assert!(last.starts_with("RESTORE h 0 ? REPLACE ABSTTL"), "{last}");
    assert!(told.iter().rev().skip(1).all(|line| line.starts_with("HDEL h ")), "{told:?}");
}

#[test]
fn deliveries_go_as_claims() {
    let stream = ["XADD s 1-1 f v", "XADD s 2-1 f v", "XADD s 3-1 f v", "XGROUP CREATE s g 0"];
    check(
        &stream,
        "XREADGROUP GROUP g c COUNT 2 STREAMS s >",
        &[
            "XGROUP CREATECONSUMER s g c",
            "XCLAIM s g c 0 1-1 2-1 TIME 1900000001000 RETRYCOUNT 1 FORCE JUSTID",
            "XGROUP SETID s g 2-1 ENTRIESREAD 2",
        ],
    );
    check(
        &stream,
        "XREADGROUP GROUP g c NOACK COUNT 2 STREAMS s >",
        &["XGROUP CREATECONSUMER s g c", "XGROUP SETID s g 2-1 ENTRIESREAD 2"],
    );
    let read = [&stream[..], &["XREADGROUP GROUP g c STREAMS s >"]].concat();
    check(
        &read,
        "XREADGROUP GROUP g c COUNT 1 STREAMS s 1-1",
        &[
            "XGROUP CREATECONSUMER s g c",
            "XCLAIM s g c 0 2-1 TIME 1900000001000 RETRYCOUNT 2 FORCE JUSTID",
            "XGROUP SETID s g 3-1 ENTRIESREAD 3",
        ],
    );
    check(
        &read,
        "XCLAIM s g d 0 1-1 3-1 IDLE 400",
        &[
            "XGROUP CREATECONSUMER s g d",
            "XCLAIM s g d 0 1-1 3-1 TIME 1900000000600 RETRYCOUNT 2 FORCE JUSTID",
            "XGROUP SETID s g 3-1 ENTRIESREAD 3",
        ],
    );
    let gone = [&read[..], &["XDEL s 2-1"]].concat();
    check(
        &gone,
        "XAUTOCLAIM s g d 0 - JUSTID",
        &[
            "XGROUP CREATECONSUMER s g d",
            "XCLAIM s g d 0 1-1 3-1 TIME 1900000001000 RETRYCOUNT 1 FORCE JUSTID",
            "XACK s g 2-1",
            "XGROUP SETID s g 3-1 ENTRIESREAD 3",
        ],
    );
}

#[test]
fn trimmed_streams_name_their_first_entry() {
    let stream = ["XADD s 1-1 f v", "XADD s 2-1 f v", "XGROUP CREATE s g 0"];
    check(&stream, "XADD s MAXLEN 2 3-1 f v", &["XADD s MAXLEN 2 3-1 f v"]);
    check(&stream, "XADD s MAXLEN ~ 2 3-1 f v", &["XADD s 3-1 f v"]);
    check(&stream, "XTRIM s MAXLEN ~ 0", &["XTRIM s MAXLEN = 0"]);
    check(&stream, "XTRIM s MAXLEN 1 KEEPREF", &["XTRIM s MINID = 2-1"]);
    check(&stream, "XTRIM s MAXLEN 1 DELREF", &["RESTORE s 0 ? REPLACE ABSTTL"]);
    check(&stream, "XADD s IDMP p one * f v", &["XADD s 1900000001000-0 f v"]);
    check(&["XADD s IDMP p one * f v"], "XADD s IDMP p one * f v", &[]);
    check(&stream, "XDELEX s DELREF IDS 1 1-1", &["XACK s g 1-1", "XDEL s 1-1"]);
    let read = [&stream[..], &["XREADGROUP GROUP g c STREAMS s >"]].concat();
    check(&read, "XACKDEL s g IDS 1 1-1", &["XACK s g 1-1", "XDEL s 1-1"]);
    check(&read, "XDELEX s ACKED IDS 1 1-1", &[]);
}

#[test]
fn anything_else_goes_whole() {
    check(&["SET a 1"], "SET a c IFEQ 1", &["RESTORE a 0 ? REPLACE ABSTTL"]);
    check(&["SET a 1"], "DELEX a IFEQ 1", &["UNLINK a"]);
    check(&[], "INCREX a BYINT 5 PX 500", &["RESTORE a 1900000001500 ? REPLACE ABSTTL"]);
    let msetex = &["RESTORE a 0 ? REPLACE ABSTTL", "RESTORE b 0 ? REPLACE ABSTTL"];
    check(&[], "MSETEX 2 a 1 b 2", msetex);
    let places = ["GEOADD g 13.361389 38.115556 Palermo", "SET d 1"];
    let search = "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 300 km STOREDIST";
    check(&places, search, &["RESTORE d 0 ? REPLACE ABSTTL"]);
    // The source, which is not there either, is named too.
    check(&["SET d 1"], search, &["UNLINK d", "UNLINK g"]);
}

#[test]
fn what_serves_somebody_goes_as_it_is_logged() {
    let waits = |id, line| {
        let waiter = Waiter { node: 1, incarnation: 2, id };
        let registration = Registration { waiter, since_ms: NOW, applied: 0, again: false };
        Run { kind: RunKind::Wait(registration), ..run(line) }
    };
    let mut world = World::new();
    assert_eq!(world.entry(&[waits(1, "BLPOP l 0"), waits(2, "BLMOVE l m LEFT LEFT 0")]), [""; 0]);
    assert_eq!(world.run("RPUSH l a b"), ["RPUSH l a b", "LMPOP 1 l LEFT", "LMOVE l m LEFT LEFT"]);
    world.run("XGROUP CREATE s g $ MKSTREAM");
    world.entry(&[waits(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >")]);
    assert_eq!(
        world.run("XADD s 1-1 f v"),
        [
            "XADD s 1-1 f v",
            "XGROUP CREATECONSUMER s g c",
            "XCLAIM s g c 0 1-1 TIME 1900000000000 RETRYCOUNT 1 FORCE JUSTID",
            "XGROUP SETID s g 1-1 ENTRIESREAD 1",
        ]
    );
}
