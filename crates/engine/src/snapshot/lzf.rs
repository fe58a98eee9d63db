//! Decompression of LZF, which Redis uses for strings in an RDB file. We never write it.
//!
//! The input is not to be trusted: output grows as it is made, never by a declared length.

use alloc::vec::Vec;

/// Decompresses to exactly `length` bytes; `None` if the input does not give that.
pub(super) fn decompress(input: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    let mut rest = input.iter();
    while let Some(&control) = rest.next() {
        let control = usize::from(control);
        if control < 32 {
            let run = rest.as_slice().get(..=control)?;
            output.extend_from_slice(run);
            rest = rest.as_slice().get(control + 1..)?.iter();
        } else {
            let mut count = control >> 5;
            if count == 7 {
                count += usize::from(*rest.next()?);
            }
            let back = (control & 31) << 8 | usize::from(*rest.next()?);
            let from = output.len().checked_sub(back + 1)?;
            for at in from..from + count + 2 {
                output.push(*output.get(at)?);
            }
        }
        if output.len() > length {
            return None;
        }
    }
    (output.len() == length).then_some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_what_is_whole_and_nothing_else() {
        for (input, length, want) in [
            (&b"\x02abc"[..], 3, Some(&b"abc"[..])),
            (b"\x00a\xe0\x08\x00", 18, Some(b"aaaaaaaaaaaaaaaaaa")),
            (b"\x01ab\x40\x01", 6, Some(b"ababab")),
            (b"", 0, Some(b"")),
            (b"\x02abc", 2, None),
            (b"\x02abc", 4, None),
            (b"\x02ab", 3, None),
            (b"\x20\x00", 3, None),
            (b"\x00a\x20\x01", 4, None),
            (b"\x00a\xe0", 9, None),
            (b"\x00a\x20", 4, None),
        ] {
            assert_eq!(decompress(input, length).as_deref(), want, "{input:?}");
        }
    }
}
