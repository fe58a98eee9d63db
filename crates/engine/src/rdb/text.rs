//! Numbers as printable text for AUX fields: LEB128, then base64 (RFC 4648, no padding).
//!
//! Strict both ways: every list of numbers has exactly one text, and any other text is
//! refused. So equal states give equal fields.

use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Adds a number in as few bytes as it needs.
pub(crate) fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the front; `None` if there is none, or one that was not written by
/// [`push_number`].
pub(crate) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part || byte == 0 && shift > 0 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Bytes as text.
pub(crate) fn print(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte));
        let bits = bits << (8 * (3 - group.len()));
        for letter in 0..=group.len() {
            let index = (bits >> (18 - 6 * letter)) & 63;
            text.push(ALPHABET.get(index as usize).copied().map_or('A', char::from));
        }
    }
    text
}

/// Text as bytes; `None` unless [`print`] makes exactly this text of them.
pub(crate) fn parse(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0;
        for &letter in group {
            bits = bits << 6 | value(letter)?;
        }
        bits <<= 6 * (4 - group.len());
        let [_, whole @ ..] = u32::to_be_bytes(bits);
        let count = group.len() * 6 / 8;
        let (kept, cut) = whole.split_at_checked(count)?;
        if group.len() == 1 || cut.iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

fn value(letter: u8) -> Option<u32> {
    let (first, base) = match letter {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => (b'+', 62),
        b'/' => (b'/', 63),
        _ => return None,
    };
    Some(u32::from(letter - first) + base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_survive(numbers in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut bytes = Vec::new();
            for number in &numbers {
                push_number(&mut bytes, number >> (number % 64));
            }
            let text = print(&bytes);
            prop_assert!(text.bytes().all(|letter| letter.is_ascii_graphic()));
            let parsed = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&parsed, &bytes);
            let mut rest = &parsed[..];
            for number in numbers {
                prop_assert_eq!(take_number(&mut rest), Some(number >> (number % 64)));
            }
            prop_assert_eq!(take_number(&mut rest), None);
        }

        #[test]
        fn each_text_has_one_meaning(text in "[A-Za-d0-3+/=]{0,9}") {
            if let Some(bytes) = parse(text.as_bytes()) {
                prop_assert_eq!(print(&bytes), text);
            }
        }

        #[test]
        fn each_number_has_one_form(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = &bytes[..];
            if let Some(number) = take_number(&mut rest) {
                let mut again = Vec::new();
                push_number(&mut again, number);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - rest.len()]);
            }
        }
    }
}
