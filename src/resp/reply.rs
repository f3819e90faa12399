//! The encoder of replies, in the version of the protocol that the client chose.
//!
//! Replies go straight into the connection's output buffer: no allocation besides its growth.

use super::{decimal, number};

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

    /// Goes on in another version of the protocol.
    pub fn switch_to(&mut self, protocol: Protocol) {
        self.protocol = protocol;
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
    pub fn close_array(&mut self, mark: ArrayMark, len: usize) {
        self.close(mark, |reply| reply.array(len));
    }

    /// Ends as a map what was begun as an array, with the number of pairs written since. Costs as much.
    pub fn close_map(&mut self, mark: ArrayMark, len: usize) {
        self.close(mark, |reply| reply.map(len));
    }

    fn close(&mut self, ArrayMark { start }: ArrayMark, header: impl FnOnce(&mut Self)) {
        let end = self.out.len();
        header(self);
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

    /// A double without an exponent, with up to 17 digits behind the point. In RESP2 a byte string with the same digits.
    pub fn decimal(&mut self, value: f64) {
        let text = decimal::plain(value);
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

    /// A message that no request asked for and that is encoded for RESP3; in RESP2 it becomes an array. Other bytes
    /// are written as they are.
    pub fn pushed(&mut self, message: &[u8]) {
        let start = self.out.len();
        self.out.extend_from_slice(message);
        if self.protocol == Protocol::Resp2 && message.first() == Some(&b'>') {
            self.out[start] = b'*';
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis_protocol::resp3::types::Resp3Frame as _;
    use redis_protocol::{resp2, resp3};

    use super::*;

    type Write = dyn Fn(&mut Reply<'_>);

    fn written(protocol: Protocol, write: impl Fn(&mut Reply<'_>)) -> String {
        let mut out = b"+before\r\n".to_vec();
        write(&mut Reply::new(&mut out, protocol));
        String::from_utf8(out)
            .unwrap()
            .strip_prefix("+before\r\n")
            .unwrap()
            .to_owned()
    }

    /// In RESP2 and in RESP3.
    fn in_both(write: impl Fn(&mut Reply<'_>)) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|protocol| written(protocol, &write))
    }

    #[test]
    fn replies_that_both_protocols_share() {
        let cases: [(&str, &Write); 9] = [
            ("+OK\r\n", &|reply| reply.ok()),
            ("+PONG\r\n", &|reply| reply.simple("PONG")),
            (":-42\r\n", &|reply| reply.integer(-42)),
            ("$5\r\nhello\r\n", &|reply| reply.bulk(b"hello")),
            ("$0\r\n\r\n", &|reply| reply.bulk(b"")),
            ("$4\r\n1000\r\n", &|reply| reply.bulk_integer(1000)),
            ("*0\r\n", &|reply| reply.array(0)),
            ("*1000000\r\n", &|reply| reply.array(1_000_000)),
            ("$1\r\na\r\n", &|reply| reply.encoded(b"$1\r\na\r\n")),
        ];
        for (expected, write) in cases {
            assert_eq!(in_both(write), [expected, expected]);
        }
    }

    #[test]
    fn replies_that_resp2_lacks() {
        let cases: [(&str, &str, &Write); 11] = [
            ("$-1\r\n", "_\r\n", &|reply| reply.null()),
            ("*-1\r\n", "_\r\n", &|reply| reply.null_array()),
            ("*4\r\n", "%2\r\n", &|reply| reply.map(2)),
            ("*2\r\n", "~2\r\n", &|reply| reply.set(2)),
            ("*2\r\n", ">2\r\n", &|reply| reply.push(2)),
            (":1\r\n", "#t\r\n", &|reply| reply.boolean(true)),
            (":0\r\n", "#f\r\n", &|reply| reply.boolean(false)),
            ("$3\r\n1.5\r\n", ",1.5\r\n", &|reply| reply.double(1.5)),
            ("$4\r\n-inf\r\n", ",-inf\r\n", &|reply| {
                reply.double(f64::NEG_INFINITY);
            }),
            ("$2\r\n-9\r\n", "(-9\r\n", &|reply| reply.big_number("-9")),
            ("$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n", &|reply| {
                reply.verbatim("txt", b"hi");
            }),
        ];
        for (resp2, resp3, write) in cases {
            assert_eq!(in_both(write), [resp2, resp3]);
        }
    }

    #[test]
    fn an_error_stays_on_its_line() {
        let error = |text: &str| written(Protocol::Resp2, |reply| reply.error(text));
        assert_eq!(error("ERR syntax error"), "-ERR syntax error\r\n");
        assert_eq!(
            error("ERR unknown command 'a\r\n+OK'\r\n"),
            "-ERR unknown command 'a  +OK'\r\n"
        );
        assert_eq!(error("\r\n\n"), "-\r\n");
    }

    #[test]
    fn an_open_array_gets_its_length_when_it_is_closed() {
        let text = written(Protocol::Resp2, |reply| {
            let outer = reply.open_array();
            reply.integer(1);
            let inner = reply.open_array();
            (0..3).for_each(|value| reply.integer(value));
            reply.close_array(inner, 3);
            let empty = reply.open_array();
            reply.close_array(empty, 0);
            reply.close_array(outer, 3);
        });
        assert_eq!(text, "*3\r\n:1\r\n*3\r\n:0\r\n:1\r\n:2\r\n*0\r\n");
    }

    proptest! {
        #[test]
        fn another_decoder_reads_scalars(bytes: Vec<u8>, integer: i64, double: f64, truth: bool) {
            let mut out = Vec::new();
            let mut reply = Reply::new(&mut out, Protocol::Resp3);
            reply.array(6);
            reply.bulk(&bytes);
            reply.integer(integer);
            reply.bulk_integer(integer);
            reply.double(double);
            reply.boolean(truth);
            reply.verbatim("txt", b"text");
            let (frame, end) = resp3::decode::complete::decode(&out).unwrap().unwrap();
            prop_assert_eq!(end, out.len());
            let resp3::types::OwnedFrame::Array { data, .. } = frame else { panic!("not an array") };
            prop_assert_eq!(data[0].as_bytes().unwrap(), &bytes);
            prop_assert_eq!(&data[1], &integer.into());
            let digits = integer.to_string();
            prop_assert_eq!(data[2].as_bytes().unwrap(), digits.as_bytes());
            prop_assert_eq!(&data[3], &double.into());
            prop_assert_eq!(&data[4], &truth.into());
            prop_assert_eq!(data[5].as_bytes().unwrap(), b"text");
        }

        #[test]
        fn another_decoder_reads_resp2(bytes: Vec<u8>, integer: i64, error in "[^\r\n]{0,40}") {
            use resp2::types::OwnedFrame;
            let mut out = Vec::new();
            let mut reply = Reply::new(&mut out, Protocol::Resp2);
            reply.map(2);
            reply.bulk(&bytes);
            reply.integer(integer);
            reply.error(&error);
            reply.null();
            let (frame, end) = resp2::decode::decode(&out).unwrap().unwrap();
            prop_assert_eq!(end, out.len());
            let expected = OwnedFrame::Array(vec![
                OwnedFrame::BulkString(bytes),
                OwnedFrame::Integer(integer),
                OwnedFrame::Error(error),
                OwnedFrame::Null,
            ]);
            prop_assert_eq!(frame, expected);
        }
    }
}
