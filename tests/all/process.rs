//! Forebay as a process that a test configures all by itself.

use crate::client::Client;
use crate::deadline::{Deadline, PATIENCE};
use crate::server::Program;
use rustix::process::{Pid, Signal, kill_process};
use std::net::Ipv4Addr;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Forebay with these arguments, and none of the settings in the test's own environment.
pub fn forebay(args: &[&str]) -> Command {
    let mut command = Program::Forebay.command();
    command.args(args).stdin(Stdio::null());
    command
}

/// A process that runs. Dropped, it is killed.
pub struct Running(Child);

impl Running {
    /// Starts a server and waits until it accepts connections on `port` of this host.
    pub fn start(command: &mut Command, port: u16) -> (Self, Client) {
        let running = Self(command.spawn().unwrap());
        let mut client = None;
        Deadline::after(PATIENCE).poll(|| {
            client = Client::connect((Ipv4Addr::LOCALHOST, port).into()).ok();
            client.is_some()
        });
        (running, client.expect("the server listens"))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        let mut status = None;
        Deadline::after(PATIENCE).poll(|| {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.expect("a server ends after SIGTERM")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error says that it has ended before.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}
