//! The beginning of a snapshot's file: what the state is besides its keys, in AUX fields.
//!
//! A header is taken when the state is frozen, and becomes bytes when the file's first piece is
//! written, away from the keyspace's lock.

use super::encode::{put_aux, put_length};
use super::text::{print, push_number};
use super::{code, field};
use crate::db::Db;
use crate::digest::Digest;
use crate::side::Side;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A header is about so long.
const CAPACITY: usize = 64 << 10;

/// What a snapshot says besides the data: names and printable values of AUX fields, given by
/// consensus (`quorate-last-log-id`, `quorate-membership`, …). Opaque to the engine.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SnapshotFacts {
    /// Name and value; printable ASCII.
    pub fields: Vec<(String, String)>,
}

/// What is not keys, as it was at one moment.
#[derive(Debug)]
pub(crate) struct Header {
    /// The caller's.
    pub(crate) facts: SnapshotFacts,
    pub(crate) hash_key: [u64; 2],
    /// Cluster time.
    pub(crate) now_ms: u64,
    /// The applied index.
    pub(crate) index: u64,
    pub(crate) digest: Digest,
    pub(crate) side: Side,
    /// Per database: no absent key, and no key at all, has a lower revision.
    pub(crate) floors: [(u64, u64); Db::COUNT as usize],
    /// When a key of each bucket was last deleted. Empty: none was.
    pub(crate) gone: Vec<u64>,
}

impl Header {
    /// The beginning of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CAPACITY);
        out.extend_from_slice(code::MAGIC);
        out.extend_from_slice(format!("{:04}", code::WRITTEN).as_bytes());
        put_aux(&mut out, "redis-ver", "7.0.15");
        put_aux(&mut out, "redis-bits", "64");
        put_aux(&mut out, "ctime", &(self.now_ms / 1000).to_string());
        put_aux(&mut out, field::FORMAT, &field::VERSION.to_string());
        for (name, value) in &self.facts.fields {
            put_aux(&mut out, name, value);
        }
        let [one, two] = self.hash_key;
        put_aux(&mut out, field::HASH_KEY, &format!("{one:016x}{two:016x}"));
        put_aux(&mut out, field::TIME, &self.now_ms.to_string());
        put_aux(&mut out, field::INDEX, &self.index.to_string());
        put_aux(&mut out, field::DIGEST, &format!("{:016x}", self.digest.0));
        self.side.fields(&mut |name, value| put_aux(&mut out, name, value));
        self.put_revisions(&mut out);
        for (_, text) in self.side.libraries.iter() {
            out.push(code::FUNCTION);
            put_length(&mut out, text.len() as u64);
            out.extend_from_slice(text);
        }
        out
    }

    fn put_revisions(&self, out: &mut Vec<u8>) {
        if self.floors.iter().any(|&floors| floors != (0, 0)) {
            let mut list = Vec::new();
            for (absent, present) in self.floors {
                push_number(&mut list, absent);
                push_number(&mut list, present);
            }
            put_aux(out, field::FLOORS, &print(&list));
        }
        let (mut list, mut count, mut next) = (Vec::new(), 0, 0);
        let buckets = self.gone.iter().copied().enumerate().filter(|&(_, revision)| revision != 0);
        for (bucket, revision) in buckets {
            push_number(&mut list, (bucket - next) as u64);
            push_number(&mut list, revision);
            (next, count) = (bucket + 1, count + 1);
            if count == field::ITEMS_MAX {
                put_aux(out, field::GONE, &print(&list));
                (list, count) = (Vec::new(), 0);
            }
        }
        if count > 0 {
            put_aux(out, field::GONE, &print(&list));
        }
    }
}
