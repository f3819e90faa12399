//! Reads a segment: which of its bytes are records.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::record::{Entry, HEAD_BYTES, Head, RECORD_BYTES_MIN, Record};
use super::segment::SEGMENT_HEAD_BYTES;
use crate::limits::JOURNAL_READ_BYTES;

/// Where a segment's bytes come from.
pub trait Source {
    /// Reads some bytes from `offset` on; 0 at the end.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for File {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, out, offset)
    }
}

impl Source for &[u8] {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let rest = &self[from..];
        let bytes = rest.len().min(out.len());
        out[..bytes].copy_from_slice(&rest[..bytes]);
        Ok(bytes)
    }
}

impl<S: Source> Source for std::sync::Arc<S> {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        S::read_at(self, out, offset)
    }
}

/// The bytes of a segment around the place that is being read. Takes as much memory as the longest record.
pub struct Window<S> {
    source: S,
    end: u64,
    salt: u32,
    bytes: Vec<u8>,
    /// The offset of the first of `bytes`.
    from: u64,
}

impl<S: Source> Window<S> {
    /// A segment of `end` bytes.
    pub fn new(source: S, end: u64, salt: u32) -> Self {
        Self {
            source,
            end,
            salt,
            bytes: Vec::new(),
            from: 0,
        }
    }

    /// So many bytes from `offset` on; `None` if there are not so many.
    fn get(&mut self, offset: u64, len: u64) -> io::Result<Option<&[u8]>> {
        if len > self.end.saturating_sub(offset) {
            return Ok(None);
        }
        let within = offset >= self.from && offset + len <= self.from + self.bytes.len() as u64;
        if !within && !self.load(offset, len)? {
            return Ok(None);
        }
        let at = (offset - self.from) as usize;
        Ok(Some(&self.bytes[at..at + len as usize]))
    }

    /// False if the file is shorter than it was.
    fn load(&mut self, offset: u64, len: u64) -> io::Result<bool> {
        let wanted = len.max(JOURNAL_READ_BYTES as u64).min(self.end - offset);
        self.bytes.resize(wanted as usize, 0);
        self.from = offset;
        let mut filled = 0;
        while filled < self.bytes.len() {
            match self
                .source
                .read_at(&mut self.bytes[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.bytes.clear();
                    return Err(error);
                }
            }
        }
        self.bytes.truncate(filled);
        Ok(filled as u64 >= len)
    }

    /// What may be the head of a record at `offset`.
    fn head(&mut self, offset: u64) -> io::Result<Option<Head>> {
        Ok(self.get(offset, HEAD_BYTES as u64)?.and_then(Head::read))
    }

    /// The valid entry at `offset`, its sequence, and where it ends.
    fn entry(&mut self, offset: u64) -> io::Result<Option<(u64, Entry<'_>, u64)>> {
        let Some(head) = self.head(offset)? else {
            return Ok(None);
        };
        let (salt, len) = (self.salt, head.record_bytes());
        let record = self.get(offset, len)?;
        let entry = record.and_then(|bytes| head.entry(&bytes[HEAD_BYTES..], salt));
        Ok(entry.map(|entry| (head.sequence, entry, offset + len)))
    }

    /// The next place from `offset` on where a valid entry begins, with a sequence behind `last` and up to `last_max`.
    fn next_entry(&mut self, offset: u64, last: u64, last_max: u64) -> io::Result<Option<u64>> {
        let may_follow = |head: &Head| {
            let is_next = head.sequence > last && head.sequence <= last_max;
            is_next || head.record_bytes() == RECORD_BYTES_MIN as u64
        };
        let mut at = offset;
        while at + RECORD_BYTES_MIN as u64 <= self.end {
            if self.head(at)?.is_some_and(|head| may_follow(&head)) && self.entry(at)?.is_some() {
                return Ok(Some(at));
            }
            at += 1 + self.zeros(at + 1)?;
        }
        Ok(None)
    }

    /// How many bytes from `offset` on need not be looked at, since they and as many as a head has are zeros.
    fn zeros(&mut self, offset: u64) -> io::Result<u64> {
        const STEP: u64 = 4096;
        let mut zeros = 0;
        while let Some(bytes) = self.get(offset + zeros, STEP)? {
            if bytes.iter().any(|&byte| byte != 0) {
                break;
            }
            zeros += STEP - HEAD_BYTES as u64;
        }
        Ok(zeros)
    }
}

/// Valid records whose sequences follow one another without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first sequence.
    pub first: u64,
    /// The last sequence.
    pub last: u64,
    /// Where the first record begins.
    pub start: u64,
    /// Where the last record ends.
    pub end: u64,
}

/// What a segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// In rising order of their sequences.
    pub runs: Vec<Run>,
    /// Up to this sequence, the journal itself says that it was durable.
    pub proven: u64,
}

/// Reads all of a segment whose first record has the sequence `first`. Whatever can't be read is passed over.
pub fn scan<S: Source>(window: &mut Window<S>, first: u64) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut at = SEGMENT_HEAD_BYTES;
    let mut last = first.saturating_sub(1);
    // As many records as there is space for: other sequences are not worth a look.
    let last_max = first.saturating_add(window.end / RECORD_BYTES_MIN as u64);
    loop {
        match window.entry(at)? {
            Some((sequence, Entry::Proven, end)) => {
                scan.proven = scan.proven.max(sequence);
                at = end;
            }
            Some((sequence, Entry::Record(_), end)) if sequence > last && sequence < u64::MAX => {
                scan.extend(sequence, at, end);
                (last, at) = (sequence, end);
            }
            _ => match window.next_entry(at + 1, last, last_max)? {
                Some(next) => at = next,
                None => return Ok(scan),
            },
        }
    }
}

impl Scan {
    fn extend(&mut self, sequence: u64, start: u64, end: u64) {
        match self.runs.last_mut() {
            Some(run) if run.last + 1 == sequence => (run.last, run.end) = (sequence, end),
            _ => self.runs.push(Run {
                first: sequence,
                last: sequence,
                start,
                end,
            }),
        }
    }
}

/// Reads the records of a part of a run, in order.
pub struct Reader<S> {
    window: Window<S>,
    at: u64,
    /// The next sequence, and the last one.
    next: u64,
    last: u64,
}

impl<S: Source> Reader<S> {
    /// The records from `first` to `last`, which are in the run that begins at `start`.
    pub fn new(window: Window<S>, start: u64, first: u64, last: u64) -> Self {
        Self {
            window,
            at: start,
            next: first,
            last,
        }
    }

    /// Whether the last record was read.
    pub fn is_done(&self) -> bool {
        self.next > self.last
    }

    /// The next record and its sequence; `None` behind the last.
    ///
    /// # Errors
    /// `InvalidData` if a record is not valid any more.
    pub fn read(&mut self) -> io::Result<Option<(u64, Record<'_>)>> {
        if self.is_done() {
            return Ok(None);
        }
        let start = loop {
            match self.window.entry(self.at)? {
                Some((sequence, Entry::Record(_), end)) if sequence >= self.next => break (self.at, end),
                Some((_, _, end)) => self.at = end,
                None => return Err(io::ErrorKind::InvalidData.into()),
            }
        };
        self.at = start.1;
        self.next += 1;
        match self.window.entry(start.0)? {
            Some((sequence, Entry::Record(record), _)) => Ok(Some((sequence, record))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Sealed, State, write_proven};
    use super::*;

    const SALT: u32 = 99;

    /// A segment with these sequences, and where each record begins.
    fn segment(sequences: &[u64]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = vec![0; SEGMENT_HEAD_BYTES as usize];
        let mut starts = Vec::new();
        for &sequence in sequences {
            starts.push(bytes.len());
            let record = Record {
                db: 1,
                key: b"key",
                state: State::Text {
                    value: &[b'v'; 50],
                    deadline_ms: None,
                },
            };
            Sealed::new(&record, SALT).unwrap().write(sequence, &mut bytes);
        }
        (bytes, starts)
    }

    fn scanned(bytes: &[u8], first: u64) -> Scan {
        scan(&mut Window::new(bytes, bytes.len() as u64, SALT), first).unwrap()
    }

    fn sequences(scan: &Scan) -> Vec<(u64, u64)> {
        scan.runs.iter().map(|run| (run.first, run.last)).collect()
    }

    #[test]
    fn zeros_end_a_segment() {
        let (mut bytes, _) = segment(&[5, 6, 7]);
        assert_eq!(sequences(&scanned(&bytes, 5)), [(5, 7)]);
        let end = bytes.len() as u64;
        bytes.resize(1 << 20, 0);
        let scan = scanned(&bytes, 5);
        assert_eq!((sequences(&scan), scan.runs[0].end), (vec![(5, 7)], end));
    }

    #[test]
    fn records_behind_damage_are_found() {
        let (mut bytes, starts) = segment(&[1, 2, 3, 4, 5]);
        bytes[starts[1] + 30] ^= 1;
        bytes[starts[3]] ^= 0xff;
        assert_eq!(sequences(&scanned(&bytes, 1)), [(1, 1), (3, 3), (5, 5)]);
    }

    #[test]
    fn records_behind_lost_pages_are_found() {
        let (bytes, starts) = segment(&(1..=1000).collect::<Vec<_>>());
        for pages in [1, 3] {
            let mut bytes = bytes.clone();
            bytes[4096..4096 + pages * 4096].fill(0);
            let lost = |start: &usize| start + 80 > 4096 && *start < 4096 + pages * 4096;
            let before = starts.iter().position(lost).unwrap() as u64;
            let after = starts.iter().rposition(lost).unwrap() as u64;
            let runs = sequences(&scanned(&bytes, 1));
            assert_eq!((runs[0].0, runs[1].1, runs.len()), (1, 1000, 2));
            assert!(
                runs[0].1.abs_diff(before) <= 1 && runs[1].0.abs_diff(after + 2) <= 1,
                "{runs:?}"
            );
        }
    }

    /// A search that took the space behind a place for the space behind the last record gave up: what was left took
    /// less of it than what was damaged.
    #[test]
    fn the_last_record_behind_much_damage_is_found() {
        let (mut bytes, starts) = segment(&(1..=1000).collect::<Vec<_>>());
        bytes[starts[1]..starts[999]].fill(0x11);
        assert_eq!(sequences(&scanned(&bytes, 1)), [(1, 1), (1000, 1000)]);
    }

    #[test]
    fn records_of_the_past_are_passed_over() {
        let (bytes, _) = segment(&[5, 6, 3, 7]);
        assert_eq!(sequences(&scanned(&bytes, 5)), [(5, 7)]);
    }

    #[test]
    fn parts_of_runs_are_read() {
        let (mut bytes, _) = segment(&[5, 6, 7]);
        write_proven(6, SALT, &mut bytes);
        bytes.extend_from_slice(&segment(&[8, 9]).0[SEGMENT_HEAD_BYTES as usize..]);
        let scan = scanned(&bytes, 5);
        assert_eq!((sequences(&scan), scan.proven), (vec![(5, 9)], 6));
        let window = Window::new(bytes.as_slice(), bytes.len() as u64, SALT);
        let mut reader = Reader::new(window, scan.runs[0].start, 6, 8);
        let mut read = Vec::new();
        while let Some((sequence, record)) = reader.read().unwrap() {
            assert_eq!(record.key, b"key");
            read.push(sequence);
        }
        assert_eq!(read, [6, 7, 8]);
    }
}
