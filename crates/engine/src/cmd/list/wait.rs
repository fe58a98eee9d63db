//! Waiting for elements of lists: BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH.
//!
//! None of them is logged. LMPOP is in place of those that pop, of the one key that has something;
//! LMOVE and RPOPLPUSH in place of those that move.

use super::between::{PAIR, Popping, end};
use crate::cmd::generic::SYNTAX;
use crate::cmd::wait::{from_first, timeout_ms, words};
use crate::types::list::{End, ListTree};
use crate::{Cause, Flags, Group, Keys, Sealing, ServeFn, Serving, Spec, Wait, exactly, least};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, int_text};

/// All arguments but the time.
const KEYS: Keys = Keys::Range { first: 1, last: -2, step: 1 };
/// The keys of BLMPOP.
const COUNTED: Keys = Keys::Counted { count: 2 };

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::List.rows([
    Spec::waiting(
        "BLPOP",
        "key [key ...] timeout",
        "as `LMPOP`",
        popping(
            |cx, args, cause| pop(cx, args, End::Front, cause),
            |_, reply| put_back(End::Front, reply),
        ),
    )
    .facts(least(3), KEYS, Flags::BLOCKING)
    .doc("2.0.0", "Takes the first element off a list, or waits for one.")
    .access(&["RW access delete"]),
    Spec::waiting(
        "BRPOP",
        "key [key ...] timeout",
        "as `LMPOP`",
        popping(
            |cx, args, cause| pop(cx, args, End::Back, cause),
            |_, reply| put_back(End::Back, reply),
        ),
    )
    .facts(least(3), KEYS, Flags::BLOCKING)
    .doc("2.0.0", "Takes the last element off a list, or waits for one.")
    .access(&["RW access delete"]),
    Spec::waiting(
        "BLMPOP",
        "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        "as `LMPOP`",
        Wait {
            serve: blmpop,
            keys: COUNTED,
            timeout_ms: |args| Popping::parse(args.from(1)).and_then(|_| timeout_ms(args.at(1))),
            alike: |_| b"",
            give_back: |args, reply| put_back(Popping::parse(args.from(1)).ok()?.end, reply),
        },
    )
    .facts(least(5), COUNTED, Flags::BLOCKING)
    .doc("7.0.0", "Takes elements off the first of several lists that has any, or waits for some.")
    .access(&["RW access delete"]),
    Spec::waiting(
        "BLMOVE",
        "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
        "as `LMOVE`",
        moving(
            |cx, args, cause| {
                let moved: [&[u8]; 5] = [b"LMOVE", args.at(1), args.at(2), args.at(3), args.at(4)];
                shift(cx, &moved, cause)
            },
            |args| match (end(args.at(3)), end(args.at(4))) {
                (Some(_), Some(_)) => timeout_ms(args.at(5)),
                _ => Err(Reply::error(SYNTAX)),
            },
        ),
    )
    .facts(exactly(6), PAIR, Flags::BLOCKING.and(Flags::DENYOOM))
    .doc("6.2.0", "Moves an element from one list to another, or waits for one.")
    .access(&["RW access delete", "RW insert"]),
    Spec::waiting(
        "BRPOPLPUSH",
        "source destination timeout",
        "as `RPOPLPUSH`",
        moving(
            |cx, args, cause| shift(cx, &[b"RPOPLPUSH", args.at(1), args.at(2)], cause),
            |args| timeout_ms(args.at(3)),
        ),
    )
    .facts(exactly(4), PAIR, Flags::BLOCKING.and(Flags::DENYOOM))
    .doc("2.2.0", "Puts the last element of a list in front of another, or waits for one.")
    .access(&["RW access delete", "RW insert"]),
]);

type GiveBackFn = fn(Args<'_>, &Reply<'_>) -> Option<Vec<Vec<u8>>>;

/// How BLPOP and BRPOP wait.
const fn popping(serve: ServeFn, give_back: GiveBackFn) -> Wait {
    Wait {
        serve,
        keys: KEYS,
        timeout_ms: |args| timeout_ms(args.at(args.len().saturating_sub(1))),
        alike: |_| b"",
        give_back,
    }
}

/// How BLMOVE and BRPOPLPUSH wait. What they moved stays where it went.
const fn moving(serve: ServeFn, timeout_ms: fn(Args<'_>) -> Result<u64, Reply<'static>>) -> Wait {
    Wait { serve, keys: Keys::At(1), timeout_ms, alike: |_| b"", give_back: |_, _| None }
}

fn pop(cx: &mut Sealing<'_>, args: Args<'_>, end: End, cause: Cause<'_>) -> Serving {
    let keys = args.len().saturating_sub(2);
    from_first::<ListTree>(&cx.reader, args.from(1).iter().take(keys), cause, |key| {
        (words(&[b"LMPOP", b"1", key, name(end)]), true)
    })
}

fn blmpop(cx: &mut Sealing<'_>, args: Args<'_>, cause: Cause<'_>) -> Serving {
    let Popping { keys, end, count } = match Popping::parse(args.from(1)) {
        Ok(popping) => popping,
        Err(refusal) => return Serving::Refused(refusal),
    };
    from_first::<ListTree>(&cx.reader, args.from(3).iter().take(keys), cause, |key| {
        let count = int_text(i64::try_from(count).unwrap_or(i64::MAX));
        let all: [&[u8]; 6] = [b"LMPOP", b"1", key, name(end), b"COUNT", count.as_bytes()];
        (words(&all), false)
    })
}

/// Moves an element. A destination of another type is an error as soon as there is something to be
/// moved, however long that takes.
fn shift(cx: &mut Sealing<'_>, moved: &[&[u8]], cause: Cause<'_>) -> Serving {
    let [_, source, destination, ..] = moved else { return Serving::Nothing(Reply::Null) };
    match cx.reader.view::<ListTree>(source) {
        Err(wrong) if cause.is_new() => Serving::Refused(wrong.into()),
        Ok(None) | Err(_) => Serving::Nothing(Reply::Null),
        Ok(Some(_)) => match cx.reader.view::<ListTree>(destination) {
            Err(wrong) => Serving::Refused(wrong.into()),
            Ok(_) => Serving::By { words: words(moved), flat: false },
        },
    }
}

const fn name(end: End) -> &'static [u8] {
    match end {
        End::Front => b"LEFT",
        End::Back => b"RIGHT",
    }
}

/// Puts elements back at the end that they came from: the last one first, so that they lie as
/// before.
fn put_back(end: End, reply: &Reply<'_>) -> Option<Vec<Vec<u8>>> {
    let Reply::Array(told) = reply else { return None };
    let (key, elements) = match told.as_slice() {
        [key, Reply::Array(elements)] => (key, elements.as_slice()),
        [key, elements @ ..] => (key, elements),
        [] => return None,
    };
    let push: &[u8] = if end == End::Front { b"LPUSH" } else { b"RPUSH" };
    let elements = elements.iter().rev().map(Reply::text);
    let words = [Some(push.into()), key.text()].into_iter().chain(elements);
    words.map(|word| word.map(Cow::into_owned)).collect()
}
