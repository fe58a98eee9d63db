//! Files of every version of the format, 1 to 10, with all that each could hold, made by hand: what
//! redis-server makes of them is what we make of them.

use super::oddities::packed;
use super::old_encodings::{string, value, values};
use super::*;
use quorate_engine::{Foreign, SnapshotReader};

/// 2100, in milliseconds.
const LATER_MS: u64 = 4_102_444_800_123;
/// 1984: gone before it is loaded.
const BEFORE_MS: u64 = 441_763_200_000;

/// The version that first wrote a type of value.
fn since(kind: u8) -> u8 {
    match kind {
        0..=4 => 1,
        9..=12 => 2,
        13 => 4,
        14 => 7,
        5 => 8,
        15 => 9,
        _ => 10,
    }
}

/// Strings in every way there is.
fn strings() -> Vec<(&'static str, Vec<u8>)> {
    let with = |bytes: &[u8]| [&[0], bytes].concat();
    let long = [&[0, 0x80, 0, 0, 1, 0x2c][..], &[b'l'; 300]].concat();
    let longer = [&[0, 0x81, 0, 0, 0, 0, 0, 0, 0, 3][..], b"abc"].concat();
    vec![
        ("a string", with(b"\x05hello")),
        ("no string", with(b"\x00")),
        ("bytes", with(b"\x04\xff\x00\r\n")),
        ("14 bits of length", with(&[&[0x41, 0x2c][..], &[b'm'; 300]].concat())),
        ("32 bits of length", long),
        ("64 bits of length", longer),
        ("8 bits of number", with(b"\xc0\x85")),
        ("16 bits of number", with(b"\xc1\x00\x80")),
        ("32 bits of number", with(b"\xc2\xff\xff\xff\x7f")),
        // One letter, and 29 more from one place before: by LZF's rules.
        ("compressed", with(b"\xc3\x05\x1e\x00a\xe0\x14\x00")),
    ]
}

/// What came with packed lists.
fn newer() -> Vec<(&'static str, Vec<u8>)> {
    let mut scores = vec![5, 2];
    for (member, score) in [("one", 1.5_f64), ("endless", f64::INFINITY)] {
        string(&mut scores, member.as_bytes());
        scores.extend(score.to_le_bytes());
    }
    let list = packed("1 0 1 f 0 2 0 0 v 4");
    let id = [7_u64.to_be_bytes(), 1_u64.to_be_bytes()].concat();
    let stream = |kind: u8, rest: &[u8]| {
        let mut stream = vec![kind, 1];
        string(&mut stream, &id);
        string(&mut stream, &list);
        // One entry, the last id; then what is newer.
        stream.extend([1, 7, 1]);
        stream.extend(rest);
        stream
    };
    let mut nodes = vec![18, 2, 2];
    string(&mut nodes, &packed("a 1 b"));
    nodes.push(1);
    string(&mut nodes, b"a node of its own");
    // A group that has read it, with one consumer who has not acknowledged it.
    let mut group = vec![1];
    string(&mut group, b"group");
    group.extend([7, 1]);
    let mut pending = vec![1];
    pending.extend(&id);
    pending.extend(1_600_000_000_000_u64.to_le_bytes());
    pending.extend([3, 1]);
    string(&mut pending, b"consumer");
    pending.extend(1_600_000_000_000_u64.to_le_bytes());
    pending.push(1);
    pending.extend(&id);
    let grouped = |read: &[u8]| [&group[..], read, &pending].concat();
    vec![
        ("zset with scores as numbers", scores),
        ("stream", stream(15, &grouped(&[]))),
        ("listpack of a hash", value(16, None, &[packed("f v g 12 h 70000")])),
        ("listpack of a zset", value(17, None, &[packed("low 1 high 20")])),
        ("quicklist of listpacks", nodes),
        // First id, greatest deleted id, entries added; what the group has read.
        ("stream of 7.0", stream(19, &[&[7, 1, 0, 0, 1][..], &grouped(&[1])].concat())),
    ]
}

/// A whole file of a version.
fn file(version: u8) -> Vec<u8> {
    let mut file = format!("REDIS{version:04}").into_bytes();
    if version >= 7 {
        file.push(0xfa);
        string(&mut file, b"redis-ver");
        string(&mut file, b"3.2.0");
    }
    let all = [strings(), values(), newer()].concat();
    let all: Vec<_> = all.into_iter().filter(|(_, value)| since(value[0]) <= version).collect();
    for db in [0, 9] {
        file.extend([0xfe, db]);
        if version >= 7 {
            // How many keys, and how many of them will go.
            file.extend([0xfb, 0x3f, 2]);
        }
        let mut put = |prefix: &[u8], name: &str, value: &[u8]| {
            file.extend(prefix);
            file.push(value[0]);
            string(&mut file, name.as_bytes());
            file.extend(&value[1..]);
        };
        for (at, (name, value)) in all.iter().enumerate() {
            match (version, at % 2) {
                (9.., 0) => put(&[0xf8, 0x41, 0], name, value),
                (9.., _) => put(&[0xf9, 200], name, value),
                _ => put(&[], name, value),
            }
        }
        let seconds = |ms: u64| [&[0xfd][..], &((ms / 1000) as u32).to_le_bytes()].concat();
        let exact = |ms: u64| [&[0xfc][..], &ms.to_le_bytes()].concat();
        put(&seconds(LATER_MS), "goes later", b"\0\x01v");
        put(&seconds(BEFORE_MS), "went", b"\0\x01v");
        if version >= 3 {
            put(&exact(LATER_MS), "goes exactly", b"\0\x01v");
        }
    }
    file.push(0xff);
    if version >= 5 {
        let mut sum = Checksum::default();
        sum.update(&file);
        file.extend(sum.finish());
    }
    file
}

/// All that a client sees of the state, and when keys go.
fn seen(redis: &mut Redis) -> Vec<Value> {
    let mut seen = vec![redis.send(&[b"DEBUG", b"DIGEST"])];
    for db in ["0", "9"] {
        redis.send(&[b"SELECT", db.as_bytes()]);
        seen.push(redis.send(&[b"DBSIZE"]));
        for key in ["goes later", "goes exactly", "went"] {
            seen.push(redis.send(&[b"PEXPIRETIME", key.as_bytes()]));
        }
    }
    seen
}

#[test]
fn files_of_every_version_are_read_as_redis_reads_them() {
    let mut most = 0;
    for version in 1..=10 {
        let file = file(version);
        let theirs = Scratch::new(&format!("theirs-{version}"));
        std::fs::write(theirs.0.join("dump.rdb"), &file).unwrap();
        let mut redis = Redis::start(&theirs.0, &["--enable-debug-command", "yes"]);
        let expected = seen(&mut redis);
        let strict = Foreign { strict: true, skip_unsupported: false };
        let mut reader = SnapshotReader::foreign([5, 6], strict);
        for piece in file.chunks(11) {
            reader.feed(piece).unwrap_or_else(|why| panic!("version {version}: {why}"));
        }
        let (keyspace, _) = reader.finish().unwrap_or_else(|why| panic!("{version}: {why}"));
        let ours = Scratch::new(&format!("ours-{version}"));
        let mut written = Vec::new();
        keyspace.write_snapshot(&facts(), &mut |piece| written.extend_from_slice(piece));
        std::fs::write(ours.0.join("dump.rdb"), written).unwrap();
        let mut second = Redis::start(&ours.0, &["--enable-debug-command", "yes"]);
        assert_eq!(seen(&mut second), expected, "version {version}");
        let Value::Int(keys) = expected[1] else { panic!("{expected:?}") };
        assert!(keys > most || version == 3 || version == 5 || version == 6, "{version}: {keys}");
        most = keys;
    }
    assert!(most > 30, "{most} keys");
}
