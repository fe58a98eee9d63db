//! The tree against a plain vector, and what is shared against what is copied.

use super::*;
use crate::keyspace::tests::cases;
use alloc::collections::BTreeSet;
use alloc::vec;
use proptest::prelude::*;

/// Sorted numbers; a tenth of a number is its key, so that some keys are equal.
#[derive(Clone, Debug, Default)]
struct Numbers(Vec<u32>);

impl Leaf for Numbers {
    type Key = u32;
    const ITEMS_MAX: usize = 8;
    const BYTES_MAX: usize = 64;

    fn len(&self) -> usize {
        self.0.len()
    }

    /// Every seventh is large.
    fn bytes(&self) -> usize {
        self.0.iter().map(|number| if number % 7 == 0 { 100 } else { 4 }).sum()
    }

    fn first(&self) -> u32 {
        self.0.first().map_or(0, |number| number / 10)
    }

    fn split_off(&mut self, at: usize) -> Self {
        let parted = |at: &usize| self.0[*at] / 10 != self.0[*at - 1] / 10;
        let at = (at..self.0.len()).find(parted).or((1..at).rev().find(parted));
        Self(at.map_or_else(Vec::new, |at| self.0.split_off(at)))
    }

    fn join(&mut self, next: &Self) {
        self.0.extend_from_slice(&next.0);
    }

    fn remove(&mut self, part: Range<usize>) {
        self.0.drain(part);
    }
}

fn all(tree: &Tree<Numbers>) -> Vec<u32> {
    tree.leaves(0).flat_map(|(leaf, _)| leaf.0.iter().copied()).collect()
}

fn insert(tree: &mut Tree<Numbers>, number: u32) {
    tree.edit_find(
        |&key| key <= number / 10,
        |leaf| {
            let at = leaf.0.partition_point(|&other| other <= number);
            leaf.0.insert(at, number);
        },
    );
}

/// Every count and separator below a node holds.
fn check(node: &Node<Numbers>, len: usize) {
    match node {
        Node::Leaf(leaf) => {
            assert_eq!(leaf.0.len(), len);
            let one_key = leaf.0.iter().all(|number| number / 10 == leaf.0[0] / 10);
            assert!(leaf.0.len() <= Numbers::ITEMS_MAX || one_key);
            assert!(leaf.bytes() <= Numbers::BYTES_MAX || one_key);
        }
        Node::Inner(children) => {
            assert!((1..=FANOUT).contains(&children.len()));
            assert_eq!(children.iter().map(|child| child.len).sum::<usize>(), len);
            for (at, child) in children.iter().enumerate() {
                check(&child.node, child.len);
                let least = child.node.first().unwrap();
                assert!(child.first <= least || at == 0);
                if let Some(next) = children.get(at + 1) {
                    assert!(child.first < next.first || at == 0);
                    assert!(least < next.first);
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32),
    Remove(usize, usize),
    Share,
    Back(u32),
    Front,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (1000..4000_u32).prop_map(Step::Insert),
        2 => (0..1000_usize, 0..60_usize).prop_map(|(at, count)| Step::Remove(at, count)),
        6 => (0..1000_usize).prop_map(|at| Step::Remove(at, 1)),
        1 => Just(Step::Share),
        2 => (1..20_u32).prop_map(Step::Back),
        1 => Just(Step::Front),
    ]
}

impl<L: Leaf> Tree<L> {
    /// Nodes here that another tree does not share, and the bytes of the leaves among them.
    pub(crate) fn made_since(&self, before: &Self) -> (usize, usize) {
        fn visit<L: Leaf>(node: &Node<L>, look: &mut dyn FnMut(usize, usize) -> bool) {
            match node {
                Node::Leaf(leaf) => {
                    look(Arc::as_ptr(leaf).addr(), leaf.bytes());
                }
                Node::Inner(children) => {
                    if look(Arc::as_ptr(children).addr(), 0) {
                        children.iter().for_each(|child| visit(&child.node, look));
                    }
                }
            }
        }
        let mut known = BTreeSet::new();
        visit(&before.root, &mut |at, _| known.insert(at));
        let (mut nodes, mut bytes) = (0, 0);
        visit(&self.root, &mut |at, size| {
            let is_new = !known.contains(&at);
            nodes += usize::from(is_new);
            bytes += if is_new { size } else { 0 };
            is_new
        });
        (nodes, bytes)
    }

    /// How many hold the root.
    pub(crate) fn holders(&self) -> usize {
        match &self.root {
            Node::Leaf(leaf) => Arc::strong_count(leaf),
            Node::Inner(children) => Arc::strong_count(children),
        }
    }
}

proptest! {
    #![proptest_config(cases(60))]
    #[test]
    fn it_is_a_sorted_vector(steps in prop::collection::vec(any_step(), 0..2500)) {
        let (mut tree, mut model) = (Tree::<Numbers>::default(), Vec::<u32>::new());
        let mut shared = Vec::new();
        for step in steps {
            match step {
                Step::Insert(number) => {
                    insert(&mut tree, number);
                    model.insert(model.partition_point(|&other| other <= number), number);
                }
                Step::Remove(at, count) => {
                    tree.remove_range(at, count);
                    let end = (at + count).min(model.len());
                    model.drain(at.min(end)..end);
                }
                Step::Share => shared.push((tree.clone(), model.clone())),
                Step::Back(count) => {
                    let from = model.last().map_or(0, |&last| (last / 10 + 1) * 10);
                    let leaf: Vec<u32> = (from..from + count.min(8)).collect();
                    let large = leaf.iter().any(|number| number % 7 == 0);
                    let leaf = if large { vec![from] } else { leaf };
                    model.extend_from_slice(&leaf);
                    tree.push_back(Numbers(leaf));
                }
                Step::Front => {
                    // A leaf of a lower key than all others, while there are some.
                    let least = model.first().map_or(3000, |&first| first / 10);
                    let Some(key) = least.checked_sub(1) else { continue };
                    model.insert(0, key * 10 + 1);
                    tree.push_front(Numbers(vec![key * 10 + 1]));
                }
            }
            prop_assert_eq!(tree.len(), model.len());
        }
        shared.push((tree, model));
        for (tree, model) in shared {
            prop_assert_eq!(&all(&tree), &model);
            check(&tree.root, tree.len());
            prop_assert_eq!(tree.bytes(), Numbers(model.clone()).bytes());
            for (at, &number) in model.iter().enumerate() {
                let (leaf, within) = tree.at(at);
                prop_assert_eq!(leaf.0[within], number);
                let (leaf, base) = tree.find(|&key| key <= number / 10);
                let found = leaf.0.iter().position(|&other| other == number).unwrap();
                prop_assert_eq!(model[base + found], number);
            }
            let back = tree.leaves_back(model.len());
            let back: Vec<u32> =
                back.flat_map(|(leaf, _)| leaf.0.iter().rev().copied()).collect();
            prop_assert!(back.iter().rev().eq(&model));
        }
    }
}

#[test]
fn both_ends_grow_in_whole_leaves() {
    let mut tree = Tree::<Numbers>::default();
    for block in 0..2000_u32 {
        tree.push_back(Numbers(vec![100_000 + block * 10 + 1]));
        tree.push_front(Numbers(vec![100_000 - block * 10 - 19]));
    }
    assert_eq!(tree.len(), 4000);
    check(&tree.root, 4000);
    assert!(all(&tree).is_sorted());
    tree.replace_leaf(2000, Numbers(vec![100_001, 100_002]));
    assert_eq!((tree.len(), tree.at(2001).0.0.clone()), (4001, vec![100_001, 100_002]));
    tree.remove_range(0, 4001);
    assert_eq!((tree.len(), tree.bytes()), (0, 0));
}

#[test]
fn a_write_copies_its_way_only() {
    let mut tree = Tree::<Numbers>::default();
    (0..40_000).for_each(|number| insert(&mut tree, number));
    let kept = tree.clone();
    insert(&mut tree, 20_005);
    let same = |(one, _): (&Numbers, _)| kept.leaves(0).any(|(other, _)| core::ptr::eq(one, other));
    let copied = tree.leaves(19_000).take(300).filter(|&leaf| !same(leaf)).count();
    assert!((1..=2).contains(&copied), "{copied}");
    assert_eq!((all(&kept).len(), all(&tree).len()), (40_000, 40_001));
}
