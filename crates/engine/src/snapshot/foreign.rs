//! Files of others, as `quorate restore` takes them: what Redis would load, or load in part, is
//! mended or left out, and a report says key by key what happened.
//!
//! Only the inside of values is mended. Whatever makes the rest of the file doubtful (a checksum
//! that does not match, an end that is missing, an unknown type, a key that occurs twice) is
//! refused here as anywhere. What comes from clients, peers or our own disk is never mended.

use crate::rdb::error::shown;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// How a file that is not ours is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// What is odd within a value is refused, and nothing may stand behind the end.
    pub strict: bool,
    /// Values and other data of modules, and functions, are left out.
    pub skip_unsupported: bool,
}

/// So many notes are kept; the counters know of all.
pub const NOTES_MAX: usize = 1000;
/// So much of a key is kept in a note.
const KEY_BYTES_MAX: usize = 128;

/// What happened to one key, or to something else that has no place here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Database and beginning of the key; none of what belongs to the whole file.
    pub key: Option<(u8, Vec<u8>)>,
    /// It was left out, and not mended.
    pub left_out: bool,
    /// What is odd about it.
    pub what: String,
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, left_out, what } = self;
        let done = if *left_out { "left out" } else { "mended" };
        match key {
            Some((db, key)) => {
                write!(out, "the key \"{}\" of database {db} is {done}: {what}", shown(key))
            }
            None => write!(out, "{done}: {what}"),
        }
    }
}

/// What was mended or left out of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The first [`NOTES_MAX`] of them.
    pub notes: Vec<Note>,
    /// Keys with some elements left out or put right.
    pub mended: u64,
    /// Keys left out because nothing can be made of them.
    pub dropped: u64,
    /// Values and data of modules, and functions, left out because they have no place here.
    pub unsupported: u64,
    /// Bytes behind the end.
    pub behind: u64,
}

impl Report {
    /// A key was loaded, of which so much was mended.
    pub(super) fn mend(&mut self, db: u8, key: &[u8], mended: &[(&'static str, u64)]) {
        if !mended.is_empty() {
            self.mended += 1;
            self.note(Some((db, key)), false, &words(mended));
        }
    }

    /// A key has nothing that could be loaded.
    pub(super) fn drop(&mut self, db: u8, key: &[u8], mended: &[(&'static str, u64)]) {
        self.dropped += 1;
        let found = words(mended);
        let what = if found.is_empty() { "it has no elements" } else { &found };
        self.note(Some((db, key)), true, what);
    }

    /// Something has no place here.
    pub(super) fn skip(&mut self, key: Option<(u8, &[u8])>, what: &str) {
        self.unsupported += 1;
        self.note(key, true, what);
    }

    fn note(&mut self, key: Option<(u8, &[u8])>, left_out: bool, what: &str) {
        if self.notes.len() < NOTES_MAX {
            let shown = |key: &[u8]| key.get(..KEY_BYTES_MAX).unwrap_or(key).to_vec();
            let key = key.map(|(db, key)| (db, shown(key)));
            self.notes.push(Note { key, left_out, what: what.to_string() });
        }
    }
}

fn words(mended: &[(&'static str, u64)]) -> String {
    let mut words = String::new();
    for (what, times) in mended {
        if !words.is_empty() {
            words.push_str(", ");
        }
        words.push_str(what);
        if *times > 1 {
            words.push_str(" (");
            words.push_str(&times.to_string());
            words.push_str(" times)");
        }
    }
    words
}
