//! Requests: by the syntax of their command, with arguments that are likely to mean something, and now and then with
//! ones that are not.

use super::domains::names_lexical_key;
use super::grammar::{Argument, Syntax};
use super::random::Random;

/// The words of a request.
pub type Words = Vec<Vec<u8>>;

/// Writes the requests of one run.
pub struct Writer<'r> {
    pub(super) random: &'r mut Random,
    /// The last id that a stream was given.
    pub(super) last_id: u64,
    /// Whether arguments are what they should be.
    pub(super) is_tame: bool,
}

/// One request as it is written.
pub struct Draft<'s> {
    /// Its command.
    pub syntax: &'s Syntax,
    /// The words so far.
    pub words: Words,
    /// How many keys were announced.
    pub announced: Option<usize>,
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
        if self.random.chance(3) && !names_lexical_key(&words) && !is_checked_late(&words) {
            self.spoil(&mut words, syntax.name.len());
        }
        match &*syntax.name[0] {
            // From Redis 7.2 on there is an option.
            "zrank" | "zrevrank" => words.truncate(3),
            // Redis 7.0 negates the lowest rank, which has no opposite; later ones refuse it.
            "lpos" => words.retain(|word| word != b"-9223372036854775808"),
            _ => {}
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
            98 => 40,
            _ => 250,
        }
    }

    /// The value of one argument.
    fn word(&mut self, draft: &mut Draft<'_>, argument: &Argument) -> Vec<u8> {
        if !self.is_tame
            && self.random.chance(4)
            && !is_costly(&draft.words)
            && !is_checked_late(&draft.words)
        {
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
            ("unix-time", name) => self.moment(draft.syntax, name),
            ("double", name) => self.double(draft.syntax, name),
            ("integer", name) => self.integer(draft.syntax, name),
            (_, name) => self.text(draft.syntax, name),
        }
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
            words[1 + usize::from(is_store)] = b"none9".to_vec();
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
            // The last entry, from Redis 7.4 on.
            "xread" => {
                for word in words.iter_mut().filter(|word| **word == b"+") {
                    *word = b"-".to_vec();
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
}

/// Whether Redis 7.0 looks at the key before it looks at the arguments, which from Redis 7.2 on is the other way round.
fn is_checked_late(words: &Words) -> bool {
    words[0].eq_ignore_ascii_case(b"bitcount") || words[0].eq_ignore_ascii_case(b"bitpos")
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
