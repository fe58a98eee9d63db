//! Sealing and applying together: what is logged, what is answered, and that replicas agree.

mod changes;
mod fields;

use super::{Refusal, SealLimits, Sealed, seal};
use crate::{
    Applied, Db, Deadline, Decoded, Effects, Keyspace, Run, RunKind, Stamp, Writer, apply, decode,
};
use bytes::{Bytes, BytesMut};
use quorate_resp::{Limits, Parser, Proto, write_command};
use std::string::String;
use std::vec;
use std::vec::Vec;

const NOW: u64 = 1_900_000_000_000;

fn command(line: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    write_command(&mut out, words.into_iter());
    out.to_vec()
}

fn run(db: u8, lines: &[&str]) -> Run {
    let commands: Bytes = lines.iter().flat_map(|line| command(line)).collect();
    Run {
        db: Db(db),
        proto: Proto::Resp2,
        commands,
        count: lines.len() as u32,
        kind: RunKind::Commands,
    }
}

/// A state with keys set at `NOW`: (database, key, milliseconds left).
fn state(keys: &[(u8, &str, Option<u64>)]) -> Keyspace {
    let mut keyspace = Keyspace::new([1, 2]);
    keyspace.begin_entry(1, NOW);
    let mut effects = Effects::default();
    for (db, key, left) in keys {
        let stamp = Stamp { now_ms: NOW, seed: 0 };
        let deadline = left.map_or(Deadline::Clear, |left| Deadline::At(NOW + left));
        let mut cx = Writer::new(&mut keyspace, Db(*db), stamp, 1, &mut effects);
        cx.set_string(key.as_bytes(), b"value", deadline);
    }
    keyspace
}

fn stamp(after_ms: u64) -> Stamp {
    Stamp { now_ms: NOW + after_ms, seed: 3 }
}

const LIMITS: SealLimits = SealLimits { refuse_writes: None, expire_max: 0 };

/// The payload as lines: `db command`, with `x` for expiries and `h` for armour.
fn lines(sealed: &Sealed) -> Vec<String> {
    let show = |bytes: &[u8]| {
        let mut parser = Parser::default();
        parser.parse(bytes, &Limits::stored()).unwrap();
        let words: Vec<_> = parser.args(bytes).iter().map(String::from_utf8_lossy).collect();
        words.join(" ")
    };
    let found: Vec<String> = decode(&sealed.payload)
        .map(|step| match step.unwrap() {
            Decoded::Command(db, bytes, false) => std::format!("{} {}", db.0, show(bytes)),
            Decoded::Command(db, bytes, true) => std::format!("{}x {}", db.0, show(bytes)),
            Decoded::Hidden(db, bytes) => std::format!("{}h {}", db.0, show(&bytes)),
            Decoded::Multi => "MULTI".into(),
            Decoded::Exec => "EXEC".into(),
            Decoded::Words(db, line) => std::format!("{}h {}", db.0, String::from_utf8_lossy(line)),
        })
        .collect();
    let marks = |line: &&String| *line == "MULTI" || *line == "EXEC";
    let commands = found.len() - found.iter().filter(marks).count();
    assert_eq!(commands, sealed.commands as usize);
    found
}

/// Applies with the plan and returns each run's replies.
fn replies(keyspace: &mut Keyspace, sealed: &Sealed, stamp: Stamp) -> Vec<String> {
    let at = Applied { index: 2, stamp };
    let outcome = apply(keyspace, at, &sealed.payload, Some(&sealed.plan)).unwrap();
    outcome.replies.iter().map(|reply| String::from_utf8_lossy(reply).into_owned()).collect()
}

#[test]
fn plain_commands_are_copied_and_reads_ride_along() {
    let mut keyspace = state(&[(0, "a", None), (0, "b", None)]);
    let runs = [run(0, &["EXISTS a", "DEL a b", "EXISTS a", "PERSIST b"]), run(3, &["unlink c"])];
    let sealed = seal(&keyspace, &runs, &stamp(0), &LIMITS);
    assert_eq!(lines(&sealed), ["0 DEL a b", "0 PERSIST b", "3 unlink c"]);
    assert!(!sealed.inexact);
    assert!(sealed.cost_ns > 0);
    assert_eq!(replies(&mut keyspace, &sealed, stamp(0)), [":1\r\n:2\r\n:0\r\n:0\r\n", ":0\r\n"]);
}

#[test]
fn reads_alone_need_no_entry() {
    let keyspace = state(&[(1, "a", None)]);
    let runs = [run(1, &["EXISTS a"]), run(0, &["EXISTS a", "NOPE", "EXISTS"])];
    let sealed = seal(&keyspace, &runs, &stamp(0), &LIMITS);
    assert!(sealed.payload.is_empty());
    let replies = sealed.plan.answer(&keyspace, 1).unwrap();
    assert_eq!(replies.len(), 2);
    assert_eq!(replies[0], ":1\r\n");
    let expected = ":0\r\n-ERR unknown command 'NOPE', with args beginning with: \r\n\
        -ERR wrong number of arguments for 'exists' command\r\n";
    assert_eq!(replies[1], expected);
}

#[test]
fn relative_deadlines_become_absolute() {
    let keyspace = state(&[(0, "a", None)]);
    let check = |line: &str, expect: &str, inexact: bool| {
        let sealed = seal(&keyspace, &[run(0, &[line])], &stamp(7), &LIMITS);
        assert_eq!(lines(&sealed), [expect], "{line}");
        assert_eq!(sealed.inexact, inexact, "{line}");
    };
    check("EXPIRE a 10", "0 PEXPIREAT a 1900000010007", false);
    check("pexpire a 10 nx", "0 PEXPIREAT a 1900000000017 nx", false);
    check("EXPIREAT a 1900000001", "0 PEXPIREAT a 1900000001000", false);
    check("pexpireat a 1900000000008", "0 pexpireat a 1900000000008", false);
    check("EXPIRE a 0", "0 UNLINK a", false);
    check("PEXPIREAT a 5", "0 UNLINK a", false);
    // Redis would store this deadline while it loads; whether the key goes depends on the
    // condition.
    check("EXPIRE a -1 LT", "0h EXPIRE a -1 LT", true);
    check("PEXPIREAT a 5 XX", "0h PEXPIREAT a 5 XX", true);
    // Whether these overflow hangs on the clock of whoever replays them.
    check("PSETEX a 9223372036854775807 v", "0h PSETEX a 9223372036854775807 v", true);
    check("SET a v PX 9223372036854775807", "0h SET a v PX 9223372036854775807", true);
    check("PEXPIRE a 9223372036854775807", "0h PEXPIRE a 9223372036854775807", true);
    // Apply answers what is wrong; the log of Redis has such commands too.
    check("EXPIRE a ten", "0 EXPIRE a ten", false);
}

#[test]
fn a_payload_is_judged_before_it_is_logged() {
    let mut keyspace = state(&[(0, "a", None)]);
    // The number 10, in versions 10 and 12, and damaged.
    let good = b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb";
    let newer = b"\x00\xc0\n\x0c\x00\xa5\xe9c\x85\xf4\x84\xfd\xf2";
    let bad = b"\x00\xc0\x0b\n\x00n\x9fWE\x0e\xaec\xbb";
    let run = |payload: &[u8], ttl: &str, options: &[&str]| {
        let mut out = BytesMut::new();
        let words = [&b"RESTORE"[..], b"b", ttl.as_bytes(), payload];
        let options = options.iter().map(|option| option.as_bytes());
        write_command(&mut out, words.into_iter().chain(options).collect::<Vec<_>>().into_iter());
        Run {
            db: Db(0),
            proto: Proto::Resp2,
            commands: out.freeze(),
            count: 1,
            kind: RunKind::Commands,
        }
    };
    let shown = String::from_utf8_lossy(good);
    let check = |run: Run, expect: String, inexact: bool| {
        let sealed = seal(&keyspace, &[run], &stamp(7), &LIMITS);
        assert_eq!(lines(&sealed), [expect]);
        assert_eq!(sealed.inexact, inexact);
    };
    check(run(good, "0", &[]), std::format!("0 RESTORE b 0 {shown}"), false);
    check(run(newer, "0", &[]), std::format!("0 RESTORE b 0 {shown} ABSTTL"), false);
    let expect = std::format!("0 RESTORE b 1900000000017 {shown} FREQ 1 ABSTTL");
    check(run(good, "10", &["FREQ", "1"]), expect, false);
    let expect = std::format!("0 RESTORE b 1900000000017 {shown} absttl");
    check(run(good, "1900000000017", &["absttl"]), expect, false);
    // Redis would keep it while it loads.
    check(run(good, "5", &["absttl"]), std::format!("0h RESTORE b 5 {shown} absttl"), true);
    for refused in [run(bad, "0", &[]), run(good, "-1", &[]), run(good, "0", &["NOPE"])] {
        let sealed = seal(&keyspace, &[refused], &stamp(7), &LIMITS);
        assert!(sealed.payload.is_empty() && !sealed.inexact);
        assert!(sealed.plan.answer(&keyspace, 1).unwrap()[0].starts_with(b"-ERR "));
    }
    // Compressed, and claiming to become all that 64 bits can say.
    let claim = run(b"\x00\xc3\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00", "0", &[]);
    assert!(seal(&keyspace, &[claim], &stamp(7), &LIMITS).payload.is_empty());
    // What holds the key is only known when the commands before it have run.
    let sealed = seal(&keyspace, &[run(good, "0", &[]), run(good, "0", &[])], &stamp(7), &LIMITS);
    let busy = "-BUSYKEY Target key name already exists.\r\n";
    assert_eq!(replies(&mut keyspace, &sealed, stamp(7)), ["+OK\r\n", busy]);
}

#[test]
fn due_keys_that_the_batch_names_go_first() {
    let keys = [(0, "a", Some(5)), (0, "b", Some(5)), (0, "c", Some(50)), (1, "a", Some(5))];
    let mut keyspace = state(&keys);
    let runs = [run(0, &["DEL a c", "EXISTS a"])];
    let at_deadline = seal(&keyspace, &runs, &stamp(5), &LIMITS);
    assert_eq!(lines(&at_deadline), ["0 DEL a c"]);
    let sealed = seal(&keyspace, &runs, &stamp(6), &LIMITS);
    assert_eq!(lines(&sealed), ["0x UNLINK a", "0 DEL a c"]);
    keyspace.set_setting("notify-keyspace-events", "EA").unwrap();
    let at = Applied { index: 2, stamp: stamp(6) };
    let outcome = apply(&mut keyspace, at, &sealed.payload, Some(&sealed.plan)).unwrap();
    assert_eq!(outcome.replies[0], ":1\r\n:0\r\n");
    let events: Vec<_> = outcome
        .effects
        .list
        .iter()
        .map(|effect| {
            let crate::Effect::Notify { event, key, .. } = effect else { panic!("a message") };
            (*event, &key[..])
        })
        .collect();
    assert_eq!(events, [("expired", b"a".as_slice()), ("del", b"c")]);
}

#[test]
fn a_tick_removes_the_oldest_due_keys_up_to_its_cap() {
    let keys = [(0, "a", Some(9)), (1, "b", Some(5)), (2, "c", Some(7)), (2, "d", Some(5))];
    let mut keyspace = state(&keys);
    let limits = SealLimits { refuse_writes: None, expire_max: 3 };
    let tick = seal(&keyspace, &[], &stamp(20), &limits);
    assert_eq!(lines(&tick), ["1x UNLINK b", "2x UNLINK c d"]);
    assert!(replies(&mut keyspace, &tick, stamp(20)).is_empty());
    assert_eq!(keyspace.now_ms(), NOW + 20);
    let tick = seal(&keyspace, &[], &stamp(20), &limits);
    assert_eq!(lines(&tick), ["0x UNLINK a"]);
    replies(&mut keyspace, &tick, stamp(20));
    let tick = seal(&keyspace, &[], &stamp(99), &limits);
    assert!(tick.payload.is_empty());
}

#[test]
fn a_key_that_may_lie_elsewhere_is_looked_for_everywhere() {
    let keys = [(0, "a", Some(5)), (1, "a", Some(5)), (2, "b", Some(5)), (3, "c", Some(5))];
    let keyspace = state(&keys);
    let of = |line: &str| lines(&seal(&keyspace, &[run(0, &[line])], &stamp(6), &LIMITS));
    assert_eq!(of("MOVE a 1"), ["0x UNLINK a", "1x UNLINK a", "0 MOVE a 1"]);
    assert_eq!(of("COPY x b DB 2"), ["2x UNLINK b", "0 COPY x b DB 2"]);
    // After an exchange a key's name says nothing about where it was: all due keys of both go.
    assert_eq!(of("SWAPDB 3 1"), ["1x UNLINK a", "3x UNLINK c", "0 SWAPDB 3 1"]);
}

#[test]
fn writes_are_refused_before_they_are_logged() {
    let mut keyspace = state(&[(0, "a", None), (0, "b", Some(5))]);
    let full = SealLimits { refuse_writes: Some(Refusal::DiskFull), expire_max: 9 };
    let runs = [run(0, &["DEL a", "EXISTS a"])];
    let sealed = seal(&keyspace, &runs, &stamp(6), &full);
    assert!(sealed.payload.is_empty());
    let reply = sealed.plan.answer(&keyspace, 0).unwrap();
    assert!(
        reply[0].starts_with(b"-MISCONF The disk is full") && reply[0].ends_with(b"\r\n:1\r\n")
    );
    let divided = SealLimits { refuse_writes: Some(Refusal::Divided), ..full };
    let sealed = seal(&keyspace, &runs, &stamp(6), &divided);
    assert!(sealed.payload.is_empty(), "not even what is due is removed");
    let expected = "-MISCONF replicas of this cluster hold different states and no majority \
         agrees: writes are refused; see the log and INFO quorate\r\n:1\r\n";
    assert_eq!(sealed.plan.answer(&keyspace, 0).unwrap(), [expected]);
    keyspace.set_setting("maxmemory", "1").unwrap();
    let runs = [run(0, &["COPY a c", "DEL a"])];
    let sealed = seal(&keyspace, &runs, &stamp(0), &LIMITS);
    assert_eq!(lines(&sealed), ["0 DEL a"]);
    let expected = "-OOM command not allowed when used memory > 'maxmemory'.\r\n:1\r\n";
    assert_eq!(replies(&mut keyspace, &sealed, stamp(0)), [expected]);
}

#[test]
fn the_servers_own_commands_are_armoured_and_exact() {
    let mut keyspace = state(&[]);
    let runs = [run(0, &["QUORATE.CONFIG maxmemory 77", "QUORATE.SPIN 1", "QUORATE.SPIN x"])];
    let sealed = seal(&keyspace, &runs, &stamp(0), &LIMITS);
    let expected = ["0h QUORATE.CONFIG maxmemory 77", "0h QUORATE.SPIN 1", "0h QUORATE.SPIN x"];
    assert_eq!(lines(&sealed), expected);
    assert!(!sealed.inexact);
    assert!(sealed.cost_ns >= 1_000_000);
    let replies = replies(&mut keyspace, &sealed, stamp(0));
    assert_eq!(replies, ["+OK\r\n+OK\r\n-ERR value is not an integer or out of range\r\n"]);
    assert_eq!(keyspace.settings().maxmemory, 77);
}

#[test]
fn a_damaged_run_is_answered_in_full() {
    let keyspace = state(&[]);
    let mut broken = run(0, &["DEL a", "DEL b", "DEL c"]);
    broken.commands = broken.commands.slice(..25);
    let sealed = seal(&keyspace, &[broken, run(0, &["EXISTS a"])], &stamp(0), &LIMITS);
    assert_eq!(lines(&sealed), ["0 DEL a"]);
    let mut keyspace = keyspace;
    let replies = replies(&mut keyspace, &sealed, stamp(0));
    assert_eq!(replies[0].matches("\r\n").count(), 3);
    assert_eq!(replies[1], ":0\r\n");
}

#[test]
fn a_plan_that_does_not_fit_is_noticed() {
    let keyspace = state(&[]);
    let seal = |lines: &[&str]| seal(&keyspace, &[run(0, lines)], &stamp(0), &LIMITS);
    let (one, two) = (seal(&["DEL a"]), seal(&["DEL a", "DEL b"]));
    for (payload, plan) in [(&one.payload, &two.plan), (&two.payload, &one.plan)] {
        let at = Applied { index: 2, stamp: stamp(0) };
        assert!(apply(&mut state(&[]), at, payload, Some(plan)).is_err());
    }
}

#[test]
fn what_sealing_never_writes_is_an_error() {
    let check = |payload: Vec<u8>| {
        let at = Applied { index: 2, stamp: stamp(0) };
        apply(&mut state(&[]), at, &payload, None).map(|_| ())
    };
    let with = |bytes: &[u8]| [command("SELECT 0"), bytes.to_vec()].concat();
    assert_eq!(check(vec![]), Ok(()));
    assert_eq!(check(with(&command("DEL a"))), Ok(()));
    assert!(check(command("DEL a")).is_err(), "no SELECT");
    assert!(check(with(&command("EXISTS a"))).is_err(), "a read");
    assert!(check(with(&command("DEL"))).is_err(), "arity");
    assert!(check(with(&command("NOPE a"))).is_err(), "unknown");
    assert!(check(with(b"#x 1\n")).is_err(), "an expiry without its command");
    assert!(check([with(b"#x 1\n"), command("DEL a")].concat()).is_err(), "no UNLINK");
    assert!(check(with(b"DEL a\r\n")).is_err(), "inline");
    assert!(check(with(b"#y 1\n")).is_err(), "unknown annotation");
}

mod exec;
mod wait;
