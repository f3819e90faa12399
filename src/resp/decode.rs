//! Decodes the requests of clients: arrays of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) and inline
//! requests (`GET k\r\n`).
//!
//! A request may be cut at any byte. The decoder remembers how far it came, so a large value that
//! arrives in pieces is looked at once; it never copies or allocates per word, it notes where words
//! stand. What it accepts, refuses and answers is what Redis 7.0 does, byte for byte, with one
//! difference: Redis measures lines against its limit only after each read from the socket, here a
//! line over the limit is always refused.

use std::fmt;

use memchr::memchr2;

use super::inline;
use super::number;
use crate::limits;

/// Limits that a connection applies while decoding; all in bytes or counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The longest word: `proto-max-bulk-len`.
    pub bulk_bytes_max: usize,
    /// The most words in one request.
    pub args_max: usize,
    /// The longest inline request, and the longest line that announces a count or a length.
    pub inline_bytes_max: usize,
    /// Until a client has authenticated it may send only small requests.
    pub authenticated: bool,
}

impl Default for DecodeLimits {
    /// What Redis allows a client that need not authenticate.
    fn default() -> Self {
        Self {
            bulk_bytes_max: limits::BULK_BYTES_MAX,
            args_max: limits::REQUEST_ARGS_MAX,
            inline_bytes_max: limits::INLINE_BYTES_MAX,
            authenticated: true,
        }
    }
}

/// What [`Decoder::decode`] found at the head of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// One request; it ends at this many bytes.
    Whole {
        /// Bytes of input that the request took.
        consumed: usize,
    },
    /// An empty line, or an array of no words: nothing to run and nothing to answer.
    Empty {
        /// Bytes of input that it took.
        consumed: usize,
    },
    /// The request goes on behind the input.
    Partial {
        /// No call can make progress before this many bytes were added, never zero.
        ///
        /// It is worth reserving: at most as much as was already sent, or
        /// [`limits::READ_AHEAD_BYTES_MAX`], so that announcing a length does not cost memory.
        needed: usize,
    },
}

/// A request that breaks the protocol. The connection answers with the text behind `ERR ` and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// An inline request does not end within the limit.
    TooBigInline,
    /// An inline request has a quote that does not close, or closes within a word.
    UnbalancedQuotes,
    /// The line behind `*` does not end within the limit.
    TooBigMultibulkCount,
    /// The number of words is no number, or is above the limit.
    InvalidMultibulkLength,
    /// More than [`limits::UNAUTHENTICATED_ARGS_MAX`] words before authentication.
    UnauthenticatedMultibulkLength,
    /// The line behind `$` does not end within the limit.
    TooBigBulkCount,
    /// A word starts with this byte.
    ExpectedDollar(u8),
    /// The length of a word is no number, negative, or above the limit.
    InvalidBulkLength,
    /// A word of more than [`limits::UNAUTHENTICATED_BULK_BYTES_MAX`] before authentication.
    UnauthenticatedBulkLength,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match *self {
            Self::TooBigInline => "too big inline request",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::TooBigMultibulkCount => "too big mbulk count string",
            Self::InvalidMultibulkLength => "invalid multibulk length",
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::TooBigBulkCount => "too big bulk count string",
            Self::ExpectedDollar(got) => {
                return write!(f, "Protocol error: expected '$', got '{}'", char::from(got));
            }
            Self::InvalidBulkLength => "invalid bulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
        };
        write!(f, "Protocol error: {what}")
    }
}

impl std::error::Error for ProtocolError {}

/// One decoded request: its words, the first of which is the command's name. It has at least one.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    words: &'a [Span],
}

#[expect(clippy::len_without_is_empty, reason = "a request has a name")]
impl<'a> Request<'a> {
    /// The command's name as the client wrote it.
    pub fn name(&self) -> &'a [u8] {
        self.arg(0)
    }

    /// The number of words, the name included.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The word at `index`; 0 is the name. Panics at or beyond [`Self::len`].
    #[inline]
    pub fn arg(&self, index: usize) -> &'a [u8] {
        self.words[index].of(self.bytes)
    }

    /// All words, the name first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let bytes = self.bytes;
        self.words.iter().map(move |word| word.of(bytes))
    }
}

/// A request that outlives the buffer that it came in.
#[derive(Clone)]
pub struct OwnedRequest {
    bytes: Box<[u8]>,
    words: Box<[Span]>,
}

impl OwnedRequest {
    /// A request of these words, at least one.
    pub fn new<'w>(words: impl IntoIterator<Item = &'w [u8]>) -> Self {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        for word in words {
            let start = bytes.len();
            bytes.extend_from_slice(word);
            spans.push(Span {
                start,
                end: bytes.len(),
            });
        }
        assert!(!spans.is_empty(), "a request has a name");
        Self {
            bytes: bytes.into(),
            words: spans.into(),
        }
    }

    /// The request to look at.
    pub fn view(&self) -> Request<'_> {
        Request {
            bytes: &self.bytes,
            words: &self.words,
        }
    }

    /// Bytes of memory that it takes.
    pub fn allocated_bytes(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.words)
    }
}

impl From<Request<'_>> for OwnedRequest {
    fn from(request: Request<'_>) -> Self {
        Self::new(request.iter())
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(<[u8]>::escape_ascii))
            .finish()
    }
}

/// Where a word stands in the bytes of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    #[inline]
    fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..self.end]
    }
}

/// Decodes one request after another and keeps its place in one that is not whole yet.
///
/// It owns no heap memory before the first request and at most
/// [`limits::DECODER_WORDS_KEPT_MAX`] places of words between requests.
#[derive(Default)]
pub struct Decoder {
    stage: Stage,
    /// Where the words found so far stand, in the input or in `unescaped`.
    words: Vec<Span>,
    /// Words that the request has; meaningless at `Stage::Start`.
    words_announced: usize,
    /// Where the next line or payload starts; meaningless at `Stage::Start`.
    position: usize,
    /// Length of the next word; meaningless but at `Stage::Payload`.
    payload_bytes: usize,
    /// How far behind `position` the end of the current line was searched in vain.
    searched: usize,
    /// The words of an inline request without their quotes; empty if the request was not inline.
    unescaped: Vec<u8>,
}

/// What stands at `Decoder::position`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// The first byte of a request.
    #[default]
    Start,
    /// The line with the length of the next word.
    Length,
    /// The next word.
    Payload,
}

impl Decoder {
    /// Decodes the request at the head of `input`.
    ///
    /// `input` starts where the last request ended. The caller drops bytes only when a request is
    /// [`Decoded::Whole`] or [`Decoded::Empty`]; after [`Decoded::Partial`] it calls again with the same bytes and more
    /// (they may have moved in memory). After an error the decoder is of no further use.
    pub fn decode(&mut self, input: &[u8], limits: &DecodeLimits) -> Result<Decoded, ProtocolError> {
        if self.stage == Stage::Start {
            self.forget_last();
            match input.first() {
                Some(b'*') => {}
                Some(_) => return self.decode_inline(input, limits),
                None => return Ok(Decoded::Partial { needed: 1 }),
            }
            if let Some(decoded) = self.start_array(input, limits)? {
                return Ok(decoded);
            }
        }
        self.decode_words(input, limits)
    }

    /// The request that the last call of [`Self::decode`] found whole in the same `input`.
    #[inline]
    pub fn request<'a>(&'a self, input: &'a [u8]) -> Request<'a> {
        let bytes = if self.unescaped.is_empty() {
            input
        } else {
            &self.unescaped
        };
        Request {
            bytes,
            words: &self.words,
        }
    }

    /// Lets go of the last request's words, and of the memory that a giant request took.
    #[inline]
    fn forget_last(&mut self) {
        self.words.clear();
        self.unescaped.clear();
        if self.words.capacity() > limits::DECODER_WORDS_KEPT_MAX {
            self.words.shrink_to(limits::DECODER_WORDS_KEPT_MAX);
        }
        if self.unescaped.capacity() > 0 {
            self.unescaped.shrink_to(limits::DECODER_INLINE_BYTES_KEPT_MAX);
        }
    }

    /// Reads the line `*count`; `None` if words follow.
    #[inline]
    fn start_array(&mut self, input: &[u8], limits: &DecodeLimits) -> Result<Option<Decoded>, ProtocolError> {
        let (count, line_bytes) = match short_line(input, b'*') {
            Some((count, line_bytes)) => (i64::from(count), line_bytes),
            None => match self.count_line(input, limits)? {
                Some(read) => read,
                None => return Ok(Some(Decoded::Partial { needed: 1 })),
            },
        };
        self.searched = 0;
        if count <= 0 {
            return Ok(Some(Decoded::Empty { consumed: line_bytes }));
        }
        self.words_announced = admit_count(count, limits)?;
        self.position = line_bytes;
        self.stage = Stage::Length;
        Ok(None)
    }

    /// Finds the words behind the count, as far as they came.
    fn decode_words(&mut self, input: &[u8], limits: &DecodeLimits) -> Result<Decoded, ProtocolError> {
        let (mut stage, mut position) = (self.stage, self.position);
        while self.words.len() < self.words_announced {
            if stage != Stage::Payload {
                let line = input.get(position..).unwrap_or_default();
                let Some((payload_bytes, line_bytes)) = self.read_length(line, limits)? else {
                    self.stage = Stage::Length;
                    self.position = position;
                    return Ok(Decoded::Partial { needed: 1 });
                };
                self.payload_bytes = payload_bytes;
                position += line_bytes;
            }
            let end = position + self.payload_bytes;
            let next = end + b"\r\n".len();
            if input.len() < next {
                self.stage = Stage::Payload;
                self.position = position;
                return Ok(Decoded::Partial {
                    needed: reserve_hint(input.len(), next),
                });
            }
            self.words.push(Span { start: position, end });
            position = next;
            stage = Stage::Length;
        }
        self.stage = Stage::Start;
        Ok(Decoded::Whole { consumed: position })
    }

    /// Reads the line `$length`: the length, and the bytes of the line; `None` if it is not whole.
    #[inline]
    fn read_length(
        &mut self,
        line: &[u8],
        limits: &DecodeLimits,
    ) -> Result<Option<(usize, usize)>, ProtocolError> {
        let (length, line_bytes) = match short_line(line, b'$') {
            Some((length, line_bytes)) => (i64::from(length), line_bytes),
            None => match self.length_line(line, limits)? {
                Some(read) => read,
                None => return Ok(None),
            },
        };
        self.searched = 0;
        Ok(Some((admit_length(length, limits)?, line_bytes)))
    }

    /// Reads any line that should be `*count`: the count, and the bytes of the line with its end.
    #[cold]
    fn count_line(
        &mut self,
        line: &[u8],
        limits: &DecodeLimits,
    ) -> Result<Option<(i64, usize)>, ProtocolError> {
        let text = match self.search_line(line, b'\r', limits.inline_bytes_max) {
            Line::Whole(text) => text,
            Line::Partial => return Ok(None),
            Line::TooLong => return Err(ProtocolError::TooBigMultibulkCount),
        };
        let count = number::parse_i64(&text[1..]).ok_or(ProtocolError::InvalidMultibulkLength)?;
        Ok(Some((count, text.len() + 2)))
    }

    /// Reads any line that should be `$length`: the length, and the bytes of the line with its end.
    #[cold]
    fn length_line(
        &mut self,
        line: &[u8],
        limits: &DecodeLimits,
    ) -> Result<Option<(i64, usize)>, ProtocolError> {
        let text = match self.search_line(line, b'\r', limits.inline_bytes_max) {
            Line::Whole(text) => text,
            Line::Partial => return Ok(None),
            Line::TooLong => return Err(ProtocolError::TooBigBulkCount),
        };
        let Some(digits) = text.strip_prefix(b"$") else {
            return Err(ProtocolError::ExpectedDollar(line[0]));
        };
        let length = number::parse_i64(digits).ok_or(ProtocolError::InvalidBulkLength)?;
        Ok(Some((length, text.len() + 2)))
    }

    /// Reads an inline request and takes its words out of their quotes.
    #[cold]
    fn decode_inline(&mut self, input: &[u8], limits: &DecodeLimits) -> Result<Decoded, ProtocolError> {
        let text = match self.search_line(input, b'\n', limits.inline_bytes_max) {
            Line::Whole(text) => text,
            Line::Partial => return Ok(Decoded::Partial { needed: 1 }),
            Line::TooLong => return Err(ProtocolError::TooBigInline),
        };
        self.searched = 0;
        let consumed = text.len() + 1;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        inline::split_words(text, &mut self.unescaped, &mut self.words)
            .map_err(|inline::UnbalancedQuotes| ProtocolError::UnbalancedQuotes)?;
        Ok(if self.words.is_empty() {
            Decoded::Empty { consumed }
        } else {
            Decoded::Whole { consumed }
        })
    }

    /// Looks for the end of the line at the head of `text`, from where the last search stopped.
    ///
    /// A zero byte hides what stands behind it, as C's `strchr` has it: such a line never ends and is
    /// refused when it is too long. Behind `\r` another byte must have come, whatever it is.
    fn search_line<'a>(&mut self, text: &'a [u8], end: u8, bytes_max: usize) -> Line<'a> {
        let window = &text[..text.len().min(bytes_max.saturating_add(1))];
        let unsearched = window.get(self.searched..).unwrap_or_default();
        let found = memchr2(end, 0, unsearched).map(|offset| self.searched + offset);
        match found {
            Some(at) if text[at] == end && (end == b'\n' || at + 1 < text.len()) => Line::Whole(&text[..at]),
            _ if text.len() > bytes_max && found.is_none_or(|at| text[at] != end) => Line::TooLong,
            _ => {
                self.searched = found.unwrap_or(window.len());
                Line::Partial
            }
        }
    }
}

/// What [`Decoder::search_line`] found; a whole line comes without its end.
enum Line<'a> {
    Whole(&'a [u8]),
    Partial,
    TooLong,
}

/// Reads a line such as `$16\r\n` at the head of `text`: the number and the bytes of the line.
///
/// This is for the lines that clients send: a number of up to eight digits without a leading zero.
/// For all others, broken and unfinished ones included, it is `None`.
#[inline]
fn short_line(text: &[u8], kind: u8) -> Option<(u32, usize)> {
    let (&first, digits) = text.split_first()?;
    if first != kind {
        return None;
    }
    let mut number = 0;
    for (index, &byte) in digits.iter().take(9).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let whole = byte == b'\r' && index > 0 && digits.len() > index + 1;
            return whole.then_some((number, index + 3));
        }
        if index > 0 && number == 0 {
            return None;
        }
        number = number * 10 + u32::from(digit);
    }
    None
}

/// The number of words as a `usize`, if the limits allow it.
#[inline]
fn admit_count(count: i64, limits: &DecodeLimits) -> Result<usize, ProtocolError> {
    let words = usize::try_from(count).map_err(|_| ProtocolError::InvalidMultibulkLength)?;
    if words > limits.args_max {
        return Err(ProtocolError::InvalidMultibulkLength);
    }
    if words > limits::UNAUTHENTICATED_ARGS_MAX && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedMultibulkLength);
    }
    Ok(words)
}

/// The length of a word as a `usize`, if the limits allow it.
#[inline]
fn admit_length(length: i64, limits: &DecodeLimits) -> Result<usize, ProtocolError> {
    let bytes = usize::try_from(length).map_err(|_| ProtocolError::InvalidBulkLength)?;
    if bytes > limits.bulk_bytes_max {
        return Err(ProtocolError::InvalidBulkLength);
    }
    if bytes > limits::UNAUTHENTICATED_BULK_BYTES_MAX && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedBulkLength);
    }
    Ok(bytes)
}

/// How many bytes to make room for when `received` of `wanted` have come: see [`Decoded::Partial`].
#[inline]
fn reserve_hint(received: usize, wanted: usize) -> usize {
    (wanted - received).min(received.max(limits::READ_AHEAD_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    type Words = Vec<Vec<u8>>;

    fn encode(words: &[Vec<u8>]) -> Vec<u8> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        request
    }

    /// Decodes what a connection receives in `pieces`, until it wants more or gives up.
    fn receive<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
        limits: &DecodeLimits,
    ) -> (Vec<Words>, Option<ProtocolError>) {
        let (mut decoder, mut buffer, mut requests) = (Decoder::default(), Vec::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                let consumed = match decoder.decode(&buffer, limits) {
                    Ok(Decoded::Partial { needed }) => {
                        assert!(needed > 0);
                        break;
                    }
                    Ok(Decoded::Empty { consumed }) => consumed,
                    Ok(Decoded::Whole { consumed }) => {
                        let request = decoder.request(&buffer);
                        requests.push(request.iter().map(<[u8]>::to_vec).collect());
                        consumed
                    }
                    Err(error) => return (requests, Some(error)),
                };
                buffer = buffer.split_off(consumed);
            }
        }
        (requests, None)
    }

    fn receive_whole(input: &[u8]) -> (Vec<Words>, Option<ProtocolError>) {
        receive([input], &DecodeLimits::default())
    }

    fn error_of(input: &[u8]) -> Option<String> {
        receive_whole(input).1.map(|error| error.to_string())
    }

    fn words(texts: &[&[u8]]) -> Words {
        texts.iter().map(|text| text.to_vec()).collect()
    }

    #[test]
    fn a_pipeline_is_decoded_request_by_request() {
        let (requests, error) =
            receive_whole(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3");
        assert_eq!(
            requests,
            [words(&[b"GET", b"k"]), words(&[b"PING"]), words(&[b"PING"])]
        );
        assert_eq!(error, None);
    }

    /// What Redis 7.0.15 answered to the same bytes on a socket; it closed each connection after the error.
    #[test]
    fn errors_are_those_of_redis() {
        let long_count = format!("*{}", "1".repeat(65_536));
        let long_length = format!("*1\r\n${}", "1".repeat(65_536));
        let cases: &[(&[u8], &str)] = &[
            (b"*2147483648\r\n", "invalid multibulk length"),
            (b"*\r\nPING\r\n", "invalid multibulk length"),
            (b"*+1\r\n", "invalid multibulk length"),
            (b"*01\r\n", "invalid multibulk length"),
            (b"*1a\r\n", "invalid multibulk length"),
            (b"*1X\n$4\rXPINGxx", "invalid multibulk length"),
            (long_count.as_bytes(), "too big mbulk count string"),
            (b"*1\r\n\r\n", "expected '$', got '\r'"),
            (b"*1\r\nx4\r\n", "expected '$', got 'x'"),
            (b"*1\r\n:4\r\nPING\r\n", "expected '$', got ':'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$4XPING\r\n", "invalid bulk length"),
            (b"*1\r\n$536870913\r\n", "invalid bulk length"),
            (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
            (b"*1\r\n$\r\nPING\r\n", "invalid bulk length"),
            (long_length.as_bytes(), "too big bulk count string"),
            (&vec![b'a'; 65_537], "too big inline request"),
            (b"ECHO \"a\r\n", "unbalanced quotes in request"),
            (b"ECHO 'a\r\n", "unbalanced quotes in request"),
            (b"ECHO \"a\"b\r\n", "unbalanced quotes in request"),
        ];
        for (input, what) in cases {
            let shown = input[..input.len().min(40)].escape_ascii();
            assert_eq!(
                error_of(input),
                Some(format!("Protocol error: {what}")),
                "{shown}"
            );
        }
    }

    #[test]
    fn lines_may_be_as_long_as_in_redis() {
        for start in [b"*".as_slice(), b"*1\r\n$", b""] {
            let line_bytes = limits::INLINE_BYTES_MAX - usize::from(!start.is_empty());
            let input = [start, &vec![b'1'; line_bytes]].concat();
            assert_eq!(receive_whole(&input), (vec![], None));
        }
    }

    #[test]
    fn a_zero_byte_hides_the_end_of_its_line() {
        assert_eq!(receive_whole(b"PI\0NG\r\nPING\r\n"), (vec![], None));
        assert_eq!(receive_whole(b"*1\r\n\x004\r\nPING\r\n"), (vec![], None));
        for (start, what) in [
            (b"\0".as_slice(), "too big inline request"),
            (b"$\0", "too big inline request"),
            (b"*\0", "too big mbulk count string"),
            (b"*1\r\n$\0", "too big bulk count string"),
        ] {
            let flood = [start, &b"A\r\n".repeat(30_000)].concat();
            assert_eq!(error_of(&flood), Some(format!("Protocol error: {what}")));
        }
    }

    #[test]
    fn empty_requests_are_passed_over() {
        for empty in ["\r\n", "\n", "  \t \n", "*0\r\n", "*-1\r\n", "*-5\r\n"] {
            let (requests, error) = receive_whole(format!("{empty}PING\r\n").as_bytes());
            assert_eq!((requests, error), (vec![words(&[b"PING"])], None), "{empty:?}");
        }
    }

    #[test]
    fn bytes_between_length_and_word_are_not_looked_at() {
        assert_eq!(
            receive_whole(b"*1\rX$4\rXPINGxx"),
            (vec![words(&[b"PING"])], None)
        );
    }

    #[test]
    fn small_requests_only_before_authentication() {
        let limits = DecodeLimits {
            authenticated: false,
            ..DecodeLimits::default()
        };
        let error_of = |input: &[u8]| receive([input], &limits).1;
        assert_eq!(error_of(b"*10\r\n"), None);
        assert_eq!(
            error_of(b"*11\r\n"),
            Some(ProtocolError::UnauthenticatedMultibulkLength)
        );
        assert_eq!(
            error_of(b"*2147483648\r\n"),
            Some(ProtocolError::InvalidMultibulkLength)
        );
        assert_eq!(error_of(b"*1\r\n$16384\r\n"), None);
        assert_eq!(
            error_of(b"*1\r\n$16385\r\n"),
            Some(ProtocolError::UnauthenticatedBulkLength)
        );
        assert_eq!(error_of(&[b"PING ".repeat(20), b"\n".to_vec()].concat()), None);
        assert_eq!(
            ProtocolError::UnauthenticatedMultibulkLength.to_string(),
            "Protocol error: unauthenticated multibulk length"
        );
        assert_eq!(
            ProtocolError::UnauthenticatedBulkLength.to_string(),
            "Protocol error: unauthenticated bulk length"
        );
    }

    #[test]
    fn an_announced_length_reserves_little() {
        let mut decoder = Decoder::default();
        let announced = b"*2\r\n$536870912\r\n".to_vec();
        let decoded = decoder.decode(&announced, &DecodeLimits::default());
        assert_eq!(
            decoded,
            Ok(Decoded::Partial {
                needed: limits::READ_AHEAD_BYTES_MAX
            })
        );
        let received = [announced, vec![b'v'; 1 << 20]].concat();
        let decoded = decoder.decode(&received, &DecodeLimits::default());
        assert_eq!(
            decoded,
            Ok(Decoded::Partial {
                needed: received.len()
            })
        );
        assert!(decoder.words.capacity() <= limits::DECODER_WORDS_KEPT_MAX);
    }

    /// Were each piece searched from the start, this would take minutes.
    #[test]
    fn a_large_value_in_small_pieces_takes_linear_time() {
        let request = encode(&[b"SET".to_vec(), b"k".to_vec(), vec![b'v'; 64 << 20]]);
        let mut decoder = Decoder::default();
        for end in (0..request.len()).step_by(512) {
            let decoded = decoder.decode(&request[..end], &DecodeLimits::default());
            assert!(matches!(decoded, Ok(Decoded::Partial { .. })));
        }
        let whole = Ok(Decoded::Whole {
            consumed: request.len(),
        });
        assert_eq!(decoder.decode(&request, &DecodeLimits::default()), whole);
    }

    #[test]
    fn a_giant_request_leaves_no_memory_behind() {
        let mut decoder = Decoder::default();
        for request in [
            encode(&vec![b"k".to_vec(); 10_000]),
            [vec![b'k'; 60_000], b"\n".to_vec()].concat(),
        ] {
            decoder.decode(&request, &DecodeLimits::default()).unwrap();
            decoder.decode(&[], &DecodeLimits::default()).unwrap();
            assert!(decoder.words.capacity() <= limits::DECODER_WORDS_KEPT_MAX);
            assert!(decoder.unescaped.capacity() <= limits::DECODER_INLINE_BYTES_KEPT_MAX);
        }
    }

    /// Bytes that are likely to mean something to a decoder.
    fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
        let token = prop_oneof![
            Just(b"*".to_vec()),
            Just(b"$".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\0".to_vec()),
            Just(b"\"".to_vec()),
            Just(b"'\\x4".to_vec()),
            Just(b"*2\r\n$3\r\nGET\r\n".to_vec()),
            Just(b"$9223372036854775807\r\n".to_vec()),
            any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            (0..20_u8).prop_map(|number| number.to_string().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat())
    }

    /// `input` in pieces of these lengths, repeated.
    fn cut<'a>(input: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = input;
        lengths.iter().cycle().map_while(move |&length| {
            let piece = rest.split_off(..length.min(rest.len()))?;
            (!piece.is_empty()).then_some(piece)
        })
    }

    proptest! {
        #[test]
        fn a_request_survives_every_cut(
            request in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..8),
        ) {
            let input = encode(&request);
            for at in 0..=input.len() {
                let (head, tail) = input.split_at(at);
                let received = receive([head, tail], &DecodeLimits::default());
                prop_assert_eq!(received, (vec![request.clone()], None));
            }
        }

        #[test]
        fn requests_survive_random_pieces(
            requests in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..30), 1..5),
            lengths in proptest::collection::vec(1_usize..200, 1..10),
        ) {
            let input: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
            prop_assert_eq!(receive(cut(&input, &lengths), &DecodeLimits::default()), (requests, None));
        }

        #[test]
        fn hostile_bytes_mean_the_same_in_pieces(
            input in hostile_bytes(),
            lengths in proptest::collection::vec(1_usize..9, 1..5),
            bulk_bytes_max in prop_oneof![Just(usize::MAX), Just(limits::BULK_BYTES_MAX)],
        ) {
            let limits = DecodeLimits { bulk_bytes_max, ..DecodeLimits::default() };
            prop_assert_eq!(receive(cut(&input, &lengths), &limits), receive([input.as_slice()], &limits));
        }

        #[test]
        fn an_inline_request_can_quote_any_byte(
            request in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..6),
        ) {
            let mut input = String::new();
            for word in &request {
                input.push('"');
                for byte in word {
                    write!(input, "\\x{byte:02x}").unwrap();
                }
                input.push_str("\" ");
            }
            input.push('\n');
            prop_assert_eq!(receive_whole(input.as_bytes()), (vec![request], None));
        }
    }
}
