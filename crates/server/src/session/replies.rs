//! Walking encoded replies, to count the errors among them and to leave out silenced ones.
//!
//! Replies come from the replica as bytes ready to send. Only when they may hold an error are they
//! walked.

/// Bytes of the first reply in `bytes`, all of its elements included; `None` if it is cut.
pub(super) fn reply_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    // Elements still to come; nested aggregates add theirs.
    let mut left: usize = 1;
    while left > 0 {
        let rest = bytes.get(at..)?;
        let line = rest.iter().position(|byte| *byte == b'\n')? + 1;
        let (kind, head) = rest.split_first()?;
        let number = || {
            let text = head.get(..line.checked_sub(3)?)?;
            quorate_resp::parse_int(text)
        };
        left -= 1;
        at += line;
        match kind {
            b'$' | b'=' | b'!' => {
                if let Ok(len) = usize::try_from(number()?) {
                    at += len + 2;
                }
            }
            b'*' | b'~' | b'>' => left += usize::try_from(number()?).unwrap_or(0),
            b'%' => left += 2 * usize::try_from(number()?).unwrap_or(0),
            b'|' => left += 2 * usize::try_from(number()?).unwrap_or(0) + 1,
            _ => {}
        }
    }
    (at <= bytes.len()).then_some(at)
}

/// The replies in `bytes`, one by one.
pub(super) fn each(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (one, rest) = bytes.split_at_checked(reply_len(bytes)?)?;
        bytes = rest;
        Some(one)
    })
}

/// Whether any reply may be an error: a quick look without walking.
pub(super) fn may_hold_error(bytes: &[u8]) -> bool {
    // An id of a stream has one within its line.
    bytes.contains(&b'-')
        && (bytes.starts_with(b"-") || bytes.array_windows().any(|pair| pair == b"\n-"))
}

/// The line of an error reply, without `-` and the end.
pub(super) fn error_line(reply: &[u8]) -> Option<&[u8]> {
    let line = reply.strip_prefix(b"-")?;
    Some(line.strip_suffix(b"\r\n").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_apart() {
        let check = |bytes: &[u8], count: usize| {
            let found: Vec<&[u8]> = each(bytes).collect();
            assert_eq!(found.len(), count, "{}", bytes.escape_ascii());
            assert_eq!(found.concat(), bytes);
        };
        check(b"+OK\r\n:1\r\n-ERR x\r\n", 3);
        check(b"$-1\r\n$3\r\na\nb\r\n*-1\r\n_\r\n", 4);
        check(b"*2\r\n*1\r\n$1\r\na\r\n:3\r\n+OK\r\n", 2);
        check(b"%1\r\n+a\r\n*2\r\n:1\r\n:2\r\n,1.5\r\n#t\r\n", 3);
        check(b"|1\r\n+a\r\n:1\r\n$1\r\nx\r\n=5\r\ntxt:a\r\n", 2);
        assert_eq!(reply_len(b"$5\r\nab"), None);
        assert_eq!(reply_len(b"*2\r\n:1\r\n"), None);
        assert_eq!(error_line(b"-ERR no \xff\r\n"), Some(&b"ERR no \xff"[..]));
        assert_eq!(error_line(b"+OK\r\n"), None);
    }
}
