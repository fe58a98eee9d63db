//! Numbers as Redis reads and prints them, without allocation.
//!
//! Integers have exactly one text (no `+`, no leading zero, no `-0`), which is why a header that
//! was parsed is known to be canonical. Doubles print the shortest digits that read back as the
//! same value, laid out as Redis 7.2 does: plain up to a point, then with an exponent.

use core::fmt::Write;

/// Digits of the longest `u64`.
const DIGITS_MAX: usize = 20;
/// Bytes of a line with the longest integer: type, sign, 19 digits (or 20 without a sign), CR LF.
const LINE_BYTES: usize = 24;
/// Bytes for any double's text: 17 digits, sign, point, up to 7 zeros or `e-308`.
const DOUBLE_TEXT_BYTES: usize = 32;

/// The decimal text of an integer.
#[derive(Clone, Copy, Debug)]
pub struct IntText {
    /// The text ends before a CR LF that ends the array, so that a protocol line is one slice.
    bytes: [u8; LINE_BYTES],
    /// First byte used.
    start: usize,
}

impl IntText {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..LINE_BYTES - 2).unwrap_or(&[])
    }

    /// The text between a type byte and the line's end, as the protocol wants it.
    pub(crate) fn into_line(mut self, kind: u8) -> Self {
        self.prepend(kind);
        self
    }

    /// The text and the line's end.
    pub(crate) fn as_line(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or(&[])
    }

    /// Puts a byte in front. Invariant: `LINE_BYTES` has room for a sign and a type.
    fn prepend(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(slot) = self.bytes.get_mut(self.start) {
            *slot = byte;
        }
    }
}

/// Prints an integer.
pub fn int_text(value: i64) -> IntText {
    let mut text = unsigned_text(value.unsigned_abs());
    if value < 0 {
        text.prepend(b'-');
    }
    text
}

/// Prints a length or a count, or the parts of a stream's id.
pub fn unsigned_text(value: u64) -> IntText {
    let mut bytes = [b'\n'; LINE_BYTES];
    let mut start = LINE_BYTES - 2;
    let mut rest = value;
    if let Some(slot) = bytes.get_mut(start) {
        *slot = b'\r';
    }
    // Two digits a step: half as many divisions.
    while rest >= 10 {
        let pair = PAIRS.get((rest % 100) as usize).unwrap_or(b"00");
        start -= 2;
        if let Some(place) = bytes.get_mut(start..start + 2) {
            place.copy_from_slice(pair);
        }
        rest /= 100;
    }
    if rest > 0 || value == 0 {
        start -= 1;
        if let Some(slot) = bytes.get_mut(start) {
            *slot = b'0' + rest as u8;
        }
    }
    IntText { bytes, start }
}

/// The digits of every number below a hundred.
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Reads an integer with Redis's strictness: only the one text that [`int_text`] prints.
pub fn parse_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    let (&first, rest) = digits.split_first()?;
    if first == b'0' {
        return (rest.is_empty() && !negative).then_some(0);
    }
    // 19 digits always fit a u64, so the loop needs no overflow check.
    if digits.len() >= DIGITS_MAX {
        return None;
    }
    let mut value = 0_u64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// The text of a double.
#[derive(Clone, Copy, Debug)]
pub struct DoubleText {
    bytes: [u8; DOUBLE_TEXT_BYTES],
    len: usize,
}

impl DoubleText {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(slot) = self.bytes.get_mut(self.len) {
                *slot = byte;
                self.len += 1;
            }
        }
    }

    fn zeros(&mut self, count: i32) {
        for _ in 0..count {
            self.put(b"0");
        }
    }
}

impl Write for DoubleText {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// Prints a double as Redis 7.2 does: `3`, `0.1`, `1e+30`, `inf`, `-inf`, `nan`.
pub fn double_text(value: f64) -> DoubleText {
    let mut text = DoubleText { bytes: [0; DOUBLE_TEXT_BYTES], len: 0 };
    if value.is_nan() {
        text.put(b"nan");
        return text;
    }
    if value.is_sign_negative() {
        text.put(b"-");
    }
    if value.is_infinite() {
        text.put(b"inf");
        return text;
    }
    let magnitude = value.abs();
    // Below 2^52 every integral double is exact as an integer: no digits to search for.
    let whole = magnitude as u64;
    if magnitude < 4_503_599_627_370_496.0 && (whole as f64).to_bits() == magnitude.to_bits() {
        text.put(unsigned_text(whole).as_bytes());
        return text;
    }
    lay_out(&mut text, magnitude);
    text
}

/// Lays out the shortest digits of a positive, finite value.
fn lay_out(text: &mut DoubleText, magnitude: f64) {
    let mut scientific = DoubleText { bytes: [0; DOUBLE_TEXT_BYTES], len: 0 };
    let _ = write!(scientific, "{magnitude:e}");
    let mut digits = DoubleText { bytes: [0; DOUBLE_TEXT_BYTES], len: 0 };
    let mut parts = scientific.as_bytes().split(|&byte| byte == b'e');
    for &byte in parts.next().unwrap_or(&[]).iter().filter(|byte| byte.is_ascii_digit()) {
        digits.put(&[byte]);
    }
    let exponent = parts.next().and_then(parse_int).unwrap_or(0) as i32;
    let count = digits.len as i32;
    // The value is `digits × 10^scale`.
    let scale = exponent + 1 - count;
    if scale >= 0 && exponent < count + 7 {
        text.put(digits.as_bytes());
        text.zeros(scale);
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        let whole = usize::try_from(count + scale).unwrap_or(0);
        let (before, behind) = digits.as_bytes().split_at_checked(whole).unwrap_or_default();
        text.put(if before.is_empty() { b"0" } else { before });
        text.put(b".");
        text.zeros(-(count + scale));
        text.put(behind);
    } else {
        let (first, rest) = digits.as_bytes().split_at_checked(1).unwrap_or_default();
        text.put(first);
        if !rest.is_empty() {
            text.put(b".");
            text.put(rest);
        }
        text.put(if exponent < 0 { b"e-" } else { b"e+" });
        text.put(int_text(i64::from(exponent.abs())).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{double_text, int_text, parse_int};
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> &str {
        core::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn integers_have_one_text() {
        for value in [0, 7, -1, 10, 99, 100, i64::MAX, i64::MIN, 4_294_967_296] {
            let printed = std::format!("{value}");
            assert_eq!(text(int_text(value).as_bytes()), printed);
            assert_eq!(parse_int(printed.as_bytes()), Some(value));
        }
        let refused = [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "00",
            " 1",
            "1 ",
            "1x",
            "0x1",
            "--1",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "18446744073709551617",
        ];
        for line in refused {
            assert_eq!(parse_int(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn doubles_look_like_redis() {
        let check = |value: f64, expect: &str| {
            assert_eq!(text(double_text(value).as_bytes()), expect, "{value:e}");
        };
        check(0.0, "0");
        check(-0.0, "-0");
        check(3.0, "3");
        check(-3.0, "-3");
        check(3.25, "3.25");
        check(-3.25, "-3.25");
        check(0.1, "0.1");
        check(0.1 + 0.2, "0.30000000000000004");
        check(1.5e-5, "0.000015");
        check(1.5e-7, "1.5e-7");
        check(1.234_567_890_123e-3, "0.001234567890123");
        check(1.234_567_890_123e-4, "1.234567890123e-4");
        check(1e15, "1000000000000000");
        check(1e16, "1e+16");
        check(1e30, "1e+30");
        check(-1e300, "-1e+300");
        check(5e-324, "5e-324");
        check(1.797_693_134_862_315_7e308, "1.7976931348623157e+308");
        check(9_007_199_254_740_992.0, "9007199254740992");
        check(123_456_789.125, "123456789.125");
        check(f64::INFINITY, "inf");
        check(f64::NEG_INFINITY, "-inf");
        check(f64::NAN, "nan");
    }

    proptest! {
        #[test]
        fn integers_read_back(value: i64) {
            prop_assert_eq!(parse_int(int_text(value).as_bytes()), Some(value));
        }

        #[test]
        fn doubles_read_back(bits: u64) {
            let value = f64::from_bits(bits);
            let printed = double_text(value);
            let read: f64 = text(printed.as_bytes()).parse().unwrap();
            prop_assert!(read.to_bits() == bits || (read.is_nan() && value.is_nan()));
        }
    }
}
