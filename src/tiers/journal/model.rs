//! Random histories with failures, deaths and losses of power, compared with a map of what was appended.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::simulated::{Faults, SimulatedDisk};
use super::tests::{append, read_all, settings};
use super::*;

/// So that segments have their smallest size.
const BYTES_MAX: u64 = 128 * 1024;

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Commit,
    Sync,
    Tend,
    /// So many percent of what is not released.
    Release(u64),
    FailWrites(usize),
    FailSyncs(usize),
    FailRenames(usize),
    Room(Option<u64>),
    Policy(SyncPolicy),
    Kill,
    /// With bytes that say what survives.
    LosePower(Vec<u8>),
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let policy = prop_oneof![
        Just(SyncPolicy::Os),
        Just(SyncPolicy::Periodic),
        Just(SyncPolicy::Always)
    ];
    let room = prop_oneof![Just(None), Just(Some(0)), (0..BYTES_MAX).prop_map(Some)];
    let step = prop_oneof![
        30 => (0usize..2000).prop_map(Step::Append),
        2 => (2000usize..40_000).prop_map(Step::Append),
        12 => Just(Step::Commit),
        8 => Just(Step::Sync),
        8 => Just(Step::Tend),
        4 => (0u64..=100).prop_map(Step::Release),
        1 => (1usize..4).prop_map(Step::FailWrites),
        1 => (1usize..4).prop_map(Step::FailSyncs),
        1 => (1usize..3).prop_map(Step::FailRenames),
        1 => room.prop_map(Step::Room),
        1 => policy.prop_map(Step::Policy),
        1 => Just(Step::Kill),
        2 => prop::collection::vec(any::<u8>(), 1..50).prop_map(Step::LosePower),
        1 => Just(Step::Close),
    ];
    prop::collection::vec(step, 1..120)
}

/// A journal, and what is known of it.
struct World {
    dir: TempDir,
    disk: SimulatedDisk,
    journal: Option<Journal>,
    settings: Settings,
    /// All that was appended and may still be there.
    appended: BTreeMap<u64, Vec<u8>>,
    /// All records from `released` to this one that are in `appended` are in the kernel.
    committed: u64,
    released: u64,
    /// Up to this one, records may be written with `SyncPolicy::Os`: if their sync failed, they are not written again.
    lax: u64,
    /// Those below need not be there.
    required_from: u64,
}

impl World {
    fn new(sync: SyncPolicy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut world = Self {
            dir,
            disk: SimulatedDisk::default(),
            journal: None,
            settings: settings(sync, BYTES_MAX),
            appended: BTreeMap::new(),
            committed: 0,
            released: 0,
            required_from: 0,
            lax: if sync == SyncPolicy::Os { u64::MAX - 1 } else { 0 },
        };
        world.open(0);
        world
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append(len) => self.append(len),
            Step::Commit => self.commit(),
            Step::Sync => self.journal().shared.sync(),
            Step::Tend => self.journal().shared.tend(),
            Step::Release(percent) => {
                let unreleased = self.journal().last_sequence() + 1 - self.released;
                self.released += unreleased * percent / 100;
                self.journal().release(self.released);
            }
            Step::FailWrites(count) => self.disk.set_faults(|it| it.writes = count),
            Step::FailSyncs(count) => self.disk.set_faults(|it| it.syncs = count),
            Step::FailRenames(count) => self.disk.set_faults(|it| it.renames = count),
            Step::Room(room) => self.disk.set_faults(|it| it.room = room),
            Step::Policy(sync) => {
                if sync == SyncPolicy::Os {
                    self.lax = u64::MAX - 1;
                } else if self.settings.sync == SyncPolicy::Os {
                    self.lax = self.journal().last_sequence();
                }
                self.settings.sync = sync;
                self.journal().set_sync(sync);
            }
            Step::Kill => self.restart(self.committed, SimulatedDisk::after_kill),
            Step::LosePower(ref survives) => self.lose_power(survives),
            Step::Close => {
                if self.journal().close().is_ok() {
                    assert_eq!(self.journal().durable_sequence(), self.journal().last_sequence());
                    self.committed = self.journal().last_sequence();
                }
            }
        }
        self.journal().shared.assert_room_is_right();
    }

    fn append(&mut self, len: usize) {
        let value = vec![self.appended.len() as u8; len];
        if let Ok(sequence) = append(self.journal(), &value) {
            assert!(self.appended.insert(sequence, value).is_none());
            assert!(self.appended.range(sequence + 1..).next().is_none());
        }
    }

    fn commit(&mut self) {
        if self.journal().commit().is_ok() {
            self.committed = self.journal().last_sequence();
        }
    }

    fn lose_power(&mut self, survives: &[u8]) {
        let mut parts = survives.iter().copied().cycle();
        // With this policy nothing is known to be on the disk.
        let durable = match self.settings.sync {
            SyncPolicy::Os => 0,
            _ => self.journal().durable_sequence(),
        };
        if Watermark::load(self.dir.path()).lost.is_empty() && survives[0] < 64 {
            let _ = fs::remove_file(self.dir.path().join("watermark"));
        }
        if self.journal().figures().syncs_failed > 0 {
            self.required_from = self.lax + 1;
            self.settings.ignores_damage = self.lax > 0;
        }
        self.restart(durable, |disk, dir| {
            disk.after_power_loss(dir, || parts.next().unwrap());
        });
        self.settings.ignores_damage = false;
        self.required_from = 0;
    }

    /// Another process opens what is left. Records up to `safe` must be there.
    fn restart(&mut self, safe: u64, leave: impl FnOnce(&SimulatedDisk, &Path)) {
        let dir = tempfile::tempdir().unwrap();
        leave(&self.disk, dir.path());
        let _ = fs::copy(self.dir.path().join("watermark"), dir.path().join("watermark"));
        // What it does from now on is not seen any more.
        self.journal = None;
        self.dir = dir;
        self.open(safe);
    }

    fn open(&mut self, safe: u64) {
        let path = self.dir.path();
        // The disk is the real one while the journal is opened, and is taken over then.
        let real = Box::new(Directory::new(path));
        let (journal, recovered) = Journal::open_idle(path, &self.settings, Clock::new(), real).unwrap();
        drop(journal);
        drop(recovered);
        self.disk = SimulatedDisk::of(path);
        let disk = Box::new(self.disk.clone());
        let (journal, mut recovered) = Journal::open_idle(path, &self.settings, Clock::new(), disk).unwrap();
        self.compare(&read_all(&mut recovered), safe);
        // What was released without having been written is not known any more.
        self.released = self.released.min(journal.last_sequence() + 1);
        self.lax = if self.settings.sync == SyncPolicy::Os {
            u64::MAX - 1
        } else {
            0
        };
        self.journal = Some(journal);
    }

    fn compare(&mut self, recovered: &[(u64, Vec<u8>)], safe: u64) {
        assert!(recovered.is_sorted_by(|(a, _), (b, _)| a < b));
        for (sequence, value) in recovered {
            assert_eq!(
                self.appended.get(sequence),
                Some(value),
                "record {sequence} is invented"
            );
        }
        let found: BTreeMap<u64, Vec<u8>> = recovered.iter().cloned().collect();
        for sequence in self
            .appended
            .range(self.released..=safe.max(self.released))
            .map(|(&it, _)| it)
        {
            let is_safe = (self.required_from..=safe).contains(&sequence);
            assert!(
                !is_safe || found.contains_key(&sequence),
                "record {sequence} is lost"
            );
        }
        self.appended = found;
        self.committed = self.appended.keys().next_back().copied().unwrap_or(0);
    }

    /// Whatever has happened, once the disk works everything is as it should be.
    fn must_recover(&mut self) {
        self.disk.set_faults(|it| *it = Faults::default());
        self.journal().shared.tend();
        self.journal().commit().unwrap();
        self.released = self.journal().last_sequence() + 1;
        let journal = self.journal();
        journal.release(self.released);
        for _ in 0..3 {
            journal.shared.sync();
            journal.shared.tend();
        }
        assert_eq!(journal.figures().full, None, "{:?}", journal.figures());
        journal.set_sync(SyncPolicy::Always);
        self.append(100);
        self.commit();
        self.journal().shared.sync();
        let last = self.journal().last_sequence();
        assert!(
            self.appended.contains_key(&last),
            "{:?}",
            self.journal().figures()
        );
        assert_eq!(self.journal().durable_sequence(), last);
        assert!(
            self.journal().figures().disk_bytes <= BYTES_MAX,
            "{:?}",
            self.disk.list()
        );
        let on_disk: usize = self
            .disk
            .list()
            .iter()
            .filter(|it| it.0.contains('-'))
            .map(|it| it.1)
            .sum();
        assert_eq!(
            self.journal().figures().disk_bytes,
            on_disk as u64,
            "{:?}",
            self.disk.list()
        );
        self.restart(last, |disk, dir| disk.after_power_loss(dir, || 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_was_promised_is_lost_or_invented(
        sync in prop_oneof![Just(SyncPolicy::Os), Just(SyncPolicy::Periodic), Just(SyncPolicy::Always)],
        steps in steps(),
    ) {
        let mut world = World::new(sync);
        for step in &steps {
            world.step(step);
        }
        world.must_recover();
    }
}
