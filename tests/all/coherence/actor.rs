//! A client that reads all keys and writes its own, and says at once what is wrong.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use super::kinds::{self, words};
use super::model::{Floor, Outcome, Read};
use super::world::{CLIENTS, Key, Via, World, locked};
use crate::client::{Client, Value, encode};
use crate::deadline::{Deadline, now_ms};
use crate::differential::random::Random;

/// Every deadline of a Forebay has passed long before; so has every time for which upstream is frozen.
const HANGS_AFTER: Duration = Duration::from_secs(8);

/// A Forebay that was killed takes connections again within this.
const RETURNS_WITHIN: Duration = Duration::from_secs(15);

/// Requests of a batch.
const BATCH: usize = 8;

/// What errors of upstream and of the way to it begin with.
const TROUBLES: [&str; 6] = [
    "UPSTREAM ",
    "LOADING ",
    "BUSY ",
    "OOM ",
    "READONLY ",
    "EXECABORT ",
];

/// The client.
pub struct Actor<'w> {
    world: &'w World,
    number: usize,
    via: Via,
    client: Option<Client>,
    random: Random,
}

/// There was no reply.
struct Lost;

impl<'w> Actor<'w> {
    /// Client `number`.
    pub fn new(world: &'w World, number: usize, seed: u64) -> Self {
        Self {
            world,
            number,
            via: CLIENTS[number],
            client: None,
            random: Random::new(seed ^ (number as u64) << 32),
        }
    }

    /// Goes on until it is over.
    pub fn run(mut self) {
        while !self.world.is_over.load(Relaxed) {
            let turn = self.world.traffic.read();
            // Lost replies were dealt with.
            let _ = self.step();
            drop(turn);
            self.world.operations.fetch_add(1, Relaxed);
            thread::sleep(Duration::from_micros(self.random.below(1500) as u64));
        }
    }

    fn step(&mut self) -> Result<(), Lost> {
        match self.random.below(100) {
            0..45 => self.read(1),
            45..52 => self.read(BATCH),
            52..62 => self.read_texts(),
            62..82 => self.write(),
            82..88 => self.count(),
            88..91 => self.read_counter(),
            91..98 => self.read_behind_a_barrier(),
            98 => self.drop_connection(),
            _ => self.trim(),
        }
    }

    /// Reads some keys in one go.
    fn read(&mut self, keys: usize) -> Result<(), Lost> {
        let keys: Vec<&Key> = (0..keys).map(|_| self.any_key()).collect();
        let floors: Vec<Floor> = keys.iter().map(|key| self.floor(key)).collect();
        let requests: Vec<_> = keys.iter().map(|key| key.kind.read(&key.name)).collect();
        let replies = self.call(&requests)?;
        for ((key, floor), reply) in keys.iter().zip(floors).zip(replies) {
            self.check(key, floor, &reply);
        }
        Ok(())
    }

    /// Reads several texts by one request, which is passed on if one of them is not kept.
    fn read_texts(&mut self) -> Result<(), Lost> {
        let texts: Vec<&Key> = self.world.keys.iter().filter(|key| key.kind.is_text()).collect();
        let keys: Vec<&Key> = (0..3).map(|_| texts[self.random.below(texts.len())]).collect();
        let floors: Vec<Floor> = keys.iter().map(|key| self.floor(key)).collect();
        let mut request = words(&["MGET"]);
        request.extend(keys.iter().map(|key| key.name.clone()));
        match &self.call(&[request])?[0] {
            Value::Array(values) => {
                for ((key, floor), value) in keys.iter().zip(floors).zip(values) {
                    self.check(key, floor, value);
                }
            }
            error => self.expect_trouble(error),
        }
        Ok(())
    }

    fn floor(&self, key: &Key) -> Floor {
        let model = locked(&key.model);
        self.world.floor(key, &model, self.number, 0)
    }

    /// Checks what was read of a key.
    fn check(&self, key: &Key, floor: Floor, reply: &Value) {
        if let Value::Error(_) = reply {
            return self.expect_trouble(reply);
        }
        self.world.answered.fetch_add(1, Relaxed);
        let mut model = locked(&key.model);
        let read = kinds::version(&key.name, reply);
        // The requests of a batch may name a key twice, and be answered in order.
        let floor = Floor {
            version: floor.version.max(model.seen(self.number)),
            ..floor
        };
        let found = match read {
            Ok(Read::Version(version)) => version.to_string(),
            Ok(Read::Absent) => "absent".to_owned(),
            Err(ref what) => what.clone(),
        };
        model.note(format!(
            "{:>6} {} reads {found}, at least {}",
            now_ms(),
            self.name(),
            floor.version
        ));
        let checked = read.and_then(|read| model.check(self.number, read, floor));
        if let Err(what) = checked {
            self.world.fail_key(
                key,
                &model,
                &format!("{} read what is wrong: {what}", self.name()),
            );
        }
    }

    /// Writes or removes a key of its own.
    fn write(&mut self) -> Result<(), Lost> {
        let world = self.world;
        let _alone = world.writing.read();
        let own: Vec<&Key> = world.keys.iter().filter(|key| key.owner == self.number).collect();
        let key = own[self.random.below(own.len())];
        let is_absence = self.random.chance(12);
        let version = locked(&key.model).begin_write(is_absence);
        let request = if is_absence {
            words(&[self.random.pick(&["DEL", "UNLINK"]), &key.name])
        } else {
            key.kind.write(&key.name, version)
        };
        let (how, ended) = match self.random.below(10) {
            0 => ("by a script", self.run_by_script(&request)),
            1 => ("in a transaction", self.run_in_transaction(&request)),
            _ => ("", self.run_plainly(&request)),
        };
        let outcome = ended.as_ref().map_or(Outcome::Unknown, |outcome| *outcome);
        let mut model = locked(&key.model);
        model.end_write(version, outcome, now_ms());
        let what = if is_absence { "removes" } else { "writes" };
        model.note(format!(
            "{:>6} {} {what} {version} {how}: {outcome:?}",
            now_ms(),
            self.name()
        ));
        ended.map(drop)
    }

    fn run_plainly(&mut self, request: &[String]) -> Result<Outcome, Lost> {
        let reply = self.call_one(request)?;
        Ok(self.outcome(&reply))
    }

    /// The script does not declare its key.
    fn run_by_script(&mut self, request: &[String]) -> Result<Outcome, Lost> {
        let mut script = words(&["EVAL", "return redis.call(unpack(ARGV))", "0"]);
        script.extend_from_slice(request);
        self.run_plainly(&script)
    }

    fn run_in_transaction(&mut self, request: &[String]) -> Result<Outcome, Lost> {
        for (request, expected) in [(&words(&["MULTI"])[..], "OK"), (request, "QUEUED")] {
            let reply = self.call_one(request)?;
            if reply != Value::Simple(expected.to_owned()) {
                // It ends with the connection.
                self.client = None;
                return Ok(match reply {
                    Value::Error(_) => self.outcome(&reply),
                    _ => Outcome::Unknown,
                });
            }
        }
        match self.call_one(&words(&["EXEC"]))? {
            Value::Array(replies) => Ok(self.outcome(&replies[0])),
            error => Ok(self.outcome(&error)),
        }
    }

    /// What the reply to a write says of it.
    fn outcome(&self, reply: &Value) -> Outcome {
        match reply {
            Value::Error(text) => {
                self.expect_trouble(reply);
                if text.contains("may or may not") {
                    Outcome::Unknown
                } else {
                    Outcome::Refused
                }
            }
            _ => Outcome::Done,
        }
    }

    fn count(&mut self) -> Result<(), Lost> {
        let world = self.world;
        let _alone = world.writing.read();
        let number = self.random.below(world.counters.len());
        if !world.may_count(self.via, number) {
            return Ok(());
        }
        let counter = &world.counters[number];
        let reply = self.call_one(&words(&["INCR", &counter.name]));
        match reply {
            Ok(Value::Integer(number)) => self.expect(counter.counted(self.number, number as u64)),
            Ok(error) => counter.failed(self.outcome(&error)),
            Err(Lost) => counter.failed(Outcome::Unknown),
        }
        Ok(())
    }

    fn read_counter(&mut self) -> Result<(), Lost> {
        let world = self.world;
        let counter = &world.counters[self.random.below(world.counters.len())];
        match self.call_one(&words(&["GET", &counter.name]))? {
            Value::NullBulk => self.expect(counter.read(self.number, 0)),
            Value::Bulk(text) => {
                let value = String::from_utf8_lossy(&text).parse();
                let value = value.map_err(|_| format!("{} is {text:?}", counter.name));
                self.expect(value.and_then(|value| counter.read(self.number, value)));
            }
            error => self.expect_trouble(&error),
        }
        Ok(())
    }

    /// What is passed on over the link comes back behind everything that upstream did before. Copies have to be that
    /// new if the link stays up until they are read.
    fn read_behind_a_barrier(&mut self) -> Result<(), Lost> {
        let began_ms = now_ms();
        let passed = self.call_one(&words(&["DBSIZE"]))?;
        let key = self.any_key();
        let floor = {
            let model = locked(&key.model);
            self.world.floor(key, &model, self.number, began_ms)
        };
        let lenient = self.floor(key);
        let before = self.link()?;
        let reply = self.call_one(&key.kind.read(&key.name))?;
        let was_up = before.is_some() && before == self.link()?;
        if let Value::Error(_) = passed {
            self.expect_trouble(&passed);
        }
        let is_synced = was_up && matches!(passed, Value::Integer(_));
        self.check(key, if is_synced { floor } else { lenient }, &reply);
        Ok(())
    }

    /// The number of the connection to upstream that is up, if one is.
    fn link(&mut self) -> Result<Option<String>, Lost> {
        if self.via == Via::Upstream {
            return Ok(Some(String::new()));
        }
        let Value::Bulk(text) = self.call_one(&words(&["INFO", "upstream"]))? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let connects = text.lines().find(|line| line.starts_with("upstream_connects:"));
        let is_up = text.contains("upstream_link:up");
        Ok(connects.filter(|_| is_up).map(ToOwned::to_owned))
    }

    fn drop_connection(&mut self) -> Result<(), Lost> {
        self.client = None;
        Ok(())
    }

    fn trim(&mut self) -> Result<(), Lost> {
        let world = self.world;
        let _alone = world.writing.read();
        let own = world.keys.iter().filter(|key| key.owner == self.number);
        let requests: Vec<_> = own.filter_map(|key| key.kind.trim(&key.name)).collect();
        self.call(&requests).map(drop)
    }

    fn any_key(&mut self) -> &'w Key {
        &self.world.keys[self.random.below(self.world.keys.len())]
    }

    fn call_one(&mut self, request: &[String]) -> Result<Value, Lost> {
        let replies = self.call(&[request.to_vec()])?;
        Ok(replies.into_iter().next().expect("a reply for a request"))
    }

    /// Sends requests in one go and waits for their replies.
    fn call(&mut self, requests: &[Vec<String>]) -> Result<Vec<Value>, Lost> {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        let client = self.connected()?;
        let replies = client.send_bytes(&bytes).and_then(|()| {
            requests
                .iter()
                .map(|_| client.receive())
                .collect::<io::Result<Vec<_>>>()
        });
        replies.map_err(|error| self.lost(&error, &requests[0]))
    }

    /// No reply came: a client that waits in vain, or loses its connection without a fault, is a bug.
    fn lost(&mut self, error: &io::Error, request: &[String]) -> Lost {
        self.client = None;
        let hangs = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        let is_excused = !hangs && self.world.is_disturbed(self.via, now_ms());
        if !is_excused {
            let what = if hangs {
                "waits for ever"
            } else {
                "lost its connection"
            };
            self.world.fail(format!(
                "{} {what} after {:.100}: {error}",
                self.name(),
                request.join(" ")
            ));
        }
        Lost
    }

    fn connected(&mut self) -> Result<&mut Client, Lost> {
        if self.client.is_none() {
            let address = self.world.address(self.via);
            let returned = Deadline::after(RETURNS_WITHIN).poll(|| {
                self.client = Client::connect(address).ok();
                self.client.is_some() || self.world.is_over.load(Relaxed)
            });
            if !returned {
                self.world
                    .fail(format!("{} finds nobody at {address}", self.name()));
            }
        }
        let client = self.client.as_mut().ok_or(Lost)?;
        client.set_patience(HANGS_AFTER);
        Ok(client)
    }

    /// A reply that is no answer has to be an error, of a kind that faults lead to, while there is one.
    fn expect_trouble(&self, reply: &Value) {
        let is_trouble =
            matches!(reply, Value::Error(text) if TROUBLES.iter().any(|trouble| text.starts_with(trouble)));
        if !is_trouble {
            self.world.fail(format!("{} was answered {reply}", self.name()));
        } else if !self.world.is_disturbed(self.via, now_ms()) {
            self.world.fail(format!(
                "{} was answered {reply}, long after the last fault",
                self.name()
            ));
        }
    }

    fn expect(&self, checked: Result<(), String>) {
        if let Err(what) = checked {
            self.world.fail(format!("{}: {what}", self.name()));
        }
    }

    fn name(&self) -> String {
        format!("client {} {:?}", self.number, self.via)
    }
}
