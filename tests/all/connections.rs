//! Connections: how they begin and end, what they may use, and what happens to those that behave badly.

use crate::client::{Client, Value, encode};
use crate::deadline::{Deadline, PATIENCE};
use crate::server::{Server, redis_server};
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const MIB: usize = 1024 * 1024;

fn ok() -> Value {
    Value::Simple("OK".to_owned())
}

fn pong() -> Value {
    Value::Simple("PONG".to_owned())
}

/// The number behind `field:` in INFO.
fn info(client: &mut Client, field: &str) -> u64 {
    let Value::Bulk(text) = client.call(&["INFO", "everything"]).unwrap() else {
        panic!("INFO is text")
    };
    let text = String::from_utf8(text).unwrap();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value
        .unwrap_or_else(|| panic!("INFO has no {field}"))
        .parse()
        .unwrap()
}

fn client_list(client: &mut Client) -> String {
    let Value::Bulk(text) = client.call(&["CLIENT", "LIST"]).unwrap() else {
        panic!("CLIENT LIST is text")
    };
    String::from_utf8(text).unwrap()
}

/// Waits until the condition holds.
fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(Deadline::after(PATIENCE).poll(condition), "never: {what}");
}

fn id_of(client: &mut Client) -> String {
    let Value::Integer(id) = client.call(&["CLIENT", "ID"]).unwrap() else {
        panic!("an id is a number")
    };
    id.to_string()
}

#[test]
fn a_silent_client_is_disconnected_and_a_monitor_is_not() {
    let server = Server::forebay(&["--timeout", "1"]);
    let mut monitor = server.connect();
    assert_eq!(monitor.call(&["MONITOR"]).unwrap(), ok());
    let mut silent = server.connect();
    assert_eq!(silent.call(&["PING"]).unwrap(), pong());
    assert!(silent.is_closed());
    assert_eq!(server.connect().call(&["PING"]).unwrap(), pong());
    assert!(matches!(monitor.receive(), Ok(Value::Simple(_))));
}

#[test]
fn no_more_clients_than_allowed() {
    let server = Server::forebay(&["--maxclients", "2"]);
    let mut first = server.connect();
    eventually("only one client", || info(&mut first, "connected_clients") == 1);
    let mut second = server.connect();
    assert_eq!(second.call(&["PING"]).unwrap(), pong());
    let refused = server.connect().receive_to_end().unwrap();
    assert_eq!(refused, b"-ERR max number of clients reached\r\n");
    assert_eq!(info(&mut first, "rejected_connections"), 1);

    assert_eq!(first.call(&["CONFIG", "SET", "maxclients", "3"]).unwrap(), ok());
    assert_eq!(server.connect().call(&["PING"]).unwrap(), pong());
}

/// The kernel shows `02` for a connection whose keepalive timer runs.
#[test]
fn connections_are_kept_alive() {
    let server = Server::forebay(&["--tcp-keepalive", "60"]);
    let mut client = server.connect();
    assert_eq!(client.call(&["PING"]).unwrap(), pong());
    let local = format!(":{:04X}", server.address().port());
    let peer = format!(":{:04X}", client.local_address().port());
    let has_timer = || {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let fields = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut ours = fields.filter(|fields| fields[1].ends_with(&local) && fields[2].ends_with(&peer));
        ours.any(|fields| fields[5].starts_with("02:"))
    };
    eventually("a keepalive timer", has_timer);
}

#[test]
fn a_unix_socket_serves_like_a_port() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forebay.sock");
    let args = ["--unixsocket", path.to_str().unwrap(), "--unixsocketperm", "700"];
    let mut server = Server::forebay(&args);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"PING\r\nCLIENT INFO\r\nQUIT\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("+PONG\r\n$") && answer.ends_with("+OK\r\n"),
        "{answer}"
    );
    let address = format!("{}:0", path.display());
    assert!(
        answer.contains(&format!(" addr={address} laddr={address} ")) && answer.contains(" flags=U "),
        "{answer}"
    );

    assert!(server.stop().success());
    assert!(!path.exists(), "the socket file is left behind");
}

#[test]
fn a_socket_file_that_nobody_listens_on_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forebay.sock");
    let mut server = Server::forebay(&["--unixsocket", path.to_str().unwrap()]);
    server.kill();
    assert!(path.exists());
    server.restart();
    assert!(UnixStream::connect(&path).is_ok());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters");
    fs::write(&path, "dear").unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["--port", "0", "--unixsocket", path.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!status.status.success());
    assert!(!fs::metadata(&path).unwrap().file_type().is_socket());
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear");
}

/// Replies of 64 MiB wait at most; the client's requests are read on, so that it comes to reading.
#[test]
fn a_client_may_send_far_more_than_it_has_read_replies_for() {
    let server = Server::forebay(&[]);
    let mut client = server.connect();
    client.set_patience(PATIENCE * 3);
    let value = vec![b'v'; MIB];
    assert_eq!(client.call(&[b"SET".as_slice(), b"big", &value]).unwrap(), ok());
    let resident_before = server.resident_bytes();
    let gets = 200;
    client.send_bytes(&b"GET big\r\n".repeat(gets)).unwrap();
    client.send_bytes(&b"PING\r\n".repeat(2 * MIB)).unwrap();
    assert!(server.resident_bytes() < resident_before + 160 * MIB as u64);
    for _ in 0..gets {
        assert_eq!(client.receive().unwrap(), Value::Bulk(value.clone()));
    }
    let pongs = client.receive_bytes(7 * 2 * MIB).unwrap();
    assert!(pongs.chunks(7).all(|reply| reply == b"+PONG\r\n"));
}

#[test]
fn replies_in_flight_may_be_few_but_not_many() {
    let server = Server::forebay(&["--client-output-buffer-limit", "normal 0 4mb 1"]);
    let mut client = server.connect();
    let value = vec![b'v'; MIB];
    assert_eq!(client.call(&[b"SET".as_slice(), b"big", &value]).unwrap(), ok());
    // The kernel's buffers take some of it.
    client.send_bytes(&b"GET big\r\n".repeat(40)).unwrap();
    let mut observer = server.connect();
    eventually("the slow reader is gone", || {
        client_list(&mut observer).lines().count() == 1
    });
}

#[test]
fn a_monitor_that_does_not_read_is_disconnected() {
    let server = Server::forebay(&["--client-output-buffer-limit", "pubsub 1mb 0 0"]);
    let mut monitor = server.connect();
    assert_eq!(monitor.call(&["MONITOR"]).unwrap(), ok());
    let mut writer = server.connect();
    let value = vec![b'v'; 64 * 1024];
    let mut clients = 2;
    for _ in 0..400 {
        assert_eq!(writer.call(&[b"SET".as_slice(), b"key", &value]).unwrap(), ok());
        clients = client_list(&mut writer).lines().count();
        if clients == 1 {
            break;
        }
    }
    assert_eq!(clients, 1, "the monitor is still connected");
}

#[test]
fn a_request_may_not_outgrow_the_query_buffer() {
    let server = Server::forebay(&["--client-query-buffer-limit", "1mb"]);
    let mut client = server.connect();
    client.send_bytes(b"*2\r\n$4\r\nECHO\r\n$4000000\r\n").unwrap();
    // The server closes in the middle of this.
    let _ = client.send_bytes(&vec![b'v'; 3 * MIB]);
    assert!(client.is_closed());
}

/// Symptom: `printf 'GET a\r\n' | nc` printed nothing. The replies must not get lost with the end of the requests.
#[test]
fn a_client_that_only_sends_no_more_gets_all_replies() {
    let server = Server::forebay(&[]);
    let value = vec![b'v'; MIB];
    assert_eq!(
        server
            .connect()
            .call(&[b"SET".as_slice(), b"big", &value])
            .unwrap(),
        ok()
    );
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.write_all(&b"GET big\r\n".repeat(50)).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut replies = Vec::new();
    socket.read_to_end(&mut replies).unwrap();
    assert_eq!(replies.len(), 50 * (b"$1048576\r\n".len() + MIB + 2));
}

#[test]
fn a_client_that_only_sends_no_more_gets_what_upstream_has() {
    let Some(redis) = redis_server() else { return };
    let upstream = Server::start(&redis, &[]);
    let near = Server::forebay(&["--upstream", &format!("redis://{}", upstream.address())]);
    assert_eq!(upstream.connect().call(&["SET", "key", "value"]).unwrap(), ok());
    let mut socket = TcpStream::connect(near.address()).unwrap();
    socket
        .write_all(b"GET key\r\nSTRLEN key\r\nGET missing\r\n")
        .unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut replies = String::new();
    socket.read_to_string(&mut replies).unwrap();
    assert_eq!(replies, "$5\r\nvalue\r\n:5\r\n$-1\r\n");
}

#[test]
fn whoever_waits_for_upstream_can_be_killed_and_may_leave() {
    let Some(redis) = redis_server() else { return };
    let upstream = Server::start(&redis, &[]);
    let near = Server::forebay(&["--upstream", &format!("redis://{}", upstream.address())]);
    let mut observer = near.connect();
    let mut killed = near.connect();
    let id = id_of(&mut killed);
    for waiting in [&mut killed, &mut near.connect()] {
        waiting.send(&["BLPOP", "nothing", "0"]).unwrap();
    }
    assert_eq!(
        observer.call(&["CLIENT", "KILL", "ID", &id]).unwrap(),
        Value::Integer(1)
    );
    assert!(killed.is_closed());
    eventually("one client is left", || {
        client_list(&mut observer).lines().count() == 1
    });
}

#[test]
fn quit_comes_behind_all_replies() {
    let server = Server::forebay(&[]);
    let mut client = server.connect();
    let value = vec![b'v'; MIB];
    assert_eq!(client.call(&[b"SET".as_slice(), b"big", &value]).unwrap(), ok());
    client
        .send_bytes(&[b"GET big\r\n".repeat(20), b"QUIT\r\nSET big small\r\n".to_vec()].concat())
        .unwrap();
    // Longer than the server waits for a client that has nothing more to read.
    std::thread::sleep(Duration::from_millis(2_500));
    let replies = client.receive_to_end().unwrap();
    assert_eq!(
        replies.len(),
        20 * (b"$1048576\r\n".len() + MIB + 2) + b"+OK\r\n".len()
    );
    assert_eq!(
        server.connect().call(&["STRLEN", "big"]).unwrap(),
        Value::Integer(MIB as i64)
    );
}

#[test]
fn killed_clients_do_not_count_any_more() {
    let server = Server::forebay(&[]);
    let mut killer = server.connect();
    let mut others: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    for other in &mut others {
        assert_eq!(other.call(&["PING"]).unwrap(), pong());
    }
    eventually("eleven clients", || info(&mut killer, "connected_clients") == 11);
    assert_eq!(
        killer.call(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap(),
        Value::Integer(10)
    );
    assert_eq!(info(&mut killer, "connected_clients"), 1);
    assert!(others.iter_mut().all(Client::is_closed));
    assert_eq!(
        killer.call(&["CLIENT", "KILL", "SKIPME", "no"]).unwrap(),
        Value::Integer(1)
    );
    assert!(killer.is_closed());
}

#[test]
fn clients_are_killed_by_address_id_and_age() {
    let server = Server::forebay(&[]);
    let mut killer = server.connect();
    let mut first = server.connect();
    let address = first.local_address().to_string();
    assert_eq!(first.call(&["PING"]).unwrap(), pong());
    assert_eq!(killer.call(&["CLIENT", "KILL", &address]).unwrap(), ok());
    assert!(first.is_closed());
    assert_eq!(
        killer.call(&["CLIENT", "KILL", &address]).unwrap(),
        Value::Error("ERR No such client".to_owned())
    );

    let mut second = server.connect();
    let id = id_of(&mut second);
    let local = server.address().to_string();
    let mut kill = |filters: &[&str]| killer.call(&[&["CLIENT", "KILL"], filters].concat()).unwrap();
    assert_eq!(kill(&["ID", &id, "LADDR", "127.0.0.1:1"]), Value::Integer(0));
    assert_eq!(kill(&["ID", &id, "MAXAGE", "3600"]), Value::Integer(0));
    assert_eq!(kill(&["ID", &id, "TYPE", "pubsub"]), Value::Integer(0));
    assert_eq!(
        kill(&["ID", &id, "LADDR", &local, "USER", "default"]),
        Value::Integer(1)
    );
    assert!(second.is_closed());
}

#[test]
fn whoever_waits_can_be_killed_and_may_leave() {
    let server = Server::forebay(&[]);
    let mut observer = server.connect();
    let mut killed = server.connect();
    let id = id_of(&mut killed);
    killed.send(&["WAIT", "1", "0"]).unwrap();
    let mut left = server.connect();
    left.send(&["WAIT", "1", "0"]).unwrap();
    eventually("two are blocked", || info(&mut observer, "blocked_clients") == 2);
    assert!(
        client_list(&mut observer)
            .lines()
            .filter(|line| line.contains(" flags=b "))
            .count()
            == 2
    );

    assert_eq!(
        observer.call(&["CLIENT", "KILL", "ID", &id]).unwrap(),
        Value::Integer(1)
    );
    assert!(killed.is_closed());
    drop(left);
    eventually("nobody is blocked", || {
        info(&mut observer, "blocked_clients") == 0
    });
    eventually("one client is left", || {
        client_list(&mut observer).lines().count() == 1
    });
}

/// Symptom: what came while a command waited was executed only when still more came.
#[test]
fn a_command_that_waits_holds_back_only_what_follows() {
    let server = Server::forebay(&[]);
    let mut client = server.connect();
    let id = id_of(&mut client);
    client.send_bytes(b"PING\r\nWAIT 1 0\r\n").unwrap();
    assert_eq!(client.receive().unwrap(), pong());
    let mut observer = server.connect();
    eventually("one is blocked", || info(&mut observer, "blocked_clients") == 1);
    client.send_bytes(b"ECHO after\r\nECHO later\r\n").unwrap();
    assert_eq!(
        observer.call(&["CLIENT", "UNBLOCK", &id, "ERROR"]).unwrap(),
        Value::Integer(1)
    );
    let unblocked = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    assert_eq!(client.receive().unwrap(), Value::Error(unblocked.to_owned()));
    assert_eq!(client.receive().unwrap(), Value::Bulk(b"after".to_vec()));
    assert_eq!(client.receive().unwrap(), Value::Bulk(b"later".to_vec()));
}

#[test]
fn a_pause_holds_writes_back_until_it_ends() {
    let server = Server::forebay(&[]);
    let mut operator = server.connect();
    let mut writer = server.connect();
    assert_eq!(
        operator.call(&["CLIENT", "PAUSE", "60000", "WRITE"]).unwrap(),
        ok()
    );
    assert_eq!(writer.call(&["GET", "key"]).unwrap(), Value::NullBulk);
    assert!(
        matches!(writer.call(&["SET", "key"]).unwrap(), Value::Error(_)),
        "arity is checked at once"
    );
    writer.send(&["SET", "key", "value"]).unwrap();
    let mut gone = server.connect();
    gone.send(&["SET", "key", "lost"]).unwrap();
    eventually("two are blocked", || info(&mut operator, "blocked_clients") == 2);
    drop(gone);
    eventually("one is blocked", || info(&mut operator, "blocked_clients") == 1);
    assert_eq!(operator.call(&["CLIENT", "UNPAUSE"]).unwrap(), ok());
    assert_eq!(writer.receive().unwrap(), ok());
    assert_eq!(
        operator.call(&["GET", "key"]).unwrap(),
        Value::Bulk(b"value".to_vec())
    );

    assert_eq!(operator.call(&["CLIENT", "PAUSE", "60000"]).unwrap(), ok());
    writer.send(&["PING"]).unwrap();
    // In Redis nothing ends such a pause but time.
    assert_eq!(operator.call(&["CLIENT", "UNPAUSE"]).unwrap(), ok());
    assert_eq!(writer.receive().unwrap(), pong());
}

#[test]
fn passwords_are_shown_to_nobody() {
    let server = Server::forebay(&["--slowlog-log-slower-than", "0"]);
    let mut monitor = server.connect();
    assert_eq!(monitor.call(&["MONITOR"]).unwrap(), ok());
    let mut client = server.connect();
    for request in [
        &["AUTH", "hunter2"][..],
        &["AUTH", "default", "hunter2"],
        &["HELLO", "3", "AUTH", "default", "hunter2", "SETNAME", "me"],
    ] {
        client.call(request).unwrap();
    }
    let shown: Vec<String> = (0..3).map(|_| monitor.receive().unwrap().to_string()).collect();
    assert!(shown[0].contains(r#"\"AUTH\" \"(redacted)\""#), "{shown:?}");
    assert!(
        shown[1].contains(r#"\"AUTH\" \"(redacted)\" \"(redacted)\""#),
        "{shown:?}"
    );
    let hello = r#"\"HELLO\" \"3\" \"AUTH\" \"(redacted)\" \"(redacted)\" \"SETNAME\" \"me\""#;
    assert!(shown[2].contains(hello), "{shown:?}");
    let log = client.call(&["SLOWLOG", "GET", "-1"]).unwrap().to_string();
    assert!(log.contains("(redacted)") && !log.contains("hunter2"), "{log}");
}

#[test]
fn a_new_password_logs_nobody_out() {
    let server = Server::forebay(&[]);
    let mut old = server.connect();
    assert_eq!(
        old.call(&["CONFIG", "SET", "requirepass", "secret"]).unwrap(),
        ok()
    );
    assert_eq!(old.call(&["PING"]).unwrap(), pong());
    let mut new = server.connect();
    assert!(matches!(new.call(&["PING"]).unwrap(), Value::Error(text) if text.starts_with("NOAUTH")));
    assert_eq!(old.call(&["CONFIG", "SET", "requirepass", ""]).unwrap(), ok());
    assert_eq!(new.call(&["PING"]).unwrap(), pong());
}

#[test]
fn a_protocol_error_is_counted() {
    let server = Server::forebay(&[]);
    let mut client = server.connect();
    client.send_bytes(b"*1\r\nfoo\r\n").unwrap();
    let answer = client.receive().unwrap();
    assert_eq!(
        answer,
        Value::Error("ERR Protocol error: expected '$', got 'f'".to_owned())
    );
    assert!(client.is_closed());
    let Value::Bulk(text) = server.connect().call(&["INFO", "errorstats"]).unwrap() else {
        panic!("INFO is text")
    };
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "# Errorstats\r\nerrorstat_ERR:count=1\r\n"
    );
}

/// All that was executed is answered, whole; nothing else is.
#[test]
fn a_shutdown_answers_what_was_executed() {
    let mut server = Server::forebay(&[]);
    let counted: Vec<_> = (0..8)
        .map(|number| std::thread::spawn(count_until_closed(&server, number)))
        .collect();
    let mut observer = server.connect();
    eventually("requests are in flight", || {
        info(&mut observer, "total_commands_processed") > 2_000
    });
    assert!(server.stop().success());
    for thread in counted {
        thread.join().unwrap();
    }
}

/// Sends INCR after INCR without waiting for replies, until the server closes; then checks that the replies are
/// 1, 2, 3 and so on, and whole.
fn count_until_closed(server: &Server, number: usize) -> impl FnOnce() + Send + use<> {
    let mut writer = TcpStream::connect(server.address()).unwrap();
    move || {
        let mut reader = writer.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            let batch = encode(&["INCR", &format!("counter:{number}")]).repeat(10);
            while writer.write_all(&batch).is_ok() {}
        });
        let mut replies = Vec::new();
        match reader.read_to_end(&mut replies) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => {}
        }
        sending.join().unwrap();
        let text = String::from_utf8(replies).unwrap();
        assert!(
            text.is_empty() || text.ends_with("\r\n"),
            "half a reply: {:?}",
            text.lines().last()
        );
        for (index, reply) in text.lines().enumerate() {
            assert_eq!(reply, format!(":{}", index + 1));
        }
    }
}

#[test]
fn a_shutdown_does_not_wait_for_whoever_waits() {
    let mut server = Server::forebay(&[]);
    let mut waiting = server.connect();
    waiting.send_bytes(b"PING\r\nWAIT 1 0\r\n").unwrap();
    assert_eq!(waiting.receive().unwrap(), pong());
    assert!(server.stop().success());
    assert!(waiting.is_closed());
}

/// Measured: 1.7 KB each.
#[test]
fn ten_thousand_idle_clients_cost_little() {
    // One is left for the observer: more than 10,000 are not let in unless told so.
    let clients = 9_999;
    if getrlimit(Resource::Nofile)
        .current
        .is_some_and(|files| files < clients + 200)
    {
        eprintln!("skipped: the limit of open files is too low");
        return;
    }
    let server = Server::forebay(&[]);
    let mut observer = server.connect();
    let resident_before = server.resident_bytes();
    let idle: Vec<TcpStream> = (0..clients)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    eventually("all are connected", || {
        info(&mut observer, "connected_clients") == clients + 1
    });
    let each = (server.resident_bytes() - resident_before) / idle.len() as u64;
    assert!(each < 3072, "{each} bytes for an idle client");
    assert_eq!(observer.call(&["PING"]).unwrap(), pong());
}

/// A transaction that takes seconds holds all shards: whoever needs one waits, but nobody else on his thread does.
#[test]
fn a_long_command_stops_no_other_worker() {
    let server = Server::forebay(&["--workers", "2", "--enable-debug-command", "yes"]);
    // New connections go to the worker with the fewest, so two that follow one another are with different workers.
    let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    let mut others: Vec<Client> = (0..2).map(|_| server.connect()).collect();
    clients[0].call(&["SET", "key", "old"]).unwrap();
    clients[0].call(&["MULTI"]).unwrap();
    clients[0].call(&["SET", "key", "new"]).unwrap();
    clients[0].call(&["DEBUG", "SLEEP", "3"]).unwrap();
    clients[0].send(&["EXEC"]).unwrap();
    eventually("the transaction runs", || {
        let mut probe = server.connect();
        probe.set_patience(Duration::from_millis(100));
        probe.call(&["GET", "key"]).is_err()
    });
    for client in &mut clients[1..] {
        client.send(&["GET", "key"]).unwrap();
    }
    for client in &mut others {
        client.send(&["PING"]).unwrap();
    }
    let answered = |client: &mut Client| {
        client.set_patience(Duration::from_millis(500));
        client.receive().is_ok_and(|reply| reply == pong())
    };
    assert!(others.iter_mut().any(answered), "no worker answers");
    clients[0].set_patience(Duration::from_millis(1));
    assert!(
        clients[0].receive().is_err(),
        "the transaction has ended too early to tell"
    );
    for client in &mut clients[1..] {
        assert_eq!(client.receive().unwrap(), Value::Bulk(b"new".to_vec()));
    }
}
