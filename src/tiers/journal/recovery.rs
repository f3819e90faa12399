//! Finds out what a journal holds, and reads it.
//!
//! A record may be in two segments; the one that was begun later counts. What is missing between records is *lost*:
//! - If a later record says that it was durable, the disk has failed: that is an error, unless damage is ignored.
//! - Otherwise it is what a loss of power does to the last writes, which no sync had covered: it is told, once.
//!
//! Whatever is behind the last valid record was torn, and is cut off.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{Record, write_framed};
use super::scan::{Reader, Run, Scan, Window, scan};
use super::segment::{HeadError, SEGMENT_HEAD_BYTES, SegmentHead, is_name};
use super::watermark::Watermark;

/// Records that should be there and are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub file: PathBuf,
    /// Where what can't be read begins.
    pub offset: u64,
    /// The first sequence that is missing.
    pub first: u64,
    /// The last sequence that is missing.
    pub last: u64,
    /// It had been durable.
    pub was_durable: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            offset,
            first,
            last,
            ..
        } = self;
        write!(
            f,
            "{} is damaged at byte {offset}: records {first} to {last} of the journal are missing",
            file.display()
        )
    }
}

/// A segment that was found.
pub struct Found {
    /// The head of its file.
    pub head: SegmentHead,
    /// The name of its file.
    pub name: String,
    /// The file.
    pub file: Arc<File>,
    /// What is in it.
    pub scan: Scan,
}

impl Found {
    /// The last sequence in it; 0 if there is none.
    pub fn last(&self) -> u64 {
        self.scan.runs.last().map_or(0, |run| run.last)
    }

    /// Where its last record ends.
    pub fn end(&self) -> u64 {
        self.scan.runs.last().map_or(SEGMENT_HEAD_BYTES, |run| run.end)
    }
}

/// A file that has the name of a segment, but no valid head.
pub struct Headless {
    /// The name.
    pub name: String,
    /// Zeros stand there: no sync had covered it when the power went.
    pub is_empty: bool,
}

/// What is in a directory.
pub struct Survey {
    /// Segments in the order in which they were begun.
    pub found: Vec<Found>,
    /// Files without a valid head, whether or not there is anything in them.
    pub headless: Vec<Headless>,
    /// Records that are missing and have not been told of before.
    pub damage: Vec<Damage>,
    /// Where the records are that are needed, in order.
    pieces: Vec<Piece>,
}

/// Records that are read one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    segment: usize,
    start: u64,
    first: u64,
    last: u64,
}

impl Survey {
    /// Reads all segments.
    ///
    /// # Errors
    /// `InvalidData`, with file and offset, for damage to what was durable, unless it is ignored, and for segments of
    /// another version; and whatever reading fails with.
    pub fn of(dir: &Path, watermark: &Watermark, ignores_damage: bool) -> io::Result<Self> {
        let (mut found, mut headless) = (Vec::new(), Vec::new());
        for name in segment_names(dir)? {
            match read_segment(dir, name, ignores_damage)? {
                Ok(it) => found.push(it),
                Err(it) => headless.push(it),
            }
        }
        found.sort_by_key(|it| it.head.ordinal);
        let scans: Vec<&Scan> = found.iter().map(|it| &it.scan).collect();
        let (pieces, holes) = plan(&scans, watermark.released);
        let proven = found.iter().map(|it| it.scan.proven).max().unwrap_or(0);
        let is_new =
            |&&(first, last): &&(u64, u64)| !watermark.lost.iter().any(|&(a, b)| a <= first && last <= b);
        let tell = |&(first, last): &(u64, u64)| locate(dir, &found, (first, last), first <= proven);
        let damage: Vec<Damage> = holes.iter().filter(is_new).map(tell).collect();
        if let Some(it) = damage.iter().find(|it| it.was_durable && !ignores_damage) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, it.to_string()));
        }
        Ok(Self {
            found,
            headless,
            damage,
            pieces,
        })
    }

    /// Bytes of the segments in which there is something that is not released.
    pub fn live_bytes(&self, released: u64) -> u64 {
        let live = self.found.iter().filter(|it| it.last() >= released);
        live.map(|it| it.end() - SEGMENT_HEAD_BYTES).sum()
    }

    /// What is needed, to be read.
    pub fn into_records(self) -> Recovered {
        let segments = self.found.into_iter().map(|it| (it.file, it.head.salt)).collect();
        let records = self.pieces.iter().map(|it| it.last - it.first + 1).sum();
        Recovered {
            segments,
            pieces: self.pieces.into_iter(),
            reader: None,
            records,
            damage: self.damage,
        }
    }
}

fn segment_names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| is_name(name)));
    }
    Ok(names)
}

fn read_segment(dir: &Path, name: String, ignores_damage: bool) -> io::Result<Result<Found, Headless>> {
    let path = dir.join(&name);
    let file = Arc::new(File::options().read(true).write(true).open(&path)?);
    let end = file.metadata()?.len();
    let mut bytes = [0; SEGMENT_HEAD_BYTES as usize];
    let len = bytes.len().min(usize::try_from(end).unwrap_or(usize::MAX));
    file.read_exact_at(&mut bytes[..len], 0)?;
    let invalid = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    let is_empty = bytes[..len].iter().all(|&byte| byte == 0);
    match SegmentHead::decode(&bytes[..len]) {
        Ok(head) => {
            let mut window = Window::new(Arc::clone(&file), end, head.salt);
            let scan = scan(&mut window, head.first)?;
            Ok(Ok(Found {
                head,
                name,
                file,
                scan,
            }))
        }
        Err(HeadError::Damaged) if ignores_damage || is_empty => Ok(Err(Headless { name, is_empty })),
        Err(HeadError::Damaged) => invalid(format!("{} is damaged at byte 0", path.display())),
        Err(HeadError::Version(version)) => invalid(format!(
            "{} is of version {version}, which this server does not know",
            path.display()
        )),
    }
}

/// Reads the bytes of a segment, whatever they are, as at a start: all valid records, in rising order of their sequences.
///
/// # Errors
/// `InvalidData` without a valid head.
pub fn visit_segment(bytes: &[u8], mut visit: impl FnMut(u64, &Record<'_>)) -> io::Result<()> {
    let head = SegmentHead::decode(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    let window = || Window::new(bytes, bytes.len() as u64, head.salt);
    for run in scan(&mut window(), head.first)?.runs {
        let mut reader = Reader::new(window(), run.start, run.first, run.last);
        while let Some((sequence, record)) = reader.read()? {
            visit(sequence, &record);
        }
    }
    Ok(())
}

/// Bytes of a segment with these bodies, valid or not, under valid checksums: so that what reads them is reached.
pub fn sealed_segment<'a>(first: u64, bodies: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    const SALT: u32 = 1;
    let mut bytes = SegmentHead {
        ordinal: 0,
        first,
        salt: SALT,
    }
    .encode()
    .to_vec();
    for (body, sequence) in bodies.zip(first..) {
        // Bodies of 4 GiB are left out.
        let _ = write_framed(body, sequence, SALT, &mut bytes);
    }
    bytes
}

/// Where each sequence from `released` on is read, of all segments in the order of their ordinals; and which are
/// nowhere: first and last of each gap.
fn plan(scans: &[&Scan], released: u64) -> (Vec<Piece>, Vec<(u64, u64)>) {
    let (mut pieces, mut holes): (Vec<Piece>, Vec<(u64, u64)>) = (Vec::new(), Vec::new());
    let mut cursors: Vec<std::iter::Peekable<std::slice::Iter<'_, Run>>> =
        scans.iter().map(|scan| scan.runs.iter().peekable()).collect();
    let mut next = released;
    loop {
        let mut newest: Option<Piece> = None;
        let mut other = u64::MAX;
        for (segment, cursor) in cursors.iter_mut().enumerate() {
            while cursor.next_if(|run| run.last < next).is_some() {}
            match cursor.peek() {
                Some(run) if run.first <= next => {
                    newest = Some(Piece {
                        segment,
                        start: run.start,
                        first: next,
                        last: run.last,
                    });
                    other = u64::MAX;
                }
                Some(run) => other = other.min(run.first),
                None => {}
            }
        }
        let last = match newest {
            Some(piece) => {
                let last = piece.last.min(other - 1);
                pieces.push(Piece { last, ..piece });
                last
            }
            None if other == u64::MAX => return (pieces, holes),
            None => {
                // What is missing before the first record was released, and deleted.
                if !pieces.is_empty() {
                    holes.push((next, other - 1));
                }
                other - 1
            }
        };
        next = last + 1;
    }
}

/// The place where the record before the gap ends.
fn locate(dir: &Path, found: &[Found], (first, last): (u64, u64), was_durable: bool) -> Damage {
    let ends_before = |it: &&Found| it.scan.runs.iter().any(|run| run.last + 1 == first);
    let segment = found.iter().rfind(ends_before);
    let run = segment.and_then(|it| it.scan.runs.iter().find(|run| run.last + 1 == first));
    Damage {
        file: dir.join(segment.map_or("", |it| &it.name)),
        offset: run.map_or(0, |run| run.end),
        first,
        last,
        was_durable,
    }
}

/// The records that were not released when the journal was closed, or the process ended.
pub struct Recovered {
    segments: Vec<(Arc<File>, u32)>,
    pieces: std::vec::IntoIter<Piece>,
    reader: Option<Reader<Arc<File>>>,
    records: u64,
    damage: Vec<Damage>,
}

impl Recovered {
    /// The next record and its sequence, in rising order; `None` behind the last. Reads on as it goes, and keeps one
    /// record in memory; the segments can be read even when they were released meanwhile.
    ///
    /// # Errors
    /// Whatever reading fails with.
    pub fn read(&mut self) -> io::Result<Option<(u64, Record<'_>)>> {
        while self.reader.as_ref().is_none_or(Reader::is_done) {
            let Some(piece) = self.pieces.next() else {
                return Ok(None);
            };
            let (file, salt) = &self.segments[piece.segment];
            let window = Window::new(Arc::clone(file), file.metadata()?.len(), *salt);
            self.reader = Some(Reader::new(window, piece.start, piece.first, piece.last));
        }
        self.reader.as_mut().map_or(Ok(None), Reader::read)
    }

    /// How many records there are in all.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What is missing among them: it was not durable when the power went, or the damage is ignored. Told once.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }
}
