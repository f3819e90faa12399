//! Sockets: accepting them, and moving bytes between them and dispatch.

pub mod connection;
pub mod listener;
pub mod lookahead;
pub mod stream;
