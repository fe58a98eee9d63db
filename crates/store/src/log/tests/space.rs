//! What the log takes of the disk, and what it does when there is little.

use super::*;
use crate::Snapshots;

const MIB: u64 = 1 << 20;

/// As in production, but for a reserve that fits small disks.
fn real(reserve_bytes: u64) -> LogOptions {
    LogOptions { segment_bytes: 64 * MIB, reserve_bytes, ..options() }
}

fn start(disk: &FakeDisk, reserve: u64) -> (Log<FakeDisk>, Snapshots<FakeDisk>) {
    let (log, _) = Log::open(disk.clone(), real(reserve)).expect("a log that opens");
    let snapshots = Snapshots::open(disk.clone()).expect("a catalogue");
    (log, snapshots)
}

fn used(disk: &FakeDisk) -> u64 {
    let files = disk.paths().into_iter();
    files.filter_map(|path| disk.contents(&path)).map(|bytes| bytes.len() as u64).sum()
}

/// One entry, a cut and a snapshot of it; then the log is purged as a node does.
fn write_and_save(log: &Log<FakeDisk>, snapshots: &Snapshots<FakeDisk>, index: u64, keep: u64) {
    let cut = Entry { kind: EntryKind::Cut, payload: Bytes::new(), ..entry(1, index + 1) };
    write(log, vec![entry(1, index), cut]);
    let write = &mut |sink: crate::Sink<'_>| sink(b"a small state");
    snapshots.write(log, id(1, index + 1), write).expect("there is space");
    if let Some(upto) = log.index_before(keep) {
        log.purge(id(1, upto)).expect("purges");
        log.flush().expect("flushes");
    }
    while log.prepare().expect("there is space") {}
}

#[test]
fn manysnapshots_of_little_take_little() {
    let disk = FakeDisk::new(1);
    let (log, snapshots) = start(&disk, 8 * MIB);
    let keep = 4 * MIB;
    for number in 0..31 {
        write_and_save(&log, &snapshots, 1 + 2 * number, keep);
    }
    // What is kept, the segment that is written to, and the next one; the spare file.
    let stats = log.stats();
    assert!(stats.disk_bytes <= keep + 2 * MIB, "{stats:?}");
    assert!(used(&disk) <= keep + 3 * MIB + (64 << 10), "{}", used(&disk));
    // Closed segments that a purge leaves do not exceed what was asked for.
    assert_eq!(log.index_before(keep), None);
    drop((log, snapshots));
    disk.kill();
    let (log, _) = start(&disk, 8 * MIB);
    assert!(log.stats().disk_bytes <= keep + 2 * MIB);
}

#[test]
fn segments_grow_while_much_is_written_between_cuts_and_shrink_again() {
    let disk = FakeDisk::new(1);
    let (log, snapshots) = start(&disk, 8 * MIB);
    let mut index = 1;
    let mut large = |log: &Log<FakeDisk>, count: u64| {
        for _ in 0..count {
            let payload = vec![b'x'; 200_000];
            write(log, vec![Entry { payload: payload.into(), ..entry(1, index) }]);
            log.prepare().expect("there is space");
            index += 1;
        }
        index
    };
    let next = large(&log, 100);
    let prepared = |log: &Log<FakeDisk>| log.memory().upkeep.next_bytes.expect("is ready");
    assert!(prepared(&log) >= 32 * MIB, "{}", prepared(&log));
    write_and_save(&log, &snapshots, next, 0);
    assert!(prepared(&log) >= 32 * MIB, "as much may come again");
    for more in 1..4 {
        write_and_save(&log, &snapshots, next + 2 * more, 0);
    }
    assert_eq!(prepared(&log), MIB);
    assert!(log.stats().disk_bytes <= 2 * MIB);
}

#[test]
fn little_space_is_left_to_who_needs_it_more() {
    let disk = FakeDisk::new(1);
    let reserve = 16 * MIB;
    let (log, snapshots) = start(&disk, reserve);
    while log.prepare().expect("there is space") {}
    let free = |bytes: u64| disk.set_capacity(Some(used(&disk) + bytes));

    free(reserve + MIB / 2);
    assert!(!log.is_full(0));
    assert!(log.is_full(2 * MIB), "a large write does not pass");
    assert!(log.is_short_of(0));
    free(reserve - 1);
    assert!((0..64).any(|_| log.is_full(0)), "found out by itself");
    // 64 large values do not pass before it looks again.
    free(reserve + MIB);
    assert!((0..8).any(|_| !log.is_full(0)));
    free(reserve - 1);
    assert!(log.is_full(MIB));

    // Cuts, small segments and snapshots go on down to the floor.
    write_and_save(&log, &snapshots, 1, 0);
    assert!(used(&disk) < 8 * MIB);
    let floor = reserve / 4;
    free(floor + MIB / 2);
    let cut = Entry { kind: EntryKind::Cut, payload: Bytes::new(), ..entry(1, 3) };
    write(&log, vec![cut, entry(1, 4)]);
    assert!(matches!(log.prepare(), Err(StoreError::Full)), "not below the floor");
    free(floor - 1);
    let mut draft = snapshots.begin(&log).expect("begins");
    let written = draft.write(&vec![0; 300_000]).and_then(|()| draft.complete());
    assert!(matches!(written, Err(StoreError::Full)), "{written:?}");
    drop(draft);

    // The older snapshot can be given up for a new one, once.
    let write = &mut |sink: crate::Sink<'_>| sink(b"state");
    free(reserve);
    snapshots.write(&log, id(1, 4), write).expect("there is space");
    assert_eq!(snapshots.all().len(), 2);
    assert!(snapshots.give_up_older(&log).expect("gives up"));
    assert!(!snapshots.give_up_older(&log).expect("there is none"));
    assert_eq!(snapshots.all().len(), 1);
}

#[test]
fn the_last_bytes_of_the_disk_are_given_up_for_a_vote_and_a_start() {
    let disk = FakeDisk::new(1);
    let (log, snapshots) = start(&disk, 64 * MIB);
    while log.prepare().expect("there is space") {}
    let has_spare = || disk.paths().iter().any(|path| path == "spare");
    assert!(has_spare());
    // Others fill the disk to the last byte while entries wait.
    disk.set_capacity(Some(used(&disk)));
    for index in 1..=40 {
        let payload = vec![b'x'; 100_000];
        log.append(vec![Entry { payload: payload.into(), ..entry(1, index) }], None)
            .expect("waits");
    }
    assert!(matches!(log.flush(), Err(StoreError::Full)));
    assert!(!has_spare());
    log.flush().expect("there is space for some more");
    drop((log, snapshots));
    disk.kill();

    // It makes a new one when there is space, and gives it up when it has to start without any.
    disk.set_capacity(None);
    let (log, snapshots) = start(&disk, 64 * MIB);
    while log.prepare().expect("there is space") {}
    assert!(has_spare());
    drop((log, snapshots));
    disk.kill();
    disk.set_capacity(Some(used(&disk)));
    let (log, _) = Log::open(disk.clone(), real(64 * MIB)).expect("it starts");
    assert!(!has_spare());
    assert_eq!(all(&log).len(), 40);
}
