//! Records that upstream refused for good, kept until somebody has looked at them.
//!
//! One file: a head of 32 bytes (`FOREBAYD`, version, CRC32C of the rest, first id, salt, zeros), then letters, framed
//! as records of the journal are, with their id for a sequence. A letter is: when it was refused in milliseconds since
//! 1970 (8 bytes), length of the error (4), the error, and the body of the record.
//!
//! Appending is durable when it returns. Removing writes the file anew and puts it in the place of the old one.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::random;
use super::record::{HEAD_BYTES, Head, Record, Sealed, State, decode, write_framed};

const NAME: &str = "dead-letters";
const TEMPORARY: &str = "dead-letters.new";
const MAGIC: &[u8; 8] = b"FOREBAYD";
const VERSION: u32 = 1;
const FILE_HEAD_BYTES: usize = 32;

/// How many letters are kept. The oldest give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Letters.
    pub letters_max: usize,
    /// Bytes of all letters; the file may be twice as long.
    pub bytes_max: u64,
}

/// A record that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Rises from letter to letter.
    pub id: u64,
    /// When it was refused, in milliseconds since 1970.
    pub refused_at_ms: u64,
    /// What upstream said.
    pub error: String,
    record: Vec<u8>,
}

impl Letter {
    /// The record.
    pub fn record(&self) -> Record<'_> {
        let nothing = Record {
            db: 0,
            key: b"",
            state: State::Removed,
        };
        decode(&self.record).unwrap_or(nothing)
    }

    fn decode(id: u64, body: &[u8]) -> Option<Self> {
        let (refused_at_ms, rest) = body.split_first_chunk()?;
        let (error_len, rest) = rest.split_first_chunk()?;
        let (error, record) = rest.split_at_checked(u32::from_le_bytes(*error_len) as usize)?;
        decode(record)?;
        Some(Self {
            id,
            refused_at_ms: u64::from_le_bytes(*refused_at_ms),
            error: String::from_utf8_lossy(error).into_owned(),
            record: record.to_vec(),
        })
    }
}

/// Where a letter stands in the file.
#[derive(Debug, Clone, Copy)]
struct Place {
    id: u64,
    start: u64,
    bytes: u64,
}

/// The file, and where its letters are.
pub struct DeadLetters {
    dir: PathBuf,
    file: File,
    salt: u32,
    bounds: Bounds,
    places: VecDeque<Place>,
    bytes: u64,
    /// Where the next letter goes.
    end: u64,
    next_id: u64,
    dropped: u64,
}

impl DeadLetters {
    /// Opens the file in `dir`, which exists and which nobody else uses, such as the one of an open journal. Bytes that
    /// are no letter are passed over.
    ///
    /// # Errors
    /// `InvalidData` for a file of another version or without a valid head; and whatever the file system fails with.
    pub fn open(dir: &Path, bounds: Bounds) -> io::Result<Self> {
        let path = dir.join(NAME);
        if !path.try_exists()? {
            write_anew(dir, &file_head(1, random()))?;
        }
        let file = File::options().read(true).write(true).open(&path)?;
        let all = fs::read(&path)?;
        let invalid = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is no file of dead letters", path.display()),
            )
        };
        let (next_id, salt) = read_file_head(&all).ok_or_else(invalid)?;
        let mut letters = Self {
            dir: dir.to_owned(),
            file,
            salt,
            bounds,
            places: VecDeque::new(),
            bytes: 0,
            end: FILE_HEAD_BYTES as u64,
            next_id,
            dropped: 0,
        };
        letters.find_all(&all);
        Ok(letters)
    }

    fn find_all(&mut self, all: &[u8]) {
        let mut at = FILE_HEAD_BYTES;
        while let Some(rest) = all.get(at..).filter(|rest| rest.len() > HEAD_BYTES) {
            at += match letter_at(rest, self.salt) {
                Some((id, bytes)) if id >= self.next_id => {
                    self.add(Place {
                        id,
                        start: at as u64,
                        bytes,
                    });
                    bytes as usize
                }
                _ => 1,
            };
        }
    }

    fn add(&mut self, place: Place) {
        self.places.push_back(place);
        self.bytes += place.bytes;
        self.end = place.start + place.bytes;
        self.next_id = place.id + 1;
        let Bounds {
            letters_max,
            bytes_max,
        } = self.bounds;
        while self.places.len() > 1 && (self.places.len() > letters_max || self.bytes > bytes_max) {
            self.bytes -= self.places.pop_front().map_or(0, |it| it.bytes);
            self.dropped += 1;
        }
    }

    /// Appends a letter; its id. It is on the disk when this returns.
    ///
    /// # Errors
    /// Whatever writing fails with; then the letter is not there.
    pub fn append(&mut self, record: &Record<'_>, error: &str, refused_at_ms: u64) -> io::Result<u64> {
        let frame = self.frame(record, error, refused_at_ms)?;
        let (id, start, bytes) = (self.next_id, self.end, frame.len() as u64);
        if start + bytes > FILE_HEAD_BYTES as u64 + 2 * self.bounds.bytes_max && start - self.bytes > bytes {
            self.rewrite()?;
            return self.append(record, error, refused_at_ms);
        }
        self.file.write_all_at(&frame, start)?;
        if let Err(error) = self.file.sync_all() {
            // Nobody knows what is on the disk; a new file is, as a whole, or the old one is.
            self.rewrite()?;
            return Err(error);
        }
        self.add(Place { id, start, bytes });
        Ok(id)
    }

    fn frame(&self, record: &Record<'_>, error: &str, refused_at_ms: u64) -> io::Result<Vec<u8>> {
        let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
        let record = Sealed::new(record, 0).ok_or_else(too_long)?;
        let mut body = refused_at_ms.to_le_bytes().to_vec();
        body.extend_from_slice(&(error.len() as u32).to_le_bytes());
        body.extend_from_slice(error.as_bytes());
        record
            .parts()
            .iter()
            .for_each(|part| body.extend_from_slice(part));
        let mut frame = Vec::with_capacity(HEAD_BYTES + body.len());
        write_framed(&body, self.next_id, self.salt, &mut frame).ok_or_else(too_long)?;
        Ok(frame)
    }

    /// Letters with ids greater than `after`, the oldest first, `letters_max` at most.
    pub fn letters(&self, after: u64, letters_max: usize) -> io::Result<Vec<Letter>> {
        let wanted = self.places.iter().filter(|it| it.id > after).take(letters_max);
        wanted.map(|place| self.letter(place)).collect()
    }

    fn letter(&self, place: &Place) -> io::Result<Letter> {
        let frame = self.read(place)?;
        let body = Head::read(&frame).filter(|head| head.is_of(&frame[HEAD_BYTES..], self.salt));
        body.and_then(|head| Letter::decode(head.sequence, &frame[HEAD_BYTES..]))
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn read(&self, place: &Place) -> io::Result<Vec<u8>> {
        let mut frame = vec![0; place.bytes as usize];
        self.file.read_exact_at(&mut frame, place.start)?;
        Ok(frame)
    }

    /// Removes the letters with these ids; how many there were.
    ///
    /// # Errors
    /// Whatever writing fails with; then all are still there.
    pub fn remove(&mut self, ids: &[u64]) -> io::Result<usize> {
        self.keep(|id| !ids.contains(&id))
    }

    /// Removes all letters; how many there were.
    pub fn clear(&mut self) -> io::Result<usize> {
        self.keep(|_| false)
    }

    fn keep(&mut self, is_kept: impl Fn(u64) -> bool) -> io::Result<usize> {
        let before = self.places.clone();
        self.places.retain(|it| is_kept(it.id));
        let removed = before.len() - self.places.len();
        if removed > 0
            && let Err(error) = self.rewrite()
        {
            self.places = before;
            return Err(error);
        }
        Ok(removed)
    }

    /// Writes a file with the letters that are left, in the place of the old one.
    fn rewrite(&mut self) -> io::Result<()> {
        let first_id = self.places.front().map_or(self.next_id, |it| it.id);
        let mut all = file_head(first_id, self.salt);
        let mut places = VecDeque::with_capacity(self.places.len());
        for place in &self.places {
            places.push_back(Place {
                start: all.len() as u64,
                ..*place
            });
            all.extend_from_slice(&self.read(place)?);
        }
        self.file = write_anew(&self.dir, &all)?;
        self.bytes = places.iter().map(|it| it.bytes).sum();
        self.end = all.len() as u64;
        self.places = places;
        Ok(())
    }

    /// Letters that are kept.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of the letters that are kept.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Letters that gave way to newer ones since the file was opened.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The letter at the head of `bytes`: its id, and the bytes it takes.
fn letter_at(bytes: &[u8], salt: u32) -> Option<(u64, u64)> {
    let head = Head::read(bytes)?;
    let body = bytes.get(HEAD_BYTES..usize::try_from(head.record_bytes()).ok()?)?;
    if !head.is_of(body, salt) || head.sequence == u64::MAX {
        return None;
    }
    Letter::decode(head.sequence, body).map(|letter| (letter.id, head.record_bytes()))
}

fn file_head(first_id: u64, salt: u32) -> Vec<u8> {
    let mut rest = first_id.to_le_bytes().to_vec();
    rest.extend_from_slice(&salt.to_le_bytes());
    rest.extend_from_slice(&[0; 4]);
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&crc32c::crc32c(&rest).to_le_bytes());
    head.extend_from_slice(&rest);
    head
}

/// First id and salt.
fn read_file_head(bytes: &[u8]) -> Option<(u64, u32)> {
    let head: &[u8; FILE_HEAD_BYTES] = bytes.first_chunk()?;
    let (first_id, rest) = head[16..].split_first_chunk()?;
    let (salt, _) = rest.split_first_chunk()?;
    let (first_id, salt) = (u64::from_le_bytes(*first_id), u32::from_le_bytes(*salt));
    (head[..] == file_head(first_id, salt)).then_some((first_id, salt))
}

fn write_anew(dir: &Path, all: &[u8]) -> io::Result<File> {
    let temporary = dir.join(TEMPORARY);
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)?;
    file.write_all_at(all, 0)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(NAME))?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        letters_max: 5,
        bytes_max: 4096,
    };

    fn text<'a>(key: &'a [u8], value: &'a [u8]) -> Record<'a> {
        Record {
            db: 2,
            key,
            state: State::Text {
                value,
                deadline_ms: Some(9),
            },
        }
    }

    fn ids(letters: &DeadLetters) -> Vec<u64> {
        letters
            .letters(0, usize::MAX)
            .unwrap()
            .iter()
            .map(|it| it.id)
            .collect()
    }

    #[test]
    fn letters_are_there_again_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut letters = DeadLetters::open(dir.path(), BOUNDS).unwrap();
        assert!(letters.is_empty());
        assert_eq!(letters.append(&text(b"a", b"1"), "WRONGPASS", 100).unwrap(), 1);
        assert_eq!(letters.append(&text(b"b", b"2"), "OOM", 200).unwrap(), 2);
        let again = DeadLetters::open(dir.path(), BOUNDS).unwrap();
        let listed = again.letters(0, 10).unwrap();
        assert_eq!(listed, letters.letters(0, 10).unwrap());
        assert_eq!(
            (
                listed[1].record(),
                listed[1].error.as_str(),
                listed[1].refused_at_ms
            ),
            (text(b"b", b"2"), "OOM", 200)
        );
        assert_eq!(again.letters(1, 10).unwrap().len(), 1);
        assert_eq!(again.letters(0, 1).unwrap().len(), 1);
    }

    #[test]
    fn ids_are_not_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut letters = DeadLetters::open(dir.path(), BOUNDS).unwrap();
        for _ in 0..4 {
            letters.append(&text(b"k", b"v"), "no", 0).unwrap();
        }
        assert_eq!(letters.remove(&[2, 3, 77]).unwrap(), 2);
        assert_eq!(ids(&letters), [1, 4]);
        assert_eq!(letters.clear().unwrap(), 2);
        assert_eq!(letters.clear().unwrap(), 0);
        let mut letters = DeadLetters::open(dir.path(), BOUNDS).unwrap();
        assert_eq!(letters.append(&text(b"k", b"v"), "no", 0).unwrap(), 5);
    }

    #[test]
    fn the_oldest_give_way_and_the_file_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let mut letters = DeadLetters::open(dir.path(), BOUNDS).unwrap();
        for _ in 0..200 {
            letters.append(&text(b"k", &[1; 100]), "no", 0).unwrap();
            let file_bytes = fs::metadata(dir.path().join(NAME)).unwrap().len();
            assert!(
                file_bytes <= FILE_HEAD_BYTES as u64 + 2 * BOUNDS.bytes_max,
                "{file_bytes}"
            );
        }
        assert_eq!(ids(&letters), [196, 197, 198, 199, 200]);
        assert_eq!(letters.dropped(), 195);
        assert_eq!(
            ids(&DeadLetters::open(dir.path(), BOUNDS).unwrap()),
            [196, 197, 198, 199, 200]
        );
        letters.append(&text(b"k", &[1; 4000]), "no", 0).unwrap();
        assert_eq!(ids(&letters), [201]);
        letters.append(&text(b"k", &[1; 9000]), "no", 0).unwrap();
        assert_eq!(ids(&letters), [202], "one letter is kept, however long");
    }

    #[test]
    fn damage_costs_the_letters_that_it_hits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let mut letters = DeadLetters::open(dir.path(), BOUNDS).unwrap();
        for _ in 0..3 {
            letters.append(&text(b"key", b"value"), "no", 0).unwrap();
        }
        let whole = fs::read(&path).unwrap();
        for at in FILE_HEAD_BYTES..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(DeadLetters::open(dir.path(), BOUNDS).unwrap().len(), 2);
            fs::write(&path, &whole[..at]).unwrap();
            let mut torn = DeadLetters::open(dir.path(), BOUNDS).unwrap();
            let left = torn.len();
            assert!(left < 3);
            torn.append(&text(b"key", b"value"), "no", 0).unwrap();
            assert_eq!(
                ids(&DeadLetters::open(dir.path(), BOUNDS).unwrap()).len(),
                left + 1
            );
        }
        fs::write(&path, &whole[..10]).unwrap();
        assert!(DeadLetters::open(dir.path(), BOUNDS).is_err());
    }
}
