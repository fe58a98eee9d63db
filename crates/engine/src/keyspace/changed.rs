//! Which keys change: for clients that wait for them, and for those that keep copies.
//!
//! Noted at the mutation point while somebody wants to know, key by key in the order of the
//! changes. A key that changes often is noted often.

use super::Keyspace;
use crate::db::Db;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// See the module.
#[derive(Debug, Default)]
pub struct Changed {
    /// Keys that changed, in order.
    pub keys: Vec<(Db, Box<[u8]>)>,
    /// Databases of which any key may have (a bit each): they were emptied, or changed places.
    pub dbs: u16,
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

    pub(super) fn key(&mut self, db: Db, key: &[u8]) {
        self.keys.push((db, key.into()));
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

    /// What has changed since this was asked last. Nothing, if nobody wants to know.
    pub(crate) fn take_changed(&mut self) -> Changed {
        self.changed.as_deref_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Gives what is noted, and whether anything is, to be put back later.
    pub(super) fn changed_mut(&mut self) -> &mut Option<Box<Changed>> {
        &mut self.changed
    }
}
