//! Replies as a client sees them: owned values, decoded from RESP2 or RESP3.
//!
//! The server never reads replies; its tools and tests do (the black-box tests, the bench, the
//! check that Redis accepts the log). So this decoder prefers plainness to speed: it starts over
//! when a reply was not whole. It is as careful with its input as the request side: no allocation
//! by a declared size, bounded depth.

use crate::parse_int;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Nested aggregates that a reply may hold.
const DEPTH_MAX: usize = 64;

/// One reply, owned. The variants are those of [`crate::Reply`], as far as the wire tells them
/// apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+OK` and its like.
    Simple(String),
    /// An error: the line behind the `-`.
    Error(String),
    /// An integer.
    Int(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// The absent value (RESP2's `$-1`, RESP3's `_`).
    Null,
    /// RESP2's absent array, `*-1`.
    NullArray,
    /// An array.
    Array(Vec<Value>),
    /// Pairs.
    Map(Vec<(Value, Value)>),
    /// A set.
    Set(Vec<Value>),
    /// A double.
    Double(f64),
    /// A boolean.
    Bool(bool),
    /// A big number, its digits.
    BigNumber(String),
    /// Text with its three-letter format.
    Verbatim([u8; 3], Vec<u8>),
    /// Out-of-band data.
    Push(Vec<Value>),
}

impl Value {
    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Value::Int(value) = self { Some(*value) } else { None }
    }

    /// The bytes of a string of any kind (simple, bulk, verbatim, error line).
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Simple(text) | Value::Error(text) | Value::BigNumber(text) => {
                Some(text.as_bytes())
            }
            Value::Bulk(bytes) | Value::Verbatim(_, bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The items of an array, a set or a push.
    pub fn as_items(&self) -> Option<&[Value]> {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => Some(items),
            _ => None,
        }
    }

    /// The error's line, if it is one.
    pub fn as_error(&self) -> Option<&str> {
        if let Value::Error(text) = self { Some(text) } else { None }
    }

    /// Whether it stands for nothing, in either protocol's way.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::NullArray)
    }
}

/// Bytes that no server should send: why, and nothing else, since there is nothing to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError(pub &'static str);

impl fmt::Display for DecodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

impl core::error::Error for DecodeError {}

/// Decodes one reply at the front of `buffer` and tells its length; `None` if it is not whole yet.
/// A reply's attributes (`|`) are skipped.
pub fn decode_reply(buffer: &[u8]) -> Result<Option<(Value, usize)>, DecodeError> {
    let mut rest = buffer;
    match value(&mut rest, 0) {
        Ok(found) => Ok(Some((found, buffer.len() - rest.len()))),
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Wrong(why)) => Err(DecodeError(why)),
    }
}

enum Stop {
    Incomplete,
    Wrong(&'static str),
}

fn value(rest: &mut &[u8], depth: usize) -> Result<Value, Stop> {
    if depth > DEPTH_MAX {
        return Err(Stop::Wrong("reply nests too deep"));
    }
    let line = line(rest)?;
    let (kind, text) = line.split_first().ok_or(Stop::Wrong("empty line for a reply"))?;
    Ok(match kind {
        b'+' => Value::Simple(owned(text)?),
        // Redis repeats a client's bytes in some of its errors, whatever they are.
        b'-' => Value::Error(String::from_utf8_lossy(text).into_owned()),
        b':' => Value::Int(parse_int(text).ok_or(Stop::Wrong("bad integer"))?),
        b'(' => Value::BigNumber(owned(text)?),
        b',' => Value::Double(owned(text)?.parse().map_err(|_| Stop::Wrong("bad double"))?),
        b'#' if text == b"t" => Value::Bool(true),
        b'#' if text == b"f" => Value::Bool(false),
        b'_' if text.is_empty() => Value::Null,
        b'$' if text == b"-1" => Value::Null,
        b'*' if text == b"-1" => Value::NullArray,
        b'$' => Value::Bulk(body(rest, text)?.to_vec()),
        b'=' => match body(rest, text)?.split_first_chunk::<3>() {
            Some((format, [b':', text @ ..])) => Value::Verbatim(*format, text.to_vec()),
            _ => return Err(Stop::Wrong("verbatim text without a format")),
        },
        b'*' => Value::Array(items(rest, text, depth)?),
        b'~' => Value::Set(items(rest, text, depth)?),
        b'>' => Value::Push(items(rest, text, depth)?),
        b'%' => Value::Map(pairs(rest, text, depth)?),
        b'|' => {
            pairs(rest, text, depth)?;
            value(rest, depth + 1)?
        }
        _ => return Err(Stop::Wrong("unknown type of reply")),
    })
}

/// The next line without its end, consumed.
fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Stop> {
    let end = rest.iter().position(|&byte| byte == b'\n').ok_or(Stop::Incomplete)?;
    let (line, behind) = rest.split_at_checked(end + 1).ok_or(Stop::Incomplete)?;
    *rest = behind;
    line.strip_suffix(b"\r\n").ok_or(Stop::Wrong("line ends without CR"))
}

fn count(text: &[u8]) -> Result<usize, Stop> {
    parse_int(text).and_then(|n| usize::try_from(n).ok()).ok_or(Stop::Wrong("bad length"))
}

fn body<'a>(rest: &mut &'a [u8], length: &[u8]) -> Result<&'a [u8], Stop> {
    let (body, behind) = rest.split_at_checked(count(length)?).ok_or(Stop::Incomplete)?;
    let (end, behind) = behind.split_at_checked(2).ok_or(Stop::Incomplete)?;
    *rest = behind;
    if end == b"\r\n" { Ok(body) } else { Err(Stop::Wrong("string longer than declared")) }
}

fn items(rest: &mut &[u8], length: &[u8], depth: usize) -> Result<Vec<Value>, Stop> {
    let mut items = Vec::new();
    for _ in 0..count(length)? {
        items.push(value(rest, depth + 1)?);
    }
    Ok(items)
}

fn pairs(rest: &mut &[u8], length: &[u8], depth: usize) -> Result<Vec<(Value, Value)>, Stop> {
    let mut pairs = Vec::new();
    for _ in 0..count(length)? {
        pairs.push((value(rest, depth + 1)?, value(rest, depth + 1)?));
    }
    Ok(pairs)
}

fn owned(text: &[u8]) -> Result<String, Stop> {
    let text = core::str::from_utf8(text).map_err(|_| Stop::Wrong("line is not UTF-8"))?;
    Ok(String::from(text))
}

#[cfg(test)]
mod tests;
