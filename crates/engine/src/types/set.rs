//! Sets: numbers in a row as long as they are few (`set-max-intset-entries`), packed while small
//! (`set-max-listpack-*`), a tree of leaves in hash order beyond.
//!
//! A set never goes back to a smaller form, as in Redis. The order in which members are seen is
//! state: ascending, as they came, or that of their hashes.

use super::intset::{self, Ints};
use super::members::{Elements, HashKey, hash_of};
use super::pack::{self, Item, Items};
use super::pick;
use super::tree::{Leaf, Tree};
use super::{Form, Kind, Open, PACKED_BYTES_MAX, View};
use alloc::vec::Vec;
use core::ops::Range;
use quorate_resp::{Reply, int_text};

/// A large set.
#[derive(Clone, Debug, Default)]
pub(crate) struct SetTree(pub(crate) Tree<Elements>);

impl Kind for SetTree {
    const FORM: Form = Form::Set;

    fn is(form: Form) -> bool {
        matches!(form, Form::Set | Form::Intset)
    }

    fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    fn enlarge(open: &mut Open<Self>) {
        open.grow();
    }
}

/// The member that an element is.
fn member(element: &[u8]) -> Option<Item<'_>> {
    pack::first(element).map(|(item, _)| item)
}

impl<'a> View<'a, SetTree> {
    /// The numbers, if it is a row of them.
    pub(crate) fn ints(self) -> Ints<'a> {
        let (count, row) = pack::parts(self.packed);
        if self.form == Form::Intset { Ints::new(row, count) } else { Ints::new(&[], 0) }
    }

    /// The packed members, unless they are numbers in a row.
    fn row(self) -> &'a [u8] {
        if self.form == Form::Intset { &[] } else { pack::parts(self.packed).1 }
    }

    /// Members.
    pub(crate) fn len(self) -> usize {
        self.large.map_or_else(|| pack::parts(self.packed).0, |set| set.0.len())
    }

    /// Whether it has this member.
    pub(crate) fn has(self, key: HashKey, item: Item<'_>) -> bool {
        match (self.large, self.form, item) {
            (Some(set), ..) => set.0.look(hash_of(key, item), item).is_some(),
            (None, Form::Intset, Item::Int(number)) => self.ints().find(number).is_ok(),
            (None, Form::Intset, _) => false,
            _ => Items::new(self.row()).any(|other| other == item),
        }
    }

    /// Member number `at`.
    pub(crate) fn get(self, at: usize) -> Option<Item<'a>> {
        match (self.large, self.form) {
            (Some(set), _) => member(set.0.element(at)?),
            (None, Form::Intset) => self.ints().get(at).map(Item::Int),
            _ => Items::new(self.row()).nth(at),
        }
    }

    /// All members in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Item<'a>> {
        let large = self.large.into_iter().flat_map(|set| set.0.elements(0));
        let small = self.ints().iter().map(Item::Int).chain(Items::new(self.row()));
        small.chain(large.filter_map(|(_, element)| member(element)))
    }

    /// All members with their hashes.
    pub(crate) fn hashed(self, key: HashKey) -> impl Iterator<Item = (u32, Item<'a>)> {
        let large = self.large.into_iter().flat_map(|set| set.0.elements(0));
        let large = large.filter_map(|(hash, element)| Some((hash, member(element)?)));
        let small = self.ints().iter().map(Item::Int).chain(Items::new(self.row()));
        small.map(move |item| (hash_of(key, item), item)).chain(large)
    }

    /// Whether it has this member, whose hash is known.
    pub(crate) fn has_hashed(self, hash: u32, item: Item<'_>) -> bool {
        match self.large {
            Some(set) => set.0.look(hash, item).is_some(),
            None => self.has([0; 2], item),
        }
    }

    /// Some members from a cursor on: see [`Tree::scan`]. A small set is given whole.
    pub(crate) fn scan(self, cursor: u64, count: usize, visit: &mut dyn FnMut(Item<'a>)) -> u64 {
        let Some(set) = self.large else {
            self.iter().for_each(visit);
            return 0;
        };
        set.0.scan(cursor, count, &mut |element| member(element).into_iter().for_each(&mut *visit))
    }

    /// Members by their numbers, which ascend.
    pub(crate) fn picked(self, numbers: &[usize]) -> Vec<Item<'a>> {
        let mut found = Vec::with_capacity(numbers.len());
        if self.large.is_some() && numbers.len() < self.len() / 16 {
            found.extend(numbers.iter().filter_map(|&at| self.get(at)));
            return found;
        }
        let mut wanted = numbers.iter().copied().peekable();
        for (at, item) in self.iter().enumerate() {
            if wanted.next_if_eq(&at).is_some() {
                found.push(item);
            }
        }
        found
    }
}

/// What a change is called in the digest.
mod what {
    pub(super) const ADD: u64 = 1;
    pub(super) const REMOVE: u64 = 2;
}

impl Open<SetTree> {
    /// Members.
    pub(crate) fn len(&self) -> usize {
        self.view().len()
    }

    /// Tells what is about to be added: so many members, and the first of them. Where so many would
    /// not fit a form, it is left at once.
    pub(crate) fn expect(&mut self, first: &[u8], count: usize) {
        let fits = |max: u64| count as u64 <= max;
        let limits = self.rules.limits;
        if self.large.is_some() {
            return;
        }
        if self.pack.count() == 0 {
            let is_int = matches!(Item::of(first), Item::Int(_)) && fits(limits.set_ints);
            self.form = if is_int { Form::Intset } else { Form::Set };
        }
        let max = if self.form == Form::Intset { limits.set_ints } else { limits.set.0 };
        if !fits(max) {
            self.grow();
        }
    }

    /// Adds a member. False: it was there.
    pub(crate) fn add(&mut self, member: &[u8]) -> bool {
        let item = Item::of(member);
        let added = match (self.large.is_some(), self.form, item) {
            (true, ..) => self.add_large(item),
            (false, Form::Intset, Item::Int(number)) => self.add_int(number),
            (false, Form::Intset, _) => self.add_to_ints(item),
            _ => self.add_packed(item),
        };
        if added {
            self.note(what::ADD, member);
        }
        added
    }

    fn add_large(&mut self, item: Item<'_>) -> bool {
        let hash = hash_of(self.rules.hash_key, item);
        let Some(SetTree(tree)) = &mut self.large else { return false };
        tree.look(hash, item).is_none() && tree.put(hash, item, &item.encoded())
    }

    fn add_int(&mut self, number: i64) -> bool {
        let ints = self.view().ints();
        let Err(at) = ints.find(number) else { return false };
        let (old, count) = (ints.width(), ints.len());
        let width = intset::width_of(number).max(if count == 0 { 0 } else { old });
        let fits =
            (count as u64) < self.rules.limits.set_ints && (count + 1) * width <= PACKED_BYTES_MAX;
        if !fits {
            self.grow();
            return self.add_large(Item::Int(number));
        }
        if width > old && count > 0 {
            let row = ints.widened(width);
            self.pack.splice(0..count * old, &row, 0);
        }
        let mut bytes = Vec::with_capacity(8);
        intset::push(&mut bytes, number, width);
        self.pack.splice(at * width..at * width, &bytes, 1);
        true
    }

    /// Adds what is no number to numbers in a row: it becomes another form.
    fn add_to_ints(&mut self, item: Item<'_>) -> bool {
        let ints = self.view().ints();
        let ends = [ints.get(0), ints.get(ints.len().saturating_sub(1))];
        let digits = ends.into_iter().flatten().map(|end| int_text(end).as_bytes().len());
        let longest = digits.max().unwrap_or(0).max(item.len());
        let mut row = Vec::new();
        ints.iter().for_each(|number| Item::Int(number).encode(&mut row));
        if self.packed_fits(ints.len(), longest, row.len()) {
            let old = self.pack.row().len();
            self.form = Form::Set;
            self.pack.splice(0..old, &row, 0);
            self.add_packed(item)
        } else {
            self.grow();
            self.add_large(item)
        }
    }

    fn add_packed(&mut self, item: Item<'_>) -> bool {
        let entry = item.encoded();
        let row = self.pack.row();
        if pack::find(row, &entry, 1).is_some() {
            return false;
        }
        let end = row.len();
        if self.packed_fits(self.pack.count(), item.len(), end + entry.len()) {
            self.pack.splice(end..end, &entry, 1);
            return true;
        }
        self.grow();
        self.add_large(item)
    }

    /// Whether a member of this length may join so many packed ones, which then are so many bytes.
    fn packed_fits(&self, count: usize, length: usize, bytes: usize) -> bool {
        let (count_max, length_max) = self.rules.limits.set;
        (count as u64) < count_max && length as u64 <= length_max && bytes <= PACKED_BYTES_MAX
    }

    /// Removes a member. False: it was not there.
    pub(crate) fn remove(&mut self, member: &[u8]) -> bool {
        let item = Item::of(member);
        let removed = match &mut self.large {
            Some(SetTree(tree)) => {
                let hash = hash_of(self.rules.hash_key, item);
                let found = tree.look(hash, item).is_some();
                if found {
                    tree.replace(hash, item, &[]);
                }
                found
            }
            None => match self.packed_place(item) {
                Some(place) => {
                    self.pack.splice(place, &[], -1);
                    true
                }
                None => false,
            },
        };
        if removed {
            self.note(what::REMOVE, member);
        }
        removed
    }

    /// Where a member lies in the packed value.
    fn packed_place(&self, item: Item<'_>) -> Option<Range<usize>> {
        match (self.form, item) {
            (Form::Intset, Item::Int(number)) => {
                let ints = self.view().ints();
                let start = ints.find(number).ok()? * ints.width();
                Some(start..start + ints.width())
            }
            (Form::Intset, _) => None,
            _ => pack::find(self.pack.row(), &item.encoded(), 1).map(|(_, place)| place),
        }
    }

    /// Takes members out at random.
    pub(crate) fn pop(&mut self, count: usize, seed: &mut u64) -> Vec<Reply<'static>> {
        let numbers = match count {
            1 => Vec::from([pick::one(self.len(), seed)]),
            _ => pick::distinct(self.len(), count, seed),
        };
        let picked: Vec<Reply<'static>> =
            self.view().picked(&numbers).into_iter().map(Item::owned).collect();
        for number in &numbers {
            self.note(what::REMOVE, &(*number as u64).to_le_bytes());
        }
        match &mut self.large {
            Some(SetTree(tree)) => tree.remove_all(&numbers),
            None => self.remove_packed(&numbers),
        }
        picked
    }

    /// Removes packed members by their numbers, which ascend.
    fn remove_packed(&mut self, numbers: &[usize]) {
        let mut gone = numbers.iter().copied().peekable();
        let mut row = Vec::with_capacity(self.pack.row().len());
        let width = self.view().ints().width();
        for (at, item) in self.view().iter().enumerate() {
            match (gone.next_if_eq(&at), item) {
                (Some(_), _) => {}
                (None, Item::Int(number)) if self.form == Form::Intset => {
                    intset::push(&mut row, number, width);
                }
                (None, item) => item.encode(&mut row),
            }
        }
        let old = self.pack.row().len();
        self.pack.splice(0..old, &row, -numbers.len().cast_signed());
    }

    /// Makes it a large one, as it is.
    fn grow(&mut self) {
        if self.large.is_some() {
            return;
        }
        let mut gathered = Elements::default();
        for (hash, item) in self.view().hashed(self.rules.hash_key) {
            gathered.push(hash, &item.encoded());
        }
        // What lies here has no member twice.
        self.large = Some(SetTree(gathered.into_tree().unwrap_or_default()));
        self.form = Form::Set;
        self.pack.clear();
    }

    /// Takes members as a file has them, in its order, into an empty set. False: one occurs twice.
    pub(crate) fn fill(&mut self, gathered: Elements) -> bool {
        let (count, bytes) = (gathered.len(), gathered.bytes());
        let limits = self.rules.limits;
        let members = || gathered.from(0).filter_map(|(_, element)| member(element));
        let mut numbers: Vec<i64> = Vec::new();
        if !self.rules.as_written && count as u64 <= limits.set_ints {
            numbers.extend(members().map_while(|member| match member {
                Item::Int(number) => Some(number),
                Item::Bytes(_) => None,
            }));
        }
        let longest = members().map(Item::len).max().unwrap_or(0) as u64;
        let fits = bytes <= PACKED_BYTES_MAX
            && (self.rules.as_written || count as u64 <= limits.set.0 && longest <= limits.set.1);
        if numbers.len() == count && count * 8 <= PACKED_BYTES_MAX {
            numbers.sort_unstable();
            return self.fill_ints(&numbers);
        }
        let mut row = Vec::with_capacity(if fits { bytes } else { 0 });
        if fits {
            gathered.from(0).for_each(|(_, element)| row.extend_from_slice(element));
        }
        let Some(tree) = gathered.into_tree() else { return false };
        if fits {
            self.pack.splice(0..0, &row, count.cast_signed());
        } else {
            self.large = Some(SetTree(tree));
        }
        true
    }

    /// Takes numbers, which ascend, into an empty set as the narrowest row of them.
    pub(crate) fn fill_ints(&mut self, numbers: &[i64]) -> bool {
        let ends = [numbers.first(), numbers.last()];
        let width = ends.into_iter().flatten().map(|&end| intset::width_of(end)).max();
        let mut row = Vec::with_capacity(numbers.len() * 8);
        for &number in numbers {
            intset::push(&mut row, number, width.unwrap_or(2));
        }
        self.fill_row(&row, numbers.len())
    }

    /// Takes a row of numbers into an empty set. False: they do not ascend.
    pub(crate) fn fill_row(&mut self, row: &[u8], count: usize) -> bool {
        let ints = Ints::new(row, count);
        if !ints.iter().is_sorted_by(|one, next| one < next) {
            return false;
        }
        let limits = self.rules.limits;
        let too_many = !self.rules.as_written && count as u64 > limits.set_ints;
        if too_many || row.len() > PACKED_BYTES_MAX {
            let mut gathered = Elements::default();
            for item in ints.iter().map(Item::Int) {
                gathered.push(hash_of(self.rules.hash_key, item), &item.encoded());
            }
            self.large = gathered.into_tree().map(SetTree);
        } else {
            self.form = Form::Intset;
            self.pack.splice(0..0, row, count.cast_signed());
        }
        true
    }

    /// Adds a member that a file has behind those that made the set large. False: it is there.
    pub(crate) fn add_read(&mut self, hash: u32, element: &[u8]) -> bool {
        let (Some(SetTree(tree)), Some(item)) = (&mut self.large, member(element)) else {
            return false;
        };
        let is_new = tree.look(hash, item).is_none();
        if is_new {
            tree.insert(hash, item, element);
        }
        is_new
    }
}

#[cfg(test)]
mod tests;
