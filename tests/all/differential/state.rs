//! What two servers hold: names, types, layouts, deadlines and contents of all keys.

use std::io;

use super::compare::same;
use super::run::{Difference, difference};
use super::steps::shown;
use crate::client::{Client, Value};

/// The key under which dumps of the other server are restored.
pub const RESTORED: &[u8] = b"restored";

/// Databases that runs use.
const DATABASES: [&str; 3] = ["0", "1", "2"];

/// Compares everything that both servers hold, over connections in database 0 and RESP2.
pub fn difference_of(ours: &mut Client, theirs: &mut Client) -> io::Result<Option<Difference>> {
    for database in DATABASES {
        ours.call(&["SELECT", database])?;
        theirs.call(&["SELECT", database])?;
        let (our_keys, their_keys) = (keys(ours)?, keys(theirs)?);
        if our_keys != their_keys {
            let request = format!("KEYS * of database {database}");
            return Ok(Some(difference(
                request,
                &listed(&our_keys),
                &listed(&their_keys),
            )));
        }
        for key in their_keys {
            if let Some(found) = key_difference(ours, theirs, &key)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

fn keys(client: &mut Client) -> io::Result<Vec<Vec<u8>>> {
    let Value::Array(keys) = client.call(&["KEYS", "*"])? else {
        return Err(io::Error::other("KEYS gives no array"));
    };
    let bytes = |key| match key {
        Value::Bulk(bytes) => bytes,
        other => other.to_string().into(),
    };
    let mut keys: Vec<Vec<u8>> = keys.into_iter().map(bytes).collect();
    keys.sort();
    Ok(keys)
}

fn listed(keys: &[Vec<u8>]) -> Value {
    Value::Array(keys.iter().cloned().map(Value::Bulk).collect())
}

fn key_difference(ours: &mut Client, theirs: &mut Client, key: &[u8]) -> io::Result<Option<Difference>> {
    let kind = theirs.call(&[b"TYPE", key])?;
    let content: &[&[&str]] = match &kind {
        Value::Simple(kind) => match &**kind {
            "string" => &[&["GET", "{}"]],
            "list" => &[&["LRANGE", "{}", "0", "-1"]],
            "set" => &[&["SMEMBERS", "{}"]],
            "hash" => &[&["HGETALL", "{}"]],
            "zset" => &[&["ZRANGE", "{}", "0", "-1", "WITHSCORES"]],
            // What Forebay dumps every Redis since 6.2 reads; it has less of a stream than Redis 7 knows.
            "stream" if key == RESTORED => &[&["XRANGE", "{}", "-", "+"]],
            "stream" => &[
                &["XRANGE", "{}", "-", "+"],
                &["XINFO", "STREAM", "{}", "FULL", "COUNT", "0"],
            ],
            _ => &[],
        },
        _ => &[],
    };
    let about: [&[&str]; 3] = [
        &["OBJECT", "ENCODING", "{}"],
        &["TYPE", "{}"],
        &["PEXPIRETIME", "{}"],
    ];
    // Redis changes the layout of sorted sets that it sorts; none with the key of a sorted set is.
    let is_sorted = kind == Value::Simple("zset".to_owned()) && !key.starts_with(b"z");
    let is_set = kind == Value::Simple("set".to_owned());
    let about = if is_sorted { &about[1..] } else { &about[..] };
    for form in about.iter().chain(content) {
        let word = |word: &&str| {
            if *word == "{}" {
                key.to_vec()
            } else {
                word.as_bytes().to_vec()
            }
        };
        let words: Vec<Vec<u8>> = form.iter().map(word).collect();
        let (our_reply, their_reply) = (ours.call(&words)?, theirs.call(&words)?);
        let is_strict = form[0] == "OBJECT" && !is_set;
        if is_strict && our_reply != their_reply || !same(&words, &our_reply, &their_reply) {
            let request = format!("(in the end) {}", shown(&words));
            return Ok(Some(difference(request, &our_reply, &their_reply)));
        }
    }
    Ok(None)
}
