//! The lines of a transcript, read into steps. The notation is described in [`super`].

use super::pattern::Protocol;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The number of a connection; the one without a number is 1.
pub type ConnectionNumber = u32;

/// One thing to do, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where it stands, from 1.
    pub line: usize,
    /// For whom it is.
    pub scope: Scope,
    /// What it is done on.
    pub connection: ConnectionNumber,
    /// What is done.
    pub action: Action,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sends a request, once for each number, and compares the replies.
    Call {
        /// Its words.
        request: String,
        /// The values of `${i}`.
        numbers: RangeInclusive<u64>,
        /// What shall come back.
        expected: Vec<Expected>,
    },
    /// Compares the next reply or message, without sending anything.
    Receive {
        /// What shall come.
        expected: Vec<Expected>,
    },
    /// Sends a request until the reply fits.
    WaitUntil {
        /// Its words.
        request: String,
        /// What shall come back.
        reply: String,
        /// For so long at most.
        time: Duration,
    },
    /// Follows a cursor to its end and compares all elements together.
    ScanAll {
        /// Its words, with `${cursor}`.
        request: String,
        /// The elements, each once.
        reply: String,
    },
}

/// A `<` line, or several that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The protocol that it holds for, if not for both.
    pub only: Option<Protocol>,
    /// What it says.
    pub reply: String,
    /// The name that the reply is noted under.
    pub noted: Option<String>,
}

/// For whom a step is: what the directives of its paragraph say, and the digit behind its `>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The protocol of the run, if not both.
    pub protocol: Option<Protocol>,
    /// The server, if not both.
    pub server: Option<Audience>,
    /// The first version of Redis that has what is asked for.
    pub since: Option<Vec<u32>>,
}

/// The server that a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Redis answers something else, for the reason given.
    Forebay,
    /// Forebay answers something else, for the reason given.
    Redis,
}

/// Reads a transcript. The error names the line.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        reader.line = index + 1;
        reader
            .read(line.trim())
            .map_err(|error| format!("line {}: {error}", reader.line))?;
    }
    reader.check_last()?;
    Ok(reader.steps)
}

#[derive(Debug, Default)]
struct Reader {
    line: usize,
    steps: Vec<Step>,
    paragraph: Scope,
}

impl Reader {
    fn read(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            self.paragraph = Scope::default();
        } else if let Some(directive) = line.strip_prefix('!') {
            self.directive(directive)?;
        } else if let Some(rest) = line.strip_prefix("wait-until ") {
            self.wait_until(rest)?;
        } else if let Some(rest) = line.strip_prefix("scan-all ") {
            let (request, reply) = sides(rest)?;
            self.push(1, None, Action::ScanAll { request, reply })?;
        } else if !line.starts_with('#') {
            self.exchange(line)?;
        }
        Ok(())
    }

    fn directive(&mut self, directive: &str) -> Result<(), String> {
        let (name, rest) = directive
            .split_once(' ')
            .ok_or("a directive needs a reason or a version")?;
        match name {
            "forebay-only" => self.paragraph.server = Some(Audience::Forebay),
            "redis-only" => self.paragraph.server = Some(Audience::Redis),
            "since" => self.paragraph.since = Some(version(rest).ok_or("a version is numbers between dots")?),
            _ => return Err(format!("there is no directive {name}")),
        }
        Ok(())
    }

    fn wait_until(&mut self, rest: &str) -> Result<(), String> {
        let (condition, time) = rest.rsplit_once(" within ").ok_or("a wait needs ` within 5s`")?;
        let (request, reply) = sides(condition)?;
        let seconds = time
            .strip_suffix('s')
            .and_then(|digits| digits.parse().ok())
            .ok_or("seconds, such as 5s")?;
        self.push(
            1,
            None,
            Action::WaitUntil {
                request,
                reply,
                time: Duration::from_secs(seconds),
            },
        )
    }

    fn exchange(&mut self, line: &str) -> Result<(), String> {
        let (number, line) = connection(line)?;
        let (numbers, line) = repetition(line)?;
        if let Some((protocol, request)) = marked(line, '>') {
            let action = Action::Call {
                request: request.to_owned(),
                numbers,
                expected: Vec::new(),
            };
            return self.push(number.unwrap_or(1), protocol, action);
        }
        let (protocol, reply) =
            marked(line, '<').ok_or("a line starts with #, !, >, <, @, repeat, wait-until or scan-all")?;
        match number {
            Some(number) => self.push(
                number,
                None,
                Action::Receive {
                    expected: vec![expected(protocol, reply)],
                },
            ),
            None => self.attach(protocol, reply),
        }
    }

    /// Adds a `<` line to the step above it: as the rest of an expectation that is still open, or as a further one.
    fn attach(&mut self, protocol: Option<Protocol>, reply: &str) -> Result<(), String> {
        let step = self.steps.last_mut().ok_or("a reply without a request")?;
        let (Action::Call { expected: all, .. } | Action::Receive { expected: all }) = &mut step.action
        else {
            return Err("this step has its reply already".to_owned());
        };
        match all.last_mut() {
            Some(open) if is_open(&open.reply) => {
                let whole = format!("{} {reply}", open.reply);
                *open = expected(open.only, &whole);
            }
            Some(last) if last.only.is_none() || last.only == protocol => {
                return Err("one reply too many".to_owned());
            }
            _ => all.push(expected(protocol, reply)),
        }
        Ok(())
    }

    fn push(
        &mut self,
        connection: ConnectionNumber,
        protocol: Option<Protocol>,
        action: Action,
    ) -> Result<(), String> {
        self.check_last()?;
        let scope = Scope {
            protocol,
            ..self.paragraph.clone()
        };
        self.steps.push(Step {
            line: self.line,
            scope,
            connection,
            action,
        });
        Ok(())
    }

    fn check_last(&self) -> Result<(), String> {
        match self.steps.last() {
            Some(Step {
                line,
                action: Action::Call { expected, .. },
                ..
            }) if expected.is_empty() => Err(format!("the request in line {line} has no reply")),
            _ => Ok(()),
        }
    }
}

fn sides(text: &str) -> Result<(String, String), String> {
    let (request, reply) = text.split_once(" == ").ok_or("` == ` and a reply are missing")?;
    Ok((request.to_owned(), reply.to_owned()))
}

/// A version such as 7.2.
pub fn version(text: &str) -> Option<Vec<u32>> {
    text.trim().split('.').map(|number| number.parse().ok()).collect()
}

/// `@2 > …`
fn connection(line: &str) -> Result<(Option<ConnectionNumber>, &str), String> {
    let Some(rest) = line.strip_prefix('@') else {
        return Ok((None, line));
    };
    let (number, rest) = rest.split_once(' ').ok_or("@ needs a number and a line")?;
    let number = number
        .parse()
        .map_err(|_| format!("{number:?} is no connection"))?;
    Ok((Some(number), rest.trim_start()))
}

/// `repeat 1..100 > …`
fn repetition(line: &str) -> Result<(RangeInclusive<u64>, &str), String> {
    let Some(rest) = line.strip_prefix("repeat ") else {
        return Ok((1..=1, line));
    };
    let parsed = rest.split_once(' ').and_then(|(range, rest)| {
        let (first, last) = range.split_once("..")?;
        Some((first.parse().ok()?..=last.parse().ok()?, rest.trim_start()))
    });
    parsed.ok_or_else(|| "a repetition looks like: repeat 1..100 > …".to_owned())
}

/// A line that starts with `mark`, perhaps with the digit of a protocol behind it.
fn marked(line: &str, mark: char) -> Option<(Option<Protocol>, &str)> {
    let rest = line.strip_prefix(mark)?;
    let (protocol, rest) = if let Some(rest) = rest.strip_prefix('2') {
        (Some(Protocol::Resp2), rest)
    } else if let Some(rest) = rest.strip_prefix('3') {
        (Some(Protocol::Resp3), rest)
    } else {
        (None, rest)
    };
    Some((protocol, rest.strip_prefix(' ')?))
}

fn expected(only: Option<Protocol>, text: &str) -> Expected {
    let noted = text
        .rsplit_once(" -> ")
        .filter(|(_, name)| name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    match noted {
        Some((reply, name)) => Expected {
            only,
            reply: reply.to_owned(),
            noted: Some(name.to_owned()),
        },
        None => Expected {
            only,
            reply: text.to_owned(),
            noted: None,
        },
    }
}

/// Whether a bracket outside of quotes waits for its partner. Errors and simple strings are never open.
fn is_open(reply: &str) -> bool {
    let mut depth = 0;
    let mut letters = reply.chars();
    let mut in_quotes = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '"' => in_quotes = !in_quotes,
            '[' | '{' | '(' if !in_quotes => depth += 1,
            ']' | '}' | ')' if !in_quotes => depth -= 1,
            _ => {}
        }
    }
    depth > 0 && reply.starts_with(['[', '{', '('])
}

#[test]
fn lines_become_steps() {
    let steps = parse(
        "# about\n@2 >3 GET a\n<2 \"x\"\n<3 [\n< :1]\n\n!since 7.2\nrepeat 1..3 > PING\n< PONG -> pong",
    )
    .unwrap();
    let [first, second] = steps.as_slice() else {
        panic!("{steps:?}")
    };
    assert_eq!(
        (first.line, first.connection, first.scope.protocol),
        (2, 2, Some(Protocol::Resp3))
    );
    let Action::Call {
        request, expected, ..
    } = &first.action
    else {
        panic!("{first:?}")
    };
    assert_eq!(
        (request.as_str(), expected.len(), expected[1].reply.as_str()),
        ("GET a", 2, "[ :1]")
    );
    assert_eq!(second.scope.since, Some(vec![7, 2]));
    let Action::Call {
        numbers, expected, ..
    } = &second.action
    else {
        panic!("{second:?}")
    };
    assert_eq!(
        (numbers.clone(), expected[0].noted.as_deref()),
        (1..=3, Some("pong"))
    );
}

#[test]
fn a_wrong_line_is_named() {
    for text in [
        "> PING\n> PING\n< PONG",
        "< OK",
        "PING",
        "!forebay-only",
        "> PING\n< PONG\n< PONG",
        "@x > PING",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    assert_eq!(
        parse("\n> PING").unwrap_err(),
        "the request in line 2 has no reply"
    );
}
