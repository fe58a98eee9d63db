//! The payload codec: what was written is read back; any bytes at all give an end or an error.

use super::{Decoded, Payload, decode};
use crate::Db;
use bytes::BytesMut;
use proptest::prelude::*;
use quorate_resp::{Limits, Parser, write_command};
use std::string::String;
use std::vec;
use std::vec::Vec;

fn canonical(args: &[Vec<u8>]) -> BytesMut {
    let mut out = BytesMut::new();
    write_command(&mut out, args.iter().map(Vec::as_slice));
    out
}

/// One thing that seal may write.
#[derive(Clone, Debug)]
enum Item {
    Plain(Vec<Vec<u8>>),
    Rewritten(Vec<Vec<u8>>),
    Hidden(Vec<Vec<u8>>),
    Expiry(Vec<Vec<u8>>),
    FieldExpiry(Vec<u8>, Vec<Vec<u8>>),
}

fn args() -> impl Strategy<Value = Vec<Vec<u8>>> {
    // The name is never SELECT, as in seal: that command is the payload's own.
    let arg = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec(arg, 1..6).prop_map(|mut args| {
        args.insert(0, b"NAME".to_vec());
        args
    })
}

fn item() -> impl Strategy<Value = (u8, Item)> {
    let item = prop_oneof![
        args().prop_map(Item::Plain),
        args().prop_map(Item::Rewritten),
        args().prop_map(Item::Hidden),
        prop::collection::vec("[!-~]{1,9}".prop_map(String::into_bytes), 1..9)
            .prop_map(Item::Hidden),
        // About as long as a line of words may be.
        (980..1010_usize).prop_map(|long| Item::Hidden(vec![vec![b'x'; long / 2]; 2])),
        prop::collection::vec(any::<u8>(), 0..2000).prop_map(|long| Item::Hidden(vec![long])),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 1..200)
            .prop_map(Item::Expiry),
        (
            prop::collection::vec(any::<u8>(), 0..9),
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 1..200)
        )
            .prop_map(|(key, fields)| Item::FieldExpiry(key, fields)),
    ];
    (0..Db::COUNT, item)
}

proptest! {
    #[test]
    fn what_was_written_is_read(items in prop::collection::vec(item(), 0..12)) {
        let mut payload = Payload::default();
        let mut expected = Vec::new();
        for (db, item) in &items {
            let db = Db(*db);
            match item {
                Item::Plain(args) => {
                    let bytes = canonical(args);
                    payload.plain(db, &bytes, 1);
                    expected.push((db, bytes, false, false));
                }
                Item::Rewritten(args) => {
                    payload.command(db, args);
                    expected.push((db, canonical(args), false, false));
                }
                Item::Hidden(args) => {
                    let bytes = canonical(args);
                    hide(&mut payload, db, &bytes);
                    expected.push((db, bytes, false, true));
                }
                Item::Expiry(keys) => {
                    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                    payload.expiry(db, &keys);
                    for keys in keys.chunks(super::EXPIRY_NAMES_MAX) {
                        let mut args = vec![b"UNLINK".to_vec()];
                        args.extend(keys.iter().map(|key| key.to_vec()));
                        expected.push((db, canonical(&args), true, false));
                    }
                }
                Item::FieldExpiry(key, fields) => {
                    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
                    payload.field_expiry(db, key, &fields);
                    for fields in fields.chunks(super::EXPIRY_NAMES_MAX) {
                        let mut args = vec![b"HDEL".to_vec(), key.clone()];
                        args.extend(fields.iter().map(|field| field.to_vec()));
                        expected.push((db, canonical(&args), true, false));
                    }
                }
            }
        }
        prop_assert_eq!(payload.commands() as usize, expected.len());
        let bytes = payload.freeze();
        let found: Vec<_> = decode(&bytes)
            .map(|step| match step.unwrap() {
                Decoded::Command(db, bytes, expiry) => (db, BytesMut::from(bytes), expiry, false),
                Decoded::Hidden(db, bytes) => (db, BytesMut::from(&bytes[..]), false, true),
                Decoded::Words(db, line) => {
                    let words = line.split(|&byte| byte == b' ').map(<[u8]>::to_vec);
                    (db, canonical(&words.collect::<Vec<_>>()), false, true)
                }
                Decoded::Multi | Decoded::Exec => panic!("no transaction was written"),
            })
            .collect();
        prop_assert_eq!(found, expected);
        check_annotations(&bytes);
    }

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes).count();
    }

    #[test]
    fn any_mix_of_fragments_ends(picks in prop::collection::vec(0..FRAGMENTS.len(), 0..20)) {
        let bytes: Vec<u8> = picks.iter().flat_map(|&pick| FRAGMENTS[pick].bytes()).collect();
        let steps: Vec<_> = decode(&bytes).collect();
        let errors = steps.iter().filter(|step| step.is_err()).count();
        prop_assert!(errors == 0 || (errors == 1 && steps.last().unwrap().is_err()));
    }
}

const FRAGMENTS: &[&str] = &[
    "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n",
    "*2\r\n$6\r\nSELECT\r\n$2\r\n16\r\n",
    "*1\r\n$4\r\nNAME\r\n",
    "#x 1\n",
    "#x 0\n",
    "#x 99999999999999999999\n",
    "*2\r\n$6\r\nUNLINK\r\n$1\r\nk\r\n",
    "#h *1\\x0D\\x0A\n",
    "#H $4\\x0D\\x0ANAME\\x0D\\x0A\n",
    "#H \\x0\n",
    "#H ",
    "#w NAME two\n",
    "#w \n",
    "#w NAME  two\n",
    "#w caf\u{e9}\n",
    "#TS:1\n",
    "*0\r\n",
    "*1\r\n$4\r\n",
    "\n",
];

/// Puts a canonical command into armour.
fn hide(payload: &mut Payload, db: Db, command: &[u8]) {
    let mut parser = Parser::default();
    parser.parse(command, &Limits::stored()).unwrap();
    payload.hidden(db, command, parser.args(command));
}

/// Outside of bulk strings a line that begins with `#` is short enough for Redis and is never a
/// time stamp.
fn check_annotations(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        if first == b'#' {
            let end = rest.iter().position(|&byte| byte == b'\n').unwrap();
            assert!(end < 1000, "a line of {end} bytes");
            assert!(!rest.starts_with(b"#TS:"));
            rest = &rest[end + 1..];
        } else {
            let mut parser = quorate_resp::Parser::default();
            let limits = quorate_resp::Limits::stored();
            let Ok(quorate_resp::Parsed::Command { len, .. }) = parser.parse(rest, &limits) else {
                panic!("not a command: {rest:?}");
            };
            rest = &rest[len..];
        }
    }
}

#[test]
fn a_payload_reads_like_an_aof() {
    let mut payload = Payload::default();
    payload.expiry(Db(0), &[b"gone", b"past"]);
    payload.plain(Db(0), b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n", 1);
    hide(&mut payload, Db(2), b"*1\r\n$2\r\n\\\xff\r\n");
    hide(&mut payload, Db(2), b"*2\r\n$4\r\nSPOP\r\n$3\r\nset\r\n");
    let expected = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n#x 1\n\
        *3\r\n$6\r\nUNLINK\r\n$4\r\ngone\r\n$4\r\npast\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n\
        *2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n#H *1\\x0D\\x0A$2\\x0D\\x0A\\x5C\\xFF\\x0D\\x0A\n\
        #w SPOP set\n";
    assert_eq!(payload.freeze(), expected.as_bytes());
}

#[test]
fn a_line_of_words_is_read_strictly() {
    let read = |line: &str| {
        let payload = std::format!("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n{line}");
        decode(payload.as_bytes()).map(|step| step.is_ok()).collect::<Vec<_>>()
    };
    assert_eq!(read("#w SPOP set 3\n"), [true]);
    for bad in
        ["#w \n", "#w  SPOP\n", "#w SPOP \n", "#w SPOP  set\n", "#w SPOP s\x7ft\n", "#w SPOP"]
    {
        assert_eq!(read(bad), [false], "{bad:?}");
    }
}
