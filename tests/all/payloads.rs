//! DUMP and RESTORE between Forebay and a real redis-server, both ways, and payloads in forms that only other versions
//! write. Without a redis-server on the machine what needs one passes and says so.

use crate::client::{Client, Value};
use crate::server::{Server, redis_server};

/// Commands that make values of every type, small ones first, so that both servers have them packed, then large ones.
fn fill(client: &mut Client) -> Vec<&'static str> {
    let long = "x".repeat(5_000);
    let many = |prefix: &str| {
        (0..600)
            .map(|number| format!("{prefix}{number}"))
            .collect::<Vec<_>>()
    };
    let pairs = |prefix: &str| {
        let pair = |number| [format!("{prefix}{number}"), format!("v{number}")];
        (0..600).flat_map(pair).collect::<Vec<_>>()
    };
    let scores = (0..600).flat_map(|number| [format!("{}.5", number * 7 % 600), format!("m{number}")]);
    let words = |text: &str| text.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>();
    let mut requests = vec![
        words("SET text:short abc"),
        words("SET text:integer -42"),
        words("SET text:integer16 1234"),
        words("SET text:integer32 -2000000000"),
        words("SET text:integer64 9223372036854775807"),
        words("SET text:float 1.50"),
        words("PFADD text:sketch a b c d"),
        words("RPUSH list:small a 1 -5 300 70000 5000000000"),
        words("SADD set:integers 1 -2 300"),
        words("SADD set:integers:wide 1 70000 5000000000"),
        words("SADD set:words a b 1"),
        words("HSET hash:small f v n 7 m -70000"),
        words("ZADD zset:small 1 a 2.5 b -inf c +inf d -0 e 1e300 f"),
    ];
    let with = |head: &str, rest: Vec<String>| [words(head), rest].concat();
    requests.extend([
        with("SET text:long", vec![long.clone()]),
        with("SET text:empty", vec![String::new()]),
        with("RPUSH list:large", many("element")),
        with("RPUSH list:long a", vec![long.clone(), String::new()]),
        with("SADD set:large", many("member")),
        with("SADD set:integers:large", many("")),
        with("HSET hash:large", pairs("field")),
        with("HSET hash:long f", vec![long.clone()]),
        with("ZADD zset:large", scores.collect()),
        with("ZADD zset:long 1", vec![long]),
    ]);
    for number in 1..=300 {
        requests.push(words(&format!(
            "XADD stream:large {number}-1 f v{number} g {number}"
        )));
    }
    for request in [
        "XADD stream:small 5-0 a 1 b 2",
        "XADD stream:small 5-1 a 1 c 3",
        "XADD stream:small 7-0 a 1 c 3",
        "XDEL stream:small 5-1",
        "XADD stream:empty 1-1 a b",
        "XDEL stream:empty 1-1",
        "XADD stream:groups 1-1 a b",
        "XADD stream:groups 2-1 a b",
        "XADD stream:groups 3-1 a b",
        "XGROUP CREATE stream:groups idle $",
        "XGROUP CREATE stream:groups busy 0",
        "XGROUP CREATECONSUMER stream:groups busy nobody",
        "XREADGROUP GROUP busy alice COUNT 2 STREAMS stream:groups >",
        "XREADGROUP GROUP busy bob COUNT 1 STREAMS stream:groups >",
        "XACK stream:groups busy 1-1",
    ] {
        requests.push(words(request));
    }
    let mut keys = Vec::new();
    for request in requests {
        let reply = client.call(&request).unwrap();
        assert!(!matches!(reply, Value::Error(_)), "{request:?}: {reply}");
        if let Some(key) = request.iter().find(|word| word.contains(':')) {
            keys.push(&*key.clone().leak());
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Requests whose replies show everything about the value of a key.
fn inspections(type_name: &str) -> &'static [&'static str] {
    match type_name {
        "string" => &["GET", "STRLEN"],
        "list" => &["LRANGE 0 -1", "LLEN"],
        "set" => &["SMEMBERS", "SCARD"],
        "hash" => &["HGETALL", "HLEN"],
        "zset" => &["ZRANGE 0 -1 WITHSCORES", "ZCARD"],
        "stream" => &["XRANGE - +", "XLEN", "XPENDING busy - + 10"],
        other => panic!("no such type: {other}"),
    }
}

/// What a key holds, as a text that is the same for the same value on any server.
fn contents(client: &mut Client, key: &str) -> String {
    let type_name = match client.call(&["TYPE", key]).unwrap() {
        Value::Simple(name) => name,
        other => panic!("TYPE {key}: {other}"),
    };
    let mut text = format!("{type_name}\n");
    for inspection in inspections(&type_name) {
        let mut words: Vec<&str> = inspection.split(' ').collect();
        words.insert(1, key);
        let reply = client.call(&words).unwrap();
        text += &ordered(&words, reply);
        text.push('\n');
    }
    text
}

/// The reply; where the server chooses the order of elements or a time passes, without these.
fn ordered(words: &[&str], reply: Value) -> String {
    match (words, reply) {
        (["SMEMBERS", ..], Value::Array(members)) => {
            let mut members: Vec<String> = members.iter().map(ToString::to_string).collect();
            members.sort();
            format!("{members:?}")
        }
        (["HGETALL", ..], Value::Array(words)) => {
            let mut pairs: Vec<String> = words
                .chunks(2)
                .map(|pair| format!("{}={}", pair[0], pair[1]))
                .collect();
            pairs.sort();
            format!("{pairs:?}")
        }
        (["XPENDING", ..], Value::Array(entries)) => {
            let pending = entries.iter().map(|entry| match entry {
                Value::Array(entry) => format!("{} {} {};", entry[0], entry[1], entry[3]),
                other => panic!("not an entry: {other}"),
            });
            pending.collect()
        }
        (_, reply) => reply.to_string(),
    }
}

fn dump(client: &mut Client, key: &str) -> Vec<u8> {
    match client.call(&["DUMP", key]).unwrap() {
        Value::Bulk(payload) => payload,
        other => panic!("DUMP {key}: {other}"),
    }
}

fn restore(client: &mut Client, key: &str, payload: &[u8]) -> Value {
    client
        .call(&[b"RESTORE", key.as_bytes(), b"0", payload, b"REPLACE"])
        .unwrap()
}

/// Carries every key over and compares what both servers then say of it.
fn carry_all(from: &mut Client, to: &mut Client) {
    for key in fill(from) {
        let payload = dump(from, key);
        assert_eq!(restore(to, key, &payload).to_string(), "OK", "{key}");
        assert_eq!(contents(to, key), contents(from, key), "{key}");
        let again = dump(to, key);
        let expected = contents(from, key);
        assert_eq!(restore(from, key, &again).to_string(), "OK", "{key}");
        assert_eq!(contents(from, key), expected, "{key}");
    }
}

#[test]
fn what_redis_dumps_is_restored_here() {
    let Some(redis) = redis_server().map(|program| Server::start(&program, &[])) else {
        return;
    };
    let forebay = Server::forebay(&[]);
    carry_all(&mut redis.connect(), &mut forebay.connect());
}

#[test]
fn what_redis_knows_of_a_stream_beside_its_entries_is_known_here() {
    let Some(redis) = redis_server().map(|program| Server::start(&program, &[])) else {
        return;
    };
    let forebay = Server::forebay(&[]);
    let (mut redis, mut forebay) = (redis.connect(), forebay.connect());
    let keys = fill(&mut redis);
    for key in keys.into_iter().filter(|key| key.starts_with("stream")) {
        let payload = dump(&mut redis, key);
        restore(&mut forebay, key, &payload);
        for inspection in ["GROUPS", "STREAM"] {
            let request = ["XINFO", inspection, key];
            let expected = redis.call(&request).unwrap();
            assert_eq!(forebay.call(&request).unwrap(), expected, "{request:?}");
        }
    }
}

#[test]
fn what_is_dumped_here_is_restored_by_redis() {
    let Some(redis) = redis_server().map(|program| Server::start(&program, &[])) else {
        return;
    };
    let forebay = Server::forebay(&[]);
    carry_all(&mut forebay.connect(), &mut redis.connect());
}

#[test]
fn what_is_dumped_here_is_restored_here() {
    let (one, two) = (Server::forebay(&[]), Server::forebay(&[]));
    carry_all(&mut one.connect(), &mut two.connect());
}

#[test]
fn redis_packs_lists_with_other_chunks_and_compresses_them() {
    let Some(program) = redis_server() else { return };
    let forebay = Server::forebay(&[]);
    for (size, depth) in [("1", "0"), ("-1", "1"), ("64", "1")] {
        let redis = Server::start(
            &program,
            &["--list-max-listpack-size", size, "--list-compress-depth", depth],
        );
        carry_all(&mut redis.connect(), &mut forebay.connect());
    }
}

#[test]
fn encodings_follow_the_settings_of_the_server_that_restores() {
    let Some(redis) = redis_server().map(|program| Server::start(&program, &[])) else {
        return;
    };
    let forebay = Server::forebay(&[
        "--hash-max-listpack-entries",
        "2",
        "--set-max-intset-entries",
        "2",
        "--zset-max-listpack-entries",
        "2",
    ]);
    let (mut redis, mut forebay) = (redis.connect(), forebay.connect());
    fill(&mut redis);
    for (key, encoding) in [
        ("hash:small", "hashtable"),
        ("set:integers", "hashtable"),
        ("zset:small", "skiplist"),
    ] {
        let payload = dump(&mut redis, key);
        restore(&mut forebay, key, &payload);
        let reply = forebay.call(&["OBJECT", "ENCODING", key]).unwrap();
        assert_eq!(reply.to_string(), format!("\"{encoding}\""), "{key}");
        assert_eq!(contents(&mut forebay, key), contents(&mut redis, key));
    }
}
