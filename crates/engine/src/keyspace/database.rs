//! One of the sixteen databases: its keys, their deadlines, and what they cost.
//!
//! `change` keeps the parts in step; a snapshot's reader fills them without it, since the counters
//! and indexes are complete only at the end of the file.

use super::expiry::Expiry;
use super::record::Record;
use super::table::Table;
use crate::point::Point;

/// One database. Without keys it has no memory of its own.
#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) table: Table,
    pub(crate) expiry: Expiry,
    /// Hashes with deadlines of fields, by the earliest of each.
    pub(crate) field_expiry: Expiry,
    /// Sum of the records' costs.
    pub(super) used: u64,
}

impl Database {
    /// Puts a key as a snapshot gives it; its deadline comes with all others at the end
    /// ([`Expiry::fill`]). What was there already, if
    /// anything: then the snapshot is refused, and this database, whose counters are wrong now,
    /// with it.
    pub(crate) fn restore(&mut self, at: Point, record: Record) -> Option<Record> {
        self.used += record.cost();
        self.table.insert(at, record)
    }
}
