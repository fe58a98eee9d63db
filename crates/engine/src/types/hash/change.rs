//! Changing a hash.
//!
//! A small hash without deadlines is changed where it lies. One with deadlines is written anew by
//! every change: it is short.

use super::{Ends, Field, HashTree, STEP, TIMED_STEP};
use crate::db::Deadline;
use crate::types::members::{Elements, hash_of};
use crate::types::pack::{self, Item};
use crate::types::tree::Leaf;
use crate::types::{Form, Open, PACKED_BYTES_MAX};
use alloc::vec::Vec;

/// What a change is called in the digest.
mod what {
    pub(super) const FIELD: u64 = 1;
    pub(super) const VALUE: u64 = 2;
    pub(super) const REMOVE: u64 = 3;
    pub(super) const DEADLINE: u64 = 4;
}

/// What becomes of one field of a small hash.
#[derive(Clone, Copy)]
enum Change<'a> {
    /// It goes.
    Gone,
    /// It is this, added at the end if it was not there.
    Put(Field<'a>),
    /// Its deadline is this.
    Deadline(Option<u64>),
}

/// A small hash as it will be.
struct Small {
    row: Vec<u8>,
    /// Entries of the row.
    count: usize,
    form: Form,
}

impl Small {
    fn of(fields: &[Field<'_>]) -> Self {
        let timed = fields.iter().any(|field| field.deadline.is_some());
        let mut found = Self { row: Vec::new(), count: 0, form: Form::Hash };
        let mut ends = Ends::NONE;
        if timed {
            found.form = Form::TimedHash;
            found.row.resize(Ends::LEN, 0);
        }
        for field in fields {
            field.encode(timed, &mut found.row);
            found.count += if timed { TIMED_STEP } else { STEP };
            ends = ends.with(field);
        }
        if timed {
            ends.write(&mut found.row);
        }
        found
    }

    fn fits(&self) -> bool {
        self.row.len() <= PACKED_BYTES_MAX
    }
}

impl Open<HashTree> {
    /// Tells what is about to be set, fields and values in turn. Where so much would not fit the
    /// small form, it is left at once.
    pub(crate) fn expect<'b>(&mut self, pairs: impl Iterator<Item = &'b [u8]>) {
        let (count_max, length_max) = self.rules.limits.hash;
        for (at, part) in (0_u64..).zip(pairs) {
            if part.len() as u64 > length_max || at / STEP as u64 >= count_max {
                self.grow();
                return;
            }
        }
    }

    /// Sets a field, which then has no deadline. True: it is new.
    pub(crate) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.put(field, value, Deadline::Clear)
    }

    /// Sets a field and its deadline. True: it is new.
    pub(crate) fn put(&mut self, field: &[u8], value: &[u8], deadline: Deadline) -> bool {
        self.note(what::FIELD, field);
        self.note(what::VALUE, value);
        let (name, value) = (Item::of(field), Item::of(value));
        let is_plain = self.large.is_none() && self.form == Form::Hash;
        if is_plain && !matches!(deadline, Deadline::At(_)) {
            if let Some(is_new) = self.set_packed(name, value) {
                return is_new;
            }
            self.grow();
        }
        let set = self.large.is_none().then(|| self.put_small(name, value, deadline)).flatten();
        let (is_new, at_ms) = set.unwrap_or_else(|| {
            self.grow();
            let (key, now_ms) = (self.rules.hash_key, self.rules.now_ms);
            let hash = self.large.get_or_insert_default();
            hash.set(hash_of(key, name), (name, value), (deadline, now_ms))
        });
        if let Some(at_ms) = at_ms {
            self.note(what::DEADLINE, &at_ms.to_le_bytes());
        }
        is_new
    }

    /// Sets a field in the small form: whether it is new, and its deadline. `None`: it does not fit
    /// there.
    fn put_small(
        &mut self,
        name: Item<'_>,
        value: Item<'_>,
        deadline: Deadline,
    ) -> Option<(bool, Option<u64>)> {
        let (count_max, length_max) = self.rules.limits.hash;
        let old = self.view().find(self.rules.hash_key, name);
        let step = if self.form == Form::TimedHash { TIMED_STEP } else { STEP };
        let count = self.pack.count() / step + usize::from(old.is_none());
        if name.len().max(value.len()) as u64 > length_max || count as u64 > count_max {
            return None;
        }
        let (is_new, deadline) = after(deadline, old, self.rules.now_ms);
        let put = Change::Put(Field { name, value, deadline });
        self.change_small(name, put).then_some((is_new, deadline))
    }

    /// Changes one field of the small form. False: that would no longer fit there, and nothing has
    /// happened.
    fn change_small(&mut self, name: Item<'_>, change: Change<'_>) -> bool {
        let fields = self.view().small().filter_map(|field| match change {
            _ if field.name != name => Some(field),
            Change::Gone => None,
            Change::Put(new) => Some(new),
            Change::Deadline(deadline) => Some(Field { deadline, ..field }),
        });
        let mut fields: Vec<Field<'_>> = fields.collect();
        if let Change::Put(new) = change
            && !fields.iter().any(|field| field.name == name)
        {
            fields.push(new);
        }
        let small = Small::of(&fields);
        small.fits() && self.take_small(&small)
    }

    /// Becomes this; always true.
    fn take_small(&mut self, small: &Small) -> bool {
        let (length, count) = (self.pack.row().len(), self.pack.count());
        let added = small.count.cast_signed() - count.cast_signed();
        self.pack.splice(0..length, &small.row, added);
        self.form = small.form;
        true
    }

    /// Sets a field in the small form without deadlines; `None` if it does not fit there.
    fn set_packed(&mut self, name: Item<'_>, value: Item<'_>) -> Option<bool> {
        let (count_max, length_max) = self.rules.limits.hash;
        let (row, count) = (self.pack.row(), self.pack.count());
        if name.len().max(value.len()) as u64 > length_max {
            return None;
        }
        let field = name.encoded();
        let found = pack::find(row, &field, STEP);
        let is_new = found.is_none();
        let (place, entries) = match found {
            Some((_, place)) => {
                let old = row.get(place.end..).and_then(pack::first).map_or(0, |(_, len)| len);
                (place.end..place.end + old, value.encoded().to_vec())
            }
            None => (row.len()..row.len(), Field { name, value, deadline: None }.element()),
        };
        let count = count + if is_new { STEP } else { 0 };
        let bytes = row.len() + entries.len() - place.len();
        if (count / STEP) as u64 > count_max || bytes > PACKED_BYTES_MAX {
            return None;
        }
        self.pack.splice(place, &entries, if is_new { STEP.cast_signed() } else { 0 });
        Some(is_new)
    }

    /// Removes a field. False: it was not there.
    pub(crate) fn remove(&mut self, field: &[u8]) -> bool {
        let now_ms = self.rules.now_ms;
        self.take_if(field, |found| found.visible(now_ms))
    }

    /// Removes a field that is due. False: there is none of this name, or it is not due.
    pub(crate) fn expire(&mut self, field: &[u8]) -> bool {
        let now_ms = self.rules.now_ms;
        self.take_if(field, |found| !found.visible(now_ms))
    }

    fn take_if(&mut self, field: &[u8], is_wanted: impl FnOnce(Field<'_>) -> bool) -> bool {
        let name = Item::of(field);
        let removed = if let Some(hash) = &mut self.large {
            hash.take_if(hash_of(self.rules.hash_key, name), name, is_wanted)
        } else if self.form == Form::TimedHash {
            let found = self.view().small().find(|field| field.name == name);
            found.is_some_and(is_wanted) && self.change_small(name, Change::Gone)
        } else {
            let found = pack::find(self.pack.row(), &name.encoded(), STEP);
            let found = found.filter(|_| is_wanted(Field { name, value: name, deadline: None }));
            if let Some((_, place)) = &found {
                let rest = self.pack.row().get(place.end..);
                let value = rest.and_then(pack::first).map_or(0, |(_, len)| len);
                self.pack.splice(place.start..place.end + value, &[], -STEP.cast_signed());
            }
            found.is_some()
        };
        if removed {
            self.note(what::REMOVE, field);
        }
        removed
    }

    /// Sets or clears the deadline of a field that is there.
    pub(crate) fn set_deadline(&mut self, field: &[u8], deadline: Option<u64>) {
        self.note(what::DEADLINE, field);
        self.note(what::DEADLINE, &deadline.unwrap_or(0).to_le_bytes());
        let (name, key) = (Item::of(field), self.rules.hash_key);
        if self.large.is_none() && !self.change_small(name, Change::Deadline(deadline)) {
            self.grow();
        }
        if let Some(hash) = &mut self.large {
            hash.set_deadline(hash_of(key, name), name, deadline);
        }
    }

    /// Makes it a large one, as it is.
    pub(super) fn grow(&mut self) {
        if self.large.is_some() {
            return;
        }
        let mut gathered = Elements::default();
        for field in self.view().all() {
            gathered.push(hash_of(self.rules.hash_key, field.name), &field.element());
        }
        // What lies here has no field twice.
        self.large = Some(HashTree::of(gathered).unwrap_or_default());
        self.pack.clear();
        self.form = Form::Hash;
    }

    /// Takes fields as a file has them, in its order, into an empty hash; `small` if they were
    /// packed there. False: one occurs twice.
    pub(crate) fn fill(&mut self, gathered: Elements, small: bool) -> bool {
        let (count_max, length_max) = self.rules.limits.hash;
        let fields = gathered.from(0).filter_map(|(_, element)| Field::of(element));
        let fields: Vec<Field<'_>> = fields.collect();
        let longest = fields.iter().map(|field| field.name.len().max(field.value.len())).max();
        let may = if self.rules.as_written {
            small
        } else {
            fields.len() as u64 <= count_max && longest.unwrap_or(0) as u64 <= length_max
        };
        let is_short = gathered.bytes() <= PACKED_BYTES_MAX;
        let packed = (may && is_short).then(|| Small::of(&fields)).filter(Small::fits);
        let Some(hash) = HashTree::of(gathered) else { return false };
        if let Some(small) = packed {
            return self.take_small(&small);
        }
        self.large = Some(hash);
        true
    }

    /// Adds a field that a file has behind those that made the hash large. False: it is there.
    pub(crate) fn add_read(&mut self, element: &[u8]) -> bool {
        let (Some(tree), Some(field)) = (&mut self.large, Field::of(element)) else {
            return false;
        };
        let hash = hash_of(self.rules.hash_key, field.name);
        let is_new = tree.fields.look(hash, field.name).is_none();
        if is_new {
            tree.fields.insert(hash, field.name, element);
            tree.retime(hash, None, field.deadline);
        }
        is_new
    }

    /// Takes deadlines of fields, which are given by their numbers in ascending order. False: there
    /// is no field of some number.
    pub(crate) fn add_deadlines(&mut self, deadlines: &[(usize, u64)]) -> bool {
        let mut wanted = deadlines.iter().copied().peekable();
        if self.large.is_none() {
            let fields = self.view().small().enumerate().map(|(at, field)| {
                let found = wanted.next_if(|&(number, _)| number == at);
                Field { deadline: found.map(|(_, at_ms)| at_ms).or(field.deadline), ..field }
            });
            let fields: Vec<Field<'_>> = fields.collect();
            let small = Small::of(&fields);
            if small.fits() {
                return self.take_small(&small) && wanted.peek().is_none();
            }
            self.grow();
            wanted = deadlines.iter().copied().peekable();
        }
        let key = self.rules.hash_key;
        let Some(hash) = &mut self.large else { return false };
        wanted.all(|(number, at_ms)| {
            let Some(element) = hash.fields.element(number).map(<[u8]>::to_vec) else {
                return false;
            };
            if let Some(Field { name, .. }) = Field::of(&element) {
                hash.set_deadline(hash_of(key, name), name, Some(at_ms));
            }
            true
        })
    }
}

/// Whether a field is new that is set, and its deadline then. `old` is what lies there, due or not.
fn after(deadline: Deadline, old: Option<Field<'_>>, now_ms: u64) -> (bool, Option<u64>) {
    let seen = old.filter(|old| old.visible(now_ms));
    let deadline = match deadline {
        Deadline::Keep => seen.and_then(|old| old.deadline),
        Deadline::Clear => None,
        Deadline::At(at_ms) => Some(at_ms),
    };
    (seen.is_none(), deadline)
}

impl HashTree {
    /// Sets a field: whether it is new, and its deadline.
    pub(super) fn set(
        &mut self,
        hash: u32,
        (name, value): (Item<'_>, Item<'_>),
        (deadline, now_ms): (Deadline, u64),
    ) -> (bool, Option<u64>) {
        if self.timed() == 0 && !matches!(deadline, Deadline::At(_)) {
            // No deadline was there, none comes: one way down the tree.
            let mut element = name.encoded();
            element.add(value);
            return (self.fields.put(hash, name, &element), None);
        }
        let old = self.fields.look(hash, name).and_then(Field::of);
        let (is_new, deadline) = after(deadline, old, now_ms);
        let (lies, old) = (old.is_some(), old.and_then(|old| old.deadline));
        let element = Field { name, value, deadline }.element();
        if lies {
            self.fields.replace(hash, name, &element);
        } else {
            self.fields.insert(hash, name, &element);
        }
        self.retime(hash, old, deadline);
        (is_new, deadline)
    }

    /// Removes a field that lies here, if it is wanted.
    pub(super) fn take_if(
        &mut self,
        hash: u32,
        name: Item<'_>,
        is_wanted: impl FnOnce(Field<'_>) -> bool,
    ) -> bool {
        let found = self.fields.look(hash, name).and_then(Field::of);
        let Some(field) = found else { return false };
        let deadline = field.deadline;
        let is_wanted = is_wanted(field);
        if is_wanted {
            self.fields.replace(hash, name, &[]);
            self.retime(hash, deadline, None);
        }
        is_wanted
    }

    /// Sets the deadline of a field that lies here.
    pub(super) fn set_deadline(&mut self, hash: u32, name: Item<'_>, deadline: Option<u64>) {
        let found = self.fields.look(hash, name).and_then(Field::of);
        let Some(field) = found else { return };
        let (old, element) = (field.deadline, Field { deadline, ..field }.element());
        self.fields.replace(hash, name, &element);
        self.retime(hash, old, deadline);
    }

    fn retime(&mut self, hash: u32, old: Option<u64>, new: Option<u64>) {
        if old == new {
            return;
        }
        if let Some(at_ms) = old {
            self.times.remove(at_ms, hash);
        }
        if let Some(at_ms) = new {
            self.times.add(at_ms, hash);
        }
    }
}
