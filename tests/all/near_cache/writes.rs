//! Writes: upstream is the authority, and who wrote reads what he wrote.

use std::thread;

use super::{ask, calls, eventually, info, near_cache, near_cache_at, settle, upstream};
use crate::client::{Client, Value, encode};
use crate::fault_proxy::FaultProxy;
use crate::server::{Server, redis_server};

#[test]
fn s08_who_writes_a_key_that_is_being_fetched_reads_his_own_write_at_once() {
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let f = near_cache_at(
        &format!("redis://{}", proxy.address()),
        &["--upstream-timeout-ms", "20000"],
    );
    let (mut near, mut reader, mut direct) = (f.connect(), f.connect(), u.connect());
    for _ in 0..20 {
        ask(&mut direct, &["SET", "k", "old"]);
        settle(&mut near);
        ask(&mut direct, &["CONFIG", "RESETSTAT"]);
        proxy.hold_replies();
        reader.send(&["GET", "k"]).unwrap();
        eventually("its fetch has reached upstream", || {
            calls(&mut direct, "get") == 1
        });
        near.send_bytes(&[encode(&["SET", "k", "new"]), encode(&["GET", "k"])].concat())
            .unwrap();
        // What races is the replies to the fetch and to the write, and what the batch began ahead.
        proxy.pass_replies();
        assert_eq!(near.receive().unwrap().to_string(), "OK");
        assert_eq!(near.receive().unwrap().to_string(), "\"new\"");
        let seen = reader.receive().unwrap().to_string();
        assert!(["\"old\"", "\"new\""].contains(&&*seen), "{seen}");
        assert_eq!(ask(&mut reader, &["GET", "k"]), "\"new\"");
    }
}

#[test]
fn s09_a_write_is_at_upstream_before_the_reply_and_seen_by_everybody() {
    let Some(u) = upstream() else { return };
    let (one, two) = (near_cache(&u, &[]), near_cache(&u, &[]));
    let (mut direct, mut first, mut second) = (u.connect(), one.connect(), two.connect());
    for round in 0..100 {
        let (value, shown) = (round.to_string(), format!("\"{round}\""));
        ask(&mut second, &["GET", "k"]);
        assert_eq!(ask(&mut first, &["SET", "k", &value]), "OK");
        assert_eq!(ask(&mut direct, &["GET", "k"]), shown);
        assert_eq!(ask(&mut first, &["GET", "k"]), shown);
        eventually("the other sees it", || ask(&mut second, &["GET", "k"]) == shown);
    }
}

#[test]
fn s10_increments_through_two_near_caches_are_each_counted_once() {
    const EACH: usize = 10_000;
    const BATCH: usize = 100;
    let Some(u) = upstream() else { return };
    let nears = [near_cache(&u, &[]), near_cache(&u, &[])];
    let increments: Vec<u8> = (0..BATCH).flat_map(|_| encode(&["INCR", "n"])).collect();
    let count_up = |mut near: Client| -> Vec<i64> {
        let mut counted = Vec::new();
        for _ in 0..EACH / BATCH {
            near.send_bytes(&increments).unwrap();
            for _ in 0..BATCH {
                let Value::Integer(number) = near.receive().unwrap() else {
                    panic!("INCR gives a number")
                };
                counted.push(number);
            }
        }
        counted
    };
    let mut counted: Vec<i64> = thread::scope(|scope| {
        let threads = nears
            .each_ref()
            .map(|near| scope.spawn(|| count_up(near.connect())));
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    counted.sort_unstable();
    assert_eq!(counted, (1..=2 * EACH as i64).collect::<Vec<_>>());
    assert_eq!(ask(&mut u.connect(), &["GET", "n"]), "\"20000\"");
    for near in &nears {
        assert_eq!(ask(&mut near.connect(), &["GET", "n"]), "\"20000\"");
    }
}

#[test]
fn s11_one_of_two_who_lock_wins_and_options_give_upstreams_replies() {
    let Some(u) = upstream() else { return };
    let nears = [near_cache(&u, &[]), near_cache(&u, &[])];
    for round in 0..100 {
        let lock = format!("lock{round}");
        let replies = thread::scope(|scope| {
            let take = |near: &Server| {
                let mut near = near.connect();
                ask(&mut near, &["SET", &lock, "mine", "NX", "PX", "10000"])
            };
            let threads = nears.each_ref().map(|near| scope.spawn(move || take(near)));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(
            replies.iter().filter(|reply| *reply == "OK").count(),
            1,
            "{replies:?}"
        );
    }
    let (mut near, mut direct) = (nears[0].connect(), u.connect());
    for request in [
        &["SET", "KEY", "1", "EX", "100"][..],
        &["SET", "KEY", "2", "KEEPTTL", "GET"],
        &["TTL", "KEY"],
        &["SET", "KEY", "3", "XX", "GET"],
        &["TTL", "KEY"],
        &["SET", "KEY", "4", "NX"],
        &["SET", "KEY", "5", "EX", "0"],
        &["SET", "KEY", "6", "NX", "XX"],
        &["GETEX", "KEY", "PX", "100000"],
        &["TTL", "KEY"],
        &["INCRBYFLOAT", "KEY", "1.5"],
        &["INCR", "KEY"],
        &["GETDEL", "KEY"],
        &["GET", "KEY"],
    ] {
        let named = |name: &'static str| -> Vec<&str> {
            request
                .iter()
                .map(|word| if *word == "KEY" { name } else { *word })
                .collect()
        };
        let expected = ask(&mut direct, &named("direct"));
        assert_eq!(ask(&mut near, &named("near")), expected, "{request:?}");
    }
}

#[test]
fn s12_whatever_changes_keys_leaves_no_old_copy_of_them() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let mut near = f.connect();
    let reset = |near: &mut Client| {
        ask(near, &["MSET", "a", "old a", "b", "old b"]);
        assert_eq!(
            ask(near, &["MGET", "a", "b", "c"]),
            "[\"old a\", \"old b\", (nil)]"
        );
    };
    for (change, expected) in [
        (
            &["MSET", "b", "new", "c", "new"][..],
            "[\"old a\", \"new\", \"new\"]",
        ),
        (&["RENAME", "a", "b"], "[(nil), \"old a\", (nil)]"),
        (&["COPY", "a", "c"], "[\"old a\", \"old b\", \"old a\"]"),
        (
            &["EVAL", "redis.call('MSET', 'a', 'lua', 'c', 'lua')", "0"],
            "[\"lua\", \"old b\", \"lua\"]",
        ),
        (&["DEL", "a", "b"], "[(nil), (nil), (nil)]"),
        (&["FLUSHALL"], "[(nil), (nil), (nil)]"),
        (&["MOVE", "a", "1"], "[(nil), \"old b\", (nil)]"),
        (&["SWAPDB", "0", "9"], "[(nil), (nil), (nil)]"),
        (&["BITOP", "NOT", "c", "none"], "[\"old a\", \"old b\", (nil)]"),
        (&["SORT", "list", "STORE", "a"], "[(nil), \"old b\", (nil)]"),
    ] {
        ask(&mut near, &["FLUSHALL"]);
        reset(&mut near);
        ask(&mut near, change);
        assert_eq!(ask(&mut near, &["MGET", "a", "b", "c"]), expected, "{change:?}");
    }
}

#[test]
fn s13_a_write_that_upstream_refuses_is_refused_with_its_words() {
    let Some(program) = redis_server() else { return };
    let u = Server::start(
        &program,
        &["--maxmemory", "1", "--maxmemory-policy", "noeviction"],
    );
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut direct, &["CONFIG", "SET", "maxmemory", "0"]);
    ask(&mut direct, &["SET", "k", "v"]);
    ask(&mut direct, &["RPUSH", "list", "a"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    ask(&mut direct, &["CONFIG", "SET", "maxmemory", "1"]);
    for request in [&["SET", "k", "new"][..], &["APPEND", "list", "x"], &["INCR", "k"]] {
        let expected = ask(&mut direct, request);
        assert!(expected.starts_with('-'), "{expected}");
        assert_eq!(ask(&mut near, request), expected);
    }
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    assert!(info(&mut near, "errorstat_OOM").starts_with("count="));
}

#[test]
fn s13_a_write_that_upstream_does_not_permit_leaves_the_copy_as_it_is() {
    let Some(u) = upstream() else { return };
    let mut direct = u.connect();
    ask(
        &mut direct,
        &[
            "ACL", "SETUSER", "reader", "on", ">secret", "~*", "&*", "+@all", "-@write",
        ],
    );
    ask(&mut direct, &["SET", "k", "v"]);
    ask(&mut direct, &["RPUSH", "list", "a"]);
    let f = near_cache_at(&format!("redis://reader:secret@{}", u.address()), &[]);
    let mut near = f.connect();
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    assert_eq!(ask(&mut near, &["LLEN", "list"]), ":1");
    let asked = calls(&mut direct, "get");
    ask(&mut direct, &["AUTH", "reader", "secret"]);
    for request in [
        &["SET", "k", "new"][..],
        &["DEL", "k"],
        &["APPEND", "list", "x"],
        &["LPUSH", "list", "x"],
        &["INCR", "k"],
    ] {
        let expected = ask(&mut direct, request);
        assert!(expected.starts_with("-NOPERM"), "{expected}");
        assert_eq!(ask(&mut near, request), expected);
        assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    }
    ask(&mut direct, &["AUTH", "default", ""]);
    assert_eq!(calls(&mut direct, "get"), asked, "the copy was not removed");
}

#[test]
fn s14_a_write_whose_reply_is_lost_has_an_unknown_outcome() {
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let f = near_cache_at(
        &format!("redis://{}", proxy.address()),
        &["--upstream-timeout-ms", "20000"],
    );
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut direct, &["SET", "k", "old"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"old\"");
    proxy.hold_replies();
    // In one piece: what arrives later would not be sent on before the reply of what came first.
    let both = [encode(&["INCR", "n"]), encode(&["SET", "k", "new"])].concat();
    near.send_bytes(&both).unwrap();
    eventually("upstream runs them", || {
        ask(&mut direct, &["GET", "k"]) == "\"new\""
    });
    proxy.cut();
    proxy.pass_replies();
    for _ in 0..2 {
        let error = near.receive().unwrap().to_string();
        assert!(error.starts_with("-UPSTREAM connection lost"), "{error}");
        assert!(
            error.ends_with("the write may or may not have been applied"),
            "{error}"
        );
    }
    eventually("the link is back", || info(&mut near, "upstream_link") == "up");
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"new\"");
    assert_eq!(ask(&mut near, &["GET", "n"]), "\"1\"", "nothing was tried again");
}

#[test]
fn a_connection_that_is_cut_inside_a_reply_gives_no_half_value() {
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let url = format!("redis://{}", proxy.address());
    let mut direct = u.connect();
    let value = "v".repeat(100_000);
    ask(&mut direct, &["SET", "k", &value]);
    for retries in ["0", "2"] {
        let f = near_cache_at(
            &url,
            &["--upstream-retries", retries, "--upstream-timeout-ms", "20000"],
        );
        let mut near = f.connect();
        for cut_after in [1, 5, 13, 50_000, 100_000] {
            settle(&mut near);
            proxy.cut_after(cut_after);
            let reply = ask(&mut near, &["GET", "k"]);
            let is_right = if retries == "0" {
                reply.starts_with("-UPSTREAM connection lost")
            } else {
                reply.len() == value.len() + 2
            };
            assert!(is_right, "{retries}: {}", &reply[..reply.len().min(60)]);
            eventually("the value can be read", || {
                ask(&mut near, &["GET", "k"]).len() == value.len() + 2
            });
            ask(&mut direct, &["APPEND", "k", ""]);
        }
    }
}
