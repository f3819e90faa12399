//! The `forebay` binary.

use std::process::ExitCode;

use forebay::config::{Action, Config};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The exit status for a configuration that can't be used.
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let config = Config::default();
    let _ = Action::Run;
    match forebay::server::run(config, None) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forebay: {error}");
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}
