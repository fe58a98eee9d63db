//! Streams and their groups.

use super::{Family, no_own};

pub(super) const FAMILY: Family = Family {
    name: "stream",
    keys: &["x1", "x2", "{x}3"],
    templates: &[
        "XADD <key> <new> (<field> <value>)+",
        "XADD <key> <new> (<field> <value>)+",
        "XADD <key> <next> (<field> <element>)+",
        "XADD <key> <next> (a <element> b <element>)",
        "XADD <key> <next> (a <element> b <element>)",
        "XADD <key> {NOMKSTREAM;(MAXLEN|MINID) (=|) <trim>} <new> <field> <value>",
        "XADD <key> {NOMKSTREAM;MAXLEN <number>} <next> <field> <value>",
        "XADD <key> {MAXLEN ~ <trim>;LIMIT <count>;NOMKSTREAM} <next> <field> <value>",
        "XLEN <key>",
        "XRANGE <key> <from> <to> {COUNT <count>}",
        "XRANGE <key> - +",
        "XREVRANGE <key> <to> <from> {COUNT <count>}",
        "XDEL <key> (<id>)+",
        "XTRIM <key> MAXLEN (=|) <trim>",
        "XTRIM <key> MINID (=|) <id>",
        "XTRIM <key> (MAXLEN|MINID) ~ <trim> {LIMIT <count>}",
        "XTRIM <key> {MAXLEN <number>;MINID <id>;LIMIT <number>}",
        "XSETID <key> <id> {ENTRIESADDED <count>;MAXDELETEDID <id>}",
        "XSETID <key> (9-9|100-0) {ENTRIESADDED (50|100);MAXDELETEDID <id>}",
        "XREAD {COUNT <count>} STREAMS <key> <after>",
        "XREAD {COUNT <count>} STREAMS <key> <key> <after> <after>",
        "XREADGROUP GROUP <group> <consumer> {COUNT <count>;NOACK} STREAMS <key> >",
        "XREADGROUP GROUP <group> <consumer> {COUNT <count>;NOACK} STREAMS <key> >",
        "XREADGROUP GROUP <group> <consumer> {COUNT <count>;NOACK} STREAMS <key> <key> > <after>",
        "XREADGROUP GROUP <group> <consumer> {COUNT <count>} STREAMS <key> <id>",
        "XREAD {COUNT <count>;BLOCK <block>} STREAMS <key> <after>",
        "XREADGROUP GROUP <group> <consumer> {COUNT <count>;BLOCK <block>;NOACK} STREAMS <key> >",
        "XREADGROUP GROUP <group> <consumer> BLOCK <block> STREAMS <key> <key> > <after>",
        "XGROUP CREATE <key> <group> <after> {MKSTREAM;ENTRIESREAD <index>}",
        "XGROUP CREATE <key> <group> 0 MKSTREAM",
        "XGROUP SETID <key> <group> <after> {ENTRIESREAD <index>}",
        "XGROUP CREATECONSUMER <key> <group> <consumer>",
        "XGROUP DELCONSUMER <key> <group> <consumer>",
        "XGROUP DESTROY <key> <group>",
        "XACK <key> <group> (<id>)+",
        "XPENDING <key> <group>",
        "XPENDING <key> <group> {IDLE <idle>} <from> <to> <count> (<consumer>)?",
        "XPENDING <key> <group> - + 10",
        "XCLAIM <key> <group> <consumer> <idle> (<id>)+ {IDLE (0|1000);RETRYCOUNT <count>;FORCE;\
         JUSTID;LASTID <id>}",
        "XCLAIM <key> <group> <consumer> 0 (<id>)+",
        "XAUTOCLAIM <key> <group> <consumer> <idle> <from> {COUNT <count>;JUSTID}",
        "XAUTOCLAIM <key> <group> <consumer> 0 0-0",
        "XINFO STREAM <key>",
        "XINFO STREAM <key> FULL {COUNT <count>}",
        "XINFO GROUPS <key>",
        "XINFO CONSUMERS <key> <group>",
        "DEL <key>",
    ],
    fill: |random, place| {
        let from = |random: &mut crate::random::Random, list: &[&str]| {
            Some(random.pick(list).as_bytes().to_vec())
        };
        let small = |random: &mut crate::random::Random| {
            let (ms, number) = (random.below(30), random.below(4));
            match random.below(5) {
                0 => format!("{ms}"),
                _ => format!("{ms}-{number}"),
            }
        };
        let odd = [
            "0",
            "0-0",
            "0-1",
            "18446744073709551615",
            "18446744073709551615-18446744073709551615",
            "18446744073709551616-0",
            "-1",
            "1-",
            "-",
            "+",
            "x",
            "",
            "1-x",
            "1-1-1",
        ];
        match place {
            "id" if random.chance(1, 12) => from(random, &odd),
            // Grows slowly, so that most are greater than the last one; `*` takes the clock.
            "new" => match random.below(10) {
                0 => from(random, &odd),
                1 => from(random, &["*"]),
                2 => from(random, &["5-*", "20-*", "0-*", "x-*", "-*", "**"]),
                _ => Some(small(random).into_bytes()),
            },
            "next" => from(random, &["*", "*", "29-*", "30-*", "31-*"]),
            "trim" => from(random, &["0", "1", "3", "5", "10", "100", "5-1", "-1", "x"]),
            "after" if random.chance(1, 4) => from(random, &["$", ">", "0", "0-0"]),
            "from" if random.chance(1, 2) => from(random, &["-", "-", "(1-1", "(5", "(0-0", "("]),
            "to" if random.chance(1, 2) => {
                from(random, &["+", "+", "(20-1", "(5", "(18446744073709551615"])
            }
            "id" | "after" | "from" | "to" => Some(small(random).into_bytes()),
            "block" => from(random, &["1", "1", "2", "-1", "x"]),
            "group" => from(random, &["g1", "g1", "g2", ""]),
            "consumer" => from(random, &["c1", "c2", "c3", ""]),
            // Either all that is pending is idle for so long, or nothing.
            "idle" => from(random, &["0", "0", "1000000000", "-1", "x"]),
            _ => no_own(random, place),
        }
    },
};
