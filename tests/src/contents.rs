//! Everything a server shows of its keys, to be compared with what another one shows.

use crate::client::{Client, text};
use quorate_resp::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Database and key to value and absolute deadline (-1: none).
pub type Contents = BTreeMap<(u8, String), (String, i64)>;

/// What the server on this port shows.
pub fn contents(port: u16) -> Contents {
    let mut client = Client::connect(port, Duration::from_secs(20)).expect("it answers");
    let mut all = Contents::new();
    for db in 0..16_u8 {
        client.call(&["SELECT", &db.to_string()]).expect("an answer");
        let Value::Array(keys) = client.call(&["KEYS", "*"]).expect("an answer") else {
            panic!("no array")
        };
        for key in keys {
            let key = text(&key).expect("a key");
            let mut ask = |words: &[&[u8]]| {
                let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
                client.call_bytes(&words).expect("an answer")
            };
            let value = value(&mut ask, key.as_bytes()).map(|parts| joined(&parts));
            let Value::Int(deadline) = client.call(&["PEXPIRETIME", &key]).expect("an answer")
            else {
                panic!("no deadline")
            };
            // A key may expire between KEYS and GET; both sides hide it then.
            if let Some(value) = value {
                all.insert((db, key), (value, deadline));
            }
        }
    }
    all
}

fn joined(parts: &[Vec<u8>]) -> String {
    parts.iter().map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join(" ")
}

/// What the value at a key shows in the words of its type, in an order that says nothing of the
/// server where the type has none. A string is one part. `None`: there is no such key.
pub fn value(ask: &mut dyn FnMut(&[&[u8]]) -> Value, key: &[u8]) -> Option<Vec<Vec<u8>>> {
    let Value::Simple(kind) = ask(&[b"TYPE", key]) else { return None };
    let reads: &[&[&[u8]]] = match kind.as_str() {
        "string" => &[&[b"GET", key]],
        "list" => &[&[b"LRANGE", key, b"0", b"-1"]],
        "set" => &[&[b"SMEMBERS", key]],
        "hash" => &[&[b"HGETALL", key]],
        "zset" => &[&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]],
        "stream" => &[&[b"XRANGE", key, b"-", b"+"], &[b"XINFO", b"GROUPS", key]],
        _ => return None,
    };
    let mut parts = Vec::new();
    for words in reads {
        flatten(&ask(words), &mut parts);
    }
    match kind.as_str() {
        "set" => parts.sort(),
        "hash" => {
            let mut pairs: Vec<_> = parts.chunks(2).map(<[_]>::to_vec).collect();
            pairs.sort();
            parts = pairs.concat();
        }
        // Redis 7.0 prints scores with 17 digits, we as Redis 7.2.
        "zset" => {
            for score in parts.iter_mut().skip(1).step_by(2) {
                let number = text(&Value::Bulk(score.clone())).and_then(|text| text.parse().ok());
                *score = format!("{:?}", number.unwrap_or(f64::NAN)).into_bytes();
            }
        }
        // Redis 7.0 tells another lag of trimmed streams. It is counted, not kept.
        "stream" => {
            let mut told = std::mem::take(&mut parts).into_iter().peekable();
            while let Some(part) = told.next() {
                if part == b"lag" {
                    told.next_if(|lag| lag.starts_with(b"Int("));
                }
                parts.push(part);
            }
        }
        _ => {}
    }
    if kind != "string" {
        parts.insert(0, kind.into_bytes());
    }
    // A key may go between two questions.
    (!parts.is_empty()).then_some(parts)
}

fn flatten(value: &Value, parts: &mut Vec<Vec<u8>>) {
    match value {
        Value::Array(items) | Value::Set(items) => {
            for item in items {
                flatten(item, parts);
            }
        }
        Value::Null => {}
        other => match other.as_bytes() {
            Some(bytes) => parts.push(bytes.to_vec()),
            None => parts.push(format!("{other:?}").into_bytes()),
        },
    }
}

/// Where they differ first, in words.
pub fn first_difference(seen: &Contents, expected: &Contents) -> Option<String> {
    expected
        .iter()
        .find(|(key, value)| seen.get(key) != Some(value))
        .map(|(key, value)| format!("{key:?}: expected {value:?}, seen {:?}", seen.get(key)))
        .or_else(|| {
            seen.keys()
                .find(|key| !expected.contains_key(key))
                .map(|key| format!("{key:?}: nobody expected it"))
        })
}
