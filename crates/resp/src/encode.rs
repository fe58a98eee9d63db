//! How a reply looks on the wire, in RESP2 and in RESP3, byte for byte as Redis 7 writes it.
//!
//! Encoding runs once per command on the session's or the leader's hot path: headers and numbers
//! are built on the stack and appended in one piece, and nothing is allocated but the output.

use crate::number::{double_text, int_text, unsigned_text};
use crate::request::put_header;
use crate::{Proto, Reply};
use alloc::vec::Vec;
use bytes::BytesMut;

impl Reply<'_> {
    /// Writes the reply as `proto` wants it.
    pub fn encode(&self, proto: Proto, out: &mut BytesMut) {
        match self {
            Reply::Simple(text) => put_text_line(out, b'+', text.as_bytes()),
            Reply::Error(text) => put_text_line(out, b'-', without_line_end(text.as_bytes())),
            Reply::Int(value) => {
                out.extend_from_slice(int_text(*value).into_line(b':').as_line());
            }
            Reply::Bulk(bytes) => put_bulk(out, bytes),
            Reply::Decimal(number) => put_bulk(out, int_text(*number).as_bytes()),
            Reply::Chunks(pieces) => put_chunks(out, pieces),
            Reply::Array(items) => put_all(out, proto, b'*', items),
            Reply::Strings(strings) => {
                put_header(out, b'*', strings.len());
                out.extend_from_slice(strings.encoded());
            }
            Reply::Null | Reply::NullArray if proto == Proto::Resp3 => {
                out.extend_from_slice(b"_\r\n");
            }
            Reply::Null => out.extend_from_slice(b"$-1\r\n"),
            Reply::NullArray => out.extend_from_slice(b"*-1\r\n"),
            _ => self.encode_newer(proto, out),
        }
    }

    /// What RESP3 has a type for and RESP2 says with an older one.
    fn encode_newer(&self, proto: Proto, out: &mut BytesMut) {
        let newer = proto == Proto::Resp3;
        match self {
            Reply::Map(pairs) | Reply::Keyed(pairs) if newer => put_pairs(out, proto, b'%', pairs),
            Reply::Pairs(pairs) if newer => put_twos(out, proto, pairs),
            Reply::Keyed(pairs) => put_twos(out, proto, pairs),
            Reply::Map(pairs) | Reply::Pairs(pairs) => {
                put_header(out, b'*', pairs.len() * 2);
                put_pairs_bare(out, proto, pairs);
            }
            Reply::Set(items) => put_all(out, proto, if newer { b'~' } else { b'*' }, items),
            Reply::Push(items) => put_all(out, proto, if newer { b'>' } else { b'*' }, items),
            Reply::Double(value) if newer => put_line(out, b',', double_text(*value).as_bytes()),
            Reply::Double(value) => put_bulk(out, double_text(*value).as_bytes()),
            Reply::Digits(text) if newer => put_line(out, b',', text.as_bytes()),
            Reply::Digits(text) => put_bulk(out, text.as_bytes()),
            Reply::Bool(value) if newer => {
                out.extend_from_slice(if *value { b"#t\r\n" } else { b"#f\r\n" });
            }
            Reply::Bool(value) => Reply::Int(i64::from(*value)).encode(proto, out),
            Reply::BigNumber(digits) if newer => put_line(out, b'(', digits.as_bytes()),
            Reply::BigNumber(digits) => put_bulk(out, digits.as_bytes()),
            Reply::Verbatim(format, text) if newer => {
                put_header(out, b'=', text.len() + 4);
                out.extend_from_slice(format);
                out.extend_from_slice(b":");
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            Reply::Verbatim(_, text) => put_bulk(out, text),
            Reply::Attributed(facts, reply) => {
                if newer {
                    put_pairs(out, proto, b'|', facts);
                }
                reply.encode(proto, out);
            }
            _ => {}
        }
    }
}

fn put_all(out: &mut BytesMut, proto: Proto, kind: u8, items: &[Reply<'_>]) {
    put_header(out, kind, items.len());
    for item in items {
        item.encode(proto, out);
    }
}

fn put_pairs(out: &mut BytesMut, proto: Proto, kind: u8, pairs: &[(Reply<'_>, Reply<'_>)]) {
    put_header(out, kind, pairs.len());
    put_pairs_bare(out, proto, pairs);
}

/// An array of arrays of two.
fn put_twos(out: &mut BytesMut, proto: Proto, pairs: &[(Reply<'_>, Reply<'_>)]) {
    put_header(out, b'*', pairs.len());
    for pair in pairs {
        put_header(out, b'*', 2);
        put_pairs_bare(out, proto, core::slice::from_ref(pair));
    }
}

fn put_pairs_bare(out: &mut BytesMut, proto: Proto, pairs: &[(Reply<'_>, Reply<'_>)]) {
    for (key, value) in pairs {
        key.encode(proto, out);
        value.encode(proto, out);
    }
}

fn put_bulk(out: &mut BytesMut, bytes: &[u8]) {
    let header = unsigned_text(bytes.len() as u64).into_line(b'$');
    out.reserve(header.as_line().len() + bytes.len() + 2);
    out.extend_from_slice(header.as_line());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn put_chunks(out: &mut BytesMut, pieces: &[&[u8]]) {
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    put_header(out, b'$', total);
    out.reserve(total + 2);
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(b"\r\n");
}

fn put_line(out: &mut BytesMut, kind: u8, text: &[u8]) {
    out.extend_from_slice(&[kind]);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// A line of text can hold no line's end: the client would take the rest for another reply.
fn put_text_line(out: &mut BytesMut, kind: u8, text: &[u8]) {
    if !text.iter().copied().any(is_line_end) {
        return put_line(out, kind, text);
    }
    let blank = |byte| if is_line_end(byte) { b' ' } else { byte };
    put_line(out, kind, &text.iter().copied().map(blank).collect::<Vec<u8>>());
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let len = text.iter().rposition(|&byte| !is_line_end(byte)).map_or(0, |last| last + 1);
    text.get(..len).unwrap_or(text)
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use crate::{Proto, Reply};
    use alloc::borrow::Cow;
    use alloc::boxed::Box;
    use alloc::string::String;
    use bytes::BytesMut;
    use std::vec;

    fn check(reply: &Reply<'_>, resp2: &str, resp3: &str) {
        for (proto, expect) in [(Proto::Resp2, resp2), (Proto::Resp3, resp3)] {
            let mut out = BytesMut::new();
            reply.encode(proto, &mut out);
            assert_eq!(core::str::from_utf8(&out).unwrap(), expect, "{reply:?} in {proto:?}");
        }
    }

    fn check_same(reply: &Reply<'_>, both: &str) {
        check(reply, both, both);
    }

    #[test]
    fn lines_and_strings_are_the_same_in_both() {
        check_same(&Reply::OK, "+OK\r\n");
        check_same(&Reply::error("ERR a\r\nb\n\r\n"), "-ERR a  b\r\n");
        check_same(&Reply::Simple(Cow::Borrowed("a\nb")), "+a b\r\n");
        check_same(&Reply::Int(0), ":0\r\n");
        check_same(&Reply::Int(i64::MIN), ":-9223372036854775808\r\n");
        check_same(&Reply::Int(i64::MAX), ":9223372036854775807\r\n");
        check_same(&Reply::bulk(b""), "$0\r\n\r\n");
        check_same(&Reply::bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n");
        check_same(&Reply::Chunks(vec![b"ab", b"", b"c"]), "$3\r\nabc\r\n");
        check_same(&Reply::Chunks(vec![]), "$0\r\n\r\n");
        check_same(&Reply::Array(vec![]), "*0\r\n");
        check_same(&Reply::Array(vec![Reply::Int(1), Reply::OK]), "*2\r\n:1\r\n+OK\r\n");
    }

    #[test]
    fn the_newer_types_fall_back_in_resp2() {
        let pair = || vec![(Reply::bulk(b"k"), Reply::Bool(true))];
        check(&Reply::Null, "$-1\r\n", "_\r\n");
        check(&Reply::NullArray, "*-1\r\n", "_\r\n");
        let digits = Reply::Digits(String::from("0.50000000000000001"));
        check(&digits, "$19\r\n0.50000000000000001\r\n", ",0.50000000000000001\r\n");
        check(&Reply::Pairs(pair()), "*2\r\n$1\r\nk\r\n:1\r\n", "*1\r\n*2\r\n$1\r\nk\r\n#t\r\n");
        check(&Reply::Keyed(pair()), "*1\r\n*2\r\n$1\r\nk\r\n:1\r\n", "%1\r\n$1\r\nk\r\n#t\r\n");
        check(&Reply::Map(pair()), "*2\r\n$1\r\nk\r\n:1\r\n", "%1\r\n$1\r\nk\r\n#t\r\n");
        let twice = || vec![(Reply::Int(1), Reply::Int(2)), (Reply::Int(1), Reply::Int(2))];
        check(
            &Reply::Pairs(twice()),
            "*4\r\n:1\r\n:2\r\n:1\r\n:2\r\n",
            "*2\r\n*2\r\n:1\r\n:2\r\n*2\r\n:1\r\n:2\r\n",
        );
        check(&Reply::Set(vec![Reply::Int(1)]), "*1\r\n:1\r\n", "~1\r\n:1\r\n");
        check(&Reply::Push(vec![Reply::Int(1)]), "*1\r\n:1\r\n", ">1\r\n:1\r\n");
        check(&Reply::Bool(false), ":0\r\n", "#f\r\n");
        check(&Reply::Double(3.25), "$4\r\n3.25\r\n", ",3.25\r\n");
        check(&Reply::Double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
        check(&Reply::Double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n");
        let big = String::from("-3492890328409238509324850943850943825024385");
        check(
            &Reply::BigNumber(big),
            "$44\r\n-3492890328409238509324850943850943825024385\r\n",
            "(-3492890328409238509324850943850943825024385\r\n",
        );
        check(
            &Reply::Verbatim(*b"txt", Cow::Borrowed(b"hello")),
            "$5\r\nhello\r\n",
            "=9\r\ntxt:hello\r\n",
        );
        check(
            &Reply::Attributed(pair(), Box::new(Reply::Int(7))),
            ":7\r\n",
            "|1\r\n$1\r\nk\r\n#t\r\n:7\r\n",
        );
    }
}
