//! Torn tails are cut, damage is refused: at every byte of a small log.

use super::*;
use crate::file::filler::filler;
use crate::file::record::HEAD_MAX;
use crate::log::scan::scan;

const FIRST: &str = "appendonlydir/quorate.aof.1.incr.aof";

/// A small log: its records, and where each begins and ends in the first segment.
struct Small {
    disk: FakeDisk,
    entries: Vec<Entry>,
    records: Vec<(usize, usize)>,
    /// The first segment before the last flush.
    before: Vec<u8>,
}

/// A segment as a power cut within its last flush may leave it: its foot is a sync behind, and the
/// other note of it did not reach the disk.
fn unsynced(disk: &FakeDisk, mut bytes: Vec<u8>, before: &[u8]) -> Vec<u8> {
    disk.tamper(crate::file::durable::PATH, None);
    let foot = before.len() - 4096;
    bytes.truncate(foot);
    bytes.extend_from_slice(&before[foot..]);
    bytes
}

fn small(closed: bool) -> Small {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    let mut entries = entries(1, 1..=4);
    entries[1].kind = EntryKind::Membership;
    write(&log, entries[..2].to_vec());
    log.save_vote(Vote { term: 2, voted_for: 3, committed: false }, Box::new(|_| ())).unwrap();
    log.flush().unwrap();
    write(&log, entries[2..3].to_vec());
    log.write_marks().unwrap();
    let before = disk.contents(FIRST).unwrap();
    write(&log, entries[3..].to_vec());
    // At rest the foot is exact.
    log.write_marks().unwrap();
    if closed {
        log.close();
    }
    drop(log);
    let mut starts = Vec::new();
    scan(&disk, &[1], None, &mut |_| (), Some(&mut |record| starts.push(record.offset as usize)))
        .unwrap();
    let bytes = disk.contents(FIRST).unwrap();
    let records = &bytes[..bytes.len() - 4096];
    let end = records.iter().rposition(|&byte| byte != b'#' && byte != b'\n').unwrap() + 2;
    let ends = starts[1..].iter().copied().chain([end]);
    let records = starts.iter().copied().zip(ends).collect();
    Small { disk, entries, records, before }
}

fn reopen_with(disk: &FakeDisk, bytes: Vec<u8>) -> Result<(Log<FakeDisk>, Recovered), StoreError> {
    disk.kill();
    disk.tamper(FIRST, Some(bytes));
    Log::open(disk.clone(), options())
}

#[test]
fn every_flipped_bit_of_an_acknowledged_record_is_refused() {
    let small = small(true);
    let good = small.disk.contents(FIRST).unwrap();
    let (_, end) = *small.records.last().unwrap();
    for bit in 0..end * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let outcome = reopen_with(&small.disk, bad);
        let Err(StoreError::Corrupt(text)) = outcome else {
            panic!("bit {bit} went unnoticed: {outcome:?}");
        };
        assert!(text.contains(FIRST) && text.contains("at byte"), "{text}");
    }
    // Behind them, and in the foot, nothing was acknowledged; it is as before afterwards.
    let foot = good.len() - 4096;
    let behind = (end + 1) * 8..(end + 1 + HEAD_MAX) * 8;
    for bit in behind.chain(foot * 8..(foot + 64) * 8).chain((foot + 2048) * 8..good.len() * 8) {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let (log, found) = reopen_with(&small.disk, bad).expect("nothing acknowledged is hurt");
        assert_eq!(all(&log), small.entries);
        assert_eq!(found.torn_bytes > 0, bit < foot * 8);
        drop(log);
        let mended = small.disk.contents(FIRST).unwrap();
        assert_eq!(mended[..foot], good[..foot], "bit {bit}");
        assert!(!crate::log::scan::foot_of(&mended, 1).damaged, "bit {bit}");
    }
}

#[test]
fn a_tail_torn_at_any_byte_of_the_last_record_is_cut() {
    let small = small(false);
    let good = small.disk.contents(FIRST).unwrap();
    let (start, end) = *small.records.last().unwrap();
    for cut in start..end {
        // It is filler from there; it is zeros from there.
        let mut filled = good[..cut].to_vec();
        filled.extend(filler(cut as u64, good.len() - cut));
        let mut zeroed = good[..cut].to_vec();
        zeroed.resize(good.len(), 0);
        // A file that ends there had its full size once.
        let outcome = reopen_with(&small.disk, good[..cut].to_vec());
        assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "cut short at {cut}");
        for bytes in [filled, zeroed] {
            // With the foot that the flush left nothing is torn: this was durable.
            let mut synced = bytes.clone();
            let foot = good.len() - 4096;
            synced[foot..].copy_from_slice(&good[foot..]);
            let outcome = reopen_with(&small.disk, synced);
            assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "synced, gone from {cut}");
            let bytes = unsynced(&small.disk, bytes, &small.before);
            let (log, found) = reopen_with(&small.disk, bytes).expect("a torn tail");
            assert_eq!(all(&log), small.entries[..3], "cut at {cut}");
            assert_eq!(found.last, Some(id(1, 3)));
            write(&log, entries(2, 4..=5));
            drop(log);
            small.disk.crash();
            let (log, found) = open(&small.disk);
            assert_eq!(found.torn_bytes, 0);
            assert_eq!(log.read(4, 6, usize::MAX).unwrap(), entries(2, 4..=5));
        }
    }
}

#[test]
fn a_hole_inside_what_one_flush_wrote_is_a_torn_tail() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    write(&log, entries(1, 1..=2));
    let before = disk.contents(FIRST).unwrap();
    log.append(entries(1, 3..=9), None).unwrap();
    log.flush().unwrap();
    drop(log);
    let mut bytes = unsynced(&disk, disk.contents(FIRST).unwrap(), &before);
    let hole = bytes.windows(5).position(|five| five == b"<1.4>").unwrap();
    bytes[hole] = b'?';
    let (log, found) = reopen_with(&disk, bytes).expect("the last flush was never acknowledged");
    assert_eq!(all(&log), entries(1, 1..=3));
    assert!(found.torn_bytes > 500, "records behind the hole are cut too");
}

#[test]
fn a_half_done_blanking_is_finished() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    write(&log, entries(1, 1..=9));
    let before = disk.contents(FIRST).unwrap();
    log.truncate_after(Some(id(1, 5))).unwrap();
    drop(log);
    let after = disk.contents(FIRST).unwrap();
    let changed: Vec<usize> = (0..before.len()).filter(|&at| before[at] != after[at]).collect();
    let truncate = *changed.last().unwrap();
    let record = after[..truncate].windows(4).rposition(|four| four == b"#q1 ").unwrap();
    for undone in [1, changed.len() / 3, changed.len() / 2, changed.len() - 1] {
        let mut bytes = after.clone();
        for &at in changed[undone..].iter().filter(|at| **at < record) {
            bytes[at] = before[at];
        }
        let (log, _) = reopen_with(&disk, bytes).expect("the truncate record explains it");
        assert_eq!(all(&log), entries(1, 1..=5));
        assert_eq!(disk.contents(FIRST).unwrap(), after, "undone from {undone}");
    }
}

#[test]
fn what_redis_or_a_hand_changed_is_refused() {
    let small = small(true);
    let good = small.disk.contents(FIRST).unwrap();
    let mut longer = good.clone();
    longer.extend_from_slice(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
    assert!(matches!(reopen_with(&small.disk, longer), Err(StoreError::Foreign(_))));
    assert!(reopen_with(&small.disk, good.clone()).is_ok());

    let (log, _) = {
        small.disk.kill();
        open(&small.disk)
    };
    log.prepare().unwrap();
    drop(log);
    let second = "appendonlydir/quorate.aof.2.incr.aof";
    let ready = small.disk.contents(second).unwrap();
    let mut longer = ready.clone();
    longer.extend_from_slice(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
    small.disk.tamper(second, Some(longer));
    assert!(matches!(Log::open(small.disk.clone(), options()), Err(StoreError::Foreign(_))));
    small.disk.tamper(second, None);
    assert!(matches!(Log::open(small.disk.clone(), options()), Err(StoreError::Corrupt(_))));
    small.disk.tamper(second, Some(ready));
    assert!(Log::open(small.disk.clone(), options()).is_ok());
    let other = LogOptions { group: 8, ..options() };
    small.disk.kill();
    assert!(matches!(Log::open(small.disk.clone(), other), Err(StoreError::Foreign(_))));
}

#[test]
fn damage_in_or_loss_of_any_older_segment_is_refused() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    write(&log, entries(1, 1..=300));
    drop(log);
    let segments: Vec<String> =
        disk.paths().into_iter().filter(|path| path.ends_with(".incr.aof")).collect();
    assert!(segments.len() > 3);
    for path in segments.iter().filter(|path| !path.contains(&format!(".{}.", segments.len()))) {
        let good = disk.contents(path).unwrap();
        let middle = (good.len() - 4096) / 2;
        for damage in [0, 100, middle] {
            let mut bad = good.clone();
            bad[damage] ^= 4;
            disk.tamper(path, Some(bad));
            let outcome = Log::open(disk.clone(), options());
            assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{path} at {damage}");
        }
        disk.tamper(path, None);
        assert!(matches!(Log::open(disk.clone(), options()), Err(StoreError::Corrupt(_))));
        disk.tamper(path, Some(good));
    }
    assert_eq!(all(&open(&disk).0), entries(1, 1..=300));
}

#[test]
fn an_entry_damaged_while_the_log_runs_is_not_handed_out() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    write(&log, entries(1, 1..=100));
    let mut bytes = disk.contents(FIRST).unwrap();
    let at = bytes.windows(5).position(|five| five == b"<1.3>").unwrap();
    bytes[at] ^= 1;
    disk.tamper(FIRST, Some(bytes));
    assert!(matches!(log.read(1, 10, usize::MAX), Err(StoreError::Corrupt(_))));
    assert_eq!(log.read(1, 3, usize::MAX).unwrap(), entries(1, 1..=2));
}

#[test]
fn an_error_at_any_operation_stops_the_log_or_changes_nothing() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for op in 1.. {
            let disk = FakeDisk::new(op);
            let (log, _) = open(&disk);
            disk.fail_at(disk.ops() + op, kind);
            let mut acked = 0;
            let mut failed = false;
            for index in 1..=80 {
                log.append(entries(1, index..=index), None).ok();
                match log.flush() {
                    Ok(_) => acked = index,
                    Err(StoreError::Full) => {
                        failed = true;
                        log.flush().expect("there is space again");
                        acked = index;
                    }
                    Err(_) => {
                        failed = true;
                        break;
                    }
                }
            }
            drop(log);
            disk.crash();
            let (log, _) = open(&disk);
            let held = all(&log);
            assert!(held.len() as u64 >= acked, "operation {op}: {acked} acknowledged");
            assert_eq!(held, entries(1, 1..=held.len() as u64));
            if !failed {
                assert!(op > 160, "the run is longer than that");
                break;
            }
        }
    }
}

/// Everything that can happen to one file at one place: nothing acknowledged is lost in silence.
#[test]
fn no_damage_to_one_place_costs_an_entry_silently() {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    log.set_identity(Identity { cluster: Some(5), node: 6, incarnation: 7 }).unwrap();
    let mut versions = Vec::new();
    let mut last = 0;
    while last < 60 {
        let next = last + 1 + last % 3;
        write(&log, entries(1, last + 1..=next));
        log.save_committed(id(1, next)).unwrap();
        last = next;
        let of = |path: String| {
            let bytes = disk.contents(&path).unwrap();
            (path, bytes)
        };
        versions.push(disk.paths().into_iter().map(of).collect::<Vec<_>>());
    }
    drop(log);
    let newest = versions.pop().unwrap();
    let mut outcomes = [0, 0];
    let mut check = |path: &str, bytes: Option<Vec<u8>>, what: &str| {
        disk.kill();
        // A start mends, and removes what it takes to be superfluous.
        for (path, bytes) in &newest {
            disk.tamper(path, Some(bytes.clone()));
        }
        disk.tamper(path, bytes);
        match Log::open(disk.clone(), options()) {
            Ok((log, _)) => {
                assert_eq!(all(&log), entries(1, 1..=last), "{path}: {what}");
                outcomes[0] += 1;
            }
            Err(StoreError::Corrupt(_) | StoreError::Foreign(_)) => outcomes[1] += 1,
            Err(error) => panic!("{path}: {what}: {error}"),
        }
    };
    for (path, good) in &newest {
        check(path, None, "removed");
        for (_, old) in versions.iter().flatten().filter(|(other, _)| other == path) {
            check(path, Some(old.clone()), "put back as a whole");
        }
        for cut in (0..good.len()).step_by(512) {
            check(path, Some(good[..cut].to_vec()), &format!("cut at {cut}"));
        }
        for start in (0..good.len()).step_by(4096) {
            let end = good.len().min(start + 4096);
            let mut bad = good.clone();
            bad[start..end].fill(0);
            check(path, Some(bad), &format!("zeros from {start}"));
            let before = versions.iter().flatten().filter(|(other, _)| other == path);
            for (number, (_, old)) in before.enumerate().filter(|(_, (_, old))| old.len() >= end) {
                let mut bad = good.clone();
                bad[start..end].copy_from_slice(&old[start..end]);
                check(path, Some(bad), &format!("block {start} of version {number}"));
            }
        }
    }
    assert!(outcomes.iter().all(|count| *count > 20), "{outcomes:?}");
}
