//! A proxy that is far away: replies arrive so much later, however many there are. Prints its port, and takes orders
//! from standard input: `hold` keeps all replies back, `pass` lets them go, the end of it ends the proxy.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

use crate::Result;
use crate::clients::Poller;
use crate::flags::Flags;

/// Numbers of descriptors that are no socket of a pair.
const LISTENER: usize = usize::MAX;
const ORDERS: usize = usize::MAX - 1;

/// Sockets `2n` and `2n + 1` are the client and the server of pair n.
struct Proxy {
    poller: Poller,
    sockets: Vec<Option<Socket>>,
    /// Replies on their way: when they arrive, and at which socket. In order, since the delay is the same for all.
    flying: VecDeque<(u64, usize, Vec<u8>)>,
    delay_ns: u64,
    holds: bool,
    begun: Instant,
    server_port: u16,
    buffer: Vec<u8>,
}

struct Socket {
    stream: TcpStream,
    /// What it has had no room for.
    unsent: VecDeque<u8>,
}

/// See `main.rs`.
pub fn run(flags: &Flags) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let mut proxy = Proxy {
        poller: Poller::new()?,
        sockets: Vec::new(),
        flying: VecDeque::new(),
        delay_ns: flags.get("delay-us", 1000)? * 1000,
        holds: false,
        begun: Instant::now(),
        server_port: flags.needed("to")?,
        buffer: vec![0; 64 * 1024],
    };
    proxy.poller.add(&listener, LISTENER)?;
    proxy.poller.add(io::stdin(), ORDERS)?;
    println!("{}", listener.local_addr()?.port());
    let mut ready = Vec::new();
    loop {
        let pause_ns = proxy.next_arrival_ns();
        ready.clear();
        ready.extend(proxy.poller.wait(pause_ns)?);
        for &number in &ready {
            match number {
                LISTENER => proxy.accept(&listener)?,
                ORDERS if !proxy.take_order()? => return Ok(()),
                ORDERS => {}
                _ => proxy.pass(number)?,
            }
        }
        proxy.deliver()?;
    }
}

impl Proxy {
    fn now_ns(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    fn next_arrival_ns(&self) -> Option<u64> {
        let (at_ns, ..) = self.flying.front().filter(|_| !self.holds)?;
        Some(at_ns.saturating_sub(self.now_ns()))
    }

    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        loop {
            let client = match listener.accept() {
                Ok((client, _)) => client,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            // A server that is down shows as a connection that closes at once.
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server_port)) else {
                continue;
            };
            for stream in [client, server] {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                self.poller.add(&stream, self.sockets.len())?;
                let unsent = VecDeque::new();
                self.sockets.push(Some(Socket { stream, unsent }));
            }
        }
    }

    /// False at the end of the orders.
    fn take_order(&mut self) -> Result<bool> {
        let mut bytes = [0; 64];
        let received = io::stdin().lock().read(&mut bytes)?;
        match bytes[..received].trim_ascii() {
            b"hold" => self.holds = true,
            b"pass" => self.holds = false,
            b"" => {}
            _ => return Err("expected hold or pass".into()),
        }
        Ok(received > 0)
    }

    /// Passes on what has come from a socket, and what waited for room in it.
    fn pass(&mut self, number: usize) -> Result<()> {
        self.send(number, &[])?;
        let Some(socket) = &mut self.sockets[number] else {
            return Ok(());
        };
        let received = match socket.stream.read(&mut self.buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => 0,
        };
        if received == 0 {
            // Both are closed.
            (self.sockets[number], self.sockets[number ^ 1]) = (None, None);
            return Ok(());
        }
        let bytes = self.buffer[..received].to_vec();
        let is_reply = number % 2 == 1;
        if is_reply {
            self.flying
                .push_back((self.now_ns() + self.delay_ns, number ^ 1, bytes));
            return Ok(());
        }
        self.send(number ^ 1, &bytes)
    }

    fn deliver(&mut self) -> Result<()> {
        while !self.holds
            && let Some(&(at_ns, ..)) = self.flying.front()
            && at_ns <= self.now_ns()
            && let Some((_, number, bytes)) = self.flying.pop_front()
        {
            self.send(number, &bytes)?;
        }
        Ok(())
    }

    /// Sends what waits for room in a socket and then `bytes`, as far as there is room.
    fn send(&mut self, number: usize, bytes: &[u8]) -> Result<()> {
        let Some(socket) = &mut self.sockets[number] else {
            return Ok(());
        };
        let had_unsent = !socket.unsent.is_empty();
        let mut direct = 0;
        if !had_unsent {
            // An end that is gone is seen when it is read.
            direct = socket.stream.write(bytes).unwrap_or(0);
        }
        socket.unsent.extend(&bytes[direct..]);
        while !socket.unsent.is_empty()
            && let Ok(written) = socket.stream.write(socket.unsent.as_slices().0)
        {
            socket.unsent.drain(..written);
        }
        let has_unsent = !socket.unsent.is_empty();
        if has_unsent != had_unsent {
            self.poller.watch_room(&socket.stream, number, has_unsent)?;
        }
        Ok(())
    }
}
