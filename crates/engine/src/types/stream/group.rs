//! Consumer groups: how far each has read, who its consumers are, and what was delivered and not
//! acknowledged.
//!
//! Every pending entry lies in the group's list, by id, with its consumer's number; the consumer
//! keeps the ids alone. So acknowledging, claiming and looking at one consumer's entries take
//! logarithmic time. All of it lies in trees with shared nodes.

use super::super::tree::Tree;
use super::Id;
use super::sorted::{Row, Sorted};
use alloc::sync::Arc;

/// A name, shared by all who know it.
pub(crate) type Name = Arc<[u8]>;

/// A delivered entry that is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The entry, which may be deleted meanwhile.
    pub(crate) id: Id,
    /// When it was delivered last, Unix milliseconds.
    pub(crate) time_ms: i64,
    /// How often.
    pub(crate) count: u64,
    /// To which consumer.
    pub(crate) consumer: u32,
}

impl Row for Pending {
    type Key = Id;
    type Look = Id;

    fn key(&self) -> Id {
        self.id
    }

    fn look(&self) -> &Id {
        &self.id
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Row for Id {
    type Key = Self;
    type Look = Self;

    fn key(&self) -> Self {
        *self
    }

    fn look(&self) -> &Self {
        self
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// A consumer of a group.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    /// Its name.
    pub(crate) name: Name,
    /// Its number within the group. Says nothing: it never shows.
    pub(crate) number: u32,
    /// When it last tried to read, Unix milliseconds.
    pub(crate) seen_ms: i64,
    /// When it last got something; -1: never.
    pub(crate) active_ms: i64,
    /// What it has pending.
    pub(crate) pending: Tree<Sorted<Id>>,
}

impl Row for Consumer {
    type Key = Name;
    type Look = [u8];

    fn key(&self) -> Name {
        self.name.clone()
    }

    fn look(&self) -> &[u8] {
        &self.name
    }

    fn bytes(&self) -> usize {
        /// The row, and the name's place in the list of numbers.
        const BESIDES: usize = 160;
        BESIDES + self.name.len() + self.pending.bytes()
    }
}

/// The name of a number.
#[derive(Clone, Debug)]
pub(crate) struct Numbered {
    number: u32,
    name: Name,
}

impl Row for Numbered {
    type Key = u32;
    type Look = u32;

    fn key(&self) -> u32 {
        self.number
    }

    fn look(&self) -> &u32 {
        &self.number
    }

    fn bytes(&self) -> usize {
        0
    }
}

/// A consumer group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: Name,
    /// The last entry that was delivered.
    pub(crate) last: Id,
    /// How many entries it has read; -1: nobody knows.
    pub(crate) read: i64,
    pub(super) pending: Tree<Sorted<Pending>>,
    pub(super) consumers: Tree<Sorted<Consumer>>,
    numbers: Tree<Sorted<Numbered>>,
}

impl Row for Group {
    type Key = Name;
    type Look = [u8];

    fn key(&self) -> Name {
        self.name.clone()
    }

    fn look(&self) -> &[u8] {
        &self.name
    }

    fn bytes(&self) -> usize {
        /// The row and the roots of its trees.
        const BESIDES: usize = 256;
        BESIDES + self.name.len() + self.pending.bytes() + self.consumers.bytes()
    }
}

impl Group {
    /// A group without consumers.
    pub(crate) fn new(name: &[u8], last: Id, read: i64) -> Self {
        Self {
            name: name.into(),
            last,
            read,
            pending: Tree::default(),
            consumers: Tree::default(),
            numbers: Tree::default(),
        }
    }

    /// Everything pending.
    pub(crate) fn pending(&self) -> &Tree<Sorted<Pending>> {
        &self.pending
    }

    /// Its consumers.
    pub(crate) fn consumers(&self) -> &Tree<Sorted<Consumer>> {
        &self.consumers
    }

    /// A consumer by its name.
    pub(crate) fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.consumers.get(name)
    }

    /// The name of a consumer.
    pub(crate) fn name_of(&self, number: u32) -> &[u8] {
        self.numbers.get(&number).map_or(&[], |row| &row.name)
    }

    /// Adds a consumer, if there is none of this name. Its number, and whether it is new.
    pub(crate) fn add_consumer(&mut self, name: &[u8], seen_ms: i64) -> (u32, bool) {
        if let Some(consumer) = self.consumers.get(name) {
            return (consumer.number, false);
        }
        let number = self.numbers.last().map_or(0, |last| last.number.wrapping_add(1));
        let name: Name = name.into();
        let pending = Tree::default();
        self.numbers.add(Numbered { number, name: name.clone() });
        self.consumers.add(Consumer { name, number, seen_ms, active_ms: -1, pending });
        (number, true)
    }

    /// Removes a consumer with what it has pending; how much that was. `None`: there is none.
    pub(crate) fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.take(name)?;
        self.numbers.take(&consumer.number);
        for id in consumer.pending.rows(0) {
            self.pending.take(id);
        }
        Some(consumer.pending.len())
    }

    /// Changes the times of a consumer.
    pub(crate) fn touch(&mut self, name: &[u8], seen_ms: i64, active_ms: Option<i64>) {
        self.consumers.change(name, |consumer| {
            consumer.seen_ms = seen_ms;
            consumer.active_ms = active_ms.unwrap_or(consumer.active_ms);
        });
    }

    /// An entry that is pending.
    pub(crate) fn get(&self, id: Id) -> Option<Pending> {
        self.pending.get(&id).copied()
    }

    /// Makes an entry pending as this says, whoever had it before.
    pub(crate) fn put(&mut self, new: Pending) {
        let old = self.pending.get(&new.id).copied();
        if old.is_some() {
            self.pending.change(&new.id, |row| *row = new);
        } else {
            self.pending.add(new);
        }
        let before = old.map(|old| old.consumer);
        if before == Some(new.consumer) {
            return;
        }
        if let Some(number) = before {
            self.of_consumer(number, |ids| ids.take(&new.id).is_some());
        }
        self.of_consumer(new.consumer, |ids| {
            ids.add(new.id);
            true
        });
    }

    /// Adds an entry whose consumer is still to come; false if it is there already.
    pub(crate) fn await_owner(&mut self, new: Pending) -> bool {
        let is_new = self.pending.get(&new.id).is_none();
        if is_new {
            self.pending.add(new);
        }
        is_new
    }

    /// Gives such an entry its consumer.
    pub(crate) fn own(&mut self, id: Id, consumer: u32) {
        self.pending.change(&id, |row| row.consumer = consumer);
        self.of_consumer(consumer, |ids| {
            ids.add(id);
            true
        });
    }

    /// Takes an entry off the list; false if it is not there.
    pub(crate) fn acknowledge(&mut self, id: Id) -> bool {
        let Some(old) = self.pending.take(&id) else { return false };
        self.of_consumer(old.consumer, |ids| ids.take(&id).is_some());
        true
    }

    fn of_consumer(&mut self, number: u32, work: impl FnOnce(&mut Tree<Sorted<Id>>) -> bool) {
        let Some(row) = self.numbers.get(&number) else { return };
        self.consumers.change(&row.name.clone(), |consumer| work(&mut consumer.pending));
    }
}
