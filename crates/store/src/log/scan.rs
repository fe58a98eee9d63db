//! Reading the whole stream of records, segment by segment, and judging where it ends.
//!
//! Changes nothing: `recover` acts on what is found here, `inspect` reports it. The judgement: a
//! record that is not whole is a *torn tail* when no record behind it was written after a sync had
//! covered it, and *corruption* otherwise, because then it had been acknowledged. Each header
//! carries the number of the last record known durable when it was written, so any later record
//! tells, and so does the foot of the segment.

use crate::StoreError;
use crate::disk::{Disk, DiskFile};
use crate::file::filler::{blank, first_unfilled};
use crate::file::foot::{self, FOOT_BYTES, Reading};
use crate::file::manifest::{foreign, segment_path};
use crate::file::record::{Head, PREFIX, Parsed, Place, RecordKind, parse};
use crate::file::segment::{SegmentHead, Standing, room};
use crate::identity::decode_identity;
use crate::log::index::{Spot, Spots};
use crate::log::tip::Tip;
use crate::{EntryKind, LogId, Vote};
use std::collections::{BTreeMap, VecDeque};

/// A record as an inspection sees it.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its file, below the data directory.
    pub path: &'a str,
    /// Where its header begins.
    pub offset: u64,
    /// Kind.
    pub kind: RecordKind,
    /// Raft group.
    pub group: u32,
    /// Number in the life of the log.
    pub seq: u64,
    /// Number of the last record known durable when this one was written.
    pub synced: u64,
    /// Term and index (of a vote: term and whom it went to).
    pub id: LogId,
    /// Stamp of an entry, Unix milliseconds.
    pub now_ms: u64,
    /// Seed of an entry; 1 for a committed vote and for a truncation that keeps something.
    pub seed: u64,
    /// The payload as it stands on disk: RESP, or lines that begin with `#`.
    pub payload: &'a [u8],
    /// Whether the payload is as written. Void ones (truncated, blanked) are not.
    pub whole: bool,
}

/// An entry met on the way.
#[derive(Clone, Copy, Debug)]
struct Known {
    term: u64,
    seq: u64,
    spot: Spot,
    whole: bool,
    /// Its payload is filler already.
    blanked: bool,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) standing: Standing,
    pub(crate) spots: Spots,
    /// For each segment of the stream, the last entry before it.
    pub(crate) starts: BTreeMap<u32, Option<LogId>>,
    /// Full size of each segment of the stream, and where its foot begins.
    pub(crate) sizes: BTreeMap<u32, (u64, u64)>,
    /// Segments of the stream whose foot is not as it was written.
    pub(crate) feet: Vec<u32>,
    /// The segment in which the stream ends; 0 when there is none.
    pub(crate) active: u32,
    pub(crate) tip: Option<Tip>,
    /// The last record is a cut.
    pub(crate) sealed: bool,
    /// Payloads that a truncation made void and that are not filler yet.
    pub(crate) void: Vec<Spot>,
    /// From where to where segments of the stream are not the filler they should be.
    pub(crate) refills: Vec<(u32, u64)>,
    /// Segments that are nothing but filler.
    pub(crate) pristine: Vec<u32>,
    pub(crate) torn_bytes: u64,
    pub(crate) records: u64,
}

/// Told how many bytes more were read.
pub(crate) type Step<'a> = &'a mut dyn FnMut(u64);
type Visit<'a> = &'a mut dyn FnMut(&RecordView<'_>);

struct Scanner<'a, 'v> {
    found: Found,
    group: Option<u32>,
    visit: Option<&'a mut Visit<'v>>,
    /// The record with this number and everything behind it is to be cut.
    stop_at: Option<u64>,
    entries: VecDeque<Known>,
    entries_first: u64,
    /// Start of the oldest segment's entries: what came before must be purged.
    oldest_start: Option<LogId>,
    rebased: bool,
    chain: u32,
    seq: u64,
    /// Greatest `synced` of any record that checks out, in the stream or behind its end.
    synced: u64,
    /// Bytes behind the end of the stream, by segment: offset of the first that is not filler.
    dirt: Vec<(u32, u64, u64)>,
}

/// Scans segments (ascending) and judges the end. `group` is checked when given; `step` hears the
/// bytes of each segment.
pub(crate) fn scan<D: Disk>(
    disk: &D,
    segments: &[u32],
    group: Option<u32>,
    step: Step<'_>,
    mut visit: Option<Visit<'_>>,
) -> Result<Found, StoreError> {
    let mut stop_at = None;
    // Before the segments: while the log runs, what it names is there before it.
    let durable = crate::file::durable::read(disk)?;
    loop {
        // A second pass has nothing new to show.
        let visit = if stop_at.is_none() { visit.as_mut() } else { None };
        let mut scanner = Scanner::new(group, visit, stop_at);
        scanner.synced = durable;
        for (position, number) in segments.iter().enumerate() {
            let bytes = load(disk, *number)?;
            scanner.segment(*number, &bytes, position == 0)?;
            step(bytes.len() as u64);
        }
        match scanner.judge()? {
            Some(bad) => stop_at = Some(bad),
            None => return Ok(scanner.finish()),
        }
    }
}

/// All bytes of a segment.
pub(crate) fn load<D: Disk>(disk: &D, number: u32) -> Result<Vec<u8>, StoreError> {
    let file = disk.open(&segment_path(number))?;
    // The foot first: while the log runs, what it names is there before it.
    let (len, mut foot) = (file.len()?, vec![0; FOOT_BYTES as usize]);
    let foot_at = len.checked_sub(FOOT_BYTES);
    let whole = foot_at.map(|at| file.read_at(&mut foot, at)).transpose()? == Some(foot.len());
    let mut bytes = vec![0; len as usize];
    let count = file.read_at(&mut bytes, 0)?;
    bytes.truncate(count);
    if let Some(at) = foot_at.filter(|_| whole)
        && let Some(end) = bytes.get_mut(at as usize..len as usize)
    {
        end.copy_from_slice(&foot);
    }
    Ok(bytes)
}

/// The foot of a segment, given all its bytes.
pub(crate) fn foot_of(bytes: &[u8], number: u32) -> Reading {
    let at = room(bytes.len() as u64);
    foot::read(bytes.get(at as usize..).unwrap_or_default(), Place { segment: number, offset: at })
}

/// The head of a segment, if the bytes begin with one.
pub(crate) fn segment_head(bytes: &[u8], number: u32) -> Option<(Parsed, SegmentHead)> {
    let parsed = parse(bytes, Place { segment: number, offset: 0 })?;
    let end = parsed.head_len.checked_add(parsed.head.length as usize)?;
    let payload = bytes.get(parsed.head_len..end)?;
    if parsed.head.kind != RecordKind::Segment || crc32c::crc32c(payload) != parsed.head.payload_crc
    {
        return None;
    }
    let head = SegmentHead::decode(payload).filter(|head| head.number == number)?;
    Some((parsed, head))
}

/// The error for damage. Says where, and what to do.
#[cold]
pub(crate) fn corrupt(segment: u32, offset: u64, what: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "{} at byte {offset}: {what}. This replica may not vote on such a log. Restore the disk, \
         or move the data directory aside and let the node join again as a new one",
        segment_path(segment)
    ))
}

impl<'a, 'v> Scanner<'a, 'v> {
    fn new(group: Option<u32>, visit: Option<&'a mut Visit<'v>>, stop_at: Option<u64>) -> Self {
        Self {
            found: Found::default(),
            group,
            visit,
            stop_at,
            entries: VecDeque::new(),
            entries_first: 0,
            oldest_start: None,
            rebased: false,
            chain: 0,
            seq: 0,
            synced: 0,
            dirt: Vec::new(),
        }
    }

    fn segment(&mut self, number: u32, bytes: &[u8], oldest: bool) -> Result<(), StoreError> {
        let head = segment_head(bytes, number);
        let goes_on = head.as_ref().is_some_and(|(parsed, _)| self.follows(parsed));
        if let Some((parsed, head)) = head.filter(|_| oldest || goes_on) {
            if bytes.len() as u64 > head.bytes {
                return Err(foreign(&segment_path(number)));
            }
            if (bytes.len() as u64) < head.bytes {
                // It had its full size before it had its name.
                return Err(corrupt(number, bytes.len() as u64, "the file is cut short"));
            }
            // What looked like a torn end further up was dirt between segments: the stream goes on
            // here.
            self.found.refills.extend(self.dirt.drain(..).map(|(number, from, _)| (number, from)));
            self.enter(number, &parsed, &head, oldest);
            if head.foot {
                let foot = foot_of(bytes, number);
                self.synced = self.synced.max(foot.durable.unwrap_or(0));
                self.found.feet.extend(foot.damaged.then_some(number));
            }
            let records = bytes.get(..head.room() as usize).unwrap_or(bytes);
            let end = self.walk(number, records)?;
            self.look_behind(number, records, end);
            return Ok(());
        }
        if oldest {
            return Err(corrupt(number, 0, "the first record of the oldest segment is damaged"));
        }
        match first_unfilled(bytes, 0) {
            None if !bytes.is_empty() && bytes.len().is_multiple_of(4096) => {
                self.found.pristine.push(number);
            }
            None => return Err(corrupt(number, bytes.len() as u64, "the file is cut short")),
            // redis-server appends to the last listed file, here one that was ready for us.
            Some(at)
                if at % 4096 == 0
                    && !bytes.len().is_multiple_of(4096)
                    && bytes.get(at) == Some(&b'*') =>
            {
                return Err(foreign(&segment_path(number)));
            }
            Some(_) => {
                // Where it begins is damaged, or was never synced: its foot knows.
                let durable = foot_of(bytes, number).durable;
                self.synced = self.synced.max(durable.unwrap_or(0));
                let records = bytes.get(..room(bytes.len() as u64) as usize).unwrap_or(bytes);
                self.look_behind(number, records, 0);
            }
        }
        Ok(())
    }

    /// Whether a record continues the chain.
    fn follows(&self, parsed: &Parsed) -> bool {
        let head = &parsed.head;
        head.seq == self.seq && head.previous == self.chain && Some(head.seq) != self.stop_at
    }

    fn enter(&mut self, number: u32, parsed: &Parsed, head: &SegmentHead, oldest: bool) {
        if oldest {
            self.found.standing = head.standing;
            self.entries_first = head.standing.last.map_or(0, |last| last.index + 1);
            self.oldest_start = head.standing.last;
            (self.seq, self.chain) = (parsed.head.seq, parsed.head.previous);
        }
        self.rebased = head.rebased;
        self.found.active = number;
        self.found.starts.insert(number, head.standing.last);
        self.found.sizes.insert(number, (head.bytes, head.room()));
    }

    /// Takes records as long as they continue the chain; returns the byte behind the last one.
    fn walk(&mut self, number: u32, bytes: &[u8]) -> Result<u64, StoreError> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..) {
            let place = Place { segment: number, offset: at as u64 };
            let Some(parsed) = parse(rest, place).filter(|parsed| self.follows(parsed)) else {
                break;
            };
            let head = parsed.head;
            if (head.kind == RecordKind::Segment) != (at == 0) {
                break;
            }
            let Some(payload) = payload_of(rest, &parsed) else { break };
            let whole = crc32c::crc32c(payload) == head.payload_crc;
            let entry = matches!(head.kind, RecordKind::Entry(_));
            if !whole && !entry {
                break;
            }
            self.show(place, &head, payload, whole);
            let spot = Spot { segment: number, length: head.length, offset: place.offset };
            let blanked = !whole && payload == blank(payload.len());
            self.take(
                &head,
                payload,
                Known { term: head.term, seq: head.seq, spot, whole, blanked },
            )?;
            (self.seq, self.chain) = (head.seq + 1, parsed.sum);
            self.synced = self.synced.max(head.synced);
            self.found.sealed = head.kind == RecordKind::Entry(EntryKind::Cut);
            self.found.records += 1;
            at += parsed.head_len + payload.len();
        }
        let (at, chain, seq) = (at as u64, self.chain, self.seq);
        self.found.tip = Some(Tip { at, chain, seq, synced: seq - 1 });
        Ok(at)
    }

    fn show(&mut self, place: Place, head: &Head, payload: &[u8], whole: bool) {
        if let Some(visit) = &mut self.visit {
            visit(&RecordView {
                path: &segment_path(place.segment),
                offset: place.offset,
                kind: head.kind,
                group: head.group,
                seq: head.seq,
                synced: head.synced,
                id: LogId { term: head.term, index: head.index },
                now_ms: head.now_ms,
                seed: head.seed,
                payload,
                whole,
            });
        }
    }

    /// Applies one record to the state.
    fn take(&mut self, head: &Head, payload: &[u8], known: Known) -> Result<(), StoreError> {
        let id = LogId { term: head.term, index: head.index };
        if self.group.is_some_and(|group| group != head.group) {
            let text = format!("the log belongs to group {}, not to this one", head.group);
            return Err(StoreError::Foreign(text));
        }
        let standing = &mut self.found.standing;
        match head.kind {
            RecordKind::Segment | RecordKind::Mark => {}
            RecordKind::Entry(_) => {
                standing.stamp_ms = standing.stamp_ms.max(head.now_ms);
                return self.take_entry(id, known);
            }
            RecordKind::Vote => {
                let (term, voted_for) = (head.term, head.index);
                standing.vote = Some(Vote { term, voted_for, committed: head.seed == 1 });
            }
            RecordKind::Committed => standing.committed = Some(id),
            RecordKind::Truncate => {
                let after = Some(id).filter(|_| head.seed == 1);
                self.truncate(after);
            }
            RecordKind::Purge => self.purge(id),
            RecordKind::Identity => {
                let text = payload.strip_prefix(b"#i ").and_then(|text| text.strip_suffix(b"\n"));
                let text = text.and_then(|text| std::str::from_utf8(text).ok());
                standing.identity = text.and_then(decode_identity).flatten();
            }
        }
        Ok(())
    }

    fn take_entry(&mut self, id: LogId, known: Known) -> Result<(), StoreError> {
        let last = self.found.standing.last.map(|last| last.index);
        let wrong = |what| Err(corrupt(known.spot.segment, known.spot.offset, what));
        if last.is_some_and(|last| id.index <= last) {
            // A copy of an entry that older segments hold too.
            if !self.rebased {
                return wrong("an entry comes twice");
            }
            let at = id.index.checked_sub(self.entries_first);
            if let Some(old) = at.and_then(|at| self.entries.get_mut(usize::try_from(at).ok()?)) {
                if old.term != id.term {
                    return wrong("a copied entry differs from the first one");
                }
                *old = known;
            }
            return Ok(());
        }
        if last.is_some_and(|last| id.index != last + 1) {
            return wrong("an entry is missing before this one");
        }
        if self.entries.is_empty() {
            self.entries_first = id.index;
        }
        self.entries.push_back(known);
        self.found.standing.last = Some(id);
        Ok(())
    }

    fn truncate(&mut self, after: Option<LogId>) {
        let standing = &mut self.found.standing;
        standing.last = after.max(standing.purged);
        let keep =
            standing.last.map_or(0, |last| (last.index + 1).saturating_sub(self.entries_first));
        let keep = usize::try_from(keep).map_or(self.entries.len(), |n| n.min(self.entries.len()));
        let gone = self.entries.drain(keep..);
        let unfinished = gone.filter(|known| known.spot.length > 0 && !known.blanked);
        self.found.void.extend(unfinished.map(|known| known.spot));
    }

    fn purge(&mut self, upto: LogId) {
        let standing = &mut self.found.standing;
        standing.purged = Some(upto);
        if standing.last.is_none_or(|last| last.index < upto.index) {
            standing.last = Some(upto);
        }
        let gone =
            (upto.index + 1).saturating_sub(self.entries_first).min(self.entries.len() as u64);
        self.entries.drain(..gone as usize);
        self.entries_first += gone;
    }

    /// Looks at what stands behind the last record of a segment: filler, or the remains of a torn
    /// write, or damage.
    fn look_behind(&mut self, number: u32, bytes: &[u8], end: u64) {
        let rest = bytes.get(end as usize..).unwrap_or_default();
        let Some(from) = first_unfilled(rest, end) else { return };
        for at in places_of_headers(rest, from) {
            let place = Place { segment: number, offset: end + at as u64 };
            if let Some(parsed) = rest.get(at..).and_then(|bytes| parse(bytes, place))
                && parsed.head.seq >= self.seq
            {
                self.synced = self.synced.max(parsed.head.synced);
            }
        }
        let torn = (last_unfilled(rest, end, from) + 1) as u64;
        self.dirt.push((number, end, torn));
    }

    /// Whether the end is a torn one. `Some(record)` when the stream must be cut before a record
    /// whose header is good.
    fn judge(&self) -> Result<Option<u64>, StoreError> {
        let Some(tip) = self.found.tip else { return Ok(None) };
        if self.synced >= tip.seq {
            return Err(corrupt(self.found.active, tip.at, "a record that was durable is damaged"));
        }
        if self.oldest_start.map(|start| start.index)
            > self.found.standing.purged.map(|purged| purged.index)
        {
            let oldest = self.found.starts.keys().next().copied().unwrap_or(0);
            return Err(corrupt(oldest, 0, "an older segment is missing"));
        }
        let Some(bad) = self.entries.iter().filter(|known| !known.whole).min_by_key(|bad| bad.seq)
        else {
            return Ok(None);
        };
        if self.synced >= bad.seq {
            let spot = bad.spot;
            return Err(corrupt(spot.segment, spot.offset, "an entry that was durable is damaged"));
        }
        Ok(Some(bad.seq))
    }

    fn finish(self) -> Found {
        let mut found = self.found;
        found.torn_bytes = self.dirt.iter().map(|(_, _, torn)| torn).sum();
        let in_stream = self.dirt.iter().filter(|(number, ..)| *number <= found.active);
        found.refills.extend(in_stream.map(|(number, from, _)| (*number, *from)));
        found.spots = Spots {
            first: self.entries_first,
            list: self.entries.iter().map(|known| known.spot).collect(),
        };
        let (committed, last) = (found.standing.committed, found.standing.last);
        if committed.map(|id| id.index) > last.map(|id| id.index) {
            found.standing.committed = last;
        }
        found
    }
}

fn payload_of<'b>(record: &'b [u8], parsed: &Parsed) -> Option<&'b [u8]> {
    let end = parsed.head_len.checked_add(parsed.head.length as usize)?;
    record.get(parsed.head_len..end)
}

/// Where header lines may begin, from `from` on.
fn places_of_headers(bytes: &[u8], from: usize) -> impl Iterator<Item = usize> {
    // `q` is rare in filler, `#` is not.
    let from = from.saturating_sub(PREFIX.len());
    let tail = bytes.get(from..).unwrap_or_default();
    let letters = tail.iter().enumerate().filter(|(_, byte)| **byte == b'q');
    letters
        .filter_map(move |(at, _)| (from + at).checked_sub(1))
        .filter(|at| bytes.get(*at..).is_some_and(|bytes| bytes.starts_with(PREFIX)))
}

/// The last byte that is not filler, given the first one.
fn last_unfilled(bytes: &[u8], offset: u64, first: usize) -> usize {
    let mut last = first;
    while let Some(rest) = bytes.get(last + 1..)
        && let Some(more) = first_unfilled(rest, offset + last as u64 + 1)
    {
        last += 1 + more;
    }
    last
}
