//! Mending a directory: scan, then finish what a crash interrupted, so that it is exactly what a
//! log that was never interrupted would have left.
//!
//! Finished here: a torn tail is cut (refilled with `#` lines), half-blanked payloads are blanked,
//! files that never became part of the log are removed. Damage to anything that was acknowledged is
//! refused, never repaired.

use crate::disk::{Disk, DiskFile};
use crate::entry::{LogId, Vote};
use crate::file::filler::filler;
use crate::file::manifest::{
    DIR, Listing, Manifest, base_path, foreign, manifest_path, segment_path, temporary_path,
};
use crate::file::segment::{
    SEGMENT_HEAD_MAX, Segment, SegmentHead, Standing, create_filled, size_after,
};
use crate::log::encode::encode_segment_head;
use crate::log::options::LogOptions;
use crate::log::scan::{Found, Step, foot_of, load, scan, segment_head};
use crate::log::tip::Tip;
use crate::{Identity, StoreError};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

/// Bytes written at once while refilling.
const REFILL_STEP: u64 = 1 << 20;

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The last vote.
    pub vote: Option<Vote>,
    /// The last committed mark (never beyond `last`).
    pub committed: Option<LogId>,
    /// The last purged id.
    pub purged: Option<LogId>,
    /// The last entry, or the purged id.
    pub last: Option<LogId>,
    /// Bytes of a torn tail that were cut.
    pub torn_bytes: u64,
    /// Greatest stamp in any record, Unix milliseconds.
    pub stamp_ms: u64,
    /// Whom the log's records say this replica is. Wins over `facts/`.
    pub identity: Option<Identity>,
    /// There was no log: it was made just now, and knows nothing of what this replica may have
    /// promised before.
    pub created: bool,
}

impl Recovered {
    /// What a scan says of the state.
    pub(crate) fn new(found: &Found) -> Self {
        let standing = &found.standing;
        Self {
            vote: standing.vote,
            committed: standing.committed,
            purged: standing.purged,
            last: standing.last,
            torn_bytes: found.torn_bytes,
            stamp_ms: standing.stamp_ms,
            identity: standing.identity,
            created: false,
        }
    }
}

/// A log whose files are in order.
pub(crate) struct Mended<D: Disk> {
    pub(crate) found: Found,
    pub(crate) manifest: Manifest,
    /// The segments of the stream.
    pub(crate) open: Open<D>,
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

/// Scans the log of a directory and changes nothing; `None` when there is none.
pub(crate) fn look<D: Disk>(disk: &D, group: u32) -> Result<Option<Mended<D>>, StoreError> {
    let (listing, manifest) = (Listing::read(disk)?, Manifest::load(disk)?);
    let (segments, _void) = judge(disk, &listing, manifest.as_ref())?;
    if segments.is_empty() {
        return Ok(None);
    }
    let found = scan(disk, &segments, Some(group), &mut |_| (), None)?;
    let open = open_segments(disk, &found)?;
    Ok(Some(Mended { found, manifest: manifest.unwrap_or_default(), open }))
}

/// Takes the directory for this process.
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
        disk.remove(&base_path(*number))?;
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
pub(crate) fn create_first<D: Disk>(disk: &D, options: &LogOptions) -> Result<(), StoreError> {
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
            segment.blank_payload(spot.offset, spot.length)?;
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
