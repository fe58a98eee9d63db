//! What a search is asked for: the options of GEOSEARCH, GEORADIUS and their kin.

use super::{place, place_of, unit};
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::cmd::zset::Zset;
use crate::geo::{Place, Search, Shape};
use crate::number::parse_double;
use alloc::format;
use quorate_resp::{Args, Reply, parse_int};

/// Which of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// GEORADIUS; `true`: it may store.
    Radius(bool),
    /// GEORADIUSBYMEMBER; `true`: it may store.
    Member(bool),
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    Store,
}

impl Form {
    /// Position of the set that is searched.
    pub(super) fn source(self) -> usize {
        if self == Self::Store { 2 } else { 1 }
    }

    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::Store)
    }

    fn may_store(self) -> bool {
        matches!(self, Self::Radius(true) | Self::Member(true))
    }

    /// Position of the first option.
    fn options(self) -> usize {
        match self {
            Self::Radius(_) => 6,
            Self::Member(_) => 5,
            Self::Search => 2,
            Self::Store => 3,
        }
    }
}

/// What is shown of each member found, as bits.
pub(super) mod with {
    pub(in super::super) const DISTANCE: u8 = 1;
    pub(in super::super) const HASH: u8 = 2;
    pub(in super::super) const PLACE: u8 = 4;
}

/// A search with all that was said about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Query<'a> {
    centre: Option<Place>,
    /// A member was named as the centre.
    by_member: bool,
    /// In units.
    shape: Option<Shape>,
    /// Meters in the unit of distances.
    pub(super) unit: f64,
    /// Bits of [`with`].
    pub(super) with: u8,
    /// `Some(true)`: the nearest first.
    pub(super) nearest: Option<bool>,
    /// 0: all.
    pub(super) count: usize,
    /// So many as were asked for are enough, whichever they are.
    pub(super) any: bool,
    /// Where the result goes.
    pub(super) store: Option<&'a [u8]>,
    /// Distances become scores.
    pub(super) store_distances: bool,
}

impl<'a> Query<'a> {
    /// Reads a command. `zset` is what is searched.
    pub(super) fn parse(
        args: Args<'a>,
        form: Form,
        zset: Option<Zset<'_>>,
    ) -> Result<Self, Reply<'static>> {
        let mut query = Self { unit: 1.0, ..Self::default() };
        match form {
            Form::Radius(_) => {
                query.centre = Some(place(args.at(2), args.at(3))?);
                query.take_radius(args.from(4))?;
            }
            Form::Member(_) => {
                // Without a set nothing is found, whatever the radius.
                if let Some(zset) = zset {
                    query.centre = Some(member(zset, args.at(2))?);
                    query.take_radius(args.from(3))?;
                }
            }
            Form::Search => {}
            Form::Store => query.store = Some(args.at(1)),
        }
        let mut rest = args.from(form.options());
        while !rest.is_empty() {
            let used = query.take_option(rest, form, zset)?;
            rest = rest.from(used);
        }
        query.check(args, form)?;
        Ok(query)
    }

    /// Reads one option; how many arguments it has.
    fn take_option(
        &mut self,
        args: Args<'a>,
        form: Form,
        zset: Option<Zset<'_>>,
    ) -> Result<usize, Reply<'static>> {
        let word = args.at(0);
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let more = args.len() - 1;
        let shown =
            [("WITHDIST", with::DISTANCE), ("WITHHASH", with::HASH), ("WITHCOORD", with::PLACE)];
        if let Some((_, bit)) = shown.iter().find(|(name, _)| is(name)) {
            self.with |= bit;
        } else if is("ANY") {
            self.any = true;
        } else if is("ASC") || is("DESC") {
            self.nearest = Some(is("ASC"));
        } else if is("COUNT") && more >= 1 {
            let count = parse_int(args.at(1)).ok_or(Reply::error(NOT_AN_INTEGER))?;
            let count = usize::try_from(count).ok().filter(|&count| count > 0);
            self.count = count.ok_or(Reply::error("ERR COUNT must be > 0"))?;
            return Ok(2);
        } else if (is("STORE") || is("STOREDIST")) && more >= 1 && form.may_store() {
            self.store = args.get(1);
            self.store_distances = is("STOREDIST");
            return Ok(2);
        } else if is("STOREDIST") && form == Form::Store {
            self.store_distances = true;
        } else if form.is_search() {
            return self.take_search_option(args, zset);
        } else {
            return Err(Reply::error(SYNTAX));
        }
        Ok(1)
    }

    /// An option of GEOSEARCH and GEOSEARCHSTORE.
    fn take_search_option(
        &mut self,
        args: Args<'a>,
        zset: Option<Zset<'_>>,
    ) -> Result<usize, Reply<'static>> {
        let is = |name: &str| args.at(0).eq_ignore_ascii_case(name.as_bytes());
        let more = args.len() - 1;
        let from_place = self.centre.is_some() && !self.by_member;
        if is("FROMMEMBER") && more >= 1 && !from_place {
            self.by_member = true;
            if let Some(zset) = zset {
                self.centre = Some(member(zset, args.at(1))?);
            }
            Ok(2)
        } else if is("FROMLONLAT") && more >= 2 && !self.by_member {
            self.centre = Some(place(args.at(1), args.at(2))?);
            Ok(3)
        } else if is("BYRADIUS") && more >= 2 && !matches!(self.shape, Some(Shape::Box(..))) {
            self.take_radius(args.from(1))?;
            Ok(3)
        } else if is("BYBOX") && more >= 3 && !matches!(self.shape, Some(Shape::Circle(_))) {
            self.take_box(args.from(1))?;
            Ok(4)
        } else {
            Err(Reply::error(SYNTAX))
        }
    }

    fn take_radius(&mut self, args: Args<'_>) -> Result<(), Reply<'static>> {
        let radius = parse_double(args.at(0)).ok_or(Reply::error("ERR need numeric radius"))?;
        if radius < 0.0 {
            return Err(Reply::error("ERR radius cannot be negative"));
        }
        self.shape = Some(Shape::Circle(radius));
        self.unit = unit(args.at(1))?;
        Ok(())
    }

    fn take_box(&mut self, args: Args<'_>) -> Result<(), Reply<'static>> {
        let width = parse_double(args.at(0)).ok_or(Reply::error("ERR need numeric width"))?;
        let height = parse_double(args.at(1)).ok_or(Reply::error("ERR need numeric height"))?;
        if width < 0.0 || height < 0.0 {
            return Err(Reply::error("ERR height or width cannot be negative"));
        }
        self.shape = Some(Shape::Box(width, height));
        self.unit = unit(args.at(2))?;
        Ok(())
    }

    /// What does not go together.
    fn check(&self, args: Args<'_>, form: Form) -> Result<(), Reply<'static>> {
        if self.store.is_some() && self.with != 0 {
            let who =
                if form == Form::Store { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            let text = format!(
                "ERR {who} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            );
            return Err(Reply::Error(text.into()));
        }
        let missing = |what: &[u8]| {
            // As the client wrote it.
            let name = args.at(0);
            Reply::error_of(&[b"ERR exactly one of ", what, b" can be specified for ", name])
        };
        if form.is_search() && self.centre.is_none() && !self.by_member {
            return Err(missing(b"FROMMEMBER or FROMLONLAT"));
        }
        if form.is_search() && self.shape.is_none() {
            return Err(missing(b"BYRADIUS and BYBOX"));
        }
        if self.any && self.count == 0 {
            return Err(Reply::error("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// Where to search; nowhere if the centre is a member of a set that is not there.
    pub(super) fn search(&self) -> Option<Search> {
        let (shape, reach) = match self.shape? {
            Shape::Circle(radius) => (Shape::Circle(radius * self.unit), radius),
            Shape::Box(width, height) => {
                let (half, half_too) = (width / 2.0, height / 2.0);
                let corner = libm::sqrt(half * half + half_too * half_too);
                (Shape::Box(width * self.unit, height * self.unit), corner)
            }
        };
        Some(Search { centre: self.centre?, shape, reach_m: reach * self.unit })
    }
}

fn member(zset: Zset<'_>, member: &[u8]) -> Result<Place, Reply<'static>> {
    place_of(zset, member).ok_or(Reply::error("ERR could not decode requested zset member"))
}
