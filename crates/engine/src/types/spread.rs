//! Finding a hash among sorted ones: they are spread evenly, so that its place can be guessed.

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
    let guess = u64::from(hash - low) * (list.len() - 1) as u64 / u64::from(high - low);
    let (before, behind) = list.split_at_checked(guess as usize).unwrap_or((list, &[]));
    match behind.iter().take_while(|one| of(one) < hash).count() {
        0 => before.len() - before.iter().rev().take_while(|one| of(one) >= hash).count(),
        lower => before.len() + lower,
    }
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
