//! Commands: what they are (rows) and what they do (handlers).
//!
//! A command is one row and one function in one file. The rows of a file are its `COMMANDS`; [`GROUPS`] lists
//! the files.

pub mod args;
pub mod call;
pub mod error;
pub mod index;
pub mod spec;
pub mod syntax;

mod admin;
mod bitfields;
mod bitmaps;
mod catalog;
mod clients;
mod conditional_strings;
mod config;
mod connection;
mod counters;
mod databases;
mod debug;
mod expiration;
mod functions;
mod geo;
mod geo_query;
mod geo_search;
mod hash_expiry;
mod hashes;
mod hyperloglogs;
mod info;
mod key_expiry;
mod keys;
mod latency;
mod lcs;
mod list_blocking;
mod list_moves;
mod lists;
mod memory;
mod pubsub;
mod scan;
mod scan_options;
mod serialize;
mod set_algebra;
mod sets;
mod slowlog;
mod sort;
mod sorted_sets;
mod stream_claims;
mod stream_groups;
mod stream_ids;
mod stream_info;
mod stream_pending;
mod stream_reads;
mod stream_removal;
mod stream_trim;
mod streams;
mod strings;
mod substrings;
mod tier;
mod timed_fields;
mod transactions;
mod wait;

pub use args::Args;

use spec::{Categories, Command, Group};

const fn group(name: &'static str, category: u32) -> Group {
    Group {
        name,
        category: Categories(category),
    }
}

/// All rows, by group.
pub const GROUPS: &[(Group, &[Command])] = &[
    (group("string", 1 << 7), strings::COMMANDS),
    (group("string", 1 << 7), substrings::COMMANDS),
    (group("string", 1 << 7), counters::COMMANDS),
    (group("string", 1 << 7), lcs::COMMANDS),
    (group("string", 1 << 7), conditional_strings::COMMANDS),
    (group("bitmap", 1 << 8), bitmaps::COMMANDS),
    (group("bitmap", 1 << 8), bitfields::COMMANDS),
    (group("set", 1 << 3), sets::COMMANDS),
    (group("set", 1 << 3), set_algebra::COMMANDS),
    (group("list", 1 << 5), lists::COMMANDS),
    (group("list", 1 << 5), list_moves::COMMANDS),
    (group("list", 1 << 5), list_blocking::COMMANDS),
    (group("sorted-set", 1 << 4), sorted_sets::members::COMMANDS),
    (group("sorted-set", 1 << 4), sorted_sets::ranges::COMMANDS),
    (group("sorted-set", 1 << 4), sorted_sets::algebra::COMMANDS),
    (group("sorted-set", 1 << 4), sorted_sets::pops::COMMANDS),
    (group("sorted-set", 1 << 4), sorted_sets::random::COMMANDS),
    (group("hash", 1 << 6), hashes::COMMANDS),
    (group("hash", 1 << 6), hash_expiry::COMMANDS),
    (group("hash", 1 << 6), timed_fields::COMMANDS),
    (group("hyperloglog", 1 << 9), hyperloglogs::COMMANDS),
    (group("geo", 1 << 10), geo::COMMANDS),
    (group("geo", 1 << 10), geo_search::COMMANDS),
    (group("stream", 1 << 11), streams::COMMANDS),
    (group("stream", 1 << 11), stream_removal::COMMANDS),
    (group("stream", 1 << 11), stream_reads::COMMANDS),
    (group("stream", 1 << 11), stream_groups::COMMANDS),
    (group("stream", 1 << 11), stream_pending::COMMANDS),
    (group("stream", 1 << 11), stream_claims::COMMANDS),
    (group("stream", 1 << 11), stream_info::COMMANDS),
    (group("generic", 1), keys::COMMANDS),
    (group("generic", 1), key_expiry::COMMANDS),
    (group("generic", 1), scan::COMMANDS),
    (group("generic", 1), serialize::COMMANDS),
    (group("generic", 0), sort::COMMANDS),
    (group("generic", 1 << 18), wait::COMMANDS),
    (group("transactions", 1 << 19), transactions::COMMANDS),
    (group("connection", 1 << 18), connection::COMMANDS),
    (group("connection", 1 << 18), clients::COMMANDS),
    (group("server", 1), databases::COMMANDS),
    (group("server", 0), admin::COMMANDS),
    (group("server", 0), config::COMMANDS),
    (group("server", 0), debug::COMMANDS),
    (group("server", 0), info::COMMANDS),
    (group("server", 0), latency::COMMANDS),
    (group("server", 0), memory::COMMANDS),
    (group("server", 0), slowlog::COMMANDS),
    (group("server", 0), tier::COMMANDS),
    (group("pubsub", 0), pubsub::COMMANDS),
    (group("scripting", 1 << 20), functions::COMMANDS),
    (group("server", 0), catalog::COMMANDS),
];
