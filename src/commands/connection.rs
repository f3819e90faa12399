//! Commands about the client's own connection: login, protocol, database.

use subtle::ConstantTimeEq;

use super::args::Args;
use super::call::SessionCall;
use super::error::Error;
use super::spec::*;
use crate::resp::number::parse_i64;
use crate::resp::{Protocol, Request};
use crate::services::Services;
use crate::session::Session;

/// Flags of what a client may send before it has logged in.
const AT_THE_DOOR: Flags =
    Flags(NOSCRIPT.0 | LOADING.0 | STALE.0 | FAST.0 | NO_AUTH.0 | ALLOW_BUSY.0 | PASSES_PAUSE.0);
/// The same for what a client may also send while it listens, and what runs at once in a transaction.
const ALWAYS: Flags = Flags(AT_THE_DOOR.0 | WHILE_SUBSCRIBED.0 | IMMEDIATE.0);

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("AUTH", -2, "[username] password", &[], AT_THE_DOOR, "1.0.0", "O(N) in the passwords of the user",
                 Handler::Session(auth), "Logs the connection in.").hiding(is_password_of_auth),
    Command::new("ECHO", 2, "message", &[], LOADING.or(STALE).or(FAST), "1.0.0", "O(1)", Handler::Session(echo),
                 "Answers with the message it was given."),
    Command::new("HELLO", -1, "arguments=[protover [AUTH username password] [SETNAME clientname]]", &[],
                 AT_THE_DOOR, "6.0.0", "O(1)", Handler::Session(hello),
                 "Chooses the protocol version, may log in, and introduces the server.").hiding(is_password_of_hello),
    Command::new("PING", -1, "[message]", &[], FAST.or(WHILE_SUBSCRIBED), "1.0.0", "O(1)", Handler::Session(ping),
                 "Answers, so that a client knows that the server is there.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::new("QUIT", -1, "", &[], ALWAYS, "1.0.0", "O(1)", Handler::Session(quit),
                 "Closes the connection after answering."),
    Command::new("RESET", 1, "", &[], ALWAYS, "6.2.0", "O(1)", Handler::Session(reset),
                 "Puts the connection back as it was when it opened."),
    Command::new("SELECT", 2, "index", &[], LOADING.or(STALE).or(FAST), "1.0.0", "O(1)", Handler::Session(select),
                 "Switches the connection to another database.").conduct(Conduct::Selects),
];

fn ping(call: &mut SessionCall<'_>) -> Result {
    if call.args.len() > 1 {
        return Err(Error::Arity(call.command.full_name.clone()));
    }
    let message = call.args.next();
    if call.session.is_listening_only() {
        call.reply.array(2);
        call.reply.bulk(b"pong");
        call.reply.bulk(message.unwrap_or_default());
        return Ok(());
    }
    match message {
        Some(message) => call.reply.bulk(message),
        None => call.reply.simple("PONG"),
    }
    Ok(())
}

fn echo(call: &mut SessionCall<'_>) -> Result {
    call.reply.bulk(call.args.bytes()?);
    Ok(())
}

fn select(call: &mut SessionCall<'_>) -> Result {
    let index = call.args.integer()?;
    if i32::try_from(index).is_err() {
        return Err(Error::not_between(i32::MIN.into(), i32::MAX.into()));
    }
    let databases = call.services.config.load().general.databases;
    let db = usize::try_from(index).ok().filter(|db| *db < databases);
    call.session
        .select(db.ok_or_else(|| Error::plain("DB index is out of range"))?);
    call.reply.ok();
    Ok(())
}

fn quit(call: &mut SessionCall<'_>) -> Result {
    call.session.closing = true;
    call.reply.ok();
    Ok(())
}

fn reset(call: &mut SessionCall<'_>) -> Result {
    let session = &mut *call.session;
    call.services.monitors.remove(session.client.id);
    call.services
        .pubsub
        .leave(&session.client, &mut session.subscriptions);
    session.reset(
        call.services.config.load().network.requirepass.is_none(),
        &call.services.store,
    );
    call.reply.simple("RESET");
    Ok(())
}

fn auth(call: &mut SessionCall<'_>) -> Result {
    let first = call.args.bytes()?;
    let (user, password) = match call.args.next() {
        Some(password) => (first, password),
        None if call.services.config.load().network.requirepass.is_none() => {
            return Err(Error::NoPasswordSet);
        }
        None => (DEFAULT_USER, first),
    };
    call.args.end()?;
    log_in(call.session, call.services, user, password)?;
    call.reply.ok();
    Ok(())
}

fn is_password_of_auth(request: Request<'_>, position: usize) -> bool {
    position > 0 && request.len() <= 3
}

/// The only user.
const DEFAULT_USER: &[u8] = b"default";

/// Marks the session as logged in. Any password does where none is set. The comparison takes a time that tells
/// the password's length and nothing else.
fn log_in(session: &mut Session, services: &Services, user: &[u8], password: &[u8]) -> Result {
    let config = services.config.load();
    let fits = match &config.network.requirepass {
        Some(secret) => bool::from(secret.expose().as_bytes().ct_eq(password)),
        None => true,
    };
    if user != DEFAULT_USER || !fits {
        let (now_ms, name) = (services.clock.unix_ms(), String::from_utf8_lossy(user));
        let fields = [("client", &*session.client.peer), ("user", &name)];
        services.audit.note_stranger(now_ms, "login-refused", &fields);
        return Err(Error::WrongPassword);
    }
    session.authenticated = true;
    Ok(())
}

fn hello(call: &mut SessionCall<'_>) -> Result {
    let protocol = call.args.next().map(protocol_numbered).transpose()?;
    let Introduction { login, name } = Introduction::parse(&mut call.args)?;
    if let Some((user, password)) = login {
        log_in(call.session, call.services, user, password)?;
    }
    if call.session.must_log_in(&call.services.config.load()) {
        return Err(Error::HelloAuthRequired);
    }
    if let Some(name) = name {
        call.session.client.set_name(name);
    }
    if let Some(protocol) = protocol {
        call.session.speak(protocol);
        call.reply.switch_to(protocol);
    }
    introduce_server(call);
    Ok(())
}

fn is_password_of_hello(request: Request<'_>, position: usize) -> bool {
    let follows_auth =
        |behind: usize| position > behind && request.arg(position - behind).eq_ignore_ascii_case(b"AUTH");
    position > 2 && (follows_auth(1) || follows_auth(2))
}

fn protocol_numbered(version: &[u8]) -> Result<Protocol> {
    match parse_i64(version) {
        Some(2) => Ok(Protocol::Resp2),
        Some(3) => Ok(Protocol::Resp3),
        Some(_) => Err(Error::UnsupportedProtocol),
        None => Err(Error::plain("Protocol version is not an integer or out of range")),
    }
}

/// The options of HELLO.
#[derive(Default)]
struct Introduction<'r> {
    /// User and password.
    login: Option<(&'r [u8], &'r [u8])>,
    name: Option<&'r [u8]>,
}

impl<'r> Introduction<'r> {
    fn parse(args: &mut Args<'r>) -> Result<Self> {
        let mut options = Self::default();
        while let Some(option) = args.peek() {
            if args.len() > 2 && args.take_word("AUTH") {
                options.login = Some((args.bytes()?, args.bytes()?));
            } else if args.len() > 1 && args.take_word("SETNAME") {
                options.name = Some(super::clients::name_of_client(args.bytes()?)?);
            } else {
                let option = String::from_utf8_lossy(option);
                return Err(Error::plain(format!("Syntax error in HELLO option '{option}'")));
            }
        }
        Ok(options)
    }
}

fn introduce_server(call: &mut SessionCall<'_>) {
    let config = call.services.config.load();
    let reply = &mut call.reply;
    let proto = match reply.protocol() {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(config.general.server_name.as_bytes());
    reply.bulk(b"version");
    reply.bulk(config.general.redis_version.as_bytes());
    reply.bulk(b"proto");
    reply.integer(proto);
    reply.bulk(b"id");
    reply.integer(call.session.client.id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
}
