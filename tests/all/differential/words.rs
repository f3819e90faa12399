//! Requests: by the syntax of their command, with arguments that are likely to mean something, and now and then with
//! ones that are not.

use super::grammar::{Argument, Syntax};
use super::random::Random;

/// The words of a request.
pub type Words = Vec<Vec<u8>>;

/// A moment in the year 2100, in Unix seconds.
const FAR: i64 = 4_102_444_800;

/// Writes the requests of one run.
pub struct Writer<'r> {
    random: &'r mut Random,
    /// The last id that a stream was given.
    last_id: u64,
    /// Whether arguments are what they should be.
    is_tame: bool,
}

/// One request as it is written.
struct Draft<'s> {
    syntax: &'s Syntax,
    words: Words,
    /// How many keys were announced.
    announced: Option<usize>,
}

impl<'r> Writer<'r> {
    /// A writer that chooses by `random`.
    pub fn new(random: &'r mut Random) -> Self {
        Self {
            random,
            last_id: 0,
            is_tame: false,
        }
    }

    /// What is chosen by.
    pub fn random(&mut self) -> &mut Random {
        self.random
    }

    /// A request that most likely succeeds.
    pub fn tame(&mut self, syntax: &Syntax) -> Words {
        self.is_tame = true;
        let words = self.proper(syntax);
        self.is_tame = false;
        words
    }

    /// A request, most likely well-formed.
    pub fn request(&mut self, syntax: &Syntax) -> Words {
        self.is_tame = self.random.chance(50);
        let mut words = self.proper(syntax);
        self.is_tame = false;
        if self.random.chance(3) && !names_lexical_key(&words) {
            self.spoil(&mut words, syntax.name.len());
        }
        words
    }

    fn proper(&mut self, syntax: &Syntax) -> Words {
        let mut draft = Draft {
            syntax,
            words: syntax.name.iter().map(|word| word.clone().into_bytes()).collect(),
            announced: None,
        };
        match &*syntax.name[0] {
            "zadd" if self.random.chance(20) => self.add_lexical(&mut draft),
            "bitfield" | "bitfield_ro" => self.bitfield(&mut draft),
            "sort" => self.sort(&mut draft),
            _ => self.arguments(&mut draft, &syntax.arguments),
        }
        self.mend(&mut draft);
        draft.words
    }

    fn arguments(&mut self, draft: &mut Draft<'_>, arguments: &[Argument]) {
        for argument in arguments {
            self.argument(draft, argument);
        }
    }

    fn argument(&mut self, draft: &mut Draft<'_>, argument: &Argument) {
        if argument.is_optional && !self.random.chance(35) {
            return;
        }
        for round in 0..self.rounds(draft, argument) {
            if let Some(token) = &argument.token
                && (round == 0 || argument.repeats_token)
            {
                draft.words.push(token.clone().into_bytes());
            }
            match &*argument.kind {
                "pure-token" => {}
                "oneof" => {
                    let chosen = self.random.below(argument.parts.len());
                    self.argument(draft, &argument.parts[chosen]);
                }
                "block" if argument.name == "streams" => self.streams(draft),
                "block" => self.arguments(draft, &argument.parts),
                _ => {
                    let word = self.word(draft, argument);
                    draft.words.push(word);
                }
            }
        }
    }

    /// How often an argument stands there.
    fn rounds(&mut self, draft: &mut Draft<'_>, argument: &Argument) -> usize {
        if !argument.is_multiple {
            return 1;
        }
        if let Some(announced) = draft.announced
            && (argument.kind == "key" || argument.name == "weight")
        {
            return announced;
        }
        match self.random.below(100) {
            0..50 => 1,
            50..75 => 2,
            75..90 => 3,
            90..98 => 6,
            _ => 40,
        }
    }

    /// As many keys of streams as ids.
    fn streams(&mut self, draft: &mut Draft<'_>) {
        let count = 1 + self.random.below(2);
        for _ in 0..count {
            let key = self.key("stream");
            draft.words.push(key);
        }
        for _ in 0..count {
            let id = if self.random.chance(80) {
                self.random.pick(&["0", ">", ">", ">", "$", "0-0"]).into()
            } else {
                self.stream_id()
            };
            draft.words.push(id);
        }
    }

    /// The value of one argument.
    fn word(&mut self, draft: &mut Draft<'_>, argument: &Argument) -> Vec<u8> {
        if !self.is_tame && self.random.chance(4) && !is_costly(&draft.words) {
            return self.edge();
        }
        match (&*argument.kind, &*argument.name) {
            ("key", _) => self.key(&draft.syntax.group),
            (_, "numkeys") => {
                let count = 1 + self.random.below(3);
                draft.announced = Some(count);
                count.to_string().into()
            }
            ("pattern", _) => self
                .random
                .pick(&["*", "?", "a*", "[a-c]*", "\\*", "h?", "*1*", ""])
                .into(),
            ("unix-time", name) => self.moment(name),
            ("double", name) => self.double(draft.syntax, name),
            ("integer", name) => self.integer(draft.syntax, name),
            (_, name) => self.text(draft.syntax, name),
        }
    }

    /// A key that mostly holds what the group's commands expect.
    pub fn key(&mut self, group: &str) -> Vec<u8> {
        let own = match group {
            "hash" => "h",
            "list" => "l",
            "set" => "s",
            "sorted-set" | "geo" => "z",
            "stream" => "x",
            "hyperloglog" => "p",
            "string" | "bitmap" => "t",
            _ => "",
        };
        let kind = if own.is_empty() || self.random.chance(8) {
            self.random.pick(&["h", "l", "s", "z", "x", "p", "t", "none"])
        } else {
            own
        };
        // Little is found in a stream that seldom comes up.
        let number = if kind == "x" && self.random.chance(60) {
            0
        } else {
            self.random.below(3)
        };
        format!("{kind}{number}").into()
    }

    fn moment(&mut self, name: &str) -> Vec<u8> {
        let seconds = [FAR, FAR + 1000, 1, 0, -1, 1_000_000_000][self.random.below(6)];
        let factor = if name.contains("milliseconds") { 1000 } else { 1 };
        (seconds * factor).to_string().into()
    }

    fn double(&mut self, syntax: &Syntax, name: &str) -> Vec<u8> {
        match name {
            // Times are short: what blocks waits for them.
            "timeout" if self.is_tame => self.random.pick(&["0.01", "0.001", "1e-3", "0.02"]).into(),
            "timeout" => self
                .random
                .pick(&["0.005", "-1", "abc", "nan", "1e300", "", "-0.5", "inf", " 1"])
                .into(),
            "min" | "max" => self.score_bound(),
            "longitude" => self
                .random
                .pick(&["13.361389", "15.087269", "0", "-179.9", "2.35"])
                .into(),
            "latitude" => self
                .random
                .pick(&["38.115556", "37.502669", "0", "-85", "48.85"])
                .into(),
            "radius" | "width" | "height" => self.random.pick(&["1", "100", "200.5", "20000", "0"]).into(),
            "score" if syntax.group == "sorted-set" => self.score(),
            _ => self
                .random
                .pick(&["1", "-1", "0.5", "3.0", "1e3", "-0.1", "0", "123456789.125"])
                .into(),
        }
    }

    fn score(&mut self) -> Vec<u8> {
        if self.random.chance(60) {
            return (self.random.below(12) as i64 - 4).to_string().into();
        }
        self.random
            .pick(&[
                "1.5", "-2.5", "inf", "-inf", "+inf", "1e20", "0.1", "-0", "1e-10", "3.0", "1e308",
            ])
            .into()
    }

    fn score_bound(&mut self) -> Vec<u8> {
        let mut bound = if self.random.chance(20) {
            b"(".to_vec()
        } else {
            Vec::new()
        };
        let score = if self.random.chance(40) {
            self.random.pick(&["-inf", "+inf", "inf"]).into()
        } else {
            self.score()
        };
        bound.extend(score);
        bound
    }

    fn lexical_bound(&mut self) -> Vec<u8> {
        if self.random.chance(40) {
            return self.random.pick(&["-", "+"]).into();
        }
        let mut bound: Vec<u8> = self.random.pick(&["[", "("]).into();
        bound.extend(self.member());
        bound
    }

    fn integer(&mut self, syntax: &Syntax, name: &str) -> Vec<u8> {
        let is_random = syntax.name[0].ends_with("randmember") || syntax.name[0].ends_with("randfield");
        match name {
            // As many as are asked for are sent.
            "count" if is_random => self
                .random
                .pick(&["0", "1", "2", "5", "-1", "-3", "-7", "100"])
                .into(),
            "seconds" => self.random.pick(&["100", "1000", "0", "-1", "99999"]).into(),
            "milliseconds" if syntax.group == "stream" => {
                let times = if self.is_tame {
                    ["1", "5", "10"]
                } else {
                    ["-1", "1.5", "abc"]
                };
                self.random.pick(&times).into()
            }
            "milliseconds" => self.random.pick(&["100000", "99999999", "0", "-1"]).into(),
            // Memory is taken for all that lies before.
            "offset" if syntax.group == "bitmap" || syntax.group == "string" => self
                .random
                .pick(&["0", "1", "7", "8", "9", "63", "100", "1000", "-1", "4294967296"])
                .into(),
            "db" | "destination-db" => self.random.pick(&["0", "1", "2", "1", "2", "16"]).into(),
            "bit" => self.random.pick(&["0", "1", "0", "1", "2"]).into(),
            "value" if syntax.name[0] == "setbit" => self.random.pick(&["0", "1", "1", "1", "2"]).into(),
            _ => self.small_integer(),
        }
    }

    fn small_integer(&mut self) -> Vec<u8> {
        match self.random.below(100) {
            0..80 => (self.random.below(16) as i64 - 5).to_string().into(),
            80..90 => (self.random.below(400) as i64 - 200).to_string().into(),
            _ if self.is_tame => b"1".to_vec(),
            _ => self
                .random
                .pick(&[
                    "9223372036854775807",
                    "-9223372036854775808",
                    "-9223372036854775807",
                    "4294967296",
                    "2147483648",
                ])
                .into(),
        }
    }

    fn text(&mut self, syntax: &Syntax, name: &str) -> Vec<u8> {
        match (&*syntax.group, name) {
            ("stream", "group" | "groupname") => self
                .random
                .pick(&["g1", "g1", "g1", "g1", "g1", "g2", "nosuch"])
                .into(),
            ("stream", "consumer" | "consumername") => self.random.pick(&["c1", "c2", "c3"]).into(),
            ("stream", "min-idle-time") => self.random.pick(&["0", "0", "0", "1000000"]).into(),
            ("stream", "threshold") => {
                if self.random.chance(70) {
                    self.random.below(10).to_string().into()
                } else {
                    self.stream_id()
                }
            }
            ("stream", "id") if syntax.name[0] == "xadd" => self.next_id(),
            ("stream", "id" | "last-id" | "start" | "end" | "max_deleted_entry_id") => self.stream_id(),
            ("bitmap", "operation") => self.random.pick(&["AND", "OR", "XOR", "NOT"]).into(),
            ("sorted-set", "min" | "max") => self.lexical_bound(),
            ("sorted-set", "start" | "stop") => self.small_integer(),
            (_, "member" | "member1" | "member2" | "field") => self.member(),
            _ => self.value(),
        }
    }

    /// An id that is greater than the last, as a stream wants it.
    fn next_id(&mut self) -> Vec<u8> {
        if !self.is_tame && self.random.chance(20) {
            return self.stream_id();
        }
        self.last_id += 1;
        match self.random.below(4) {
            0 => format!("{}-*", self.last_id),
            1 => self.last_id.to_string(),
            _ => format!("{}-{}", self.last_id, self.random.below(3)),
        }
        .into()
    }

    fn stream_id(&mut self) -> Vec<u8> {
        if self.random.chance(70) {
            let (time, sequence) = (self.random.below(self.last_id as usize + 2), self.random.below(3));
            return match self.random.below(3) {
                0 => time.to_string(),
                1 => format!("({time}-{sequence}"),
                _ => format!("{time}-{sequence}"),
            }
            .into();
        }
        let ids = [
            "-",
            "+",
            "0",
            "0-0",
            "$",
            ">",
            "18446744073709551615-18446744073709551615",
            "18446744073709551615",
            "5-",
            "-5",
            "1-1-1",
            "(",
            "(-",
            "18446744073709551616-0",
            "(18446744073709551615-18446744073709551615",
        ];
        self.random.pick(&ids).into()
    }

    fn member(&mut self) -> Vec<u8> {
        match self.random.below(100) {
            0..70 => self.random.pick(&["a", "b", "c", "d", "e", "f", "g", "h"]).into(),
            70..88 => (self.random.below(14) as i64 - 2).to_string().into(),
            _ => self.value(),
        }
    }

    /// Bytes of any kind.
    fn value(&mut self) -> Vec<u8> {
        match self.random.below(100) {
            0..30 => (self.random.below(20) as i64 - 5).to_string().into(),
            30..60 => self
                .random
                .pick(&["a", "b", "foo", "bar", "hello world", "abcabcabd", "\u{e9}"])
                .into(),
            60..70 => self
                .random
                .pick(&["3.14", "-0.5", "1e3", "10000000000", "007", "+5", "-0"])
                .into(),
            70..76 => b"x".repeat(44 + self.random.below(2)),
            76..84 => b"long".repeat(16 + self.random.below(2)),
            84..88 => b"y".repeat(300),
            88..92 => Vec::new(),
            92..96 => b"\x00\xff\r\n\"\x7f".to_vec(),
            _ => (0..self.random.below(20))
                .map(|_| self.random.next() as u8)
                .collect(),
        }
    }

    /// What an argument should not be.
    fn edge(&mut self) -> Vec<u8> {
        let edges = [
            "",
            " ",
            "abc",
            "-1",
            "0",
            "1.5",
            "+1",
            "-0",
            "01",
            "1 ",
            " 1",
            "1e2",
            "0x10",
            "nan",
            "-nan",
            "inf",
            "-inf",
            "infinity",
            "(1",
            "[a",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "1e309",
            "1e-400",
            "*",
            "$",
            "1,5",
            "NX",
            "COUNT",
            "LIMIT",
            "WITHSCORES",
        ];
        self.random.pick(&edges).into()
    }

    /// Makes a request that is most likely wrong.
    fn spoil(&mut self, words: &mut Words, name_words: usize) {
        let last = words.len() - 1;
        let at = (name_words + self.random.below(last.max(1))).min(last);
        if words.len() == name_words {
            words.push(self.edge());
            return;
        }
        match self.random.below(5) {
            0 => drop(words.remove(at)),
            1 => words.insert(at, words[at].clone()),
            2 => words.truncate(at.max(name_words)),
            _ if is_costly(words) => {}
            3 => words.push(self.edge()),
            _ => words[at] = self.edge(),
        }
    }

    /// What the syntax alone does not say.
    fn mend(&mut self, draft: &mut Draft<'_>) {
        let has = |words: &Words, word: &str| words.iter().any(|other| other == word.as_bytes());
        let name = &*draft.syntax.name[0];
        let words = &mut draft.words;
        let is_lexical = name.contains("lex") || has(words, "BYLEX");
        let is_store = name == "zrangestore";
        if is_lexical && words.len() > 2 && self.random.chance(90) {
            words[1 + usize::from(is_store)] = self.lexical_key();
        } else if is_lexical && words.len() > 2 {
            words[1 + usize::from(is_store)] = self.random.pick(&["h0", "l0", "s0", "none0"]).into();
        }
        match name {
            "zrange" | "zrangestore" => {
                let first = if name == "zrange" { 2 } else { 3 };
                let (by_score, by_lex) = (has(words, "BYSCORE"), has(words, "BYLEX"));
                for at in [first, first + 1] {
                    words[at] = match (by_score, by_lex) {
                        (true, _) => self.score_bound(),
                        (_, true) => self.lexical_bound(),
                        _ => self.small_integer(),
                    };
                }
            }
            // The moment decides.
            "xadd" => {
                for word in words.iter_mut().skip(2).filter(|word| **word == b"*") {
                    *word = self.next_id();
                }
            }
            // Which of many are found is left open.
            "geosearchstore" | "georadius" | "georadiusbymember" => words.retain(|word| word != b"ANY"),
            _ => {}
        }
        if self.random.chance(5) {
            for word in &mut draft.words[..draft.syntax.name.len()] {
                word.make_ascii_uppercase();
            }
        }
    }

    /// A sorted set for ranges of members, which have an order only where all scores are equal.
    fn lexical_key(&mut self) -> Vec<u8> {
        format!("{LEXICAL}{}", self.random.below(2)).into()
    }

    fn add_lexical(&mut self, draft: &mut Draft<'_>) {
        draft.words.push(self.lexical_key());
        for _ in 0..1 + self.random.below(5) {
            let member = self.member();
            draft.words.extend([b"0".to_vec(), member]);
        }
    }

    fn bitfield(&mut self, draft: &mut Draft<'_>) {
        draft.words.push(self.key("bitmap"));
        for _ in 0..1 + self.random.below(3) {
            let kind = self.random.pick(&[
                "u8", "i8", "u1", "i5", "u63", "i64", "u16", "i32", "u64", "i0", "x8", "i65",
            ]);
            let offset = self.random.pick(&[
                "0",
                "1",
                "7",
                "#1",
                "#3",
                "100",
                "3",
                "#0",
                "-1",
                "4294967296",
                "#abc",
            ]);
            let number = self.small_integer();
            let read_only = draft.syntax.name[0] == "bitfield_ro" && self.random.chance(90);
            let action = if read_only { 0 } else { self.random.below(4) };
            let texts: Vec<Vec<u8>> = match action {
                0 => vec![b"GET".into(), kind.into(), offset.into()],
                1 => vec![b"SET".into(), kind.into(), offset.into(), number],
                2 => vec![b"INCRBY".into(), kind.into(), offset.into(), number],
                _ => vec![
                    b"OVERFLOW".into(),
                    self.random.pick(&["WRAP", "SAT", "FAIL", "fail", "X"]).into(),
                ],
            };
            draft.words.extend(texts);
        }
    }

    fn sort(&mut self, draft: &mut Draft<'_>) {
        draft.words[0] = self.random.pick(&["sort", "sort", "sort_ro"]).into();
        let group = self.random.pick(&["list", "set", "sorted-set"]);
        draft.words.push(self.key(group));
        if self.random.chance(30) {
            let by = self
                .random
                .pick(&["nosort", "t*", "h*->a", "*", "none*", "l*", "t\\*", "h0->*"]);
            draft.words.extend([b"BY".to_vec(), by.into()]);
        }
        if self.random.chance(30) {
            let (offset, count) = (self.small_integer(), self.small_integer());
            draft.words.extend([b"LIMIT".to_vec(), offset, count]);
        }
        for _ in 0..self.random.below(3) {
            if self.random.chance(50) {
                let pattern = self
                    .random
                    .pick(&["#", "t*", "h*->a", "none*", "*", "h*->", "l*"]);
                draft.words.extend([b"GET".to_vec(), pattern.into()]);
            }
        }
        for option in ["ASC", "DESC", "ALPHA"] {
            if self.random.chance(35) {
                draft.words.push(option.into());
            }
        }
        // What BY leaves open must not be kept.
        let is_settled = !draft.words.contains(&b"BY".to_vec());
        if draft.words[0] == b"sort" && is_settled && self.random.chance(20) {
            let key = self.key("list");
            draft.words.extend([b"STORE".to_vec(), key]);
        }
    }
}

/// How keys of sorted sets begin whose scores are all 0; no other command may change them.
const LEXICAL: &str = "y";

/// Whether a request has such a key.
pub fn names_lexical_key(words: &Words) -> bool {
    words
        .iter()
        .any(|word| word.len() == 2 && word.starts_with(LEXICAL.as_bytes()))
}

/// Whether a random number among the arguments could cost much memory or time on both servers.
fn is_costly(words: &Words) -> bool {
    let costly = [
        "setrange",
        "setbit",
        "bitfield",
        "srandmember",
        "hrandfield",
        "zrandmember",
        "blpop",
        "brpop",
        "blmove",
        "blmpop",
        "brpoplpush",
        "bzpopmin",
        "bzpopmax",
        "bzmpop",
        "xread",
        "xreadgroup",
    ];
    costly
        .iter()
        .any(|name| words[0].eq_ignore_ascii_case(name.as_bytes()))
}
