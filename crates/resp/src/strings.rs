//! Many strings as one reply: laid out as they are told, and then only copied.
//!
//! An array of strings looks the same in RESP2 and RESP3, so that a handler with hundreds of small
//! elements need not make a [`Reply`](crate::Reply) of each (LRANGE). Nothing refers to where the
//! strings came from.

use crate::number::unsigned_text;
use alloc::vec::Vec;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    count: usize,
    /// The elements in RESP, without the array's header.
    encoded: Vec<u8>,
}

/// What an element takes besides its bytes, as a rule: `$nn`, CR LF, CR LF.
const BESIDES: usize = 7;

impl Strings {
    /// With room for so many strings of so many bytes in all.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        let room = count.saturating_mul(BESIDES).saturating_add(bytes);
        Self { count: 0, encoded: Vec::with_capacity(room) }
    }

    /// Adds a string.
    pub fn push(&mut self, bytes: &[u8]) {
        self.count += 1;
        match bytes.len() {
            // Most are short: their header has one digit.
            short @ 0..10 => {
                self.encoded.extend_from_slice(&[b'$', b'0' + short as u8, b'\r', b'\n']);
            }
            long => {
                let header = unsigned_text(long as u64).into_line(b'$');
                self.encoded.reserve(header.as_line().len() + long + 2);
                self.encoded.extend_from_slice(header.as_line());
            }
        }
        self.encoded.extend_from_slice(bytes);
        self.encoded.extend_from_slice(b"\r\n");
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The strings, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.encoded.as_slice();
        core::iter::from_fn(move || {
            let line = rest.iter().position(|byte| *byte == b'\r')?;
            let digits = core::str::from_utf8(rest.get(1..line)?).ok()?;
            let start = line + 2;
            let end = start.checked_add(digits.parse().ok()?)?;
            let string = rest.get(start..end)?;
            rest = rest.get(end + 2..)?;
            Some(string)
        })
    }

    /// The elements in RESP.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Proto, Reply};
    use bytes::BytesMut;

    #[test]
    fn they_look_like_an_array_of_strings() {
        let words = [&b""[..], b"a\r\n", b"123456789", b"1234567890", &[0; 300]];
        for count in 0..=words.len() {
            let words = words.get(..count).unwrap_or_default();
            let mut strings = Strings::default();
            for word in words {
                strings.push(word);
            }
            assert!(strings.iter().eq(words.iter().copied()));
            assert_eq!((strings.len(), strings.is_empty()), (count, count == 0));
            let array = Reply::Array(words.iter().map(|word| Reply::bulk(word)).collect());
            for proto in [Proto::Resp2, Proto::Resp3] {
                let (mut one, mut other) = (BytesMut::new(), BytesMut::new());
                Reply::Strings(strings.clone()).encode(proto, &mut one);
                array.encode(proto, &mut other);
                assert_eq!(one, other);
            }
        }
    }
}
