//! The integration tests: Forebay from outside, over its sockets.

mod client;
mod deadline;
mod raw_protocol;
mod server;
mod transcript;
