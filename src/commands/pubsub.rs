//! Publish and subscribe. Who listens to what is kept by [`crate::pubsub`].

use super::call::SessionCall;
use super::error::Error;
use super::spec::*;
use crate::pubsub::Kind;
use crate::resp::Reply;
use crate::session::{ReplyMode, Session};
use crate::values::glob::{Case, Glob};

/// Flags of what changes a client's subscriptions.
const LISTENS: Flags = Flags(PUBSUB.0 | NOSCRIPT.0 | LOADING.0 | STALE.0 | RELAYED.0 | WHILE_SUBSCRIBED.0);
/// Flags of what publishes.
const PUBLISHES: Flags = Flags(PUBSUB.0 | LOADING.0 | STALE.0 | FAST.0 | RELAYED.0 | MAY_REPLICATE.0);
/// Flags of what tells of all subscriptions.
const TELLS: Flags = Flags(PUBSUB.0 | LOADING.0 | STALE.0 | RELAYED.0);

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::on_session("PSUBSCRIBE", -2, "<pattern ...>", LISTENS, "2.0.0", "O(N) in the patterns given", psubscribe,
        "Listens to all channels whose names fit patterns.").conduct(Conduct::Subscribes),
    Command::on_session("PUBLISH", 3, "channel:string message:string", PUBLISHES, "2.0.0",
        "O(N+M) in the listeners of the channel and the patterns of all clients", publish,
        "Sends a message to all who listen to a channel."),
    Command::on_session("PUNSUBSCRIBE", -1, "[pattern [pattern ...]]", LISTENS, "2.0.0", "O(N) in the patterns given", punsubscribe,
        "Stops listening to patterns of channels, or to all of them.").conduct(Conduct::Subscribes),
    Command::on_session("SPUBLISH", 3, "shardchannel:string message:string", PUBLISHES, "7.0.0", "O(N) in the listeners of the channel", spublish,
        "Sends a message to all who listen to a shard channel.").shard_channels(&[key_at(1, LOOK)]),
    Command::on_session("SSUBSCRIBE", -2, "shardchannel:string [shardchannel ...]", LISTENS, "7.0.0", "O(N) in the channels given", ssubscribe,
        "Listens to shard channels.").conduct(Conduct::Subscribes).shard_channels(&[keys_from(1, LOOK)]),
    Command::on_session("SUBSCRIBE", -2, "channel:string [channel ...]", LISTENS, "2.0.0", "O(N) in the channels given", subscribe,
        "Listens to channels.").conduct(Conduct::Subscribes),
    Command::on_session("SUNSUBSCRIBE", -1, "[shardchannel:string [shardchannel ...]]", LISTENS, "7.0.0", "O(N) in the channels given", sunsubscribe,
        "Stops listening to shard channels, or to all of them.").conduct(Conduct::Subscribes).shard_channels(&[keys_from(1, LOOK)]),
    Command::on_session("UNSUBSCRIBE", -1, "[channel:string [channel ...]]", LISTENS, "2.0.0", "O(N) in the channels given", unsubscribe,
        "Stops listening to channels, or to all of them.").conduct(Conduct::Subscribes),
    Command::container("PUBSUB", "2.8.0", "Groups the commands that tell who listens to what.", &[
        Command::on_session("CHANNELS", -2, "[pattern]", TELLS, "2.8.0", "O(N) in the channels that have listeners", channels,
            "Lists the channels that have listeners."),
        Command::on_session("HELP", 2, "", LOADING.or(STALE), "6.2.0", "O(1)", help, "Explains the PUBSUB commands."),
        Command::on_session("NUMPAT", 2, "", TELLS, "2.8.0", "O(1)", numpat, "Counts the patterns that have listeners."),
        Command::on_session("NUMSUB", -2, "[channel:string [channel ...]]", TELLS, "2.8.0", "O(N) in the channels given", numsub,
            "Counts the listeners of channels."),
        Command::on_session("SHARDCHANNELS", -2, "[pattern]", TELLS, "7.0.0", "O(N) in the shard channels that have listeners",
            shardchannels, "Lists the shard channels that have listeners."),
        Command::on_session("SHARDNUMSUB", -2, "[shardchannel:string [shardchannel ...]]", TELLS, "7.0.0", "O(N) in the channels given",
            shardnumsub, "Counts the listeners of shard channels."),
    ]),
];

fn subscribe(call: &mut SessionCall<'_>) -> Result {
    join(call, Kind::Channel, b"subscribe")
}

fn psubscribe(call: &mut SessionCall<'_>) -> Result {
    join(call, Kind::Pattern, b"psubscribe")
}

fn ssubscribe(call: &mut SessionCall<'_>) -> Result {
    if call.session.is_executing {
        return Err(Error::SSUBSCRIBE_IN_TRANSACTION);
    }
    join(call, Kind::ShardChannel, b"ssubscribe")
}

/// Subscribes to all names of the request and confirms each.
fn join(call: &mut SessionCall<'_>, kind: Kind, word: &[u8]) -> Result {
    let too_many = |_| Error::TOO_MANY_SUBSCRIPTIONS;
    let session = &mut *call.session;
    session.subscriptions.check_room(call.args).map_err(too_many)?;
    let pubsub = &call.services.pubsub;
    for name in call.args {
        pubsub
            .subscribe(&session.client, &mut session.subscriptions, kind, name)
            .map_err(too_many)?;
        confirm(session, &mut call.reply, kind, word, Some(name));
    }
    Ok(())
}

fn unsubscribe(call: &mut SessionCall<'_>) -> Result {
    part(call, Kind::Channel, b"unsubscribe")
}

fn punsubscribe(call: &mut SessionCall<'_>) -> Result {
    part(call, Kind::Pattern, b"punsubscribe")
}

fn sunsubscribe(call: &mut SessionCall<'_>) -> Result {
    part(call, Kind::ShardChannel, b"sunsubscribe")
}

/// Unsubscribes from the names of the request, or from all, and confirms each; if there is none, that.
fn part(call: &mut SessionCall<'_>, kind: Kind, word: &[u8]) -> Result {
    if !call.args.is_empty() {
        for name in call.args {
            part_with(call, kind, word, name);
        }
        return Ok(());
    }
    let names = call.session.subscriptions.names(kind);
    if names.is_empty() {
        confirm(call.session, &mut call.reply, kind, word, None);
    }
    for name in names {
        part_with(call, kind, word, &name);
    }
    Ok(())
}

fn part_with(call: &mut SessionCall<'_>, kind: Kind, word: &[u8], name: &[u8]) {
    let session = &mut *call.session;
    let pubsub = &call.services.pubsub;
    if pubsub.unsubscribe(&session.client, &mut session.subscriptions, kind, name) {
        // What was published before must not arrive behind the confirmation.
        deliver_now(session, &mut call.reply);
    }
    confirm(session, &mut call.reply, kind, word, Some(name));
}

/// Confirms a change of subscriptions. It is a push: it comes through when replies are switched off.
fn confirm(session: &Session, reply: &mut Reply<'_>, kind: Kind, word: &[u8], name: Option<&[u8]>) {
    let count = match kind {
        Kind::ShardChannel => session.subscriptions.count(Kind::ShardChannel),
        Kind::Channel | Kind::Pattern => {
            session.subscriptions.count(Kind::Channel) + session.subscriptions.count(Kind::Pattern)
        }
    };
    if session.reply_mode == ReplyMode::On {
        push_confirmation(reply, word, name, count);
        return;
    }
    let mut bytes = Vec::new();
    push_confirmation(&mut Reply::new(&mut bytes, session.protocol), word, name, count);
    session.client.mailbox().push(bytes.into(), 0);
}

fn push_confirmation(reply: &mut Reply<'_>, word: &[u8], name: Option<&[u8]>, count: usize) {
    reply.push(3);
    reply.bulk(word);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(count as i64);
}

/// Writes the messages that wait for the client before the reply, unless they must not come there: inside of a
/// transaction's reply, or where the reply is dropped.
fn deliver_now(session: &Session, reply: &mut Reply<'_>) {
    if session.reply_mode == ReplyMode::On && !session.is_executing {
        for message in session.client.mailbox().take_pushes() {
            reply.pushed(&message);
        }
    }
}

fn publish(call: &mut SessionCall<'_>) -> Result {
    let (channel, message) = (call.args.bytes()?, call.args.bytes()?);
    let listeners = call.services.pubsub.publish(channel, message);
    tell_listeners(call, listeners)
}

fn spublish(call: &mut SessionCall<'_>) -> Result {
    let (channel, message) = (call.args.bytes()?, call.args.bytes()?);
    let listeners = call.services.pubsub.publish_sharded(channel, message);
    tell_listeners(call, listeners)
}

/// Replies how many listeners there were; the message that the client itself gets comes first, as in Redis.
fn tell_listeners(call: &mut SessionCall<'_>, listeners: usize) -> Result {
    if !call.session.subscriptions.is_empty() {
        deliver_now(call.session, &mut call.reply);
    }
    call.reply.integer(listeners as i64);
    Ok(())
}

fn channels(call: &mut SessionCall<'_>) -> Result {
    list(call, Kind::Channel)
}

fn shardchannels(call: &mut SessionCall<'_>) -> Result {
    list(call, Kind::ShardChannel)
}

fn list(call: &mut SessionCall<'_>, kind: Kind) -> Result {
    if call.args.len() > 1 {
        return Err(Error::wrong_form(call.args.request().arg(1), "PUBSUB"));
    }
    let pattern = call
        .args
        .next()
        .map(|pattern| Glob::new(pattern, Case::Sensitive));
    let mut names = call.services.pubsub.names(kind);
    if let Some(pattern) = pattern {
        names.retain(|name| pattern.matches(name));
    }
    call.reply.array(names.len());
    for name in names {
        call.reply.bulk(&name);
    }
    Ok(())
}

fn numsub(call: &mut SessionCall<'_>) -> Result {
    count_listeners(call, Kind::Channel)
}

fn shardnumsub(call: &mut SessionCall<'_>) -> Result {
    count_listeners(call, Kind::ShardChannel)
}

fn count_listeners(call: &mut SessionCall<'_>, kind: Kind) -> Result {
    call.reply.array(call.args.len() * 2);
    for name in call.args {
        call.reply.bulk(name);
        let listeners = call.services.pubsub.listeners(kind, name);
        call.reply.integer(listeners as i64);
    }
    Ok(())
}

fn numpat(call: &mut SessionCall<'_>) -> Result {
    call.reply
        .integer(call.services.pubsub.count(Kind::Pattern) as i64);
    Ok(())
}

fn help(call: &mut SessionCall<'_>) -> Result {
    call.help(
        "PUBSUB",
        &[
            "CHANNELS [<pattern>]",
            "    List the channels that have listeners, or those of them that fit <pattern>.",
            "NUMPAT",
            "    Tell how many patterns have listeners.",
            "NUMSUB [<channel> ...]",
            "    Tell how many clients listen to each channel itself, not counting patterns.",
            "SHARDCHANNELS [<pattern>]",
            "    List the shard channels that have listeners, or those of them that fit <pattern>.",
            "SHARDNUMSUB [<shardchannel> ...]",
            "    Tell how many clients listen to each shard channel.",
        ],
    )
}
