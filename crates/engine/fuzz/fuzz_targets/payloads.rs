//! RESTORE: whatever the payload, it is refused before it is logged, or makes a key that DUMP gives
//! back, and that whoever waits for it gets something of.
//!
//! The input is type and value; version and checksum are put behind them, so that mutations reach
//! the decoder.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use quorate_engine::{
    Applied, Checksum, Db, Keyspace, Registration, Run, RunKind, SealLimits, Sealed, Stamp, Waiter,
    Waiting, apply, rehearse, seal,
};
use quorate_resp::{Proto, Value, decode_reply, write_command};

const STAMP: Stamp = Stamp { now_ms: 1_900_000_000_000, seed: 1 };

fn run(command: &[&[u8]]) -> Run {
    let mut commands = BytesMut::new();
    write_command(&mut commands, command.iter().copied());
    let (db, proto, commands) = (Db(0), Proto::Resp2, commands.freeze());
    Run { db, proto, commands, count: 1, kind: RunKind::Commands }
}

fn sealed(keyspace: &Keyspace, command: &[&[u8]]) -> Sealed {
    seal(keyspace, &[run(command)], &STAMP, &SealLimits::default())
}

/// What is restored while two wait for it, and how it is called: the one whose command fits is
/// served by the same entry.
fn serves(payload: &[u8], kind: &Value) {
    let (mut keyspace, mut waiting) = (Keyspace::new([1, 2]), Waiting::default());
    let waits = |id, name: &[u8]| {
        let waiter = Waiter { node: 1, incarnation: 1, id };
        let registration = Registration { waiter, since_ms: 0, applied: 0, again: false };
        Run { kind: RunKind::Wait(registration), ..run(&[name, b"k", b"0"]) }
    };
    let restore = run(&[b"RESTORE", b"k", b"0", payload]);
    let runs = [waits(1, b"BLPOP"), waits(2, b"BZPOPMIN"), restore];
    let limits = SealLimits::default();
    let (sealed, _) = rehearse(&mut keyspace, &mut waiting, &runs, &STAMP, &limits);
    let at = Applied { index: 1, stamp: STAMP };
    let applied = apply(&mut keyspace, at, &sealed.payload, Some(&sealed.plan));
    let served = applied.expect("a payload of ours").served;
    let served: Vec<u64> = served.iter().map(|served| served.waiter.id).collect();
    let expected: &[u64] = match kind {
        Value::Simple(kind) if kind == "list" => &[1],
        Value::Simple(kind) if kind == "zset" => &[2],
        _ => &[],
    };
    assert_eq!(served, expected);
    assert_eq!(waiting.len(), 2 - served.len());
}

fn call(keyspace: &mut Keyspace, command: &[&[u8]]) -> Value {
    let sealed = sealed(keyspace, command);
    let replies: Vec<Bytes> = if sealed.payload.is_empty() {
        sealed.plan.answer(keyspace, 0).expect("a plan of reads and refusals")
    } else {
        let at = Applied { index: keyspace.applied_index() + 1, stamp: STAMP };
        apply(keyspace, at, &sealed.payload, Some(&sealed.plan)).expect("a payload of ours").replies
    };
    let whole = decode_reply(&replies[0]).expect("a reply");
    whole.expect("a whole reply").0
}

fn payload(body: &[u8], version: u16) -> Vec<u8> {
    let mut payload = [body, &version.to_le_bytes()].concat();
    let mut sum = Checksum::default();
    sum.update(&payload);
    payload.extend(sum.finish());
    payload
}

fuzz_target!(|body: &[u8]| {
    for version in [10, 12] {
        let mut keyspace = Keyspace::new([1, 2]);
        let payload = payload(body, version);
        let refused = sealed(&keyspace, &[b"RESTORE", b"k", b"0", &payload]).payload.is_empty();
        let reply = call(&mut keyspace, &[b"RESTORE", b"k", b"0", &payload]);
        let is_error = matches!(reply, Value::Error(_));
        assert_eq!(is_error, refused, "what is wrong is refused, what is logged succeeds");
        if refused {
            assert_eq!(keyspace.digest(), Keyspace::new([1, 2]).digest());
            continue;
        }
        let timed = (22..=25).contains(&body[0]);
        if timed && call(&mut keyspace, &[b"EXISTS", b"k"]) == Value::Int(0) {
            // Every field was due.
            continue;
        }
        serves(&payload, &call(&mut keyspace, &[b"TYPE", b"k"]));
        let value = call(&mut keyspace, &[b"GET", b"k"]);
        let Value::Bulk(dumped) = call(&mut keyspace, &[b"DUMP", b"k"]) else { panic!("no dump") };
        call(&mut keyspace, &[b"RESTORE", b"other", b"0", &dumped]);
        assert_eq!(call(&mut keyspace, &[b"GET", b"other"]), value);
        let Value::Bulk(again) = call(&mut keyspace, &[b"DUMP", b"other"]) else { panic!("gone") };
        // What is left of a hash whose fields are due is dumped element by element, once.
        if !timed {
            assert_eq!(again, dumped);
        }
        call(&mut keyspace, &[b"RESTORE", b"third", b"0", &again]);
        assert_eq!(call(&mut keyspace, &[b"DUMP", b"third"]), Value::Bulk(again));
    }
});
