//! Writing a state that stands still.
//!
//! `DEBUG RELOAD`, the offline tools and tests use it. A state that goes on changing is
//! frozen instead: see `keyspace::freeze`. The files are the same but for the order of keys.

use crate::Keyspace;
use crate::db::Db;
use crate::rdb::{Checksum, PIECE, Piece, SnapshotFacts};
use alloc::vec::Vec;

impl Keyspace {
    /// Writes the whole state as an RDB 10 file, handing out pieces of at most some 256 KiB. Equal
    /// states with equal facts give equal bytes.
    pub fn write_snapshot(&self, facts: &SnapshotFacts, sink: &mut dyn FnMut(&[u8])) {
        let mut out = self.output(facts);
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
                out.key(db, &found.record.as_key());
                if out.held() >= PIECE as u64 {
                    hand_out(out.take(false));
                }
            }
        }
        hand_out(out.take(true));
        sink(&checksum.finish());
    }
}

#[cfg(test)]
pub(crate) fn whole(keyspace: &Keyspace, facts: &SnapshotFacts) -> Vec<u8> {
    let mut file = Vec::new();
    keyspace.write_snapshot(facts, &mut |piece| {
        assert!(!piece.is_empty() && piece.len() <= crate::rdb::SLICE);
        file.extend_from_slice(piece);
    });
    file
}
