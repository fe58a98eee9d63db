//! Fields of hashes that are due: what goes in front of whom, in bounded steps, and what is seen.

use super::{LIMITS, lines, replies, run, stamp};
use crate::{Applied, Db, Effect, Keyspace, SealLimits, apply, seal};
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

fn limits(expire_max: usize) -> SealLimits {
    SealLimits { refuse_writes: None, expire_max }
}

/// Applies these commands; their answers.
fn call(keyspace: &mut Keyspace, after_ms: u64, commands: &[&str]) -> String {
    let sealed = seal(keyspace, &[run(0, commands)], &stamp(after_ms), &LIMITS);
    if sealed.payload.is_empty() {
        let answers = sealed.plan.answer(keyspace, 0).unwrap();
        return String::from_utf8(answers[0].to_vec()).unwrap();
    }
    replies(keyspace, &sealed, stamp(after_ms)).remove(0)
}

/// `h` with fields `a`, which ends at 5, `b`, which ends at 9, and `c`; and `k`, which ends at 5.
fn state() -> Keyspace {
    let mut keyspace = Keyspace::new([1, 2]);
    let commands = [
        "HSET h a 1 b 2 c 3",
        "HPEXPIRE h 5 FIELDS 1 a",
        "HPEXPIRE h 9 FIELDS 1 b",
        "HSETEX k PX 5 FIELDS 1 a 1",
    ];
    call(&mut keyspace, 0, &commands);
    keyspace
}

#[test]
fn writes_are_armoured() {
    let keyspace = state();
    for line in [
        "HEXPIRE h 5 FIELDS 1 a",
        "HPEXPIREAT h 5 NX FIELDS 1 a",
        "HPERSIST h FIELDS 1 a",
        "HGETEX h PX 5 FIELDS 1 a",
        "HSETEX h FIELDS 1 a 1",
        "HGETDEL h FIELDS 1 a",
    ] {
        let sealed = seal(&keyspace, &[run(0, &[line])], &stamp(1), &LIMITS);
        assert_eq!((&lines(&sealed)[..], sealed.inexact), (&[format!("0h {line}")][..], true));
    }
}

#[test]
fn due_fields_of_a_hash_that_is_written_to_go_first() {
    let keyspace = state();
    let of = |after_ms, line: &str| {
        let sealed = seal(&keyspace, &[run(0, &[line])], &stamp(after_ms), &LIMITS);
        assert!(!sealed.inexact, "{line}");
        lines(&sealed)
    };
    assert_eq!(of(5, "HSET h x 1"), ["0 HSET h x 1"]);
    assert_eq!(of(6, "HSET h x 1"), ["0x HDEL h a", "0 HSET h x 1"]);
    assert_eq!(of(10, "HDEL h c"), ["0x HDEL h a b", "0 HDEL h c"]);
    assert_eq!(of(6, "RENAME h x"), ["0x HDEL h a", "0 RENAME h x"]);
    assert_eq!(of(6, "COPY h x DB 3"), ["0x HDEL h a", "0 COPY h x DB 3"]);
    assert_eq!(of(6, "SET other x"), ["0 SET other x"]);
    assert_eq!(of(6, "HSET k a 1"), ["0x UNLINK k", "0 HSET k a 1"]);
    assert!(seal(&keyspace, &[run(0, &["HGETALL h"])], &stamp(6), &LIMITS).payload.is_empty());
    let swap = seal(&keyspace, &[run(0, &["SWAPDB 0 1"])], &stamp(6), &LIMITS);
    assert!(swap.inexact, "fields that are due lie in another database then");
}

#[test]
fn a_tick_removes_fields_up_to_its_cap() {
    let mut keyspace = state();
    keyspace.set_setting("notify-keyspace-events", "EA").unwrap();
    assert_eq!(keyspace.next_deadline_ms(), Some(stamp(5).now_ms));
    let tick = seal(&keyspace, &[], &stamp(20), &limits(1));
    assert_eq!(lines(&tick), ["0x HDEL h a"]);
    let at = Applied { index: 9, stamp: stamp(20) };
    let outcome = apply(&mut keyspace, at, &tick.payload, Some(&tick.plan)).unwrap();
    let events = |outcome: &crate::Outcome| -> Vec<(u8, &str, Vec<u8>)> {
        let list = outcome.effects.list.iter();
        list.map(|effect| {
            let Effect::Notify { class, event, key, .. } = effect else { panic!("a message") };
            (*class, *event, key.to_vec())
        })
        .collect()
    };
    assert_eq!(events(&outcome), [(b'h', "hexpired", b"h".to_vec())]);
    let tick = seal(&keyspace, &[], &stamp(20), &limits(9));
    assert_eq!(lines(&tick), ["0x UNLINK k", "0x HDEL h b"]);
    let at = Applied { index: 10, stamp: stamp(20) };
    let outcome = apply(&mut keyspace, at, &tick.payload, Some(&tick.plan)).unwrap();
    let wanted = [
        (b'h', "hexpired", b"k".to_vec()),
        (b'g', "del", b"k".to_vec()),
        (b'h', "hexpired", b"h".to_vec()),
    ];
    assert_eq!(events(&outcome), wanted);
    assert_eq!(keyspace.next_deadline_ms(), None);
    assert!(seal(&keyspace, &[], &stamp(99), &limits(9)).payload.is_empty());
}

#[test]
fn time_alone_decides_what_is_seen() {
    let mut keyspace = state();
    // Nothing is removed, as under a backlog: cluster time passes by an entry about another key.
    let pass = [run(0, &["SET other x"])];
    let sealed = seal(&keyspace, &pass, &stamp(6), &LIMITS);
    replies(&mut keyspace, &sealed, stamp(6));
    let reads = [
        ("HLEN h", ":2\r\n"),
        ("HEXISTS h a", ":0\r\n"),
        ("HGET h a", "$-1\r\n"),
        ("HKEYS h", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
        ("HPTTL h FIELDS 3 a b c", "*3\r\n:-2\r\n:3\r\n:-1\r\n"),
        ("HTTL h FIELDS 3 a b c", "*3\r\n:-2\r\n:1\r\n:-1\r\n"),
        ("HRANDFIELD h 9", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"),
        ("EXISTS h k", ":1\r\n"),
        ("TYPE k", "+none\r\n"),
    ];
    for (line, want) in reads {
        assert_eq!(call(&mut keyspace, 6, &[line]), want, "{line}");
    }
    assert_eq!(
        call(&mut keyspace, 6, &["HINCRBY h a 7", "HPTTL h FIELDS 1 a"]),
        ":7\r\n*1\r\n:-1\r\n"
    );
    assert_eq!(call(&mut keyspace, 6, &["LPUSH k x"]), ":1\r\n");
    // The last field that is not due takes the hash with it.
    let reply = call(&mut keyspace, 10, &["HDEL h a c", "EXISTS h", "DBSIZE"]);
    assert_eq!(reply, ":2\r\n:0\r\n:2\r\n");
}

#[test]
fn what_is_carried_elsewhere_in_one_batch_keeps_its_due_fields_hidden() {
    let mut keyspace = Keyspace::new([1, 2]);
    let count = super::super::due::NAMED_FIELDS_MAX + 44;
    let pairs: Vec<String> = (0..count).map(|number| format!("f{number} 1")).collect();
    let set = format!("HSETEX h PX 5 FIELDS {count} {}", pairs.join(" "));
    call(&mut keyspace, 0, &[&set, "HSET h last 1"]);
    let batch =
        [run(0, &["RENAME h x", "HLEN x", "HINCRBY x f299 5", "HDEL x last f299", "LPUSH x 1"])];
    let sealed = seal(&keyspace, &batch, &stamp(6), &LIMITS);
    assert!(sealed.inexact, "stock Redis has more fields than are seen here");
    let reply = replies(&mut keyspace, &sealed, stamp(6));
    assert_eq!(reply, ["+OK\r\n:1\r\n:5\r\n:2\r\n:1\r\n"]);
    assert_eq!(keyspace.next_deadline_ms(), None, "what was due went with the hash");
}

#[test]
fn many_due_fields_go_in_small_steps() {
    let mut keyspace = Keyspace::new([1, 2]);
    for part in 0..50 {
        let pairs: Vec<String> = (0..400).map(|n| format!("f{} v", part * 400 + n)).collect();
        let set = format!("HSETEX h PX {} FIELDS 400 {}", 5 + part, pairs.join(" "));
        call(&mut keyspace, 0, &[&set]);
    }
    call(&mut keyspace, 0, &["HSET h stays 1"]);
    let mut left = 20_000;
    while left > 0 {
        let tick = seal(&keyspace, &[], &stamp(900), &limits(200));
        assert!(tick.cost_ns <= 1_000_000, "no stall");
        replies(&mut keyspace, &tick, stamp(900));
        assert_eq!(call(&mut keyspace, 900, &["HLEN h"]), ":1\r\n");
        left -= 200;
    }
    assert!(seal(&keyspace, &[], &stamp(900), &limits(200)).payload.is_empty());
    assert_eq!(keyspace.stats(Db(0)).0, 1);
}

#[test]
fn an_expiry_never_takes_what_is_not_due() {
    let mut keyspace = state();
    let payload = [super::command("SELECT 0"), b"#x 1\n".to_vec(), super::command("HDEL h a b c")];
    let at = Applied { index: 2, stamp: stamp(7) };
    apply(&mut keyspace, at, &payload.concat(), None).unwrap();
    assert_eq!(call(&mut keyspace, 7, &["HKEYS h"]), "*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
    for line in ["HDEL h", "HDEL", "HSET h a 1"] {
        let payload = [super::command("SELECT 0"), b"#x 1\n".to_vec(), super::command(line)];
        assert!(apply(&mut state(), at, &payload.concat(), None).is_err(), "{line}");
    }
    let none: Vec<Vec<u8>> = vec![];
    assert_eq!(keyspace.due_fields_of(Db(0), b"none", u64::MAX, 9), (none, false));
}
