//! Hashes: fields and values in turn, packed while small (`hash-max-listpack-*`), a tree of leaves
//! in hash order beyond.
//!
//! A hash never goes back to the smaller form, as in Redis. The order in which fields are seen is
//! state: as they came, or that of their hashes.
//!
//! A field may have a deadline. A large hash keeps it behind the field's value; a small one gets a
//! third column, for all fields, with the first deadline and loses it with the last. A field that
//! is due is not there for whoever looks ([`View`] and [`Open`] know the time), but it lies here
//! until an entry of the log takes it away. A hash whose last field is due is itself not there.

mod change;
mod times;

use super::members::{Elements, HashKey, hash_of};
use super::pack::{self, Item, Items};
use super::tree::Tree;
use super::{Form, Kind, Open, View};
use alloc::vec::Vec;
use times::{Ends, Times};

/// A large hash. An element is the entry of a field and that of its value, and behind them that of
/// its deadline if it has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct HashTree {
    pub(crate) fields: Tree<Elements>,
    /// Follows from the fields.
    times: Times,
}

impl Kind for HashTree {
    const FORM: Form = Form::Hash;

    fn is(form: Form) -> bool {
        matches!(form, Form::Hash | Form::TimedHash)
    }

    fn is_empty(&self) -> bool {
        self.fields.len() == 0
    }

    fn enlarge(open: &mut Open<Self>) {
        open.grow();
    }
}

impl HashTree {
    /// Sorts what was gathered; `None` if a name occurs twice.
    fn of(gathered: Elements) -> Option<Self> {
        let mut found = Self { fields: gathered.into_tree()?, times: Times::default() };
        let timed = found.fields.elements(0);
        let timed = timed.filter_map(|(hash, element)| Some((Field::of(element)?.deadline?, hash)));
        let mut timed: Vec<_> = timed.collect();
        timed.sort_unstable();
        for (at_ms, hash) in timed {
            found.times.add(at_ms, hash);
        }
        Some(found)
    }

    /// Bytes as counted for `maxmemory`.
    pub(crate) fn cost(&self) -> usize {
        self.fields.cost() + self.times.cost()
    }

    /// It for reading, whatever the time.
    pub(crate) fn view(&self) -> View<'_, Self> {
        View { form: Form::Hash, packed: &[], large: Some(self), now_ms: 0 }
    }

    /// Fields with a deadline.
    pub(crate) fn timed(&self) -> usize {
        self.times.len()
    }

    /// The fields that are due before this time, those of the earliest deadlines first.
    fn due(&self, now_ms: u64) -> impl Iterator<Item = Field<'_>> {
        self.times.before(now_ms).filter_map(|(at_ms, hash, twin)| {
            let same = self.fields.of_hash(hash).filter_map(Field::of);
            same.filter(|field| field.deadline == Some(at_ms)).nth(twin as usize)
        })
    }
}

/// A field with its value.
pub(crate) type Pair<'a> = (Item<'a>, Item<'a>);

/// A field with all that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    /// Its name.
    pub(crate) name: Item<'a>,
    /// Its value.
    pub(crate) value: Item<'a>,
    /// When it ends, Unix milliseconds; never 0.
    pub(crate) deadline: Option<u64>,
}

impl<'a> Field<'a> {
    /// The field of an element of a large hash.
    fn of(element: &'a [u8]) -> Option<Self> {
        let (name, at) = pack::first(element)?;
        let rest = element.get(at..)?;
        let (value, at) = pack::first(rest)?;
        let deadline = rest.get(at..).and_then(pack::first).and_then(|(at_ms, _)| moment(at_ms));
        Some(Self { name, value, deadline })
    }

    /// Adds the entries of its name and its value.
    pub(crate) fn encode_pair(&self, out: &mut Vec<u8>) {
        self.name.encode(out);
        self.value.encode(out);
    }

    /// Adds its entries, those of a row with a third column if it is in one.
    fn encode(&self, in_column: bool, out: &mut Vec<u8>) {
        self.encode_pair(out);
        if in_column || self.deadline.is_some() {
            Item::Int(self.deadline.unwrap_or(0).cast_signed()).encode(out);
        }
    }

    /// Its entries as an element of a large hash.
    pub(crate) fn element(&self) -> Vec<u8> {
        let mut element = Vec::with_capacity(self.name.len() + self.value.len() + 32);
        self.encode(false, &mut element);
        element
    }

    /// Whether it is there at this time: in the very millisecond of its deadline it is, as keys
    /// are.
    pub(crate) fn visible(&self, now_ms: u64) -> bool {
        self.deadline.is_none_or(|at_ms| now_ms <= at_ms)
    }

    fn pair(self) -> Pair<'a> {
        (self.name, self.value)
    }
}

/// What stands in a third column: 0 for none.
fn moment(entry: Item<'_>) -> Option<u64> {
    match entry {
        Item::Int(at_ms @ 1..) => Some(at_ms.unsigned_abs()),
        _ => None,
    }
}

/// Entries of a field in a small hash, without and with deadlines.
const STEP: usize = 2;
const TIMED_STEP: usize = 3;

impl<'a> View<'a, HashTree> {
    fn is_timed(self) -> bool {
        self.form == Form::TimedHash
    }

    /// The packed fields.
    fn row(self) -> &'a [u8] {
        let row = pack::parts(self.packed).1;
        if self.is_timed() { row.get(Ends::LEN..).unwrap_or_default() } else { row }
    }

    /// The fields of the small form, due or not.
    fn small(self) -> impl Iterator<Item = Field<'a>> {
        let (timed, mut items) = (self.is_timed(), Items::new(self.row()));
        core::iter::from_fn(move || {
            let (name, value) = (items.next()?, items.next()?);
            let deadline = if timed { moment(items.next()?) } else { None };
            Some(Field { name, value, deadline })
        })
    }

    /// All fields, due or not.
    pub(crate) fn all(self) -> impl Iterator<Item = Field<'a>> {
        let large = self.large.into_iter().flat_map(|hash| hash.fields.elements(0));
        self.small().chain(large.filter_map(|(_, element)| Field::of(element)))
    }

    /// The earliest deadline of a field.
    pub(crate) fn soonest(self) -> Option<u64> {
        match self.large {
            Some(hash) => hash.times.first(),
            None if self.is_timed() => Some(Ends::read(pack::parts(self.packed).1).soonest),
            None => None,
        }
    }

    /// When the last field ends, if every field does.
    pub(crate) fn end(self) -> Option<u64> {
        match self.large {
            Some(hash) if hash.times.len() == hash.fields.len() => hash.times.last(),
            None if self.is_timed() => {
                Some(Ends::read(pack::parts(self.packed).1).last).filter(|&at| at != Ends::NEVER)
            }
            _ => None,
        }
    }

    /// Whether a field is due.
    fn any_due(self) -> bool {
        self.soonest().is_some_and(|at_ms| at_ms < self.now_ms)
    }

    /// Some fields that are due, and whether there are more.
    pub(crate) fn due(self, most: usize) -> (Vec<Vec<u8>>, bool) {
        let large = self.large.into_iter().flat_map(|hash| hash.due(self.now_ms));
        let small = self.small().filter(|field| !field.visible(self.now_ms));
        let mut due = small.chain(large);
        let found = due.by_ref().take(most).map(|field| field.name.bytes().into_owned()).collect();
        (found, due.next().is_some())
    }

    /// Fields.
    pub(crate) fn len(self) -> usize {
        match self.large {
            Some(hash) => hash.fields.len() - hash.times.due(self.now_ms),
            None if self.any_due() => {
                self.small().filter(|field| field.visible(self.now_ms)).count()
            }
            None if self.is_timed() => pack::parts(self.packed).0 / TIMED_STEP,
            None => pack::parts(self.packed).0 / STEP,
        }
    }

    /// The field of this name, due or not.
    fn find(self, key: HashKey, name: Item<'_>) -> Option<Field<'a>> {
        match self.large {
            Some(hash) => Field::of(hash.fields.look(hash_of(key, name), name)?),
            None => self.small().find(|field| field.name == name),
        }
    }

    /// The field of this name.
    pub(crate) fn field(self, key: HashKey, name: &[u8]) -> Option<Field<'a>> {
        self.find(key, Item::of(name)).filter(|field| field.visible(self.now_ms))
    }

    /// The value of a field.
    pub(crate) fn value(self, key: HashKey, name: &[u8]) -> Option<Item<'a>> {
        self.field(key, name).map(|field| field.value)
    }

    /// Field number `at` with its value.
    pub(crate) fn get(self, at: usize) -> Option<Pair<'a>> {
        match self.large {
            _ if self.any_due() => self.iter().nth(at),
            Some(hash) => Field::of(hash.fields.element(at)?).map(Field::pair),
            None => self.small().nth(at).map(Field::pair),
        }
    }

    /// All fields with their values, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Pair<'a>> {
        self.all().filter(move |field| field.visible(self.now_ms)).map(Field::pair)
    }

    /// Some fields from a cursor on: see [`Tree::scan`]. A small hash is given whole.
    pub(crate) fn scan(self, cursor: u64, count: usize, visit: &mut dyn FnMut(Pair<'a>)) -> u64 {
        let Some(hash) = self.large else {
            self.iter().for_each(visit);
            return 0;
        };
        hash.fields.scan(cursor, count, &mut |element| {
            let field = Field::of(element).filter(|field| field.visible(self.now_ms));
            field.map(Field::pair).into_iter().for_each(&mut *visit);
        })
    }

    /// Fields by their numbers, which ascend.
    pub(crate) fn picked(self, numbers: &[usize]) -> Vec<Pair<'a>> {
        let mut found = Vec::with_capacity(numbers.len());
        let is_few = self.large.is_some() && numbers.len() < self.len() / 16;
        if is_few && !self.any_due() {
            found.extend(numbers.iter().filter_map(|&at| self.get(at)));
            return found;
        }
        let mut wanted = numbers.iter().copied().peekable();
        for (at, pair) in self.iter().enumerate() {
            if wanted.next_if_eq(&at).is_some() {
                found.push(pair);
            }
        }
        found
    }

    /// Whether a pick by position goes through all fields.
    pub(crate) fn picks_slowly(self) -> bool {
        self.any_due()
    }
}

#[cfg(test)]
mod tests;
