//! Transactions: what one entry makes of them, and when they do not take place.

use super::{LIMITS, NOW, lines, run, stamp, state};
use crate::{
    Applied, Db, Guard, Keyspace, Refusal, Run, RunKind, SealLimits, Sealed, Stamp, Waiting, apply,
    rehearse, seal,
};
use std::string::String;
use std::vec::Vec;

fn transaction(keyspace: &Keyspace, watched: &[(u8, &str)], lines: &[&str]) -> Run {
    let guard = |(db, key): &(u8, &str)| Guard {
        db: Db(*db),
        key: key.as_bytes().into(),
        revision: keyspace.revision(Db(*db), key.as_bytes()),
    };
    Run { kind: RunKind::Transaction(watched.iter().map(guard).collect()), ..run(0, lines) }
}

/// The replies of each run, as they are sent.
fn answers(keyspace: &mut Keyspace, sealed: &Sealed, stamp: Stamp) -> Vec<String> {
    let at = Applied { index: keyspace.applied_index() + 1, stamp };
    let replies = if sealed.payload.is_empty() {
        sealed.plan.answer(keyspace, 1).unwrap()
    } else {
        apply(keyspace, at, &sealed.payload, Some(&sealed.plan)).unwrap().replies
    };
    replies.iter().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect()
}

#[test]
fn writes_stand_in_a_frame_and_replies_in_an_array() {
    let mut keyspace = state(&[(0, "a", None)]);
    let lines_of = ["SET b 1", "SELECT 2", "INCR n", "GET n", "SELECT 0", "GET b"];
    let runs = [run(0, &["SET c 1"]), transaction(&keyspace, &[(0, "a")], &lines_of)];
    let sealed = seal(&keyspace, &runs, &stamp(0), &LIMITS);
    assert_eq!(sealed.taken, 2);
    assert_eq!(lines(&sealed), ["0 SET c 1", "MULTI", "0 SET b 1", "2 INCR n", "EXEC"]);
    let answers = answers(&mut keyspace, &sealed, stamp(0));
    assert_eq!(answers, ["+OK\r\n", "*4\r\n+OK\r\n:1\r\n$1\r\n1\r\n$1\r\n1\r\n"]);
}

#[test]
fn one_write_needs_no_frame_and_reads_alone_no_entry() {
    let mut keyspace = state(&[(0, "a", None)]);
    let one = transaction(&keyspace, &[], &["GET a", "SET b 1", "GET b"]);
    assert_eq!(lines(&seal(&keyspace, &[one], &stamp(0), &LIMITS)), ["0 SET b 1"]);
    let reads = transaction(&keyspace, &[(0, "a")], &["GET a", "SELECT 1", "GET a"]);
    let sealed = seal(&keyspace, &[reads], &stamp(0), &LIMITS);
    assert!(sealed.payload.is_empty());
    let answers = answers(&mut keyspace, &sealed, stamp(0));
    assert_eq!(answers, ["*2\r\n$5\r\nvalue\r\n$-1\r\n"]);
}

#[test]
fn what_was_watched_and_has_changed_undoes_it() {
    let changes =
        ["SET a 2", "DEL a", "EXPIRE a 100", "RENAME a b", "FLUSHDB", "SWAPDB 0 1", "APPEND a x"];
    for change in changes {
        let mut keyspace = state(&[(0, "a", None), (1, "a", None)]);
        let watching = transaction(&keyspace, &[(0, "a")], &["SET done 1", "SET too 1"]);
        let sealed = seal(&keyspace, &[run(0, &[change])], &stamp(0), &LIMITS);
        answers(&mut keyspace, &sealed, stamp(0));
        let sealed = seal(&keyspace, &[watching], &stamp(0), &LIMITS);
        assert!(sealed.payload.is_empty(), "{change}");
        assert_eq!(answers(&mut keyspace, &sealed, stamp(0)), ["*-1\r\n"], "{change}");
    }
}

#[test]
fn an_absent_key_that_appears_undoes_it() {
    let mut keyspace = state(&[]);
    let watching = transaction(&keyspace, &[(0, "a")], &["SET done 1"]);
    let sealed = seal(&keyspace, &[run(0, &["SET a 1"])], &stamp(0), &LIMITS);
    answers(&mut keyspace, &sealed, stamp(0));
    let sealed = seal(&keyspace, &[watching], &stamp(0), &LIMITS);
    assert_eq!(answers(&mut keyspace, &sealed, stamp(0)), ["*-1\r\n"]);
}

#[test]
fn a_watched_key_that_is_due_undoes_it() {
    let keyspace = state(&[(0, "a", Some(10))]);
    let watching = || transaction(&keyspace, &[(0, "a")], &["SET done 1"]);
    let of = |after_ms| seal(&keyspace, &[watching()], &stamp(after_ms), &LIMITS);
    assert_eq!(lines(&of(10)), ["0 SET done 1"]);
    assert!(of(11).payload.is_empty());
    assert!(keyspace.now_ms() == NOW);
}

#[test]
fn a_watched_key_that_the_batch_names_waits_for_the_next_entry() {
    for (before, waits) in [
        ("SET a 2", true),
        ("SET b 2", false),
        ("GET a", false),
        ("DEL b a", true),
        ("FLUSHALL", true),
        ("SWAPDB 3 4", true),
    ] {
        let mut keyspace = state(&[(0, "a", None)]);
        let watching = transaction(&keyspace, &[(0, "a")], &["SET done 1"]);
        let runs = [run(0, &[before]), watching, run(0, &["SET behind 1"])];
        let (rehearsed, _) =
            rehearse(&mut keyspace, &mut Waiting::default(), &runs, &stamp(0), &LIMITS);
        assert_eq!(rehearsed.taken, 3);
        let holds = !waits || before == "SWAPDB 3 4";
        let done = lines(&rehearsed).contains(&"0 SET done 1".into());
        assert_eq!(done, holds, "{before}");
        let sealed = seal(&keyspace, &runs, &stamp(0), &LIMITS);
        assert_eq!(sealed.taken, if waits { 1 } else { 3 }, "{before}");
        let first = answers(&mut keyspace, &sealed, stamp(0));
        assert_eq!(first.len(), sealed.taken);
        if waits {
            let sealed = seal(&keyspace, &runs[1..], &stamp(0), &LIMITS);
            assert_eq!(sealed.taken, 2);
            let then = answers(&mut keyspace, &sealed, stamp(0));
            assert_eq!(then[0] == "*-1\r\n", !holds, "{before}: {then:?}");
        }
    }
}

#[test]
fn a_watched_key_written_by_another_transaction_waits() {
    let keyspace = state(&[(0, "a", None), (2, "a", None)]);
    let runs = [
        transaction(&keyspace, &[], &["SELECT 2", "SET a 1"]),
        transaction(&keyspace, &[(0, "a")], &["SET done 1"]),
        transaction(&keyspace, &[(2, "a")], &["SET done 2"]),
    ];
    assert_eq!(seal(&keyspace, &runs, &stamp(0), &LIMITS).taken, 2);
}

#[test]
fn it_is_refused_whole() {
    let mut keyspace = state(&[(0, "a", None)]);
    let full = SealLimits { refuse_writes: Some(Refusal::DiskFull), expire_max: 0 };
    let writes = transaction(&keyspace, &[], &["GET a", "DEL a"]);
    let reads = transaction(&keyspace, &[], &["GET a"]);
    let sealed = seal(&keyspace, &[writes, reads], &stamp(0), &full);
    assert!(sealed.payload.is_empty());
    let answers = answers(&mut keyspace, &sealed, stamp(0));
    assert!(
        answers[0].starts_with("-EXECABORT Transaction discarded because of: MISCONF The disk")
    );
    assert_eq!(answers[1], "*1\r\n$5\r\nvalue\r\n");
}

#[test]
fn a_rehearsal_logs_what_changed_and_knows_the_other_replies() {
    let mut keyspace = state(&[(0, "a", Some(5)), (0, "b", None)]);
    let runs = [
        run(0, &["SETNX b 1", "SET b 2", "GET b", "LPUSH b x", "DEL nothing", "SETNX a 3"]),
        transaction(&keyspace, &[(0, "b")], &["SET done 1"]),
        transaction(&keyspace, &[(0, "nothing")], &["SADD s 1 2 3", "SPOP s"]),
    ];
    let digest = keyspace.digest();
    let (sealed, _) = rehearse(&mut keyspace, &mut Waiting::default(), &runs, &stamp(6), &LIMITS);
    assert_eq!(keyspace.digest(), digest);
    assert_eq!(
        lines(&sealed),
        ["0x UNLINK a", "0 SET b 2", "0 SETNX a 3", "MULTI", "0 SADD s 1 2 3", "0h SPOP s", "EXEC"]
    );
    assert!(sealed.inexact);
    let text = String::from_utf8_lossy(&sealed.payload).into_owned();
    assert!(text.contains("#s "), "what SPOP draws from is said");
    let answers = answers(&mut keyspace, &sealed, stamp(6));
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    assert_eq!(answers[0], std::format!(":0\r\n+OK\r\n$1\r\n2\r\n{wrong}:0\r\n:1\r\n"));
    assert_eq!(answers[1], "*-1\r\n");
    assert!(answers[2].starts_with("*2\r\n:3\r\n$1\r\n"), "{}", answers[2]);
}

#[test]
fn what_happens_otherwise_than_rehearsed_is_noticed() {
    let mut keyspace = state(&[(0, "a", None)]);
    let runs = [run(0, &["SET b 1"])];
    let (sealed, _) = rehearse(&mut keyspace, &mut Waiting::default(), &runs, &stamp(0), &LIMITS);
    let mut other = state(&[(0, "a", None), (0, "more", None)]);
    let at = Applied { index: 2, stamp: stamp(0) };
    assert!(apply(&mut other, at, &sealed.payload, Some(&sealed.plan)).is_err());
    assert!(apply(&mut keyspace, at, &sealed.payload, Some(&sealed.plan)).is_ok());
}

#[test]
fn a_plan_is_of_the_state_it_was_made_in() {
    let mut keyspace = state(&[(0, "a", None)]);
    let watching = transaction(&keyspace, &[(0, "a")], &["SETNX a 2", "GET a"]);
    let (sealed, _) =
        rehearse(&mut keyspace, &mut Waiting::default(), &[watching], &stamp(0), &LIMITS);
    assert!(sealed.payload.is_empty());
    assert!(sealed.plan.is_of(&keyspace));
    let other = seal(&keyspace, &[run(0, &["DEL a"])], &stamp(0), &LIMITS);
    answers(&mut keyspace, &other, stamp(0));
    assert!(!sealed.plan.is_of(&keyspace), "what it knows is old");
}

#[test]
fn a_guard_sees_what_is_due_before_it_is_removed() {
    let mut keyspace = state(&[(0, "a", Some(10))]);
    let lines = ["HSET h f 1 g 2", "HPEXPIREAT h 1900000000010 FIELDS 1 f"];
    let sealed = seal(&keyspace, &[run(0, &lines)], &stamp(0), &LIMITS);
    answers(&mut keyspace, &sealed, stamp(0));
    for key in ["a", "h"] {
        let watching = transaction(&keyspace, &[(0, key)], &[]);
        let RunKind::Transaction(guards) = &watching.kind else { panic!("{watching:?}") };
        let guard = &guards[0];
        assert!(guard.holds(&keyspace, NOW + 10), "{key}");
        assert!(!guard.holds(&keyspace, NOW + 11), "{key}");
    }
}
