//! LATENCY: how long commands take, and the spikes among them.

use std::fmt::Write as _;

use super::call::SessionCall;
use super::error::Error;
use super::index::{self, Entry};
use super::spec::*;
use crate::resp::Reply;
use crate::stats::histogram::Distribution;
use crate::stats::latency::Spikes;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::container("LATENCY", "2.8.13", "Groups the commands about delays.", &[
        Command::new("DOCTOR", 2, "", &[], OPERATOR, "2.8.13", "O(1)", Handler::Session(doctor),
                     "Comments on the delays seen.").tips(TIPS),
        Command::new("GRAPH", 3, "event", &[], OPERATOR, "2.8.13", "O(1)", Handler::Session(graph),
                     "Draws the delays of one event as a chart of characters.").tips(TIPS),
        Command::new("HISTOGRAM", -2, "[command ...]", &[], OPERATOR, "7.0.0", "O(N) in the commands reported",
                     Handler::Session(histogram), "Shows how the running times of commands are spread.").tips(TIPS),
        Command::new("HISTORY", 3, "event", &[], OPERATOR, "2.8.13", "O(1)", Handler::Session(history),
                     "Lists the delays of one event with their times.").tips(TIPS),
        Command::new("LATEST", 2, "", &[], OPERATOR, "2.8.13", "O(1)", Handler::Session(latest),
                     "Shows the last and the longest delay of every event.").tips(TIPS),
        Command::new("RESET", -2, "[event ...]", &[], OPERATOR, "2.8.13", "O(1)", Handler::Session(reset),
                     "Forgets the delays of the events named, or of all.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
        Command::new("HELP", 2, "", &[], LOADING.or(STALE), "2.8.13", "O(1)", Handler::Session(help),
                     "Explains the LATENCY commands."),
    ]),
];

const OPERATOR: Flags = ADMIN.or(NOSCRIPT).or(LOADING).or(STALE);
const TIPS: &[&str] = &[
    "nondeterministic_output",
    "request_policy:all_nodes",
    "response_policy:special",
];

const HELP: &[&str] = &[
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
    "    If no commands are specified then all histograms are replied.",
];

fn help(call: &mut SessionCall<'_>) -> Result {
    call.help("LATENCY", HELP)
}

fn histogram(call: &mut SessionCall<'_>) -> Result {
    let names: Vec<&[u8]> = call.args.collect();
    let asked_for = |entry: &Entry| names.is_empty() || names.iter().any(|name| is_named(entry, name));
    let shown: Vec<(&Entry, Distribution)> = index::all()
        .iter()
        .filter(|entry| asked_for(entry))
        .map(|entry| (entry, call.services.counters.latencies(entry.id)))
        .filter(|(_, latencies)| latencies.total() > 0)
        .collect();
    call.reply.map(shown.len());
    for (entry, latencies) in &shown {
        call.reply.bulk(entry.full_name.as_bytes());
        reply_distribution(&mut call.reply, latencies);
    }
    Ok(())
}

/// Whether `name` means the command, or the container that it is a subcommand of.
fn is_named(entry: &Entry, name: &[u8]) -> bool {
    let container = entry.full_name.split('|').next().unwrap_or_default();
    [&*entry.full_name, container]
        .iter()
        .any(|own| own.as_bytes().eq_ignore_ascii_case(name))
}

/// How many calls took at most 1, 2, 4 ... µs, as far as the number grows from one bound to the next. A bound is
/// 1,024 ns times a power of two, so 32.8 µs is shown as 32.
fn reply_distribution(reply: &mut Reply<'_>, latencies: &Distribution) {
    let mut steps: Vec<(u64, u64)> = Vec::new();
    let mut counted = 0;
    let mut bound_ns: u64 = 1024;
    while counted < latencies.total() {
        let at_most = latencies.at_most(bound_ns - 1);
        if at_most > counted {
            steps.push((bound_ns / 1000, at_most));
        }
        counted = at_most;
        bound_ns *= 2;
    }
    reply.map(2);
    reply.bulk(b"calls");
    reply.integer(counted as i64);
    reply.bulk(b"histogram_usec");
    reply.map(steps.len());
    for (microseconds, calls) in steps {
        reply.integer(microseconds as i64);
        reply.integer(calls as i64);
    }
}

fn latest(call: &mut SessionCall<'_>) -> Result {
    let events = call.services.latency.events();
    call.reply.array(events.len());
    for (event, spikes) in &events {
        let (at_s, ms) = spikes.history.back().copied().unwrap_or_default();
        call.reply.array(4);
        call.reply.bulk(event.as_bytes());
        for number in [at_s, ms, spikes.max_ms] {
            call.reply.integer(number as i64);
        }
    }
    Ok(())
}

fn history(call: &mut SessionCall<'_>) -> Result {
    let (_, spikes) = spikes_of(call)?;
    let history = spikes.unwrap_or_default().history;
    call.reply.array(history.len());
    for (at_s, ms) in history {
        call.reply.array(2);
        call.reply.integer(at_s as i64);
        call.reply.integer(ms as i64);
    }
    Ok(())
}

fn reset(call: &mut SessionCall<'_>) -> Result {
    let names: Vec<&[u8]> = call.args.collect();
    call.reply.integer(call.services.latency.reset(&names) as i64);
    Ok(())
}

fn graph(call: &mut SessionCall<'_>) -> Result {
    let (event, spikes) = spikes_of(call)?;
    let Some(spikes) = spikes else {
        return Err(Error::no_samples(&event));
    };
    let chart = chart(&event, &spikes, call.visit.now_ms / 1000);
    call.reply.verbatim("txt", chart.as_bytes());
    Ok(())
}

/// The event that the next argument names, and its spikes.
fn spikes_of(call: &mut SessionCall<'_>) -> Result<(String, Option<Spikes>)> {
    let event = call.args.text()?;
    let mut events = call.services.latency.events();
    let spikes = events.remove(event.as_str());
    Ok((event, spikes))
}

/// One column a spike, the newest at the right; below it its age, written downwards.
fn chart(event: &str, spikes: &Spikes, now_s: u64) -> String {
    const COLUMNS: usize = 80;
    const ROWS: u64 = 4;
    let shown = &spikes.history.iter().copied().collect::<Vec<_>>();
    let shown = &shown[shown.len().saturating_sub(COLUMNS)..];
    let high = shown.iter().map(|(_, ms)| *ms).max().unwrap_or(0);
    let low = shown.iter().map(|(_, ms)| *ms).min().unwrap_or(0);
    let max = spikes.max_ms;
    let mut text = format!("{event} - high {high} ms, low {low} ms (all time high {max} ms)\n");
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    for row in (1..=ROWS).rev() {
        push_line(&mut text, shown.iter().map(|(_, ms)| bar(*ms, high, row, ROWS)));
    }
    let ages: Vec<Vec<char>> = shown
        .iter()
        .map(|(at_s, _)| age(now_s.saturating_sub(*at_s)))
        .collect();
    for row in 0..ages.iter().map(Vec::len).max().unwrap_or(0) {
        push_line(
            &mut text,
            ages.iter().map(|age| age.get(row).copied().unwrap_or(' ')),
        );
    }
    text
}

/// The character of a bar in a row counted from below; the longest bar has `rows`, each at least one.
fn bar(ms: u64, high: u64, row: u64, rows: u64) -> char {
    let height = (ms * rows).div_ceil(high.max(1)).max(1);
    match row.cmp(&height) {
        std::cmp::Ordering::Less => '|',
        std::cmp::Ordering::Equal => '#',
        std::cmp::Ordering::Greater => ' ',
    }
}

fn push_line(text: &mut String, characters: impl Iterator<Item = char>) {
    let line: String = characters.collect();
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Seconds in the largest unit that they fill.
fn age(seconds: u64) -> Vec<char> {
    let text = match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    };
    text.chars().collect()
}

fn doctor(call: &mut SessionCall<'_>) -> Result {
    let latency = &call.services.latency;
    let report = match latency.threshold_ms() {
        None => "Latency monitoring is off. Switch it on with CONFIG SET latency-monitor-threshold <milliseconds>: \
                 what takes longer is then kept for a look at it.\n"
            .to_owned(),
        Some(threshold_ms) => diagnosis(&latency.events().into_iter().collect::<Vec<_>>(), threshold_ms),
    };
    call.reply.verbatim("txt", report.as_bytes());
    Ok(())
}

fn diagnosis(events: &[(&str, Spikes)], threshold_ms: u64) -> String {
    if events.is_empty() {
        return format!("No latency spike of {threshold_ms} ms or longer since the last LATENCY RESET.\n");
    }
    let mut text = format!(
        "Events with latency spikes of {threshold_ms} ms or longer since the last LATENCY RESET:\n\n"
    );
    for (event, spikes) in events {
        let spikes_len = spikes.history.len() as u64;
        let mean = spikes.history.iter().map(|(_, ms)| ms).sum::<u64>() / spikes_len.max(1);
        let max = spikes.max_ms;
        writeln!(
            text,
            "- {event}: {spikes_len} seconds with a spike, {mean} ms on average, {max} ms at most."
        )
        .expect("writing to a String does not fail");
    }
    text.push_str(
        "\nSLOWLOG GET shows which requests they were, LATENCY HISTOGRAM how all others did. Suspects are\n",
    );
    text.push_str(
        "requests for very many keys at once (KEYS, large MGET or DEL), very large values, and a machine\n",
    );
    text.push_str(
        "whose cores or memory others use as well (compare used_cpu_* and used_memory_rss in INFO).\n",
    );
    text
}
