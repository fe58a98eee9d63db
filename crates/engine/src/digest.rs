//! The rolling digest: a hash of everything that ever changed, compared between replicas.
//!
//! Not a cryptographic hash: it finds replicas that went apart by a bug or a broken memory, not an
//! attacker inside one. It is part of the state and of its format, so it is our own: the same on
//! every machine, whatever its byte order.

/// Odd constants without structure (fractional digits of square roots of primes).
const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0xbb67_ae85_84ca_a73b;
const K3: u64 = 0xa54f_f53a_5f1d_36f1;

/// A digest in the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) u64);

impl Digest {
    /// Folds a number in.
    pub(crate) fn word(&mut self, word: u64) {
        // The sum keeps what came before even where the product is 0.
        self.0 = mix(self.0 ^ K1, word ^ K2).wrapping_add(self.0);
    }

    /// Folds bytes in, with their length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<16>();
        for block in blocks {
            self.pair(u128::from_le_bytes(*block));
        }
        self.pair(tail(rest));
        self.word(bytes.len() as u64);
    }

    fn pair(&mut self, both: u128) {
        self.0 = mix(both as u64 ^ K2 ^ self.0, (both >> 64) as u64 ^ K3).wrapping_add(self.0);
    }
}

/// What a change is called in the digest. Part of the format: a number is
/// never used for something else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Set = 1,
    Write = 2,
    Remove = 3,
    Deadline = 4,
    Move = 5,
    Copy = 6,
    Flush = 7,
    Exchange = 8,
    Setting = 9,
    Level = 10,
    Edit = 11,
    Script = 12,
    Library = 13,
}

/// Up to 15 bytes as a little-endian number. In loads that overlap: what is put together byte by
/// byte and then read as one number waits for its own stores (a quarter of what a change of a key
/// took to be noted).
fn tail(bytes: &[u8]) -> u128 {
    fn both<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> u64) -> Option<u128> {
        let (first, last) = (bytes.first_chunk::<N>()?, bytes.last_chunk::<N>()?);
        Some(u128::from(number(*first)) | u128::from(number(*last)) << (8 * (bytes.len() - N)))
    }
    both(bytes, u64::from_le_bytes)
        .or_else(|| both(bytes, |half| u32::from_le_bytes(half).into()))
        .or_else(|| both(bytes, |half| u16::from_le_bytes(half).into()))
        .unwrap_or_else(|| bytes.first().copied().unwrap_or_default().into())
}

/// Digest of one piece of data by itself.
pub(crate) fn of(bytes: &[u8]) -> u64 {
    let mut digest = Digest(K3);
    digest.bytes(bytes);
    digest.0
}

/// The two halves of a full product, folded: every input bit reaches every output bit.
fn mix(one: u64, two: u64) -> u64 {
    let product = u128::from(one) * u128::from(two);
    product as u64 ^ (product >> 64) as u64
}

/// The next number of a generator whose whole state is `seed` (an odd stride, then the mixer).
pub(crate) fn next_random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(K1);
    mix(*seed ^ K2, seed.rotate_left(29) ^ K3) ^ *seed
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec;

    #[test]
    fn it_is_part_of_the_format() {
        assert_eq!(of(b""), of(b""));
        let known = (of(b""), of(b"quorate"), of(&[0xa5; 100]));
        assert_eq!(known, KNOWN, "changing the digest makes replicas of two builds disagree");
    }

    const KNOWN: (u64, u64, u64) =
        (11_246_285_180_223_701_634, 5_569_903_180_064_354_919, 4_969_797_233_177_794_545);

    #[test]
    fn the_tail_is_a_number_of_its_bytes() {
        for length in 0..16 {
            let mut bytes = [0; 16];
            for (at, byte) in bytes.iter_mut().take(length).enumerate() {
                *byte = 0x81 + at as u8 * 7;
            }
            assert_eq!(tail(&bytes[..length]), u128::from_le_bytes(bytes), "length {length}");
        }
    }

    #[test]
    fn small_differences_show() {
        let mut seen = BTreeSet::new();
        for length in 0..200_usize {
            assert!(seen.insert(of(&vec![0; length])), "zeros of length {length}");
            for at in 0..length {
                for bit in [0, 7] {
                    let mut bytes = vec![0; length];
                    bytes[at] = 1 << bit;
                    assert!(seen.insert(of(&bytes)), "bit {bit} of byte {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn random_numbers_spread() {
        let mut seed = 0;
        let drawn: BTreeSet<u64> = (0..10_000).map(|_| next_random(&mut seed)).collect();
        assert_eq!(drawn.len(), 10_000);
        let ones: u32 = drawn.iter().map(|word| word.count_ones()).sum();
        assert!((315_000..325_000).contains(&ones), "{ones}");
    }
}
