//! Bytes as hexadecimal digits, as a snapshot has the bodies of scripts.
//!
//! Two lower-case digits for each byte; only that is read again, since equal states must
//! be equal files.

use alloc::string::String;
use alloc::vec::Vec;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Two digits for each byte.
pub(crate) fn of(bytes: &[u8]) -> String {
    let digit =
        |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What [`of`] wrote; `None` if it did not.
pub(crate) fn read(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| DIGITS.iter().position(|digit| *digit == byte).map(|at| at as u8);
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{of, read};

    #[test]
    fn bytes_come_back_and_nothing_else_is_taken() {
        let all: alloc::vec::Vec<u8> = (0..=255).collect();
        assert_eq!(read(&of(&all)), Some(all));
        assert_eq!(of(b"\x00\xAF"), "00af");
        for wrong in ["0", "0g", "AF", "é"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
