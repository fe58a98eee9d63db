//! Places in an area: GEOSEARCH, GEOSEARCHSTORE, GEORADIUS, GEORADIUSBYMEMBER and their forms that
//! only read.

use super::options::{Form, Query, with};
use super::{coordinates, distance};
use crate::cmd::zset::{Member, Zset, size, store, zset};
use crate::geo::{Place, Search};
use crate::spec::hidden_if;
use crate::types::zset::order;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, least};
use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Geo.rows([
    Spec::read(
        "GEOSEARCH",
        "key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius \
         <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] \
         [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        |cx, args| read(cx, args, Form::Search),
    )
    .facts(least(7), Keys::At(1), Flags::NONE)
    .doc("6.2.0", "Returns the places in a circle or a box.")
    .costing(|cx, args| cost(cx, args, 1)),
    Spec::read(
        "GEORADIUS_RO",
        "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] \
         [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
        |cx, args| read(cx, args, Form::Radius(false)),
    )
    .facts(least(6), Keys::At(1), Flags::NONE)
    .doc("3.2.10", "Returns the places around a point.")
    .costing(|cx, args| cost(cx, args, 1)),
    Spec::read(
        "GEORADIUSBYMEMBER_RO",
        "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
         [COUNT count [ANY]] [ASC | DESC]",
        |cx, args| read(cx, args, Form::Member(false)),
    )
    .facts(least(5), Keys::At(1), Flags::NONE)
    .doc("3.2.10", "Returns the places around a member.")
    .costing(|cx, args| cost(cx, args, 1)),
    Spec::write(
        "GEORADIUS",
        "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] \
         [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
        |cx, args| write(cx, args, Form::Radius(true)),
    )
    .facts(least(6), Keys::Radius { options: 6 }, Flags::DENYOOM)
    .doc("3.2.0", "Returns the places around a point, or stores them.")
    .access(&["RO access", "OW update", "OW update"])
    .logged("plain or armoured", |_, args| hidden_if(stores_distances(args)))
    .costing(|cx, args| cost(cx, args, 1)),
    Spec::write(
        "GEORADIUSBYMEMBER",
        "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
         [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
        |cx, args| write(cx, args, Form::Member(true)),
    )
    .facts(least(5), Keys::Radius { options: 5 }, Flags::DENYOOM)
    .doc("3.2.0", "Returns the places around a member, or stores them.")
    .access(&["RO access", "OW update", "OW update"])
    .logged("plain or armoured", |_, args| hidden_if(stores_distances(args)))
    .costing(|cx, args| cost(cx, args, 1)),
    Spec::write(
        "GEOSEARCHSTORE",
        "destination source <FROMMEMBER member | FROMLONLAT longitude latitude> \
         <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | \
         MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
        |cx, args| write(cx, args, Form::Store),
    )
    .facts(least(8), Keys::Range { first: 1, last: 2, step: 1 }, Flags::DENYOOM)
    .doc("6.2.0", "Stores the places in a circle or a box.")
    .access(&["OW update", "RO access"])
    .logged("plain or armoured", |_, args| hidden_if(stores_distances(args)))
    .costing(|cx, args| cost(cx, args, 2)),
]);

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

fn read<'a>(cx: &Reader<'a>, args: Args<'a>, form: Form) -> Replied<'a> {
    let zset = zset(cx, args.at(form.source()))?;
    let query = Query::parse(args, form, zset)?;
    Ok(shown(&query, found(&query, zset)))
}

fn write(cx: &mut Writer<'_>, args: Args<'_>, form: Form) -> Replied<'static> {
    let found = zset(&cx.reader(), args.at(form.source())).and_then(|zset| {
        let query = Query::parse(args, form, zset)?;
        let owned =
            |found: Found<'_>| Found { member: Cow::Owned(found.member.into_owned()), ..found };
        Ok((query, found(&query, zset).into_iter().map(owned).collect::<Vec<Found<'static>>>()))
    });
    let (query, found) = found?;
    let Some(key) = query.store else { return Ok(shown(&query, found)) };
    let score = |found: &Found<'_>| {
        if query.store_distances { found.meters / query.unit } else { found.score }
    };
    let scored = found.into_iter().map(|found| (score(&found), found.member));
    let mut members: Vec<Member<'static>> = scored.map(|(score, member)| (member, score)).collect();
    members.sort_unstable_by(|(one, low), (next, high)| order((*low, one), (*high, next)));
    // A grid that comes round may find a place twice.
    members.dedup();
    let event = if form == Form::Store { "geosearchstore" } else { "georadiusstore" };
    Ok(store(cx, key, &members, event))
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
