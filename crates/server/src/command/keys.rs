//! Where a command's keys are, as clients ask for it: the key specifications of COMMAND INFO, and
//! COMMAND GETKEYS.
//!
//! Both follow from the command's row alone: [`Keys`] says where they are.

use super::access::{access, access_of};
use super::{Call, bulk};
use crate::registry::Entry;
use quorate_engine::Keys;
use quorate_resp::{Args, Reply};

fn flags(access: &'static str) -> Reply<'static> {
    Reply::Set(access.split(' ').map(|word| Reply::Simple(word.into())).collect())
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
    let access = access(entry);
    let found = match entry.meta.keys {
        Keys::None => return Vec::new(),
        // What BY and GET of SORT_RO make of elements has one of its own.
        Keys::At(index) => vec![(at(index), one()), (unknown(), unknown())],
        Keys::Range { first, last, step } => {
            // Where the first is treated otherwise than the others it has its own.
            let alone = access.len().saturating_sub(1) as u8;
            let others = first + alone;
            let last = if last < 0 { i64::from(last) } else { i64::from(last) - i64::from(others) };
            let mut found = vec![(at(others), range(last, i64::from(step), 0))];
            if alone > 0 {
                found.insert(0, (at(first), one()));
            }
            found
        }
        Keys::Counted { count } => vec![(at(count), counted(1))],
        Keys::CountedPairs { count } => vec![(at(count), counted(2))],
        Keys::AtAndCounted { at: index, count } => {
            vec![(at(index), one()), (at(count), counted(1))]
        }
        // A limit of 2: the first half. STREAMS may stand where it does when every option is left
        // out: in front of one key and its id.
        Keys::Streams { .. } => {
            let least = entry.meta.arity.number().unsigned_abs() as u8;
            vec![(keyword("STREAMS", least - 3), range(-1, 1, 2))]
        }
        // Keys that BY and GET make of elements, and where it is stored.
        Keys::Sort => vec![(at(1), one()), (unknown(), unknown()), (unknown(), unknown())],
        Keys::Radius { options } => vec![
            (at(1), one()),
            (keyword("STORE", options), one()),
            (keyword("STOREDIST", options), one()),
        ],
    };
    let spec = |((begin, find), access): ((Reply<'static>, Reply<'static>), &&'static str)| {
        map(vec![("flags", flags(access)), ("begin_search", begin), ("find_keys", find)])
    };
    found.into_iter().zip(access).map(spec).collect()
}

/// `COMMAND GETKEYS command …`
pub(super) fn get_keys(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    match keys_of(call, args) {
        Ok((_, keys)) => Reply::Array(keys.into_iter().map(|key| bulk(key.to_vec())).collect()),
        Err(refusal) => refusal,
    }
}

/// `COMMAND GETKEYSANDFLAGS command …`
pub(super) fn get_keys_and_flags(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let (entry, keys) = match keys_of(call, args) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let pair = |(number, key): (usize, &[u8])| {
        let access = access_of(entry, args.from(2), number);
        Reply::Array(vec![bulk(key.to_vec()), flags(access)])
    };
    Reply::Array(keys.into_iter().enumerate().map(pair).collect())
}

/// GEORADIUS's keys as its specifications find them: behind the first STORE and the first
/// STOREDIST. (It stores at the last of both, which is what routing goes by.)
fn radius_keys(args: Args<'_>, options: usize) -> impl Iterator<Item = &[u8]> {
    let behind = move |word: &str| {
        let at = (options..args.len()).find(|at| super::is(args.at(*at), word))?;
        args.get(at + 1)
    };
    [args.get(1), behind("STORE"), behind("STOREDIST")].into_iter().flatten()
}

type Found<'a> = (&'static Entry, Vec<&'a [u8]>);

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
    let keys: Vec<&[u8]> = match place {
        Keys::Radius { options } => radius_keys(args, usize::from(options)).collect(),
        _ => span.positions(args.len()).filter_map(|at| args.get(at)).collect(),
    };
    match keys.len() {
        // Channels of shards stand where keys do.
        _ if access(entry) == ["not_key"] => {
            Err(Reply::error("ERR The command has no key arguments"))
        }
        0 if place.are_movable() => Err(invalid),
        0 => Err(Reply::error("ERR The command has no key arguments")),
        _ => Ok((entry, keys)),
    }
}
