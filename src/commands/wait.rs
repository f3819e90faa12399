//! WAIT: replicas that have the client's writes. There are none, so it waits for as long as it was told.

use std::time::Duration;

use super::call::SessionCall;
use super::error::Error;
use super::spec::*;
use crate::clients::{Client, Clients, Unblock};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("WAIT", 3, "numreplicas timeout", &[], NOSCRIPT, "3.0.0", "O(1)", Handler::Waiting(wait),
                 "Waits until the connection's writes have reached enough replicas.")
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
];

fn wait(mut call: SessionCall<'_>) -> Waiting<'_> {
    Box::pin(async move {
        let replicas = call.args.integer()?;
        let timeout_ms = call.args.integer().map_err(|_| Error::TIMEOUT_NOT_AN_INTEGER)?;
        let timeout_ms = u64::try_from(timeout_ms).map_err(|_| Error::TIMEOUT_NEGATIVE)?;
        if replicas > 0 && !call.session.is_executing {
            wait_in_vain(&call.session.client, &call.services.clients, timeout_ms).await?;
        }
        call.reply.integer(0);
        Ok(())
    })
}

/// Waits for `timeout_ms` (0: for ever), or until CLIENT UNBLOCK.
async fn wait_in_vain(client: &Client, clients: &Clients, timeout_ms: u64) -> Result {
    let _blocked = client.block(clients);
    let released = client.released();
    let how = match timeout_ms {
        0 => Ok(released.await),
        _ => tokio::time::timeout(Duration::from_millis(timeout_ms), released).await,
    };
    match how {
        Ok(Unblock::Error) => Err(Error::unblocked()),
        Ok(Unblock::Timeout) | Err(_) => Ok(()),
    }
}
