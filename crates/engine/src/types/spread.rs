//! Finding a hash among sorted ones: they are spread evenly, so that its place can be guessed.
//!
//! Members of sets, fields of hashes and the index of a sorted set are found so. A guess reads one
//! or two places, where halving reads a chain of them.

use core::hint::black_box;

/// How many of a sorted list have a lower hash, looked for from the guessed place on: some elements
/// away among hundreds. Halving would wait for one line of memory after another.
pub(crate) fn below<T>(list: &[T], hash: u32, of: impl Fn(&T) -> u32) -> usize {
    let (Some(low), Some(high)) = (list.first().map(&of), list.last().map(&of)) else { return 0 };
    if hash <= low {
        return 0;
    }
    if hash > high {
        return list.len();
    }
    let guess = guess(list.len(), (low, high), hash);
    let (before, behind) = list.split_at_checked(guess).unwrap_or((list, &[]));
    match behind.iter().take_while(|one| of(one) < hash).count() {
        0 => before.len() - before.iter().rev().take_while(|one| of(one) >= hash).count(),
        lower => before.len() + lower,
    }
}

/// Where a hash is expected in a list of this length, whose first and last hash are these.
fn guess(len: usize, (low, high): (u32, u32), hash: u32) -> usize {
    let (offset, range) = (hash.saturating_sub(low), high.saturating_sub(low).max(1));
    (u64::from(offset) * len.saturating_sub(1) as u64 / u64::from(range)) as usize
}

/// Brings what [`below`] will look at into the processor's caches, for many lists at once: a step
/// for all of them before the next, since each waits for memory. Nothing in between depends on what
/// is read, so that the processor does not wait for one before it asks for another.
pub(crate) fn touch<'a, T: 'a>(
    lists: impl Iterator<Item = (&'a [T], u32)> + Clone,
    of: impl Fn(&T) -> u32,
) {
    let hash = |one: Option<&T>| one.map_or(0, &of);
    let ends = lists.clone().map(|(list, _)| hash(list.first()) ^ hash(list.last()));
    black_box(ends.fold(0, |sum, end| sum ^ end));
    let guessed = lists.map(|(list, wanted)| {
        let ends = (hash(list.first()), hash(list.last()));
        hash(list.get(guess(list.len(), ends, wanted)))
    });
    black_box(guessed.fold(0, |sum, hash| sum ^ hash));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::tests::cases;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(cases(500))]
        #[test]
        fn it_is_the_place_that_halving_finds(
            mut hashes in prop::collection::vec(
                prop_oneof![any::<u32>(), 0..9_u32, (u32::MAX - 9)..=u32::MAX],
                0..300,
            ),
            other in any::<u32>(),
        ) {
            hashes.sort_unstable();
            let near = |hash: u32| [hash, hash.wrapping_add(1), hash.wrapping_sub(1)];
            for hash in hashes.iter().copied().flat_map(near).chain([other, 0, u32::MAX]) {
                let found = below(&hashes, hash, |&hash| hash);
                prop_assert_eq!(found, hashes.partition_point(|&one| one < hash));
            }
        }
    }
}
