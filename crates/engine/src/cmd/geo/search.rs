//! Places in an area: GEOSEARCH, GEOSEARCHSTORE, GEORADIUS, GEORADIUSBYMEMBER and their forms that
//! only read.

use super::options::{Form, Query, with};
use super::{coordinates, distance};
use crate::cmd::zset::{Member, Zset, answer, size, store, zset};
use crate::geo::{Place, Search};
use crate::spec::hidden_if;
use crate::types::zset::order;
use crate::{Arity, Flags, Group, Keys, Logged, Meta, Reader, Spec, Writer};
use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

const fn row(
    name: &'static str,
    arity: u8,
    keys: Keys,
    since: &'static str,
    summary: &'static str,
) -> Meta {
    let flags = match keys {
        Keys::At(_) => Flags::NONE,
        _ => Flags::DENYOOM,
    };
    Group::Geo.meta(name, Arity::AtLeast(arity), keys, flags, (since, summary))
}

pub(super) const GEOSEARCH: Spec = Spec::read(
    row("GEOSEARCH", 7, Keys::At(1), "6.2.0", "Returns the places in a circle or a box."),
    |cx, args| read(cx, args, Form::Search),
)
.costing(|cx, args| cost(cx, args, 1));

pub(super) const GEORADIUS_RO: Spec = Spec::read(
    row("GEORADIUS_RO", 6, Keys::At(1), "3.2.10", "Returns the places around a point."),
    |cx, args| read(cx, args, Form::Radius(false)),
)
.costing(|cx, args| cost(cx, args, 1));

pub(super) const GEORADIUSBYMEMBER_RO: Spec = Spec::read(
    row("GEORADIUSBYMEMBER_RO", 5, Keys::At(1), "3.2.10", "Returns the places around a member."),
    |cx, args| read(cx, args, Form::Member(false)),
)
.costing(|cx, args| cost(cx, args, 1));

pub(super) const GEORADIUS: Spec = Spec::write(
    row(
        "GEORADIUS",
        6,
        Keys::Radius { options: 6 },
        "3.2.0",
        "Returns the places around a point, or stores them.",
    ),
    Logged::new("plain or armoured", |_, args| hidden_if(stores_distances(args))),
    |cx, args| write(cx, args, Form::Radius(true)),
)
.costing(|cx, args| cost(cx, args, 1));

pub(super) const GEORADIUSBYMEMBER: Spec = Spec::write(
    row(
        "GEORADIUSBYMEMBER",
        5,
        Keys::Radius { options: 5 },
        "3.2.0",
        "Returns the places around a member, or stores them.",
    ),
    Logged::new("plain or armoured", |_, args| hidden_if(stores_distances(args))),
    |cx, args| write(cx, args, Form::Member(true)),
)
.costing(|cx, args| cost(cx, args, 1));

pub(super) const GEOSEARCHSTORE: Spec = Spec::write(
    row(
        "GEOSEARCHSTORE",
        8,
        Keys::Range { first: 1, last: 2, step: 1 },
        "6.2.0",
        "Stores the places in a circle or a box.",
    ),
    Logged::new("plain or armoured", |_, args| hidden_if(stores_distances(args))),
    |cx, args| write(cx, args, Form::Store),
)
.costing(|cx, args| cost(cx, args, 2));

/// Sines differ in their last bit from one C library to the next. What is found hardly ever depends
/// on it; but a distance that is stored is all of its bits.
fn stores_distances(args: Args<'_>) -> bool {
    args.iter().any(|word| word.eq_ignore_ascii_case(b"STOREDIST"))
}

/// A place in the area takes some 150 ns, and all may be.
fn cost(cx: &Reader<'_>, args: Args<'_>, source: usize) -> u64 {
    150 * size(cx, args.at(source))
}

/// A member in the area.
struct Found<'a> {
    member: Cow<'a, [u8]>,
    score: f64,
    place: Place,
    meters: f64,
}

fn read<'a>(cx: &Reader<'a>, args: Args<'a>, form: Form) -> Reply<'a> {
    answer(zset(cx, args.at(form.source())).and_then(|zset| {
        let query = Query::parse(args, form, zset)?;
        Ok(shown(&query, found(&query, zset)))
    }))
}

fn write(cx: &mut Writer<'_>, args: Args<'_>, form: Form) -> Reply<'static> {
    let found = zset(&cx.reader(), args.at(form.source())).and_then(|zset| {
        let query = Query::parse(args, form, zset)?;
        let owned =
            |found: Found<'_>| Found { member: Cow::Owned(found.member.into_owned()), ..found };
        Ok((query, found(&query, zset).into_iter().map(owned).collect::<Vec<Found<'static>>>()))
    });
    let (query, found) = match found {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let Some(key) = query.store else { return shown(&query, found) };
    let score = |found: &Found<'_>| {
        if query.store_distances { found.meters / query.unit } else { found.score }
    };
    let scored = found.into_iter().map(|found| (score(&found), found.member));
    let mut members: Vec<Member<'static>> = scored.map(|(score, member)| (member, score)).collect();
    members.sort_unstable_by(|(one, low), (next, high)| order((*low, one), (*high, next)));
    // A grid that comes round may find a place twice.
    members.dedup();
    let event = if form == Form::Store { "geosearchstore" } else { "georadiusstore" };
    store(cx, key, &members, event)
}

/// Everything in the area that was asked for, in the order asked for.
fn found<'a>(query: &Query<'_>, zset: Option<Zset<'a>>) -> Vec<Found<'a>> {
    let (Some(zset), Some(search)) = (zset, query.search()) else { return Vec::new() };
    let enough = if query.any { query.count } else { usize::MAX };
    let mut found = all(search, zset).take(enough).collect::<Vec<_>>();
    let unsorted = query.count == 0 || query.any;
    match query.nearest.or((!unsorted).then_some(true)) {
        Some(true) => found.sort_by(|one, other| one.meters.total_cmp(&other.meters)),
        Some(false) => found.sort_by(|one, other| other.meters.total_cmp(&one.meters)),
        None => {}
    }
    if query.count > 0 {
        found.truncate(query.count);
    }
    found
}

fn all(search: Search, zset: Zset<'_>) -> impl Iterator<Item = Found<'_>> {
    search.scores().flat_map(move |(min, max)| {
        let start = zset.partition(|score, _| score < min);
        let within = zset.pairs(start).take_while(move |(_, score)| *score < max);
        within.filter_map(move |(member, score)| {
            let place = Place::of_score(score);
            let meters = search.distance_m(place)?;
            Some(Found { member: member.bytes(), score, place, meters })
        })
    })
}

fn shown<'a>(query: &Query<'_>, found: Vec<Found<'a>>) -> Reply<'a> {
    let show = |found: Found<'a>| {
        let Found { member, score, place, meters } = found;
        let member = Reply::Bulk(member);
        if query.with == 0 {
            return member;
        }
        let mut parts = vec![member];
        if query.with & with::DISTANCE != 0 {
            parts.push(distance(meters / query.unit));
        }
        if query.with & with::HASH != 0 {
            parts.push(Reply::Int(score as i64));
        }
        if query.with & with::PLACE != 0 {
            parts.push(coordinates(place));
        }
        Reply::Array(parts)
    };
    Reply::Array(found.into_iter().map(show).collect())
}
