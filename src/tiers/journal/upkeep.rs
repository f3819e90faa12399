//! What happens beside appending: syncs on one thread; allocating, deleting and noting on another, since a sync may
//! take seconds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::disk::Disk;
use super::figures::Figures;
use super::front::Front;
use super::room::{Full, Room, Shortage};
use super::size::SegmentSize;
use super::watermark::Watermark;
use super::writer::{Proof, Writer, allocate};
use super::{Settings, SyncPolicy};
use crate::clock::Clock;
use crate::limits::{JOURNAL_ATTEMPTS_MAX, JOURNAL_RETRY_MS, JOURNAL_SYNC_MS};

/// How far the journal is durable.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The last sequence that is on the disk.
    pub durable: u64,
    /// What is behind that can't be written now.
    pub is_broken: bool,
}

/// All that the threads share.
pub struct Shared {
    dir: PathBuf,
    disk: Box<dyn Disk>,
    clock: Clock,
    pub salt: u32,
    pub front: Front,
    pub room: Room,
    writer: Mutex<Writer>,
    /// Held by the only thread that seeks a proof.
    syncing: Mutex<()>,
    /// The last sequence that is in the kernel.
    written: AtomicU64,
    pub progress: watch::Sender<Progress>,
    sync_policy: AtomicU8,
    bytes_max: AtomicU64,
    /// Reservations of more than a segment is fit for as a rule.
    large: AtomicUsize,
    released: AtomicU64,
    /// A watermark of so much makes a segment needless.
    needless_at: AtomicU64,
    noted: Mutex<Watermark>,
    /// Why there is no spare segment.
    trouble: Mutex<Option<String>>,
    syncer: Bell,
    keeper: Bell,
    syncs: AtomicU64,
    syncs_failed: AtomicU64,
    sync_us_max: AtomicU64,
    /// Syncs that failed since the last one that succeeded.
    failures: AtomicUsize,
    /// As it was last told.
    is_broken: AtomicBool,
}

impl Shared {
    /// Nothing happens by itself until the threads are started.
    pub fn new(
        dir: &Path,
        settings: &Settings,
        clock: Clock,
        disk: Box<dyn Disk>,
        writer: Writer,
        watermark: Watermark,
    ) -> Self {
        let last = writer.written();
        Self {
            dir: dir.to_owned(),
            disk,
            clock,
            salt: writer.salt(),
            front: Front::new(last, writer.appended_bytes()),
            room: Room::new(writer.appended_bytes()),
            written: AtomicU64::new(last),
            progress: watch::Sender::new(Progress {
                durable: last,
                is_broken: false,
            }),
            syncing: Mutex::default(),
            sync_policy: AtomicU8::new(settings.sync as u8),
            bytes_max: AtomicU64::new(settings.bytes_max),
            large: AtomicUsize::new(0),
            released: AtomicU64::new(watermark.released),
            needless_at: AtomicU64::new(writer.needless_at()),
            noted: Mutex::new(watermark),
            trouble: Mutex::default(),
            syncer: Bell::default(),
            keeper: Bell::default(),
            syncs: AtomicU64::new(0),
            syncs_failed: AtomicU64::new(0),
            sync_us_max: AtomicU64::new(0),
            failures: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
            writer: Mutex::new(writer),
        }
    }

    /// Takes room; whether it is a large reservation.
    pub fn reserve(&self, bytes: u64) -> Result<bool, Full> {
        let usual = SegmentSize::within(self.bytes_max.load(Ordering::Relaxed)).record_bytes_max();
        let is_large = bytes > usual;
        if is_large {
            self.large.fetch_add(1, Ordering::AcqRel);
        }
        let fits = if is_large { self.fit(bytes) } else { Ok(()) };
        let taken = fits.and_then(|()| self.room.take(bytes));
        if taken.is_err() && is_large {
            self.large.fetch_sub(1, Ordering::AcqRel);
        }
        taken.map(|()| is_large)
    }

    fn fit(&self, record_bytes: u64) -> Result<(), Full> {
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        let mut writer = self.writer.lock();
        match writer.fit(record_bytes, bytes_max, &*self.disk, &self.room) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Full::Limit),
            Err(_) => Err(Full::Disk),
        }
    }

    /// Takes back what was not used of a reservation.
    pub fn give_back(&self, bytes: u64, is_large: bool) {
        if is_large {
            self.large.fetch_sub(1, Ordering::AcqRel);
        }
        if bytes > 0 {
            self.room.add(bytes as i64);
        }
    }

    /// Writes what was appended, unless somebody else has.
    pub fn commit(&self) -> io::Result<()> {
        let target = self.front.last();
        if self.written.load(Ordering::Acquire) >= target {
            return Ok(());
        }
        let mut writer = self.writer.lock();
        if writer.written() >= target {
            return Ok(());
        }
        let segments = writer.segments();
        let outcome = writer.write(&self.front, &*self.disk, &self.room, self.retains());
        self.after_write(&writer, segments);
        outcome
    }

    fn retains(&self) -> bool {
        self.sync_policy() != SyncPolicy::Os
    }

    fn after_write(&self, writer: &Writer, segments_before: usize) {
        self.written.store(writer.written(), Ordering::Release);
        let has_rotated = writer.segments() != segments_before;
        if has_rotated {
            self.needless_at.store(writer.needless_at(), Ordering::Release);
            self.keeper.ring();
        }
        if has_rotated || self.retains() {
            self.syncer.ring();
        }
        let is_broken = writer.broken().is_some();
        if self.is_broken.swap(is_broken, Ordering::AcqRel) != is_broken {
            self.progress.send_modify(|it| it.is_broken = is_broken);
            self.keeper.remind();
        }
    }

    /// Waits until the policy is content.
    pub async fn settled(&self, sequence: u64) -> io::Result<()> {
        let mut progress = self.progress.subscribe();
        loop {
            let now = *progress.borrow_and_update();
            if now.durable >= sequence || self.sync_policy() != SyncPolicy::Always {
                return Ok(());
            }
            if now.is_broken {
                return Err(io::Error::other(Full::Broken.to_string()));
            }
            if progress.changed().await.is_err() {
                return Err(io::Error::other("the journal is closed"));
            }
        }
    }

    /// Raises the watermark.
    pub fn release(&self, below: u64) {
        let below = below.min(self.front.last() + 1);
        if self.released.fetch_max(below, Ordering::AcqRel) < below {
            if below >= self.needless_at.load(Ordering::Acquire) {
                self.keeper.ring();
            } else {
                self.keeper.remind();
            }
        }
    }

    /// Raises the watermark and notes it before this returns.
    pub fn release_now(&self, below: u64) -> io::Result<()> {
        self.release(below);
        self.note_watermark()
    }

    /// The watermark that a restart would find.
    pub fn noted(&self) -> u64 {
        self.noted.lock().released
    }

    /// Has the watermark noted soon, on another thread.
    pub fn note_soon(&self) {
        self.keeper.ring();
    }

    /// When records go to the disk.
    pub fn sync_policy(&self) -> SyncPolicy {
        const POLICIES: [SyncPolicy; 3] = [SyncPolicy::Os, SyncPolicy::Periodic, SyncPolicy::Always];
        POLICIES[usize::from(self.sync_policy.load(Ordering::Relaxed)) % POLICIES.len()]
    }

    /// Changes it; who waits asks again.
    pub fn set_sync_policy(&self, policy: SyncPolicy) {
        self.sync_policy.store(policy as u8, Ordering::Release);
        self.progress.send_modify(|_| {});
        self.syncer.ring();
    }

    /// Changes how many bytes the files may take.
    pub fn set_bytes_max(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Release);
        let size = SegmentSize::within(bytes_max);
        self.writer.lock().set_size(size, bytes_max);
        self.keeper.ring();
    }

    /// Syncs what was written; with [`SyncPolicy::Os`] only segments that are full.
    pub fn sync(&self) {
        self.prove(self.retains());
    }

    fn prove(&self, current: bool) {
        let _turn = self.syncing.lock();
        let proof = self.writer.lock().proof_needed(current);
        let Some(proof) = proof else { return };
        let started = self.clock.monotonic_ns();
        let outcome = proof.seek(&*self.disk);
        let took_us = (self.clock.monotonic_ns() - started) / 1000;
        self.sync_us_max.fetch_max(took_us, Ordering::Relaxed);
        match outcome {
            Ok(()) => self.proved(&proof),
            Err(error) => self.disproved(&proof, &error),
        }
    }

    fn proved(&self, proof: &Proof) {
        let mut writer = self.writer.lock();
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        writer.proved(proof, &self.room);
        let durable = writer.durable();
        drop(writer);
        self.progress.send_modify(|it| it.durable = durable);
    }

    /// What was not proven is written into another segment at once; when its sync fails too, the disk is given time.
    fn disproved(&self, proof: &Proof, error: &io::Error) {
        self.syncs_failed.fetch_add(1, Ordering::Relaxed);
        let mut writer = self.writer.lock();
        if !writer.disproved(proof) {
            return;
        }
        tracing::warn!(%error, "a sync of the journal failed; what it was for is written again");
        let segments = writer.segments();
        if self.failures.fetch_add(1, Ordering::Relaxed) == 0 {
            // If it fails, the journal is broken, and says so.
            let _ = writer.mend(&self.front, &*self.disk, &self.room, self.retains());
        } else {
            writer.give_up(error, &self.room);
        }
        self.after_write(&writer, segments);
        self.keeper.ring();
    }

    /// Does what there is to do for the segments: notes the watermark, deletes, allocates the next, and writes again
    /// what could not be written.
    pub fn tend(&self) {
        // An older watermark costs reading more; it is tried again.
        let _ = self.note_watermark();
        self.delete_needless();
        self.make_spare();
        self.mend();
    }

    fn note_watermark(&self) -> io::Result<()> {
        let mut noted = self.noted.lock();
        let released = self.released.load(Ordering::Acquire);
        if noted.released >= released {
            return Ok(());
        }
        let mut next = Watermark {
            released,
            lost: noted.lost.clone(),
        };
        // As long as there are segments around the gap.
        let first = self.writer.lock().first();
        next.lost.retain(|&(_, last)| last >= first);
        next.save(&self.dir)?;
        *noted = next;
        Ok(())
    }

    /// Deletes even if the watermark could not be noted, for want of room perhaps: records that are missing before
    /// all others are taken for released.
    fn delete_needless(&self) {
        let released = self.released.load(Ordering::Acquire);
        let mut writer = self.writer.lock();
        let needless = writer.take_needless(released);
        self.needless_at.store(writer.needless_at(), Ordering::Release);
        drop(writer);
        for segment in needless {
            if let Err(error) = self.disk.remove(&segment.name) {
                tracing::warn!(%error, file = segment.name, "a segment of the journal can't be deleted");
            }
        }
    }

    fn make_spare(&self) {
        let keeps_overhang = self.large.load(Ordering::Acquire) > 0;
        let bytes_max = self.bytes_max.load(Ordering::Acquire);
        let wanted = self.writer.lock().spare_wanted(bytes_max, keeps_overhang);
        match wanted {
            Ok(None) => self.set_trouble(Shortage::None, None),
            Err(()) => self.set_trouble(Shortage::Limit, None),
            Ok(Some(wanted)) => match allocate(&*self.disk, &wanted.name, wanted.size) {
                Ok(file) => {
                    self.set_trouble(Shortage::None, None);
                    self.writer.lock().add_spare(wanted, file, &self.room);
                }
                Err(error) => self.set_trouble(Shortage::Disk, Some(error.to_string())),
            },
        }
    }

    fn set_trouble(&self, shortage: Shortage, text: Option<String>) {
        self.room.set_shortage(shortage);
        *self.trouble.lock() = text;
    }

    fn mend(&self) {
        let mut writer = self.writer.lock();
        if writer.broken().is_none() {
            return;
        }
        let segments = writer.segments();
        let outcome = writer.mend(&self.front, &*self.disk, &self.room, self.retains());
        self.after_write(&writer, segments);
        drop(writer);
        if outcome.is_ok() {
            self.sync();
        }
    }

    /// Whether there is something to do that nobody will ring for.
    fn is_to_be_tended(&self) -> bool {
        self.room.is_broken()
            || self.trouble.lock().is_some()
            || self.noted.lock().released < self.released.load(Ordering::Acquire)
            || self.room.full().is_some()
    }

    /// Writes, syncs and notes everything.
    pub fn close(&self) -> io::Result<()> {
        self.mend();
        self.commit()?;
        for _ in 0..JOURNAL_ATTEMPTS_MAX {
            self.prove(true);
        }
        // An older watermark costs reading more.
        let _ = self.note_watermark();
        let mut writer = self.writer.lock();
        if writer.durable() < writer.written() {
            let reason = writer.broken().unwrap_or("it was synced in vain");
            return Err(io::Error::other(reason.to_owned()));
        }
        writer.write_last_note(&*self.disk, &self.room)?;
        writer.sync_current()
    }

    /// Panics unless what is free is what there is space for, less what has been promised: what was appended and is not
    /// written. Nothing is reserved.
    #[cfg(test)]
    pub fn assert_room_is_right(&self) {
        let (space, batch) = self.writer.lock().space_and_batch_bytes();
        let unwritten = batch + self.front.bytes();
        assert_eq!(self.room.free(), space as i64 - unwritten as i64);
    }

    /// The threads end.
    pub fn stop(&self) {
        self.syncer.stop();
        self.keeper.stop();
    }

    /// What can be seen from outside.
    pub fn figures(&self) -> Figures {
        let released = self.released.load(Ordering::Acquire);
        let mut writer = self.writer.lock();
        Figures {
            disk_bytes: writer.disk_bytes(),
            live_bytes: writer.live_bytes(released),
            free_bytes: self.room.free_bytes(),
            unproven_bytes: self.room.unsettled_bytes(),
            segments: writer.segments(),
            last_sequence: self.front.last(),
            written_sequence: writer.written(),
            durable_sequence: writer.durable(),
            released_sequence: released,
            syncs: self.syncs.load(Ordering::Relaxed),
            syncs_failed: self.syncs_failed.load(Ordering::Relaxed),
            sync_us_max: self.sync_us_max.load(Ordering::Relaxed),
            fresh_starts: writer.fresh_starts(),
            full: self.room.full(),
            trouble: writer
                .broken()
                .map(str::to_owned)
                .or_else(|| self.trouble.lock().clone()),
        }
    }
}

/// Wakes a thread that has nothing to do.
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    reminded: AtomicBool,
    stopped: AtomicBool,
    lock: Mutex<()>,
    condvar: Condvar,
}

impl Bell {
    /// There is something to do now. Costs an atomic operation while the thread has not answered.
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// There is something to do within the time for retries.
    fn remind(&self) {
        if !self.reminded.load(Ordering::Relaxed) && !self.reminded.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let _sees_the_flag_or_sleeps = self.lock.lock();
        self.condvar.notify_all();
    }

    /// Waits until it rings, a reminder was given, or the time is over. False when the thread is to end.
    fn wait(&self, timeout_ms: Option<u64>) -> bool {
        let mut guard = self.lock.lock();
        while !self.rung.load(Ordering::Acquire) && !self.is_stopped() {
            let Some(timeout_ms) = timeout_ms else {
                if self.reminded.load(Ordering::Acquire) {
                    break;
                }
                self.condvar.wait(&mut guard);
                continue;
            };
            if self
                .condvar
                .wait_for(&mut guard, Duration::from_millis(timeout_ms))
                .timed_out()
            {
                break;
            }
        }
        !self.is_stopped()
    }

    /// Waits, whoever rings. False when the thread is to end.
    fn pause(&self, ms: u64) -> bool {
        let mut guard = self.lock.lock();
        if !self.is_stopped() {
            self.condvar.wait_for(&mut guard, Duration::from_millis(ms));
        }
        !self.is_stopped()
    }

    /// What is rung for from now on has not been seen.
    fn answer(&self) {
        self.rung.store(false, Ordering::Release);
        self.reminded.store(false, Ordering::Release);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// Starts the threads.
pub fn start(shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    let spawn = |name: &str, run: fn(&Shared)| {
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || run(&shared))
    };
    Ok(vec![
        spawn("journal-sync", keep_durable)?,
        spawn("journal-space", keep_space)?,
    ])
}

fn keep_durable(shared: &Shared) {
    while shared.syncer.wait(None) {
        if shared.sync_policy() == SyncPolicy::Periodic && !shared.syncer.pause(JOURNAL_SYNC_MS) {
            return;
        }
        shared.syncer.answer();
        shared.sync();
    }
}

fn keep_space(shared: &Shared) {
    loop {
        if !shared.is_to_be_tended() && !shared.keeper.wait(None) {
            return;
        }
        // Returns at once when it was rung for.
        if shared.is_to_be_tended() && !shared.keeper.wait(Some(JOURNAL_RETRY_MS)) {
            return;
        }
        shared.keeper.answer();
        shared.tend();
    }
}
