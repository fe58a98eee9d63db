//! Looking at a data directory from outside: print its records, check it, cut a torn tail.
//!
//! For the tools around the server. Looking takes no lock and changes nothing, so a running node
//! may be looked at (its newest records may then seem torn). Repairing takes the lock and does what
//! the next start would do anyway: it never touches a record that was acknowledged.

use crate::file::manifest::{Listing, Manifest, base_path};
use crate::file::segment::Standing;
use crate::log::recover;
use crate::log::scan::{Found, RecordView, scan};
use crate::snapshots::outgoing::SnapshotReader;
use crate::{Disk, Identity, LogId, SnapshotFile, StoreError, Vote};

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Segments of the log.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Index of the oldest entry that is kept.
    pub first: Option<u64>,
    /// The last entry, or the purged id.
    pub last: Option<LogId>,
    /// The last purged id.
    pub purged: Option<LogId>,
    /// The last committed mark.
    pub committed: Option<LogId>,
    /// The last vote.
    pub vote: Option<Vote>,
    /// Whom the log says this replica is.
    pub identity: Option<Identity>,
    /// Bytes of a torn tail: never acknowledged, cut at the next start.
    pub torn_bytes: u64,
    /// Payloads of truncated entries that are still to be blanked; done at the next start.
    pub unfinished: u64,
    /// From this index on, stock Redis may replay something else than the cluster did.
    pub inexact_since: Option<u64>,
    /// Snapshots, newest first, and whether each is whole.
    pub snapshots: Vec<(SnapshotFile, bool)>,
}

impl Report {
    fn new(manifest: &Manifest, found: &Found) -> Self {
        let Standing { vote, committed, purged, last, identity, .. } = found.standing;
        Self {
            segments: found.starts.len() as u64,
            records: found.records,
            first: (!found.spots.list.is_empty()).then_some(found.spots.first),
            last,
            purged,
            committed,
            vote,
            identity,
            torn_bytes: found.torn_bytes,
            unfinished: found.void.len() as u64,
            inexact_since: manifest.inexact_since,
            snapshots: Vec::new(),
        }
    }

    /// Whether the next start has anything to mend, or a snapshot is damaged.
    pub fn is_clean(&self) -> bool {
        let Self { torn_bytes, unfinished, snapshots, .. } = self;
        *torn_bytes == 0 && *unfinished == 0 && snapshots.iter().all(|(_, whole)| *whole)
    }
}

/// Shows every record, oldest first. At damage it stops with [`StoreError::Corrupt`].
pub fn inspect<D: Disk>(
    disk: &D,
    visit: &mut dyn FnMut(&RecordView<'_>),
) -> Result<(), StoreError> {
    let (listing, manifest) = (Listing::read(disk)?, Manifest::load(disk)?);
    let (segments, _void) = recover::judge(disk, &listing, manifest.as_ref())?;
    scan(disk, &segments, None, &mut |_| (), Some(visit)).map(|_| ())
}

/// Verifies every record and every snapshot without changing anything.
pub fn check<D: Disk>(disk: &D) -> Result<Report, StoreError> {
    let (listing, manifest) = (Listing::read(disk)?, Manifest::load(disk)?);
    let (segments, _void) = recover::judge(disk, &listing, manifest.as_ref())?;
    let found = scan(disk, &segments, None, &mut |_| (), None)?;
    let manifest = manifest.unwrap_or_default();
    let mut report = Report::new(&manifest, &found);
    verify_snapshots(disk, &manifest, &mut report)?;
    Ok(report)
}

/// Cuts a torn tail and finishes what a crash left half done. The report says what there was to do.
pub fn repair<D: Disk>(disk: &D) -> Result<Report, StoreError> {
    let _lock = recover::take_lock(disk)?;
    let Some(mended) = recover::recover(disk, None, &mut |_| ())? else {
        return Ok(Report::default());
    };
    let mut report = Report::new(&mended.manifest, &mended.found);
    verify_snapshots(disk, &mended.manifest, &mut report)?;
    Ok(report)
}

fn verify_snapshots<D: Disk>(
    disk: &D,
    manifest: &Manifest,
    report: &mut Report,
) -> Result<(), StoreError> {
    for base in [manifest.base, manifest.kept].into_iter().flatten() {
        let path = base_path(base.number);
        let read = SnapshotReader::open(disk, base).and_then(|file| file.verify(0, &mut |_| {}));
        let whole = match read {
            Ok(_) => true,
            Err(StoreError::Corrupt(_)) => false,
            Err(error) => return Err(error),
        };
        let file = SnapshotFile { last: base.last, path, bytes: base.bytes };
        report.snapshots.push((file, whole));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::{all, entries, id, open, options, write};
    use crate::{EntryKind, FakeDisk, Log, RecordKind, Snapshots};

    #[test]
    fn a_running_log_may_be_looked_at() {
        let disk = FakeDisk::new(1);
        let (log, _) = open(&disk);
        write(&log, entries(1, 1..=60));
        log.save_vote(Vote { term: 2, voted_for: 3, committed: true }, Box::new(|_| ()))
            .expect("votes");
        log.truncate_after(Some(id(1, 50))).expect("truncates");
        let mut seen = Vec::new();
        inspect(&disk, &mut |record| seen.push((record.kind, record.id, record.whole)))
            .expect("nothing is wrong");
        let commands = RecordKind::Entry(EntryKind::Commands);
        let shown = |kind, whole| seen.iter().filter(|at| at.0 == kind && at.2 == whole).count();
        assert_eq!((shown(commands, true), shown(commands, false)), (50, 10));
        assert!(seen.contains(&(RecordKind::Vote, id(2, 3), true)));
        assert!(seen.contains(&(RecordKind::Truncate, id(1, 50), true)));
        let report = check(&disk).expect("nothing is wrong");
        assert!(report.is_clean() && report.segments > 1);
        assert_eq!((report.first, report.last), (Some(1), Some(id(1, 50))));
        assert!(matches!(repair(&disk), Err(StoreError::Locked(_))));
    }

    #[test]
    fn a_torn_tail_is_reported_and_repaired() {
        let disk = FakeDisk::new(1);
        let (log, _) = open(&disk);
        write(&log, entries(1, 1..=4));
        let path = "appendonlydir/quorate.aof.1.incr.aof";
        let before = disk.contents(path).expect("the first segment");
        write(&log, entries(1, 5..=5));
        drop(log);
        let mut bytes = disk.contents(path).expect("the first segment");
        // The power went before the notes of the last sync reached the disk.
        disk.tamper(crate::file::durable::PATH, None);
        let foot = bytes.len() - 4096;
        bytes[foot..].copy_from_slice(&before[foot..]);
        let end = bytes.windows(5).rposition(|five| five == b"<1.5>").expect("the last entry");
        bytes[end] ^= 1;
        disk.tamper(path, Some(bytes));
        assert!(check(&disk).expect("not corrupt").torn_bytes > 0);
        assert!(repair(&disk).expect("repaired").torn_bytes > 0);
        assert!(check(&disk).expect("whole").is_clean());
        assert_eq!(all(&open(&disk).0), entries(1, 1..=4));
    }

    #[test]
    fn a_damaged_snapshot_is_reported_and_not_read() {
        let disk = FakeDisk::new(1);
        let (log, _) = open(&disk);
        write(&log, entries(1, 1..=5));
        let snapshots = Snapshots::open(disk.clone()).expect("a fresh directory");
        let old = snapshots.write(&log, id(1, 3), &mut |sink| sink(b"REDIS old")).expect("written");
        let new = snapshots.write(&log, id(1, 5), &mut |sink| sink(b"REDIS new")).expect("written");
        disk.tamper(&new.path, Some(b"REDIS nfw".to_vec()));
        assert!(matches!(snapshots.read(&new), Err(StoreError::Corrupt(_))));
        assert_eq!(snapshots.read(&old).expect("the one before it"), b"REDIS old");
        let report = check(&disk).expect("the log is well");
        assert_eq!(report.snapshots, [(new, false), (old, true)]);
        assert!(!report.is_clean());
    }

    #[test]
    fn a_log_is_read_without_a_change() {
        let disk = FakeDisk::new(1);
        assert!(Log::open_to_read(disk.clone(), options()).expect("nothing is wrong").is_none());
        let (log, _) = open(&disk);
        write(&log, entries(1, 1..=59));
        let before: Vec<_> = disk.paths().iter().map(|path| disk.contents(path)).collect();
        write(&log, entries(1, 60..=60));
        disk.tamper(crate::file::durable::PATH, None);
        log.save_committed(id(1, 50)).expect("notes");
        drop(log);
        let end = |bytes: &[u8]| bytes.windows(6).rposition(|six| six == b"<1.60>");
        for (path, before) in disk.paths().into_iter().zip(before) {
            let mut bytes = disk.contents(&path).expect("it is listed");
            if let (Some(end), Some(before)) = (end(&bytes), before) {
                bytes[end] ^= 1;
                let foot = bytes.len() - 4096;
                bytes[foot..].copy_from_slice(&before[foot..]);
                disk.tamper(&path, Some(bytes));
            }
        }
        disk.tamper("appendonlydir/quorate.aof.left.tmp", Some(b"left".to_vec()));
        let contents = |disk: &FakeDisk| -> Vec<_> {
            disk.paths().into_iter().map(|path| (disk.contents(&path), path)).collect()
        };
        let (before, ops) = (contents(&disk), disk.ops());
        let (log, found) =
            Log::open_to_read(disk.clone(), options()).expect("opens").expect("a log");
        assert_eq!(all(&log), entries(1, 1..=59));
        assert!(found.torn_bytes > 0);
        assert!(log.append(entries(1, 60..=60), None).is_err());
        log.mark_inexact(60).expect("nobody needs to know");
        assert!(matches!(repair(&disk), Err(StoreError::Locked(_))));
        log.close();
        drop(log);
        assert_eq!((contents(&disk), disk.ops()), (before, ops));
    }
}
