//! Hashes.

use super::{Family, no_own};

pub(super) const FAMILY: Family = Family {
    name: "hash",
    keys: &["h1", "h2", "h3", "{h}4"],
    templates: &[
        "HSET <key> (<field> <value>)+",
        "HSET <key> (<field> <number>)+",
        "HSET <key> <field> <float>",
        "HSET <key> (<value> <value>)+",
        "HMSET <key> (<field> <value>)+",
        "HSETNX <key> <field> <value>",
        "HGET <key> <field>",
        "HMGET <key> (<field>)+",
        "HGETALL <key>",
        "HDEL <key> (<field>)+",
        "HLEN <key>",
        "HEXISTS <key> <field>",
        "HKEYS <key>",
        "HVALS <key>",
        "HSTRLEN <key> <field>",
        "HINCRBY <key> <field> <number>",
        "HINCRBYFLOAT <key> <field> <float>",
        "HINCRBYFLOAT <key> <field> (0.1|-2.5|1e17|3)",
        "HRANDFIELD <key>",
        "HRANDFIELD <key> (<count>|<negative>) {WITHVALUES}",
        "HRANDFIELD <key> <number> {WITHVALUES}",
        "HSCAN <key> 0 {MATCH <pattern>;COUNT <count>}",
        "DEL <key>",
        "OBJECT ENCODING <key>",
    ],
    fill: no_own,
};
