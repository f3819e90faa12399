//! TIER: how L1, upstream and what lies between them are doing, and what an operator may have them do.

use std::sync::Arc;
use std::time::Duration;

use super::args::Args;
use super::call::SessionCall;
use super::error::Error;
use super::spec::*;
use crate::clients::Unblock;
use crate::resp::Reply;
use crate::resp::number::parse_i64;
use crate::stats::findings::{self, Finding};
use crate::tier_control::{Figure, Letters, Page, Reach, Selection, Target, TierControl};

#[rustfmt::skip] // A table: one row per command.
pub const COMMANDS: &[Command] = &[
    Command::container("TIER", SINCE, "Groups the commands about L1 and the upstream behind it.", &[
        Command::new("STATUS", 2, "", &[], OPERATOR, SINCE, "O(N) in the shards and nodes", Handler::Session(status),
                     "Tells on one page how L1, upstream and the way between them are doing.").tips(TIPS),
        Command::new("STATS", -2, "[namespace]", &[], OPERATOR, SINCE, "O(N) in the namespaces", Handler::Session(stats),
                     "Tells what was counted, of all namespaces or of one.").tips(TIPS),
        Command::new("HEALTH", 2, "", &[], OPERATOR, SINCE, "O(N) in the shards and nodes", Handler::Session(health),
                     "Tells what is not as it should be, how bad that is, and what to do about it.").tips(TIPS),
        Command::new("NODES", 2, "", &[], OPERATOR, SINCE, "O(N) in the nodes", Handler::Session(nodes),
                     "Tells how each address of upstream is doing.").tips(TIPS),
        Command::new("INVALIDATE", -3, INVALIDATE_ARGUMENTS, &[], CARRIER, SINCE,
                     "O(N) in the keys given, or in the keys of L1; O(1) for a namespace", Handler::Waiting(invalidate),
                     "Removes copies of keys from L1, here or in front of the same upstream everywhere."),
        Command::new("WARM", -3, "<KEYS key:string [key:string ...] | MATCH pattern | key:string [key:string ...]>", &[],
                     CARRIER, SINCE, "O(N) in the keys given, or in the keys of upstream", Handler::Waiting(warm),
                     "Has keys brought in from upstream."),
        Command::new("PROMOTION", -2, "[namespace]", &[], OPERATOR, SINCE, "O(N) in the namespaces",
                     Handler::Session(promotion), "Tells which fetched values earn a place in L1, and how many did.").tips(TIPS),
        Command::new("DRAIN", -2, "[timeout]", &[], CARRIER, SINCE, "O(N) in the keys that upstream lacks",
                     Handler::Waiting(drain), "Waits until upstream has all writes that were accepted here."),
        Command::new("DEADLETTER", -3, "<LEN | LIST [count] | RETRY which=<id:integer | ALL> | DROP which=<id:integer | ALL>>",
                     &[], CARRIER, SINCE, "O(N) in the writes listed, retried or dropped", Handler::Waiting(deadletter),
                     "Shows, retries or drops writes that upstream refused for good."),
        Command::new("CHECK", -2, "[count]", &[], CARRIER, SINCE, "O(N) in the keys compared", Handler::Waiting(check),
                     "Compares some copies with upstream and removes those that differ."),
        Command::new("RESET", 2, "", &[], OPERATOR, SINCE, "O(N) in the namespaces and nodes", Handler::Session(reset),
                     "Puts the counters of TIER STATS back to zero and closes the breaker."),
        Command::new("HELP", 2, "", &[], LOADING.or(STALE), SINCE, "O(1)", Handler::Session(help),
                     "Explains the TIER commands."),
    ]),
];

/// Forebay's version, since no Redis has these commands.
const SINCE: &str = "0.1.0";

const OPERATOR: Flags = ADMIN.or(NOSCRIPT).or(LOADING).or(STALE);

/// What visits the whole store or waits for upstream, which nothing may do while it holds shards.
const CARRIER: Flags = OPERATOR.or(NO_MULTI);

const TIPS: &[&str] = &["nondeterministic_output"];

const INVALIDATE_ARGUMENTS: &str = "reach=[ALL | LOCAL] target=<KEYS key:string [key:string ...] | MATCH pattern | \
    REGEX regex | NAMESPACE namespace | key:string [key:string ...]>";

const HELP: &[&str] = &[
    "CHECK [<count>]",
    "    Compare so many copies (default: 100) with upstream, remove those that differ.",
    "DEADLETTER LEN",
    "    Count the writes that upstream refused for good.",
    "DEADLETTER LIST [<count>]",
    "    Show the oldest of them (default: 10).",
    "DEADLETTER RETRY (<id>|ALL)",
    "    Send one or all of them to upstream again.",
    "DEADLETTER DROP (<id>|ALL)",
    "    Forget one or all of them. These writes are lost.",
    "DRAIN [<timeout>]",
    "    Wait until upstream has all writes that were accepted here, at most <timeout>",
    "    milliseconds (default: 0, for ever). Return how many keys are left.",
    "HEALTH",
    "    Return what is not as it should be, and what to do about it.",
    "INVALIDATE [ALL|LOCAL] (<key> [...]|KEYS <key> [...]|MATCH <glob>|REGEX <regex>|NAMESPACE <name>)",
    "    Remove copies of keys from all databases of L1. KEYS is for keys that are called",
    "    like one of these words. ALL tells the other Forebays of the same upstream, too.",
    "    Return how many copies there were here, or OK for a namespace.",
    "NODES",
    "    Return how each address of upstream is doing.",
    "PROMOTION [<namespace>]",
    "    Return which fetched values are kept, and how many were.",
    "RESET",
    "    Put the counters of STATS back to zero and close the breaker.",
    "STATS [<namespace>]",
    "    Return what was counted, of all namespaces or of one.",
    "STATUS",
    "    Return on one page how everything is doing.",
    "WARM (<key> [...]|KEYS <key> [...]|MATCH <glob>)",
    "    Bring keys of the selected database in from upstream. Return how many were queued.",
];

fn help(call: &mut SessionCall<'_>) -> Result {
    call.help("TIER", HELP)
}

fn control(call: &SessionCall<'_>) -> Result<Arc<dyn TierControl>> {
    call.services.tier_control().ok_or(Error::NO_UPSTREAM)
}

fn status(call: &mut SessionCall<'_>) -> Result {
    let page = control(call)?.status();
    reply_page(&mut call.reply, &page);
    Ok(())
}

fn stats(call: &mut SessionCall<'_>) -> Result {
    let page = control(call)?.stats(last_word(&mut call.args)?)?;
    reply_page(&mut call.reply, &page);
    Ok(())
}

fn promotion(call: &mut SessionCall<'_>) -> Result {
    let page = control(call)?.promotion(last_word(&mut call.args)?)?;
    reply_page(&mut call.reply, &page);
    Ok(())
}

/// The next word, if there is one. Fails if another one follows.
fn last_word<'r>(args: &mut Args<'r>) -> Result<Option<&'r [u8]>> {
    let word = args.next();
    args.end().map(|()| word)
}

fn nodes(call: &mut SessionCall<'_>) -> Result {
    let nodes = control(call)?.nodes();
    reply_pages(&mut call.reply, &nodes);
    Ok(())
}

fn reply_pages(reply: &mut Reply<'_>, pages: &[Page]) {
    reply.array(pages.len());
    for page in pages {
        reply_page(reply, page);
    }
}

fn reply_page(reply: &mut Reply<'_>, page: &Page) {
    reply.map(page.len());
    for (name, figure) in page {
        reply.bulk(name.as_bytes());
        match figure {
            Figure::Number(number) => reply.integer(*number as i64),
            Figure::Raw(bytes) => reply.bulk(bytes),
            Figure::Page(page) => reply_page(reply, page),
            other => reply.bulk(other.to_string().as_bytes()),
        }
    }
}

fn health(call: &mut SessionCall<'_>) -> Result {
    let found = control(call)?.findings();
    let reply = &mut call.reply;
    reply.map(3);
    reply.bulk(b"status");
    reply.bulk(findings::state(&found).as_bytes());
    reply.bulk(b"score");
    reply.integer(findings::score(&found).into());
    reply.bulk(b"findings");
    reply.array(found.len());
    for finding in &found {
        reply_finding(reply, finding);
    }
    Ok(())
}

fn reply_finding(reply: &mut Reply<'_>, finding: &Finding) {
    reply.map(3);
    for (name, text) in [
        ("severity", finding.severity.name()),
        ("what", &finding.what),
        ("what-to-do", finding.advice),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
}

fn invalidate(mut call: SessionCall<'_>) -> Waiting<'_> {
    Box::pin(async move {
        let control = control(&call)?;
        let reach = reach(&mut call.args);
        let target = target(&mut call.args)?;
        let removed = control.invalidate(target, reach).await?;
        let told = removed.map_or("unknown".to_owned(), |removed| removed.to_string());
        call.audit(&[("removed", &told)]);
        match removed {
            Some(removed) => call.reply.integer(removed as i64),
            None => call.reply.ok(),
        }
        Ok(())
    })
}

fn reach(args: &mut Args<'_>) -> Reach {
    if args.take_word("ALL") {
        return Reach::Everywhere;
    }
    args.take_word("LOCAL");
    Reach::Here
}

/// A keyword with what it takes, or keys none of which is a keyword in the first place.
fn target(args: &mut Args<'_>) -> Result<Target> {
    let target = if args.take_word("MATCH") {
        Target::Match(args.bytes()?.into())
    } else if args.take_word("REGEX") {
        let pattern = std::str::from_utf8(args.bytes()?);
        Target::Regex(pattern.map_err(|_| Error::REGEX_NOT_TEXT)?.to_owned())
    } else if args.take_word("NAMESPACE") {
        Target::Namespace(args.text()?)
    } else {
        Target::Keys(keys(args)?)
    };
    args.end().map(|()| target)
}

/// One key or more, all that is left; the word KEYS may stand before them.
fn keys(args: &mut Args<'_>) -> Result<Vec<Box<[u8]>>> {
    args.take_word("KEYS");
    let mut keys = vec![args.bytes()?.into()];
    keys.extend(args.by_ref().map(Box::from));
    Ok(keys)
}

fn warm(mut call: SessionCall<'_>) -> Waiting<'_> {
    Box::pin(async move {
        let control = control(&call)?;
        let selection = if call.args.take_word("MATCH") {
            Selection::Match(call.args.bytes()?.into())
        } else {
            Selection::Keys(keys(&mut call.args)?)
        };
        call.args.end()?;
        let queued = control.warm(selection, call.visit.db).await?;
        call.reply.integer(queued as i64);
        Ok(())
    })
}

fn drain(mut call: SessionCall<'_>) -> Waiting<'_> {
    Box::pin(async move {
        let control = control(&call)?;
        let patience = patience(&mut call.args)?;
        let client = &call.session.client;
        let _blocked = client.block(&call.services.clients);
        let left = tokio::select! {
            biased;
            left = control.drain(patience) => left?,
            how = client.released() => match how {
                Unblock::Error => return Err(Error::unblocked()),
                Unblock::Timeout => control.drain(Some(Duration::ZERO)).await?,
            },
        };
        call.audit(&[("left", &left.to_string())]);
        call.reply.integer(left as i64);
        Ok(())
    })
}

/// For how long to wait, as WAIT takes it; `None`: for ever.
fn patience(args: &mut Args<'_>) -> Result<Option<Duration>> {
    let timeout_ms = if args.is_empty() {
        0
    } else {
        args.integer().map_err(|_| Error::TIMEOUT_NOT_AN_INTEGER)?
    };
    args.end()?;
    let timeout_ms = u64::try_from(timeout_ms).map_err(|_| Error::TIMEOUT_NEGATIVE)?;
    Ok((timeout_ms > 0).then(|| Duration::from_millis(timeout_ms)))
}

fn deadletter(mut call: SessionCall<'_>) -> Waiting<'_> {
    /// Writes that are shown when no count is given.
    const SHOWN: usize = 10;
    Box::pin(async move {
        let control = control(&call)?;
        let args = &mut call.args;
        if args.take_word("LIST") {
            let count = count(args, SHOWN)?;
            reply_pages(&mut call.reply, &control.dead_letters(count).await?);
            return Ok(());
        }
        if args.take_word("LEN") {
            args.end()?;
            call.reply.integer(control.dead_letters_len() as i64);
            return Ok(());
        }
        let concerned = if args.take_word("RETRY") {
            control.retry_dead_letters(letters(args)?).await?
        } else if args.take_word("DROP") {
            control.drop_dead_letters(letters(args)?).await?
        } else {
            return Err(Error::wrong_form(b"DEADLETTER", "TIER"));
        };
        call.audit(&[("concerned", &concerned.to_string())]);
        call.reply.integer(concerned as i64);
        Ok(())
    })
}

/// An id, or ALL; nothing behind it.
fn letters(args: &mut Args<'_>) -> Result<Letters> {
    let which = if args.take_word("ALL") {
        Letters::All
    } else {
        let id = parse_i64(args.bytes()?).and_then(|id| u64::try_from(id).ok());
        Letters::One(id.ok_or(Error::DEAD_LETTER_ID)?)
    };
    args.end().map(|()| which)
}

/// A number above 0, or `default` where there is none; nothing behind it.
fn count(args: &mut Args<'_>, default: usize) -> Result<usize> {
    let count = if args.is_empty() {
        default
    } else {
        args.at_least(1, Error::COUNT_NOT_POSITIVE)?
    };
    args.end().map(|()| count)
}

fn check(mut call: SessionCall<'_>) -> Waiting<'_> {
    /// Keys that are compared when no count is given.
    const COMPARED: usize = 100;
    Box::pin(async move {
        let control = control(&call)?;
        let count = count(&mut call.args, COMPARED)?;
        let page = control.check(count).await?;
        reply_page(&mut call.reply, &page);
        Ok(())
    })
}

fn reset(call: &mut SessionCall<'_>) -> Result {
    let control = control(call)?;
    control.reset_counters();
    control.close_breaker();
    call.services.store.reset_totals();
    call.audit(&[]);
    call.reply.ok();
    Ok(())
}
