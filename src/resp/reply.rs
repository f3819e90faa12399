//! The encoder of replies, in the version of the protocol that the client chose.
//!
//! Replies go straight into the connection's output buffer: no allocation besides its growth.

use super::number;

/// The version of the protocol that a client speaks; `HELLO` chooses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every client understands, and how a connection starts.
    #[default]
    Resp2,
    /// Adds maps, sets, doubles, booleans, pushes and a null of its own.
    Resp3,
}

/// Where an array begins whose length is not known yet: see [`Reply::open_array`].
#[derive(Debug)]
#[must_use = "the array has no header until `close_array`"]
pub struct ArrayMark {
    /// Bytes of output in front of the array.
    start: usize,
}

/// Writes one reply, or the parts of one, behind what `out` already holds.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// A reply in `protocol`, to be appended to `out`.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The version of the protocol that is written.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// `OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status: a short text without line breaks.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a status is one line");
        self.line(b'+', text.as_bytes());
    }

    /// An error: its code, a space and its text, such as `ERR syntax error`, without a leading `-`.
    ///
    /// Line breaks at its ends are dropped, others become spaces, as texts that quote what a client
    /// sent may contain them.
    #[cold]
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        push_error(self.out, text.as_ref());
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(small) => self.header(b':', small),
            Err(_) => self.line(b':', itoa::Buffer::new().format(value).as_bytes()),
        }
    }

    /// A byte string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        push_bulk(self.out, bytes);
    }

    /// An integer as a byte string, which is what most commands answer for a value.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        push_bulk(self.out, itoa::Buffer::new().format(value).as_bytes());
    }

    /// The absence of a value.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The absence of an array.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The head of an array; `len` replies follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as u64);
    }

    /// The head of a map; `len` pairs of replies follow. In RESP2 an array of twice the length.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len * 2),
            Protocol::Resp3 => self.header(b'%', len as u64),
        }
    }

    /// The head of a set; `len` replies follow. In RESP2 an array.
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len),
            Protocol::Resp3 => self.header(b'~', len as u64),
        }
    }

    /// The head of a message that no request asked for; `len` replies follow. In RESP2 an array.
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(len),
            Protocol::Resp3 => self.header(b'>', len as u64),
        }
    }

    /// Begins an array whose length is known only at its end; [`Self::close_array`] writes its header.
    pub fn open_array(&mut self) -> ArrayMark {
        ArrayMark {
            start: self.out.len(),
        }
    }

    /// Ends an array with the number of replies written since its mark was made.
    ///
    /// Moves those replies once by the width of the header, so it is linear in their bytes.
    pub fn close_array(&mut self, ArrayMark { start }: ArrayMark, len: usize) {
        let end = self.out.len();
        self.array(len);
        let header_bytes = self.out.len() - end;
        self.out[start..].rotate_right(header_bytes);
    }

    /// A double. In RESP2 a byte string with the same digits.
    pub fn double(&mut self, value: f64) {
        let text = number::format_f64(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// A truth value. In RESP2 the integer 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.protocol, value) {
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
        });
    }

    /// An integer of any size, given as its digits. In RESP2 a byte string.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// A text for people, with its format in three letters: `txt` or `mkd`. In RESP2 a byte string.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert_eq!(format.len(), 3, "the protocol wants three letters");
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', (format.len() + 1 + text.len()) as u64);
                self.out.extend_from_slice(format.as_bytes());
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A reply that is already encoded in the client's protocol, such as one that an upstream sent.
    pub fn encoded(&mut self, reply: &[u8]) {
        self.out.extend_from_slice(reply);
    }

    #[inline]
    fn header(&mut self, kind: u8, number: u64) {
        push_header(self.out, kind, number);
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        push_line(self.out, kind, text);
    }
}

/// Appends a byte string.
#[inline]
pub(super) fn push_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + HEADER_BYTES_MAX + 2);
    push_header(out, b'$', bytes.len() as u64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends an error; line breaks at the ends of its text are dropped, others become spaces.
pub(super) fn push_error(out: &mut Vec<u8>, text: &[u8]) {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let leading = text.iter().take_while(|byte| is_break(byte)).count();
    let trailing = text[leading..]
        .iter()
        .rev()
        .take_while(|byte| is_break(byte))
        .count();
    let text = &text[leading..text.len() - trailing];
    out.push(b'-');
    out.extend(text.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }));
    out.extend_from_slice(b"\r\n");
}

/// Appends a line of any text that has no line break.
pub(super) fn push_line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.reserve(text.len() + 3);
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// The longest line that [`push_header`] writes: the kind, 20 digits and the line break.
const HEADER_BYTES_MAX: usize = 23;

/// Appends a line that is one number. The lengths of most replies have one to three digits.
#[inline]
pub(super) fn push_header(out: &mut Vec<u8>, kind: u8, number: u64) {
    let digit = |power: u64| b'0' + (number / power % 10) as u8;
    match number {
        0..=9 => out.extend_from_slice(&[kind, digit(1), b'\r', b'\n']),
        10..=99 => out.extend_from_slice(&[kind, digit(10), digit(1), b'\r', b'\n']),
        100..=999 => out.extend_from_slice(&[kind, digit(100), digit(10), digit(1), b'\r', b'\n']),
        _ => push_line(out, kind, itoa::Buffer::new().format(number).as_bytes()),
    }
}
