//! One run of a command: what its handler is given, by what it may touch.

use std::ops::Range;

use super::args::Args;
use super::error::Error;
use super::index::Entry as CommandEntry;
use super::spec::Result;
use crate::audit::Fields;
use crate::limits::AUDIT_TEXT_BYTES_MAX;
use crate::resp::reply::Reply;
use crate::services::Services;
use crate::session::Session;
use crate::store::{
    EntryRef, FullName, Key, KeyHash, LockedShards, PlainForms, Shard, Stored, Ticket, Visit,
};
use crate::values::text::Text;

/// A run on one key. `args` stand behind the key where the key is the first argument.
pub struct KeyCall<'a> {
    /// What is left of the request.
    pub args: Args<'a>,
    /// The key, looked up.
    pub key: Key<'a>,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// Time and database.
    pub visit: Visit,
    /// Settings and services.
    pub services: &'a Services,
}

/// A run on several keys, whose shards are locked together.
pub struct KeysCall<'a> {
    /// The request behind the name.
    pub args: Args<'a>,
    /// The keys.
    pub keys: HeldKeys<'a>,
    /// The index of the key whose change has it run again, if it has waited.
    pub woken_by: Option<usize>,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// Time and database.
    pub visit: Visit,
    /// Settings and services.
    pub services: &'a Services,
}

impl KeysCall<'_> {
    /// Whether it has waited, and runs again because one of its keys has changed.
    pub fn is_woken(&self) -> bool {
        self.woken_by.is_some()
    }

    /// The indexes of the keys at which there may be something for a command that waits: all of them at first, later
    /// the one that has changed. What is at others belongs to those who waited there before.
    pub fn candidates(&self) -> Range<usize> {
        self.woken_by.map_or(0..self.keys.len(), |index| index..index + 1)
    }
}

/// The keys of a command, in the order of its row's key specifications.
pub struct HeldKeys<'a> {
    shards: LockedShards<'a>,
    names: &'a [(&'a [u8], KeyHash)],
    visit: Visit,
    plain: PlainForms,
}

impl<'a> HeldKeys<'a> {
    /// Holds the keys with these names, whose shards are locked.
    pub fn new(shards: LockedShards<'a>, names: &'a [(&'a [u8], KeyHash)], visit: Visit) -> Self {
        Self {
            shards,
            names,
            visit,
            plain: PlainForms::default(),
        }
    }

    /// Queues a command that waits for these keys.
    pub fn wait(&mut self, ticket: Ticket) {
        for (name, hash) in self.names {
            self.shards
                .of(*hash)
                .attention()
                .wait(self.visit.db, name, ticket);
        }
    }

    /// Takes those of the keys that were changed while a command waited for them.
    pub fn take_ready(&mut self) -> Vec<FullName> {
        self.shards.take_ready()
    }

    /// Takes those that are to be fetched anew.
    pub fn take_wishes(&mut self) -> Vec<FullName> {
        let mut wishes = Vec::new();
        self.for_each_shard(|shard| wishes.extend(shard.take_wishes()));
        wishes
    }

    /// Visits their shards.
    pub fn for_each_shard(&mut self, visit: impl FnMut(&mut Shard)) {
        self.shards.for_each(visit);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The `index`th key, looked up.
    pub fn get(&mut self, index: usize) -> Key<'_> {
        self.get_in(index, self.visit.db)
    }

    /// The `index`th key's text, to be held beside those of others: nothing is counted.
    pub fn peek(&self, index: usize) -> Result<Option<Text<'_>>> {
        match self.entry(index) {
            Some(entry) => entry.text().ok_or(Error::WrongType).map(Some),
            None => Ok(None),
        }
    }

    /// The `index`th key's structure, to be held beside those of others: nothing is counted.
    pub fn peek_as<T: Stored>(&self, index: usize) -> Result<Option<&T>> {
        match self.entry(index) {
            Some(entry) => entry.get().ok_or(Error::WrongType).map(Some),
            None => Ok(None),
        }
    }

    /// The `index`th key's entry, to look at beside others: nothing is counted.
    pub fn entry(&self, index: usize) -> Option<EntryRef<'_>> {
        let (name, hash) = self.names[index];
        let entry = Key::peek_in(self.shards.view(hash), name, hash, self.visit)?;
        Some(self.plain.of(index, self.names.len(), entry))
    }

    /// The `index`th key in another database, looked up.
    pub fn get_in(&mut self, index: usize, db: usize) -> Key<'_> {
        let (name, hash) = self.names[index];
        self.plain.forget();
        Key::find(self.shards.of(hash), name, hash, Visit { db, ..self.visit })
    }
}

/// A run on the session and the server.
pub struct SessionCall<'a> {
    /// The request behind the command's name (and the subcommand's).
    pub args: Args<'a>,
    /// The client's state.
    pub session: &'a mut Session,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// Time and database.
    pub visit: Visit,
    /// Settings and services.
    pub services: &'a Services,
    /// The row that runs.
    pub command: &'static CommandEntry,
}

impl SessionCall<'_> {
    /// Notes in the audit log who has the server do what, and what came of it.
    pub fn audit(&self, outcome: Fields<'_>) {
        let client = &self.session.client;
        let (id, request) = (client.id.to_string(), self.words());
        let own = [
            ("client", &*client.peer),
            ("client-id", &id),
            ("request", &request),
        ];
        let fields = [&own, outcome].concat();
        let audit = &self.services.audit;
        audit.note(self.visit.now_ms, &self.command.full_name, &fields);
    }

    /// The request as a text, without its secrets; only the beginning of a long one.
    fn words(&self) -> String {
        let request = self.args.request();
        let mut text = String::new();
        for (at, word) in request.iter().enumerate() {
            if text.len() > AUDIT_TEXT_BYTES_MAX {
                break;
            }
            let word = if (self.command.command.is_secret)(request, at) {
                b"(redacted)"
            } else {
                &word[..word.len().min(AUDIT_TEXT_BYTES_MAX)]
            };
            text.push_str(if at == 0 { "" } else { " " });
            text.push_str(&String::from_utf8_lossy(word));
        }
        text
    }

    /// Replies with the lines of a HELP subcommand: the container's usage, then its subcommands.
    pub fn help(&mut self, container: &str, lines: &[&str]) -> Result {
        let head = format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        self.reply.array(lines.len() + 3);
        self.reply.simple(&head);
        for line in lines.iter().chain(&["HELP", "    Prints this help."]) {
            self.reply.simple(line);
        }
        Ok(())
    }
}
