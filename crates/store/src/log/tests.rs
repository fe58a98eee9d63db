//! The log on a disk that loses what was not synced.

use super::*;
use crate::{EntryKind, FakeDisk};
use bytes::Bytes;
use std::sync::atomic::{AtomicU64, Ordering};

mod damage;
mod model;
mod space;

pub(crate) fn options() -> LogOptions {
    LogOptions { segment_bytes: 12288, cache_bytes: 2000, reserve_bytes: 0, fsync: true, group: 7 }
}

pub(crate) fn open(disk: &FakeDisk) -> (Log<FakeDisk>, Recovered) {
    Log::open(disk.clone(), options()).expect("a log that opens")
}

pub(crate) fn id(term: u64, index: u64) -> LogId {
    LogId { term, index }
}

/// An entry whose payload is RESP and differs with its id.
pub(crate) fn entry(term: u64, index: u64) -> Entry {
    let value = format!("<{term}.{index}>").repeat(1 + (index % 7) as usize * 5);
    let text = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len());
    Entry {
        id: id(term, index),
        kind: EntryKind::Commands,
        now_ms: 1_000 + index,
        seed: index * 77,
        payload: text.into(),
    }
}

pub(crate) fn entries(term: u64, indexes: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    indexes.map(|index| entry(term, index)).collect()
}

pub(crate) fn write(log: &Log<FakeDisk>, entries: Vec<Entry>) {
    log.append(entries, None).expect("appends");
    log.flush().expect("flushes");
}

/// Everything the log holds.
pub(crate) fn all(log: &Log<FakeDisk>) -> Vec<Entry> {
    let (_, last) = log.bounds();
    let end = last.map_or(0, |last| last.index + 1);
    log.read(0, end, usize::MAX).expect("reads")
}

#[test]
fn what_is_appended_is_read_at_once_and_after_a_restart() {
    let disk = FakeDisk::new(1);
    let (log, found) = open(&disk);
    assert_eq!((found.last, found.vote, found.torn_bytes), (None, None, 0));
    let mut want = entries(1, 1..=40);
    want.extend([
        Entry { kind: EntryKind::Blank, payload: Bytes::new(), ..entry(2, 41) },
        Entry { kind: EntryKind::Membership, payload: vec![0, 10, 255].into(), ..entry(2, 42) },
        Entry { kind: EntryKind::Cut, payload: Bytes::new(), ..entry(2, 43) },
        entry(2, 44),
    ]);
    log.append(want.clone(), None).expect("appends");
    assert_eq!(all(&log), want, "readable before it is durable");
    assert!(log.flush().expect("flushes"));
    assert!(!log.flush().expect("nothing left"));
    assert_eq!(all(&log), want, "most of it read from disk");
    drop(log);
    disk.kill();
    let (log, found) = open(&disk);
    assert_eq!((found.last, found.stamp_ms, found.torn_bytes), (Some(id(2, 44)), 1044, 0));
    assert_eq!(all(&log), want);
}

#[test]
fn reads_keep_to_bounds_and_bytes() {
    let (log, _) = open(&FakeDisk::new(1));
    write(&log, entries(1, 1..=100));
    let first = |entries: Vec<Entry>| entries.first().map(|entry| entry.id.index);
    for at in [1, 2, 50, 99, 100] {
        let one = log.read(at, 101, 1).expect("reads");
        assert_eq!((one.len(), first(one)), (1, Some(at)), "at least one");
    }
    let some = log.read(1, 101, 500).expect("reads");
    let bytes: usize = some.iter().map(|entry| entry.payload.len()).sum();
    assert!(some.len() > 1 && bytes <= 500);
    assert_eq!(log.read(90, 95, usize::MAX).expect("reads").len(), 5);
    assert!(log.read(101, 200, 1).expect("reads").is_empty());
    assert!(log.read(5, 5, 1).expect("reads").is_empty());
}

#[test]
fn acks_fire_in_order_once_durable() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| -> Ack {
        let order = order.clone();
        Box::new(move |outcome| order.lock().expect("alone").push((what, outcome.is_ok())))
    };
    log.append(entries(1, 1..=3), Some(note("entries"))).expect("appends");
    log.save_vote(Vote { term: 2, voted_for: 9, committed: false }, note("vote")).expect("votes");
    log.append(Vec::new(), Some(note("nothing"))).expect("appends");
    log.append(entries(2, 4..=4), Some(note("more"))).expect("appends");
    assert!(order.lock().expect("alone").is_empty());
    log.flush().expect("flushes");
    let want = ["entries", "vote", "nothing", "more"].map(|what| (what, true));
    assert_eq!(*order.lock().expect("alone"), want);
}

#[test]
fn one_flush_is_one_sync_and_two_writes() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    log.append(entries(1, 1..=20), None).expect("appends");
    log.save_committed(id(1, 3)).expect("notes");
    let before = disk.ops();
    log.flush().expect("flushes");
    assert_eq!(disk.ops() - before, 3, "records, sync, and a note of it");
}

#[test]
fn a_hole_in_the_indexes_is_refused() {
    let (log, _) = open(&FakeDisk::new(1));
    write(&log, entries(1, 5..=6));
    assert!(log.append(entries(1, 8..=8), None).is_err());
    assert!(log.append(entries(1, 6..=6), None).is_err());
    write(&log, entries(1, 7..=7));
    assert_eq!(all(&log), entries(1, 5..=7));
}

#[test]
fn votes_and_committed_marks_are_kept() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    let vote = Vote { term: 3, voted_for: u64::MAX, committed: true };
    write(&log, entries(1, 1..=9));
    log.save_committed(id(1, 4)).expect("notes");
    log.save_committed(id(1, 5)).expect("notes");
    log.save_vote(vote, Box::new(|_| ())).expect("votes");
    log.flush().expect("flushes");
    log.set_identity(Identity { cluster: Some(5), node: 6, incarnation: 7 }).expect("kept");
    // Ten segments further, the records themselves are long gone from the newest one.
    write(&log, entries(3, 10..=500));
    drop(log);
    disk.crash();
    let (log, found) = open(&disk);
    assert_eq!((found.vote, found.committed), (Some(vote), Some(id(1, 5))));
    assert_eq!(found.identity, Some(Identity { cluster: Some(5), node: 6, incarnation: 7 }));
    assert_eq!((log.vote(), log.committed()), (Some(vote), Some(id(1, 5))));
}

#[test]
fn a_committed_mark_beyond_the_last_entry_is_clamped() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    write(&log, entries(1, 1..=3));
    log.save_committed(id(1, 9)).expect("notes");
    log.close();
    drop(log);
    assert_eq!(open(&disk).1.committed, Some(id(1, 3)));
}

#[test]
fn truncation_drops_the_tail_and_blanks_it_on_disk() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    write(&log, entries(1, 1..=60));
    log.truncate_after(Some(id(1, 30))).expect("truncates");
    log.append(entries(2, 31..=33), None).expect("appends");
    log.flush().expect("flushes");
    let mut want = entries(1, 1..=30);
    want.extend(entries(2, 31..=33));
    assert_eq!(all(&log), want);
    let text = segments_text(&disk);
    assert!(text.contains("<1.30>") && !text.contains("<1.31>") && !text.contains("<1.60>"));
    drop(log);
    disk.crash();
    let (log, _) = open(&disk);
    assert_eq!(all(&log), want);
    log.truncate_after(None).expect("truncates");
    drop(log);
    disk.crash();
    let (log, found) = open(&disk);
    assert_eq!((found.last, all(&log)), (None, Vec::new()));
    write(&log, entries(3, 0..=2));
    assert_eq!(all(&log), entries(3, 0..=2));
}

/// The RESP of all segments, annotations left out.
pub(crate) fn segments_text(disk: &FakeDisk) -> String {
    let mut text = String::new();
    for path in disk.paths().iter().filter(|path| path.ends_with(".incr.aof")) {
        let bytes = disk.contents(path).expect("listed");
        let lines = bytes.split_inclusive(|&byte| byte == b'\n');
        let resp = lines.filter(|line| !line.starts_with(b"#"));
        text.extend(resp.map(|line| String::from_utf8_lossy(line).into_owned()));
    }
    text
}

#[test]
fn purging_keeps_what_is_behind_and_survives_restarts() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    write(&log, entries(1, 1..=60));
    log.purge(id(1, 20)).expect("purges");
    log.purge(id(1, 10)).expect("is nothing");
    assert_eq!(log.bounds(), (Some(id(1, 20)), Some(id(1, 60))));
    assert_eq!(all(&log), entries(1, 21..=60));
    log.flush().expect("flushes");
    drop(log);
    disk.crash();
    let (log, found) = open(&disk);
    assert_eq!((found.purged, found.last), (Some(id(1, 20)), Some(id(1, 60))));
    assert_eq!(all(&log), entries(1, 21..=60));
    // An install: the purged id lies beyond everything.
    log.purge(id(4, 100)).expect("purges");
    assert_eq!(log.bounds(), (Some(id(4, 100)), Some(id(4, 100))));
    write(&log, entries(4, 101..=102));
    drop(log);
    disk.crash();
    let (log, found) = open(&disk);
    assert_eq!((found.purged, found.last), (Some(id(4, 100)), Some(id(4, 102))));
    assert_eq!(all(&log), entries(4, 101..=102));
}

#[test]
fn a_record_larger_than_a_segment_gets_its_own() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    log.prepare().expect("prepares");
    let large = Entry { payload: vec![b'x'; 100_000].into(), ..entry(1, 2) };
    let armoured =
        Entry { kind: EntryKind::Membership, payload: vec![1; 30_000].into(), ..entry(1, 3) };
    let want = vec![entry(1, 1), large, armoured, entry(1, 4)];
    write(&log, want.clone());
    assert_eq!(all(&log), want);
    drop(log);
    disk.crash();
    assert_eq!(all(&open(&disk).0), want);
}

#[test]
fn a_prepared_segment_is_used_and_found_again() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    assert!(log.prepare().expect("prepares"));
    assert!(!log.prepare().expect("is ready"));
    drop(log);
    disk.crash();
    let (log, _) = open(&disk);
    assert!(!log.prepare().expect("is still ready"));
    write(&log, entries(1, 1..=60));
    assert!(log.stats().segments > 1);
    assert_eq!(all(&log), entries(1, 1..=60));
}

#[test]
fn only_one_may_open_a_directory() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    assert!(matches!(Log::open(disk.clone(), options()), Err(StoreError::Locked(_))));
    drop(log);
    open(&disk);
}

#[test]
fn a_failed_sync_ends_the_log() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    write(&log, entries(1, 1..=2));
    let refused = Arc::new(AtomicU64::new(0));
    let count = refused.clone();
    let ack: Ack = Box::new(move |outcome| {
        assert!(outcome.is_err());
        count.fetch_add(1, Ordering::Relaxed);
    });
    log.append(entries(1, 3..=3), Some(ack)).expect("appends");
    disk.fail_at(disk.ops() + 2, ErrorKind::Other);
    assert!(log.flush().is_err());
    assert_eq!(refused.load(Ordering::Relaxed), 1);
    assert!(log.flush().is_err(), "for good");
    assert!(log.append(entries(1, 4..=4), None).is_err());
    assert!(log.read(1, 2, 1).is_err());
    assert!(!log.wait_queued());
    drop(log);
    disk.crash();
    assert_eq!(all(&open(&disk).0)[..2], entries(1, 1..=2));
}

#[test]
fn a_full_disk_keeps_the_queue_and_recovers() {
    let disk = FakeDisk::new(1);
    let options = LogOptions { reserve_bytes: 16384, ..options() };
    let (log, _) = Log::open(disk.clone(), options).expect("a log that opens");
    disk.set_capacity(Some(9000));
    let acked = Arc::new(AtomicU64::new(0));
    let count = acked.clone();
    let ack: Ack = Box::new(move |outcome| {
        assert!(outcome.is_ok());
        count.fetch_add(1, Ordering::Relaxed);
    });
    log.append(entries(1, 1..=100), Some(ack)).expect("appends");
    assert!(matches!(log.flush(), Err(StoreError::Full)));
    assert!(log.is_full(0));
    assert!(matches!(log.prepare(), Err(StoreError::Full)));
    assert!(matches!(log.flush(), Err(StoreError::Full)), "as often as asked");
    assert_eq!(acked.load(Ordering::Relaxed), 0);
    assert_eq!(all(&log), entries(1, 1..=100), "still readable");
    disk.set_capacity(None);
    assert!(log.flush().expect("there is space again"));
    assert_eq!(acked.load(Ordering::Relaxed), 1);
    assert!((0..64).any(|_| !log.is_full(0)), "found out by itself");
    drop(log);
    disk.crash();
    assert_eq!(all(&open(&disk).0), entries(1, 1..=100));
}

#[test]
fn threads_wait_for_work_and_end_when_the_log_closes() {
    let (log, _) = open(&FakeDisk::new(1));
    let writer = {
        let log = log.clone();
        std::thread::spawn(move || {
            while log.wait_queued() {
                log.flush().expect("flushes");
            }
        })
    };
    let helper = {
        let log = log.clone();
        std::thread::spawn(move || {
            while log.wait_prepare() {
                log.prepare().expect("prepares");
            }
        })
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    let ack: Ack = Box::new(move |outcome| sender.send(outcome.is_ok()).expect("we wait"));
    log.append(entries(1, 1..=200), Some(ack)).expect("appends");
    assert_eq!(receiver.recv(), Ok(true));
    log.close();
    writer.join().expect("ended");
    helper.join().expect("ended");
    assert_eq!(all(&log), entries(1, 1..=200));
}
