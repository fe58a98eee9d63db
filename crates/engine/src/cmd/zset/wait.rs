//! Waiting for members of sorted sets: BZPOPMIN, BZPOPMAX, BZMPOP.
//!
//! None of them is logged: ZMPOP is, in its place, of the one key that has something.

use super::pop::{End, options};
use crate::cmd::wait::{from_first, timeout_ms, words};
use crate::types::zset::ZsetTree;
use crate::{Cause, Flags, Group, Keys, Sealing, ServeFn, Serving, Spec, Wait, least};
use alloc::vec::Vec;
use quorate_resp::{Args, Reply, int_text};

/// All arguments but the time.
const KEYS: Keys = Keys::Range { first: 1, last: -2, step: 1 };
/// The keys of BZMPOP.
const COUNTED: Keys = Keys::Counted { count: 2 };

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::SortedSet.rows([
    Spec::waiting(
        "BZPOPMIN",
        "key [key ...] timeout",
        "as `ZMPOP`",
        popping(|cx, args, cause| pop(cx, args, End::Min, cause)),
    )
    .facts(least(3), KEYS, Flags::BLOCKING.and(Flags::FAST))
    .doc("5.0.0", "Removes the member with the lowest score, or waits for one.")
    .access(&["RW access delete"]),
    Spec::waiting(
        "BZPOPMAX",
        "key [key ...] timeout",
        "as `ZMPOP`",
        popping(|cx, args, cause| pop(cx, args, End::Max, cause)),
    )
    .facts(least(3), KEYS, Flags::BLOCKING.and(Flags::FAST))
    .doc("5.0.0", "Removes the member with the highest score, or waits for one.")
    .access(&["RW access delete"]),
    Spec::waiting(
        "BZMPOP",
        "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
        "as `ZMPOP`",
        Wait {
            serve: bzmpop,
            keys: COUNTED,
            timeout_ms: |args| options(args.from(1)).and_then(|_| timeout_ms(args.at(1))),
            alike: |_| b"",
            give_back: |_, reply| put_back(reply),
        },
    )
    .facts(least(5), COUNTED, Flags::BLOCKING)
    .doc("7.0.0", "Removes members of the first sorted set that has any, or waits for some.")
    .access(&["RW access delete"]),
]);

/// How BZPOPMIN and BZPOPMAX wait.
const fn popping(serve: ServeFn) -> Wait {
    Wait {
        serve,
        keys: KEYS,
        timeout_ms: |args| timeout_ms(args.at(args.len().saturating_sub(1))),
        alike: |_| b"",
        give_back: |_, reply| put_back(reply),
    }
}

fn pop(cx: &mut Sealing<'_>, args: Args<'_>, end: End, cause: Cause<'_>) -> Serving {
    let keys = args.len().saturating_sub(2);
    from_first::<ZsetTree>(&cx.reader, args.from(1).iter().take(keys), cause, |key| {
        (words(&[b"ZMPOP", b"1", key, name(end)]), true)
    })
}

fn bzmpop(cx: &mut Sealing<'_>, args: Args<'_>, cause: Cause<'_>) -> Serving {
    let (keys, end, count) = match options(args.from(1)) {
        Ok(options) => options,
        Err(refusal) => return Serving::Refused(refusal),
    };
    from_first::<ZsetTree>(&cx.reader, args.from(3).iter().take(keys), cause, |key| {
        let count = int_text(i64::try_from(count).unwrap_or(i64::MAX));
        let all: [&[u8]; 6] = [b"ZMPOP", b"1", key, name(end), b"COUNT", count.as_bytes()];
        (words(&all), false)
    })
}

const fn name(end: End) -> &'static [u8] {
    match end {
        End::Min => b"MIN",
        End::Max => b"MAX",
    }
}

/// Puts members back that have not come cause in the meantime: `key, member, score` was told, or
/// `key` and pairs.
fn put_back(reply: &Reply<'_>) -> Option<Vec<Vec<u8>>> {
    let Reply::Array(told) = reply.clone().flattened() else { return None };
    let (key, members) = told.split_first()?;
    let mut all: Vec<Vec<u8>> = words(&[b"ZADD", &key.text()?, b"NX"]);
    for pair in members.chunks(2) {
        let [member, score] = pair else { return None };
        all.extend([score.text()?.into_owned(), member.text()?.into_owned()]);
    }
    Some(all)
}
