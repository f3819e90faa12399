//! What happens to upstream, to the ways to it and to the Forebays while clients go on.

use std::fs;
use std::thread;
use std::time::Duration;

use super::rest;
use super::world::{FOREIGN, World, locked};
use crate::client::{Client, Value};
use crate::deadline::{Deadline, PATIENCE, now_ms};
use crate::differential::random::Random;
use crate::fault_proxy::{Direction, Scope};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// All connections of a Forebay are cut.
    Cut,
    /// One of them is.
    CutOne,
    /// They are cut inside a reply.
    CutInFrame,
    /// They are reset.
    Reset,
    /// What upstream sends to a Forebay does not arrive for a while, then all at once.
    HoldReplies,
    /// As before, and then the connections are cut.
    HoldRepliesAndCut,
    /// Requests take long.
    DelayRequests,
    /// Replies do.
    DelayReplies,
    /// Connections lose everything and do not say so.
    HalfOpen,
    /// New ones do, too.
    Unreachable,
    /// Upstream kills a connection of some Forebay.
    KillConnection,
    /// Upstream stands still.
    Freeze,
    /// It loads its data.
    Load,
    /// It takes no writes.
    ReadOnly,
    /// It has no memory.
    Full,
    /// A script keeps it from everything else.
    Busy,
    /// Everything is removed.
    Flush,
    /// It is killed and comes back with nothing.
    RestartEmpty,
    /// It stops and comes back with everything.
    RestartWithData,
    /// A Forebay is killed and comes back.
    KillForebay,
}

impl Fault {
    const ALL: [Self; 20] = [
        Self::Cut,
        Self::CutOne,
        Self::CutInFrame,
        Self::Reset,
        Self::HoldReplies,
        Self::HoldRepliesAndCut,
        Self::DelayRequests,
        Self::DelayReplies,
        Self::HalfOpen,
        Self::Unreachable,
        Self::KillConnection,
        Self::Freeze,
        Self::Load,
        Self::ReadOnly,
        Self::Full,
        Self::Busy,
        Self::Flush,
        Self::RestartEmpty,
        Self::RestartWithData,
        Self::KillForebay,
    ];

    /// Those between one Forebay and upstream, which may come on top of any.
    const OF_THE_WAY: [Self; 10] = [
        Self::Cut,
        Self::CutOne,
        Self::CutInFrame,
        Self::Reset,
        Self::HoldReplies,
        Self::HoldRepliesAndCut,
        Self::DelayRequests,
        Self::DelayReplies,
        Self::HalfOpen,
        Self::Unreachable,
    ];

    fn is_of_the_way(self) -> bool {
        Self::OF_THE_WAY.contains(&self)
    }
}

/// A fault that happens to someone.
#[derive(Debug)]
pub struct Blow {
    fault: Fault,
    forebay: usize,
    /// A quantity of it, if it has one.
    amount: usize,
}

impl Blow {
    /// Any fault.
    pub fn any(random: &mut Random) -> Self {
        Self::of(&Fault::ALL, random)
    }

    /// One that may come on top of another.
    pub fn on_top(random: &mut Random) -> Self {
        Self::of(&Fault::OF_THE_WAY, random)
    }

    fn of(faults: &[Fault], random: &mut Random) -> Self {
        Self {
            fault: faults[random.below(faults.len())],
            forebay: random.below(2),
            amount: random.below(200),
        }
    }

    /// For whom the way to upstream is disturbed.
    fn disturbs(&self, forebay: usize) -> bool {
        let is_of_one = self.fault.is_of_the_way() || self.fault == Fault::KillForebay;
        !is_of_one || self.forebay == forebay
    }

    /// It begins.
    pub fn begin(&self, world: &World) {
        for (number, weather) in world.weather.iter().enumerate() {
            if self.disturbs(number) {
                locked(weather).begin_fault();
            }
        }
        if self.fault.is_of_the_way() {
            self.disturb_the_way(world);
        } else {
            self.disturb_servers(world);
        }
    }

    fn disturb_the_way(&self, world: &World) {
        let proxy = &world.proxies[self.forebay];
        let delay = Duration::from_millis(20 + self.amount as u64 % 180);
        match self.fault {
            Fault::Cut => proxy.cut(),
            Fault::CutOne => {
                let newest = proxy.accepted() - 1;
                proxy.cut_some(Scope::Nth(newest.saturating_sub(self.amount % 4)));
            }
            Fault::CutInFrame => proxy.cut_after(1 + self.amount * 10),
            Fault::Reset => proxy.reset(Scope::All),
            Fault::HoldReplies | Fault::HoldRepliesAndCut => proxy.hold_replies(),
            Fault::DelayRequests => proxy.delay(Direction::Requests, delay),
            Fault::DelayReplies => proxy.delay(Direction::Replies, delay),
            Fault::HalfOpen => proxy.swallow(Scope::All),
            Fault::Unreachable => {
                proxy.swallow_new(true);
                proxy.swallow(Scope::All);
            }
            _ => unreachable!("not of the way"),
        }
    }

    fn disturb_servers(&self, world: &World) {
        let mut direct = world.direct();
        match self.fault {
            Fault::KillConnection => kill_connection(&mut direct, self.amount),
            Fault::Freeze => locked(&world.upstream).freeze(),
            Fault::Load => {
                let delay_us = (1000 + self.amount * 100).to_string();
                succeed(
                    &mut direct,
                    &["CONFIG", "SET", "loading-process-events-interval-bytes", "1024"],
                );
                succeed(&mut direct, &["CONFIG", "SET", "key-load-delay", &delay_us]);
                succeed(&mut direct, &["DEBUG", "RELOAD"]);
            }
            Fault::ReadOnly => succeed(&mut direct, &["REPLICAOF", "127.0.0.1", "1"]),
            Fault::Full => succeed(&mut direct, &["CONFIG", "SET", "maxmemory", "1"]),
            Fault::Busy => {
                let script = "while true do redis.call('PING') end";
                direct.send(&["EVAL", script, "0"]).expect("upstream is up");
                // Its connection stays open as long as it runs; SCRIPT KILL ends both.
                thread::spawn(move || _ = direct.receive());
            }
            Fault::Flush => remove_everything(world, |world| succeed(&mut world.direct(), &["FLUSHALL"])),
            Fault::RestartEmpty => remove_everything(world, |world| {
                let mut upstream = locked(&world.upstream);
                upstream.kill();
                // Left by a restart with data.
                let _ = fs::remove_file(upstream.folder().join("dump.rdb"));
                thread::sleep(Duration::from_millis(self.amount as u64));
                upstream.restart();
            }),
            Fault::RestartWithData => {
                direct.send(&["SHUTDOWN", "SAVE"]).expect("upstream is up");
                assert!(direct.is_closed(), "upstream does not stop");
                thread::sleep(Duration::from_millis(self.amount as u64));
                locked(&world.upstream).restart();
            }
            Fault::KillForebay => {
                let mut forebay = locked(&world.forebays[self.forebay]);
                forebay.kill();
                thread::sleep(Duration::from_millis(self.amount as u64));
                forebay.restart();
            }
            _ => unreachable!("of the way"),
        }
    }

    /// It ends.
    pub fn end(&self, world: &World) {
        match self.fault {
            Fault::Freeze => locked(&world.upstream).thaw(),
            Fault::ReadOnly => succeed(&mut world.direct(), &["REPLICAOF", "NO", "ONE"]),
            Fault::Full => succeed(&mut world.direct(), &["CONFIG", "SET", "maxmemory", "0"]),
            Fault::Busy => end_script(&mut world.direct()),
            Fault::HoldRepliesAndCut => world.proxies[self.forebay].cut(),
            _ => {}
        }
        if self.fault.is_of_the_way() {
            world.proxies[self.forebay].heal();
        }
        for (number, weather) in world.weather.iter().enumerate() {
            if self.disturbs(number) {
                locked(weather).end_fault(now_ms());
            }
        }
    }
}

/// Has upstream lose all keys, while nobody writes: a version of each that is its absence.
fn remove_everything(world: &World, remove: impl FnOnce(&World)) {
    let _alone = world.writing.write();
    // What is carried later would come back.
    for (number, address) in world.forebay_addresses.iter().enumerate() {
        let carried = Client::connect(*address)
            .map_err(|error| error.to_string())
            .and_then(|mut forebay| rest::wait_until_carried(number, &mut forebay));
        if let Err(what) = carried {
            return world.fail(what);
        }
    }
    let versions: Vec<u64> = world
        .keys
        .iter()
        .map(|key| {
            let mut model = locked(&key.model);
            let version = model.begin_loss();
            model.note(format!("{:>6} all keys are removed: {version}", now_ms()));
            version
        })
        .collect();
    remove(world);
    for (key, version) in world.keys.iter().zip(versions) {
        locked(&key.model).end_write(version, super::model::Outcome::Done, now_ms());
    }
    world.counters.iter().for_each(super::counter::Counter::removed);
}

/// Kills one of the connections that Forebays have.
fn kill_connection(direct: &mut Client, number: usize) {
    let list = match direct.call(&["CLIENT", "LIST"]).expect("upstream is up") {
        Value::Bulk(list) => String::from_utf8_lossy(&list).into_owned(),
        other => panic!("CLIENT LIST is text, not {other}"),
    };
    let ids: Vec<&str> = list
        .lines()
        .filter(|line| line.contains("name=forebay"))
        .filter_map(|line| line.strip_prefix("id=")?.split(' ').next())
        .collect();
    if !ids.is_empty() {
        // It may be gone meanwhile.
        let _ = direct.call(&["CLIENT", "KILL", "ID", ids[number % ids.len()]]);
    }
}

fn end_script(direct: &mut Client) {
    let ended = Deadline::after(PATIENCE).poll(|| {
        let reply = direct.call(&["SCRIPT", "KILL"]).expect("upstream is up");
        reply.to_string().starts_with("-NOTBUSY")
    });
    assert!(ended, "the script goes on");
}

fn succeed(direct: &mut Client, request: &[&str]) {
    let reply = direct.call(request).expect("upstream is up");
    assert_eq!(reply, Value::Simple("OK".to_owned()), "{request:?}");
}

#[test]
fn faults_of_the_way_are_faults() {
    assert!(Fault::OF_THE_WAY.iter().all(|fault| Fault::ALL.contains(fault)));
    assert_eq!(FOREIGN + 1, super::world::CLIENTS.len());
}
