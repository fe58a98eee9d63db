//! Places on the earth as scores of sorted sets: cells of a grid, distances, and which cells cover
//! an area.
//!
//! A place is the number of its cell: longitude and latitude each halved 26 times, their bits taken
//! in turn. Every function here gives the bits that Redis gives, as far as a result can be seen:
//! operations are those of IEEE 754, or of `libm`, in the same order, so every replica agrees.

/// Greatest longitude; the least is as far in the other direction.
const LONGITUDE_MAX: f64 = 180.0;
/// Greatest latitude that the projection (EPSG:3857) knows.
const LATITUDE_MAX: f64 = 85.051_128_78;
/// Halvings of each coordinate in a score.
const STEPS: u32 = 26;
/// The earth's mean radius as Redis has it.
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// Half of the projection's circumference.
const MERCATOR_MAX_M: f64 = 20_037_726.37;
const RADIANS: f64 = core::f64::consts::PI / 180.0;

/// Longitude and latitude in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) longitude: f64,
    pub(crate) latitude: f64,
}

impl Place {
    /// Whether a score can say it.
    pub(crate) fn is_valid(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// The score of the place.
    pub(crate) fn score(self) -> f64 {
        Cell::of(self, STEPS, LATITUDE_MAX).bits() as f64
    }

    /// The middle of the cell that a score stands for.
    pub(crate) fn of_score(score: f64) -> Self {
        let cell = Cell::of_bits(whole(score), STEPS);
        let area = cell.area();
        Self {
            longitude: f64::midpoint(area.west, area.east).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: f64::midpoint(area.south, area.north).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }

    /// The place as the first ten letters of its standard geohash, and an eleventh that says
    /// nothing.
    pub(crate) fn geohash(self) -> [u8; 11] {
        const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        /// Bits of a letter.
        const LETTER: u32 = 5;
        let bits = Cell::of(self, STEPS, 90.0).bits();
        let mut text = [b'0'; 11];
        for (letter, number) in text.iter_mut().take(10).zip(1..) {
            let which = (bits >> (2 * STEPS - LETTER * number)) as usize & 31;
            *letter = LETTERS.get(which).copied().unwrap_or(b'0');
        }
        text
    }

    /// Great-circle distance in meters.
    pub(crate) fn distance_m(self, other: Self) -> f64 {
        let (one, two) = (self.longitude * RADIANS, other.longitude * RADIANS);
        let across = libm::sin((two - one) / 2.0);
        // On one meridian the rest would only lose digits.
        if across.to_bits() << 1 == 0 {
            return self.latitude_distance_m(other);
        }
        let (one, two) = (self.latitude * RADIANS, other.latitude * RADIANS);
        let along = libm::sin((two - one) / 2.0);
        let chord = along * along + libm::cos(one) * libm::cos(two) * across * across;
        2.0 * EARTH_RADIUS_M * libm::asin(libm::sqrt(chord))
    }

    fn latitude_distance_m(self, other: Self) -> f64 {
        EARTH_RADIUS_M * (other.latitude * RADIANS - self.latitude * RADIANS).abs()
    }
}

/// A score that any command may have set, as the whole number that a processor makes of it: what
/// is negative or too large comes round from the other end.
fn whole(score: f64) -> u64 {
    /// 2^63.
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    let signed = |score: f64| {
        if (-HALF..HALF).contains(&score) { score as i64 } else { i64::MIN }.cast_unsigned()
    };
    if score >= HALF { signed(score - HALF) ^ 1 << 63 } else { signed(score) }
}

/// A cell of a grid of `2^steps` columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    column: u32,
    row: u32,
    steps: u32,
}

/// Its edges in degrees.
#[derive(Clone, Copy, Debug)]
struct Area {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Cell {
    /// The cell of a place, in a grid that reaches from one latitude to the other. On the northern
    /// or eastern edge it is one beyond the last.
    fn of(place: Place, steps: u32, latitude_max: f64) -> Self {
        let part = |at: f64, max: f64| (at + max) / (max + max) * (1_u64 << steps) as f64;
        Self {
            column: part(place.longitude, LONGITUDE_MAX) as u32,
            row: part(place.latitude, latitude_max) as u32,
            steps,
        }
    }

    fn of_bits(bits: u64, steps: u32) -> Self {
        Self { column: every_second(bits >> 1), row: every_second(bits), steps }
    }

    fn bits(self) -> u64 {
        apart(self.row) | apart(self.column) << 1
    }

    fn area(self) -> Area {
        let count = (1_u64 << self.steps) as f64;
        let edge = |number: u32, max: f64| -max + f64::from(number) / count * (max + max);
        Area {
            west: edge(self.column, LONGITUDE_MAX),
            east: edge(self.column.wrapping_add(1), LONGITUDE_MAX),
            south: edge(self.row, LATITUDE_MAX),
            north: edge(self.row.wrapping_add(1), LATITUDE_MAX),
        }
    }

    /// The cell so many columns and rows further, around the earth.
    fn beside(self, columns: i32, rows: i32) -> Self {
        let mask = (1_u32 << self.steps) - 1;
        let step = |at: u32, by: i32| {
            if by == 0 { at } else { at.wrapping_add(by.cast_unsigned()) & mask }
        };
        Self { column: step(self.column, columns), row: step(self.row, rows), ..self }
    }

    /// The scores of all places in it: from the first to before the second.
    fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS - self.steps);
        let bits = self.bits();
        ((bits << shift) as f64, ((bits + 1) << shift) as f64)
    }
}

/// Puts a zero in front of every bit.
fn apart(number: u32) -> u64 {
    (0..32).fold(0, |bits, at| bits | u64::from(number >> at & 1) << (2 * at))
}

/// Takes every second bit, from the lowest on.
fn every_second(bits: u64) -> u32 {
    (0..32).fold(0, |number, at| number | ((bits >> (2 * at) & 1) as u32) << at)
}

/// An area around a place; lengths in meters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// All places not farther than this.
    Circle(f64),
    /// Width and height of a box along meridian and parallel.
    Box(f64, f64),
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    pub(crate) centre: Place,
    pub(crate) shape: Shape,
    /// From the centre to the farthest point, meters.
    pub(crate) reach_m: f64,
}

impl Search {
    /// The distance of a place that is in the area, in meters.
    pub(crate) fn distance_m(self, place: Place) -> Option<f64> {
        match self.shape {
            Shape::Circle(radius) => {
                let distance = self.centre.distance_m(place);
                (distance <= radius).then_some(distance)
            }
            Shape::Box(width, height) => {
                if place.latitude_distance_m(self.centre) > height / 2.0 {
                    return None;
                }
                let beside = Place { latitude: place.latitude, ..self.centre };
                let is_in = place.distance_m(beside) <= width / 2.0;
                is_in.then(|| self.centre.distance_m(place))
            }
        }
    }

    /// A box of degrees around the area.
    fn bounds(self) -> Area {
        let (width, height) = match self.shape {
            Shape::Circle(radius) => (radius, radius),
            Shape::Box(width, height) => (width / 2.0, height / 2.0),
        };
        let Place { longitude, latitude } = self.centre;
        let up = height / EARTH_RADIUS_M / RADIANS;
        let beside =
            |latitude: f64| width / EARTH_RADIUS_M / libm::cos(latitude * RADIANS) / RADIANS;
        // The parallel farther from the equator is shorter, so that more degrees go across it.
        let side = beside(if latitude < 0.0 { latitude - up } else { latitude + up });
        Area {
            west: longitude - side,
            east: longitude + side,
            south: latitude - up,
            north: latitude + up,
        }
    }

    /// How fine a grid may be so that the cell of the centre and its neighbours cover the area.
    fn steps(self) -> u32 {
        if self.reach_m <= 0.0 {
            return STEPS;
        }
        let (mut reach, mut steps) = (self.reach_m, 1_i32);
        while reach < MERCATOR_MAX_M {
            reach *= 2.0;
            steps += 1;
        }
        // Some distance for most cases, and more towards the poles.
        steps -= 2;
        let latitude = self.centre.latitude.abs();
        steps -= i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        steps.clamp(1, 26).cast_unsigned()
    }

    /// Ranges of scores that hold every place in the area and others; each from the first to before
    /// the second. In Redis's order, which shows where nobody asks for another.
    pub(crate) fn scores(self) -> impl Iterator<Item = (f64, f64)> {
        const AROUND: [(i32, i32); 9] =
            [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let bounds = self.bounds();
        let mut cell = Cell::of(self.centre, self.steps(), LATITUDE_MAX);
        let is_short = |cell: Cell| {
            cell.beside(0, 1).area().north < bounds.north
                || cell.beside(0, -1).area().south > bounds.south
                || cell.beside(1, 0).area().east < bounds.east
                || cell.beside(-1, 0).area().west > bounds.west
        };
        if cell.steps > 1 && is_short(cell) {
            cell = Cell::of(self.centre, cell.steps - 1, LATITUDE_MAX);
        }
        let area = cell.area();
        let is_fine = cell.steps >= 2;
        let needs = move |columns: i32, rows: i32| {
            !is_fine
                || !(rows < 0 && area.south < bounds.south
                    || rows > 0 && area.north > bounds.north
                    || columns < 0 && area.west < bounds.west
                    || columns > 0 && area.east > bounds.east)
        };
        // A coarse grid comes round: what was just looked at is not looked at again. The centre is
        // not remembered, as in Redis.
        let mut last = None;
        AROUND.into_iter().filter_map(move |(columns, rows)| {
            let beside = cell.beside(columns, rows);
            if !needs(columns, rows) || last == Some(beside) {
                return None;
            }
            last = ((columns, rows) != (0, 0)).then_some(beside);
            Some(beside.scores())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::tests::cases;
    use proptest::prelude::*;

    fn any_place() -> impl Strategy<Value = Place> {
        (-180.0..180.0_f64, -85.05..85.05_f64)
            .prop_map(|(longitude, latitude)| Place { longitude, latitude })
    }

    #[test]
    fn places_are_those_of_redis() {
        // `ZSCORE` and `GEOHASH` of redis-server 7.0.15.
        for (longitude, latitude, score, hash) in [
            (13.361_389, 38.115_556, 3_479_099_956_230_698.0, b"sqc8b49rny0"),
            (15.087_269, 37.502_669, 3_479_447_370_796_909.0, b"sqdtr74hyu0"),
            (-5.603, 42.6, 2_157_242_199_852_342.0, b"ezs42e04bx0"),
        ] {
            let place = Place { longitude, latitude };
            assert_eq!(place.score().to_bits(), f64::to_bits(score), "{place:?}");
            let shown = Place::of_score(score).geohash();
            assert_eq!(core::str::from_utf8(&shown), core::str::from_utf8(hash));
        }
        let (one, other) = (
            Place { longitude: 13.361_389, latitude: 38.115_556 },
            Place { longitude: 15.087_269, latitude: 37.502_669 },
        );
        let cells = [one, other].map(|place| Place::of_score(place.score()));
        let distance = cells[0].distance_m(cells[1]);
        assert!((distance - 166_274.151_6).abs() < 0.0001, "{distance}");
    }

    #[test]
    fn any_score_is_some_place() {
        for score in
            [0.0, -0.0, -1.0, 1.5, 1e16, 1e19, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY]
        {
            assert!(Place::of_score(score).is_valid(), "{score}");
        }
        assert_eq!(
            (whole(-1.0), whole(f64::INFINITY), whole(1e19)),
            (u64::MAX, 0, 10_000_000_000_000_000_000)
        );
    }

    proptest! {
        #![proptest_config(cases(500))]
        #[test]
        fn a_cell_holds_its_place(place in any_place()) {
            let again = Place::of_score(place.score());
            prop_assert!((again.longitude - place.longitude).abs() < 360.0 / 67e6);
            prop_assert!((again.latitude - place.latitude).abs() < 171.0 / 67e6);
            prop_assert_eq!(again.score().to_bits(), place.score().to_bits());
        }

        /// But near a pole or around half of the earth, where Redis misses some.
        #[test]
        fn the_ranges_cover_the_area(
            centre in any_place(), other in any_place(), near in 0.0..1.0_f64, box_shaped: bool,
        ) {
            prop_assume!(centre.latitude.abs() < 60.0);
            let toward = |one: f64, other: f64| one + (other - one) * near * 0.1;
            let place = Place {
                longitude: toward(centre.longitude, other.longitude),
                latitude: toward(centre.latitude, other.latitude).clamp(-70.0, 70.0),
            };
            let reach_m = centre.distance_m(place) * 1.01;
            prop_assume!(reach_m > 1.0 && reach_m < 2_000_000.0);
            let shape = if box_shaped {
                Shape::Box(2.0 * reach_m, 2.0 * reach_m)
            } else {
                Shape::Circle(reach_m)
            };
            let reach_m = if box_shaped { reach_m * libm::sqrt(2.0) } else { reach_m };
            let search = Search { centre, shape, reach_m };
            // A box is measured along the place's own parallel, which may be longer than the way.
            let is_in = search.distance_m(place).is_some();
            prop_assert!(is_in || box_shaped);
            prop_assume!(is_in);
            let score = place.score();
            prop_assert!(search.scores().any(|(min, max)| (min..max).contains(&score)));
        }
    }
}
