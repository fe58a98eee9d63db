//! Natural numbers of any size, just large enough to read and print 80-bit floats exactly.
//!
//! Limbs are 32 bits, least significant first, so that dividing by 10^9 stays a machine
//! instruction. Callers bound the size of everything they ask for: the largest number made has
//! about 34,000 bits, when a text of 5,119 digits behind a decimal point and zeros is read.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// 10^9, the largest power of ten in a limb.
const BILLION: u32 = 1_000_000_000;

/// A natural number. Invariant: the last limb is not zero; zero has no limbs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Big {
    limbs: Vec<u32>,
}

impl Big {
    /// `value`.
    pub(super) fn new(value: u64) -> Self {
        let mut big = Self { limbs: alloc::vec![value as u32, (value >> 32) as u32] };
        big.trim();
        big
    }

    /// The number that decimal `digits` (ASCII) write.
    pub(super) fn from_digits(digits: impl Iterator<Item = u8>) -> Self {
        let mut big = Self::default();
        let (mut chunk, mut scale) = (0, 1);
        for digit in digits {
            chunk = chunk * 10 + u32::from(digit.wrapping_sub(b'0'));
            scale *= 10;
            if scale == BILLION {
                big.multiply_add(scale, chunk);
                (chunk, scale) = (0, 1);
            }
        }
        big.multiply_add(scale, chunk);
        big
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    /// Whether it is zero.
    pub(super) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Bits up to the highest that is set.
    pub(super) fn bits(&self) -> usize {
        self.limbs.last().map_or(0, |top| self.limbs.len() * 32 - top.leading_zeros() as usize)
    }

    /// `self * factor + addend`.
    pub(super) fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for limb in &mut self.limbs {
            // (2^32-1)^2 + 2^32-1 is below 2^64.
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            self.limbs.push(carry as u32);
        }
    }

    /// Multiplies by `base` (at least 2) to the power of `exponent`.
    pub(super) fn multiply_power(&mut self, base: u32, mut exponent: u32) {
        let (mut step, mut in_step) = (base, 1);
        while let Some(next) = step.checked_mul(base) {
            (step, in_step) = (next, in_step + 1);
        }
        while exponent >= in_step {
            self.multiply_add(step, 0);
            exponent -= in_step;
        }
        for _ in 0..exponent {
            self.multiply_add(base, 0);
        }
    }

    /// Multiplies by 2^`count`.
    pub(super) fn shift_left(&mut self, count: usize) {
        if self.is_zero() {
            return;
        }
        let (whole, part) = (count / 32, count % 32);
        if part != 0 {
            self.multiply_add(1 << part, 0);
        }
        if whole != 0 {
            self.limbs.splice(0..0, core::iter::repeat_n(0, whole));
        }
    }

    /// The highest 128 bits (all, if there are fewer), how many bits lie below them, and whether
    /// any of those is set.
    pub(super) fn top(&self) -> (u128, usize, bool) {
        let below = self.bits().saturating_sub(128);
        let (skip, part) = (below / 32, below % 32);
        let mut sticky = self.limbs.iter().take(skip).any(|&limb| limb != 0);
        let mut limbs = self.limbs.iter().skip(skip).map(|&limb| u128::from(limb));
        let mut top = 0u128;
        if let Some(first) = limbs.next() {
            sticky |= first & ((1 << part) - 1) != 0;
            top = first >> part;
        }
        let mut at = 32 - part;
        for limb in limbs {
            // At most 128 - part bits remain above the first limb's, so nothing is shifted out.
            top |= limb << at;
            at += 32;
        }
        (top, below, sticky)
    }

    /// Subtracts `other`, which is not greater.
    fn subtract(&mut self, other: &Big) {
        let mut borrow = false;
        let others = other.limbs.iter().copied().chain(core::iter::repeat(0));
        for (limb, other) in self.limbs.iter_mut().zip(others) {
            let (first, one) = limb.overflowing_sub(other);
            let (second, two) = first.overflowing_sub(u32::from(borrow));
            *limb = second;
            borrow = one || two;
        }
        self.trim();
    }

    /// The first `count` bits (at most 128) of `self / divisor`, whose integer part has one bit at
    /// most, and whether anything is left over. Bit by bit: 70 bits are all that is ever asked for.
    pub(super) fn divide(mut self, divisor: &Big, count: u32) -> (u128, bool) {
        let mut quotient = 0u128;
        for _ in 0..count {
            quotient <<= 1;
            if self >= *divisor {
                self.subtract(divisor);
                quotient |= 1;
            }
            self.multiply_add(2, 0);
        }
        (quotient, !self.is_zero())
    }

    /// Appends the decimal digits.
    pub(super) fn print(mut self, out: &mut Vec<u8>) {
        let first = out.len();
        while !self.is_zero() {
            let mut rest = self.divide_billion();
            for _ in 0..9 {
                out.push(b'0' + (rest % 10) as u8);
                rest /= 10;
            }
        }
        while out.len() > first + 1 && out.last() == Some(&b'0') {
            out.pop();
        }
        if out.len() == first {
            out.push(b'0');
        }
        if let Some(digits) = out.get_mut(first..) {
            digits.reverse();
        }
    }

    /// Divides by 10^9 and returns the remainder.
    fn divide_billion(&mut self) -> u32 {
        let mut rest = 0u64;
        for limb in self.limbs.iter_mut().rev() {
            let dividend = rest << 32 | u64::from(*limb);
            *limb = (dividend / u64::from(BILLION)) as u32;
            rest = dividend % u64::from(BILLION);
        }
        self.trim();
        rest as u32
    }
}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Big {
    fn cmp(&self, other: &Self) -> Ordering {
        let lengths = self.limbs.len().cmp(&other.limbs.len());
        lengths.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn print(big: Big) -> String {
        let mut out = std::vec![b'~'];
        big.print(&mut out);
        String::from_utf8_lossy(out.get(1..).unwrap_or(&[])).into_owned()
    }

    #[test]
    fn numbers_print_as_they_are_read() {
        let long = "1234567890".repeat(31);
        for text in ["0", "1", "4294967296", "1000000000", "10000000000000000000000001", &long] {
            assert_eq!(print(Big::from_digits(text.bytes())), text);
        }
        let mut power = Big::new(1);
        power.multiply_power(10, 40);
        assert_eq!(print(power), std::format!("1{}", "0".repeat(40)));
    }

    #[test]
    fn shifts_and_tops_agree() {
        let value = 0x1234_5678_9abc_def1u64;
        for shift in 0..300 {
            let mut big = Big::new(value);
            big.shift_left(shift);
            let length = 61 + shift;
            assert_eq!(big.bits(), length);
            let (top, below, sticky) = big.top();
            assert_eq!(below, length.saturating_sub(128));
            assert!(!sticky || below > 0);
            let expected = u128::from(value) << shift.min(67);
            assert_eq!(top, expected, "{shift}");
            big.multiply_add(1, 1);
            assert_eq!(big.top().2, below > 0, "{shift}");
        }
    }

    #[test]
    fn a_quotient_has_its_bits_and_its_rest() {
        // 3/2 = 1.1 in binary; 4/3 = 1.0101…
        assert_eq!(Big::new(3).divide(&Big::new(2), 3), (0b110, false));
        assert_eq!(Big::new(4).divide(&Big::new(3), 5), (0b10101, true));
        assert_eq!(Big::new(1 << 40).divide(&Big::new((1 << 40) + 1), 3), (0b011, true));
    }
}
