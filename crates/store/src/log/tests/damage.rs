//! Torn tails are cut, damage is refused: at every byte of a small log.

use super::*;
use crate::record::{HEAD_MAX, filler};
use crate::scan::scan;

const FIRST: &str = "appendonlydir/quorate.aof.1.incr.aof";

/// A small log, closed: its records, and where each begins and ends in the first segment.
struct Small {
    disk: FakeDisk,
    entries: Vec<Entry>,
    records: Vec<(usize, usize)>,
}

fn small(closed: bool) -> Small {
    let disk = FakeDisk::new(1);
    let (log, _) = open(&disk);
    let mut entries = entries(1, 1..=4);
    entries[1].kind = EntryKind::Membership;
    write(&log, entries[..2].to_vec());
    log.save_vote(Vote { term: 2, voted_for: 3, committed: false }, Box::new(|_| ())).unwrap();
    log.flush().unwrap();
    write(&log, entries[2..].to_vec());
    if closed {
        log.close();
    }
    drop(log);
    let mut starts = Vec::new();
    scan(&disk, &[1], None, &mut |_| (), Some(&mut |record| starts.push(record.offset as usize)))
        .unwrap();
    let bytes = disk.contents(FIRST).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != b'#' && byte != b'\n').unwrap() + 2;
    let ends = starts[1..].iter().copied().chain([end]);
    let records = starts.iter().copied().zip(ends).collect();
    Small { disk, entries, records }
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
    // The last record is the mark that close() left: nothing was acknowledged by it.
    let (mark, _) = *small.records.last().unwrap();
    for bit in 0..mark * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let outcome = reopen_with(&small.disk, bad);
        let Err(StoreError::Corrupt(text)) = outcome else {
            panic!("bit {bit} went unnoticed: {outcome:?}");
        };
        assert!(text.contains(FIRST) && text.contains("at byte"), "{text}");
    }
    for bit in mark * 8..(mark + 2 * HEAD_MAX) * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let (log, found) = reopen_with(&small.disk, bad).expect("nothing acknowledged is hurt");
        assert_eq!(all(&log), small.entries);
        assert!(found.torn_bytes > 0);
    }
}

#[test]
fn a_tail_torn_at_any_byte_of_the_last_record_is_cut() {
    let small = small(false);
    let good = small.disk.contents(FIRST).unwrap();
    let (start, end) = *small.records.last().unwrap();
    for cut in start..end {
        // The file ends there; it is filler from there; it is zeros from there.
        let short = good[..cut].to_vec();
        let mut filled = short.clone();
        filled.extend(filler(cut as u64, good.len() - cut));
        let mut zeroed = short.clone();
        zeroed.resize(good.len(), 0);
        for bytes in [short, filled, zeroed] {
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
    log.append(entries(1, 3..=9), None).unwrap();
    log.flush().unwrap();
    drop(log);
    let mut bytes = disk.contents(FIRST).unwrap();
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
        let middle = good.windows(4).nth(good.len() / 2).map(|_| good.len() / 2).unwrap();
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
