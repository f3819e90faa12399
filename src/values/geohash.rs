//! Points on the earth, as numbers whose order keeps neighbours together.
//!
//! Longitude and latitude are each cut in half 26 times; the 52 answers, taken in turns, are the point's *score*, which
//! a double holds exactly. All points of a [`Cell`] have scores that begin with the cell's bits. The constants are
//! Redis's, so that scores, positions and distances are.

use std::ops::Range;

/// Degrees from Greenwich, to the east.
pub const LONGITUDES: (f64, f64) = (-180.0, 180.0);
/// Degrees from the equator, to the north. (The square world of the Mercator projection ends there.)
pub const LATITUDES: (f64, f64) = (-85.051_128_78, 85.051_128_78);
/// How often each coordinate is halved for a score.
pub const STEPS_MAX: u32 = 26;
/// The quadratic mean radius of the earth, in metres.
pub const EARTH_RADIUS_M: f64 = 6_372_797.560_856;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// In degrees, within [`LONGITUDES`].
    pub longitude: f64,
    /// In degrees, within [`LATITUDES`].
    pub latitude: f64,
}

impl Point {
    /// The point there, if it is on the map.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let is_within = |degrees: f64, (min, max)| (min..=max).contains(&degrees);
        (is_within(longitude, LONGITUDES) && is_within(latitude, LATITUDES))
            .then_some(Self { longitude, latitude })
    }

    /// The score that stands for this point: 52 bits, or up to 54 at the eastern and northern edges of the map.
    pub fn score(self) -> u64 {
        Cell::around(self, STEPS_MAX).bits
    }

    /// The middle of the smallest cell with this score. Scores that no point has, which a sorted set may hold, are read
    /// as the lowest 64 bits of the integer that they are, and give some point on the map.
    pub fn from_score(score: f64) -> Self {
        let cell = Cell {
            bits: bits_of(score),
            steps: STEPS_MAX,
        };
        let Bounds {
            longitudes: (west, east),
            latitudes: (south, north),
        } = cell.bounds();
        Self {
            longitude: f64::midpoint(west, east).clamp(LONGITUDES.0, LONGITUDES.1),
            latitude: f64::midpoint(south, north).clamp(LATITUDES.0, LATITUDES.1),
        }
    }

    /// The place's name on geohash.org: 11 letters, the last of which is always `0`, as there are not enough bits for it.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        const BITS: usize = 2 * STEPS_MAX as usize;
        let bits = interleave(self, (-90.0, 90.0), STEPS_MAX);
        let mut letters = [ALPHABET[0]; 11];
        for (at, letter) in letters.iter_mut().enumerate().take(10) {
            *letter = ALPHABET[(bits >> (BITS - 5 * (at + 1)) & 0x1f) as usize];
        }
        letters
    }

    /// Metres between two points, along the great circle (haversine formula).
    pub fn distance_m(self, other: Self) -> f64 {
        let half_sine = ((other.longitude.to_radians() - self.longitude.to_radians()) / 2.0).sin();
        if half_sine == 0.0 {
            return self.latitude_distance_m(other);
        }
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let latitude_half_sine = ((to - from) / 2.0).sin();
        let square = latitude_half_sine * latitude_half_sine + from.cos() * to.cos() * half_sine * half_sine;
        2.0 * EARTH_RADIUS_M * square.sqrt().min(1.0).asin()
    }

    /// Metres that one point is further north than the other.
    pub fn latitude_distance_m(self, other: Self) -> f64 {
        EARTH_RADIUS_M * (other.latitude.to_radians() - self.latitude.to_radians()).abs()
    }
}

/// The integer that a score is, as a 64-bit processor reads it: beyond the range of `u64` some other.
fn bits_of(score: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if score >= HALF {
        integer_of(score - HALF).cast_unsigned() ^ 1 << 63
    } else {
        integer_of(score).cast_unsigned()
    }
}

/// `number` without its fraction; `i64::MIN` if it does not fit, as processors have it.
pub fn integer_of(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// A part of the map: what is left of it when each coordinate was halved `steps` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The answers, `2 * steps` of them: longitude and latitude in turns, the first the highest.
    pub bits: u64,
    /// From 1 to [`STEPS_MAX`].
    pub steps: u32,
}

/// Where a cell lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Its western and eastern edge.
    pub longitudes: (f64, f64),
    /// Its southern and northern edge.
    pub latitudes: (f64, f64),
}

/// Longitude's bits in a cell's.
const LONGITUDE_BITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;
/// Latitude's bits in a cell's.
const LATITUDE_BITS: u64 = !LONGITUDE_BITS;

impl Cell {
    /// The cell of `steps` around `point`.
    pub fn around(point: Point, steps: u32) -> Self {
        let bits = interleave(point, LATITUDES, steps);
        Self { bits, steps }
    }

    /// The scores of the points in it.
    pub fn scores(self) -> Range<u64> {
        let shift = 2 * (STEPS_MAX - self.steps);
        self.bits << shift..(self.bits + 1) << shift
    }

    /// Where it lies.
    pub fn bounds(self) -> Bounds {
        let edges = |index: u32, (min, max): (f64, f64)| {
            let edge = |index: u32| min + f64::from(index) / (1_u64 << self.steps) as f64 * (max - min);
            (edge(index), edge(index.wrapping_add(1)))
        };
        Bounds {
            longitudes: edges(gather(self.bits >> 1), LONGITUDES),
            latitudes: edges(gather(self.bits), LATITUDES),
        }
    }

    /// The cell that many cells to the east and to the north; the map has no edges here.
    #[must_use]
    pub fn moved(self, east: i32, north: i32) -> Self {
        let x = self.moved_along(LONGITUDE_BITS, east);
        let y = self.moved_along(LATITUDE_BITS, north);
        Self { bits: x | y, ..self }
    }

    /// The bits among `own` after a step of one up or down, or without one. The others carry from one to the next.
    fn moved_along(self, own: u64, by: i32) -> u64 {
        let unused = 64 - 2 * self.steps;
        let (others, within) = (!own >> unused, own >> unused);
        let bits = self.bits & own;
        match by.signum() {
            0 => bits,
            1 => bits.wrapping_add(others + 1) & within,
            _ => (bits | others).wrapping_sub(others + 1) & within,
        }
    }
}

/// The halvings of both coordinates, in turns, on a map of these latitudes.
fn interleave(point: Point, latitudes: (f64, f64), steps: u32) -> u64 {
    let index = |degrees: f64, (min, max): (f64, f64)| {
        let share = (degrees - min) / (max - min);
        (share * (1_u64 << steps) as f64) as u32
    };
    spread(index(point.latitude, latitudes)) | spread(index(point.longitude, LONGITUDES)) << 1
}

/// Puts a zero in front of every bit.
fn spread(bits: u32) -> u64 {
    SPREADING
        .iter()
        .rev()
        .fold(u64::from(bits), |bits, (shift, mask)| {
            (bits | bits << shift) & mask
        })
}

/// The bits at even positions.
fn gather(bits: u64) -> u32 {
    let start = bits & SPREADING[0].1;
    let gathered = SPREADING.windows(2).fold(start, |bits, pair| {
        let ((shift, _), (_, mask)) = (pair[0], pair[1]);
        (bits | bits >> shift) & mask
    });
    (gathered | gathered >> 16) as u32
}

/// Groups of 1, 2, 4, 8 and 16 bits, as far apart as they are wide.
const SPREADING: [(u32, u64); 5] = [
    (1, 0x5555_5555_5555_5555),
    (2, 0x3333_3333_3333_3333),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (8, 0x00ff_00ff_00ff_00ff),
    (16, 0x0000_ffff_0000_ffff),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(longitude: f64, latitude: f64) -> Point {
        Point::new(longitude, latitude).unwrap()
    }

    fn points() -> impl Strategy<Value = Point> {
        (-180.0..=180.0, -85.0..=85.0).prop_map(|(longitude, latitude)| point(longitude, latitude))
    }

    #[test]
    fn scores_and_names_are_those_of_a_real_server() {
        let (palermo, catania) = (point(13.361_389, 38.115_556), point(15.087_269, 37.502_669));
        assert_eq!(palermo.score(), 3_479_099_956_230_698);
        assert_eq!(catania.score(), 3_479_447_370_796_909);
        let (palermo, catania) = [palermo, catania]
            .map(|point| Point::from_score(point.score() as f64))
            .into();
        assert_eq!(&palermo.geohash(), b"sqc8b49rny0");
        let Point { longitude, latitude } = palermo;
        assert_eq!(
            format!("{longitude:.17} {latitude:.17}"),
            "13.36138933897018433 38.11555639549629859"
        );
        assert_eq!(format!("{:.4}", palermo.distance_m(catania)), "166274.1516");
    }

    #[test]
    fn there_is_nothing_beyond_the_edges() {
        for (longitude, latitude) in [
            (180.1, 0.0),
            (-180.1, 0.0),
            (0.0, 85.06),
            (0.0, -85.06),
            (f64::NAN, 0.0),
        ] {
            assert_eq!(Point::new(longitude, latitude), None);
        }
        for (longitude, latitude) in [(180.0, LATITUDES.1), (-180.0, LATITUDES.0)] {
            let edge = point(longitude, latitude);
            let read = Point::from_score(edge.score() as f64);
            assert!(read.distance_m(edge) < 1.0, "{read:?}");
        }
    }

    #[test]
    fn any_score_is_some_point() {
        for score in [
            f64::INFINITY,
            f64::NEG_INFINITY,
            -1.0,
            1e300,
            -1e300,
            1e19,
            f64::MIN_POSITIVE,
        ] {
            let Point { longitude, latitude } = Point::from_score(score);
            assert!(Point::new(longitude, latitude).is_some(), "{score}");
        }
    }

    #[test]
    fn opposite_points_are_half_a_circle_apart() {
        let half = std::f64::consts::PI * EARTH_RADIUS_M;
        for latitude in [0.0, 12.3, 45.0, 80.0] {
            let distance = point(10.0, latitude).distance_m(point(-170.0, -latitude));
            assert!((distance - half).abs() < 1.0, "{distance}");
        }
    }

    proptest! {
        #[test]
        fn points_come_back_from_their_scores(point in points()) {
            let read = Point::from_score(point.score() as f64);
            prop_assert!((read.longitude - point.longitude).abs() < 1e-5);
            prop_assert!((read.latitude - point.latitude).abs() < 1e-5);
            prop_assert_eq!(Cell::around(point, STEPS_MAX).bits, point.score());
        }

        #[test]
        fn a_cell_is_where_its_points_are(point in points(), steps in 1..=STEPS_MAX) {
            let cell = Cell::around(point, steps);
            prop_assert!(cell.scores().contains(&point.score()));
            let Bounds { longitudes, latitudes } = cell.bounds();
            prop_assert!(longitudes.0 <= point.longitude && point.longitude <= longitudes.1);
            prop_assert!(latitudes.0 <= point.latitude && point.latitude <= latitudes.1);
        }

        #[test]
        fn neighbours_touch_one_another(point in points(), steps in 2..=STEPS_MAX) {
            let cell = Cell::around(point, steps);
            for (east, north) in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)] {
                prop_assert_eq!(cell.moved(east, north).moved(-east, -north), cell);
            }
            let (own, eastern, northern) = (cell.bounds(), cell.moved(1, 0).bounds(), cell.moved(0, 1).bounds());
            prop_assert!([own.longitudes.1, LONGITUDES.0].contains(&eastern.longitudes.0));
            prop_assert_eq!(eastern.latitudes, own.latitudes);
            prop_assert!([own.latitudes.1, LATITUDES.0].contains(&northern.latitudes.0));
            prop_assert_eq!(northern.longitudes, own.longitudes);
        }
    }
}
