//! A small file that tells what need not be read again.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | CRC32C of the rest |
//! | 8 | records below this sequence were released; little-endian as all numbers here |
//! | 16 each | first and last sequence of records that were lost, and the loss has been told |
//!
//! A file that is missing or damaged costs nothing but reading more.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const NAME: &str = "watermark";
const TEMPORARY: &str = "watermark.new";

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watermark {
    /// No record with a smaller sequence is needed.
    pub released: u64,
    /// First and last sequences of records that are known to be lost.
    pub lost: Vec<(u64, u64)>,
}

impl Watermark {
    /// Reads the file; what it can't tell is nothing.
    pub fn load(dir: &Path) -> Self {
        fs::read(dir.join(NAME))
            .ok()
            .and_then(|bytes| Self::decode(&bytes))
            .unwrap_or_default()
    }

    /// Replaces the file, from one moment to the next. Durable if something was lost: who has been told of a loss is
    /// not told again, and it isn't taken for damage.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        let temporary = dir.join(TEMPORARY);
        let mut file = File::create(&temporary)?;
        file.write_all(&self.encode())?;
        if !self.lost.is_empty() {
            file.sync_all()?;
        }
        fs::rename(&temporary, dir.join(NAME))?;
        if !self.lost.is_empty() {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&self.released.to_le_bytes());
        for (first, last) in &self.lost {
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&last.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (checksum, rest) = bytes.split_first_chunk()?;
        if crc32c::crc32c(rest) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (released, pairs) = rest.split_first_chunk()?;
        let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |it| u64::from_le_bytes(*it));
        let lost = pairs
            .chunks_exact(16)
            .map(|pair| (number(pair), number(&pair[8..])));
        Some(Self {
            released: u64::from_le_bytes(*released),
            lost: lost.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_are_read_back_or_worth_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Watermark::load(dir.path()), Watermark::default());
        let watermark = Watermark {
            released: 17,
            lost: vec![(3, 4), (9, 9)],
        };
        watermark.save(dir.path()).unwrap();
        assert_eq!(Watermark::load(dir.path()), watermark);
        let mut bytes = watermark.encode();
        bytes[7] ^= 1;
        assert_eq!(Watermark::decode(&bytes), None);
        assert_eq!(Watermark::decode(&[]), None);
    }
}
