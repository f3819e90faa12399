//! Warming: names of keys that are fetched before anybody asks for them. Those of the hottest copies are saved when the
//! server ends, and fetched when it begins.
//!
//! # File
//! `FOREBAY-WARM 1\n`, then for each key, hottest first: database and length as 32-bit numbers, then the bytes; at the end
//! the CRC-32C of everything before it. Numbers are little-endian. It is written beside the old one and put in its
//! place, so that there always is a whole one.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::config::Config;
use crate::limits::WARM_FILE_BYTES_MAX;
use crate::store::FullName;

const HEAD: &[u8] = b"FOREBAY-WARM 1\n";
const SEAL_BYTES: usize = 4;
const NUMBER_BYTES: usize = 4;

/// Where the names are saved.
pub fn path(config: &Config) -> PathBuf {
    config.general.dir.join("warm-keys")
}

/// Saves names. Fails with what the file system fails with; then the old file is still there.
pub fn save(path: &Path, names: &[FullName]) -> io::Result<()> {
    let mut bytes = HEAD.to_vec();
    for FullName { db, key } in names {
        bytes.extend((*db as u32).to_le_bytes());
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(key);
    }
    let seal = crc32c::crc32c(&bytes);
    bytes.extend(seal.to_le_bytes());
    let fresh = path.with_extension("new");
    let mut file = fs::File::create(&fresh)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

/// Reads what was saved; nothing if there is no file. Fails with `InvalidData` if it is not whole.
pub fn load(path: &Path) -> io::Result<Vec<FullName>> {
    let bytes = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
        Ok(found) if found.len() > WARM_FILE_BYTES_MAX => return Err(io::ErrorKind::InvalidData.into()),
        Ok(_) => fs::read(path)?,
    };
    parse(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(bytes: &[u8]) -> Option<Vec<FullName>> {
    let (sealed, seal) = bytes.split_at_checked(bytes.len().checked_sub(SEAL_BYTES)?)?;
    if crc32c::crc32c(sealed).to_le_bytes() != *seal {
        return None;
    }
    let mut rest = sealed.strip_prefix(HEAD)?;
    let mut names = Vec::new();
    while !rest.is_empty() {
        let db = take_number(&mut rest)? as usize;
        let len = take_number(&mut rest)? as usize;
        let (key, behind) = rest.split_at_checked(len)?;
        names.push(FullName { db, key: key.into() });
        rest = behind;
    }
    Some(names)
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    let (number, behind) = rest.split_first_chunk::<NUMBER_BYTES>()?;
    *rest = behind;
    Some(u32::from_le_bytes(*number))
}

/// Keys that are to be brought in.
#[derive(Default)]
pub struct Queue {
    names: Mutex<VecDeque<FullName>>,
    /// How many there were at the start.
    saved: std::sync::atomic::AtomicUsize,
}

impl Queue {
    /// Queues what was saved.
    pub fn begin(&self, names: Vec<FullName>) {
        self.saved
            .store(names.len(), std::sync::atomic::Ordering::Relaxed);
        self.names.lock().extend(names);
    }

    /// Queues more, as many as there is room for; returns how many.
    pub fn push(&self, names: impl IntoIterator<Item = FullName>, keys_max: usize) -> usize {
        let mut queue = self.names.lock();
        let before = queue.len();
        let room = keys_max.saturating_sub(before);
        queue.extend(names.into_iter().take(room));
        queue.len() - before
    }

    /// Takes the next ones.
    pub fn take(&self, count: usize) -> Vec<FullName> {
        let mut queue = self.names.lock();
        let count = count.min(queue.len());
        queue.drain(..count).collect()
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.names.lock().len()
    }

    /// Whether of what was saved at least `percent` has been asked for.
    pub fn is_ready(&self, percent: u32) -> bool {
        let saved = self.saved.load(std::sync::atomic::Ordering::Relaxed);
        let asked = saved.saturating_sub(self.len());
        asked as u64 * 100 >= saved as u64 * u64::from(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<FullName> {
        let name = |number: usize| FullName {
            db: number % 3,
            key: number.to_string().into_bytes().into(),
        };
        (0..count).map(name).collect()
    }

    #[test]
    fn what_is_saved_is_loaded_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("warm-keys");
        assert!(load(&path).unwrap().is_empty());
        save(&path, &names(1000)).unwrap();
        assert_eq!(load(&path).unwrap(), names(1000));
        let whole = fs::read(&path).unwrap();
        for damaged in [&whole[..whole.len() - 1], &[0; 3], &[&whole[..], b"x"].concat()] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(load(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn readiness_waits_for_a_share_of_what_was_saved() {
        let queue = Queue::default();
        assert!(queue.is_ready(100), "nothing was saved");
        queue.begin(names(10));
        assert!(queue.is_ready(0) && !queue.is_ready(50));
        queue.take(5);
        assert!(queue.is_ready(50) && !queue.is_ready(60));
        assert_eq!(queue.push(names(100), 25), 20);
        queue.take(100);
        assert!(queue.is_ready(100));
    }
}
