//! The arguments of searches for points: where to search, and what to do with what is found.

use super::args::Args;
use super::error::Error;
use super::geo::{find_point, read_point, read_unit};
use super::spec::Result;
use crate::resp::number::parse_f64;
use crate::values::geo_area::{Area, Shape};
use crate::values::geohash::Point;
use crate::values::sorted_set::SortedSet;

/// What stands in front of the options, and which of them there are.
#[derive(Clone, Copy)]
pub enum Form<'r> {
    /// A place and a distance.
    Place {
        /// Whether STORE is an option.
        stores: bool,
    },
    /// A point's name and a distance.
    Member {
        /// Whether STORE is an option.
        stores: bool,
    },
    /// Nothing: the options say all.
    Search,
    /// The same, for a search that is stored.
    SearchStore {
        /// Where to.
        target: &'r [u8],
    },
}

impl Form<'_> {
    /// The event of storing what was found.
    pub fn event(self) -> &'static str {
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
pub struct Query<'r> {
    center: Center,
    /// With metres of its unit.
    shape: Option<(Shape, f64)>,
    /// How to sort; `None`: not at all.
    pub order: Option<Order>,
    /// 0: all.
    pub count: usize,
    /// Any so many, not the nearest.
    pub any: bool,
    /// What to reply with.
    pub shows: Columns,
    /// Where to store, instead.
    pub target: Option<Target<'r>>,
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

/// How what is found is sorted.
#[derive(Clone, Copy)]
pub enum Order {
    /// ASC.
    NearestFirst,
    /// DESC.
    FarthestFirst,
}

/// What is told of each point, beside its name.
#[derive(Default, Clone, Copy)]
pub struct Columns {
    /// WITHDIST.
    pub distance: bool,
    /// WITHHASH.
    pub hash: bool,
    /// WITHCOORD.
    pub position: bool,
}

impl Columns {
    /// How many there are.
    pub fn count(self) -> usize {
        usize::from(self.distance) + usize::from(self.hash) + usize::from(self.position)
    }
}

/// Where to store.
#[derive(Clone, Copy)]
pub struct Target<'r> {
    /// The key.
    pub key: &'r [u8],
    /// Scores are distances.
    pub by_distance: bool,
}

impl<'r> Query<'r> {
    /// Reads all arguments; `set` tells where its points are.
    pub fn parse(form: Form<'r>, set: Option<&SortedSet>, args: &mut Args<'r>) -> Result<Self> {
        let mut query = Self::begin(form, set, args)?;
        while !args.is_empty() {
            if !(query.take_option(args)?
                || query.take_area(form, set, args)?
                || query.take_target(form, args)?)
            {
                return Err(Error::Syntax);
            }
        }
        query.check(form, *args)?;
        Ok(query)
    }

    /// Reads what stands in front of the options.
    fn begin(form: Form<'r>, set: Option<&SortedSet>, args: &mut Args<'r>) -> Result<Self> {
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
            Form::SearchStore { target: key } => {
                let by_distance = false;
                query.target = Some(Target { key, by_distance });
            }
        }
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
            self.count = usize::try_from(count)
                .ok()
                .filter(|count| *count > 0)
                .ok_or(Error::SEARCH_COUNT)?;
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

    /// What the search covers; `None` if there are no points anyway.
    pub fn area(&self) -> Option<Area> {
        let center = match self.center {
            Center::Place(point) | Center::Member(Some(point)) => point,
            Center::Unstated | Center::Member(None) => return None,
        };
        let (shape, unit_m) = self.shape?;
        Some(Area {
            center,
            shape,
            unit_m,
        })
    }

    /// Metres of the unit of the area.
    pub fn unit_m(&self) -> f64 {
        self.shape.map_or(1.0, |(_, unit_m)| unit_m)
    }
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
        Some(set) => find_point(set, member)
            .map(|point| Center::Member(Some(point)))
            .ok_or(Error::NO_SUCH_POINT),
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
