//! What stands for the placeholders that all families share.

use crate::random::Random;

/// Edges of integers, and texts that are nearly integers.
pub const NUMBERS: [&str; 34] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "-2",
    "5",
    "7",
    "8",
    "10",
    "-10",
    "15",
    "16",
    "63",
    "64",
    "100",
    "-100",
    "127",
    "128",
    "255",
    "1000",
    "65536",
    "4294967296",
    "-9223372036854775808",
    "9223372036854775807",
    "-9223372036854775807",
    "9223372036854775808",
    "1.5",
    "nan",
    "+1",
    "01",
    " 1",
    "",
    "1e3",
];

/// Edges of floating-point numbers, some in odd spellings.
pub const FLOATS: [&str; 34] = [
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "3",
    "0.1",
    "0.2",
    "-0.3",
    "1.5",
    "2.5",
    "-2.5",
    "10",
    "100",
    "3.14159265358979",
    "1e3",
    "1e-7",
    "123456789.123456789",
    "1e17",
    "-1e17",
    "9007199254740993",
    "1e100",
    "1.7976931348623157e308",
    "5e-324",
    "inf",
    "-inf",
    "+inf",
    "nan",
    "0x10",
    " 1",
    "1 ",
    "",
    "abc",
    "4.0",
];

/// Scores that sets meet on.
const SCORES: [&str; 14] =
    ["0", "1", "2", "3", "1", "2", "-1", "1.5", "-2.5", "10", "100", "inf", "-inf", "0.1"];

/// Elements, members and fields: few, so that commands meet.
const ELEMENTS: [&str; 18] = [
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "aa",
    "ab",
    "1",
    "2",
    "-3",
    "10",
    "12345678901",
    "",
    "x y\r\n\u{1}",
    "1.5",
    "a-member-that-is-longer-than-the-sixty-four-bytes-which-packed-forms-may-hold",
    "\u{fc}\u{20ac}",
];

const PATTERNS: [&str; 14] =
    ["*", "a*", "*b", "?", "??", "[a-c]*", "[^a]*", "a", "", "\\*", "*[", "*1*", "h?llo", "[b-a]"];

/// Deadlines far away, in Unix seconds.
const AT: [&str; 5] = ["4102444800", "4102444801", "5000000000", "5000000001", "4102444800"];
const AT_MS: [&str; 4] = ["4102444800000", "4102444800001", "5000000000000", "4102444800000"];
/// Times to live that do not run out while the test runs, and never come near those deadlines.
const TTL: [&str; 4] = ["100000", "200000", "300000", "1000000"];
const TTL_MS: [&str; 4] = ["100000000", "200000000", "300000001", "1000000007"];

/// Words that a mutation puts where they do not belong. No option of time is among them: what
/// expires at once would make a test depend on the moment.
pub const WORDS: [&str; 30] = [
    "NX",
    "XX",
    "GT",
    "LT",
    "CH",
    "INCR",
    "GET",
    "KEEPTTL",
    "REPLACE",
    "MATCH",
    "COUNT",
    "TYPE",
    "WITHSCORES",
    "WITHVALUES",
    "LIMIT",
    "LEFT",
    "RIGHT",
    "BEFORE",
    "AFTER",
    "BY",
    "DESC",
    "ASC",
    "ALPHA",
    "STORE",
    "WEIGHTS",
    "AGGREGATE",
    "MAXLEN",
    "MINID",
    "~",
    "NOMKSTREAM",
];

/// A text of any bytes.
fn value(random: &mut Random) -> Vec<u8> {
    let long = |random: &mut Random, most: usize| {
        let length = random.below(most);
        let kind = random.below(3);
        let byte = |random: &mut Random| match kind {
            0 => b'a',
            1 => b'a' + random.below(4) as u8,
            _ => random.number() as u8,
        };
        (0..length).map(|_| byte(random)).collect()
    };
    match random.below(20) {
        0..5 => random.pick(&ELEMENTS).as_bytes().to_vec(),
        5..9 => random.pick(&NUMBERS).as_bytes().to_vec(),
        9 => random.pick(&FLOATS).as_bytes().to_vec(),
        10..17 => long(random, 12),
        17 | 18 => long(random, 80),
        _ => long(random, 600),
    }
}

/// What stands for a placeholder; families have placeholders of their own besides. `keys` is the
/// pool of keys.
pub fn fill(random: &mut Random, place: &str, keys: &[&str]) -> Vec<u8> {
    let text = match place {
        "key" => random.pick(keys),
        "value" => return value(random),
        "element" | "member" | "field" => random.pick(&ELEMENTS),
        "number" => random.pick(&NUMBERS),
        "float" => random.pick(&FLOATS),
        "score" if random.chance(1, 12) => random.pick(&FLOATS),
        "score" => random.pick(&SCORES),
        "index" | "count" | "numkeys" if random.chance(1, 12) => random.pick(&NUMBERS),
        "index" => return (random.below(14) as i64 - 6).to_string().into_bytes(),
        "count" => return (random.below(7) as i64 - 1).to_string().into_bytes(),
        "numkeys" => random.pick(&["1", "2", "2", "3", "0"]),
        "negative" => return (-(random.below(9) as i64)).to_string().into_bytes(),
        "pattern" => random.pick(&PATTERNS),
        "at" => random.pick(&AT),
        "at_ms" => random.pick(&AT_MS),
        "ttl" => random.pick(&TTL),
        "ttl_ms" => random.pick(&TTL_MS),
        "db" => random.pick(&["0", "1", "2", "0", "1", "2", "16", "-1", "x"]),
        "word" => random.pick(&WORDS),
        other => panic!("no placeholder <{other}>"),
    };
    text.as_bytes().to_vec()
}
