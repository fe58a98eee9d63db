//! Inline commands: one line of text, split into arguments with Redis's quoting rules.
//!
//! Outside quotes, blanks separate. `"…"` knows `\n \r \t \b \a`, `\xHH` and `\` before any other
//! byte; `'…'` knows `\'` only. A closing quote must end its argument. The same rules split the
//! lines of a configuration file, which is why [`split_line`] is public. A zero byte is a byte
//! like any other (in Redis, whose lines are C strings, it ends the line).

use alloc::vec::Vec;

/// Splits a line into its arguments; `None` if a quote is left open or ends inside an argument.
pub fn split_line(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut rest = line.iter().copied().peekable();
    loop {
        while rest.next_if(|&byte| is_blank(byte)).is_some() {}
        if rest.peek().is_none() {
            return Some(found);
        }
        let mut argument = Vec::new();
        while let Some(byte) = rest.next() {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => break,
                b'"' => {
                    double_quoted(&mut rest, &mut argument)?;
                    break;
                }
                b'\'' => {
                    single_quoted(&mut rest, &mut argument)?;
                    break;
                }
                plain => argument.push(plain),
            }
        }
        found.push(argument);
    }
}

type Rest<'a> = core::iter::Peekable<core::iter::Copied<core::slice::Iter<'a, u8>>>;

/// C's `isspace`.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn double_quoted(rest: &mut Rest<'_>, argument: &mut Vec<u8>) -> Option<()> {
    loop {
        match rest.next()? {
            b'"' => return ends_argument(rest),
            b'\\' => {
                if let Some(byte) = hex_escape(rest) {
                    argument.push(byte);
                    continue;
                }
                argument.push(match rest.next()? {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => other,
                });
            }
            plain => argument.push(plain),
        }
    }
}

fn single_quoted(rest: &mut Rest<'_>, argument: &mut Vec<u8>) -> Option<()> {
    loop {
        match rest.next()? {
            b'\'' => return ends_argument(rest),
            b'\\' if rest.peek() == Some(&b'\'') => argument.extend(rest.next()),
            plain => argument.push(plain),
        }
    }
}

/// A closing quote is followed by a blank or by nothing at all.
fn ends_argument(rest: &mut Rest<'_>) -> Option<()> {
    rest.peek().is_none_or(|&byte| is_blank(byte)).then_some(())
}

/// Behind a backslash: `xHH`, consumed only when it is whole.
fn hex_escape(rest: &mut Rest<'_>) -> Option<u8> {
    let mut ahead = rest.clone();
    if ahead.next() != Some(b'x') {
        return None;
    }
    let high = char::from(ahead.next()?).to_digit(16)?;
    let low = char::from(ahead.next()?).to_digit(16)?;
    *rest = ahead;
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::split_line;
    use std::vec::Vec;

    #[test]
    fn a_line_splits_as_in_redis() {
        let check = |line: &[u8], expect: Option<&[&[u8]]>| {
            let expect = expect.map(|all| all.iter().map(|one| one.to_vec()).collect::<Vec<_>>());
            assert_eq!(split_line(line), expect, "{:?}", core::str::from_utf8(line));
        };
        check(b"", Some(&[]));
        check(b" \t\r\n\x0b\x0c ", Some(&[]));
        check(b"PING", Some(&[b"PING"]));
        check(b"  SET  k\tv  ", Some(&[b"SET", b"k", b"v"]));
        check(br#"SET k "a b""#, Some(&[b"SET", b"k", b"a b"]));
        check(br#""\x41\x7fz\xg1\n\r\t\b\a\q\\""#, Some(&[b"A\x7fzxg1\n\r\t\x08\x07q\\"]));
        check(br#"'a\'b\n"c'"#, Some(&[b"a'b\\n\"c"]));
        check(br#""" ''"#, Some(&[b"", b""]));
        check(br#"pre"fix me" x"#, Some(&[b"prefix me", b"x"]));
        check(b"a\x0bb \x0bc", Some(&[b"a\x0bb", b"c"]));
        check(b"\"a\"\x0b\"b\"", Some(&[b"a", b"b"]));
        check(b"a\0b", Some(&[b"a\0b"]));
        check(b"back\\slash", Some(&[b"back\\slash"]));
        check(b"\xff\xfe", Some(&[b"\xff\xfe"]));
        for open in
            [&br#"""#[..], br#""foo"#, b"'foo", br#""foo"bar"#, b"'foo'bar", br#""a\""#, br"'a\'"]
        {
            check(open, None);
        }
    }
}
