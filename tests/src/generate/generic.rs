//! Keys of any type.

use super::{Family, no_own};

pub(super) const FAMILY: Family = Family {
    name: "generic",
    keys: &["k1", "k2", "s1", "l1", "u1", "h1", "z1"],
    templates: &[
        "DEL (<key>)+",
        "UNLINK (<key>)+",
        "EXISTS (<key>)+",
        "TOUCH (<key>)+",
        "TYPE <key>",
        "TYPE <key>",
        "RENAME <key> <key>",
        "RENAMENX <key> <key>",
        "COPY <key> <key> {DB <db>;REPLACE}",
        "COPY <key> <key> {REPLACE}",
        "MOVE <key> <db>",
        "SELECT (0|0|1|2)",
        "SELECT 0",
        "SWAPDB <db> <db>",
        "DBSIZE",
        "RANDOMKEY",
        "KEYS <pattern>",
        "SCAN 0 {MATCH <pattern>;COUNT <count>;TYPE (string|list|set|zset|hash|stream|none)}",
        "EXPIRE <key> <ttl>",
        "EXPIRE <key> <number> {NX;XX;GT;LT}",
        "PEXPIRE <key> <ttl_ms>",
        "EXPIREAT <key> <at> {(NX|XX|GT|LT)}",
        "EXPIREAT <key> <number> {NX;XX;GT;LT}",
        "PEXPIREAT <key> <at_ms> {(NX|XX|GT|LT)}",
        "PERSIST <key>",
        "TTL <key>",
        "PTTL <key>",
        "EXPIRETIME <key>",
        "PEXPIRETIME <key>",
        "DUMP <key>",
        "DUMP <key>",
        "RESTORE <key> (0|<ttl_ms>|<number>) <payload> {REPLACE;ABSTTL;IDLETIME <number>;FREQ \
         <count>}",
        "RESTORE-ASKING <key> 0 <payload> {REPLACE}",
        "OBJECT ENCODING <key>",
        "OBJECT ENCODING <key>",
        "OBJECT REFCOUNT <key>",
        "OBJECT IDLETIME <key>",
        "OBJECT FREQ <key>",
        "MEMORY USAGE <key> {SAMPLES <number>}",
        "SORT <key> {LIMIT <index> <count>;(ASC|DESC);ALPHA;STORE <key>}",
        // Rare, for it empties what others filled.
        "FLUSHDB (ASYNC|SYNC|)",
    ],
    fill: |random, place| {
        let payloads: [&[u8]; 4] = [
            b"\x00\x05hello\x0a\x00cr\xdfve4 \x0a",
            b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb",
            b"\x00\xc0\x05\n\x00n\x9fWE\x0e\xaec\xbb",
            b"nothing",
        ];
        match place {
            "payload" => Some(random.pick(&payloads).to_vec()),
            _ => no_own(random, place),
        }
    },
};
