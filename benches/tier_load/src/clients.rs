//! Connections that are looked after by one thread.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::Result;

/// Waits for sockets to become readable or writable. Level-triggered.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    /// Without any socket. Timers of this thread become as exact as the kernel can make them.
    pub fn new() -> Result<Self> {
        rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(1024),
        })
    }

    /// Watches a descriptor for input, under this number.
    pub fn add(&self, socket: impl std::os::fd::AsFd, number: usize) -> Result<()> {
        Ok(epoll::add(
            &self.epoll,
            socket,
            EventData::new_u64(number as u64),
            EventFlags::IN,
        )?)
    }

    /// Watches it for room to write too, or no more.
    pub fn watch_room(&self, socket: impl std::os::fd::AsFd, number: usize, watches: bool) -> Result<()> {
        let room = if watches {
            EventFlags::OUT
        } else {
            EventFlags::empty()
        };
        let data = EventData::new_u64(number as u64);
        Ok(epoll::modify(&self.epoll, socket, data, EventFlags::IN | room)?)
    }

    /// The numbers of those that are ready, as soon as any is or so many nanoseconds have passed.
    pub fn wait(&mut self, nanoseconds: Option<u64>) -> Result<impl Iterator<Item = usize>> {
        self.events.clear();
        let timeout = nanoseconds.map(|nanoseconds| Timespec {
            tv_sec: (nanoseconds / 1_000_000_000) as i64,
            tv_nsec: (nanoseconds % 1_000_000_000) as i64,
        });
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, buffer, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| event.data.u64() as usize))
    }
}

/// A client's connection, and what it has received and not yet taken.
pub struct Client {
    pub stream: TcpStream,
    received: Vec<u8>,
    start: usize,
}

impl Client {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
            start: 0,
        })
    }

    /// Sends all of it. Spins when the socket has no room, which so little never needs.
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes in what has come, through `buffer`.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<()> {
        match self.stream.read(buffer) {
            Ok(0) => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(received) => {
                self.received.drain(..self.start);
                self.start = 0;
                self.received.extend_from_slice(&buffer[..received]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What has come and was not taken.
    pub fn received(&self) -> &[u8] {
        &self.received[self.start..]
    }

    /// Takes so many bytes of it.
    pub fn take(&mut self, bytes: usize) {
        self.start += bytes;
    }
}
