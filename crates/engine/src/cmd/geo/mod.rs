//! Places on the earth, as in Redis 7.2: members of sorted sets whose scores are cells of a grid.

mod options;
mod search;

use super::generic::SYNTAX;
use super::zset::{CH, NOT_A_FLOAT, NX, Options, XX, Zset, put_all, zset};
use crate::geo::Place;
use crate::number::parse_double;
use crate::{Flags, Group, Keys, Reader, Replied, Spec, Writer, least};
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use quorate_resp::{Args, Reply};

/// The files of the family.
pub(super) const FILES: &[&[Spec]] = &[ROWS, search::ROWS];

/// The rows.
pub(super) const ROWS: &[Spec] = &Group::Geo.rows([
    Spec::write(
        "GEOADD",
        "key [NX | XX] [CH] longitude latitude member [longitude latitude member \
         ...]",
        geoadd,
    )
    .facts(least(5), Keys::At(1), Flags::DENYOOM)
    // Plain: the scores are made of sums, products and quotients, which have one result everywhere.
    .doc("3.2.0", "Adds places to a sorted set, or moves them."),
    Spec::read("GEOPOS", "key [member [member ...]]", geopos)
        .facts(least(2), Keys::At(1), Flags::NONE)
        .doc("3.2.0", "Returns longitudes and latitudes of members."),
    Spec::read("GEOHASH", "key [member [member ...]]", geohash)
        .facts(least(2), Keys::At(1), Flags::NONE)
        .doc("3.2.0", "Returns the places of members as geohashes."),
    Spec::read("GEODIST", "key member1 member2 [M | KM | FT | MI]", geodist)
        .facts(least(4), Keys::At(1), Flags::NONE)
        .doc("3.2.0", "Returns the distance between two members."),
]);

fn geopos<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    places(cx, args, &Reply::NullArray, coordinates)
}

fn geohash<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    places(cx, args, &Reply::Null, |place| Reply::owned(place.geohash().to_vec()))
}

fn geoadd(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    let (mut options, mut at): (Options, usize) = (0, 2);
    while let Some(word) = args.get(at) {
        let option = [(&b"NX"[..], NX), (b"XX", XX), (b"CH", CH)]
            .iter()
            .find_map(|(name, option)| word.eq_ignore_ascii_case(name).then_some(*option));
        let Some(option) = option else { break };
        options |= option;
        at += 1;
    }
    let places = args.from(at);
    if !places.len().is_multiple_of(3) || options & (NX | XX) == NX | XX {
        return Err(Reply::error(SYNTAX));
    }
    let mut members = Vec::with_capacity(places.len() / 3);
    for at in (0..places.len()).step_by(3) {
        let place = place(places.at(at), places.at(at + 1))?;
        members.push((place.score(), places.at(at + 2)));
    }
    if members.is_empty() {
        // ZADD, which Redis makes of it, misses its pairs.
        return Err(Reply::error(SYNTAX));
    }
    put_all(cx, args.at(1), options, &members)
}

/// Reads longitude and latitude.
fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, Reply<'static>> {
    let (Some(longitude), Some(latitude)) = (parse_double(longitude), parse_double(latitude))
    else {
        return Err(Reply::error(NOT_A_FLOAT));
    };
    let place = Place { longitude, latitude };
    if place.is_valid() {
        return Ok(place);
    }
    let text = format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}");
    Err(Reply::Error(text.into()))
}

/// Meters in a unit.
fn unit(word: &[u8]) -> Result<f64, Reply<'static>> {
    const UNITS: [(&[u8], f64); 4] =
        [(b"M", 1.0), (b"KM", 1000.0), (b"FT", 0.3048), (b"MI", 1609.34)];
    let found = UNITS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found
        .map(|(_, meters)| *meters)
        .ok_or(Reply::error("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// A distance with four decimals, halves to even.
fn distance(distance: f64) -> Reply<'static> {
    let scaled = libm::rint(distance * 10_000.0) as i64;
    let (sign, scaled) = (if scaled < 0 { "-" } else { "" }, scaled.unsigned_abs());
    let text = format!("{sign}{}.{:04}", scaled / 10_000, scaled % 10_000);
    Reply::owned(text.into_bytes())
}

/// A coordinate with up to 17 decimals.
fn coordinate(degrees: f64) -> Reply<'static> {
    let text = format!("{degrees:.17}");
    Reply::Digits(String::from(text.trim_end_matches('0').trim_end_matches('.')))
}

fn coordinates(place: Place) -> Reply<'static> {
    Reply::Array(vec![coordinate(place.longitude), coordinate(place.latitude)])
}

/// Looks for the places of members; `absent` stands for those that are not there.
fn places<'a>(
    cx: &Reader<'a>,
    args: Args<'a>,
    absent: &Reply<'static>,
    show: fn(Place) -> Reply<'static>,
) -> Replied<'a> {
    let zset = zset(cx, args.at(1))?;
    let of = |member| place_of(zset?, member).map(show);
    let members = args.from(2).iter();
    Ok(Reply::Array(members.map(|member| of(member).unwrap_or(absent.clone())).collect()))
}

fn place_of(zset: Zset<'_>, member: &[u8]) -> Option<Place> {
    zset.score(member).map(Place::of_score)
}

fn geodist<'a>(cx: &Reader<'a>, args: Args<'a>) -> Replied<'a> {
    let meters = match args.len() {
        4 => 1.0,
        5 => unit(args.at(4))?,
        _ => return Err(Reply::error(SYNTAX)),
    };
    let between = |zset: Zset<'_>| {
        let (one, other) = (place_of(zset, args.at(2))?, place_of(zset, args.at(3))?);
        Some(distance(one.distance_m(other) / meters))
    };
    Ok(zset(cx, args.at(1))?.and_then(between).unwrap_or(Reply::Null))
}
