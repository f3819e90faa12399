//! A segment's name and the head of its file.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `FOREBAYJ` |
//! | 4 | version of the format, little-endian as all numbers here |
//! | 4 | CRC32C of the rest |
//! | 8 | ordinal: how many segments were begun before this one |
//! | 8 | first sequence |
//! | 4 | salt of its records' checksums |
//! | 4 | zeros |
//!
//! Records follow. What is in two segments (after a failed write, or a failed sync, it was written again) counts as it
//! stands in the one with the greater ordinal.

/// The bytes before the first record.
pub const SEGMENT_HEAD_BYTES: u64 = 40;

const MAGIC: &[u8; 8] = b"FOREBAYJ";
const VERSION: u32 = 1;
const ENDING: &str = ".journal";

/// What a segment's file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHead {
    /// Segments in the order in which they were begun.
    pub ordinal: u64,
    /// The sequence of its first record.
    pub first: u64,
    /// What the checksums of its records begin with.
    pub salt: u32,
}

/// What stands where the head should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// Nothing was written yet, or not all of it.
    Damaged,
    /// Written by a later version of this server.
    Version(u32),
}

impl SegmentHead {
    /// The file's name: the first sequence, with all digits so that names sort as numbers do, and the ordinal.
    pub fn name(&self) -> String {
        format!("{:020}-{}{ENDING}", self.first, self.ordinal)
    }

    /// As it stands in the file.
    pub fn encode(&self) -> [u8; SEGMENT_HEAD_BYTES as usize] {
        let mut head = [0; SEGMENT_HEAD_BYTES as usize];
        head[..8].copy_from_slice(MAGIC);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        head[16..24].copy_from_slice(&self.ordinal.to_le_bytes());
        head[24..32].copy_from_slice(&self.first.to_le_bytes());
        head[32..36].copy_from_slice(&self.salt.to_le_bytes());
        let checksum = crc32c::crc32c(&head[16..]);
        head[12..16].copy_from_slice(&checksum.to_le_bytes());
        head
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeadError> {
        let head: &[u8; SEGMENT_HEAD_BYTES as usize] = bytes.first_chunk().ok_or(HeadError::Damaged)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if head[..8] != *MAGIC {
            return Err(HeadError::Damaged);
        }
        if word(8) != VERSION {
            return Err(HeadError::Version(word(8)));
        }
        if word(12) != crc32c::crc32c(&head[16..]) {
            return Err(HeadError::Damaged);
        }
        Ok(Self {
            ordinal: long(16),
            first: long(24),
            salt: word(32),
        })
    }
}

/// Whether a file of this name is a segment.
pub fn is_name(name: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    name.strip_suffix(ENDING)
        .and_then(|numbers| numbers.split_once('-'))
        .is_some_and(|(first, ordinal)| is_number(first) && is_number(ordinal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_back() {
        let head = SegmentHead {
            ordinal: u64::MAX - 1,
            first: 0x0102_0304_0506_0708,
            salt: 7,
        };
        assert_eq!(SegmentHead::decode(&head.encode()), Ok(head));
        assert!(is_name(&head.name()));
        assert!(!is_name("spare-1.journal"));
        assert!(!is_name("1-.journal"));
    }

    #[test]
    fn damage_and_other_versions_are_told_apart() {
        let mut head = SegmentHead {
            ordinal: 1,
            first: 2,
            salt: 3,
        }
        .encode();
        assert_eq!(SegmentHead::decode(&head[..31]), Err(HeadError::Damaged));
        assert_eq!(SegmentHead::decode(&[0; 40]), Err(HeadError::Damaged));
        head[30] ^= 1;
        assert_eq!(SegmentHead::decode(&head), Err(HeadError::Damaged));
        head[8] = 9;
        assert_eq!(SegmentHead::decode(&head), Err(HeadError::Version(9)));
    }
}
