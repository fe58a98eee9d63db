//! RESTORE: whatever the payload, it is refused before it is logged, or makes a key that DUMP gives
//! back.
//!
//! The input is type and value; version and checksum are put behind them, so that mutations reach
//! the decoder.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use quorate_engine::{
    Applied, Checksum, Db, Keyspace, Run, RunKind, SealLimits, Sealed, Stamp, apply, seal,
};
use quorate_resp::{Proto, Value, decode_reply, write_command};

const STAMP: Stamp = Stamp { now_ms: 1_900_000_000_000, seed: 1 };

fn sealed(keyspace: &Keyspace, command: &[&[u8]]) -> Sealed {
    let mut commands = BytesMut::new();
    write_command(&mut commands, command.iter().copied());
    let (db, proto, commands) = (Db(0), Proto::Resp2, commands.freeze());
    let run = Run { db, proto, commands, count: 1, kind: RunKind::Commands };
    seal(keyspace, &[run], &STAMP, &SealLimits::default())
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
