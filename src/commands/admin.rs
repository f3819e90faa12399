//! What operators and clients ask of the server as a whole: MONITOR, ROLE, TIME, LOLWUT, SHUTDOWN.

use super::args::Args;
use super::call::SessionCall;
use super::error::Error;
use super::spec::*;

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::new("LOLWUT", -1, "[VERSION version]", &[], READONLY.or(FAST), "5.0.0", "", Handler::Session(lolwut),
                 "Draws a picture and tells the version."),
    Command::new("MONITOR", 1, "", &[], OPERATOR, "1.0.0", "", Handler::Session(monitor),
                 "Streams every command the server runs."),
    Command::new("ROLE", 1, "", &[], NOSCRIPT.or(LOADING).or(STALE).or(FAST), "2.8.12", "O(1)", Handler::Session(role),
                 "Tells the server's part in replication.")
        .in_categories(ADMIN_CATEGORY.or(DANGEROUS_CATEGORY)),
    Command::new("SHUTDOWN", -1, "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]", &[], OPERATOR.or(NO_MULTI).or(ALLOW_BUSY), "1.0.0",
                 "O(N) in the keys when saving", Handler::Session(shutdown),
                 "Stops the server, saving if it is set up to."),
    Command::new("TIME", 1, "", &[], LOADING.or(STALE).or(FAST), "2.6.0", "O(1)", Handler::Session(time),
                 "Tells the server's clock.")
        .tips(&["nondeterministic_output"]),
];

const OPERATOR: Flags = ADMIN.or(NOSCRIPT).or(LOADING).or(STALE);

/// A reservoir, its dam, and the small pool in front of the turbines.
const DRAWING: &str = r"
            .                                   *
                 .-''-.        .-'''-.
           .----'      '------'       '----.
      ~ ~~ ~ ~~~ ~~ ~ ~~ ~~~ ~ ~~ ~~~ |\
       ~~ ~ ~~ ~ ~~~ ~ ~~ ~ ~~~ ~~ ~~ | \ ~~~~~~~~~
      ~~~ ~~ ~~~ ~~ ~ ~~~ ~~ ~ ~~~ ~~ |  \  ~~~~~~~ |_
       ~ ~~~ ~ ~~ ~ ~~ ~ ~~ ~~ ~ ~~ ~ |   \  ~~~~~~~_ \__
      '''''''''''''''''''''''''''''''''    '''''''(*)   \____
";

fn lolwut(call: &mut SessionCall<'_>) -> Result {
    if call.args.take_word("VERSION") && !call.args.is_empty() {
        call.args.integer()?;
    }
    let version = &call.services.config.load().general.redis_version;
    let text = format!("{DRAWING}\nRedis ver. {version}\n");
    call.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn monitor(call: &mut SessionCall<'_>) -> Result {
    if call.session.is_executing {
        return Err(Error::MONITOR_IN_EXEC);
    }
    call.services.monitors.add(&call.session.client);
    call.reply.ok();
    Ok(())
}

/// A primary without replicas, at offset 0 of a stream that does not exist.
fn role(call: &mut SessionCall<'_>) -> Result {
    call.reply.array(3);
    call.reply.bulk(b"master");
    call.reply.integer(0);
    call.reply.array(0);
    Ok(())
}

fn time(call: &mut SessionCall<'_>) -> Result {
    let now_us = call.services.clock.unix_us();
    call.reply.array(2);
    call.reply.bulk_integer((now_us / 1_000_000) as i64);
    call.reply.bulk_integer((now_us % 1_000_000) as i64);
    Ok(())
}

/// What SHUTDOWN was asked to do.
#[derive(Default)]
struct Shutdown {
    /// SAVE or NOSAVE.
    save: Option<bool>,
    force: bool,
    abort: bool,
}

impl Shutdown {
    fn parse(args: &mut Args<'_>) -> Result<Self> {
        let words = args.len();
        let mut asked = Self::default();
        while !args.is_empty() {
            if asked.save != Some(true) && args.take_word("NOSAVE") {
                asked.save = Some(false);
            } else if asked.save != Some(false) && args.take_word("SAVE") {
                asked.save = Some(true);
            } else if args.take_word("FORCE") {
                asked.force = true;
            } else if words == 1 && args.take_word("ABORT") {
                asked.abort = true;
            } else if !args.take_word("NOW") {
                return Err(Error::Syntax);
            }
        }
        Ok(asked)
    }
}

/// Stops the server. The client gets no reply: its connection is closed as all others are.
fn shutdown(call: &mut SessionCall<'_>) -> Result {
    let asked = Shutdown::parse(&mut call.args)?;
    if asked.abort {
        return Err(Error::NO_SHUTDOWN);
    }
    if asked.save == Some(true) && !asked.force {
        tracing::warn!("SHUTDOWN SAVE was refused: snapshots are not built yet");
        return Err(Error::SHUTDOWN_REFUSED);
    }
    call.audit(&[]);
    call.services.shutdown.notify_one();
    call.session.closing = true;
    Ok(())
}
