//! What is wrong with a command that waits, how long it waits, and what is put back when nobody is
//! there any more.

use super::{World, run, stamp, waits};
use crate::entry::seal::tests::{LIMITS, command};
use crate::{Applied, Keyspace, RunKind, apply, give_back, rehearse};
use quorate_resp::Reply;
use std::format;

#[test]
fn what_is_wrong_is_told_in_redis_order() {
    const SYNTAX: &str = "ERR syntax error";
    const FLOAT: &str = "ERR timeout is not a float or out of range";
    const NEGATIVE: &str = "ERR timeout is negative";
    const RANGE: &str = "ERR timeout is out of range";
    const KEYS: &str = "ERR numkeys should be greater than 0";
    const COUNT: &str = "ERR count should be greater than 0";
    let unequal = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be \
                   specified.";
    for (line, error) in [
        ("BLPOP s x", FLOAT),
        ("BLPOP l ", FLOAT),
        ("BLPOP l nan", FLOAT),
        ("BLPOP l 1e5000", FLOAT),
        ("BLPOP s -1", NEGATIVE),
        ("BRPOP s -inf", NEGATIVE),
        ("BLPOP s inf", RANGE),
        ("BLPOP s 1e400", RANGE),
        ("BLPOP s 9223372036854775.807", RANGE),
        ("BLPOP s 0x7FFFFFFFFFFFFFFF", RANGE),
        ("BLMOVE s s x LEFT x", SYNTAX),
        ("BLMOVE s s LEFT x 0", SYNTAX),
        ("BLMOVE s s LEFT RIGHT x", FLOAT),
        ("BRPOPLPUSH s s x", FLOAT),
        ("BLMPOP x 0 s LEFT", KEYS),
        ("BLMPOP x -1 s LEFT", KEYS),
        ("BLMPOP x a s LEFT", KEYS),
        ("BLMPOP x 1 s MIN", SYNTAX),
        ("BLMPOP x 9 s LEFT", SYNTAX),
        ("BLMPOP x 9223372036854775807 s LEFT", SYNTAX),
        ("BLMPOP x 1 s LEFT COUNT", SYNTAX),
        ("BLMPOP x 1 s LEFT COUNT 0", COUNT),
        ("BLMPOP x 1 s LEFT COUNT 1 COUNT 1", SYNTAX),
        ("BLMPOP x 1 s LEFT", FLOAT),
        ("BLMPOP -1 1 s LEFT COUNT 1", NEGATIVE),
        ("BZPOPMIN s x", FLOAT),
        ("BZPOPMAX s -0.0011", NEGATIVE),
        ("BZMPOP x 0 s MIN", KEYS),
        ("BZMPOP x 1 s LEFT", SYNTAX),
        ("BZMPOP x 1 s MIN COUNT 0", COUNT),
        ("BZMPOP x 1 s MIN", FLOAT),
        (
            "XREADGROUP GROUP g c BLOCK x STREAMS s s",
            "ERR timeout is not an integer or out of range",
        ),
        ("XREADGROUP BLOCK -1 GROUP g c STREAMS s >", NEGATIVE),
        (
            "XREADGROUP GROUP g c COUNT x BLOCK 1 STREAMS s >",
            "ERR value is not an integer or out of range",
        ),
        ("XREADGROUP GROUP g c BLOCK 1 STREAMS s", unequal),
        ("XREADGROUP BLOCK 1 NOACK NOACK STREAMS s >", "ERR Missing GROUP option for XREADGROUP"),
        ("XREADGROUP GROUP g c NOACK WHAT BLOCK 1", SYNTAX),
    ] {
        let mut world = World::new();
        world.run(&["SET s x"]);
        assert_eq!(world.step(&[waits(1, line)]), [format!("-{error}\r\n")], "{line}");
        assert_eq!(world.exec(&[line]), format!("*1\r\n-{error}\r\n"), "{line}");
        assert_eq!(world.run(&[line]), format!("-{error}\r\n"), "{line}");
        assert!(world.waiting.is_empty());
    }
}

fn timeout_ms(line: &str) -> Option<u64> {
    let run = run(0, &[line]);
    let mut parser = quorate_resp::Parser::default();
    let (_, wait) = crate::entry::waiting::waits(&mut parser, &run).unwrap();
    (wait.timeout_ms)(parser.args(&run.commands)).ok()
}

#[test]
fn times_are_whole_milliseconds() {
    for (seconds, ms) in [
        ("0", 0),
        ("-0", 0),
        // As Redis: rounded up, it is not negative.
        ("-0.001", 0),
        ("1", 1000),
        ("0.001", 1),
        ("0.0011", 2),
        ("0.07", 70),
        ("1e-9", 1),
        ("0x10", 16_000),
        ("+2.5", 2500),
        ("1e3", 1_000_000),
        ("9000000000000000", 9_000_000_000_000_000_000),
    ] {
        for line in [
            format!("BLPOP a b {seconds}"),
            format!("BRPOP a {seconds}"),
            format!("BLMPOP {seconds} 1 a LEFT"),
            format!("BLMOVE a b LEFT RIGHT {seconds}"),
            format!("BRPOPLPUSH a b {seconds}"),
            format!("BZPOPMIN a {seconds}"),
            format!("BZPOPMAX a b c {seconds}"),
            format!("BZMPOP {seconds} 2 a b MIN COUNT 3"),
        ] {
            assert_eq!(timeout_ms(&line), Some(ms), "{line}");
        }
    }
    let line = "XREADGROUP GROUP BLOCK 5 NOACK block 1 BLOCK 70 STREAMS BLOCK >";
    assert_eq!(timeout_ms(line), Some(70));
    let line = "XREADGROUP GROUP g c BLOCK 9223372036854775807 STREAMS a >";
    assert_eq!(timeout_ms(line), Some(i64::MAX as u64));
}

/// What nobody is there to receive goes back to where it was.
#[test]
fn what_served_somebody_is_given_back() {
    let list = "LRANGE k 0 -1";
    let zset = "ZRANGE k 0 -1 WITHSCORES";
    for (before, line, expect, show) in [
        ("RPUSH k 1 b 3", "BLPOP k 0", "LPUSH k 1", list),
        ("RPUSH k 1 b 3", "BRPOP k 0", "RPUSH k 3", list),
        ("RPUSH k 1 b 3", "BLMPOP 0 1 k LEFT COUNT 2", "LPUSH k b 1", list),
        ("RPUSH k 1 b 3", "BLMPOP 0 1 k RIGHT COUNT 9", "RPUSH k 1 b 3", list),
        ("ZADD k 0.1 a inf b", "BZPOPMIN k 0", "ZADD k NX 0.1 a", zset),
        ("ZADD k 0.1 a inf b", "BZPOPMAX k 0", "ZADD k NX inf b", zset),
        (
            "ZADD k -1e300 a 0.30000000000000004 7",
            "BZMPOP 0 1 k MIN COUNT 9",
            "ZADD k NX -1e+300 a 0.30000000000000004 7",
            zset,
        ),
    ] {
        let mut world = World::new();
        world.run(&[before]);
        let was = world.run(&[show]);
        let asked = waits(1, line);
        let stamp = stamp(0);
        let runs = [asked.clone()];
        let (sealed, _) = rehearse(&mut world.leader, &mut world.waiting, &runs, &stamp, &LIMITS);
        let at = Applied { index: 2, stamp };
        let mut outcome = apply(&mut world.leader, at, &sealed.payload, None).unwrap();
        let reply = outcome.served.remove(0).reply;
        let back = give_back(&asked, &reply).unwrap();
        assert_eq!(back.commands, command(expect), "{line}");
        assert_eq!((back.db, back.count), (asked.db, 1));
        assert!(matches!(back.kind, RunKind::Commands));
        world.follower = Keyspace::new([1, 2]);
        let (sealed, _) = rehearse(&mut world.leader, &mut world.waiting, &[back], &stamp, &LIMITS);
        apply(&mut world.leader, Applied { index: 3, stamp }, &sealed.payload, None).unwrap();
        assert_eq!(world.run(&[show]), was, "{line}");
    }
    let moved = Reply::owned(b"x".to_vec());
    for line in
        ["BLMOVE a b LEFT LEFT 0", "BRPOPLPUSH a b 0", "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"]
    {
        assert!(give_back(&waits(1, line), &moved).is_none(), "{line}");
    }
    assert!(give_back(&waits(1, "BLPOP a 0"), &Reply::NullArray).is_none());
}
