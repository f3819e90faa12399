//! One record: which state a key has now.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the body, little-endian as all numbers here; never 0 |
//! | 4 | CRC32C of the body, then of the length and the sequence (8 bytes each), begun with the salt |
//! | 8 | sequence |
//! | 1 | what follows: `TEXT`, `PAYLOAD` or `REMOVED`, with `DEADLINE` if there is one; or `PROVEN`, and nothing follows |
//! | 4 | database |
//! | 4 | length of the key |
//! | … | key |
//! | 8 | deadline in milliseconds since 1970, with `DEADLINE` only |
//! | … | value: the text, or the payload of DUMP |
//!
//! Zeros are no record: they are what space looks like that nobody has written yet. The salt is a random number that
//! each segment tells: what looks like a record inside a client's value is none.

/// Length, checksum and sequence.
pub const HEAD_BYTES: usize = 16;

/// The shortest record: one that is `PROVEN`.
pub const RECORD_BYTES_MIN: usize = HEAD_BYTES + 1;

/// What a record takes beside its key and its value, at most.
const OVERHEAD_BYTES: usize = HEAD_BYTES + BODY_HEAD_BYTES + 8;

/// Kind, database, length of the key.
const BODY_HEAD_BYTES: usize = 9;

const TEXT: u8 = 1;
const PAYLOAD: u8 = 2;
const REMOVED: u8 = 3;
/// All records up to this one's sequence were on the disk when it was written.
const PROVEN: u8 = 4;
const DEADLINE: u8 = 0x80;

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State<'a> {
    /// It holds a text.
    Text {
        /// The text.
        value: &'a [u8],
        /// Milliseconds since 1970.
        deadline_ms: Option<u64>,
    },
    /// It holds a value of any type.
    Payload {
        /// As DUMP returns it.
        payload: &'a [u8],
        /// Milliseconds since 1970.
        deadline_ms: Option<u64>,
    },
    /// It does not exist.
    Removed,
}

/// A record as it is appended and as it is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The database of the key.
    pub db: u32,
    /// The key.
    pub key: &'a [u8],
    /// What it holds from now on.
    pub state: State<'a>,
}

/// What a valid record turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// The state of a key.
    Record(Record<'a>),
    /// The sequence of this one, and all below, were on the disk.
    Proven,
}

/// An upper bound of the bytes that a record takes.
pub fn bytes_max(key_len: usize, value_len: usize) -> u64 {
    (OVERHEAD_BYTES + key_len + value_len) as u64
}

/// A record that is encoded but for its sequence, which is known only when its turn has come. Keys and values are
/// borrowed until then.
pub struct Sealed<'a> {
    /// What stands before the key.
    before: [u8; BODY_HEAD_BYTES],
    key: &'a [u8],
    deadline: Option<[u8; 8]>,
    value: &'a [u8],
    /// The whole body, if it is as short as most are.
    short: Aligned<SHORT_BYTES>,
    body_bytes: u32,
    body_checksum: u32,
}

/// Bodies up to this length are put together before their checksum is taken: it costs least over one aligned slice.
const SHORT_BYTES: usize = 256;

#[repr(align(8))]
struct Aligned<const BYTES: usize>([u8; BYTES]);

impl<'a> Sealed<'a> {
    /// Encodes `record` and reads all of it once, for its checksum. `None` if it is longer than a length can tell.
    #[inline]
    pub fn new(record: &Record<'a>, salt: u32) -> Option<Self> {
        let (kind, value, deadline_ms) = match record.state {
            State::Text { value, deadline_ms } => (TEXT, value, deadline_ms),
            State::Payload { payload, deadline_ms } => (PAYLOAD, payload, deadline_ms),
            State::Removed => (REMOVED, [].as_slice(), None),
        };
        let deadline = deadline_ms.map(u64::to_le_bytes);
        let key_len = u32::try_from(record.key.len()).ok()?;
        let mut before = [0; BODY_HEAD_BYTES];
        before[0] = kind | deadline.map_or(0, |_| DEADLINE);
        before[1..5].copy_from_slice(&record.db.to_le_bytes());
        before[5..].copy_from_slice(&key_len.to_le_bytes());
        let of_deadline = deadline.as_ref().map_or([].as_slice(), |it| it);
        let parts: [&[u8]; 4] = [&before, record.key, of_deadline, value];
        let body_bytes = u32::try_from(parts.iter().map(|part| part.len()).sum::<usize>()).ok()?;
        let mut short = Aligned([0; SHORT_BYTES]);
        let body_checksum = match short.0.get_mut(..body_bytes as usize) {
            Some(body) => {
                put_together(&parts, body);
                crc32c::crc32c_append(salt, body)
            }
            None => parts.into_iter().fold(salt, crc32c::crc32c_append),
        };
        Some(Self {
            before,
            key: record.key,
            deadline,
            value,
            short,
            body_bytes,
            body_checksum,
        })
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.body_bytes)
    }

    /// Writes it behind `out`.
    #[inline]
    pub fn write(&self, sequence: u64, out: &mut Vec<u8>) {
        out.reserve(self.bytes() as usize);
        write_head(self.body_bytes, self.body_checksum, sequence, out);
        if let Some(body) = self.short.0.get(..self.body_bytes as usize) {
            out.extend_from_slice(body);
            return;
        }
        for part in self.parts() {
            out.extend_from_slice(part);
        }
    }

    /// The body, which [`decode`] reads.
    pub fn parts(&self) -> [&[u8]; 4] {
        let deadline = self.deadline.as_ref().map_or([].as_slice(), |it| it.as_slice());
        [&self.before, self.key, deadline, self.value]
    }
}

/// Fills `body` with `parts`, which are as long.
#[inline]
fn put_together(parts: &[&[u8]], body: &mut [u8]) {
    let mut rest = body;
    for part in parts {
        let (place, behind) = rest.split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = behind;
    }
}

/// Writes behind `out` that everything up to `sequence` is on the disk.
pub fn write_proven(sequence: u64, salt: u32, out: &mut Vec<u8>) {
    write_head(1, crc32c::crc32c_append(salt, &[PROVEN]), sequence, out);
    out.push(PROVEN);
}

/// Writes any body behind `out`, with a head that tells whether it is whole; `None` if it is too long.
pub fn write_framed(body: &[u8], sequence: u64, salt: u32, out: &mut Vec<u8>) -> Option<()> {
    let body_bytes = u32::try_from(body.len()).ok()?;
    write_head(body_bytes, crc32c::crc32c_append(salt, body), sequence, out);
    out.extend_from_slice(body);
    Some(())
}

fn write_head(body_bytes: u32, body_checksum: u32, sequence: u64, out: &mut Vec<u8>) {
    let checksum = checksum(body_checksum, body_bytes, sequence);
    out.extend_from_slice(&body_bytes.to_le_bytes());
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
}

fn checksum(body_checksum: u32, body_bytes: u32, sequence: u64) -> u32 {
    let mut head = Aligned([0; 16]);
    head.0[..8].copy_from_slice(&u64::from(body_bytes).to_le_bytes());
    head.0[8..].copy_from_slice(&sequence.to_le_bytes());
    crc32c::crc32c_append(body_checksum, &head.0)
}

/// What stands before each body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    body_bytes: u32,
    checksum: u32,
    /// The sequence.
    pub sequence: u64,
}

impl Head {
    /// Reads what may be the head of a record; `None` if there are too few bytes, or if it announces no body.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (body_bytes, rest) = bytes.split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let (sequence, _) = rest.split_first_chunk()?;
        let head = Self {
            body_bytes: u32::from_le_bytes(*body_bytes),
            checksum: u32::from_le_bytes(*checksum),
            sequence: u64::from_le_bytes(*sequence),
        };
        (head.body_bytes > 0).then_some(head)
    }

    /// The bytes of the whole record.
    pub fn record_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.body_bytes)
    }

    /// Whether `body` is exactly what was written behind this head.
    pub fn is_of(&self, body: &[u8], salt: u32) -> bool {
        let is_whole = body.len() == self.body_bytes as usize;
        is_whole
            && checksum(crc32c::crc32c_append(salt, body), self.body_bytes, self.sequence) == self.checksum
    }

    /// Reads what follows the head; `None` unless `body` is exactly what was written.
    pub fn entry<'a>(&self, body: &'a [u8], salt: u32) -> Option<Entry<'a>> {
        if !self.is_of(body, salt) {
            return None;
        }
        if body == [PROVEN] {
            return Some(Entry::Proven);
        }
        decode(body).map(Entry::Record)
    }
}

/// Reads the body of a record; any bytes will do.
pub fn decode(body: &[u8]) -> Option<Record<'_>> {
    let (&kind, rest) = body.split_first()?;
    let (db, rest) = rest.split_first_chunk()?;
    let (key_len, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
    let (deadline_ms, rest) = if kind & DEADLINE == 0 {
        (None, rest)
    } else {
        let (deadline_ms, rest) = rest.split_first_chunk()?;
        (Some(u64::from_le_bytes(*deadline_ms)), rest)
    };
    let state = match kind & !DEADLINE {
        TEXT => State::Text {
            value: rest,
            deadline_ms,
        },
        PAYLOAD => State::Payload {
            payload: rest,
            deadline_ms,
        },
        REMOVED if rest.is_empty() && deadline_ms.is_none() => State::Removed,
        _ => return None,
    };
    Some(Record {
        db: u32::from_le_bytes(*db),
        key,
        state,
    })
}

/// The entry at the head of `bytes`, its sequence, and how many bytes it takes.
#[cfg(test)]
pub fn read(bytes: &[u8], salt: u32) -> Option<(u64, Entry<'_>, usize)> {
    let head = Head::read(bytes)?;
    let end = usize::try_from(head.record_bytes()).ok()?;
    let entry = head.entry(bytes.get(HEAD_BYTES..end)?, salt)?;
    Some((head.sequence, entry, end))
}

/// Cuts whole records off the head of `bytes`, which are valid: those that begin before `limit`, and at least one.
/// Returns where the cut is.
pub fn leading(bytes: &[u8], limit: usize) -> usize {
    if bytes.len() <= limit {
        return bytes.len();
    }
    let mut at = 0;
    while let Some(head) = bytes.get(at..).and_then(Head::read) {
        at += head.record_bytes() as usize;
        if at >= limit {
            break;
        }
    }
    at
}

/// The sequence of the first of these valid records that is a state; `None` if there is none.
pub fn first_sequence(bytes: &[u8]) -> Option<u64> {
    let mut rest = bytes;
    while let Some(head) = Head::read(rest) {
        let record_bytes = head.record_bytes() as usize;
        if rest.get(HEAD_BYTES) != Some(&PROVEN) {
            return Some(head.sequence);
        }
        rest = rest.get(record_bytes..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: u32 = 0x1234_5678;

    fn encoded(record: &Record<'_>, sequence: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let sealed = Sealed::new(record, SALT).unwrap();
        sealed.write(sequence, &mut out);
        assert_eq!(out.len() as u64, sealed.bytes());
        out
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(read(&[0; 64], SALT), None);
        assert_eq!(read(&[], SALT), None);
    }

    #[test]
    fn salts_differ() {
        let bytes = encoded(&removed(b"key"), 1);
        assert!(read(&bytes, SALT).is_some());
        assert_eq!(read(&bytes, SALT + 1), None);
    }

    #[test]
    fn proof_is_read_back() {
        let mut out = Vec::new();
        write_proven(77, SALT, &mut out);
        assert_eq!(out.len(), RECORD_BYTES_MIN);
        assert_eq!(read(&out, SALT), Some((77, Entry::Proven, RECORD_BYTES_MIN)));
        assert_eq!(first_sequence(&out), None);
        Sealed::new(&removed(b"k"), SALT).unwrap().write(78, &mut out);
        assert_eq!(first_sequence(&out), Some(78));
    }

    fn removed(key: &[u8]) -> Record<'_> {
        Record {
            db: 0,
            key,
            state: State::Removed,
        }
    }

    /// The check value of CRC32C (RFC 3720, B.4), so that a change of crate can't change the format.
    #[test]
    fn checksum_is_that_of_castagnoli() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8A91_36AA);
    }

    #[test]
    fn runs_are_cut_between_records() {
        let one = encoded(&removed(b"key"), 1);
        let three = one.repeat(3);
        assert_eq!(leading(&three, three.len()), three.len());
        assert_eq!(leading(&three, three.len() - 1), three.len());
        assert_eq!(leading(&three, 2 * one.len()), 2 * one.len());
        assert_eq!(leading(&three, one.len() + 1), 2 * one.len());
        assert_eq!(leading(&three, 1), one.len());
    }

    proptest! {
        #[test]
        fn records_are_read_back(
            sequence: u64, db: u32, key: Vec<u8>, value: Vec<u8>, deadline_ms: Option<u64>, kind in 0..3,
        ) {
            let state = match kind {
                0 => State::Text { value: &value, deadline_ms },
                1 => State::Payload { payload: &value, deadline_ms },
                _ => State::Removed,
            };
            let record = Record { db, key: &key, state };
            let bytes = encoded(&record, sequence);
            prop_assert!(bytes.len() as u64 <= bytes_max(key.len(), value.len()));
            prop_assert_eq!(read(&bytes, SALT), Some((sequence, Entry::Record(record), bytes.len())));
        }

        #[test]
        fn any_change_is_noticed(key: Vec<u8>, value: Vec<u8>, at: prop::sample::Index, change in 1..=255u8) {
            let mut bytes = encoded(&Record { db: 3, key: &key, state: State::Text { value: &value, deadline_ms: None } }, 9);
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert_eq!(read(&bytes, SALT), None);
        }

        #[test]
        fn torn_records_are_noticed(value: Vec<u8>, cut: prop::sample::Index) {
            let bytes = encoded(&Record { db: 0, key: b"k", state: State::Payload { payload: &value, deadline_ms: Some(1) } }, 9);
            prop_assert_eq!(read(&bytes[..cut.index(bytes.len())], SALT), None);
        }

        #[test]
        fn strangers_bytes_do_no_harm(bytes: Vec<u8>) {
            let _ = read(&bytes, SALT);
            let _ = decode(&bytes);
        }
    }
}
