//! CLIENT: what connections are, and what may be done to them.

use std::fmt::Write as _;

use super::args::Args;
use super::call::SessionCall;
use super::error::Error;
use super::index;
use super::spec::*;
use crate::clients::{Client, Closing, Unblock};
use crate::resp::number::parse_i64;
use crate::session::ReplyMode;

/// Flags of what a client may do with its own connection.
const OWN: Flags = Flags(NOSCRIPT.0 | LOADING.0 | STALE.0);
/// Flags of what concerns other connections.
const OTHERS: Flags = Flags(OWN.0 | ADMIN.0);

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::container("CLIENT", "2.4.0", "Groups the commands about client connections.", &[
        Command::on_session("GETNAME", 2, "", OWN, "2.6.9", "O(1)", getname, "Tells the name given to this connection."),
        Command::on_session("HELP", 2, "", LOADING.or(STALE), "5.0.0", "O(1)", help, "Explains the CLIENT commands."),
        Command::on_session("ID", 2, "", OWN, "5.0.0", "O(1)", id, "Tells the number of this connection."),
        Command::on_session("INFO", 2, "", OWN, "6.2.0", "O(1)", info, "Describes this connection.")
            .tips(&["nondeterministic_output"]),
        Command::on_session("KILL", -3, KILL_ARGUMENTS, OTHERS, "2.4.0", "O(N) in the connections", kill,
            "Closes connections, one by address or all that fit the filters."),
        Command::on_session("LIST", -2, "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID id=<client-id [client-id ...]>]", OTHERS,
            "2.4.0", "O(N) in the connections", list, "Describes the open connections, a line for each.")
            .tips(&["nondeterministic_output"]),
        Command::on_session("NO-EVICT", 3, "enabled=<ON | OFF>", OTHERS, "7.0.0", "O(1)", no_evict,
            "Spares this connection when client buffers take too much memory, or no longer does.").conduct(Conduct::Adjusts),
        Command::on_session("NO-TOUCH", 3, "enabled=<ON | OFF>", OWN, "7.2.0", "O(1)", no_touch,
            "Lets this connection's commands leave the idle times of keys alone, or no longer.").conduct(Conduct::Adjusts),
        Command::on_session("PAUSE", -3, "timeout mode=[WRITE | ALL]", OTHERS, "2.9.50", "O(1)", pause,
            "Holds back the commands of all clients for a while."),
        Command::on_session("REPLY", 3, "<ON | OFF | SKIP>", OWN, "3.2.0", "O(1)", reply,
            "Chooses whether this connection's commands are answered at all.").conduct(Conduct::Adjusts),
        Command::on_session("SETINFO", 4, "attr=<LIB-NAME libname | LIB-VER libver>", OWN, "7.2.0", "O(1)", setinfo,
            "Notes the name or version of the library behind this connection.").conduct(Conduct::Adjusts),
        Command::on_session("SETNAME", 3, "connection-name", OWN, "2.6.9", "O(1)", setname, "Names this connection.").conduct(Conduct::Adjusts),
        Command::on_session("UNBLOCK", -3, "client-id [TIMEOUT | ERROR]", OTHERS, "5.0.0", "O(log N) in the connections", unblock,
            "Releases another connection from a blocking command."),
        Command::on_session("UNPAUSE", 2, "", OTHERS.or(PASSES_PAUSE), "6.2.0", "O(N) in the paused clients", unpause,
            "Lets paused clients go on."),
    ]),
];

const KILL_ARGUMENTS: &str = "filter=<ip:port:string | new-format=<[ID client-id] | \
    [TYPE normal_master_slave_pubsub=<NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | [USER username] | \
    [ADDR ip:port:string] | [LADDR ip:port:string] | [SKIPME yes/no] | [MAXAGE maxage:integer] ...>>";

fn id(call: &mut SessionCall<'_>) -> Result {
    call.reply.integer(call.session.client.id as i64);
    Ok(())
}

fn getname(call: &mut SessionCall<'_>) -> Result {
    let name = call.session.client.name();
    if name.is_empty() {
        call.reply.null();
    } else {
        call.reply.bulk(&name);
    }
    Ok(())
}

fn setname(call: &mut SessionCall<'_>) -> Result {
    call.session.client.set_name(name_of_client(call.args.bytes()?)?);
    call.reply.ok();
    Ok(())
}

/// A name for a client, as CLIENT SETNAME and HELLO take it. Fails if it would not be one word of CLIENT LIST.
pub fn name_of_client(name: &[u8]) -> Result<&[u8]> {
    one_word("Client names", name)
}

/// Fails unless `text` consists of visible ASCII characters other than the space.
fn one_word<'a>(what: &str, text: &'a [u8]) -> Result<&'a [u8]> {
    if text.iter().all(u8::is_ascii_graphic) {
        return Ok(text);
    }
    Err(Error::plain(format!(
        "{what} cannot contain spaces, newlines or special characters."
    )))
}

fn setinfo(call: &mut SessionCall<'_>) -> Result {
    let option = call.args.text()?;
    let value = call.args.bytes()?;
    let client = &call.session.client;
    if option.eq_ignore_ascii_case("lib-name") {
        client.set_lib_name(one_word("lib-name", value)?);
    } else if option.eq_ignore_ascii_case("lib-ver") {
        client.set_lib_version(one_word("lib-ver", value)?);
    } else {
        return Err(Error::plain(format!("Unrecognized option '{option}'")));
    }
    call.reply.ok();
    Ok(())
}

fn info(call: &mut SessionCall<'_>) -> Result {
    let line = describe([&*call.session.client], call.visit.now_ms);
    call.reply.verbatim("txt", &line);
    Ok(())
}

fn list(call: &mut SessionCall<'_>) -> Result {
    let clients = match Selection::parse(call.args)? {
        Selection::All => call.services.clients.list(),
        Selection::Type(wanted) => {
            let mut clients = call.services.clients.list();
            clients.retain(|client| wanted.fits(client));
            clients
        }
        Selection::Ids(ids) => ids
            .iter()
            .filter_map(|&id| call.services.clients.get(id))
            .collect(),
    };
    let lines = describe(clients.iter().map(|client| &**client), call.visit.now_ms);
    call.reply.verbatim("txt", &lines);
    Ok(())
}

/// Which clients CLIENT LIST shows.
enum Selection {
    All,
    Type(Type),
    Ids(Vec<u64>),
}

impl Selection {
    fn parse(mut args: Args<'_>) -> Result<Self> {
        if args.is_empty() {
            return Ok(Self::All);
        }
        if args.len() == 2 && args.take_word("TYPE") {
            return Type::named(args.bytes()?).map(Self::Type);
        }
        if args.len() >= 2 && args.take_word("ID") {
            let ids = args.map(|id| parse_i64(id).ok_or_else(|| Error::plain("Invalid client ID")));
            return ids
                .map(|id| id.map(|id| id as u64))
                .collect::<Result<_>>()
                .map(Self::Ids);
        }
        Err(Error::Syntax)
    }
}

/// Redis's types of clients.
#[derive(Clone, Copy)]
enum Type {
    /// Also MONITOR.
    Normal,
    /// Listens to channels.
    Pubsub,
    /// Part of a replication: there is none.
    Replication,
}

impl Type {
    fn named(name: &[u8]) -> Result<Self> {
        let types = [
            ("normal", Self::Normal),
            ("master", Self::Replication),
            ("replica", Self::Replication),
            ("slave", Self::Replication),
            ("pubsub", Self::Pubsub),
        ];
        let known = types
            .iter()
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        known.map(|(_, of_name)| *of_name).ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            Error::plain(format!("Unknown client type '{name}'"))
        })
    }

    fn fits(self, client: &Client) -> bool {
        match self {
            Self::Normal => !client.is_subscribed(),
            Self::Pubsub => client.is_subscribed(),
            Self::Replication => false,
        }
    }
}

/// The lines of CLIENT LIST: the fields of Redis 7.2 in its order. Those of MULTI and tracking have the
/// values of a client that uses none of them.
fn describe<'a>(clients: impl IntoIterator<Item = &'a Client>, now_ms: u64) -> Vec<u8> {
    let mut lines = Vec::new();
    for client in clients {
        describe_one(client, now_ms, &mut lines);
    }
    lines
}

fn describe_one(client: &Client, now_ms: u64, line: &mut Vec<u8>) {
    let mut head = String::new();
    let seconds_since = |at_ms| now_ms.saturating_sub(at_ms) / 1000;
    let Client {
        id, peer, local, fd, ..
    } = client;
    write!(head, "id={id} addr={peer} laddr={local} fd={fd} name=").expect(INFALLIBLE);
    line.extend_from_slice(head.as_bytes());
    line.extend_from_slice(&client.name());

    let (query_bytes, query_free_bytes) = client.query();
    let output_bytes = client.output_bytes();
    let [channels, patterns, shard_channels] = client.subscriptions();
    let command = client
        .command()
        .map_or("NULL", |row| &index::all()[row].full_name);
    let mut rest = String::new();
    write!(
        rest,
        " age={} idle={} flags={} db={} sub={channels} psub={patterns} ssub={shard_channels} multi=-1 qbuf={query_bytes} qbuf-free={query_free_bytes} \
         argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll={} omem={output_bytes} tot-mem={} events={} cmd={command} \
         user=default redir=-1 resp={}",
        seconds_since(client.connected_at_ms),
        seconds_since(client.active_at_ms()),
        flags(client),
        client.db(),
        u8::from(output_bytes > 0),
        client.memory_bytes(),
        if output_bytes > 0 { "rw" } else { "r" },
        client.protocol(),
    )
    .expect(INFALLIBLE);
    line.extend_from_slice(rest.as_bytes());

    let (lib_name, lib_version) = client.library();
    line.extend_from_slice(&[b" lib-name=", &*lib_name, b" lib-ver=", &*lib_version, b"\n"].concat());
}

const INFALLIBLE: &str = "writing to a String does not fail";

fn flags(client: &Client) -> String {
    let shown = [
        ('O', client.is_monitoring()),
        ('P', client.is_subscribed()),
        ('b', client.is_blocked()),
        ('U', client.is_unix),
        ('e', client.no_evict()),
        ('T', client.no_touch()),
    ];
    let flags: String = shown
        .into_iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(letter, _)| letter)
        .collect();
    if flags.is_empty() { "N".to_owned() } else { flags }
}

fn kill(call: &mut SessionCall<'_>) -> Result {
    let is_old_form = call.args.len() == 1;
    let filter = if is_old_form {
        Filter {
            address: Some(call.args.bytes()?),
            spares_caller: false,
            ..Filter::default()
        }
    } else {
        Filter::parse(call.args)?
    };
    let killed = kill_all(call, &filter);
    call.audit(&[("killed", &killed.to_string())]);
    match (is_old_form, killed) {
        (true, 0) => return Err(Error::plain("No such client")),
        (true, _) => call.reply.ok(),
        (false, _) => call.reply.integer(killed),
    }
    Ok(())
}

/// Ends all clients that fit, and gives their number. The caller itself still gets its reply.
fn kill_all(call: &mut SessionCall<'_>, filter: &Filter<'_>) -> i64 {
    let clients = &call.services.clients;
    let mut killed = 0;
    for client in clients
        .list()
        .iter()
        .filter(|client| filter.fits(client, call.visit.now_ms))
    {
        if client.id != call.session.client.id {
            clients.disconnect(client.id);
            client.mailbox().close(Closing::AtOnce);
        } else if filter.spares_caller {
            continue;
        } else {
            call.session.closing = true;
        }
        killed += 1;
    }
    killed
}

/// Which clients CLIENT KILL ends: those that fit all that is given.
struct Filter<'r> {
    id: Option<u64>,
    wanted: Option<Type>,
    address: Option<&'r [u8]>,
    local_address: Option<&'r [u8]>,
    age_min_s: Option<u64>,
    spares_caller: bool,
}

impl Default for Filter<'_> {
    fn default() -> Self {
        Self {
            id: None,
            wanted: None,
            address: None,
            local_address: None,
            age_min_s: None,
            spares_caller: true,
        }
    }
}

impl<'r> Filter<'r> {
    fn parse(mut args: Args<'r>) -> Result<Self> {
        let mut filter = Self::default();
        while args.len() >= 2 {
            let option = args.bytes()?.to_ascii_lowercase();
            let value = args.bytes()?;
            match option.as_slice() {
                b"id" => filter.id = Some(positive(value, "client-id")?),
                b"type" => filter.wanted = Some(Type::named(value)?),
                b"user" => known_user(value)?,
                b"addr" => filter.address = Some(value),
                b"laddr" => filter.local_address = Some(value),
                b"maxage" => filter.age_min_s = Some(positive(value, "maxage")?),
                b"skipme" => filter.spares_caller = yes_or_no(value)?,
                _ => return Err(Error::Syntax),
            }
        }
        args.end()?;
        Ok(filter)
    }

    fn fits(&self, client: &Client, now_ms: u64) -> bool {
        let age_s = now_ms.saturating_sub(client.connected_at_ms) / 1000;
        self.id.is_none_or(|id| client.id == id)
            && self.wanted.is_none_or(|wanted| wanted.fits(client))
            && self
                .address
                .is_none_or(|address| client.peer.as_bytes() == address)
            && self
                .local_address
                .is_none_or(|address| client.local.as_bytes() == address)
            && self.age_min_s.is_none_or(|age_min_s| age_s >= age_min_s)
    }
}

fn positive(value: &[u8], what: &str) -> Result<u64> {
    let number = parse_i64(value)
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| *number > 0);
    number.ok_or_else(|| Error::plain(format!("{what} should be greater than 0")))
}

/// All clients are the default user's.
fn known_user(name: &[u8]) -> Result {
    if name == b"default" {
        return Ok(());
    }
    let name = String::from_utf8_lossy(name);
    Err(Error::plain(format!("No such user '{name}'")))
}

fn yes_or_no(value: &[u8]) -> Result<bool> {
    one_of(value, "yes", "no")
}

fn on_or_off(value: &[u8]) -> Result<bool> {
    one_of(value, "on", "off")
}

/// Whether `value` is `truth`, in any case. Fails unless it is one of both words.
fn one_of(value: &[u8], truth: &str, falsehood: &str) -> Result<bool> {
    let is_truth = value.eq_ignore_ascii_case(truth.as_bytes());
    if is_truth || value.eq_ignore_ascii_case(falsehood.as_bytes()) {
        Ok(is_truth)
    } else {
        Err(Error::Syntax)
    }
}

fn no_evict(call: &mut SessionCall<'_>) -> Result {
    call.session.client.set_no_evict(on_or_off(call.args.bytes()?)?);
    call.reply.ok();
    Ok(())
}

fn no_touch(call: &mut SessionCall<'_>) -> Result {
    call.session.set_no_touch(on_or_off(call.args.bytes()?)?);
    call.reply.ok();
    Ok(())
}

fn reply(call: &mut SessionCall<'_>) -> Result {
    if call.args.take_word("ON") {
        call.session.reply_mode = ReplyMode::On;
        call.reply.ok();
    } else if call.args.take_word("OFF") {
        call.session.reply_mode = ReplyMode::Off;
    } else if call.args.take_word("SKIP") {
        if call.session.reply_mode != ReplyMode::Off {
            call.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(Error::Syntax);
    }
    Ok(())
}

fn pause(call: &mut SessionCall<'_>) -> Result {
    let timeout = call.args.bytes()?;
    let writes_only = call.args.take_word("WRITE");
    if !writes_only && !call.args.take_word("ALL") && !call.args.is_empty() {
        return Err(Error::plain("CLIENT PAUSE mode must be WRITE or ALL"));
    }
    no_more_words(call)?;
    let timeout =
        parse_i64(timeout).ok_or_else(|| Error::plain("timeout is not an integer or out of range"))?;
    let timeout_ms = u64::try_from(timeout).map_err(|_| Error::plain("timeout is negative"))?;
    call.services.pause.begin(
        call.visit.now_ms.saturating_add(timeout_ms),
        writes_only,
        call.visit.now_ms,
    );
    call.reply.ok();
    Ok(())
}

fn unpause(call: &mut SessionCall<'_>) -> Result {
    call.services.pause.end();
    call.reply.ok();
    Ok(())
}

fn unblock(call: &mut SessionCall<'_>) -> Result {
    let id = call.args.bytes()?;
    let how = match call.args.next() {
        None => Unblock::Timeout,
        Some(how) if how.eq_ignore_ascii_case(b"TIMEOUT") => Unblock::Timeout,
        Some(how) if how.eq_ignore_ascii_case(b"ERROR") => Unblock::Error,
        Some(_) => return Err(Error::plain("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    no_more_words(call)?;
    let id = parse_i64(id).ok_or(Error::NotAnInteger)?;
    let target = call.services.clients.get(id as u64);
    call.reply
        .integer(i64::from(target.is_some_and(|client| client.release(how))));
    Ok(())
}

/// Fails with the text for a known subcommand in a form that is unknown.
fn no_more_words(call: &SessionCall<'_>) -> Result {
    let subcommand = call.args.request().arg(1);
    call.args
        .end()
        .map_err(|_| Error::wrong_form(subcommand, "CLIENT"))
}

fn help(call: &mut SessionCall<'_>) -> Result {
    call.help("CLIENT", HELP)
}

const HELP: &[&str] = &[
    "GETNAME",
    "    Tell the name of this connection.",
    "ID",
    "    Tell the number of this connection.",
    "INFO",
    "    Describe this connection.",
    "KILL <ip:port>",
    "    Close the connection from this address.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close the connections that fit all options:",
    "    * ID <client-id>",
    "      The connection with this number.",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Connections from this address.",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Connections to this address of the server.",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Connections of this type.",
    "    * USER <username>",
    "      Connections of this user.",
    "    * MAXAGE <seconds>",
    "      Connections that are at least this old.",
    "    * SKIPME (YES|NO)",
    "      Whether to spare this connection (default: yes).",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)|ID <client-id> [...]]",
    "    Describe all connections, those of a type, or those with these numbers.",
    "NO-EVICT (ON|OFF)",
    "    Spare this connection when client buffers take too much memory.",
    "NO-TOUCH (ON|OFF)",
    "    Let this connection's commands leave the idle times of keys alone.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Hold back all commands, or those that write, for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Answer this connection's commands, answer none, or leave out the next answer.",
    "SETINFO (LIB-NAME <name>|LIB-VER <version>)",
    "    Note the library behind this connection.",
    "SETNAME <name>",
    "    Name this connection.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    Release a connection from the command that it waits for.",
    "UNPAUSE",
    "    End the pause.",
];
