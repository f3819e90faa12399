//! Searches for points around a place: GEOSEARCH, and GEORADIUS with its kin, its former forms.

use std::ops::Bound;

use super::call::{KeyCall, KeysCall};
use super::error::Error;
use super::geo::write_point;
use super::geo_query::{Form, Order, Query};
use super::spec::*;
use crate::resp::{Reply, decimal};
use crate::values::geo_area::Area;
use crate::values::geohash::{Point, integer_of};
use crate::values::partial_sort::sort_range;
use crate::values::sorted_set::SortedSet;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("GEORADIUS", -6,
                 "key longitude latitude radius unit=<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] count=[COUNT count [ANY]] order=[ASC | DESC] [STORE key] [STOREDIST key]",
                 &[key_at(1, READ), key_behind_word("STORE", 6, OVERWRITE), key_behind_word("STOREDIST", 6, OVERWRITE)],
                 WRITE.or(GROWS), "3.2.0", AROUND, Handler::Keys(georadius),
                 "Finds or stores the points within a distance of a place.")
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
    Command::new("GEORADIUSBYMEMBER", -5,
                 "key member radius unit=<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] count=[COUNT count [ANY]] order=[ASC | DESC] [STORE key] [STOREDIST key]",
                 &[key_at(1, READ), key_behind_word("STORE", 5, OVERWRITE), key_behind_word("STOREDIST", 5, OVERWRITE)],
                 WRITE.or(GROWS), "3.2.0", AROUND, Handler::Keys(georadiusbymember),
                 "Finds or stores the points within a distance of a point.")
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    Command::new("GEORADIUSBYMEMBER_RO", -5,
                 "key member radius unit=<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] count=[COUNT count [ANY]] order=[ASC | DESC]",
                 &[key_at(1, READ)], READONLY, "3.2.10", AROUND, Handler::Key(georadiusbymember_ro),
                 "Finds the points within a distance of a point.")
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    Command::new("GEORADIUS_RO", -6,
                 "key longitude latitude radius unit=<M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] count=[COUNT count [ANY]] order=[ASC | DESC]",
                 &[key_at(1, READ)], READONLY, "3.2.10", AROUND, Handler::Key(georadius_ro),
                 "Finds the points within a distance of a place.")
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    Command::new("GEOSEARCH", -7,
                 "key from=<FROMMEMBER member | FROMLONLAT longitude latitude> by=<circle=<BYRADIUS radius unit=<M | KM | FT | MI>> | box=<BYBOX width ; height unit=<M | KM | FT | MI>>> \
                  order=[ASC | DESC] count=[COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
                 &[key_at(1, READ)], READONLY, "6.2.0", AROUND, Handler::Key(geosearch),
                 "Finds the points within a circle or a box."),
    Command::new("GEOSEARCHSTORE", -8,
                 "destination source from=<FROMMEMBER member | FROMLONLAT longitude latitude> by=<circle=<BYRADIUS radius unit=<M | KM | FT | MI>> | box=<BYBOX width ; height unit=<M | KM | FT | MI>>> \
                  order=[ASC | DESC] count=[COUNT count [ANY]] [STOREDIST]",
                 &[key_at(1, OVERWRITE), key_at(2, READ)], WRITE.or(GROWS), "6.2.0", AROUND, Handler::Keys(geosearchstore),
                 "Stores the points within a circle or a box."),
];

const AROUND: &str = "O(N+log(M)) in the points of the cells that cover the area, M being all points";

fn georadius(call: &mut KeysCall<'_>) -> Result {
    let _key = call.args.bytes()?;
    search_and_store(call, Form::Place { stores: true }, 0)
}

fn georadiusbymember(call: &mut KeysCall<'_>) -> Result {
    let _key = call.args.bytes()?;
    search_and_store(call, Form::Member { stores: true }, 0)
}

fn georadius_ro(call: &mut KeyCall<'_>) -> Result {
    search(call, Form::Place { stores: false })
}

fn georadiusbymember_ro(call: &mut KeyCall<'_>) -> Result {
    search(call, Form::Member { stores: false })
}

fn geosearch(call: &mut KeyCall<'_>) -> Result {
    search(call, Form::Search)
}

fn geosearchstore(call: &mut KeysCall<'_>) -> Result {
    let target = call.args.bytes()?;
    let _source = call.args.bytes()?;
    search_and_store(call, Form::SearchStore { target }, 1)
}

/// Searches for points and replies with them.
fn search<'a>(call: &mut KeyCall<'a>, form: Form<'a>) -> Result {
    let set = call.key.read_as::<SortedSet>()?;
    let query = Query::parse(form, set, &mut call.args)?;
    write(&query, &mut call.reply, &run(&query, set));
    Ok(())
}

/// Searches for points in the key with this number; replies with them, or stores them and replies with their count.
fn search_and_store<'a>(call: &mut KeysCall<'a>, form: Form<'a>, source: usize) -> Result {
    call.keys.get(source).probe();
    let set = call.keys.peek_as::<SortedSet>(source)?;
    let query = Query::parse(form, set, &mut call.args)?;
    let found = run(&query, set);
    let Some(target) = query.target else {
        write(&query, &mut call.reply, &found);
        return Ok(());
    };
    let count = found.len();
    let limits = call.services.config.load().encodings.sorted_set;
    let stored = SortedSet::from_scored(
        found
            .iter()
            .map(|found| (stored_score(&query, found), found.member)),
        limits,
    );
    // A second STORE names a key that the row does not see; only what it sees is held.
    let index = (0..call.keys.len()).find(|index| call.keys.get(*index).name() == target.key);
    let index = index.ok_or(Error::Syntax)?;
    call.keys.get(index).store_value(form.event(), stored);
    call.reply.integer(count as i64);
    Ok(())
}

/// A point within the area.
struct Found<'s> {
    member: &'s [u8],
    score: f64,
    point: Point,
    distance_m: f64,
}

/// The points in the area, as many and in the order that was asked for.
fn run<'s>(query: &Query<'_>, set: Option<&'s SortedSet>) -> Vec<Found<'s>> {
    let (Some(set), Some(area)) = (set, query.area()) else {
        return Vec::new();
    };
    let mut found = find(set, &area, if query.any { query.count } else { usize::MAX });
    let wanted = match query.count {
        0 => found.len(),
        count => count.min(found.len()),
    };
    let is_count_of_nearest = query.count > 0 && !query.any;
    let order = query.order.or(is_count_of_nearest.then_some(Order::NearestFirst));
    if let Some(order) = order {
        sort(&mut found, order, wanted);
    }
    found.truncate(wanted);
    found
}

/// Sorts so far that the first `wanted` are in order.
fn sort(all: &mut [Found<'_>], order: Order, wanted: usize) {
    let compare = |one: &Found<'_>, other: &Found<'_>| match order {
        Order::NearestFirst => one.distance_m.total_cmp(&other.distance_m),
        Order::FarthestFirst => other.distance_m.total_cmp(&one.distance_m),
    };
    if wanted < all.len() {
        sort_range(all, &(0..wanted), compare);
    } else {
        all.sort_by(compare);
    }
}

/// The points of `set` in the area, cell by cell; no more than `count_max` are looked for.
fn find<'s>(set: &'s SortedSet, area: &Area, count_max: usize) -> Vec<Found<'s>> {
    let mut all = Vec::new();
    for scores in area.score_ranges() {
        let bounds = (
            Bound::Included(scores.start as f64),
            Bound::Excluded(scores.end as f64),
        );
        let found = set.range(set.score_ranks(bounds)).filter_map(|scored| {
            let point = Point::from_score(scored.score);
            area.distance_m_within(point).map(|distance_m| Found {
                member: scored.member,
                score: scored.score,
                point,
                distance_m,
            })
        });
        all.extend(found.take(count_max - all.len()));
        if all.len() == count_max {
            break;
        }
    }
    all
}

/// The score that a point is stored by.
fn stored_score(query: &Query<'_>, found: &Found<'_>) -> f64 {
    if query.target.is_some_and(|target| target.by_distance) {
        found.distance_m / query.unit_m()
    } else {
        found.score
    }
}

/// Replies with what was found.
fn write(query: &Query<'_>, reply: &mut Reply<'_>, all: &[Found<'_>]) {
    let columns = query.shows.count();
    reply.array(all.len());
    for found in all {
        if columns > 0 {
            reply.array(columns + 1);
        }
        reply.bulk(found.member);
        if query.shows.distance {
            reply.bulk(decimal::fixed(found.distance_m / query.unit_m()).as_bytes());
        }
        if query.shows.hash {
            reply.integer(integer_of(found.score));
        }
        if query.shows.position {
            write_point(reply, found.point);
        }
    }
}
