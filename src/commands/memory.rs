//! MEMORY: what takes memory, and how much.

use super::call::{KeyCall, SessionCall};
use super::error::Error;
use super::spec::*;
use crate::stats::allocator;
use crate::stats::memory::{Human, Memory, ratio};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::container("MEMORY", "4.0.0", "Groups the commands about memory.", &[
        Command::new("DOCTOR", 2, "", &[], NONE, "4.0.0", "O(1)", Handler::Session(doctor),
                     "Looks for memory problems and says what it found.").tips(TIPS),
        Command::new("MALLOC-STATS", 2, "", &[], NONE, "4.0.0", "Depends on the memory allocated",
                     Handler::Session(malloc_stats), "Shows the allocator's own statistics.").tips(TIPS),
        Command::new("PURGE", 2, "", &[], NONE, "4.0.0", "Depends on the memory allocated", Handler::Waiting(purge),
                     "Asks the allocator to give unused memory back.")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
        Command::new("STATS", 2, "", &[], NONE, "4.0.0", "O(1)", Handler::Session(stats),
                     "Tells where the server's memory goes.").tips(TIPS),
        Command::new("USAGE", -3, "key [SAMPLES count]", &[key_at(2, LOOK)], READONLY, "4.0.0",
                     "O(N) in the samples", Handler::Key(usage),
                     "Estimates how many bytes a key and its value take."),
        Command::new("HELP", 2, "", &[], LOADING.or(STALE), "4.0.0", "O(1)", Handler::Session(help),
                     "Explains the MEMORY commands."),
    ]),
];

const TIPS: &[&str] = &[
    "nondeterministic_output",
    "request_policy:all_shards",
    "response_policy:special",
];

const HELP: &[&str] = &[
    "DOCTOR",
    "    Return memory problems reports.",
    "MALLOC-STATS",
    "    Return internal statistics report from the memory allocator.",
    "PURGE",
    "    Attempt to purge dirty pages for reclamation by the allocator.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    sampled up to <count> times (default: 5, 0 means sample all).",
];

fn help(call: &mut SessionCall<'_>) -> Result {
    call.help("MEMORY", HELP)
}

/// Exact: the entry's allocation and its slot in the table. A text has no nested values to sample.
fn usage(call: &mut KeyCall<'_>) -> Result {
    while !call.args.is_empty() {
        if !call.args.take_word("SAMPLES") || call.args.is_empty() || call.args.integer()? < 0 {
            return Err(Error::Syntax);
        }
    }
    match call.key.used_bytes() {
        Some(bytes) => call.reply.integer(bytes as i64),
        None => call.reply.null(),
    }
    Ok(())
}

fn purge(mut call: SessionCall<'_>) -> Waiting<'_> {
    Box::pin(async move {
        // Some milliseconds for each GiB that was freed: not on the worker.
        tokio::task::spawn_blocking(allocator::purge)
            .await
            .map_err(|error| Error::plain(error.to_string()))?;
        call.reply.ok();
        Ok(())
    })
}

fn malloc_stats(call: &mut SessionCall<'_>) -> Result {
    call.reply.verbatim("txt", allocator::report().as_bytes());
    Ok(())
}

/// A figure of MEMORY STATS.
enum Figure {
    Bytes(u64),
    Difference(i64),
    Ratio(f64),
}

fn stats(call: &mut SessionCall<'_>) -> Result {
    let figures = figures(&Memory::of(call.services));
    call.reply.map(figures.len());
    for (name, figure) in figures {
        call.reply.bulk(name.as_bytes());
        match figure {
            Figure::Bytes(bytes) => call.reply.integer(bytes as i64),
            Figure::Difference(bytes) => call.reply.integer(bytes),
            Figure::Ratio(ratio) => call.reply.double(ratio),
        }
    }
    Ok(())
}

/// In Redis's names and order. `total.allocated` is what INFO calls `used_memory`.
fn figures(memory: &Memory) -> Vec<(&'static str, Figure)> {
    use Figure::{Bytes, Difference, Ratio};
    let heap = memory.heap;
    let beyond = |held: u64, used: u64| Difference(held as i64 - used as i64);
    vec![
        ("peak.allocated", Bytes(memory.peak)),
        ("total.allocated", Bytes(memory.used)),
        ("startup.allocated", Bytes(memory.startup)),
        ("replication.backlog", Bytes(0)),
        ("clients.slaves", Bytes(0)),
        ("clients.normal", Bytes(memory.clients)),
        ("cluster.links", Bytes(0)),
        ("aof.buffer", Bytes(0)),
        ("overhead.total", Bytes(memory.overhead())),
        ("keys.count", Bytes(memory.keys as u64)),
        (
            "keys.bytes-per-key",
            Bytes(memory.used.checked_div(memory.keys as u64).unwrap_or(0)),
        ),
        ("dataset.bytes", Bytes(memory.dataset())),
        ("dataset.percentage", Ratio(memory.dataset_percent())),
        ("peak.percentage", Ratio(ratio(memory.used, memory.peak) * 100.0)),
        ("allocator.allocated", Bytes(heap.allocated)),
        ("allocator.active", Bytes(heap.active)),
        ("allocator.resident", Bytes(heap.resident)),
        (
            "allocator-fragmentation.ratio",
            Ratio(ratio(heap.active, heap.allocated)),
        ),
        (
            "allocator-fragmentation.bytes",
            beyond(heap.active, heap.allocated),
        ),
        ("allocator-rss.ratio", Ratio(ratio(heap.resident, heap.active))),
        ("allocator-rss.bytes", beyond(heap.resident, heap.active)),
        ("rss-overhead.ratio", Ratio(ratio(memory.resident, heap.resident))),
        ("rss-overhead.bytes", beyond(memory.resident, heap.resident)),
        ("fragmentation", Ratio(ratio(memory.resident, heap.allocated))),
        ("fragmentation.bytes", beyond(memory.resident, heap.allocated)),
    ]
}

fn doctor(call: &mut SessionCall<'_>) -> Result {
    let found = problems(&Memory::of(call.services));
    let head = if found.is_empty() {
        "No memory problem found.\n"
    } else {
        "What was found about memory:\n\n"
    };
    let report = format!("{head}{}", found.join("\n"));
    call.reply.verbatim("txt", report.as_bytes());
    Ok(())
}

/// What an operator should look at, each with what to do about it.
fn problems(memory: &Memory) -> Vec<String> {
    /// Below this the fixed costs of a process say more than any ratio does.
    const WORTH_A_LOOK_BYTES: u64 = 5 << 20;
    /// Fragmentation is the rule, up to here.
    const FRAGMENTATION_MAX: f64 = 1.4;
    if memory.used < WORTH_A_LOOK_BYTES {
        return vec!["- There is too little data in memory to judge by.\n".to_owned()];
    }
    let heap = memory.heap;
    let mut found = Vec::new();
    if ratio(memory.peak, memory.used) > 1.5 {
        found.push(format!(
            "- Peak: {} were in use once, {} are now. The allocator may still hold the difference: MEMORY PURGE.\n",
            Human(memory.peak),
            Human(memory.used)
        ));
    }
    if ratio(heap.active, heap.allocated) > FRAGMENTATION_MAX {
        found.push(format!(
            "- Fragmentation: {} of pages hold {} of allocations. Many entries were removed or changed their size; \
             what is written next fills the gaps.\n",
            Human(heap.active),
            Human(heap.allocated)
        ));
    }
    if memory.clients > memory.used / 4 {
        found.push(format!(
            "- Clients: their buffers take {}. See qbuf and omem in CLIENT LIST, and client-output-buffer-limit.\n",
            Human(memory.clients)
        ));
    }
    if memory.limit > 0 && memory.heap.allocated > memory.limit + memory.limit / 4 {
        found.push(format!(
            "- Overhead: maxmemory ({}) bounds entries and tables; all of the heap is {}.\n",
            Human(memory.limit),
            Human(heap.allocated)
        ));
    }
    found
}
