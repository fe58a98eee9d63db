//! Armour: a command that stock Redis must not see, written as annotation lines that it skips.
//!
//! The command's canonical bytes, escaped (printable ASCII as it is, anything else and the
//! backslash as `\xHH`), in lines of at most 1,000 bytes: `#h …` while more follows, `#H …` for the
//! last. Redis 7 reads annotations in pieces of 1,023 bytes, and a second piece that does not begin
//! with `#` would be an error. No line begins `#TS:`.

use alloc::vec::Vec;
use bytes::BytesMut;

/// Bytes of an annotation line, its end included.
const LINE_BYTES_MAX: usize = 1000;
/// Of these, the mark `#h ` and the newline.
const LINE_BYTES_FRAME: usize = 4;

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// Writes one armoured command.
#[derive(Debug)]
pub(crate) struct Armour<'a> {
    out: &'a mut BytesMut,
    /// Where the current line's mark stands; the last line's is changed to `#H ` at the end.
    line: usize,
    /// Escaped bytes that still fit the line.
    room: usize,
}

impl<'a> Armour<'a> {
    pub(crate) fn new(out: &'a mut BytesMut) -> Self {
        let line = out.len();
        out.extend_from_slice(b"#h ");
        Self { out, line, room: LINE_BYTES_MAX - LINE_BYTES_FRAME }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if (b' '..=b'~').contains(&byte) && byte != b'\\' {
                self.escaped(&[byte]);
            } else {
                let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
                self.escaped(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }

    pub(crate) fn finish(self) {
        self.out.extend_from_slice(b"\n");
        if let Some(mark) = self.out.get_mut(self.line + 1) {
            *mark = b'H';
        }
    }

    /// One unit that must not be torn between lines.
    fn escaped(&mut self, unit: &[u8]) {
        if self.room < unit.len() {
            self.out.extend_from_slice(b"\n");
            self.line = self.out.len();
            self.out.extend_from_slice(b"#h ");
            self.room = LINE_BYTES_MAX - LINE_BYTES_FRAME;
        }
        self.out.extend_from_slice(unit);
        self.room -= unit.len();
    }
}

/// Takes one armoured command, all its lines, off the front of `rest`.
pub(crate) fn decode(rest: &mut &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut command = Vec::new();
    loop {
        let line = take_line(rest)?;
        let text = line.get(3..).unwrap_or(&[]);
        match line.get(..3) {
            Some(b"#h ") => unescape(text, &mut command)?,
            Some(b"#H ") => {
                unescape(text, &mut command)?;
                return Ok(command);
            }
            _ => return Err("payload: armour without its last line"),
        }
    }
}

/// Takes one annotation line off the front of `rest`, without its newline.
pub(crate) fn take_line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let end = rest.iter().take(LINE_BYTES_MAX).position(|&byte| byte == b'\n');
    let end = end.ok_or("payload: an annotation without an end")?;
    let (line, behind) = rest.split_at_checked(end).ok_or("payload: cut annotation")?;
    *rest = behind.get(1..).unwrap_or(&[]);
    Ok(line)
}

fn unescape(mut text: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    while let Some((&byte, behind)) = text.split_first() {
        text = behind;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&[b'x', high, low], behind)) = text.split_first_chunk::<3>() else {
            return Err("payload: malformed escape in the armour");
        };
        text = behind;
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'A'..=b'F' => Some(byte - b'A' + 10),
            _ => None,
        };
        let (Some(high), Some(low)) = (digit(high), digit(low)) else {
            return Err("payload: malformed escape in the armour");
        };
        out.push(high << 4 | low);
    }
    Ok(())
}
