//! What the server says of itself on standard error.

use std::io::IsTerminal as _;

use tracing::Level;

use crate::config::LogLevel;

/// Starts logging at `level`. Once per process.
pub fn start(level: LogLevel) {
    let level = match level {
        LogLevel::Debug => Level::TRACE,
        LogLevel::Verbose => Level::DEBUG,
        LogLevel::Notice => Level::INFO,
        LogLevel::Warning => Level::WARN,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(std::io::stderr);
    log.with_ansi(std::io::stderr().is_terminal()).init();
}
