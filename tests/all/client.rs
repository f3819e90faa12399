//! A small blocking client of its own, so that the tests do not trust the code they test.

use crate::deadline::{Deadline, PATIENCE};
use std::fmt::{self, Write as _};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A reply, exactly as it came over the wire: RESP2's two nulls and RESP3's null are three values.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `+`
    Simple(String),
    /// `-`, with its prefix.
    Error(String),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `*`
    Array(Vec<Value>),
    /// `%`
    Map(Vec<(Value, Value)>),
    /// `~`
    Set(Vec<Value>),
    /// `>`
    Push(Vec<Value>),
    /// `,`, as it was written.
    Double(String),
    /// `(`, as it was written.
    BigNumber(String),
    /// `=`, with its format, such as `txt:some text`.
    Verbatim(Vec<u8>),
    /// `#`
    Boolean(bool),
    /// `|` and the reply it is about.
    Attributed(Vec<(Value, Value)>, Box<Value>),
}

/// One connection. Every operation ends within its patience, 20 seconds unless told otherwise, in an error of kind
/// `TimedOut` or `WouldBlock` at worst.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    patience: Duration,
    received: Vec<u8>,
    /// Bytes of `received` that have been handed out.
    taken: usize,
}

impl Client {
    /// Opens a connection, which starts in RESP2.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            patience: PATIENCE,
            received: Vec::new(),
            taken: 0,
        })
    }

    /// Sets how long each further operation may take.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Where this end of the connection is.
    pub fn local_address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Sends a request and reads its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, request: &[A]) -> io::Result<Value> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request as an array of bulk strings.
    pub fn send<A: AsRef<[u8]>>(&mut self, request: &[A]) -> io::Result<()> {
        self.send_bytes(&encode(request))
    }

    /// Sends exactly these bytes.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.set_write_timeout(Some(self.patience))?;
        self.socket.write_all(bytes)
    }

    /// Tells the server that nothing more will be sent; replies can still be read.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Reads one reply.
    pub fn receive(&mut self) -> io::Result<Value> {
        let deadline = Deadline::after(self.patience);
        self.value(deadline)
    }

    /// Reads exactly this many bytes, whatever they mean.
    pub fn receive_bytes(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let deadline = Deadline::after(self.patience);
        self.bytes(len, deadline)
    }

    /// Reads whatever still comes until the server closes the connection.
    pub fn receive_to_end(&mut self) -> io::Result<Vec<u8>> {
        let deadline = Deadline::after(self.patience);
        while self.read_more(deadline)? {}
        let rest = self.received.split_off(self.taken);
        self.received.clear();
        self.taken = 0;
        Ok(rest)
    }

    /// Whether the server closes the connection now, with nothing left to read. A reset counts as closing.
    pub fn is_closed(&mut self) -> bool {
        match self.receive_to_end() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn value(&mut self, deadline: Deadline) -> io::Result<Value> {
        let line = self.line(deadline)?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| invalid("an empty line"))?;
        match kind {
            "+" => Ok(Value::Simple(rest.to_owned())),
            "-" => Ok(Value::Error(rest.to_owned())),
            ":" => Ok(Value::Integer(number(rest)?)),
            "$" if rest == "-1" => Ok(Value::NullBulk),
            "$" => Ok(Value::Bulk(self.bulk(rest, deadline)?)),
            "=" => Ok(Value::Verbatim(self.bulk(rest, deadline)?)),
            "*" if rest == "-1" => Ok(Value::NullArray),
            "*" => Ok(Value::Array(self.values(rest, deadline)?)),
            "~" => Ok(Value::Set(self.values(rest, deadline)?)),
            ">" => Ok(Value::Push(self.values(rest, deadline)?)),
            "%" => Ok(Value::Map(self.pairs(rest, deadline)?)),
            "|" => Ok(Value::Attributed(
                self.pairs(rest, deadline)?,
                Box::new(self.value(deadline)?),
            )),
            "_" => Ok(Value::Null),
            "," => Ok(Value::Double(rest.to_owned())),
            "(" => Ok(Value::BigNumber(rest.to_owned())),
            "#" => Ok(Value::Boolean(rest == "t")),
            _ => Err(invalid(&format!("no reply starts with {line:?}"))),
        }
    }

    fn bulk(&mut self, len: &str, deadline: Deadline) -> io::Result<Vec<u8>> {
        let len: usize = number(len)?;
        let mut text = self.bytes(len + 2, deadline)?;
        if !text.ends_with(b"\r\n") {
            return Err(invalid("a bulk string without its line break"));
        }
        text.truncate(len);
        Ok(text)
    }

    fn values(&mut self, len: &str, deadline: Deadline) -> io::Result<Vec<Value>> {
        (0..number::<usize>(len)?).map(|_| self.value(deadline)).collect()
    }

    fn pairs(&mut self, len: &str, deadline: Deadline) -> io::Result<Vec<(Value, Value)>> {
        (0..number::<usize>(len)?)
            .map(|_| Ok((self.value(deadline)?, self.value(deadline)?)))
            .collect()
    }

    fn line(&mut self, deadline: Deadline) -> io::Result<String> {
        let mut searched = 0;
        loop {
            let pending = &self.received[self.taken..];
            if let Some(found) = pending[searched..].windows(2).position(|pair| pair == b"\r\n") {
                let line = self.bytes(searched + found + 2, deadline)?;
                return Ok(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned());
            }
            searched = pending.len().saturating_sub(1);
            self.read_or_fail(deadline)?;
        }
    }

    fn bytes(&mut self, len: usize, deadline: Deadline) -> io::Result<Vec<u8>> {
        while self.received.len() - self.taken < len {
            self.read_or_fail(deadline)?;
        }
        let end = self.taken + len;
        let bytes = self.received[self.taken..end].to_vec();
        self.taken = end;
        Ok(bytes)
    }

    fn read_or_fail(&mut self, deadline: Deadline) -> io::Result<()> {
        if self.read_more(deadline)? {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// False at the end of the stream.
    fn read_more(&mut self, deadline: Deadline) -> io::Result<bool> {
        self.received.drain(..self.taken);
        self.taken = 0;
        self.socket.set_read_timeout(Some(deadline.remaining()?))?;
        let mut chunk = [0; 16 * 1024];
        let len = self.socket.read(&mut chunk)?;
        self.received.extend_from_slice(&chunk[..len]);
        Ok(len > 0)
    }
}

/// A request on the wire.
pub fn encode<A: AsRef<[u8]>>(request: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
    for argument in request.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn number<N: std::str::FromStr>(text: &str) -> io::Result<N> {
    text.parse()
        .map_err(|_| invalid(&format!("{text:?} is no number")))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The notation of transcripts, so that a reply can be copied from a failure into one.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) if is_word(text) => f.write_str(text),
            Self::Simple(text) => write!(f, "(simple {})", quoted(text.as_bytes())),
            Self::Error(text) => write!(f, "-{text}"),
            Self::Integer(number) => write!(f, ":{number}"),
            Self::Bulk(text) => f.write_str(&quoted(text)),
            Self::NullBulk => f.write_str("(nil)"),
            Self::NullArray => f.write_str("(nil-array)"),
            Self::Null => f.write_str("(nil) of RESP3"),
            Self::Array(items) => list(f, "[", items, "]"),
            Self::Map(pairs) => map(f, pairs),
            Self::Set(items) => list(f, "(set [", items, "])"),
            Self::Push(items) => list(f, "(push [", items, "])"),
            Self::Double(text) => write!(f, "(double {text})"),
            Self::BigNumber(text) => write!(f, "(bignum {text})"),
            Self::Verbatim(text) => write!(f, "(verbatim {})", quoted(text)),
            Self::Boolean(value) => write!(f, "({value})"),
            Self::Attributed(pairs, reply) => {
                f.write_str("(attributed ")?;
                map(f, pairs)?;
                write!(f, " {reply})")
            }
        }
    }
}

/// Whether a simple string needs no quotes in the notation.
pub fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-@.|".contains(&byte))
        && !text.starts_with('-')
}

fn list(f: &mut fmt::Formatter<'_>, open: &str, items: &[Value], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (index, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
    }
    f.write_str(close)
}

fn map(f: &mut fmt::Formatter<'_>, pairs: &[(Value, Value)]) -> fmt::Result {
    f.write_str("{")?;
    for (index, (key, value)) in pairs.iter().enumerate() {
        write!(f, "{}{key}: {value}", if index == 0 { "" } else { ", " })?;
    }
    f.write_str("}")
}

/// Text in double quotes, with escapes for what does not print.
pub fn quoted(text: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for &byte in text {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', byte as char]),
            b'\r' => quoted.push_str("\\r"),
            b'\n' => quoted.push_str("\\n"),
            b' '..=b'~' => quoted.push(byte as char),
            _ => write!(quoted, "\\x{byte:02x}").expect("a String takes everything"),
        }
    }
    quoted.push('"');
    quoted
}
