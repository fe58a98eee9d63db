//! The one who writes: takes the queue, lays records out in the active segment, writes and syncs
//! them at once, then makes their effects visible and fires their acks. `roll` begins segments,
//! `rebase` changes the manifest.
//!
//! Order that recovery relies on: a segment is synced before anything is written to the next one; a
//! truncate record is durable before payloads are blanked; a purge record is durable before
//! segments go; the manifest lists a segment before records stand in it. An error that is not a
//! full disk poisons the log for good: after a failed sync nobody knows what the disk has, and a
//! second try would lie.

use crate::StoreError;
use crate::disk::{Disk, DiskFile};
use crate::entry::{Ack, Entry, EntryKind};
use crate::file::durable::Durable;
use crate::file::filler::filler;
use crate::file::foot::Foot;
use crate::file::manifest::Manifest;
use crate::file::record::Place;
use crate::file::segment::{Segment, Standing};
use crate::log::encode::{encode, room_for};
use crate::log::index::{Spot, Spots};
use crate::log::options::LogOptions;
use crate::log::pending::{Queued, Record};
use crate::log::shared::Shared;
use crate::log::space::give_up_spare;
use crate::log::timing::timed;
use crate::log::tip::{BLOCK, Edge, Tip};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Error, ErrorKind};
use std::sync::Arc;

/// Everything behind the writer's mutex.
pub(crate) struct Writer<D: Disk> {
    pub(crate) disk: D,
    pub(crate) options: LogOptions,
    /// The active segment.
    pub(crate) active: Arc<Segment<D::File>>,
    pub(crate) tip: Tip,
    pub(crate) edge: Edge,
    pub(crate) foot: Foot,
    /// `None` where nothing is written.
    pub(crate) durable: Option<Durable<D::File>>,
    /// A cut ended the active segment: the next record goes to a new one.
    pub(crate) sealed: bool,
    /// The active segment has writes that were not synced.
    pub(crate) dirty: bool,
    /// The next segment, made ahead and listed.
    pub(crate) next: Option<Segment<D::File>>,
    /// State as of the last record written.
    pub(crate) standing: Standing,
    /// Bytes of records since the last cut, and between that and the one before it: how large the
    /// next segment should be.
    pub(crate) written: (u64, u64),
    pub(crate) manifest: Manifest,
    pub(crate) batch: VecDeque<Queued>,
    /// Header lines and armoured payloads of the run being written; kept for its capacity.
    pub(crate) heads: Vec<u8>,
}

/// A record laid out for writing.
struct Planned {
    /// Where its header line (and armour) ends in `heads`; it begins where the one before ends.
    heads_end: usize,
    spot: Spot,
}

/// Records that go out together.
#[allow(clippy::struct_excessive_bools, reason = "what the records of a run ask for, one by one")]
struct Layout {
    planned: Vec<Planned>,
    tip: Tip,
    urgent: bool,
    cut: bool,
    truncates: bool,
    purges: bool,
}

impl<D: Disk> Writer<D> {
    /// See [`crate::Log::flush`].
    pub(crate) fn flush(&mut self, shared: &Shared<D>) -> Result<bool, StoreError> {
        {
            let mut memory = shared.memory();
            memory.check()?;
            memory.pending.take(&mut self.batch);
        }
        if self.batch.is_empty() {
            return Ok(false);
        }
        while !self.batch.is_empty() {
            if let Err(error) = self.write_run(shared) {
                return Err(self.give_up(shared, error));
            }
        }
        Ok(true)
    }

    /// Leaves a durable mark behind everything written.
    pub(crate) fn finish(&mut self, shared: &Shared<D>) -> Result<(), StoreError> {
        self.flush(shared)?;
        if std::mem::take(&mut shared.memory().pending.mark_due) {
            shared.memory().pending.push(Record::Mark, None);
            self.flush(shared)?;
        }
        self.sync_active(shared)
            .and_then(|()| self.sync_foot())
            .map_err(|error| self.give_up(shared, error))
    }

    /// Brings the foot up to what was synced: the log is at rest.
    pub(crate) fn rest(&mut self, shared: &Shared<D>) -> Result<(), StoreError> {
        if !self.foot.is_behind() {
            return Ok(());
        }
        shared.memory().check()?;
        self.write_foot().map_err(|error| self.give_up(shared, error))
    }

    /// Makes the foot durable, too, where no later sync will.
    fn sync_foot(&mut self) -> Result<(), StoreError> {
        self.write_foot()?;
        if self.options.fsync { self.active.file.sync().map_err(StoreError::Io) } else { Ok(()) }
    }

    /// A full disk keeps what is queued for another try; any other error ends the log.
    pub(crate) fn give_up(&mut self, shared: &Shared<D>, error: StoreError) -> StoreError {
        let mut memory = shared.memory();
        if matches!(error, StoreError::Full) {
            shared.space.set_full(true);
            give_up_spare(&self.disk);
            memory.pending.put_back(&mut self.batch);
            return error;
        }
        let (kind, text) = match &error {
            StoreError::Io(error) => (error.kind(), error.to_string()),
            error => (ErrorKind::Other, error.to_string()),
        };
        tracing::error!(%text, "the log's disk failed; the process must stop");
        memory.ending.poison = Some((kind, text.clone()));
        memory.pending.give_up(&mut self.batch);
        drop(memory);
        for queued in self.batch.drain(..) {
            if let Some(ack) = queued.ack {
                ack(Err(Error::new(kind, text.clone())));
            }
        }
        shared.queued.notify_all();
        shared.rolled.notify_all();
        error
    }

    /// Writes as many records of the batch as fit the active segment, or rolls if none does.
    fn write_run(&mut self, shared: &Shared<D>) -> Result<(), StoreError> {
        let layout = self.lay_out();
        if layout.planned.is_empty() {
            let need = self.batch.front().map_or(0, |queued| room_for(&queued.record));
            return self.roll(shared, need);
        }
        self.edge = self.write_planned(&layout)?;
        self.dirty |= layout.tip.seq != self.tip.seq;
        let before = self.tip.at;
        self.tip = layout.tip;
        self.written.0 += layout.tip.at - before;
        self.sealed = layout.cut;
        if layout.urgent {
            self.sync_active(shared)?;
        }
        let acks = self.make_visible(shared, &layout, before)?;
        for ack in acks {
            ack(Ok(()));
        }
        if layout.purges {
            self.drop_segments(shared);
        }
        Ok(())
    }

    /// Lays out records from the front of the batch, up to the segment's end or the first cut.
    fn lay_out(&mut self) -> Layout {
        let mut layout = Layout {
            planned: Vec::with_capacity(self.batch.len()),
            tip: self.tip,
            urgent: false,
            cut: false,
            truncates: false,
            purges: false,
        };
        self.heads.clear();
        if self.sealed {
            return layout;
        }
        for queued in &self.batch {
            let place = Place { segment: self.active.number, offset: layout.tip.at };
            let (start, tip) = (self.heads.len(), layout.tip);
            let length =
                encode(&queued.record, place, &mut layout.tip, &self.options, &mut self.heads);
            // Behind the last record there is at least `#` and a newline.
            if layout.tip.at + 2 > self.active.room {
                self.heads.truncate(start);
                layout.tip = tip;
                break;
            }
            let spot = Spot { segment: place.segment, length, offset: place.offset };
            layout.planned.push(Planned { heads_end: self.heads.len(), spot });
            layout.urgent |= queued.record.urgent();
            match &queued.record {
                Record::Entry(Entry { kind: EntryKind::Cut, .. }) => {
                    layout.cut = true;
                    break;
                }
                Record::Truncate(_) => layout.truncates = true,
                Record::Purge(_) => layout.purges = true,
                _ => {}
            }
        }
        layout
    }

    /// Writes a run between what its first block holds already and the filler that its last one
    /// goes on with; what the next run will find in front.
    fn write_planned(&self, layout: &Layout) -> Result<Edge, StoreError> {
        let (segment, old, new) = (self.active.number, self.tip.at, layout.tip.at);
        let front = self.edge.before(segment, old);
        let mut pieces: Vec<&[u8]> = Vec::with_capacity(layout.planned.len() * 2 + 2);
        pieces.push(front);
        let mut start = 0;
        for (planned, queued) in layout.planned.iter().zip(&self.batch) {
            pieces.push(self.heads.get(start..planned.heads_end).unwrap_or_default());
            start = planned.heads_end;
            if let Record::Entry(Entry { kind: EntryKind::Commands, payload, .. }) = &queued.record
            {
                pieces.push(payload);
            }
        }
        let edge = Edge::after(segment, new, &pieces);
        let end = new.next_multiple_of(BLOCK).min(self.active.room);
        let back = filler(new, (end - new) as usize);
        pieces.push(&back);
        if new != old {
            self.active.file.write_at(&pieces, old - front.len() as u64)?;
        }
        Ok(edge)
    }

    /// Syncs the active segment if it has anything unsynced.
    pub(crate) fn sync_active(&mut self, shared: &Shared<D>) -> Result<(), StoreError> {
        if !self.dirty {
            return Ok(());
        }
        if self.options.fsync {
            let (outcome, us) = timed(|| self.active.file.sync());
            // Never `Full`: a sync that failed is final, whatever its reason.
            outcome.map_err(StoreError::Io)?;
            shared.memory().figures.note_sync(us);
        }
        self.dirty = false;
        self.tip.synced = self.tip.seq - 1;
        self.note_durable()
    }

    /// Says a second time what was synced, before anybody hears of it. An error is as final as a
    /// sync's.
    fn note_durable(&mut self) -> Result<(), StoreError> {
        if !self.options.fsync {
            // Nothing is known to be durable.
            return Ok(());
        }
        if let Some(durable) = &mut self.durable {
            durable.note(self.tip.synced)?;
        }
        if self.foot.is_due() { self.write_foot() } else { Ok(()) }
    }

    /// Writes the foot of the active segment, if it has one.
    pub(crate) fn write_foot(&mut self) -> Result<(), StoreError> {
        let Segment { number, room, ref file, .. } = *self.active;
        if !self.active.has_foot() || !self.options.fsync {
            return Ok(());
        }
        let foot = self.foot.advance(self.tip.synced, Place { segment: number, offset: room });
        file.write_at(&[&foot], room).map_err(StoreError::Io)
    }

    /// Takes the run's records out of the batch and brings memory up to date. Returns the acks to
    /// fire.
    fn make_visible(
        &mut self,
        shared: &Shared<D>,
        layout: &Layout,
        before: u64,
    ) -> Result<Vec<Ack>, StoreError> {
        let mut acks = Vec::new();
        let mut void = Vec::new();
        {
            let mut memory = shared.memory();
            let mut durable = 0;
            for (planned, queued) in
                layout.planned.iter().zip(self.batch.drain(..layout.planned.len()))
            {
                memory.pending.note_done(&queued);
                void.extend(note(
                    &mut self.standing,
                    &mut memory.index.spots,
                    &queued.record,
                    planned.spot,
                ));
                durable = queued.ticket;
                acks.extend(queued.ack);
            }
            if layout.urgent {
                memory.cache.trim(durable);
            }
            memory.pending.mark_due = layout.urgent && !self.active.has_foot();
            memory.figures.written_since_purge += layout.tip.at - before;
            memory.figures.active_bytes = layout.tip.at;
        }
        if layout.truncates {
            self.edge = Edge::default();
            self.blank_all(shared, &void)?;
        }
        Ok(acks)
    }

    /// Overwrites payloads that a durable truncate record made void, so that Redis does not execute
    /// them.
    pub(crate) fn blank_all(&self, shared: &Shared<D>, void: &[Spot]) -> Result<(), StoreError> {
        let mut touched = BTreeMap::new();
        for spot in void.iter().filter(|spot| spot.length > 0) {
            let Some(segment) = shared.memory().index.segments.get(&spot.segment).cloned() else {
                continue;
            };
            segment.blank_payload(spot.offset, spot.length)?;
            touched.insert(spot.segment, segment);
        }
        for segment in touched.values().filter(|_| self.options.fsync) {
            segment.file.sync().map_err(StoreError::Io)?;
        }
        Ok(())
    }
}

/// Brings the standing and the spots up to a record that was written. Returns the spots of entries
/// it made void.
fn note(standing: &mut Standing, spots: &mut Spots, record: &Record, spot: Spot) -> VecDeque<Spot> {
    match record {
        Record::Entry(entry) => {
            standing.last = Some(entry.id);
            standing.stamp_ms = standing.stamp_ms.max(entry.now_ms);
            spots.set(entry.id.index, spot);
        }
        Record::Vote(vote) => standing.vote = Some(*vote),
        Record::Committed(id) => standing.committed = Some(*id),
        Record::Truncate(after) => {
            standing.last = (*after).max(standing.purged);
            return spots.truncate(standing.last);
        }
        Record::Purge(upto) => {
            standing.purged = Some(*upto);
            if standing.last.is_none_or(|last| last.index < upto.index) {
                standing.last = Some(*upto);
            }
            spots.purge(*upto);
        }
        Record::Identity(identity) => standing.identity = Some(*identity),
        Record::Mark | Record::Barrier => {}
    }
    VecDeque::new()
}
