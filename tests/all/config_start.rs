//! Starting and stopping: what the configuration says, and what happens when it is wrong.

use crate::client::{Client, Value};
use crate::process::{Running, forebay};
use crate::server::{Server, free_port};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};
use tempfile::TempDir;

/// The statuses of an unusable configuration, and of a server that could not start otherwise.
const BAD_CONFIGURATION: i32 = 2;
const FAILED: i32 = 1;

/// The status and standard error of a run that is expected to end by itself.
fn failure(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code().unwrap_or(-1), String::from_utf8(stderr).unwrap())
}

fn file(text: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("forebay.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn text(value: &str) -> Value {
    Value::Bulk(value.as_bytes().to_vec())
}

fn setting(client: &mut Client, name: &str) -> Value {
    match client.call(&["CONFIG", "GET", name]).unwrap() {
        Value::Array(mut pair) if pair.len() == 2 => pair.remove(1),
        other => panic!("{other:?}"),
    }
}

/// Every wrong setting is told with its name, its place and what was expected, before a port is opened: the port
/// that is asked for is taken, which nobody notices.
#[test]
fn a_bad_configuration_ends_the_start_before_the_port_opens() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (_folder, path) = file("maxclients = 0\n\nmaxmemory-polcy = \"allkeys-lru\"\n");
    let mut command = forebay(&["--port", &port, "--config", &path, "--timeout", "soon"]);
    let (status, error) = failure(command.env("FOREBAY_MAXMEMORY", "much"));
    assert_eq!(status, BAD_CONFIGURATION, "{error}");
    for expected in [
        "forebay.toml:1: 'maxclients': expected a whole number from 1 to ",
        "forebay.toml:3: 'maxmemory-polcy': unknown setting; did you mean 'maxmemory-policy'?",
        "variable FOREBAY_MAXMEMORY: 'maxmemory': expected ",
        "flag --timeout: 'timeout': expected ",
    ] {
        assert!(error.contains(expected), "{expected}\n{error}");
    }
}

#[test]
fn a_bad_flag_ends_the_start() {
    for (args, expected) in [
        (&["--prot", "7000"][..], "did you mean"),
        (
            &["--port", "70000"],
            "'port': expected a whole number from 0 to 65535",
        ),
        (&["--port"], "port"),
        (
            &["--tier-mode", "near-cache"],
            "'tier-mode': near-cache needs an upstream",
        ),
        (
            &["--upstream", "http://localhost"],
            "'upstream': expected redis://",
        ),
        (&["--config", "/nowhere/forebay.toml"], "/nowhere/forebay.toml"),
    ] {
        let (status, error) = failure(&mut forebay(args));
        assert!(
            status == BAD_CONFIGURATION && error.contains(expected),
            "{args:?}: {status}\n{error}"
        );
    }
}

#[test]
fn a_file_is_checked_without_starting() {
    let root = env!("CARGO_MANIFEST_DIR");
    for shipped in ["conf/forebay.toml", "conf/near-cache.toml"] {
        let output = forebay(&["check-config", &format!("{root}/{shipped}")])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{shipped}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let (_folder, path) = file("port = \"http\"\n");
    let (status, error) = failure(&mut forebay(&["check-config", &path]));
    assert!(
        status == BAD_CONFIGURATION && error.contains(":1: 'port': expected"),
        "{error}"
    );
}

#[test]
fn flags_go_above_variables_and_those_above_the_file() {
    let (_folder, path) = file("timeout = 11\nmaxclients = 11\nmaxmemory = \"11mb\"\nbind = \"127.0.0.1\"\n");
    let port = free_port();
    let mut command = forebay(&["--timeout", "33", "--port", &port.to_string()]);
    command
        .env("FOREBAY_CONFIG", &path)
        .env("FOREBAY_TIMEOUT", "22")
        .env("FOREBAY_MAXCLIENTS", "22");
    let (_running, mut client) = Running::start(&mut command, port);
    assert_eq!(setting(&mut client, "timeout"), text("33"));
    assert_eq!(setting(&mut client, "maxclients"), text("22"));
    assert_eq!(setting(&mut client, "maxmemory"), text("11534336"));
}

#[test]
fn the_flags_of_a_compose_file_for_redis_work() {
    let flags = [
        "--maxmemory",
        "100mb",
        "--maxmemory-policy",
        "allkeys-lru",
        "--appendonly",
        "no",
        "--save",
        "",
    ];
    let port = free_port();
    let mut command = forebay(&["redis-server"]);
    command
        .args(flags)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    let (_running, mut client) = Running::start(&mut command, port);
    assert_eq!(setting(&mut client, "maxmemory"), text("104857600"));
    assert_eq!(setting(&mut client, "maxmemory-policy"), text("allkeys-lru"));
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let free = free_port().to_string();
    let near = ["--bind", "127.0.0.1", "--http-bind", "127.0.0.1"];
    for flags in [&["--port", &port][..], &["--port", &free, "--http-port", &port]] {
        let (status, error) = failure(forebay(&near).args(flags));
        assert_eq!(status, FAILED, "{error}");
        assert!(
            error.contains(&format!(
                "can't listen on 127.0.0.1:{port}: Address already in use"
            )),
            "{error}"
        );
    }
}

#[test]
fn a_unix_socket_in_use_is_told_and_one_left_behind_is_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("forebay.sock");
    let path = path.to_str().unwrap();
    let taken = UnixListener::bind(path).unwrap();
    let (status, error) = failure(&mut forebay(&["--port", "0", "--unixsocket", path]));
    assert!(
        status == FAILED && error.contains(&format!("can't listen on {path}: ")),
        "{status} {error}"
    );
    assert!(error.contains("in use"), "{error}");
    drop(taken);
    let mut server = Server::forebay(&["--unixsocket", path]);
    assert!(std::os::unix::net::UnixStream::connect(path).is_ok());
    assert!(server.stop().success());
    assert!(!fs::exists(path).unwrap(), "a server takes its socket away");
}

#[test]
fn health_asks_the_server_that_has_the_same_configuration() {
    let server = Server::forebay(&["--requirepass", "secret"]);
    let port = server.address().port().to_string();
    let health = |password| {
        forebay(&["health", "--port", &port, "--requirepass", password])
            .output()
            .unwrap()
            .status
    };
    assert!(health("secret").success());
    assert_eq!(health("wrong").code(), Some(FAILED));
    drop(server);
    assert_eq!(health("secret").code(), Some(FAILED));
}

/// Requests that arrived may be answered or not, but in order, each reply whole, and nobody waits for the silent.
#[test]
fn a_stop_sends_whole_replies_only() -> io::Result<()> {
    let mut server = Server::forebay(&["--shutdown-timeout", "10"]);
    let (mut busy, mut silent) = (server.connect(), server.connect());
    silent.call(&["PING"])?;
    busy.send_bytes(&b"*3\r\n$6\r\nAPPEND\r\n$3\r\nlog\r\n$1\r\nx\r\n".repeat(10_000))?;
    assert_eq!(busy.receive()?, Value::Integer(1));
    assert!(server.stop().success());
    let rest = String::from_utf8(busy.receive_to_end()?).unwrap();
    assert!(rest.is_empty() || rest.ends_with("\r\n"), "the last reply is cut");
    for (index, reply) in rest.lines().enumerate() {
        assert_eq!(reply, format!(":{}", index + 2));
    }
    Ok(())
}

/// Unread replies can't be sent; the server gives up on them when its time is over.
#[test]
fn a_stop_does_not_wait_longer_than_it_may() {
    let mut server = Server::forebay(&["--shutdown-timeout", "1"]);
    let mut client = server.connect();
    client
        .call(&[&b"SET"[..], b"large", &vec![b'v'; 32 << 20]])
        .unwrap();
    client.send(&["GET", "large"]).unwrap();
    client.receive_bytes(1).unwrap();
    assert!(server.stop().success());
}
