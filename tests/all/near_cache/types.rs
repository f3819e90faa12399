//! Values that are no texts: fetched once as payloads, read from L1 by every command, gone with a foreign write.

use std::collections::BTreeSet;

use super::{ask, calls, count, eventually, near_cache, settle, upstream};
use crate::client::{Client, Value};

/// Makes a value of every type, small and large.
const MAKE: &[&str] = &[
    "RPUSH list a b c 4",
    "SADD set a b c",
    "SADD numbers 1 2 300",
    "ZADD ranking 1 a 2.5 b -inf c",
    "HSET hash f v g 7",
    "XADD stream 1-1 a b",
    "XADD stream 1-2 a c",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group me COUNT 1 STREAMS stream >",
    "PFADD sketch a b c",
    "SETBIT bits 100 1",
    "ZADD single 1.5 m",
    "HSET field f v",
    "GEOADD places 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
];

/// Reads of these values whose replies are the same on every server.
const READS: &[&str] = &[
    "LRANGE list 0 -1",
    "LLEN list",
    "LINDEX list 1",
    "LPOS list c",
    "SCARD set",
    "SISMEMBER set b",
    "SMISMEMBER set a x",
    "SINTERCARD 2 set set",
    "SMEMBERS numbers",
    "ZRANGE ranking 0 -1 WITHSCORES",
    "ZSCORE ranking b",
    "ZRANK ranking a",
    "ZCOUNT ranking -inf 2",
    "ZRANGEBYSCORE ranking (1 +inf",
    "HGETALL hash",
    "HGET hash f",
    "HMGET hash f missing",
    "HLEN hash",
    "HSTRLEN hash g",
    "XRANGE stream - +",
    "XLEN stream",
    "XREVRANGE stream + - COUNT 1",
    "BITCOUNT bits",
    "GEOPOS places Palermo nowhere",
    "GEODIST places Palermo Catania",
    "TYPE list",
    "TYPE hash",
    "EXISTS list set ranking hash stream",
    "GET list",
    "LLEN hash",
    "SUNION set numbers",
];

/// Reads that upstream answers: one may wait there, one notes its result with the key, a place in a scan is no place
/// in a copy, and the feed does not tell of what groups of a stream do.
const READS_OF_UPSTREAM: &[&str] = &[
    "XREAD COUNT 5 STREAMS stream 0",
    "PFCOUNT sketch",
    "HSCAN hash 0",
    "ZSCAN ranking 0",
    "SSCAN numbers 0",
    "OBJECT ENCODING hash",
    "XPENDING stream group",
    "XINFO GROUPS stream",
    "XINFO STREAM stream",
];

fn run(client: &mut Client, request: &str) -> String {
    ask(client, &request.split(' ').collect::<Vec<_>>())
}

fn make_all(direct: &mut Client) {
    run(direct, "FLUSHALL");
    for request in MAKE {
        let reply = run(direct, request);
        assert!(!reply.starts_with('-'), "{request}: {reply}");
    }
}

/// How much upstream was asked: fetches, and requests that were passed on in either way.
fn asked(near: &mut Client, direct: &mut Client) -> [u64; 4] {
    let [forwarded, relayed] = ["tier_forwarded", "tier_relayed"].map(|field| count(near, field));
    [calls(direct, "get"), calls(direct, "dump"), forwarded, relayed]
}

/// The reply, with the elements of what has no order in an order of their own.
fn comparable(request: &str, reply: String) -> String {
    if !["SMEMBERS", "SUNION", "HGETALL"]
        .iter()
        .any(|name| request.starts_with(name))
    {
        return reply;
    }
    let inner = reply.trim_matches(|letter: char| "[]{}() set".contains(letter));
    let mut elements: Vec<&str> = inner.split(", ").collect();
    elements.sort_unstable();
    elements.join(", ")
}

#[test]
fn s03_reads_of_every_type_are_answered_as_upstream_would_and_from_l1_after_the_first() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    make_all(&mut direct);
    settle(&mut near);
    for protocol in ["2", "3"] {
        near.call(&["HELLO", protocol]).unwrap();
        direct.call(&["HELLO", protocol]).unwrap();
        for request in READS.iter().chain(READS_OF_UPSTREAM) {
            let expected = comparable(request, run(&mut direct, request));
            assert_eq!(
                comparable(request, run(&mut near, request)),
                expected,
                "{request}"
            );
        }
    }
    let before = asked(&mut near, &mut direct);
    for request in READS {
        run(&mut near, request);
        assert_eq!(asked(&mut near, &mut direct), before, "{request}");
    }
}

#[test]
fn a_foreign_write_of_any_type_is_seen_by_the_next_read() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    make_all(&mut direct);
    for (read, write) in [
        ("LRANGE list 0 -1", "RPUSH list new"),
        ("LRANGE list 0 -1", "LPOP list"),
        ("SISMEMBER set new", "SADD set new"),
        ("SCARD set", "SPOP set"),
        ("ZRANGE ranking 0 -1 WITHSCORES", "ZINCRBY ranking 7 a"),
        ("HGET hash f", "HSET hash f new"),
        ("HLEN hash", "HDEL hash f"),
        ("XLEN stream", "XADD stream 2-1 a b"),
        ("XRANGE stream - +", "XDEL stream 1-2"),
        ("XPENDING stream group", "XACK stream group 1-1"),
        ("PFCOUNT sketch", "PFADD sketch x y z"),
        ("HGETALL hash", "RENAME list hash"),
        ("TYPE ranking", "SET ranking text"),
        ("SMEMBERS numbers", "DEL numbers"),
        ("EXISTS places", "FLUSHALL"),
    ] {
        settle(&mut near);
        run(&mut near, read);
        run(&mut direct, write);
        settle(&mut near);
        let expected = comparable(read, run(&mut direct, read));
        assert_eq!(
            comparable(read, run(&mut near, read)),
            expected,
            "{read} after {write}"
        );
    }
}

#[test]
fn who_writes_a_structure_reads_his_own_write() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let mut near = f.connect();
    for round in 1..=100 {
        assert_eq!(ask(&mut near, &["RPUSH", "list", "x"]), format!(":{round}"));
        assert_eq!(run(&mut near, "LLEN list"), format!(":{round}"));
        run(&mut near, &format!("HSET hash f {round}"));
        assert_eq!(run(&mut near, "HGET hash f"), format!("\"{round}\""));
        run(&mut near, &format!("ZADD ranking {round} m"));
        assert_eq!(run(&mut near, "ZSCORE ranking m"), format!("\"{round}\""));
    }
}

#[test]
fn many_who_miss_the_same_structure_fetch_it_once() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let mut direct = u.connect();
    run(&mut direct, "RPUSH list a b c");
    let mut clients: Vec<Client> = (0..100).map(|_| f.connect()).collect();
    settle(&mut clients[0]);
    for client in &mut clients {
        client.send(&["LLEN", "list"]).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.receive().unwrap().to_string(), ":3");
    }
    assert_eq!(calls(&mut direct, "dump"), 1);
    assert!(calls(&mut direct, "pttl") <= 2);
}

#[test]
fn what_upstream_answers_has_its_form_in_either_protocol() {
    let Some(u) = upstream() else { return };
    // Nothing is kept, so that reads are passed on as writes are.
    let f = near_cache(&u, &["--fill-value-max-bytes", "1"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for protocol in ["2", "3"] {
        near.call(&["HELLO", protocol]).unwrap();
        direct.call(&["HELLO", protocol]).unwrap();
        for request in [
            "ZRANGE ranking 0 -1 WITHSCORES",
            "ZREVRANGEBYSCORE ranking +inf 1 WITHSCORES",
            "ZUNION 2 ranking ranking WITHSCORES",
            "ZRANGE ranking 0 -1",
            "ZPOPMIN ranking 2",
            "ZPOPMAX ranking",
            "ZPOPMAX missing 3",
            "ZMPOP 1 ranking MIN",
            "ZMPOP 1 missing MIN",
            "ZRANDMEMBER single 2 WITHSCORES",
            "ZADD ranking NX INCR 1 a",
            "ZADD ranking NX INCR 1 a",
            "HRANDFIELD field 2 WITHVALUES",
            "LPOP list",
            "LPOP list 2",
            "RPOP missing",
            "RPOP missing 2",
            "LMPOP 2 missing list LEFT",
            "LMPOP 1 missing LEFT COUNT 2",
            "SPOP missing",
            "SPOP missing 2",
            "GEOPOS places Palermo nowhere",
            "XRANGE stream - +",
            "XRANGE stream - + COUNT 0",
            "XPENDING stream none",
            "XINFO STREAM stream",
            "HGETALL hash",
            "HGET hash missing",
            "SMEMBERS numbers",
        ] {
            make_all(&mut direct);
            let expected = run(&mut direct, request);
            make_all(&mut direct);
            settle(&mut near);
            assert_eq!(run(&mut near, request), expected, "{request}");
        }
    }
}

#[test]
fn a_structure_dies_with_the_original() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    run(&mut direct, "HSET hash f v");
    run(&mut direct, "PEXPIRE hash 400");
    assert_eq!(run(&mut near, "HGET hash f"), "\"v\"");
    eventually("the copy dies", || run(&mut near, "HGET hash f") == "(nil)");
    assert_eq!(run(&mut direct, "EXISTS hash"), ":0");
}

#[test]
fn a_structure_that_is_too_large_is_upstreams_to_answer() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &["--fill-value-max-bytes", "1000"]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for number in 0..500 {
        run(&mut direct, &format!("RPUSH list {number}x{number}"));
    }
    settle(&mut near);
    for _ in 0..5 {
        assert_eq!(run(&mut near, "LLEN list"), ":500");
        assert_eq!(run(&mut near, "LINDEX list -1"), "\"499x499\"");
    }
    assert_eq!(calls(&mut direct, "dump"), 1, "it is remembered");
    run(&mut direct, "LTRIM list 0 1");
    settle(&mut near);
    assert_eq!(run(&mut near, "LLEN list"), ":2");
    let before = calls(&mut direct, "llen");
    assert_eq!(run(&mut near, "LLEN list"), ":2");
    assert_eq!(calls(&mut direct, "llen"), before, "now it is resident");
}

#[test]
fn where_upstream_allows_no_payloads_structures_are_upstreams_to_answer() {
    let Some(u) = upstream() else { return };
    let mut direct = u.connect();
    run(&mut direct, "ACL SETUSER app on >secret ~* &* +@all -dump");
    run(&mut direct, "RPUSH list a b c");
    let f = super::near_cache_at(&format!("redis://app:secret@{}", u.address()), &[]);
    let mut near = f.connect();
    for _ in 0..3 {
        assert_eq!(run(&mut near, "LRANGE list 0 -1"), "[\"a\", \"b\", \"c\"]");
        assert_eq!(
            run(&mut near, "GET list"),
            "-WRONGTYPE Operation against a key holding the wrong kind of value"
        );
    }
}

#[test]
fn a_scan_goes_on_where_it_was_whatever_becomes_of_the_copy() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for number in 0..1000 {
        run(&mut direct, &format!("SADD set member{number}"));
    }
    let (mut cursor, mut found) = ("0".to_owned(), BTreeSet::new());
    for step in 0.. {
        let Value::Array(page) = near.call(&["SSCAN", "set", &cursor]).unwrap() else {
            panic!("a page is an array")
        };
        let [Value::Bulk(next), Value::Array(members)] = &page[..] else {
            panic!("a page has a cursor and members")
        };
        found.extend(members.iter().map(ToString::to_string));
        cursor = String::from_utf8(next.clone()).unwrap();
        if cursor == "0" {
            break;
        }
        run(&mut direct, &format!("SADD set late{step}"));
        run(&mut near, "SCARD set");
    }
    assert!((0..1000).all(|number| found.contains(&format!("\"member{number}\""))));
}

#[test]
fn databases_keep_their_structures_apart() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for db in ["0", "3", "5"] {
        ask(&mut direct, &["SELECT", db]);
        ask(&mut direct, &["RPUSH", "list", db]);
    }
    let mut other = f.connect();
    for _ in 0..2 {
        for db in ["5", "0", "3"] {
            ask(&mut near, &["SELECT", db]);
            near.send(&["LRANGE", "list", "0", "-1"]).unwrap();
            ask(&mut other, &["SELECT", "0"]);
            assert_eq!(ask(&mut other, &["LRANGE", "list", "0", "-1"]), "[\"0\"]");
            assert_eq!(near.receive().unwrap().to_string(), format!("[\"{db}\"]"));
        }
    }
}

#[test]
fn no_read_of_any_type_is_stale_in_4_000_random_steps() {
    const STEPS: usize = 4_000;
    let Some(u) = upstream() else { return };
    let nears = [near_cache(&u, &[]), near_cache(&u, &[])];
    let mut clients = [nears[0].connect(), nears[1].connect()];
    let mut direct = u.connect();
    let mut random = super::fills::Random(11);
    for step in 0..STEPS {
        let key = random.below(8);
        if random.below(4) == 0 {
            let write = write(key, step, random.below(6));
            if random.below(2) == 0 {
                run(&mut direct, &write);
            } else {
                run(&mut clients[random.below(2)], &write);
            }
            continue;
        }
        let near = &mut clients[random.below(2)];
        settle(near);
        let read = read(key, random.below(9));
        let expected = comparable(&read, run(&mut direct, &read));
        assert_eq!(
            comparable(&read, run(near, &read)),
            expected,
            "step {step}: {read}"
        );
    }
    let hits: u64 = clients.iter_mut().map(|near| count(near, "tier_l1_hits")).sum();
    assert!(hits > 0, "no read was answered from L1");
}

fn write(key: usize, step: usize, kind: usize) -> String {
    match kind {
        0 => format!("RPUSH k{key} {step}"),
        1 => format!("SADD k{key} {step}"),
        2 => format!("HSET k{key} f{} {step}", step % 3),
        3 => format!("ZADD k{key} {step} m{}", step % 5),
        4 => format!("SET k{key} {step}"),
        _ => format!("DEL k{key}"),
    }
}

fn read(key: usize, kind: usize) -> String {
    match kind {
        0 => format!("LRANGE k{key} 0 -1"),
        1 => format!("SMEMBERS k{key}"),
        2 => format!("HGETALL k{key}"),
        3 => format!("ZRANGE k{key} 0 -1 WITHSCORES"),
        4 => format!("GET k{key}"),
        5 => format!("TYPE k{key}"),
        6 => format!("SUNION k{key} k0"),
        7 => format!("EXISTS k{key} k1 k2"),
        _ => format!("HLEN k{key}"),
    }
}
