//! Counters of distinct elements: the commands that begin with PF.

use super::{Family, no_own};

pub(super) const FAMILY: Family = Family {
    name: "hll",
    keys: &["p1", "p2", "p3", "p4"],
    templates: &[
        "PFADD <key> (<item>)+",
        "PFADD <key> (<item>)+",
        "PFADD <key> <item> <item> <item> <item> <item> <item> <item> <item> <item> <item>",
        "PFADD <key> <item> <item> <item> <item> <item> <item> <item> <item> <item> <item>",
        "PFADD <key>",
        "PFCOUNT <key>",
        "PFCOUNT (<key>)+",
        "PFMERGE <key> (<key>)*",
        "PFDEBUG (GETREG|ENCODING|TODENSE) <key>",
        "PFDEBUG (DECODE|ENCODING) <key>",
        "PFDEBUG <element> <key>",
        "GET <key>",
        "SET <key> <payload>",
        "APPEND <key> <element>",
        "SETRANGE <key> (0|4|5) <element>",
        "DEL <key>",
    ],
    fill: |random, place| {
        let payloads: [&[u8]; 8] = [
            // Empty and sparse; with a cached count of 0, and without.
            b"HYLL\x01\x00\x00\x00\0\0\0\0\0\0\0\0\x7f\xff",
            b"HYLL\x01\x00\x00\x00\0\0\0\0\0\0\0\x80\x7f\xff",
            // Registers 0 to 3 have 5; the rest is zero.
            b"HYLL\x01\x00\x00\x00\0\0\0\0\0\0\0\x80\x93\x7f\xfb",
            // Unknown encoding, wrong magic, too short, dense and too short.
            b"HYLL\x02\x00\x00\x00\0\0\0\0\0\0\0\x80\x7f\xff",
            b"HYLK\x01\x00\x00\x00\0\0\0\0\0\0\0\x80\x7f\xff",
            b"HYLL\x00\x00",
            b"HYLL\x00\x00\x00\x00\0\0\0\0\0\0\0\x80\x7f\xff",
            b"",
        ];
        match place {
            "item" => Some(random.below(20_000).to_string().into_bytes()),
            "payload" => Some(random.pick(&payloads).to_vec()),
            _ => no_own(random, place),
        }
    },
};
