//! Everything a server shows of its strings, to be compared with what another one shows.

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
            let value = text(&client.call(&["GET", &key]).expect("an answer"));
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
