//! Transactions: MULTI queues, EXEC runs what was queued at once, WATCH makes that depend on keys.

use super::call::SessionCall;
use super::error::Error;
use super::spec::*;

const ALWAYS: Flags = NOSCRIPT.or(LOADING).or(STALE).or(FAST).or(ALLOW_BUSY).or(RELAYED);

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("DISCARD", 1, "", &[], ALWAYS.or(IMMEDIATE), "2.0.0", "O(N) in the queued requests", Handler::Session(discard),
                 "Forgets the requests that were queued, and the keys that were watched.").conduct(Conduct::Ends),
    Command::new("EXEC", 1, "", &[], NOSCRIPT.or(LOADING).or(STALE).or(SKIP_SLOWLOG).or(RELAYED).or(IMMEDIATE), "1.2.0", "That of the queued commands",
                 Handler::Exec, "Runs the requests that were queued, as one.").conduct(Conduct::Ends),
    Command::new("MULTI", 1, "", &[], ALWAYS.or(IMMEDIATE), "1.2.0", "O(1)", Handler::Session(multi),
                 "Has the requests that follow queued until EXEC.").conduct(Conduct::Begins),
    Command::new("UNWATCH", 1, "", &[], ALWAYS, "2.2.0", "O(N) in the watched keys", Handler::Session(unwatch),
                 "Forgets the keys that were watched.").conduct(Conduct::Unwatches),
    Command::new("WATCH", -2, "key [key ...]", &[keys_from(1, LOOK)], ALWAYS.or(IMMEDIATE), "2.2.0", "O(1) a key", Handler::Session(watch),
                 "Has the next EXEC do nothing if one of these keys changes before it.").conduct(Conduct::Watches),
];

fn multi(call: &mut SessionCall<'_>) -> Result {
    if call.session.transaction.is_some() {
        return Err(Error::NESTED_MULTI);
    }
    call.session.transaction = Some(Box::default());
    call.reply.ok();
    Ok(())
}

fn discard(call: &mut SessionCall<'_>) -> Result {
    if call.session.transaction.is_none() {
        return Err(Error::DISCARD_WITHOUT_MULTI);
    }
    call.session.end_transaction(&call.services.store);
    call.reply.ok();
    Ok(())
}

fn watch(call: &mut SessionCall<'_>) -> Result {
    if call.session.transaction.is_some() {
        return Err(Error::WATCH_IN_MULTI);
    }
    for key in call.args {
        call.session.watch(key, &call.services.store, call.visit);
    }
    call.reply.ok();
    Ok(())
}

fn unwatch(call: &mut SessionCall<'_>) -> Result {
    call.session.unwatch(&call.services.store);
    call.reply.ok();
    Ok(())
}
