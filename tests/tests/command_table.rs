//! COMMAND, ours and Redis 7.0's: names, arity, flags, ACL categories and key positions of every
//! command that both have. Each difference has its reason here.

use quorate_resp::Value;
use quorate_tests::client::Client;
use quorate_tests::cluster::{Cluster, Scratch};
use quorate_tests::redis::Redis;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Flags that Redis prints and we do not have: they steer scripts, transactions, MONITOR and
/// replication by methods that are not ours.
const FOREIGN_FLAGS: [&str; 8] = [
    "asking",
    "noscript",
    "allow_busy",
    "no_multi",
    "no_async_loading",
    "no_mandatory_keys",
    "skip_monitor",
    "may_replicate",
];

/// Flags that ours may have where Redis has none: what is about the node is answered while it
/// loads, and by every replica.
const MORE_ANSWERED: [&str; 2] = ["loading", "stale"];

/// Differences: command, what differs (with `+` what only we have, with `-` what only Redis has),
/// and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("auth", "+skip_slowlog", "its arguments are secrets"),
    ("hello", "+skip_slowlog", "its arguments are secrets"),
    ("command|getkeys", "arity -3, not -4", "7.0 forgot commands of one word; 7.2 has -3"),
    ("command|getkeysandflags", "arity -3, not -4", "7.0 forgot commands of one word; 7.2 has -3"),
    (
        "sort_ro",
        "-movablekeys",
        "nobody can know the keys its patterns make, and it stores nothing",
    ),
    ("migrate", "keys [0, 0, 0], not [3, 3, 1]", "it is refused, whatever its keys"),
    ("migrate", "-movablekeys", "it is refused, whatever its keys"),
    ("migrate", "-write", "it is refused, and changes nothing"),
    ("migrate", "-@write", "it is refused, and changes nothing"),
    ("lastsave", "+admin", "Redis has the category without the flag"),
    ("role", "+admin", "Redis has the category without the flag"),
    ("memory|help", "+readonly", "HELP of data commands is a read like theirs"),
    ("memory|help", "+@read", "HELP of data commands is a read like theirs"),
    ("object|help", "+readonly", "HELP of data commands is a read like theirs"),
    ("object|help", "+@read", "HELP of data commands is a read like theirs"),
    ("xgroup|help", "+readonly", "HELP of data commands is a read like theirs"),
    ("xgroup|help", "+@read", "HELP of data commands is a read like theirs"),
    ("xinfo|help", "+readonly", "HELP of data commands is a read like theirs"),
    ("xinfo|help", "+@read", "HELP of data commands is a read like theirs"),
    ("zrank", "arity -3, not 3", "7.2 has WITHSCORE"),
    ("zrevrank", "arity -3, not 3", "7.2 has WITHSCORE"),
    ("pfselftest", "+readonly", "the engine runs it as a read"),
    ("pfselftest", "+@read", "the engine runs it as a read"),
    ("lolwut", "-readonly", "it reads no data"),
    ("lolwut", "-@read", "it reads no data"),
];

/// One command as COMMAND describes it.
#[derive(Debug, PartialEq)]
struct Row {
    arity: i64,
    flags: BTreeSet<String>,
    /// First key, last key, step.
    keys: [i64; 3],
    categories: BTreeSet<String>,
    is_container: bool,
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned()
}

fn rows(listed: &Value, into: &mut BTreeMap<String, Row>) {
    for row in listed.as_items().expect("an array of commands") {
        let row = row.as_items().expect("a command");
        let int = |at: usize| row[at].as_int().expect("a number");
        let set = |at: usize| row[at].as_items().expect("a set").iter().map(text).collect();
        let subs = &row[9];
        let found = Row {
            arity: int(1),
            flags: set(2),
            keys: [int(3), int(4), int(5)],
            categories: set(6),
            is_container: subs.as_items().is_some_and(|subs| !subs.is_empty()),
        };
        into.insert(text(&row[0]), found);
        rows(subs, into);
    }
}

/// What differs, in the words of [`DIFFERENCES`].
fn differences(ours: &Row, theirs: &Row) -> Vec<String> {
    let mut found = Vec::new();
    if ours.arity != theirs.arity {
        found.push(format!("arity {}, not {}", ours.arity, theirs.arity));
    }
    if ours.keys != theirs.keys {
        found.push(format!("keys {:?}, not {:?}", ours.keys, theirs.keys));
    }
    // A container does nothing itself; what it is called matters to nobody.
    if theirs.is_container {
        return found;
    }
    let is_data = ["write", "readonly"].iter().any(|flag| ours.flags.contains(*flag));
    let may_have = |flag: &&String| !is_data && MORE_ANSWERED.contains(&flag.as_str());
    let more = ours.flags.difference(&theirs.flags).filter(|flag| !may_have(flag));
    let less = theirs.flags.difference(&ours.flags);
    let less = less.filter(|flag| !FOREIGN_FLAGS.contains(&flag.as_str()));
    found.extend(more.map(|flag| format!("+{flag}")));
    found.extend(less.map(|flag| format!("-{flag}")));
    let (more, less) = (&ours.categories, &theirs.categories);
    found.extend(more.difference(less).map(|category| format!("+{category}")));
    found.extend(less.difference(more).map(|category| format!("-{category}")));
    found
}

/// A node of ours and a Redis, and a client of each.
struct Both {
    _cluster: Cluster,
    _redis: Redis,
    _scratch: Scratch,
    ours: Client,
    theirs: Client,
}

impl Both {
    fn start(name: &str) -> Self {
        let cluster = Cluster::start(name, 1, &[]);
        let scratch = Scratch::new(name);
        let redis = Redis::start(scratch.path(), &[]);
        let ours = cluster.replicas[0].client().expect("it answers");
        let theirs = Client::connect(redis.port, Duration::from_secs(10)).expect("it answers");
        Self { _cluster: cluster, _redis: redis, _scratch: scratch, ours, theirs }
    }

    fn ask(&mut self, words: &[&str]) -> (Value, Value) {
        let ours = self.ours.call(words).expect("an answer");
        (ours, self.theirs.call(words).expect("an answer"))
    }
}

#[test]
fn the_table_says_what_redis_says() {
    let (ours, theirs) = Both::start("command-table").ask(&["COMMAND"]);
    let (mut our_rows, mut their_rows) = (BTreeMap::new(), BTreeMap::new());
    rows(&ours, &mut our_rows);
    rows(&theirs, &mut their_rows);
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for (name, ours) in &our_rows {
        let Some(theirs) = their_rows.get(name) else { continue };
        for found in differences(ours, theirs) {
            let known = |row: &(&str, &str, &str)| row.0 == name && row.1 == found;
            match DIFFERENCES.iter().position(known) {
                Some(row) => drop(seen.insert(row)),
                None => wrong.push(format!("{name}: {found}")),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for (at, (name, what, _)) in DIFFERENCES.iter().enumerate() {
        let is_gone = our_rows.contains_key(*name) && !seen.contains(&at);
        assert!(!is_gone, "{name}: {what}: no such difference any more");
    }
}

/// Key specifications by command, without the notes that Redis has with some.
fn key_specs(listed: &Value, into: &mut BTreeMap<String, Vec<Value>>) {
    for row in listed.as_items().expect("an array of commands") {
        let row = row.as_items().expect("a command");
        let specs = row[8].as_items().expect("specifications").iter().map(|spec| {
            let words = spec.as_items().expect("names and values");
            let kept = words.chunks(2).filter(|pair| text(&pair[0]) != "notes");
            Value::Array(kept.flatten().cloned().collect())
        });
        into.insert(text(&row[0]), specs.collect());
        key_specs(&row[9], into);
    }
}

#[test]
fn key_specifications_are_those_of_redis() {
    let (ours, theirs) = Both::start("command-specs").ask(&["COMMAND"]);
    let (mut our_specs, mut their_specs) = (BTreeMap::new(), BTreeMap::new());
    key_specs(&ours, &mut our_specs);
    key_specs(&theirs, &mut their_specs);
    for (name, theirs) in &their_specs {
        // Refused, or not about a key here.
        if let Some(ours) = our_specs.get(name).filter(|_| name != "migrate") {
            assert_eq!(ours, theirs, "{name}");
        }
    }
}

#[test]
fn a_list_of_all_commands_has_their_subcommands() {
    let mut both = Both::start("command-list");
    let names = |reply: Value| -> BTreeSet<String> {
        reply.as_items().expect("an array").iter().map(text).collect()
    };
    let (ours, theirs) = both.ask(&["COMMAND", "LIST"]);
    let (ours, theirs) = (names(ours), names(theirs));
    let (all_ours, all_theirs) = both.ask(&["COMMAND", "LIST", "FILTERBY", "PATTERN", "*"]);
    assert_eq!(ours, names(all_ours));
    assert_eq!(theirs, names(all_theirs));
    assert!(ours.contains("config|get") && theirs.contains("config|get"));
}

/// Lines that Redis answers alike to the last byte.
const ALIKE: &[&str] = &[
    "COMMAND INFO nosuch get",
    "COMMAND LIST FILTERBY MODULE none",
    "COMMAND LIST FILTERBY ACLCAT none",
    "MODULE LIST",
    "LATENCY GRAPH none",
    "REPLICAOF NO ONE",
    "SLAVEOF no one",
    "REPLICAOF a b",
    "REPLICAOF a 65536",
    "FLUSHALL",
    "SET k v EXAT 1",
    "GETEX k EXAT 4000000000",
    "DBSIZE",
];

#[test]
fn what_redis_answers_is_answered_alike() {
    let mut both = Both::start("command-alike");
    for hello in ["2", "3"] {
        both.ask(&["HELLO", hello]);
        for line in ALIKE {
            let (ours, theirs) = both.ask(&line.split(' ').collect::<Vec<_>>());
            assert_eq!(ours, theirs, "{line}");
        }
    }
    let refused = |reply: Value, why: &str| match reply {
        Value::Error(text) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    };
    refused(both.ours.call(&["REPLICAOF", "127.0.0.1", "6379"]).unwrap(), "follows no master");
    refused(both.ours.call(&["MODULE", "LOAD", "x.so"]).unwrap(), "cannot be loaded");
    let migrate = ["MIGRATE", "127.0.0.1", "6379", "k", "0", "100"];
    refused(both.ours.call(&migrate).unwrap(), "MIGRATE is not supported");
    let set = |value| ["CONFIG", "SET", "hash-max-listpack-value", value];
    // Redis takes any number; what is in force is what is told.
    assert_eq!(both.ours.call(&set("1000000000")).unwrap(), Value::Simple("OK".into()));
    let told = both.ours.call(&["CONFIG", "GET", "hash-max-listpack-value"]).unwrap();
    let bulk = |text: &str| Value::Bulk(text.into());
    assert_eq!(told, Value::Map(vec![(bulk("hash-max-listpack-value"), bulk("65536"))]));
}

/// Commands whose keys COMMAND GETKEYS must find, or refuse to, as Redis does.
const SAMPLES: &[&str] = &[
    "GET k",
    "GET",
    "MSET a 1 b 2",
    "MSET a",
    "MGET a b c",
    "DEL a b",
    "COPY a b DB 3",
    "BITOP AND d a b",
    "BITOP AND d",
    "OBJECT ENCODING k",
    "OBJECT HELP",
    "MEMORY USAGE k SAMPLES 5",
    "MEMORY DOCTOR",
    "SCAN 0",
    "PING",
    "NOSUCH k",
    "LCS a b IDX",
    "LMOVE a b LEFT RIGHT",
    "LMPOP 2 a b LEFT",
    "LMPOP 0 a LEFT",
    "LMPOP x a LEFT",
    "LMPOP 3 a LEFT",
    "BLPOP a b 0",
    "BLMPOP 0 2 a b LEFT",
    "BLMOVE a b LEFT LEFT 0",
    "SINTERSTORE d a b",
    "SINTERCARD 2 a b LIMIT 3",
    "SMOVE a b m",
    "HSET h f v",
    "ZADD z 1 m",
    "ZUNION 2 a b WEIGHTS 1 2",
    "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
    "ZUNIONSTORE d 0 a b",
    "ZUNIONSTORE d x a b",
    "ZUNIONSTORE d 9 a b",
    "ZUNIONSTORE d -1 a b",
    "ZRANGESTORE d s 0 -1",
    "BZMPOP 0 1 a MIN",
    "GEOSEARCHSTORE d s FROMLONLAT 0 0 BYRADIUS 1 km",
    "GEORADIUS k 0 0 9 km",
    "GEORADIUS k 0 0 9 km WITHDIST STORE d",
    "GEORADIUS k 0 0 9 km STOREDIST d ASC",
    "GEORADIUSBYMEMBER k m 9 km STORE d",
    "GEORADIUS k 0 0 9 km STORE c STORE d",
    "GEORADIUS k 0 0 9 km STORE c STOREDIST d",
    "GEORADIUS_RO k 0 0 9 km",
    "SORT k",
    "SORT k BY STORE GET STORE LIMIT STORE STORE STORE d DESC",
    "SORT k STORE c STORE d",
    "SORT_RO k BY w_*",
    "XADD k * f v",
    "SET k v",
    "SET k v GET",
    "BITFIELD k GET u8 0",
    "BITFIELD k GET u8 0 INCRBY u8 0 1",
    "RENAMENX a b",
    "XREAD STREAMS a b 0 0",
    "XREAD COUNT 2 STREAMS a 0",
    "XREADGROUP GROUP STREAMS BLOCK NOACK STREAMS k >",
    "XGROUP CREATE k g 0",
    "XINFO STREAM k FULL",
    "XINFO HELP",
    "PFCOUNT a b",
    "PFMERGE d a b",
    "PFDEBUG GETREG k",
    "EVAL s 2 a b c",
    "SUBSCRIBE a",
    "SSUBSCRIBE a b",
    "SPUBLISH a b",
];

#[test]
fn keys_are_found_where_redis_finds_them() {
    let mut both = Both::start("command-getkeys");
    let mut wrong = Vec::new();
    for sample in SAMPLES {
        let name = sample.split(' ').next().unwrap_or_default();
        if both
            .ours
            .call(&["COMMAND", "INFO", name])
            .is_ok_and(|info| info.as_items().is_some_and(|items| items.iter().all(Value::is_null)))
            && name != "NOSUCH"
        {
            continue;
        }
        for sub in ["GETKEYS", "GETKEYSANDFLAGS"] {
            let words: Vec<&str> = ["COMMAND", sub].into_iter().chain(sample.split(' ')).collect();
            let (ours, theirs) = both.ask(&words);
            // A command of one word is too short for 7.0's GETKEYS.
            if ours != theirs && words.len() > 3 {
                wrong.push(format!("{sub} {sample}: {ours:?}, Redis {theirs:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
