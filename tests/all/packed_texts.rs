//! Texts that are kept packed are for no command different from plain ones: every request is run on two servers whose
//! keys differ in nothing else, and replies and what is there afterwards are compared.

#[path = "../../benches/local_client/mod.rs"]
mod local_client;

use forebay::store::rdb::Decoded;
use forebay::store::{Key, Visit};
use forebay::values::compression::Method;
use local_client::{LocalClient, encode};

/// Unix milliseconds.
const DEADLINE_MS: u64 = 9_999_999_999_999;

/// Keys in which something may be afterwards.
const KEYS: &[&str] = &["text", "other", "bits", "list", "dest"];

/// Requests on the keys of [`fill`].
const REQUESTS: &[&str] = &[
    "GET text",
    "GET bits",
    "MGET text other missing bits",
    "STRLEN text",
    "GETRANGE text 3 -9",
    "SUBSTR text 0 4",
    "TYPE text",
    "OBJECT ENCODING text",
    "OBJECT REFCOUNT text",
    "OBJECT IDLETIME text",
    "OBJECT FREQ text",
    "DUMP text",
    "EXISTS text other missing",
    "TOUCH text",
    "TTL other",
    "PEXPIRETIME text",
    "DBSIZE",
    "LCS text other LEN",
    "LCS text other",
    "DIGEST text",
    "APPEND text more",
    "APPEND missing more",
    "SETRANGE text 5 HELLO",
    "SETRANGE text 2000 far",
    "SETRANGE text 0 \"\"",
    "SETBIT bits 7 1",
    "SETBIT bits 90000 1",
    "SETBIT bits 0 0",
    "GETBIT bits 800",
    "GETBIT bits 99999",
    "BITCOUNT bits",
    "BITCOUNT bits 5 -2 BIT",
    "BITPOS bits 1",
    "BITPOS bits 0 -3",
    "BITFIELD bits GET u8 16 INCRBY u8 24 3",
    "BITFIELD bits SET i16 #700 -1",
    "BITFIELD_RO bits GET u13 790",
    "BITOP AND dest bits text",
    "BITOP OR text bits other",
    "BITOP NOT dest bits",
    "SET text new",
    "SET text new KEEPTTL",
    "SET text new GET",
    "SET text new XX",
    "SET text new NX",
    "SETNX text new",
    "SETEX text 100000 new",
    "GETSET text new",
    "GETDEL text",
    "GETEX text PERSIST",
    "GETEX other PXAT 9999999999990",
    "MSET text 1 other 2",
    "MSETNX text 1 missing 2",
    "INCR text",
    "INCRBYFLOAT text 1.5",
    "PEXPIREAT other 9999999999990",
    "PEXPIREAT text 9999999999990 GT",
    "PEXPIREAT text 1",
    "PERSIST text",
    "DEL text missing",
    "UNLINK text other",
    "RENAME text dest",
    "RENAME text other",
    "RENAME other text",
    "RENAMENX text other",
    "COPY text dest",
    "COPY text other REPLACE",
    "COPY text text DB 1",
    "MOVE text 1",
    "SWAPDB 0 1",
    "FLUSHDB",
    "LPUSH text a",
    "HGET text f",
    "SADD text a",
    "ZADD text 1 a",
    "XADD text * a b",
    "SINTER text other",
    "ZUNIONSTORE dest 1 text",
    "LMOVE text other LEFT RIGHT",
    "PFADD text a",
    "PFCOUNT text other",
    "PFMERGE dest text",
    "SORT list BY nosort GET *",
    "SORT list BY * ALPHA GET # GET *",
    "SORT list BY nosort GET * STORE dest",
    "SORT text",
    "GEODIST text a b",
    "SET text new IFEQ new",
    "DELEX text IFEQ new",
];

/// Gives the client's server the same keys, packed or not.
fn fill(client: &mut LocalClient, method: Option<Method>) {
    client.run(&encode(&[b"FLUSHALL"]));
    client.run(&encode(&[b"RPUSH", b"list", b"text", b"other"]));
    let mut bits = vec![0; 1500];
    bits[99..120].fill(0x3c);
    put(
        client,
        "text",
        &b"some text of a few words, ".repeat(20),
        Some(DEADLINE_MS),
        method,
    );
    put(
        client,
        "other",
        &b"another text, of other words; ".repeat(15),
        None,
        method,
    );
    put(client, "bits", &bits, None, method);
}

/// Puts a text into a key as a fetch from upstream does.
fn put(client: &mut LocalClient, name: &str, text: &[u8], deadline_ms: Option<u64>, method: Option<Method>) {
    let (store, name) = (&client.worker.services.store, name.as_bytes());
    let value = Decoded::of_bytes(text);
    let value = match method {
        None => value,
        Some(method) => value.packed(method, 0),
    };
    assert_eq!(value.saved_bytes().is_some(), method.is_some());
    let hash = store.hash(name);
    let mut shard = store.lock(hash);
    let mut key = Key::find(&mut shard, name, hash, Visit::new(0, 1));
    key.place(value.into_entry(name, deadline_ms));
    let used_bytes = key.used_bytes().unwrap();
    assert_eq!(used_bytes < text.len(), method.is_some());
}

fn run(client: &mut LocalClient, request: &str) -> String {
    let words: Vec<&[u8]> = request
        .split(' ')
        .map(|word| word.trim_matches('"').as_bytes())
        .collect();
    client.run(&encode(&words)).escape_ascii().to_string()
}

/// What is in the keys of both databases.
fn state(client: &mut LocalClient) -> Vec<String> {
    let mut state = Vec::new();
    for db in ["0", "1"] {
        run(client, &format!("SELECT {db}"));
        for key in KEYS {
            for question in ["TYPE", "OBJECT ENCODING", "PEXPIRETIME", "DUMP"] {
                state.push(format!(
                    "{question} {key} in {db}: {}",
                    run(client, &format!("{question} {key}"))
                ));
            }
        }
    }
    run(client, "SELECT 0");
    state
}

fn check(method: Method) {
    let (mut plain, mut packed) = (LocalClient::new(), LocalClient::new());
    for request in REQUESTS {
        fill(&mut plain, None);
        fill(&mut packed, Some(method));
        let expected = run(&mut plain, request);
        assert_eq!(run(&mut packed, request), expected, "{request}");
        assert_eq!(state(&mut packed), state(&mut plain), "after {request}");
    }
}

#[test]
fn commands_do_not_know_whether_a_text_is_packed_with_lz4() {
    check(Method::Lz4);
}

#[test]
fn commands_do_not_know_whether_a_text_is_packed_with_zstandard() {
    check(Method::Zstd);
}

#[test]
fn memory_usage_tells_what_is_used_indeed() {
    let mut client = LocalClient::new();
    fill(&mut client, None);
    let usage = |client: &mut LocalClient| {
        let reply = run(client, "MEMORY USAGE bits");
        reply
            .trim_matches(|letter: char| !letter.is_ascii_digit())
            .parse::<usize>()
            .unwrap()
    };
    let plain = usage(&mut client);
    fill(&mut client, Some(Method::Zstd));
    assert!(usage(&mut client) * 4 < plain && plain >= 1500);
    run(&mut client, "SETBIT bits 0 0");
    assert_eq!(usage(&mut client), plain, "an edited text is plain");
}
