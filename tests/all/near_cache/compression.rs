//! Texts that are kept compressed: clients see nothing of it but the memory that is left. Texts that a Forebay has
//! compressed before it carried them upstream are read plain by any other.

use forebay::values::compression::{Method, mark, pack};

use super::{ask, count, near_cache, settle, upstream};
use crate::client::Value;
use crate::server::Server;

/// Texts of all sizes and kinds, by key.
fn texts() -> Vec<(String, Vec<u8>)> {
    let words = b"a few words that come again and again ";
    let mut texts = vec![
        ("empty".to_owned(), Vec::new()),
        ("short".to_owned(), b"short".to_vec()),
        ("integer".to_owned(), b"1111111111111111111".to_vec()),
        ("negative".to_owned(), b"-42".to_vec()),
        (
            "like-integer".to_owned(),
            b"00000000000000000000000000000001".to_vec(),
        ),
        ("zeros".to_owned(), vec![0; 5000]),
        ("binary".to_owned(), (0..=255).cycle().take(3000).collect()),
        ("noise".to_owned(), noise(2000)),
    ];
    for copies in [1, 2, 10, 500, 20_000] {
        texts.push((format!("words:{copies}"), words.repeat(copies)));
    }
    texts
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// Requests on the text in `KEY`, whose replies are the same on every server.
const REQUESTS: &[&str] = &[
    "GET KEY",
    "MGET KEY zeros missing KEY",
    "STRLEN KEY",
    "GETRANGE KEY 2 -3",
    "BITCOUNT KEY",
    "BITCOUNT KEY 1 20 BIT",
    "GETBIT KEY 100",
    "BITPOS KEY 1",
    "BITFIELD_RO KEY GET u8 8 GET i5 100",
    "LCS KEY short LEN",
    "TYPE KEY",
    "EXISTS KEY KEY",
    "TTL KEY",
    "OBJECT ENCODING KEY",
    "DUMP KEY",
    "SORT_RO names BY nosort GET *",
    "LLEN KEY",
    "HGET KEY field",
    "COPY KEY copy REPLACE",
    "GET copy",
    "APPEND copy more",
    "GET copy",
    "SETRANGE copy 3 changed",
    "SETBIT copy 77 1",
    "GET copy",
    "RENAME copy renamed",
    "GET renamed",
    "EXPIREAT renamed 9999999999",
    "EXPIRETIME renamed",
    "GETDEL renamed",
];

/// Compares all replies of a Forebay that compresses with those of its upstream's like.
fn check(method: &str) {
    let (Some(u), Some(twin)) = (upstream(), upstream()) else {
        return;
    };
    let f = near_cache(&u, &["--compression", method, "--compression-min-bytes", "16"]);
    let (mut near, mut direct, mut model) = (f.connect(), u.connect(), twin.connect());
    for (key, text) in texts() {
        for server in [&mut direct, &mut model] {
            server.call(&[&b"SET"[..], key.as_bytes(), &text]).unwrap();
            server.call(&["RPUSH", "names", &key]).unwrap();
        }
    }
    settle(&mut near);
    for (key, _) in texts() {
        for request in REQUESTS {
            let request = request.replace("KEY", &key);
            let words: Vec<&str> = request.split(' ').collect();
            let expected = ask(&mut model, &words);
            assert_eq!(ask(&mut near, &words), expected, "{request}");
            assert_eq!(ask(&mut near, &words[..1]), ask(&mut model, &words[..1]));
        }
    }
    assert!(count(&mut near, "l1_compressed_values") >= 6);
    let saved_bytes = count(&mut near, "l1_compression_saved_bytes");
    assert!(saved_bytes > 700_000, "{saved_bytes}");
    assert!(count(&mut near, "l1_used_bytes") < 200_000);
}

#[test]
fn texts_kept_as_lz4_are_read_as_they_are() {
    check("lz4");
}

#[test]
fn texts_kept_as_zstandard_are_read_as_they_are() {
    check("zstd");
}

/// A text, and as a Forebay carries it upstream.
fn marked_text(method: Method) -> (Vec<u8>, Vec<u8>) {
    let text = b"a text that was compressed to be carried ".repeat(100);
    let marked = mark(&pack(method, &text).unwrap());
    (text, marked)
}

/// What a Forebay started like this reads of marked texts in its upstream.
fn check_marked(args: &[&str]) {
    let Some(u) = upstream() else { return };
    let f: Server = near_cache(&u, args);
    let (mut near, mut direct) = (f.connect(), u.connect());
    for (key, method) in [("lz4", Method::Lz4), ("zstd", Method::Zstd)] {
        let (text, marked) = marked_text(method);
        direct.call(&[&b"SET"[..], key.as_bytes(), &marked]).unwrap();
        direct
            .call(&[&b"SET"[..], b"broken", &marked[..marked.len() - 1]])
            .unwrap();
        settle(&mut near);
        for _ in 0..2 {
            assert_eq!(near.call(&["GET", key]).unwrap(), Value::Bulk(text.clone()));
            assert_eq!(
                near.call(&["GET", "broken"]).unwrap(),
                Value::Bulk(marked[..marked.len() - 1].to_vec())
            );
            let both = Value::Array(vec![Value::Bulk(text.clone()), Value::NullBulk]);
            assert_eq!(near.call(&["MGET", key, "missing"]).unwrap(), both);
        }
    }
}

#[test]
fn marked_texts_of_upstream_are_read_plain_whatever_the_settings() {
    check_marked(&[]);
    check_marked(&["--compression", "zstd"]);
}

#[test]
fn marked_texts_that_are_not_kept_are_read_plain_too() {
    // Larger plain than may be kept, and larger as they come.
    check_marked(&["--fill-value-max-bytes", "1000"]);
    check_marked(&["--fill-value-max-bytes", "10"]);
}

#[test]
fn commands_find_the_plain_text_of_a_marked_one() {
    let Some(u) = upstream() else { return };
    let f = near_cache(&u, &[]);
    let (mut near, mut direct) = (f.connect(), u.connect());
    let (text, marked) = marked_text(Method::Zstd);
    direct.call(&[&b"SET"[..], b"k", &marked]).unwrap();
    settle(&mut near);
    assert_eq!(ask(&mut near, &["STRLEN", "k"]), format!(":{}", text.len()));
    assert_eq!(ask(&mut near, &["GETRANGE", "k", "0", "5"]), "\"a text\"");
    // A transaction's replies come over a connection of the session.
    ask(&mut near, &["MULTI"]);
    ask(&mut near, &["GET", "k"]);
    let replies = near.call(&["EXEC"]).unwrap();
    assert_eq!(replies, Value::Array(vec![Value::Bulk(text)]));
}
