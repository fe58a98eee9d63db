//! Opening a log: the parts are put together from what was found and mended.
//!
//! What a directory holds is `scan`'s and `recover`'s to say; this only takes the lock, makes a
//! first segment where there is nothing, and gives each part its share of what is there.

use super::{Log, Parts};
use crate::StoreError;
use crate::disk::{Disk, DiskFile};
use crate::file::durable::Durable;
use crate::file::foot::Foot;
use crate::file::manifest::{DIR, foreign, segment_path};
use crate::file::segment::Segment;
use crate::log::arena::Arena;
use crate::log::index::Index;
use crate::log::memory::Memory;
use crate::log::options::LogOptions;
use crate::log::recover::{Mended, Recovered, create_first, look, recover, take_lock};
use crate::log::scan::Step;
use crate::log::shared::Shared;
use crate::log::space::{Space, give_up_spare};
use crate::log::tip::Edge;
use crate::log::writer::Writer;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};

impl<D: Disk> Log<D> {
    /// Opens or creates the log in `appendonlydir/`, recovers, and cuts a torn tail.
    pub fn open(disk: D, options: LogOptions) -> Result<(Self, Recovered), StoreError> {
        open(disk, options, &mut |_| ())
    }

    /// As [`Log::open`]; `step` hears of the bytes that were scanned, segment by segment.
    pub fn open_watched(
        disk: D,
        options: LogOptions,
        step: &mut dyn FnMut(u64),
    ) -> Result<(Self, Recovered), StoreError> {
        open(disk, options, step)
    }

    /// Opens an existing log to be read, and changes nothing: a torn tail is passed over and not
    /// cut. Whatever would write is refused, or of no effect where there is nobody to tell. `None`
    /// when there is no log.
    pub fn open_to_read(
        disk: D,
        options: LogOptions,
    ) -> Result<Option<(Self, Recovered)>, StoreError> {
        open_to_read(disk, options)
    }
}

/// See [`Log::open`].
fn open<D: Disk>(
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
    let recovered = Recovered { created, ..Recovered::new(&mended.found) };
    Ok((assemble(disk, options, mended, (lock, false))?, recovered))
}

/// See [`Log::open_to_read`].
fn open_to_read<D: Disk>(
    disk: D,
    options: LogOptions,
) -> Result<Option<(Log<D>, Recovered)>, StoreError> {
    let lock = take_lock(&disk)?;
    let Some(mended) = look(&disk, options.group)? else { return Ok(None) };
    let recovered = Recovered::new(&mended.found);
    Ok(Some((assemble(disk, options, mended, (lock, true))?, recovered)))
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
    let next_bytes = next.as_ref().map(|next| next.bytes);
    let index = Index { spots: found.spots, segments: open, starts: found.starts };
    let mut memory = Memory::new(options.cache_bytes, index, &found.standing);
    memory.pending.mark_due = !active.has_foot();
    memory.inexact.since = manifest.inexact_since;
    memory.inexact.last = manifest.inexact_since.and(found.standing.last).map(|last| last.index);
    memory.upkeep.next_bytes = next_bytes;
    memory.figures.active_bytes = tip.at;
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
    let parts = Parts {
        arena: Mutex::new(Arena::new(options.cache_bytes)),
        writer: Mutex::new(writer),
        preparing: Mutex::new(()),
        read_only,
        _lock: lock,
        shared: Shared {
            disk,
            options,
            memory: Mutex::new(memory),
            queued: Condvar::new(),
            rolled: Condvar::new(),
            space: Space::default(),
        },
    };
    Ok(Log { parts: Arc::new(parts) })
}
