//! The request parser: Redis's texts and leniencies, and the properties every feeding must keep.
//!
//! `feed` stands for a session: it hands over the same bytes again with more behind them, in
//! pieces of a given size, and consumes what was found. Whatever the pieces, the story is the same.

use super::{Parsed, Parser, TooLarge, put_header, write_command, write_replaced};
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
    /// What was too large, each with the number of commands before it.
    refused: Vec<(usize, TooLarge)>,
    /// Bytes of whole commands, whatever became of them.
    consumed: usize,
    error: Option<String>,
}

fn feed(input: &[u8], piece: usize, limits: &Limits) -> Story {
    let mut parser = Parser::default();
    let mut story = Story::default();
    let (mut at, mut fed) = (0, 0);
    loop {
        let buffer = input.get(at..fed).unwrap();
        match parser.parse(buffer, limits) {
            Ok(Parsed::Incomplete) if fed == input.len() => return story,
            Ok(Parsed::Incomplete) => fed = input.len().min(fed + piece),
            Ok(Parsed::Empty { len }) => {
                at += len;
                story.consumed = at;
            }
            Ok(Parsed::Skipped { len }) => {
                assert!(len > 0 && parser.skipping() > Some(0));
                at += len;
            }
            Ok(Parsed::TooLarge { len, why }) => {
                assert_eq!(parser.skipping(), None);
                story.refused.push((story.commands.len(), why));
                at += len;
                story.consumed = at;
            }
            Ok(Parsed::Command { len, canonical }) => {
                let args = parser.args(buffer);
                story.commands.push(args.iter().map(<[u8]>::to_vec).collect());
                let bytes = parser.canonical(buffer);
                assert_eq!(canonical, bytes == buffer.get(..len).unwrap());
                let again: Vec<_> =
                    crate::Args::new(bytes, parser.spans()).iter().map(<[u8]>::to_vec).collect();
                assert_eq!(Some(&again), story.commands.last());
                story.canonical.extend_from_slice(bytes);
                at += len;
                story.consumed = at;
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
    check(b"*2147483648\r\n", "invalid multibulk length");
    check(b"*20000000000000000000\r\n", "invalid multibulk length");
    check(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "expected '$', got 'f'");
    check(b"*1\r\n\r\n", "expected '$', got '\r'");
    check(b"*1\r\nfoo\r\n", "expected '$', got 'f'");
    check(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n", "invalid bulk length");
    check(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n", "invalid bulk length");
    check(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n", "invalid bulk length");
    check(b"*1\r\n$536870913\r\n", "invalid bulk length");
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
    let limits = Limits {
        args_max: 3,
        bulk_bytes_max: 1,
        command_bytes_max: 25,
        inline_bytes_max: 4,
        ..Limits::default()
    };
    let mut out = BytesMut::new();
    write_command(&mut out, [arg; 3].into_iter());
    out.extend_from_slice(b"PING\n");
    let story = feed(&out, 1, &limits);
    assert_eq!(story.commands, commands(&[&[arg; 3], &[b"PING"]]));
    assert!(feed(b"PINGS\n", 1, &limits).error.is_some());
    // What is read back from the log was accepted under other limits.
    assert_eq!(feed(&out.split_to(25), 1, &Limits::stored()).commands, commands(&[&[arg; 3]]));
    // What would end beyond a span's reach is refused by its header.
    assert!(feed(b"*2\r\n$4294967295\r\n", 1, &Limits::stored()).error.is_some());
}

/// What is too large is told where it stood, and everything around it is understood.
#[test]
fn what_is_too_large_is_skipped() {
    let limits =
        Limits { args_max: 3, bulk_bytes_max: 5, command_bytes_max: 30, ..Limits::default() };
    let check = |input: &[u8], expect: TooLarge| {
        let ping = b"*1\r\n$4\r\nPING\r\n";
        let around = [&ping[..], input, ping].concat();
        for piece in [1, 2, 3, 7, usize::MAX >> 1] {
            let story = feed(&around, piece, &limits);
            assert_eq!(story.commands, commands(&[&[b"PING"], &[b"PING"]]));
            let shown = input.escape_ascii();
            assert_eq!(story.refused, [(1, expect)], "{shown}");
            assert_eq!((story.consumed, story.error), (around.len(), None), "{shown}");
        }
    };
    let argument = TooLarge::Argument(5);
    check(b"*1\r\n$6\r\nabcdef\r\n", argument);
    check(b"*3\r\n$1\r\na\r\n$6\r\n\r\n*1\r\n\r\n$5\r\n12345\r\n", argument);
    check(b"*2\rx$7\rx1234567xx$0\r\n\r\n", argument);
    // One that is too large behind another, or beyond other limits, changes nothing.
    check(b"*2\r\n$6\r\nabcdef\r\n$6\r\nabcdef\r\n", argument);
    check(b"*4\r\n$0\r\n\r\n$0\r\n\r\n$6\r\nabcdef\r\n$0\r\n\r\n", TooLarge::Arguments(3));
    check(b"*3\r\n$5\r\n12345\r\n$5\r\n12345\r\n$5\r\n12345\r\n", TooLarge::Command(30));
    check(b"*3\r\n$5\r\n12345\r\n$4\r\n1234\r\n$1\r\n1\r\n", TooLarge::Command(30));
}

#[test]
fn what_is_skipped_is_held_to_the_protocol() {
    let check = |input: &[u8], expect: &str| {
        let limits = Limits { args_max: 2, bulk_bytes_max: 5, ..Limits::default() };
        for piece in [1, 7, usize::MAX >> 1] {
            let story = feed(input, piece, &limits);
            let expect = std::format!("Protocol error: {expect}");
            assert_eq!(story.error, Some(expect), "{}", input.escape_ascii());
        }
    };
    check(b"*3\r\n$1\r\na\r\nfoo\r\n", "expected '$', got 'f'");
    check(b"*3\r\n$1\r\naxxb$1\r\na\r\n", "expected '$', got 'b'");
    check(b"*2\r\n$6\r\nabcdef\r\n$-1\r\n", "invalid bulk length");
    check(b"*2\r\n$6\r\nabcdef\r\n$536870913\r\n", "invalid bulk length");
    check(b"*2\r\n$6\r\nabcdef\r\n$x\r\n", "invalid bulk length");
    let filler = vec![b'1'; 65_537];
    check(&[b"*3\r\n$", &filler[..]].concat(), "too big bulk count string");
    // Two arguments that may each be skipped, and together not.
    let half = b"$536870912\r\n";
    let mut parser = Parser::default();
    let start = [b"*3\r\n", &half[..]].concat();
    let len = start.len();
    assert_eq!(parser.parse(&start, &Limits::default()), Ok(Parsed::Skipped { len }));
    assert_eq!(parser.skipping(), Some(len + (512 << 20) + 2));
    let body = vec![0; 1 << 20];
    for _ in 0..512 {
        let found = parser.parse(&body, &Limits::default());
        assert_eq!(found, Ok(Parsed::Skipped { len: 1 << 20 }));
    }
    let found = parser.parse(&[b"\r\n", &half[..]].concat(), &Limits::default());
    let found = found.unwrap_err().to_string();
    assert_eq!(found, "Protocol error: command too large to be skipped");
    assert!(parser.bytes() < 100, "nothing of it is kept");
}

#[test]
fn it_is_known_how_much_an_argument_wants() {
    let mut parser = Parser::default();
    let mut wants = |input: &[u8]| {
        assert_eq!(parser.parse(input, &Limits::default()), Ok(Parsed::Incomplete));
        parser.wants()
    };
    assert_eq!(wants(b"*2\r\n$4\r\nECHO\r\n"), None);
    assert_eq!(wants(b"*2\r\n$4\r\nECHO\r\n$100\r\n"), Some(14 + 6 + 102));
    assert_eq!(wants(b"*2\r\n$4\r\nECHO\r\n$100\r\nabc"), Some(14 + 6 + 102));
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
    fn the_pieces_do_not_matter(
        input in requests(),
        piece in 1..40_usize,
        (most, bytes) in prop_oneof![Just((30, 30)), (1..5_usize, 1..30_usize)],
        command_bytes_max in prop_oneof![Just(1000), 8..120_usize],
    ) {
        let limits = Limits {
            args_max: most,
            bulk_bytes_max: bytes,
            command_bytes_max,
            inline_bytes_max: 30,
            ..Limits::default()
        };
        let whole = feed(&input, input.len().max(1), &limits);
        prop_assert_eq!(&feed(&input, 1, &limits), &whole);
        prop_assert_eq!(&feed(&input, piece, &limits), &whole);
    }

    /// Commands of any size, and what a command's own size says about each.
    #[test]
    fn what_is_too_large_is_answered_in_its_place(
        sent in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 1..6), 0..6),
        piece in 1..40_usize,
    ) {
        let (args_max, bulk_bytes_max, command_bytes_max) = (4, 9, 50);
        let limits =
            Limits { args_max, bulk_bytes_max, command_bytes_max, ..Limits::default() };
        let (mut out, mut expected) = (BytesMut::new(), Story::default());
        for args in &sent {
            let mut one = BytesMut::new();
            write_command(&mut one, args.iter().map(Vec::as_slice));
            if args.len() > args_max || one.len() > command_bytes_max
                || args.iter().any(|arg| arg.len() > bulk_bytes_max)
            {
                expected.refused.push((expected.commands.len(), TooLarge::Arguments(0)));
            } else {
                expected.commands.push(args.clone());
                expected.canonical.extend_from_slice(&one);
            }
            out.extend_from_slice(&one);
        }
        expected.consumed = out.len();
        for piece in [1, piece, out.len().max(1)] {
            let mut story = feed(&out, piece, &limits);
            story.refused.iter_mut().for_each(|(_, why)| *why = TooLarge::Arguments(0));
            prop_assert_eq!(&story, &expected);
        }
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
