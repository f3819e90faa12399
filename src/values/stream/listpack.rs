//! The encoding of one element of a listpack: the format in which Redis keeps small collections, and the nodes of
//! streams in files and payloads.
//!
//! A listpack is a head of six bytes (its length in bytes in four, its elements in two), the elements, and a byte
//! `0xff`. An element is a kind with a length or a number, its bytes, and the length of these two once more in a form that
//! is read backwards. Texts that spell an integer in canonical form are stored as integers. The format is described in
//! Redis's `listpack.md`.

use crate::values::text::Text;

/// Bytes in front of the first element.
pub const HEAD_BYTES: usize = 6;
/// What stands behind the last element.
pub const END: u8 = 0xff;
/// Elements from which on the head does not tell how many there are.
pub const ELEMENTS_UNKNOWN: u16 = u16::MAX;

/// How many bytes an element takes for a text of `len` bytes: so many if it is no integer.
#[inline]
pub fn text_bytes_max(len: usize) -> usize {
    let bytes = len
        + match len {
            0..=63 => 1,
            64..=4095 => 2,
            _ => 5,
        };
    bytes + back_length_width(bytes)
}

/// Appends `text`, as an integer where it spells one.
#[inline]
pub fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    match Text::new(text) {
        Text::Int(number) => push_integer(out, number),
        Text::Bytes(bytes) => push_bytes(out, bytes),
    }
}

/// Appends an integer.
#[inline]
pub fn push_integer(out: &mut Vec<u8>, number: i64) {
    if (0..=127).contains(&number) {
        out.extend_from_slice(&[number as u8, 1]);
    } else {
        let (encoded, len) = encode_integer(number);
        out.extend_from_slice(&encoded[..len]);
        out.push(len as u8);
    }
}

/// The bytes of an integer without the length behind it, and how many they are.
pub fn encode_integer(number: i64) -> ([u8; 9], usize) {
    let mut encoded = [0; 9];
    let digits = number.to_le_bytes();
    let (kind, width) = match number {
        0..=127 => return ([number as u8, 0, 0, 0, 0, 0, 0, 0, 0], 1),
        -4096..=4095 => {
            encoded[0] = 0xc0 | (digits[1] & 0x1f);
            encoded[1] = digits[0];
            return (encoded, 2);
        }
        -32_768..=32_767 => (0xf1, 2),
        -8_388_608..=8_388_607 => (0xf2, 3),
        -2_147_483_648..=2_147_483_647 => (0xf3, 4),
        _ => (0xf4, 8),
    };
    encoded[0] = kind;
    encoded[1..=width].copy_from_slice(&digits[..width]);
    (encoded, width + 1)
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = bytes.len();
    let head = match len {
        0..=63 => {
            out.push(0x80 | len as u8);
            1
        }
        64..=4095 => {
            out.extend_from_slice(&[0xe0 | (len >> 8) as u8, len as u8]);
            2
        }
        _ => {
            out.push(0xf0);
            out.extend_from_slice(&(len as u32).to_le_bytes());
            5
        }
    };
    out.extend_from_slice(bytes);
    push_back_length(out, head + len);
}

/// Appends the length of an element for those who come from behind: seven bits a byte, the lowest last, all but the
/// first byte marked.
fn push_back_length(out: &mut Vec<u8>, len: usize) {
    let width = back_length_width(len);
    for at in (0..width).rev() {
        let mark = if at + 1 == width { 0 } else { 0x80 };
        out.push((len >> (7 * at)) as u8 & 0x7f | mark);
    }
}

/// How many bytes the length behind an element takes. The widths change one too early, as they do in Redis.
#[inline]
fn back_length_width(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Where an element's bytes stand and what they mean.
#[derive(Clone, Copy)]
enum Shape {
    /// An integer that is its own kind.
    Small,
    /// An integer of 13 bits, the highest in the kind.
    Thirteen,
    /// An integer of this many bytes behind the kind.
    Wide(usize),
    /// A text of `len` bytes, `head` bytes behind the element's start.
    Bytes { head: usize, len: usize },
}

impl Shape {
    /// The shape of the element at the head of `bytes`; none at the end, and where the bytes make no sense.
    #[inline]
    fn of(bytes: &[u8]) -> Option<Self> {
        let kind = *bytes.first()?;
        Some(match kind {
            0..=0x7f => Self::Small,
            0x80..=0xbf => Self::Bytes {
                head: 1,
                len: usize::from(kind & 0x3f),
            },
            0xc0..=0xdf => Self::Thirteen,
            0xe0..=0xef => Self::Bytes {
                head: 2,
                len: usize::from(kind & 0x0f) << 8 | usize::from(*bytes.get(1)?),
            },
            0xf0 => Self::Bytes {
                head: 5,
                len: u32::from_le_bytes(bytes.get(1..5)?.try_into().expect("four bytes")) as usize,
            },
            0xf1 => Self::Wide(2),
            0xf2 => Self::Wide(3),
            0xf3 => Self::Wide(4),
            0xf4 => Self::Wide(8),
            _ => return None,
        })
    }

    /// Bytes of the element without the length behind it.
    #[inline]
    fn len(self) -> usize {
        match self {
            Self::Small => 1,
            Self::Thirteen => 2,
            Self::Wide(width) => 1 + width,
            Self::Bytes { head, len } => head + len,
        }
    }
}

/// The element at `at`, and where the next one is. The listpack was checked, and `at` is an element's.
#[inline]
pub fn get(listpack: &[u8], at: usize) -> (Text<'_>, usize) {
    let bytes = &listpack[at..];
    let shape = Shape::of(bytes).expect("an element stands here");
    let len = shape.len();
    let text = match shape {
        Shape::Small => Text::Int(i64::from(bytes[0])),
        Shape::Thirteen => {
            let number = u16::from(bytes[0] & 0x1f) << 8 | u16::from(bytes[1]);
            // Moves the sign to the highest bit and back.
            Text::Int(i64::from((number << 3) as i16 >> 3))
        }
        Shape::Wide(width) => {
            let mut digits = [0; 8];
            digits[..width].copy_from_slice(&bytes[1..=width]);
            let unused = 64 - 8 * width as u32;
            Text::Int(i64::from_le_bytes(digits) << unused >> unused)
        }
        Shape::Bytes { head, len } => Text::Bytes(&bytes[head..head + len]),
    };
    (text, at + len + back_length_width(len))
}

/// The integer at `at`, and where the next element is.
#[inline]
pub fn get_integer(listpack: &[u8], at: usize) -> (i64, usize) {
    let first = listpack[at];
    if first < 0x80 {
        return (i64::from(first), at + 2);
    }
    let (text, next) = get(listpack, at);
    (text.integer().expect("an integer stands here"), next)
}

/// Where the element behind the one at `at` is.
#[inline]
pub fn next(listpack: &[u8], at: usize) -> usize {
    let len = Shape::of(&listpack[at..]).expect("an element stands here").len();
    at + len + back_length_width(len)
}

/// Where the element begins that ends in front of `end`, which is not the first one's start.
#[inline]
pub fn previous(listpack: &[u8], end: usize) -> usize {
    let (len, width) = back_length(&listpack[..end]).expect("an element ends here");
    end - len - width
}

/// The length at the end of `bytes` and its width.
#[inline]
fn back_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut len = 0;
    for (width, byte) in bytes.iter().rev().take(5).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * width);
        if byte & 0x80 == 0 {
            return Some((len, width + 1));
        }
    }
    None
}

/// How many bytes a listpack has by its head.
fn told_bytes(listpack: &[u8]) -> usize {
    u32::from_le_bytes(listpack[..4].try_into().expect("four bytes")) as usize
}

/// How many elements a listpack has by its head.
pub fn told_elements(listpack: &[u8]) -> u16 {
    u16::from_le_bytes([listpack[4], listpack[5]])
}

/// Whether `listpack` is one: its head tells its length, and every element is whole and has its length behind it.
/// Nothing else in this file may be used on bytes of strangers before. O(bytes).
pub fn is_valid(listpack: &[u8]) -> bool {
    if listpack.len() <= HEAD_BYTES || listpack.last() != Some(&END) || told_bytes(listpack) != listpack.len()
    {
        return false;
    }
    let body = &listpack[..listpack.len() - 1];
    let (mut at, mut elements) = (HEAD_BYTES, 0_usize);
    while at < body.len() {
        let Some(len) = Shape::of(&body[at..]).map(Shape::len) else {
            return false;
        };
        let end = at + len + back_length_width(len);
        if end > body.len() || back_length(&body[..end]) != Some((len, end - at - len)) {
            return false;
        }
        at = end;
        elements += 1;
    }
    let told = told_elements(listpack);
    told == ELEMENTS_UNKNOWN || usize::from(told) == elements
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finished(mut body: Vec<u8>, elements: u16) -> Vec<u8> {
        body.push(END);
        let len = body.len() as u32;
        body[..4].copy_from_slice(&len.to_le_bytes());
        body[4..6].copy_from_slice(&elements.to_le_bytes());
        body
    }

    /// What `DUMP` of redis-server 7.0.15 has for them.
    #[test]
    fn elements_have_the_bytes_of_redis() {
        let cases: [(&[u8], &[u8]); 11] = [
            (b"", &[0x80, 1]),
            (b"a", &[0x81, b'a', 2]),
            (b"007", &[0x83, b'0', b'0', b'7', 4]),
            (b"0", &[0, 1]),
            (b"127", &[127, 1]),
            (b"128", &[0xc0, 0x80, 2]),
            (b"-1", &[0xdf, 0xff, 2]),
            (b"-4096", &[0xd0, 0, 2]),
            (b"4096", &[0xf1, 0, 0x10, 3]),
            (b"-32769", &[0xf2, 0xff, 0x7f, 0xff, 4]),
            (b"-9223372036854775808", &[0xf4, 0, 0, 0, 0, 0, 0, 0, 0x80, 9]),
        ];
        for (text, bytes) in cases {
            let mut out = Vec::new();
            push_text(&mut out, text);
            assert_eq!(out, bytes, "{text:?}");
        }
    }

    #[test]
    fn lengths_of_all_widths_come_back() {
        for len in [63, 64, 4095, 4096, 16_376, 16_377, 16_378, 2_097_150, 2_097_151] {
            let mut out = vec![0; HEAD_BYTES];
            push_text(&mut out, &vec![b'x'; len]);
            let end = out.len();
            assert_eq!(end - HEAD_BYTES, text_bytes_max(len));
            assert!(is_valid(&finished(out.clone(), 1)), "{len}");
            let (text, next) = get(&out, HEAD_BYTES);
            assert_eq!((text.len(), next, previous(&out, end)), (len, end, HEAD_BYTES));
        }
    }

    proptest! {
        #[test]
        fn elements_are_read_in_both_directions(texts: Vec<Result<i64, Vec<u8>>>) {
            let texts: Vec<Vec<u8>> = texts
                .into_iter()
                .map(|text| text.map_or_else(|bytes| bytes, |number| number.to_string().into_bytes()))
                .collect();
            let mut out = vec![0; HEAD_BYTES];
            for text in &texts {
                push_text(&mut out, text);
            }
            let end = out.len();
            let listpack = finished(out, texts.len() as u16);
            prop_assert!(is_valid(&listpack));
            let mut starts = Vec::new();
            let mut at = HEAD_BYTES;
            for text in &texts {
                starts.push(at);
                let (found, next_at) = get(&listpack, at);
                let mut digits = [0; 20];
                prop_assert_eq!(found.as_bytes(&mut digits), text.as_slice());
                prop_assert_eq!(next(&listpack, at), next_at);
                at = next_at;
            }
            prop_assert_eq!(at, end);
            for start in starts.into_iter().rev() {
                at = previous(&listpack, at);
                prop_assert_eq!(at, start);
            }
        }

        #[test]
        fn what_is_valid_can_be_read(mut bytes: Vec<u8>, elements in 0..5_u16) {
            bytes.splice(..0, [0; HEAD_BYTES]);
            let listpack = finished(bytes, elements);
            if is_valid(&listpack) {
                let mut at = HEAD_BYTES;
                while listpack[at] != END {
                    at = get(&listpack, at).1;
                }
            }
        }
    }
}
