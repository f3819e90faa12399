//! The integration tests: Forebay from outside, over its sockets.

mod client;
mod coherence;
mod command_table;
mod config_start;
mod connections;
mod deadline;
mod differential;
mod fault_proxy;
mod http;
mod near_cache;
mod notifications;
mod packed_texts;
mod payloads;
mod process;
mod pubsub;
mod raw_protocol;
mod server;
mod static_binary;
mod transcript;
