//! Numbers and bytes as text: decimal, hexadecimal, and lines of it.
//!
//! Header lines hold numbers; what is no command stands in a log as lines that Redis skips. Nothing
//! here allocates but for what it gives back.

/// Bytes of payload in one armoured line (two hexadecimal digits each).
const ARMOUR_BYTES: usize = 480;

/// Appends a number in decimal.
pub(crate) fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Appends the lowest `digits` hexadecimal digits of a number.
pub(crate) fn push_hex(out: &mut Vec<u8>, number: u64, digits: u32) {
    out.extend((0..digits).rev().map(|place| hex_digit((number >> (4 * place)) as u8)));
}

const fn hex_digit(value: u8) -> u8 {
    let value = value & 15;
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// Reads a decimal number.
pub(crate) fn decimal(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0_u64, |number, &digit| {
        let value = u64::from(digit.checked_sub(b'0').filter(|value| *value < 10)?);
        number.checked_mul(10)?.checked_add(value)
    })
}

/// Reads a hexadecimal number of at most 16 digits.
pub(crate) fn hex(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > 16 {
        return None;
    }
    word.iter().try_fold(0, |number, &digit| Some(number << 4 | u64::from(unhex(digit)?)))
}

fn unhex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Appends bytes as lines `#m <hexadecimal>`.
pub(crate) fn armour(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.chunks(ARMOUR_BYTES) {
        out.extend_from_slice(b"#m ");
        for byte in piece {
            out.push(hex_digit(byte >> 4));
            out.push(hex_digit(*byte));
        }
        out.push(b'\n');
    }
}

/// Bytes that [`armour`] makes of so many.
pub(crate) fn armoured_len(bytes: usize) -> usize {
    bytes * 2 + bytes.div_ceil(ARMOUR_BYTES) * 4
}

/// Undoes [`armour`].
pub(crate) fn unarmour(lines: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(lines.len() / 2);
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let digits = line.strip_prefix(b"#m ")?.strip_suffix(b"\n")?;
        for pair in digits.chunks(2) {
            let [high, low] = *pair else { return None };
            out.push(unhex(high)? << 4 | unhex(low)?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armour_round_trips() {
        for len in [0, 1, 2, 479, 480, 481, 960, 1000] {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 256) as u8).collect();
            let mut lines = Vec::new();
            armour(&bytes, &mut lines);
            assert_eq!(lines.len(), armoured_len(bytes.len()));
            assert_eq!(unarmour(&lines).as_deref(), Some(&bytes[..]));
            let lines = lines.split_inclusive(|&byte| byte == b'\n');
            assert!(lines.clone().all(|line| line.starts_with(b"#") && line.len() <= 1024));
        }
    }
}
