//! The Redis serialization protocol: requests of clients in, replies out, replies of an upstream in.
//!
//! | file | what |
//! |---|---|
//! | [`decode`] | requests, cut at any byte, without an allocation per word |
//! | `inline` | the quoting rules of requests typed by hand |
//! | [`reply`] | the encoder of RESP2 and RESP3 replies |
//! | [`frame`] | a bounded scanner of an upstream's replies, and views on what it scanned |
//! | [`number`] | integers and doubles as text, by Redis's rules |
//! | [`decimal`] | numbers without an exponent |
//! | [`long_double`] | the x87 arithmetic of `INCRBYFLOAT` |
//! | `float`, `natural` | exact conversion between decimal and binary, for those two |
//!
//! Nothing here knows a command, a clock or a socket.

pub mod decimal;
pub mod decode;
mod float;
pub mod frame;
mod inline;
pub mod long_double;
mod natural;
pub mod number;
pub mod reply;

pub use decode::{DecodeLimits, Decoded, Decoder, OwnedRequest, ProtocolError, Request};
pub use frame::{Frame, FrameError, FrameKind, FrameLimits, FrameScanner, Scanned};
pub use long_double::{NumberError, add_decimal};
pub use reply::{ArrayMark, Protocol, Reply};
