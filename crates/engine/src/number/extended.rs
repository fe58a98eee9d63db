//! 80-bit extended floats in software: what INCRBYFLOAT computes with.
//!
//! Redis reads both operands into an x87 `long double` (64 bits of mantissa), adds them, and prints
//! the sum with 17 decimals and without trailing zeros. Here the same three steps give the same
//! bytes on every processor: rounding to nearest, ties to even, subnormals and overflow included.
//! Nearly all numbers are small and take 128-bit arithmetic; long texts and huge values take
//! [`Big`]. A declared exponent costs nothing: it is compared with the range before it is built.

use super::big::Big;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Exponent of the last bit of the smallest subnormal, 2^-16445.
const EXPONENT_MIN: i32 = -16_445;
/// Exponent of the last bit of the largest number, (2^64 - 1) * 2^16320.
const EXPONENT_MAX: i32 = 16_320;
/// 10^4932 is in range, 10^4933 is not.
const DECIMAL_EXPONENT_MAX: i64 = 4_933;
/// Less than 10^-4952 is less than half of the smallest subnormal (3.6 * 10^-4951) and becomes
/// zero.
const DECIMAL_EXPONENT_MIN: i64 = -4_952;
/// Larger exponents are read as this; a text of 5,119 digits cannot bring them back into range.
const EXPONENT_READ_MAX: i64 = 1_000_000;
/// Decimals that are printed.
const DECIMALS: usize = 17;
/// 10^17.
const SCALE: u128 = 100_000_000_000_000_000;

/// A number that a Redis `long double` on x86 can hold; there is no NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended(Value);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// `mantissa * 2^exponent`. Invariant: `EXPONENT_MIN <= exponent <= EXPONENT_MAX`, and the
    /// mantissa's top bit is set unless the exponent is the least (a subnormal, or zero).
    Finite { negative: bool, mantissa: u64, exponent: i32 },
    /// What `inf` reads as: whatever is added to it is refused.
    Infinite { negative: bool },
}

/// `mantissa * 2^exponent` with the mantissa's top bit set, subnormals too.
#[derive(Clone, Copy)]
struct Scaled {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl Extended {
    /// Longest text that is read; Redis's buffer for it has 5 KiB with the terminator.
    pub const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

    /// What an absent key counts as.
    pub const ZERO: Self =
        Self(Value::Finite { negative: false, mantissa: 0, exponent: EXPONENT_MIN });

    /// The largest number, some 1.2 * 10^4932.
    pub const MAX: Self =
        Self(Value::Finite { negative: false, mantissa: u64::MAX, exponent: EXPONENT_MAX });

    /// Reads what C's `strtold` reads: decimal or hexadecimal, with an exponent, or `inf`. As in
    /// Redis, `None` for blanks, `nan`, overflow, and what is so small that it would become zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > Self::TEXT_BYTES_MAX {
            return None;
        }
        let (negative, rest) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(Self(Value::Infinite { negative }));
        }
        match rest {
            [b'0', b'x' | b'X', digits @ ..] => parse_hexadecimal(negative, digits),
            digits => parse_decimal(negative, digits),
        }
    }

    /// The sum, rounded; `None` when it is not finite (Redis: "increment would produce NaN or
    /// Infinity").
    pub fn plus(self, other: Self) -> Option<Self> {
        let (Some(one), Some(two)) = (self.scaled(), other.scaled()) else {
            return match (self.0, other.0) {
                (Value::Infinite { .. }, _) | (_, Value::Infinite { .. }) => None,
                (Value::Finite { mantissa: 0, .. }, _) => Some(other),
                _ => Some(self),
            };
        };
        let swap = (two.exponent, two.mantissa) > (one.exponent, one.mantissa);
        let (large, small) = if swap { (two, one) } else { (one, two) };
        // 63 more bits below the larger operand, one left above for the carry.
        let high = u128::from(large.mantissa) << 63;
        let aligned = u128::from(small.mantissa) << 63;
        let distance = large.exponent.abs_diff(small.exponent);
        let low = aligned.checked_shr(distance).unwrap_or(0);
        let lost = low.checked_shl(distance).unwrap_or(0) != aligned;
        let sum = if large.negative == small.negative {
            high + low
        } else {
            // Bits that `low` lost make the difference a little smaller than `high - low`: one
            // less, and it is a little larger, which is what a sticky bit says.
            high - low - u128::from(lost)
        };
        round(large.negative, sum, lost, i64::from(large.exponent) - 63)
    }

    /// It with the other sign.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self(match self.0 {
            Value::Finite { negative, mantissa, exponent } => {
                Value::Finite { negative: !negative, mantissa, exponent }
            }
            Value::Infinite { negative } => Value::Infinite { negative: !negative },
        })
    }

    /// Whether it is not what `inf` reads as.
    pub const fn is_finite(self) -> bool {
        matches!(self.0, Value::Finite { .. })
    }

    /// Which of two is larger; zeros of either sign are equal.
    pub fn order(self, other: Self) -> Ordering {
        let parts = |number: Self| match number.0 {
            Value::Finite { mantissa: 0, .. } => (false, i32::MIN, 0),
            Value::Finite { negative, mantissa, exponent } => (negative, exponent, mantissa),
            Value::Infinite { negative } => (negative, i32::MAX, 0),
        };
        let (one, two) = (parts(self), parts(other));
        // A larger exponent is a larger number, since only the least one has numbers whose top bit
        // is clear.
        let by_size = (one.1, one.2).cmp(&(two.1, two.2));
        match (one.0, two.0) {
            (false, false) => by_size,
            (true, true) => by_size.reverse(),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }

    /// A thousand times it as an x87 computes that, and from there up to the next whole number
    /// (seconds become milliseconds). What 64 bits do not hold becomes the end of their range.
    pub fn thousandfold_up(self) -> i64 {
        let (Value::Finite { negative, .. } | Value::Infinite { negative }) = self.0;
        let end = if negative { i64::MIN } else { i64::MAX };
        let Value::Finite { mantissa, exponent, .. } = self.0 else { return end };
        let product = round(negative, u128::from(mantissa) * 1000, false, i64::from(exponent));
        let Some(Self(Value::Finite { mantissa, exponent, .. })) = product else { return end };
        let mantissa = i128::from(mantissa);
        let whole = match exponent {
            63.. => return end,
            0.. => mantissa << exponent,
            _ => {
                let drop = exponent.unsigned_abs();
                let kept = mantissa.checked_shr(drop).unwrap_or(0);
                let has_rest = kept.checked_shl(drop).unwrap_or(0) != mantissa;
                kept + i128::from(has_rest && !negative)
            }
        };
        i64::try_from(if negative { -whole } else { whole }).unwrap_or(end)
    }

    /// With the mantissa's top bit set, whatever the exponent. `None` for zero and infinity.
    fn scaled(self) -> Option<Scaled> {
        match self.0 {
            Value::Finite { negative, mantissa, exponent } if mantissa != 0 => {
                let shift = mantissa.leading_zeros();
                let exponent = exponent - shift as i32;
                Some(Scaled { negative, mantissa: mantissa << shift, exponent })
            }
            _ => None,
        }
    }

    /// Prints it as Redis does: 17 decimals, trailing zeros cut, no negative zero.
    pub fn print(self) -> Vec<u8> {
        let Value::Finite { negative, mantissa, exponent } = self.0 else {
            return b"inf".to_vec();
        };
        let mut out = Vec::with_capacity(24);
        if negative {
            out.push(b'-');
        }
        if exponent > 64 {
            let mut big = Big::new(mantissa);
            big.shift_left(exponent as usize);
            big.print(&mut out);
            return out;
        }
        let (whole, decimals) = split(mantissa, exponent);
        if whole == 0 && decimals == 0 {
            return b"0".to_vec();
        }
        print_u128(whole, 1, &mut out);
        if decimals != 0 {
            out.push(b'.');
            print_u128(decimals, DECIMALS, &mut out);
            while out.last() == Some(&b'0') {
                out.pop();
            }
        }
        out
    }
}

/// Whole part and 17 rounded decimals of `mantissa * 2^exponent`, for exponents up to 64.
fn split(mantissa: u64, exponent: i32) -> (u128, u128) {
    let mantissa = u128::from(mantissa);
    if exponent >= 0 {
        return (mantissa << exponent, 0);
    }
    // Below 2^121. Shifted by 128 bits or more it is less than a half.
    let scaled = mantissa * SCALE;
    let drop = exponent.unsigned_abs();
    let rounded = if drop < 128 { shift_right_rounding(scaled, drop, false) } else { 0 };
    (rounded / SCALE, rounded % SCALE)
}

/// Appends `value` with at least `width` digits.
fn print_u128(mut value: u128, width: usize, out: &mut Vec<u8>) {
    let first = out.len();
    while value != 0 || out.len() < first + width {
        out.push(b'0' + (value % 10) as u8);
        value /= 10;
    }
    if let Some(digits) = out.get_mut(first..) {
        digits.reverse();
    }
}

/// `bits / 2^drop` for `1 <= drop <= 128`, to the nearest, ties to even. `sticky`: a little more
/// than `bits`.
fn shift_right_rounding(bits: u128, drop: u32, sticky: bool) -> u128 {
    let kept = bits.checked_shr(drop).unwrap_or(0);
    let rest = bits - kept.checked_shl(drop).unwrap_or(0);
    let half = 1u128 << (drop - 1);
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    kept + u128::from(up)
}

/// The number nearest to `bits * 2^exponent` (a little more, if `sticky`; then `bits` has 66 bits
/// or more). `None` on overflow, and when something that is not zero becomes zero.
fn round(negative: bool, bits: u128, sticky: bool, exponent: i64) -> Option<Extended> {
    if bits == 0 {
        return Some(normal(false, 0, 0));
    }
    let length = i64::from(128 - bits.leading_zeros());
    let drop = (length - 64).max(i64::from(EXPONENT_MIN) - exponent);
    if drop > 128 {
        return None;
    }
    let (mut mantissa, mut exponent) = match drop {
        1.. => (shift_right_rounding(bits, drop as u32, sticky), exponent + drop),
        _ => (bits, exponent),
    };
    if mantissa >> 64 != 0 {
        // All ones were rounded up: the low bit is zero.
        (mantissa, exponent) = (mantissa >> 1, exponent + 1);
    }
    let spare = i64::from((mantissa as u64).leading_zeros());
    if mantissa == 0 || exponent - spare > i64::from(EXPONENT_MAX) {
        return None;
    }
    Some(normal(negative, mantissa as u64, exponent as i32))
}

/// Brings mantissa and exponent, which are known to be in range, into the form of the invariant.
fn normal(negative: bool, mantissa: u64, exponent: i32) -> Extended {
    if mantissa == 0 {
        return Extended(Value::Finite { negative, mantissa, exponent: EXPONENT_MIN });
    }
    let room = exponent.saturating_sub(EXPONENT_MIN).max(0) as u32;
    let shift = mantissa.leading_zeros().min(room);
    let (mantissa, exponent) = (mantissa << shift, exponent - shift as i32);
    Extended(Value::Finite { negative, mantissa, exponent })
}

/// Reads the exponent behind its letter: a sign if any, then digits to the end. Saturates.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits
        .iter()
        .fold(0i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_READ_MAX));
    Some(if negative { -magnitude } else { magnitude })
}

/// The digits of a number without the zeros in front, and what its point and exponent say.
struct Scanned<'a> {
    /// Everything up to the exponent's letter: digits, at most one point.
    text: &'a [u8],
    /// Digits behind the point.
    fraction: usize,
    /// Digits from the first that is not zero.
    significant: usize,
    /// The exponent as written.
    exponent: i64,
}

impl<'a> Scanned<'a> {
    /// Splits `text` at the exponent's `letter` (lower case) and counts digits.
    fn new(text: &'a [u8], letter: u8, is_digit: fn(&u8) -> bool) -> Option<Self> {
        let at = text.iter().position(|byte| byte.to_ascii_lowercase() == letter);
        let (text, exponent) = match at {
            Some(at) => (text.get(..at)?, parse_exponent(text.get(at + 1..)?)?),
            None => (text, 0),
        };
        let (mut digits, mut fraction, mut significant) = (0usize, 0usize, 0usize);
        let mut point = false;
        for byte in text {
            if *byte == b'.' && !point {
                point = true;
                continue;
            }
            if !is_digit(byte) {
                return None;
            }
            digits += 1;
            fraction += usize::from(point);
            significant += usize::from(significant > 0 || *byte != b'0');
        }
        (digits > 0).then_some(Self { text, fraction, significant, exponent })
    }

    /// The significant digits.
    fn digits(&self) -> impl Iterator<Item = u8> + use<'a> {
        let all = self.text.iter().copied().filter(|byte| *byte != b'.');
        all.skip_while(|byte| *byte == b'0')
    }
}

fn parse_decimal(negative: bool, text: &[u8]) -> Option<Extended> {
    let scanned = Scanned::new(text, b'e', u8::is_ascii_digit)?;
    if scanned.significant == 0 {
        return Some(normal(negative, 0, 0));
    }
    // The value is `digits * 10^exponent`; it is at least 10^(magnitude - 1) and less than
    // 10^magnitude.
    let exponent = scanned.exponent - scanned.fraction as i64;
    let magnitude = exponent + scanned.significant as i64;
    if magnitude > DECIMAL_EXPONENT_MAX || magnitude <= DECIMAL_EXPONENT_MIN {
        return None;
    }
    if scanned.significant <= 19 && (-18..=0).contains(&exponent) {
        return small_decimal(negative, &scanned, exponent.unsigned_abs() as u32);
    }
    let mut number = Big::from_digits(scanned.digits());
    if exponent >= 0 {
        number.multiply_power(10, exponent as u32);
        let (bits, below, sticky) = number.top();
        return round(negative, bits, sticky, below as i64);
    }
    let power = exponent.unsigned_abs() as u32;
    let mut divisor = Big::new(1);
    divisor.multiply_power(5, power);
    // Line both up so that the quotient lies between 1/2 and 2; then 70 bits of it hold 66 or more.
    let shift = divisor.bits() as i64 - number.bits() as i64;
    match shift {
        0.. => number.shift_left(shift.unsigned_abs() as usize),
        _ => divisor.shift_left(shift.unsigned_abs() as usize),
    }
    let (bits, sticky) = number.divide(&divisor, 70);
    round(negative, bits, sticky, -69 - shift - i64::from(power))
}

/// Up to 19 digits divided by a power of ten up to 10^18: in 128 bits.
fn small_decimal(negative: bool, scanned: &Scanned<'_>, power: u32) -> Option<Extended> {
    // Below 10^19, which is less than 2^64.
    let digits = scanned.digits().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    let shift = digits.leading_zeros();
    let dividend = u128::from(digits << shift) << 64;
    let divisor = 10u128.pow(power);
    // The dividend has 128 bits, the divisor 60 at most: the quotient has 68 or more.
    let sticky = dividend % divisor != 0;
    round(negative, dividend / divisor, sticky, -64 - i64::from(shift))
}

fn parse_hexadecimal(negative: bool, text: &[u8]) -> Option<Extended> {
    let scanned = Scanned::new(text, b'p', u8::is_ascii_hexdigit)?;
    let mut exponent = scanned.exponent - 4 * scanned.fraction as i64;
    let (mut bits, mut sticky) = (0u128, false);
    for (at, byte) in scanned.digits().enumerate() {
        let digit = (byte as char).to_digit(16).unwrap_or(0);
        if at < 32 {
            bits = bits << 4 | u128::from(digit);
        } else {
            sticky |= digit != 0;
            exponent += 4;
        }
    }
    if bits == 0 {
        return Some(normal(negative, 0, 0));
    }
    round(negative, bits, sticky, exponent)
}

#[cfg(test)]
mod tests;
