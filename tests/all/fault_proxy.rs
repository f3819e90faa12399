//! A TCP proxy that does to a connection what networks do: holds replies back, cuts it, cuts it inside a reply.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// The proxy. Dropped, it cuts all connections and takes no more.
pub struct FaultProxy {
    address: SocketAddr,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether bytes from the server are held back.
    holds_replies: bool,
    /// After so many more bytes from the server everything is cut.
    replies_left_bytes: Option<usize>,
    /// Both ends of all connections.
    sockets: Vec<TcpStream>,
    is_over: bool,
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

    /// Holds back what the server sends, on all connections.
    pub fn hold_replies(&self) {
        self.faults.change(|state| state.holds_replies = true);
    }

    /// Passes on again what was held back.
    pub fn pass_replies(&self) {
        self.faults.change(|state| state.holds_replies = false);
    }

    /// Cuts all connections; new ones are accepted.
    pub fn cut(&self) {
        self.faults.change(State::cut);
    }

    /// Cuts all connections when the server has sent so many more bytes.
    pub fn cut_after(&self, bytes: usize) {
        self.faults.change(|state| state.replies_left_bytes = Some(bytes));
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.faults.change(|state| {
            state.is_over = true;
            state.cut();
        });
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn cut(&mut self) {
        self.replies_left_bytes = None;
        for socket in self.sockets.drain(..) {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Faults {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn connect(self: &Arc<Self>, client: TcpStream, server: SocketAddr) -> io::Result<()> {
        let server = TcpStream::connect(server)?;
        let ends = [client.try_clone()?, server.try_clone()?];
        self.change(|state| state.sockets.extend(ends));
        let (mut requests_from, mut requests_to) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || {
            // However it ends, the other end learns of it.
            let _ = io::copy(&mut requests_from, &mut requests_to);
            let _ = requests_to.shutdown(Shutdown::Both);
        });
        let faults = Arc::clone(self);
        thread::spawn(move || {
            let _ = faults.pass(server, &client);
            let _ = client.shutdown(Shutdown::Both);
        });
        Ok(())
    }

    /// Passes replies on, as far as the faults let them.
    fn pass(&self, mut server: TcpStream, mut client: &TcpStream) -> io::Result<()> {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let received = server.read(&mut bytes)?;
            if received == 0 {
                return Ok(());
            }
            let may_pass = |state: &mut State| state.holds_replies && !state.is_over;
            let mut state = self
                .changed
                .wait_while(self.state.lock().unwrap(), may_pass)
                .unwrap();
            let Some(left_bytes) = state.replies_left_bytes else {
                drop(state);
                client.write_all(&bytes[..received])?;
                continue;
            };
            client.write_all(&bytes[..received.min(left_bytes)])?;
            state.replies_left_bytes = Some(left_bytes.saturating_sub(received));
            if received >= left_bytes {
                state.cut();
            }
        }
    }
}
