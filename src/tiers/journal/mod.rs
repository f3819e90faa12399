//! The durable journal of write-behind: which state each key has, until upstream has it too.
//!
//! | file | what |
//! |---|---|
//! | `record` | one record as bytes |
//! | `front`, `room` | appending: into memory, within space that was promised |
//! | `writer` | batches into segments, and new segments after failures |
//! | `upkeep` | syncing, allocating, deleting: what two threads do beside |
//! | `size`, `segment`, `disk` | segments: how large, how they begin, what they are asked of |
//! | `scan`, `recovery`, `watermark` | reading all of it again |
//! | `live`, `figures` | what can be seen of it |
//! | `dead_letters` | records that upstream will not have |
//!
//! # What holds
//! - Space comes first: a record is appended only within a [`Reservation`], which was taken of space that is allocated on
//!   the disk. So a full disk refuses requests before they have done anything.
//! - Sequences are given in the order of appends, under one short lock; no system call happens under it.
//! - What was appended before a [`Journal::commit`] is in the kernel when that returns, and survives the death of the
//!   process. What is not proven durable stays in memory, too: after a failed write or sync it is written again,
//!   into another segment.
//! - Records are states, so one that is carried twice does no harm. A restart begins at the last noted watermark.

pub mod dead_letters;
mod disk;
mod figures;
mod front;
mod live;
#[cfg(test)]
mod model;
mod record;
mod recovery;
mod room;
mod scan;
mod segment;
#[cfg(test)]
mod simulated;
mod size;
#[cfg(test)]
mod tests;
mod upkeep;
mod watermark;
mod writer;

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

pub use figures::Figures;
pub use record::{Record, State, bytes_max};
pub use recovery::{Recovered, sealed_segment, visit_segment};
pub use room::Full;

use crate::clock::Clock;
use disk::{Directory, Disk};
use record::Sealed;
use recovery::{Found, Headless, Survey};
use size::SegmentSize;
use upkeep::Shared;
use watermark::Watermark;
use writer::{Closed, SPARE, Writer};

/// When records go from the kernel to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When the kernel likes; the journal syncs only segments that are full, and nothing is kept to be written again if
    /// that fails. A crash of the machine may cost seconds.
    Os,
    /// Within 10 ms, or as fast as the disk can.
    Periodic,
    /// As fast as the disk can; whoever appended waits for it with [`Journal::settled`].
    Always,
}

/// How a journal is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When records go to the disk.
    pub sync: SyncPolicy,
    /// The most that the files may take, in bytes; two segments of 32 KiB if it is less.
    pub bytes_max: u64,
    /// Damage is passed over when the journal is opened.
    pub ignores_damage: bool,
}

/// A journal that is open. Its directory belongs to it alone.
pub struct Journal {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Locked for as long as it is open.
    _lock: File,
}

impl Journal {
    /// Opens the journal in `dir`, which is made if it isn't there, and reads all of it once. A disk that is full
    /// does not hinder it.
    ///
    /// # Errors
    /// `WouldBlock` if another process has it open; `InvalidData` for damage, with file and offset; and whatever the
    /// file system fails with.
    pub fn open(dir: &Path, settings: &Settings, clock: Clock) -> io::Result<(Self, Recovered)> {
        fs::create_dir_all(dir)?;
        Self::open_with(dir, settings, clock, Box::new(Directory::new(dir)))
    }

    fn open_with(
        dir: &Path,
        settings: &Settings,
        clock: Clock,
        disk: Box<dyn Disk>,
    ) -> io::Result<(Self, Recovered)> {
        let (mut journal, recovered) = Self::open_idle(dir, settings, clock, disk)?;
        journal.threads = upkeep::start(&journal.shared)?;
        Ok((journal, recovered))
    }

    /// Without its threads.
    fn open_idle(
        dir: &Path,
        settings: &Settings,
        clock: Clock,
        disk: Box<dyn Disk>,
    ) -> io::Result<(Self, Recovered)> {
        disk::survive_file_size_limit()?;
        let lock = lock(dir)?;
        remove_spares(dir)?;
        let mut watermark = Watermark::load(dir);
        let survey = Survey::of(dir, &watermark, settings.ignores_damage)?;
        let lost = survey.damage.iter().map(|it| (it.first, it.last));
        watermark.lost.extend(lost);
        put_aside(&survey.headless, dir)?;
        make_durable(&survey.found, dir)?;
        let writer = go_on_behind(&survey, &watermark, settings);
        let recovered = survey.into_records();
        match watermark.save(dir) {
            Err(error) if !disk::is_full(&error) => return Err(error),
            _ => {}
        }
        let shared = Arc::new(Shared::new(dir, settings, clock, disk, writer, watermark));
        shared.tend();
        let threads = Vec::new();
        Ok((
            Self {
                shared,
                threads,
                _lock: lock,
            },
            recovered,
        ))
    }

    /// Takes `bytes` of the space that is allocated on the disk: as many as [`bytes_max`] tells for all the records
    /// that may have to be appended. Costs an atomic operation, but for records of more than 256 KiB: for these the
    /// disk is asked at once.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation<'_>, Full> {
        let is_large = self.shared.reserve(bytes)?;
        Ok(Reservation {
            shared: &self.shared,
            bytes,
            is_large,
        })
    }

    /// The same, as soon as there is room.
    pub async fn reserve_in_turn(&self, bytes: u64) -> Reservation<'_> {
        self.shared.room.when_changed(|| self.reserve(bytes)).await
    }

    /// Appends a record within space that was reserved; its sequence. Makes no system call, and allocates only while
    /// the buffers still grow. A longer record than was reserved is accepted, but may meet a full disk when it is
    /// committed.
    ///
    /// # Panics
    /// If key and value together exceed 4 GiB.
    pub fn append(&self, reservation: &mut Reservation<'_>, record: &Record<'_>) -> u64 {
        let sealed = Sealed::new(record, self.shared.salt).expect("words of requests are shorter than 4 GiB");
        reservation.spend(sealed.bytes());
        self.shared.front.append(&sealed, &self.shared.room)
    }

    /// Everything that was appended before is in the kernel when this returns. One system call at most for all who
    /// call it at the same time.
    ///
    /// # Errors
    /// When it could not be written, into a new segment neither. It stays in memory and is written as soon as that
    /// is possible.
    pub fn commit(&self) -> io::Result<()> {
        self.shared.commit()
    }

    /// The last sequence that was given; 0 if none was.
    pub fn last_sequence(&self) -> u64 {
        self.shared.front.last()
    }

    /// The last sequence that is known to be on the disk.
    pub fn durable_sequence(&self) -> u64 {
        self.shared.progress.borrow().durable
    }

    /// Whether [`Self::settled`] would wait.
    pub fn must_settle(&self, sequence: u64) -> bool {
        self.shared.sync_policy() == SyncPolicy::Always && self.durable_sequence() < sequence
    }

    /// Returns when everything up to `sequence`, which was committed, is as durable as the policy demands before
    /// anybody is told: with [`SyncPolicy::Always`] when it is on the disk, otherwise at once.
    ///
    /// # Errors
    /// When it could not be written again after a failed sync.
    pub async fn settled(&self, sequence: u64) -> io::Result<()> {
        self.shared.settled(sequence).await
    }

    /// No record with a smaller sequence than `below` is needed any more. Costs an atomic operation; segments are
    /// deleted later.
    pub fn release(&self, below: u64) {
        self.shared.release(below);
    }

    /// The same, and a restart of this program does not find what was released when this has returned: after a loss of
    /// power it may. Costs the replacement of a small file.
    pub fn release_now(&self, below: u64) -> io::Result<()> {
        self.shared.release_now(below)
    }

    /// Whether a restart would find any record.
    pub fn may_repeat(&self) -> bool {
        self.shared.noted() <= self.last_sequence()
    }

    /// Has another thread see to it that a restart does not find what was released.
    pub fn note_soon(&self) {
        self.shared.note_soon();
    }

    /// Changes when records go to the disk.
    pub fn set_sync(&self, sync: SyncPolicy) {
        self.shared.set_sync_policy(sync);
    }

    /// Changes how many bytes the files may take. Segments that were begun keep their sizes.
    pub fn set_bytes_max(&self, bytes_max: u64) {
        self.shared.set_bytes_max(bytes_max);
    }

    /// What can be seen from outside.
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// Writes and syncs everything, and notes the watermark. What is appended afterwards is written when the journal
    /// is dropped. Blocks for as long as the disk takes.
    pub fn close(&self) -> io::Result<()> {
        self.shared.close()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // It has said what there was to say when it panicked.
            let _ = thread.join();
        }
        // Who wants to know has called `close`.
        let _ = self.shared.close();
    }
}

/// Space for records. What was not used is given back when this is dropped.
#[must_use]
pub struct Reservation<'a> {
    shared: &'a Shared,
    bytes: u64,
    is_large: bool,
}

impl Reservation<'_> {
    /// The bytes that are left.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn spend(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.shared.room.add(-((bytes - self.bytes) as i64));
        }
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.shared.give_back(self.bytes, self.is_large);
    }
}

fn lock(dir: &Path) -> io::Result<File> {
    let file = File::options().create(true).append(true).open(dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            let text = format!("another process uses the journal in {}", dir.display());
            Err(io::Error::new(io::ErrorKind::WouldBlock, text))
        }
    }
}

fn remove_spares(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(SPARE) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// What can't be read is kept under another name, unless there is nothing in it.
fn put_aside(headless: &[Headless], dir: &Path) -> io::Result<()> {
    for Headless { name, is_empty } in headless {
        let path = dir.join(name);
        if *is_empty {
            fs::remove_file(path)?;
        } else {
            fs::rename(&path, dir.join(format!("{name}.damaged")))?;
        }
    }
    Ok(())
}

/// Cuts off what is behind the last record of each segment, and syncs.
fn make_durable(found: &[Found], dir: &Path) -> io::Result<()> {
    for segment in found {
        // Space that was allocated for records that never came.
        if segment.scan.runs.len() <= 1 {
            segment.file.set_len(segment.end())?;
        }
        segment.file.sync_all()?;
    }
    File::open(dir)?.sync_all()
}

fn go_on_behind(survey: &Survey, watermark: &Watermark, settings: &Settings) -> Writer {
    let closed = survey.found.iter().map(|it| Closed {
        ordinal: it.head.ordinal,
        first: it.head.first,
        last: it.last(),
        name: it.name.clone(),
        bytes: it.file.metadata().map_or(0, |metadata| metadata.len()),
    });
    let lasts = survey.found.iter().map(Found::last);
    let last = lasts.max().unwrap_or(0).max(watermark.released.saturating_sub(1));
    let ordinal = survey.found.last().map_or(0, |it| it.head.ordinal + 1);
    let size = SegmentSize::within(settings.bytes_max);
    Writer::new(
        last,
        ordinal,
        closed.collect(),
        size,
        random(),
        survey.live_bytes(watermark.released),
    )
}

/// A number that nobody can foretell.
fn random() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}
