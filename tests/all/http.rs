//! The HTTP port: metrics and health.

use crate::client::Value;
use crate::deadline::{Deadline, PATIENCE};
use crate::server::{Server, free_port, redis_server};
use rustix::process::Signal;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// The answer to one HTTP request: status, headers as they came, body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn request(port: u16, method: &str, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.unwrap_or(0),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

fn get(port: u16, path: &str) -> Answer {
    request(port, "GET", path).unwrap()
}

/// A server, and its HTTP port.
fn server_with_http(flags: &[&str]) -> (Server, u16) {
    let port = free_port();
    let http_port = port.to_string();
    let flags = [&["--http-port", &http_port], flags].concat();
    (Server::forebay(&flags), port)
}

/// The samples of a scrape by name and labels.
fn scrape(port: u16) -> HashMap<String, f64> {
    let answer = get(port, "/metrics");
    assert_eq!(answer.status, 200);
    let samples = answer
        .body
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[test]
fn metrics_tell_what_the_server_did() {
    let (server, port) = server_with_http(&["--maxmemory", "100mb"]);
    let mut client = server.connect();
    client.call(&["SET", "key", "value", "PX", "1"]).unwrap();
    client.call(&["SET", "other", "value", "EX", "1000"]).unwrap();
    client.call(&["GET", "other"]).unwrap();
    client.call(&["GET", "missing"]).unwrap();
    client.call(&["GET"]).unwrap();
    client.call(&["INCR", "other"]).unwrap();
    let expired = || scrape(port)["forebay_expired_keys_total"] >= 1.0;
    assert!(
        Deadline::after(PATIENCE).poll(expired),
        "the sweep removes the dead key"
    );
    let samples = scrape(port);
    for (name, expected) in [
        ("forebay_commands_total{command=\"set\"}", 2.0),
        ("forebay_commands_total{command=\"get\"}", 2.0),
        ("forebay_commands_rejected_total{command=\"get\"}", 1.0),
        ("forebay_commands_failed_total{command=\"incr\"}", 1.0),
        ("forebay_error_replies_total{error=\"ERR\"}", 2.0),
        ("forebay_tier_hits_total{tier=\"l1\"}", 1.0),
        ("forebay_tier_misses_total{tier=\"l1\"}", 1.0),
        ("forebay_db_keys{db=\"0\"}", 1.0),
        ("forebay_db_volatile_keys{db=\"0\"}", 1.0),
        ("forebay_memory_max_bytes", 104_857_600.0),
        ("forebay_evicted_keys_total", 0.0),
        ("forebay_clients", 1.0),
    ] {
        assert!(
            (samples[name] - expected).abs() < 0.5,
            "{name} is {}, not {expected}",
            samples[name]
        );
    }
    for name in [
        "forebay_memory_used_bytes",
        "forebay_memory_heap_bytes",
        "forebay_memory_resident_bytes",
        "forebay_network_input_bytes_total",
        "forebay_uptime_seconds",
    ] {
        assert!(samples[name] > 0.0, "{name}");
    }
}

#[test]
fn metrics_follow_a_reset() {
    let (server, port) = server_with_http(&[]);
    let mut client = server.connect();
    for _ in 0..10 {
        client.call(&["SET", "key", "value"]).unwrap();
    }
    client.call(&["CONFIG", "RESETSTAT"]).unwrap();
    client.call(&["SET", "key", "value"]).unwrap();
    let sets = scrape(port)["forebay_commands_total{command=\"set\"}"];
    assert!((sets - 1.0).abs() < 0.5, "{sets}");
}

#[test]
fn metrics_are_named_and_explained_as_prometheus_wants() {
    let (server, port) = server_with_http(&[]);
    server.connect().call(&["SET", "key", "value"]).unwrap();
    let answer = get(port, "/metrics");
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4"),
        "{}",
        answer.head
    );
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let comments: Vec<Vec<String>> = answer
        .body
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(words)
        .collect();
    for pair in comments.chunks(2) {
        let [help, kind] = pair else {
            panic!("a HELP without a TYPE")
        };
        assert_eq!((help[1].as_str(), kind[1].as_str()), ("HELP", "TYPE"));
        assert!(help.len() > 3 && help[2] == kind[2], "{help:?} {kind:?}");
        let is_counter = kind[3] == "counter";
        assert!(
            help[2].starts_with("forebay_") && help[2].ends_with("_total") == is_counter,
            "{}",
            help[2]
        );
    }
    for name in scrape(port).keys() {
        let family = name.split('{').next().unwrap();
        assert!(
            comments
                .iter()
                .any(|comment| comment[1] == "TYPE" && comment[2] == family),
            "{name}"
        );
    }
}

#[test]
fn health_is_told_to_orchestrators() {
    let (server, port) = server_with_http(&["--maxclients", "2"]);
    let live = get(port, "/health/live");
    assert_eq!((live.status, live.body.as_str()), (200, r#"{"status":"live"}"#));
    assert!(
        live.head.contains("content-type: application/json"),
        "{}",
        live.head
    );
    let status = |expected: &str| {
        get(port, "/health/ready")
            .body
            .contains(&format!(r#""status":"{expected}""#))
    };
    // Whoever looked whether the server is up may not have left yet.
    let is_free = || get(port, "/health/ready").body.contains(r#""clients":0"#);
    assert!(Deadline::after(PATIENCE).poll(is_free));
    assert!(status("ready"), "{}", get(port, "/health/ready").body);
    assert_eq!(get(port, "/health/ready").status, 200);
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        client.call(&["PING"]).unwrap();
    }
    assert!(status("full") && get(port, "/health/ready").status == 503);
    assert_eq!(get(port, "/health/live").status, 200);
}

#[test]
fn a_server_that_stops_is_live_and_not_ready() {
    let (mut server, port) = server_with_http(&["--enable-debug-command", "yes", "--shutdown-timeout", "20"]);
    let mut client = server.connect();
    client.send(&["DEBUG", "SLEEP", "1"]).unwrap();
    let is_asleep = || scrape(port)["forebay_clients"] >= 1.0;
    assert!(Deadline::after(PATIENCE).poll(is_asleep));
    server.signal(Signal::TERM);
    let is_stopping = || {
        let ready = request(port, "GET", "/health/ready");
        ready.is_ok_and(|ready| ready.status == 503 && ready.body.contains(r#""status":"stopping""#))
    };
    assert!(Deadline::after(Duration::from_millis(900)).poll(is_stopping));
    assert_eq!(get(port, "/health/live").status, 200);
    assert_eq!(client.receive().unwrap(), Value::Simple("OK".to_owned()));
    assert!(server.stop().success());
}

#[test]
fn metrics_tell_tier_by_tier_where_keys_were_found() {
    let Some(redis) = redis_server() else { return };
    let upstream = Server::start(&redis, &[]);
    upstream.connect().call(&["SET", "key", "value"]).unwrap();
    let (server, port) = server_with_http(&["--upstream", &format!("redis://{}", upstream.address())]);
    let is_up = || get(port, "/health/ready").body.contains(r#""link":"up""#);
    assert!(Deadline::after(PATIENCE).poll(is_up));
    let mut client = server.connect();
    for key in ["key", "key", "missing"] {
        client.call(&["GET", key]).unwrap();
    }
    // The link counts what it brought after it has woken who waits; a reply that follows comes behind that.
    client.call(&["DBSIZE"]).unwrap();
    let samples = scrape(port);
    for (name, expected) in [
        ("forebay_tier_hits_total{tier=\"upstream\"}", 1.0),
        ("forebay_tier_misses_total{tier=\"upstream\"}", 1.0),
        ("forebay_tier_errors_total{tier=\"upstream\"}", 0.0),
        ("forebay_tier_fills_total{tier=\"l1\"}", 1.0),
        ("forebay_upstream_up", 1.0),
        ("forebay_upstream_breaker{state=\"closed\"}", 1.0),
        ("forebay_upstream_connects_total", 1.0),
    ] {
        assert!(
            (samples[name] - expected).abs() < 0.5,
            "{name} is {}, not {expected}",
            samples[name]
        );
    }
}

#[test]
fn a_lost_upstream_degrades_and_does_not_unready() {
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let (_server, port) = server_with_http(&["--upstream", &nobody]);
    let ready = get(port, "/health/ready");
    assert_eq!(ready.status, 200);
    assert!(
        ready.body.contains(r#""status":"degraded""#) && ready.body.contains(r#""link":""#),
        "{}",
        ready.body
    );
    assert!(scrape(port)["forebay_upstream_up"] < 0.5);
}

#[test]
fn health_tells_what_is_wrong_and_what_to_do() {
    let (server, port) = server_with_http(&["--maxclients", "2"]);
    let well = r#"{"status":"ok","score":100,"findings":[]}"#;
    let is_free = || get(port, "/health/ready").body.contains(r#""clients":0"#);
    assert!(Deadline::after(PATIENCE).poll(is_free));
    let is_well = || get(port, "/health").body == well;
    assert!(
        Deadline::after(PATIENCE).poll(is_well),
        "{}",
        get(port, "/health").body
    );
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        client.call(&["PING"]).unwrap();
    }
    let full = get(port, "/health");
    assert_eq!(
        (full.status, full.body.contains("2 of 2 clients are connected")),
        (200, true),
        "{}",
        full.body
    );
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let (_cut_off, port) = server_with_http(&["--upstream", &nobody]);
    let down = get(port, "/health").body;
    for part in [
        r#"{"status":"down","score":40,"#,
        "upstream can't be asked: ",
        r#""what_to_do":"see that upstream runs"#,
    ] {
        assert!(down.contains(part), "{down}");
    }
}

#[test]
fn other_paths_and_methods_are_refused() {
    let (_server, port) = server_with_http(&[]);
    assert_eq!(get(port, "/").status, 404);
    assert_eq!(get(port, "/metrics/").status, 404);
    assert_eq!(request(port, "POST", "/metrics").unwrap().status, 405);
}
