//! From one list to another, and from the first list that has something: LMOVE, RPOPLPUSH, LMPOP.

use super::ends::{gave, take, took};
use crate::cmd::generic::SYNTAX;
use crate::types::Open;
use crate::types::list::{End, ListTree};
use crate::types::pack::Item;
use crate::{Flags, Group, Keys, Replied, Spec, Writer, exactly, least};
use alloc::borrow::Cow;
use alloc::vec;
use quorate_resp::{Args, Reply, parse_int};

/// Source and destination.
pub(super) const PAIR: Keys = Keys::Range { first: 1, last: 2, step: 1 };

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::List.rows([
    Spec::write("LMOVE", "source destination <LEFT | RIGHT> <LEFT | RIGHT>", lmove)
        .facts(exactly(5), PAIR, Flags::DENYOOM)
        .doc("6.2.0", "Takes an element off an end of a list and puts it at an end of another.")
        .access(&["RW access delete", "RW insert"]),
    Spec::write("RPOPLPUSH", "source destination", |cx, args| {
        shift(cx, args, End::Back, End::Front)
    })
    .facts(exactly(3), PAIR, Flags::DENYOOM)
    .doc("1.2.0", "Takes the last element of a list and puts it in front of another.")
    .access(&["RW access delete", "RW insert"]),
    Spec::write("LMPOP", "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]", lmpop)
        .facts(least(4), Keys::Counted { count: 1 }, Flags::NONE)
        .doc("7.0.0", "Takes elements off the first of several lists that is not empty.")
        .access(&["RW access delete"]),
]);

fn lmove(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    match (end(args.at(3)), end(args.at(4))) {
        (Some(from), Some(to)) => shift(cx, args, from, to),
        _ => Err(Reply::error(SYNTAX)),
    }
}

/// The end that a word names.
pub(super) fn end(word: &[u8]) -> Option<End> {
    match word {
        word if word.eq_ignore_ascii_case(b"LEFT") => Some(End::Front),
        word if word.eq_ignore_ascii_case(b"RIGHT") => Some(End::Back),
        _ => None,
    }
}

fn shift(cx: &mut Writer<'_>, args: Args<'_>, from: End, to: End) -> Replied<'static> {
    shifted(cx, (args.at(1), from), (args.at(2), to))
}

/// Both types are looked at before anything moves. The element arrives before it has gone, as far
/// as events tell.
fn shifted(
    cx: &mut Writer<'_>,
    (source, from): (&[u8], End),
    (target, to): (&[u8], End),
) -> Replied<'static> {
    if cx.reader().view::<ListTree>(source)?.is_none() {
        return Ok(Reply::Null);
    }
    cx.reader().view::<ListTree>(target)?;
    let taken = cx.edit(source, |list: &mut Open<ListTree>| {
        let at = if from == End::Front { 0 } else { list.len().checked_sub(1)? };
        let element = list.view().get(at)?.bytes().into_owned();
        if source == target {
            // An element of an end that goes to the same end stays where it is, and is a change to
            // Redis all the same.
            list.remove(at, 1);
            list.push(to, &element);
        } else {
            list.remove(at, 1);
        }
        Some((element, list.is_empty()))
    })?;
    let Some((element, is_empty)) = taken.flatten() else { return Ok(Reply::Null) };
    if source != target {
        cx.edit_or_create(target, |list: &mut Open<ListTree>| list.push(to, &element))?;
    }
    gave(cx, target, to);
    took(cx, source, from, is_empty);
    Ok(match Item::of(&element) {
        Item::Int(number) => Reply::Decimal(number),
        Item::Bytes(_) => Reply::Bulk(Cow::Owned(element)),
    })
}

fn lmpop(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let Popping { keys, end, count } = Popping::parse(args)?;
    for key in args.from(2).iter().take(keys) {
        if let Some(elements) = take(cx, key, end, count)? {
            return Ok(Reply::Array(vec![Reply::owned(key.to_vec()), Reply::Array(elements)]));
        }
    }
    Ok(Reply::NullArray)
}

/// What LMPOP is asked for.
#[derive(Clone, Copy)]
pub(super) struct Popping {
    /// How many keys there are, from the third argument on.
    pub(super) keys: usize,
    /// At which end,
    pub(super) end: End,
    /// and so many elements.
    pub(super) count: usize,
}

impl Popping {
    /// Reads the arguments of LMPOP, or of BLMPOP without the first.
    pub(super) fn parse(args: Args<'_>) -> Result<Self, Reply<'static>> {
        let keys = positive(args.at(1), "ERR numkeys should be greater than 0")?;
        let place = keys.saturating_add(2);
        let end = args.get(place).and_then(end).ok_or(Reply::error(SYNTAX))?;
        let options = args.from(place + 1);
        let count = match (options.len(), options.get(0)) {
            (0, _) => 1,
            (1, _) => return Err(Reply::error(SYNTAX)),
            (many, Some(word)) if word.eq_ignore_ascii_case(b"COUNT") => {
                let count = positive(options.at(1), "ERR count should be greater than 0")?;
                if many > 2 {
                    return Err(Reply::error(SYNTAX));
                }
                count
            }
            _ => return Err(Reply::error(SYNTAX)),
        };
        Ok(Self { keys, end, count })
    }
}

/// A number from 1 on; otherwise this error.
fn positive(text: &[u8], error: &'static str) -> Result<usize, Reply<'static>> {
    let number = parse_int(text).and_then(|number| usize::try_from(number).ok());
    number.filter(|&number| number > 0).ok_or_else(|| Reply::error(error))
}
