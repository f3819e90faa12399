//! The rules of namespaces: modes, staleness, failure, promotion, and all of it changed while the server runs.

use std::time::Duration;

use super::{ask, calls, count, eventually, info, near_cache, near_cache_at, settle, upstream};
use crate::client::Client;
use crate::fault_proxy::FaultProxy;
use crate::server::Server;

/// A Forebay in front of a server, with this text in its configuration file.
fn with_file(upstream: &Server, text: &str) -> Server {
    let dir = tempfile::tempdir().unwrap().keep();
    let path = dir.join("forebay.toml");
    std::fs::write(&path, text).unwrap();
    near_cache(upstream, &["--config", path.to_str().unwrap()])
}

/// Reads `key` until L1 has it.
fn bring_in(near: &mut Client, key: &str, value: &str) {
    assert_eq!(ask(near, &["GET", key]), format!("\"{value}\""));
    assert_eq!(ask(near, &["GET", key]), format!("\"{value}\""));
}

fn lose(u: &mut Server, near: &mut Client) {
    u.kill();
    eventually("the loss is noticed", || info(near, "upstream_link") == "down");
}

#[test]
fn write_around_keeps_no_copy_of_what_is_written_and_near_cache_does() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let mut near = f.connect();
    ask(&mut near, &["SET", "k", "v"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    assert_eq!(calls(&mut u.connect(), "get"), 0, "the copy followed the write");
    assert_eq!(
        ask(&mut near, &["CONFIG", "SET", "tier-mode", "write-around"]),
        "OK"
    );
    ask(&mut near, &["SET", "k", "w"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"w\"");
    assert_eq!(calls(&mut u.connect(), "get"), 1);
}

#[test]
fn a_copy_that_follows_a_write_ends_when_upstreams_value_does_and_others_change_it() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut near, &["SET", "k", "v", "PX", "300"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    ask(&mut direct, &["SET", "k", "w", "KEEPTTL"]);
    settle(&mut near);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"w\"");
    eventually("it ends", || ask(&mut near, &["GET", "k"]) == "(nil)");
    for request in [
        &["SET", "k", "a", "NX"][..],
        &["SET", "k", "b", "NX"],
        &["SET", "k", "c", "XX"],
    ] {
        ask(&mut near, request);
        assert_eq!(ask(&mut near, &["GET", "k"]), ask(&mut direct, &["GET", "k"]));
    }
}

#[test]
fn the_mode_is_changed_while_the_server_runs_and_nothing_of_the_old_one_is_served() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--tier-mode", "off"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut near, &["SET", "k", "mine"]);
    ask(&mut direct, &["SET", "k", "theirs"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"mine\"");
    assert_eq!(ask(&mut near, &["LPUSH", "l", "x"]), ":1");
    assert_eq!(ask(&mut direct, &["EXISTS", "l"]), ":0");
    ask(&mut near, &["CONFIG", "SET", "tier-mode", "near-cache"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"theirs\"");
    assert_eq!(ask(&mut near, &["LLEN", "l"]), ":0");
    ask(&mut near, &["CONFIG", "SET", "tier-mode", "off"]);
    ask(&mut near, &["SET", "k", "mine again"]);
    assert_eq!(ask(&mut direct, &["GET", "k"]), "\"theirs\"");
}

#[test]
fn what_belongs_to_this_server_alone_outlives_the_feed_and_foreign_writes() {
    let Some(mut u) = upstream() else { return };
    let f = with_file(
        &u,
        "[[namespace]]\nname = \"own\"\nprefix = \"own:\"\ntier-mode = \"off\"\n",
    );
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut near, &["SET", "own:k", "mine"]);
    ask(&mut direct, &["SET", "own:k", "theirs"]);
    ask(&mut direct, &["FLUSHALL"]);
    settle(&mut near);
    assert_eq!(ask(&mut near, &["GET", "own:k"]), "\"mine\"");
    lose(&mut u, &mut near);
    assert_eq!(ask(&mut near, &["GET", "own:k"]), "\"mine\"");
    assert_eq!(ask(&mut near, &["INCR", "own:n"]), ":1");
    assert!(ask(&mut near, &["MGET", "own:k", "other"]).starts_with("-CROSSMODE"));
    u.restart();
    eventually("service resumes", || {
        ask(&mut near, &["SET", "other", "v"]) == "OK"
    });
    assert_eq!(ask(&mut near, &["GET", "own:k"]), "\"mine\"");
}

#[test]
fn suspects_are_served_revalidated_or_refused_as_the_namespace_says() {
    let Some(mut u) = upstream() else { return };
    let text = "fail-mode = \"stale\"\nrevalidations-per-second = 0\n\
        [[namespace]]\nname = \"serve\"\nprefix = \"s:\"\nsuspects = \"serve\"\n\
        [[namespace]]\nname = \"refuse\"\nprefix = \"r:\"\nsuspects = \"refuse\"\n";
    let f = with_file(&u, text);
    let mut near = f.connect();
    for key in ["s:k", "r:k", "k"] {
        ask(&mut u.connect(), &["SET", key, "v"]);
        bring_in(&mut near, key, "v");
    }
    lose(&mut u, &mut near);
    assert_eq!(count(&mut near, "suspect_keys"), 3);
    assert_eq!(ask(&mut near, &["GET", "s:k"]), "\"v\"");
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    assert!(ask(&mut near, &["GET", "r:k"]).starts_with("-UPSTREAM"));
    u.restart();
    eventually("the link is up", || info(&mut near, "upstream_link") == "up");
    assert_eq!(ask(&mut near, &["GET", "k"]), "(nil)", "upstream came back empty");
    assert_eq!(
        ask(&mut near, &["GET", "s:k"]),
        "\"v\"",
        "served once more, and fetched anew meanwhile"
    );
    eventually("it was fetched anew", || {
        ask(&mut near, &["GET", "s:k"]) == "(nil)"
    });
}

#[test]
fn suspects_are_fetched_anew_at_a_rate_without_being_asked_for() {
    let Some(u) = upstream() else { return };
    let proxy = FaultProxy::start(u.address());
    let f = near_cache_at(
        &format!("redis://{}", proxy.address()),
        &["--revalidations-per-second", "1000"],
    );
    let mut near = f.connect();
    for number in 0..200 {
        ask(&mut near, &["SET", &format!("k{number}"), "v"]);
    }
    proxy.cut();
    eventually("all are sound again", || {
        info(&mut near, "upstream_link") == "up" && count(&mut near, "suspect_keys") == 0
    });
    assert!(count(&mut near, "refreshes") >= 200);
    let before = calls(&mut u.connect(), "get");
    assert_eq!(ask(&mut near, &["GET", "k7"]), "\"v\"");
    assert_eq!(calls(&mut u.connect(), "get"), before);
}

#[test]
fn while_upstream_is_away_reads_get_a_stale_copy_a_local_answer_or_an_error() {
    let Some(mut u) = upstream() else { return };
    let text = "[[namespace]]\nname = \"local\"\nprefix = \"l:\"\nfail-mode = \"local\"\n\
        [[namespace]]\nname = \"error\"\nprefix = \"e:\"\nfail-mode = \"error\"\n";
    let f = with_file(&u, text);
    let mut near = f.connect();
    for key in ["k", "l:k", "e:k"] {
        ask(&mut near, &["SET", key, "v"]);
    }
    lose(&mut u, &mut near);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    assert!(ask(&mut near, &["GET", "absent"]).starts_with("-UPSTREAM"));
    assert!(ask(&mut near, &["SET", "k", "w"]).starts_with("-UPSTREAM"));
    assert_eq!(ask(&mut near, &["GET", "l:k"]), "\"v\"");
    assert_eq!(ask(&mut near, &["GET", "l:absent"]), "(nil)");
    assert_eq!(ask(&mut near, &["INCR", "l:n"]), ":1");
    assert_eq!(ask(&mut near, &["INCR", "l:n"]), ":2");
    assert!(ask(&mut near, &["GET", "e:k"]).starts_with("-UPSTREAM"));
    u.restart();
    eventually("upstream is the authority again", || {
        ask(&mut near, &["GET", "l:n"]) == "(nil)"
    });
}

#[test]
fn a_copy_whose_time_is_over_is_served_while_it_is_fetched_anew() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--copy-ttl-max-ms", "200", "--stale-ttl-ms", "60000"]);
    let mut near = f.connect();
    ask(&mut u.connect(), &["SET", "k", "v"]);
    bring_in(&mut near, "k", "v");
    std::thread::sleep(Duration::from_millis(300));
    let before = calls(&mut u.connect(), "get");
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    assert_eq!(count(&mut near, "stale_served"), 1);
    eventually("it is fetched anew", || {
        calls(&mut u.connect(), "get") == before + 1
    });
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    assert_eq!(count(&mut near, "stale_served"), 1, "the fresh one");
}

#[test]
fn a_copy_is_refreshed_before_its_end_if_it_is_read() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--early-refresh-ms", "5000"]);
    let mut near = f.connect();
    ask(&mut u.connect(), &["SET", "k", "v", "EX", "10"]);
    bring_in(&mut near, "k", "v");
    eventually("it is fetched again long before its end", || {
        ask(&mut near, &["GET", "k"]) == "\"v\"" && calls(&mut u.connect(), "get") > 1
    });
}

#[test]
fn copies_live_no_longer_than_the_rules_say() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--copy-ttl-max-ms", "1000", "--ttl-jitter-percent", "50"]);
    let mut near = f.connect();
    ask(&mut u.connect(), &["SET", "k", "v"]);
    bring_in(&mut near, "k", "v");
    assert_eq!(calls(&mut u.connect(), "get"), 1);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"v\"");
    assert_eq!(calls(&mut u.connect(), "get"), 2);
    assert_eq!(ask(&mut near, &["TTL", "k"]), ":-1", "clients see upstream's");
}

#[test]
fn promotion_decides_what_is_brought_in() {
    let Some(u) = upstream() else { return };
    let text = "[[namespace]]\nname = \"never\"\nprefix = \"n:\"\npromotion = \"never\"\n\
        [[namespace]]\nname = \"second\"\nprefix = \"s:\"\npromotion = \"second-hit\"\n";
    let f = with_file(&u, text);
    let mut near = f.connect();
    for (key, fetches) in [("k", 1), ("s:k", 2), ("n:k", 5)] {
        let before = calls(&mut u.connect(), "get");
        ask(&mut u.connect(), &["SET", key, "v"]);
        for _ in 0..5 {
            assert_eq!(ask(&mut near, &["GET", key]), "\"v\"");
        }
        assert_eq!(calls(&mut u.connect(), "get") - before, fetches, "{key}");
    }
}

#[test]
fn an_upstream_that_tells_nothing_is_asked_again_after_a_while() {
    let Some(u) = upstream() else { return };
    ask(
        &mut u.connect(),
        &["ACL", "SETUSER", "default", "-client|tracking"],
    );
    let f = near_cache(&u, &["--untracked-ttl-ms", "200"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    assert_eq!(info(&mut near, "feed_mode"), "ttl");
    ask(&mut direct, &["SET", "k", "v"]);
    bring_in(&mut near, "k", "v");
    ask(&mut direct, &["SET", "k", "w"]);
    eventually("the change is seen within the bound", || {
        ask(&mut near, &["GET", "k"]) == "\"w\""
    });
    // Writes are not deferred then, since copies have deadlines of their own.
    ask(&mut near, &["CONFIG", "SET", "tier-mode", "write-around"]);
    ask(&mut near, &["SET", "k", "x"]);
    assert_eq!(ask(&mut direct, &["GET", "k"]), "\"x\"");
}

#[test]
fn tracking_of_single_keys_sees_foreign_writes_too() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--upstream-tracking", "keys"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    assert_eq!(info(&mut near, "feed_mode"), "keys");
    for round in 0..50 {
        let (mine, theirs) = (format!("mine{round}"), format!("theirs{round}"));
        ask(&mut near, &["SET", "k", &mine]);
        assert_eq!(ask(&mut near, &["GET", "k"]), format!("\"{mine}\""));
        ask(&mut direct, &["SET", "k", &theirs]);
        settle(&mut near);
        assert_eq!(ask(&mut near, &["GET", "k"]), format!("\"{theirs}\""));
        ask(&mut direct, &["DEL", "l"]);
        ask(&mut direct, &["RPUSH", "l", &theirs]);
        settle(&mut near);
        assert_eq!(ask(&mut near, &["LINDEX", "l", "0"]), format!("\"{theirs}\""));
    }
}

#[test]
fn the_feed_tells_only_of_namespaces_that_have_copies() {
    let Some(u) = upstream() else { return };
    let text = "tier-mode = \"off\"\n\
        [[namespace]]\nname = \"near\"\nprefix = \"near:\"\ntier-mode = \"near-cache\"\n";
    let f = with_file(&u, text);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut direct, &["SET", "near:k", "v"]);
    bring_in(&mut near, "near:k", "v");
    let before = count(&mut near, "feed_invalidations");
    ask(&mut direct, &["MSET", "near:k", "w", "far:k", "w"]);
    eventually("the change is seen", || {
        ask(&mut near, &["GET", "near:k"]) == "\"w\""
    });
    assert_eq!(ask(&mut near, &["GET", "far:k"]), "(nil)");
    assert_eq!(count(&mut near, "feed_invalidations"), before + 1, "of two keys");
    ask(&mut near, &["CONFIG", "SET", "tier-mode", "near-cache"]);
    eventually("the feed tells of all", || {
        ask(&mut near, &["GET", "far:k"]) == "\"w\"" && info(&mut near, "upstream_link") == "up"
    });
    ask(&mut direct, &["SET", "far:k", "x"]);
    eventually("the change is seen", || {
        ask(&mut near, &["GET", "far:k"]) == "\"x\""
    });
}

#[test]
fn hot_keys_are_brought_in_after_a_restart_before_the_server_is_ready() {
    let Some(u) = upstream() else { return };
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--dir",
        dir.path().to_str().unwrap(),
        "--warm-ready-percent",
        "100",
    ];
    let mut f = near_cache(&u, &args);
    for number in 0..100 {
        ask(&mut f.connect(), &["SET", &format!("k{number}"), "v"]);
    }
    f.stop();
    f.restart();
    let mut near = f.connect();
    eventually("they are here", || {
        count(&mut near, "warmed_keys") == 100 && count(&mut near, "l1_entries") == 100
    });
    let before = calls(&mut u.connect(), "get");
    assert_eq!(ask(&mut near, &["GET", "k7"]), "\"v\"");
    assert_eq!(calls(&mut u.connect(), "get"), before);
}

#[test]
fn copies_of_all_types_are_compared_with_upstream_and_found_right() {
    let Some(u) = upstream() else { return };
    let f = near_cache(
        &u,
        &[
            "--checks-per-second",
            "500",
            "--compression",
            "lz4",
            "--compression-min-bytes",
            "16",
        ],
    );
    let (mut near, mut direct) = (f.connect(), u.connect());
    let text = "long and long ".repeat(20);
    for request in [
        &["SET", "text", &text][..],
        &["SET", "number", "42"],
        &["SET", "mortal", "v", "EX", "100"],
        &["RPUSH", "list", "a", "b", "c"],
        &["HSET", "hash", "f", "v", "g", "w"],
        &["SADD", "set", "a", "b", "7"],
        &["ZADD", "sorted", "1", "a", "2.5", "b"],
    ] {
        ask(&mut direct, request);
        ask(&mut near, &["TYPE", request[1]]);
    }
    assert_eq!(count(&mut near, "l1_entries"), 7);
    eventually("all were compared often", || {
        count(&mut near, "checked_copies") > 500
    });
    let found = ask(&mut near, &["TIER", "CHECK", "100"]);
    assert!(found.contains("mismatched"), "{found}");
    assert_eq!(count(&mut near, "mismatched_copies"), 0);
    assert_eq!(count(&mut near, "l1_entries"), 7);
}

#[test]
fn a_mode_that_is_unknown_is_refused() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let refused = ask(&mut f.connect(), &["CONFIG", "SET", "tier-mode", "sideways"]);
    assert!(refused.starts_with("-ERR CONFIG SET failed"), "{refused}");
}
