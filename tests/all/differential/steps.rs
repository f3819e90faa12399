//! What is done in one run: requests to both servers, and what needs more than one request.

use std::fmt;

use super::Place;
use super::grammar::Syntax;
use super::random::Random;
use super::words::{Words, Writer};
use crate::client::quoted;

/// Connections to each server.
pub const CONNECTIONS: usize = 2;

/// One thing that is done to both servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A request on one of the connections.
    Request(usize, Words),
    /// Gives a key a short time to live and waits until it is gone.
    Expire(Vec<u8>),
    /// Follows the cursor of a command, which stands at the end of the first words, until it is 0.
    Scan(Words, Words),
    /// Takes members by chance, and brings the other server to the same set.
    Pop(Words),
    /// Waits with the first request on the second connection, and wakes it by the others on the first.
    Block(Words, Vec<Words>),
    /// Brings a key over by DUMP and RESTORE, both ways.
    Transfer(Vec<u8>),
}

/// How likely commands are, where not [`ORDINARY`]. Data is made more often than it is removed.
const WEIGHTS: &[(&str, usize)] = &[
    ("flushall", 1),
    ("flushdb", 1),
    ("swapdb", 3),
    ("move", 6),
    ("del", 6),
    ("unlink", 6),
    ("rename", 6),
    ("set", 30),
    ("setbit", 20),
    ("hset", 40),
    ("rpush", 40),
    ("lpush", 30),
    ("sadd", 50),
    ("zadd", 50),
    ("geoadd", 20),
    ("xadd", 60),
    ("xgroup|create", 30),
    ("xreadgroup", 40),
    ("pfadd", 20),
    // Each waits for its time when there is nothing.
    ("blpop", 3),
    ("brpop", 3),
    ("blmove", 3),
    ("brpoplpush", 3),
    ("blmpop", 3),
    ("bzmpop", 3),
    ("bzpopmin", 3),
    ("bzpopmax", 3),
];
const ORDINARY: usize = 10;

/// Commands that fill an empty server.
const FILLING: [&str; 9] = [
    "set",
    "hset",
    "rpush",
    "sadd",
    "zadd",
    "geoadd",
    "xadd",
    "pfadd",
    "xgroup|create",
];

/// Settings of how values are laid out, with small values that a run reaches.
const LAYOUTS: [(&str, &[&str]); 8] = [
    ("hash-max-listpack-entries", &["512", "4"]),
    ("hash-max-listpack-value", &["64", "5"]),
    ("set-max-intset-entries", &["512", "4"]),
    ("zset-max-listpack-entries", &["128", "4"]),
    ("zset-max-listpack-value", &["64", "5"]),
    ("list-max-listpack-size", &["-2", "4", "-1"]),
    ("stream-node-max-entries", &["100", "3"]),
    ("hll-sparse-max-bytes", &["3000", "100"]),
];

/// Chooses steps.
pub struct Plan<'s> {
    syntaxes: &'s [Syntax],
    total_weight: usize,
    place: Place,
}

impl<'s> Plan<'s> {
    /// Of requests with these syntaxes.
    pub fn new(syntaxes: &'s [Syntax], place: Place) -> Self {
        Self {
            syntaxes,
            total_weight: syntaxes.iter().map(weight).sum(),
            place,
        }
    }

    /// How many commands are tried.
    pub fn commands(&self) -> usize {
        self.syntaxes.len()
    }

    /// The steps of one run.
    pub fn steps(&self, random: &mut Random) -> Vec<Step> {
        let mut steps = match self.place {
            Place::Alone => layout(random),
            Place::NearCache => Vec::new(),
        };
        let count = 30 + random.below(150);
        let mut writer = Writer::new(random);
        let group = ["xgroup", "create", "x0", "g1", "0", "mkstream"];
        steps.push(Step::Request(
            0,
            group.map(|word| word.as_bytes().to_vec()).into(),
        ));
        for _ in 0..25 {
            let filling = writer.random().pick(&FILLING);
            steps.extend(
                self.named(filling)
                    .map(|syntax| Step::Request(0, writer.tame(syntax))),
            );
        }
        for _ in 0..count {
            self.add(&mut writer, &mut steps);
        }
        steps
    }

    fn add(&self, writer: &mut Writer<'_>, steps: &mut Vec<Step>) {
        match writer.random().below(400) {
            0..12 => self.transaction(writer, steps),
            12..16 => steps.push(Step::Expire(writer.key(""))),
            16..28 => steps.push(scan(writer)),
            28..34 => steps.push(pop(writer)),
            // A near cache counts who waits upstream as blocked only after a while.
            34..38 if self.place == Place::Alone => steps.push(block(writer)),
            38..42 => steps.push(Step::Transfer(writer.key(""))),
            42..48 => {
                let database = writer.random().pick(&["0", "0", "1", "2", "99"]);
                steps.push(Step::Request(0, vec![b"select".to_vec(), database.into()]));
            }
            _ => steps.push(Step::Request(0, self.request(writer))),
        }
    }

    fn request(&self, writer: &mut Writer<'_>) -> Words {
        let mut chosen = writer.random().below(self.total_weight);
        for syntax in self.syntaxes {
            match chosen.checked_sub(weight(syntax)) {
                Some(rest) => chosen = rest,
                None => return writer.request(syntax),
            }
        }
        unreachable!("the weights add up to their total")
    }

    fn named(&self, name: &str) -> Option<&Syntax> {
        self.syntaxes.iter().find(|syntax| syntax.full_name() == name)
    }

    /// A transaction, sometimes with watched keys, which somebody else may change meanwhile.
    fn transaction(&self, writer: &mut Writer<'_>, steps: &mut Vec<Step>) {
        let word = |word: &str| vec![word.as_bytes().to_vec()];
        if writer.random().chance(50) {
            // Redis does not see all changes of a stream's groups when it is watched; Forebay does.
            let mut keys = vec![writer.key(""), writer.key(""), writer.key("set"), b"s0".to_vec()];
            keys.retain(|key| !key.starts_with(b"x"));
            steps.push(Step::Request(0, [vec![b"watch".to_vec()], keys].concat()));
            for connection in 0..CONNECTIONS {
                if writer.random().chance(30) {
                    steps.push(Step::Request(connection, self.request(writer)));
                }
            }
        }
        if writer.random().chance(10) {
            steps.push(Step::Request(0, word("unwatch")));
        }
        steps.push(Step::Request(0, word("multi")));
        for _ in 0..writer.random().below(6) {
            steps.push(Step::Request(0, self.request(writer)));
        }
        if writer.random().chance(15) {
            steps.push(Step::Request(1, self.request(writer)));
        }
        let end = writer.random().pick(&["exec", "exec", "exec", "exec", "discard"]);
        steps.push(Step::Request(0, word(end)));
    }
}

fn weight(syntax: &Syntax) -> usize {
    let name = syntax.full_name();
    let known = WEIGHTS.iter().find(|(known, _)| *known == name);
    known.map_or(ORDINARY, |(_, weight)| *weight)
}

fn layout(random: &mut Random) -> Vec<Step> {
    let set = |(name, values): (&str, &[&str]), random: &mut Random| {
        let value = random.pick(values);
        let words = ["config", "set", name, value];
        Step::Request(0, words.map(|word| word.as_bytes().to_vec()).into())
    };
    LAYOUTS.into_iter().map(|setting| set(setting, random)).collect()
}

fn scan(writer: &mut Writer<'_>) -> Step {
    let (command, group) = [
        ("hscan", "hash"),
        ("sscan", "set"),
        ("zscan", "sorted-set"),
        ("scan", ""),
    ][writer.random().below(4)];
    let mut before = vec![command.as_bytes().to_vec()];
    if command != "scan" {
        before.push(writer.key(group));
    }
    let mut options = Vec::new();
    if writer.random().chance(40) {
        let pattern = writer.random().pick(&["*", "a*", "[a-d]", "?", "1*", "nosuch"]);
        options.extend([b"MATCH".to_vec(), pattern.into()]);
    }
    if writer.random().chance(40) {
        let count = writer.random().pick(&["1", "3", "1000", "0", "-1", "abc"]);
        options.extend([b"COUNT".to_vec(), count.into()]);
    }
    if command == "scan" && writer.random().chance(40) {
        let kind = writer
            .random()
            .pick(&["hash", "set", "string", "stream", "list", "zset", "nosuch"]);
        options.extend([b"TYPE".to_vec(), kind.into()]);
    }
    Step::Scan(before, options)
}

fn pop(writer: &mut Writer<'_>) -> Step {
    let mut words = vec![b"spop".to_vec(), writer.key("set")];
    if writer.random().chance(60) {
        words.push(
            writer
                .random()
                .pick(&["0", "1", "2", "3", "100", "-1", "abc"])
                .into(),
        );
    }
    Step::Pop(words)
}

/// A command that waits, with the ways to end its wait.
fn block(writer: &mut Writer<'_>) -> Step {
    let words = |line: &str| {
        line.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect::<Words>()
    };
    let waits = [
        "blpop w1 w2 0",
        "brpop w2 w1 0",
        "blmove w1 w3 left right 0",
        "brpoplpush w1 w1 0",
        "blmpop 0 2 w1 w2 left count 2",
        "bzpopmin w1 w2 0",
        "bzpopmax w1 0",
        "bzmpop 0 2 w1 w2 max count 3",
        "xread block 0 streams w1 $",
        "xread count 1 block 0 streams w1 w2 0 0",
    ];
    let wait = waits[writer.random().below(waits.len())];
    let fills: &[&[&str]] = if wait.starts_with("bz") {
        &[
            &["zadd w1 1 a 2 b 3 c"],
            &["set w1 x", "del w1", "zadd w1 5 m"],
            &["zadd w4 1 x 2 y", "rename w4 w1"],
            &["zadd w4 1 x", "zunionstore w1 1 w4"],
            &["geoadd w1 1 1 here"],
            &["multi", "zadd w1 1 a", "zadd w1 0 b", "exec"],
        ]
    } else if wait.starts_with('x') {
        &[
            &["xadd w1 1-1 f v"],
            &["xadd w4 1-1 f v", "rename w4 w1", "xadd w1 2-1 f v"],
            &["multi", "xadd w1 1-1 a b", "xadd w1 1-2 c d", "exec"],
        ]
    } else {
        &[
            &["rpush w1 a b c"],
            &["lpush w1 a"],
            &["sadd w1 x", "del w1", "rpush w1 later"],
            &["rpush w4 x y", "rename w4 w1"],
            &["rpush w4 x y", "copy w4 w1"],
            &["rpush w4 2 1", "sort w4 store w1"],
            &["rpush w4 x", "lmove w4 w1 left left"],
            &["multi", "rpush w1 a", "del w1", "rpush w1 b", "exec"],
            &[
                "select 1",
                "rpush w1 moved",
                "move w1 0",
                "select 0",
                "rpush w1 x",
            ],
            &[
                "select 1",
                "rpush w1 swapped",
                "swapdb 0 1",
                "select 0",
                "rpush w1 y",
            ],
        ]
    };
    let fill = fills[writer.random().below(fills.len())];
    Step::Block(words(wait), fill.iter().map(|line| words(line)).collect())
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(0, words) => f.write_str(&shown(words)),
            Self::Request(connection, words) => write!(f, "@{connection} {}", shown(words)),
            Self::Expire(key) => write!(f, "(expire) {}", quoted(key)),
            Self::Scan(before, options) => write!(f, "(scan) {} … {}", shown(before), shown(options)),
            Self::Pop(words) => write!(f, "(pop) {}", shown(words)),
            Self::Block(words, wakers) => {
                write!(f, "(block) {}", shown(words))?;
                wakers
                    .iter()
                    .try_for_each(|words| write!(f, "; {}", shown(words)))
            }
            Self::Transfer(key) => write!(f, "(transfer) {}", quoted(key)),
        }
    }
}

/// The words of a request as redis-cli takes them.
pub fn shown(words: &Words) -> String {
    let word = |word: &Vec<u8>| {
        let is_plain = !word.is_empty()
            && word
                .iter()
                .all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte));
        if is_plain {
            String::from_utf8_lossy(word).into_owned()
        } else {
            quoted(word)
        }
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}
