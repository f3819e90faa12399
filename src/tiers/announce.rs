//! Messages that name keys which changed: between the Forebays of one upstream, and from others that know what upstream's
//! own feed can't tell, such as an application that changes what a key stands for.
//!
//! They come as publications on two channels of upstream: [`CHANNEL`], on which Forebays tell each other what an operator
//! had one of them invalidate, and the one that `invalidation-channel` names. A connection of its own listens to both
//! ([`super::listener`]); what is announced while there is none is not heard, so copies are suspects after it.
//!
//! A message is text, its first word in any case:
//!
//! | message | names |
//! |---|---|
//! | `KEY k` | one key: all bytes behind the space |
//! | `KEYS`, and a key on each further line | these keys |
//! | `MATCH glob` | keys that a glob matches |
//! | `REGEX re` | keys in which a regular expression finds something |
//! | `NAMESPACE name` | all keys of a namespace, by its name here |
//!
//! A line `FROM run-id` before it says which server sent it; that server has done already what it says.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Tiers;
use super::invalidation::Removal;
use super::status::Status;
use crate::commands::error::Error;
use crate::config::Upstream as Settings;
use crate::limits::{ANNOUNCED_SWEEPS_MAX, ANNOUNCEMENT_BYTES};
use crate::resp::Frame;
use crate::services::Services;
use crate::tier_control::Target;

/// On which Forebays in front of one upstream tell each other.
pub const CHANNEL: &str = "__forebay__:invalidate";

/// The channels that are listened to, each once.
pub fn channels(settings: &Settings) -> impl Iterator<Item = &str> {
    let own = &*settings.invalidation_channel;
    std::iter::once(CHANNEL).chain((!own.is_empty() && own != CHANNEL).then_some(own))
}

/// A message that was read.
#[derive(Debug, PartialEq, Eq)]
struct Announcement<'m> {
    /// The run id of the server that sent it, if it said so.
    from: Option<&'m [u8]>,
    target: Target,
}

impl<'m> Announcement<'m> {
    /// Reads a message; `None` if it is none of these.
    fn read(message: &'m [u8]) -> Option<Self> {
        let (from, body) = match behind_word(message, "FROM ") {
            Some(rest) => {
                let (from, body) = split_line(rest)?;
                (Some(from), body)
            }
            None => (None, message),
        };
        let target = target(body)?;
        Some(Self { from, target })
    }
}

fn target(body: &[u8]) -> Option<Target> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    if let Some(key) = behind_word(body, "KEY ") {
        return Some(Target::Keys(vec![key.into()]));
    }
    if let Some(keys) = behind_word(body, "KEYS\n") {
        let lines = keys
            .strip_suffix(b"\n")
            .unwrap_or(keys)
            .split(|byte| *byte == b'\n');
        return Some(Target::Keys(lines.map(Box::from).collect()));
    }
    if let Some(glob) = behind_word(body, "MATCH ") {
        return Some(Target::Match(glob.into()));
    }
    if let Some(pattern) = behind_word(body, "REGEX ") {
        return text(pattern).map(Target::Regex);
    }
    text(behind_word(body, "NAMESPACE ")?).map(Target::Namespace)
}

/// What stands behind `word`, which is in any case.
fn behind_word<'m>(message: &'m [u8], word: &str) -> Option<&'m [u8]> {
    let (head, rest) = message.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word.as_bytes()).then_some(rest)
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', text)?;
    Some((&text[..end], &text[end + 1..]))
}

/// The messages that tell others what this server invalidated: one, but for many keys, and for keys with line breaks.
fn messages(run_id: &str, target: &Target) -> Vec<Vec<u8>> {
    let message =
        |word: &str, rest: &[u8]| [b"FROM ", run_id.as_bytes(), b"\n", word.as_bytes(), rest].concat();
    match target {
        Target::Keys(keys) => {
            let (odd, plain): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.contains(&b'\n'));
            let odd = odd.into_iter().map(|key| message("KEY ", key));
            let plain = batches(&plain).into_iter().map(|lines| message("KEYS\n", &lines));
            plain.chain(odd).collect()
        }
        Target::Match(glob) => vec![message("MATCH ", glob)],
        Target::Regex(pattern) => vec![message("REGEX ", pattern.as_bytes())],
        Target::Namespace(name) => vec![message("NAMESPACE ", name.as_bytes())],
    }
}

/// Keys as lines, in pieces of a bounded size unless one key is larger. Each line has its break, so that the empty key
/// is one, too.
fn batches(keys: &[impl AsRef<[u8]>]) -> Vec<Vec<u8>> {
    let mut batches: Vec<Vec<u8>> = Vec::new();
    for key in keys.iter().map(AsRef::as_ref) {
        match batches.last_mut() {
            Some(last) if last.len() + key.len() < ANNOUNCEMENT_BYTES => last.extend_from_slice(key),
            _ => batches.push(key.to_vec()),
        }
        batches.last_mut().expect("one was pushed").push(b'\n');
    }
    batches
}

/// Applies a message that upstream passed on, at this Unix time; false if it is no publication. Keys are gone when this
/// returns. What a pattern matches goes aside, beside everything else; a copy that is fetched from now on is not older
/// than the message and may go with the others.
pub fn apply(push: Frame<'_>, services: &Arc<Services>, status: &Arc<Status>, now_ms: u64) -> bool {
    let mut parts = push.children();
    if parts.next().and_then(|kind| kind.as_bulk()) != Some(b"message") {
        return false;
    }
    let (Some(channel), Some(message)) = (parts.next(), parts.next()) else {
        return true;
    };
    let (channel, message) = (
        channel.as_bulk().unwrap_or_default(),
        message.as_bulk().unwrap_or_default(),
    );
    let Some(Announcement { from, target }) = Announcement::read(message) else {
        status.announcements_refused.add(1);
        return true;
    };
    if from == Some(services.run_id.as_bytes()) {
        return true;
    }
    let is_read = match Removal::of(target, &status.namespaces.load()) {
        Ok(removal) => {
            status.announcements.add(1);
            remove(removal, services, status, now_ms);
            true
        }
        Err(error) => {
            tracing::debug!(%error, "an announcement can't be read");
            status.announcements_refused.add(1);
            false
        }
    };
    note(services, channel, message, is_read, now_ms);
    true
}

/// Who can publish can cause many of them.
fn note(services: &Services, channel: &[u8], message: &[u8], is_read: bool, now_ms: u64) {
    let message = &message[..message.len().min(crate::limits::AUDIT_TEXT_BYTES_MAX)];
    let (channel, message) = (String::from_utf8_lossy(channel), String::from_utf8_lossy(message));
    let outcome = if is_read { "applied" } else { "refused" };
    let fields = [
        ("channel", &*channel),
        ("message", &*message),
        ("outcome", outcome),
    ];
    services
        .audit
        .note_stranger(now_ms, "invalidation-announced", &fields);
}

fn remove(removal: Removal, services: &Arc<Services>, status: &Arc<Status>, now_ms: u64) {
    let removal = match removal.at_once(&services.store, now_ms) {
        Ok(_removed) => return,
        Err(pattern) => pattern,
    };
    let has_room = status.sweeps.fetch_add(1, Relaxed) < ANNOUNCED_SWEEPS_MAX;
    let (services, status) = (Arc::clone(services), Arc::clone(status));
    if !has_room {
        // More patterns than can be swept for: one that matches everything is right for all of them.
        services.store.invalidate_all(now_ms);
        status.sweeps.fetch_sub(1, Relaxed);
        return;
    }
    tokio::spawn(async move {
        removal.apply(&services).await;
        status.sweeps.fetch_sub(1, Relaxed);
    });
}

impl Tiers {
    /// Tells the other Forebays of this upstream what was invalidated here. Fails if upstream does not pass it on.
    pub(super) async fn announce(&self, target: &Target) -> Result<(), Error> {
        for message in messages(&self.services.run_id, target) {
            self.ask_upstream(&[b"PUBLISH", CHANNEL.as_bytes(), &message], 0)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RUN_ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn keys(keys: &[&str]) -> Target {
        Target::Keys(keys.iter().map(|key| key.as_bytes().into()).collect())
    }

    #[test]
    fn messages_are_read_in_any_case_and_with_or_without_a_sender() {
        for (message, target) in [
            ("KEY a b\nc", keys(&["a b\nc"])),
            ("key ", keys(&[""])),
            ("KEYS\na\nb c\n\nd", keys(&["a", "b c", "", "d"])),
            ("Keys\na\n", keys(&["a"])),
            ("MATCH user:*", Target::Match((*b"user:*").into())),
            ("REGEX ^user:\\d+$", Target::Regex("^user:\\d+$".to_owned())),
            ("namespace users", Target::Namespace("users".to_owned())),
        ] {
            let read = Announcement::read(message.as_bytes()).unwrap();
            assert_eq!((read.from, &read.target), (None, &target), "{message}");
            let sent = format!("FROM {RUN_ID}\n{message}");
            let read = Announcement::read(sent.as_bytes()).unwrap();
            assert_eq!(
                (read.from, read.target),
                (Some(RUN_ID.as_bytes()), target),
                "{message}"
            );
        }
    }

    #[test]
    fn anything_else_is_no_message() {
        for message in [
            "",
            "KEY",
            "KEYS",
            "KEYS a",
            "FLUSHALL",
            "user:1",
            "FROM x",
            "FROM x KEY a",
            "FROM x\n",
        ] {
            assert_eq!(Announcement::read(message.as_bytes()), None, "{message}");
        }
        assert_eq!(Announcement::read(b"REGEX \xff"), None);
    }

    #[test]
    fn many_keys_are_several_messages_of_a_bounded_size() {
        let all: Vec<Box<[u8]>> = (0..100_000)
            .map(|number: u32| number.to_string().as_bytes().into())
            .collect();
        let sent = messages(RUN_ID, &Target::Keys(all));
        assert!(
            sent.len() > 1
                && sent
                    .iter()
                    .all(|message| message.len() < ANNOUNCEMENT_BYTES + 100)
        );
    }

    #[test]
    fn each_channel_is_listened_to_once() {
        let mut settings = Settings::default();
        assert_eq!(channels(&settings).collect::<Vec<_>>(), [CHANNEL]);
        "changes".clone_into(&mut settings.invalidation_channel);
        assert_eq!(channels(&settings).collect::<Vec<_>>(), [CHANNEL, "changes"]);
        CHANNEL.clone_into(&mut settings.invalidation_channel);
        assert_eq!(channels(&settings).count(), 1);
    }

    proptest! {
        #[test]
        fn what_is_sent_is_read(names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 1..20)) {
            let target = Target::Keys(names.iter().map(|name| name.as_slice().into()).collect());
            let mut read: Vec<Vec<u8>> = Vec::new();
            for message in messages(RUN_ID, &target) {
                let announcement = Announcement::read(&message).unwrap();
                prop_assert_eq!(announcement.from, Some(RUN_ID.as_bytes()));
                let Target::Keys(keys) = announcement.target else { panic!("no keys") };
                read.extend(keys.iter().map(|key| key.to_vec()));
            }
            let mut names = names;
            names.sort();
            read.sort();
            prop_assert_eq!(read, names);
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_read_or_refused(message: Vec<u8>) {
            let _ = Announcement::read(&message);
        }
    }
}
