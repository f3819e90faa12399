//! The integration tests: Forebay from outside, over its sockets.

mod client;
mod command_table;
mod connections;
mod deadline;
mod raw_protocol;
mod server;
mod transcript;
