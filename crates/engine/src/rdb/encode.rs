//! RDB's own alphabet, written: lengths, strings and AUX fields.
//!
//! `input` reads the same. A length takes one, two, five or nine bytes; a string that is the text
//! of a small number is written as the number, as Redis does.

use super::code;
use crate::types::Form;
use alloc::vec::Vec;

pub(crate) fn put_length(out: &mut Vec<u8>, length: u64) {
    match (u8::try_from(length), u16::try_from(length), u32::try_from(length)) {
        (Ok(short @ ..0x40), _, _) => out.push(short),
        (_, Ok(middle @ ..0x4000), _) => out.extend_from_slice(&(middle | 0x4000).to_be_bytes()),
        (_, _, Ok(long)) => {
            out.push(code::LEN_32);
            out.extend_from_slice(&long.to_be_bytes());
        }
        _ => {
            out.push(code::LEN_64);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

pub(crate) fn put_aux(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(code::AUX);
    for text in [name, value] {
        put_length(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

/// A string as Redis writes it: as an integer where it is the text of one of at most 32 bits.
pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    /// Digits and sign of an `i32`.
    const INT_TEXT_MAX: usize = 11;
    if bytes.len() <= INT_TEXT_MAX
        && Form::of_string(bytes) == Form::Int
        && let Some(number) = number(bytes)
    {
        if let Ok(byte) = i8::try_from(number) {
            out.push(code::INT_8);
            out.extend_from_slice(&byte.to_le_bytes());
        } else if let Ok(word) = i16::try_from(number) {
            out.push(code::INT_16);
            out.extend_from_slice(&word.to_le_bytes());
        } else {
            out.push(code::INT_32);
            out.extend_from_slice(&number.to_le_bytes());
        }
        return;
    }
    put_length(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn number(bytes: &[u8]) -> Option<i32> {
    core::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_redis_does() {
        for (length, want) in [
            (0, &[0_u8][..]),
            (63, &[63]),
            (64, &[0x40, 64]),
            (16_383, &[0x7f, 0xff]),
            (16_384, &[0x80, 0, 0, 0x40, 0]),
            (u64::from(u32::MAX), &[0x80, 255, 255, 255, 255]),
            (1 << 32, &[0x81, 0, 0, 0, 1, 0, 0, 0, 0]),
        ] {
            let mut written = Vec::new();
            put_length(&mut written, length);
            assert_eq!(written, want, "{length}");
        }
    }
}
