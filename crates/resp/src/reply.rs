//! What a command answers, as data.
//!
//! A handler builds one of these and returns it; it says what is meant, in RESP3's terms, and
//! never how it looks. Only `encode.rs` knows the wire, where RESP2 has less to say it with.

use crate::{ErrorText, Strings, double_text, int_text};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// The protocol version a session speaks (`HELLO 2`, `HELLO 3`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Proto {
    /// RESP2, what every session starts with.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// One reply. Borrowed where the answer already lies in memory (a stored value), owned otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply<'a> {
    /// `+OK` and its like.
    Simple(Cow<'static, str>),
    /// An error: the whole line behind the `-`, code first (`ERR …`, `WRONGTYPE …`). CR and LF
    /// become spaces, those at its end go.
    Error(ErrorText),
    /// `:n`
    Int(i64),
    /// A string of bytes.
    Bulk(Cow<'a, [u8]>),
    /// A string of bytes: the decimal text of a number that is kept as one.
    Decimal(i64),
    /// A string of bytes that lies in several pieces (a large value made of chunks).
    Chunks(Vec<&'a [u8]>),
    /// The absent value: `$-1` in RESP2, `_` in RESP3.
    Null,
    /// The absent array: `*-1` in RESP2, `_` in RESP3.
    NullArray,
    /// An array.
    Array(Vec<Reply<'a>>),
    /// An array of strings.
    Strings(Strings),
    /// Pairs: a flat array in RESP2, `%` in RESP3.
    Map(Vec<(Reply<'a>, Reply<'a>)>),
    /// Pairs in order, which may repeat: a flat array in RESP2, an array of arrays of two in RESP3.
    Pairs(Vec<(Reply<'a>, Reply<'a>)>),
    /// Pairs: an array of arrays of two in RESP2, `%` in RESP3 (XREAD).
    Keyed(Vec<(Reply<'a>, Reply<'a>)>),
    /// A set: an array in RESP2, `~` in RESP3.
    Set(Vec<Reply<'a>>),
    /// A double: a bulk string in RESP2, `,` in RESP3; printed as Redis prints doubles.
    Double(f64),
    /// A double in digits of the command's choice: a bulk string in RESP2, `,` in RESP3.
    Digits(String),
    /// A boolean: `:1`/`:0` in RESP2, `#t`/`#f` in RESP3.
    Bool(bool),
    /// A big number: a bulk string in RESP2, `(` in RESP3.
    BigNumber(String),
    /// Text with a three-letter format: a bulk string in RESP2, `=` in RESP3.
    Verbatim([u8; 3], Cow<'a, [u8]>),
    /// Out-of-band data: an array in RESP2, `>` in RESP3.
    Push(Vec<Reply<'a>>),
    /// A reply with facts about it in front: `|` in RESP3, only the reply itself in RESP2.
    Attributed(Vec<(Reply<'a>, Reply<'a>)>, Box<Reply<'a>>),
}

impl<'a> Reply<'a> {
    /// `+OK`
    pub const OK: Reply<'static> = Reply::Simple(Cow::Borrowed("OK"));
    /// The error for a key that holds another kind of value.
    pub const WRONG_TYPE: Reply<'static> = Reply::Error(ErrorText::fixed(
        "WRONGTYPE Operation against a key holding the wrong kind of value",
    ));

    /// The same reply without arrays within it: what they hold stands in their place.
    #[must_use]
    pub fn flattened(self) -> Self {
        fn spill<'a>(reply: Reply<'a>, out: &mut Vec<Reply<'a>>) {
            match reply {
                Reply::Array(replies) => replies.into_iter().for_each(|reply| spill(reply, out)),
                Reply::Pairs(pairs) => {
                    out.extend(pairs.into_iter().flat_map(|(one, other)| [one, other]));
                }
                other => out.push(other),
            }
        }
        let Reply::Array(replies) = self else { return self };
        let mut out = Vec::with_capacity(replies.len());
        spill(Reply::Array(replies), &mut out);
        Reply::Array(out)
    }

    /// An error with a fixed text.
    #[cold]
    pub fn error(text: &'static str) -> Reply<'static> {
        Reply::Error(ErrorText::fixed(text))
    }

    /// An error that repeats what a client sent: texts and its bytes, one behind the other.
    #[cold]
    pub fn error_of(parts: &[&[u8]]) -> Reply<'static> {
        Reply::Error(ErrorText::of(parts))
    }

    /// An integer from a length or a count.
    pub fn len(count: usize) -> Reply<'static> {
        Reply::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// A string that the reply owns.
    pub fn owned(bytes: Vec<u8>) -> Reply<'static> {
        Reply::Bulk(Cow::Owned(bytes))
    }

    /// A string that lies elsewhere.
    pub fn bulk(bytes: &'a [u8]) -> Reply<'a> {
        Reply::Bulk(Cow::Borrowed(bytes))
    }

    /// The bytes of a string, however it is kept; of a double, its text. `None`: it is neither.
    pub fn text(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Reply::Bulk(bytes) => Some(Cow::Borrowed(bytes)),
            Reply::Decimal(number) => Some(Cow::Owned(int_text(*number).as_bytes().to_vec())),
            Reply::Chunks(pieces) => Some(Cow::Owned(pieces.concat())),
            Reply::Double(value) => Some(Cow::Owned(double_text(*value).as_bytes().to_vec())),
            _ => None,
        }
    }

    /// The same, which borrows nothing.
    pub fn into_owned(self) -> Reply<'static> {
        let all = |replies: Vec<Reply<'_>>| replies.into_iter().map(Reply::into_owned).collect();
        let pairs = |pairs: Vec<(Reply<'_>, Reply<'_>)>| {
            let owned =
                pairs.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned()));
            owned.collect::<Vec<_>>()
        };
        match self {
            Reply::Simple(text) => Reply::Simple(text),
            Reply::Error(text) => Reply::Error(text),
            Reply::Int(number) => Reply::Int(number),
            Reply::Bulk(bytes) => Reply::owned(bytes.into_owned()),
            Reply::Decimal(number) => Reply::Decimal(number),
            Reply::Chunks(pieces) => Reply::owned(pieces.concat()),
            Reply::Null => Reply::Null,
            Reply::NullArray => Reply::NullArray,
            Reply::Array(replies) => Reply::Array(all(replies)),
            Reply::Strings(strings) => Reply::Strings(strings),
            Reply::Map(found) => Reply::Map(pairs(found)),
            Reply::Pairs(found) => Reply::Pairs(pairs(found)),
            Reply::Keyed(found) => Reply::Keyed(pairs(found)),
            Reply::Set(replies) => Reply::Set(all(replies)),
            Reply::Double(value) => Reply::Double(value),
            Reply::Digits(digits) => Reply::Digits(digits),
            Reply::Bool(value) => Reply::Bool(value),
            Reply::BigNumber(digits) => Reply::BigNumber(digits),
            Reply::Verbatim(format, text) => Reply::Verbatim(format, text.into_owned().into()),
            Reply::Push(replies) => Reply::Push(all(replies)),
            Reply::Attributed(facts, reply) => {
                Reply::Attributed(pairs(facts), Box::new(reply.into_owned()))
            }
        }
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn what_arrays_hold_takes_their_place() {
        let [key, one, other] = [&b"key"[..], b"one", b"other"].map(Reply::bulk);
        let score = Reply::Double(1.5);
        let array =
            |items: &[&Reply<'static>]| Reply::Array(items.iter().copied().cloned().collect());
        let check = |nested: Reply<'static>, flat: &[&Reply<'static>]| {
            assert_eq!(nested.flattened(), array(flat));
        };
        check(array(&[&key, &array(&[&one])]), &[&key, &one]);
        check(array(&[&key, &array(&[&one, &other])]), &[&key, &one, &other]);
        let pair = array(&[&one, &score]);
        check(array(&[&key, &array(&[&pair])]), &[&key, &one, &score]);
        let pairs = Reply::Pairs(vec![(one.clone(), score.clone())]);
        check(array(&[&key, &pairs]), &[&key, &one, &score]);
        check(array(&[]), &[]);
        for other in [Reply::NullArray, Reply::Null, Reply::WRONG_TYPE, key] {
            assert_eq!(other.clone().flattened(), other);
        }
    }

    #[test]
    fn strings_have_a_text() {
        for (reply, text) in [
            (Reply::bulk(b"a\r\n"), Some(&b"a\r\n"[..])),
            (Reply::owned(b"".to_vec()), Some(b"")),
            (Reply::Decimal(i64::MIN), Some(b"-9223372036854775808")),
            (Reply::Chunks(vec![b"one", b"", b"two"]), Some(b"onetwo")),
            (Reply::Double(0.1), Some(b"0.1")),
            (Reply::Double(f64::NEG_INFINITY), Some(b"-inf")),
            (Reply::Int(1), None),
            (Reply::OK, None),
            (Reply::Null, None),
            (Reply::Array(vec![Reply::bulk(b"a")]), None),
        ] {
            assert_eq!(reply.text().as_deref(), text, "{reply:?}");
        }
    }
}
