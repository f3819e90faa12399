//! Servers under test: Forebay, and a real redis-server that proves what the tests expect of Forebay.

use crate::client::{Client, Value};
use crate::deadline::{Deadline, PATIENCE};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, Once, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Attempts to start a server on a port of its own; another process may take the port in between.
const START_ATTEMPTS_MAX: usize = 5;

/// Which program a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The binary of this crate.
    Forebay,
    /// A redis-server at this path.
    Redis(PathBuf),
}

/// The redis-server to compare with: `FOREBAY_TEST_REDIS_SERVER`, or the first on the `PATH`.
///
/// Says once which one it is, or that there is none; then it gives `None`, so that the caller can pass. Panics
/// instead if `FOREBAY_REQUIRE_REDIS` is `1`, which CI sets.
pub fn redis_server() -> Option<Program> {
    static NOTICE: Once = Once::new();
    let found = env::var_os("FOREBAY_TEST_REDIS_SERVER")
        .map(PathBuf::from)
        .or_else(redis_server_on_path);
    let required = env::var_os("FOREBAY_REQUIRE_REDIS").is_some_and(|value| value == "1");
    assert!(
        found.is_some() || !required,
        "FOREBAY_REQUIRE_REDIS=1, but there is no redis-server on the PATH"
    );
    NOTICE.call_once(|| match &found {
        Some(path) => announce(&format!("compared with {}", path.display())),
        None => announce("skipped: no redis-server"),
    });
    found.map(Program::Redis)
}

/// Writes past the capture of the test runner, which hides what passing tests print.
fn announce(text: &str) {
    writeln!(io::stderr(), "{text}").expect("standard error is open");
}

/// Forebay, and redis-server where there is one: for tests with the same expectations of both.
pub fn programs() -> impl Iterator<Item = Program> {
    [Some(Program::Forebay), redis_server()].into_iter().flatten()
}

fn redis_server_on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join("redis-server"))
        .find(|file| file.is_file())
}

impl Program {
    /// Runs it, without settings from the environment.
    pub fn command(&self) -> Command {
        match self {
            Self::Forebay => without_settings(Command::new(env!("CARGO_BIN_EXE_forebay"))),
            Self::Redis(path) => Command::new(path),
        }
    }
}

/// Forebay reads `FOREBAY_…` variables as settings; those that steer the tests are none.
fn without_settings(mut command: Command) -> Command {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("FOREBAY_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running server that listens on a loopback port of its own. Dropped, it is killed, and its log is shown if
/// the test failed.
#[derive(Debug)]
pub struct Server {
    program: Program,
    args: Vec<String>,
    port: u16,
    folder: TempDir,
    child: Child,
}

impl Server {
    /// Starts `program` with Redis-style flags, such as `["--requirepass", "secret"]`, and waits until it answers.
    pub fn start(program: &Program, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let mut attempts = 1;
        loop {
            let mut server = Self::spawn(program, &args, free_port());
            if server.answers() {
                return server;
            }
            // A server that has ended may have found its port taken.
            let has_ended = server.child.try_wait().unwrap().is_some();
            assert!(
                has_ended && attempts < START_ATTEMPTS_MAX,
                "{program:?} does not answer:\n{}",
                server.log()
            );
            attempts += 1;
        }
    }

    /// Starts Forebay.
    pub fn forebay(args: &[&str]) -> Self {
        Self::start(&Program::Forebay, args)
    }

    fn spawn(program: &Program, args: &[String], port: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let child = spawn(program, args, port, &folder);
        Self {
            program: program.clone(),
            args: args.to_vec(),
            port,
            folder,
            child,
        }
    }

    fn answers(&mut self) -> bool {
        let address = self.address();
        let mut answered = false;
        Deadline::after(PATIENCE).poll(|| {
            answered = is_served_by(address, self.child.id());
            answered || self.child.try_wait().unwrap().is_some()
        });
        answered
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
            .unwrap_or_else(|error| panic!("{error}; the server's log:\n{}", self.log()))
    }

    /// Whether this is Forebay.
    pub fn is_forebay(&self) -> bool {
        self.program == Program::Forebay
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has written to standard output and standard error.
    pub fn log(&self) -> String {
        fs::read(log_path(&self.folder))
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }

    /// Bytes of memory that are resident now, as the kernel counts them.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a live process has a VmRSS");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kibibytes * 1024
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut status = None;
        Deadline::after(PATIENCE).poll(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap_or_else(|| panic!("still running after SIGTERM; its log:\n{}", self.log()))
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        // An error says that it has ended before.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Freezes it: connections stay open, nothing is answered.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`Server::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it, if it still runs, and starts it again on the same port with the same arguments and directory.
    pub fn restart(&mut self) {
        self.kill();
        // An outgoing connection of some other process may hold the port for a moment.
        let is_back = Deadline::after(PATIENCE).poll(|| {
            self.child = spawn(&self.program, &self.args, self.port, &self.folder);
            self.answers()
        });
        assert!(
            is_back,
            "no answer after a restart; the server's log:\n{}",
            self.log()
        );
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{:?} on port {} wrote:\n{}", self.program, self.port, self.log());
        }
    }
}

fn spawn(program: &Program, args: &[String], port: u16, folder: &TempDir) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log_path(folder))
        .unwrap();
    program
        .command()
        .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
        .arg("--dir")
        .arg(folder.path())
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?}: {error}"))
}

fn log_path(folder: &TempDir) -> PathBuf {
    folder.path().join("server.log")
}

/// A port that was free just now and that no other server of this process has been given.
pub fn free_port() -> u16 {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    loop {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return port;
        }
    }
}

/// Whether a server answers and is the process `pid`, not a stranger that took the port first. A server that has only
/// an error to say, for instance because it asks for a password, is believed.
fn is_served_by(address: SocketAddr, pid: u32) -> bool {
    let info = || -> io::Result<Value> { Client::connect(address)?.call(&["INFO", "server"]) };
    match info() {
        Ok(Value::Error(_)) => true,
        Ok(Value::Bulk(text)) => String::from_utf8_lossy(&text).contains(&format!("process_id:{pid}\r\n")),
        _ => false,
    }
}

#[test]
fn a_server_ends_well_when_asked_to() {
    for program in programs() {
        assert!(Server::start(&program, &[]).stop().success(), "{program:?}");
    }
}

#[test]
fn a_server_comes_back_on_its_port() {
    for program in programs() {
        let mut server = Server::start(&program, &[]);
        let (address, first) = (server.address(), server.pid());
        server.kill();
        assert!(Client::connect(address).is_err(), "nobody listens");
        server.restart();
        assert!(server.pid() != first && Client::connect(address).is_ok());
    }
}

#[test]
fn a_frozen_server_answers_late() {
    for program in programs() {
        let server = Server::start(&program, &[]);
        let mut client = server.connect();
        server.freeze();
        client.set_patience(Duration::from_millis(50));
        client.call(&["PING"]).unwrap_err();
        server.thaw();
        client.set_patience(PATIENCE);
        assert_eq!(client.receive().unwrap(), Value::Simple("PONG".to_owned()));
    }
}
