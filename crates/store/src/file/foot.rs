//! The foot of a segment: its last block, which says a second time how far the log is known to be
//! durable.
//!
//! A record is known durable from the records behind it; of the newest ones nothing stands behind.
//! The foot, in another block than the records, names the last record that was synced when it was
//! written. It is not synced itself, it goes to the disk with the next sync. It is written after
//! every [`EVERY`]th sync, when the log is at rest, and when it closes: with each sync it would
//! cost the disk a second block each time (SET at 50 connections: 5 % less). What it is behind by,
//! [`crate::file::durable`] knows, unless the power was cut. A log that ends before what its foot
//! names has lost something durable; it is not torn.

use crate::file::filler::{LINE, filler};
use crate::file::numbers::{decimal, hex, push_decimal, push_hex};
use crate::file::record::Place;

/// Bytes of the foot: a block, so that no damage to one block hits records and foot.
pub(crate) const FOOT_BYTES: u64 = 4096;
/// Syncs from one foot to the next, while the log is written to.
pub(crate) const EVERY: u32 = 16;
/// There are two slots, written in turn: a torn write of one leaves the other.
const SLOTS: [usize; 2] = [0, FOOT_BYTES as usize / 2];
const PREFIX: &[u8] = b"#f1 ";

/// What the foot of the active segment says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Foot {
    slots: [Option<u64>; 2],
    /// The slot that is written next.
    next: usize,
    /// Syncs since it was written.
    behind: u32,
}

impl Foot {
    /// A sync is over; whether the foot is to be written.
    pub(crate) fn is_due(&mut self) -> bool {
        self.behind += 1;
        self.behind >= EVERY
    }

    /// Whether there was a sync that it does not know of.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind > 0
    }

    /// Notes that everything up to record `seq` is durable; gives the foot's bytes, which stand at
    /// `at`. All of the block: a part of it would have to be read first.
    pub(crate) fn advance(&mut self, seq: u64, at: Place) -> Vec<u8> {
        if let Some(slot) = self.slots.get_mut(self.next) {
            *slot = Some(seq);
        }
        self.next = 1 - self.next;
        self.behind = 0;
        let mut bytes = filler(at.offset, FOOT_BYTES as usize);
        for (slot, start) in self.slots.iter().zip(SLOTS) {
            if let (Some(seq), Some(line)) = (slot, bytes.get_mut(start..start + LINE)) {
                let text = encode(*seq, Place { offset: at.offset + start as u64, ..at });
                for (to, from) in line.iter_mut().zip(&text) {
                    *to = *from;
                }
            }
        }
        bytes
    }
}

/// `#f1 <segment> <seq> <sum> `: the rest of the line stays filler.
fn encode(seq: u64, at: Place) -> Vec<u8> {
    let mut line = PREFIX.to_vec();
    push_decimal(&mut line, u64::from(at.segment));
    line.push(b' ');
    push_decimal(&mut line, seq);
    let sum = crc32c::crc32c_append(at.seed(), &line);
    line.push(b' ');
    push_hex(&mut line, u64::from(sum), 8);
    line.push(b' ');
    line
}

/// What a foot's bytes, which stand at `at`, say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The last record known durable.
    pub(crate) durable: Option<u64>,
    /// There is something in it that is neither filler nor what was written: a torn write, or rot.
    pub(crate) damaged: bool,
}

/// Reads a foot.
pub(crate) fn read(bytes: &[u8], at: Place) -> Reading {
    let mut reading = Reading { durable: None, damaged: bytes.len() != FOOT_BYTES as usize };
    for (number, line) in bytes.chunks(LINE).enumerate() {
        let offset = at.offset + (number * LINE) as u64;
        if line == filler(offset, line.len()) {
            continue;
        }
        let seq = decode(line, Place { offset, ..at });
        let slot = SLOTS.contains(&(number * LINE));
        reading.damaged |= seq.is_none() || !slot;
        reading.durable = reading.durable.max(seq.filter(|_| slot));
    }
    reading
}

fn decode(line: &[u8], at: Place) -> Option<u64> {
    let mut words = line.strip_prefix(PREFIX)?.split(|byte| *byte == b' ');
    let segment = decimal(words.next()?)?;
    let seq = decimal(words.next()?)?;
    hex(words.next()?)?;
    let mut written = filler(at.offset, line.len());
    for (to, from) in written.iter_mut().zip(&encode(seq, at)) {
        *to = *from;
    }
    (segment == u64::from(at.segment) && written == line).then_some(seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Place = Place { segment: 3, offset: 61_440 };

    #[test]
    fn a_foot_reads_back_and_any_damage_shows() {
        let mut foot = Foot::default();
        assert_eq!(read(&filler(AT.offset, FOOT_BYTES as usize), AT), Reading::default());
        let mut before = 0;
        for seq in [7, 8, u64::MAX] {
            let bytes = foot.advance(seq, AT);
            assert_eq!(read(&bytes, AT), Reading { durable: Some(seq), damaged: false });
            assert!(bytes.split_inclusive(|byte| *byte == b'\n').all(|line| line[0] == b'#'));
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let Reading { durable, damaged } = read(&bad, AT);
                assert!(damaged && durable >= Some(before).filter(|before| *before > 0));
            }
            before = seq;
        }
        let elsewhere = Place { segment: 4, ..AT };
        assert_eq!(read(&foot.advance(9, AT), elsewhere).durable, None);
        assert!(read(&[], AT).damaged);
    }
}
