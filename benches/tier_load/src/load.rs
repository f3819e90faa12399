//! Clients that send a batch each, wait for its replies and send the next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::Result;
use crate::clients::{Client, Poller};
use crate::flags::Flags;
use crate::keys;
use crate::replies::Tally;

struct Load {
    poller: Poller,
    clients: Vec<Client>,
    /// Of each client: replies it waits for, when it sent its batch and when it may send the next.
    turns: Vec<BatchState>,
    /// Clients that wait for their time, earliest first.
    resting: BinaryHeap<Reverse<(u64, usize)>>,
    requests: Requests,
    /// Clients that wait for replies.
    in_flight: usize,
    /// Between two batches of a client; 0 for no pause.
    period_ns: u64,
    begun: Instant,
    tally: Tally,
    /// Nanoseconds from sending a batch to the last of its replies.
    latencies_ns: Vec<u32>,
    first_error_unix_ms: Option<f64>,
}

#[derive(Clone, Copy, Default)]
struct BatchState {
    awaited: usize,
    sent_ns: u64,
    due_ns: u64,
}

/// The requests that are still to be sent, encoded when they are.
struct Requests {
    keys: std::vec::IntoIter<u32>,
    prefix: String,
    /// What follows the key: nothing, or a value.
    tail: Vec<u8>,
    head: &'static str,
    batch: usize,
    encoded: Vec<u8>,
}

/// See `main.rs`.
pub fn run(flags: &Flags) -> Result<()> {
    let mut load = Load::new(flags)?;
    load.run()?;
    load.report();
    Ok(())
}

impl Load {
    fn new(flags: &Flags) -> Result<Self> {
        let (port, clients) = (flags.needed("port")?, flags.get("clients", 50)?);
        let rate: u64 = flags.get("rate", 0)?;
        let requests = Requests::new(flags)?;
        let poller = Poller::new()?;
        let clients: Vec<Client> = (0..clients)
            .map(|_| Client::connect(port))
            .collect::<Result<_>>()?;
        for (number, client) in clients.iter().enumerate() {
            poller.add(&client.stream, number)?;
        }
        let batches = requests.keys.len() / requests.batch + clients.len();
        Ok(Self {
            poller,
            turns: vec![BatchState::default(); clients.len()],
            resting: BinaryHeap::new(),
            period_ns: (1_000_000_000 * clients.len() as u64 * requests.batch as u64)
                .checked_div(rate)
                .unwrap_or(0),
            clients,
            requests,
            in_flight: 0,
            begun: Instant::now(),
            tally: Tally::default(),
            latencies_ns: Vec::with_capacity(batches),
            first_error_unix_ms: None,
        })
    }

    fn run(&mut self) -> Result<()> {
        self.begun = Instant::now();
        let count = self.clients.len() as u64;
        for number in 0..self.clients.len() {
            self.turns[number].due_ns = self.period_ns * number as u64 / count;
            self.begin(number)?;
        }
        let mut buffer = vec![0; 64 * 1024];
        let mut ready = Vec::with_capacity(1024);
        while self.in_flight > 0 || !self.resting.is_empty() {
            let pause_ns = self
                .resting
                .peek()
                .map(|Reverse((due_ns, _))| due_ns.saturating_sub(self.now_ns()));
            ready.clear();
            ready.extend(self.poller.wait(pause_ns)?);
            for &number in &ready {
                self.clients[number].receive(&mut buffer)?;
                self.take_replies(number)?;
            }
            self.wake()?;
        }
        Ok(())
    }

    /// Lets the clients go on whose time has come.
    fn wake(&mut self) -> Result<()> {
        while let Some(&Reverse((due_ns, number))) = self.resting.peek()
            && due_ns <= self.now_ns()
        {
            self.resting.pop();
            self.send(number)?;
        }
        Ok(())
    }

    fn take_replies(&mut self, number: usize) -> Result<()> {
        let client = &mut self.clients[number];
        let errors_before = self.tally.errors;
        while let Some(bytes) = self.tally.take(client.received())? {
            client.take(bytes);
            self.turns[number].awaited -= 1;
        }
        if errors_before == 0 && self.tally.errors > 0 {
            self.first_error_unix_ms = Some(unix_ms());
        }
        if self.turns[number].awaited == 0 {
            self.in_flight -= 1;
            let taken_ns = self.now_ns() - self.turns[number].sent_ns;
            self.latencies_ns
                .push(u32::try_from(taken_ns).unwrap_or(u32::MAX));
            self.turns[number].due_ns += self.period_ns;
            self.begin(number)?;
        }
        Ok(())
    }

    /// Sends the client's next batch, if there is one, now or when it is due.
    fn begin(&mut self, number: usize) -> Result<()> {
        let due_ns = self.turns[number].due_ns;
        if self.requests.keys.len() == 0 {
            return Ok(());
        }
        if self.period_ns > 0 && due_ns > self.now_ns() {
            self.resting.push(Reverse((due_ns, number)));
            return Ok(());
        }
        self.send(number)
    }

    fn send(&mut self, number: usize) -> Result<()> {
        let (encoded, count) = self.requests.next_batch();
        if count == 0 {
            return Ok(());
        }
        self.in_flight += 1;
        self.turns[number].awaited = count;
        self.turns[number].sent_ns = self.begun.elapsed().as_nanos() as u64;
        self.clients[number].send(encoded)
    }

    fn now_ns(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    fn report(&mut self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        self.latencies_ns.sort_unstable();
        let last = self.latencies_ns.len().saturating_sub(1);
        let milliseconds = |share: f64| {
            let at = (share * last as f64).round() as usize;
            self.latencies_ns
                .get(at)
                .map_or(0.0, |&nanoseconds| f64::from(nanoseconds) / 1e6)
        };
        let tally = &self.tally;
        let requests = tally.values + tally.nils + tally.oks + tally.errors;
        let mut line = format!(
            "{{\"requests\": {requests}, \"seconds\": {seconds:.6}, \"per_second\": {:.1}",
            requests as f64 / seconds
        );
        for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
            let _ = write!(line, ", \"{name}_ms\": {:.4}", milliseconds(share));
        }
        let _ = write!(
            line,
            ", \"values\": {}, \"nils\": {}, \"oks\": {}, \"errors\": {}",
            tally.values, tally.nils, tally.oks, tally.errors
        );
        if let Some(text) = &tally.first_error {
            let at = self.first_error_unix_ms.unwrap_or(0.0);
            let _ = write!(
                line,
                ", \"first_error\": \"{text}\", \"first_error_unix_ms\": {at:.3}"
            );
        }
        println!("{line}}}");
    }
}

impl Requests {
    fn new(flags: &Flags) -> Result<Self> {
        let op: String = flags.get("op", "get".to_owned())?;
        let (head, tail) = match op.as_str() {
            "get" => ("*2\r\n$3\r\nGET\r\n", Vec::new()),
            "set" => {
                let bytes = flags.get("value-bytes", 64)?;
                let mut tail = format!("${bytes}\r\n").into_bytes();
                tail.resize(tail.len() + bytes, b'x');
                tail.extend_from_slice(b"\r\n");
                ("*3\r\n$3\r\nSET\r\n", tail)
            }
            _ => return Err("--op is get or set".into()),
        };
        let order: String = flags.get("keys", "uniform".to_owned())?;
        let (universe, seed) = (flags.get("universe", 100_000)?, flags.get("seed", 1)?);
        let requests = flags.get("requests", 100_000)?;
        Ok(Self {
            keys: keys::draw(&order, universe, requests, seed)?.into_iter(),
            prefix: flags.get("prefix", "key:".to_owned())?,
            tail,
            head,
            batch: flags.get("pipeline", 1)?,
            encoded: Vec::new(),
        })
    }

    /// The next batch and how many requests are in it; the last may be short.
    fn next_batch(&mut self) -> (&[u8], usize) {
        use std::io::Write as _;
        self.encoded.clear();
        let mut count = 0;
        for key in self.keys.by_ref().take(self.batch) {
            let out = &mut self.encoded;
            // Writing to memory does not fail.
            let _ = write!(
                out,
                "{}${}\r\n{}{key:012}\r\n",
                self.head,
                self.prefix.len() + 12,
                self.prefix
            );
            out.extend_from_slice(&self.tail);
            count += 1;
        }
        (&self.encoded, count)
    }
}

fn unix_ms() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}
