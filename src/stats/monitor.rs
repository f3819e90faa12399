//! MONITOR: shows each request to the clients that asked for it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::RwLock;

use crate::clients::Client;

/// The clients that watch.
#[derive(Default)]
pub struct Monitors {
    clients: RwLock<Vec<Arc<Client>>>,
    any: AtomicBool,
}

impl Monitors {
    /// Whether anybody watches. On the request path.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// Adds a client.
    pub fn add(&self, client: &Arc<Client>) {
        client.set_monitoring(true);
        let mut clients = self.clients.write();
        if clients.iter().all(|known| known.id != client.id) {
            clients.push(Arc::clone(client));
        }
        self.any.store(true, Relaxed);
    }

    /// Takes a client off, if it is one.
    pub fn remove(&self, id: u64) {
        if !self.any() {
            return;
        }
        let mut clients = self.clients.write();
        clients.retain(|client| client.id != id);
        self.any.store(!clients.is_empty(), Relaxed);
    }

    /// Shows the words of a request. `output_max_bytes` bounds what waits for a client that reads slowly.
    pub fn show<'w>(
        &self,
        words: impl Iterator<Item = &'w [u8]>,
        db: usize,
        peer: &str,
        now_us: u64,
        output_max_bytes: usize,
    ) {
        let line: Arc<[u8]> = line(words, db, peer, now_us).into_bytes().into();
        for client in self.clients.read().iter() {
            client.mailbox().push(Arc::clone(&line), output_max_bytes);
        }
    }
}

fn line<'w>(words: impl Iterator<Item = &'w [u8]>, db: usize, peer: &str, now_us: u64) -> String {
    let mut line = format!("+{}.{:06} [{db} {peer}]", now_us / 1_000_000, now_us % 1_000_000);
    for word in words {
        line.push_str(" \"");
        for &byte in word {
            push_escaped(&mut line, byte);
        }
        line.push('"');
    }
    line.push_str("\r\n");
    line
}

fn push_escaped(line: &mut String, byte: u8) {
    match byte {
        b'\\' | b'"' => line.extend(['\\', char::from(byte)]),
        b'\n' => line.push_str("\\n"),
        b'\r' => line.push_str("\\r"),
        b'\t' => line.push_str("\\t"),
        0x07 => line.push_str("\\a"),
        0x08 => line.push_str("\\b"),
        b' '..=b'~' => line.push(char::from(byte)),
        _ => write!(line, "\\x{byte:02x}").expect("writing to a String does not fail"),
    }
}
