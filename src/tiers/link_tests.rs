//! Tests of the link with an upstream that the test speaks for: connecting, losing, connecting again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::breaker;
use super::effect::Effect;
use super::fake::{Fake, Peer, Switch, near_cache};
use super::link::Link;
use super::nodes::NodeState;
use super::order::{Answer, Forward, Order, Repeat, Work};
use super::status::{FeedMode, LinkState, Status};
use super::upstream::Upstream;
use super::wire::push_text_request;
use crate::services::Services;

/// A link on this task's runtime.
struct Bench {
    upstream: Arc<dyn Upstream>,
    services: Arc<Services>,
    status: Arc<Status>,
    orders: mpsc::Sender<Order>,
    peers: mpsc::Receiver<Peer>,
    switch: Switch,
    task: JoinHandle<()>,
}

impl Bench {
    fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_at(&["redis://fake"], settings)
    }

    fn start_at(urls: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut config = near_cache();
        config.upstream.backoff_min = Duration::from_millis(1);
        config.upstream.backoff_max = Duration::from_millis(10);
        config.upstream.connect_timeout = Duration::from_mins(1);
        let config = config.set_many(settings).unwrap();
        let services = Arc::new(Services::new(config, None));
        let status = Arc::new(Status::new(
            breaker::by_name("consecutive").unwrap(),
            &services.config.load(),
        ));
        let (fake, peers, switch) = Fake::at(urls);
        let upstream: Arc<dyn Upstream> = Arc::new(fake);
        let (orders, receiver) = mpsc::channel(16);
        let link = Link::new(
            Arc::clone(&upstream),
            Arc::clone(&services),
            Arc::clone(&status),
            receiver,
        );
        Self {
            upstream,
            services,
            status,
            orders,
            peers,
            switch,
            task: tokio::spawn(link.run(|| ())),
        }
    }

    async fn accept(&mut self) -> Peer {
        self.peers.recv().await.expect("the link connects")
    }

    async fn is(&self, state: LinkState) {
        while self.status.state() != state {
            tokio::task::yield_now().await;
        }
    }

    async fn forward(&self, words: &[&str], effect: Effect) -> oneshot::Receiver<Answer> {
        self.forward_within(words, effect, 60_000).await
    }

    async fn forward_within(
        &self,
        words: &[&str],
        effect: Effect,
        time_ms: u64,
    ) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let mut request = Vec::new();
        push_text_request(&mut request, words);
        let deadline_ms = self.services.clock.monotonic_ms() + time_ms;
        let repeat = if effect.is_any() {
            Repeat::Never
        } else {
            Repeat::Always
        };
        let work = Work::Forward(Forward {
            request,
            effect,
            answer: Some(answer),
            repeat,
        });
        let order = Order {
            db: 0,
            deadline_ms,
            work,
            permit: self.status.enter(0),
            attempts: 0,
        };
        self.orders
            .send(order)
            .await
            .unwrap_or_else(|_| panic!("the link runs"));
        answered
    }
}

fn error(answer: Answer) -> String {
    answer.unwrap_err().to_string()
}

#[tokio::test]
async fn tracking_is_armed_before_the_link_is_used_and_again_after_each_loss() {
    let mut bench = Bench::start(&[]);
    for connects in 1..4 {
        let mut peer = bench.accept().await;
        let handshake = peer.lets_in().await;
        let armed = "*5\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$2\r\nON\r\n$6\r\nNOLOOP\r\n$5\r\nBCAST\r\n";
        assert!(handshake.contains(armed), "{handshake}");
        bench.is(LinkState::Up).await;
        let answered = bench.forward(&["GET", "k"], Effect::Nothing).await;
        assert_eq!(
            peer.hears("GET\r\n$1\r\nk\r\n").await,
            "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
        );
        peer.says("$1\r\nv\r\n").await;
        assert_eq!(&*answered.await.unwrap().unwrap(), b"$1\r\nv\r\n");
        assert_eq!(bench.status.connects.get(), connects);
    }
}

#[tokio::test]
async fn an_upstream_without_tracking_is_used_without_a_feed() {
    let mut bench = Bench::start(&[]);
    let mut peer = bench.accept().await;
    peer.hears("PING\r\n").await;
    peer.says("%1\r\n$2\r\nid\r\n:7\r\n+OK\r\n-ERR unknown subcommand 'TRACKING'\r\n+PONG\r\n")
        .await;
    bench.is(LinkState::Up).await;
    assert_eq!(bench.status.feed_mode(), FeedMode::Ttl);
}

#[tokio::test]
async fn an_upstream_that_still_loads_its_data_is_down_and_says_why() {
    let mut bench = Bench::start(&[]);
    let mut peer = bench.accept().await;
    peer.hears("PING\r\n").await;
    peer.says("%1\r\n$2\r\nid\r\n:7\r\n+OK\r\n+OK\r\n-LOADING not yet\r\n")
        .await;
    bench.is(LinkState::Down).await;
    let trouble = bench.status.trouble().to_string();
    assert_eq!(
        trouble,
        "UPSTREAM not connected: fake:6379: PING was refused: LOADING not yet"
    );
    peer.has_left().await;
}

#[tokio::test]
async fn an_upstream_that_speaks_nonsense_is_left_alone_and_asked_again_later() {
    let mut bench = Bench::start(&[]);
    let mut peer = bench.accept().await;
    peer.hears("PING\r\n").await;
    peer.says("HTTP/1.1 400 Bad Request\r\n").await;
    peer.has_left().await;
    let mut peer = bench.accept().await;
    peer.lets_in().await;
    bench.is(LinkState::Up).await;
    peer.says("nonsense\r\n").await;
    peer.has_left().await;
    bench.accept().await;
}

#[tokio::test]
async fn while_upstream_is_down_orders_fail_at_once_and_after_that_all_is_well() {
    let mut bench = Bench::start(&[]);
    let peer = bench.accept().await;
    bench.switch.set_down(true);
    drop(peer);
    bench.is(LinkState::Down).await;
    let answered = bench.forward(&["GET", "k"], Effect::Nothing).await;
    assert!(error(answered.await.unwrap()).starts_with("UPSTREAM not connected: fake:6379: "));
    bench.switch.set_down(false);
    let mut peer = bench.accept().await;
    peer.lets_in().await;
    bench.is(LinkState::Up).await;
    let answered = bench.forward(&["GET", "k"], Effect::Nothing).await;
    peer.hears("k\r\n").await;
    peer.says("_\r\n").await;
    assert!(answered.await.unwrap().is_ok());
}

#[tokio::test]
async fn what_is_outstanding_when_the_link_is_lost_fails_and_what_l1_holds_is_old() {
    let mut bench = Bench::start(&[]);
    let mut peer = bench.accept().await;
    peer.lets_in().await;
    let written = bench
        .forward(&["SET", "k", "v"], Effect::Keys([(*b"k").into()].into()))
        .await;
    peer.hears("v\r\n").await;
    drop(peer);
    let text = error(written.await.unwrap());
    assert!(
        text.starts_with("UPSTREAM connection lost") && text.contains("may or may not"),
        "{text}"
    );
}

/// Each node is logged in to as its own address says, and the first that lets the link in keeps it.
#[tokio::test]
async fn nodes_are_tried_in_order_and_left_only_when_they_are_lost() {
    let urls = ["redis://gone", "redis://:one@strict/1", "redis://app:two@good/2"];
    let mut bench = Bench::start_at(&urls, &[]);
    // The link does not run before this task waits.
    bench.switch.set_node_down(0, true);
    let mut strict = bench.accept().await;
    let handshake = strict.hears("PING\r\n").await;
    assert!(
        handshake.contains("AUTH\r\n$7\r\ndefault\r\n$3\r\none\r\n"),
        "{handshake}"
    );
    strict
        .says("-WRONGPASS no\r\n-NOAUTH\r\n-NOAUTH\r\n-NOAUTH\r\n")
        .await;
    let mut good = bench.accept().await;
    let handshake = good.lets_in().await;
    assert!(
        handshake.contains("AUTH\r\n$3\r\napp\r\n$3\r\ntwo\r\n"),
        "{handshake}"
    );
    assert!(handshake.contains("SELECT\r\n$1\r\n2\r\n"), "{handshake}");
    bench.is(LinkState::Up).await;
    let nodes = bench.upstream.nodes();
    let states: Vec<NodeState> = nodes.iter().map(|(_, node)| node.state()).collect();
    assert_eq!(states, [NodeState::Down, NodeState::Down, NodeState::Up]);
    assert_eq!((nodes.active_place(), nodes.active().name()), (2, "good:6379"));
    assert!(nodes.at(1).last_error().unwrap().contains("WRONGPASS no"));
    // The first is back: the link stays, and goes there when it loses its connection.
    bench.switch.set_node_down(0, false);
    let answered = bench.forward(&["GET", "k"], Effect::Nothing).await;
    good.hears("k\r\n").await;
    good.says("_\r\n").await;
    assert!(answered.await.unwrap().is_ok());
    drop(good);
    let mut first = bench.accept().await;
    let handshake = first.lets_in().await;
    assert!(
        !handshake.contains("AUTH") && handshake.contains("SELECT\r\n$1\r\n0\r\n"),
        "{handshake}"
    );
    while bench.upstream.nodes().active_place() != 0 {
        tokio::task::yield_now().await;
    }
    let left = bench.upstream.nodes().at(2);
    assert_eq!((left.state(), left.connects.get()), (NodeState::Down, 1));
    assert_eq!(left.failures.get(), 1);
}

#[tokio::test]
async fn when_no_node_lets_the_link_in_it_says_what_is_wrong_with_each() {
    let bench = Bench::start_at(&["redis://a", "redis://b"], &[]);
    bench.switch.set_down(true);
    while !bench
        .status
        .trouble()
        .to_string()
        .contains("a:6379: connection refused; b:6379: ")
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_read_under_way_is_answered_over_the_next_connection() {
    let mut bench = Bench::start(&[]);
    let mut peer = bench.accept().await;
    peer.lets_in().await;
    let answered = bench.forward(&["GET", "k"], Effect::Nothing).await;
    peer.hears("k\r\n").await;
    drop(peer);
    let mut peer = bench.accept().await;
    peer.lets_in().await;
    peer.hears("GET\r\n$1\r\nk\r\n").await;
    peer.says("$1\r\nv\r\n").await;
    assert_eq!(&*answered.await.unwrap().unwrap(), b"$1\r\nv\r\n");
    assert_eq!(bench.status.retries.get(), 1);
}

#[tokio::test]
async fn a_read_is_given_up_after_as_many_retries_as_there_may_be() {
    let mut bench = Bench::start(&[("upstream-retries", "2")]);
    let mut answered = None;
    for _ in 0..3 {
        let mut peer = bench.accept().await;
        peer.lets_in().await;
        if answered.is_none() {
            answered = Some(bench.forward(&["GET", "k"], Effect::Nothing).await);
        }
        peer.hears("k\r\n").await;
    }
    let text = error(answered.unwrap().await.unwrap());
    assert!(text.starts_with("UPSTREAM connection lost"), "{text}");
}

#[tokio::test]
async fn a_read_is_given_up_when_connecting_fails_as_often() {
    let mut bench = Bench::start(&[("upstream-retries", "2")]);
    let mut peer = bench.accept().await;
    peer.lets_in().await;
    let answered = bench.forward(&["GET", "k"], Effect::Nothing).await;
    peer.hears("k\r\n").await;
    bench.switch.set_down(true);
    drop(peer);
    let text = error(answered.await.unwrap());
    assert!(text.starts_with("UPSTREAM not connected: fake"), "{text}");
    assert!(bench.status.failures.get() >= 3, "the loss and two attempts");
    assert_eq!(bench.status.pending(), 0);
}

#[tokio::test]
async fn a_read_does_not_wait_for_a_connection_longer_than_it_may() {
    let mut bench = Bench::start(&[]);
    let mut peer = bench.accept().await;
    peer.lets_in().await;
    let answered = bench.forward_within(&["GET", "k"], Effect::Nothing, 300).await;
    peer.hears("k\r\n").await;
    drop(peer);
    // It connects and is never let in.
    let peer = bench.accept().await;
    let text = error(answered.await.unwrap());
    assert!(text.starts_with("UPSTREAM no answer within"), "{text}");
    drop(peer);
}

#[tokio::test]
async fn the_link_ends_with_those_who_use_it() {
    let mut bench = Bench::start(&[]);
    let mut peer = bench.accept().await;
    peer.lets_in().await;
    drop(bench.orders);
    bench.task.await.unwrap();
    peer.has_left().await;
}
