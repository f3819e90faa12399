//! Reads: what is fetched, how often, and how long it is right.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use super::{ask, calls, count, eventually, near_cache, near_cache_at, settle, upstream};
use crate::client::{Client, Value, encode};
use crate::fault_proxy::FaultProxy;
use crate::server::{Server, redis_server};

#[test]
fn s01_when_1_000_clients_get_a_key_at_once_upstream_sees_one_fetch() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let mut direct = u.connect();
    ask(&mut direct, &["SET", "k", "value", "PX", "60000"]);
    let mut clients: Vec<Client> = (0..1000).map(|_| f.connect()).collect();
    // Otherwise the invalidation of that write may overtake the fetch, which is begun anew then.
    settle(&mut clients[0]);
    for client in &mut clients {
        client.send(&["GET", "k"]).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.receive().unwrap(), Value::Bulk(b"value".to_vec()));
    }
    assert_eq!([calls(&mut direct, "get"), calls(&mut direct, "pttl")], [1, 1]);
    let Value::Integer(left_ms) = clients[0].call(&["PTTL", "k"]).unwrap() else {
        panic!("a time")
    };
    assert!((1..=60_000).contains(&left_ms));
}

#[test]
fn s02_a_key_that_is_nowhere_is_asked_for_twice_or_remembered_as_missing() {
    let Some(u) = upstream() else { return };
    let mut direct = u.connect();
    for (negative_ttl_ms, asked) in [("0", 2), ("60000", 1)] {
        ask(&mut direct, &["CONFIG", "RESETSTAT"]);
        ask(&mut direct, &["DEL", "k"]);
        let f = near_cache(&u, &["--negative-ttl-ms", negative_ttl_ms]);
        let mut near = f.connect();
        assert_eq!(
            [ask(&mut near, &["GET", "k"]), ask(&mut near, &["GET", "k"])],
            ["(nil)", "(nil)"]
        );
        assert_eq!(calls(&mut direct, "get"), asked);
        ask(&mut direct, &["SET", "k", "here"]);
        settle(&mut near);
        assert_eq!(ask(&mut near, &["GET", "k"]), "\"here\"");
    }
}

#[test]
fn s03_what_is_read_is_what_upstream_holds_whatever_its_type() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--fill-value-max-bytes", "2mb"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    let large = "x".repeat(1 << 20);
    let too_large = "y".repeat(3 << 20);
    for request in [
        &["SET", "text", "a\r\nb"][..],
        &["SET", "number", "-42"],
        &["SET", "large", &large],
        &["SET", "too large", &too_large],
        &["RPUSH", "list", "a", "b"],
        &["HSET", "hash", "f", "v"],
        &["ZADD", "ranking", "1.5", "m"],
        &["PFADD", "sketch", "a", "b"],
    ] {
        ask(&mut direct, request);
    }
    #[rustfmt::skip] // One command after the other.
    let reads: &[&[&str]] = &[
        &["GET", "text"], &["STRLEN", "text"], &["GETRANGE", "text", "1", "2"], &["TYPE", "text"], &["TTL", "text"],
        &["GET", "number"], &["BITCOUNT", "number"], &["GETBIT", "number", "3"], &["GET", "large"], &["GET", "too large"],
        &["STRLEN", "too large"], &["EXISTS", "text", "nothing", "list", "text"], &["MGET", "text", "list", "nothing"],
        &["GET", "list"], &["TYPE", "list"], &["LRANGE", "list", "0", "-1"], &["HGETALL", "hash"], &["TYPE", "hash"],
        &["ZRANGE", "ranking", "0", "-1", "WITHSCORES"], &["PFCOUNT", "sketch"], &["DBSIZE"],
        &["OBJECT", "ENCODING", "number"], &["LCS", "text", "number"],
    ];
    for protocol in ["2", "3"] {
        near.call(&["HELLO", protocol]).unwrap();
        direct.call(&["HELLO", protocol]).unwrap();
        for read in reads {
            let expected = ask(&mut direct, read);
            assert_eq!(ask(&mut near, read), expected, "{read:?}");
            assert_eq!(ask(&mut near, read), expected, "{read:?}, read again");
        }
    }
    let before = calls(&mut direct, "get");
    assert_eq!(ask(&mut near, &["GET", "large"]).len(), large.len() + 2);
    assert_eq!(calls(&mut direct, "get"), before, "it is resident");
}

#[test]
fn s04_a_copy_dies_with_the_original() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut direct, &["SET", "k", "v", "PX", "500"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    let (Value::Integer(here), Value::Integer(there)) = (
        near.call(&["PTTL", "k"]).unwrap(),
        direct.call(&["PTTL", "k"]).unwrap(),
    ) else {
        panic!("times are numbers")
    };
    // The original's time was read a little later.
    assert!(here <= there + 50, "{here} > {there}");
    eventually("the copy dies", || ask(&mut near, &["GET", "k"]) == "(nil)");
    assert_eq!(ask(&mut direct, &["EXISTS", "k"]), ":0");
}

#[test]
fn s05_a_fill_that_times_out_answers_in_time_and_the_next_read_tries_again() {
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let url = format!("redis://{}", proxy.address());
    let f = near_cache_at(&url, &["--upstream-timeout-ms", "300", "--breaker", "none"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut direct, &["SET", "k", "v"]);
    for read in [&["GET", "k"][..], &["STRLEN", "k"], &["MGET", "k", "k"]] {
        settle(&mut near);
        proxy.hold_replies();
        let refused = ask(&mut near, read);
        assert!(
            refused.starts_with("-UPSTREAM no answer within 300 ms"),
            "{refused}"
        );
        proxy.pass_replies();
        let expected = ask(&mut direct, read);
        eventually("the next read tries again", || ask(&mut near, read) == expected);
        // It has left nothing behind that would keep a change from being seen.
        ask(&mut direct, &["APPEND", "k", "+"]);
        settle(&mut near);
        assert_eq!(ask(&mut near, read), ask(&mut direct, read));
        ask(&mut direct, &["APPEND", "k", "+"]);
    }
}

/// The replies to requests sent as one batch.
fn batch(client: &mut Client, requests: &[Vec<String>]) -> Vec<String> {
    let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
    client.send_bytes(&bytes).unwrap();
    requests
        .iter()
        .map(|_| client.receive().unwrap().to_string())
        .collect()
}

fn words(request: &str) -> Vec<String> {
    request.split(' ').map(ToOwned::to_owned).collect()
}

#[test]
fn a_batch_is_answered_in_order_whether_its_keys_are_here_or_there_or_nowhere() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for number in (0..1000).step_by(2) {
        ask(&mut direct, &["SET", &format!("k{number}"), &number.to_string()]);
    }
    let requests: Vec<_> = (0..1000).map(|number| words(&format!("GET k{number}"))).collect();
    let expected = batch(&mut direct, &requests);
    assert_eq!(batch(&mut near, &requests), expected);
    assert_eq!(batch(&mut near, &requests), expected);
}

#[test]
fn a_batch_of_reads_and_writes_means_the_same_as_at_upstream() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    let mut random = Random(7);
    for round in 0..50 {
        let requests: Vec<_> = (0..60)
            .map(|step| {
                let key = random.below(4);
                words(&match random.below(6) {
                    0 => format!("SET k{key} {round}.{step}"),
                    1 => format!("APPEND k{key} x"),
                    2 => format!("DEL k{key}"),
                    3 => format!("MGET k{key} k0 k3"),
                    4 => format!("RPUSHX list{key} a"),
                    _ => format!("GET k{key}"),
                })
            })
            .collect();
        ask(&mut direct, &["FLUSHALL"]);
        let expected = batch(&mut direct, &requests);
        ask(&mut direct, &["FLUSHALL"]);
        settle(&mut near);
        assert_eq!(batch(&mut near, &requests), expected, "{requests:?}");
    }
}

#[test]
fn what_others_write_is_seen_through_both_near_caches_within_a_second() {
    let Some(u) = upstream() else { return };
    let (one, two) = (near_cache(&u, &[]), near_cache(&u, &[]));
    let (mut direct, mut nears) = (u.connect(), [one.connect(), two.connect()]);
    for round in 0..200 {
        let value = round.to_string();
        for near in &mut nears {
            ask(near, &["GET", "k"]);
        }
        ask(&mut direct, &["SET", "k", &value]);
        for near in &mut nears {
            let seen = crate::deadline::Deadline::after(Duration::from_secs(1))
                .poll(|| ask(near, &["GET", "k"]) == format!("\"{value}\""));
            assert!(seen, "round {round}");
        }
    }
}

#[test]
fn no_read_is_stale_in_10_000_random_reads_and_writes_through_two_near_caches() {
    const STEPS: usize = 10_000;
    const KEYS: usize = 50;
    let Some(u) = upstream() else { return };
    let (one, two) = (near_cache(&u, &[]), near_cache(&u, &[]));
    let mut direct = u.connect();
    let mut nears = [one.connect(), two.connect()];
    // What a near cache need not know yet: writes since its last barrier that did not go through it.
    let mut unsettled = [false, false];
    let mut model: HashMap<usize, String> = HashMap::new();
    let mut random = Random(1);
    for step in 0..STEPS {
        let (key, through) = (random.below(KEYS), random.below(2));
        let name = format!("key:{key}");
        match random.below(10) {
            0 => {
                ask(&mut direct, &["SET", &name, &step.to_string()]);
                model.insert(key, step.to_string());
                unsettled = [true, true];
            }
            1 => {
                ask(&mut direct, &["DEL", &name]);
                model.remove(&key);
                unsettled = [true, true];
            }
            2 => {
                ask(&mut nears[through], &["SET", &name, &step.to_string()]);
                model.insert(key, step.to_string());
                unsettled[1 - through] = true;
            }
            _ => {
                if std::mem::take(&mut unsettled[through]) {
                    settle(&mut nears[through]);
                }
                let expected = model
                    .get(&key)
                    .map_or("(nil)".to_owned(), |value| format!("\"{value}\""));
                assert_eq!(ask(&mut nears[through], &["GET", &name]), expected, "step {step}");
            }
        }
    }
    let hits: u64 = nears.iter_mut().map(|near| count(near, "tier_l1_hits")).sum();
    assert!(
        hits > STEPS as u64 / 10,
        "only {hits} reads were answered from L1"
    );
}

#[test]
fn s06_readers_that_race_with_foreign_writes_never_see_an_old_value_for_long() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    thread::scope(|scope| {
        for reader in 0..4 {
            let mut near = f.connect();
            scope.spawn(move || {
                for _ in 0..2000 {
                    ask(&mut near, &["GET", &format!("k{}", reader % 2)]);
                }
            });
        }
        let mut direct = u.connect();
        for value in 0..2000 {
            ask(&mut direct, &["SET", "k0", &value.to_string()]);
            ask(&mut direct, &["SET", "k1", &value.to_string()]);
        }
    });
    let mut near = f.connect();
    settle(&mut near);
    assert_eq!(ask(&mut near, &["MGET", "k0", "k1"]), "[\"1999\", \"1999\"]");
}

#[test]
fn s07_a_foreign_flush_rename_or_expiry_is_seen() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for change in [
        &["FLUSHALL"][..],
        &["FLUSHDB"],
        &["RENAME", "k", "other"],
        &["PEXPIRE", "k", "1"],
        &["DEL", "k"],
    ] {
        ask(&mut direct, &["SET", "k", "v"]);
        settle(&mut near);
        assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"", "{change:?}");
        ask(&mut direct, change);
        settle(&mut near);
        eventually("the change is seen", || ask(&mut near, &["GET", "k"]) == "(nil)");
    }
}

#[test]
fn the_url_names_user_password_and_database() {
    let Some(program) = redis_server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    let u = Server::start(
        &program,
        &[
            "--requirepass",
            "secret",
            "--unixsocket",
            socket.to_str().unwrap(),
        ],
    );
    let mut direct = u.connect();
    ask(&mut direct, &["AUTH", "secret"]);
    ask(
        &mut direct,
        &["ACL", "SETUSER", "app", "on", ">p@ss", "~*", "&*", "+@all"],
    );
    ask(&mut direct, &["SELECT", "5"]);
    ask(&mut direct, &["SET", "k", "in five"]);
    for url in [
        format!("redis://:secret@{}/5", u.address()),
        format!("redis://app:p%40ss@{}/5", u.address()),
        format!("unix://{}?db=5&password=secret", socket.display()),
    ] {
        let f = near_cache_at(&url, &["--upstream-client-name", "in-front"]);
        let mut near = f.connect();
        assert_eq!(ask(&mut near, &["GET", "k"]), "\"in five\"", "{url}");
        assert_eq!(ask(&mut near, &["LLEN", "list"]), ":0", "{url}");
        assert_eq!(ask(&mut near, &["SELECT", "1"]), "OK");
        assert_eq!(ask(&mut near, &["SET", "other", "in one"]), "OK");
        assert_eq!(ask(&mut near, &["EXISTS", "k", "other"]), ":1");
        assert!(ask(&mut direct, &["CLIENT", "LIST"]).contains("name=in-front"));
    }
    let wrong = near_cache_at(&format!("redis://:wrong@{}", u.address()), &[]);
    let refused = ask(&mut wrong.connect(), &["GET", "k"]);
    assert!(
        refused.starts_with("-UPSTREAM not connected") && refused.contains("WRONGPASS"),
        "{refused}"
    );
}

/// A small generator of its own, so that a failure can be repeated.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
