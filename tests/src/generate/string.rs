//! Strings.

use super::{Family, no_own};

pub(super) const FAMILY: Family = Family {
    name: "string",
    keys: &["s1", "s2", "{s}3", "", "s\r\n\u{1}4"],
    templates: &[
        "SET <key> <value>",
        "SET <key> <number>",
        "SET <key> <value> {(NX|XX);GET;(EX <ttl>|PX <ttl_ms>|EXAT <at>|PXAT <at_ms>|KEEPTTL)}",
        "SET <key> <value> {NX;XX;GET;EX <ttl>;PX <number>;KEEPTTL}",
        "SETEX <key> <ttl> <value>",
        "SETEX <key> <number> <value>",
        "PSETEX <key> <ttl_ms> <value>",
        "SETNX <key> <value>",
        "GETSET <key> <value>",
        "GET <key>",
        "GETEX <key> {(EX <ttl>|PX <ttl_ms>|EXAT <at>|PXAT <at_ms>|PERSIST)}",
        "GETEX <key> {PERSIST;EX <ttl>;PXAT <number>}",
        "GETDEL <key>",
        "MGET (<key>)+",
        "MSET (<key> <value>)+",
        "MSETNX (<key> <value>)+",
        "APPEND <key> <value>",
        "STRLEN <key>",
        "SETRANGE <key> <offset> <value>",
        "GETRANGE <key> <index> <index>",
        "GETRANGE <key> <number> <number>",
        "SUBSTR <key> <index> <index>",
        "INCR <key>",
        "DECR <key>",
        "INCRBY <key> <number>",
        "DECRBY <key> <number>",
        "INCRBYFLOAT <key> <float>",
        "INCRBYFLOAT <key> (0.1|-2.5|1e17|3)",
        "INCREX <key> {BYINT <number>;LBOUND <number>;UBOUND <number>;SATURATE;EX <ttl>;ENX}",
        "INCREX <key> {BYFLOAT <float>;UBOUND <float>;SATURATE;(EXAT <at>|PERSIST);(NX|XX)}",
        "MSETEX 2 <key> <value> <key> <value> {(NX|XX);(PX <ttl_ms>|EXAT <at>|KEEPTTL)}",
        "DELEX <key> {IFEQ <value>}",
        "DELIFEQ <key> <value>",
        "DIGEST <key>",
        "LCS <key> <key> {LEN;IDX;MINMATCHLEN <count>;WITHMATCHLEN}",
    ],
    fill: |random, place| {
        // Beyond a megabyte the value would outgrow the limit that the tester sets.
        let offsets =
            ["0", "1", "3", "7", "40", "100", "5000", "1048570", "1048576", "-1", "4294967296"];
        match place {
            "offset" => Some(random.pick(&offsets).as_bytes().to_vec()),
            _ => no_own(random, place),
        }
    },
};
