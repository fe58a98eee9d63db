//! The client side's decoder: examples, and the property that it undoes `Reply::encode`.
//!
//! The property walks random replies of every kind, nested, in both protocols; what RESP2 cannot
//! tell apart is mapped by `expected`, which is therefore also the list of its losses.

use super::{Value, decode_reply};
use crate::{Proto, Reply, Strings, double_text};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::ToString;
use bytes::BytesMut;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

#[test]
fn refuses_what_no_server_sends() {
    let check = |bytes: &[u8]| assert!(decode_reply(bytes).is_err(), "{bytes:?}");
    check(b"\r\n");
    check(b"+OK\n");
    check(b":x\r\n");
    check(b"$-2\r\n");
    check(b"$1\r\nab\r\n");
    check(b"*-2\r\n");
    check(b"#x\r\n");
    check(b"=2\r\nab\r\n");
    check(b"?\r\n");
    check(b"+\xff\r\n");
    check(&b"*1\r\n".repeat(100_000));
    check(&b"|0\r\n".repeat(100_000));
}

#[test]
fn says_when_more_is_needed() {
    let whole = b"*2\r\n$3\r\nfoo\r\n%1\r\n+a\r\n,1.5\r\n";
    for cut in 0..whole.len() {
        assert_eq!(decode_reply(whole.get(..cut).unwrap()), Ok(None), "cut at {cut}");
    }
    let map = Value::Map(vec![(Value::Simple("a".into()), Value::Double(1.5))]);
    let expect = Value::Array(vec![Value::Bulk(b"foo".to_vec()), map]);
    assert_eq!(decode_reply(whole), Ok(Some((expect, whole.len()))));
    assert_eq!(decode_reply(b"*1000000000\r\n$9000000000\r\n"), Ok(None));
}

#[test]
fn a_nan_and_the_accessors() {
    let decoded = |bytes: &[u8]| decode_reply(bytes).unwrap().unwrap().0;
    assert!(matches!(decoded(b",nan\r\n"), Value::Double(value) if value.is_nan()));
    assert_eq!(decoded(b":5\r\n").as_int(), Some(5));
    assert_eq!(decoded(b"$1\r\nx\r\n").as_bytes(), Some(&b"x"[..]));
    assert_eq!(decoded(b"-ERR x\r\n").as_error(), Some("ERR x"));
    assert_eq!(decoded(b"~1\r\n:1\r\n").as_items(), Some(&[Value::Int(1)][..]));
    assert!(decoded(b"*-1\r\n").is_null() && decoded(b"_\r\n").is_null());
    assert_eq!(decoded(b"|1\r\n+a\r\n+b\r\n:7\r\n"), Value::Int(7));
}

/// Any reply, three levels deep.
fn any_reply() -> impl Strategy<Value = Reply<'static>> {
    let text = "[ -~]{0,12}";
    let bytes = proptest::collection::vec(any::<u8>(), 0..24);
    let strings = proptest::collection::vec(bytes.clone(), 0..5).prop_map(|all| {
        let mut strings = Strings::default();
        for string in &all {
            strings.push(string);
        }
        Reply::Strings(strings)
    });
    let leaf = prop_oneof![
        text.prop_map(|text| Reply::Simple(Cow::Owned(text))),
        text.prop_map(|text| Reply::Error(text.into())),
        any::<i64>().prop_map(Reply::Int),
        bytes.clone().prop_map(Reply::owned),
        any::<i64>().prop_map(Reply::Decimal),
        Just(Reply::Chunks(vec![b"one", b"", b"two"])),
        strings,
        Just(Reply::Null),
        Just(Reply::NullArray),
        proptest::num::f64::ANY
            .prop_filter("NaN differs from itself", |value| !value.is_nan())
            .prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Bool),
        "-?[1-9][0-9]{0,30}".prop_map(Reply::BigNumber),
        bytes.prop_map(|text| Reply::Verbatim(*b"txt", Cow::Owned(text))),
    ];
    leaf.prop_recursive(3, 40, 6, |inner| {
        let items = proptest::collection::vec(inner.clone(), 0..6);
        let pairs = proptest::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            items.clone().prop_map(Reply::Array),
            items.clone().prop_map(Reply::Set),
            items.prop_map(Reply::Push),
            pairs.clone().prop_map(Reply::Map),
            pairs.clone().prop_map(Reply::Pairs),
            pairs.clone().prop_map(Reply::Keyed),
            (pairs, inner).prop_map(|(facts, reply)| Reply::Attributed(facts, Box::new(reply))),
        ]
    })
}

/// The replies that lie one behind the other.
fn each(mut bytes: &[u8]) -> Vec<Value> {
    let mut values = vec![];
    while let Ok(Some((value, len))) = decode_reply(bytes) {
        values.push(value);
        bytes = bytes.get(len..).unwrap();
    }
    values
}

/// What a client of `proto` must see.
fn expected(reply: &Reply<'_>, proto: Proto) -> Value {
    let all = |items: &[Reply<'_>]| items.iter().map(|item| expected(item, proto)).collect();
    let newer = proto == Proto::Resp3;
    match reply {
        Reply::Simple(text) => Value::Simple(text.clone().into_owned()),
        Reply::Error(text) => Value::Error(text.to_string()),
        Reply::Int(value) => Value::Int(*value),
        Reply::Bulk(bytes) => Value::Bulk(bytes.to_vec()),
        Reply::Decimal(number) => Value::Bulk(crate::int_text(*number).as_bytes().to_vec()),
        Reply::Chunks(pieces) => Value::Bulk(pieces.concat()),
        Reply::NullArray if !newer => Value::NullArray,
        Reply::Null | Reply::NullArray => Value::Null,
        Reply::Set(items) if newer => Value::Set(all(items)),
        Reply::Push(items) if newer => Value::Push(all(items)),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => Value::Array(all(items)),
        Reply::Strings(strings) => Value::Array(each(strings.encoded())),
        Reply::Map(pairs) | Reply::Pairs(pairs) => {
            let of = |(k, v): &(Reply<'_>, Reply<'_>)| (expected(k, proto), expected(v, proto));
            let pairs = pairs.iter().map(of);
            if newer && matches!(reply, Reply::Map(_)) {
                Value::Map(pairs.collect())
            } else if newer {
                Value::Array(pairs.map(|(k, v)| Value::Array(vec![k, v])).collect())
            } else {
                Value::Array(pairs.flat_map(|(k, v)| [k, v]).collect())
            }
        }
        Reply::Keyed(pairs) => {
            let pairs = pairs.iter().map(|(k, v)| (expected(k, proto), expected(v, proto)));
            if newer {
                Value::Map(pairs.collect())
            } else {
                Value::Array(pairs.map(|(k, v)| Value::Array([k, v].into())).collect())
            }
        }
        Reply::Double(value) if newer => Value::Double(*value),
        Reply::Double(value) => Value::Bulk(double_text(*value).as_bytes().to_vec()),
        Reply::Digits(text) if newer => Value::Double(text.parse().unwrap()),
        Reply::Digits(text) => Value::Bulk(text.clone().into_bytes()),
        Reply::Bool(value) if newer => Value::Bool(*value),
        Reply::Bool(value) => Value::Int(i64::from(*value)),
        Reply::BigNumber(digits) if newer => Value::BigNumber(digits.clone()),
        Reply::BigNumber(digits) => Value::Bulk(digits.clone().into_bytes()),
        Reply::Verbatim(format, text) if newer => Value::Verbatim(*format, text.to_vec()),
        Reply::Verbatim(_, text) => Value::Bulk(text.to_vec()),
        Reply::Attributed(_, reply) => expected(reply, proto),
    }
}

proptest! {
    #[test]
    fn decode_undoes_encode(reply in any_reply(), newer: bool, behind: Vec<u8>) {
        let proto = if newer { Proto::Resp3 } else { Proto::Resp2 };
        let mut out = BytesMut::new();
        reply.encode(proto, &mut out);
        let len = out.len();
        out.extend_from_slice(&behind);
        prop_assert_eq!(decode_reply(&out), Ok(Some((expected(&reply, proto), len))));
    }

    #[test]
    fn a_reply_stays_one_reply(text: Vec<u8>) {
        let mut out = BytesMut::new();
        Reply::Error(text.into()).encode(Proto::Resp2, &mut out);
        let decoded = decode_reply(&out);
        prop_assert!(matches!(decoded, Ok(Some((Value::Error(_), len))) if len == out.len()));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, seed in 0..7_usize) {
        let _ = decode_reply(&bytes);
        let kinds = ["*3", "%2", "$5", "=9", "|1", "~1", ">2"];
        let header = kinds.get(seed).unwrap().as_bytes();
        let _ = decode_reply(&[header, b"\r\n", &bytes[..]].concat());
    }
}
