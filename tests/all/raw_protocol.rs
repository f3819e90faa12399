//! The protocol byte by byte: what no client library lets one send. The same is expected of Forebay and of Redis.

use crate::client::{Client, Value, encode, quoted};
use crate::server::{Server, programs};
use std::io;

/// The longest inline request, and the longest line that announces a length.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Runs a test against every program, each on a server of its own started with these flags.
fn on_each_server(args: &[&str], test: impl Fn(&Server)) {
    for program in programs() {
        test(&Server::start(&program, args));
    }
}

/// Returns when the server has most likely read all that was sent to it before: it answers another connection.
fn let_it_read(server: &Server) {
    assert_eq!(
        server.connect().call(&["PING"]).unwrap(),
        Value::Simple("PONG".to_owned())
    );
}

/// Reads as many bytes as are expected and compares them.
fn assert_receives(client: &mut Client, expected: &[u8], about: &str) {
    let got = client.receive_bytes(expected.len()).unwrap();
    assert_eq!(quoted(&got), quoted(expected), "{about}");
}

fn text(value: &str) -> Value {
    Value::Bulk(value.as_bytes().to_vec())
}

#[test]
fn a_request_may_be_cut_at_any_byte() {
    on_each_server(&[], |server| {
        let mut requests = encode(&["SET", "key", "va\r\nlue"]);
        requests.extend(b"GET key\r\n\r\n*0\r\n");
        requests.extend(encode(&["ECHO", ""]));
        let replies = b"+OK\r\n$7\r\nva\r\nlue\r\n$0\r\n\r\n";
        let mut client = server.connect();
        for cut in 1..requests.len() {
            client.send_bytes(&requests[..cut]).unwrap();
            let_it_read(server);
            client.send_bytes(&requests[cut..]).unwrap();
            assert_receives(&mut client, replies, &format!("cut at {cut}"));
        }
    });
}

#[test]
fn a_request_may_come_byte_by_byte() {
    on_each_server(&[], |server| {
        let mut client = server.connect();
        for byte in encode(&["ECHO", "one byte at a time"]) {
            client.send_bytes(&[byte]).unwrap();
        }
        assert_eq!(client.receive().unwrap(), text("one byte at a time"));
    });
}

#[test]
fn a_pipeline_is_answered_in_order() {
    on_each_server(&[], |server| {
        let mut client = server.connect();
        let mut batch = Vec::new();
        for number in 0..1_000 {
            batch.extend(encode(&["SET", &format!("key:{number}"), &number.to_string()]));
            batch.extend(encode(&["GET", &format!("key:{number}")]));
        }
        client.send_bytes(&batch).unwrap();
        for number in 0..1_000 {
            assert_eq!(client.receive().unwrap(), Value::Simple("OK".to_owned()));
            assert_eq!(client.receive().unwrap(), text(&number.to_string()));
        }
    });
}

#[test]
fn an_error_in_a_pipeline_costs_only_its_own_reply() {
    on_each_server(&[], |server| {
        let mut client = server.connect();
        client
            .send_bytes(b"SET n x\r\nINCR n\r\nNOSUCH\r\nGET\r\nGET n\r\n")
            .unwrap();
        let expected = "+OK\r\n-ERR value is not an integer or out of range\r\n\
                        -ERR unknown command 'NOSUCH', with args beginning with: \r\n\
                        -ERR wrong number of arguments for 'get' command\r\n$1\r\nx\r\n";
        assert_receives(&mut client, expected.as_bytes(), "each has its reply");
    });
}

#[test]
fn a_client_may_write_all_before_it_reads() {
    on_each_server(&[], |server| {
        let mut client = server.connect();
        client
            .send_bytes(&b"SET key value\r\nGET key\r\n".repeat(100_000))
            .unwrap();
        let replies = b"+OK\r\n$5\r\nvalue\r\n".repeat(100_000);
        assert!(client.receive_bytes(replies.len()).unwrap() == replies);
    });
}

#[test]
fn a_slow_reader_loses_nothing_and_stops_nobody() {
    on_each_server(&[], |server| {
        let value = "x".repeat(1 << 20);
        let mut client = server.connect();
        client.call(&["SET", "large", &value]).unwrap();
        client.send_bytes(&encode(&["GET", "large"]).repeat(50)).unwrap();
        assert_eq!(
            server.connect().call(&["GET", "large"]).unwrap(),
            text(&value),
            "others go on"
        );
        for _ in 0..50 {
            assert!(client.receive().unwrap() == text(&value));
        }
    });
}

#[test]
fn replies_that_nobody_reads_have_a_limit() {
    on_each_server(&["--client-output-buffer-limit", "normal 8mb 0 0"], |server| {
        let mut client = server.connect();
        client.call(&["SET", "large", &"x".repeat(1 << 20)]).unwrap();
        let requests = encode(&["GET", "large"]).repeat(64);
        // The server may close before it has read them all.
        let _ = client.send_bytes(&requests);
        let_it_read(server);
        let received = client.receive_to_end().map_or(0, |bytes| bytes.len());
        assert!(
            received < 64 << 20,
            "all {received} bytes were kept for a client that did not read"
        );
    });
}

#[test]
fn an_unfinished_request_has_a_limit() {
    on_each_server(&["--client-query-buffer-limit", "1mb"], |server| {
        let mut client = server.connect();
        client
            .send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4000000\r\n")
            .unwrap();
        let sent = (0..3_000).try_for_each(|_| client.send_bytes(&[b'x'; 1_000]));
        assert!(sent.is_err() || client.is_closed());
    });
}

#[test]
fn requests_before_the_end_of_the_stream_are_answered() {
    on_each_server(&[], |server| {
        let mut client = server.connect();
        client.send_bytes(&b"PING\r\n".repeat(10)).unwrap();
        client.finish_sending().unwrap();
        assert_eq!(client.receive_to_end().unwrap(), b"+PONG\r\n".repeat(10));
    });
}

#[test]
fn nothing_runs_after_quit() {
    on_each_server(&[], |server| {
        let mut client = server.connect();
        client.send_bytes(b"SET key 1\r\nQUIT\r\nSET key 2\r\n").unwrap();
        assert_eq!(client.receive_to_end().unwrap(), b"+OK\r\n+OK\r\n");
        assert_eq!(server.connect().call(&["GET", "key"]).unwrap(), text("1"));
    });
}

#[test]
fn empty_requests_are_passed_over() {
    on_each_server(&[], |server| {
        for nothing in ["\r\n", "\n", "   \r\n", "*0\r\n", "*-1\r\n", "*-10\r\n"] {
            let mut client = server.connect();
            client
                .send_bytes(format!("{nothing}{nothing}PING\r\n").as_bytes())
                .unwrap();
            assert_receives(&mut client, b"+PONG\r\n", nothing);
        }
    });
}

#[test]
fn inline_requests_are_split_like_a_shell_does() {
    on_each_server(&[], |server| {
        let cases: [(&str, &[u8]); 10] = [
            ("ECHO plain\n", b"plain"),
            ("  ECHO \t  spaced  \r\n", b"spaced"),
            ("echo \"two words\"\r\n", b"two words"),
            ("ECHO 'two words'\r\n", b"two words"),
            ("ECHO \"\"\r\n", b""),
            (
                "ECHO \"\\x41\\xfF\\n\\r\\t\\b\\a\\\\\\\"\\q\"\r\n",
                b"A\xff\n\r\t\x08\x07\\\"q",
            ),
            ("ECHO 'it\\'s \\n'\r\n", b"it's \\n"),
            ("ECHO \"\\xZZ\"\r\n", b"xZZ"),
            ("ECHO a\"b\r\n", b"Protocol error: unbalanced quotes in request"),
            ("ECHO $5\r\n", b"$5"),
        ];
        for (request, reply) in cases {
            let mut client = server.connect();
            client.send_bytes(request.as_bytes()).unwrap();
            let got = match client.receive().unwrap() {
                Value::Bulk(bytes) => bytes,
                Value::Error(error) => error.trim_start_matches("ERR ").as_bytes().to_vec(),
                other => panic!("{request:?} is answered with {other}"),
            };
            assert_eq!(quoted(&got), quoted(reply), "{request:?}");
        }
    });
}

#[test]
fn hello_works_inline() {
    on_each_server(&[], |server| {
        let mut client = server.connect();
        client
            .send_bytes(b"HELLO 3 SETNAME me\r\nGET missing\r\nCLIENT GETNAME\r\n")
            .unwrap();
        assert!(matches!(client.receive().unwrap(), Value::Map(_)));
        assert_eq!(client.receive().unwrap(), Value::Null);
        assert_eq!(client.receive().unwrap(), text("me"));
    });
}

#[test]
fn a_malformed_request_gets_an_error_and_is_the_last() {
    let cases: [(&[u8], &str); 19] = [
        (b"*3000000000\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*a\r\n", "invalid multibulk length"),
        (b"*1x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"* 1\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*1\r\nfoo\r\n", "expected '$', got 'f'"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*2\r\n$3\r\nGET\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$-10\r\n", "invalid bulk length"),
        (b"*1\r\n$2000000000\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
        (b"*1\r\n$blabla\r\n", "invalid bulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"ECHO \"open\r\n", "unbalanced quotes in request"),
        (b"ECHO 'a'b\r\n", "unbalanced quotes in request"),
    ];
    on_each_server(&[], |server| {
        for (bytes, error) in cases {
            let shown = String::from_utf8_lossy(bytes);
            let got = answer_to(server, bytes).unwrap();
            assert_eq!(got, format!("-ERR Protocol error: {error}\r\n"), "{shown:?}");
            // What came before it is answered, what comes behind it is not read.
            let between = [b"PING\r\n", bytes, b"PING\r\n"].concat();
            let got = answer_to(server, &between).unwrap();
            assert_eq!(
                got,
                format!("+PONG\r\n-ERR Protocol error: {error}\r\n"),
                "{shown:?} between others"
            );
        }
    });
}

/// All that the server says until it closes the connection.
fn answer_to(server: &Server, bytes: &[u8]) -> io::Result<String> {
    let mut client = server.connect();
    client.send_bytes(bytes)?;
    Ok(String::from_utf8_lossy(&client.receive_to_end()?).into_owned())
}

#[test]
fn a_line_without_end_is_cut_off() {
    let cases: [(&str, &str); 3] = [
        ("", "too big inline request"),
        ("*", "too big mbulk count string"),
        ("*1\r\n$", "too big bulk count string"),
    ];
    on_each_server(&[], |server| {
        for (start, error) in cases {
            let line = format!("{start}{}", "1".repeat(LINE_BYTES_MAX + 1));
            let got = answer_to(server, line.as_bytes()).unwrap();
            assert_eq!(got, format!("-ERR Protocol error: {error}\r\n"));
        }
    });
}

/// Symptom: the client saw a reset instead of the error, because the server closed a socket with unread bytes.
#[test]
fn a_client_that_keeps_writing_can_read_why_it_is_cut_off() {
    on_each_server(&[], |server| {
        for start in ["\0", "*\0", "*1\r\n$\0"] {
            let mut client = server.connect();
            client.send_bytes(start.as_bytes()).unwrap();
            // Ends when the server has stopped reading, or has closed.
            for _ in 0..200 {
                let_it_read(server);
                if client.send_bytes(&b"payload".repeat(1_000)).is_err() {
                    break;
                }
            }
            let error = client.receive();
            let is_reset = error
                .as_ref()
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
            let is_told =
                matches!(&error, Ok(Value::Error(text)) if text.starts_with("ERR Protocol error: too big"));
            assert!(
                is_told || (is_reset && !server.is_forebay()),
                "{start:?}: {error:?}"
            );
        }
    });
}

#[test]
fn before_login_requests_are_small() {
    let noauth = "-NOAUTH Authentication required.\r\n";
    on_each_server(&["--requirepass", "secret"], |server| {
        let limits = [
            ("*11\r\n", "unauthenticated multibulk length"),
            ("*1\r\n$16385\r\n", "unauthenticated bulk length"),
            ("*1000000000\r\n", "unauthenticated multibulk length"),
        ];
        for (request, error) in limits {
            let got = answer_to(server, request.as_bytes()).unwrap();
            assert_eq!(got, format!("-ERR Protocol error: {error}\r\n"));
        }
        let largest = encode(&["MGET"; 10]);
        let mut client = server.connect();
        client.send_bytes(&largest).unwrap();
        assert_receives(&mut client, noauth.as_bytes(), "within the limits");
        let longest = encode(&["GET", &"x".repeat(16_384)]);
        client.send_bytes(&longest).unwrap();
        assert_receives(&mut client, noauth.as_bytes(), "within the limits");
        assert_eq!(
            client.call(&["AUTH", "secret"]).unwrap(),
            Value::Simple("OK".to_owned())
        );
        assert_eq!(
            client.call(&["ECHO", &"x".repeat(20_000)]).unwrap(),
            text(&"x".repeat(20_000))
        );
    });
}

#[test]
fn quit_needs_no_login() {
    on_each_server(&["--requirepass", "secret"], |server| {
        assert_eq!(answer_to(server, b"QUIT\r\n").unwrap(), "+OK\r\n");
    });
}

#[test]
fn a_large_value_may_come_in_small_pieces() {
    let value = "0123456789abcdef".repeat(20 * 1024 * 1024 / 16);
    on_each_server(&[], |server| {
        let mut client = server.connect();
        for piece in encode(&["SET", "large", &value]).chunks(1024) {
            client.send_bytes(piece).unwrap();
        }
        assert_eq!(client.receive().unwrap(), Value::Simple("OK".to_owned()));
        assert_eq!(
            client.call(&["STRLEN", "large"]).unwrap(),
            Value::Integer(value.len() as i64)
        );
        assert!(client.call(&["GET", "large"]).unwrap() == text(&value));
    });
}

#[test]
fn announced_lengths_take_no_memory() {
    const GROWTH_BYTES_MAX: u64 = 32 << 20;
    let announcements = [
        "*2\r\n$3\r\nGET\r\n$536870912\r\n",
        "*1048576\r\n",
        "*2147483647\r\n$3\r\nGET\r\n",
    ];
    on_each_server(&[], |server| {
        let before = server.resident_bytes();
        let _waiting: Vec<Client> = announcements
            .iter()
            .cycle()
            .take(30)
            .map(|announcement| {
                let mut client = server.connect();
                client.send_bytes(announcement.as_bytes()).unwrap();
                client.send_bytes(&[b'$'; 16]).unwrap();
                client
            })
            .collect();
        let_it_read(server);
        let growth = server.resident_bytes().saturating_sub(before);
        assert!(
            growth < GROWTH_BYTES_MAX,
            "{growth} bytes for requests that have not come"
        );
    });
}

#[test]
fn the_longest_argument_is_configured() {
    on_each_server(&["--proto-max-bulk-len", "1mb"], |server| {
        let got = answer_to(server, b"*2\r\n$4\r\nECHO\r\n$1048577\r\n").unwrap();
        assert_eq!(got, "-ERR Protocol error: invalid bulk length\r\n");
        let longest = "x".repeat(1 << 20);
        assert_eq!(
            server.connect().call(&["ECHO", &longest]).unwrap(),
            text(&longest)
        );
    });
}
