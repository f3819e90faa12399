//! Circles and boxes on the earth, and the cells of the map that hold all their points.

use std::ops::Range;

use super::geohash::{Bounds, Cell, EARTH_RADIUS_M, Point, STEPS_MAX};

/// What a search covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The middle.
    pub center: Point,
    /// What lies around it.
    pub shape: Shape,
    /// Metres of the unit that the shape is measured in.
    pub unit_m: f64,
}

/// What lies around the middle. No measure is negative or NaN; they may be infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// All that is not further away.
    Circle {
        /// How far.
        radius: f64,
    },
    /// All that is at most half as far to the east or west, and to the north or south.
    Box {
        /// From west to east.
        width: f64,
        /// From south to north.
        height: f64,
    },
}

impl Area {
    /// The distance in metres from the middle to `point`, if it lies within.
    pub fn distance_m_within(&self, point: Point) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius } => {
                let distance_m = self.center.distance_m(point);
                (distance_m <= radius * self.unit_m).then_some(distance_m)
            }
            Shape::Box { width, height } => {
                let level = Point {
                    latitude: point.latitude,
                    ..self.center
                };
                let is_within = self.center.latitude_distance_m(point) <= height * self.unit_m / 2.0
                    && point.distance_m(level) <= width * self.unit_m / 2.0;
                is_within.then(|| self.center.distance_m(point))
            }
        }
    }

    /// Ranges of scores that hold all points within, nine at most, in Redis's order: the middle first.
    pub fn score_ranges(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let area = self.bounds();
        let middle = self.middle_cell(&area);
        let cell = middle.bounds();
        // With one step, a neighbour is a quarter of the earth and lies on both sides.
        let has_sides = middle.steps > 1;
        let needed = AROUND
            .into_iter()
            .filter(move |direction| !has_sides || reaches_out(&area, &cell, *direction));
        let mut latest = middle;
        needed.filter_map(move |(east, north)| {
            let cell = middle.moved(east, north);
            let is_again = cell == latest && latest != middle;
            latest = cell;
            (!is_again).then(|| cell.scores())
        })
    }

    /// The smallest frame that holds the area, roughly; it may reach beyond the map.
    fn bounds(&self) -> Bounds {
        let Point { longitude, latitude } = self.center;
        let (half_width, half_height) = match self.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let to_degrees = |radians: f64| radians / DEGREE;
        let latitudes = to_degrees(self.unit_m * half_height / EARTH_RADIUS_M);
        // The frame is as wide as the area is at its edge towards the pole.
        let widest = if latitude < 0.0 {
            latitude - latitudes
        } else {
            latitude + latitudes
        };
        let longitudes = to_degrees(self.unit_m * half_width / EARTH_RADIUS_M / (widest * DEGREE).cos());
        Bounds {
            longitudes: (longitude - longitudes, longitude + longitudes),
            latitudes: (latitude - latitudes, latitude + latitudes),
        }
    }

    /// The cell around the middle that holds the area together with its neighbours.
    fn middle_cell(&self, bounds: &Bounds) -> Cell {
        let steps = self.steps();
        let cell = Cell::around(self.center, steps);
        let reaches_beyond = |(east, north), is_beyond: fn(&Bounds, &Bounds) -> bool| {
            is_beyond(&cell.moved(east, north).bounds(), bounds)
        };
        let is_too_small = reaches_beyond((0, 1), |cell, area| cell.latitudes.1 < area.latitudes.1)
            || reaches_beyond((0, -1), |cell, area| cell.latitudes.0 > area.latitudes.0)
            || reaches_beyond((1, 0), |cell, area| cell.longitudes.1 < area.longitudes.1)
            || reaches_beyond((-1, 0), |cell, area| cell.longitudes.0 > area.longitudes.0);
        if steps > 1 && is_too_small {
            Cell::around(self.center, steps - 1)
        } else {
            cell
        }
    }

    /// How often the map is halved, so that a cell is about as large as the area.
    fn steps(&self) -> u32 {
        let reach = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => {
                let (half_width, half_height) = (width / 2.0, height / 2.0);
                (half_width * half_width + half_height * half_height).sqrt()
            }
        };
        steps_for(reach * self.unit_m, self.center.latitude.abs())
    }
}

/// Radians of a degree.
const DEGREE: f64 = std::f64::consts::PI / 180.0;

/// The middle and its neighbours, by cells to the east and to the north.
const AROUND: [(i32, i32); 9] = [
    (0, 0),
    (0, 1),
    (0, -1),
    (1, 0),
    (-1, 0),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
];

fn steps_for(reach_m: f64, latitude: f64) -> u32 {
    /// Half the equator on the Mercator projection.
    const HALF_EQUATOR_M: f64 = 20_037_726.37;
    if reach_m == 0.0 {
        return STEPS_MAX;
    }
    let mut steps = -1;
    let mut reach_m = reach_m;
    while reach_m < HALF_EQUATOR_M {
        reach_m *= 2.0;
        steps += 1;
    }
    // Cells become narrower towards the poles.
    let narrower = i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
    (steps - narrower).clamp(1, STEPS_MAX as i32) as u32
}

/// Whether the area reaches out of the cell in this direction, in both where it is between two.
fn reaches_out(area: &Bounds, cell: &Bounds, (east, north): (i32, i32)) -> bool {
    let reaches = |direction, (area_low, area_high): (f64, f64), (low, high): (f64, f64)| match direction {
        0 => true,
        1 => high <= area_high,
        _ => low >= area_low,
    };
    reaches(east, area.longitudes, cell.longitudes) && reaches(north, area.latitudes, cell.latitudes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(longitude: f64, latitude: f64) -> Point {
        Point::new(longitude, latitude).unwrap()
    }

    fn circle(center: Point, radius: f64) -> Area {
        Area {
            center,
            shape: Shape::Circle { radius },
            unit_m: 1.0,
        }
    }

    #[test]
    fn a_point_is_searched_for_in_one_cell() {
        let here = point(15.0, 37.0);
        let mut ranges = circle(here, 0.0).score_ranges();
        assert_eq!(ranges.next(), Some(here.score()..here.score() + 1));
        assert_eq!(ranges.next(), None);
    }

    #[test]
    fn the_whole_earth_is_searched_once() {
        for radius in [2e7, 1e300, f64::INFINITY] {
            let mut ranges: Vec<_> = circle(point(15.0, 37.0), radius).score_ranges().collect();
            ranges.sort_by_key(|range| range.start);
            assert_eq!(ranges.len(), 4);
            assert_eq!((ranges[0].start, ranges[3].end), (0, 1 << 52));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    #[test]
    fn boxes_are_measured_along_their_own_parallel() {
        let around = Area {
            center: point(0.0, 60.0),
            shape: Shape::Box {
                width: 200.0,
                height: 100.0,
            },
            unit_m: 1000.0,
        };
        assert!(around.distance_m_within(point(1.7, 60.0)).is_some());
        assert!(around.distance_m_within(point(1.9, 60.0)).is_none());
        assert!(around.distance_m_within(point(0.0, 60.44)).is_some());
        assert!(around.distance_m_within(point(0.0, 60.46)).is_none());
    }

    fn areas() -> impl Strategy<Value = Area> {
        let shapes = prop_oneof![
            (0.0..1_000.0).prop_map(|radius| Shape::Circle { radius }),
            (0.0..2_000.0, 0.0..2_000.0).prop_map(|(width, height)| Shape::Box { width, height }),
        ];
        (-150.0..150.0, -60.0..60.0, shapes).prop_map(|(longitude, latitude, shape)| Area {
            center: point(longitude, latitude),
            shape,
            unit_m: 1000.0,
        })
    }

    proptest! {
        #[test]
        fn all_points_within_are_found(area in areas(), east in -15.0..15.0, north in -15.0..15.0) {
            let Point { longitude, latitude } = area.center;
            let other = point(longitude + east, latitude + north);
            let score = other.score();
            let found = area.score_ranges().filter(|range| range.contains(&score)).count();
            prop_assert!(found <= 1);
            prop_assert!(area.distance_m_within(other).is_none() || found == 1, "{other:?}");
            prop_assert!(area.score_ranges().count() <= 9);
        }
    }
}
