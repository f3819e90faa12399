//! Which database a connection to upstream has selected, and which it may.
//!
//! A client's database 0 is the one that the upstream's URL names; the others keep their numbers. A command that names
//! a database itself (MOVE, COPY, SWAPDB) reaches upstream as it is. Upstream may have fewer databases than clients may select here, and a request that follows a refused SELECT would run in the wrong
//! one. So the first SELECT of a database is sent alone, and what wants to follow it is held until its reply.

use crate::commands::error::Error;

/// What is known of one database of upstream.
#[derive(Clone)]
enum Known {
    Nothing,
    Usable,
    Refused(Error),
}

/// What has to happen before a request in some database is sent.
pub enum Step {
    /// Nothing, it is selected.
    Go,
    /// SELECT this database, and go on at once.
    Select(usize),
    /// SELECT this database, and wait for the reply.
    Try(usize),
    /// It can't be selected.
    Refuse(Error),
}

/// The databases of one connection.
pub struct Databases {
    base: usize,
    /// `None` when that is not known.
    selected: Option<usize>,
    /// By upstream's number.
    known: Vec<Known>,
}

impl Databases {
    /// Of a connection that has selected `selected`; `base` stands for database 0.
    pub fn new(base: usize, selected: usize) -> Self {
        let mut known = vec![Known::Nothing; selected];
        known.push(Known::Usable);
        Self {
            base,
            selected: Some(selected),
            known,
        }
    }

    /// What to do for a request of a client in database `db`. A database that is to be selected counts as such.
    pub fn approach(&mut self, db: usize) -> Step {
        let wanted = self.upstreams(db);
        if self.selected == Some(wanted) {
            return Step::Go;
        }
        match self.known.get(wanted).unwrap_or(&Known::Nothing) {
            Known::Nothing => Step::Try(wanted),
            Known::Refused(error) => Step::Refuse(error.clone()),
            Known::Usable => {
                self.selected = Some(wanted);
                Step::Select(wanted)
            }
        }
    }

    /// Whether a request of a client in database `db` may be sent as it is.
    pub fn is_selected(&self, db: usize) -> bool {
        self.selected == Some(self.upstreams(db))
    }

    /// Upstream's number of a client's database.
    fn upstreams(&self, db: usize) -> usize {
        if db == 0 { self.base } else { db }
    }

    /// Notes that a SELECT may have been run for a client.
    pub fn forget_selected(&mut self) {
        self.selected = None;
    }

    /// Notes how a SELECT ended that was tried.
    pub fn learn(&mut self, database: usize, refusal: Option<Error>) {
        if self.known.len() <= database {
            self.known.resize(database + 1, Known::Nothing);
        }
        if refusal.is_none() {
            self.selected = Some(database);
        }
        self.known[database] = refusal.map_or(Known::Usable, Known::Refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_tried_before_it_is_relied_on() {
        let mut databases = Databases::new(0, 0);
        assert!(matches!(databases.approach(0), Step::Go));
        assert!(matches!(databases.approach(3), Step::Try(3)));
        databases.learn(3, None);
        assert!(matches!(databases.approach(3), Step::Go));
        assert!(matches!(databases.approach(0), Step::Select(0)));
        assert!(matches!(databases.approach(3), Step::Select(3)));
        assert!(matches!(databases.approach(15), Step::Try(15)));
        databases.learn(15, Some(Error::OutOfRange));
        assert!(matches!(databases.approach(15), Step::Refuse(Error::OutOfRange)));
        assert!(matches!(databases.approach(3), Step::Go));
    }

    #[test]
    fn a_forgotten_selection_is_made_again() {
        let mut databases = Databases::new(0, 0);
        databases.forget_selected();
        assert!(matches!(databases.approach(0), Step::Select(0)));
        assert!(matches!(databases.approach(0), Step::Go));
    }

    #[test]
    fn database_0_is_the_one_of_the_url() {
        let mut databases = Databases::new(5, 5);
        assert!(matches!(databases.approach(0), Step::Go));
        assert!(matches!(databases.approach(1), Step::Try(1)));
        databases.learn(1, None);
        assert!(matches!(databases.approach(0), Step::Select(5)));
    }
}
