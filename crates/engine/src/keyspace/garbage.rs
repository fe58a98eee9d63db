//! What leaves the keyspace and takes long to free.
//!
//! Apply must not wait for that, so it hands such values out, and a thread of the least priority
//! drops them piece by piece.

use super::database::Database;
use super::record::Record;
use crate::rdb::Output;
use alloc::boxed::Box;

/// Large values, emptied databases and the like on their way out; only to be dropped, away from
/// the apply path.
#[derive(Debug)]
pub struct Garbage(pub(crate) Waste);

/// What [`Garbage`] holds.
#[derive(Debug)]
pub(crate) enum Waste {
    /// A value of many blocks.
    Record(Record),
    /// A whole database.
    Database(Box<Database>),
    /// What was written of a snapshot that was given up.
    Output(Box<Output>),
}

impl Garbage {
    /// Drops it piece by piece. `pause` is called behind each piece, which takes some microseconds:
    /// there whoever frees may let others go first.
    pub fn free(self, pause: &mut dyn FnMut()) {
        match self.0 {
            Waste::Record(record) => record.free(pause),
            Waste::Database(database) => database.table.free(pause),
            Waste::Output(output) => drop(output),
        }
    }
}
