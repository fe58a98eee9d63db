//! The one who writes: takes the queue, lays records out in the active segment, writes and syncs
//! them at once, then makes their effects visible and fires their acks. Also rolls segments;
//! `rebase` changes the manifest.
//!
//! Order that recovery relies on: a segment is synced before anything is written to the next one; a
//! truncate record is durable before payloads are blanked; a purge record is durable before
//! segments go; the manifest lists a segment before records stand in it. An error that is not a
//! full disk poisons the log for good: after a failed sync nobody knows what the disk has, and a
//! second try would lie.

use crate::disk::{Disk, DiskFile};
use crate::file::durable::Durable;
use crate::file::foot::Foot;
use crate::file::manifest::{DIR, Manifest, segment_path, temporary_path};
use crate::file::record::{HEAD_MAX, Place, blank, filler, parse};
use crate::file::segment::{
    SEGMENT_HEAD_MAX, Segment, SegmentHead, Standing, create_filled, size_after, size_for,
};
use crate::log::encode::{encode, encode_segment_head, room_for};
use crate::log::pending::{Inner, Queued, Spot, What};
use crate::log::rebase::sweep;
use crate::log::space::give_up_spare;
use crate::log::timing::timed;
use crate::log::{EntryKind, LogOptions, Shared};
use crate::{Entry, LogId, StoreError};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Error, ErrorKind};
use std::sync::Arc;

/// Where the stream of records stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tip {
    /// Next byte in the active segment.
    pub(crate) at: u64,
    /// Checksum of the last header.
    pub(crate) chain: u32,
    /// Number of the next record.
    pub(crate) seq: u64,
    /// Number of the last record known durable. Invariant: `synced < seq`; only a successful sync
    /// raises it.
    pub(crate) synced: u64,
}

/// Bytes that a disk and the kernel's cache change at once. Writes are whole blocks, so that none
/// of them has to be read first: what was filled long ago is no longer in memory.
const BLOCK: u64 = 4096;

/// What stands in front of the tip, from its block's start on.
#[derive(Debug, Default)]
pub(crate) struct Edge {
    segment: u32,
    /// The tip that it belongs to.
    at: u64,
    bytes: Vec<u8>,
}

impl Edge {
    /// The bytes in front of this place; none if others than those are known.
    fn before(&self, segment: u32, at: u64) -> &[u8] {
        let is_here = self.segment == segment && self.at == at;
        if is_here && self.bytes.len() as u64 == at % BLOCK { &self.bytes } else { &[] }
    }

    /// The edge after `pieces` were written up to `at`, with what follows from them alone.
    fn after(segment: u32, at: u64, pieces: &[&[u8]]) -> Self {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut skip = total.saturating_sub((at % BLOCK) as usize);
        let mut bytes = Vec::with_capacity(total - skip);
        for piece in pieces {
            bytes.extend_from_slice(piece.get(skip..).unwrap_or_default());
            skip = skip.saturating_sub(piece.len());
        }
        Self { segment, at, bytes }
    }
}

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
struct Run {
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
            let mut inner = shared.inner();
            inner.check()?;
            std::mem::swap(&mut inner.queue, &mut self.batch);
            inner.urgent = false;
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
        if std::mem::take(&mut shared.inner().mark_due) {
            shared.inner().push_mark();
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
        shared.inner().check()?;
        self.write_foot().map_err(|error| self.give_up(shared, error))
    }

    /// Makes the foot durable, too, where no later sync will.
    fn sync_foot(&mut self) -> Result<(), StoreError> {
        self.write_foot()?;
        if self.options.fsync { self.active.file.sync().map_err(StoreError::Io) } else { Ok(()) }
    }

    /// A full disk keeps what is queued for another try; any other error ends the log.
    pub(crate) fn give_up(&mut self, shared: &Shared<D>, error: StoreError) -> StoreError {
        let mut inner = shared.inner();
        let queued = std::mem::take(&mut inner.queue);
        self.batch.extend(queued);
        if matches!(error, StoreError::Full) {
            shared.space.set_full(true);
            give_up_spare(&self.disk);
            inner.urgent = self.batch.iter().any(|queued| queued.what.urgent());
            inner.stalled = true;
            std::mem::swap(&mut inner.queue, &mut self.batch);
            return error;
        }
        let (kind, text) = match &error {
            StoreError::Io(error) => (error.kind(), error.to_string()),
            error => (ErrorKind::Other, error.to_string()),
        };
        tracing::error!(%text, "the log's disk failed; the process must stop");
        inner.poison = Some((kind, text.clone()));
        drop(inner);
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
        let run = self.plan();
        if run.planned.is_empty() {
            let need = self.batch.front().map_or(0, |queued| room_for(&queued.what));
            return self.roll(shared, need);
        }
        self.edge = self.write_planned(&run)?;
        self.dirty |= run.tip.seq != self.tip.seq;
        let before = self.tip.at;
        self.tip = run.tip;
        self.written.0 += run.tip.at - before;
        self.sealed = run.cut;
        if run.urgent {
            self.sync_active(shared)?;
        }
        let acks = self.make_visible(shared, &run, before)?;
        for ack in acks {
            ack(Ok(()));
        }
        if run.purges {
            self.drop_segments(shared);
        }
        Ok(())
    }

    /// Lays out records from the front of the batch, up to the segment's end or the first cut.
    fn plan(&mut self) -> Run {
        let mut run = Run {
            planned: Vec::with_capacity(self.batch.len()),
            tip: self.tip,
            urgent: false,
            cut: false,
            truncates: false,
            purges: false,
        };
        self.heads.clear();
        if self.sealed {
            return run;
        }
        for queued in &self.batch {
            let place = Place { segment: self.active.number, offset: run.tip.at };
            let (start, tip) = (self.heads.len(), run.tip);
            let length = encode(&queued.what, place, &mut run.tip, &self.options, &mut self.heads);
            // Behind the last record there is at least `#` and a newline.
            if run.tip.at + 2 > self.active.room {
                self.heads.truncate(start);
                run.tip = tip;
                break;
            }
            let spot = Spot { segment: place.segment, length, offset: place.offset };
            run.planned.push(Planned { heads_end: self.heads.len(), spot });
            run.urgent |= queued.what.urgent();
            match &queued.what {
                What::Entry(Entry { kind: EntryKind::Cut, .. }) => {
                    run.cut = true;
                    break;
                }
                What::Truncate(_) => run.truncates = true,
                What::Purge(_) => run.purges = true,
                _ => {}
            }
        }
        run
    }

    /// Writes a run between what its first block holds already and the filler that its last one
    /// goes on with; what the next run will find in front.
    fn write_planned(&self, run: &Run) -> Result<Edge, StoreError> {
        let (segment, old, new) = (self.active.number, self.tip.at, run.tip.at);
        let front = self.edge.before(segment, old);
        let mut pieces: Vec<&[u8]> = Vec::with_capacity(run.planned.len() * 2 + 2);
        pieces.push(front);
        let mut start = 0;
        for (planned, queued) in run.planned.iter().zip(&self.batch) {
            pieces.push(self.heads.get(start..planned.heads_end).unwrap_or_default());
            start = planned.heads_end;
            if let What::Entry(Entry { kind: EntryKind::Commands, payload, .. }) = &queued.what {
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
            shared.inner().note_sync(us);
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
        run: &Run,
        before: u64,
    ) -> Result<Vec<crate::Ack>, StoreError> {
        let mut acks = Vec::new();
        let mut void = Vec::new();
        {
            let mut inner = shared.inner();
            let mut durable = 0;
            for (planned, queued) in run.planned.iter().zip(self.batch.drain(..run.planned.len())) {
                inner.note_done(&queued);
                void.extend(note(&mut self.standing, &mut inner, &queued.what, planned.spot));
                durable = queued.ticket;
                acks.extend(queued.ack);
            }
            if run.urgent {
                inner.cache.trim(durable);
            }
            inner.mark_due = run.urgent && !self.active.has_foot();
            inner.note_written(run.tip.at - before);
            inner.active_bytes = run.tip.at;
        }
        if run.truncates {
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
            let Some(segment) = shared.inner().segments.get(&spot.segment).cloned() else {
                continue;
            };
            blank_payload(&segment, *spot)?;
            touched.insert(spot.segment, segment);
        }
        for segment in touched.values().filter(|_| self.options.fsync) {
            segment.file.sync().map_err(StoreError::Io)?;
        }
        Ok(())
    }

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
    fn next_bytes(&self, shared: &Shared<D>) -> u64 {
        let (now, before) = self.written;
        let most = self.options.segment_bytes;
        let wanted = size_after(now.max(before), most);
        if shared.has_spare(wanted) { wanted } else { size_after(0, most) }
    }

    /// Gives a filled file its name and lists it in the manifest.
    fn name_next(&mut self, what: &str, number: u32) -> Result<(), StoreError> {
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
        let mut inner = shared.inner();
        inner.starts.insert(self.active.number, start);
        inner.segments.insert(self.active.number, self.active.clone());
        inner.active_bytes = tip.at;
        inner.prepared = self.next.as_ref().map(|next| next.bytes);
        drop(inner);
        shared.rolled.notify_all();
    }
}

/// See [`crate::Log::prepare`].
pub(crate) fn prepare<D: Disk>(shared: &Shared<D>) -> Result<bool, StoreError> {
    let swept = sweep(shared);
    if swept.is_err() {
        shared.inner().prepare_failed = true;
    }
    let swept = swept?;
    let _one = shared.preparing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let bytes = {
        let writer = shared.writer();
        if writer.next.is_some() {
            return Ok(swept);
        }
        writer.next_bytes(shared)
    };
    shared.keep_spare();
    forget_old(shared);
    // The long part: nobody waits for it.
    let made = shared
        .ask_for(bytes)
        .and_then(|()| create_filled(&shared.disk, "next", bytes, shared.options.fsync));
    let mut writer = shared.writer();
    let outcome = made.and_then(|file| {
        let number = writer.active.number + 1;
        writer.name_next("next", number)?;
        writer.next = Some(Segment::fresh(number, bytes, file));
        Ok(())
    });
    shared.inner().prepare_failed = outcome.is_err();
    match outcome {
        Ok(()) => {
            shared.inner().prepared = Some(bytes);
            Ok(true)
        }
        Err(StoreError::Full) => {
            shared.space.set_full(true);
            Err(StoreError::Full)
        }
        Err(error) => Err(writer.give_up(shared, error)),
    }
}

/// The newest closed segments stay in memory for followers that are further behind than the tail
/// cache reaches.
const CLOSED_IN_MEMORY: usize = 1;

/// Lets the system use the memory of older segments for the one that is filled next. It would keep
/// them until it has no other memory left, though hardly anybody reads them; and on a virtual
/// machine memory that was never used, or not for a while, is ten times as slow to write to (`dd`
/// of 256 MiB: 0.48 to 5.0 GB/s).
fn forget_old<D: Disk>(shared: &Shared<D>) {
    let inner = shared.inner();
    // The active one and those that stay; then one, and the one before it again: what was not on
    // the disk the first time, where nothing is synced, is now.
    let old = inner.segments.values().rev().skip(1 + CLOSED_IN_MEMORY).take(2);
    let old: Vec<_> = old.cloned().collect();
    drop(inner);
    for segment in old {
        segment.file.forget();
    }
}

/// Brings the standing and the spots up to a record that was written. Returns the spots of entries
/// it made void.
fn note<F>(
    standing: &mut Standing,
    inner: &mut Inner<F>,
    what: &What,
    spot: Spot,
) -> VecDeque<Spot> {
    match what {
        What::Entry(entry) => {
            standing.last = Some(entry.id);
            standing.stamp_ms = standing.stamp_ms.max(entry.now_ms);
            inner.spots.set(entry.id.index, spot);
        }
        What::Vote(vote) => standing.vote = Some(*vote),
        What::Committed(id) => standing.committed = Some(*id),
        What::Truncate(after) => {
            standing.last = (*after).max(standing.purged);
            return inner.spots.truncate(standing.last);
        }
        What::Purge(upto) => {
            standing.purged = Some(*upto);
            if standing.last.is_none_or(|last| last.index < upto.index) {
                standing.last = Some(*upto);
            }
            inner.spots.purge(*upto);
        }
        What::Identity(identity) => standing.identity = Some(*identity),
        What::Mark | What::Barrier => {}
    }
    VecDeque::new()
}

/// Overwrites one payload with annotation lines.
pub(crate) fn blank_payload<F: DiskFile>(
    segment: &Segment<F>,
    spot: Spot,
) -> Result<(), StoreError> {
    let mut line = [0; HEAD_MAX];
    let count = segment.file.read_at(&mut line, spot.offset)?;
    let place = Place { segment: spot.segment, offset: spot.offset };
    let parsed = line.get(..count).and_then(|bytes| parse(bytes, place)).ok_or_else(|| {
        StoreError::Corrupt(format!(
            "{} at byte {}: the header of a truncated entry is damaged",
            segment_path(spot.segment),
            spot.offset
        ))
    })?;
    let offset = spot.offset + parsed.head_len as u64;
    segment.file.write_at(&[&blank(spot.length as usize)], offset)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_the_unfinished_block() {
        let mut edge = Edge::default();
        let mut written: Vec<u8> = Vec::new();
        for length in [0_usize, 1, 4000, 95, 1, 4095, 4096, 4097, 9000, 3, 0, 12_287] {
            let at = written.len() as u64;
            let front = edge.before(7, at).to_vec();
            let new = vec![length as u8; length];
            let (one, other) = new.split_at(length / 3);
            edge = Edge::after(7, at + length as u64, &[&front, one, b"", other]);
            written.extend_from_slice(&new);
            let boundary = written.len() - written.len() % BLOCK as usize;
            let here = written.len() as u64;
            assert_eq!(edge.before(7, here), &written[boundary..], "{length}");
            assert!(edge.before(8, here).is_empty() && edge.before(7, here + BLOCK).is_empty());
        }
        // Where what was in front is not known, nothing is said about it.
        let unknown = Edge::after(7, 10, &[b"", b"abc"]);
        assert!(unknown.before(7, 10).is_empty());
    }
}
