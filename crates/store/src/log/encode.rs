//! From queued records to bytes: header lines, armoured payloads, the head of a segment.
//!
//! Pure: moves a [`Tip`] along and appends to a buffer. A `Commands` payload is not copied; the
//! caller writes it behind its header line.

use crate::file::filler::LINE;
use crate::file::numbers::{armour, armoured_len};
use crate::file::record::{HEAD_MAX, Head, Place, RecordKind};
use crate::file::segment::{SEGMENT_HEAD_MAX, SegmentHead};
use crate::identity::encode_identity;
use crate::log::options::LogOptions;
use crate::log::pending::Record;
use crate::log::tip::Tip;
use crate::{EntryKind, LogId};

/// Bytes a record may need.
pub(crate) fn room_for(record: &Record) -> u64 {
    let payload = match record {
        Record::Entry(entry) if entry.kind == EntryKind::Commands => entry.payload.len(),
        Record::Entry(entry) => armoured_len(entry.payload.len()),
        _ => 0,
    };
    (payload + 2 * HEAD_MAX) as u64
}

/// Appends a record's header line, and its payload unless that goes out verbatim; moves the tip
/// behind it. Returns the bytes that stand behind the header line.
pub(crate) fn encode(
    record: &Record,
    at: Place,
    tip: &mut Tip,
    options: &LogOptions,
    out: &mut Vec<u8>,
) -> u32 {
    let mut head = Head {
        kind: RecordKind::Mark,
        group: options.group,
        seq: tip.seq,
        term: 0,
        index: 0,
        now_ms: 0,
        seed: 0,
        synced: tip.synced,
        length: 0,
        payload_crc: 0,
        previous: tip.chain,
    };
    let mut set = |kind, id: LogId, seed| {
        (head.kind, head.term, head.index, head.seed) = (kind, id.term, id.index, seed);
    };
    let mut behind = Vec::new();
    let mut payload: &[u8] = &[];
    match record {
        Record::Barrier => return 0,
        Record::Mark => {}
        Record::Entry(entry) => {
            set(RecordKind::Entry(entry.kind), entry.id, entry.seed);
            head.now_ms = entry.now_ms;
            payload = &entry.payload;
            if entry.kind != EntryKind::Commands {
                armour(payload, &mut behind);
                payload = &behind;
            }
        }
        Record::Vote(vote) => {
            let id = LogId { term: vote.term, index: vote.voted_for };
            set(RecordKind::Vote, id, u64::from(vote.committed));
        }
        Record::Committed(id) => set(RecordKind::Committed, *id, 0),
        Record::Truncate(after) => {
            set(RecordKind::Truncate, after.unwrap_or_default(), u64::from(after.is_some()));
        }
        Record::Purge(upto) => set(RecordKind::Purge, *upto, 0),
        Record::Identity(identity) => {
            set(RecordKind::Identity, LogId::default(), 0);
            behind = format!("#i {}\n", encode_identity(Some(identity))).into_bytes();
            payload = &behind;
        }
    }
    head.length = payload.len() as u32;
    head.payload_crc = crc32c::crc32c(payload);
    let start = out.len();
    tip.chain = head.encode(at, out);
    tip.seq += 1;
    tip.at += (out.len() - start) as u64 + u64::from(head.length);
    let length = head.length;
    out.extend_from_slice(&behind);
    length
}

/// A segment's first record as bytes; moves the tip behind it.
pub(crate) fn encode_segment_head(head: &SegmentHead, tip: &mut Tip, group: u32) -> Vec<u8> {
    let payload = head.encode();
    let mut out = Vec::with_capacity(SEGMENT_HEAD_MAX as usize);
    let line = Head {
        kind: RecordKind::Segment,
        group,
        seq: tip.seq,
        term: 0,
        index: 0,
        now_ms: 0,
        seed: 0,
        synced: tip.synced,
        length: payload.len() as u32,
        payload_crc: crc32c::crc32c(&payload),
        previous: tip.chain,
    };
    tip.chain = line.encode(Place { segment: head.number, offset: 0 }, &mut out);
    out.extend_from_slice(&payload);
    tip.seq += 1;
    tip.at = out.len() as u64;
    if tip.at % LINE as u64 == LINE as u64 - 1 {
        out.push(b'#');
    }
    out
}
