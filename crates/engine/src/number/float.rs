//! Doubles as C's `strtod` reads them, because Redis reads scores and coordinates with it.
//!
//! Decimal texts of any length are rounded exactly (`core` does that); hexadecimal ones and the
//! names of infinity are read here. Locale and processor have no part in it.

/// Longest text that is looked at; a longer one is no number. Redis has no limit here, but nobody
/// writes a number with more digits, and reading one takes time that grows with its length.
const TEXT_BYTES_MAX: usize = 4096;

/// Reads a whole text as `strtod` does: `inf`, `nan` and hexadecimal too, overflow gives infinity,
/// underflow zero. `None`: it is no number, or something stands before or behind it.
fn read(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let magnitude = match digits {
        [b'0', b'x' | b'X', rest @ ..] => read_hexadecimal(rest)?,
        [b'0'..=b'9' | b'.', ..] if text.len() <= TEXT_BYTES_MAX => {
            core::str::from_utf8(digits).ok()?.parse().ok()?
        }
        word if word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"infinity") => {
            f64::INFINITY
        }
        word if word.eq_ignore_ascii_case(b"nan") => f64::NAN,
        _ => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// What follows `0x`: digits with or without a point, and perhaps a binary exponent.
fn read_hexadecimal(text: &[u8]) -> Option<f64> {
    /// Beyond this exponent everything is zero or infinite, whatever 4,096 digits say.
    const EXPONENT_MAX: i32 = 100_000;
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let end = text.iter().position(|byte| matches!(byte, b'p' | b'P')).unwrap_or(text.len());
    let (digits, exponent) = text.split_at_checked(end)?;
    let mut scale = match exponent {
        [] => 0,
        [_, b'-', rest @ ..] => -exponent_of(rest, EXPONENT_MAX)?,
        [_, b'+', rest @ ..] | [_, rest @ ..] => exponent_of(rest, EXPONENT_MAX)?,
    };
    let (mut mantissa, mut any, mut point) = (0_u64, false, false);
    for &byte in digits {
        if byte == b'.' && !point {
            point = true;
            continue;
        }
        let digit = u64::from(char::from(byte).to_digit(16)?);
        any = true;
        if mantissa >> 58 == 0 {
            mantissa = mantissa << 4 | digit;
            scale -= if point { 4 } else { 0 };
        } else {
            // More digits than a double has: they count only as "not exactly half".
            mantissa |= u64::from(digit != 0);
            scale += if point { 0 } else { 4 };
        }
    }
    any.then(|| libm::ldexp(mantissa as f64, scale))
}

fn exponent_of(digits: &[u8], max: i32) -> Option<i32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i32, |sum, &byte| {
        let digit = char::from(byte).to_digit(10)?.cast_signed();
        Some(sum.saturating_mul(10).saturating_add(digit).min(max))
    })
}

/// Reads a number as Redis wants it in most places: no blanks, no `nan`, nothing too large or too
/// small for a double.
pub(crate) fn parse_double(text: &[u8]) -> Option<f64> {
    let value = read(text).filter(|value| !value.is_nan())?;
    let names_infinity = text.iter().any(|byte| matches!(byte, b'i' | b'I'));
    let has_digits = || {
        let digits = text.split(|byte| matches!(byte, b'e' | b'E' | b'p' | b'P')).next();
        digits.is_some_and(|digits| digits.iter().any(|byte| matches!(byte, b'1'..=b'9')))
    };
    let is_hexadecimal = text.iter().any(|byte| matches!(byte, b'x' | b'X'));
    if value.is_infinite() && !names_infinity || value == 0.0 && !is_hexadecimal && has_digits() {
        return None;
    }
    Some(value)
}

/// Reads an end of a range of scores. Redis is lax here: blanks may stand in front, the empty text
/// is 0, and what is too large is infinite.
pub(crate) fn parse_bound(text: &[u8]) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b);
    let text = text.get(blanks.count()..).unwrap_or_default();
    read(text).filter(|value| !value.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_redis_reads_scores() {
        for (text, want) in [
            ("0", Some(0.0)),
            ("-0", Some(-0.0)),
            ("+5", Some(5.0)),
            ("1.5", Some(1.5)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("1e3", Some(1000.0)),
            ("1E-3", Some(0.001)),
            ("-1.7976931348623157e308", Some(f64::MIN)),
            ("4.9e-324", Some(5e-324)),
            ("inf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("+INF", Some(f64::INFINITY)),
            ("0x10", Some(16.0)),
            ("-0x1.8p1", Some(-3.0)),
            ("0x.8", Some(0.5)),
            ("0x1fffffffffffff8000000000000001", Some(1.661_534_994_731_145e35)),
            ("9007199254740993", Some(9_007_199_254_740_992.0)),
            ("", None),
            ("-", None),
            (".", None),
            ("e5", None),
            ("1e", None),
            ("1e400", None),
            ("-1e400", None),
            ("1e-400", None),
            ("0e-400", Some(0.0)),
            ("nan", None),
            ("-nan", None),
            ("infinite", None),
            (" 1", None),
            ("1 ", None),
            ("1x", None),
            ("0x", None),
            ("0x1p", None),
            ("--1", None),
            ("+-1", None),
            ("1_000", None),
        ] {
            let read = parse_double(text.as_bytes());
            assert_eq!(read.map(f64::to_bits), want.map(f64::to_bits), "{text:?}");
        }
        let bounds = [
            ("", 0.0),
            (" 1", 1.0),
            ("1e400", f64::INFINITY),
            ("1e-400", 0.0),
            ("-inf", f64::NEG_INFINITY),
        ];
        for (text, want) in bounds {
            assert_eq!(parse_bound(text.as_bytes()), Some(want), "{text:?}");
        }
        for text in ["nan", " ", "1 ", "abc"] {
            assert_eq!(parse_bound(text.as_bytes()), None, "{text:?}");
        }
    }
}
