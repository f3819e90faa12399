//! Write-behind: what was acknowledged reaches upstream, whatever becomes of upstream or of Forebay.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::{ask, calls, count, eventually, info, near_cache, settle, upstream};
use crate::client::{Client, Value, encode};
use crate::differential::random::Random;
use crate::server::Server;

/// A Forebay that writes behind.
fn behind(u: &Server, args: &[&str]) -> Server {
    near_cache(u, &[&["--tier-mode", "write-behind"], args].concat())
}

/// Waits until upstream has everything.
fn drain(near: &mut Client) {
    eventually("everything is carried", || count(near, "dirty_keys") == 0);
    assert_eq!([count(near, "lost"), count(near, "dead_letters")], [0, 0]);
}

/// The replies to requests sent as one batch.
fn batch(client: &mut Client, requests: impl Iterator<Item = [String; 3]>) -> Vec<Value> {
    let requests: Vec<_> = requests.collect();
    let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
    client.send_bytes(&bytes).unwrap();
    requests.iter().map(|_| client.receive().unwrap()).collect()
}

fn set(key: &str, value: &(impl ToString + ?Sized)) -> [String; 3] {
    ["SET".to_owned(), key.to_owned(), value.to_string()]
}

fn ok() -> Value {
    Value::Simple("OK".to_owned())
}

#[test]
fn s15_writes_are_journalled_while_upstream_is_dead_and_carried_when_it_is_back() {
    let Some(mut u) = upstream() else { return };
    let f = behind(&u, &["--upstream-timeout-ms", "300"]);
    let mut near = f.connect();
    ask(&mut near, &["SET", "known", "v"]);
    drain(&mut near);
    u.kill();
    eventually("the loss is noticed", || {
        info(&mut near, "upstream_link") == "down"
    });
    for number in 0..100 {
        assert_eq!(ask(&mut near, &["SET", "known", &number.to_string()]), "OK");
        assert_eq!(ask(&mut near, &["GET", "known"]), format!("\"{number}\""));
        assert_eq!(ask(&mut near, &["INCR", "known"]), format!(":{}", number + 1));
    }
    assert_eq!(count(&mut near, "dirty_keys"), 1);
    u.restart();
    drain(&mut near);
    assert_eq!(ask(&mut u.connect(), &["GET", "known"]), "\"100\"");
}

#[test]
fn s21_of_100_sets_of_one_key_a_few_are_carried_the_last_wins_and_their_order_is_kept() {
    let Some(u) = upstream() else { return };
    let f = behind(&u, &[]);
    let (mut near, mut direct, mut monitor) = (f.connect(), u.connect(), u.connect());
    assert_eq!(ask(&mut monitor, &["MONITOR"]), "OK");
    let replies = batch(&mut near, (0..100).map(|number| set("k", &number)));
    assert!(replies.iter().all(|reply| *reply == ok()), "{replies:?}");
    drain(&mut near);
    assert_eq!(ask(&mut direct, &["GET", "k"]), "\"99\"");
    let carried = count(&mut near, "carried");
    assert!((1..=20).contains(&carried), "{carried} were carried");
    assert_eq!(carried + count(&mut near, "coalesced"), 100);
    assert_eq!(calls(&mut direct, "set"), carried);
    // And so with structures, in small batches that leave time to carry in between.
    for number in 0..300 {
        ask(&mut near, &["RPUSH", "list", &number.to_string()]);
        ask(&mut near, &["SET", "k", &number.to_string()]);
    }
    drain(&mut near);
    assert_eq!(ask(&mut direct, &["LLEN", "list"]), ":300");
    ask(&mut direct, &["PING", "the end"]);
    let mut last = -1;
    loop {
        let line = monitor.receive().unwrap().to_string();
        if line.contains("the end") {
            break;
        }
        if let Some(rest) = line.split("\\\"SET\\\" \\\"k\\\" \\\"").nth(1) {
            let number: i32 = rest.split('\\').next().unwrap().parse().unwrap();
            // The second series begins anew.
            assert!(number > last || last == 99, "{number} after {last}");
            last = number;
        }
    }
    assert_eq!(last, 299);
}

/// What one client of a Forebay that is killed again and again knows of its own keys.
struct Writer {
    number: usize,
    /// Increments that were acknowledged, and whether one more may have happened.
    counted: i64,
    pushed: i64,
    set: i64,
    in_doubt: Option<&'static str>,
}

impl Writer {
    fn new(number: usize) -> Self {
        Self {
            number,
            counted: 0,
            pushed: 0,
            set: 0,
            in_doubt: None,
        }
    }

    fn key(&self, kind: &str) -> String {
        format!("{kind}{}", self.number)
    }

    /// Writes until the connection is lost or it is told to stop; each reply has to be the next.
    fn write(&mut self, client: &mut Client, is_over: &AtomicBool) {
        while !is_over.load(Relaxed) {
            for (kind, request) in [
                ("count", &["INCR"][..]),
                ("list", &["RPUSH"]),
                ("stream", &["XADD"]),
                ("text", &["SET"]),
            ] {
                self.in_doubt = Some(kind);
                let Ok(reply) = client.call(&self.request(kind, request[0])) else {
                    return;
                };
                self.in_doubt = None;
                self.acknowledged(kind, &reply);
            }
        }
    }

    fn request(&self, kind: &str, name: &str) -> Vec<String> {
        let (key, next) = (self.key(kind), |number: i64| (number + 1).to_string());
        let words: Vec<String> = match kind {
            "count" => vec![key],
            "list" => vec![key, next(self.pushed)],
            "stream" => vec![key, format!("{}-1", self.counted), "f".to_owned(), "v".to_owned()],
            _ => vec![key, next(self.set)],
        };
        [vec![name.to_owned()], words].concat()
    }

    fn acknowledged(&mut self, kind: &str, reply: &Value) {
        match kind {
            "count" => {
                self.counted += 1;
                assert_eq!(*reply, Value::Integer(self.counted), "{}", self.key(kind));
            }
            "list" => {
                self.pushed += 1;
                assert_eq!(*reply, Value::Integer(self.pushed), "{}", self.key(kind));
            }
            "stream" => assert!(matches!(reply, Value::Bulk(_)), "{reply}"),
            _ => {
                self.set += 1;
                assert_eq!(*reply, ok());
            }
        }
    }

    /// Looks at what there is after a crash: everything that was acknowledged, and at most the one write in doubt.
    fn look(&mut self, client: &mut Client) {
        let read = |client: &mut Client, request: &[&str]| match client.call(request).unwrap() {
            Value::Integer(number) => number,
            Value::Bulk(text) => String::from_utf8(text).unwrap().parse().unwrap(),
            Value::NullBulk => 0,
            other => panic!("{request:?}: {other}"),
        };
        for (kind, name, known) in [
            ("count", "GET", &mut self.counted),
            ("list", "LLEN", &mut self.pushed),
            ("text", "GET", &mut self.set),
        ] {
            let key = format!("{kind}{}", self.number);
            let found = read(client, &[name, &key]);
            let most = *known + i64::from(self.in_doubt == Some(kind));
            assert!(
                (*known..=most).contains(&found),
                "{key} is {found}, acknowledged were {known}, in doubt is {:?}",
                self.in_doubt
            );
            *known = found;
        }
        let entries = read(client, &["XLEN", &self.key("stream")]);
        assert!(
            (self.counted - 1..=self.counted).contains(&entries),
            "{entries} entries after {} counts",
            self.counted
        );
        if entries < self.counted {
            // Its turn comes with the next count; so that the lengths stay comparable it is made up for.
            let id = format!("{}-1", self.counted);
            ask(client, &["XADD", &self.key("stream"), &id, "f", "v"]);
        }
        self.in_doubt = None;
    }
}

/// Kills in a row.
const KILLS: usize = 50;

#[test]
fn s22_every_acknowledged_write_reaches_upstream_though_forebay_is_killed_50_times() {
    const WRITERS: usize = 4;
    let Some(u) = upstream() else { return };
    let mut f = behind(&u, &["--write-behind-delay-ms", "20"]);
    let mut random = Random::new(22);
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    for _ in 0..KILLS {
        let is_over = AtomicBool::new(false);
        let clients: Vec<Client> = writers.iter().map(|_| f.connect()).collect();
        thread::scope(|scope| {
            for (writer, mut client) in writers.iter_mut().zip(clients) {
                let is_over = &is_over;
                scope.spawn(move || writer.write(&mut client, is_over));
            }
            thread::sleep(Duration::from_micros(random.below(60_000) as u64));
            f.kill();
            is_over.store(true, Relaxed);
        });
        f.restart();
        let mut near = f.connect();
        for writer in &mut writers {
            writer.look(&mut near);
        }
    }
    drain(&mut f.connect());
    let mut direct = u.connect();
    for writer in &mut writers {
        writer.look(&mut direct);
    }
    assert!(writers.iter().all(|writer| writer.counted > 0));
    for writer in &writers {
        let elements: Vec<String> = (1..=writer.pushed)
            .map(|number| format!("\"{number}\""))
            .collect();
        let expected = format!("[{}]", elements.join(", "));
        assert_eq!(
            ask(&mut direct, &["LRANGE", &writer.key("list"), "0", "-1"]),
            expected
        );
    }
}

#[test]
fn s23_a_dead_upstream_fills_a_bounded_journal_then_writes_fail_and_then_it_is_drained() {
    let Some(mut u) = upstream() else { return };
    let f = behind(
        &u,
        &[
            "--journal-max-bytes",
            "1mb",
            "--write-behind-when-full",
            "error",
            "--upstream-timeout-ms",
            "300",
        ],
    );
    let mut near = f.connect();
    u.kill();
    eventually("the loss is noticed", || {
        info(&mut near, "upstream_link") == "down"
    });
    let value = "v".repeat(1000);
    let mut acknowledged = 0;
    let refused = loop {
        match near.call(&set(&format!("k{acknowledged}"), &value)).unwrap() {
            Value::Error(text) => break text,
            reply => assert_eq!(reply, ok()),
        }
        acknowledged += 1;
        assert!(acknowledged < 5_000, "1 MB takes no more than some 1,000 values");
    };
    assert!(refused.contains("journal"), "{refused}");
    assert!(acknowledged > 100, "{acknowledged}");
    assert_eq!(ask(&mut near, &["GET", "k0"]), format!("\"{value}\""));
    let bytes = count(&mut near, "journal_bytes");
    assert!(bytes <= 1 << 20, "{bytes}");
    assert_eq!(count(&mut near, "dirty_keys"), acknowledged);
    let age = count(&mut near, "oldest_dirty_ms");
    eventually("it grows older", || count(&mut near, "oldest_dirty_ms") > age);
    u.restart();
    drain(&mut near);
    assert_eq!(count(&mut near, "oldest_dirty_ms"), 0);
    let mut direct = u.connect();
    assert_eq!(ask(&mut direct, &["DBSIZE"]), format!(":{acknowledged}"));
    eventually("there is room again", || {
        near.call(&set("k0", "after")).unwrap() == ok()
    });
    drain(&mut near);
    assert_eq!(ask(&mut direct, &["GET", "k0"]), "\"after\"");
}

#[test]
fn s23_a_dead_upstream_makes_writes_wait_if_that_is_configured() {
    let Some(mut u) = upstream() else { return };
    let f = behind(
        &u,
        &["--journal-max-bytes", "1mb", "--upstream-timeout-ms", "20000"],
    );
    let mut near = f.connect();
    let value = "v".repeat(1000);
    u.kill();
    let mut written = 0;
    near.set_patience(Duration::from_millis(1500));
    // One waits, sooner or later.
    while near
        .call(&set(&format!("k{written}"), &value))
        .is_ok_and(|reply| reply == ok())
    {
        written += 1;
        assert!(written < 5_000, "1 MB takes no more than some 1,000 values");
    }
    near.set_patience(Duration::from_secs(20));
    u.restart();
    assert_eq!(near.receive().unwrap(), ok(), "it has waited for room");
    drain(&mut near);
    assert_eq!(ask(&mut u.connect(), &["DBSIZE"]), format!(":{}", written + 1));
}

/// Lets the process write files of so many bytes and no longer ones, which is a full disk to it.
fn limit_files(f: &Server, bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: getrlimit(Resource::Fsize).maximum,
    };
    prlimit(Pid::from_raw(f.pid() as i32), Resource::Fsize, limit).unwrap();
}

#[test]
fn s24_when_the_journals_disk_is_full_writes_say_so_and_nothing_acknowledged_is_lost() {
    let Some(u) = upstream() else { return };
    let mut f = behind(
        &u,
        &[
            "--write-behind-when-full",
            "error",
            "--write-behind-delay-ms",
            "300",
        ],
    );
    let mut near = f.connect();
    assert_eq!(near.call(&set("first", "v")).unwrap(), ok());
    limit_files(&f, Some(16 * 1024));
    let value = "v".repeat(1000);
    let mut acknowledged = Vec::new();
    let refused = (0..100_000).find_map(|number| {
        let key = format!("k{number}");
        match near.call(&set(&key, &value)) {
            Ok(Value::Error(text)) => return Some(text),
            Ok(reply) => {
                assert_eq!(reply, ok());
                acknowledged.push(key);
            }
            // What was done here and could not be noted has an unknown outcome.
            Err(_) => near = f.connect(),
        }
        None
    });
    let refused = refused.expect("writes fail at last");
    assert!(refused.contains("journal"), "{refused}");
    assert_eq!(ask(&mut near, &["GET", "first"]), "\"v\"", "reads go on");
    limit_files(&f, None);
    eventually("service resumes", || {
        near.call(&set("after", "v")).unwrap() == ok()
    });
    f.kill();
    f.restart();
    let mut near = f.connect();
    drain(&mut near);
    let mut direct = u.connect();
    for key in &acknowledged {
        assert_eq!(ask(&mut direct, &["STRLEN", key]), ":1000", "{key}");
    }
    assert_eq!(ask(&mut direct, &["MGET", "first", "after"]), "[\"v\", \"v\"]");
}

#[test]
fn s25_when_memory_is_full_of_dirty_entries_writes_fail_and_none_of_them_is_evicted() {
    let Some(mut u) = upstream() else { return };
    let f = behind(
        &u,
        &[
            "--maxmemory-policy",
            "allkeys-lru",
            "--write-behind-when-full",
            "error",
            "--upstream-timeout-ms",
            "300",
        ],
    );
    let mut near = f.connect();
    u.kill();
    eventually("the loss is noticed", || {
        info(&mut near, "upstream_link") == "down"
    });
    let used = count(&mut near, "l1_used_bytes");
    let most = (used + (2 << 20)).to_string();
    assert_eq!(ask(&mut near, &["CONFIG", "SET", "maxmemory", &most]), "OK");
    let value = "v".repeat(1000);
    let mut acknowledged = 0;
    let refused = loop {
        match near.call(&set(&format!("k{acknowledged}"), &value)).unwrap() {
            Value::Error(text) => break text,
            reply => assert_eq!(reply, ok()),
        }
        acknowledged += 1;
        assert!(acknowledged < 20_000, "no write fails");
    };
    assert!(acknowledged > 100, "{acknowledged}: {refused}");
    for number in 0..acknowledged {
        assert_eq!(ask(&mut near, &["STRLEN", &format!("k{number}")]), ":1000");
    }
    assert_eq!(count(&mut near, "l1_evicted"), 0);
    u.restart();
    drain(&mut near);
    assert_eq!(ask(&mut u.connect(), &["DBSIZE"]), format!(":{acknowledged}"));
    eventually("what is clean makes room", || {
        near.call(&set("after", &value)).unwrap() == ok()
    });
}

#[test]
fn s26_at_sigterm_what_is_dirty_is_drained() {
    let Some(u) = upstream() else { return };
    let mut f = behind(&u, &["--write-behind-delay-ms", "2000"]);
    let mut near = f.connect();
    let replies = batch(
        &mut near,
        (0..1000).map(|number| set(&format!("k{number}"), &number)),
    );
    assert!(replies.iter().all(|reply| *reply == ok()));
    assert!(f.stop().success());
    assert_eq!(ask(&mut u.connect(), &["DBSIZE"]), ":1000");
}

#[test]
fn s26_at_sigterm_what_can_not_be_drained_in_time_is_replayed_at_the_next_start() {
    let Some(mut u) = upstream() else { return };
    let mut f = behind(&u, &["--shutdown-timeout", "1", "--upstream-timeout-ms", "300"]);
    let mut near = f.connect();
    settle(&mut near);
    u.kill();
    let replies = batch(
        &mut near,
        (0..1000).map(|number| set(&format!("k{number}"), &number)),
    );
    assert!(replies.iter().all(|reply| *reply == ok()));
    assert!(f.stop().success());
    u.restart();
    f.restart();
    let mut near = f.connect();
    assert_eq!(ask(&mut near, &["GET", "k999"]), "\"999\"");
    drain(&mut near);
    assert_eq!(ask(&mut u.connect(), &["DBSIZE"]), ":1000");
    assert!(count(&mut near, "replayed") <= 1000);
}

#[test]
fn s27_what_is_written_here_wins_over_what_others_wrote_meanwhile_and_that_is_counted() {
    let Some(u) = upstream() else { return };
    let f = behind(&u, &["--write-behind-delay-ms", "1000"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for foreign in [
        &["SET", "k", "foreign"][..],
        &["DEL", "k"],
        &["RPUSH", "k", "foreign"],
        &["FLUSHALL"],
    ] {
        ask(&mut direct, &["DEL", "k"]);
        settle(&mut near);
        let conflicts = count(&mut near, "conflicts");
        assert_eq!(ask(&mut near, &["SET", "k", "ours"]), "OK");
        ask(&mut direct, foreign);
        settle(&mut near);
        assert_eq!(ask(&mut near, &["GET", "k"]), "\"ours\"", "{foreign:?}");
        drain(&mut near);
        assert_eq!(ask(&mut direct, &["GET", "k"]), "\"ours\"", "{foreign:?}");
        assert_eq!(ask(&mut near, &["GET", "k"]), "\"ours\"", "{foreign:?}");
        // Of a key that was not there nobody is told that it was removed.
        if !["DEL", "FLUSHALL"].contains(&foreign[0]) {
            let counted = count(&mut near, "conflicts");
            assert!(counted > conflicts, "{foreign:?}: {counted} conflicts");
        }
    }
}

#[test]
fn s22_what_was_carried_before_a_crash_does_not_undo_what_was_written_another_way_after_it() {
    let Some(u) = upstream() else { return };
    let mut f = behind(&u, &["--write-behind-value-max-bytes", "1000"]);
    let mut direct = u.connect();
    let large = "x".repeat(2000);
    for round in 0..5 {
        let mut near = f.connect();
        for key in ["script", "transaction", "removed"] {
            assert_eq!(ask(&mut near, &["SET", key, "carried"]), "OK");
        }
        assert_eq!(
            ask(&mut near, &["RPUSH", &format!("list{round}"), "a", &large]),
            ":2"
        );
        ask(&mut near, &["EVAL", "redis.call('SET', 'script', 'later')", "0"]);
        ask(&mut near, &["MULTI"]);
        ask(&mut near, &["SET", "transaction", "later"]);
        assert_eq!(ask(&mut near, &["EXEC"]), "[OK]");
        ask(&mut near, &["EVAL", "redis.call('DEL', 'removed')", "0"]);
        // Too large to be carried as a whole with each change.
        assert_eq!(ask(&mut near, &["RPUSH", &format!("list{round}"), "b"]), ":3");
        f.kill();
        f.restart();
        let mut near = f.connect();
        drain(&mut near);
        for client in [&mut direct, &mut near] {
            assert_eq!(
                ask(client, &["MGET", "script", "transaction", "removed"]),
                "[\"later\", \"later\", (nil)]"
            );
            assert_eq!(ask(client, &["LLEN", &format!("list{round}")]), ":3");
        }
    }
}

#[test]
fn what_was_left_in_the_journal_is_carried_though_the_mode_is_another_now() {
    let Some(mut u) = upstream() else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let mut f = near_cache(&u, &["--tier-mode", "write-behind", "--journal-dir", dir]);
    let mut near = f.connect();
    u.kill();
    assert_eq!(ask(&mut near, &["SET", "k", "v"]), "OK");
    f.kill();
    u.restart();
    let f = near_cache(&u, &["--journal-dir", dir]);
    let mut direct = u.connect();
    eventually("it is carried", || ask(&mut direct, &["GET", "k"]) == "\"v\"");
    assert_eq!(ask(&mut f.connect(), &["GET", "k"]), "\"v\"");
}
