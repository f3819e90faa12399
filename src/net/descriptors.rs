//! File descriptors: one for each client, and for its connection to upstream, and some for the server itself.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::DESCRIPTORS_RESERVED;

/// Raises the limit of open files to what `clients_max` clients and `links_max` connections to upstream need, as far
/// as the process may. Gives the number of clients that it allows for, few of which mostly have such a connection.
/// Fails if that is none.
pub fn reserve(clients_max: u32, links_max: usize) -> io::Result<u32> {
    let wanted = u64::from(clients_max) + DESCRIPTORS_RESERVED;
    let granted = raise_to(wanted + links_max as u64);
    if granted >= wanted {
        return Ok(clients_max);
    }
    let possible = granted.saturating_sub(DESCRIPTORS_RESERVED) as u32;
    if possible == 0 {
        let text =
            format!("the limit of open files ({granted}, see ulimit -n) is too low: {wanted} are needed");
        return Err(io::Error::other(text));
    }
    tracing::warn!(
        clients_max,
        possible,
        "fewer clients are possible: the limit of open files can't be raised"
    );
    Ok(possible)
}

/// Raises the soft limit to `wanted`, and the hard limit too if need be and the process may. Gives what came of it.
fn raise_to(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (
        limit.current.unwrap_or(u64::MAX),
        limit.maximum.unwrap_or(u64::MAX),
    );
    if soft >= wanted {
        return soft;
    }
    let set = |soft: u64, hard: u64| {
        let maximum = (hard < u64::MAX).then_some(hard);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(soft),
                maximum,
            },
        )
        .map(|()| soft)
    };
    let lower = wanted.min(hard);
    set(wanted, wanted.max(hard))
        .or_else(|_| set(lower, hard))
        .unwrap_or(soft)
}
