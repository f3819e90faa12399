//! How a connection to upstream begins.

use std::io;

use tokio::io::AsyncWriteExt;

use super::status::FeedMode;
use super::upstream::ByteStream;
use super::wire::{FrameReader, push_request, push_text_request};
use crate::config::{Upstream as Settings, UpstreamAddress, UpstreamTracking};
use crate::resp::{Frame, FrameKind, Protocol};

/// Logs in in `protocol` at an upstream that was reached at `address` and names the connection; returns upstream's
/// id of the connection.
pub async fn log_in(
    stream: &mut dyn ByteStream,
    frames: &mut FrameReader,
    protocol: Protocol,
    address: &UpstreamAddress,
    settings: &Settings,
) -> io::Result<i64> {
    let mut request = Vec::new();
    push_hello(&mut request, protocol, address, settings);
    stream.write_all(&request).await?;
    let reply = next_reply(stream, frames).await?;
    connection_id(Frame::new(reply))
}

/// Logs in in RESP3, selects the database and switches the feed on, for keys with these prefixes, without echoes of
/// what this connection writes. Ends with a PING, which only an upstream that has loaded its data answers. Returns
/// what the feed will tell: an upstream that has none, or has none for us, is asked for copies with a short life.
pub async fn arm(
    stream: &mut dyn ByteStream,
    frames: &mut FrameReader,
    address: &UpstreamAddress,
    settings: &Settings,
    prefixes: &[&[u8]],
) -> io::Result<FeedMode> {
    let mut requests = Vec::new();
    let database = address.database.to_string();
    push_hello(&mut requests, Protocol::Resp3, address, settings);
    push_text_request(&mut requests, &["SELECT", &database]);
    let asked = push_tracking(&mut requests, settings.tracking, prefixes);
    push_text_request(&mut requests, &["PING"]);
    stream.write_all(&requests).await?;
    connection_id(Frame::new(next_reply(stream, frames).await?))?;
    succeed("SELECT", stream, frames).await?;
    let mode = match asked {
        FeedMode::Ttl => FeedMode::Ttl,
        mode => {
            let reply = Frame::new(next_reply(stream, frames).await?);
            let refusal = reply
                .as_error()
                .map(|error| String::from_utf8_lossy(error).into_owned());
            if let Some(refusal) = &refusal {
                tracing::warn!(
                    refusal,
                    "upstream does not track keys: copies live for untracked-ttl-ms"
                );
            }
            if refusal.is_some() { FeedMode::Ttl } else { mode }
        }
    };
    succeed("PING", stream, frames).await?;
    Ok(mode)
}

/// Reads the reply to a step that must not fail.
async fn succeed(step: &str, stream: &mut dyn ByteStream, frames: &mut FrameReader) -> io::Result<()> {
    match Frame::new(next_reply(stream, frames).await?).as_error() {
        Some(error) => Err(refused(step, error)),
        None => Ok(()),
    }
}

/// Asks for the feed; tells for which.
fn push_tracking(out: &mut Vec<u8>, tracking: UpstreamTracking, prefixes: &[&[u8]]) -> FeedMode {
    let mut words: Vec<&[u8]> = vec![b"CLIENT", b"TRACKING", b"ON", b"NOLOOP"];
    let mode = match tracking {
        UpstreamTracking::Broadcast => FeedMode::Broadcast,
        UpstreamTracking::Keys => FeedMode::Keys,
        UpstreamTracking::None => return FeedMode::Ttl,
    };
    if mode == FeedMode::Broadcast {
        words.push(b"BCAST");
        for prefix in prefixes.iter().filter(|prefix| !prefix.is_empty()) {
            words.extend([&b"PREFIX"[..], prefix]);
        }
    }
    push_request(out, words.into_iter());
    mode
}

fn push_hello(out: &mut Vec<u8>, protocol: Protocol, address: &UpstreamAddress, settings: &Settings) {
    let version = match protocol {
        Protocol::Resp2 => "2",
        Protocol::Resp3 => "3",
    };
    let mut words = vec!["HELLO", version];
    if let Some(password) = &address.password {
        words.extend([
            "AUTH",
            address.username.as_deref().unwrap_or("default"),
            password.expose(),
        ]);
    }
    if !settings.client_name.is_empty() {
        words.extend(["SETNAME", &settings.client_name]);
    }
    push_text_request(out, &words);
}

/// The next frame that answers a request.
async fn next_reply<'f>(stream: &mut dyn ByteStream, frames: &'f mut FrameReader) -> io::Result<&'f [u8]> {
    loop {
        // The borrow checker does not see that a frame which is returned ends the loop.
        while let Some(len) = frames.next()?.map(<[u8]>::len) {
            if !Frame::new(frames.last(len)).is_push() {
                return Ok(frames.last(len));
            }
        }
        frames.fill(stream).await?;
    }
}

/// The id that the reply to HELLO names.
fn connection_id(hello: Frame<'_>) -> io::Result<i64> {
    if let Some(error) = hello.as_error() {
        return Err(refused("HELLO", error));
    }
    let mut fields = hello.children();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        if name.as_bulk() == Some(b"id")
            && let Some(id) = value.as_integer()
        {
            return Ok(id);
        }
    }
    let kind = if matches!(hello.kind(), FrameKind::Map | FrameKind::Array) {
        "without an id"
    } else {
        "unexpected"
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the reply to HELLO is {kind}"),
    ))
}

fn refused(step: &str, error: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(error);
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{step} was refused: {text}"),
    )
}
