//! Sockets: accepting them, and moving bytes between them and dispatch.

mod buffers;
pub mod connection;
pub mod descriptors;
pub mod listener;
pub mod lookahead;
pub mod stream;
mod vigil;
