//! Searches for points around a place: GEOSEARCH, and GEORADIUS with its kin, its former forms.

use std::cmp::Ordering;
use std::ops::Bound;

use super::args::Args;
use super::call::{KeyCall, KeysCall};
use super::error::Error;
use super::geo::{find_point, read_point, read_unit, write_point};
use super::spec::*;
use crate::resp::Reply;
use crate::resp::decimal;
use crate::resp::number::parse_f64;
use crate::values::geo_area::{Area, Shape};
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
    query.write(&mut call.reply, &query.run(set));
    Ok(())
}

/// Searches for points in the key with this number; replies with them, or stores them and replies with their count.
fn search_and_store<'a>(call: &mut KeysCall<'a>, form: Form<'a>, source: usize) -> Result {
    call.keys.get(source).probe();
    let set = call.keys.peek_as::<SortedSet>(source)?;
    let query = Query::parse(form, set, &mut call.args)?;
    let found = query.run(set);
    let Some(target) = query.target else {
        query.write(&mut call.reply, &found);
        return Ok(());
    };
    let count = found.len();
    let limits = call.services.config.load().encodings.sorted_set;
    let stored = SortedSet::from_scored(found.iter().map(|found| (query.stored_score(found), found.member)), limits);
    // A second STORE names a key that the row does not see; only what it sees is held.
    let index = (0..call.keys.len()).find(|index| call.keys.get(*index).name() == target.key);
    let index = index.ok_or(Error::Syntax)?;
    call.keys.get(index).store_value(form.event(), stored);
    call.reply.integer(count as i64);
    Ok(())
}

/// What stands in front of the options, and which of them there are.
#[derive(Clone, Copy)]
enum Form<'r> {
    /// A place and a distance.
    Place { stores: bool },
    /// A point's name and a distance.
    Member { stores: bool },
    /// Nothing: the options say all.
    Search,
    /// The same, for a search that is stored.
    SearchStore { target: &'r [u8] },
}

impl Form<'_> {
    fn event(self) -> &'static str {
        match self {
            Self::Place { .. } | Self::Member { .. } => "georadiusstore",
            Self::Search | Self::SearchStore { .. } => "geosearchstore",
        }
    }

    /// What errors call the storing of what is found.
    fn storing_name(self) -> &'static str {
        if self.is_search() {
            "GEOSEARCHSTORE"
        } else {
            "STORE option in GEORADIUS"
        }
    }

    /// Whether the options say where to search.
    fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore { .. })
    }

    /// Whether STORE and STOREDIST with a key are options.
    fn takes_target(self) -> bool {
        matches!(self, Self::Place { stores: true } | Self::Member { stores: true })
    }
}

/// What is searched for, and what is told or stored of it.
#[derive(Default)]
struct Query<'r> {
    center: Center,
    /// With metres of its unit.
    shape: Option<(Shape, f64)>,
    order: Option<Order>,
    /// 0: all.
    count: usize,
    /// Any so many, not the nearest.
    any: bool,
    shows: Columns,
    target: Option<Target<'r>>,
}

/// The middle of the area.
#[derive(Default, Clone, Copy)]
enum Center {
    #[default]
    Unstated,
    Place(Point),
    /// A point's place; `None` if there is no key.
    Member(Option<Point>),
}

#[derive(Clone, Copy)]
enum Order {
    NearestFirst,
    FarthestFirst,
}

/// What is told of each point, beside its name.
#[derive(Default, Clone, Copy)]
struct Columns {
    distance: bool,
    hash: bool,
    position: bool,
}

impl Columns {
    fn count(self) -> usize {
        usize::from(self.distance) + usize::from(self.hash) + usize::from(self.position)
    }
}

/// Where to store.
#[derive(Clone, Copy)]
struct Target<'r> {
    key: &'r [u8],
    /// Scores are distances.
    by_distance: bool,
}

/// A point within the area.
struct Found<'s> {
    member: &'s [u8],
    score: f64,
    point: Point,
    distance_m: f64,
}

impl<'r> Query<'r> {
    /// Reads all arguments; `set` tells where its points are.
    fn parse(form: Form<'r>, set: Option<&SortedSet>, args: &mut Args<'r>) -> Result<Self> {
        let mut query = Self::default();
        match form {
            Form::Place { .. } => {
                query.center = Center::Place(read_point(args)?);
                query.shape = Some(read_circle(args)?);
            }
            Form::Member { .. } => {
                query.center = read_member(set, args)?;
                query.shape = match set {
                    Some(_) => Some(read_circle(args)?),
                    None => skip_circle(args)?,
                };
            }
            Form::Search => {}
            Form::SearchStore { target: key } => query.target = Some(Target { key, by_distance: false }),
        }
        while !args.is_empty() {
            if !(query.take_option(args)? || query.take_area(form, set, args)? || query.take_target(form, args)?) {
                return Err(Error::Syntax);
            }
        }
        query.check(form, *args)?;
        Ok(query)
    }

    /// Takes an option that every form has.
    fn take_option(&mut self, args: &mut Args<'r>) -> Result<bool> {
        if args.take_word("WITHDIST") {
            self.shows.distance = true;
        } else if args.take_word("WITHHASH") {
            self.shows.hash = true;
        } else if args.take_word("WITHCOORD") {
            self.shows.position = true;
        } else if args.take_word("ANY") {
            self.any = true;
        } else if args.take_word("ASC") {
            self.order = Some(Order::NearestFirst);
        } else if args.take_word("DESC") {
            self.order = Some(Order::FarthestFirst);
        } else if args.take_word("COUNT") {
            let count = args.integer()?;
            self.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(Error::SEARCH_COUNT)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes an option that says where to search.
    fn take_area(&mut self, form: Form<'_>, set: Option<&SortedSet>, args: &mut Args<'r>) -> Result<bool> {
        if !form.is_search() {
            return Ok(false);
        }
        let is_circle = matches!(self.shape, Some((Shape::Circle { .. }, _)));
        let is_box = matches!(self.shape, Some((Shape::Box { .. }, _)));
        if !matches!(self.center, Center::Place(_)) && args.take_word("FROMMEMBER") {
            self.center = read_member(set, args)?;
        } else if !matches!(self.center, Center::Member(_)) && args.take_word("FROMLONLAT") {
            self.center = Center::Place(read_point(expect(args, 2)?)?);
        } else if !is_box && args.take_word("BYRADIUS") {
            self.shape = Some(read_circle(expect(args, 2)?)?);
        } else if !is_circle && args.take_word("BYBOX") {
            self.shape = Some(read_box(expect(args, 3)?)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes an option that says where to store.
    fn take_target(&mut self, form: Form<'_>, args: &mut Args<'r>) -> Result<bool> {
        if let (Form::SearchStore { .. }, Some(target)) = (form, &mut self.target) {
            let is_next = args.take_word("STOREDIST");
            target.by_distance |= is_next;
            return Ok(is_next);
        }
        if !form.takes_target() {
            return Ok(false);
        }
        let by_distance = args.take_word("STOREDIST");
        if !(by_distance || args.take_word("STORE")) {
            return Ok(false);
        }
        let key = args.bytes()?;
        self.target = Some(Target { key, by_distance });
        Ok(true)
    }

    /// Refuses options that make no sense together.
    fn check(&self, form: Form<'_>, args: Args<'_>) -> Result {
        let name = args.request().arg(0);
        if self.target.is_some() && self.shows.count() > 0 {
            return Err(Error::stored_and_shown(form.storing_name()));
        }
        if matches!(self.center, Center::Unstated) {
            return Err(Error::no_center(name));
        }
        if form.is_search() && self.shape.is_none() {
            return Err(Error::no_shape(name));
        }
        if self.any && self.count == 0 {
            return Err(Error::ANY_WITHOUT_COUNT);
        }
        Ok(())
    }

    /// The points in the area, as many and in the order that was asked for.
    fn run<'s>(&self, set: Option<&'s SortedSet>) -> Vec<Found<'s>> {
        let (Some(set), Some(area)) = (set, self.area()) else {
            return Vec::new();
        };
        let mut found = find(set, &area, if self.any { self.count } else { usize::MAX });
        let wanted = match self.count {
            0 => found.len(),
            count => count.min(found.len()),
        };
        let order = self.order.or((self.count > 0 && !self.any).then_some(Order::NearestFirst));
        if let Some(order) = order {
            let compare = |one: &Found<'_>, other: &Found<'_>| match order {
                Order::NearestFirst => by_distance(one, other),
                Order::FarthestFirst => by_distance(other, one),
            };
            if wanted < found.len() {
                sort_range(&mut found, &(0..wanted), compare);
            } else {
                found.sort_by(compare);
            }
        }
        found.truncate(wanted);
        found
    }

    fn area(&self) -> Option<Area> {
        let center = match self.center {
            Center::Place(point) | Center::Member(Some(point)) => point,
            Center::Unstated | Center::Member(None) => return None,
        };
        let (shape, unit_m) = self.shape?;
        Some(Area { center, shape, unit_m })
    }

    /// Metres of the unit of the area.
    fn unit_m(&self) -> f64 {
        self.shape.map_or(1.0, |(_, unit_m)| unit_m)
    }

    /// The score that a point is stored by.
    fn stored_score(&self, found: &Found<'_>) -> f64 {
        if self.target.is_some_and(|target| target.by_distance) {
            found.distance_m / self.unit_m()
        } else {
            found.score
        }
    }

    fn write(&self, reply: &mut Reply<'_>, all: &[Found<'_>]) {
        let columns = self.shows.count();
        reply.array(all.len());
        for found in all {
            if columns > 0 {
                reply.array(columns + 1);
            }
            reply.bulk(found.member);
            if self.shows.distance {
                reply.bulk(decimal::fixed(found.distance_m / self.unit_m()).as_bytes());
            }
            if self.shows.hash {
                reply.integer(integer_of(found.score));
            }
            if self.shows.position {
                write_point(reply, found.point);
            }
        }
    }
}

/// The points of `set` in the area, cell by cell; no more than `count_max` are looked for.
fn find<'s>(set: &'s SortedSet, area: &Area, count_max: usize) -> Vec<Found<'s>> {
    let mut all = Vec::new();
    for scores in area.score_ranges() {
        let bounds = (Bound::Included(scores.start as f64), Bound::Excluded(scores.end as f64));
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

fn by_distance(one: &Found<'_>, other: &Found<'_>) -> Ordering {
    one.distance_m.total_cmp(&other.distance_m)
}

/// Fails with a syntax error unless there are so many arguments.
fn expect<'a, 'r>(args: &'a mut Args<'r>, count: usize) -> Result<&'a mut Args<'r>> {
    if args.len() < count {
        return Err(Error::Syntax);
    }
    Ok(args)
}

/// Reads the name of a point that is there, if the key is.
fn read_member(set: Option<&SortedSet>, args: &mut Args<'_>) -> Result<Center> {
    let member = args.bytes()?;
    match set {
        Some(set) => find_point(set, member).map(|point| Center::Member(Some(point))).ok_or(Error::NO_SUCH_POINT),
        None => Ok(Center::Member(None)),
    }
}

fn read_circle(args: &mut Args<'_>) -> Result<(Shape, f64)> {
    let radius = parse_f64(args.bytes()?).ok_or(Error::RADIUS_NOT_A_NUMBER)?;
    if radius < 0.0 {
        return Err(Error::RADIUS_NEGATIVE);
    }
    Ok((Shape::Circle { radius }, read_unit(args)?))
}

/// Passes over a circle around a point that there is not: Redis does not look at its size then.
fn skip_circle(args: &mut Args<'_>) -> Result<Option<(Shape, f64)>> {
    let (_radius, _unit) = (args.bytes()?, args.bytes()?);
    Ok(None)
}

fn read_box(args: &mut Args<'_>) -> Result<(Shape, f64)> {
    let width = parse_f64(args.bytes()?).ok_or(Error::WIDTH_NOT_A_NUMBER)?;
    let height = parse_f64(args.bytes()?).ok_or(Error::HEIGHT_NOT_A_NUMBER)?;
    if width < 0.0 || height < 0.0 {
        return Err(Error::BOX_NEGATIVE);
    }
    Ok((Shape::Box { width, height }, read_unit(args)?))
}
