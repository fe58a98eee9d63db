//! Going on in a new segment: the one that is ready, or one made here and now.
//!
//! A segment has its full size and its name, and the manifest lists it, before its first record is
//! written; the one before it is synced by then.

use crate::disk::{Disk, DiskFile};
use crate::file::foot::Foot;
use crate::file::manifest::{DIR, segment_path, temporary_path};
use crate::file::segment::{
    SEGMENT_HEAD_MAX, Segment, SegmentHead, Standing, create_filled, size_after, size_for,
};
use crate::log::encode::encode_segment_head;
use crate::log::shared::Shared;
use crate::log::tip::Tip;
use crate::log::writer::Writer;
use crate::{LogId, StoreError};
use std::sync::Arc;

impl<D: Disk> Writer<D> {
    /// Goes on in a new segment that has room for a record of `need` bytes.
    pub(crate) fn roll(&mut self, shared: &Shared<D>, need: u64) -> Result<(), StoreError> {
        self.sync_active(shared)?;
        let fits = |next: &Segment<D::File>| next.room >= need + SEGMENT_HEAD_MAX;
        let segment = match self.next.take().filter(fits) {
            Some(next) => next,
            None => self.create_next(need)?,
        };
        let tip = match self.begin(&segment, false, self.standing) {
            Ok(tip) => tip,
            Err(error) => {
                self.next = Some(segment);
                return Err(error);
            }
        };
        self.enter(shared, segment, tip, self.standing.last);
        Ok(())
    }

    /// Makes the next segment here and now, because none is ready or it is too small.
    fn create_next(&mut self, need: u64) -> Result<Segment<D::File>, StoreError> {
        let number = self.active.number + 1;
        let bytes = size_for(need, self.options.segment_bytes);
        let file = create_filled(&self.disk, "roll", bytes, self.options.fsync)?;
        self.name_next("roll", number)?;
        Ok(Segment::fresh(number, bytes, file))
    }

    /// Size of the segment that is made ready.
    pub(crate) fn next_bytes(&self, shared: &Shared<D>) -> u64 {
        let (now, before) = self.written;
        let most = self.options.segment_bytes;
        let wanted = size_after(now.max(before), most);
        if shared.has_spare(wanted) { wanted } else { size_after(0, most) }
    }

    /// Gives a filled file its name and lists it in the manifest.
    pub(crate) fn name_next(&mut self, what: &str, number: u32) -> Result<(), StoreError> {
        self.disk.rename(&temporary_path(what), &segment_path(number))?;
        self.disk.sync_dir(DIR)?;
        if self.manifest.segments.last() != Some(&number) {
            let mut manifest = self.manifest.clone();
            manifest.segments.push(number);
            manifest.store(&self.disk)?;
            self.manifest = manifest;
        }
        Ok(())
    }

    /// Writes a segment's first record; returns the tip behind it.
    pub(crate) fn begin(
        &self,
        segment: &Segment<D::File>,
        rebased: bool,
        standing: Standing,
    ) -> Result<Tip, StoreError> {
        let mut tip = Tip { at: 0, ..self.tip };
        let Segment { number, bytes, .. } = *segment;
        let head = SegmentHead { number, bytes, rebased, foot: true, standing };
        let line = encode_segment_head(&head, &mut tip, self.options.group);
        segment.file.write_at(&[&line], 0)?;
        Ok(tip)
    }

    /// Makes a segment the active one; `start` is the last entry before it.
    pub(crate) fn enter(
        &mut self,
        shared: &Shared<D>,
        segment: Segment<D::File>,
        tip: Tip,
        start: Option<LogId>,
    ) {
        self.active = Arc::new(segment);
        self.tip = tip;
        self.foot = Foot::default();
        if self.sealed {
            self.written = (0, self.written.0);
        }
        self.sealed = false;
        self.dirty = true;
        let mut memory = shared.memory();
        memory.index.add(self.active.clone(), start);
        memory.figures.active_bytes = tip.at;
        memory.upkeep.next_bytes = self.next.as_ref().map(|next| next.bytes);
        drop(memory);
        shared.rolled.notify_all();
    }
}
