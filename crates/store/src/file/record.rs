//! How one record looks on disk: a header line that begins with `#q1 `, then the payload.
//!
//! Everything but a `Commands` payload is lines that begin with `#`, which Redis 7 skips, so a
//! segment is an append-only file as it stands. Header checksums are chained, and seeded with the
//! place of the record, so that neither a stale nor a misdirected write can pass for a record. This
//! file knows bytes only; order and meaning are `scan`'s and `writer`'s.

use crate::entry::EntryKind;
use crate::file::numbers::{decimal, hex, push_decimal, push_hex};

/// How a header line begins: annotation mark, our letter, format version.
pub(crate) const PREFIX: &[u8] = b"#q1 ";
/// No header line is longer, its newline included (12 words, numbers of at most 20 digits).
pub(crate) const HEAD_MAX: usize = 256;
/// What a record is; the letter is what stands on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A log entry.
    Entry(EntryKind),
    /// The first record of each segment: repeats the state, so that older segments may go.
    Segment,
    /// A vote.
    Vote,
    /// A committed mark.
    Committed,
    /// Entries behind an id are void.
    Truncate,
    /// Entries up to an id are no longer needed.
    Purge,
    /// Cluster, node and incarnation.
    Identity,
    /// Nothing but the position known durable, written when the log is at rest.
    Mark,
}

impl RecordKind {
    const ALL: [Self; 12] = [
        Self::Entry(EntryKind::Blank),
        Self::Entry(EntryKind::Commands),
        Self::Entry(EntryKind::Membership),
        Self::Entry(EntryKind::Cut),
        Self::Entry(EntryKind::Fact),
        Self::Segment,
        Self::Vote,
        Self::Committed,
        Self::Truncate,
        Self::Purge,
        Self::Identity,
        Self::Mark,
    ];

    /// The letter on disk.
    pub fn letter(self) -> u8 {
        match self {
            Self::Entry(EntryKind::Blank) => b'B',
            Self::Entry(EntryKind::Commands) => b'C',
            Self::Entry(EntryKind::Membership) => b'M',
            Self::Entry(EntryKind::Cut) => b'X',
            Self::Entry(EntryKind::Fact) => b'F',
            Self::Segment => b'S',
            Self::Vote => b'V',
            Self::Committed => b'K',
            Self::Truncate => b'T',
            Self::Purge => b'P',
            Self::Identity => b'I',
            Self::Mark => b'D',
        }
    }

    fn from_letter(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.letter() == letter)
    }
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Segment number.
    pub(crate) segment: u32,
    /// Byte in the segment.
    pub(crate) offset: u64,
}

impl Place {
    /// What checksums of this place begin with.
    pub(crate) fn seed(self) -> u32 {
        let number = self.segment.to_le_bytes();
        crc32c::crc32c_append(crc32c::crc32c(&number), &self.offset.to_le_bytes())
    }
}

/// The fields of a header line. What `term`, `index` and `seed` mean depends on the kind
/// (docs/formats.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: RecordKind,
    pub(crate) group: u32,
    /// Number of the record in the life of this log, from 1.
    pub(crate) seq: u64,
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) now_ms: u64,
    pub(crate) seed: u64,
    /// Number of the last record that was known durable when this one was written.
    pub(crate) synced: u64,
    /// Bytes on disk behind the header line.
    pub(crate) length: u32,
    pub(crate) payload_crc: u32,
    /// Checksum of the header before this one (the chain).
    pub(crate) previous: u32,
}

impl Head {
    /// Appends the header line; returns its checksum, which the next header carries as `previous`.
    pub(crate) fn encode(&self, at: Place, out: &mut Vec<u8>) -> u32 {
        let start = out.len();
        out.extend_from_slice(PREFIX);
        out.push(self.kind.letter());
        let numbers = [u64::from(self.group), self.seq, self.term, self.index, self.now_ms];
        for number in numbers {
            out.push(b' ');
            push_decimal(out, number);
        }
        out.push(b' ');
        push_hex(out, self.seed, 16);
        for number in [self.synced, u64::from(self.length)] {
            out.push(b' ');
            push_decimal(out, number);
        }
        for sum in [self.payload_crc, self.previous] {
            out.push(b' ');
            push_hex(out, u64::from(sum), 8);
        }
        let text = out.get(start..).unwrap_or_default();
        let sum = crc32c::crc32c_append(at.seed(), text);
        out.push(b' ');
        push_hex(out, u64::from(sum), 8);
        out.push(b'\n');
        sum
    }
}

/// A header found in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed {
    pub(crate) head: Head,
    /// Bytes of the header line, newline included.
    pub(crate) head_len: usize,
    /// Its checksum.
    pub(crate) sum: u32,
}

/// Reads the header line at the start of `bytes`, which lie at `at`; `None` unless every byte of it
/// is as written.
pub(crate) fn parse(bytes: &[u8], at: Place) -> Option<Parsed> {
    let window = bytes.get(..bytes.len().min(HEAD_MAX))?;
    let rest = window.strip_prefix(PREFIX)?;
    let end = PREFIX.len() + rest.iter().position(|&byte| byte == b'\n')?;
    let line = window.get(..end)?;
    // The last word is the checksum of everything before the blank in front of it.
    let text = line.get(..end.checked_sub(9)?)?;
    let sum = hex(line.get(end - 8..)?)? as u32;
    if line.get(end - 9) != Some(&b' ') || crc32c::crc32c_append(at.seed(), text) != sum {
        return None;
    }
    let mut words = text.get(PREFIX.len()..)?.split(|&byte| byte == b' ');
    let kind = match words.next()? {
        [letter] => RecordKind::from_letter(*letter)?,
        _ => return None,
    };
    let head = Head {
        kind,
        group: u32::try_from(decimal(words.next()?)?).ok()?,
        seq: decimal(words.next()?)?,
        term: decimal(words.next()?)?,
        index: decimal(words.next()?)?,
        now_ms: decimal(words.next()?)?,
        seed: hex(words.next()?)?,
        synced: decimal(words.next()?)?,
        length: u32::try_from(decimal(words.next()?)?).ok()?,
        payload_crc: hex(words.next()?)? as u32,
        previous: hex(words.next()?)? as u32,
    };
    words.next().is_none().then_some(Parsed { head, head_len: end + 1, sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Place = Place { segment: 7, offset: 4096 };

    fn head() -> Head {
        Head {
            kind: RecordKind::Entry(EntryKind::Commands),
            group: 0,
            seq: u64::MAX,
            term: 3,
            index: 1234,
            now_ms: 1_760_000_000_000,
            seed: 0xa1b2_c3d4_e5f6_0718,
            synced: 99,
            length: u32::MAX,
            payload_crc: 0xdead_beef,
            previous: 0,
        }
    }

    #[test]
    fn a_header_reads_back_and_no_other_byte_does() {
        let mut line = Vec::new();
        let sum = head().encode(AT, &mut line);
        let parsed = parse(&line, AT).expect("just written");
        assert_eq!((parsed.head, parsed.head_len, parsed.sum), (head(), line.len(), sum));
        assert!(parse(&line, Place { offset: 4097, ..AT }).is_none(), "seeded with its place");
        for bit in 0..line.len() * 8 {
            let mut bad = line.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bad, AT).is_none(), "bit {bit}");
        }
        for cut in 0..line.len() {
            assert!(parse(&line[..cut], AT).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn the_longest_header_fits() {
        let most = u64::MAX;
        let longest = Head { group: u32::MAX, term: most, index: most, now_ms: most, ..head() };
        let mut line = Vec::new();
        Head { synced: most, ..longest }.encode(AT, &mut line);
        assert!(line.len() <= HEAD_MAX, "{}", line.len());
        assert!(parse(&line, AT).is_some());
    }
}
