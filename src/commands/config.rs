//! CONFIG: the settings of the running server.

use std::collections::BTreeMap;

use super::args::Args;
use super::call::SessionCall;
use super::error::Error;
use super::spec::*;
use crate::config::{Setting, options, rewrite};
use crate::resp::Request;
use crate::services::Services;
use crate::values::glob::{Case, Glob};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::container("CONFIG", "2.0.0", "Groups the commands about the server's settings.", &[
        Command::new("GET", -3, "<parameter ...>", &[], OPERATOR, "2.0.0", "O(N) in the settings asked for",
                     Handler::Session(get), "Tells the values of the settings that match."),
        Command::new("SET", -4, "parameter value [parameter value ...]", &[], OPERATOR, "2.0.0",
                     "O(N) in the settings given", Handler::Session(set), "Changes settings of the running server.")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .hiding(is_secret_value),
        Command::new("RESETSTAT", 2, "", &[], OPERATOR, "2.0.0", "O(1)", Handler::Session(resetstat),
                     "Puts the counters of INFO back to zero."),
        Command::new("REWRITE", 2, "", &[], OPERATOR, "2.8.0", "O(1)", Handler::Waiting(rewrite_file),
                     "Writes the settings in force back into the configuration file."),
        Command::new("HELP", 2, "", &[], LOADING.or(STALE), "5.0.0", "O(1)", Handler::Session(help),
                     "Explains the CONFIG commands."),
    ]),
];

const OPERATOR: Flags = ADMIN.or(NOSCRIPT).or(LOADING).or(STALE);

const HELP: &[&str] = &[
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
];

fn help(call: &mut SessionCall<'_>) -> Result {
    call.help("CONFIG", HELP)
}

fn get(call: &mut SessionCall<'_>) -> Result {
    let mut found: BTreeMap<&'static str, &'static Setting> = BTreeMap::new();
    for pattern in call.args {
        let matches = |pattern: &[u8], name: &[u8]| Glob::new(pattern, Case::Insensitive).matches(name);
        found.extend(options::matching(pattern, matches));
    }
    let config = call.services.config.load();
    call.reply.map(found.len());
    for (name, setting) in found {
        call.reply.bulk(name.as_bytes());
        call.reply.bulk(setting.get(&config).as_bytes());
    }
    Ok(())
}

/// The values of CONFIG SET stand behind their names, from the third word on.
fn is_secret_value(request: Request<'_>, at: usize) -> bool {
    let is_value = at >= 3 && at % 2 == 1;
    is_value
        && std::str::from_utf8(request.arg(at - 1))
            .ok()
            .and_then(options::find)
            .is_some_and(|setting| setting.is_secret)
}

fn set(call: &mut SessionCall<'_>) -> Result {
    let pairs = pairs(call.args)?;
    call.services
        .change_config(|config| config.set_many(&pairs))
        .map_err(|error| Error::plain(error.to_string()))?;
    call.audit(&[]);
    call.reply.ok();
    Ok(())
}

fn pairs(args: Args<'_>) -> Result<Vec<(&str, &str)>> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    let words: Result<Vec<&str>> = args.map(text).collect();
    Ok(words?.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn text(word: &[u8]) -> Result<&str> {
    std::str::from_utf8(word).map_err(|_| Error::SETTING_NOT_TEXT)
}

fn resetstat(call: &mut SessionCall<'_>) -> Result {
    let services = call.services;
    services.counters.reset();
    services.store.reset_totals();
    services.clients.reset_counters();
    services.vitals.reset();
    if let Some(control) = services.tier_control() {
        control.reset_counters();
    }
    call.reply.ok();
    Ok(())
}

fn rewrite_file(mut call: SessionCall<'_>) -> Waiting<'_> {
    Box::pin(async move {
        write_settings(call.services).await?;
        call.reply.ok();
        Ok(())
    })
}

/// Writes on a thread of its own: files may be slow, and the worker has other connections.
async fn write_settings(services: &Services) -> Result {
    let Some(path) = services.config_file.clone() else {
        return Err(Error::NO_CONFIG_FILE);
    };
    let config = services.config.load_full();
    let written = tokio::task::spawn_blocking(move || rewrite::rewrite(&path, &config)).await;
    written
        .map_err(std::io::Error::other)
        .flatten()
        .inspect_err(|error| tracing::warn!(%error, "CONFIG REWRITE failed"))
        .map_err(|error| Error::not_rewritten(&error))
}
