//! What arguments are taken from: mostly small and likely to meet, now and then at the edge of what is possible.

use super::grammar::Syntax;
use super::words::{Words, Writer};

/// A moment in the year 2100, in Unix seconds.
const FAR: i64 = 4_102_444_800;

/// How keys of sorted sets begin whose scores are all 0; no other command may change them.
const LEXICAL: &str = "y";

/// Whether a key is such a one.
pub fn is_lexical_key(key: &[u8]) -> bool {
    key.len() == 2 && key.starts_with(LEXICAL.as_bytes())
}

/// Whether a request has such a key.
pub fn names_lexical_key(words: &Words) -> bool {
    words.iter().any(|word| is_lexical_key(word))
}

impl Writer<'_> {
    /// A key that mostly holds what the group's commands expect.
    pub(super) fn key(&mut self, group: &str) -> Vec<u8> {
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

    pub(super) fn moment(&mut self, syntax: &Syntax, name: &str) -> Vec<u8> {
        // What SET stores with a deadline that has passed is gone as soon as Redis gets round to it.
        let choices = if syntax.name[0] == "set" { 2 } else { 6 };
        let seconds = [FAR, FAR + 1000, 1, 0, -1, 1_000_000_000][self.random.below(choices)];
        let factor = if name.contains("milliseconds") { 1000 } else { 1 };
        (seconds * factor).to_string().into()
    }

    pub(super) fn double(&mut self, syntax: &Syntax, name: &str) -> Vec<u8> {
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

    /// Not -0: how a sorted set is laid out, and was on its way, decides whether Redis forgets its sign.
    pub(super) fn score(&mut self) -> Vec<u8> {
        if self.random.chance(60) {
            return (self.random.below(12) as i64 - 4).to_string().into();
        }
        self.random
            .pick(&[
                "1.5", "-2.5", "inf", "-inf", "+inf", "1e20", "0.1", "1e-10", "3.0", "1e308",
            ])
            .into()
    }

    pub(super) fn score_bound(&mut self) -> Vec<u8> {
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

    pub(super) fn lexical_bound(&mut self) -> Vec<u8> {
        if self.random.chance(40) {
            return self.random.pick(&["-", "+"]).into();
        }
        let mut bound: Vec<u8> = self.random.pick(&["[", "("]).into();
        bound.extend(self.member());
        bound
    }

    pub(super) fn integer(&mut self, syntax: &Syntax, name: &str) -> Vec<u8> {
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

    pub(super) fn small_integer(&mut self) -> Vec<u8> {
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

    pub(super) fn text(&mut self, syntax: &Syntax, name: &str) -> Vec<u8> {
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
    pub(super) fn next_id(&mut self) -> Vec<u8> {
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

    pub(super) fn stream_id(&mut self) -> Vec<u8> {
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

    pub(super) fn member(&mut self) -> Vec<u8> {
        match self.random.below(100) {
            0..70 => self.random.pick(&["a", "b", "c", "d", "e", "f", "g", "h"]).into(),
            70..88 => (self.random.below(14) as i64 - 2).to_string().into(),
            _ => self.value(),
        }
    }

    /// Bytes of any kind.
    pub(super) fn value(&mut self) -> Vec<u8> {
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
    pub(super) fn edge(&mut self) -> Vec<u8> {
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

    /// A sorted set for ranges of members, which have an order only where all scores are equal.
    pub(super) fn lexical_key(&mut self) -> Vec<u8> {
        format!("{LEXICAL}{}", self.random.below(2)).into()
    }
}
