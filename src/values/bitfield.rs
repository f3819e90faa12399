//! Integers of any width at any bit of a string, as BITFIELD knows them.

use super::text;

/// An integer type: `i1` to `i64` and `u1` to `u63`. (Replies are signed 64-bit integers, so there is no `u64`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    signed: bool,
    bits: u32,
}

/// What happens to a value that its field cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Only the lowest bits are kept.
    #[default]
    Wrap,
    /// The nearest value that the field can hold is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Field {
    /// Reads `i8`, `u16` and the like, in lower case; `None` for other letters and impossible widths.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let (letter, digits) = name.split_first()?;
        let (signed, bits_max) = match letter {
            b'i' => (true, 64),
            b'u' => (false, 63),
            _ => return None,
        };
        let bits = u32::try_from(text::canonical_integer(digits)?).ok()?;
        (1..=bits_max).contains(&bits).then_some(Self { signed, bits })
    }

    /// The width in bits: the unit of BITFIELD's `#` offsets.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// How many bytes a string needs to hold this field at `bit_offset`.
    pub fn end_bytes(self, bit_offset: usize) -> usize {
        (bit_offset + self.bits as usize).div_ceil(8)
    }

    /// The value at `bit_offset`. Bits beyond the end of `bytes` are zero.
    pub fn get(self, bytes: &[u8], bit_offset: usize) -> i64 {
        let raw = self.window(bytes, bit_offset) >> self.shift(bit_offset);
        self.wrap(raw.cast_signed())
    }

    /// Replaces the value at `bit_offset` and returns the former one, or `None`, with nothing written, where
    /// the new one does not fit and `overflow` says so. An unsigned field takes a negative value as the
    /// 64-bit pattern that it is. `bytes` must hold [`Self::end_bytes`].
    ///
    /// Saturating a value near `i64::MIN` gives the minimum; Redis 7's own check overflows there and gives
    /// the maximum.
    pub fn set(self, bytes: &mut [u8], bit_offset: usize, value: i64, overflow: Overflow) -> Option<i64> {
        let value = if self.signed {
            i128::from(value)
        } else {
            i128::from(value.cast_unsigned())
        };
        let fitted = self.fit(value, overflow)?;
        let former = self.get(bytes, bit_offset);
        self.write(bytes, bit_offset, fitted);
        Some(former)
    }

    /// Adds to the value at `bit_offset` and returns the sum as stored, or `None`, with nothing written,
    /// where it does not fit and `overflow` says so. `bytes` must hold [`Self::end_bytes`].
    pub fn increment(
        self,
        bytes: &mut [u8],
        bit_offset: usize,
        increment: i64,
        overflow: Overflow,
    ) -> Option<i64> {
        let sum = i128::from(self.get(bytes, bit_offset)) + i128::from(increment);
        let fitted = self.fit(sum, overflow)?;
        self.write(bytes, bit_offset, fitted);
        Some(fitted)
    }

    fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.bounds();
        match overflow {
            _ if (min..=max).contains(&value) => Some(value as i64),
            Overflow::Wrap => Some(self.wrap(value)),
            Overflow::Saturate => Some(value.clamp(min, max) as i64),
            Overflow::Fail => None,
        }
    }

    fn bounds(self) -> (i128, i128) {
        if self.signed {
            let half = 1_i128 << (self.bits - 1);
            (-half, half - 1)
        } else {
            (0, (1_i128 << self.bits) - 1)
        }
    }

    /// The lowest bits of `value`, the sign extended.
    fn wrap(self, value: i128) -> i64 {
        let unused = 128 - self.bits;
        let top_aligned = value << unused;
        if self.signed {
            (top_aligned >> unused) as i64
        } else {
            (top_aligned.cast_unsigned() >> unused) as i64
        }
    }

    fn write(self, bytes: &mut [u8], bit_offset: usize, value: i64) {
        let mask = ((1_u128 << self.bits) - 1) << self.shift(bit_offset);
        let value = (i128::from(value).cast_unsigned() << self.shift(bit_offset)) & mask;
        let window = (self.window(bytes, bit_offset) & !mask) | value;
        let touched = bit_offset / 8..self.end_bytes(bit_offset);
        let window_bytes = window.to_be_bytes();
        bytes[touched.clone()].copy_from_slice(&window_bytes[..touched.len()]);
    }

    /// The 16 bytes from the one that holds `bit_offset`, first byte highest: any field fits in nine of them.
    fn window(self, bytes: &[u8], bit_offset: usize) -> u128 {
        let mut window = [0; 16];
        let start = (bit_offset / 8).min(bytes.len());
        let end = self.end_bytes(bit_offset).min(bytes.len());
        window[..end - start].copy_from_slice(&bytes[start..end]);
        u128::from_be_bytes(window)
    }

    /// How far the field's lowest bit lies above the lowest bit of its window.
    fn shift(self, bit_offset: usize) -> u32 {
        128 - (bit_offset % 8) as u32 - self.bits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::values::bits;

    fn field(name: &str) -> Field {
        Field::parse(name.as_bytes()).unwrap()
    }

    #[test]
    fn parses_types_up_to_i64_and_u63() {
        assert_eq!(
            field("i64"),
            Field {
                signed: true,
                bits: 64
            }
        );
        assert_eq!(
            field("u63"),
            Field {
                signed: false,
                bits: 63
            }
        );
        for bad in [
            "", "i", "u", "i0", "u0", "i65", "u64", "x8", "I8", "i08", "i+8", "i-8", "i8 ",
        ] {
            assert_eq!(Field::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn overflows_as_redis_does() {
        #[rustfmt::skip] // A table: field, value, added, wrapped, saturated. Answers are a real server's.
        let table = [
            ("u8",  250,      10,       4,        Some(255)),
            ("u8",  5,        -10,      251,      Some(0)),
            ("i8",  120,      10,       -126,     Some(127)),
            ("i8",  -120,     -10,      126,      Some(-128)),
            ("u1",  1,        1,        0,        Some(1)),
            ("i64", i64::MAX, 1,        i64::MIN, Some(i64::MAX)),
            ("i64", i64::MIN, -1,       i64::MAX, Some(i64::MIN)),
            ("u63", i64::MAX, i64::MAX, i64::MAX - 1, Some(i64::MAX)),
        ];
        for (name, value, added, wrapped, saturated) in table {
            for (overflow, expected) in [
                (Overflow::Wrap, Some(wrapped)),
                (Overflow::Saturate, saturated),
                (Overflow::Fail, None),
            ] {
                let mut bytes = [0; 8];
                field(name).set(&mut bytes, 0, value, Overflow::Fail);
                let sum = field(name).increment(&mut bytes, 0, added, overflow);
                assert_eq!(sum, expected, "{name} {value} + {added} {overflow:?}");
                assert_eq!(field(name).get(&bytes, 0), expected.unwrap_or(value));
            }
        }
    }

    #[test]
    fn setting_overflows_too() {
        let mut bytes = [0; 1];
        assert_eq!(field("u8").set(&mut bytes, 0, -1, Overflow::Saturate), Some(0));
        assert_eq!(bytes, [255]);
        assert_eq!(field("i8").set(&mut bytes, 0, 200, Overflow::Wrap), Some(-1));
        assert_eq!(field("i8").get(&bytes, 0), -56);
        assert_eq!(field("i8").set(&mut bytes, 0, 200, Overflow::Fail), None);
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote_and_nothing_else_changes(
            signed: bool,
            bits in 1..=64_u32,
            bit_offset in 0..70_usize,
            value: i64,
            filler: u8,
        ) {
            let field = Field { signed, bits: bits.min(if signed { 64 } else { 63 }) };
            let before = [filler; 20];
            let mut after = before;
            let stored = field.wrap(i128::from(value));
            prop_assert_eq!(
                field.set(&mut after, bit_offset, value, Overflow::Wrap),
                Some(field.get(&before, bit_offset))
            );
            prop_assert_eq!(field.get(&after, bit_offset), stored);
            let inside = bit_offset..bit_offset + field.bits as usize;
            for index in 0..160 {
                let expected = if inside.contains(&index) {
                    value >> (inside.end - 1 - index) & 1 == 1
                } else {
                    bits::get(&before, index)
                };
                prop_assert_eq!(bits::get(&after, index), expected);
            }
        }

        #[test]
        fn bits_beyond_the_end_are_zero(bit_offset in 0..40_usize, bits in 1..=63_u32) {
            let field = Field { signed: false, bits };
            let short = [0xff_u8; 2];
            let mut padded = [0; 16];
            padded[..2].fill(0xff);
            prop_assert_eq!(field.get(&short, bit_offset), field.get(&padded, bit_offset));
        }
    }
}
