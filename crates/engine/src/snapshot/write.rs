//! Writing: the state as pieces that make an RDB file.
//!
//! One encoder, [`Output`], for both ways of writing: a state that stands still
//! ([`Keyspace::write_snapshot`]) and one that is frozen while it changes (`keyspace::freeze`). It
//! takes keys in any order. What is large is not copied here: a header and the chunks of a value
//! become bytes only when a piece is written out, away from the keyspace's lock.

use super::collection;
use super::crc64::crc64;
use super::producers;
use super::text::{print, push_number};
use super::{FIELD_ITEMS_MAX, FORMAT, SnapshotFacts, WRITTEN, code, field};
use crate::keyspace::{Digest, Entry, Revisions};
use crate::types::hash::HashTree;
use crate::types::stream::Producers;
use crate::types::{Form, Value};
use crate::{Db, Keyspace, Settings};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use triomphe::Arc;

/// A piece of bytes is closed when it is this long.
const PIECE: usize = 64 << 10;
/// Bytes handed out at once are at most so many.
const SLICE: usize = 256 << 10;

/// Some of a snapshot's file.
#[derive(Debug)]
pub struct Piece(Content);

#[derive(Debug)]
enum Content {
    Header(Box<Header>),
    Bytes(Vec<u8>),
    Value(Value),
    /// The deadlines of a hash's fields.
    Deadlines(HashTree),
    /// Of the stream at this position among the keys since the last field with ages.
    Producers(u64, Arc<Producers>),
}

impl Piece {
    /// Hands out the piece's bytes, slice by slice, none of them empty.
    pub fn write(&self, sink: &mut dyn FnMut(&[u8])) {
        match &self.0 {
            Content::Header(header) => header.encode().chunks(SLICE).for_each(sink),
            Content::Bytes(bytes) => bytes.chunks(SLICE).for_each(sink),
            Content::Value(value) => collection::write_large(value, sink),
            Content::Deadlines(hash) => collection::write_deadlines(hash.view(), sink),
            Content::Producers(position, producers) => producers::write(*position, producers, sink),
        }
    }
}

/// The checksum that ends a snapshot's file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum(u64);

impl Checksum {
    /// Takes the file's next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = crc64(self.0, bytes);
    }

    /// The bytes that stand behind all pieces.
    pub fn finish(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl Keyspace {
    /// Writes the whole state as an RDB 10 file, handing out pieces of at most some 256 KiB. Equal
    /// states with equal facts give equal bytes.
    pub fn write_snapshot(&self, facts: &SnapshotFacts, sink: &mut dyn FnMut(&[u8])) {
        let mut out = Output::new(self, facts);
        let mut checksum = Checksum::default();
        let mut hand_out = |pieces: Vec<Piece>| {
            for piece in pieces {
                piece.write(&mut |bytes| {
                    checksum.update(bytes);
                    sink(bytes);
                });
            }
        };
        for db in Db::all() {
            for found in self.database(db).table.walk(0, 0) {
                out.entry(db, found.entry);
                if out.held() >= PIECE as u64 {
                    hand_out(out.take(false));
                }
            }
        }
        hand_out(out.take(true));
        sink(&checksum.finish());
    }
}

/// What is not keys, as it was at one moment.
#[derive(Debug)]
struct Header {
    facts: SnapshotFacts,
    hash_key: [u64; 2],
    now_ms: u64,
    index: u64,
    digest: Digest,
    level: u32,
    settings: Settings,
    revisions: Revisions,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PIECE);
        out.extend_from_slice(code::MAGIC);
        out.extend_from_slice(format!("{WRITTEN:04}").as_bytes());
        put_aux(&mut out, "redis-ver", "7.0.15");
        put_aux(&mut out, "redis-bits", "64");
        put_aux(&mut out, "ctime", &(self.now_ms / 1000).to_string());
        put_aux(&mut out, field::FORMAT, &FORMAT.to_string());
        for (name, value) in &self.facts.fields {
            put_aux(&mut out, name, value);
        }
        let [one, two] = self.hash_key;
        put_aux(&mut out, field::HASH_KEY, &format!("{one:016x}{two:016x}"));
        put_aux(&mut out, field::TIME, &self.now_ms.to_string());
        put_aux(&mut out, field::INDEX, &self.index.to_string());
        put_aux(&mut out, field::DIGEST, &format!("{:016x}", self.digest.0));
        put_aux(&mut out, field::LEVEL, &self.level.to_string());
        for name in Settings::NAMES {
            let value = self.settings.get(name).unwrap_or_default();
            put_aux(&mut out, &format!("{}{name}", field::SETTING), &value);
        }
        self.put_revisions(&mut out);
        out
    }

    fn put_revisions(&self, out: &mut Vec<u8>) {
        let floors: Vec<_> = Db::all().map(|db| self.revisions.floors(db)).collect();
        if floors.iter().any(|&floors| floors != (0, 0)) {
            let mut list = Vec::new();
            for (absent, present) in floors {
                push_number(&mut list, absent);
                push_number(&mut list, present);
            }
            put_aux(out, field::FLOORS, &print(&list));
        }
        let (mut list, mut count, mut next) = (Vec::new(), 0, 0);
        for (bucket, revision) in self.revisions.buckets() {
            push_number(&mut list, (bucket - next) as u64);
            push_number(&mut list, revision);
            (next, count) = (bucket + 1, count + 1);
            if count == FIELD_ITEMS_MAX {
                put_aux(out, field::GONE, &print(&list));
                (list, count) = (Vec::new(), 0);
            }
        }
        if count > 0 {
            put_aux(out, field::GONE, &print(&list));
        }
    }
}

/// A snapshot's file in the making. Keys come in any order; those of a database need not stand
/// together.
#[derive(Debug)]
pub(crate) struct Output {
    /// Complete, not taken yet.
    pieces: Vec<Piece>,
    /// The piece being filled.
    bytes: Vec<u8>,
    /// Length of what is in `pieces`.
    complete: u64,
    /// Length of what was taken.
    taken: u64,
    /// The applied index of the state: ages of keys are counted from it.
    index: u64,
    /// Keys of each database, and how many of them have a deadline. `None` once that was written.
    sizes: [Option<(u64, u64)>; Db::COUNT as usize],
    /// The database of the last key.
    db: Option<Db>,
    /// What RDB has no place for, of the keys since the last such field, and how many they are.
    marks: Vec<u8>,
    marked: usize,
    /// Length of what was written before those keys.
    marked_from: u64,
}

impl Output {
    /// Begins the file of a state; its keys are to follow.
    pub(crate) fn new(keyspace: &Keyspace, facts: &SnapshotFacts) -> Self {
        let header = Header {
            facts: facts.clone(),
            hash_key: keyspace.hash_key,
            now_ms: keyspace.now_ms,
            index: keyspace.applied_index,
            digest: keyspace.digest,
            level: keyspace.level,
            settings: keyspace.settings().clone(),
            revisions: keyspace.revisions.clone(),
        };
        let mut numbers = Db::all();
        Self {
            pieces: alloc::vec![Piece(Content::Header(Box::new(header)))],
            bytes: Vec::new(),
            complete: 0,
            taken: 0,
            index: keyspace.applied_index,
            sizes: core::array::from_fn(|_| {
                let database = keyspace.database(numbers.next()?);
                Some((database.table.len(), database.expiry.len()))
            }),
            db: None,
            marks: Vec::new(),
            marked: 0,
            marked_from: 0,
        }
    }

    /// Bytes that wait to be taken, without the header.
    pub(crate) fn held(&self) -> u64 {
        self.complete + self.bytes.len() as u64
    }

    /// Bytes written so far, without the header.
    pub(crate) fn written(&self) -> u64 {
        self.taken + self.held()
    }

    /// Takes all that is written. `last`: no key follows, and the file ends.
    pub(crate) fn take(&mut self, last: bool) -> Vec<Piece> {
        if last {
            self.close_marks();
            self.bytes.push(code::END);
        }
        self.close_piece();
        self.taken += core::mem::take(&mut self.complete);
        core::mem::take(&mut self.pieces)
    }

    /// Writes a key of database `db`.
    pub(crate) fn entry(&mut self, db: Db, entry: &Entry) {
        self.select(db);
        if let Some(deadline) = entry.deadline() {
            self.bytes.push(code::EXPIRE_MS);
            self.bytes.extend_from_slice(&deadline.to_le_bytes());
        }
        let (form, value) = (entry.form(), entry.value());
        self.bytes.push(collection::kind_of(form, value.is_some()));
        put_string(&mut self.bytes, entry.key());
        match value {
            None => collection::write_packed(form, entry.packed(), &mut self.bytes),
            Some(value) => {
                self.close_piece();
                self.complete += value.cost() as u64;
                self.pieces.push(Piece(Content::Value(value.clone())));
                if let Value::Stream(stream) = value
                    && let Some(producers) = stream.producers()
                {
                    let content = Content::Producers(self.marked as u64, producers.clone());
                    self.pieces.push(Piece(content));
                }
            }
        }
        self.deadlines(entry);
        let odd = match form {
            Form::Int | Form::Embstr | Form::Raw => form == Form::Raw && !says_raw(entry),
            Form::Stream => value.is_some_and(collection::is_active_odd),
            // A collection is large or not.
            _ => value.is_some(),
        };
        let age = self.index.saturating_sub(entry.revision());
        push_number(&mut self.marks, age << 1 | u64::from(odd));
        if odd && let Some(Value::Stream(stream)) = value {
            collection::put_active(stream, &mut self.marks);
        }
        self.marked += 1;
        // Whoever reads must hold the keys until it knows their marks. Depends on what was written
        // alone, not on when it was taken.
        if self.marked == FIELD_ITEMS_MAX || self.written() - self.marked_from >= PIECE as u64 {
            self.close_marks();
        }
        if self.bytes.len() >= PIECE {
            self.close_piece();
        }
    }

    /// Writes the deadlines of the fields of a hash that was written.
    fn deadlines(&mut self, entry: &Entry) {
        /// About so many bytes say one.
        const BYTES: u64 = 12;
        let Some(hash) = entry.timed().filter(|hash| hash.soonest().is_some()) else { return };
        match hash.large {
            None => {
                let bytes = &mut self.bytes;
                collection::write_deadlines(hash, &mut |aux| bytes.extend_from_slice(aux));
            }
            Some(large) => {
                self.complete += large.timed() as u64 * BYTES;
                self.pieces.push(Piece(Content::Deadlines(large.clone())));
            }
        }
    }

    fn select(&mut self, db: Db) {
        if self.db == Some(db) {
            return;
        }
        self.close_marks();
        self.db = Some(db);
        self.bytes.push(code::SELECT_DB);
        put_length(&mut self.bytes, u64::from(db.0));
        let sizes = self.sizes.get_mut(db.number()).and_then(Option::take);
        if let Some((keys, expiring)) = sizes {
            self.bytes.push(code::RESIZE_DB);
            put_length(&mut self.bytes, keys);
            put_length(&mut self.bytes, expiring);
        }
    }

    fn close_marks(&mut self) {
        if self.marked > 0 {
            put_aux(&mut self.bytes, field::KEYS, &print(&self.marks));
            self.marks.clear();
            self.marked = 0;
        }
        self.marked_from = self.written();
    }

    fn close_piece(&mut self) {
        if !self.bytes.is_empty() {
            let bytes = core::mem::take(&mut self.bytes);
            self.complete += bytes.len() as u64;
            self.pieces.push(Piece(Content::Bytes(bytes)));
        }
    }
}

/// Whether setting the string as it is would make it `raw`.
fn says_raw(entry: &Entry) -> bool {
    let (packed, chunks) = entry.bytes();
    chunks.is_some() || Form::of_string(packed) == Form::Raw
}

pub(super) fn put_length(out: &mut Vec<u8>, length: u64) {
    match (u8::try_from(length), u16::try_from(length), u32::try_from(length)) {
        (Ok(short @ ..0x40), _, _) => out.push(short),
        (_, Ok(middle @ ..0x4000), _) => out.extend_from_slice(&(middle | 0x4000).to_be_bytes()),
        (_, _, Ok(long)) => {
            out.push(code::LEN_32);
            out.extend_from_slice(&long.to_be_bytes());
        }
        _ => {
            out.push(code::LEN_64);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

pub(super) fn put_aux(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(code::AUX);
    for text in [name, value] {
        put_length(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

/// A string as Redis writes it: as an integer where it is the text of one of at most 32 bits.
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    /// Digits and sign of an `i32`.
    const INT_TEXT_MAX: usize = 11;
    if bytes.len() <= INT_TEXT_MAX
        && Form::of_string(bytes) == Form::Int
        && let Some(number) = number(bytes)
    {
        if let Ok(byte) = i8::try_from(number) {
            out.push(code::INT_8);
            out.extend_from_slice(&byte.to_le_bytes());
        } else if let Ok(word) = i16::try_from(number) {
            out.push(code::INT_16);
            out.extend_from_slice(&word.to_le_bytes());
        } else {
            out.push(code::INT_32);
            out.extend_from_slice(&number.to_le_bytes());
        }
        return;
    }
    put_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn number(bytes: &[u8]) -> Option<i32> {
    core::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
pub(crate) fn whole(keyspace: &Keyspace, facts: &SnapshotFacts) -> Vec<u8> {
    let mut file = Vec::new();
    keyspace.write_snapshot(facts, &mut |piece| {
        assert!(!piece.is_empty() && piece.len() <= SLICE);
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
            put_length(&mut written, length);
            assert_eq!(written, want, "{length}");
        }
    }
}
