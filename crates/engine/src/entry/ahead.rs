//! What the commands at the front of a payload name, before their turn.
//!
//! The payload is skimmed: a name and two arguments of each command, without checking the rest.
//! `keyspace::ahead` says what it is good for.

use super::hidden;
use crate::db::Db;
use crate::keyspace::{Ahead, Keyspace};
use quorate_resp::skim;

impl Keyspace {
    /// Brings what the commands at the front of `commands` (of a payload) lie in into the
    /// processor's caches, ahead of their turn. Changes nothing.
    pub fn warm<'k>(&self, db: Db, commands: &'k [u8]) -> Ahead<'k> {
        let (mut db, mut rest) = (db, commands);
        self.warm_places(core::iter::from_fn(move || {
            loop {
                let skimmed = skim(rest).or_else(|| hidden::skim_words(rest))?;
                rest = rest.get(skimmed.len..).unwrap_or_default();
                match skimmed.name {
                    b"SELECT" => db = Db::parse(skimmed.first).unwrap_or(db),
                    b"MULTI" | b"EXEC" => {}
                    _ => return Some((db, skimmed.first, skimmed.second)),
                }
            }
        }))
    }
}
