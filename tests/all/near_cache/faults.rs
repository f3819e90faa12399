//! Everything that can go wrong with upstream and the way to it. During each fault nobody waits beyond the deadlines,
//! what is resident keeps being answered and INFO tells the truth; after it service resumes without help.

use std::time::Duration;

use super::{ask, client_line, count, eventually, info, near_cache_at, settle};
use crate::client::{Client, Value};
use crate::deadline::Deadline;
use crate::fault_proxy::{Direction, FaultProxy, Scope};
use crate::server::{Server, redis_server};

/// How long anything may take that ends by a deadline: some of these and some rounds.
const TIMEOUT_MS: &str = "300";

/// What ends by a deadline has ended after this; generous, for a loaded machine.
const LONGEST: Duration = Duration::from_secs(6);

/// What TIER HEALTH finds when there is no connection.
const CAN_NOT_BE_ASKED: &str = "upstream can't be asked";

/// A redis-server, a proxy, a Forebay behind it, and a resident key.
struct Bed {
    u: Server,
    proxy: FaultProxy,
    f: Server,
    near: Client,
    /// Goes straight to upstream.
    direct: Client,
    fresh: usize,
}

impl Bed {
    fn new(upstream_args: &[&str]) -> Option<Self> {
        let u = Server::start(&redis_server()?, upstream_args);
        let proxy = FaultProxy::start(u.address());
        let f = near_cache_at(
            &format!("redis://{}", proxy.address()),
            &[
                &["--upstream-timeout-ms", TIMEOUT_MS][..],
                &["--upstream-connect-timeout-ms", TIMEOUT_MS],
                &["--breaker-open-ms", TIMEOUT_MS],
            ]
            .concat(),
        );
        let (mut near, direct) = (f.connect(), u.connect());
        near.set_patience(LONGEST);
        ask(&mut near, &["SET", "resident", "v"]);
        assert_eq!(ask(&mut near, &["GET", "resident"]), "\"v\"");
        Some(Self {
            u,
            proxy,
            f,
            near,
            direct,
            fresh: 0,
        })
    }

    /// A name that nobody has used.
    fn fresh(&mut self) -> String {
        self.fresh += 1;
        format!("fresh{}", self.fresh)
    }

    fn resident_reads_are_answered(&mut self) {
        for _ in 0..50 {
            assert_eq!(ask(&mut self.near, &["GET", "resident"]), "\"v\"");
        }
    }

    /// Reads, writes and scripts end in an answer or in an error that names upstream, in time.
    fn everything_ends(&mut self) {
        let fresh = self.fresh();
        for (request, answer) in [
            (&["GET", &fresh][..], "(nil)"),
            (&["LRANGE", &fresh, "0", "-1"], "[]"),
            (&["SET", "other", "v"], "OK"),
            (&["DBSIZE"], ":"),
            (&["EVAL", "return 7", "0"], ":7"),
        ] {
            let reply = self.f_answers(request);
            assert!(
                reply.starts_with("-UPSTREAM ") || reply.starts_with(answer),
                "{request:?}: {reply}"
            );
        }
    }

    /// The reply on a connection of its own, in time.
    fn f_answers(&self, request: &[&str]) -> String {
        let mut client = self.f.connect();
        client.set_patience(LONGEST);
        ask(&mut client, request)
    }

    fn misses_fail(&mut self, why: &str) {
        let (fresh, near) = (self.fresh(), &mut self.near);
        eventually("a miss tells why", || {
            let reply = ask(near, &["GET", &fresh]);
            reply.starts_with("-UPSTREAM ") && reply.contains(why)
        });
    }

    fn link_is(&mut self, state: &str) {
        let near = &mut self.near;
        eventually(state, || info(near, "upstream_link") == state);
        let is_down = ask(near, &["TIER", "HEALTH"]).contains(CAN_NOT_BE_ASKED);
        assert_eq!(is_down, state == "down");
    }

    /// Service resumes, and what upstream does is seen again.
    fn recovers(&mut self) {
        let near = &mut self.near;
        let written = Deadline::after(LONGEST).poll(|| ask(near, &["SET", "probe", "0"]) == "OK");
        assert!(written, "no write succeeds after the fault");
        // Else a loaded machine would be one more fault.
        ask(near, &["CONFIG", "SET", "upstream-timeout-ms", "10000"]);
        for round in 1..20 {
            let value = round.to_string();
            ask(&mut self.direct, &["SET", "probe", &value]);
            settle(near);
            assert_eq!(ask(near, &["GET", "probe"]), format!("\"{value}\""));
        }
        assert_eq!(info(near, "upstream_link"), "up");
        assert!(!ask(near, &["TIER", "HEALTH"]).contains(CAN_NOT_BE_ASKED));
        assert_eq!(ask(near, &["EVAL", "return 7", "0"]), ":7");
        // It is resident again if upstream has it.
        ask(near, &["GET", "resident"]);
        ask(near, &["CONFIG", "SET", "upstream-timeout-ms", TIMEOUT_MS]);
    }

    /// The reply of upstream itself.
    fn direct(&mut self, request: &[&str]) -> String {
        ask(&mut self.direct, request)
    }
}

#[test]
fn upstream_is_killed_and_restarted_empty() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    bed.u.kill();
    bed.link_is("down");
    bed.resident_reads_are_answered();
    bed.everything_ends();
    bed.misses_fail("not connected");
    bed.u.restart();
    bed.direct = bed.u.connect();
    bed.recovers();
    assert_eq!(
        ask(&mut bed.near, &["GET", "resident"]),
        "(nil)",
        "what was held before is asked for again"
    );
}

#[test]
fn upstream_is_restarted_with_its_data() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    bed.direct.send(&["SHUTDOWN", "SAVE"]).unwrap();
    bed.link_is("down");
    bed.resident_reads_are_answered();
    bed.everything_ends();
    bed.u.restart();
    bed.direct = bed.u.connect();
    bed.recovers();
    bed.resident_reads_are_answered();
}

#[test]
fn upstream_is_frozen_and_goes_on() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    bed.u.freeze();
    bed.resident_reads_are_answered();
    bed.everything_ends();
    bed.link_is("down");
    bed.resident_reads_are_answered();
    bed.everything_ends();
    bed.u.thaw();
    bed.recovers();
}

#[test]
fn upstream_is_slow_but_within_the_deadline() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    bed.near
        .call(&["CONFIG", "SET", "upstream-timeout-ms", "2000"])
        .unwrap();
    bed.proxy.delay(Direction::Replies, Duration::from_millis(200));
    bed.resident_reads_are_answered();
    let failures = count(&mut bed.near, "upstream_failures");
    for number in 0..3 {
        let key = number.to_string();
        assert_eq!(ask(&mut bed.near, &["SET", &key, "slow"]), "OK");
        assert_eq!(ask(&mut bed.near, &["GET", &key]), "\"slow\"");
        bed.resident_reads_are_answered();
    }
    assert_eq!(info(&mut bed.near, "upstream_link"), "up");
    assert_eq!(count(&mut bed.near, "upstream_failures"), failures);
    bed.proxy.heal();
    bed.recovers();
}

#[test]
fn upstream_is_slower_than_the_deadline() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    for direction in [Direction::Requests, Direction::Replies] {
        ask(&mut bed.near, &["CONFIG", "SET", "upstream-timeout-ms", "50"]);
        bed.proxy.delay(direction, Duration::from_millis(200));
        bed.resident_reads_are_answered();
        let fresh = bed.fresh();
        let refused = ask(&mut bed.near, &["SET", &fresh, "v"]);
        assert!(refused.starts_with("-UPSTREAM "), "{refused}");
        bed.resident_reads_are_answered();
        bed.proxy.heal();
        bed.recovers();
    }
    assert!(count(&mut bed.near, "upstream_timeouts") > 0);
}

#[test]
fn a_connection_is_cut_in_the_middle_of_a_frame() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    for bytes in [1, 3, 20, 200] {
        let connects = count(&mut bed.near, "upstream_connects");
        bed.proxy.cut_after(bytes);
        bed.direct(&["SET", "large", &"x".repeat(1000)]);
        let reply = ask(&mut bed.near, &["GET", "large"]);
        assert!(
            reply.starts_with("-UPSTREAM ") || reply.len() == 1002,
            "{bytes}: {reply}"
        );
        bed.everything_ends();
        bed.resident_reads_are_answered();
        bed.recovers();
        assert!(count(&mut bed.near, "upstream_connects") > connects);
    }
}

#[test]
fn connections_are_reset() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    for _ in 0..5 {
        let connects = count(&mut bed.near, "upstream_connects");
        bed.proxy.reset(Scope::All);
        bed.resident_reads_are_answered();
        bed.everything_ends();
        bed.recovers();
        assert_eq!(count(&mut bed.near, "upstream_connects"), connects + 1);
    }
}

#[test]
fn connections_are_half_open() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    bed.proxy.swallow(Scope::All);
    bed.proxy.swallow_new(true);
    bed.resident_reads_are_answered();
    bed.everything_ends();
    bed.link_is("down");
    bed.resident_reads_are_answered();
    bed.everything_ends();
    bed.proxy.swallow_new(false);
    bed.recovers();
}

#[test]
fn a_session_with_a_half_open_connection_of_its_own_ends_in_time() {
    let Some(bed) = Bed::new(&[]) else { return };
    let (mut scripting, mut blocked, mut subscribed) = (bed.f.connect(), bed.f.connect(), bed.f.connect());
    assert_eq!(ask(&mut scripting, &["EVAL", "return 7", "0"]), ":7");
    assert!(ask(&mut subscribed, &["SUBSCRIBE", "ch"]).starts_with("[\"subscribe\""));
    blocked.send(&["BLPOP", "queue", "0"]).unwrap();
    let mut direct = bed.u.connect();
    eventually("it blocks", || client_line(&mut direct, "cmd=blpop").is_some());
    bed.proxy.swallow(Scope::All);
    scripting.set_patience(LONGEST);
    // It may get another connection.
    let reply = ask(&mut scripting, &["EVAL", "return 8", "0"]);
    assert!(reply.starts_with("-UPSTREAM ") || reply == ":8", "{reply}");
    let released = blocked.receive().unwrap().to_string();
    assert!(released.starts_with("-UPSTREAM "), "{released}");
    assert!(subscribed.is_closed(), "it would wait for ever");
    eventually("service resumes", || {
        ask(&mut scripting, &["EVAL", "return 9", "0"]) == ":9"
    });
}

#[test]
fn upstream_answers_garbage() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    for garbage in [
        &b"\0\xff garbage\r\n"[..],
        b"$-7\r\n",
        b"*99999999999\r\n",
        b"$5\r\nabcdefgh\r\n",
        b":1x\r\n",
        b"+OK\r\n",
    ] {
        let connects = count(&mut bed.near, "upstream_connects");
        bed.proxy.inject(Scope::All, garbage);
        bed.resident_reads_are_answered();
        bed.everything_ends();
        bed.recovers();
        assert_eq!(
            count(&mut bed.near, "upstream_connects"),
            connects + 1,
            "{garbage:?}"
        );
    }
}

#[test]
fn upstream_refuses_the_password() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    bed.direct(&["CONFIG", "SET", "requirepass", "changed"]);
    bed.proxy.cut();
    bed.link_is("down");
    bed.resident_reads_are_answered();
    bed.everything_ends();
    bed.misses_fail("NOAUTH");
    bed.direct(&["CONFIG", "SET", "requirepass", ""]);
    bed.recovers();
}

#[test]
fn upstream_loads_its_data() {
    let Some(mut bed) = Bed::new(&["--enable-debug-command", "yes"]) else {
        return;
    };
    // 10,000 keys with a delay of 200 µs each: two seconds.
    bed.direct(&["DEBUG", "POPULATE", "10000"]);
    bed.direct(&["CONFIG", "SET", "key-load-delay", "200"]);
    bed.direct(&["CONFIG", "SET", "loading-process-events-interval-bytes", "1024"]);
    bed.direct.send(&["DEBUG", "RELOAD"]).unwrap();
    bed.misses_fail("loading");
    assert_eq!(info(&mut bed.near, "upstream_link"), "down");
    bed.everything_ends();
    let near = &mut bed.near;
    eventually("what was there is there again", || {
        ask(near, &["GET", "resident"]) == "\"v\""
    });
    assert_eq!(bed.direct.receive().unwrap().to_string(), "OK");
    bed.recovers();
}

/// Upstream is there and refuses some requests with these words: they reach the client, and L1 is as it was.
fn refuses(bed: &mut Bed, words: &str) {
    for request in [&["SET", "resident", "new"][..], &["LPUSH", "list", "x"]] {
        let refused = ask(&mut bed.near, request);
        assert!(refused.starts_with(words), "{refused}");
    }
    let hits = count(&mut bed.near, "tier_l1_hits");
    bed.resident_reads_are_answered();
    assert_eq!(
        count(&mut bed.near, "tier_l1_hits"),
        hits + 50,
        "the copy was not removed"
    );
    assert_eq!(info(&mut bed.near, "upstream_link"), "up");
    assert_eq!(info(&mut bed.near, "upstream_breaker"), "closed");
}

#[test]
fn upstream_is_read_only() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    bed.direct(&["REPLICAOF", "127.0.0.1", "1"]);
    refuses(&mut bed, "-READONLY ");
    assert_eq!(ask(&mut bed.near, &["GET", "nothing"]), "(nil)");
    bed.direct(&["REPLICAOF", "NO", "ONE"]);
    bed.recovers();
}

#[test]
fn upstream_has_no_memory_left() {
    let Some(mut bed) = Bed::new(&["--maxmemory-policy", "noeviction"]) else {
        return;
    };
    bed.direct(&["CONFIG", "SET", "maxmemory", "1"]);
    refuses(&mut bed, "-OOM ");
    assert_eq!(ask(&mut bed.near, &["GET", "nothing"]), "(nil)");
    bed.direct(&["CONFIG", "SET", "maxmemory", "0"]);
    bed.recovers();
}

#[test]
fn upstream_is_busy_with_a_script() {
    let Some(mut bed) = Bed::new(&["--busy-reply-threshold", "10"]) else {
        return;
    };
    let mut scripting = bed.u.connect();
    scripting
        .send(&["EVAL", "while true do redis.call('GET', 'k') end", "0"])
        .unwrap();
    let direct = &mut bed.direct;
    eventually("it is busy", || ask(direct, &["PING"]).starts_with("-BUSY"));
    refuses(&mut bed, "-BUSY ");
    let missed = ask(&mut bed.near, &["GET", "nothing"]);
    assert!(missed.starts_with("-BUSY "), "{missed}");
    assert_eq!(bed.direct(&["SCRIPT", "KILL"]), "OK");
    assert!(scripting.receive().unwrap().to_string().contains("killed"));
    bed.recovers();
}

/// The id of the connection whose line in upstream's CLIENT LIST has `text`.
fn connection_id(direct: &mut Client, text: &str) -> String {
    let line = client_line(direct, text).unwrap_or_else(|| panic!("no connection has {text}"));
    let id = line.split("id=").nth(1).unwrap().split(' ').next().unwrap();
    id.to_owned()
}

#[test]
fn the_connection_with_the_feed_is_killed() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    for _ in 0..5 {
        let connects = count(&mut bed.near, "upstream_connects");
        // The shared link is the one with tracking in broadcast mode.
        let id = connection_id(&mut bed.direct, "flags=tB");
        assert_eq!(bed.direct(&["CLIENT", "KILL", "ID", &id]), ":1");
        bed.resident_reads_are_answered();
        bed.everything_ends();
        bed.recovers();
        assert_eq!(count(&mut bed.near, "upstream_connects"), connects + 1);
    }
}

#[test]
fn the_connection_of_a_session_is_killed() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    let connects = count(&mut bed.near, "upstream_connects");
    ask(&mut bed.near, &["EVAL", "return 7", "0"]);
    let id = connection_id(&mut bed.direct, "cmd=eval");
    assert_eq!(bed.direct(&["CLIENT", "KILL", "ID", &id]), ":1");
    let reply = ask(&mut bed.near, &["EVAL", "return 7", "0"]);
    assert!(
        reply.starts_with("-UPSTREAM connection lost") || reply == ":7",
        "{reply}"
    );
    bed.resident_reads_are_answered();
    bed.everything_ends();
    bed.recovers();
    assert_eq!(
        count(&mut bed.near, "upstream_connects"),
        connects,
        "the shared link was not touched"
    );
}

#[test]
fn everything_is_flushed_at_upstream() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    for flush in ["FLUSHALL", "FLUSHDB"] {
        bed.direct(&["SET", "resident", "v"]);
        settle(&mut bed.near);
        bed.resident_reads_are_answered();
        let flushes = count(&mut bed.near, "feed_flushes");
        bed.direct(&[flush]);
        settle(&mut bed.near);
        assert_eq!(ask(&mut bed.near, &["GET", "resident"]), "(nil)");
        assert_eq!(count(&mut bed.near, "feed_flushes"), flushes + 1);
        bed.recovers();
    }
}

#[test]
fn nothing_that_was_asked_is_answered_by_a_value_that_is_not_its_own_whatever_happens() {
    let Some(mut bed) = Bed::new(&[]) else { return };
    for number in 0..200 {
        bed.direct(&["SET", &format!("k{number}"), &format!("k{number}")]);
    }
    for bytes in [10, 100, 1000, 5000] {
        bed.proxy.cut_after(bytes);
        for number in 0..200 {
            let key = format!("k{number}");
            match bed.near.call(&["GETEX", &key]).unwrap() {
                Value::Bulk(value) => assert_eq!(value, key.as_bytes()),
                Value::Error(text) => assert!(text.starts_with("UPSTREAM "), "{text}"),
                other => panic!("{key}: {other}"),
            }
        }
    }
}
