//! Commands that only upstream knows, each session on a connection of its own.

use super::{ask, client_line, count, eventually, info, near_cache, settle, upstream};
use crate::client::{Client, Value};
use crate::server::{Server, redis_server};

#[test]
fn s28_a_blocking_command_waits_for_a_foreign_push() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--upstream-timeout-ms", "200"]);
    let (mut near, mut other, mut direct) = (f.connect(), f.connect(), u.connect());
    near.send(&["BLPOP", "queue", "0"]).unwrap();
    eventually("it blocks", || client_line(&mut direct, "cmd=blpop").is_some());
    ask(&mut other, &["SET", "k", "v"]);
    assert_eq!(ask(&mut other, &["GET", "k"]), "\"v\"", "others go on meanwhile");
    eventually("it counts as blocked", || {
        info(&mut other, "blocked_clients") == "1"
    });
    ask(&mut direct, &["RPUSH", "queue", "job"]);
    assert_eq!(near.receive().unwrap().to_string(), "[\"queue\", \"job\"]");
    assert_eq!(ask(&mut near, &["XADD", "s", "1-1", "f", "v"]), "\"1-1\"");
    assert_eq!(ask(&mut near, &["XGROUP", "CREATE", "s", "g", "0"]), "OK");
    let read = ask(
        &mut near,
        &[
            "XREADGROUP",
            "GROUP",
            "g",
            "me",
            "BLOCK",
            "0",
            "STREAMS",
            "s",
            ">",
        ],
    );
    assert_eq!(read, "[[\"s\", [[\"1-1\", [\"f\", \"v\"]]]]]");
    near.send(&[
        "XREADGROUP",
        "GROUP",
        "g",
        "me",
        "BLOCK",
        "0",
        "STREAMS",
        "s",
        ">",
    ])
    .unwrap();
    eventually("it blocks", || {
        client_line(&mut direct, "cmd=xreadgroup").is_some_and(|line| line.contains("flags=b"))
    });
    assert_eq!(ask(&mut other, &["XLEN", "s"]), ":1");
    ask(&mut direct, &["XADD", "s", "1-2", "f", "w"]);
    assert_eq!(
        near.receive().unwrap().to_string(),
        "[[\"s\", [[\"1-2\", [\"f\", \"w\"]]]]]"
    );
    assert_eq!(ask(&mut other, &["XLEN", "s"]), ":2");
}

#[test]
fn s28_a_client_that_is_gone_killed_or_released_takes_its_blocked_command_along() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--upstream-timeout-ms", "200"]);
    let (mut other, mut direct) = (f.connect(), u.connect());
    let block = |direct: &mut Client| {
        let mut near = f.connect();
        let Value::Integer(id) = near.call(&["CLIENT", "ID"]).unwrap() else {
            panic!("an id is a number")
        };
        near.send(&["BLPOP", "queue", "0"]).unwrap();
        eventually("it blocks", || client_line(direct, "cmd=blpop").is_some());
        (near, id.to_string())
    };
    let (near, _) = block(&mut direct);
    drop(near);
    eventually("its connection is closed", || {
        client_line(&mut direct, "cmd=blpop").is_none()
    });
    let (mut near, id) = block(&mut direct);
    assert_eq!(ask(&mut other, &["CLIENT", "KILL", "ID", &id]), ":1");
    assert!(near.is_closed());
    eventually("its connection is closed", || {
        client_line(&mut direct, "cmd=blpop").is_none()
    });
    for (how, reply) in [
        ("TIMEOUT", "(nil-array)"),
        ("ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        let (mut near, id) = block(&mut direct);
        assert_eq!(ask(&mut other, &["CLIENT", "UNBLOCK", &id, how]), ":1");
        assert_eq!(near.receive().unwrap().to_string(), reply);
        assert_eq!(
            ask(&mut near, &["RPUSH", "other", "x"]),
            if how == "TIMEOUT" { ":1" } else { ":2" }
        );
    }
}

#[test]
fn s28_transactions_run_as_on_upstream() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut other) = (f.connect(), f.connect());
    ask(&mut near, &["SET", "k", "old"]);
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"old\"");
    assert_eq!(ask(&mut near, &["MULTI"]), "OK");
    for queued in [
        &["SET", "k", "new"][..],
        &["GET", "k"],
        &["INCR", "n"],
        &["RPUSH", "l", "a"],
    ] {
        assert_eq!(ask(&mut near, queued), "QUEUED", "{queued:?}");
    }
    assert_eq!(ask(&mut other, &["GET", "k"]), "\"old\"", "nothing has run");
    assert_eq!(ask(&mut near, &["EXEC"]), "[OK, \"new\", :1, :1]");
    assert_eq!(
        [ask(&mut near, &["GET", "k"]), ask(&mut other, &["GET", "k"])],
        ["\"new\"", "\"new\""]
    );
    ask(&mut near, &["MULTI"]);
    ask(&mut near, &["SET", "k", "discarded"]);
    assert_eq!(ask(&mut near, &["DISCARD"]), "OK");
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"new\"");
    ask(&mut near, &["MULTI"]);
    assert!(ask(&mut near, &["GET"]).starts_with("-ERR wrong number of arguments"));
    assert!(ask(&mut near, &["EXEC"]).starts_with("-EXECABORT"));
    assert_eq!(ask(&mut near, &["EXEC"]), "-ERR EXEC without MULTI");
}

#[test]
fn s28_a_watched_key_that_somebody_changes_stops_the_transaction() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for round in 0..50 {
        let is_changed = round % 2 == 0;
        ask(&mut direct, &["SET", "k", &round.to_string()]);
        assert_eq!(ask(&mut near, &["WATCH", "k"]), "OK");
        assert_eq!(
            ask(&mut near, &["GET", "k"]),
            format!("\"{round}\""),
            "it is as new as the watch"
        );
        if is_changed {
            ask(&mut direct, &["SET", "k", "foreign"]);
        }
        ask(&mut near, &["MULTI"]);
        ask(&mut near, &["SET", "k", "mine"]);
        assert_eq!(
            ask(&mut near, &["EXEC"]),
            if is_changed { "(nil-array)" } else { "[OK]" }
        );
        assert_eq!(
            ask(&mut near, &["GET", "k"]),
            if is_changed { "\"foreign\"" } else { "\"mine\"" }
        );
    }
}

#[test]
fn s28_each_session_has_its_database_and_protocol() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut other) = (f.connect(), f.connect());
    ask(&mut near, &["SELECT", "3"]);
    assert_eq!(
        ask(
            &mut near,
            &["EVAL", "return redis.call('SET', 'k', 'in three')", "0"]
        ),
        "OK"
    );
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"in three\"");
    assert_eq!(
        ask(&mut other, &["EVAL", "return redis.call('GET', 'k')", "0"]),
        "(nil)"
    );
    assert_eq!(ask(&mut other, &["GET", "k"]), "(nil)");
    ask(&mut near, &["HSET", "h", "f", "v"]);
    assert_eq!(ask(&mut near, &["HGETALL", "h"]), "[\"f\", \"v\"]");
    near.call(&["HELLO", "3"]).unwrap();
    assert_eq!(ask(&mut near, &["HGETALL", "h"]), "{\"f\": \"v\"}");
    assert_eq!(ask(&mut near, &["MULTI"]), "OK");
    assert_eq!(ask(&mut near, &["SELECT", "4"]), "QUEUED");
    assert_eq!(ask(&mut near, &["EXEC"]), "[OK]");
    assert_eq!(ask(&mut near, &["HLEN", "h"]), ":0", "it is in database 4 now");
    assert_eq!(ask(&mut near, &["EXISTS", "k"]), ":0");
}

#[test]
fn s28_subscribers_get_what_is_published_at_upstream() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let mut direct = u.connect();
    for protocol in ["2", "3"] {
        let mut near = f.connect();
        near.call(&["HELLO", protocol]).unwrap();
        let message = |words: &str| {
            if protocol == "3" {
                format!("(push [{words}])")
            } else {
                format!("[{words}]")
            }
        };
        near.send(&["SUBSCRIBE", "a", "b"]).unwrap();
        assert_eq!(
            near.receive().unwrap().to_string(),
            message("\"subscribe\", \"a\", :1")
        );
        assert_eq!(
            near.receive().unwrap().to_string(),
            message("\"subscribe\", \"b\", :2")
        );
        assert_eq!(
            ask(&mut near, &["PSUBSCRIBE", "p*"]),
            message("\"psubscribe\", \"p*\", :3")
        );
        ask(&mut direct, &["PUBLISH", "a", "one"]);
        assert_eq!(
            near.receive().unwrap().to_string(),
            message("\"message\", \"a\", \"one\"")
        );
        ask(&mut direct, &["PUBLISH", "px", "two"]);
        assert_eq!(
            near.receive().unwrap().to_string(),
            message("\"pmessage\", \"p*\", \"px\", \"two\"")
        );
        if protocol == "2" {
            assert_eq!(ask(&mut near, &["PING"]), "[\"pong\", \"\"]");
            assert!(ask(&mut near, &["GET", "k"]).starts_with("-ERR Can't execute 'get'"));
        } else {
            assert_eq!(ask(&mut near, &["SET", "k", "v"]), "OK");
            assert_eq!(ask(&mut near, &["LLEN", "l"]), ":0");
        }
        near.send(&["UNSUBSCRIBE"]).unwrap();
        let mut left = [
            near.receive().unwrap().to_string(),
            near.receive().unwrap().to_string(),
        ];
        left.sort();
        assert!(
            left[0].contains("\"unsubscribe\", \"a\"") && left[1].contains("\"unsubscribe\", \"b\""),
            "{left:?}"
        );
        assert_eq!(
            ask(&mut near, &["PUNSUBSCRIBE"]),
            message("\"punsubscribe\", \"p*\", :0")
        );
        assert_eq!(
            ask(&mut near, &["SET", "k", "v"]),
            "OK",
            "an ordinary session again"
        );
    }
    assert!(ask(&mut f.connect(), &["PSYNC", "?", "-1"]).starts_with("-ERR PSYNC is not supported"));
}

#[test]
fn s28_upstream_sees_the_name_of_the_client() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--workers", "1"]);
    let (mut near, mut other, mut direct) = (f.connect(), f.connect(), u.connect());
    ask(&mut near, &["CLIENT", "SETNAME", "app"]);
    ask(&mut near, &["MULTI"]);
    assert!(client_line(&mut direct, "name=app ").is_some());
    ask(&mut near, &["DISCARD"]);
    ask(&mut other, &["WATCH", "k"]);
    assert_eq!(
        client_line(&mut direct, "name=app "),
        None,
        "another session has the connection now"
    );
    assert!(client_line(&mut direct, "cmd=watch").is_some_and(|line| line.contains("name=forebay ")));
    assert_eq!(count(&mut other, "upstream_sessions_opened"), 1);
    assert_eq!(count(&mut other, "upstream_sessions_reused"), 1);
}

#[test]
fn s29_a_session_that_ends_leaves_no_trace_at_upstream() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--workers", "1"]);
    let (mut observer, mut direct) = (f.connect(), u.connect());
    for requests in [
        &[&["MULTI"][..], &["SET", "k", "v"]][..],
        &[&["SUBSCRIBE", "ch"]],
        &[&["HELLO", "3"], &["PSUBSCRIBE", "c*"]],
        &[&["WATCH", "k"]],
        &[&["SELECT", "5"], &["CLIENT", "SETNAME", "me"], &["MULTI"]],
        &[&["MULTI"], &["CLIENT", "REPLY", "OFF"], &["DISCARD"]],
    ] {
        // There is one that it may have.
        assert_eq!(ask(&mut observer, &["EVAL", "return 1", "0"]), ":1");
        let mut near = f.connect();
        for request in requests {
            near.call(request).unwrap();
        }
        assert_eq!(info(&mut observer, "upstream_sessions"), "1");
        assert_eq!(info(&mut observer, "upstream_sessions_idle"), "0");
        drop(near);
        eventually("the connection is closed", || {
            info(&mut observer, "upstream_sessions") == "0"
        });
        assert_eq!(info(&mut observer, "upstream_sessions_idle"), "0", "{requests:?}");

        let mut next = f.connect();
        assert_eq!(ask(&mut next, &["EXEC"]), "-ERR EXEC without MULTI");
        ask(&mut direct, &["SET", "k", "foreign"]);
        ask(&mut next, &["MULTI"]);
        ask(&mut next, &["GET", "k"]);
        ask(&mut direct, &["PUBLISH", "ch", "m"]);
        assert_eq!(ask(&mut next, &["EXEC"]), "[\"foreign\"]");
        ask(&mut direct, &["DEL", "k"]);
        assert_eq!(ask(&mut direct, &["PUBSUB", "NUMSUB", "ch"]), "[\"ch\", :0]");
        assert_eq!(ask(&mut direct, &["PUBSUB", "NUMPAT"]), ":0");
    }
}

#[test]
fn s29_many_sessions_take_turns_with_few_connections() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--workers", "1"]);
    let mut sessions: Vec<Client> = (0..200).map(|_| f.connect()).collect();
    for (index, session) in sessions.iter_mut().enumerate() {
        let n = ask(session, &["EVAL", "return redis.call('INCR', 'n')", "0"]);
        assert_eq!(n, format!(":{}", index + 1));
    }
    assert_eq!(count(&mut sessions[0], "upstream_sessions_opened"), 1);
    for session in &mut sessions {
        session
            .send(&["EVAL", "return redis.call('INCR', 'n')", "0"])
            .unwrap();
    }
    let mut numbers: Vec<Value> = sessions
        .iter_mut()
        .map(|session| session.receive().unwrap())
        .collect();
    numbers.sort_by_key(|number| match number {
        Value::Integer(number) => *number,
        other => panic!("INCR gives a number, not {other}"),
    });
    assert_eq!(numbers.first(), Some(&Value::Integer(201)));
    assert_eq!(numbers.last(), Some(&Value::Integer(400)));
    let observer = &mut sessions[0];
    assert_eq!(info(observer, "upstream_sessions"), "0");
    assert!(
        count(observer, "upstream_sessions_idle") <= 32,
        "no more are kept"
    );
}

#[test]
fn s29_an_idle_connection_that_upstream_closes_costs_nobody_an_error() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--workers", "1"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for round in 1..=50 {
        let n = ask(&mut near, &["EVAL", "return redis.call('INCR', 'n')", "0"]);
        assert_eq!(n, format!(":{round}"));
        let line = client_line(&mut direct, "cmd=eval").expect("the connection is kept");
        let id = line
            .split(' ')
            .find_map(|word| word.split_once("id="))
            .expect("each line has an id")
            .1;
        assert_eq!(ask(&mut direct, &["CLIENT", "KILL", "ID", id]), ":1");
    }
    assert_eq!(count(&mut near, "upstream_sessions_opened"), 50);
    settle(&mut near);
}

#[test]
fn s29_sessions_beyond_the_bound_wait_in_turn_and_then_get_an_error() {
    let Some(u) = upstream() else { return };
    let bounded = |timeout_ms| {
        near_cache(
            &u,
            &[
                "--upstream-sessions-max",
                "2",
                "--upstream-timeout-ms",
                timeout_ms,
            ],
        )
    };
    let mut direct = u.connect();
    let block = |near: &mut Client, direct: &mut Client, key: &str, blocked: &str| {
        near.send(&["BLPOP", key, "0"]).unwrap();
        eventually("it blocks", || info(direct, "blocked_clients") == blocked);
    };

    let f = bounded("500");
    let (mut first, mut second, mut third) = (f.connect(), f.connect(), f.connect());
    block(&mut first, &mut direct, "a", "1");
    block(&mut second, &mut direct, "b", "2");
    let refused = ask(&mut third, &["EVAL", "return 1", "0"]);
    assert!(refused.contains("too many sessions"), "{refused}");
    assert_eq!(
        ask(&mut third, &["SET", "k", "v"]),
        "OK",
        "other requests need none"
    );
    ask(&mut direct, &["RPUSH", "a", "x"]);
    assert_eq!(first.receive().unwrap().to_string(), "[\"a\", \"x\"]");
    assert_eq!(ask(&mut third, &["EVAL", "return 1", "0"]), ":1");
    ask(&mut direct, &["RPUSH", "b", "x"]);
    assert_eq!(second.receive().unwrap().to_string(), "[\"b\", \"x\"]");

    let f = bounded("20000");
    let (mut first, mut second, mut third) = (f.connect(), f.connect(), f.connect());
    block(&mut first, &mut direct, "a", "1");
    block(&mut second, &mut direct, "b", "2");
    third.send(&["EVAL", "return 1", "0"]).unwrap();
    ask(&mut direct, &["RPUSH", "a", "x"]);
    assert_eq!(third.receive().unwrap().to_string(), ":1", "it was its turn");
}

#[test]
fn sessions_that_wait_when_upstream_is_killed_get_an_error_and_leave_nothing_behind() {
    let Some(mut u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut observer, mut direct) = (f.connect(), u.connect());
    let mut blocked: Vec<Client> = (0..20).map(|_| f.connect()).collect();
    for near in &mut blocked {
        near.send(&["BLPOP", "queue", "0"]).unwrap();
    }
    eventually("they block", || info(&mut direct, "blocked_clients") == "20");
    assert_eq!(ask(&mut observer, &["EVAL", "return 1", "0"]), ":1");
    u.kill();
    for near in &mut blocked {
        let error = near.receive().unwrap().to_string();
        assert!(error.contains("may or may not have run"), "{error}");
    }
    eventually("no connection is left", || {
        info(&mut observer, "upstream_sessions") == "0"
            && info(&mut observer, "upstream_sessions_idle") == "0"
    });
    u.restart();
    eventually("service resumes", || {
        ask(&mut blocked[0], &["EVAL", "return 1", "0"]) == ":1"
    });
}

#[test]
fn sessions_that_wait_for_an_upstream_that_went_silent_get_an_error_in_time() {
    let Some(u) = upstream() else { return };
    let f = near_cache(
        &u,
        &[
            "--upstream-timeout-ms",
            "200",
            "--upstream-connect-timeout-ms",
            "200",
        ],
    );
    let (mut near, mut observer, mut direct) = (f.connect(), f.connect(), u.connect());
    near.send(&["BLPOP", "queue", "0"]).unwrap();
    eventually("it blocks", || client_line(&mut direct, "cmd=blpop").is_some());
    u.freeze();
    let error = near.receive().unwrap().to_string();
    assert!(error.contains("may or may not have run"), "{error}");
    assert_eq!(info(&mut observer, "upstream_sessions"), "0");
    u.thaw();
    eventually("service resumes", || {
        ask(&mut near, &["EVAL", "return 1", "0"]) == ":1"
    });
}

#[test]
fn s29_a_session_finds_nothing_of_one_that_ended_before() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let mut direct = u.connect();
    ask(&mut direct, &["SET", "k", "v"]);
    for trace in [
        &[&["MULTI"][..], &["SET", "k", "queued"]][..],
        &[&["SUBSCRIBE", "ch"]],
        &[&["PSUBSCRIBE", "*"]],
        &[&["WATCH", "k"]],
        &[&["SELECT", "3"], &["EVAL", "return 1", "0"]],
        &[&["CLIENT", "SETNAME", "somebody"], &["EVAL", "return 1", "0"]],
    ] {
        let mut ended = f.connect();
        for request in trace {
            ask(&mut ended, request);
        }
        drop(ended);
        for _ in 0..3 {
            let mut next = f.connect();
            let script = &["EVAL", "return redis.call('GET', 'k')", "0"];
            assert_eq!(ask(&mut next, script), "\"v\"", "{trace:?}");
            ask(&mut direct, &["PUBLISH", "ch", "message"]);
            ask(&mut direct, &["SET", "k", "v"]);
            assert_eq!(ask(&mut next, &["MULTI"]), "OK");
            assert_eq!(ask(&mut next, &["GET", "k"]), "QUEUED");
            assert_eq!(ask(&mut next, &["EXEC"]), "[\"v\"]", "{trace:?}");
        }
    }
}

#[test]
fn a_session_whose_state_was_lost_with_upstream_begins_anew_and_others_go_on() {
    let Some(mut u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut in_multi, mut subscribed, mut plain) = (f.connect(), f.connect(), f.connect());
    ask(&mut in_multi, &["MULTI"]);
    ask(&mut subscribed, &["SUBSCRIBE", "ch"]);
    assert_eq!(ask(&mut plain, &["RPUSH", "l", "a"]), ":1");
    u.kill();
    assert!(in_multi.is_closed() && subscribed.is_closed());
    u.restart();
    eventually("service resumes", || {
        ask(&mut plain, &["RPUSH", "l", "a"]) == ":1"
    });
}

#[test]
fn s30_commands_that_have_no_row_here_work_and_their_writes_are_seen() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    assert_eq!(ask(&mut near, &["GET", "k"]), "(nil)");
    for (value, request) in [
        ("1", &["EVAL", "return redis.call('INCR', 'k')", "0"][..]),
        ("2", &["EVAL", "return redis.call('INCR', 'k')", "0"]),
        ("restored", &["RESTORE", "k", "0", "RESTORED", "REPLACE"]),
    ] {
        ask(&mut direct, &["SET", "source", "restored"]);
        let Value::Bulk(dump) = direct.call(&["DUMP", "source"]).unwrap() else {
            panic!("a dump is a string")
        };
        let request: Vec<&[u8]> = request
            .iter()
            .map(|word| {
                if *word == "RESTORED" {
                    &dump[..]
                } else {
                    word.as_bytes()
                }
            })
            .collect();
        let reply = near.call(&request).unwrap();
        assert!(!matches!(reply, Value::Error(_)), "{reply}");
        assert_eq!(ask(&mut near, &["GET", "k"]), format!("\"{value}\""));
    }
    let library = "#!lua name=library\nredis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)";
    assert_eq!(ask(&mut near, &["FUNCTION", "LOAD", library]), "\"library\"");
    assert_eq!(ask(&mut near, &["FCALL", "put", "1", "k", "by a function"]), "OK");
    assert_eq!(ask(&mut near, &["GET", "k"]), "\"by a function\"");
    assert!(ask(&mut near, &["NOSUCHCOMMAND", "a"]).starts_with("-ERR unknown command 'NOSUCHCOMMAND'"));
    assert!(
        ask(&mut near, &["CLIENT", "TRACKING", "ON"]).starts_with("-ERR unknown subcommand"),
        "answered here"
    );
    settle(&mut near);
}

#[test]
fn s30_commands_of_a_newer_upstream_work() {
    let Some(program) = redis_server() else { return };
    let renamed = [
        "--rename-command",
        "INCRBY",
        "NEWADD",
        "--rename-command",
        "BLPOP",
        "NEWWAIT",
        "--rename-command",
        "HGETALL",
        "NEWPAIRS",
    ];
    let u = Server::start(&program, &renamed);
    let f = near_cache(&u, &["--workers", "1", "--upstream-timeout-ms", "200"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    ask(&mut near, &["SET", "n", "1"]);
    assert_eq!(ask(&mut near, &["GET", "n"]), "\"1\"");
    assert_eq!(ask(&mut near, &["NEWADD", "n", "41"]), ":42");
    assert_eq!(ask(&mut near, &["GET", "n"]), "\"42\"", "what it changed is seen");
    ask(&mut near, &["MULTI"]);
    assert_eq!(ask(&mut near, &["NEWADD", "n", "1"]), "QUEUED");
    assert_eq!(ask(&mut near, &["EXEC"]), "[:43]");
    ask(&mut near, &["HSET", "h", "f", "v"]);
    near.call(&["HELLO", "3"]).unwrap();
    assert_eq!(ask(&mut near, &["NEWPAIRS", "h"]), "{\"f\": \"v\"}");

    // More than are under way without patience: nobody can know that they block.
    let mut waiting: Vec<Client> = (0..40).map(|_| f.connect()).collect();
    for session in &mut waiting {
        session.send(&["NEWWAIT", "queue", "0"]).unwrap();
    }
    eventually("they block", || info(&mut direct, "blocked_clients") == "40");
    assert_eq!(ask(&mut near, &["NEWADD", "n", "1"]), ":44", "others go on");
    for _ in 0..40 {
        ask(&mut direct, &["RPUSH", "queue", "x"]);
    }
    for session in &mut waiting {
        assert_eq!(session.receive().unwrap().to_string(), "[\"queue\", \"x\"]");
    }
}
