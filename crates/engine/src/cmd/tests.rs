//! The table: its rows are well-formed, and every name is found, in any case, by any way.

use super::{FAMILIES, all, check, lookup, resolve};
use crate::{Keys, Logged};
use alloc::string::ToString;
use bytes::BytesMut;
use quorate_resp::{Limits, Parser, Reply, write_command};
use std::string::String;
use std::vec::Vec;

/// Runs `test` with the arguments of a command line that has no quotes.
fn with_args<T>(line: &str, test: impl FnOnce(quorate_resp::Args<'_>) -> T) -> T {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut bytes = BytesMut::new();
    write_command(&mut bytes, words.into_iter());
    let mut parser = Parser::default();
    parser.parse(&bytes, &Limits::stored()).unwrap();
    test(parser.args(&bytes))
}

fn error(line: &str) -> String {
    with_args(line, |args| match check(args) {
        Err(Reply::Error(text)) => text.to_string(),
        other => panic!("{line}: {:?}", other.map(|spec| spec.meta.name)),
    })
}

#[test]
fn rows_are_well_formed() {
    let mut names: Vec<&str> = all().iter().map(|spec| spec.meta.name).collect();
    let rows = names.len();
    let files = FAMILIES.iter().flat_map(|family| family.iter());
    assert_eq!(rows, files.map(|rows| rows.len()).sum::<usize>());
    assert!(all().iter().enumerate().all(|(at, spec)| usize::from(spec.meta.number) == at));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rows, "a name is used twice");
    for spec in all() {
        let meta = &spec.meta;
        let name = meta.name;
        assert_eq!(name, name.to_ascii_uppercase());
        assert!(name.len() <= super::NAME_BYTES_HASHED, "{name}");
        let summary = meta.summary;
        assert!(summary.ends_with('.') && !summary.ends_with(".."), "{name}: {summary}");
        assert!(summary.starts_with(|first: char| first.is_ascii_uppercase()), "{name}");
        assert!((10..=100).contains(&summary.len()), "{name}: {summary}");
        assert!(meta.since.split('.').count() == 3, "{name}");
        let least = meta.arity.number().unsigned_abs() as usize;
        let words = if name.contains('|') { 2 } else { 1 };
        assert!(least >= words, "{name}");
        let first = match meta.keys {
            Keys::None => words,
            Keys::At(at) => usize::from(at),
            Keys::Range { first, last, step } => {
                assert!(step > 0, "{name}");
                assert!(last < 0 || usize::try_from(last).unwrap() < least, "{name}");
                usize::from(first)
            }
            Keys::Counted { count } | Keys::CountedPairs { count } => usize::from(count),
            Keys::AtAndCounted { at, count } => {
                assert!(at < count && usize::from(count) < least, "{name}");
                usize::from(at)
            }
            // The word is an option, but no command is without it.
            Keys::Streams { options } => {
                assert!(usize::from(options) + 2 < least, "{name}");
                usize::from(options)
            }
            Keys::Sort => 1,
            Keys::Radius { options } => {
                assert_eq!(usize::from(options), least, "{name}");
                1
            }
        };
        let keyless = meta.keys == Keys::None;
        assert!(first >= words && (keyless || first < least), "{name}: keys outside the arity");
        // What runs scripts is carried out like a write, also where it may not write.
        let is_read =
            !spec.is_write() || name.ends_with("_RO") && meta.group == crate::Group::Scripting;
        let is_read = is_read || ["FUNCTION|LIST", "FUNCTION|STATS"].contains(&name);
        assert_eq!(is_read, spec.logged.forms == Logged::NEVER.forms, "{name}");
    }
}

#[test]
fn every_name_is_found() {
    for spec in all() {
        let name = spec.meta.name;
        assert!(core::ptr::eq(lookup(name.as_bytes()).unwrap(), spec));
        let lower = name.to_ascii_lowercase();
        assert_eq!(lookup(lower.as_bytes()).unwrap().meta.name, name);
        let found = with_args(&lower.replace('|', " "), resolve);
        assert_eq!(found.unwrap().meta.name, name);
    }
    assert!(lookup(b"").is_none());
    assert!(lookup(b"DELX").is_none());
    assert!(lookup(&[b'D'; 100]).is_none());
    assert!(with_args("OBJECT|HELP", resolve).is_none());
}

#[test]
fn what_cannot_run_is_refused_in_redis_words() {
    assert_eq!(error("del"), "ERR wrong number of arguments for 'del' command");
    assert_eq!(error("Ttl a b"), "ERR wrong number of arguments for 'ttl' command");
    assert_eq!(error("object"), "ERR wrong number of arguments for 'object' command");
    assert_eq!(
        error("OBJECT encoding"),
        "ERR wrong number of arguments for 'object|encoding' command"
    );
    assert_eq!(error("object foo x"), "ERR unknown subcommand 'foo'. Try OBJECT HELP.");
    assert_eq!(error("foo"), "ERR unknown command 'foo', with args beginning with: ");
    assert_eq!(
        error("foo bar \0x"),
        "ERR unknown command 'foo', with args beginning with: 'bar' '' "
    );
    let long = std::format!("foo {} tail", "x".repeat(200));
    let shown = std::format!("'{}' ", "x".repeat(128));
    assert_eq!(error(&long).split_once(": ").unwrap().1, shown);
    // The server's own commands do not exist for clients.
    assert!(error("quorate.spin 1").starts_with("ERR unknown command 'quorate.spin'"));
}

#[test]
fn keys_are_where_the_row_says() {
    let keys = |line: &str| {
        with_args(line, |args| {
            let spec = resolve(args).unwrap();
            spec.meta.keys.positions(args).collect::<Vec<_>>()
        })
    };
    assert_eq!(keys("DEL a b c"), [1, 2, 3]);
    assert_eq!(keys("COPY a b REPLACE"), [1, 2]);
    assert_eq!(keys("OBJECT ENCODING a"), [2]);
    assert_eq!(keys("SCAN 0"), [] as [usize; 0]);
    let of =
        |keys: Keys, line: &str| with_args(line, |args| keys.positions(args).collect::<Vec<_>>());
    assert_eq!(of(Keys::Range { first: 2, last: -1, step: 1 }, "BITOP AND d s"), [2, 3]);
    assert_eq!(of(Keys::Range { first: 1, last: -1, step: 2 }, "MSET a 1 b 2"), [1, 3]);
    assert_eq!(of(Keys::Counted { count: 1 }, "X 2 a b c"), [2, 3]);
    assert_eq!(of(Keys::Counted { count: 1 }, "X 9 a"), [2]);
    assert_eq!(of(Keys::Counted { count: 1 }, "X -1 a"), [] as [usize; 0]);
    assert_eq!(of(Keys::Counted { count: 2 }, "EVAL x 0 a"), [] as [usize; 0]);
    assert_eq!(keys("BLPOP a b 0"), [1, 2]);
    assert_eq!(keys("BLMOVE a b LEFT LEFT 0"), [1, 2]);
    assert_eq!(keys("BZMPOP 0 2 a b MIN"), [3, 4]);
    assert_eq!(of(Keys::CountedPairs { count: 1 }, "MSETEX 2 a 1 b 2 NX"), [2, 4]);
    let none: [usize; 0] = [];
    for (line, found) in [
        ("Z d 2 a b c", &[1, 3, 4][..]),
        ("Z d 0 a b c", &none),
        ("Z d x a b c", &none),
        ("Z d", &none),
        ("Z d 9223372036854775807 a", &[1, 3]),
    ] {
        assert_eq!(of(Keys::AtAndCounted { at: 1, count: 2 }, line), found, "{line}");
    }
    for (line, found) in [
        ("XREAD STREAMS a b 0 0", &[2, 3][..]),
        ("XREAD count 2 block 0 streams a 0", &[6]),
        ("XREAD STREAMS STREAMS 0", &[2]),
        ("XREAD STREAMS a b 0", &none),
        ("XREAD STREAMS", &none),
        ("XREAD COUNT STREAMS a 0", &none),
        ("XREAD WHAT STREAMS a 0", &none),
    ] {
        assert_eq!(of(Keys::Streams { options: 1 }, line), found, "{line}");
    }
    let line = "XREADGROUP GROUP STREAMS BLOCK NOACK STREAMS k >";
    assert_eq!(of(Keys::Streams { options: 1 }, line), [6]);
    for (line, found) in [
        ("SORT a", &[1][..]),
        ("SORT a STORE d", &[1, 3]),
        ("SORT a BY STORE GET STORE LIMIT STORE STORE STORE d DESC", &[1, 10]),
        ("SORT a STORE c STORE d", &[1, 5]),
        ("SORT a STORE", &[1]),
    ] {
        assert_eq!(of(Keys::Sort, line), found, "{line}");
    }
    for (line, found) in [
        ("GEORADIUS a 0 0 9 km", &[1][..]),
        ("GEORADIUS a 0 0 9 km WITHDIST STOREDIST d", &[1, 8]),
        ("GEORADIUS a 0 0 9 km STORE c STOREDIST STORE", &[1, 9]),
        ("GEORADIUS a 0 0 9 km STORE", &[1]),
    ] {
        assert_eq!(of(Keys::Radius { options: 6 }, line), found, "{line}");
    }
}
