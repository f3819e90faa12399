//! A TCP proxy that does to connections what networks do: holds bytes back, delays them, loses them without a word,
//! adds some, cuts a connection, cuts it inside a reply, resets it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::deadline::Deadline;

/// Pieces of a stream that may be on their way at a time; who sends more waits.
const PIECES_MAX: usize = 4096;

/// The proxy. Dropped, it cuts all connections and takes no more.
pub struct FaultProxy {
    address: SocketAddr,
    faults: Arc<Faults>,
}

/// Which connections a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All that there are now.
    All,
    /// The one that was made as the so many-th since the proxy started, from 0.
    Nth(usize),
}

/// A direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    Requests,
    /// From the server.
    Replies,
}

#[derive(Default)]
struct Faults {
    state: Mutex<State>,
    changed: Condvar,
    accepted: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// Whether bytes from the server are held back.
    holds_replies: bool,
    /// After so many more bytes from the server everything is cut.
    replies_left_bytes: Option<usize>,
    /// How long bytes are on their way, by direction.
    delays: [Duration; 2],
    /// Whether nothing that is sent on connections made from now on arrives.
    swallows_new: bool,
    connections: Vec<(usize, Arc<Connection>)>,
    is_over: bool,
}

/// Both ends. Bytes that are on their way when it is over are lost.
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Nothing arrives any more, and nothing says so.
    is_swallowed: AtomicBool,
    is_over: AtomicBool,
}

impl FaultProxy {
    /// Listens on a port of its own and passes on to `server`.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let faults = Arc::new(Faults::default());
        let shared = Arc::clone(&faults);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.state.lock().unwrap().is_over {
                    return;
                }
                // A server that is down shows as a connection that closes at once.
                let _ = shared.connect(client, server);
            }
        });
        Self { address, faults }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were made since it started.
    pub fn accepted(&self) -> usize {
        self.faults.accepted.load(Relaxed)
    }

    /// Holds back what the server sends, on all connections.
    pub fn hold_replies(&self) {
        self.faults.change(|state| state.holds_replies = true);
    }

    /// Passes on again what was held back.
    pub fn pass_replies(&self) {
        self.faults.change(|state| state.holds_replies = false);
    }

    /// Bytes that are sent from now on take this long to arrive.
    pub fn delay(&self, direction: Direction, time: Duration) {
        self.faults
            .change(|state| state.delays[direction as usize] = time);
    }

    /// Cuts all connections; new ones are accepted.
    pub fn cut(&self) {
        self.cut_some(Scope::All);
    }

    /// Cuts connections; new ones are accepted.
    pub fn cut_some(&self, scope: Scope) {
        self.faults.change(|state| state.end(scope, Connection::cut));
    }

    /// Cuts all connections when the server has sent so many more bytes.
    pub fn cut_after(&self, bytes: usize) {
        self.faults.change(|state| state.replies_left_bytes = Some(bytes));
    }

    /// Resets connections, as a host does that was restarted or a firewall that has enough; new ones are accepted.
    pub fn reset(&self, scope: Scope) {
        self.faults.change(|state| state.end(scope, Connection::reset));
    }

    /// Loses from now on whatever is sent on these connections, while both ends believe that they are connected.
    pub fn swallow(&self, scope: Scope) {
        self.faults.change(|state| {
            for connection in state.of(scope) {
                connection.is_swallowed.store(true, Relaxed);
            }
        });
    }

    /// Whether nothing arrives of what is sent on connections made from now on.
    pub fn swallow_new(&self, swallows: bool) {
        self.faults.change(|state| state.swallows_new = swallows);
    }

    /// Sends bytes to the client as if they came from the server, now.
    pub fn inject(&self, scope: Scope, bytes: &[u8]) {
        self.faults.change(|state| {
            for connection in state.of(scope) {
                // It may be closed already.
                let _ = (&connection.client).write_all(bytes);
            }
        });
    }

    /// Ends all faults that last; connections whose bytes were lost stay as they are, since their streams have holes.
    pub fn heal(&self) {
        self.faults.change(|state| {
            state.holds_replies = false;
            state.replies_left_bytes = None;
            state.delays = [Duration::ZERO; 2];
            state.swallows_new = false;
        });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.faults.change(|state| {
            state.is_over = true;
            state.end(Scope::All, Connection::cut);
        });
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn of(&self, scope: Scope) -> impl Iterator<Item = &Arc<Connection>> {
        self.connections
            .iter()
            .filter(move |(number, _)| scope == Scope::All || scope == Scope::Nth(*number))
            .map(|(_, connection)| connection)
    }

    /// Ends connections; what should happen to all of them some time later has happened then.
    fn end(&mut self, scope: Scope, end: impl Fn(&Connection)) {
        if scope == Scope::All {
            self.replies_left_bytes = None;
        }
        self.of(scope).for_each(|connection| end(connection));
        self.forget_ended();
    }

    /// A connection that was reset is closed, and so is reset indeed, when nobody knows it any more.
    fn forget_ended(&mut self) {
        self.connections
            .retain(|(_, connection)| !connection.is_over.load(Relaxed));
    }
}

impl Connection {
    fn cut(&self) {
        self.is_over.store(true, Relaxed);
        // They may be closed already.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    /// A socket that lingers for no time is reset when it is closed, which follows as soon as its threads are woken.
    fn reset(&self) {
        self.is_over.store(true, Relaxed);
        for socket in [&self.client, &self.server] {
            let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(Shutdown::Read);
        }
    }

    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::Requests => (&self.client, &self.server),
            Direction::Replies => (&self.server, &self.client),
        }
    }
}

/// Bytes, and when they arrive.
type Piece = (Deadline, Vec<u8>);

impl Faults {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn connect(self: &Arc<Self>, client: TcpStream, server: SocketAddr) -> io::Result<()> {
        let server = TcpStream::connect(server)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let mut state = self.state.lock().unwrap();
        let connection = Arc::new(Connection {
            client,
            server,
            is_swallowed: AtomicBool::new(state.swallows_new),
            is_over: AtomicBool::new(false),
        });
        let number = self.accepted.fetch_add(1, Relaxed);
        state.forget_ended();
        state.connections.push((number, Arc::clone(&connection)));
        drop(state);
        for direction in [Direction::Requests, Direction::Replies] {
            self.run(&connection, direction);
        }
        Ok(())
    }

    /// One thread reads and notes when, the other writes when it is time.
    fn run(self: &Arc<Self>, connection: &Arc<Connection>, direction: Direction) {
        let (sender, pieces) = sync_channel(PIECES_MAX);
        let (faults, reading) = (Arc::clone(self), Arc::clone(connection));
        thread::spawn(move || faults.read(&reading, direction, &sender));
        let (faults, writing) = (Arc::clone(self), Arc::clone(connection));
        thread::spawn(move || {
            let _ = faults.write(&writing, direction, &pieces);
            // However it ends, both ends learn of it; of a reset by the reset.
            let is_silent = writing.is_swallowed.load(Relaxed) || writing.is_over.load(Relaxed);
            if !is_silent {
                writing.cut();
            }
        });
    }

    fn read(&self, connection: &Connection, direction: Direction, pieces: &SyncSender<Piece>) {
        let (mut from, _) = connection.ends(direction);
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(received @ 1..) = from.read(&mut bytes) {
            let delay = self.state.lock().unwrap().delays[direction as usize];
            if pieces
                .send((Deadline::after(delay), bytes[..received].to_vec()))
                .is_err()
            {
                return;
            }
        }
    }

    /// Passes bytes on, as far as the faults let them.
    fn write(
        &self,
        connection: &Connection,
        direction: Direction,
        pieces: &Receiver<Piece>,
    ) -> io::Result<()> {
        let (_, mut to) = connection.ends(direction);
        for (arrives, bytes) in pieces {
            if let Ok(left) = arrives.remaining() {
                thread::sleep(left);
            }
            if connection.is_swallowed.load(Relaxed) {
                continue;
            }
            let allowed = match direction {
                Direction::Requests => bytes.len(),
                Direction::Replies => self.wait_for_leave(connection, bytes.len()),
            };
            if connection.is_over.load(Relaxed) {
                return Ok(());
            }
            to.write_all(&bytes[..allowed])?;
            self.change(|state| {
                if state.replies_left_bytes == Some(0) {
                    state.end(Scope::All, Connection::cut);
                }
            });
        }
        Ok(())
    }

    /// How many of these bytes of the server may pass; waits while replies are held back.
    fn wait_for_leave(&self, connection: &Connection, bytes: usize) -> usize {
        let is_held = |state: &mut State| state.holds_replies && !connection.is_over.load(Relaxed);
        let mut state = self
            .changed
            .wait_while(self.state.lock().unwrap(), is_held)
            .unwrap();
        let Some(left_bytes) = state.replies_left_bytes else {
            return bytes;
        };
        state.replies_left_bytes = Some(left_bytes.saturating_sub(bytes));
        bytes.min(left_bytes)
    }
}
