//! The keys of one hash slot: pages in the order of the keyed hash, under a radix tree when there
//! are many.
//!
//! A full page splits by the next bit of the hash; a list of more than 32 pages becomes a node of
//! sixteen such lists, by the next four bits. So nothing ever rehashes or moves as a whole: a hash
//! tag that holds five million keys costs three steps through small nodes, and no insertion takes
//! longer than moving a few page headers.

use super::page::{JOIN_MAX, PAGE_MAX, Page};
use super::record::Record;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Most pages of a list.
const LIST_MAX: usize = 32;
/// Children of a node, and the bits of the hash that choose among them.
const FAN: usize = 16;
const FAN_BITS: u8 = 4;

/// Invariants: pages are in order, and together they cover the range of hashes that is theirs (all,
/// or what the nodes above leave); none of the children of a node is empty; a list in a node has
/// pages at least as deep as the node.
#[derive(Debug, Default)]
pub(super) enum Slot {
    /// No key, no memory.
    #[default]
    Empty,
    /// What nearly all slots are.
    List(Vec<Page>),
    /// More than 32 pages.
    Node(Box<[Slot; FAN]>),
}

impl Slot {
    /// The page where a hash belongs.
    pub(super) fn page(&self, hash: u32) -> Option<&Page> {
        let mut slot = self;
        let mut level = 0;
        loop {
            match slot {
                Self::Empty => return None,
                Self::List(pages) => return pages.get(place(pages, hash)),
                Self::Node(children) => slot = children.get(child(hash, level))?,
            }
            level += 1;
        }
    }

    pub(super) fn get(&self, hash: u32, key: &[u8]) -> Option<&Record> {
        let page = self.page(hash)?;
        page.find(hash, key).ok().and_then(|at| page.record(at))
    }

    /// Drops all records: see [`Garbage::free`](super::Garbage::free).
    pub(super) fn free(self, pause: &mut dyn FnMut()) {
        match self {
            Self::Empty => {}
            Self::List(pages) => pages.into_iter().for_each(|page| page.free(pause)),
            Self::Node(children) => children.into_iter().for_each(|child| child.free(pause)),
        }
    }

    /// The list of pages where a hash belongs, and its level.
    fn list_mut(&mut self, hash: u32) -> (&mut Slot, u8) {
        let mut slot = self;
        let mut level = 0;
        while let Self::Node(children) = slot {
            #[allow(clippy::indexing_slicing, reason = "`child` is below 16")]
            let next = &mut children[child(hash, level)];
            slot = next;
            level += 1;
        }
        (slot, level)
    }

    /// The page where a hash belongs, to change its records but for their keys.
    pub(super) fn page_mut(&mut self, hash: u32) -> Option<&mut Page> {
        let (Self::List(pages), _) = self.list_mut(hash) else { return None };
        let number = place(pages, hash);
        pages.get_mut(number)
    }

    pub(super) fn get_mut(&mut self, hash: u32, key: &[u8]) -> Option<&mut Record> {
        let page = self.page_mut(hash)?;
        page.find(hash, key).ok().and_then(|at| page.entry_mut(at))
    }

    /// Puts a record; gives back the one of the same key that it replaced.
    pub(super) fn insert(&mut self, hash: u32, record: Record) -> Option<Record> {
        if matches!(self, Self::Empty) {
            *self = Self::List(alloc::vec![Page::default()]);
        }
        loop {
            let (slot, level) = self.list_mut(hash);
            let Self::List(pages) = slot else { return None };
            let number = place(pages, hash);
            let page = pages.get_mut(number)?;
            match page.find(hash, record.key()) {
                Ok(at) => return page.entry_mut(at).map(|old| core::mem::replace(old, record)),
                Err(at) if page.len() < PAGE_MAX || page.depth() == 32 => {
                    page.insert(at, hash, record);
                    return None;
                }
                Err(_) => split(pages, number),
            }
            if pages.len() > LIST_MAX {
                *slot = Self::Node(spread(core::mem::take(pages), level));
            }
        }
    }

    /// Takes a record out; a slot without keys becomes empty by its owner, who counts them.
    pub(super) fn remove(&mut self, hash: u32, key: &[u8]) -> Option<Record> {
        let (Self::List(pages), level) = self.list_mut(hash) else { return None };
        let number = place(pages, hash);
        let page = pages.get_mut(number)?;
        let at = page.find(hash, key).ok()?;
        let record = page.remove(at);
        join(pages, number, level);
        if level > 0 && pages.len() == 1 {
            self.gather(hash, 0);
        }
        record
    }

    /// Turns nodes on the way to `hash` whose children are single pages back into lists, from
    /// below.
    fn gather(&mut self, hash: u32, level: u8) {
        let Self::Node(children) = self else { return };
        if let Some(next) = children.get_mut(child(hash, level)) {
            next.gather(hash, level + 1);
        }
        if !children.iter().all(|child| matches!(child, Self::List(pages) if pages.len() == 1)) {
            return;
        }
        let mut pages = Vec::with_capacity(FAN);
        for child in children.iter_mut() {
            if let Self::List(list) = child {
                pages.append(list);
            }
        }
        let mut number = 0;
        while number < pages.len() {
            number = join(&mut pages, number, level) + 1;
        }
        pages.shrink_to_fit();
        *self = Self::List(pages);
    }
}

/// Which child of a node of this level a hash belongs to.
fn child(hash: u32, level: u8) -> usize {
    (hash.checked_shl(u32::from(level * FAN_BITS)).unwrap_or_default() >> (32 - FAN_BITS)) as usize
}

/// The number of the page where a hash belongs: a guess that is right when all are equally deep,
/// then steps.
fn place(pages: &[Page], hash: u32) -> usize {
    let (Some(first), Some(last)) = (pages.first(), pages.last()) else { return 0 };
    if pages.len() == 1 {
        return 0;
    }
    let (start, end) = (u64::from(first.start()), last.end());
    let offset = u64::from(hash).saturating_sub(start);
    let guess = offset * pages.len() as u64 / (end - start).max(1);
    let mut at = (guess as usize).min(pages.len() - 1);
    while at > 0 && pages.get(at).is_some_and(|page| page.start() > hash) {
        at -= 1;
    }
    while pages.get(at + 1).is_some_and(|page| page.start() <= hash) {
        at += 1;
    }
    at
}

/// Splits a page of a list.
fn split(pages: &mut Vec<Page>, number: usize) {
    let Some(page) = pages.get_mut(number) else { return };
    let upper = page.split();
    if pages.len() == pages.capacity() {
        pages.reserve_exact(1 + pages.len() / 4);
    }
    pages.insert(number + 1, upper);
}

/// Joins a page with the one it was split from, if both are short, and so on. Gives the number of
/// what it became.
fn join(pages: &mut Vec<Page>, mut number: usize, level: u8) -> usize {
    loop {
        let Some(page) = pages.get(number) else { return number };
        if page.depth() <= level * FAN_BITS {
            return number;
        }
        let low = if page.prefix() & 1 == 0 { number } else { number.wrapping_sub(1) };
        let (Some(lower), Some(upper)) = (pages.get(low), pages.get(low + 1)) else {
            return number;
        };
        if lower.depth() != upper.depth() || lower.len() + upper.len() > JOIN_MAX {
            return number;
        }
        let upper = pages.remove(low + 1);
        if let Some(lower) = pages.get_mut(low) {
            lower.join(upper);
        }
        if pages.len() < pages.capacity() / 2 {
            pages.shrink_to(pages.len() + 1);
        }
        number = low;
    }
}

/// Makes sixteen lists of one that has grown too long.
fn spread(mut pages: Vec<Page>, level: u8) -> Box<[Slot; FAN]> {
    let mut number = 0;
    while let Some(page) = pages.get(number) {
        if page.depth() < (level + 1) * FAN_BITS {
            split(&mut pages, number);
        } else {
            number += 1;
        }
    }
    let mut lists: [Vec<Page>; FAN] = Default::default();
    for page in pages {
        if let Some(list) = lists.get_mut(child(page.start(), level)) {
            list.push(page);
        }
    }
    Box::new(lists.map(Slot::List))
}

#[cfg(test)]
impl Slot {
    /// Checks every invariant stated above; gives the number of keys.
    pub(super) fn check(&self) -> usize {
        if matches!(self, Self::Empty) {
            return 0;
        }
        let mut end = 0;
        let count = self.check_range(0, &mut end);
        assert_eq!(end, 1 << 32, "the pages cover all hashes");
        assert!(count > 0);
        count
    }

    fn check_range(&self, level: u8, end: &mut u64) -> usize {
        match self {
            Self::Empty => panic!("an empty child"),
            Self::Node(children) => {
                children.iter().map(|child| child.check_range(level + 1, end)).sum()
            }
            Self::List(pages) => {
                assert!(!pages.is_empty() && pages.len() <= LIST_MAX);
                let mut count = 0;
                for page in pages {
                    assert_eq!(u64::from(page.start()), *end);
                    assert!(page.depth() >= level * FAN_BITS);
                    page.check();
                    *end = page.end();
                    count += page.len();
                }
                count
            }
        }
    }
}
