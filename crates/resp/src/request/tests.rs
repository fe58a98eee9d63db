//! The request parser: Redis's texts and leniencies, and the properties every feeding must keep.
//!
//! `feed` stands for a session: it hands over the same bytes again with more behind them, in
//! pieces of a given size, and consumes what was found. Whatever the pieces, the story is the same.

use super::{Parsed, Parser, put_header, write_command, write_replaced};
use crate::Limits;
use alloc::string::{String, ToString};
use bytes::BytesMut;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// What a session sees: commands in order, and the error that ended it.
#[derive(Debug, PartialEq, Default)]
struct Story {
    commands: Vec<Vec<Vec<u8>>>,
    canonical: Vec<u8>,
    consumed: usize,
    error: Option<String>,
}

fn feed(input: &[u8], piece: usize, limits: &Limits) -> Story {
    let mut parser = Parser::default();
    let mut story = Story::default();
    let mut fed = 0;
    loop {
        let buffer = input.get(story.consumed..fed).unwrap();
        match parser.parse(buffer, limits) {
            Ok(Parsed::Incomplete) if fed == input.len() => return story,
            Ok(Parsed::Incomplete) => fed = input.len().min(fed + piece),
            Ok(Parsed::Empty { len }) => story.consumed += len,
            Ok(Parsed::Command { len, canonical }) => {
                let args = parser.args(buffer);
                story.commands.push(args.iter().map(<[u8]>::to_vec).collect());
                let bytes = parser.canonical(buffer);
                assert_eq!(canonical, bytes == buffer.get(..len).unwrap());
                let again: Vec<_> =
                    crate::Args::new(bytes, parser.spans()).iter().map(<[u8]>::to_vec).collect();
                assert_eq!(Some(&again), story.commands.last());
                story.canonical.extend_from_slice(bytes);
                story.consumed += len;
            }
            Err(error) => {
                story.error = Some(error.to_string());
                return story;
            }
        }
    }
}

fn commands(lines: &[&[&[u8]]]) -> Vec<Vec<Vec<u8>>> {
    lines.iter().map(|args| args.iter().map(|arg| arg.to_vec()).collect()).collect()
}

#[test]
fn finds_commands() {
    let check = |input: &[u8], expect: &[&[&[u8]]]| {
        for piece in [1, 2, 3, usize::MAX >> 1] {
            let story = feed(input, piece, &Limits::default());
            assert_eq!(story.commands, commands(expect), "{}", input.escape_ascii());
            assert_eq!((story.consumed, story.error), (input.len(), None));
        }
    };
    check(b"*1\r\n$4\r\nPING\r\n", &[&[b"PING"]]);
    check(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$1\r\nX\r\n", &[&[b"GET", b""], &[b"X"]]);
    check(b"*2\r\n$3\r\nGET\r\n$4\r\n\r\n\r\n\r\n", &[&[b"GET", b"\r\n\r\n"]]);
    check(b"*0\r\n*-1\r\n*-10\r\n\r\n\n  \r\nPING\r\n", &[&[b"PING"]]);
    check(b"SET k 'a b'\nGET \"\\x41\"\r\n", &[&[b"SET", b"k", b"a b"], &[b"GET", b"A"]]);
    // Terminators that Redis does not look at.
    check(b"*1\rx$4\r\0PINGxx\r\n*1\r\n$1\r\nX\r\n", &[&[b"PING"], &[b"X"]]);
    check(b"$3\r\n", &[&[b"$3"]]);
}

#[test]
fn refuses_in_redis_words() {
    let check = |input: &[u8], expect: &str| {
        for piece in [1, 7, usize::MAX >> 1] {
            let story = feed(input, piece, &Limits::default());
            let expect = std::format!("Protocol error: {expect}");
            assert_eq!(story.error, Some(expect), "{}", input.escape_ascii());
        }
    };
    check(b"*x\r\n", "invalid multibulk length");
    check(b"*\r\n", "invalid multibulk length");
    check(b"*+1\r\n", "invalid multibulk length");
    check(b"*3000000000\r\n", "invalid multibulk length");
    check(b"*1048577\r\n", "invalid multibulk length");
    check(b"*20000000000000000000\r\n", "invalid multibulk length");
    check(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "expected '$', got 'f'");
    check(b"*1\r\n\r\n", "expected '$', got '\r'");
    check(b"*1\r\nfoo\r\n", "expected '$', got 'f'");
    check(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n", "invalid bulk length");
    check(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n", "invalid bulk length");
    check(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n", "invalid bulk length");
    check(b"*1\r\n$67108865\r\n", "invalid bulk length");
    check(b"set \"\"\"test-key\"\"\" test-value\r\n", "unbalanced quotes in request");
    let filler = vec![b'A'; 65_537];
    check(&filler, "too big inline request");
    check(&[b"*", &filler[..]].concat(), "too big mbulk count string");
    check(&[b"*1\r\n$", &filler[..]].concat(), "too big bulk count string");
    check(&[b"*", &filler[..], b"\r\n"].concat(), "too big mbulk count string");
    check(&[&filler[..], b"\r\n"].concat(), "too big inline request");
}

#[test]
fn a_stranger_may_send_little() {
    let check = |input: &[u8], expect: Option<&str>| {
        let story = feed(input, 5, &Limits::unauthenticated());
        assert_eq!(story.error.as_deref(), expect, "{}", input.escape_ascii());
    };
    check(b"*10\r\n", None);
    check(b"*11\r\n", Some("Protocol error: unauthenticated multibulk length"));
    check(b"*3000000000\r\n", Some("Protocol error: invalid multibulk length"));
    check(b"*1\r\n$16384\r\n", None);
    check(b"*1\r\n$16385\r\n", Some("Protocol error: unauthenticated bulk length"));
    check(b"*1\r\n$2000000000\r\n", Some("Protocol error: invalid bulk length"));
    check(b"AUTH 1 2 3 4 5 6 7 8 9 10 11 12\r\n", None);
}

#[test]
fn the_edges_of_the_limits_are_inside() {
    let arg: &[u8] = b"x";
    let limits =
        Limits { args_max: 3, bulk_bytes_max: 1, inline_bytes_max: 4, ..Limits::default() };
    let mut out = BytesMut::new();
    write_command(&mut out, [arg; 3].into_iter());
    out.extend_from_slice(b"PING\n");
    let story = feed(&out, 1, &limits);
    assert_eq!(story.commands, commands(&[&[arg; 3], &[b"PING"]]));
    assert!(feed(b"*4\r\n", 1, &limits).error.is_some());
    assert!(feed(b"*1\r\n$2\r\n", 1, &limits).error.is_some());
    assert!(feed(b"PINGS\n", 1, &limits).error.is_some());
    // What is read back from the log was accepted under other limits.
    assert_eq!(feed(&out.split_to(25), 1, &Limits::stored()).commands, commands(&[&[arg; 3]]));
    // What would end beyond a span's reach is refused by its header.
    assert!(feed(b"*2\r\n$4294967295\r\n", 1, &Limits::stored()).error.is_some());
}

/// A declared size costs nothing until its bytes arrive.
#[test]
fn nothing_is_allocated_by_a_declared_size() {
    let mut parser = Parser::default();
    assert_eq!(parser.parse(b"*1048576\r\n", &Limits::default()), Ok(Parsed::Incomplete));
    assert!(parser.spans.capacity() <= super::SPANS_KEPT);
    let mut parser = Parser::default();
    assert_eq!(parser.parse(b"*2\r\n$67108864\r\n", &Limits::default()), Ok(Parsed::Incomplete));
    assert!(parser.rewritten.is_empty());
}

/// Steps are counted where they could become quadratic: no byte of a body or a line is looked at
/// twice.
#[test]
fn progress_is_kept() {
    let mut input = b"*2\r\n$3\r\nSET\r\n$100000\r\n".to_vec();
    let header = input.len();
    input.resize(header + 100_002, b'v');
    let mut parser = Parser::default();
    for fed in 1..input.len() {
        let found = parser.parse(input.get(..fed).unwrap(), &Limits::default());
        assert_eq!(found, Ok(Parsed::Incomplete));
        assert!(parser.progress.pos == header || fed <= header);
    }
    let mut parser = Parser::default();
    for fed in 1..60_000 {
        let found = parser.parse(input.get(header..header + fed).unwrap(), &Limits::default());
        assert_eq!((found, parser.progress.scanned), (Ok(Parsed::Incomplete), fed));
    }
}

/// Bytes that look like requests often enough to reach every corner.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let args = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..5);
    let whole = args.prop_map(|args| {
        let mut out = BytesMut::new();
        write_command(&mut out, args.iter().map(Vec::as_slice));
        out.to_vec()
    });
    let header = (prop_oneof![Just(b'*'), Just(b'$')], 0..40_usize).prop_map(|(kind, count)| {
        let mut out = BytesMut::new();
        put_header(&mut out, kind, count);
        out.to_vec()
    });
    let corner = proptest::sample::select(vec![
        &b"\r\n"[..],
        b"\n",
        b"*",
        b"$",
        b"*-1\r\n",
        b"*1\r\n$2\r\nabxy",
        b"PING\r\n",
        b"a 'b\n",
        b"*1\rx$1\r\na\r\n",
        b"\"\\x00\"\n",
        b"*2\r\n",
        b"$-1\r\n",
        b"\0",
        b"*01\r\n",
        b" \r\n",
    ])
    .prop_map(<[u8]>::to_vec);
    let noise = proptest::collection::vec(any::<u8>(), 0..12);
    let part = prop_oneof![4 => whole, 1 => header, 2 => corner, 1 => noise];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn the_pieces_do_not_matter(input in requests(), piece in 1..40_usize) {
        let limits =
            Limits { args_max: 30, bulk_bytes_max: 30, inline_bytes_max: 30, ..Limits::default() };
        let whole = feed(&input, input.len().max(1), &limits);
        prop_assert_eq!(&feed(&input, 1, &limits), &whole);
        prop_assert_eq!(&feed(&input, piece, &limits), &whole);
    }

    #[test]
    fn parsing_undoes_writing(
        sent in proptest::collection::vec(
            proptest::collection::vec(any::<Vec<u8>>(), 1..6), 0..6),
    ) {
        let mut out = BytesMut::new();
        for args in &sent {
            write_command(&mut out, args.iter().map(Vec::as_slice));
        }
        let story = feed(&out, out.len().max(1), &Limits::default());
        prop_assert_eq!(&story.commands, &sent);
        prop_assert_eq!(&story.canonical[..], &out[..]);
    }

    #[test]
    fn what_is_kept_reads_the_same(input in requests()) {
        let story = feed(&input, input.len().max(1), &Limits::default());
        let kept = feed(&story.canonical, story.canonical.len().max(1), &Limits::stored());
        prop_assert_eq!(kept.commands, story.commands);
        prop_assert_eq!(kept.canonical, story.canonical);
    }

    #[test]
    fn arbitrary_bytes_never_panic(input: Vec<u8>, first in 0..3_usize) {
        let front = [&b""[..], b"*", b"*3\r\n$"].get(first).copied().unwrap_or_default();
        feed(&[front, &input[..]].concat(), 1, &Limits::default());
    }
}

#[test]
fn a_replaced_argument_is_the_only_difference() {
    let words: [&[u8]; 5] = [b"XADD", b"s", b"*", b"", b"value"];
    let mut command = BytesMut::new();
    write_command(&mut command, words.into_iter());
    let mut parser = Parser::default();
    let len = command.len();
    command.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let found = parser.parse(&command, &Limits::stored());
    assert_eq!(found, Ok(Parsed::Command { len, canonical: true }));
    for at in 1..words.len() {
        for by in [&b""[..], b"5-*", &[b'x'; 1000]] {
            let (mut expect, mut got) = (BytesMut::new(), BytesMut::new());
            let mut words = words;
            words[at] = by;
            write_command(&mut expect, words.into_iter());
            write_replaced(&mut got, parser.args(&command), at, by);
            assert_eq!(got, expect, "argument {at}");
        }
    }
    // The name stays, and so does a command that has no such argument.
    for at in [0, words.len(), usize::MAX] {
        let mut got = BytesMut::new();
        write_replaced(&mut got, parser.args(&command), at, b"5-*");
        assert_eq!(got, command[..len], "argument {at}");
    }
}

#[test]
fn a_line_of_words_is_cut_at_each_space() {
    let mut parser = Parser::default();
    for line in ["SPOP set 3", "SPOP", "", " a  b "] {
        // What another command left behind does not show.
        assert!(parser.parse(b"*1\r\n$4\r\nPING__", &Limits::stored()).is_ok());
        assert_eq!(parser.parse(b"*1", &Limits::stored()), Ok(Parsed::Incomplete));
        parser.words(line.as_bytes());
        let words: Vec<&[u8]> = parser.args(line.as_bytes()).iter().collect();
        let expected: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        assert_eq!(words, expected, "{line:?}");
    }
}
