//! Files with what Redis's own writers never make, made by hand: what Redis makes of them is what
//! `quorate restore` makes of them, in an order and with counters that are right; what Redis
//! refuses within a value is mended, and all of it is refused when it is read strictly.

use super::old_encodings::{Item, intset, length, string, ziplist, zipmap};
use super::*;
use quorate_engine::{Foreign, Report, SnapshotReader};

const LENIENT: Foreign = Foreign { strict: false, skip_unsupported: false };
const STRICT: Foreign = Foreign { strict: true, skip_unsupported: false };
const SKIPPING: Foreign = Foreign { strict: false, skip_unsupported: true };
/// A module's id: `ReJSON-RL`.
const MODULE: &[u8] = b"\x81\x45\xe2\x52\x38\xdf\x91\x2c\x03";

/// A listpack that says it had `count` elements.
pub(super) fn listpack(items: &[Item], count: usize) -> Vec<u8> {
    let mut row = Vec::new();
    for item in items {
        let start = row.len();
        match item {
            Item::Text(text) => {
                row.push(0x80 | text.len() as u8);
                row.extend(text);
            }
            Item::Int(number) if (0..128).contains(number) => row.push(*number as u8),
            Item::Int(number) => {
                row.push(0xf4);
                row.extend(number.to_le_bytes());
            }
        }
        row.push((row.len() - start) as u8);
    }
    let mut list = ((row.len() + 7) as u32).to_le_bytes().to_vec();
    list.extend((count as u16).to_le_bytes());
    list.extend(row);
    list.push(255);
    list
}

/// Words, of which numbers become numbers.
pub(super) fn items(words: &str) -> Vec<Item> {
    let item = |word: &str| match word.parse() {
        Ok(number) => Item::Int(number),
        Err(_) => Item::Text(word.as_bytes().to_vec()),
    };
    words.split_whitespace().map(item).collect()
}

pub(super) fn packed(words: &str) -> Vec<u8> {
    let items = items(words);
    listpack(&items, items.len())
}

/// The body of a file: one key with this value.
fn key(name: &str, kind: u8, parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = vec![kind];
    string(&mut body, name.as_bytes());
    for part in parts {
        match part {
            Part::Count(count) => length(&mut body, *count),
            Part::Text(bytes) => string(&mut body, bytes),
            Part::Raw(bytes) => body.extend_from_slice(bytes),
        }
    }
    body
}

enum Part<'a> {
    Count(usize),
    Text(&'a [u8]),
    Raw(&'a [u8]),
}
use Part::{Count, Raw, Text};

/// A whole file without a checksum.
fn file(magic: &str, body: &[u8]) -> Vec<u8> {
    [magic.as_bytes(), b"\xfe\x00", body, b"\xff\0\0\0\0\0\0\0\0"].concat()
}

fn read(file: &[u8], foreign: Foreign) -> Result<(Keyspace, Report), String> {
    let mut reader = SnapshotReader::foreign([5, 6], foreign);
    for piece in file.chunks(7) {
        reader.feed(piece).map_err(|why| why.to_string())?;
    }
    let report = reader.report().clone();
    reader.finish().map(|(keyspace, _)| (keyspace, report)).map_err(|why| why.to_string())
}

/// A stream: its blocks by the ids of their first entries, how many entries it says it has, and its
/// last id.
fn stream(name: &str, blocks: &[(u64, Vec<u8>)], said: usize, last: usize) -> Vec<u8> {
    let mut parts = vec![Count(blocks.len())];
    let ids: Vec<_> =
        blocks.iter().map(|(ms, _)| [ms.to_be_bytes(), 1_u64.to_be_bytes()].concat()).collect();
    for (id, (_, block)) in ids.iter().zip(blocks) {
        parts.extend([Text(id), Text(block)]);
    }
    parts.extend([Count(said), Count(last), Count(9), Count(0)]);
    key(name, 15, &parts)
}

/// Two entries, of which the head says so many.
fn block(live: i64) -> Vec<u8> {
    packed(&format!("{live} 0 1 f 0 2 0 0 v 4 2 0 1 w 4"))
}

/// What Redis 7.0.15 loads: the key, its body, what we say of it, and whether Redis shows the same.
fn tolerated() -> Vec<(&'static str, Vec<u8>, &'static str, bool)> {
    let hash = items("f v g w");
    let zset = [items("a"), vec![Item::Text(b"3".to_vec())], items("b 1 c 2")].concat();
    let plain = |member: &'static [u8]| [Text(member), Text(b"v")];
    let [f, v] = plain(b"f");
    let [g, w] = plain(b"f");
    let none = "it has no elements";
    vec![
        ("el", key("el", 1, &[Count(0)]), none, true),
        ("es", key("es", 2, &[Count(0)]), none, true),
        ("ez3", key("ez3", 3, &[Count(0)]), none, true),
        ("eh", key("eh", 4, &[Count(0)]), none, true),
        ("ez", key("ez", 5, &[Count(0)]), none, true),
        ("eq", key("eq", 14, &[Count(0)]), none, true),
        ("eq2", key("eq2", 18, &[Count(0)]), none, true),
        ("eqz", key("eqz", 14, &[Count(1), Text(&ziplist(&[]))]), none, true),
        ("eql", key("eql", 18, &[Count(1), Count(2), Text(&packed(""))]), none, true),
        ("elz", key("elz", 10, &[Text(&ziplist(&[]))]), none, true),
        ("ezz", key("ezz", 12, &[Text(&ziplist(&[]))]), none, true),
        ("ehz", key("ehz", 13, &[Text(&ziplist(&[]))]), none, true),
        ("ehl", key("ehl", 16, &[Text(&packed(""))]), none, true),
        ("ezl", key("ezl", 17, &[Text(&packed(""))]), none, true),
        ("zset", key("zset", 17, &[Text(&packed("a 3 b 1 c 2"))]), "out of order", true),
        ("zset12", key("zset12", 12, &[Text(&ziplist(&zset))]), "out of order", true),
        ("ints", key("ints", 11, &[Text(&intset(2, &[5, 1, 3]))]), "do not ascend", true),
        ("twice", key("twice", 11, &[Text(&intset(4, &[1, 1, 3]))]), "do not ascend", false),
        ("count", key("count", 16, &[Text(&listpack(&hash, 2))]), "a listpack is damaged", false),
        (
            "list",
            key("list", 18, &[Count(1), Count(2), Text(&listpack(&hash, 2))]),
            "damaged",
            false,
        ),
        ("hash", key("hash", 16, &[Text(&packed("f v f w"))]), "an element occurs twice", false),
        ("members", key("members", 17, &[Text(&packed("a 1 a 2"))]), "occurs twice", false),
        ("odd", key("odd", 16, &[Text(&packed("f v g"))]), "a field without a value", false),
        ("nan", key("nan", 17, &[Text(&packed("a nan b 1"))]), "a score is not a number", false),
        ("fields", key("fields", 4, &[Count(2), f, v, g, w]), "an element occurs twice", false),
        ("len", stream("len", &[(1, block(2))], 5, 9), "counters are wrong", false),
        ("last", stream("last", &[(7, block(2))], 2, 1), "counters are wrong", false),
        ("head", stream("head", &[(1, block(9))], 2, 9), "a block of a stream", true),
        ("order", stream("order", &[(5, block(2)), (1, block(2))], 4, 9), "out of order", true),
    ]
}

#[test]
fn what_redis_tolerates_is_mended_alike() {
    let scratch = Scratch::new("odd");
    let cases = tolerated();
    let bodies: Vec<u8> = cases.iter().flat_map(|(_, body, ..)| body.clone()).collect();
    let whole = [file("REDIS0010", &bodies), b"behind the end".to_vec()].concat();
    std::fs::write(scratch.0.join("dump.rdb"), &whole).unwrap();
    let mut redis = Redis::start(&scratch.0, &["--enable-debug-command", "yes"]);
    let (keyspace, report) = read(&whole, LENIENT).unwrap();
    assert_eq!((report.mended, report.dropped, report.behind), (15, 14, 14), "{report:?}");
    let ours = Scratch::new("odd-ours");
    let mut mended = Vec::new();
    keyspace.write_snapshot(&facts(), &mut |piece| mended.extend_from_slice(piece));
    assert!(Keyspace::read_snapshot(&mended).is_ok(), "nothing damaged got in");
    std::fs::write(ours.0.join("dump.rdb"), mended).unwrap();
    let mut second = Redis::start(&ours.0, &["--enable-debug-command", "yes"]);
    for (name, body, what, same) in &cases {
        let note = report.notes.iter().find(|note| {
            note.key.as_ref().is_some_and(|(_, key)| key.as_slice() == name.as_bytes())
        });
        let note = note.unwrap_or_else(|| panic!("{name}: {report:?}")).to_string();
        assert!(note.contains(what) && note.contains(name), "{note}");
        let refused = read(&file("REDIS0010", body), STRICT).unwrap_err();
        assert!(refused.contains(&format!("the key \"{name}\"")), "{refused}");
        if *same {
            let ask: [&[u8]; 3] = [b"DEBUG", b"DIGEST-VALUE", name.as_bytes()];
            assert_eq!(redis.send(&ask), second.send(&ask), "{name}");
        }
    }
    for (command, want) in [
        ("ZRANGE zset 0 -1", "b c a"),
        ("SMEMBERS ints", "1 3 5"),
        ("SMEMBERS twice", "1 3"),
        ("HGETALL count", "f v g w"),
        ("LRANGE list 0 -1", "f v g w"),
        ("HGETALL hash", "f v"),
        ("ZRANGE members 0 -1 WITHSCORES", "a 1"),
        ("HGETALL odd", "f v"),
        ("ZRANGE nan 0 -1", "b"),
        ("HGETALL fields", "f v"),
    ] {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        let Value::Array(items) = second.send(&words) else { panic!("{command}") };
        let text = |item: &Value| match item {
            Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(items.iter().map(text).collect::<Vec<_>>().join(" "), want, "{command}");
    }
    assert_eq!(second.send(&[b"XLEN", b"len"]), Value::Int(2));
}

/// What Redis refuses within a value is mended too; what makes the file doubtful is not.
#[test]
fn what_redis_refuses_within_a_value_is_mended() {
    let nan = f64::NAN.to_le_bytes();
    let cut = &packed("f v g w")[..12];
    for (name, body, left, what) in [
        ("intset", key("k", 11, &[Text(&intset(2, &[]))]), 0, "no elements"),
        ("zipmap", key("k", 9, &[Text(&zipmap(&[]))]), 0, "no elements"),
        ("width", key("k", 11, &[Text(&intset(3, &[1, 2]))]), 0, "an intset is damaged"),
        ("set", key("k", 2, &[Count(2), Text(b"a"), Text(b"a")]), 1, "occurs twice"),
        ("nan", key("k", 5, &[Count(1), Text(b"a"), Raw(&nan)]), 0, "not a number"),
        ("old nan", key("k", 3, &[Count(1), Text(b"a"), Raw(b"\xfd")]), 0, "not a number"),
        ("cut", key("k", 16, &[Text(cut)]), 1, "a listpack is damaged"),
        ("kind", key("k", 18, &[Count(1), Count(3), Text(b"x")]), 0, "unknown kind"),
        ("block", stream("k", &[(1, packed("2 0"))], 0, 9), 1, "a block of a stream is damaged"),
    ] {
        let whole = file("REDIS0009", &body);
        let (keyspace, report) = read(&whole, LENIENT).unwrap();
        assert_eq!(keyspace.stats(Db(0)).0, left, "{name}");
        assert!(report.notes[0].to_string().contains(what), "{name}: {report:?}");
        assert!(read(&whole, STRICT).unwrap_err().contains("the key \"k\""), "{name}");
        let mut written = Vec::new();
        keyspace.write_snapshot(&facts(), &mut |piece| written.extend_from_slice(piece));
        assert!(Keyspace::read_snapshot(&written).is_ok(), "{name}");
    }
    let one = key("k", 0, &[Text(b"v")]);
    for (whole, want) in [
        (file("REDIS0010", &[&one[..], &one].concat()), "the key \"k\": it occurs twice"),
        (file("REDIS0010", b"\xfe\x10"), "database 16 does not exist here: there are 0 to 15"),
        (file("REDIS0010", &one)[..15].to_vec(), "the file is cut"),
        (b"REDIS0010\xff\x01\0\0\0\0\0\0\0".to_vec(), "the checksum does not match"),
    ] {
        let refused = read(&whole, LENIENT).unwrap_err();
        assert!(refused.contains(want), "{refused}");
    }
}

/// Modules and functions are named, and left out on demand.
#[test]
fn what_has_no_place_here_is_left_out_on_demand() {
    let value = [MODULE, b"\x02\x01\x05\x01x\x04\0\0\0\0\0\0\0\0\x03\0\0\0\0\0"].concat();
    let module = [b"\xfc\0\0\0\0\0\0\0\x7f".to_vec(), key("m", 7, &[Raw(&value)])].concat();
    let aux = [b"\xf7", MODULE, b"\x02\x01\x00"].concat();
    let library = [&b"\xf5"[..], b"\x0f#!foo name=one\n"].concat();
    let early = b"\xf6\x03old\x03LUA\x01\x04text\x04code".to_vec();
    let meta = b"\xf3\x02KMT1\x02\x05\x00KMT2\x00".to_vec();
    let last = key("k", 0, &[Text(b"v")]);
    let cases = [
        (module, "the key \"m\" holds a value of the module type \"ReJSON-RL\""),
        (aux, "data of the module type \"ReJSON-RL\" that belong to no key"),
        (library, "the function library \"one\""),
        (early, "the function \"old\" of a pre-release of Redis 7"),
        (meta, "what modules noted on a key"),
    ];
    for (body, what) in &cases {
        let refused = read(&file("REDIS0013", &[&body[..], &last].concat()), LENIENT).unwrap_err();
        assert!(refused.contains(what), "{refused}");
    }
    let bodies: Vec<u8> = cases.iter().flat_map(|(body, _)| body.clone()).chain(last).collect();
    let (keyspace, report) = read(&file("REDIS0013", &bodies), SKIPPING).unwrap();
    assert_eq!((keyspace.stats(Db(0)).0, report.unsupported), (1, 5));
    assert_eq!(keyspace.deadline(Db(0), b"k"), None, "the module's value took its deadline along");
    let lines: Vec<String> = report.notes.iter().map(ToString::to_string).collect();
    assert!(lines[0].contains("the key \"m\" of database 0 is left out: a value"), "{lines:?}");
}

#[test]
fn newer_formats_are_read_as_far_as_their_types_exist() {
    let aux = |name: &[u8], value: &[u8]| {
        let mut aux = vec![0xfa];
        string(&mut aux, name);
        string(&mut aux, value);
        aux
    };
    let ver = aux(b"valkey-ver", b"9.0.1");
    let at = |ms: i64| ms.to_le_bytes();
    let fields =
        [Count(2), Text(b"f"), Text(b"v"), Raw(&at(-1)), Text(b"g"), Text(b"w"), Raw(&at(4 << 40))];
    let hash = key("h", 22, &fields);
    let import = b"\xf3\x03job\x01\x05\x06".to_vec();
    let body = [&ver[..], &hash, b"\xf4\x05\x01\x01"].concat();
    let (keyspace, report) = read(&file("VALKEY080", &body), STRICT).unwrap();
    assert_eq!((keyspace.stats(Db(0)).0, report), (1, Report::default()));
    let mut dumped = keyspace;
    let reply = call(&mut dumped, &[b"HPEXPIRETIME", b"h", b"FIELDS", b"2", b"f", b"g"]);
    assert_eq!(reply, Value::Array(vec![Value::Int(-1), Value::Int(4 << 40)]));
    let refused = read(&file("VALKEY080", &import), LENIENT).unwrap_err();
    assert!(refused.contains("slots that the node was taking over"), "{refused}");
    // A stream of Redis 8.6 that knows no producers.
    let mut stream = stream("s", &[(1, block(2))], 2, 9);
    stream[0] = 26;
    stream.truncate(stream.len() - 1);
    for number in [1, 1, 0, 0, 2, 0, 100, 100, 0, 0, 0] {
        length(&mut stream, number);
    }
    let (keyspace, _) = read(&file("REDIS0013", &stream), STRICT).unwrap();
    assert_eq!(call(&mut { keyspace }, &[b"XLEN", b"s"]), Value::Int(2));
    let redis = aux(b"redis-ver", b"9.9.0");
    for (whole, want) in [
        (
            [&b"REDIS0014"[..], &redis, b"\xfe\x00"].concat(),
            "RDB version 14, written by Redis 9.9.0 is not known: versions 1 to 13 of Redis and \
             80 of Valkey are",
        ),
        ([&b"VALKEY081"[..], &ver].concat(), "RDB version 81 of Valkey, written by Valkey 9.0.1"),
        (
            file("REDIS0013", &[&redis[..], &key("a", 28, &[])].concat()),
            "the key \"a\" holds a value of type 28, which is not known (RDB version 13, written \
             by Redis 9.9.0)",
        ),
        (file("VALKEY080", &[&ver[..], &key("a", 24, &[])].concat()), "written by Valkey 9.0.1"),
        (file("REDIS0012", b"\xf3\x01"), "the opcode 243 is not known (RDB version 12)"),
    ] {
        let refused = read(&whole, LENIENT).unwrap_err();
        assert!(refused.contains(want), "{refused}");
    }
    let ours = Keyspace::read_snapshot(&file("REDIS0013", b"")).unwrap_err().to_string();
    assert!(ours.contains("a version of RDB that is not known (1 to 12 are)"), "{ours}");
}
