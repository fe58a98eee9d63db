//! Where the engine may answer otherwise than Redis 7.0, and how far.
//!
//! Few rules, each with its reason. What is not here must be the same to the last byte.

use quorate_resp::{Value, double_text};
use quorate_tests::generate::Command;

/// How the answers to a command are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// To the last byte.
    Same,
    /// Items in any order: Redis's order is that of its hash table.
    Unordered,
    /// The same for names and values in turn.
    UnorderedPairs,
    /// Seconds or milliseconds, of which some pass between the two answers.
    Time {
        /// How far apart they may be.
        slack: i64,
    },
    /// Texts in the order that C finds, to which a zero byte ends a text: where they are the same
    /// up to there, Redis's order is what its quicksort makes of it. We compare all bytes.
    Collated,
    /// Only what kind of reply it is: memory, idle time, references and the like are each server's
    /// own affair.
    Shape,
    /// A list of as many items, whatever they are.
    Length,
    /// A name of an encoding: see [`same_encoding`].
    Encoding,
    /// Redis 7.2 refuses what 7.0 still takes.
    Refused,
    /// Nothing is nothing: a string that is not there to who does not wait, as here, and an array
    /// that is not there to whose time is over.
    Nothing,
    /// Facts about streams, without those that tell the time.
    StreamFacts,
}

fn has(command: &Command, option: &str) -> bool {
    command.iter().skip(1).any(|word| word.eq_ignore_ascii_case(option.as_bytes()))
}

/// Whether WITHSCORES is an option, and not a key behind a number of keys.
fn has_scores(name: &str, command: &Command) -> bool {
    let number = || std::str::from_utf8(command.get(1)?).ok()?.parse::<usize>().ok();
    let keys = match name {
        "ZDIFF" | "ZINTER" | "ZUNION" => number().unwrap_or(0),
        _ => 0,
    };
    command.iter().skip(2 + keys).any(|word| word.eq_ignore_ascii_case(b"WITHSCORES"))
}

/// The rule of a command, whose name is given in upper case.
pub(crate) fn rule(name: &str, command: &Command) -> Rule {
    let sub = command.get(1).map(|word| String::from_utf8_lossy(word).to_ascii_uppercase());
    match (name, sub.as_deref().unwrap_or_default()) {
        ("KEYS" | "SMEMBERS" | "SINTER" | "SUNION" | "SDIFF" | "HKEYS" | "HVALS", _) => {
            Rule::Unordered
        }
        ("HGETALL", _) => Rule::UnorderedPairs,
        ("TTL" | "EXPIRETIME", _) => Rule::Time { slack: 2 },
        ("PTTL" | "PEXPIRETIME", _) => Rule::Time { slack: 2_000 },
        // Redis counts keys that are due and not removed yet; which ones, the moment decides.
        // A consumer for whom there was nothing is there in 7.2, and not in 7.0.
        ("DBSIZE", _)
        | ("MEMORY", "USAGE")
        | ("OBJECT", "IDLETIME" | "REFCOUNT")
        | ("XGROUP", "CREATECONSUMER") => Rule::Shape,
        ("OBJECT", "ENCODING") => Rule::Encoding,
        ("BLMOVE" | "BRPOPLPUSH", _) => Rule::Nothing,
        ("XINFO" | "XPENDING", _) => Rule::StreamFacts,
        // 7.0 negates the smallest number there is.
        ("LPOS", _) if has(command, "RANK") && has(command, "-9223372036854775808") => {
            Rule::Refused
        }
        // 7.2 takes one argument more, WITHSCORE, and refuses what is not that for another reason.
        ("ZRANK" | "ZREVRANK", _) if command.len() == 4 => Rule::Refused,
        // An order nobody asked for.
        (
            "GEOSEARCH"
            | "GEORADIUS"
            | "GEORADIUSBYMEMBER"
            | "GEORADIUS_RO"
            | "GEORADIUSBYMEMBER_RO",
            _,
        ) => match command {
            _ if has(command, "ANY") => Rule::Shape,
            _ if has(command, "ASC") || has(command, "DESC") || has(command, "COUNT") => Rule::Same,
            _ => Rule::Unordered,
        },
        ("SORT" | "SORT_RO", _)
            if has(command, "ALPHA")
                && !["STORE", "BY", "GET"].iter().any(|it| has(command, it)) =>
        {
            Rule::Collated
        }
        _ => Rule::Same,
    }
}

/// Error texts that Redis 7.2 has otherwise than 7.0: ours, and those of 7.0.
const ERRORS: &[(&str, &str)] = &[
    // WITHSCORE may follow.
    ("ERR syntax error", "ERR wrong number of arguments for 'zrank' command"),
    ("ERR syntax error", "ERR wrong number of arguments for 'zrevrank' command"),
];

/// Whether the answers agree under a rule.
pub(crate) fn agree(rule: Rule, ours: &Value, theirs: &Value) -> bool {
    if let (Value::Error(ours), Value::Error(theirs)) = (ours, theirs) {
        let known = rule == Rule::Refused || ERRORS.contains(&(ours, theirs));
        return ours == theirs || known;
    }
    match rule {
        Rule::Same => same(ours, theirs),
        Rule::Unordered => same(&sorted(ours), &sorted(theirs)),
        Rule::UnorderedPairs => same(&sorted(&paired(ours)), &sorted(&paired(theirs))),
        Rule::Time { slack } => match (ours, theirs) {
            (Value::Int(ours), Value::Int(theirs)) if *ours > 0 && *theirs > 0 => {
                ours.abs_diff(*theirs) <= slack.unsigned_abs()
            }
            _ => ours == theirs,
        },
        Rule::Collated => same(&as_c_reads(ours), &as_c_reads(theirs)),
        Rule::Shape => same_shape(ours, theirs),
        Rule::Length => match (ours.as_items(), theirs.as_items()) {
            (Some(ours), Some(theirs)) => ours.len() == theirs.len(),
            _ => false,
        },
        Rule::Refused => ours == theirs || matches!(ours, Value::Error(_)),
        Rule::Nothing => same(ours, theirs) || ours.is_null() && theirs.is_null(),
        Rule::Encoding => same_encoding(ours, theirs),
        Rule::StreamFacts => same(&without_moments(ours), &without_moments(theirs)),
    }
}

/// Equal, where a double that is no number equals itself.
fn same(ours: &Value, theirs: &Value) -> bool {
    ours == theirs || format!("{ours:?}") == format!("{theirs:?}")
}

/// An answer of Redis 7.0 with its scores in the digits of 7.2. Only what stands where a score does
/// is looked at: a member may read like one.
pub(crate) fn in_newer_digits(command: &Command, answer: Value) -> Value {
    let name = String::from_utf8_lossy(&command[0]).to_ascii_uppercase();
    match (name.as_str(), answer) {
        ("ZSCORE" | "ZMSCORE" | "ZINCRBY" | "ZADD", answer) => shortest(&answer),
        ("BZPOPMIN" | "BZPOPMAX", Value::Array(mut items)) => {
            if let Some(score) = items.get_mut(2) {
                *score = shortest(score);
            }
            Value::Array(items)
        }
        ("ZMPOP" | "BZMPOP" | "ZSCAN", Value::Array(mut items)) => {
            if let Some(Value::Array(pairs)) = items.get_mut(1) {
                let is_flat = name == "ZSCAN";
                for pair in pairs.iter_mut().filter(|_| !is_flat) {
                    *pair = with_shortest_seconds(pair);
                }
                if is_flat {
                    items[1] = with_shortest_seconds(&items[1]);
                }
            }
            Value::Array(items)
        }
        (name, answer) if name.starts_with("ZPOP") || has_scores(name, command) => {
            if name.starts_with('Z') { with_shortest_seconds(&answer) } else { answer }
        }
        (_, answer) => answer,
    }
}

/// Members and scores in turn, the scores as [`shortest`].
fn with_shortest_seconds(pairs: &Value) -> Value {
    match pairs {
        Value::Array(items) => {
            let shown = items.iter().enumerate();
            let shown = shown.map(|(at, item)| match item {
                Value::Bulk(_) if at % 2 == 1 => shortest(item),
                _ => item.clone(),
            });
            Value::Array(shown.collect())
        }
        other => other.clone(),
    }
}

/// A page of ZSCAN of a packed sorted set, whose integers both print as they stand there.
pub(crate) fn packed_in_newer_digits(answer: Value) -> Value {
    let Value::Array(mut page) = answer else { return answer };
    if let Some(Value::Array(items)) = page.get_mut(1) {
        for score in items.iter_mut().skip(1).step_by(2) {
            let is_integer = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
            if !score.as_bytes().is_some_and(|text| text.iter().all(is_integer)) {
                *score = shortest(score);
            }
        }
    }
    Value::Array(page)
}

/// Texts of fractions with 16 digits or more, or with an exponent, as Redis 7.2 prints them.
fn shortest(value: &Value) -> Value {
    match value {
        Value::Bulk(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let mantissa = text.split('e').next().unwrap_or_default();
            let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
            let is_long = digits >= 16 && text.contains('.') || digits >= 17 || text.contains('e');
            let number: Option<f64> = text.parse().ok().filter(|_| is_long);
            let shorter = |number| double_text(number).as_bytes().to_vec();
            Value::Bulk(number.map_or_else(|| bytes.clone(), shorter))
        }
        Value::Array(items) => Value::Array(items.iter().map(shortest).collect()),
        other => other.clone(),
    }
}

/// Items in an order of their own.
pub(crate) fn sorted(value: &Value) -> Value {
    let by_text = |items: &[Value]| {
        let mut items = items.to_vec();
        items.sort_by_cached_key(|item| format!("{item:?}"));
        items
    };
    match value {
        Value::Array(items) => Value::Array(by_text(items)),
        Value::Set(items) => Value::Set(by_text(items)),
        Value::Map(pairs) => {
            let mut pairs = pairs.clone();
            pairs.sort_by_cached_key(|pair| format!("{pair:?}"));
            Value::Map(pairs)
        }
        other => other.clone(),
    }
}

/// Texts up to their first zero byte.
fn as_c_reads(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(as_c_reads).collect()),
        Value::Bulk(text) => {
            Value::Bulk(text.split(|&byte| byte == 0).next().unwrap_or_default().to_vec())
        }
        other => other.clone(),
    }
}

/// A flat array as pairs.
pub(crate) fn paired(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            Value::Array(items.chunks(2).map(|pair| Value::Array(pair.to_vec())).collect())
        }
        other => other.clone(),
    }
}

/// The same kinds of replies, and as many.
pub(crate) fn same_shape(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Error(ours), Value::Error(theirs)) => ours == theirs,
        (Value::Array(ours), Value::Array(theirs)) | (Value::Set(ours), Value::Set(theirs)) => {
            let mut both = ours.iter().zip(theirs);
            ours.len() == theirs.len() && both.all(|(ours, theirs)| same_shape(ours, theirs))
        }
        _ => std::mem::discriminant(ours) == std::mem::discriminant(theirs),
    }
}

/// Redis 7.2 packs small sets of strings, which 7.0 keeps in a hash table, and small lists, which
/// 7.0 keeps in a quicklist of one node. It makes no intset of a new set for more numbers than one
/// may have, where 7.0 does if enough of them are the same. Its SORT makes a skiplist of every
/// sorted set that it looks at.
fn same_encoding(ours: &Value, theirs: &Value) -> bool {
    let newer = [
        ("listpack", "hashtable"),
        ("listpack", "quicklist"),
        ("listpack", "intset"),
        ("skiplist", "listpack"),
        ("listpack", "skiplist"),
    ];
    let names = (ours.as_bytes().unwrap_or_default(), theirs.as_bytes().unwrap_or_default());
    let is_newer = |(ours, theirs): &(&str, &str)| names == (ours.as_bytes(), theirs.as_bytes());
    ours == theirs || newer.iter().any(is_newer)
}

/// Whether it is a consumer, as XINFO tells of it, that has nothing pending: 7.0 makes none for
/// whom there is nothing.
fn is_idle_consumer(value: &Value) -> bool {
    let pairs: Vec<(&Value, &Value)> = match value {
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
        Value::Array(items) => items.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect(),
        _ => return false,
    };
    let has = |name: &[u8]| pairs.iter().find(|pair| pair.0.as_bytes() == Some(name));
    let counted = |name| has(name).is_some_and(|pair| *pair.1 == Value::Int(0));
    has(b"seen-time").is_some() && counted(b"pel-count")
        || has(b"idle").is_some() && counted(b"pending")
}

/// Drops what depends on the moment: idle and seen times (7.2 has more of them than 7.0), times of
/// delivery; and consumers for whom there is nothing, with their number. So it does with the lag of
/// groups, which 7.0 tells wrongly of streams that were trimmed or have deleted entries; ours is
/// that of 7.4 and 8, and has transcripts.
fn without_moments(value: &Value) -> Value {
    const DROPPED: [&[u8]; 5] = [b"idle", b"inactive", b"seen-time", b"active-time", b"lag"];
    let is_dropped = |name: &Value, value: &Value| {
        let name = name.as_bytes().unwrap_or_default();
        DROPPED.contains(&name) || name == b"consumers" && matches!(value, Value::Int(_))
    };
    match value {
        Value::Map(pairs) => {
            let kept = pairs.iter().filter(|(name, value)| !is_dropped(name, value));
            Value::Map(kept.map(|(name, value)| (name.clone(), without_moments(value))).collect())
        }
        Value::Array(items) => match items.as_slice() {
            // Of a pending entry: id, consumer, time and count, or the same without consumer.
            [id, consumer @ Value::Bulk(_), Value::Int(_), count @ Value::Int(_)] => {
                Value::Array(vec![id.clone(), consumer.clone(), count.clone()])
            }
            [id @ Value::Bulk(_), Value::Int(_), count @ Value::Int(_)] => {
                Value::Array(vec![id.clone(), count.clone()])
            }
            items => {
                let mut kept = Vec::new();
                let mut items = items.iter().filter(|item| !is_idle_consumer(item)).peekable();
                while let Some(item) = items.next() {
                    if items.peek().is_some_and(|next| is_dropped(item, next)) {
                        items.next();
                    } else {
                        kept.push(without_moments(item));
                    }
                }
                Value::Array(kept)
            }
        },
        other => other.clone(),
    }
}

#[test]
fn only_scores_are_printed_anew() {
    let long = "1.7976931348623157e308";
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    let check = |line: &str, answer: Value, expect: Value| {
        let command = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        assert_eq!(in_newer_digits(&command, answer), expect, "{line}");
    };
    let short = double_text(f64::MAX);
    let short = Value::Bulk(short.as_bytes().to_vec());
    let (pair, expect) = ([bulk(long), bulk(long)], [bulk(long), short.clone()]);
    let array = |items: &[Value]| Value::Array(items.to_vec());
    check("zscore z m", bulk(long), short.clone());
    check("ZRANDMEMBER z", bulk(long), bulk(long));
    check("ZRANGE z 0 -1", array(&pair), array(&pair));
    check("zrange z 0 -1 withscores", array(&pair), array(&expect));
    check("ZPOPMIN z", array(&pair), array(&expect));
    let page = |pairs: &[Value]| array(&[bulk("0"), array(pairs)]);
    check("ZSCAN z 0", page(&pair), page(&expect));
    check("ZMPOP 1 z MIN", page(&[array(&pair)]), page(&[array(&expect)]));
    let popped = |score: Value| array(&[bulk(long), bulk(long), score]);
    check("BZPOPMAX z 1", popped(bulk(long)), popped(short));
}
