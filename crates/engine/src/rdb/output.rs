//! Writing: the state as pieces that make an RDB file.
//!
//! One encoder, [`Output`], for both ways of writing: a state that stands still
//! ([`Keyspace::write_snapshot`](crate::Keyspace::write_snapshot)) and one that is frozen while it
//! changes (`keyspace::freeze`). It takes keys in any order. What is large is not copied here: a
//! header and the chunks of a value become bytes only when a piece is written out, away from the
//! keyspace's lock.

use super::collection;
use super::crc64::crc64;
use super::encode::{put_aux, put_length, put_string};
use super::header::Header;
use super::producers;
use super::text::{print, push_number};
use super::{code, field};
use crate::db::Db;
use crate::types::hash::HashTree;
use crate::types::stream::Producers;
use crate::types::value::Value;
use crate::types::{Form, View};
use alloc::boxed::Box;
use alloc::vec::Vec;
use triomphe::Arc;

/// A piece of bytes is closed when it is this long.
pub(crate) const PIECE: usize = 64 << 10;
/// Bytes handed out at once are at most so many.
pub(crate) const SLICE: usize = 256 << 10;

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

/// A key with its value as it lies.
#[derive(Debug)]
pub(crate) struct Key<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) revision: u64,
    pub(crate) deadline: Option<u64>,
    pub(crate) form: Form,
    /// The value, unless it is large.
    pub(crate) packed: &'a [u8],
    /// The large value.
    pub(crate) value: Option<&'a Value>,
    /// All of a hash that has deadlines of fields.
    pub(crate) timed: Option<View<'a, HashTree>>,
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
    /// Begins the file of a state; its keys are to follow. `sizes`: how many each database has, and
    /// how many of them have a deadline.
    pub(crate) fn new(header: Header, sizes: &[Option<(u64, u64)>; Db::COUNT as usize]) -> Self {
        let index = header.index;
        Self {
            pieces: alloc::vec![Piece(Content::Header(Box::new(header)))],
            bytes: Vec::new(),
            complete: 0,
            taken: 0,
            index,
            sizes: *sizes,
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
    pub(crate) fn key(&mut self, db: Db, key: &Key<'_>) {
        self.select(db);
        if let Some(deadline) = key.deadline {
            self.bytes.push(code::EXPIRE_MS);
            self.bytes.extend_from_slice(&deadline.to_le_bytes());
        }
        let (form, value) = (key.form, key.value);
        self.bytes.push(collection::kind_of(form, value.is_some()));
        put_string(&mut self.bytes, key.name);
        match value {
            None => collection::write_packed(form, key.packed, &mut self.bytes),
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
        self.deadlines(key.timed);
        let odd = match form {
            Form::Int | Form::Embstr | Form::Raw => form == Form::Raw && !says_raw(key),
            Form::Stream => value.is_some_and(collection::is_active_odd),
            // A collection is large or not.
            _ => value.is_some(),
        };
        let age = self.index.saturating_sub(key.revision);
        push_number(&mut self.marks, age << 1 | u64::from(odd));
        if odd && let Some(Value::Stream(stream)) = value {
            collection::put_active(stream, &mut self.marks);
        }
        self.marked += 1;
        // Whoever reads must hold the keys until it knows their marks. Depends on what was written
        // alone, not on when it was taken.
        if self.marked == field::ITEMS_MAX || self.written() - self.marked_from >= PIECE as u64 {
            self.close_marks();
        }
        if self.bytes.len() >= PIECE {
            self.close_piece();
        }
    }

    /// Writes the deadlines of the fields of a hash that was written.
    fn deadlines(&mut self, timed: Option<View<'_, HashTree>>) {
        /// About so many bytes say one.
        const BYTES: u64 = 12;
        let Some(hash) = timed.filter(|hash| hash.soonest().is_some()) else { return };
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
fn says_raw(key: &Key<'_>) -> bool {
    key.value.is_some() || Form::of_string(key.packed) == Form::Raw
}
