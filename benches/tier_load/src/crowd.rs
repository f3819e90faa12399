//! Many clients that ask for one key at once. Prints `connected`, waits for a line, asks, prints `asked`, and reports
//! when all have their answer.

use std::io::{self, BufRead};
use std::time::Instant;

use crate::Result;
use crate::clients::{Client, Poller};
use crate::flags::Flags;
use crate::replies::Tally;

/// See `main.rs`.
pub fn run(flags: &Flags) -> Result<()> {
    let (port, count) = (flags.needed("port")?, flags.get("clients", 10_000)?);
    let key: String = flags.get("key", "wanted".to_owned())?;
    let mut poller = Poller::new()?;
    let mut clients = Vec::with_capacity(count);
    for number in 0..count {
        let client = Client::connect(port)?;
        poller.add(&client.stream, number)?;
        clients.push(client);
    }
    println!("connected");
    io::stdin().lock().read_line(&mut String::new())?;
    let begun = Instant::now();
    let request = format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len());
    for client in &mut clients {
        client.send(request.as_bytes())?;
    }
    println!("asked");
    let tally = await_all(&mut clients, &mut poller)?;
    println!(
        "{{\"seconds\": {:.6}, \"values\": {}, \"nils\": {}, \"errors\": {}, \"first_error\": \"{}\"}}",
        begun.elapsed().as_secs_f64(),
        tally.values,
        tally.nils,
        tally.errors,
        tally.first_error.unwrap_or_default()
    );
    Ok(())
}

/// Waits until each has one reply.
fn await_all(clients: &mut [Client], poller: &mut Poller) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut buffer = vec![0; 4096];
    let mut left = clients.len();
    let mut ready = Vec::new();
    while left > 0 {
        ready.clear();
        ready.extend(poller.wait(None)?);
        for &number in &ready {
            let client = &mut clients[number];
            client.receive(&mut buffer)?;
            if !client.received().is_empty()
                && let Some(bytes) = tally.take(client.received())?
            {
                client.take(bytes);
                left -= 1;
            }
        }
    }
    Ok(tally)
}
