//! What a replica of Redis 7.0 makes of what it is told.
//!
//! The replica is played by a keyspace that applies what was told at time zero: it never expires a
//! key, and knows no deadlines of fields, because no command that sets one may be told.

use super::{Db, Keyspace, Reader, answer};
use quorate_engine::{Applied, Decoded, Stamp, apply, decode};
use quorate_resp::{Limits, Parser, Value, decode_reply};
use std::collections::BTreeMap;

/// Applies what was told of an entry, which must be commands of Redis 7.0.
pub(super) fn hear(replica: &mut Keyspace, index: u64, told: &[u8]) {
    for found in decode(told) {
        let bytes = match found.expect("what is told is whole") {
            Decoded::Command(_, bytes, false) => bytes,
            Decoded::Multi | Decoded::Exec => continue,
            _ => panic!("an annotation was told"),
        };
        let mut parser = Parser::default();
        parser.parse(bytes, &Limits::stored()).expect("a command");
        let args = parser.args(bytes);
        let spec = quorate_engine::cmd::resolve(args).expect("a command that is known");
        let (name, since) = (spec.meta.name, spec.meta.since);
        let version: Vec<u32> = since.split('.').map(|part| part.parse().unwrap()).collect();
        assert!(version <= vec![7, 0, 15], "{name} is of Redis {since}");
        let is_hidden = spec.logged.forms == quorate_engine::Logged::HIDDEN.forms;
        assert!(!is_hidden, "{name} was told");
    }
    let at = Applied { index, stamp: Stamp { now_ms: 0, seed: 77 } };
    apply(replica, at, told, None).expect("what is told can be applied");
}

/// Every visible key of the leader is at the replica, with the same value and deadline; whatever
/// else is there is due, and will be told.
pub(super) fn check(leader: &Keyspace, replica: &Keyspace, dbs: u8) {
    for db in (0..dbs).map(Db) {
        let here = Reader { keyspace: leader, db, seed: 0, clock_ms: 0 };
        let there = Reader { keyspace: replica, db, seed: 0, clock_ms: 0 };
        let mut keys = Vec::new();
        here.keys(&mut |key| keys.push(key.to_vec()));
        for key in &keys {
            assert_eq!(here.type_name(key), there.type_name(key), "{key:?} in {db:?}");
            assert_eq!(here.deadline_ms(key), there.deadline_ms(key), "{key:?} in {db:?}");
            let (due, _) = leader.due_fields_of(db, key, leader.now_ms(), usize::MAX);
            let (mine, theirs) = (shown(&here, key, &[]), shown(&there, key, &due));
            assert_eq!(mine, theirs, "{key:?} in {db:?}");
        }
        there.keys(&mut |key| {
            let is_due = leader.is_due(db, key, leader.now_ms());
            assert!(is_due || here.exists(key), "{key:?} lives on in {db:?} of the replica");
        });
    }
}

fn ask(reader: &Reader<'_>, words: &[&[u8]]) -> Value {
    let reply = answer(reader, words);
    decode_reply(&reply).expect("a reply").expect("a whole one").0
}

/// A value as its commands show it, without what a replica has of its own: the order of sets and
/// hashes, and when consumers were seen. Of a hash without fields that are due.
fn shown(reader: &Reader<'_>, key: &[u8], due: &[Vec<u8>]) -> Vec<Value> {
    let list = |value: Value| if let Value::Array(items) = value { items } else { vec![value] };
    match reader.type_name(key) {
        Some("string") => vec![ask(reader, &[b"GET", key])],
        Some("list") => list(ask(reader, &[b"LRANGE", key, b"0", b"-1"])),
        Some("zset") => list(ask(reader, &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])),
        Some("set") => {
            let mut members = list(ask(reader, &[b"SMEMBERS", key]));
            members.sort_by_key(|member| format!("{member:?}"));
            members
        }
        Some("hash") => {
            let all = list(ask(reader, &[b"HGETALL", key]));
            let pairs = all.chunks(2).map(|pair| (format!("{:?}", pair[0]), pair.to_vec()));
            let mut pairs: BTreeMap<String, Vec<Value>> = pairs.collect();
            for field in due {
                pairs.remove(&format!("{:?}", Value::Bulk(field.clone())));
            }
            pairs.into_values().flatten().collect()
        }
        _ => stream(reader, key),
    }
}

fn stream(reader: &Reader<'_>, key: &[u8]) -> Vec<Value> {
    let mut all = vec![ask(reader, &[b"XRANGE", key, b"-", b"+"])];
    let facts = ask(reader, &[b"XINFO", b"STREAM", key]);
    let Value::Array(facts) = facts else { panic!("{facts:?}") };
    // Producers are not known to Redis 7.0.
    let is_new = |name: &Value| {
        let name = name.as_bytes().unwrap_or_default();
        [b"idmp".as_slice(), b"pids", b"iids"].iter().any(|front| name.starts_with(front))
    };
    all.extend(facts.chunks(2).filter(|fact| !is_new(&fact[0])).flatten().cloned());
    let groups = ask(reader, &[b"XINFO", b"GROUPS", key]);
    let Value::Array(groups) = groups else { panic!("{groups:?}") };
    for group in groups {
        let Value::Array(facts) = &group else { panic!("{group:?}") };
        let Value::Bulk(name) = &facts[1] else { panic!("{facts:?}") };
        let pending = ask(reader, &[b"XPENDING", key, name, b"-", b"+", b"1000"]);
        let Value::Array(pending) = pending else { panic!("{pending:?}") };
        for entry in pending {
            let Value::Array(parts) = entry else { panic!("{entry:?}") };
            // Not for how long it is pending: the replica's clock stands at zero.
            all.extend([parts[0].clone(), parts[1].clone(), parts[3].clone()]);
        }
        let consumers = ask(reader, &[b"XINFO", b"CONSUMERS", key, name]);
        let Value::Array(consumers) = consumers else { panic!("{consumers:?}") };
        for consumer in consumers {
            let Value::Array(facts) = consumer else { panic!("{consumer:?}") };
            all.extend(facts.into_iter().take(4));
        }
        all.push(group);
    }
    all
}
