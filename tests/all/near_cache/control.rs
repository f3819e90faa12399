//! TIER: what operators see, and what they have done.

use std::fs;

use super::{ask, calls, eventually, near_cache, near_cache_at, settle, upstream};
use crate::client::{Client, Value};
use crate::server::{Server, free_port};

/// The pairs of a map, in RESP3, or of a flat array.
fn pairs(reply: Value) -> Vec<(String, Value)> {
    let name = |value: &Value| value.to_string().replace('"', "");
    match reply {
        Value::Map(pairs) => pairs
            .into_iter()
            .map(|(key, value)| (name(&key), value))
            .collect(),
        Value::Array(items) => items
            .chunks_exact(2)
            .map(|pair| (name(&pair[0]), pair[1].clone()))
            .collect(),
        other => panic!("{other} has no pairs"),
    }
}

/// A figure of a page, in the notation of transcripts.
fn figure(client: &mut Client, request: &[&str], name: &str) -> String {
    let page = pairs(client.call(request).unwrap());
    let figure = page.iter().find(|(known, _)| known == name);
    figure
        .unwrap_or_else(|| panic!("{request:?} has no {name}: {page:?}"))
        .1
        .to_string()
}

/// A near cache with copies of these keys, which are new to upstream.
fn filled(upstream: &Server, keys: &[&str]) -> Server {
    let mut direct = upstream.connect();
    for key in keys {
        ask(&mut direct, &["SET", key, "value"]);
    }
    with_copies(upstream, keys)
}

/// A near cache with copies of these keys, which upstream has.
fn with_copies(upstream: &Server, keys: &[&str]) -> Server {
    let f = near_cache(upstream, &[]);
    let mut near = f.connect();
    settle(&mut near);
    for key in keys {
        assert_eq!(ask(&mut near, &["GET", key]), "\"value\"");
    }
    // What was fetched is counted behind the replies.
    settle(&mut near);
    f
}

/// Whether the next GET of the key is answered without upstream.
fn is_here(near: &mut Client, direct: &mut Client, key: &str) -> bool {
    let before = calls(direct, "get");
    assert_eq!(ask(near, &["GET", key]), "\"value\"");
    calls(direct, "get") == before
}

#[test]
fn status_tells_on_one_page_in_both_protocols() {
    let Some(u) = upstream() else { return };
    let f = filled(&u, &["a", "b"]);
    let mut near = f.connect();
    for version in ["2", "3"] {
        near.call(&["HELLO", version]).unwrap();
        for (name, expected) in [
            ("mode", "\"near-cache\""),
            ("link", "\"up\""),
            ("breaker", "\"closed\""),
            ("l1-entries", ":2"),
            ("l1-hit-ratio", "\"0.0%\""),
        ] {
            assert_eq!(figure(&mut near, &["TIER", "STATUS"], name), expected, "{name}");
        }
        let lag = figure(&mut near, &["TIER", "STATUS"], "feed-lag");
        assert!(lag.ends_with(" ms\""), "{lag}");
        let modes = figure(&mut near, &["TIER", "STATUS"], "namespaces");
        assert!(
            modes.contains("\"default\"") && modes.contains("\"near-cache\""),
            "{modes}"
        );
    }
    ask(&mut near, &["GET", "a"]);
    ask(&mut near, &["GET", "b"]);
    assert_eq!(
        figure(&mut near, &["TIER", "STATUS"], "l1-hit-ratio"),
        "\"50.0%\""
    );
}

#[test]
fn stats_count_per_namespace_and_begin_anew_after_a_reset() {
    let Some(u) = upstream() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("forebay.toml");
    fs::write(&config, "[[namespace]]\nname = \"users\"\nprefix = \"user:\"\n").unwrap();
    let f = near_cache(&u, &["--config", config.to_str().unwrap()]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut direct, &["MSET", "user:1", "x", "order:1", "x"]);
    settle(&mut near);
    for key in ["user:1", "user:1", "user:2", "order:1"] {
        ask(&mut near, &["GET", key]);
    }
    ask(&mut near, &["SET", "user:3", "x"]);
    for (namespace, figures) in [
        (
            "users",
            [
                ("misses", ":2"),
                ("fills", ":1"),
                ("missing", ":1"),
                ("forwarded", ":1"),
            ],
        ),
        (
            "default",
            [
                ("misses", ":1"),
                ("fills", ":1"),
                ("missing", ":0"),
                ("forwarded", ":0"),
            ],
        ),
    ] {
        for (name, expected) in figures {
            assert_eq!(
                figure(&mut near, &["TIER", "STATS", namespace], name),
                expected,
                "{namespace} {name}"
            );
        }
    }
    assert_eq!(figure(&mut near, &["TIER", "STATS"], "fills"), ":2");
    assert_eq!(
        ask(&mut near, &["TIER", "STATS", "nosuch"]),
        "-ERR no such namespace"
    );
    assert_eq!(
        ask(&mut near, &["TIER", "STATS", "users", "default"]),
        "-ERR syntax error"
    );
    assert_eq!(ask(&mut near, &["TIER", "RESET"]), "OK");
    for name in ["l1-hits", "l1-misses", "fills", "upstream-misses"] {
        assert_eq!(figure(&mut near, &["TIER", "STATS"], name), ":0", "{name}");
    }
    assert_eq!(figure(&mut near, &["TIER", "STATS", "users"], "misses"), ":0");
    ask(&mut near, &["GET", "user:1"]);
    assert_eq!(figure(&mut near, &["TIER", "STATS"], "l1-hits"), ":1");
}

#[test]
fn config_resetstat_resets_what_is_counted_of_upstream_too() {
    let Some(u) = upstream() else { return };
    let f = filled(&u, &["a"]);
    let mut near = f.connect();
    assert_eq!(ask(&mut near, &["CONFIG", "RESETSTAT"]), "OK");
    ask(&mut near, &["GET", "a"]);
    assert_eq!(super::count(&mut near, "tier_l1_hits"), 1);
    assert_eq!(super::count(&mut near, "fills"), 0);
}

#[test]
fn health_tells_a_lost_upstream_and_what_to_do() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let mut near = f.connect();
    settle(&mut near);
    assert_eq!(figure(&mut near, &["TIER", "HEALTH"], "status"), "\"ok\"");
    assert_eq!(figure(&mut near, &["TIER", "HEALTH"], "score"), ":100");
    drop(u);
    eventually("the loss is told", || {
        figure(&mut near, &["TIER", "HEALTH"], "status") == "\"down\""
    });
    let findings = figure(&mut near, &["TIER", "HEALTH"], "findings");
    assert!(
        findings.contains("upstream can't be asked") && findings.contains("what-to-do"),
        "{findings}"
    );
    let error = figure(&mut near, &["TIER", "STATUS"], "trouble");
    assert!(error.contains("127.0.0.1"), "{error}");
}

#[test]
fn nodes_tell_each_address() {
    let Some(u) = upstream() else { return };
    let f = filled(&u, &["a"]);
    let mut near = f.connect();
    let Value::Array(nodes) = near.call(&["TIER", "NODES"]).unwrap() else {
        panic!("not an array")
    };
    let node = pairs(nodes[0].clone());
    let of = |name: &str| {
        node.iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
            .to_string()
    };
    assert!(of("address").contains(&u.address().to_string()), "{node:?}");
    assert_eq!(
        (of("state"), of("breaker"), of("connects")),
        ("\"up\"".into(), "\"closed\"".into(), ":1".into())
    );
    assert_ne!(of("latency-us-p50"), ":0");
}

#[test]
fn copies_are_removed_by_key_glob_and_expression() {
    let Some(u) = upstream() else { return };
    let f = filled(&u, &["a", "b", "c", "user:1", "user:2", "MATCH"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for (request, reply) in [
        ("a b nosuch", ":2"),
        ("LOCAL a", ":0"),
        ("KEYS MATCH", ":1"),
        ("MATCH user:[1]", ":1"),
        ("REGEX ^user:\\d$", ":1"),
        ("match nosuch*", ":0"),
    ] {
        let words = [
            &["TIER", "INVALIDATE"],
            &request.split(' ').collect::<Vec<_>>()[..],
        ]
        .concat();
        assert_eq!(ask(&mut near, &words), reply, "{request}");
    }
    assert!(is_here(&mut near, &mut direct, "c"));
    for key in ["a", "user:1", "user:2", "MATCH"] {
        assert!(!is_here(&mut near, &mut direct, key), "{key}");
        assert!(is_here(&mut near, &mut direct, key), "{key}");
    }
}

#[test]
fn a_namespace_is_removed_as_a_whole() {
    let Some(u) = upstream() else { return };
    let f = filled(&u, &["a"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    assert!(is_here(&mut near, &mut direct, "a"));
    assert_eq!(
        ask(&mut near, &["TIER", "INVALIDATE", "NAMESPACE", "default"]),
        "OK"
    );
    assert!(!is_here(&mut near, &mut direct, "a"));
    assert_eq!(
        ask(&mut near, &["TIER", "INVALIDATE", "NAMESPACE", "nosuch"]),
        "-ERR no such namespace"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let f = near_cache_at(&format!("redis://127.0.0.1:{}", free_port()), &[]);
    let mut near = f.connect();
    for (request, reply) in [
        ("INVALIDATE MATCH", "-ERR syntax error"),
        ("INVALIDATE ALL", "-ERR syntax error"),
        ("INVALIDATE KEYS", "-ERR syntax error"),
        ("INVALIDATE MATCH a b", "-ERR syntax error"),
        (
            "INVALIDATE REGEX (",
            "-ERR invalid regular expression: unclosed group",
        ),
        ("WARM MATCH", "-ERR syntax error"),
        ("WARM MATCH a b", "-ERR syntax error"),
        ("DRAIN soon", "-ERR timeout is not an integer or out of range"),
        ("DRAIN -1", "-ERR timeout is negative"),
        ("DRAIN 1 2", "-ERR syntax error"),
        (
            "DEADLETTER RETRY one",
            "-ERR a dead letter's id is a number, or ALL",
        ),
        ("DEADLETTER DROP", "-ERR syntax error"),
        ("DEADLETTER LIST 0", "-ERR count should be greater than 0"),
        (
            "DEADLETTER COUNT",
            "-ERR unknown subcommand or wrong number of arguments for 'DEADLETTER'. Try TIER HELP.",
        ),
        ("CHECK 0", "-ERR count should be greater than 0"),
        ("CHECK 1 2", "-ERR syntax error"),
    ] {
        let words: Vec<&str> = std::iter::once("TIER").chain(request.split(' ')).collect();
        assert_eq!(ask(&mut near, &words), reply, "{request}");
    }
    let request = [&b"TIER"[..], b"INVALIDATE", b"REGEX", b"\xff"];
    let refusal = near.call(&request).unwrap().to_string();
    assert_eq!(refusal, "-ERR a regular expression must be valid UTF-8");
}

#[test]
fn what_operators_do_is_in_the_audit_log() {
    let Some(u) = upstream() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let f = near_cache(&u, &["--audit-log", log.to_str().unwrap()]);
    let mut near = f.connect();
    let wrong = ask(&mut near, &["AUTH", "eve", "guess"]);
    assert!(wrong.starts_with("-WRONGPASS"), "{wrong}");
    ask(
        &mut near,
        &["CONFIG", "SET", "maxmemory", "100mb", "requirepass", "s3cret"],
    );
    ask(&mut near, &["TIER", "INVALIDATE", "MATCH", "user:*"]);
    ask(&mut near, &["TIER", "INVALIDATE", &"k".repeat(5000)]);
    ask(&mut near, &["TIER", "RESET"]);
    ask(&mut near, &["CLIENT", "KILL", "ID", "12345"]);
    near.send(&["SHUTDOWN"]).unwrap();
    let read = || fs::read_to_string(&log).unwrap_or_default();
    eventually("all is written", || read().lines().count() >= 7);
    let text = read();
    let lines: Vec<&str> = text.lines().collect();
    for (line, parts) in lines.iter().zip([
        [r#""event":"login-refused""#, r#""user":"eve""#],
        [
            r#""event":"config|set""#,
            r#""request":"CONFIG SET maxmemory 100mb requirepass (redacted)""#,
        ],
        [r#""request":"TIER INVALIDATE MATCH user:*""#, r#""removed":"0""#],
        [r#""event":"tier|invalidate""#, r#"kkkk…""#],
        [r#""event":"tier|reset""#, r#""client":"127.0.0.1:"#],
        [r#""event":"client|kill""#, r#""killed":"0""#],
        [r#""event":"shutdown""#, r#""client-id":""#],
    ]) {
        assert!(
            parts.iter().all(|part| line.contains(part)),
            "{line} lacks some of {parts:?}"
        );
        assert!(
            line.starts_with(r#"{"time":"20"#) && line.ends_with('}') && line.len() < 1000,
            "{line}"
        );
    }
    assert_eq!(lines.len(), 7, "{text}");
}

/// Whether this server hears what others announce.
fn hears(near: &mut Client) -> bool {
    figure(near, &["TIER", "STATUS"], "announcements") == "\"heard\""
}

fn announcements(near: &mut Client) -> u64 {
    super::count(near, "announcements")
}

#[test]
fn what_is_invalidated_everywhere_goes_from_the_other_forebay_too() {
    let Some(u) = upstream() else { return };
    let keys = ["a", "b\nc", "user:1", "keep"];
    let (f1, f2) = (filled(&u, &keys), with_copies(&u, &keys));
    let (mut one, mut two, mut direct) = (f1.connect(), f2.connect(), u.connect());
    eventually("both listen", || hears(&mut one) && hears(&mut two));
    for (target, removed, keys) in [
        (&["a", "b\nc"][..], ":2", &["a", "b\nc"][..]),
        (&["MATCH", "user:*"], ":1", &["user:1"]),
        (&["REGEX", "^a$"], ":1", &["a"]),
    ] {
        let before = announcements(&mut two);
        for key in keys {
            ask(&mut one, &["GET", key]);
            ask(&mut two, &["GET", key]);
        }
        let words = [&["TIER", "INVALIDATE", "ALL"], target].concat();
        assert_eq!(ask(&mut one, &words), removed, "{target:?}");
        eventually("the other one was told", || announcements(&mut two) > before);
        for key in keys {
            eventually("its copy goes", || !is_here(&mut two, &mut direct, key));
        }
    }
    assert!(is_here(&mut two, &mut direct, "keep") && is_here(&mut one, &mut direct, "keep"));
    assert_eq!(announcements(&mut one), 0, "its own messages concern it no more");
}

#[test]
fn a_namespace_is_voided_everywhere_by_its_name() {
    let Some(u) = upstream() else { return };
    let (f1, f2) = (filled(&u, &["a"]), with_copies(&u, &["a"]));
    let (mut one, mut two, mut direct) = (f1.connect(), f2.connect(), u.connect());
    eventually("both listen", || hears(&mut one) && hears(&mut two));
    assert_eq!(
        ask(&mut one, &["TIER", "INVALIDATE", "ALL", "NAMESPACE", "default"]),
        "OK"
    );
    eventually("the other one was told", || announcements(&mut two) == 1);
    assert!(!is_here(&mut two, &mut direct, "a") && !is_here(&mut one, &mut direct, "a"));
}

#[test]
fn others_name_changed_keys_on_the_configured_channel() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--invalidation-channel", "changes"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut direct, &["MSET", "a", "value", "b", "value"]);
    settle(&mut near);
    eventually("it listens", || hears(&mut near));
    for (message, key) in [
        ("KEY a", "a"),
        ("keys\na\nb\n", "b"),
        ("match [a]", "a"),
        ("REGEX ^b", "b"),
    ] {
        ask(&mut near, &["GET", key]);
        assert!(is_here(&mut near, &mut direct, key));
        let before = announcements(&mut near);
        assert_eq!(
            ask(&mut direct, &["PUBLISH", "changes", message]),
            ":1",
            "{message}"
        );
        eventually("it was told", || announcements(&mut near) > before);
        settle(&mut near);
        let gone = calls(&mut direct, "get");
        eventually("the copy goes", || {
            ask(&mut near, &["GET", key]);
            calls(&mut direct, "get") > gone
        });
    }
    ask(&mut direct, &["PUBLISH", "changes", "FLUSHALL"]);
    eventually("nonsense is counted", || {
        super::count(&mut near, "announcements_refused") == 1
    });
    assert!(is_here(&mut near, &mut direct, "b"));
}

#[test]
fn a_lost_listener_comes_back_and_copies_are_doubted_once() {
    let Some(u) = upstream() else { return };
    let f = filled(&u, &["a"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    eventually("it listens", || hears(&mut near));
    let before = calls(&mut direct, "get");
    let line = super::client_line(&mut direct, "name=listener-forebay").expect("it has a name");
    let id = line.split("id=").nth(1).unwrap().split(' ').next().unwrap();
    assert_eq!(ask(&mut direct, &["CLIENT", "KILL", "ID", id]), ":1");
    let is_new = |line: &String| !line.contains(&format!("id={id} "));
    eventually("it is back", || {
        super::client_line(&mut direct, "name=listener-forebay")
            .as_ref()
            .is_some_and(is_new)
    });
    eventually("it hears again", || hears(&mut near));
    assert_eq!(ask(&mut near, &["GET", "a"]), "\"value\"");
    let doubted = calls(&mut direct, "get") > before;
    assert!(
        doubted,
        "what was announced meanwhile was not heard: by this read, or beside it, the copy is asked for"
    );
    assert!(is_here(&mut near, &mut direct, "a"));
}

#[test]
fn an_upstream_that_refuses_channels_is_a_near_cache_all_the_same() {
    let Some(u) = upstream() else { return };
    let mut direct = u.connect();
    let rules = ["ACL", "SETUSER", "default", "resetchannels"];
    assert_eq!(ask(&mut direct, &rules), "OK");
    let f = filled(&u, &["a"]);
    let mut near = f.connect();
    assert_eq!(
        figure(&mut near, &["TIER", "STATUS"], "announcements"),
        "\"not heard\""
    );
    let refused = ask(&mut near, &["TIER", "INVALIDATE", "ALL", "a"]);
    assert!(refused.starts_with("-NOPERM"), "{refused}");
    assert!(!is_here(&mut near, &mut direct, "a"), "the copy here is gone");
}
