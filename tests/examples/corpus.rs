//! Makes the data directories of `tests/corpus`: what an older binary wrote, and what it answered.
//!
//! `QUORATE_BIN=<that binary> cargo run -p quorate-tests --example corpus -- NAME` writes
//! `NAME-log.tar.xz` (killed, nothing but a log), `NAME-base.tar.xz` (killed, a snapshot and a log
//! behind it) and `NAME-stopped.tar.xz` (ended in order): a directory, and a transcript of what
//! that binary answered. `tests/corpus.rs` opens them with the binary of today.

use quorate_resp::Value;
use quorate_tests::client::Client;
use quorate_tests::cluster::{Cluster, Replica};
use quorate_tests::script::{self, Target};
use quorate_tests::wait::until;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Written behind the snapshot too: every type, deadlines that are far, and what Redis 7.0 does not
/// know.
const MORE: &[&str] = &[
    "SELECT 9",
    "CONFIG SET hash-max-listpack-entries 100",
    "CONFIG SET list-max-listpack-size -1",
    "SET string value PXAT 4102444800000",
    "SETRANGE sparse 70000 end",
    "RPUSH list a b c",
    "LMOVE list list2 LEFT RIGHT",
    "SADD set 1 2 three",
    "SPOP set",
    "SADD ints 1 2 3 -70000",
    "ZADD zset 1 one 2.5 two -inf three",
    "ZPOPMIN zset",
    "HSET hash f1 v1 f2 v2 f3 v3",
    "HPEXPIREAT hash 4102444800000 FIELDS 2 f1 f2",
    "XADD stream 1-1 f v",
    "XADD stream 1-2 f w",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group me COUNT 1 STREAMS stream >",
    "XAUTOCLAIM stream group you 0 0",
    "PFADD hll a b c",
    "GEOADD geo 13.361389 38.115556 Palermo",
    "SETBIT bits 100 1",
    "COPY hash copied DB 10",
    "EXPIREAT list2 4102444800",
];

/// Passes a script's commands on, each script to a database of its own, but for what would undo the
/// others' work.
struct Writer(Client);

impl Target for Writer {
    fn call(&mut self, args: &[Vec<u8>]) -> Value {
        let name = args.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        match name.as_slice() {
            b"FLUSHALL" | b"FLUSHDB" | b"SWAPDB" | b"SELECT" | b"MOVE" | b"DEL" | b"UNLINK" => {
                Value::Null
            }
            _ => self.0.call_bytes(args).expect("an answer"),
        }
    }

    fn advance(&mut self, _: u64) {}
}

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn write(replica: &Replica) {
    let scripts: BTreeSet<_> = std::fs::read_dir(folder("scripts"))
        .expect("the transcripts are there")
        .map(|entry| entry.expect("a file").path())
        .collect();
    for (db, path) in scripts.iter().enumerate() {
        let mut client = replica.client().expect("it answers");
        client.call(&["SELECT", &(db % 9).to_string()]).expect("an answer");
        let text = std::fs::read_to_string(path).expect("a transcript");
        script::run(&text, &mut Writer(client)).expect("a transcript");
    }
}

fn write_more(replica: &Replica, prefix: &str) {
    let mut client = replica.client().expect("it answers");
    for line in MORE {
        let mut words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        if !matches!(words[0].as_str(), "SELECT" | "CONFIG" | "XGROUP" | "XREADGROUP") {
            words[1] = format!("{prefix}{}", words[1]);
        }
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        client.call(&words).expect("an answer");
    }
}

/// Whether everything below this key stays for good.
fn lasts(client: &mut Client, key: &[u8]) -> bool {
    const YEAR_2099_MS: i64 = 4_070_908_800_000;
    let mut ask = |words: &[&[u8]]| {
        client.call_bytes(&words.iter().map(|word| word.to_vec()).collect::<Vec<_>>())
    };
    let late = |value: &Value| !matches!(value, Value::Int(0..YEAR_2099_MS));
    if !late(&ask(&[b"PEXPIRETIME", key]).expect("an answer")) {
        return false;
    }
    let Ok(Value::Array(fields)) = ask(&[b"HKEYS", key]) else { return true };
    fields.iter().all(|field| {
        let Value::Bulk(field) = field else { return false };
        let told = ask(&[b"HPEXPIRETIME", key, b"FIELDS", b"1", field]).expect("an answer");
        matches!(told, Value::Array(times) if times.iter().all(late))
    })
}

/// A transcript of everything the node shows and will always show.
fn transcript(replica: &Replica) -> String {
    let mut client = replica.client().expect("it answers");
    let mut text = String::new();
    let settings = "CONFIG GET hash-max-listpack-entries list-max-listpack-size maxmemory";
    let mut commands: Vec<Vec<Vec<u8>>> =
        vec![settings.split(' ').map(|word| word.as_bytes().to_vec()).collect()];
    for db in 0..16_u8 {
        let select = vec![b"SELECT".to_vec(), db.to_string().into_bytes()];
        client.call_bytes(&select).expect("an answer");
        commands.push(select);
        let Ok(Value::Array(keys)) = client.call(&["KEYS", "*"]) else { panic!("no keys") };
        let keys: BTreeSet<Vec<u8>> = keys
            .into_iter()
            .map(|key| if let Value::Bulk(key) = key { key } else { panic!("a key") })
            .collect();
        for key in keys {
            if key == b"harness:probe" || !lasts(&mut client, &key) {
                continue;
            }
            for command in ["TYPE", "PEXPIRETIME", "DUMP"] {
                commands.push(vec![command.as_bytes().to_vec(), key.clone()]);
            }
            commands.push(vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), key]);
        }
    }
    for command in commands {
        let reply = client.call_bytes(&command).expect("an answer");
        text.extend(["> ", &script::line(&command), "\n", &script::show(&reply)]);
    }
    text
}

fn pack(cluster: &Cluster, name: &str, transcript: &str) {
    let corpus = folder("corpus");
    std::fs::create_dir_all(&corpus).expect("a folder");
    let scratch = cluster.scratch.path();
    std::fs::write(scratch.join("transcript.txt"), transcript).expect("it is written");
    let packed = Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "--mtime=2026-01-01", "-cJf"])
        .arg(corpus.join(format!("{name}.tar.xz")))
        .arg("-C")
        .arg(scratch)
        .args(["node0", "transcript.txt"])
        .status()
        .expect("tar runs");
    assert!(packed.success());
}

fn main() {
    let name = std::env::args().nth(1).expect("usage: corpus NAME");
    let small = ["--auto-snapshot-log-bytes", "1048576"];
    for kind in ["log", "base", "stopped"] {
        let mut cluster = Cluster::start("corpus", 1, &small);
        let replica = &mut cluster.replicas[0];
        write(replica);
        write_more(replica, "first:");
        if kind == "base" {
            let mut client = replica.client().expect("it answers");
            client.call(&["SAVE"]).expect("an answer");
            write_more(replica, "second:");
        }
        let shown = transcript(replica);
        if kind == "stopped" {
            assert!(replica.terminate());
        } else {
            replica.kill();
        }
        until("it has ended", || (!replica.is_running()).then_some(()));
        pack(&cluster, &format!("{name}-{kind}"), &shown);
    }
}
