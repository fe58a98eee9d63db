//! Opening a log: scan, then finish what a crash interrupted, so that the directory is exactly what
//! a log that was never interrupted would have left.
//!
//! Finished here: a torn tail is cut (refilled with `#` lines), half-blanked payloads are blanked,
//! files that never became part of the log are removed. Damage to anything that was acknowledged is
//! refused, never repaired.

use crate::StoreError;
use crate::disk::{Disk, DiskFile};
use crate::file::durable::Durable;
use crate::file::foot::Foot;
use crate::file::manifest::{
    DIR, Listing, Manifest, foreign, manifest_path, segment_path, temporary_path,
};
use crate::file::record::filler;
use crate::file::segment::{
    SEGMENT_HEAD_MAX, Segment, SegmentHead, Standing, create_filled, size_after,
};
use crate::log::arena::Arena;
use crate::log::encode::encode_segment_head;
use crate::log::pending::Inner;
use crate::log::scan::{Found, Step, foot_of, load, scan, segment_head};
use crate::log::space::{Space, give_up_spare};
use crate::log::writer::{Edge, Tip, Writer, blank_payload};
use crate::log::{Log, LogOptions, Recovered, Shared};
use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::sync::{Arc, Condvar, Mutex};

/// Bytes written at once while refilling.
const REFILL_STEP: u64 = 1 << 20;

/// See [`Log::open`].
pub(crate) fn open<D: Disk>(
    disk: D,
    options: LogOptions,
    step: Step<'_>,
) -> Result<(Log<D>, Recovered), StoreError> {
    let lock = take_lock(&disk)?;
    give_up_spare(&disk);
    disk.create_dir(DIR)?;
    let group = Some(options.group);
    let (mended, created) = if let Some(mended) = recover(&disk, group, step)? {
        (mended, false)
    } else {
        create_first(&disk, &options)?;
        (recover(&disk, group, step)?.ok_or_else(|| foreign(DIR))?, true)
    };
    let recovered = Recovered { created, ..recovered(&mended.found) };
    Ok((assemble(disk, options, mended, (lock, false))?, recovered))
}

/// See [`Log::open_to_read`].
pub(crate) fn open_to_read<D: Disk>(
    disk: D,
    options: LogOptions,
) -> Result<Option<(Log<D>, Recovered)>, StoreError> {
    let lock = take_lock(&disk)?;
    let (listing, manifest) = (Listing::read(&disk)?, Manifest::load(&disk)?);
    let (segments, _void) = judge(&disk, &listing, manifest.as_ref())?;
    if segments.is_empty() {
        return Ok(None);
    }
    let found = scan(&disk, &segments, Some(options.group), &mut |_| (), None)?;
    let open = open_segments(&disk, &found)?;
    let mended = Mended { found, manifest: manifest.unwrap_or_default(), open };
    let recovered = recovered(&mended.found);
    Ok(Some((assemble(disk, options, mended, (lock, true))?, recovered)))
}

fn recovered(found: &Found) -> Recovered {
    Recovered {
        vote: found.standing.vote,
        committed: found.standing.committed,
        purged: found.standing.purged,
        last: found.standing.last,
        torn_bytes: found.torn_bytes,
        stamp_ms: found.standing.stamp_ms,
        identity: found.standing.identity,
        created: false,
    }
}

/// A log whose files are in order.
pub(crate) struct Mended<D: Disk> {
    pub(crate) found: Found,
    pub(crate) manifest: Manifest,
    /// The segments of the stream.
    open: Open<D>,
}

/// Scans and mends the log of a directory; `None` when there is none.
pub(crate) fn recover<D: Disk>(
    disk: &D,
    group: Option<u32>,
    step: Step<'_>,
) -> Result<Option<Mended<D>>, StoreError> {
    let (manifest, segments) = settle(disk)?;
    if segments.is_empty() {
        return Ok(None);
    }
    let found = scan(disk, &segments, group, step, None)?;
    if found.torn_bytes > 0 {
        tracing::warn!(bytes = found.torn_bytes, "cut a torn tail off the log");
    }
    let open = mend(disk, &found)?;
    let manifest = mend_manifest(disk, &manifest, &segments, &found)?;
    Ok(Some(Mended { found, manifest, open }))
}

pub(crate) fn take_lock<D: Disk>(disk: &D) -> Result<Box<dyn Send + Sync>, StoreError> {
    disk.lock().map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => {
            StoreError::Locked("another process uses this data directory".to_owned())
        }
        _ => error.into(),
    })
}

/// Reads directory and manifest, and removes what never became part of the log.
fn settle<D: Disk>(disk: &D) -> Result<(Manifest, Vec<u32>), StoreError> {
    let listing = Listing::read(disk)?;
    let manifest = Manifest::load(disk)?;
    for path in &listing.temporary {
        disk.remove(path)?;
    }
    let (segments, void) = judge(disk, &listing, manifest.as_ref())?;
    for number in void {
        disk.remove(&segment_path(number))?;
        disk.sync_dir(DIR)?;
    }
    let Some(manifest) = manifest else { return Ok((Manifest::default(), segments)) };
    if manifest.base.is_some_and(|base| !listing.bases.contains(&base.number)) {
        // What it lists is not there: nobody can say which of the others are superfluous.
        return Ok((manifest, segments));
    }
    let known = [manifest.base, manifest.kept].map(|base| base.map(|base| base.number));
    for number in listing.bases.iter().filter(|number| !known.contains(&Some(**number))) {
        disk.remove(&crate::file::manifest::base_path(*number))?;
    }
    Ok((manifest, segments))
}

/// Compares the directory with its manifest: which segments count, and which never became part of
/// the log.
pub(crate) fn judge<D: Disk>(
    disk: &D,
    listing: &Listing,
    manifest: Option<&Manifest>,
) -> Result<(Vec<u32>, Vec<u32>), StoreError> {
    let missing = |what: &str| {
        StoreError::Corrupt(format!(
            "{DIR}/: {what}. Restore the directory, or move it aside and let the node join again \
             as a new one"
        ))
    };
    let Some(manifest) = manifest else {
        if !listing.bases.is_empty() {
            return Err(missing(&format!("{} is missing", manifest_path())));
        }
        return Ok((listing.segments.clone(), Vec::new()));
    };
    if let Some(number) = manifest.segments.iter().find(|number| !listing.segments.contains(number))
    {
        return Err(missing(&format!("{} is missing", segment_path(*number))));
    }
    if manifest.segments.is_empty() {
        return Err(missing("the manifest lists no segment"));
    }
    let (mut segments, mut void) = (Vec::new(), Vec::new());
    let newest = manifest.segments.last().copied().unwrap_or(0);
    for number in listing.segments.iter().copied() {
        // A segment of copies counts only once the manifest lists it.
        let counts = number <= newest || !is_rebased(disk, number)?;
        if !counts && foot_of(&load(disk, number)?, number).durable.is_some() {
            // It was listed, and written to.
            let path = manifest_path();
            return Err(missing(&format!("{path} is older than {}", segment_path(number))));
        }
        if counts { &mut segments } else { &mut void }.push(number);
    }
    Ok((segments, void))
}

fn is_rebased<D: Disk>(disk: &D, number: u32) -> Result<bool, StoreError> {
    let mut bytes = vec![0; SEGMENT_HEAD_MAX as usize];
    let count = disk.open(&segment_path(number))?.read_at(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(segment_head(&bytes, number).is_some_and(|(_, head)| head.rebased))
}

/// Makes the first segment of a fresh directory. Its first record is durable before it gets its
/// name.
fn create_first<D: Disk>(disk: &D, options: &LogOptions) -> Result<(), StoreError> {
    let bytes = size_after(0, options.segment_bytes);
    let file = create_filled(disk, "first", bytes, true)?;
    let standing = Standing::default();
    let head = SegmentHead { number: 1, bytes, rebased: false, foot: true, standing };
    let mut tip = Tip { at: 0, chain: 0, seq: 1, synced: 0 };
    file.write_at(&[&encode_segment_head(&head, &mut tip, options.group)], 0)?;
    file.sync()?;
    disk.rename(&temporary_path("first"), &segment_path(1))?;
    disk.sync_dir(DIR)?;
    let manifest = Manifest { segments: vec![1], ..Manifest::default() };
    manifest.store(disk)?;
    disk.sync_dir("")?;
    Ok(())
}

type Open<D> = BTreeMap<u32, Arc<Segment<<D as Disk>::File>>>;

/// Opens the segments of the stream.
fn open_segments<D: Disk>(disk: &D, found: &Found) -> Result<Open<D>, StoreError> {
    let mut open = BTreeMap::new();
    for (&number, &(bytes, room)) in &found.sizes {
        let file = disk.open(&segment_path(number))?;
        open.insert(number, Arc::new(Segment { number, bytes, room, file }));
    }
    Ok(open)
}

/// Opens the segments of the stream and repairs what a crash left half done.
fn mend<D: Disk>(disk: &D, found: &Found) -> Result<Open<D>, StoreError> {
    let open = open_segments(disk, found)?;
    let get = |number: u32| open.get(&number).ok_or_else(|| foreign(&segment_path(number)));
    for (number, from) in &found.refills {
        let segment = get(*number)?;
        let mut at = *from;
        while at < segment.room {
            let take = (segment.room - at).min(REFILL_STEP - at % REFILL_STEP);
            segment.file.write_at(&[&filler(at, take as usize)], at)?;
            at += take;
        }
        segment.file.sync()?;
    }
    for number in &found.feet {
        let segment = get(*number)?;
        let filler = filler(segment.room, (segment.bytes - segment.room) as usize);
        segment.file.write_at(&[&filler], segment.room)?;
        segment.file.sync()?;
    }
    for spot in &found.void {
        // Its segment may be gone already, with everything in it.
        if let Some(segment) = open.get(&spot.segment) {
            blank_payload(segment, *spot)?;
            segment.file.sync()?;
        }
    }
    let active = get(found.active)?;
    if let Some(tip) = found.tip {
        // The `#` that keeps a newline from standing alone may not have reached the disk.
        active.file.write_at(&[&filler(tip.at, 1)], tip.at)?;
    }
    // Everything found may still be in memory only; from here on it counts as durable.
    active.file.sync()?;
    Ok(open)
}

/// Brings the manifest in line with the stream, then removes segments that hold nothing.
fn mend_manifest<D: Disk>(
    disk: &D,
    manifest: &Manifest,
    segments: &[u32],
    found: &Found,
) -> Result<Manifest, StoreError> {
    let next = found.active + 1;
    let keep_next = manifest.segments.contains(&next) && found.pristine.contains(&next);
    let first = manifest.segments.first().copied().unwrap_or(0);
    let mut wanted: Vec<u32> = found.starts.range(first..).map(|(number, _)| *number).collect();
    wanted.extend(keep_next.then_some(next));
    let mended = Manifest { segments: wanted, ..manifest.clone() };
    if mended != *manifest {
        mended.store(disk)?;
    }
    for number in segments {
        if !(found.starts.contains_key(number) || keep_next && *number == next) {
            disk.remove(&segment_path(*number))?;
            disk.sync_dir(DIR)?;
        }
    }
    Ok(mended)
}

fn assemble<D: Disk>(
    disk: D,
    options: LogOptions,
    mended: Mended<D>,
    (lock, read_only): (Box<dyn Send + Sync>, bool),
) -> Result<Log<D>, StoreError> {
    let Mended { found, manifest, open } = mended;
    let nothing = || foreign(DIR);
    let active = open.get(&found.active).ok_or_else(nothing)?.clone();
    let tip = found.tip.ok_or_else(nothing)?;
    let number = found.active + 1;
    let next = if manifest.segments.contains(&number) {
        let file = disk.open(&segment_path(number))?;
        Some(Segment::fresh(number, file.len()?, file))
    } else {
        None
    };
    // What lies behind the base was written since the last cut.
    let listed = manifest.segments.iter().filter(|number| **number < found.active);
    let closed = listed.filter_map(|number| found.sizes.get(number)).map(|(bytes, _)| bytes);
    let written = closed.sum::<u64>() + tip.at;
    let mut inner = Inner::new(options.cache_bytes);
    inner.spots = found.spots;
    inner.segments = open;
    inner.vote = found.standing.vote;
    inner.committed = found.standing.committed;
    inner.purged = found.standing.purged;
    inner.last = found.standing.last;
    inner.inexact_since = manifest.inexact_since;
    inner.inexact_last = manifest.inexact_since.and(found.standing.last).map(|last| last.index);
    inner.prepared = next.as_ref().map(|next| next.bytes);
    inner.starts = found.starts;
    inner.mark_due = !active.has_foot();
    inner.active_bytes = tip.at;
    let durable = if read_only { None } else { Some(Durable::open(&disk)?) };
    let writer = Writer {
        durable,
        disk: disk.clone(),
        options: options.clone(),
        active,
        tip,
        edge: Edge::default(),
        foot: Foot::default(),
        sealed: found.sealed,
        dirty: false,
        next,
        standing: found.standing,
        written: (written, 0),
        manifest,
        batch: VecDeque::new(),
        heads: Vec::new(),
    };
    let shared = Shared {
        arena: Mutex::new(Arena::new(options.cache_bytes)),
        disk,
        options,
        inner: Mutex::new(inner),
        writer: Mutex::new(writer),
        preparing: Mutex::new(()),
        queued: Condvar::new(),
        rolled: Condvar::new(),
        space: Space::default(),
        read_only,
        _lock: lock,
    };
    Ok(Log { shared: Arc::new(shared) })
}
