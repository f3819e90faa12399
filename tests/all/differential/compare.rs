//! Whether two replies say the same: order, chance and the moment set apart, where the command leaves them open.

use crate::client::Value;

/// What a reply leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Nothing.
    Exact,
    /// The order of elements.
    Unordered,
    /// The order of pairs, in RESP2 one element after another.
    Pairs,
    /// Everything but the types and the number of elements.
    Shape,
    /// What stands behind a zero byte, where texts are compared as C does.
    Texts,
    /// So many units of time.
    Near(i64),
    /// How long ago something was.
    Moments,
}

/// Rules of commands, by their first word, where they are not [`Rule::Exact`].
const RULES: &[(&str, Rule)] = &[
    ("expiretime", Rule::Near(1)),
    ("geohash", Rule::Exact),
    ("hgetall", Rule::Pairs),
    ("hkeys", Rule::Unordered),
    ("hrandfield", Rule::Shape),
    ("hvals", Rule::Unordered),
    ("keys", Rule::Unordered),
    ("pexpiretime", Rule::Near(1000)),
    ("pttl", Rule::Near(1000)),
    ("sdiff", Rule::Unordered),
    ("sinter", Rule::Unordered),
    ("smembers", Rule::Unordered),
    ("srandmember", Rule::Shape),
    ("sunion", Rule::Unordered),
    ("ttl", Rule::Near(1)),
    ("xinfo", Rule::Moments),
    ("xpending", Rule::Moments),
    ("zrandmember", Rule::Shape),
];

/// A difference that is meant.
struct Accepted {
    /// The commands; their first words.
    commands: &'static [&'static str],
    /// Whether these two replies, Forebay's and Redis's, are such a difference.
    holds: fn(&Value, &Value) -> bool,
    /// Why it is meant.
    #[expect(dead_code, reason = "for those who read the list")]
    because: &'static str,
}

/// All differences from Redis 7.0 that are meant.
const ACCEPTED: &[Accepted] = &[
    Accepted {
        commands: &[
            "blpop",
            "brpop",
            "blmove",
            "brpoplpush",
            "blmpop",
            "bzpopmin",
            "bzpopmax",
            "bzmpop",
        ],
        holds: |ours, theirs| {
            is_error(ours, "ERR timeout is out of range") && is_error(theirs, "ERR timeout is negative")
        },
        because: "Redis 7.0 calls a time negative that overflows; later ones call it out of range.",
    },
    Accepted {
        commands: &["bitcount", "bitpos"],
        holds: |ours, _| matches!(ours, Value::Error(_)),
        because: "From Redis 7.2 on arguments are checked whether or not there is a key, and whatever it holds.",
    },
    Accepted {
        commands: &["sort", "sort_ro"],
        holds: |_, theirs| is_error(theirs, "ERR One or more scores can't be converted into double"),
        because: "Redis 7.0 also reports a range error of some earlier conversion (errno is not cleared).",
    },
    Accepted {
        commands: &["object"],
        holds: |ours, theirs| is_text(ours, "listpack") && is_text(theirs, "hashtable"),
        because: "Small sets are packed, as from Redis 7.2 on. What hashes are is compared in the end.",
    },
    Accepted {
        commands: &["object"],
        holds: |ours, theirs| is_text(ours, "listpack") && is_text(theirs, "skiplist"),
        because: "Redis unpacks a sorted set when it sorts it. What those are that it did not sort is compared in the end.",
    },
];

fn is_error(value: &Value, text: &str) -> bool {
    matches!(value, Value::Error(error) if error == text)
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::Bulk(bytes) if bytes == text.as_bytes())
}

/// Whether both servers answered `words` alike, or differ as they are meant to.
pub fn same(words: &[Vec<u8>], ours: &Value, theirs: &Value) -> bool {
    fits(rule(words), ours, theirs) || is_accepted(words, ours, theirs)
}

fn is_accepted(words: &[Vec<u8>], ours: &Value, theirs: &Value) -> bool {
    let is_of = |command: &&str| words[0].eq_ignore_ascii_case(command.as_bytes());
    ACCEPTED
        .iter()
        .any(|accepted| accepted.commands.iter().any(is_of) && (accepted.holds)(ours, theirs))
}

fn rule(words: &[Vec<u8>]) -> Rule {
    let name = words[0].to_ascii_lowercase();
    let has = |option: &str| {
        words
            .iter()
            .any(|word| word.eq_ignore_ascii_case(option.as_bytes()))
    };
    if name.starts_with(b"sort") && has("ALPHA") && !has("BY") && !has("GET") {
        return Rule::Texts;
    }
    if name.starts_with(b"sort") && (has("BY") || has("ALPHA")) {
        // What has the same weight, or none, or is the same text up to a zero byte, comes in the order of the data's
        // structure.
        return if has("LIMIT") {
            Rule::Shape
        } else {
            Rule::Unordered
        };
    }
    if name.starts_with(b"georadius") || name.starts_with(b"geosearch") {
        // The same holds for equal distances.
        return if has("COUNT") {
            Rule::Shape
        } else {
            Rule::Unordered
        };
    }
    let known = RULES.iter().find(|(known, _)| known.as_bytes() == name);
    known.map_or(Rule::Exact, |(_, rule)| *rule)
}

fn fits(rule: Rule, ours: &Value, theirs: &Value) -> bool {
    match (rule, ours, theirs) {
        (Rule::Shape, ..) => shape(ours) == shape(theirs),
        (Rule::Near(tolerance), Value::Integer(ours), Value::Integer(theirs)) => {
            ours == theirs || *ours > 0 && *theirs > 0 && ours.abs_diff(*theirs) <= tolerance as u64
        }
        (Rule::Texts, Value::Array(ours), Value::Array(theirs)) => {
            ours.iter().map(c_text).eq(theirs.iter().map(c_text))
        }
        (Rule::Moments, ..) => same_but_for_moments(ours, theirs),
        (Rule::Unordered, Value::Array(_), Value::Array(_)) => sorted(ours, 1) == sorted(theirs, 1),
        (Rule::Pairs, Value::Array(_), Value::Array(_)) => sorted(ours, 2) == sorted(theirs, 2),
        _ => sorted(ours, 0) == sorted(theirs, 0),
    }
}

/// The same with sets and maps in the order of their elements, and the outermost array in that of groups of
/// `group` elements; 0: as it is.
pub fn sorted(value: &Value, group: usize) -> Value {
    let all = |items: &[Value]| -> Vec<Value> { items.iter().map(|item| sorted(item, 0)).collect() };
    match value {
        Value::Array(items) if group > 0 => {
            let items = all(items);
            let mut groups: Vec<&[Value]> = items.chunks(group).collect();
            groups.sort_by_key(|group| format!("{group:?}"));
            Value::Array(groups.concat())
        }
        Value::Array(items) => Value::Array(all(items)),
        Value::Set(items) => {
            let mut items = all(items);
            items.sort_by_key(Value::to_string);
            Value::Set(items)
        }
        Value::Map(pairs) => {
            let mut pairs: Vec<_> = pairs
                .iter()
                .map(|(key, value)| (sorted(key, 0), sorted(value, 0)))
                .collect();
            pairs.sort_by_key(|pair| format!("{pair:?}"));
            Value::Map(pairs)
        }
        other => other.clone(),
    }
}

/// The bytes before the first zero byte.
fn c_text(value: &Value) -> Value {
    match value {
        Value::Bulk(bytes) => Value::Bulk(bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()),
        other => other.clone(),
    }
}

/// Types and numbers of elements.
fn shape(value: &Value) -> Value {
    let all = |items: &[Value]| items.iter().map(shape).collect();
    match value {
        Value::Bulk(_) => Value::Bulk(Vec::new()),
        Value::Integer(_) => Value::Integer(0),
        Value::Double(_) => Value::Double(String::new()),
        Value::Array(items) => Value::Array(all(items)),
        Value::Set(items) => Value::Set(all(items)),
        other => other.clone(),
    }
}

/// Names of fields whose values depend on the moment.
const MOMENTS: [&str; 4] = ["idle", "inactive", "seen-time", "active-time"];
/// Unix milliseconds from which on a number is taken for a moment in the present.
const PRESENT_MS: i64 = 1_600_000_000_000;

fn same_but_for_moments(ours: &Value, theirs: &Value) -> bool {
    without_moments(&sorted(ours, 0)) == without_moments(&sorted(theirs, 0))
}

/// The same with 0 for all that depends on the moment.
fn without_moments(value: &Value) -> Value {
    let is_moment = |name: Option<&Value>| matches!(name, Some(Value::Bulk(name)) if MOMENTS.iter().any(|moment| moment.as_bytes() == name));
    match value {
        Value::Integer(number) if *number >= PRESENT_MS => Value::Integer(0),
        Value::Array(items) => {
            // An entry of XPENDING: id, consumer, idle time, deliveries.
            let is_pending = matches!(
                &items[..],
                [
                    Value::Bulk(_),
                    Value::Bulk(_),
                    Value::Integer(_),
                    Value::Integer(_)
                ]
            );
            let item = |(at, item): (usize, &Value)| {
                if is_pending && at == 2 || at % 2 == 1 && is_moment(items.get(at - 1)) {
                    Value::Integer(0)
                } else {
                    without_moments(item)
                }
            };
            Value::Array(items.iter().enumerate().map(item).collect())
        }
        Value::Map(pairs) => {
            let pair = |(key, value): &(Value, Value)| {
                let value = if is_moment(Some(key)) {
                    Value::Integer(0)
                } else {
                    without_moments(value)
                };
                (key.clone(), value)
            };
            Value::Map(pairs.iter().map(pair).collect())
        }
        other => other.clone(),
    }
}
