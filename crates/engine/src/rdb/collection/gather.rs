//! What the types' files share: a way out for a large value's bytes, and a complaint.
//!
//! The bytes leave in slices that are worth a call, so that a value of a gigabyte needs no second
//! gigabyte while it is written.

use super::super::encode::{put_length, put_string};
use crate::types::pack::Item;
use alloc::vec::Vec;

/// What is refused in sets and hashes, or mended, and never silently merged.
pub(super) const DUPLICATE: &str = "an element occurs twice";

/// Bytes on their way out, in slices that are worth a call.
pub(super) struct Gather<'a> {
    sink: &'a mut dyn FnMut(&[u8]),
    bytes: Vec<u8>,
}

impl<'a> Gather<'a> {
    const SLICE: usize = 64 << 10;

    pub(super) fn new(sink: &'a mut dyn FnMut(&[u8])) -> Self {
        Self { sink, bytes: Vec::new() }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(Self::SLICE) {
            if self.bytes.len() + part.len() > Self::SLICE {
                self.hand_out();
            }
            self.bytes.extend_from_slice(part);
        }
    }

    pub(super) fn length(&mut self, length: u64) {
        put_length(&mut self.bytes, length);
    }

    /// A short string.
    pub(super) fn string(&mut self, bytes: &[u8]) {
        put_string(&mut self.bytes, bytes);
    }

    /// An element as a string of the file.
    pub(super) fn item(&mut self, entry: Option<(Item<'_>, usize)>) {
        if self.bytes.len() >= Self::SLICE {
            self.hand_out();
        }
        match entry {
            Some((Item::Bytes(bytes), _)) => {
                self.length(bytes.len() as u64);
                self.add(bytes);
            }
            Some((number, _)) => number.with(|text| self.string(text)),
            // Never: what lies in a leaf was put there as an entry.
            None => self.length(0),
        }
    }

    pub(super) fn hand_out(&mut self) {
        if !self.bytes.is_empty() {
            (self.sink)(&self.bytes);
            self.bytes.clear();
        }
    }
}
