//! Which keys change: for clients that wait for them, and for those that keep copies.
//!
//! Noted at the mutation point while somebody wants to know, key by key in the order of the
//! changes. A key that changes often is noted often.

use super::Keyspace;
use crate::db::Db;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Stands for a change that no client's command has made.
const NOBODY: u32 = u32::MAX;

/// See the module.
#[derive(Debug, Default)]
pub struct Changed {
    /// The entry that changed them.
    pub index: u64,
    /// Keys that changed, in order.
    pub keys: Vec<(Db, Box<[u8]>)>,
    /// Databases of which any key may have (a bit each): they were emptied, or changed places.
    pub dbs: u16,
    /// For each of the keys, which command has changed it.
    by: Vec<u32>,
    /// The command that is applied now,
    now: u32,
    /// and how many of clients were before it.
    commands: u32,
}

impl Changed {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.dbs == 0
    }

    /// Whether any key of this database may have changed.
    pub fn is_all_of(&self, db: Db) -> bool {
        self.dbs & (1 << db.0) != 0
    }

    /// The keys, each with the command that changed it, by its number among the commands of the
    /// entry that clients sent ([`Plan::places`]). None: its time was over, or somebody who waited
    /// was served.
    ///
    /// [`Plan::places`]: crate::Plan::places
    pub fn by_command(&self) -> impl Iterator<Item = (&[u8], Option<u32>)> {
        let keys = self.keys.iter().map(|(_, key)| &key[..]);
        keys.zip(self.by.iter().map(|by| (*by != NOBODY).then_some(*by)))
    }

    pub(super) fn key(&mut self, db: Db, key: &[u8]) {
        self.keys.push((db, key.into()));
        self.by.push(self.now);
    }

    pub(super) fn all_of(&mut self, db: Db) {
        self.dbs |= 1 << db.0;
    }
}

impl Keyspace {
    /// Whether changes are noted from now on; entries then give them ([`Effects::changed`]). No
    /// part of the state.
    ///
    /// [`Effects::changed`]: crate::Effects::changed
    pub fn note_changes(&mut self, wanted: bool) {
        if wanted != self.changed.is_some() {
            self.changed = wanted.then(Box::default);
        }
    }

    /// The next command of an entry is applied: one that a client sent, or another.
    pub(crate) fn begin_command(&mut self, of_client: bool) {
        if let Some(changed) = &mut self.changed {
            changed.now = if of_client { changed.commands } else { NOBODY };
            changed.commands += u32::from(of_client);
        }
    }

    /// What has changed since this was asked last. Nothing, if nobody wants to know.
    pub(crate) fn take_changed(&mut self) -> Changed {
        let index = self.applied_index;
        let taken = self.changed.as_deref_mut().map(core::mem::take);
        taken.map(|changed| Changed { index, ..changed }).unwrap_or_default()
    }
}
