//! Tests: every order of fetches, replies, invalidations, writes, timeouts and losses on one connection.
//!
//! The pipeline is driven by hand: requests that it wants to send are taken from it, replies and messages are given
//! to it, and time is what the test says. Numbers in the names are those of the situations that tier tests must
//! contain.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::breaker::{self, State};
use super::check::Comparison;
use super::effect::Effect;
use super::fake::near_cache;
use super::order::{Answer, Fetch, Form, Forward, Order, Repeat, Work};
use super::pipeline::{Loss, Lost, Moment, Pipeline};
use super::status::{Status, tuning};
use super::wire::push_text_request;
use crate::commands::error::Error;
use crate::limits::{FEED_PROBE_MS, LINK_OVERDUE_TIMEOUTS};
use crate::services::Services;
use crate::store::{Approach, Key, Landing, Visit};

/// Unix milliseconds when a test begins.
const START_MS: u64 = 1_700_000_000_000;
/// `upstream-timeout-ms` of these tests.
const TIMEOUT_MS: u64 = 1000;

/// A pipeline with a store behind it and a hand-made clock.
struct Bench {
    services: Arc<Services>,
    status: Arc<Status>,
    pipeline: Pipeline,
    /// Milliseconds since the start.
    now_ms: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(settings: &[(&str, &str)]) -> Self {
        let config = near_cache().set_many(settings).unwrap();
        let services = Arc::new(Services::new(config, None));
        let status = Arc::new(Status::new(
            breaker::by_name("consecutive").unwrap(),
            &services.config.load(),
        ));
        let pipeline = Pipeline::new(&services, &status, 0, moment(0));
        Self {
            services,
            status,
            pipeline,
            now_ms: 0,
        }
    }

    /// What a client does that meets the key: joins its fetch or begins it.
    fn approach(&mut self, key: &str) -> Approach {
        let store = &self.services.store;
        let hash = store.hash(key.as_bytes());
        store
            .lock(hash)
            .absent()
            .approach(0, key.as_bytes(), self.unix_ms())
    }

    /// Begins the fetch of a key that nobody fetches.
    fn fetch(&mut self, key: &str) -> oneshot::Receiver<Landing> {
        let Approach::Lead(ticket, landing) = self.approach(key) else {
            panic!("{key} is known or being fetched")
        };
        self.place(
            Work::Fill(vec![Fetch {
                key: key.as_bytes().into(),
                ticket,
                form: Form::Text,
            }]),
            0,
        );
        landing
    }

    /// Passes a write of `key` on.
    fn write(&mut self, key: &str) -> oneshot::Receiver<Answer> {
        self.forward(
            &["SET", key, "mine"],
            Effect::Keys([key.as_bytes().into()].into()),
            0,
        )
    }

    /// Passes a request on that may be sent twice if it changes nothing.
    fn forward(&mut self, words: &[&str], effect: Effect, db: usize) -> oneshot::Receiver<Answer> {
        let repeat = if effect.is_any() {
            Repeat::Never
        } else {
            Repeat::Always
        };
        self.forward_repeatable(words, effect, db, repeat)
    }

    fn forward_repeatable(
        &mut self,
        words: &[&str],
        effect: Effect,
        db: usize,
        repeat: Repeat,
    ) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let mut request = Vec::new();
        push_text_request(&mut request, words);
        self.place(
            Work::Forward(Forward {
                request,
                effect,
                answer: Some(answer),
                repeat,
            }),
            db,
        );
        answered
    }

    fn place(&mut self, work: Work, db: usize) {
        let order = Order {
            db,
            deadline_ms: self.now_ms + TIMEOUT_MS,
            work,
            permit: self.status.enter(0),
            attempts: 0,
        };
        self.pipeline.place(order, moment(self.now_ms));
    }

    /// Takes what the pipeline wants to send: the words of all requests, joined.
    fn sent(&mut self) -> String {
        let bytes = self.pipeline.unsent().to_vec();
        self.pipeline.note_sent(bytes.len());
        let text = String::from_utf8(bytes).unwrap();
        let words = text
            .split("\r\n")
            .filter(|word| !word.is_empty() && !word.starts_with(['*', '$']));
        words.collect::<Vec<_>>().join(" ")
    }

    fn receive(&mut self, frame: &str) {
        self.pipeline.take(frame.as_bytes(), moment(self.now_ms)).unwrap();
    }

    /// Upstream's reply to a fetch: the value, to live for ever.
    fn receive_value(&mut self, value: &str) {
        self.receive(":-1\r\n");
        self.receive(&format!("${}\r\n{value}\r\n", value.len()));
    }

    fn invalidate(&mut self, key: &str) {
        self.receive(&format!(
            ">2\r\n$10\r\ninvalidate\r\n*1\r\n${}\r\n{key}\r\n",
            key.len()
        ));
    }

    fn invalidate_all(&mut self) {
        self.receive(">2\r\n$10\r\ninvalidate\r\n_\r\n");
    }

    /// Lets time pass.
    fn pass(&mut self, time_ms: u64) -> Result<(), Lost> {
        self.now_ms += time_ms;
        self.pipeline.tick(moment(self.now_ms))
    }

    /// Loses the connection, and makes another, on which nothing is placed again.
    fn lose(&mut self) -> Loss {
        let fresh = Pipeline::new(&self.services, &self.status, 0, moment(self.now_ms));
        let lost = std::mem::replace(&mut self.pipeline, fresh);
        let loss = lost.fail(
            &Lost::Broken(std::io::ErrorKind::ConnectionReset.into()),
            moment(self.now_ms),
        );
        self.services.store.begin_generation(self.unix_ms());
        loss
    }

    /// The same, and places on it what may be placed again.
    fn reconnect(&mut self) {
        for order in self.lose().again {
            self.pipeline.place_again(order, moment(self.now_ms));
        }
    }

    /// The copy that a read would be answered with.
    fn copy_of(&self, key: &str) -> Option<String> {
        let store = &self.services.store;
        let hash = store.hash(key.as_bytes());
        let visit = Visit::new(0, self.unix_ms());
        let mut shard = store.lock(hash);
        let key = Key::find(&mut shard, key.as_bytes(), hash, visit);
        let mut text = Vec::new();
        key.peek().ok()??.write_into(&mut text);
        Some(String::from_utf8(text).unwrap())
    }

    /// Whether there is a copy of any type.
    fn holds(&self, key: &str) -> bool {
        let store = &self.services.store;
        let hash = store.hash(key.as_bytes());
        let visit = Visit::new(0, self.unix_ms());
        Key::find(&mut store.lock(hash), key.as_bytes(), hash, visit).exists()
    }

    fn breaker(&self) -> State {
        let settings = &self.services.config.load().upstream;
        self.status.breaker.state(self.now_ms, tuning(settings))
    }

    fn unix_ms(&self) -> u64 {
        START_MS + self.now_ms
    }
}

fn moment(now_ms: u64) -> Moment {
    Moment {
        unix_ms: START_MS + now_ms,
        monotonic_ns: now_ms * 1_000_000,
    }
}

/// How a fetch ended, in one word.
fn ended(mut landing: oneshot::Receiver<Landing>) -> &'static str {
    match landing.try_recv() {
        Ok(Landing::Resident) => "resident",
        Ok(Landing::Missing) => "missing",
        Ok(Landing::NotKept) => "not kept",
        Ok(Landing::Overtaken) => "overtaken",
        Ok(Landing::Failed(_)) => "failed",
        Err(_) => "pending",
    }
}

fn answer(mut answered: oneshot::Receiver<Answer>) -> Result<String, String> {
    let answer = answered.try_recv().expect("it is answered");
    answer
        .map(|reply| String::from_utf8(reply.into()).unwrap())
        .map_err(|error| error.to_string())
}

/// All orders of `0..len`.
fn permutations(len: usize) -> Vec<Vec<usize>> {
    if len == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(len - 1);
    let insert = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, len - 1);
        order
    };
    shorter
        .iter()
        .flat_map(|order| (0..len).map(move |at| insert(order, at)))
        .collect()
}

#[test]
fn s01_of_a_thousand_readers_one_fetches_and_all_are_answered() {
    let mut bench = Bench::new();
    let leader = bench.fetch("k");
    let followers: Vec<_> = (1..1000)
        .map(|_| match bench.approach("k") {
            Approach::Follow(landing) => landing,
            _ => panic!("a second fetch"),
        })
        .collect();
    assert_eq!(bench.sent(), "PTTL k GET k");
    bench.receive(":5000\r\n");
    bench.receive("$1\r\n1\r\n");
    assert_eq!(ended(leader), "resident");
    assert!(
        followers
            .into_iter()
            .all(|follower| ended(follower) == "resident")
    );
    assert_eq!(bench.copy_of("k").as_deref(), Some("1"));
    bench.now_ms += 4999;
    assert!(bench.copy_of("k").is_some());
    bench.now_ms += 1;
    assert!(bench.copy_of("k").is_none(), "it lives as long as upstream's");
}

#[test]
fn s02_a_missing_key_is_remembered_for_the_negative_ttl_and_a_write_ends_that() {
    for (negative_ttl_ms, is_remembered) in [("0", false), ("2000", true)] {
        let mut bench = Bench::with(&[("negative-ttl-ms", negative_ttl_ms)]);
        let landing = bench.fetch("k");
        bench.receive(":-2\r\n");
        bench.receive("_\r\n");
        assert_eq!(ended(landing), "missing");
        assert_eq!(matches!(bench.approach("k"), Approach::Missing), is_remembered);
        bench.invalidate("k");
        assert!(!matches!(bench.approach("k"), Approach::Missing));
    }
}

#[test]
fn s04_a_copy_dies_no_later_than_upstreams() {
    let mut bench = Bench::new();
    bench.fetch("k");
    bench.now_ms += 300;
    bench.receive(":500\r\n");
    bench.receive("$1\r\n1\r\n");
    bench.now_ms = 499;
    assert!(bench.copy_of("k").is_some());
    bench.now_ms = 500;
    assert!(
        bench.copy_of("k").is_none(),
        "the time of sending counts, not that of the reply"
    );
}

#[test]
fn s05_a_fetch_that_times_out_leaves_nothing_behind_and_the_next_begins_anew() {
    let mut bench = Bench::new();
    let landing = bench.fetch("k");
    bench.pass(TIMEOUT_MS - 1).unwrap();
    bench.pass(1).unwrap();
    assert_eq!(ended(landing), "failed");
    let second = bench.fetch("k");
    bench.receive_value("late");
    assert!(
        bench.copy_of("k").is_none(),
        "the late reply is not the second fetch's"
    );
    bench.receive_value("2");
    assert_eq!(ended(second), "resident");
    assert_eq!(bench.copy_of("k").as_deref(), Some("2"));
}

#[test]
fn s06_no_order_of_reply_invalidation_and_second_read_keeps_the_old_value() {
    for order in permutations(3) {
        let mut bench = Bench::new();
        let first = bench.fetch("k");
        let mut second = None;
        for step in &order {
            match step {
                0 => bench.receive_value("1"),
                1 => bench.invalidate("k"),
                _ if bench.copy_of("k").is_some() => {}
                _ => second = Some(bench.approach("k")),
            }
        }
        assert_eq!(bench.copy_of("k"), None, "{order:?}");
        assert_ne!(ended(first), "pending", "{order:?}");
        if let Some(Approach::Lead(ticket, landing)) = second {
            bench.place(
                Work::Fill(vec![Fetch {
                    key: (*b"k").into(),
                    ticket,
                    form: Form::Text,
                }]),
                0,
            );
            bench.receive_value("2");
            assert_eq!(ended(landing), "resident", "{order:?}");
        } else {
            bench.fetch("k");
            bench.receive_value("2");
        }
        assert_eq!(bench.copy_of("k").as_deref(), Some("2"), "{order:?}");
    }
}

#[test]
fn s07_the_same_with_a_flush_and_with_the_connection_lost_in_between() {
    for order in permutations(3) {
        for loses in [false, true] {
            let mut bench = Bench::new();
            bench.fetch("k");
            let mut is_lost = false;
            for step in &order {
                match step {
                    0 if is_lost => {}
                    0 => bench.receive_value("1"),
                    1 if loses => {
                        _ = bench.lose();
                        is_lost = true;
                    }
                    1 => bench.invalidate_all(),
                    _ => _ = bench.copy_of("k"),
                }
            }
            assert_eq!(bench.copy_of("k"), None, "{order:?}, lost: {loses}");
        }
    }
}

#[test]
fn s08_a_writer_reads_its_own_write_whatever_is_being_fetched() {
    // The write before, between and behind the fetch's being sent and answered.
    let mut bench = Bench::new();
    bench.fetch("k");
    let answered = bench.write("k");
    assert_eq!(bench.sent(), "PTTL k GET k SET k mine");
    bench.receive_value("old");
    assert_eq!(
        bench.copy_of("k").as_deref(),
        Some("old"),
        "the writer has no reply yet"
    );
    bench.receive("+OK\r\n");
    assert_eq!(answer(answered).as_deref(), Ok("+OK\r\n"));
    assert_eq!(bench.copy_of("k"), None);

    let answered = bench.write("k");
    let landing = bench.fetch("k");
    bench.receive("+OK\r\n");
    assert_eq!(answer(answered).as_deref(), Ok("+OK\r\n"));
    bench.receive_value("mine");
    assert_eq!(ended(landing), "overtaken");
    assert_eq!(bench.copy_of("k"), None);
}

#[test]
fn s13_a_write_that_upstream_refuses_changes_nothing_here() {
    for refusal in ["OOM no", "READONLY no", "NOPERM no", "WRONGTYPE no"] {
        let mut bench = Bench::new();
        bench.fetch("k");
        bench.receive_value("1");
        let answered = bench.write("k");
        bench.receive(&format!("-{refusal}\r\n"));
        assert_eq!(answer(answered), Err(refusal.to_owned()));
        assert_eq!(bench.copy_of("k").as_deref(), Some("1"));
    }
}

#[test]
fn s14_a_write_whose_reply_is_lost_says_so_and_drops_the_copy() {
    let mut bench = Bench::new();
    bench.fetch("k");
    bench.receive_value("1");
    bench.fetch("other");
    bench.receive_value("1");
    let write = bench.write("k");
    let read = bench.forward_repeatable(&["DEBUG"], Effect::Nothing, 0, Repeat::Never);
    bench.sent();
    let store = Arc::clone(&bench.services);
    let pipeline = Pipeline::new(&store, &bench.status, 0, moment(0));
    std::mem::replace(&mut bench.pipeline, pipeline).fail(&Lost::Silent, moment(0));
    let error = answer(write).unwrap_err();
    assert!(
        error.starts_with("UPSTREAM connection lost") && error.ends_with("may or may not have been applied")
    );
    assert!(!answer(read).unwrap_err().contains("may or may not"));
    assert_eq!(bench.copy_of("k"), None);
    assert!(bench.copy_of("other").is_some());
}

#[test]
fn s14_a_write_that_times_out_drops_the_copy_now_and_again_when_it_is_known_to_have_run() {
    let mut bench = Bench::new();
    let answered = bench.write("k");
    bench.pass(TIMEOUT_MS).unwrap();
    let error = answer(answered).unwrap_err();
    assert!(
        error.contains("no answer within 1000 ms") && error.contains("may or may not"),
        "{error}"
    );
    let landing = bench.fetch("k");
    bench.receive("+OK\r\n");
    bench.receive_value("mine");
    assert_eq!(ended(landing), "overtaken");
}

#[test]
fn s16_late_replies_are_never_matched_to_other_requests() {
    let mut bench = Bench::new();
    let late: Vec<_> = (0..3)
        .map(|number| bench.fetch(&format!("late{number}")))
        .collect();
    let late_write = bench.write("w");
    bench.pass(TIMEOUT_MS).unwrap();
    assert!(late.into_iter().all(|landing| ended(landing) == "failed"));
    assert!(answer(late_write).is_err());
    let wanted = bench.fetch("wanted");
    let get = bench.forward(&["GET", "x"], Effect::Nothing, 0);
    for number in 0..3 {
        bench.receive_value(&format!("late{number}"));
    }
    bench.receive("+OK\r\n");
    bench.receive_value("wanted");
    bench.receive("$1\r\nx\r\n");
    assert_eq!(ended(wanted), "resident");
    assert_eq!(bench.copy_of("wanted").as_deref(), Some("wanted"));
    assert_eq!(answer(get).as_deref(), Ok("$1\r\nx\r\n"));
}

#[test]
fn s16_a_silent_upstream_costs_timeouts_until_the_breaker_opens_and_then_the_connection() {
    let mut bench = Bench::with(&[("breaker-failures", "3")]);
    for number in 0..3 {
        assert_eq!(bench.breaker(), State::Closed, "{number}");
        bench.fetch(&number.to_string());
    }
    bench.pass(TIMEOUT_MS).unwrap();
    assert_eq!(bench.breaker(), State::Open);
    let most_ms = TIMEOUT_MS * (LINK_OVERDUE_TIMEOUTS - 1);
    bench.pass(most_ms - 1).unwrap();
    assert!(matches!(bench.pass(1), Err(Lost::Silent)));
}

#[test]
fn s16_a_reply_closes_the_breaker() {
    let mut bench = Bench::with(&[("breaker-failures", "1")]);
    bench.fetch("k");
    bench.pass(TIMEOUT_MS).unwrap();
    assert_eq!(bench.breaker(), State::Open);
    bench.receive(":-1\r\n");
    assert_eq!(bench.breaker(), State::Closed);
}

#[test]
fn s15_every_order_under_way_on_a_lost_connection_is_a_failed_call() {
    let mut bench = Bench::new();
    (0..3).for_each(|number| _ = bench.fetch(&number.to_string()));
    bench.write("k");
    bench.pass(TIMEOUT_MS / 2).unwrap();
    bench.receive_value("1");
    assert_eq!(bench.lose().calls, 3, "one was answered");
    bench.fetch("late");
    bench.pass(TIMEOUT_MS).unwrap();
    assert_eq!(bench.lose().calls, 0, "a timeout is counted when it passes");
}

#[test]
fn reads_under_way_on_a_lost_connection_are_answered_over_the_next() {
    let mut bench = Bench::new();
    let landing = bench.fetch("k");
    let get = bench.forward(&["GET", "big"], Effect::Nothing, 0);
    let later = bench.forward(&["GET", "x"], Effect::Nothing, 3);
    assert_eq!(bench.sent(), "PTTL k GET k GET big SELECT 3");
    bench.receive(":-1\r\n");
    bench.reconnect();
    assert_eq!(bench.sent(), "PTTL k GET k GET big SELECT 3", "the same again");
    bench.receive_value("new");
    bench.receive("$3\r\nbig\r\n");
    bench.receive("+OK\r\n");
    assert_eq!(bench.sent(), "GET x");
    bench.receive("$1\r\nx\r\n");
    assert_eq!(ended(landing), "resident");
    assert_eq!(bench.copy_of("k").as_deref(), Some("new"));
    assert_eq!(answer(get).as_deref(), Ok("$3\r\nbig\r\n"));
    assert_eq!(answer(later).as_deref(), Ok("$1\r\nx\r\n"));
    assert_eq!((bench.status.pending(), bench.status.retries.get()), (0, 3));
}

#[test]
fn a_fetch_of_several_keys_goes_on_with_those_that_have_not_come() {
    let mut bench = Bench::new();
    let (mut fetches, mut landings) = (Vec::new(), Vec::new());
    for key in ["a", "b", "c"] {
        let Approach::Lead(ticket, landing) = bench.approach(key) else {
            panic!("{key} is known")
        };
        let (key, form) = (key.as_bytes().into(), Form::Text);
        fetches.push(Fetch { key, ticket, form });
        landings.push(landing);
    }
    bench.place(Work::Fill(fetches), 0);
    bench.sent();
    bench.receive_value("1");
    bench.receive(":-1\r\n");
    bench.reconnect();
    assert_eq!(bench.sent(), "PTTL b GET b PTTL c GET c");
    bench.receive_value("2");
    bench.receive_value("3");
    assert!(landings.into_iter().all(|landing| ended(landing) == "resident"));
    assert_eq!(bench.status.pending(), 0);
}

#[test]
fn a_fetch_that_somebody_began_anew_meanwhile_is_not_sent_again() {
    let mut bench = Bench::new();
    let first = bench.fetch("k");
    bench.sent();
    let loss = bench.lose();
    let second = bench.fetch("k");
    assert_eq!(ended(first), "overtaken");
    for order in loss.again {
        bench.pipeline.place_again(order, moment(0));
    }
    assert_eq!(bench.sent(), "PTTL k GET k");
    bench.receive_value("1");
    assert_eq!(ended(second), "resident");
}

#[test]
fn s06_an_invalidation_behind_the_second_sending_overtakes_it_like_any() {
    let mut bench = Bench::new();
    let landing = bench.fetch("k");
    bench.sent();
    bench.reconnect();
    bench.receive(":-1\r\n");
    bench.invalidate("k");
    bench.receive("$1\r\n1\r\n");
    assert_eq!(ended(landing), "overtaken");
    assert_eq!(bench.copy_of("k"), None);
}

#[test]
fn s14_a_write_is_sent_again_only_if_upstream_can_not_have_had_all_of_it() {
    let words = ["SET", "k", "mine"];
    let request = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nmine\r\n";
    for sent_bytes in 0..=request.len() {
        let mut bench = Bench::new();
        // Bytes before it and behind it make no difference.
        let before = bench.forward(&["DBSIZE"], Effect::Nothing, 0);
        bench.sent();
        let answered = bench.forward(&words, Effect::Keys([(*b"k").into()].into()), 0);
        let behind = bench.write("behind");
        bench.pipeline.note_sent(sent_bytes);
        bench.receive(":0\r\n");
        assert!(answer(before).is_ok());
        bench.reconnect();
        if sent_bytes == request.len() {
            assert_eq!(bench.sent(), "SET behind mine");
            assert!(answer(answered).unwrap_err().contains("may or may not"));
            continue;
        }
        assert!(
            bench.pipeline.unsent().starts_with(request.as_bytes()),
            "{sent_bytes}"
        );
        assert_eq!(bench.sent(), "SET k mine SET behind mine");
        bench.receive("+OK\r\n");
        bench.receive("+OK\r\n");
        assert!(answer(answered).is_ok() && answer(behind).is_ok());
        assert_eq!(bench.status.pending(), 0);
    }
}

#[test]
fn what_a_client_may_have_sent_before_a_write_is_not_answered_after_it() {
    for (writes_before, writes_behind) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let mut bench = Bench::new();
        let writes = |bench: &mut Bench, count| (0..count).for_each(|_| _ = bench.write("w"));
        writes(&mut bench, writes_before);
        let size = bench.forward_repeatable(&["DBSIZE"], Effect::Nothing, 0, Repeat::BeforeWrites);
        writes(&mut bench, writes_behind);
        bench.sent();
        bench.reconnect();
        if writes_behind == 0 {
            assert_eq!(bench.sent(), "DBSIZE");
        } else {
            assert_eq!(bench.sent(), "");
            assert!(answer(size).unwrap_err().starts_with("UPSTREAM connection lost"));
        }
    }
}

#[test]
fn an_order_is_sent_as_often_as_the_retries_allow_and_no_longer_than_its_time() {
    for (retries, sendings) in [("0", 1), ("2", 3)] {
        let mut bench = Bench::with(&[("upstream-retries", retries)]);
        let landing = bench.fetch("k");
        for _ in 0..sendings {
            assert_eq!(bench.sent(), "PTTL k GET k");
            bench.reconnect();
        }
        assert_eq!(bench.sent(), "");
        assert_eq!(ended(landing), "failed");
        assert_eq!(bench.status.pending(), 0);
    }
    let mut bench = Bench::new();
    let (landing, write) = (bench.fetch("k"), bench.write("unsent"));
    bench.now_ms += TIMEOUT_MS;
    assert!(bench.lose().again.is_empty());
    assert_eq!(ended(landing), "failed");
    assert!(!answer(write).unwrap_err().contains("may or may not"));
}

#[test]
fn what_was_given_up_is_not_sent_again() {
    let mut bench = Bench::new();
    let (landing, read) = (bench.fetch("k"), bench.forward(&["GET", "x"], Effect::Nothing, 0));
    bench.sent();
    bench.pass(TIMEOUT_MS).unwrap();
    let fresh = bench.fetch("k2");
    bench.sent();
    bench.reconnect();
    assert_eq!(bench.sent(), "PTTL k2 GET k2");
    bench.receive_value("2");
    assert_eq!([ended(landing), ended(fresh)], ["failed", "resident"]);
    assert!(answer(read).is_err());
}

#[test]
fn s18_an_idle_connection_is_probed_and_given_up_when_the_probe_is_not_answered() {
    let mut bench = Bench::new();
    assert_eq!(bench.pipeline.next_tick_ms(), FEED_PROBE_MS);
    bench.pass(FEED_PROBE_MS).unwrap();
    assert_eq!(bench.sent(), "PING");
    assert_eq!(bench.status.feed_lag_ms(bench.now_ms), FEED_PROBE_MS);
    bench.now_ms += 5;
    bench.receive("+PONG\r\n");
    assert_eq!(bench.status.feed_lag_ms(bench.now_ms), 5);
    bench.pass(FEED_PROBE_MS).unwrap();
    assert_eq!(bench.sent(), "PING");
    bench.pass(TIMEOUT_MS - 1).unwrap();
    assert!(matches!(bench.pass(1), Err(Lost::Silent)));
}

#[test]
fn s19_an_upstream_that_loads_is_down_and_gives_no_values() {
    let mut bench = Bench::new();
    let landing = bench.fetch("k");
    bench.sent();
    let loading = "-LOADING Redis is loading the dataset in memory\r\n";
    let lost = bench.pipeline.take(loading.as_bytes(), moment(0));
    assert!(matches!(lost, Err(Lost::Loading)));
    bench.reconnect();
    assert_eq!(bench.sent(), "", "what was answered is not asked again");
    assert_eq!(ended(landing), "failed");
    assert_eq!(bench.copy_of("k"), None);
}

#[test]
fn values_that_are_not_kept_are_asked_for_elsewhere_until_somebody_writes_them() {
    let mut bench = Bench::with(&[("fill-value-max-bytes", "3")]);
    let landing = bench.fetch("k");
    bench.receive(":-1\r\n");
    bench.receive("$4\r\nlong\r\n");
    assert_eq!(ended(landing), "not kept");
    assert!(matches!(bench.approach("k"), Approach::Elsewhere));
    bench.invalidate("k");
    bench.fetch("k");
    bench.receive_value("abc");
    assert_eq!(bench.copy_of("k").as_deref(), Some("abc"));
}

/// What upstream answers when it is asked by GET for a value that is no text.
fn receive_wrong_type(bench: &mut Bench) {
    bench.receive(":-1\r\n");
    bench.receive("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
}

/// The payload of a list whose elements are `a` and 1, which happens to be text but for a few bytes.
const LIST: &[u8] = b"\x01\x02\x01a\xc0\x01\x09\x00\xd2\x06\x9e\x95\xf6gz\x8b";

/// Upstream's reply to a fetch by DUMP.
fn receive_payload(bench: &mut Bench, payload: &[u8]) {
    bench.receive(":-1\r\n");
    let frame = [format!("${}\r\n", payload.len()).as_bytes(), payload, b"\r\n"].concat();
    bench.pipeline.take(&frame, moment(bench.now_ms)).unwrap();
}

#[test]
fn what_is_no_text_is_asked_for_once_more_in_the_form_that_any_value_has() {
    let mut bench = Bench::new();
    let leader = bench.fetch("k");
    assert_eq!(bench.sent(), "PTTL k GET k");
    receive_wrong_type(&mut bench);
    let Approach::Follow(follower) = bench.approach("k") else {
        panic!("the fetch goes on")
    };
    assert_eq!(bench.sent(), "PTTL k DUMP k");
    receive_payload(&mut bench, LIST);
    assert_eq!([ended(leader), ended(follower)], ["resident", "resident"]);
    assert!(bench.holds("k"));
    assert_eq!(bench.status.pending(), 0);
}

#[test]
fn a_payload_that_a_write_overtakes_is_not_kept_wherever_the_write_comes_in_between() {
    for step in 0..3 {
        let mut bench = Bench::new();
        let landing = bench.fetch("k");
        for reply in 0..3 {
            if reply == step {
                bench.invalidate("k");
            }
            match reply {
                0 => receive_wrong_type(&mut bench),
                1 => bench.receive(":-1\r\n"),
                _ => {
                    let frame = [format!("${}\r\n", LIST.len()).as_bytes(), LIST, b"\r\n"].concat();
                    bench.pipeline.take(&frame, moment(0)).unwrap();
                }
            }
        }
        assert_eq!(ended(landing), "overtaken", "{step}");
        assert!(!bench.holds("k"));
    }
}

#[test]
fn payloads_that_are_not_to_be_had_or_mean_nothing_here_leave_the_key_to_upstream() {
    let of_the_future = &[b"\x00\x03bar\xff\xff", &[0; 8][..]].concat();
    let mut bench = Bench::with(&[("fill-value-max-bytes", "100")]);
    for refusal in ["NOPERM no", "ERR unknown command 'DUMP'"] {
        let landing = bench.fetch("k");
        receive_wrong_type(&mut bench);
        bench.receive(":-1\r\n");
        bench.receive(&format!("-{refusal}\r\n"));
        assert_eq!(ended(landing), "not kept", "{refusal}");
        assert!(matches!(bench.approach("k"), Approach::Elsewhere));
        bench.invalidate("k");
    }
    for payload in [&of_the_future[..], &[b'x'; 101], b""] {
        let landing = bench.fetch("k");
        receive_wrong_type(&mut bench);
        receive_payload(&mut bench, payload);
        assert_eq!(ended(landing), "not kept");
        bench.invalidate("k");
    }
    let landing = bench.fetch("k");
    receive_wrong_type(&mut bench);
    bench.receive(":-1\r\n");
    bench.receive("-MASTERDOWN no\r\n");
    assert_eq!(ended(landing), "failed", "it will do better another time");
}

#[test]
fn a_second_request_waits_for_its_database_and_ends_with_the_first_ones_time() {
    let mut bench = Bench::new();
    let landing = bench.fetch("k");
    let other = bench.forward(&["GET", "x"], Effect::Nothing, 3);
    assert_eq!(bench.sent(), "PTTL k GET k SELECT 3");
    receive_wrong_type(&mut bench);
    assert_eq!(bench.sent(), "", "the database is not known yet");
    bench.receive("+OK\r\n");
    assert_eq!(bench.sent(), "GET x SELECT 0 PTTL k DUMP k");
    bench.pass(TIMEOUT_MS).unwrap();
    assert_eq!(ended(landing), "failed");
    assert!(answer(other).is_err());

    let mut bench = Bench::new();
    let landing = bench.fetch("k");
    bench.forward(&["GET", "x"], Effect::Nothing, 3);
    bench.sent();
    receive_wrong_type(&mut bench);
    bench.reconnect();
    assert_eq!(
        bench.sent(),
        "PTTL k DUMP k SELECT 3",
        "what was not sent yet stays in line"
    );
    receive_payload(&mut bench, LIST);
    assert_eq!(ended(landing), "resident");
}

#[test]
fn errors_of_a_fetch_are_the_clients_answer() {
    for (time_to_live, value) in [("-NOPERM no\r\n", "$1\r\n1\r\n"), (":-1\r\n", "-NOPERM no\r\n")] {
        let mut bench = Bench::new();
        let mut landing = bench.fetch("k");
        bench.receive(time_to_live);
        bench.receive(value);
        let Ok(Landing::Failed(text)) = landing.try_recv() else {
            panic!("{time_to_live}")
        };
        assert_eq!(&*text, "NOPERM no");
    }
}

#[test]
fn s28_a_database_is_selected_before_its_requests_and_first_tried_alone() {
    let mut bench = Bench::new();
    let third = bench.forward(&["GET", "x"], Effect::Nothing, 3);
    assert!(
        !bench.pipeline.has_room(),
        "what comes next waits until the database is known"
    );
    assert_eq!(bench.sent(), "SELECT 3");
    bench.receive("+OK\r\n");
    assert_eq!(bench.sent(), "GET x");
    let first = bench.forward(&["GET", "x"], Effect::Nothing, 0);
    let again = bench.forward(&["GET", "x"], Effect::Nothing, 3);
    assert_eq!(bench.sent(), "SELECT 0 GET x SELECT 3 GET x");
    for reply in ["$1\r\na\r\n", "+OK\r\n", "$1\r\nb\r\n", "+OK\r\n", "$1\r\nc\r\n"] {
        bench.receive(reply);
    }
    let answers = [third, first, again].map(|answered| answer(answered).unwrap());
    assert_eq!(answers, ["$1\r\na\r\n", "$1\r\nb\r\n", "$1\r\nc\r\n"]);
}

#[test]
fn s28_no_request_runs_in_a_database_that_upstream_refused_to_select() {
    let mut bench = Bench::new();
    let tried = bench.forward(&["SET", "x", "1"], Effect::Nothing, 9);
    assert_eq!(bench.sent(), "SELECT 9");
    bench.receive("-ERR DB index is out of range\r\n");
    assert_eq!(answer(tried), Err("ERR DB index is out of range".to_owned()));
    let again = bench.forward(&["SET", "x", "1"], Effect::Nothing, 9);
    assert_eq!(answer(again), Err("ERR DB index is out of range".to_owned()));
    bench.forward(&["PING"], Effect::Nothing, 0);
    assert_eq!(bench.sent(), "PING");
}

#[test]
fn s30_a_barrier_is_behind_all_invalidations_that_came_before_it() {
    let mut bench = Bench::new();
    bench.fetch("k");
    bench.receive_value("1");
    let (sender, mut passed) = oneshot::channel();
    bench.place(Work::Barrier(sender), 0);
    bench.invalidate("k");
    assert!(passed.try_recv().is_err());
    bench.receive("+PONG\r\n");
    assert!(passed.try_recv().is_ok());
    assert_eq!(bench.copy_of("k"), None);
}

#[test]
fn a_barrier_that_can_not_be_passed_is_not_passed() {
    let mut bench = Bench::new();
    let mut barriers = [oneshot::channel(), oneshot::channel()].map(|(sender, passed)| {
        bench.place(Work::Barrier(sender), 0);
        passed
    });
    bench.pass(TIMEOUT_MS).unwrap();
    assert_eq!(barriers[0].try_recv(), Err(oneshot::error::TryRecvError::Closed));
    assert!(bench.lose().again.is_empty());
    assert_eq!(barriers[1].try_recv(), Err(oneshot::error::TryRecvError::Closed));
}

#[test]
fn a_reply_that_nothing_asked_for_ends_the_connection() {
    let mut bench = Bench::new();
    assert!(matches!(
        bench.pipeline.take(b"+OK\r\n", moment(0)),
        Err(Lost::Unasked)
    ));
}

#[test]
fn an_order_that_comes_too_late_is_not_sent() {
    let mut bench = Bench::new();
    let (answer_to, answered) = oneshot::channel();
    let forward = Forward {
        request: b"*0\r\n".to_vec(),
        effect: Effect::Everything,
        answer: Some(answer_to),
        repeat: Repeat::Never,
    };
    let order = Order {
        db: 0,
        deadline_ms: 10,
        work: Work::Forward(forward),
        permit: bench.status.enter(4),
        attempts: 0,
    };
    bench.pipeline.place(order, moment(10));
    assert!(bench.pipeline.unsent().is_empty());
    assert_eq!(
        answer(answered),
        Err(Error::Upstream("no answer within 1000 ms".into()).to_string())
    );
    assert_eq!(bench.status.pending(), 0);
}

#[test]
fn a_copy_that_differs_from_upstream_is_dropped_and_counted() {
    let mut bench = Bench::new();
    let mut landing = bench.fetch("k");
    bench.receive_value("old");
    assert!(matches!(landing.try_recv(), Ok(Landing::Resident)));
    for (reply, mismatched) in [("$3\r\nold\r\n", 0), ("-LOADING no\r\n", 0), ("$3\r\nnew\r\n", 1)] {
        let (comparison, _found) = Comparison::alone("k");
        bench.place(Work::Compare(vec![comparison]), 0);
        // An upstream that loads its data proves nothing, and is left.
        let _ = bench.pipeline.take(b":-1\r\n", moment(bench.now_ms));
        let _ = bench.pipeline.take(reply.as_bytes(), moment(bench.now_ms));
        assert_eq!(bench.status.checks.mismatched.get(), mismatched, "{reply}");
    }
    assert_eq!(bench.copy_of("k"), None);
}
