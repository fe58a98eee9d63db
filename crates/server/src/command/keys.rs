//! Where a command's keys are, as clients ask for it: the key specifications of COMMAND INFO, and
//! COMMAND GETKEYS.

use super::{Call, bulk};
use crate::registry::{Entry, Target};
use quorate_engine::{Keys, Span};
use quorate_resp::{Args, Reply};

/// How a command treats a key, in Redis's words.
type Access = [&'static str; 2];

const READ: Access = ["RO", "access"];
const CHANGE: Access = ["RW", "access"];
const OVERWRITE: Access = ["OW", "update"];

fn flags(access: Access) -> Reply<'static> {
    Reply::Set(access.into_iter().map(|word| Reply::Simple(word.into())).collect())
}

/// How a command treats the key in front of the others, and the others.
fn access(entry: &Entry) -> (Access, Access) {
    let all = if matches!(entry.target, Target::Write) { CHANGE } else { READ };
    match entry.meta.keys {
        Keys::AtAndCounted { .. } => (OVERWRITE, READ),
        Keys::Sort | Keys::Radius { .. } => (READ, OVERWRITE),
        _ => (all, all),
    }
}

fn map(pairs: Vec<(&'static str, Reply<'static>)>) -> Reply<'static> {
    Reply::Map(pairs.into_iter().map(|(name, value)| (bulk(name), value)).collect())
}

fn typed(name: &'static str, spec: Vec<(&'static str, Reply<'static>)>) -> Reply<'static> {
    map(vec![("type", bulk(name)), ("spec", map(spec))])
}

fn at(index: u8) -> Reply<'static> {
    typed("index", vec![("index", Reply::Int(i64::from(index)))])
}

fn keyword(word: &'static str, from: u8) -> Reply<'static> {
    typed("keyword", vec![("keyword", bulk(word)), ("startfrom", Reply::Int(i64::from(from)))])
}

fn range(last: i64, step: i64, limit: i64) -> Reply<'static> {
    typed(
        "range",
        vec![
            ("lastkey", Reply::Int(last)),
            ("keystep", Reply::Int(step)),
            ("limit", Reply::Int(limit)),
        ],
    )
}

fn counted(step: i64) -> Reply<'static> {
    typed(
        "keynum",
        vec![
            ("keynumidx", Reply::Int(0)),
            ("firstkey", Reply::Int(1)),
            ("keystep", Reply::Int(step)),
        ],
    )
}

/// The key specifications of COMMAND INFO.
pub(super) fn key_specs(entry: &Entry) -> Vec<Reply<'static>> {
    let one = || range(0, 1, 0);
    let unknown = || typed("unknown", Vec::new());
    let (head, rest) = access(entry);
    let found = match entry.meta.keys {
        Keys::None => return Vec::new(),
        Keys::At(index) => vec![(rest, at(index), one())],
        Keys::Range { first, last, step } => {
            let last = if last < 0 { i64::from(last) } else { i64::from(last) - i64::from(first) };
            vec![(rest, at(first), range(last, i64::from(step), 0))]
        }
        Keys::Counted { count } => vec![(rest, at(count), counted(1))],
        Keys::CountedPairs { count } => vec![(rest, at(count), counted(2))],
        Keys::AtAndCounted { at: index, count } => {
            vec![(head, at(index), one()), (rest, at(count), counted(1))]
        }
        // A limit of 2: the first half.
        Keys::Streams { options } => vec![(rest, keyword("STREAMS", options), range(-1, 1, 2))],
        Keys::Sort => vec![(head, at(1), one()), (rest, unknown(), unknown())],
        Keys::Radius { options } => vec![
            (head, at(1), one()),
            (rest, keyword("STORE", options), one()),
            (rest, keyword("STOREDIST", options), one()),
        ],
    };
    let spec = |(access, begin, find)| {
        map(vec![("flags", flags(access)), ("begin_search", begin), ("find_keys", find)])
    };
    found.into_iter().map(spec).collect()
}

/// `COMMAND GETKEYS command …`
pub(super) fn get_keys(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    match keys_of(call, args) {
        Ok((_, _, keys)) => Reply::Array(keys.into_iter().map(|key| bulk(key.to_vec())).collect()),
        Err(refusal) => refusal,
    }
}

/// `COMMAND GETKEYSANDFLAGS command …`
pub(super) fn get_keys_and_flags(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let (entry, span, keys) = match keys_of(call, args) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let (head, rest) = access(entry);
    let pair = |(number, key): (usize, &[u8])| {
        let access = if number == 0 && span.head.is_some() { head } else { rest };
        Reply::Array(vec![bulk(key.to_vec()), flags(access)])
    };
    Reply::Array(keys.into_iter().enumerate().map(pair).collect())
}

type Found<'a> = (&'static Entry, Span, Vec<&'a [u8]>);

fn keys_of<'a>(call: &Call<'_>, args: Args<'a>) -> Result<Found<'a>, Reply<'static>> {
    let args = args.from(2);
    let mut entry = call
        .shared
        .registry
        .find(args.at(0))
        .ok_or(Reply::error("ERR Invalid command specified"))?;
    if let Some(sub) = call.shared.registry.find_sub(entry, args.at(1)) {
        entry = sub;
    }
    if !entry.takes(args.len()) {
        return Err(Reply::error("ERR Invalid number of arguments specified for command"));
    }
    let invalid = Reply::error("ERR Invalid arguments specified for command");
    let place = entry.meta.keys;
    let Some(span) = place.span(args).filter(|span| span.fits(args.len())) else {
        return Err(invalid);
    };
    let keys: Vec<&[u8]> = span.positions(args.len()).filter_map(|at| args.get(at)).collect();
    match keys.len() {
        0 if place.are_movable() => Err(invalid),
        0 => Err(Reply::error("ERR The command has no key arguments")),
        _ => Ok((entry, span, keys)),
    }
}
