//! A snapshot is made and takes its place, or nothing has happened: whatever fails, wherever the
//! power goes.

use super::*;
use crate::log::tests::{all, entries, id, open, write};
use crate::{FakeDisk, Log, LogId, SnapshotFile, Snapshots, check};
use std::io::ErrorKind;

/// Larger than a buffer, so that it is written in several steps.
fn content(seed: u8) -> Vec<u8> {
    (0..700_000_u32).map(|at| (at / 7) as u8 ^ seed).collect()
}

fn make(
    snapshots: &Snapshots<FakeDisk>,
    log: &Log<FakeDisk>,
    last: LogId,
    bytes: &[u8],
) -> Result<SnapshotFile, StoreError> {
    let mut draft = snapshots.begin(log)?;
    for piece in bytes.chunks(100_000) {
        draft.write(piece)?;
    }
    assert_eq!(draft.bytes(), bytes.len() as u64);
    draft.complete()?;
    snapshots.publish(log, last, draft)
}

fn temporary(disk: &FakeDisk) -> Vec<String> {
    disk.paths().into_iter().filter(|path| path.contains(".tmp")).collect()
}

struct World {
    disk: FakeDisk,
    log: Log<FakeDisk>,
    snapshots: Snapshots<FakeDisk>,
}

impl World {
    /// Twenty entries and a snapshot of the first five.
    fn new(seed: u64) -> Self {
        let disk = FakeDisk::new(seed);
        let (log, _) = open(&disk);
        write(&log, entries(1, 1..=20));
        let snapshots = Snapshots::open(disk.clone()).expect("a fresh directory");
        make(&snapshots, &log, id(1, 5), &content(5)).expect("nothing fails");
        Self { disk, log, snapshots }
    }

    /// Two more snapshots, with entries and a purge between; says how far it came.
    fn go_on(&self) -> Result<(), StoreError> {
        make(&self.snapshots, &self.log, id(1, 13), &content(13))?;
        self.log.append(entries(1, 21..=25), None)?;
        self.log.flush()?;
        self.log.purge(id(1, 13))?;
        self.log.flush()?;
        make(&self.snapshots, &self.log, id(1, 25), &content(25)).map(drop)
    }

    /// What a start finds: a snapshot that is whole, and every entry behind it.
    fn judge(self, said: &Result<(), StoreError>) {
        let Self { disk, log, snapshots } = self;
        drop((log, snapshots));
        disk.crash();
        let (log, _) = open(&disk);
        let snapshots = Snapshots::open(disk.clone()).expect("a readable directory");
        assert_eq!(temporary(&disk), Vec::<String>::new());
        let newest = snapshots.newest().expect("one was made before");
        let bytes = snapshots.read(&newest).expect("it is whole");
        assert!(bytes == content(newest.last.index as u8));
        assert!([5, 13, 25].contains(&newest.last.index));
        assert!(said.is_err() || newest.last.index == 25, "acknowledged");
        let held = all(&log);
        let first = held.first().map_or(newest.last.index + 1, |entry| entry.id.index);
        let last = held.last().map_or(newest.last.index, |entry| entry.id.index);
        assert!(first <= newest.last.index + 1 && last >= 20);
        assert_eq!(held, entries(1, first..=last));
        assert!(check(&disk).expect("not corrupt").snapshots.iter().all(|(_, whole)| *whole));
    }
}

#[test]
fn a_power_cut_at_every_step_leaves_the_old_or_the_new() {
    for op in 1.. {
        let world = World::new(op);
        world.disk.cut_at(world.disk.ops() + op);
        let said = world.go_on();
        let survived = said.is_ok();
        world.judge(&said);
        if survived {
            assert!(op > 30, "the run is longer than that");
            break;
        }
    }
}

#[test]
fn an_error_at_every_step_leaves_the_old_or_the_new() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for op in 1.. {
            let world = World::new(op);
            world.disk.fail_at(world.disk.ops() + op, kind);
            let said = world.go_on();
            let survived = said.is_ok();
            if !survived {
                assert_eq!(
                    temporary(&world.disk).iter().filter(|it| it.contains(".base-")).count(),
                    0
                );
            }
            world.judge(&said);
            if survived && op > 30 {
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_keeps_the_old_one_and_the_log_goes_on() {
    let world = World::new(1);
    let used: u64 = world
        .disk
        .paths()
        .iter()
        .filter_map(|it| world.disk.contents(it))
        .map(|it| it.len() as u64)
        .sum();
    world.disk.set_capacity(Some(used + 300_000));
    let made = make(&world.snapshots, &world.log, id(1, 13), &content(13));
    assert!(matches!(made, Err(StoreError::Full)), "{made:?}");
    assert_eq!(temporary(&world.disk), Vec::<String>::new(), "the space is given back");
    assert_eq!(world.snapshots.newest().map(|file| file.last), Some(id(1, 5)));
    write(&world.log, entries(1, 21..=22));
    world.disk.set_capacity(None);
    make(&world.snapshots, &world.log, id(1, 22), &content(22)).expect("there is space again");
    assert_eq!(world.snapshots.newest().map(|file| file.last), Some(id(1, 22)));
}

#[test]
fn what_does_not_read_back_is_not_published() {
    let World { disk, log, snapshots } = World::new(1);
    let mut draft = snapshots.begin(&log).expect("begins");
    draft.write(&content(13)).expect("writes");
    let path = temporary(&disk).remove(0);
    let mut bytes = disk.contents(&path).expect("it is being written");
    // The last that was written: what is further in front has been read back.
    *bytes.last_mut().expect("it has begun") ^= 1;
    disk.tamper(&path, Some(bytes));
    assert!(matches!(draft.complete(), Err(StoreError::Corrupt(_))));
    assert!(snapshots.publish(&log, id(1, 13), draft).is_err(), "not complete");
    assert_eq!(temporary(&disk), Vec::<String>::new());
    assert_eq!(snapshots.newest().map(|file| file.last), Some(id(1, 5)));
}

#[test]
fn drafts_do_not_meet() {
    let World { disk, log, snapshots } = World::new(1);
    let mut one = snapshots.begin(&log).expect("begins");
    let mut other = snapshots.begin(&log).expect("begins");
    one.write(b"one").expect("writes");
    other.write(b"other").expect("writes");
    drop(one);
    other.complete().expect("is whole");
    let file = snapshots.publish(&log, id(1, 20), other).expect("publishes");
    assert_eq!(snapshots.read(&file).expect("is whole"), b"other");
    assert_eq!(temporary(&disk), Vec::<String>::new());
}

#[test]
fn a_condemned_one_makes_way_and_the_one_before_it_stays() {
    let World { disk, log, snapshots } = World::new(1);
    let newest = make(&snapshots, &log, id(1, 13), &content(13)).expect("nothing fails");
    assert_eq!(snapshots.lost(), None);
    snapshots.condemn(&newest);
    assert_eq!(snapshots.lost(), Some(id(1, 13)));
    assert_eq!(snapshots.newest().map(|file| file.last), Some(id(1, 5)));
    make(&snapshots, &log, id(1, 20), &content(20)).expect("nothing fails");
    assert_eq!(snapshots.lost(), None);
    let kept: Vec<_> = snapshots.all().into_iter().map(|file| file.last).collect();
    assert_eq!(kept, [id(1, 20), id(1, 5)]);
    assert!(disk.contents(&newest.path).is_none(), "the damaged one is gone");
    drop((log, snapshots));
    disk.kill();
    drop(open(&disk));
    let listed = check(&disk).expect("not corrupt").snapshots;
    assert_eq!(listed.iter().map(|(file, _)| file.last).collect::<Vec<_>>(), kept);
}

#[test]
fn files_are_removed_apart_from_the_flush_that_makes_them_superfluous() {
    let World { disk, log, snapshots } = World::new(1);
    write(&log, entries(1, 21..=90));
    make(&snapshots, &log, id(1, 80), &content(80)).expect("nothing fails");
    let segments =
        |disk: &FakeDisk| disk.paths().iter().filter(|path| path.ends_with("incr.aof")).count();
    let before = segments(&disk);
    log.purge(id(1, 80)).expect("purges");
    let ops = disk.ops();
    log.flush().expect("flushes");
    assert_eq!((disk.ops() - ops, segments(&disk)), (3, before), "records, sync, and a note of it");
    assert!(log.prepare().expect("nothing fails"));
    assert!(segments(&disk) < before);
    assert_eq!(all(&log), entries(1, 81..=90));
}
