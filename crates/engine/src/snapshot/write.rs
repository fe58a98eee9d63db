//! Writing: the state as a stream of pieces that make an RDB file.
//!
//! The bytes depend on the state and the facts alone: replicas at the same index with the same
//! facts write the same file.

use super::crc64::crc64;
use super::text::{print, push_number};
use super::{FIELD_ITEMS_MAX, FORMAT, SnapshotFacts, code, field};
use crate::keyspace::{Entry, Found};
use crate::{Db, Keyspace, Settings, StrEncoding};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// Pieces handed out are at most twice this.
const PIECE: usize = 128 << 10;

impl Keyspace {
    /// Writes the whole state as an RDB 10 file, handing out pieces of at most some 256 KiB.
    pub fn write_snapshot(&self, facts: &SnapshotFacts, sink: &mut dyn FnMut(&[u8])) {
        let mut out = Out { sink, piece: Vec::with_capacity(2 * PIECE), crc: 0 };
        out.bytes(code::MAGIC);
        out.bytes(b"0010");
        out.aux("redis-ver", "7.0.15");
        out.aux("redis-bits", "64");
        out.aux("ctime", &(self.now_ms / 1000).to_string());
        out.aux(field::FORMAT, &FORMAT.to_string());
        for (name, value) in &facts.fields {
            out.aux(name, value);
        }
        self.write_state(&mut out);
        for db in Db::all() {
            self.write_database(db, &mut out);
        }
        out.bytes(&[code::END]);
        out.finish();
    }

    /// What is not keys.
    fn write_state(&self, out: &mut Out<'_>) {
        let [one, two] = self.hash_key;
        out.aux(field::HASH_KEY, &format!("{one:016x}{two:016x}"));
        out.aux(field::TIME, &self.now_ms.to_string());
        out.aux(field::INDEX, &self.applied_index.to_string());
        out.aux(field::DIGEST, &format!("{:016x}", self.digest.0));
        out.aux(field::LEVEL, &self.level.to_string());
        for name in Settings::NAMES {
            let value = self.settings().get(name).unwrap_or_default();
            out.aux(&format!("{}{name}", field::SETTING), &value);
        }
        let floors: Vec<_> = Db::all().map(|db| self.revisions.floors(db)).collect();
        if floors.iter().any(|&floors| floors != (0, 0)) {
            let mut list = Vec::new();
            for (absent, present) in floors {
                push_number(&mut list, absent);
                push_number(&mut list, present);
            }
            out.aux(field::FLOORS, &print(&list));
        }
        let (mut list, mut count, mut next) = (Vec::new(), 0, 0);
        for (bucket, revision) in self.revisions.buckets() {
            push_number(&mut list, (bucket - next) as u64);
            push_number(&mut list, revision);
            (next, count) = (bucket + 1, count + 1);
            if count == FIELD_ITEMS_MAX {
                out.aux(field::GONE, &print(&list));
                (list, count) = (Vec::new(), 0);
            }
        }
        if count > 0 {
            out.aux(field::GONE, &print(&list));
        }
    }

    fn write_database(&self, db: Db, out: &mut Out<'_>) {
        let database = self.database(db);
        if database.table.len() == 0 {
            return;
        }
        out.bytes(&[code::SELECT_DB]);
        out.length(u64::from(db.0));
        out.bytes(&[code::RESIZE_DB]);
        out.length(database.table.len());
        out.length(database.expiry.len());
        let (mut list, mut count) = (Vec::new(), 0);
        let mut walk = database.table.walk(0, 0).peekable();
        while let Some(Found { slot, entry, .. }) = walk.next() {
            out.entry(entry);
            let raw = entry.encoding() == StrEncoding::Raw && !says_raw(entry);
            let age = self.applied_index.saturating_sub(entry.revision());
            push_number(&mut list, age << 1 | u64::from(raw));
            count += 1;
            let last = walk.peek().is_none_or(|next| next.slot != slot);
            if last || count == FIELD_ITEMS_MAX {
                out.aux(field::KEYS, &print(&list));
                list.clear();
                count = 0;
            }
        }
    }
}

/// Whether setting the string as it is would make it `raw`.
fn says_raw(entry: &Entry) -> bool {
    let (packed, chunks) = entry.bytes();
    chunks.is_some() || StrEncoding::of(packed) == StrEncoding::Raw
}

/// The file being written.
struct Out<'a> {
    sink: &'a mut dyn FnMut(&[u8]),
    /// Written, not handed out yet.
    piece: Vec<u8>,
    /// Of everything handed out.
    crc: u64,
}

impl Out<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(PIECE) {
            self.piece.extend_from_slice(part);
            if self.piece.len() >= PIECE {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        self.crc = crc64(self.crc, &self.piece);
        (self.sink)(&self.piece);
        self.piece.clear();
    }

    fn finish(mut self) {
        let crc = crc64(self.crc, &self.piece);
        self.bytes(&crc.to_le_bytes());
        if !self.piece.is_empty() {
            self.flush();
        }
    }

    fn length(&mut self, length: u64) {
        match (u8::try_from(length), u16::try_from(length), u32::try_from(length)) {
            (Ok(short @ ..0x40), _, _) => self.bytes(&[short]),
            (_, Ok(middle @ ..0x4000), _) => self.bytes(&(middle | 0x4000).to_be_bytes()),
            (_, _, Ok(long)) => {
                self.bytes(&[code::LEN_32]);
                self.bytes(&long.to_be_bytes());
            }
            _ => {
                self.bytes(&[code::LEN_64]);
                self.bytes(&length.to_be_bytes());
            }
        }
    }

    fn aux(&mut self, name: &str, value: &str) {
        self.bytes(&[code::AUX]);
        self.length(name.len() as u64);
        self.bytes(name.as_bytes());
        self.length(value.len() as u64);
        self.bytes(value.as_bytes());
    }

    fn entry(&mut self, entry: &Entry) {
        if let Some(deadline) = entry.deadline() {
            self.bytes(&[code::EXPIRE_MS]);
            self.bytes(&deadline.to_le_bytes());
        }
        self.bytes(&[code::STRING]);
        self.string(entry.key());
        match entry.bytes() {
            (packed, None) => self.string(packed),
            (_, Some(chunks)) => {
                self.length(chunks.len() as u64);
                chunks.list().iter().for_each(|chunk| self.bytes(chunk));
            }
        }
    }

    /// A string as Redis writes it: as an integer where it is the text of one of at most 32 bits.
    fn string(&mut self, bytes: &[u8]) {
        /// Digits and sign of an `i32`.
        const INT_TEXT_MAX: usize = 11;
        if bytes.len() <= INT_TEXT_MAX
            && StrEncoding::of(bytes) == StrEncoding::Int
            && let Some(number) = number(bytes)
        {
            if let Ok(byte) = i8::try_from(number) {
                self.bytes(&[code::INT_8]);
                self.bytes(&byte.to_le_bytes());
            } else if let Ok(word) = i16::try_from(number) {
                self.bytes(&[code::INT_16]);
                self.bytes(&word.to_le_bytes());
            } else {
                self.bytes(&[code::INT_32]);
                self.bytes(&number.to_le_bytes());
            }
            return;
        }
        self.length(bytes.len() as u64);
        self.bytes(bytes);
    }
}

fn number(bytes: &[u8]) -> Option<i32> {
    core::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
pub(super) fn whole(keyspace: &Keyspace, facts: &SnapshotFacts) -> Vec<u8> {
    let mut file = Vec::new();
    keyspace.write_snapshot(facts, &mut |piece| {
        assert!(!piece.is_empty() && piece.len() <= 2 * PIECE);
        file.extend_from_slice(piece);
    });
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_redis_does() {
        for (length, want) in [
            (0, &[0_u8][..]),
            (63, &[63]),
            (64, &[0x40, 64]),
            (16_383, &[0x7f, 0xff]),
            (16_384, &[0x80, 0, 0, 0x40, 0]),
            (u64::from(u32::MAX), &[0x80, 255, 255, 255, 255]),
            (1 << 32, &[0x81, 0, 0, 0, 1, 0, 0, 0, 0]),
        ] {
            let mut written = Vec::new();
            let mut sink = |piece: &[u8]| written.extend_from_slice(piece);
            let mut out = Out { sink: &mut sink, piece: Vec::new(), crc: 0 };
            out.length(length);
            out.flush();
            assert_eq!(written, want, "{length}");
        }
    }
}
