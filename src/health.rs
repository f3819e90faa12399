//! `forebay health`: asks the server that runs with a configuration whether it is well.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::config::Config;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longer than any answer to AUTH and PING.
const ANSWER_BYTES_MAX: usize = 1024;

trait Connection: Read + Write {}
impl<C: Read + Write> Connection for C {}

/// Sends PING, after AUTH if there is a password. Fails if no `+PONG` comes back in time.
pub fn ping(config: &Config) -> io::Result<()> {
    let mut connection = connect(config)?;
    let mut request = Vec::new();
    if let Some(password) = &config.network.requirepass {
        let password = password.expose();
        request.extend(format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len()).bytes());
    }
    request.extend(b"*1\r\n$4\r\nPING\r\n");
    connection.write_all(&request)?;
    let mut answer = Vec::new();
    let mut bytes = [0; 256];
    while !answer.ends_with(b"+PONG\r\n") {
        let received = connection.read(&mut bytes)?;
        answer.extend_from_slice(&bytes[..received]);
        if received == 0 || answer.len() > ANSWER_BYTES_MAX || answer.starts_with(b"-") {
            let text = String::from_utf8_lossy(&answer).trim_end().to_owned();
            return Err(io::Error::other(format!("the server is not well: {text:?}")));
        }
    }
    Ok(())
}

fn connect(config: &Config) -> io::Result<Box<dyn Connection>> {
    let network = &config.network;
    if let (0, Some(path)) = (network.port, &network.unixsocket) {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        return Ok(Box::new(socket));
    }
    let host = network
        .bind
        .first()
        .map_or("127.0.0.1", |address| match address.host() {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            host => host,
        });
    let address = (host, network.port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other(format!("{host} has no address")))?;
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(Box::new(socket))
}
