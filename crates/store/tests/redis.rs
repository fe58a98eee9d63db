//! What the store writes is what Redis reads: a log with votes, memberships, truncations, cuts and
//! a snapshot is accepted by `redis-check-aof` and served by `redis-server` 7, both as they come.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use quorate_store::{
    Disk, Entry, EntryKind, Log, LogId, LogOptions, OsDisk, Snapshots, Vote, check,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time. A process that another test starts has, until it becomes `redis-server`,
/// this one's descriptors, and with them the lock on a data directory that was just given up.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty directory of this call's own.
fn fresh(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("quorate-store-{}-{number}-{name}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    out
}

fn entry(term: u64, index: u64, kind: EntryKind, payload: Vec<u8>) -> Entry {
    Entry { id: LogId { term, index }, kind, now_ms: index, seed: index, payload: payload.into() }
}

/// One command, in database 0.
fn set(term: u64, index: u64, key: &str, value: &str) -> Entry {
    let mut payload = command(&["SELECT", "0"]);
    payload.extend(command(&["SET", key, value]));
    entry(term, index, EntryKind::Commands, payload)
}

/// Counts one: an entry that is replayed twice, or not at all, shows in the sum.
fn incr(term: u64, index: u64) -> Entry {
    let mut payload = command(&["SELECT", "0"]);
    payload.extend(command(&["INCR", "count"]));
    entry(term, index, EntryKind::Commands, payload)
}

struct Server {
    child: Child,
    stream: BufReader<UnixStream>,
}

impl Server {
    /// Starts a redis-server on `dir` and waits until it serves.
    fn start(dir: &Path, more: &[&str]) -> Self {
        // No port: another test's server could have it.
        let socket = dir.join("socket");
        let mut child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(dir)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed");
        let mut text = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !text.contains("eady to accept connections") {
            let count = lines.read_line(&mut text).unwrap();
            assert!(count > 0, "redis-server gave up:\n{text}");
        }
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let stream = BufReader::new(UnixStream::connect(&socket).unwrap());
        Self { child, stream }
    }

    /// The first line of a reply, or the bulk string behind it.
    fn ask(&mut self, words: &[&str]) -> String {
        self.stream.get_mut().write_all(&command(words)).unwrap();
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let Some(length) = line.strip_prefix('$') else { return line.trim_end().to_owned() };
        let Ok(length) = length.trim_end().parse::<usize>() else { return "nil".to_owned() };
        let mut bulk = vec![0; length + 2];
        self.stream.read_exact(&mut bulk).unwrap();
        String::from_utf8_lossy(bulk.strip_suffix(b"\r\n").unwrap()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An RDB file that holds `count` = 5 and `base` = yes, made by Redis itself.
fn rdb() -> Vec<u8> {
    let dir = fresh("rdb");
    let mut server = Server::start(&dir, &[]);
    server.ask(&["SET", "count", "5"]);
    server.ask(&["SET", "base", "yes"]);
    assert_eq!(server.ask(&["SAVE"]), "+OK");
    drop(server);
    let bytes = std::fs::read(dir.join("dump.rdb")).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    bytes
}

fn options() -> LogOptions {
    LogOptions { segment_bytes: 8192, reserve_bytes: 0, ..LogOptions::default() }
}

fn append(log: &Log<OsDisk>, entries: Vec<Entry>) {
    log.append(entries, None).unwrap();
    log.flush().unwrap();
}

/// Both programs accept a copy of the directory; Redis then answers these.
fn check_with_redis(root: &Path, want: &[(&str, &str)]) {
    assert!(check(&OsDisk::new(root).unwrap()).unwrap().is_clean());
    let copy = fresh("copy");
    let copied = Command::new("cp").arg("-r").arg(root.join("appendonlydir")).arg(&copy).status();
    assert!(copied.unwrap().success());
    let manifest = copy.join("appendonlydir/quorate.aof.manifest");
    let checked = Command::new("redis-check-aof").arg(&manifest).output().unwrap();
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        checked.status.success() && text.contains("All AOF files and manifest are valid"),
        "{text}"
    );
    let more = ["--appendonly", "yes", "--appendfilename", "quorate.aof"];
    let mut server = Server::start(&copy, &more);
    for (key, value) in want {
        assert_eq!(server.ask(&["GET", key]), *value, "{key}");
    }
    drop(server);
    std::fs::remove_dir_all(copy).unwrap();
}

#[test]
fn redis_serves_what_the_log_holds() {
    let _alone = alone();
    let root = fresh("serves");
    let disk = OsDisk::new(&root).unwrap();
    let (log, _) = Log::open(disk.clone(), options()).unwrap();
    log.prepare().unwrap();
    append(&log, vec![entry(1, 0, EntryKind::Membership, vec![0, b'\n', 255])]);
    append(&log, (1..=40).map(|index| incr(1, index)).collect());
    log.save_vote(Vote { term: 2, voted_for: 1, committed: true }, Box::new(|_| ())).unwrap();
    append(&log, vec![entry(2, 41, EntryKind::Blank, Vec::new()), set(2, 42, "kept", "yes")]);
    // Never committed: another leader's entries take their place.
    append(&log, (43..=60).map(|index| set(2, index, "lost", "no")).collect());
    log.truncate_after(Some(LogId { term: 2, index: 42 })).unwrap();
    // Every length, so that records end everywhere in a line of filler.
    for index in 43..=643 {
        append(&log, vec![set(3, index, "length", &"x".repeat(index as usize - 42))]);
    }
    log.save_committed(LogId { term: 3, index: 643 }).unwrap();
    let length = "x".repeat(601);
    let want = [("count", "40"), ("kept", "yes"), ("lost", "nil"), ("length", length.as_str())];
    check_with_redis(&root, &want);
    log.close();
    drop(log);
    check_with_redis(&root, &want);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn base_and_segments_hold_every_entry_once() {
    let _alone = alone();
    let rdb = rdb();
    let root = fresh("base");
    let disk = OsDisk::new(&root).unwrap();
    let (log, _) = Log::open(disk.clone(), options()).unwrap();
    let snapshots = Snapshots::open(disk.clone()).unwrap();
    let write = |last| {
        snapshots.write(&log, LogId { term: 1, index: last }, &mut |sink| sink(&rdb)).unwrap();
        log.purge(LogId { term: 1, index: last }).unwrap();
        log.flush().unwrap();
    };
    // A cut, with entries behind it by the time the snapshot is written.
    append(&log, (1..=5).map(|index| incr(1, index)).collect());
    append(&log, vec![entry(1, 6, EntryKind::Cut, Vec::new())]);
    append(&log, (7..=8).map(|index| incr(1, index)).collect());
    write(6);
    check_with_redis(&root, &[("base", "yes"), ("count", "7")]);
    // A snapshot in the middle of a segment: what is behind it is copied.
    append(&log, (9..=20).map(|index| incr(1, index)).collect());
    write(18);
    check_with_redis(&root, &[("count", "7")]);
    // An install beyond everything.
    write(100);
    check_with_redis(&root, &[("count", "5")]);
    append(&log, (101..=101).map(|index| incr(1, index)).collect());
    check_with_redis(&root, &[("count", "6")]);
    log.mark_inexact(101).unwrap();
    log.close();
    drop(log);
    let (log, found) = Log::open(disk.clone(), options()).unwrap();
    assert_eq!(found.purged, Some(LogId { term: 1, index: 100 }));
    assert_eq!(log.read(0, 200, usize::MAX).unwrap(), [incr(1, 101)]);
    check_with_redis(&root, &[("count", "6")]);
    let names = disk.list("appendonlydir").unwrap();
    assert_eq!(names.iter().filter(|name| name.contains(".base.")).count(), 2);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_directory_that_redis_wrote_to_is_refused() {
    let _alone = alone();
    let root = fresh("written");
    let disk = OsDisk::new(&root).unwrap();
    let (log, _) = Log::open(disk.clone(), options()).unwrap();
    append(&log, (1..=3).map(|index| incr(1, index)).collect());
    log.prepare().unwrap();
    log.close();
    drop(log);
    let more =
        ["--appendonly", "yes", "--appendfilename", "quorate.aof", "--appendfsync", "always"];
    let mut server = Server::start(&root, &more);
    assert_eq!(server.ask(&["INCR", "count"]), ":4");
    drop(server);
    let refused = Log::open(disk, options()).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("redis-server") && refused.contains("quorate restore"), "{refused}");
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn files_are_private_and_the_lock_is_real() {
    use std::os::unix::fs::PermissionsExt;
    let _alone = alone();
    let root = fresh("private").join("data");
    let disk = OsDisk::new(&root).unwrap();
    let (log, _) = Log::open(disk.clone(), options()).unwrap();
    append(&log, vec![entry(1, 1, EntryKind::Commands, Vec::new())]);
    let mode =
        |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("appendonlydir")), (0o700, 0o700));
    for name in disk.list("appendonlydir").unwrap() {
        assert_eq!(mode(&format!("appendonlydir/{name}")), 0o600, "{name}");
    }
    let other = OsDisk::new(&root).unwrap();
    assert!(matches!(Log::open(other, options()), Err(quorate_store::StoreError::Locked(_))));
    drop(log);
    let (log, _) = Log::open(disk, options()).unwrap();
    assert_eq!(log.read(0, 9, 9).unwrap()[0].payload, Bytes::new());
    std::fs::remove_dir_all(root.parent().unwrap()).unwrap();
}
