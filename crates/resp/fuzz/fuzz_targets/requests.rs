//! Requests: whatever arrives, no panic, and the same story in pieces as at once.
//!
//! The first byte picks the size of the pieces, the rest is what a client sends. What is kept of a
//! command (its canonical form) must read back as the same command.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_resp::{Args, Limits, Parsed, Parser, ProtocolError};

type Command = Vec<Vec<u8>>;

fn feed(
    input: &[u8],
    piece: usize,
    limits: &Limits,
) -> (Vec<Command>, usize, Option<ProtocolError>) {
    let (mut parser, mut commands) = (Parser::default(), vec![]);
    // What is skipped is consumed as it comes, and counts when it has ended.
    let (mut at, mut consumed, mut fed) = (0, 0, 0);
    loop {
        let buffer = &input[at..fed];
        match parser.parse(buffer, limits) {
            Ok(Parsed::Incomplete) if fed == input.len() => return (commands, consumed, None),
            Ok(Parsed::Incomplete) => fed = input.len().min(fed + piece),
            Ok(Parsed::Skipped { len }) => at += len,
            Ok(Parsed::Empty { len }) => {
                at += len;
                consumed = at;
            }
            // Told by a command without arguments, which no client can send.
            Ok(Parsed::TooLarge { len, .. }) => {
                commands.push(vec![]);
                at += len;
                consumed = at;
            }
            Ok(Parsed::Command { len, canonical }) => {
                let kept = parser.canonical(buffer);
                assert_eq!(canonical, kept == &buffer[..len]);
                let command = owned(parser.args(buffer));
                assert_eq!(owned(Args::new(kept, parser.spans())), command);
                let mut again = Parser::default();
                let found = again.parse(kept, &Limits::stored());
                assert_eq!(found, Ok(Parsed::Command { len: kept.len(), canonical: true }));
                assert_eq!(owned(again.args(kept)), command);
                commands.push(command);
                at += len;
                consumed = at;
            }
            Err(error) => return (commands, consumed, Some(error)),
        }
    }
}

fn owned(args: Args<'_>) -> Command {
    args.iter().map(<[u8]>::to_vec).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, input)) = bytes.split_first() else { return };
    let small = Limits {
        args_max: 3,
        bulk_bytes_max: 5,
        command_bytes_max: 30,
        inline_bytes_max: 20,
        ..Limits::default()
    };
    for limits in [Limits::default(), Limits::unauthenticated(), small] {
        let whole = feed(input, input.len().max(1), &limits);
        assert_eq!(feed(input, usize::from(piece).max(1), &limits), whole);
    }
});
