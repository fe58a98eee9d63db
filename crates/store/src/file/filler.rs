//! Filler: what stands in a segment where no record does, and what becomes of void payloads.
//!
//! Lines that begin with `#`, which Redis skips. Whether a place holds exactly the filler that
//! belongs there can be told of every byte, so nothing else passes for it.

/// Filler is written as lines of so many bytes, newline included. Redis reads annotations in pieces
/// of 1,023 bytes.
pub(crate) const LINE: usize = 512;

/// One line of filler.
static FILLER: [u8; LINE] = {
    let mut line = [b'#'; LINE];
    line[LINE - 1] = b'\n';
    line
};

/// Filler for `len` bytes of a segment from `offset` on: lines end where `(offset + 1) % LINE ==
/// 0`.
pub(crate) fn filler(offset: u64, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    let mut at = (offset % LINE as u64) as usize;
    while out.len() < len {
        let take = (LINE - at).min(len - out.len());
        out.extend_from_slice(FILLER.get(at..at + take).unwrap_or_default());
        at = 0;
    }
    // A record that ends one byte before the end of a filler line would leave a lone newline, which
    // Redis refuses.
    if offset % LINE as u64 == LINE as u64 - 1
        && let Some(first) = out.first_mut()
    {
        *first = b'#';
    }
    out
}

/// Where the first byte that is not filler stands in `bytes`, which lie at `offset`.
pub(crate) fn first_unfilled(bytes: &[u8], offset: u64) -> Option<usize> {
    let mut done = 0;
    while done < bytes.len() {
        let at = ((offset + done as u64) % LINE as u64) as usize;
        let take = (LINE - at).min(bytes.len() - done);
        let here = bytes.get(done..done + take)?;
        if here != FILLER.get(at..at + take)? {
            let wrong = here.iter().zip(FILLER.get(at..)?).position(|(is, want)| is != want)?;
            if done + wrong > 0 || at != LINE - 1 || here != b"#" {
                return Some(done + wrong);
            }
        }
        done += take;
    }
    None
}

/// What a truncated payload of `len` bytes is overwritten with: whole annotation lines.
pub(crate) fn blank(len: usize) -> Vec<u8> {
    let mut out = filler(0, len);
    if let Some(last) = out.last_mut().filter(|_| len > 1) {
        *last = b'\n';
    }
    // The last line would be a lone newline: join it to the line before.
    if len > LINE
        && len % LINE == 1
        && let Some(byte) = out.get_mut(len - 2)
    {
        *byte = b'#';
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line begins with `#`, ends with a newline, and is short enough for Redis.
    fn annotations_only(bytes: &[u8]) {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            assert!(line.starts_with(b"#") && line.len() <= 1024, "{line:?}");
        }
        assert!(bytes.is_empty() || bytes == b"#" || bytes.ends_with(b"\n"));
    }

    #[test]
    fn filler_and_blanks_are_annotations_wherever_they_begin() {
        for offset in 0..1100 {
            let bytes = filler(offset, 2048 - offset as usize);
            annotations_only(&bytes);
            assert_eq!(first_unfilled(&bytes, offset), None, "offset {offset}");
            let mut bad = bytes.clone();
            let at = (offset as usize * 7) % bad.len();
            bad[at] ^= 0x40;
            assert_eq!(first_unfilled(&bad, offset), Some(at), "offset {offset}");
        }
        for len in 0..1600 {
            assert_eq!(blank(len).len(), len);
            annotations_only(&blank(len));
        }
    }
}
