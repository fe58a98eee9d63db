//! Numbers as C's `printf` writes them: `%e`, `%f`, `%g`.
//!
//! Rust finds the digits, correctly rounded; their layout is done here.

/// `%.{precision}g`.
pub(crate) fn general(number: f64, precision: usize) -> String {
    general_of(number, precision, false)
}

/// `%g`; with `#`, zeros at the end stay.
pub(crate) fn general_of(number: f64, precision: usize, keep_zeros: bool) -> String {
    if !number.is_finite() {
        return special(number);
    }
    // The common case, without a search for digits.
    #[allow(clippy::float_cmp, reason = "whether it is whole")]
    if precision >= 14 && !keep_zeros && number.abs() < 1e14 && number.trunc() == number {
        return if number == 0.0 && number.is_sign_negative() {
            "-0".to_owned()
        } else {
            (number as i64).to_string()
        };
    }
    let precision = precision.max(1);
    let scientific = format!("{:.*e}", precision - 1, number);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= precision as i32 {
        let digits = if keep_zeros { digits } else { without_zeros(digits) };
        return format!("{digits}{}", exponent_text(exponent));
    }
    let decimals = usize::try_from(precision as i32 - 1 - exponent).unwrap_or(0);
    let plain = format!("{number:.decimals$}");
    if keep_zeros { plain } else { without_zeros(&plain).to_owned() }
}

/// `%.{precision}e`.
pub(crate) fn scientific(number: f64, precision: usize) -> String {
    if !number.is_finite() {
        return special(number);
    }
    let text = format!("{number:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{digits}{}", exponent_text(exponent.parse().unwrap_or(0)))
}

/// `%.{precision}f`.
pub(crate) fn fixed(number: f64, precision: usize) -> String {
    if number.is_finite() { format!("{number:.precision$}") } else { special(number) }
}

/// C writes the sign of a NaN; the NaN of x86's arithmetic has one.
fn special(number: f64) -> String {
    let text = if number.is_nan() { "nan" } else { "inf" };
    if number.is_sign_negative() { format!("-{text}") } else { text.to_owned() }
}

/// An exponent has a sign and two digits at least.
fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.unsigned_abs())
}

fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_c() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e14, "1e+14"),
            (99_999_999_999_999.0, "99999999999999"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (123_456.75, "123456.75"),
            (1e300, "1e+300"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(general(number, 14), text);
        }
        assert_eq!(general(0.1, 17), "0.10000000000000001");
        assert_eq!(general(100_000.0, 6), "100000");
        assert_eq!(general(1e6, 6), "1e+06");
        assert_eq!(general_of(1.0, 6, true), "1.00000");
        assert_eq!(scientific(12345.678, 2), "1.23e+04");
        assert_eq!(fixed(2.5, 0), "2");
        assert_eq!(fixed(0.5, 3), "0.500");
    }
}
