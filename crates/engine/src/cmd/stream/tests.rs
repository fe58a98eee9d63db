//! Streams by example: ids, what the log says, edges of numbers, and what other servers fell over.

use crate::{
    Applied, Db, Keyspace, Reader, Run, RunKind, SealLimits, SnapshotFacts, Stamp, apply, seal,
};
use bytes::{Bytes, BytesMut};
use quorate_resp::{Limits, Parser, Proto, Value, decode_reply, write_command};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const NOW: u64 = 1_700_000_000_000;

/// A leader, and a reader of its log that has another clock.
struct World {
    leader: Keyspace,
    replay: Keyspace,
    now_ms: u64,
    index: u64,
    exact: bool,
    /// The last payload.
    log: String,
}

fn show(value: &Value) -> String {
    match value {
        Value::Simple(text) => text.clone(),
        Value::Error(text) => format!("-{text}"),
        Value::Int(number) => number.to_string(),
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Null => "nil".into(),
        Value::NullArray => "none".into(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}

impl World {
    fn new() -> Self {
        let keyspace = || Keyspace::new([1, 2]);
        let (leader, replay) = (keyspace(), keyspace());
        Self { leader, replay, now_ms: NOW, index: 0, exact: true, log: String::new() }
    }

    /// Commands of one batch; words are parted by blanks.
    fn batch(&mut self, lines: &[&str]) -> Vec<String> {
        let commands: Vec<Vec<&[u8]>> =
            lines.iter().map(|line| line.split(' ').map(str::as_bytes).collect()).collect();
        self.words(&commands)
    }

    fn words(&mut self, commands: &[Vec<&[u8]>]) -> Vec<String> {
        let mut bytes = BytesMut::new();
        for words in commands {
            write_command(&mut bytes, words.iter().copied());
        }
        let count = commands.len() as u32;
        let run = Run {
            db: Db(0),
            proto: Proto::Resp2,
            commands: bytes.freeze(),
            count,
            kind: RunKind::Commands,
        };
        let stamp = Stamp { now_ms: self.now_ms, seed: 7 };
        let sealed = seal(&self.leader, &[run], &stamp, &SealLimits::default());
        self.log = String::from_utf8_lossy(&sealed.payload).replace("\r\n", " ");
        let replies = if sealed.payload.is_empty() {
            sealed.plan.answer(&self.leader, 0).unwrap()
        } else {
            self.index += 1;
            let at = Applied { index: self.index, stamp };
            let done = apply(&mut self.leader, at, &sealed.payload, Some(&sealed.plan)).unwrap();
            self.exact &= !sealed.inexact;
            let later = Stamp { now_ms: self.now_ms + 123_456, seed: 8 };
            let at = Applied { index: self.index, stamp: later };
            apply(&mut self.replay, at, &sealed.payload, None).unwrap();
            done.replies
        };
        self.check_replay();
        let mut rest: &[u8] = &replies.first().cloned().unwrap_or_else(Bytes::new);
        let mut shown = Vec::new();
        while let Some((value, used)) = decode_reply(rest).unwrap() {
            shown.push(show(&value));
            rest = &rest[used..];
        }
        assert_eq!(shown.len(), commands.len());
        shown
    }

    fn check_replay(&self) {
        let dump = |keyspace, key: &[u8]| {
            let reader = Reader { keyspace, db: Db(0), seed: 0, clock_ms: 0 };
            reader.dump(key)
        };
        if self.exact {
            for key in [&b"k"[..], b"l"] {
                let (here, there) = (dump(&self.leader, key), dump(&self.replay, key));
                // Consumers are seen when they are: only streams without any are the same bytes.
                let group = [b"c1".as_slice(), b"c2"];
                let plain = |dump: &[u8]| !group.iter().any(|name| contains(dump, name));
                if here.as_deref().is_none_or(plain) {
                    assert_eq!(here, there, "{}", self.log);
                }
            }
        }
    }

    /// The leader's state out of a snapshot, which is what it was.
    fn restored(&self) -> Keyspace {
        let written = |keyspace: &Keyspace| {
            let mut file = Vec::new();
            let facts = SnapshotFacts::default();
            keyspace.write_snapshot(&facts, &mut |bytes| file.extend_from_slice(bytes));
            file
        };
        let file = written(&self.leader);
        let restored = Keyspace::read_snapshot(&file).unwrap().0;
        assert!(written(&restored) == file);
        assert_eq!(restored.used_bytes(), self.leader.used_bytes());
        restored
    }

    fn run(&mut self, line: &str) -> String {
        self.batch(&[line]).remove(0)
    }

    fn check(&mut self, transcript: &[(&str, &str)]) {
        for (line, expected) in transcript {
            assert_eq!(&self.run(line), expected, "{line}");
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

const SMALLER: &str =
    "-ERR The ID specified in XADD is equal or smaller than the target stream top item";

#[test]
fn ids_are_made_from_the_stamp_and_logged_with_it() {
    let mut world = World::new();
    let made = world.batch(&["XADD k * a 1", "XADD k * a 2", "XADD l * a 1", "XADD k * a 3"]);
    let id = |seq: u64| format!("{NOW}-{seq}");
    assert_eq!(made, [id(0), id(1), id(0), id(2)]);
    assert!(world.exact && !world.log.contains("$1 * "), "{}", world.log);
    assert_eq!(world.log.matches(&format!("{NOW}-*")).count(), 4);
    // Time stands still, and runs back: ids go on.
    assert_eq!(world.run("XADD k * a 4"), id(3));
    world.now_ms -= 500;
    assert_eq!(world.run("XADD k * a 5"), id(4));
    world.now_ms += 1000;
    assert_eq!(world.run("XADD k MAXLEN 2 * a 6"), format!("{}-0", NOW + 500));
    assert_eq!(world.run("XLEN k"), "2");
    assert!(world.exact);
}

#[test]
fn an_id_that_was_raised_in_the_same_batch_is_not_guessed() {
    let later = NOW + 1_000_000;
    for raise in [format!("XADD k {later}-5 a 1"), format!("XSETID k {later}-5")] {
        let mut world = World::new();
        world.run("XADD k 1-1 a 0");
        let made = world.batch(&["XADD l * a 1", &raise, "XADD k * a 2", "XADD l * a 3"]);
        assert_eq!(made[2], format!("{later}-6"));
        assert_eq!(made[3], format!("{NOW}-1"), "another stream is not concerned");
        assert!(!world.exact && world.log.contains("#w X"), "{}", world.log);
    }
    let mut world = World::new();
    world.run(&format!("XADD l {later}-0 a 0"));
    let made = world.batch(&["XADD k * a 0", "RENAME l k", "XADD k * a 1"]);
    assert_eq!(made[2], format!("{later}-1"));
    assert!(!world.exact);
    // Without such company it is known what it will be.
    let mut world = World::new();
    world.run(&format!("XADD k {later}-18446744073709551615 a 0"));
    assert_eq!(world.run("XADD k * a 0"), format!("{}-0", later + 1));
    assert!(world.exact);
}

#[test]
fn the_last_id_of_all_is_the_last() {
    let max = u64::MAX;
    let exhausted = "-ERR The stream has exhausted the last possible ID, unable to add more items";
    let mut world = World::new();
    world.check(&[
        ("XADD k 0-0 a 1", "-ERR The ID specified in XADD must be greater than 0-0"),
        ("EXISTS k", "0"),
        ("XADD k 18446744073709551615-18446744073709551614 a 1", &format!("{max}-{}", max - 1)),
        ("XADD k * a 1", &format!("{max}-{max}")),
        ("XADD k * a 1", exhausted),
        ("XADD k 18446744073709551615-* a 1", exhausted),
        ("XREAD STREAMS k 18446744073709551615-18446744073709551615", "none"),
        (
            "XRANGE k (18446744073709551615-18446744073709551615 +",
            "-ERR invalid start ID for the interval",
        ),
        ("XRANGE k - (0-0", "-ERR invalid end ID for the interval"),
        ("XLEN k", "2"),
        ("XADD l 5-18446744073709551615 a 1", &format!("5-{max}")),
        ("XADD l 5-* a 1", SMALLER),
        ("XADD l 4-* a 1", SMALLER),
        ("XADD l 6-* a 1", "6-0"),
        (
            "XADD l 18446744073709551616-0 a 1",
            "-ERR Invalid stream ID specified as stream command argument",
        ),
    ]);
}

/// CVE-2022-31144 (XAUTOCLAIM wrote more deleted ids than it had room for), CVE-2022-35951 (its
/// COUNT overflowed).
#[test]
fn cve_2022_31144_and_35951_xautoclaim_counts() {
    let mut world = World::new();
    for seq in 1..=50 {
        world.run(&format!("XADD k 1-{seq} a 1"));
    }
    world.run("XGROUP CREATE k g 0");
    world.run("XREADGROUP GROUP g c1 STREAMS k >");
    let ids: Vec<String> = (1..=50).map(|seq| format!("1-{seq}")).collect();
    world.run(&format!("XDEL k {}", ids.join(" ")));
    world.check(&[
        ("XAUTOCLAIM k g c2 0 - COUNT 1", "[1-2 [] [1-1]]"),
        ("XAUTOCLAIM k g c2 0 - COUNT 3", "[1-5 [] [1-2 1-3 1-4]]"),
        ("XAUTOCLAIM k g c2 0 - COUNT 0", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM k g c2 0 - COUNT -1", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM k g c2 0 - COUNT 9223372036854775807", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM k g c2 0 - COUNT 576460752303423488", "-ERR COUNT must be > 0"),
        ("XAUTOCLAIM k g c2 0 - COUNT 4611686018427387903", "-ERR COUNT must be > 0"),
    ]);
    let rest = world.run("XAUTOCLAIM k g c2 0 - COUNT 576460752303423487 JUSTID");
    assert!(rest.starts_with("[0-0 [] [1-5 1-6 ") && rest.ends_with("1-50]]"), "{rest}");
    world.check(&[("XPENDING k g", "[0 nil nil none]"), ("XLEN k", "0")]);
}

/// CVE-2025-62507: XACKDEL kept ids on a stack that was too small for many of them. What takes many
/// ids is given more than any such array has room for.
#[test]
fn cve_2025_62507_many_ids() {
    let mut world = World::new();
    world.run("XADD k 1-1 a 1");
    world.run("XGROUP CREATE k g 0");
    world.run("XREADGROUP GROUP g c1 STREAMS k >");
    let many = "1-1 ".repeat(4999) + "1-1";
    assert_eq!(world.run(&format!("XCLAIM k g c2 0 {many} JUSTID")).matches("1-1").count(), 5000);
    let fates = world.run(&format!("XACKDEL k g ACKED IDS 5000 {many}"));
    assert!(fates.starts_with("[1 -1 -1 ") && fates.matches("-1").count() == 4999);
    assert_eq!(world.run(&format!("XDELEX k IDS 5000 {many}")).matches("-1").count(), 5000);
    assert_eq!(world.run(&format!("XACK k g {many}")), "0");
    assert_eq!(world.run(&format!("XDEL k {many}")), "0");
    let keys = "k ".repeat(2999) + "k";
    let ids = "0 ".repeat(2999) + "0";
    assert_eq!(world.run(&format!("XREAD STREAMS {keys} {ids}")), "none");
}

#[test]
fn numbers_at_their_ends() {
    let no_int = "-ERR value is not an integer or out of range";
    let mut world = World::new();
    world.check(&[
        ("XADD k 1-1 a 1", "1-1"),
        ("XTRIM k MAXLEN -1", "-ERR The MAXLEN argument must be >= 0."),
        ("XTRIM k MAXLEN 9223372036854775807", "0"),
        ("XTRIM k MAXLEN 9223372036854775808", no_int),
        ("XTRIM k MAXLEN ~ 0 LIMIT -1", "-ERR The LIMIT argument must be >= 0."),
        ("XTRIM k MAXLEN ~ 0 LIMIT 9223372036854775807", "1"),
        ("XADD k 2-1 a 1", "2-1"),
        ("XRANGE k - + COUNT -9223372036854775808", "none"),
        ("XSETID k 3-0 ENTRIESADDED -1", "-ERR entries_added must be positive"),
        ("XSETID k 3-0 ENTRIESADDED 9223372036854775807", "OK"),
        ("XADD k 4-1 a 1", "4-1"),
        ("XGROUP CREATE k g 0 ENTRIESREAD 9223372036854775807", "OK"),
        ("XGROUP CREATE k h 0 ENTRIESREAD -2", "-ERR value for ENTRIESREAD must be positive or -1"),
        (
            "XREADGROUP GROUP g c1 COUNT -9223372036854775808 STREAMS k >",
            "[[k [[2-1 [a 1]] [4-1 [a 1]]]]]",
        ),
        ("XCLAIM k g c1 -9223372036854775808 2-1 IDLE -9223372036854775808 JUSTID", "[2-1]"),
        (
            "XCLAIM k g c1 0 2-1 IDLE 9223372036854775807 RETRYCOUNT 9223372036854775807",
            "[[2-1 [a 1]]]",
        ),
        ("XCLAIM k g c1 9223372036854775807 2-1", "[]"),
        (
            "XPENDING k g IDLE -9223372036854775808 - + 9223372036854775807",
            "[[2-1 c1 0 9223372036854775807] [4-1 c1 0 1]]",
        ),
        ("XPENDING k g - + -9223372036854775808", "[]"),
        ("XREAD BLOCK 9223372036854775807 STREAMS k 9-9", "none"),
        ("XREAD BLOCK -1 STREAMS k 0", "-ERR timeout is negative"),
    ]);
    world.run("XINFO STREAM k FULL COUNT -9223372036854775808");
    world.run("XINFO GROUPS k");
    world.restored();
}

#[test]
fn entries_read_wrap_around_and_come_back() {
    let mut world = World::new();
    world.batch(&[
        "XADD k 1-1 a 1",
        "XADD k 1-2 a 1",
        "XGROUP CREATE k g 0 ENTRIESREAD 9223372036854775807",
    ]);
    world.run("XREADGROUP GROUP g c1 COUNT 1 STREAMS k >");
    let told = world.run("XINFO GROUPS k");
    assert!(told.contains("entries-read -9223372036854775808 lag 1"), "{told}");
    world.leader = world.restored();
    assert_eq!(world.run("XINFO GROUPS k"), told);
}

#[test]
fn trimming_by_blocks_is_logged_as_it_is_or_hidden() {
    let mut world = World::new();
    let adds: Vec<String> = (1..=1000).map(|ms| format!("XADD k {ms}-0 a {ms}")).collect();
    let lines: Vec<&str> = adds.iter().map(String::as_str).collect();
    world.batch(&lines);
    world.check(&[
        ("XTRIM k MAXLEN ~ 950", "0"),
        ("XTRIM k MAXLEN ~ 850", "100"),
        ("XTRIM k MINID ~ 399", "200"),
        ("XLEN k", "700"),
    ]);
    assert!(world.exact);
    assert_eq!(world.run("XTRIM k MAXLEN ~ 0 LIMIT 250"), "200");
    assert!(!world.exact, "Redis knows no limit while it loads");
    let mut world = World::new();
    world.batch(&lines);
    assert_eq!(world.run("XTRIM k MAXLEN = 499"), "501");
    assert_eq!(world.run("XRANGE k - + COUNT 1"), "[[502-0 [a 502]]]");
    assert!(world.exact);
}

#[test]
fn what_redis_would_time_by_its_own_clock_is_marked() {
    let mut world = World::new();
    world.batch(&["XADD k 1-1 a 1", "XADD k 2-1 a 1", "XGROUP CREATE k g 0"]);
    assert!(world.exact);
    for line in [
        "XGROUP CREATECONSUMER k g c1",
        "XREADGROUP GROUP g c1 COUNT 1 NOACK STREAMS k >",
        "XREADGROUP GROUP g c1 STREAMS k >",
    ] {
        world.exact = true;
        world.run(line);
        let name = line.split(' ').next().unwrap_or_default();
        assert!(!world.exact && world.log.contains(name), "{line}: {}", world.log);
    }
    world.now_ms += 1000;
    for (line, answer, logged) in [
        ("XCLAIM k g c1 0 2-1 IDLE 400 JUSTID", "[2-1]", "JUSTID $4 TIME $13 1700000000600"),
        ("XCLAIM k g c1 100 2-1", "[[2-1 [a 1]]]", "2-1 $4 TIME $13 1700000001000"),
    ] {
        world.exact = true;
        assert_eq!(world.run(line), answer);
        assert!(!world.exact && world.log.contains(logged), "{line}: {}", world.log);
    }
}

#[test]
fn consumers_are_seen_and_active() {
    let mut world = World::new();
    world.batch(&["XADD k 1-1 a 1", "XGROUP CREATE k g $"]);
    assert_eq!(world.run("XREADGROUP GROUP g c1 STREAMS k >"), "none");
    world.now_ms += 50;
    world.run("XADD l 1-1 a 1");
    let told = "[[name c1 pending 0 idle 50 inactive -1]]";
    assert_eq!(world.run("XINFO CONSUMERS k g"), told);
    world.run("XADD k 2-1 a 1");
    world.run("XREADGROUP GROUP g c1 STREAMS k >");
    world.now_ms += 25;
    world.run("XREADGROUP GROUP g c1 STREAMS k >");
    world.now_ms += 10;
    world.run("XADD l 1-2 a 1");
    let told = "[[name c1 pending 1 idle 10 inactive 35]]";
    assert_eq!(world.run("XINFO CONSUMERS k g"), told);
}

#[test]
fn many_consumers_keep_their_own() {
    let mut world = World::new();
    world.run("XGROUP CREATE k g 0 MKSTREAM");
    for number in 0..300 {
        world.run(&format!("XADD k {}-0 a 1", number + 1));
        world.run(&format!("XREADGROUP GROUP g c{} STREAMS k >", number % 150));
    }
    assert_eq!(world.run("XPENDING k g - + 10 c7"), "[[8-0 c7 0 1] [158-0 c7 0 1]]");
    assert_eq!(world.run("XGROUP DELCONSUMER k g c7"), "2");
    assert_eq!(world.run("XGROUP CREATECONSUMER k g c7"), "1");
    assert_eq!(world.run("XCLAIM k g c7 0 1-0 JUSTID"), "[1-0]");
    assert_eq!(world.run("XPENDING k g - + 10 c7"), "[[1-0 c7 0 1]]");
    assert_eq!(world.run("XPENDING k g - + 10 c0"), "[[151-0 c0 0 1]]");
    assert_eq!(world.run("XPENDING k g").split(' ').next(), Some("[298"));
}

/// What Redis 7.0 does not know stands in the log where it does not see it.
#[test]
fn what_redis_8_brought_is_armoured() {
    for line in [
        "XDELEX k IDS 1 1-1",
        "XACKDEL k g IDS 1 1-1",
        "XTRIM k MAXLEN 1 KEEPREF",
        "XADD k ACKED MAXLEN 1 * a 1",
        "XADD k IDMP p i * a 1",
        "XADD k IDMPAUTO p * a 1",
        "XCFGSET k IDMP-DURATION 5",
    ] {
        let mut world = World::new();
        world.batch(&["XADD k 1-1 a 1", "XADD k 2-1 a 1", "XGROUP CREATE k g 0"]);
        world.run(line);
        assert!(!world.exact && world.log.contains("#w X"), "{line}: {}", world.log);
    }
}

#[test]
fn approximate_trimming_minds_groups() {
    let mut world = World::new();
    for ms in 1..=250 {
        world.run(&format!("XADD k {ms}-0 a 1"));
    }
    world.run("XGROUP CREATE k g 0");
    world.run("XREADGROUP GROUP g c1 COUNT 220 STREAMS k >");
    let ids: Vec<String> = (1..=150).chain([152]).map(|ms| format!("{ms}-0")).collect();
    assert_eq!(world.run(&format!("XACK k g {}", ids.join(" "))), "151");
    world.check(&[
        // The first block goes, of the second what is acknowledged, the third is not reached.
        ("XTRIM k MAXLEN ~ 50 ACKED LIMIT 100", "100"),
        ("XTRIM k MAXLEN ~ 50 ACKED", "51"),
        ("XRANGE k - + COUNT 2", "[[151-0 [a 1]] [153-0 [a 1]]]"),
        ("XTRIM k MINID ~ 300 ACKED", "0"),
        (
            "XINFO GROUPS k",
            "[[name g consumers 1 pending 69 last-delivered-id 220-0 entries-read 220 lag 30]]",
        ),
        ("XTRIM k MINID ~ 201 DELREF", "49"),
        ("XPENDING k g", "[20 201-0 220-0 [[c1 20]]]"),
        ("XTRIM k MINID = 211 DELREF", "10"),
        ("XPENDING k g", "[10 211-0 220-0 [[c1 10]]]"),
        ("XLEN k", "40"),
    ]);
}

#[test]
fn producers_are_remembered_for_a_while() {
    let mut world = World::new();
    let sent = world.batch(&["XADD k IDMP p i * a 1", "XADD k IDMP p i * a 2"]);
    assert_eq!(sent[0], sent[1], "within one batch too");
    for number in 0..300 {
        world.now_ms += 1;
        world.run(&format!("XADD k IDMP {number} i * a 1"));
    }
    let info = "iids-tracked 301 iids-added 301 iids-duplicates 1";
    assert!(world.run("XINFO STREAM k").contains(info));
    let full = world.leader.used_bytes();
    world.now_ms += 99_699;
    assert_eq!(world.run("XADD k IDMP p i * a 1"), sent[0], "a hundred seconds less one");
    world.now_ms += 1;
    assert_ne!(world.run("XADD k IDMP p i * a 1"), sent[0]);
    world.now_ms += 1_000_000;
    let info = "pids-tracked 0 iids-tracked 0 iids-added 302 iids-duplicates 2";
    world.run("XADD l 1-1 a 1");
    assert!(world.run("XINFO STREAM k").contains(info), "{}", world.run("XINFO STREAM k"));
    // Those who send nothing more are forgotten by and by.
    for number in 0..400 {
        world.run(&format!("XADD k MAXLEN 1 IDMP p {number} * a 1"));
    }
    assert!(world.leader.used_bytes() < full / 3, "{} of {full}", world.leader.used_bytes());
}

#[test]
fn producers_are_in_a_snapshot() {
    let mut world = World::new();
    let long = "x".repeat(1000);
    for number in 0..3000 {
        let (producer, sent) = (number % 40, "i".repeat(number % 60));
        world.now_ms += 1;
        world.run(&format!("XADD k IDMP producer{producer} {number}{sent} * a 1"));
    }
    let last = world.run(&format!("XADD k IDMP {long} {long} * a 1"));
    world.run("XADD l 1-1 a 1");
    world.run("XCFGSET l IDMP-DURATION 5 IDMP-MAXSIZE 7");
    let restored = world.restored();
    let told = world.run("XINFO STREAM k");
    world.leader = restored;
    assert_eq!(world.run("XINFO STREAM k"), told);
    assert!(world.run("XINFO STREAM l").contains("idmp-duration 5 idmp-maxsize 7 pids-tracked 0"));
    assert_eq!(world.run(&format!("XADD k IDMP {long} {long} * a 1")), last);
    assert_eq!(world.run("XLEN k"), "3001");
}

/// What an XREAD would wait with, as one line; `None`: it does not.
fn from(world: &World, line: &str) -> Option<(u64, String)> {
    let mut bytes = BytesMut::new();
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    write_command(&mut bytes, words.into_iter());
    let mut parser = Parser::default();
    parser.parse(&bytes, &Limits::stored()).unwrap();
    let reader = Reader::at(&world.leader, Db(0));
    let (timeout_ms, words) = crate::xread_from(&reader, parser.args(&bytes))?;
    Some((timeout_ms, words.join(&b' ').iter().copied().map(char::from).collect()))
}

#[test]
fn a_read_goes_on_from_where_it_stood() {
    let mut world = World::new();
    world.run("XADD k 5-1 a 1");
    world.run("SET text x");
    for (line, from_there) in [
        ("XREAD BLOCK 0 STREAMS k $", Some((0, "XREAD STREAMS k 5-1"))),
        ("xread count 3 block 70 streams none $", Some((70, "xread count 3 streams none 0-0"))),
        (
            "XREAD BLOCK 1 COUNT 3 BLOCK 9 STREAMS k none BLOCK k 5-1 $ 7 $",
            Some((9, "XREAD COUNT 3 STREAMS k none BLOCK k 5-1 0-0 7 5-1")),
        ),
        (
            "XREAD BLOCK 9223372036854775807 STREAMS k 18446744073709551615-18446744073709551615",
            Some((
                9_223_372_036_854_775_807,
                "XREAD STREAMS k 18446744073709551615-18446744073709551615",
            )),
        ),
        // There is something, an error, or nobody waits.
        ("XREAD BLOCK 0 STREAMS k 5-0", None),
        ("XREAD BLOCK 0 STREAMS none k $ 0", None),
        ("XREAD BLOCK 0 STREAMS text $", None),
        ("XREAD BLOCK 0 STREAMS k >", None),
        ("XREAD BLOCK 0 STREAMS k x", None),
        ("XREAD BLOCK x STREAMS k $", None),
        ("XREAD BLOCK -1 STREAMS k $", None),
        ("XREAD BLOCK 0 STREAMS k", None),
        ("XREAD BLOCK 0", None),
        ("XREAD STREAMS k $", None),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS k >", None),
        ("BLPOP k 0", None),
    ] {
        let expected = from_there.map(|(ms, line)| (ms, line.to_string()));
        assert_eq!(from(&world, line), expected, "{line}");
    }
    // Whatever comes afterwards is behind it.
    let (_, line) = from(&world, "XREAD BLOCK 0 STREAMS k $").unwrap();
    world.run("XADD k 5-2 a 2");
    assert_eq!(world.run(&line), "[[k [[5-2 [a 2]]]]]");
    assert_eq!(world.run("XREAD BLOCK 0 STREAMS k $"), "none");
}
