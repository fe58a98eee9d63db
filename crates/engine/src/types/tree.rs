//! A counted B+-tree of packed leaves with shared nodes: the one structure of every large
//! collection.
//!
//! Elements lie in leaves of some kilobytes, which know how to hold them; the tree knows how many
//! there are below every node, so an element is found by its position (rank, index, random pick) or
//! by its key in logarithmic time. Nodes are shared: a clone of the tree costs one counter,
//! whatever its size, and a write copies only the nodes on its way that somebody else holds. So a
//! snapshot keeps a value of a million elements at no cost, and COPY is free.
//!
//! Where leaves begin and end depends on history and must never show: not in a reply, not in a
//! file. (A stream's blocks show; there a leaf's elements are the blocks.)

use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt::Debug;
use core::ops::Range;
use triomphe::{Arc, UniqueArc};

/// Most children of a node.
const FANOUT: usize = 32;

/// Some consecutive elements.
pub(crate) trait Leaf: Clone + Default + Debug {
    /// What elements are ordered by; `()` where only positions count. Elements of equal keys lie in
    /// one leaf.
    type Key: Clone + Debug;
    /// A leaf with more elements is split.
    const ITEMS_MAX: usize;
    /// A leaf of more bytes is split, if it has more than one element.
    const BYTES_MAX: usize;

    /// Elements.
    fn len(&self) -> usize;

    /// Bytes that the elements take.
    fn bytes(&self) -> usize;

    /// Key of the first element, or of none.
    fn first(&self) -> Self::Key;

    /// Takes the elements from `at` on out, or from near it where equal keys must stay together;
    /// none if nothing can be parted.
    fn split_off(&mut self, at: usize) -> Self;

    /// Adds what follows.
    fn join(&mut self, next: &Self);

    /// Removes elements.
    fn remove(&mut self, part: Range<usize>);
}

#[derive(Debug)]
enum Node<L: Leaf> {
    Leaf(Arc<L>),
    Inner(Arc<Vec<Child<L>>>),
}

/// A part of a node.
#[derive(Clone, Debug)]
struct Child<L: Leaf> {
    /// No element here has a lower key, and none before has one as high. Of a node's first child it
    /// says nothing: lower ones may have come, and higher ones behind it may have gone and come
    /// again as another child.
    first: L::Key,
    len: usize,
    node: Node<L>,
}

impl<L: Leaf> Clone for Node<L> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(leaf) => Self::Leaf(leaf.clone()),
            Self::Inner(children) => Self::Inner(children.clone()),
        }
    }
}

impl<L: Leaf> Child<L> {
    fn leaf(leaf: L) -> Self {
        Self { first: leaf.first(), len: leaf.len(), node: Node::Leaf(Arc::new(leaf)) }
    }

    fn inner(children: Vec<Self>) -> Option<Self> {
        let first = children.first()?.first.clone();
        let len = children.iter().map(|child| child.len).sum();
        Some(Self { first, len, node: Node::Inner(Arc::new(children)) })
    }

    /// Divides what has grown too large; the upper part.
    fn split(&mut self) -> Option<Self> {
        let upper = self.split_node()?;
        // A first child may hold lower keys than it says, and the upper part would come before it.
        self.first = self.node.first()?;
        Some(upper)
    }

    fn is_too_large(&self) -> bool {
        match &self.node {
            Node::Leaf(leaf) => {
                leaf.len() > L::ITEMS_MAX || leaf.bytes() > L::BYTES_MAX && leaf.len() > 1
            }
            Node::Inner(children) => children.len() > FANOUT,
        }
    }

    fn split_node(&mut self) -> Option<Self> {
        if !self.is_too_large() {
            return None;
        }
        match &mut self.node {
            Node::Leaf(leaf) => {
                let leaf = Arc::make_mut(leaf);
                let upper = leaf.split_off(leaf.len() / 2);
                self.len = leaf.len();
                (upper.len() > 0).then(|| Self::leaf(upper))
            }
            Node::Inner(children) => {
                let children = Arc::make_mut(children);
                let upper = Self::inner(children.split_off(children.len() / 2))?;
                self.len -= upper.len;
                Some(upper)
            }
        }
    }

    /// Whether two neighbours together would be half full at most.
    fn may_join(&self, next: &Self) -> bool {
        match (&self.node, &next.node) {
            (Node::Leaf(one), Node::Leaf(other)) => {
                self.len + next.len <= L::ITEMS_MAX / 2
                    && one.bytes() + other.bytes() <= L::BYTES_MAX / 2
            }
            (Node::Inner(one), Node::Inner(other)) => one.len() + other.len() <= FANOUT / 2,
            _ => false,
        }
    }

    fn join(&mut self, mut next: Self) {
        self.len += next.len;
        match (&mut self.node, &mut next.node) {
            (Node::Leaf(one), Node::Leaf(other)) => Arc::make_mut(one).join(other),
            (Node::Inner(one), Node::Inner(other)) => {
                let mut other = core::mem::take(Arc::make_mut(other));
                no_longer_first(&mut other);
                Arc::make_mut(one).append(&mut other);
            }
            _ => {}
        }
    }
}

impl<L: Leaf> Node<L> {
    /// What others share stays.
    fn free(self, pause: &mut dyn FnMut()) {
        match self {
            Self::Leaf(leaf) => {
                drop(leaf);
                pause();
            }
            Self::Inner(children) => {
                let children = Arc::into_unique(children).map(UniqueArc::into_inner);
                children.into_iter().flatten().for_each(|child| child.node.free(pause));
            }
        }
    }

    fn first(&self) -> Option<L::Key> {
        match self {
            Self::Leaf(leaf) => Some(leaf.first()),
            Self::Inner(children) => children.first()?.node.first(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.len() == 0,
            Self::Inner(children) => children.is_empty(),
        }
    }
}

/// Makes what a first child says of its keys true, before another one comes in front of it.
fn no_longer_first<L: Leaf>(children: &mut [Child<L>]) {
    if let Some(child) = children.first_mut()
        && let Some(first) = child.node.first()
    {
        child.first = first;
    }
}

/// Brings a child of a node back into bounds after it was changed.
fn mend<L: Leaf>(children: &mut Vec<Child<L>>, at: usize) {
    let Some(child) = children.get_mut(at) else { return };
    if child.node.is_empty() {
        // Without children its parent takes it out in turn.
        children.remove(at);
        return;
    }
    // Where one element is large, halves may be too large still.
    while let Some(upper) = children.get_mut(at).and_then(Child::split) {
        children.insert(at + 1, upper);
        mend(children, at + 1);
    }
    for left in [at, at.wrapping_sub(1)] {
        if let Some([one, next]) = children.get(left..).and_then(|rest| rest.first_chunk())
            && one.may_join(next)
        {
            let next = children.remove(left + 1);
            if let Some(one) = children.get_mut(left) {
                one.join(next);
            }
            return;
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Tree<L: Leaf> {
    root: Node<L>,
    len: usize,
    bytes: usize,
}

impl<L: Leaf> Default for Tree<L> {
    fn default() -> Self {
        Self { root: Node::Leaf(Arc::default()), len: 0, bytes: 0 }
    }
}

impl<L: Leaf> Tree<L> {
    /// Drops it leaf by leaf: see [`Garbage::free`](crate::Garbage::free).
    pub(crate) fn free(self, pause: &mut dyn FnMut()) {
        self.root.free(pause);
    }

    /// Elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of all leaves' elements. Does not depend on where leaves begin and end, if a leaf's do
    /// not.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The leaf in which element `at` is, and which element of it that is; the last leaf for
    /// positions beyond the end.
    pub(crate) fn at(&self, at: usize) -> (&L, usize) {
        let mut at = at;
        let leaf = self.descend(&mut |children| by_position(children, &mut at));
        (leaf, at)
    }

    /// The leaf in which an element belongs. `not_above` says whether a key is at most that of the
    /// element.
    pub(crate) fn leaf(&self, not_above: impl Fn(&L::Key) -> bool) -> &L {
        self.descend(&mut |children| by_key(children, &not_above))
    }

    /// The same, and the position of that leaf's first element.
    pub(crate) fn find(&self, not_above: impl Fn(&L::Key) -> bool) -> (&L, usize) {
        let mut base = 0;
        let leaf = self.descend(&mut |children| {
            let at = by_key(children, &not_above);
            base += children.iter().take(at).map(|child| child.len).sum::<usize>();
            at
        });
        (leaf, base)
    }

    fn descend(&self, choose: &mut impl FnMut(&[Child<L>]) -> usize) -> &L {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf,
                Node::Inner(children) => match children.get(choose(children)) {
                    Some(child) => node = &child.node,
                    // Never: a node has children, and one of them is chosen.
                    None => return self.at(0).0,
                },
            }
        }
    }

    /// The leaves from that of element `from` on, each with the position of its first element.
    pub(crate) fn leaves(&self, from: usize) -> impl Iterator<Item = (&L, usize)> {
        let mut next = from;
        core::iter::from_fn(move || {
            if next >= self.len {
                return None;
            }
            let (leaf, within) = self.at(next);
            let base = next - within;
            next = base + leaf.len().max(1);
            Some((leaf, base))
        })
    }

    /// The leaves before element `until` and that of it, from the back, each with the position of
    /// its first element.
    pub(crate) fn leaves_back(&self, until: usize) -> impl Iterator<Item = (&L, usize)> {
        let mut end = until.saturating_add(1).min(self.len);
        core::iter::from_fn(move || {
            let last = end.checked_sub(1)?;
            let (leaf, within) = self.at(last);
            end = last - within;
            Some((leaf, end))
        })
    }

    /// Changes the leaf in which element `at` is (the last one for the end); `work` also gets which
    /// element of it that is.
    pub(crate) fn edit_at<R>(&mut self, at: usize, work: impl FnOnce(&mut L, usize) -> R) -> R {
        // What is left of the position below the last node is the one within the leaf.
        let at = Cell::new(at);
        let mut choose = |children: &[Child<L>]| {
            let mut left = at.get();
            let number = by_position(children, &mut left);
            at.set(left);
            number
        };
        self.edit(&mut choose, |leaf| work(Arc::make_mut(leaf), at.get()))
    }

    /// Changes the leaf in which an element belongs; see [`Tree::leaf`].
    pub(crate) fn edit_find<R>(
        &mut self,
        not_above: impl Fn(&L::Key) -> bool,
        work: impl FnOnce(&mut L) -> R,
    ) -> R {
        self.edit(&mut |children| by_key(children, &not_above), |leaf| work(Arc::make_mut(leaf)))
    }

    fn edit<R>(
        &mut self,
        choose: &mut impl FnMut(&[Child<L>]) -> usize,
        work: impl FnOnce(&mut Arc<L>) -> R,
    ) -> R {
        let (result, len, bytes) = edit_node(&mut self.root, choose, work);
        self.len = self.len.saturating_add_signed(len);
        self.bytes = self.bytes.saturating_add_signed(bytes);
        self.mend_root();
        result
    }

    fn mend_root(&mut self) {
        match &mut self.root {
            Node::Leaf(leaf) => {
                if leaf.len() <= L::ITEMS_MAX && (leaf.bytes() <= L::BYTES_MAX || leaf.len() < 2) {
                    return;
                }
                let whole = Node::Leaf(core::mem::take(leaf));
                self.root_of(whole);
            }
            Node::Inner(children) => match children.len() {
                0 => self.root = Node::Leaf(Arc::default()),
                1 => {
                    let mut only = core::mem::take(Arc::make_mut(children));
                    if let Some(child) = only.pop() {
                        self.root = child.node;
                        self.mend_root();
                    }
                }
                2..=FANOUT => {}
                _ => {
                    let whole = Node::Inner(core::mem::take(children));
                    self.root_of(whole);
                }
            },
        }
    }

    /// Makes a root over a node that is too large for one.
    fn root_of(&mut self, node: Node<L>) {
        let Some(first) = node.first() else { return };
        let mut children = alloc::vec![Child { first, len: self.len, node }];
        mend(&mut children, 0);
        self.root = match children.pop() {
            Some(only) if children.is_empty() => only.node,
            Some(last) => {
                children.push(last);
                Node::Inner(Arc::new(children))
            }
            None => Node::Leaf(Arc::default()),
        };
    }

    /// Changes the first leaf or the last one, if `work` wants to: it says whether it did. The way
    /// there is the cheapest there is.
    pub(crate) fn edit_end(&mut self, front: bool, work: impl FnOnce(&mut Arc<L>) -> bool) -> bool {
        self.edit(&mut |children| if front { 0 } else { children.len() }, work)
    }

    /// Adds a leaf behind all others, however full they are.
    pub(crate) fn push_back(&mut self, leaf: L) {
        self.push(leaf, false);
    }

    /// Adds a leaf in front of all others.
    pub(crate) fn push_front(&mut self, leaf: L) {
        self.push(leaf, true);
    }

    fn push(&mut self, leaf: L, front: bool) {
        if leaf.len() == 0 {
            return;
        }
        self.len += leaf.len();
        self.bytes += leaf.bytes();
        let new = Child::leaf(leaf);
        match &mut self.root {
            root if root.is_empty() => self.root = new.node,
            Node::Leaf(leaf) => {
                let leaf = core::mem::take(leaf);
                let old = Child { first: leaf.first(), len: leaf.len(), node: Node::Leaf(leaf) };
                let children = if front { [new, old] } else { [old, new] };
                self.root = Node::Inner(Arc::new(children.into()));
            }
            Node::Inner(children) => {
                push_into(Arc::make_mut(children), new, front);
                self.mend_root();
            }
        }
    }

    /// Removes elements. A leaf that goes whole is not copied, whoever shares it.
    pub(crate) fn remove_range(&mut self, start: usize, count: usize) {
        let mut left = count.min(self.len.saturating_sub(start));
        while left > 0 {
            let (leaf, within) = self.at(start);
            let (size, gone) = (leaf.len(), left.min(leaf.len() - within.min(leaf.len())));
            if gone == 0 {
                return;
            }
            let mut at = start;
            self.edit(&mut |children| by_position(children, &mut at), |leaf| {
                if gone == size {
                    *leaf = Arc::default();
                } else {
                    Arc::make_mut(leaf).remove(within..within + gone);
                }
            });
            left -= gone;
        }
    }

    /// Replaces a leaf that `at` is in, without copying the old one.
    pub(crate) fn replace_leaf(&mut self, at: usize, by: L) {
        let mut at = at;
        self.edit(&mut |children| by_position(children, &mut at), |leaf| *leaf = Arc::new(by));
    }
}

fn by_position<L: Leaf>(children: &[Child<L>], at: &mut usize) -> usize {
    let last = children.len().saturating_sub(1);
    for (number, child) in children.iter().enumerate() {
        if *at < child.len || number == last {
            return number;
        }
        *at -= child.len;
    }
    0
}

fn by_key<L: Leaf>(children: &[Child<L>], not_above: impl Fn(&L::Key) -> bool) -> usize {
    let others = children.get(1..).unwrap_or_default();
    others.partition_point(|child| not_above(&child.first))
}

/// Changes a leaf below a node; by how much elements and bytes grew.
fn edit_node<L: Leaf, R>(
    node: &mut Node<L>,
    choose: &mut impl FnMut(&[Child<L>]) -> usize,
    work: impl FnOnce(&mut Arc<L>) -> R,
) -> (R, isize, isize) {
    match node {
        Node::Leaf(leaf) => {
            let before = (leaf.len().cast_signed(), leaf.bytes().cast_signed());
            let result = work(leaf);
            let after = (leaf.len().cast_signed(), leaf.bytes().cast_signed());
            (result, after.0 - before.0, after.1 - before.1)
        }
        Node::Inner(children) => {
            let children = Arc::make_mut(children);
            let at = choose(children).min(children.len().saturating_sub(1));
            #[allow(clippy::indexing_slicing, reason = "an inner node has children")]
            let child = &mut children[at];
            let (result, len, bytes) = edit_node(&mut child.node, choose, work);
            child.len = child.len.saturating_add_signed(len);
            // What has only grown a little has no neighbours to join: they are not looked at.
            if len < 0 || bytes < 0 || child.is_too_large() {
                mend(children, at);
            }
            (result, len, bytes)
        }
    }
}

/// Adds a leaf at an end of the nodes below.
fn push_into<L: Leaf>(children: &mut Vec<Child<L>>, new: Child<L>, front: bool) {
    let at = if front { 0 } else { children.len().saturating_sub(1) };
    match children.get_mut(at) {
        Some(Child { node: Node::Inner(below), len, first, .. }) => {
            *len += new.len;
            if front {
                *first = new.first.clone();
            }
            push_into(Arc::make_mut(below), new, front);
            mend(children, at);
        }
        _ if front => {
            no_longer_first(children);
            children.insert(0, new);
        }
        _ => children.push(new),
    }
}

#[cfg(test)]
mod tests;
