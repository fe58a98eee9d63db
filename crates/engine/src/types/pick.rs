//! Random picks by position: SPOP, SRANDMEMBER, HRANDFIELD and their like.
//!
//! All of it follows from the seed. A write has it from its entry, so that every replica picks the
//! same; a read has one that its server drew.

use crate::digest::next_random;
use alloc::vec::Vec;

/// A position below `len`; 0 if there is none.
pub(crate) fn one(len: usize, seed: &mut u64) -> usize {
    ((u128::from(next_random(seed)) * len as u128) >> 64) as usize
}

/// `count` different positions below `len` (all of them if there are no more), ascending; every
/// choice is as likely as any other.
pub(crate) fn distinct(len: usize, count: usize, seed: &mut u64) -> Vec<usize> {
    /// When more than this part of all is wanted, every position is asked in turn.
    const MANY: usize = 4;
    if count >= len {
        return (0..len).collect();
    }
    let mut picked = Vec::with_capacity(count);
    if count > len / MANY {
        let mut missing = count;
        for at in 0..len {
            if one(len - at, seed) < missing {
                picked.push(at);
                missing -= 1;
            }
        }
        return picked;
    }
    while picked.len() < count {
        let missing = count - picked.len();
        picked.extend((0..missing).map(|_| one(len, seed)));
        picked.sort_unstable();
        picked.dedup();
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn picks_are_distinct_and_even() {
        let mut seed = 7;
        for (len, count) in [(0, 0), (0, 3), (1, 1), (10, 1), (10, 3), (10, 9), (10, 10), (10, 99)]
        {
            let mut seen = vec![0_u32; len];
            for _ in 0..3000 {
                let picked = distinct(len, count, &mut seed);
                assert_eq!(picked.len(), count.min(len));
                assert!(picked.is_sorted_by(|one, next| one < next));
                for at in picked {
                    seen[at] += 1;
                }
            }
            let mean = 3000.0 * count.min(len) as f64 / len as f64;
            for seen in seen {
                assert!((f64::from(seen) - mean).abs() < 200.0, "{seen} of {count} in {len}");
            }
        }
    }
}
