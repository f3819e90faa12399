//! Puts records into segments, and begins a new one when a segment is full or has failed.
//!
//! After a failed write, or a failed sync, nobody knows what of it is on the disk, and trying again proves nothing: the
//! kernel may have forgotten the pages. So the segment is left as it is, and all records that were not proven durable,
//! which are still in memory, are written into another one, which takes the place of theirs.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::front::Front;
use super::live::Live;
use super::record;
use super::room::Room;
use super::segment::{SEGMENT_HEAD_BYTES, SegmentHead};
use super::size::SegmentSize;
use crate::limits::{JOURNAL_ATTEMPTS_MAX, JOURNAL_BUFFER_BYTES_KEPT_MAX};

/// A file with space and without records.
pub struct Spare {
    name: String,
    file: Arc<dyn DiskFile>,
    size: SegmentSize,
}

/// A spare segment that should be made.
pub struct Wanted {
    /// The name of its file.
    pub name: String,
    /// Its size.
    pub size: SegmentSize,
}

/// The segment that is written to.
struct Current {
    head: SegmentHead,
    file: Arc<dyn DiskFile>,
    size: SegmentSize,
    /// Where the next record goes.
    end: u64,
}

/// A segment that is not written to any more.
pub struct Closed {
    /// Segments in the order in which they were begun.
    pub ordinal: u64,
    /// No record in it has a smaller sequence.
    pub first: u64,
    /// No record in it has a greater sequence.
    pub last: u64,
    /// Its file.
    pub name: String,
    /// The bytes that the file takes.
    pub bytes: u64,
}

/// What a sync is to prove.
pub struct Proof {
    files: Vec<Arc<dyn DiskFile>>,
    names: bool,
    /// Everything up to this sequence.
    pub sequence: u64,
    appended: u64,
    retained: usize,
    epoch: u64,
}

impl Proof {
    /// Asks the disk; takes milliseconds to seconds.
    pub fn seek(&self, disk: &dyn Disk) -> io::Result<()> {
        if self.names {
            disk.sync_names()?;
        }
        self.files.iter().try_for_each(|file| file.sync())
    }
}

/// All segments, and what was taken from the front but is not proven durable.
pub struct Writer {
    /// Not written yet.
    batch: Vec<u8>,
    /// The last sequence in `batch`, or the last that was.
    batch_last: u64,
    /// Bytes appended ever, up to the end of `batch`.
    batch_appended: u64,
    /// Written and not proven.
    retained: Vec<u8>,
    written: u64,
    durable: u64,
    /// How far the journal itself says that it is durable.
    noted: u64,
    salt: u32,
    current: Option<Current>,
    closed: Vec<Closed>,
    spares: VecDeque<Spare>,
    spares_made: u64,
    /// Closed, and a sync has to cover them.
    unsynced: Vec<Arc<dyn DiskFile>>,
    /// Names were given that are not proven.
    names_unsynced: bool,
    next_ordinal: u64,
    /// Moves on when a proof that is being sought would be about something else.
    epoch: u64,
    fresh_starts: u64,
    disk_bytes: u64,
    live: Live,
    /// Of segments as a rule.
    usual_size: SegmentSize,
    /// Of segments that are begun from now on.
    size: SegmentSize,
    broken: Option<(io::ErrorKind, String)>,
}

impl Writer {
    /// Goes on after `last` with a new segment; `closed` are those that there are, all of them durable, with so many
    /// bytes `appended`.
    pub fn new(
        last: u64,
        next_ordinal: u64,
        closed: Vec<Closed>,
        size: SegmentSize,
        salt: u32,
        appended: u64,
    ) -> Self {
        Self {
            batch: Vec::new(),
            batch_last: last,
            batch_appended: appended,
            retained: Vec::new(),
            written: last,
            durable: last,
            noted: 0,
            salt,
            current: None,
            disk_bytes: closed.iter().map(|it| it.bytes).sum(),
            closed,
            spares: VecDeque::new(),
            spares_made: 0,
            unsynced: Vec::new(),
            names_unsynced: false,
            next_ordinal,
            epoch: 0,
            fresh_starts: 0,
            live: Live::new(last, appended),
            usual_size: size,
            size,
            broken: None,
        }
    }

    /// Writes everything that was appended. With `retains`, it is kept in memory until it is proven durable.
    ///
    /// # Errors
    /// While it is broken, which only `mend` may end.
    pub fn write(&mut self, front: &Front, disk: &dyn Disk, room: &Room, retains: bool) -> io::Result<()> {
        self.take(front, room);
        self.broken_error()?;
        match self.put_batch(disk, room) {
            Ok(()) => {
                self.count_written(room, retains);
                Ok(())
            }
            Err(_) => self.start_afresh(disk, room, retains),
        }
    }

    /// Writes what was not proven into new segments, and everything that was appended since.
    pub fn mend(&mut self, front: &Front, disk: &dyn Disk, room: &Room, retains: bool) -> io::Result<()> {
        self.take(front, room);
        self.start_afresh(disk, room, retains)
    }

    fn take(&mut self, front: &Front, room: &Room) {
        (self.batch_last, self.batch_appended) = front.take(&mut self.batch);
        if self.durable > self.noted && !self.batch.is_empty() {
            self.note_durable(room);
        }
    }

    fn note_durable(&mut self, room: &Room) {
        record::write_proven(self.durable, self.salt, &mut self.batch);
        self.noted = self.durable;
        room.add(-(record::RECORD_BYTES_MIN as i64));
    }

    fn put_batch(&mut self, disk: &dyn Disk, room: &Room) -> io::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let outcome = self.put(&batch, disk, room);
        self.batch = batch;
        outcome
    }

    fn count_written(&mut self, room: &Room, retains: bool) {
        self.written = self.batch_last;
        self.live.note(self.batch_last, self.batch_appended);
        if retains {
            self.retained.extend_from_slice(&self.batch);
        } else {
            self.forget_retained();
            room.settle(self.batch_appended);
        }
        let used = self.batch.len();
        self.batch.clear();
        shrink(&mut self.batch, used);
    }

    fn forget_retained(&mut self) {
        if !self.retained.is_empty() {
            self.epoch += 1;
            self.retained = Vec::new();
        }
    }

    /// Writes whole records into the current segment and, when it is full, those that follow. What was written before
    /// a failure counts as not written.
    fn put(&mut self, records: &[u8], disk: &dyn Disk, room: &Room) -> io::Result<()> {
        let mut done = 0;
        while done < records.len() {
            match self.put_some(&records[done..], disk, room) {
                Ok(bytes) => done += bytes,
                Err(error) => {
                    room.add(-(done as i64));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Writes as many of the records as one segment takes; how many bytes.
    fn put_some(&mut self, records: &[u8], disk: &dyn Disk, room: &Room) -> io::Result<usize> {
        let Some(current) = self.current.as_mut().filter(|it| it.size.room(it.end) > 0) else {
            return self.begin_segment(records, disk, room);
        };
        let space = current.size.room(current.end);
        let taken = record::leading(records, space as usize);
        current.file.write_all_at(&records[..taken], current.end)?;
        current.end += taken as u64;
        room.add(overhanging(taken, space));
        Ok(taken)
    }

    /// Begins a segment with the first of these records; how many bytes it took. The segment has its name only when
    /// they were written.
    fn begin_segment(&mut self, records: &[u8], disk: &dyn Disk, room: &Room) -> io::Result<usize> {
        let first = record::first_sequence(records).unwrap_or(self.written + 1);
        self.close_current(first - 1, room);
        let spare = match self.spares.pop_front() {
            Some(spare) => spare,
            None => self.make_spare(disk, room)?,
        };
        let head = SegmentHead {
            ordinal: self.next_ordinal,
            first,
            salt: self.salt,
        };
        self.next_ordinal += 1;
        let space = spare.size.room(SEGMENT_HEAD_BYTES);
        let taken = record::leading(records, space as usize);
        if let Err(error) = begin(&spare, head, &records[..taken], disk) {
            self.discard(&spare, disk, room);
            return Err(error);
        }
        room.add(overhanging(taken, space));
        self.names_unsynced = true;
        let end = SEGMENT_HEAD_BYTES + taken as u64;
        self.current = Some(Current {
            head,
            file: spare.file,
            size: spare.size,
            end,
        });
        Ok(taken)
    }

    /// Space in the current segment that was promised and will not be used is taken back. No record in it has a
    /// greater sequence than `last`.
    fn close_current(&mut self, last: u64, room: &Room) {
        let Some(current) = self.current.take() else {
            return;
        };
        room.add(-(current.size.room(current.end) as i64));
        let bytes = current.size.whole().max(current.end);
        self.disk_bytes += bytes - current.size.whole();
        let SegmentHead { ordinal, first, .. } = current.head;
        let name = current.head.name();
        self.closed.push(Closed {
            ordinal,
            first,
            last,
            name,
            bytes,
        });
        self.unsynced.push(current.file);
    }

    fn discard(&mut self, spare: &Spare, disk: &dyn Disk, room: &Room) {
        room.add(-(spare.size.room(SEGMENT_HEAD_BYTES) as i64));
        self.disk_bytes -= spare.size.whole();
        // If that fails too, the next start removes it.
        let _ = disk.remove(&spare.name);
    }

    fn make_spare(&mut self, disk: &dyn Disk, room: &Room) -> io::Result<Spare> {
        let (name, size) = (self.next_spare_name(), self.size);
        let file = allocate(disk, &name, size)?;
        Ok(self.count_spare(name, file, size, room))
    }

    fn next_spare_name(&mut self) -> String {
        self.spares_made += 1;
        format!("{SPARE}{}", self.spares_made)
    }

    fn count_spare(
        &mut self,
        name: String,
        file: Arc<dyn DiskFile>,
        size: SegmentSize,
        room: &Room,
    ) -> Spare {
        self.disk_bytes += size.whole();
        room.add_segment(size.room(SEGMENT_HEAD_BYTES));
        Spare { name, file, size }
    }

    /// Writes everything that is not proven into new segments.
    fn start_afresh(&mut self, disk: &dyn Disk, room: &Room, retains: bool) -> io::Result<()> {
        self.fresh_starts += 1;
        self.epoch += 1;
        self.close_current(self.batch_last, room);
        if self.retains_all() {
            self.unsynced.clear();
        }
        let unsynced = self.unsynced.len();
        room.add(-(self.retained.len() as i64));
        for _ in 0..JOURNAL_ATTEMPTS_MAX {
            let first_ordinal = self.next_ordinal;
            match self.put_again(disk, room) {
                Ok(()) => {
                    self.remove_replaced(first_ordinal, disk);
                    self.count_written_anew(room, retains);
                    return Ok(());
                }
                Err(error) => self.broken = Some((error.kind(), error.to_string())),
            }
            self.abandon(first_ordinal, disk, room);
            self.unsynced.truncate(unsynced);
        }
        room.add(self.retained.len() as i64);
        room.set_broken(true);
        self.broken_error()
    }

    /// Whether everything that is not proven is in memory.
    fn retains_all(&self) -> bool {
        let first = record::first_sequence(&self.retained).unwrap_or(self.written + 1);
        first <= self.durable + 1
    }

    fn count_written_anew(&mut self, room: &Room, retains: bool) {
        self.count_written(room, retains);
        self.broken = None;
        room.set_broken(false);
    }

    /// Removes the segments all of whose records have just been written into others: a disk that fails again and again
    /// must not be filled that way.
    fn remove_replaced(&mut self, first_ordinal: u64, disk: &dyn Disk) {
        let unproven = [&self.retained, &self.batch];
        let Some(first) = unproven.into_iter().find_map(|it| record::first_sequence(it)) else {
            return;
        };
        for it in self.take_closed(|it| it.first >= first && it.ordinal < first_ordinal) {
            // If that fails, it is read for nothing.
            let _ = disk.remove(&it.name);
        }
    }

    fn put_again(&mut self, disk: &dyn Disk, room: &Room) -> io::Result<()> {
        let retained = std::mem::take(&mut self.retained);
        let outcome = self.put(&retained, disk, room);
        self.retained = retained;
        outcome?;
        self.put_batch(disk, room)
            .inspect_err(|_| room.add(-(self.retained.len() as i64)))
    }

    /// Removes the segments that were begun in vain. Nothing is in them alone.
    fn abandon(&mut self, first_ordinal: u64, disk: &dyn Disk, room: &Room) {
        self.close_current(self.batch_last, room);
        for it in self.take_closed(|it| it.ordinal >= first_ordinal) {
            // If that fails too, its records are read for nothing, and have been written a second time.
            let _ = disk.remove(&it.name);
        }
    }

    fn broken_error(&self) -> io::Result<()> {
        match &self.broken {
            Some((kind, reason)) => Err(io::Error::new(*kind, reason.clone())),
            None => Ok(()),
        }
    }

    /// What has to be synced so that all that was written is durable; `None` if it is. Without `current`, only the
    /// segments that are closed count.
    pub fn proof_needed(&mut self, current: bool) -> Option<Proof> {
        let mut files = self.unsynced.clone();
        let sequence = match &self.current {
            Some(it) if current => {
                files.push(Arc::clone(&it.file));
                self.written
            }
            Some(it) => it.head.first - 1,
            None => self.written,
        };
        if sequence <= self.durable || self.broken.is_some() {
            return None;
        }
        Some(Proof {
            files,
            names: std::mem::take(&mut self.names_unsynced),
            sequence,
            appended: self.batch_appended,
            retained: if current { self.retained.len() } else { 0 },
            epoch: self.epoch,
        })
    }

    /// What was sought was found, unless the records have been written anew meanwhile.
    pub fn proved(&mut self, proof: &Proof, room: &Room) {
        if proof.epoch != self.epoch {
            return;
        }
        self.durable = self.durable.max(proof.sequence);
        self.unsynced
            .retain(|file| !proof.files.iter().any(|synced| Arc::ptr_eq(file, synced)));
        self.retained.drain(..proof.retained);
        shrink(&mut self.retained, proof.retained);
        room.settle(proof.appended);
    }

    /// The sync failed: nothing is written into its files any more. False if they are out of use already.
    pub fn disproved(&mut self, proof: &Proof) -> bool {
        self.names_unsynced |= proof.names;
        proof.epoch == self.epoch
    }

    /// Nothing is accepted until it is mended.
    pub fn give_up(&mut self, error: &io::Error, room: &Room) {
        self.broken = Some((error.kind(), error.to_string()));
        room.set_broken(true);
    }

    /// A closing word: how far the journal is durable. It is written, and has to be synced.
    pub fn write_last_note(&mut self, disk: &dyn Disk, room: &Room) -> io::Result<()> {
        if self.current.is_none() || self.durable <= self.noted || !self.batch.is_empty() {
            return Ok(());
        }
        self.note_durable(room);
        let outcome = self.put_batch(disk, room);
        if outcome.is_err() {
            room.add(self.batch.len() as i64);
        }
        self.batch.clear();
        outcome
    }

    /// Syncs the current segment whether or not that proves anything new.
    pub fn sync_current(&self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), |it| it.file.sync())
    }

    /// Takes out of the list the segments whose records are all below `released`.
    pub fn take_needless(&mut self, released: u64) -> Vec<Closed> {
        self.take_closed(|it| it.last < released)
    }

    fn take_closed(&mut self, is_wanted: impl Fn(&Closed) -> bool) -> Vec<Closed> {
        let (taken, kept): (Vec<_>, Vec<_>) = self.closed.drain(..).partition(is_wanted);
        self.closed = kept;
        self.disk_bytes -= taken.iter().map(|it| it.bytes).sum::<u64>();
        taken
    }

    /// The lowest watermark that makes a segment needless.
    pub fn needless_at(&self) -> u64 {
        let lasts = self.closed.iter().map(|it| it.last);
        lasts.min().map_or(u64::MAX, |last| last + 1)
    }

    /// The name for a spare segment, and its size, if there should be one more; `Err` if there should, but the
    /// segments may not take more than `bytes_max`.
    /// With `keeps_overhang`, it is fit for all records for which others were.
    pub fn spare_wanted(&mut self, bytes_max: u64, keeps_overhang: bool) -> Result<Option<Wanted>, ()> {
        if !self.spares.is_empty() {
            return Ok(None);
        }
        if !keeps_overhang {
            self.size = self.usual_size;
        }
        let others = self.closed.len() + usize::from(self.current.is_some());
        if others > 1 && self.disk_bytes + self.size.whole() > bytes_max {
            return Err(());
        }
        Ok(Some(Wanted {
            name: self.next_spare_name(),
            size: self.size,
        }))
    }

    /// Here is the spare segment that was wanted.
    pub fn add_spare(&mut self, wanted: Wanted, file: Arc<dyn DiskFile>, room: &Room) {
        let spare = self.count_spare(wanted.name, file, wanted.size, room);
        self.spares.push_back(spare);
        // A large record may have been announced meanwhile. If that fails it is written elsewhere.
        let _ = self.extend(u64::MAX);
    }

    /// Makes all segments fit for a record of so many bytes, and makes more until so many can be reserved; `false` if
    /// `bytes_max` does not allow that.
    pub fn fit(
        &mut self,
        record_bytes: u64,
        bytes_max: u64,
        disk: &dyn Disk,
        room: &Room,
    ) -> io::Result<bool> {
        self.size = self.size.with_overhang(record_bytes);
        if !self.extend(bytes_max)? {
            return Ok(false);
        }
        while room.free_bytes() < record_bytes {
            if self.disk_bytes + self.size.whole() > bytes_max {
                return Ok(false);
            }
            let spare = self.make_spare(disk, room)?;
            self.spares.push_back(spare);
        }
        Ok(true)
    }

    fn extend(&mut self, bytes_max: u64) -> io::Result<bool> {
        let spares = self.spares.iter_mut().map(|it| (&it.file, &mut it.size));
        let current = self.current.iter_mut().map(|it| (&it.file, &mut it.size));
        for (file, size) in spares.chain(current) {
            let larger = size.with_overhang(self.size.record_bytes_max());
            let more = larger.whole() - size.whole();
            if more == 0 {
                continue;
            }
            if self.disk_bytes + more > bytes_max {
                return Ok(false);
            }
            file.allocate(larger.whole())?;
            *size = larger;
            self.disk_bytes += more;
        }
        Ok(true)
    }

    /// Segments that are begun from now on are of this size.
    pub fn set_size(&mut self, size: SegmentSize, bytes_max: u64) {
        self.usual_size = size;
        self.size = size;
        // Where there is no space for it, a long record may meet a full disk; then it is written elsewhere.
        let _ = self.extend(bytes_max);
    }

    /// What the checksums of records begin with.
    pub fn salt(&self) -> u32 {
        self.salt
    }

    /// The last sequence that is in the kernel.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The last sequence that is on the disk.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// No segment has a record with a smaller sequence.
    pub fn first(&self) -> u64 {
        let closed = self.closed.iter().map(|it| it.first);
        let current = self.current.iter().map(|it| it.head.first);
        closed.chain(current).min().unwrap_or(self.written + 1)
    }

    /// Bytes for which there is space in segments; and those that are to be written.
    #[cfg(test)]
    pub fn space_and_batch_bytes(&self) -> (u64, u64) {
        let spares = self.spares.iter().map(|it| it.size.room(SEGMENT_HEAD_BYTES));
        let current = self.current.iter().map(|it| it.size.room(it.end));
        (spares.chain(current).sum(), self.batch.len() as u64)
    }

    /// Bytes that all files take.
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    /// Segments with records.
    pub fn segments(&self) -> usize {
        self.closed.len() + usize::from(self.current.is_some())
    }

    /// Times that records were written anew because a segment had failed.
    pub fn fresh_starts(&self) -> u64 {
        self.fresh_starts
    }

    /// Bytes appended ever, up to what is written.
    pub fn appended_bytes(&self) -> u64 {
        self.batch_appended
    }

    /// Why nothing can be written, if so.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_ref().map(|(_, reason)| reason.as_str())
    }

    /// Of the bytes appended, those that are not released, to within the length of a mark.
    pub fn live_bytes(&mut self, released: u64) -> u64 {
        self.live.bytes(released, self.written, self.batch_appended)
    }
}

/// What the names of spare segments begin with.
pub const SPARE: &str = "spare-";

/// Makes a file with space for a segment.
pub fn allocate(disk: &dyn Disk, name: &str, size: SegmentSize) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(name)?;
    if let Err(error) = file.allocate(size.whole()) {
        // If that fails too, the next start removes it.
        let _ = disk.remove(name);
        return Err(error);
    }
    Ok(file)
}

/// Writes a segment's head and first records, and only then gives it its name.
fn begin(spare: &Spare, head: SegmentHead, records: &[u8], disk: &dyn Disk) -> io::Result<()> {
    spare.file.write_all_at(&head.encode(), 0)?;
    spare.file.write_all_at(records, SEGMENT_HEAD_BYTES)?;
    disk.rename(&spare.name, &head.name())
}

/// How many of the bytes that were taken did not use up `space`.
fn overhanging(taken: usize, space: u64) -> i64 {
    (taken as u64).saturating_sub(space) as i64
}

/// Lets a buffer of which `used` bytes were used become smaller, step by step.
fn shrink(buffer: &mut Vec<u8>, used: usize) {
    let capacity = buffer.capacity();
    if capacity > JOURNAL_BUFFER_BYTES_KEPT_MAX && used < capacity / 4 {
        buffer.shrink_to(JOURNAL_BUFFER_BYTES_KEPT_MAX.max(capacity / 2));
    }
}
