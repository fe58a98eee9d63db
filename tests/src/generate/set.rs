//! Sets.

use super::{Family, no_own};

pub(super) const FAMILY: Family = Family {
    name: "set",
    keys: &["u1", "u2", "u3", "{u}4"],
    templates: &[
        "SADD <key> (<member>)+",
        "SADD <key> (<number>)+",
        "SADD <key> (<int>)+",
        "SADD <key> <int> <int> <int> <int> <int> <int> <int> <int> <int> <int>",
        "SADD <key> <member> <member> <value> <value> <member> <int> <member> <member> <value>",
        "SREM <key> (<member>)+",
        "SREM <key> (<int>)+",
        "SMEMBERS <key>",
        "SISMEMBER <key> (<member>|<int>)",
        "SMISMEMBER <key> (<member>|<int>)+",
        "SCARD <key>",
        "SPOP <key> (<count>)?",
        "SPOP <key> <number>",
        "SRANDMEMBER <key> (<count>|<negative>)?",
        "SMOVE <key> <key> (<member>|<int>)",
        "SINTER (<key>)+",
        "SUNION (<key>)+",
        "SDIFF (<key>)+",
        "SINTERSTORE <key> (<key>)+",
        "SUNIONSTORE <key> (<key>)+",
        "SDIFFSTORE <key> (<key>)+",
        "SINTERCARD <numkeys> (<key>)+ {LIMIT <count>}",
        "SINTERCARD 2 <key> <key> {LIMIT <number>}",
        "SINTERCARD 1 <key>",
        "SSCAN <key> 0 {MATCH <pattern>;COUNT <count>}",
        "DEL <key>",
        "OBJECT ENCODING <key>",
    ],
    fill: |random, place| match place {
        // From intsets of 16 bits to such of 64.
        "int" => {
            let wide = ["40000", "-40000", "3000000000", "-9223372036854775808", "007"];
            let few = (random.below(24) as i64 - 4).to_string();
            let text = if random.chance(1, 15) { random.pick(&wide) } else { few.as_str() };
            Some(text.as_bytes().to_vec())
        }
        _ => no_own(random, place),
    },
};
