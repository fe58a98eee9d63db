//! Bitmaps.

use super::{Family, no_own};

pub(super) const FAMILY: Family = Family {
    name: "bitmap",
    keys: &["b1", "b2", "b3", "b4"],
    templates: &[
        "SETBIT <key> <bit> (0|1)",
        "SETBIT <key> <bit> (0|1)",
        "SETBIT <key> <number> <count>",
        "GETBIT <key> <bit>",
        "GETBIT <key> <number>",
        "BITCOUNT <key>",
        "BITCOUNT <key> <index> <index> {(BYTE|BIT)}",
        "BITCOUNT <key> <bit> <bit> BIT",
        "BITCOUNT <key> <number> <number> {(BYTE|BIT)}",
        "BITPOS <key> (0|1|<count>) {<index>}",
        "BITPOS <key> (0|1) <index> <index> {(BYTE|BIT)}",
        "BITPOS <key> (0|1) <bit> <bit> BIT",
        "BITPOS <key> (0|1) <number> <number> {(BYTE|BIT)}",
        "BITOP (AND|OR|XOR) <key> (<key>)+",
        "BITOP (NOT|NAND) <key> (<key>)+",
        "BITFIELD <key> (<fieldop>)+",
        "BITFIELD <key> {OVERFLOW (WRAP|SAT|FAIL)} (GET <width> <bit>|SET <width> <bit> \
         <number>|INCRBY <width> <bit> <number>)+",
        "BITFIELD <key> (OVERFLOW (WRAP|SAT|FAIL) INCRBY <width> <bit> <number>)+",
        "BITFIELD_RO <key> (GET <width> <bit>)+",
        "BITFIELD_RO <key> SET <width> <bit> <number>",
        "SET <key> <value>",
        "SETRANGE <key> <count> <value>",
    ],
    fill: |random, place| {
        let bits = [
            "0",
            "1",
            "2",
            "7",
            "8",
            "9",
            "15",
            "31",
            "63",
            "64",
            "77",
            "100",
            "1000",
            "#0",
            "#1",
            "#3",
            "8388607",
            "8388608",
            "-1",
            "4294967296",
            "9223372036854775807",
        ];
        let widths = [
            "u1", "u2", "u8", "i8", "u16", "i16", "u31", "i32", "u63", "i64", "u64", "i65", "u0",
            "x",
        ];
        match place {
            "bit" => Some(random.pick(&bits).as_bytes().to_vec()),
            "width" => Some(random.pick(&widths).as_bytes().to_vec()),
            "fieldop" => Some(random.pick(&["GET", "SET", "u8", "0", "1"]).as_bytes().to_vec()),
            _ => no_own(random, place),
        }
    },
};
