//! What is known of one key: which versions were written, how that ended, and what each client may still read.
//!
//! A key has one writer at a time, so its versions are ordered. A version is a value or the key's absence. A write
//! that ended in an error of unknown outcome may take effect later or never; until the next rest decides, its version
//! may be read, once even behind newer ones. Whatever else is read must not be older than the *floor* of the read.

use std::collections::VecDeque;

/// Lines of a key's history that are kept.
const HISTORY_LINES: usize = 120;

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged.
    Done,
    /// It was refused; it must never be seen.
    Refused,
    /// Nobody knows.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Done {
        at_ms: u64,
    },
    /// `may_land`: it has not been seen to take effect.
    Unknown {
        may_land: bool,
    },
    Refused,
}

struct Write {
    version: u64,
    is_absence: bool,
    /// Whether the key's writer wrote it, not who removed everything at upstream.
    is_owners: bool,
    state: State,
}

/// What a read must not be older than.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    pub version: u64,
    pub why: &'static str,
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    Absent,
    Version(u64),
}

/// The versions of one key.
pub struct Model {
    /// Ascending by version. The first is what was there at the last rest.
    writes: Vec<Write>,
    next: u64,
    /// By client: what it read last.
    seen: Vec<u64>,
    history: VecDeque<String>,
}

impl Model {
    /// Of a key that is absent.
    pub fn new(clients: usize) -> Self {
        let absent = Write {
            version: 0,
            is_absence: true,
            is_owners: true,
            state: State::Done { at_ms: 0 },
        };
        Self {
            writes: vec![absent],
            next: 1,
            seen: vec![0; clients],
            history: VecDeque::new(),
        }
    }

    /// The version of a write of the key's writer that begins now.
    pub fn begin_write(&mut self, is_absence: bool) -> u64 {
        self.begin(is_absence, true)
    }

    /// The version of the absence that upstream's loss of everything is, which begins now.
    pub fn begin_loss(&mut self) -> u64 {
        self.begin(true, false)
    }

    fn begin(&mut self, is_absence: bool, is_owners: bool) -> u64 {
        let version = self.next;
        self.next += 1;
        self.writes.push(Write {
            version,
            is_absence,
            is_owners,
            state: State::Pending,
        });
        version
    }

    /// Notes how a write ended.
    pub fn end_write(&mut self, version: u64, outcome: Outcome, at_ms: u64) {
        let write = self.find(version).expect("it was begun");
        write.state = match outcome {
            Outcome::Done => State::Done { at_ms },
            Outcome::Refused => State::Refused,
            Outcome::Unknown => State::Unknown { may_land: true },
        };
    }

    /// The newest version that was acknowledged before `before_ms`.
    pub fn done_before(&self, before_ms: u64) -> u64 {
        self.newest_done(before_ms, |_| true)
    }

    /// The newest version that the key's writer wrote and that was acknowledged before `before_ms`.
    pub fn done_by_owner_before(&self, before_ms: u64) -> u64 {
        self.newest_done(before_ms, |write| write.is_owners)
    }

    fn newest_done(&self, before_ms: u64, counts: impl Fn(&Write) -> bool) -> u64 {
        let is_done = |write: &&Write| {
            counts(write) && matches!(write.state, State::Done { at_ms } if at_ms < before_ms)
        };
        self.writes
            .iter()
            .rev()
            .find(is_done)
            .map_or(0, |write| write.version)
    }

    /// What the client read last.
    pub fn seen(&self, client: usize) -> u64 {
        self.seen[client]
    }

    /// Checks what a client read; says what is wrong with it.
    pub fn check(&mut self, client: usize, read: Read, floor: Floor) -> Result<(), String> {
        let version = match read {
            Read::Version(version) => self.check_version(version, floor)?,
            Read::Absent => self.check_absence(floor)?,
        };
        self.seen[client] = version;
        Ok(())
    }

    fn check_version(&mut self, version: u64, floor: Floor) -> Result<u64, String> {
        let Some(write) = self.find(version) else {
            return Err(format!(
                "version {version} was never written, or not since the last rest"
            ));
        };
        if write.is_absence {
            return Err(format!("version {version} is no value"));
        }
        match &mut write.state {
            State::Refused => Err(format!("version {version} was refused")),
            _ if version >= floor.version => Ok(version),
            State::Unknown {
                may_land: may_land @ true,
            } => {
                *may_land = false;
                Ok(version)
            }
            _ => Err(older(&format!("version {version}"), floor)),
        }
    }

    /// Absence has no version of its own: it is taken for the oldest that it may be.
    fn check_absence(&mut self, floor: Floor) -> Result<u64, String> {
        let absences = || self.writes.iter().filter(|write| write.is_absence);
        let new_enough =
            absences().find(|write| write.version >= floor.version && write.state != State::Refused);
        if let Some(write) = new_enough {
            return Ok(write.version);
        }
        let late = absences().find(|write| matches!(write.state, State::Unknown { may_land: true }));
        late.map(|write| write.version)
            .ok_or_else(|| older("the absence", floor))
    }

    /// Nothing is under way any more, and upstream holds this: what has not taken effect never will. All clients have
    /// to see what is there.
    pub fn rest(&mut self, read: Read) {
        let version = match read {
            Read::Version(version) => version,
            // An absence that nobody can tell from others gets a version of its own.
            Read::Absent => {
                let version = self.begin_write(true);
                self.end_write(version, Outcome::Done, 0);
                version
            }
        };
        let mut kept = self.writes.iter().position(|write| write.version == version);
        self.writes
            .retain(|write| write.version == version && kept.take().is_some());
        self.end_write(version, Outcome::Done, 0);
        self.seen.fill(version);
    }

    /// Adds a line to the history.
    pub fn note(&mut self, line: String) {
        if self.history.len() == HISTORY_LINES {
            self.history.pop_front();
        }
        self.history.push_back(line);
    }

    /// The latest lines of the history.
    pub fn history(&self) -> String {
        self.history
            .iter()
            .flat_map(|line| ["  ", line.as_str(), "\n"])
            .collect()
    }

    fn find(&mut self, version: u64) -> Option<&mut Write> {
        self.writes.iter_mut().find(|write| write.version == version)
    }
}

fn older(what: &str, floor: Floor) -> String {
    format!("{what} is older than {}, {}", floor.version, floor.why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(version: u64) -> Floor {
        Floor { version, why: "" }
    }

    fn written(outcomes: &[(bool, Outcome)]) -> Model {
        let mut model = Model::new(1);
        for (is_absence, outcome) in outcomes {
            let version = model.begin_write(*is_absence);
            model.end_write(version, *outcome, version);
        }
        model
    }

    #[test]
    fn what_is_older_than_the_floor_refused_or_unheard_of_is_wrong() {
        let mut model = written(&[
            (false, Outcome::Done),
            (false, Outcome::Refused),
            (false, Outcome::Done),
        ]);
        assert_eq!(
            [model.done_before(1), model.done_before(2), model.done_before(9)],
            [0, 1, 3]
        );
        model.check(0, Read::Version(1), floor(1)).unwrap();
        model.check(0, Read::Version(1), floor(3)).unwrap_err();
        model.check(0, Read::Version(2), floor(0)).unwrap_err();
        model.check(0, Read::Version(4), floor(0)).unwrap_err();
        model.check(0, Read::Absent, floor(1)).unwrap_err();
        model.check(0, Read::Absent, floor(0)).unwrap();
    }

    #[test]
    fn a_write_of_unknown_outcome_may_land_late_but_once() {
        let mut model = written(&[(false, Outcome::Unknown), (false, Outcome::Done)]);
        model.check(0, Read::Version(2), floor(0)).unwrap();
        model.check(0, Read::Version(1), floor(2)).unwrap();
        model.check(0, Read::Version(1), floor(2)).unwrap_err();
        model.rest(Read::Version(2));
        model.check(0, Read::Version(1), floor(0)).unwrap_err();
    }

    #[test]
    fn an_absence_is_as_old_as_it_may_be() {
        let mut model = written(&[
            (false, Outcome::Done),
            (true, Outcome::Done),
            (false, Outcome::Done),
        ]);
        model.check(0, Read::Absent, floor(1)).unwrap();
        assert_eq!(model.seen(0), 2);
        model.check(0, Read::Absent, floor(3)).unwrap_err();
        model.rest(Read::Absent);
        model.check(0, Read::Absent, floor(model.seen(0))).unwrap();
        model.check(0, Read::Version(3), floor(0)).unwrap_err();
    }
}
