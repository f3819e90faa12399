//! The `forebay` binary: reads the configuration and does what it asks for.

use std::process::ExitCode;

use forebay::config::{self, Action, Config, Loaded};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Unused pages go back to the system after a second, by a thread of the allocator: otherwise a server that has
/// become idle would keep what it freed last (1,000,000 entries of 80 bytes: 40 bytes each instead of 28).
// SAFETY: jemalloc reads this symbol as a pointer to a C string; a reference to a byte array that ends in NUL is
// one, and nothing else in the process has this name.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: &[u8; 43] = b"background_thread:true,dirty_decay_ms:1000\0";

/// The exit status for a configuration that can't be used.
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let loaded = match Config::load(std::env::args_os().skip(1), std::env::vars_os()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match &loaded.action {
        Action::Help => println!("{}", config::help()),
        Action::Version => println!("forebay {}", env!("CARGO_PKG_VERSION")),
        Action::CheckConfig(path) => println!("{}: no problem found", path.display()),
        Action::Health => {
            return forebay::health::ping(&loaded.config).map_or_else(fail, |()| ExitCode::SUCCESS);
        }
        Action::Run => return run(loaded),
    }
    ExitCode::SUCCESS
}

fn run(loaded: Loaded) -> ExitCode {
    forebay::log::start(loaded.config.general.log_level);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    forebay::server::run(loaded.config, loaded.file).map_or_else(fail, |()| ExitCode::SUCCESS)
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_or_else")]
fn fail(error: std::io::Error) -> ExitCode {
    eprintln!("forebay: {error}");
    ExitCode::FAILURE
}
