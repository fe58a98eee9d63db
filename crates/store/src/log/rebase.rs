//! Changing the manifest: a new base, the segments that follow it, what may go.
//!
//! The promise kept here is that base and listed segments hold every entry once. Usually the base
//! ends where a segment ends (a cut), and listing later segments is enough; else the entries behind
//! the base are copied to a fresh segment, which is part of the log only when the manifest lists
//! it. A crash at any step leaves the old list or the new one.

use crate::StoreError;
use crate::disk::{Disk, DiskFile};
use crate::entry::{EntryKind, LogId};
use crate::file::filler::LINE;
use crate::file::manifest::{Base, DIR, Manifest, base_path, segment_path, temporary_path};
use crate::file::record::Place;
use crate::file::segment::{Segment, create_filled, size_for};
use crate::log::encode::{encode, room_for};
use crate::log::index::Spot;
use crate::log::pending::Record;
use crate::log::read::read;
use crate::log::shared::Shared;
use crate::log::tip::Tip;
use crate::log::writer::Writer;

impl<D: Disk> Writer<D> {
    /// Makes `base` the manifest's base, followed by segments that hold only entries behind it, and
    /// keeps the snapshot `kept` beside it. The base's file is complete and durable already.
    pub(crate) fn rebase(
        &mut self,
        shared: &Shared<D>,
        base: Base,
        kept: Option<Base>,
    ) -> Result<(), StoreError> {
        self.flush(shared)?;
        self.try_rebase(shared, base, kept).map_err(|error| self.give_up(shared, error))
    }

    fn try_rebase(
        &mut self,
        shared: &Shared<D>,
        base: Base,
        kept: Option<Base>,
    ) -> Result<(), StoreError> {
        let (of_last, of_next, before_next, inexact_last) = {
            let memory = shared.memory();
            let holds = |index| memory.index.spots.get(index).map(|spot| spot.segment);
            let of_next = holds(base.last.index + 1);
            let before = of_next.and_then(|next| memory.index.starts.get(&next).copied().flatten());
            (holds(base.last.index), of_next, before, memory.inexact.last)
        };
        let mut manifest = Manifest {
            base: Some(base),
            kept,
            // Only the newest inexact entry is known; anything between it and the base may be
            // inexact.
            inexact_since: inexact_last
                .filter(|last| *last > base.last.index)
                .map(|_| base.last.index + 1),
            segments: Vec::new(),
        };
        let start = match (of_last, of_next) {
            (Some(last), Some(next)) if last < next => last + 1,
            (Some(last), None) => {
                if last == self.active.number {
                    self.roll(shared, 0)?;
                }
                last + 1
            }
            (None, Some(next)) if before_next == Some(base.last) => next,
            _ => return self.rebase_with_copies(shared, manifest),
        };
        // Never back: older segments may hold entries that were copied further up and are not
        // blanked there.
        let listed = self.manifest.segments.first().copied().unwrap_or(0);
        manifest.segments = self.listed_from(shared, start.max(listed));
        // Were the first record of a listed segment lost, the log would go on in a segment that is
        // not listed.
        self.sync_active(shared)?;
        manifest.store(&self.disk)?;
        self.take_manifest(shared, manifest);
        Ok(())
    }

    fn last_index(&self) -> u64 {
        self.standing.last.map_or(0, |last| last.index)
    }

    /// Numbers of the segments from `first` on, the prepared one included.
    fn listed_from(&self, shared: &Shared<D>, first: u32) -> Vec<u32> {
        let next = self.next.as_ref().map(|next| next.number);
        shared.memory().index.starts.range(first..).map(|(number, _)| *number).chain(next).collect()
    }

    fn take_manifest(&mut self, shared: &Shared<D>, manifest: Manifest) {
        let before = std::mem::replace(&mut self.manifest, manifest);
        let listed = [self.manifest.base, self.manifest.kept];
        {
            let mut memory = shared.memory();
            memory.inexact.since = self.manifest.inexact_since;
            memory.figures.written_since_purge = 0;
        }
        for old in [before.base, before.kept].into_iter().flatten() {
            if !listed.iter().flatten().any(|base| base.number == old.number) {
                shared.memory().upkeep.doomed.push_back(base_path(old.number));
            }
        }
        self.drop_segments(shared);
    }

    /// The segment that holds the base's last entry holds later ones too (or none of ours: an
    /// install). Those go, copied, to a fresh segment, which becomes part of the log only when the
    /// manifest lists it.
    fn rebase_with_copies(
        &mut self,
        shared: &Shared<D>,
        mut manifest: Manifest,
    ) -> Result<(), StoreError> {
        self.sync_active(shared)?;
        let base = manifest.base.map_or(LogId::default(), |base| base.last);
        let mut standing = self.standing;
        let mut copies = Vec::new();
        if base.index <= self.last_index() {
            standing.last = Some(base);
            copies = read(shared, base.index + 1, self.last_index() + 1, usize::MAX)?;
        }
        let number = self.next.as_ref().map_or(self.active.number, |next| next.number) + 1;
        let copies: Vec<Record> = copies.into_iter().map(Record::Entry).collect();
        let room = copies.iter().map(room_for).sum();
        let bytes = size_for(room, self.options.segment_bytes);
        let file = create_filled(&self.disk, "rebase", bytes, true)?;
        let segment = Segment::fresh(number, bytes, file);
        let mut tip = self.begin(&segment, true, standing)?;
        let spots = self.copy(&segment, &mut tip, &copies)?;
        self.disk.rename(&temporary_path("rebase"), &segment_path(number))?;
        self.disk.sync_dir(DIR)?;
        manifest.segments = vec![number];
        manifest.store(&self.disk)?;
        if let Some(next) = self.next.take() {
            self.disk.remove(&segment_path(next.number))?;
        }
        self.enter(shared, segment, tip, standing.last);
        {
            let mut memory = shared.memory();
            for (index, spot) in spots {
                memory.index.spots.set(index, spot);
            }
        }
        self.dirty = false;
        self.tip.synced = self.tip.seq - 1;
        // From here on the segment is part of the log, and its foot says so.
        self.write_foot()?;
        self.take_manifest(shared, manifest);
        Ok(())
    }

    /// Writes entries again behind `tip` of a segment that is not part of the log yet, and syncs
    /// it.
    fn copy(
        &mut self,
        segment: &Segment<D::File>,
        tip: &mut Tip,
        copies: &[Record],
    ) -> Result<Vec<(u64, Spot)>, StoreError> {
        let mut spots = Vec::with_capacity(copies.len());
        for record in copies {
            let place = Place { segment: segment.number, offset: tip.at };
            self.heads.clear();
            let length = encode(record, place, tip, &self.options, &mut self.heads);
            let Record::Entry(entry) = record else { continue };
            let verbatim = entry.kind == EntryKind::Commands;
            let payload: &[u8] = if verbatim { &entry.payload } else { &[] };
            segment.file.write_at(&[&self.heads, payload], place.offset)?;
            let spot = Spot { segment: place.segment, length, offset: place.offset };
            spots.push((entry.id.index, spot));
        }
        if tip.at % LINE as u64 == LINE as u64 - 1 {
            segment.file.write_at(&[b"#"], tip.at)?;
        }
        segment.file.sync().map_err(StoreError::Io)?;
        Ok(spots)
    }

    /// Gives up segments, oldest first, that lie below the manifest's and hold nothing that is not
    /// purged. Their files are removed later, by `upkeep`: that takes a while, and the log's
    /// writers do not wait for it (removing 250 MB took 37 ms, a purge with its segments 32 ms).
    pub(crate) fn drop_segments(&mut self, shared: &Shared<D>) {
        let listed = self.manifest.segments.first().copied().unwrap_or(0);
        let mut memory = shared.memory();
        while let Some(number) = memory.index.drop_oldest(listed, self.standing.purged) {
            memory.upkeep.doomed.push_back(segment_path(number));
        }
        if !memory.upkeep.doomed.is_empty() {
            shared.rolled.notify_all();
        }
    }

    /// Takes the snapshot before the newest one off the manifest; its file goes with the next
    /// sweep.
    pub(crate) fn unlist_kept(&mut self, shared: &Shared<D>) -> Result<(), StoreError> {
        shared.memory().check()?;
        let manifest = Manifest { kept: None, ..self.manifest.clone() };
        if let Err(error) = manifest.store(&self.disk) {
            return Err(self.give_up(shared, error));
        }
        let before = std::mem::replace(&mut self.manifest, manifest);
        if let Some(old) = before.kept {
            shared.memory().upkeep.doomed.push_back(base_path(old.number));
        }
        Ok(())
    }

    /// See [`crate::Log::mark_inexact`].
    pub(crate) fn note_inexact(
        &mut self,
        shared: &Shared<D>,
        since: u64,
    ) -> Result<(), StoreError> {
        shared.memory().check()?;
        if self.manifest.inexact_since.is_none_or(|known| since < known) {
            let manifest = Manifest { inexact_since: Some(since), ..self.manifest.clone() };
            if let Err(error) = manifest.store(&self.disk) {
                return Err(self.give_up(shared, error));
            }
            self.manifest = manifest;
        }
        shared.memory().inexact.since = self.manifest.inexact_since;
        Ok(())
    }
}
