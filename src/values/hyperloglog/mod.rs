//! `HyperLogLog`: how many different elements were seen, to about 0.8 %, in at most 12 KiB.
//!
//! An element's hash chooses one of 16,384 registers and has a *rank* there, the position of its lowest set bit among
//! the remaining ones. A register keeps the highest rank it has seen; `estimate` tells what follows from
//! that.
//!
//! The bytes are Redis's, so that a sketch can be read and written as a string:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `HYLL` |
//! | 4 | 0: the registers are `dense`, 1: `sparse` |
//! | 5..8 | zero |
//! | 8..16 | the count when it was last asked for, little endian; the highest bit says that it is outdated |
//! | 16.. | the registers |

mod dense;
mod estimate;
mod hash;
mod sparse;

pub use estimate::Registers;
pub use hash::Seen;

/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;

/// How many bits of a hash choose the register.
const INDEX_BITS: u32 = 14;
/// The rank of a hash whose remaining bits are all zero.
const RANK_MAX: usize = 64 - INDEX_BITS as usize + 1;
const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const COUNT_AT: usize = 8;
const HEADER_BYTES: usize = 16;
/// In the last byte of the count.
const OUTDATED: u8 = 0x80;
/// Bytes of a dense sketch, the header included.
const DENSE_BYTES: usize = HEADER_BYTES + dense::BYTES;

/// How the registers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// Runs of equal registers.
    Sparse,
}

impl Encoding {
    /// The name that PFDEBUG ENCODING tells.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// The registers of a sparse sketch do not add up: somebody has written these bytes who should not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// The bytes of a sketch, to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
}

impl<'a> View<'a> {
    /// Takes `bytes` for a sketch if their header, and of a dense one their length, is that of one. O(1): the
    /// registers of a sparse one are not looked at.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let encoding = match bytes.get(ENCODING_AT)? {
            0 if bytes.len() == DENSE_BYTES => Encoding::Dense,
            1 if bytes.len() >= HEADER_BYTES => Encoding::Sparse,
            _ => return None,
        };
        bytes.starts_with(MAGIC).then_some(Self { bytes, encoding })
    }

    /// How the registers are written.
    pub fn encoding(self) -> Encoding {
        self.encoding
    }

    /// The count that was noted, unless it is outdated. O(1).
    pub fn noted_count(self) -> Option<u64> {
        let noted = self.bytes[COUNT_AT..HEADER_BYTES].try_into();
        let noted = u64::from_le_bytes(noted.expect("a count has 8 bytes"));
        (noted >> 63 == 0).then_some(noted)
    }

    /// How many different elements were probably seen. Linear in the bytes.
    pub fn count(self) -> Result<u64, Corrupted> {
        let histogram = match self.encoding {
            Encoding::Dense => dense::histogram(self.registers()),
            Encoding::Sparse => sparse::histogram(self.registers())?,
        };
        Ok(estimate::count(&histogram))
    }

    /// Raises each of `all` to this sketch's register, where that is higher. Linear in the bytes; on an error some may
    /// have been raised.
    pub fn merge_into(self, all: &mut Registers) -> Result<(), Corrupted> {
        match self.encoding {
            Encoding::Dense => {
                for (index, rank) in dense::ranks(self.registers()).enumerate() {
                    all.raise(index, rank);
                }
                Ok(())
            }
            Encoding::Sparse => {
                sparse::for_each_run(self.registers(), |indices, rank| all.raise_run(indices, rank))
            }
        }
    }

    /// All registers in order.
    pub fn unpacked(self) -> Result<Registers, Corrupted> {
        let mut all = Registers::default();
        self.merge_into(&mut all)?;
        Ok(all)
    }

    /// The runs of a sparse sketch in words, as PFDEBUG DECODE tells them; `None` of a dense one.
    pub fn runs(self) -> Option<String> {
        (self.encoding == Encoding::Sparse).then(|| sparse::in_words(self.registers()))
    }

    fn registers(self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }
}

/// A sketch of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HyperLogLog {
    bytes: Vec<u8>,
}

impl Default for HyperLogLog {
    fn default() -> Self {
        Self::new()
    }
}

impl From<View<'_>> for HyperLogLog {
    fn from(view: View<'_>) -> Self {
        Self {
            bytes: view.bytes.to_vec(),
        }
    }
}

impl HyperLogLog {
    /// A sparse one that has seen nothing.
    pub fn new() -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[ENCODING_AT] = 1;
        bytes.extend_from_slice(&sparse::EMPTY);
        Self { bytes }
    }

    /// The sketch as it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A look at it.
    pub fn view(&self) -> View<'_> {
        View::new(&self.bytes).expect("only sketches become one, and stay one")
    }

    /// Notes what was `seen`; tells whether a register was raised. A sparse sketch that would grow beyond
    /// `sparse_bytes_max`, or cannot hold the rank, becomes dense. Linear in the bytes of a sparse sketch, else O(1).
    ///
    /// On an error nothing was changed.
    pub fn add(&mut self, seen: Seen, sparse_bytes_max: usize) -> Result<bool, Corrupted> {
        if self.view().encoding == Encoding::Dense {
            return Ok(add_to_dense(&mut self.bytes, seen));
        }
        match sparse::raise(&mut self.bytes, HEADER_BYTES, seen, sparse_bytes_max)? {
            sparse::Raise::Unneeded => return Ok(false),
            sparse::Raise::Done => {}
            sparse::Raise::TooLarge => {
                self.make_dense()?;
                dense::raise(&mut self.bytes[HEADER_BYTES..], seen.index(), seen.rank());
            }
        }
        self.outdate_count();
        Ok(true)
    }

    /// Raises each register to that of `all`, where that is higher.
    pub fn add_all(&mut self, all: &Registers, sparse_bytes_max: usize) -> Result<(), Corrupted> {
        for seen in all.seen() {
            self.add(seen, sparse_bytes_max)?;
        }
        Ok(())
    }

    /// Writes the registers densely; tells whether they were not. The noted count stays.
    pub fn make_dense(&mut self) -> Result<bool, Corrupted> {
        if self.view().encoding == Encoding::Dense {
            return Ok(false);
        }
        let mut bytes = vec![0; DENSE_BYTES];
        bytes[..HEADER_BYTES].copy_from_slice(&self.bytes[..HEADER_BYTES]);
        bytes[ENCODING_AT] = 0;
        let registers = &mut bytes[HEADER_BYTES..];
        sparse::for_each_run(&self.bytes[HEADER_BYTES..], |indices, rank| {
            if rank > 0 {
                indices.for_each(|index| dense::set(registers, index, rank));
            }
        })?;
        self.bytes = bytes;
        Ok(true)
    }

    /// Marks the noted count as outdated.
    pub fn outdate_count(&mut self) {
        outdate_count(&mut self.bytes);
    }
}

/// Notes what was `seen` in the bytes of a dense sketch; tells whether a register was raised. O(1).
pub fn add_to_dense(bytes: &mut [u8], seen: Seen) -> bool {
    debug_assert!(View::new(bytes).is_some_and(|view| view.encoding == Encoding::Dense));
    let raised = dense::raise(&mut bytes[HEADER_BYTES..], seen.index(), seen.rank());
    if raised {
        outdate_count(bytes);
    }
    raised
}

/// Notes `count` in the bytes of a sketch.
pub fn note_count(bytes: &mut [u8], count: u64) {
    bytes[COUNT_AT..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// Marks the count noted in the bytes of a sketch as outdated.
pub fn outdate_count(bytes: &mut [u8]) {
    bytes[HEADER_BYTES - 1] |= OUTDATED;
}

#[cfg(test)]
mod tests;
