//! SORT, with the keys that its patterns lead to.

use super::{Family, no_own};

pub(super) const FAMILY: Family = Family {
    name: "sort",
    keys: &["l1", "u1", "sorted", "l2"],
    templates: &[
        "RPUSH (l1|l2) (<item>)+",
        "RPUSH (l1|l2) (<item>)+",
        "RPUSH l2 <element>",
        "RPUSH texts (<item>)+",
        "LTRIM texts 0 9",
        "SADD u1 (<item>)+",
        "ZADD sorted (<item> <item>)+",
        "SET <weight> <item>",
        "SET <weight> (text|a|b|0x10)",
        "HSET <object> (f|g) <item>",
        "HSET <object> (f|g) (text|a|b|)",
        "SORT <key> {LIMIT <index> <index>;(ASC|DESC);ALPHA}",
        "SORT <key> {LIMIT <number> <number>;(ASC|DESC);ALPHA}",
        "SORT <key> BY <by> {LIMIT <index> <index>;(ASC|DESC);(GET <get>)+}",
        "SORT <key> {BY <by>;(GET <get>)+;LIMIT <index> <index>;(ASC|DESC);STORE <key>}",
        "SORT <key> {(GET <get>)+;LIMIT <index> <index>;(ASC|DESC);ALPHA;STORE <key>}",
        // Equal texts keep their order, so there must be one; and no LIMIT.
        "SORT texts BY <by> ALPHA {(GET <get>)+;(ASC|DESC);STORE <key>}",
        "SORT <key> {BY <by>;(GET <get>)+;STORE d1}",
        "SORT_RO <key> {BY <by>;LIMIT <index> <index>;(GET <get>)+;(ASC|DESC)}",
        "SORT_RO texts BY <by> ALPHA {(GET <get>)+;(ASC|DESC)}",
        // A set that nobody sorts has an order only where it is stored.
        "SORT texts BY nosort {(GET <get>)+;LIMIT <index> <index>;(ASC|DESC)}",
        "SORT <key> BY nosort {(GET <get>)+;LIMIT <index> <index>;(ASC|DESC)} STORE <key>",
        "SORT_RO <key> {STORE <key>;ALPHA}",
        "DEL (<key>|<weight>|<object>)",
    ],
    fill: |random, place| {
        let from = |random: &mut crate::random::Random, list: &[&str]| {
            Some(random.pick(list).as_bytes().to_vec())
        };
        match place {
            "item" => from(random, &["1", "2", "3", "4", "5", "10", "-1", "1.5", "0"]),
            "weight" => from(random, &["w_1", "w_2", "w_3", "w_10", "w_-1", "w_a"]),
            "object" => from(random, &["o_1", "o_2", "o_3", "o_5", "o_10"]),
            "by" => from(random, &["w_*", "o_*->f", "o_*->g", "*", "w_*->", "o_*->f->g"]),
            "get" => {
                from(random, &["#", "w_*", "o_*->f", "o_*->g", "nothing", "*", "o_*->", "w_*x"])
            }
            _ => no_own(random, place),
        }
    },
};
