//! Tests of [`super::session_link`].

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use super::breaker;
use super::conduct::Asked;
use super::fake::{Fake, Peer};
use super::pool::Places;
use super::session_link::{Failure, Identity, SessionLink};
use super::status::Status;
use crate::commands::error::Error;
use crate::config::Config;
use crate::resp::{DecodeLimits, Decoder, Protocol};

/// A connection that is logged in, and its other end.
async fn open(protocol: Protocol) -> (SessionLink, Peer) {
    let (fake, mut peers, _) = Fake::new();
    let status = Arc::new(Status::new(breaker::by_name("none").unwrap(), &Config::default()));
    let place = Places::new(1).take(&status, Duration::ZERO).await.unwrap();
    let config = Config::default();
    let opening = SessionLink::open(&fake, &status, protocol, &config.upstream, place);
    let (link, peer) = tokio::join!(opening, async {
        let mut peer = peers.recv().await.unwrap();
        peer.hears("forebay\r\n").await;
        peer.says("*2\r\n$2\r\nid\r\n:7\r\n").await;
        peer
    });
    (link.unwrap(), peer)
}

/// An ordinary session in database `db`.
fn identity(db: usize) -> Identity {
    Identity {
        db,
        protocol: Protocol::Resp2,
        name: (*b"forebay").into(),
    }
}

/// Asks in database `db` while the other end hears what ends so, and says that; gives what was passed on.
async fn ask(
    link: &mut SessionLink,
    peer: &mut Peer,
    request: &str,
    wanted: &Identity,
    talk: &[(&str, &str)],
) -> Result<(String, usize), Failure> {
    let inline = format!("{request}\r\n");
    let mut decoder = Decoder::default();
    decoder
        .decode(inline.as_bytes(), &DecodeLimits::default())
        .unwrap();
    let asked = Asked::new(decoder.request(inline.as_bytes()));
    let mut out = Vec::new();
    let asking = async {
        link.align(wanted, &mut out).await?;
        link.ask(asked, wanted.db, &mut out).await
    };
    let (answered, ()) = tokio::join!(asking, async {
        for (heard, said) in talk {
            peer.hears(heard).await;
            peer.says(said).await;
        }
    });
    answered.map(|db| (String::from_utf8(out).unwrap(), db))
}

#[tokio::test]
async fn a_reply_is_passed_on_byte_by_byte_behind_the_messages_before_it() {
    let (mut link, mut peer) = open(Protocol::Resp3).await;
    let reply = ">3\r\n+message\r\n+a\r\n+b\r\n%1\r\n+k\r\n,1.50\r\n";
    let answered = ask(
        &mut link,
        &mut peer,
        "HGETALL h",
        &Identity {
            protocol: Protocol::Resp3,
            ..identity(0)
        },
        &[("h\r\n", reply)],
    )
    .await;
    assert_eq!(answered, Ok((reply.to_owned(), 0)));
    assert!(!link.has_state());
}

#[tokio::test]
async fn the_clients_database_is_selected_before_its_request() {
    let (mut link, mut peer) = open(Protocol::Resp2).await;
    let talk = [("3\r\n", "+OK\r\n"), ("k\r\n", ":1\r\n")];
    assert_eq!(
        ask(&mut link, &mut peer, "LLEN k", &identity(3), &talk).await,
        Ok((":1\r\n".to_owned(), 3))
    );
    let refused = [("9\r\n", "-ERR DB index is out of range\r\n")];
    let answered = ask(&mut link, &mut peer, "LLEN k", &identity(9), &refused).await;
    assert_eq!(
        answered,
        Err(Failure::Refused(Error::Verbatim(
            "ERR DB index is out of range".into()
        )))
    );
}

#[tokio::test]
async fn a_transaction_binds_the_session_until_its_end() {
    let (mut link, mut peer) = open(Protocol::Resp2).await;
    ask(
        &mut link,
        &mut peer,
        "MULTI",
        &identity(0),
        &[("MULTI\r\n", "+OK\r\n")],
    )
    .await
    .unwrap();
    assert!(link.is_exclusive());
    ask(
        &mut link,
        &mut peer,
        "SELECT 4",
        &identity(0),
        &[("4\r\n", "+QUEUED\r\n")],
    )
    .await
    .unwrap();
    ask(
        &mut link,
        &mut peer,
        "SUBSCRIBE a",
        &identity(0),
        &[("a\r\n", "+QUEUED\r\n")],
    )
    .await
    .unwrap();
    let done = "*2\r\n+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    let answered = ask(&mut link, &mut peer, "EXEC", &identity(0), &[("EXEC\r\n", done)]).await;
    assert_eq!(
        answered,
        Ok((done.to_owned(), 4)),
        "the client is in database 4 now"
    );
    assert!(
        !link.is_in_transaction() && link.is_exclusive(),
        "a subscriber in RESP2"
    );
}

#[tokio::test]
async fn a_watch_is_state_until_the_transaction_ends_however_it_does() {
    for (end, reply) in [
        ("EXEC", "*-1\r\n"),
        ("EXEC", "-EXECABORT no\r\n"),
        ("UNWATCH", "+OK\r\n"),
    ] {
        let (mut link, mut peer) = open(Protocol::Resp2).await;
        ask(
            &mut link,
            &mut peer,
            "WATCH k",
            &identity(0),
            &[("k\r\n", "+OK\r\n")],
        )
        .await
        .unwrap();
        assert!(link.has_state() && !link.is_exclusive());
        _ = ask(&mut link, &mut peer, end, &identity(0), &[("\r\n", reply)]).await;
        assert!(!link.has_state(), "{end} {reply}");
    }
}

#[tokio::test]
async fn all_answers_to_a_subscription_are_passed_on_and_the_mark_is_not() {
    let (mut link, mut peer) = open(Protocol::Resp2).await;
    let joined = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n";
    let marked = "*2\r\n$4\r\npong\r\n$11\r\nforebay:7:1\r\n";
    let talk = [("forebay:7:1\r\n", &*format!("{joined}{message}{marked}{message}"))];
    let (passed_on, _) = ask(&mut link, &mut peer, "SUBSCRIBE a", &identity(0), &talk)
        .await
        .unwrap();
    assert_eq!(passed_on, format!("{joined}{message}"));
    assert!(link.is_exclusive());
    let mut out = Vec::new();
    poll_fn(|cx| link.poll_messages(cx, &mut out)).await.unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        message,
        "what came with the mark is not forgotten"
    );
    let left = "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n";
    let talk = [("forebay:7:2\r\n", &*format!("{left}$11\r\nforebay:7:2\r\n"))];
    ask(&mut link, &mut peer, "UNSUBSCRIBE", &identity(0), &talk)
        .await
        .unwrap();
    assert!(!link.has_state());
}

#[tokio::test]
async fn a_request_with_the_wrong_number_of_words_does_not_end_a_transaction() {
    let (mut link, mut peer) = open(Protocol::Resp2).await;
    for (request, reply) in [("MULTI", "+OK\r\n"), ("EXEC now", "-ERR wrong number\r\n")] {
        _ = ask(&mut link, &mut peer, request, &identity(0), &[("\r\n", reply)]).await;
    }
    assert!(link.is_in_transaction());
}

#[tokio::test]
async fn what_a_transaction_may_have_changed_in_the_connection_stays_the_sessions() {
    let (mut link, mut peer) = open(Protocol::Resp2).await;
    for (request, heard, reply) in [
        ("MULTI", "MULTI\r\n", "+OK\r\n"),
        ("CLIENT SETNAME me", "me\r\n", "+QUEUED\r\n"),
        ("EXEC", "EXEC\r\n", "*1\r\n+OK\r\n"),
    ] {
        ask(&mut link, &mut peer, request, &identity(0), &[(heard, reply)])
            .await
            .unwrap();
    }
    assert!(link.has_state() && !link.is_exclusive());
    assert!(!link.vacate(), "nobody else gets it");
}

#[tokio::test]
async fn protocol_and_name_are_brought_about_in_one_round_trip_and_a_refused_name_is_no_error() {
    let (mut link, mut peer) = open(Protocol::Resp2).await;
    let wanted = Identity {
        protocol: Protocol::Resp3,
        name: (*b"me").into(),
        ..identity(3)
    };
    assert!(!link.is_as(&wanted));
    let talk = [("me\r\n", "+OK\r\n%0\r\n-NOPERM no\r\n"), ("k\r\n", ":1\r\n")];
    let answered = ask(&mut link, &mut peer, "LLEN k", &wanted, &talk).await;
    assert_eq!(answered, Ok((":1\r\n".to_owned(), 3)));
    assert!(link.is_as(&wanted) && link.vacate());
}

#[tokio::test]
async fn a_connection_in_doubt_answers_before_it_gets_a_request() {
    let (mut link, mut peer) = open(Protocol::Resp2).await;
    let status = Arc::new(Status::new(breaker::by_name("none").unwrap(), &Config::default()));
    let place = Places::new(1).take(&status, Duration::ZERO).await.unwrap();
    assert!(link.vacate() && link.is_usable());
    link.occupy(place, true);
    let talk = [
        ("PING\r\n", "+PONG\r\n"),
        ("k\r\n", ":1\r\n"),
        ("k\r\n", ":2\r\n"),
    ];
    ask(&mut link, &mut peer, "LLEN k", &identity(0), &talk[..2])
        .await
        .unwrap();
    let again = ask(&mut link, &mut peer, "LLEN k", &identity(0), &talk[2..]).await;
    assert_eq!(again, Ok((":2\r\n".to_owned(), 0)), "it is not asked twice");
}

#[tokio::test]
async fn a_connection_that_upstream_closed_or_spoke_on_is_of_no_use() {
    let (mut link, peer) = open(Protocol::Resp2).await;
    drop(peer);
    assert!(!link.is_usable());
    let (mut link, mut peer) = open(Protocol::Resp2).await;
    peer.says("+unasked\r\n").await;
    assert!(!link.is_usable());
    let (mut link, mut peer) = open(Protocol::Resp2).await;
    let talk = [("k\r\n", ":1\r\n+unasked\r\n")];
    ask(&mut link, &mut peer, "LLEN k", &identity(0), &talk)
        .await
        .unwrap();
    assert!(!link.vacate());
    let (mut link, _peer) = open(Protocol::Resp2).await;
    link.spend();
    assert!(
        !link.vacate(),
        "what is meant for one session must not reach another"
    );
}

#[tokio::test]
async fn a_lost_connection_tells_whether_the_request_can_have_run() {
    let (mut link, peer) = open(Protocol::Resp2).await;
    drop(peer);
    let (_, mut nobody) = open(Protocol::Resp2).await;
    let answered = ask(&mut link, &mut nobody, "LPUSH l x", &identity(0), &[]).await;
    assert!(matches!(answered, Err(Failure::Unsent(_))));

    let (mut link, mut peer) = open(Protocol::Resp2).await;
    let inline = b"LPUSH l x\r\n";
    let mut decoder = Decoder::default();
    decoder.decode(inline, &DecodeLimits::default()).unwrap();
    let (asked, mut out) = (Asked::new(decoder.request(inline)), Vec::new());
    let (answered, ()) = tokio::join!(link.ask(asked, 0, &mut out), async {
        peer.hears("x\r\n").await;
        drop(peer);
    });
    assert!(
        matches!(answered, Err(Failure::Lost(Error::Upstream(text))) if text.contains("may or may not have run"))
    );
}

#[tokio::test]
async fn an_array_that_looks_like_a_confirmation_is_none() {
    let (mut link, mut peer) = open(Protocol::Resp2).await;
    let reply = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    ask(
        &mut link,
        &mut peer,
        "EVAL s 0",
        &identity(0),
        &[("0\r\n", reply)],
    )
    .await
    .unwrap();
    assert!(!link.has_state());
}
