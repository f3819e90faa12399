//! Geo commands on points by name. A sorted set keeps them by their scores; see [`crate::values::geohash`].

use super::args::Args;
use super::call::KeyCall;
use super::error::Error;
use super::spec::*;
use crate::resp::number::parse_f64;
use crate::resp::{Reply, decimal};
use crate::values::geohash::Point;
use crate::values::sorted_set::SortedSet;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("GEOADD", -5, "key condition=[NX | XX] [change=CH] longitude latitude member [longitude latitude member ...]",
                 &[key_at(1, EDIT)], WRITE.or(GROWS), "3.2.0", "O(log N) for each point, N being all of them", Handler::Key(geoadd),
                 "Adds points to a geo index, or moves them."),
    Command::new("GEODIST", -4, "key member1 member2 unit=[M | KM | FT | MI]", &[key_at(1, READ)], READONLY, "3.2.0", "O(1)", Handler::Key(geodist),
                 "Tells how far two points are apart."),
    Command::new("GEOHASH", -2, "key member [member ...]", &[key_at(1, READ)], READONLY, "3.2.0", "O(1) for each point", Handler::Key(geohash),
                 "Names points by their geohash."),
    Command::new("GEOPOS", -2, "key member [member ...]", &[key_at(1, READ)], READONLY.or(NULL_ARRAYS), "3.2.0", "O(1) for each point", Handler::Key(geopos),
                 "Tells where points are."),
];

fn geoadd(call: &mut KeyCall<'_>) -> Result {
    let options = AddOptions::parse(&mut call.args)?;
    let points = read_points(&mut call.args)?;
    let limits = call.services.config.load().encodings.sorted_set;
    let counts = call.key.upsert::<SortedSet, _>("zadd", |set| {
        let (mut added, mut moved) = (0, 0);
        for (score, member) in points {
            match set.score(member) {
                None if options.if_exists != Some(true) => added += 1,
                Some(former) if options.if_exists != Some(false) && former - score != 0.0 => moved += 1,
                _ => continue,
            }
            set.insert(member, score, limits);
        }
        ((added, moved), (added + moved) as u64)
    });
    let (added, moved) = counts?;
    let counted = if options.counts_moved { moved } else { 0 };
    call.reply.integer(added + counted);
    Ok(())
}

/// Options of GEOADD.
#[derive(Default)]
struct AddOptions {
    /// NX: false, XX: true.
    if_exists: Option<bool>,
    /// CH.
    counts_moved: bool,
}

impl AddOptions {
    /// Reads the options and leaves the points, of which there is at least one.
    fn parse(args: &mut Args<'_>) -> Result<Self> {
        let mut options = Self::default();
        let (mut if_new, mut if_exists) = (false, false);
        loop {
            if args.take_word("NX") {
                if_new = true;
            } else if args.take_word("XX") {
                if_exists = true;
            } else if args.take_word("CH") {
                options.counts_moved = true;
            } else {
                break;
            }
        }
        if args.is_empty() || !args.len().is_multiple_of(3) || (if_new && if_exists) {
            return Err(Error::Syntax);
        }
        options.if_exists = (if_new || if_exists).then_some(if_exists);
        Ok(options)
    }
}

/// Reads scores and names of points.
fn read_points<'r>(args: &mut Args<'r>) -> Result<Vec<(f64, &'r [u8])>> {
    let mut points = Vec::with_capacity(args.len() / 3);
    while !args.is_empty() {
        let point = read_point(args)?;
        points.push((point.score() as f64, args.bytes()?));
    }
    Ok(points)
}

/// Reads a longitude and a latitude.
pub fn read_point(args: &mut Args<'_>) -> Result<Point> {
    let mut degrees = || parse_f64(args.bytes()?).ok_or(Error::NotAFloat);
    let (longitude, latitude) = (degrees()?, degrees()?);
    Point::new(longitude, latitude).ok_or_else(|| Error::not_on_the_map(longitude, latitude))
}

/// Reads a unit: how many metres it has.
pub fn read_unit(args: &mut Args<'_>) -> Result<f64> {
    const UNITS: [(&str, f64); 4] = [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)];
    let unit = UNITS.into_iter().find(|(name, _)| args.take_word(name));
    unit.map(|(_, metres)| metres).ok_or(Error::UNKNOWN_UNIT)
}

/// The point of this name.
pub fn find_point(set: &SortedSet, member: &[u8]) -> Option<Point> {
    set.score(member).map(Point::from_score)
}

fn geodist(call: &mut KeyCall<'_>) -> Result {
    let (from, to) = (call.args.bytes()?, call.args.bytes()?);
    let unit_m = match call.args.len() {
        0 => 1.0,
        1 => read_unit(&mut call.args)?,
        _ => return Err(Error::Syntax),
    };
    let set = call.key.read_as::<SortedSet>()?;
    let ends = set.and_then(|set| find_point(set, from).zip(find_point(set, to)));
    match ends {
        Some((from, to)) => call
            .reply
            .bulk(decimal::fixed(from.distance_m(to) / unit_m).as_bytes()),
        None => call.reply.null(),
    }
    Ok(())
}

fn geohash(call: &mut KeyCall<'_>) -> Result {
    let set = call.key.read_as::<SortedSet>()?;
    call.reply.array(call.args.len());
    for member in call.args {
        match set.and_then(|set| find_point(set, member)) {
            Some(point) => call.reply.bulk(&point.geohash()),
            None => call.reply.null(),
        }
    }
    Ok(())
}

fn geopos(call: &mut KeyCall<'_>) -> Result {
    let set = call.key.read_as::<SortedSet>()?;
    call.reply.array(call.args.len());
    for member in call.args {
        match set.and_then(|set| find_point(set, member)) {
            Some(point) => write_point(&mut call.reply, point),
            None => call.reply.null_array(),
        }
    }
    Ok(())
}

/// Writes longitude and latitude.
pub fn write_point(reply: &mut Reply<'_>, point: Point) {
    reply.array(2);
    reply.decimal(point.longitude);
    reply.decimal(point.latitude);
}
