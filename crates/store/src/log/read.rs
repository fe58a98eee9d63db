//! Reading entries back: from the tail cache when they are there, else from the segments, each
//! verified.
//!
//! Runs beside the writer. The disk is read without any lock; a truncation or purge that comes
//! between is noticed because the entry's spot is no longer the same.

use crate::StoreError;
use crate::disk::{Disk, DiskFile};
use crate::file::manifest::segment_path;
use crate::file::numbers::unarmour;
use crate::file::record::{HEAD_MAX, Place, RecordKind, parse};
use crate::file::segment::Segment;
use crate::log::index::Spot;
use crate::log::shared::Shared;
use crate::{Entry, EntryKind, LogId};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// At most so many bytes are read from disk at once.
const WINDOW_BYTES: u64 = 1 << 20;

/// What is known under the lock about the entries to read.
struct Plan<F> {
    spots: Vec<(u64, Spot)>,
    segments: BTreeMap<u32, Arc<Segment<F>>>,
    /// Entries from the cache, behind those on disk.
    cached: Vec<Entry>,
}

/// See [`crate::Log::read`].
pub(crate) fn read<D: Disk>(
    shared: &Shared<D>,
    first: u64,
    end: u64,
    bytes_max: usize,
) -> Result<Vec<Entry>, StoreError> {
    loop {
        let plan = plan(shared, first, end, bytes_max)?;
        let mut entries = Vec::with_capacity(plan.spots.len() + plan.cached.len());
        let Err(error) = from_disk(&plan, &mut entries) else {
            entries.extend(plan.cached);
            return Ok(entries);
        };
        // Was it truncated, purged or moved while we read? Then look again; else the disk is to
        // blame.
        let memory = shared.memory();
        memory.check()?;
        if plan.spots.iter().all(|(index, spot)| memory.index.spots.get(*index) == Some(*spot)) {
            return Err(error);
        }
    }
}

fn plan<D: Disk>(
    shared: &Shared<D>,
    first: u64,
    end: u64,
    bytes_max: usize,
) -> Result<Plan<D::File>, StoreError> {
    let memory = shared.memory();
    memory.check()?;
    let mut plan = Plan { spots: Vec::new(), segments: BTreeMap::new(), cached: Vec::new() };
    let last = memory.latest.last.map_or(0, |last| last.index.saturating_add(1));
    let first = first.max(memory.latest.purged.map_or(0, |purged| purged.index + 1));
    let end = end.min(last);
    let cache_first = memory.cache.first().unwrap_or(last);
    let mut bytes = 0;
    let mut full = false;
    for index in first.max(memory.index.spots.first)..end.min(cache_first) {
        let Some(spot) = memory.index.spots.get(index) else { break };
        full = bytes > 0 && bytes + spot.length as usize > bytes_max;
        if full {
            break;
        }
        bytes += spot.length as usize + 1;
        plan.spots.push((index, spot));
        if let Some(segment) = memory.index.segments.get(&spot.segment) {
            plan.segments.entry(spot.segment).or_insert_with(|| segment.clone());
        }
    }
    if !full && first < end {
        for entry in memory.cache.from(first).take_while(|entry| entry.id.index < end) {
            if bytes > 0 && bytes + entry.payload.len() > bytes_max {
                break;
            }
            bytes += entry.payload.len() + 1;
            plan.cached.push(entry.clone());
        }
    }
    Ok(plan)
}

/// Reads the planned spots, in windows that cover several neighbours.
fn from_disk<F: DiskFile>(plan: &Plan<F>, entries: &mut Vec<Entry>) -> Result<(), StoreError> {
    let reach = |spot: &Spot| spot.offset + HEAD_MAX as u64 + u64::from(spot.length);
    let mut rest = plan.spots.as_slice();
    while let Some((_, start)) = rest.first() {
        let fits = |spot: &Spot| {
            spot.segment == start.segment
                && spot.offset >= start.offset
                && reach(spot) <= start.offset + WINDOW_BYTES
        };
        let more = rest.iter().skip(1).take_while(|(_, spot)| fits(spot)).count();
        let (now, later) = rest.split_at(more + 1);
        rest = later;
        let stop = now.last().map_or(0, |(_, spot)| reach(spot));
        let segment = plan.segments.get(&start.segment).ok_or_else(|| damaged(start))?;
        let mut window = vec![0; (stop - start.offset) as usize];
        let count = segment.file.read_at(&mut window, start.offset)?;
        window.truncate(count);
        let window = Bytes::from(window);
        for (index, spot) in now {
            let at = (spot.offset - start.offset) as usize;
            entries.push(decode(&window, at, *index, spot).ok_or_else(|| damaged(spot))?);
        }
    }
    Ok(())
}

/// The entry at `at` of the window; `None` unless it is whole and the right one.
fn decode(window: &Bytes, at: usize, index: u64, spot: &Spot) -> Option<Entry> {
    let place = Place { segment: spot.segment, offset: spot.offset };
    let parsed = parse(window.get(at..)?, place)?;
    let head = parsed.head;
    let RecordKind::Entry(kind) = head.kind else { return None };
    let start = at + parsed.head_len;
    let stop = start.checked_add(head.length as usize).filter(|stop| *stop <= window.len())?;
    let payload = window.slice(start..stop);
    if head.index != index || crc32c::crc32c(&payload) != head.payload_crc {
        return None;
    }
    let payload = if kind == EntryKind::Commands { payload } else { unarmour(&payload)?.into() };
    let id = LogId { term: head.term, index };
    Some(Entry { id, kind, now_ms: head.now_ms, seed: head.seed, payload })
}

#[cold]
fn damaged(spot: &Spot) -> StoreError {
    StoreError::Corrupt(format!(
        "{} is damaged at byte {}: an entry that was durable cannot be read; \
         stop the node and run `quorate check`",
        segment_path(spot.segment),
        spot.offset
    ))
}
