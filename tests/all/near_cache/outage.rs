//! Losing upstream, and having it back.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::{ask, calls, count, eventually, info, near_cache, near_cache_at, settle, upstream};
use crate::client::Client;
use crate::deadline::Deadline;
use crate::fault_proxy::FaultProxy;
use crate::server::{Server, free_port, redis_server};

#[test]
fn s07_a_change_is_seen_though_the_link_is_cut_between_the_value_and_its_invalidation() {
    /// The replies to PTTL and GET, behind which the invalidation comes.
    const VALUE: &str = ":-1\r\n$1\r\nv\r\n";
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let f = near_cache_at(
        &format!("redis://{}", proxy.address()),
        &["--upstream-timeout-ms", "20000"],
    );
    let (mut near, mut direct) = (f.connect(), u.connect());
    for change in [
        &["DEL", "k"][..],
        &["PEXPIRE", "k", "1"],
        &["RENAME", "k", "other"],
        &["FLUSHALL"],
    ] {
        ask(&mut direct, &["SET", "k", "v"]);
        settle(&mut near);
        ask(&mut direct, &["CONFIG", "RESETSTAT"]);
        let connects = count(&mut near, "upstream_connects");
        proxy.hold_replies();
        near.send(&["GET", "k"]).unwrap();
        eventually("the value was read", || calls(&mut direct, "get") == 1);
        ask(&mut direct, change);
        eventually("it is gone", || ask(&mut direct, &["EXISTS", "k"]) == ":0");
        proxy.cut_after(VALUE.len());
        proxy.pass_replies();
        let seen = near.receive().unwrap().to_string();
        let is_right = seen == "\"v\"" || seen == "(nil)" || seen.starts_with("-UPSTREAM ");
        assert!(is_right, "{change:?}: {seen}");
        eventually("the link is back", || {
            count(&mut near, "upstream_connects") > connects
        });
        assert_eq!(ask(&mut near, &["GET", "k"]), "(nil)", "{change:?}");
    }
}

#[test]
fn s15_a_dead_upstream_costs_resident_reads_nothing_and_comes_back_by_itself() {
    let Some(mut u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let mut near = f.connect();
    ask(&mut near, &["SET", "k", "v"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    u.kill();
    eventually("the loss is noticed", || {
        info(&mut near, "upstream_link") == "down"
    });
    let quick = Deadline::after(Duration::from_secs(10));
    for number in 0..500 {
        assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
        let missed = ask(&mut near, &["GET", &format!("absent{number}")]);
        assert!(missed.starts_with("-UPSTREAM not connected"), "{missed}");
        assert!(ask(&mut near, &["SET", "k", "new"]).starts_with("-UPSTREAM not connected"));
        assert!(ask(&mut near, &["LPUSH", "l", "x"]).starts_with("-UPSTREAM not connected"));
    }
    quick
        .remaining()
        .expect("errors come at once, not after a timeout");
    u.restart();
    let resumed =
        Deadline::after(Duration::from_secs(5)).poll(|| ask(&mut near, &["GET", "absent"]) == "(nil)");
    assert!(resumed, "service resumes without help");
    assert_eq!(
        ask(&mut near, &["GET", "k"]),
        "(nil)",
        "s17: upstream came back empty"
    );
}

#[test]
fn s15_without_an_upstream_at_start_there_is_service_as_soon_as_there_is_one() {
    let Some(mut u) = upstream() else { return };
    u.kill();
    let f = near_cache(&u, &[]);
    let mut near = f.connect();
    assert_eq!(ask(&mut near, &["PING"]), "PONG");
    assert!(ask(&mut near, &["GET", "k"]).starts_with("-UPSTREAM not connected"));
    u.restart();
    eventually("there is service", || ask(&mut near, &["SET", "k", "v"]) == "OK");
}

#[test]
fn s16_a_frozen_upstream_never_makes_a_reply_answer_another_request() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--upstream-timeout-ms", "200", "--breaker-open-ms", "500"]);
    let mut direct = u.connect();
    for number in 0..100 {
        ask(&mut direct, &["SET", &format!("k{number}"), &number.to_string()]);
    }
    let is_over = AtomicUsize::new(0);
    thread::scope(|scope| {
        for reader in 0..4_usize {
            let (mut near, is_over) = (f.connect(), &is_over);
            scope.spawn(move || {
                let mut number = reader;
                while is_over.load(Relaxed) == 0 {
                    number = (number + 1) % 100;
                    let key = format!("k{number}");
                    let reply = if number % 2 == 0 {
                        ask(&mut near, &["GETEX", &key])
                    } else {
                        ask(&mut near, &["GET", &key])
                    };
                    assert!(
                        reply == format!("\"{number}\"") || reply.starts_with("-UPSTREAM"),
                        "{key}: {reply}"
                    );
                }
            });
        }
        let mut near = f.connect();
        eventually("there is traffic", || count(&mut near, "tier_forwarded") > 100);
        u.freeze();
        let frozen = Deadline::after(Duration::from_secs(5));
        eventually("the loss is noticed", || {
            info(&mut near, "upstream_link") == "down"
        });
        frozen.poll(|| false);
        u.thaw();
        let forwarded = count(&mut near, "tier_forwarded");
        eventually("service resumes", || {
            count(&mut near, "tier_forwarded") > forwarded + 100
        });
        is_over.store(1, Relaxed);
    });
}

#[test]
fn s16_while_upstream_stands_still_a_stale_copy_answers_at_the_soft_deadline() {
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let f = near_cache_at(
        &format!("redis://{}", proxy.address()),
        &["--upstream-timeout-ms", "15000", "--soft-deadline-ms", "50"],
    );
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut direct, &["SET", "k", "old"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"old\"");
    let connects = count(&mut near, "upstream_connects");
    proxy.cut();
    eventually("the link is back", || {
        count(&mut near, "upstream_connects") > connects
    });
    u.freeze();
    near.set_patience(Duration::from_secs(8));
    assert_eq!(
        ask(&mut near, &["GET", "k"]),
        "\"old\"",
        "long before the deadline, and though it may be old"
    );
    u.thaw();
    ask(&mut direct, &["SET", "k", "new"]);
    eventually("the fetch has gone on", || {
        ask(&mut near, &["GET", "k"]) == "\"new\""
    });
}

#[test]
fn s17_what_is_held_when_the_feed_was_lost_is_asked_for_again_and_not_flushed() {
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let f = near_cache_at(&format!("redis://{}", proxy.address()), &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for number in 0..100 {
        ask(&mut direct, &["SET", &format!("k{number}"), "old"]);
        ask(&mut near, &["GET", &format!("k{number}")]);
    }
    proxy.hold_replies();
    ask(&mut direct, &["SET", "k1", "new"]);
    proxy.cut();
    proxy.pass_replies();
    eventually("the link is back", || count(&mut near, "upstream_connects") == 2);
    assert_eq!(ask(&mut near, &["GET", "k1"]), "\"new\"");
    assert_eq!(ask(&mut near, &["GET", "k2"]), "\"old\"");
    assert_eq!(count(&mut near, "l1_entries"), 100, "nothing was removed for it");
}

#[test]
fn s18_a_feed_that_upstream_kills_is_back_before_anybody_reads_something_old() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut direct, &["SET", "k", "old"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"old\"");
    let connects = count(&mut near, "upstream_connects");
    kill_link(&mut direct);
    ask(&mut direct, &["SET", "k", "new"]);
    eventually("the feed is back", || {
        count(&mut near, "upstream_connects") > connects
    });
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"new\"");
}

#[test]
fn s18_reads_do_not_notice_that_upstream_kills_the_link() {
    const KILLS: u64 = 3;
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--upstream-timeout-ms", "20000", "--breaker-failures", "1"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for number in 0..100 {
        ask(&mut direct, &["SET", &format!("k{number}"), &number.to_string()]);
    }
    let is_over = AtomicUsize::new(0);
    thread::scope(|scope| {
        for reader in 0..4_usize {
            let (mut near, is_over) = (f.connect(), &is_over);
            scope.spawn(move || {
                for number in (reader..).map(|number| number % 100) {
                    let key = format!("k{number}");
                    assert!(!ask(&mut near, &["DUMP", &key]).starts_with('-'));
                    assert_eq!(ask(&mut near, &["GET", &key]), format!("\"{number}\""));
                    assert_eq!(ask(&mut near, &["GET", &format!("absent{number}")]), "(nil)");
                    if is_over.load(Relaxed) == 1 {
                        return;
                    }
                }
            });
        }
        for kill in 1..=KILLS {
            let stable = Deadline::after(Duration::from_millis(1500));
            stable.poll(|| false);
            kill_link(&mut direct);
            eventually("the link is back", || {
                count(&mut near, "upstream_connects") == 1 + kill
            });
        }
        is_over.store(1, Relaxed);
    });
    assert!(count(&mut near, "upstream_retries") > 0, "somebody was waiting");
    assert_eq!(count(&mut near, "upstream_refused"), 0);
}

/// Has upstream close the connection of its only Forebay.
fn kill_link(direct: &mut Client) {
    let list = ask(direct, &["CLIENT", "LIST"]);
    let link = list
        .split("\\n")
        .find(|line| line.contains("name=forebay"))
        .expect("the link has a name");
    let id = link.split("id=").nth(1).unwrap().split(' ').next().unwrap();
    assert_eq!(ask(direct, &["CLIENT", "KILL", "ID", id]), ":1");
}

#[test]
fn s18_a_connection_that_went_dead_without_a_word_is_found_out() {
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let f = near_cache_at(
        &format!("redis://{}", proxy.address()),
        &["--upstream-timeout-ms", "100"],
    );
    let mut near = f.connect();
    ask(&mut near, &["SET", "k", "old"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"old\"");
    proxy.hold_replies();
    ask(&mut u.connect(), &["SET", "k", "new"]);
    let noticed = Deadline::after(Duration::from_secs(4)).poll(|| info(&mut near, "upstream_link") != "up");
    assert!(noticed, "an idle feed is probed");
    proxy.cut();
    proxy.pass_replies();
    eventually("the change is seen", || {
        ask(&mut near, &["GET", "k"]) == "\"new\""
    });
}

#[test]
fn s19_an_upstream_that_loads_its_data_is_down() {
    let Some(program) = redis_server() else { return };
    let u = Server::start(&program, &["--enable-debug-command", "yes"]);
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut direct, &["DEBUG", "POPULATE", "10000"]);
    // A delay of 100 µs per key: a second or more.
    ask(&mut direct, &["CONFIG", "SET", "key-load-delay", "100"]);
    ask(
        &mut direct,
        &["CONFIG", "SET", "loading-process-events-interval-bytes", "1024"],
    );
    direct.send(&["DEBUG", "RELOAD"]).unwrap();
    let mut seen = Vec::new();
    eventually("loading is noticed", || {
        seen.push(ask(&mut near, &["GET", "key:1"]));
        info(&mut near, "upstream_link") == "down"
    });
    let is_right = |reply: &String| {
        reply == "\"value:1\"" || reply.contains("LOADING") || reply.starts_with("-UPSTREAM")
    };
    assert!(seen.iter().all(is_right), "{seen:?}");
    let refused = ask(&mut near, &["GETEX", "key:2"]);
    assert!(
        refused.starts_with("-UPSTREAM not connected") && refused.to_lowercase().contains("loading"),
        "{refused}"
    );
    eventually("service resumes", || {
        ask(&mut near, &["GETEX", "key:2"]) == "\"value:2\""
    });
}

#[test]
fn s20_an_upstream_that_flaps_is_asked_a_bounded_number_of_times() {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            counter.fetch_add(1, Relaxed);
            // Reads the greeting and hangs up.
            let _ = socket.read(&mut [0; 64]);
        }
    });
    let f = near_cache_at(&format!("redis://127.0.0.1:{port}"), &[]);
    let mut near = f.connect();
    let before = accepted.load(Relaxed);
    let quick = Deadline::after(Duration::from_secs(3));
    quick.poll(|| {
        let refused = ask(&mut near, &["GET", "k"]);
        assert!(refused.starts_with("-UPSTREAM"), "{refused}");
        false
    });
    let attempts = accepted.load(Relaxed) - before;
    assert!(
        (1..=20).contains(&attempts),
        "{attempts} attempts in three seconds"
    );
}

#[test]
fn s20_a_way_that_flaps_is_tried_a_bounded_number_of_times() {
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let f = near_cache_at(&format!("redis://{}", proxy.address()), &[]);
    let mut near = f.connect();
    ask(&mut near, &["SET", "resident", "v"]);
    let before = proxy.accepted();
    for round in 0..15 {
        proxy.swallow_new(round % 2 == 1);
        proxy.cut();
        Deadline::after(Duration::from_millis(100)).poll(|| {
            let reply = ask(&mut near, &["GET", &round.to_string()]);
            assert!(reply == "(nil)" || reply.starts_with("-UPSTREAM "), "{reply}");
            false
        });
    }
    let attempts = proxy.accepted() - before;
    assert!((1..=30).contains(&attempts), "{attempts} attempts in 1.5 seconds");
    proxy.heal();
    eventually("service resumes", || {
        ask(&mut near, &["GET", "resident"]) == "\"v\""
    });
}

#[test]
fn an_upstream_that_speaks_nonsense_costs_only_those_who_need_it() {
    let port = free_port();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            // Whoever asks gets the same.
            let _ = std::io::Write::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let f = near_cache_at(&format!("redis://127.0.0.1:{port}"), &[]);
    let mut near = f.connect();
    assert_eq!(ask(&mut near, &["PING"]), "PONG");
    let refused = ask(&mut near, &["GET", "k"]);
    assert!(refused.contains("unknown type 'H' in a reply"), "{refused}");
}

#[test]
fn the_breaker_opens_after_timeouts_in_a_row_and_a_reply_closes_it() {
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let url = format!("redis://{}", proxy.address());
    let f = near_cache_at(
        &url,
        &["--upstream-timeout-ms", "1000", "--breaker-failures", "2"],
    );
    let mut near = f.connect();
    settle(&mut near);
    proxy.hold_replies();
    for number in 0..2 {
        near.send(&["GETEX", &number.to_string()]).unwrap();
    }
    for _ in 0..2 {
        let error = near.receive().unwrap().to_string();
        assert!(error.starts_with("-UPSTREAM no answer within 1000 ms"), "{error}");
    }
    let refused = ask(&mut near, &["GET", "k"]);
    assert!(refused.starts_with("-UPSTREAM the breaker is open"), "{refused}");
    proxy.pass_replies();
    eventually("a reply closes it", || ask(&mut near, &["GET", "k"]) == "(nil)");
}
