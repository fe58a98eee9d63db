//! Looking ahead: which keys will the commands behind this one name?
//!
//! A hint, to have memory fetched before it is needed, so it looks at as little as it can: the
//! first three arguments of a command in canonical form. What it cannot read at a glance ends the
//! look ahead; the parser will see it in its turn.

use crate::request::short_header;

/// The front of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skimmed<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The first argument behind the name; empty if there is none.
    pub first: &'a [u8],
    /// The one behind that; empty if there is none.
    pub second: &'a [u8],
    /// Bytes that the command takes.
    pub len: usize,
}

/// Looks at the command at the front of `buffer`; `None` unless it is there in full, as an array of
/// bulk strings.
pub fn skim(buffer: &[u8]) -> Option<Skimmed<'_>> {
    let (count, mut rest) = header(buffer, b'*')?;
    let mut skimmed = Skimmed { name: &[], first: &[], second: &[], len: 0 };
    for at in 0..count {
        let (length, behind) = header(rest, b'$')?;
        let bytes = behind.get(..length)?;
        rest = behind.get(length + 2..)?;
        match at {
            0 => skimmed.name = bytes,
            1 => skimmed.first = bytes,
            2 => skimmed.second = bytes,
            _ => {}
        }
    }
    skimmed.len = buffer.len() - rest.len();
    (count > 0).then_some(skimmed)
}

/// The number behind `mark` and what follows its line.
fn header(buffer: &[u8], mark: u8) -> Option<(usize, &[u8])> {
    /// More digits than any command of ours that is worth a look.
    const DIGITS_MAX: usize = 9;
    if let Some((number, len)) = short_header(buffer, mark) {
        return buffer.get(len..).map(|rest| (number, rest));
    }
    let (first, digits) = buffer.split_first()?;
    if *first != mark {
        return None;
    }
    let mut number = 0_usize;
    for (at, byte) in digits.iter().take(DIGITS_MAX + 1).enumerate() {
        match byte {
            b'0'..=b'9' => number = number * 10 + usize::from(byte - b'0'),
            b'\r' if at > 0 => return digits.get(at + 2..).map(|rest| (number, rest)),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(buffer: &str, expect: Option<([&str; 3], usize)>) {
        let expect = expect.map(|(arguments, len)| {
            let [name, first, second] = arguments.map(str::as_bytes);
            Skimmed { name, first, second, len }
        });
        assert_eq!(skim(buffer.as_bytes()), expect, "{buffer:?}");
    }

    #[test]
    fn the_front_of_a_command_is_seen() {
        check("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n", Some((["GET", "a", ""], 20)));
        check("*1\r\n$4\r\nPING\r\n", Some((["PING", "", ""], 14)));
        check("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$1\r\nv\r\n", Some((["SET", "", "v"], 26)));
    }

    #[test]
    fn whatever_else_stands_there_ends_it() {
        for buffer in [
            "",
            "*",
            "*\r\n",
            "*0\r\n",
            "*-1\r\n",
            "PING\r\n",
            "#x 1\n",
            "*1\r\n$4\r\nPIN",
            "*1\r\n$4\r\nPING\r",
            "*2\r\n$3\r\nGET\r\n",
            "*1\r\n:4\r\n",
            "*99999999999999999999\r\n",
            "*1\r\n$999999999\r\n",
        ] {
            check(buffer, None);
        }
    }
}
