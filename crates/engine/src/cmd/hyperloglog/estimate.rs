//! From elements to registers, and from registers to a number.
//!
//! An element's hash names one of 16,384 registers by its low 14 bits; the register keeps the
//! longest run of zeros (and the one behind it) that the other 50 bits of any element began with.
//! The estimate is Ertl's (arXiv:1702.01284), in Redis's order of operations: additions,
//! multiplications and square roots of doubles are the same bits on every machine.

/// Bits of the hash that name a register.
const INDEX_BITS: u32 = 14;
/// How many registers there are.
pub(super) const REGISTERS: usize = 1 << INDEX_BITS;
/// The other bits. No element puts more than `RUN_BITS + 1` into a register.
const RUN_BITS: u32 = 64 - INDEX_BITS;
/// A register has 6 bits.
pub(super) const VALUES: usize = 64;

/// How many registers have each value.
pub(super) type Histogram = [u32; VALUES];

/// Where an element counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The register, below [`REGISTERS`].
    pub(super) register: usize,
    /// What it becomes at least.
    pub(super) value: u8,
}

impl Mark {
    /// The register and the value of an element.
    pub(super) fn of(element: &[u8]) -> Self {
        let hash = murmur(element);
        // The bit set on top ends the run.
        let rest = hash >> INDEX_BITS | 1 << RUN_BITS;
        let register = hash as usize & (REGISTERS - 1);
        Self { register, value: rest.trailing_zeros() as u8 + 1 }
    }
}

/// 64-bit `MurmurHash2` in little-endian order, with the seed that Redis gives it.
fn murmur(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        hash ^= (word ^ word >> SHIFT).wrapping_mul(FACTOR);
        hash = hash.wrapping_mul(FACTOR);
    }
    if !tail.is_empty() {
        let word = tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

/// How many elements made registers like these. Registers that no elements make (a value written by
/// hand) can stand for infinitely many: that is the least of all numbers, as in Redis.
pub(super) fn estimate(histogram: &Histogram) -> i64 {
    /// 1 / (2 ln 2).
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let all = REGISTERS as f64;
    let of = |value: usize| f64::from(histogram.get(value).copied().unwrap_or(0));
    let runs = RUN_BITS as usize;
    let mut sum = all * tau((all - of(runs + 1)) / all);
    for value in (1..=runs).rev() {
        sum = (sum + of(value)) * 0.5;
    }
    sum += all * sigma(of(0) / all);
    let estimate = libm::round(ALPHA * all * all / sum);
    if estimate.is_finite() { estimate as i64 } else { i64::MIN }
}

/// The share of empty registers, weighed.
fn sigma(share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        // It grows until the next term is too small to count.
        if sum <= before {
            return sum;
        }
    }
}

/// The share of registers that are not full, weighed.
fn tau(share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        root = libm::sqrt(root);
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * weight;
        if sum >= before {
            return sum / 3.0;
        }
    }
}
