//! The notation in which a command's row states its arguments, and the tree that COMMAND DOCS shows of it.
//!
//! The notation is the one of Redis's manual, with annotations where the tree has more than the manual tells:
//!
//! | written | means |
//! |---|---|
//! | `key`, `seconds` | an operand; its name tells its type |
//! | `increment:double` | an operand whose type is stated |
//! | `key2@0` | an operand that belongs to the key specification with that index |
//! | `GET`, `*`, `""` | a token (any word without a lower-case letter); `""` is the empty one |
//! | `change=CH` | a token with a name other than its own in lower case |
//! | `EX seconds`, `LIMIT offset count` | a token and its operands, two or more of which form a block |
//! | `BYBOX width ; height` | a token that takes only the operands in front of the `;` |
//! | `TYPE <A \| B>` | a token and the group that follows it at once |
//! | `[…]` | optional |
//! | `<A \| B>`, `[A \| B]` | exactly one, or at most one, of several |
//! | `<a b>` | a block of arguments that belong together, even if it is one; `[a b]` likewise |
//! | `order=[ASC \| DESC]` | a group with a name other than its members' names joined by `_` |
//! | `[key ...]`, `<a b ...>` | may be repeated |
//! | `key [key ...]`, `key value [key value ...]` | at least one |
//! | `GET pattern [GET pattern ...]` | at least one, the token repeated each time |
//!
//! Key operands without `@` take the key specifications in order.

use std::borrow::Cow;
use std::fmt;

/// One node of the tree: an argument, or a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The name, unique among its siblings as a rule.
    pub name: Cow<'static, str>,
    /// What stands there.
    pub kind: Kind,
    /// The word that introduces the argument, or that it is.
    pub token: Option<&'static str>,
    /// Which of the row's key specifications covers this argument.
    pub key_spec_index: Option<usize>,
    /// It may be left out.
    pub optional: bool,
    /// It may be repeated.
    pub multiple: bool,
    /// If repeated, its token is repeated too.
    pub multiple_token: bool,
    /// The members of a `OneOf` or `Block`; empty for all others.
    pub arguments: Vec<Argument>,
}

/// The type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any bytes.
    String,
    /// A decimal integer.
    Integer,
    /// A decimal number, `inf` included.
    Double,
    /// The name of a key.
    Key,
    /// A glob pattern.
    Pattern,
    /// A time as a count from the epoch.
    UnixTime,
    /// A fixed word.
    PureToken,
    /// One of several arguments.
    OneOf,
    /// Several arguments that belong together.
    Block,
}

impl Kind {
    /// The name that COMMAND DOCS uses, and the annotation after `:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Key => "key",
            Self::Pattern => "pattern",
            Self::UnixTime => "unix-time",
            Self::PureToken => "pure-token",
            Self::OneOf => "oneof",
            Self::Block => "block",
        }
    }

    /// The type of an operand that an annotation names; groups and tokens are written otherwise.
    fn from_annotation(annotation: &str) -> Option<Self> {
        [
            Self::String,
            Self::Integer,
            Self::Double,
            Self::Key,
            Self::Pattern,
            Self::UnixTime,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == annotation)
    }

    /// The type that an operand of this name has unless annotated.
    #[rustfmt::skip] // A table: one row per type.
    fn infer(name: &str) -> Self {
        match name {
            "key" | "key1" | "key2" | "newkey" | "destkey" | "sourcekey" | "source" | "destination" | "src"
            | "dst" => Self::Key,
            "pattern" => Self::Pattern,
            "client-id" | "count" | "cursor" | "db" | "decrement" | "destination-db" | "end" | "increment"
            | "index" | "index1" | "index2" | "len" | "limit" | "milliseconds" | "numkeys" | "numreplicas"
            | "offset" | "protover" | "rank" | "seconds" | "start" | "stop" | "timeout" | "version" => Self::Integer,
            "unix-time-seconds" | "unix-time-milliseconds" => Self::UnixTime,
            "height" | "latitude" | "longitude" | "radius" | "score" | "width" => Self::Double,
            _ => Self::String,
        }
    }
}

/// Why a row's notation cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The byte offset at which it cannot be read on.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at byte {}", self.reason, self.at)
    }
}

impl std::error::Error for SyntaxError {}

/// Reads a row's notation into the arguments it describes, in order. Linear in the text, save for
/// repetitions, which are compared with what they repeat. Recurses as deep as the groups are nested.
pub fn parse(syntax: &'static str) -> Result<Vec<Argument>, SyntaxError> {
    let mut parser = Parser { syntax, at: 0 };
    let mut sequence = parser.sequence()?;
    if sequence.repeats {
        return Err(parser.error("`...` outside a group"));
    }
    if parser.peek().is_some() {
        return Err(parser.error("`|`, `]` or `>` outside a group"));
    }
    number_keys(&mut sequence.arguments, &mut 0);
    Ok(sequence.arguments)
}

/// Gives each key that has none yet the next key specification.
fn number_keys(arguments: &mut [Argument], next: &mut usize) {
    for argument in arguments {
        if argument.kind == Kind::Key {
            argument.key_spec_index.get_or_insert(*next);
            *next += 1;
        }
        number_keys(&mut argument.arguments, next);
    }
}

/// What stands between two separators of a group, or the whole text.
struct Sequence {
    arguments: Vec<Argument>,
    /// It ended in `...`.
    repeats: bool,
}

/// What stands between two brackets.
struct Group {
    name: Option<&'static str>,
    optional: bool,
    repeats: bool,
    /// At least one; none is empty.
    alternatives: Vec<Vec<Argument>>,
}

struct Parser {
    syntax: &'static str,
    at: usize,
}

impl Parser {
    /// Reads up to the `|` or bracket that ends the sequence, or to the end of the text.
    fn sequence(&mut self) -> Result<Sequence, SyntaxError> {
        let mut sequence = SequenceBuilder::default();
        let mut repeats = false;
        while let Some(next) = self.peek().filter(|next| !matches!(next, '|' | ']' | '>')) {
            if repeats {
                return Err(self.error("`...` must be the last in its group"));
            }
            if matches!(next, '[' | '<') {
                sequence.push_group(self.group(None)?);
                continue;
            }
            match self.word()? {
                Word::Ellipsis => repeats = true,
                Word::Stop => sequence.close_token(),
                Word::Token(token) => sequence.push_token(token),
                Word::Operand(operand) => sequence.arguments.push(operand),
                Word::GroupName(name) => sequence.push_group(self.group(Some(name))?),
            }
        }
        Ok(Sequence {
            arguments: sequence.finish(),
            repeats,
        })
    }

    /// Reads a group from its opening to its closing bracket.
    fn group(&mut self, name: Option<&'static str>) -> Result<Group, SyntaxError> {
        let optional = self.peek() == Some('[');
        let closing = if optional { ']' } else { '>' };
        let mut group = Group {
            name,
            optional,
            repeats: false,
            alternatives: Vec::new(),
        };
        loop {
            self.at += 1;
            let Sequence { arguments, repeats } = self.sequence()?;
            if arguments.is_empty() {
                return Err(self.error("nothing to choose"));
            }
            group.alternatives.push(arguments);
            group.repeats = repeats;
            match self.peek() {
                Some(next) if next == closing => break,
                Some('|') if !repeats => {}
                Some('|') => return Err(self.error("`...` must be the last in its group")),
                _ => return Err(self.error("a group is not closed by its own bracket")),
            }
        }
        self.at += 1;
        Ok(group)
    }

    fn word(&mut self) -> Result<Word, SyntaxError> {
        let rest = &self.syntax[self.at..];
        let word_end = rest
            .find(|c: char| c.is_whitespace() || "[]<>|".contains(c))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        let read = read_word(word, after.starts_with(['[', '<'])).map_err(|reason| self.error(reason))?;
        self.at += word_end;
        Ok(read)
    }

    /// The next character that is not a space, which is left to be read.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.syntax[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.syntax[self.at..].chars().next()
    }

    fn error(&self, reason: &'static str) -> SyntaxError {
        SyntaxError { at: self.at, reason }
    }
}

enum Word {
    Ellipsis,
    Stop,
    Token(Argument),
    Operand(Argument),
    GroupName(&'static str),
}

fn read_word(word: &'static str, bracket_follows: bool) -> Result<Word, &'static str> {
    if word == "..." {
        return Ok(Word::Ellipsis);
    }
    if word == ";" {
        return Ok(Word::Stop);
    }
    if let Some(name) = word
        .strip_suffix('=')
        .filter(|name| bracket_follows && !name.is_empty())
    {
        return Ok(Word::GroupName(name));
    }
    let is_token = |text: &str| !text.contains(|c: char| c.is_ascii_lowercase());
    if is_token(word) {
        return Ok(Word::Token(token(Cow::Owned(word.to_ascii_lowercase()), word)));
    }
    match word.split_once('=') {
        None => operand(word).map(Word::Operand),
        Some((name, text)) if is_token(text) => Ok(Word::Token(token(Cow::Borrowed(name), text))),
        Some(_) => Err("only tokens and groups can be given a name"),
    }
}

fn token(name: Cow<'static, str>, text: &'static str) -> Argument {
    let text = if text == "\"\"" { "" } else { text };
    Argument {
        token: Some(text),
        ..Argument::new(name, Kind::PureToken)
    }
}

fn operand(word: &'static str) -> Result<Argument, &'static str> {
    let (word, key_spec_index) = match word.split_once('@') {
        None => (word, None),
        Some((word, index)) => (word, Some(index.parse().map_err(|_| "`@` wants an index")?)),
    };
    let (name, kind) = match word.rsplit_once(':') {
        None => (word, Kind::infer(word)),
        Some((name, annotation)) => (name, Kind::from_annotation(annotation).ok_or("unknown type")?),
    };
    Ok(Argument {
        key_spec_index,
        ..Argument::new(Cow::Borrowed(name), kind)
    })
}

/// Puts the arguments of a sequence together: tokens with what they introduce, repetitions with what they repeat.
#[derive(Default)]
struct SequenceBuilder {
    arguments: Vec<Argument>,
    /// A token that still takes operands, and where in `arguments` they begin.
    open_token: Option<(Argument, usize)>,
}

impl SequenceBuilder {
    fn push_token(&mut self, token: Argument) {
        self.close_token();
        self.open_token = Some((token, self.arguments.len()));
    }

    fn push_group(&mut self, group: Group) {
        if self.fold_repetition(&group) {
            return;
        }
        let belongs_to_token = self.open_token.is_some() && self.open_run().is_empty() && !group.optional;
        if !belongs_to_token {
            self.close_token();
        }
        if !self.fold_repetition(&group) {
            self.arguments.push(group.into_argument());
        }
        if belongs_to_token {
            self.close_token();
        }
    }

    /// Makes `x [x ...]` one repeated argument; false if the group is no such repetition.
    fn fold_repetition(&mut self, group: &Group) -> bool {
        let [repeated] = &group.alternatives[..] else {
            return false;
        };
        let may_repeat = group.optional && group.repeats && group.name.is_none();
        if !(may_repeat && self.open_run().ends_with(repeated)) {
            return false;
        }
        let once = self.arguments.split_off(self.arguments.len() - repeated.len());
        let argument = Argument::single(None, once);
        self.arguments.push(Argument {
            multiple: true,
            multiple_token: argument.token.is_some(),
            ..argument
        });
        true
    }

    /// What the open token has taken so far, or everything if no token is open.
    fn open_run(&self) -> &[Argument] {
        let start = self.open_token.as_ref().map_or(0, |(_, start)| *start);
        &self.arguments[start..]
    }

    /// Gives an open token what followed it.
    fn close_token(&mut self) {
        let Some((token, operands_start)) = self.open_token.take() else {
            return;
        };
        let operands = self.arguments.split_off(operands_start);
        let argument = if operands.is_empty() {
            token
        } else {
            Argument {
                token: token.token,
                ..Argument::single(None, operands)
            }
        };
        self.arguments.push(argument);
    }

    fn finish(mut self) -> Vec<Argument> {
        self.close_token();
        self.arguments
    }
}

impl Group {
    fn into_argument(mut self) -> Argument {
        let argument = if self.alternatives.len() > 1 {
            let members = self
                .alternatives
                .into_iter()
                .map(|members| Argument::single(None, members));
            Argument::group(Kind::OneOf, self.name, members.collect())
        } else {
            let members = self.alternatives.remove(0);
            if self.optional {
                Argument::single(self.name, members)
            } else {
                Argument::group(Kind::Block, self.name, members)
            }
        };
        Argument {
            optional: self.optional,
            multiple: self.repeats || argument.multiple,
            ..argument
        }
    }
}

impl Argument {
    fn new(name: Cow<'static, str>, kind: Kind) -> Self {
        Self {
            name,
            kind,
            token: None,
            key_spec_index: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            arguments: Vec::new(),
        }
    }

    /// A group with the name given, or that of its members.
    fn group(kind: Kind, name: Option<&'static str>, members: Vec<Argument>) -> Self {
        let name = name.map_or_else(|| Cow::Owned(joined_names(&members)), Cow::Borrowed);
        Self {
            arguments: members,
            ..Self::new(name, kind)
        }
    }

    /// The one argument that `members` are: itself if there is one and it keeps its name, else a block.
    fn single(name: Option<&'static str>, mut members: Vec<Argument>) -> Self {
        match (name, members.len()) {
            (None, 1) => members.remove(0),
            _ => Self::group(Kind::Block, name, members),
        }
    }
}

fn joined_names(members: &[Argument]) -> String {
    let names: Vec<&str> = members.iter().map(|member| member.name.as_ref()).collect();
    names.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(syntax: &'static str) -> String {
        parse(syntax)
            .unwrap()
            .iter()
            .map(outline)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// An argument as `TOKEN name:type#key_spec_index(members)`, then `?` optional, `+` multiple, `++` with
    /// its token.
    fn outline(argument: &Argument) -> String {
        let token = argument.token.map_or(String::new(), |token| format!("{token} "));
        let index = argument
            .key_spec_index
            .map_or(String::new(), |index| format!("#{index}"));
        let members: Vec<String> = argument.arguments.iter().map(outline).collect();
        let members = if members.is_empty() {
            String::new()
        } else {
            format!("({})", members.join(" "))
        };
        let marks = [argument.optional, argument.multiple, argument.multiple_token];
        let marks: String = marks
            .iter()
            .zip("?++".chars())
            .filter(|(set, _)| **set)
            .map(|(_, mark)| mark)
            .collect();
        format!(
            "{token}{}:{}{index}{members}{marks}",
            argument.name,
            argument.kind.as_str()
        )
    }

    #[test]
    fn reads_each_construct_of_the_notation() {
        #[rustfmt::skip] // A table: notation, tree.
        let table = [
            ("", ""),
            ("key increment:double", "key:key#0 increment:double"),
            ("key newkey", "key:key#0 newkey:key#1"),
            ("key1 key2@0 [LEN]", "key1:key#0 key2:key#0 LEN len:pure-token?"),
            ("key [key ...]", "key:key#0+"),
            ("[section ...]", "section:string?+"),
            ("key value [key value ...]", "key_value:block(key:key#0 value:string)+"),
            ("<parameter ...>", "parameter:block(parameter:string)+"),
            ("[LIMIT offset count]", "LIMIT offset_count:block(offset:integer count:integer)?"),
            ("BYBOX width ; height", "BYBOX width:double height:double"),
            ("[TYPE <A | B>]", "TYPE a_b:oneof(A a:pure-token B b:pure-token)?"),
            ("[change=CH]", "CH change:pure-token?"),
            ("id=<id | new_id=$>", "id:oneof(id:string $ new_id:pure-token)"),
            ("[empty=\"\"]", " empty:pure-token?"),
            ("value ON [value ...]", "value:string ON on:pure-token value:string?+"),
            ("ip:port:string", "ip:port:string"),
            ("[PREFIX prefix [PREFIX prefix ...]]", "PREFIX prefix:string?++"),
            ("[WEIGHTS weight:integer [weight:integer ...]]", "WEIGHTS weight:integer?+"),
            ("STREAMS streams=<key [key ...] id [id ...]>", "STREAMS streams:block(key:key#0+ id:string+)"),
            ("index=[start end unit=[BYTE | BIT]]",
             "index:block(start:integer end:integer unit:oneof(BYTE byte:pure-token BIT bit:pure-token)?)?"),
            ("by=<circle=<BYRADIUS radius unit=<M | KM>> | ANY>",
             "by:oneof(circle:block(BYRADIUS radius:double unit:oneof(M m:pure-token KM km:pure-token)) \
              ANY any:pure-token)"),
            ("operation=[GET encoding offset | write=<[OVERFLOW <WRAP | SAT>] INCRBY increment> ...]",
             "operation:oneof(GET encoding_offset:block(encoding:string offset:integer) \
              write:block(OVERFLOW wrap_sat:oneof(WRAP wrap:pure-token SAT sat:pure-token)? \
              INCRBY increment:integer))?+"),
        ];
        for (syntax, expected) in table {
            assert_eq!(tree(syntax), expected, "{syntax}");
        }
    }

    #[test]
    fn tells_where_the_notation_is_wrong() {
        let table = [
            ("key [value", 10),
            ("key [value>", 10),
            ("key value]", 9),
            ("a | b", 2),
            ("key ...", 7),
            ("[key ... value]", 9),
            ("[a ... | b]", 7),
            ("[]", 1),
            ("<a | >", 5),
            ("count:number", 0),
            ("key@first", 0),
            ("name=operand", 0),
        ];
        for (syntax, at) in table {
            let error = parse(syntax).unwrap_err();
            assert_eq!(error.at, at, "{syntax}: {error}");
        }
    }
}
