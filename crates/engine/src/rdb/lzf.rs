//! Decompression of LZF, which Redis uses for strings in an RDB file. We never write it.
//!
//! The input is not to be trusted: output grows as it is made, never by a declared length, and is
//! handed on before it grows large.

use alloc::vec::Vec;

/// No reference reaches back farther.
const WINDOW: usize = 8 << 10;

/// Decompresses to exactly `length` bytes; `None` if the input does not give that. Whenever there
/// are `most` bytes and a window, all but the window are handed on; what is left at the end is the
/// result.
pub(crate) fn decompress(
    input: &[u8],
    length: u64,
    most: usize,
    hand_on: &mut dyn FnMut(&[u8]),
) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    let mut left = length;
    let mut rest = input;
    if rest.is_empty() {
        // Nothing is never compressed, and Redis refuses this too.
        return None;
    }
    while let Some((&control, behind)) = rest.split_first() {
        let before = output.len();
        let control = usize::from(control);
        if control < 32 {
            let (run, behind) = behind.split_at_checked(control + 1)?;
            output.extend_from_slice(run);
            rest = behind;
        } else {
            let (more, behind) = if control >> 5 == 7 {
                let (&more, behind) = behind.split_first()?;
                (usize::from(more), behind)
            } else {
                (0, behind)
            };
            let (&low, behind) = behind.split_first()?;
            let back = (control & 31) << 8 | usize::from(low);
            repeat(&mut output, back + 1, (control >> 5) + more + 2)?;
            rest = behind;
        }
        left = left.checked_sub((output.len() - before) as u64)?;
        if output.len() >= most + WINDOW {
            let done = output.len() - WINDOW;
            hand_on(output.get(..done)?);
            output.drain(..done);
        }
    }
    (left == 0).then_some(output)
}

/// Adds `count` bytes that repeat those from `back` before the end on, themselves included.
fn repeat(output: &mut Vec<u8>, back: usize, count: usize) -> Option<()> {
    let from = output.len().checked_sub(back)?;
    if count <= back {
        output.extend_from_within(from..from + count);
    } else {
        for at in from..from + count {
            output.push(*output.get(at)?);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn all(input: &[u8], length: u64, most: usize) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        let rest = decompress(input, length, most, &mut |piece| {
            assert!(piece.len() >= most && piece.len() < most + WINDOW);
            whole.extend_from_slice(piece);
        })?;
        whole.extend(rest);
        Some(whole)
    }

    #[test]
    fn it_takes_what_is_whole_and_nothing_else() {
        for (input, length, want) in [
            (&b"\x02abc"[..], 3, Some(&b"abc"[..])),
            (b"\x00a\xe0\x08\x00", 18, Some(b"aaaaaaaaaaaaaaaaaa")),
            (b"\x01ab\x40\x01", 6, Some(b"ababab")),
            (b"", 0, None),
            (b"\x02abc", 2, None),
            (b"\x02abc", 4, None),
            (b"\x02ab", 3, None),
            (b"\x20\x00", 3, None),
            (b"\x00a\x20\x01", 4, None),
            (b"\x00a\xe0", 9, None),
            (b"\x00a\x20", 4, None),
        ] {
            assert_eq!(all(input, length, 1).as_deref(), want, "{input:?}");
        }
    }

    #[test]
    fn what_is_handed_on_is_still_referred_to() {
        let mut input = vec![31];
        input.extend(0..32);
        let mut want: Vec<u8> = (0..32).collect();
        // 264 bytes from 32 back, again and again, then 8 from the window's far end.
        for _ in 0..1000 {
            input.extend([0xe0, 0xff, 31]);
            for _ in 0..264 {
                want.push(want[want.len() - 32]);
            }
        }
        input.extend([0xdf, 0xff]);
        for _ in 0..8 {
            want.push(want[want.len() - WINDOW]);
        }
        let length = want.len() as u64;
        assert!(all(&input, length, 1).unwrap() == want);
        assert!(all(&input, length, 64 << 10).unwrap() == want);
        assert_eq!(all(&input, length + 1, 1), None);
        assert_eq!(all(&input, length - 1, 1), None);
    }
}
