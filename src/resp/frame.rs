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
pub fn downgrade(frame: Frame<'_>, form: Resp2Form, out: &mut Vec<u8>) {
    out.reserve(frame.bytes.len());
    if form.flat_pairs && frame.kind() == FrameKind::Array {
        return downgrade_in_a_row(frame, form, out);
    }
    let mut rest = frame.bytes;
    while !rest.is_empty() {
        let head = Element::at_head(rest);
        let (element, behind) = rest.split_at(head.bytes());
        match head.kind {
            b'_' if form.null_arrays => out.extend_from_slice(b"*-1\r\n"),
            _ => push_as_resp2(head, element, out),
        }
        rest = skip_attributes(behind);
    }
}

/// Appends a frame that was scanned, with what `replaced` gives in place of byte strings where it gives something. Linear
/// in its bytes.
pub fn replace_bulks(scanned: &[u8], replaced: impl Fn(&[u8]) -> Option<Vec<u8>>, out: &mut Vec<u8>) {
    let mut rest = scanned;
    while !rest.is_empty() {
        let head = Element::at_head(rest);
        let (element, behind) = rest.split_at(head.bytes());
        let is_bulk = head.frame_kind() == FrameKind::Bulk;
        match is_bulk.then(|| replaced(head.payload(element))).flatten() {
            Some(bytes) => push_bulk(out, &bytes),
            None => out.extend_from_slice(element),
        }
        rest = behind;
    }
}

/// What tells the form of a reply in RESP2 beside the types that it has in RESP3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resp2Form {
    /// Arrays in an array are pairs, whose elements stand in a row.
    pub flat_pairs: bool,
    /// Nulls are null arrays.
    pub null_arrays: bool,
}

/// The same for an array, with the elements of arrays in it where these stand.
fn downgrade_in_a_row(frame: Frame<'_>, form: Resp2Form, out: &mut Vec<u8>) {
    let form = Resp2Form {
        flat_pairs: false,
        ..form
    };
    let is_array = |element: &Frame<'_>| element.kind() == FrameKind::Array;
    let in_a_row = |element: Frame<'_>| {
        if is_array(&element) {
            element.children().len()
        } else {
            1
        }
    };
    push_header(out, b'*', frame.children().map(in_a_row).sum::<usize>() as u64);
    for element in frame.children() {
        if is_array(&element) {
            element.children().for_each(|part| downgrade(part, form, out));
        } else {
            downgrade(element, form, out);
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis_protocol::resp2::types::OwnedFrame as Frame2;
    use redis_protocol::resp3::types::{OwnedFrame as Frame3, Resp3Frame as _, VerbatimStringFormat};
    use redis_protocol::{resp2, resp3};

    use super::*;

    fn scan(input: &[u8]) -> Result<Scanned, FrameError> {
        FrameScanner::default().scan(input, &FrameLimits::default())
    }

    fn downgraded(frame: &[u8]) -> String {
        let mut out = Vec::new();
        downgrade(Frame::new(frame), Resp2Form::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn byte_strings_are_replaced_wherever_they_stand() {
        let upper = |bytes: &[u8]| (!bytes.is_empty()).then(|| [bytes, b"!"].concat());
        let replaced = |frame: &[u8]| {
            let mut out = Vec::new();
            replace_bulks(frame, upper, &mut out);
            String::from_utf8(out).unwrap()
        };
        for same in [
            "$-1\r\n",
            "_\r\n",
            "$0\r\n\r\n",
            "+a\r\n",
            "*0\r\n",
            "=5\r\ntxt:a\r\n",
        ] {
            assert_eq!(replaced(same.as_bytes()), same);
        }
        assert_eq!(
            replaced(b"$10\r\na\r\n$1\r\nb\r\n\r\n"),
            "$11\r\na\r\n$1\r\nb\r\n!\r\n"
        );
        assert_eq!(
            replaced(b"|1\r\n+a\r\n$1\r\nb\r\n%1\r\n$1\r\nc\r\n*2\r\n:1\r\n$-1\r\n"),
            "|1\r\n+a\r\n$2\r\nb!\r\n%1\r\n$2\r\nc!\r\n*2\r\n:1\r\n$-1\r\n"
        );
    }

    #[test]
    fn every_type_has_an_end_and_a_kind() {
        let cases: &[(&[u8], FrameKind)] = &[
            (b"+OK\r\n", FrameKind::Simple),
            (b"+\r\n", FrameKind::Simple),
            (b"-ERR no\r\n", FrameKind::Error),
            (b"!7\r\nERR\r\nno\r\n", FrameKind::Error),
            (b":-12\r\n", FrameKind::Integer),
            (b"$3\r\na\r\n\r\n", FrameKind::Bulk),
            (b"$0\r\n\r\n", FrameKind::Bulk),
            (b"$-1\r\n", FrameKind::Null),
            (b"*-1\r\n", FrameKind::Null),
            (b"_\r\n", FrameKind::Null),
            (b"#t\r\n", FrameKind::Boolean),
            (b",-1.5e3\r\n", FrameKind::Double),
            (b",inf\r\n", FrameKind::Double),
            (b",nan\r\n", FrameKind::Double),
            (b"(-123456789012345678901234567890\r\n", FrameKind::BigNumber),
            (b"=6\r\ntxt:hi\r\n", FrameKind::Verbatim),
            (b"*0\r\n", FrameKind::Array),
            (b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", FrameKind::Array),
            (b"%1\r\n+k\r\n*0\r\n", FrameKind::Map),
            (b"~1\r\n:1\r\n", FrameKind::Set),
            (b">2\r\n$10\r\ninvalidate\r\n_\r\n", FrameKind::Push),
            (b"|1\r\n+ttl\r\n:3600\r\n|0\r\n+OK\r\n", FrameKind::Simple),
            (b"*2\r\n|1\r\n+ttl\r\n*1\r\n:1\r\n:1\r\n:2\r\n", FrameKind::Array),
        ];
        for (frame, kind) in cases {
            let input = [*frame, b"+next\r\n"].concat();
            assert_eq!(
                scan(&input),
                Ok(Scanned::Whole { bytes: frame.len() }),
                "{}",
                frame.escape_ascii()
            );
            assert_eq!(Frame::new(frame).kind(), *kind, "{}", frame.escape_ascii());
            for end in 0..frame.len() {
                assert!(
                    matches!(scan(&frame[..end]), Ok(Scanned::Partial { .. })),
                    "{}",
                    frame.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let cases: &[(&[u8], FrameError)] = &[
            (b"PONG\r\n", FrameError::UnknownType(b'P')),
            (b"\r\n", FrameError::MissingLineEnd),
            (b"+OK\n", FrameError::MissingLineEnd),
            (b"\n", FrameError::MissingLineEnd),
            (b"$3\r\nabcde", FrameError::MissingLineEnd),
            (b"$-2\r\n", FrameError::InvalidLength),
            (b"$\r\n", FrameError::InvalidLength),
            (b"$01\r\n", FrameError::InvalidLength),
            (b"*x\r\n", FrameError::InvalidLength),
            (b"%-1\r\n", FrameError::InvalidLength),
            (b"*99999999999999999999\r\n", FrameError::InvalidLength),
            (b":1.5\r\n", FrameError::InvalidValue),
            (b":\r\n", FrameError::InvalidValue),
            (b"#x\r\n", FrameError::InvalidValue),
            (b"_x\r\n", FrameError::InvalidValue),
            (b",1,5\r\n", FrameError::InvalidValue),
            (b"(1x\r\n", FrameError::InvalidValue),
            (b"(-\r\n", FrameError::InvalidValue),
            (b"=2\r\ntx\r\n", FrameError::InvalidValue),
            (b"=6\r\ntxtxhi\r\n", FrameError::InvalidValue),
            (b"$?\r\n", FrameError::Streamed),
            (b"*?\r\n", FrameError::Streamed),
            (b"*1\r\n.\r\n", FrameError::Streamed),
            (b";4\r\nabcd\r\n", FrameError::Streamed),
            (b"$536870913\r\n", FrameError::BulkTooLong),
            (b"*67108865\r\n", FrameError::TooManyElements),
            (b"%9223372036854775807\r\n", FrameError::TooManyElements),
            (b"*2\r\n*67108863\r\n", FrameError::TooManyElements),
        ];
        for (input, error) in cases {
            assert_eq!(scan(input), Err(*error), "{}", input.escape_ascii());
        }
        assert_eq!(
            scan(&vec![b'+'; limits::FRAME_LINE_BYTES_MAX + 1]),
            Err(FrameError::LineTooLong)
        );
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
        let deepest = nested(limits::FRAME_DEPTH_MAX);
        assert_eq!(scan(&deepest), Ok(Scanned::Whole { bytes: deepest.len() }));
        assert_eq!(
            scan(&nested(limits::FRAME_DEPTH_MAX + 1)),
            Err(FrameError::TooDeep)
        );
        assert_eq!(scan(&b"*1\r\n".repeat(1_000_000)), Err(FrameError::TooDeep));
    }

    #[test]
    fn attributes_alone_never_make_a_frame() {
        let limits = FrameLimits {
            elements_max: 1_000,
            ..FrameLimits::default()
        };
        let input = b"|0\r\n".repeat(1_001);
        assert_eq!(
            FrameScanner::default().scan(&input, &limits),
            Err(FrameError::TooManyElements)
        );
    }

    #[test]
    fn an_announced_length_reserves_little() {
        let needed = limits::READ_AHEAD_BYTES_MAX;
        assert_eq!(scan(b"*2\r\n$536870912\r\n"), Ok(Scanned::Partial { needed }));
    }

    /// Were each piece searched from the start, this would take minutes.
    #[test]
    fn a_large_frame_in_small_pieces_takes_linear_time() {
        let mut input = format!("*1000001\r\n${}\r\n", 32 << 20).into_bytes();
        input.resize(input.len() + (32 << 20), b'v');
        input.extend_from_slice(b"\r\n");
        input.extend_from_slice(&b":1\r\n".repeat(1_000_000));
        let mut scanner = FrameScanner::default();
        for end in (0..input.len()).step_by(512) {
            let scanned = scanner.scan(&input[..end], &FrameLimits::default());
            assert!(matches!(scanned, Ok(Scanned::Partial { .. })));
        }
        let whole = Ok(Scanned::Whole { bytes: input.len() });
        assert_eq!(scanner.scan(&input, &FrameLimits::default()), whole);
    }

    #[test]
    fn views_show_values() {
        assert_eq!(Frame::new(b"$3\r\nabc\r\n").as_bulk(), Some(b"abc".as_slice()));
        assert_eq!(Frame::new(b"=6\r\ntxt:hi\r\n").as_bulk(), Some(b"hi".as_slice()));
        assert_eq!(Frame::new(b"$-1\r\n").as_bulk(), None);
        assert_eq!(Frame::new(b"+OK\r\n").as_simple(), Some(b"OK".as_slice()));
        assert_eq!(Frame::new(b":-7\r\n").as_integer(), Some(-7));
        assert_eq!(Frame::new(b"-ERR no\r\n").as_error(), Some(b"ERR no".as_slice()));
        assert_eq!(
            Frame::new(b"!6\r\nERR no\r\n").as_error(),
            Some(b"ERR no".as_slice())
        );
        assert_eq!(Frame::new(b"+OK\r\n").as_error(), None);
        assert!(Frame::new(b"!6\r\nERR no\r\n").is_error());
        assert!(Frame::new(b"*-1\r\n").is_null());
        assert!(Frame::new(b">1\r\n:1\r\n").is_push());
    }

    #[test]
    fn children_are_values_without_their_attributes() {
        let map =
            Frame::new(b"|1\r\n+a\r\n+b\r\n%2\r\n$1\r\nk\r\n*2\r\n:1\r\n:2\r\n|1\r\n+c\r\n:9\r\n:3\r\n_\r\n");
        let children: Vec<FrameKind> = map.children().map(|child| child.kind()).collect();
        assert_eq!(
            children,
            [
                FrameKind::Bulk,
                FrameKind::Array,
                FrameKind::Integer,
                FrameKind::Null
            ]
        );
        assert_eq!(map.children().len(), 4);
        let array = map.children().nth(1).unwrap();
        let integers: Vec<_> = array
            .children()
            .map(|child| child.as_integer().unwrap())
            .collect();
        assert_eq!(integers, [1, 2]);
        assert_eq!(Frame::new(b"$1\r\nk\r\n").children().count(), 0);
    }

    #[test]
    fn every_type_has_a_form_in_resp2() {
        let cases = [
            ("+OK\r\n", "+OK\r\n"),
            ("-ERR no\r\n", "-ERR no\r\n"),
            ("!8\r\nERR\r\nno!\r\n", "-ERR  no!\r\n"),
            (":1\r\n", ":1\r\n"),
            ("$-1\r\n", "$-1\r\n"),
            ("*-1\r\n", "*-1\r\n"),
            ("_\r\n", "$-1\r\n"),
            ("#t\r\n", ":1\r\n"),
            ("#f\r\n", ":0\r\n"),
            (",1.5\r\n", "$3\r\n1.5\r\n"),
            ("(12\r\n", "$2\r\n12\r\n"),
            ("=6\r\ntxt:hi\r\n", "$2\r\nhi\r\n"),
            ("%1\r\n+k\r\n~1\r\n#t\r\n", "*2\r\n+k\r\n*1\r\n:1\r\n"),
            (">1\r\n$1\r\nx\r\n", "*1\r\n$1\r\nx\r\n"),
            (
                "|1\r\n+a\r\n%1\r\n:1\r\n:2\r\n*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n",
                "*2\r\n:1\r\n:2\r\n",
            ),
        ];
        for (frame, expected) in cases {
            assert_eq!(downgraded(frame.as_bytes()), expected, "{frame:?}");
        }
    }

    #[test]
    fn some_replies_have_forms_of_their_own_in_resp2() {
        let form = Resp2Form {
            flat_pairs: true,
            null_arrays: true,
        };
        let cases = [
            ("*0\r\n", "*0\r\n"),
            ("_\r\n", "*-1\r\n"),
            ("*2\r\n+a\r\n,1.5\r\n", "*2\r\n+a\r\n$3\r\n1.5\r\n"),
            (
                "*2\r\n*2\r\n+a\r\n,1\r\n*2\r\n+b\r\n,2\r\n",
                "*4\r\n+a\r\n$1\r\n1\r\n+b\r\n$1\r\n2\r\n",
            ),
            ("*2\r\n:1\r\n_\r\n", "*2\r\n:1\r\n*-1\r\n"),
        ];
        for (frame, expected) in cases {
            let mut out = Vec::new();
            downgrade(Frame::new(frame.as_bytes()), form, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{frame:?}");
        }
    }

    /// Frames of all types that another encoder knows. Map keys are unique, as it keeps a hash map.
    fn any_frame() -> impl Strategy<Value = Frame3> {
        let scalar = prop_oneof![
            any::<Vec<u8>>().prop_map(|data| Frame3::BlobString {
                data,
                attributes: None
            }),
            "[a-zA-Z ]{0,9}".prop_map(|text| Frame3::SimpleString {
                data: text.into(),
                attributes: None
            }),
            "[a-zA-Z ]{1,9}".prop_map(|data| Frame3::SimpleError {
                data,
                attributes: None
            }),
            any::<i64>().prop_map(|data| Frame3::Number {
                data,
                attributes: None
            }),
            any::<f64>().prop_map(|data| Frame3::Double {
                data,
                attributes: None
            }),
            any::<bool>().prop_map(|data| Frame3::Boolean {
                data,
                attributes: None
            }),
            "-?[0-9]{1,40}".prop_map(|text| Frame3::BigNumber {
                data: text.into(),
                attributes: None
            }),
            any::<Vec<u8>>().prop_map(|data| Frame3::VerbatimString {
                data,
                format: VerbatimStringFormat::Text,
                attributes: None,
            }),
            Just(Frame3::Null),
        ];
        scalar.prop_recursive(5, 60, 6, |inner| {
            let pairs = proptest::collection::hash_map(any::<u32>(), inner.clone(), 0..5).prop_map(|pairs| {
                pairs
                    .into_iter()
                    .map(|(key, value)| (Frame3::from(i64::from(key)), value))
                    .collect()
            });
            prop_oneof![
                proptest::collection::vec(inner, 0..6).prop_map(|data| Frame3::Array {
                    data,
                    attributes: None
                }),
                pairs.prop_map(|data| Frame3::Map {
                    data,
                    attributes: None
                }),
            ]
        })
    }

    fn encode(frame: &Frame3) -> Vec<u8> {
        let mut bytes = vec![0; frame.encode_len(false)];
        let len = resp3::encode::complete::encode(&mut bytes, frame, false).unwrap();
        bytes.truncate(len);
        bytes
    }

    /// `frame`, decoded by another decoder, in RESP2.
    fn to_resp2(frame: Frame3) -> Frame2 {
        match frame {
            Frame3::SimpleString { data, .. } => Frame2::SimpleString(data),
            Frame3::SimpleError { data, .. } => Frame2::Error(data),
            Frame3::Number { data, .. } => Frame2::Integer(data),
            Frame3::Boolean { data, .. } => Frame2::Integer(i64::from(data)),
            Frame3::Null => Frame2::Null,
            Frame3::Array { data, .. } => Frame2::Array(data.into_iter().map(to_resp2).collect()),
            Frame3::Double { .. } => {
                let encoded = encode(&frame);
                Frame2::BulkString(encoded[1..encoded.len() - 2].to_vec())
            }
            Frame3::BlobString { data, .. }
            | Frame3::BigNumber { data, .. }
            | Frame3::VerbatimString { data, .. } => Frame2::BulkString(data),
            Frame3::Map { data, .. } => Frame2::Array(
                data.into_iter()
                    .flat_map(|(key, value)| [to_resp2(key), to_resp2(value)])
                    .collect(),
            ),
            other => panic!("not generated: {other:?}"),
        }
    }

    /// Equal up to the order of pairs, which a decoded hash map does not keep.
    fn sorted(frame: Frame2) -> String {
        match frame {
            Frame2::Array(children) => {
                let mut children: Vec<String> = children.into_iter().map(sorted).collect();
                children.sort();
                format!("{children:?}")
            }
            scalar => format!("{scalar:?}"),
        }
    }

    proptest! {
        #[test]
        fn frames_of_another_encoder_are_scanned_in_pieces(frame in any_frame(), step in 1_usize..50) {
            let input = encode(&frame);
            let mut scanner = FrameScanner::default();
            for end in (0..input.len()).step_by(step) {
                let scanned = scanner.scan(&input[..end], &FrameLimits::default());
                let partial = matches!(scanned, Ok(Scanned::Partial { .. }));
                prop_assert!(partial);
            }
            let whole = Ok(Scanned::Whole { bytes: input.len() });
            prop_assert_eq!(scanner.scan(&input, &FrameLimits::default()), whole);
        }

        #[test]
        fn another_decoder_reads_downgraded_frames(frame in any_frame()) {
            let mut out = Vec::new();
            downgrade(Frame::new(&encode(&frame)), Resp2Form::default(), &mut out);
            let (read, end) = resp2::decode::decode(&out).unwrap().unwrap();
            prop_assert_eq!(end, out.len());
            prop_assert_eq!(sorted(read), sorted(to_resp2(frame)));
        }

        #[test]
        fn hostile_bytes_mean_the_same_in_pieces(
            input in proptest::collection::vec(
                prop_oneof![
                    "[-+:$*%~>|=!_#,(?;.]".prop_map(String::into_bytes),
                    "[0-9]{1,3}|[-?]|txt:|t|inf".prop_map(String::into_bytes),
                    Just(b"\r\n".to_vec()),
                    "[:*%~>|$=!][0-5]\r\n".prop_map(String::into_bytes),
                    any::<[u8; 2]>().prop_map(|bytes| bytes.to_vec()),
                ],
                0..40,
            ).prop_map(|tokens| tokens.concat()),
            step in 1_usize..7,
        ) {
            let mut scanner = FrameScanner::default();
            let mut last = Ok(Scanned::Partial { needed: 1 });
            for end in (0..input.len()).step_by(step).chain([input.len()]) {
                last = scanner.scan(&input[..end], &FrameLimits::default());
                if !matches!(last, Ok(Scanned::Partial { .. })) {
                    break;
                }
            }
            prop_assert_eq!(last, scan(&input));
            if let Ok(Scanned::Whole { bytes }) = last {
                let frame = Frame::new(&input[..bytes]);
                let mut out = Vec::new();
                let form = Resp2Form {
                    flat_pairs: step % 2 == 0,
                    null_arrays: step % 3 == 0,
                };
                downgrade(frame, form, &mut out);
                prop_assert_eq!(scan(&out), Ok(Scanned::Whole { bytes: out.len() }));
                prop_assert_eq!(frame.children().count(), frame.children().len());
            }
        }
    }
}
