//! One segment file: how it is made (filled with `#` lines, synced, then named) and what its first
//! record says.
//!
//! A segment has its full size from the start: overwriting written blocks makes `fdatasync` take 90
//! µs where a growing file takes 130 to 200 µs. Its first record repeats vote, committed and purged
//! ids and identity, so that removing older segments never drops them. Its last block is its
//! [foot](crate::foot).

use crate::disk::{Disk, DiskFile};
use crate::file::filler::{LINE, blank, filler};
use crate::file::foot::FOOT_BYTES;
use crate::file::manifest::{log_id, segment_path, temporary_path};
use crate::file::record::{HEAD_MAX, Place, parse};
use crate::identity::{Identity, decode_identity, encode_identity};
use crate::{LogId, StoreError, Vote};

/// The first segment of a directory has so many bytes, further ones as many as are written between
/// two cuts, up to the size asked for. Keeps a fresh directory small and its first start fast
/// (filling costs about 3 ms/MiB on a slow disk), and what a cut leaves unused of a segment in
/// proportion to what is written: 31 snapshots of a small state took 1.9 GB with segments that
/// grew by their number.
const FIRST_BYTES: u64 = 1 << 20;
/// Smallest size of a segment.
const BYTES_MIN: u64 = 4096 + FOOT_BYTES;
/// Sizes are multiples of it.
const BLOCK: u64 = 4096;
/// The record a segment begins with is never longer, header line included.
pub(crate) const SEGMENT_HEAD_MAX: u64 = 1024;
/// Bytes written at once while filling.
const FILL_STEP: usize = 1 << 20;

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) number: u32,
    /// Its full size.
    pub(crate) bytes: u64,
    /// Where its foot begins; its full size, if it was made by a build that knew of none.
    pub(crate) room: u64,
    pub(crate) file: F,
}

impl<F> Segment<F> {
    /// One that is not written to yet.
    pub(crate) fn fresh(number: u32, bytes: u64, file: F) -> Self {
        Self { number, bytes, room: room(bytes), file }
    }

    pub(crate) fn has_foot(&self) -> bool {
        self.room < self.bytes
    }
}

impl<F: DiskFile> Segment<F> {
    /// Overwrites the payload of the record at `offset`, `length` bytes long, with annotation
    /// lines.
    pub(crate) fn blank_payload(&self, offset: u64, length: u32) -> Result<(), StoreError> {
        let mut line = [0; HEAD_MAX];
        let count = self.file.read_at(&mut line, offset)?;
        let place = Place { segment: self.number, offset };
        let parsed = line.get(..count).and_then(|bytes| parse(bytes, place)).ok_or_else(|| {
            StoreError::Corrupt(format!(
                "{} at byte {offset}: the header of a truncated entry is damaged",
                segment_path(self.number),
            ))
        })?;
        let offset = offset + parsed.head_len as u64;
        self.file.write_at(&[&blank(length as usize)], offset)?;
        Ok(())
    }
}

/// Where the foot of a segment of so many bytes begins.
pub(crate) fn room(bytes: u64) -> u64 {
    bytes.saturating_sub(FOOT_BYTES)
}

/// Size of a segment when so many bytes of records were written since the last cut, or between two
/// of them, and `most` is the size asked for.
pub(crate) fn size_after(written: u64, most: u64) -> u64 {
    let grown = written.saturating_mul(2).checked_next_power_of_two().unwrap_or(most);
    round(grown.max(FIRST_BYTES).min(most))
}

/// Size of a segment that is made while others wait, large enough for so many bytes of records.
pub(crate) fn size_for(records: u64, most: u64) -> u64 {
    round((records + SEGMENT_HEAD_MAX + LINE as u64 + FOOT_BYTES).max(FIRST_BYTES.min(most)))
}

fn round(bytes: u64) -> u64 {
    bytes.max(BYTES_MIN).next_multiple_of(BLOCK)
}

/// Creates a file of filler under a temporary name, synced unless nothing is (`fsync`).
pub(crate) fn create_filled<D: Disk>(
    disk: &D,
    what: &str,
    bytes: u64,
    fsync: bool,
) -> Result<D::File, StoreError> {
    let path = temporary_path(what);
    let file = disk.create(&path)?;
    let step = filler(0, FILL_STEP.min(bytes as usize));
    let mut offset = 0;
    let outcome = loop {
        let take = step.len().min((bytes - offset) as usize);
        if take == 0 {
            break Ok(());
        }
        if let Err(error) = file.write_at(&[step.get(..take).unwrap_or_default()], offset) {
            break Err(error);
        }
        offset += take as u64;
        // Piece by piece, so that a sync of the active segment never waits for more than one.
        if fsync && let Err(error) = file.sync() {
            break Err(error);
        }
    };
    if let Err(error) = outcome {
        // Gives the space back at once if the disk is full; a leftover goes at the next start.
        let _ = disk.remove(&path);
        return Err(error.into());
    }
    Ok(file)
}

/// The state that the first record of a segment repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    /// The last entry before this segment, or the purged id.
    pub(crate) last: Option<LogId>,
    pub(crate) identity: Option<Identity>,
    /// Greatest stamp so far.
    pub(crate) stamp_ms: u64,
}

/// The payload of a segment's first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub(crate) number: u32,
    pub(crate) bytes: u64,
    /// It begins with copies of entries that older segments hold too; unless the manifest lists it,
    /// it is void.
    pub(crate) rebased: bool,
    /// It has a foot. Segments of older builds have none, and do not say so.
    pub(crate) foot: bool,
    pub(crate) standing: Standing,
}

impl SegmentHead {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { number, bytes, rebased, foot, standing } = self;
        let foot = if *foot { " foot 1" } else { "" };
        let rebased = u8::from(*rebased);
        let vote = standing.vote.map_or("- - -".to_owned(), |vote| {
            format!("{} {} {}", vote.term, vote.voted_for, u8::from(vote.committed))
        });
        let [committed, purged, last] = [standing.committed, standing.purged, standing.last]
            .map(|id| id.map_or("-".to_owned(), |id| format!("{}.{}", id.term, id.index)));
        let identity = encode_identity(standing.identity.as_ref());
        let stamp = standing.stamp_ms;
        format!(
            "#s segment {number} bytes {bytes} rebased {rebased} stamp {stamp}{foot}\n\
             #s {identity}\n\
             #s vote {vote} committed {committed} purged {purged} last {last}\n"
        )
        .into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines().map(|line| line.strip_prefix("#s "));
        let [first, second, third] = [lines.next()??, lines.next()??, lines.next()??];
        let words: Vec<&str> = first.split(' ').collect();
        let ["segment", number, "bytes", bytes, "rebased", rebased, "stamp", stamp, ref rest @ ..] =
            *words
        else {
            return None;
        };
        let foot = match rest {
            [] => false,
            ["foot", "1"] => true,
            _ => return None,
        };
        let words: Vec<&str> = third.split(' ').collect();
        let ["vote", term, whom, granted, "committed", committed, "purged", purged, "last", last] =
            *words
        else {
            return None;
        };
        let vote = match (term, whom, granted) {
            ("-", "-", "-") => None,
            _ => Some(Vote {
                term: term.parse().ok()?,
                voted_for: whom.parse().ok()?,
                committed: granted == "1",
            }),
        };
        let standing = Standing {
            vote,
            committed: optional_id(committed)?,
            purged: optional_id(purged)?,
            last: optional_id(last)?,
            identity: decode_identity(second)?,
            stamp_ms: stamp.parse().ok()?,
        };
        Some(Self {
            number: number.parse().ok()?,
            bytes: bytes.parse().ok()?,
            rebased: rebased == "1",
            foot,
            standing,
        })
    }

    /// Where its records end at the latest.
    pub(crate) fn room(&self) -> u64 {
        if self.foot { room(self.bytes) } else { self.bytes }
    }
}

#[allow(clippy::option_option, reason = "outer: readable; inner: there is one")]
fn optional_id(text: &str) -> Option<Option<LogId>> {
    if text == "-" { Some(None) } else { log_id(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_head_reads_back() {
        let id = LogId { term: 3, index: 9 };
        let full = Standing {
            vote: Some(Vote { term: u64::MAX, voted_for: u64::MAX, committed: true }),
            committed: Some(id),
            purged: Some(LogId::default()),
            last: Some(LogId { term: u64::MAX, index: u64::MAX }),
            identity: Some(Identity { cluster: Some(u128::MAX), node: 1, incarnation: 2 }),
            stamp_ms: u64::MAX,
        };
        let unnamed = Identity { cluster: None, node: 5, incarnation: 1 };
        let half = Standing { identity: Some(unnamed), ..Standing::default() };
        for standing in [full, half, Standing::default()] {
            for foot in [true, false] {
                let head = SegmentHead { number: 3, bytes: 1 << 40, rebased: true, foot, standing };
                let bytes = head.encode();
                assert!(bytes.len() as u64 + 256 <= SEGMENT_HEAD_MAX);
                assert_eq!(SegmentHead::decode(&bytes), Some(head));
            }
        }
    }

    #[test]
    fn segments_grow_to_the_size_asked_for() {
        let size = |mib: u64| size_after(mib << 20, 64 << 20) >> 20;
        assert_eq!([0, 1, 2, 3, 4, 20, 32, 500].map(size), [1, 2, 4, 8, 8, 64, 64, 64]);
        assert_eq!(size_after(0, 1), 8192, "a block and a foot");
        assert_eq!(size_after(u64::MAX, 64 << 20), 64 << 20);
    }
}
