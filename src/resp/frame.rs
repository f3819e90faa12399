//! Replies of an upstream: a bounded scanner that finds where one ends, and views on what it found.
//!
//! All types of RESP2 and RESP3 are known, attributes and pushes included; streamed strings and
//! aggregates, which no server sends, are refused. Nothing recurses: an upstream that goes mad costs an error, not
//! the stack. Source: <https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md>.

use std::fmt;

use memchr::memchr;

use super::number;
use super::reply::{push_bulk, push_error, push_header};
use crate::limits;

/// What a scanner accepts; all in bytes or counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The longest byte string.
    pub bulk_bytes_max: usize,
    /// The most elements of all aggregates of one frame together.
    pub elements_max: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            bulk_bytes_max: limits::BULK_BYTES_MAX,
            elements_max: limits::FRAME_ELEMENTS_MAX,
        }
    }
}

/// What [`FrameScanner::scan`] found at the head of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// One frame; it takes this many bytes, the attributes before it included.
    Whole {
        /// Bytes of input that the frame took.
        bytes: usize,
    },
    /// The frame goes on behind the input.
    Partial {
        /// No call can make progress before this many bytes were added, never zero. It is worth
        /// reserving: at most as much as was received, or [`limits::READ_AHEAD_BYTES_MAX`].
        needed: usize,
    },
}

/// Why bytes are no frame that we take. The link to the upstream cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A frame or element starts with a byte that is no type.
    UnknownType(u8),
    /// A length or count is no number, or is negative where there is no null.
    InvalidLength,
    /// A line does not end in `\r\n`, or a byte string is not followed by it.
    MissingLineEnd,
    /// The text of a number, boolean, null or verbatim string is none.
    InvalidValue,
    /// A streamed string or aggregate, or an end of one.
    Streamed,
    /// A line of more than [`limits::FRAME_LINE_BYTES_MAX`].
    LineTooLong,
    /// A byte string above the limit.
    BulkTooLong,
    /// More elements than the limit.
    TooManyElements,
    /// Aggregates nested more than [`limits::FRAME_DEPTH_MAX`] deep.
    TooDeep,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match *self {
            Self::UnknownType(byte) => return write!(f, "unknown type '{}' in a reply", byte.escape_ascii()),
            Self::InvalidLength => "invalid length in a reply",
            Self::MissingLineEnd => "missing line end in a reply",
            Self::InvalidValue => "invalid value in a reply",
            Self::Streamed => "streamed values are not supported in a reply",
            Self::LineTooLong => "too long line in a reply",
            Self::BulkTooLong => "too long string in a reply",
            Self::TooManyElements => "too many elements in a reply",
            Self::TooDeep => "too deeply nested reply",
        };
        f.write_str(what)
    }
}

impl std::error::Error for FrameError {}

/// The type of a frame. Nulls of RESP2 are [`FrameKind::Null`], whatever they are the null of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A status such as `OK`.
    Simple,
    /// An error, of one line or of many.
    Error,
    /// A signed integer of 64 bits.
    Integer,
    /// A byte string.
    Bulk,
    /// The absence of a value.
    Null,
    /// A truth value.
    Boolean,
    /// A double.
    Double,
    /// An integer of any size.
    BigNumber,
    /// A text for people, with a format.
    Verbatim,
    /// An ordered sequence.
    Array,
    /// Pairs; its children are keys and values in turn.
    Map,
    /// An unordered collection.
    Set,
    /// A message that no request asked for.
    Push,
}

/// Finds the ends of frames, one after another, and keeps its place in one that is not whole yet.
#[derive(Default)]
pub struct FrameScanner {
    /// Where the next element starts.
    position: usize,
    /// How far behind `position` the end of a line was searched in vain.
    searched: usize,
    /// For each open aggregate the elements that it still lacks; the outermost first.
    lacking: [usize; limits::FRAME_DEPTH_MAX],
    depth: usize,
    /// Elements announced by all aggregates of this frame.
    elements: usize,
    /// Whether the value itself has begun; in front of it only attributes stand.
    has_value: bool,
}

impl FrameScanner {
    /// Looks for the end of the frame at the head of `input`.
    ///
    /// `input` starts where the last frame ended. After [`Scanned::Partial`] the caller calls again with
    /// the same bytes and more, which may have moved in memory. Bytes are looked at once, however they
    /// are cut. After an error the scanner is of no further use.
    pub fn scan(&mut self, input: &[u8], limits: &FrameLimits) -> Result<Scanned, FrameError> {
        loop {
            let rest = input.get(self.position..).unwrap_or_default();
            let Some(element) = self.read_head(rest)? else {
                return Ok(Scanned::Partial { needed: 1 });
            };
            if element.body == Body::Streamed {
                return Err(FrameError::Streamed);
            }
            if element.payload_bytes() > limits.bulk_bytes_max {
                return Err(FrameError::BulkTooLong);
            }
            if rest.len() < element.bytes() {
                let needed =
                    (element.bytes() - rest.len()).min(input.len().max(limits::READ_AHEAD_BYTES_MAX));
                return Ok(Scanned::Partial { needed });
            }
            element.check_value(rest)?;
            self.position += element.bytes();
            if self.take(&element, limits)? {
                let bytes = self.position;
                *self = Self::default();
                return Ok(Scanned::Whole { bytes });
            }
        }
    }

    /// Reads the first line of the element at the head of `rest`; `None` if it is not whole.
    fn read_head(&mut self, rest: &[u8]) -> Result<Option<Element>, FrameError> {
        let unsearched = rest.get(self.searched..).unwrap_or_default();
        let end = memchr(b'\n', unsearched).map(|offset| self.searched + offset);
        if end.unwrap_or(rest.len()) > limits::FRAME_LINE_BYTES_MAX {
            return Err(FrameError::LineTooLong);
        }
        let Some(end) = end else {
            self.searched = rest.len();
            return Ok(None);
        };
        self.searched = 0;
        Element::parse(&rest[..=end]).map(Some)
    }

    /// Counts an element where it belongs; true if it was the last of the frame.
    fn take(&mut self, element: &Element, limits: &FrameLimits) -> Result<bool, FrameError> {
        if element.is_attribute() {
            // It is no element of its aggregate, but an endless row of them must not pass.
            self.elements += 1;
        } else if let Some(lacking) = self.lacking[..self.depth].last_mut() {
            *lacking -= 1;
        } else {
            self.has_value = true;
        }
        self.open(element.children(), limits)?;
        while self.depth > 0 && self.lacking[self.depth - 1] == 0 {
            self.depth -= 1;
        }
        Ok(self.depth == 0 && self.has_value)
    }

    fn open(&mut self, children: usize, limits: &FrameLimits) -> Result<(), FrameError> {
        self.elements = self.elements.saturating_add(children);
        if self.elements > limits.elements_max {
            return Err(FrameError::TooManyElements);
        }
        if children > 0 {
            *self.lacking.get_mut(self.depth).ok_or(FrameError::TooDeep)? = children;
            self.depth += 1;
        }
        Ok(())
    }
}

/// A scalar, or the head of an aggregate, by what its first line says.
#[derive(Clone, Copy)]
struct Element {
    kind: u8,
    /// Bytes of the first line, its end included.
    line_bytes: usize,
    body: Body,
}

/// What follows the first line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Nothing,
    /// The line is a null of RESP2.
    Null,
    /// So many bytes and a line end.
    Payload(usize),
    Children(usize),
    Streamed,
}

impl Element {
    /// Reads a first line, which ends in `\n`.
    fn parse(line: &[u8]) -> Result<Self, FrameError> {
        let text = line.strip_suffix(b"\r\n").ok_or(FrameError::MissingLineEnd)?;
        let (&kind, text) = text.split_first().ok_or(FrameError::MissingLineEnd)?;
        let body = match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Body::Nothing,
            b'$' | b'!' | b'=' | b'*' | b'%' | b'~' | b'>' | b'|' if text == b"?" => Body::Streamed,
            b'$' | b'*' if text == b"-1" => Body::Null,
            b'$' | b'!' | b'=' => Body::Payload(parse_length(text)?),
            b'*' | b'~' | b'>' => Body::Children(parse_length(text)?),
            b'%' | b'|' => Body::Children(parse_length(text)?.saturating_mul(2)),
            b';' | b'.' => Body::Streamed,
            other => return Err(FrameError::UnknownType(other)),
        };
        Ok(Self {
            kind,
            line_bytes: line.len(),
            body,
        })
    }

    /// The element at the head of bytes that a scanner has accepted.
    fn at_head(scanned: &[u8]) -> Self {
        let end = memchr(b'\n', scanned).expect("a scanned element has a line");
        Self::parse(&scanned[..=end]).expect("a scanned line is valid")
    }

    fn is_attribute(&self) -> bool {
        self.kind == b'|'
    }

    fn children(&self) -> usize {
        if let Body::Children(children) = self.body {
            children
        } else {
            0
        }
    }

    fn payload_bytes(&self) -> usize {
        if let Body::Payload(bytes) = self.body {
            bytes
        } else {
            0
        }
    }

    /// Bytes of the element without its children.
    fn bytes(&self) -> usize {
        match self.body {
            Body::Payload(bytes) => self
                .line_bytes
                .saturating_add(bytes)
                .saturating_add(LINE_END.len()),
            _ => self.line_bytes,
        }
    }

    /// The line without its type and end.
    fn text<'a>(&self, element: &'a [u8]) -> &'a [u8] {
        &element[1..self.line_bytes - LINE_END.len()]
    }

    fn payload<'a>(&self, element: &'a [u8]) -> &'a [u8] {
        &element[self.line_bytes..self.line_bytes + self.payload_bytes()]
    }

    /// Checks what views on the element rely on.
    fn check_value(&self, element: &[u8]) -> Result<(), FrameError> {
        if matches!(self.body, Body::Payload(_)) && !element[..self.bytes()].ends_with(LINE_END) {
            return Err(FrameError::MissingLineEnd);
        }
        let text = self.text(element);
        let valid = match self.kind {
            b':' => number::parse_i64(text).is_some(),
            b'#' => matches!(text, b"t" | b"f"),
            b'_' => text.is_empty(),
            b',' => str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok()),
            b'(' => is_big_number(text),
            b'=' => self.payload(element).get(VERBATIM_FORMAT_BYTES - 1) == Some(&b':'),
            _ => true,
        };
        if valid {
            Ok(())
        } else {
            Err(FrameError::InvalidValue)
        }
    }

    fn frame_kind(&self) -> FrameKind {
        match (self.kind, self.body) {
            (_, Body::Null) | (b'_', _) => FrameKind::Null,
            (b'+', _) => FrameKind::Simple,
            (b'-' | b'!', _) => FrameKind::Error,
            (b':', _) => FrameKind::Integer,
            (b'$', _) => FrameKind::Bulk,
            (b'#', _) => FrameKind::Boolean,
            (b',', _) => FrameKind::Double,
            (b'(', _) => FrameKind::BigNumber,
            (b'=', _) => FrameKind::Verbatim,
            (b'%', _) => FrameKind::Map,
            (b'~', _) => FrameKind::Set,
            (b'>', _) => FrameKind::Push,
            _ => FrameKind::Array,
        }
    }
}

const LINE_END: &[u8] = b"\r\n";

/// The three letters and the colon in front of a verbatim text.
const VERBATIM_FORMAT_BYTES: usize = 4;

fn parse_length(text: &[u8]) -> Result<usize, FrameError> {
    number::parse_u64(text)
        .and_then(|length| usize::try_from(length).ok())
        .ok_or(FrameError::InvalidLength)
}

fn is_big_number(text: &[u8]) -> bool {
    let digits = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// The bytes of the first `values` values, with their children and attributes. Linear in them.
fn bytes_of_values(scanned: &[u8], values: usize) -> usize {
    let mut lacking = values;
    let mut at = 0;
    while lacking > 0 {
        let element = Element::at_head(&scanned[at..]);
        at += element.bytes();
        lacking = lacking - usize::from(!element.is_attribute()) + element.children();
    }
    at
}

/// Behind the attributes at the head of `scanned`.
fn skip_attributes(mut scanned: &[u8]) -> &[u8] {
    while scanned.first() == Some(&b'|') {
        let attribute = Element::at_head(scanned);
        let pairs = &scanned[attribute.line_bytes..];
        scanned = &pairs[bytes_of_values(pairs, attribute.children())..];
    }
    scanned
}

/// A view on one frame that a [`FrameScanner`] found whole, without the attributes before it.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    bytes: &'a [u8],
    head: Element,
}

impl<'a> Frame<'a> {
    /// The frame in `scanned`, the very bytes that a scanner found to be one. Panics on others.
    pub fn new(scanned: &'a [u8]) -> Self {
        let bytes = skip_attributes(scanned);
        Self {
            bytes,
            head: Element::at_head(bytes),
        }
    }

    /// The type.
    pub fn kind(&self) -> FrameKind {
        self.head.frame_kind()
    }

    /// The bytes of a byte string, or of a verbatim text without its format.
    pub fn as_bulk(&self) -> Option<&'a [u8]> {
        match self.kind() {
            FrameKind::Bulk => Some(self.head.payload(self.bytes)),
            FrameKind::Verbatim => Some(&self.head.payload(self.bytes)[VERBATIM_FORMAT_BYTES..]),
            _ => None,
        }
    }

    /// The text of a status.
    pub fn as_simple(&self) -> Option<&'a [u8]> {
        (self.kind() == FrameKind::Simple).then(|| self.head.text(self.bytes))
    }

    /// The value of an integer.
    pub fn as_integer(&self) -> Option<i64> {
        if self.kind() != FrameKind::Integer {
            return None;
        }
        number::parse_i64(self.head.text(self.bytes))
    }

    /// The text of an error, its code included.
    pub fn as_error(&self) -> Option<&'a [u8]> {
        match self.head.kind {
            b'-' => Some(self.head.text(self.bytes)),
            b'!' => Some(self.head.payload(self.bytes)),
            _ => None,
        }
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        self.kind() == FrameKind::Error
    }

    /// Whether this is the absence of a value.
    pub fn is_null(&self) -> bool {
        self.kind() == FrameKind::Null
    }

    /// Whether this is a message that no request asked for.
    pub fn is_push(&self) -> bool {
        self.kind() == FrameKind::Push
    }

    /// The elements of an aggregate, keys and values of a map in turn; none of other types.
    ///
    /// To visit all of them is linear in their bytes.
    pub fn children(&self) -> Children<'a> {
        Children {
            rest: &self.bytes[self.head.bytes()..],
            lacking: self.head.children(),
        }
    }
}

/// The elements of an aggregate: see [`Frame::children`].
#[derive(Clone)]
pub struct Children<'a> {
    rest: &'a [u8],
    lacking: usize,
}

impl<'a> Iterator for Children<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        self.lacking = self.lacking.checked_sub(1)?;
        let (child, rest) = self.rest.split_at(bytes_of_values(self.rest, 1));
        self.rest = rest;
        Some(Frame::new(child))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.lacking, Some(self.lacking))
    }
}

impl ExactSizeIterator for Children<'_> {}

/// Appends `frame` as RESP2 writes it, for a client that speaks no RESP3. Linear in its bytes.
///
/// Maps become flat arrays, sets and pushes arrays, doubles, big numbers and verbatim texts byte
/// strings, booleans integers, nulls the null of byte strings; attributes are dropped.
pub fn downgrade(frame: Frame<'_>, out: &mut Vec<u8>) {
    out.reserve(frame.bytes.len());
    let mut rest = frame.bytes;
    while !rest.is_empty() {
        let head = Element::at_head(rest);
        let (element, behind) = rest.split_at(head.bytes());
        push_as_resp2(head, element, out);
        rest = skip_attributes(behind);
    }
}

/// Appends one scalar or the head of one aggregate.
fn push_as_resp2(head: Element, element: &[u8], out: &mut Vec<u8>) {
    match head.kind {
        b'_' => out.extend_from_slice(b"$-1\r\n"),
        b'#' => out.extend_from_slice(if head.text(element) == b"t" {
            b":1\r\n"
        } else {
            b":0\r\n"
        }),
        b',' | b'(' => push_bulk(out, head.text(element)),
        b'=' => push_bulk(out, &head.payload(element)[VERBATIM_FORMAT_BYTES..]),
        b'!' => push_error(out, head.payload(element)),
        b'%' | b'~' | b'>' => push_header(out, b'*', head.children() as u64),
        _ => out.extend_from_slice(element),
    }
}
