//! What a transcript expects of a reply. The notation is described in [`super`].

use super::words::{Cursor, Text};
use crate::client::Value;
use std::ops::RangeInclusive;

/// The version of the protocol that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The one that every connection starts with.
    Resp2,
    /// The one with maps, doubles and pushes.
    Resp3,
}

/// A description of replies, written in RESP3's types; in RESP2 each stands for what RESP2 has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// Whatever it is.
    Any,
    /// A simple string.
    Simple(Text),
    /// An error, with its prefix.
    Error(Text),
    /// An integer within these bounds.
    Integer(RangeInclusive<i64>),
    /// A bulk string.
    Bulk(Text),
    /// A bulk string that has lines like each of these.
    Lines(Vec<Text>),
    /// No value.
    Nil,
    /// No array, where RESP2 tells the difference.
    NilArray,
    /// A double, written as here; RESP2: a bulk string.
    Double(Text),
    /// A number of any length; RESP2: a bulk string.
    BigNumber(Text),
    /// Readable text, `txt`; RESP2: a bulk string.
    Verbatim(Box<Pattern>),
    /// True or false; RESP2: 1 or 0.
    Boolean(bool),
    /// Exactly these, in this order.
    Array(Vec<Pattern>),
    /// Exactly these, in any order.
    Unordered(Vec<Pattern>),
    /// These in any order, and perhaps others.
    Contains(Vec<Pattern>),
    /// An array of any length of such elements.
    Each(Box<Pattern>),
    /// Exactly these pairs, in any order; RESP2: an array of keys and values in turn.
    Map(Vec<(Pattern, Pattern)>),
    /// These pairs in any order, and perhaps others.
    MapContains(Vec<(Pattern, Pattern)>),
    /// A set of exactly these; RESP2: an array.
    Set(Vec<Pattern>),
    /// A message that is no reply; RESP2: an array.
    Push(Vec<Pattern>),
    /// Attributes and the reply they are about; RESP2: only the reply.
    Attributed(Vec<(Pattern, Pattern)>, Box<Pattern>),
}

impl Pattern {
    /// Reads the notation. The error tells what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut cursor = Cursor::new(text.trim());
        let pattern = whole_line(&mut cursor).map_or_else(|| pattern(&mut cursor), Ok)?;
        cursor.skip_spaces();
        if cursor.rest().is_empty() {
            Ok(pattern)
        } else {
            Err(format!("{:?} is too much", cursor.rest()))
        }
    }

    /// Whether the reply is as described.
    pub fn matches(&self, value: &Value, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Resp2 => self.matches_resp2(value),
            Protocol::Resp3 => self.matches_resp3(value),
        }
    }

    fn matches_resp2(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Nil, Value::NullBulk) | (Self::NilArray, Value::NullArray) => true,
            (Self::Double(text) | Self::BigNumber(text), Value::Bulk(bytes)) => text.matches(bytes),
            (Self::Verbatim(inner), value) => inner.matches_resp2(value),
            (Self::Boolean(expected), Value::Integer(number)) => i64::from(*expected) == *number,
            (Self::Map(pairs), Value::Array(items)) => {
                items.len() == 2 * pairs.len() && all_pairs_found(pairs, &in_pairs(items), Protocol::Resp2)
            }
            (Self::MapContains(pairs), Value::Array(items)) => {
                items.len().is_multiple_of(2) && all_pairs_found(pairs, &in_pairs(items), Protocol::Resp2)
            }
            (Self::Set(patterns), Value::Array(items)) => any_order(patterns, items, Protocol::Resp2),
            (Self::Push(patterns), Value::Array(items)) => in_order(patterns, items, Protocol::Resp2),
            (Self::Attributed(_, reply), value) => reply.matches_resp2(value),
            _ => self.matches_alike(value, Protocol::Resp2),
        }
    }

    fn matches_resp3(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Nil | Self::NilArray, Value::Null) => true,
            (Self::Double(text), Value::Double(number))
            | (Self::BigNumber(text), Value::BigNumber(number)) => text.matches(number.as_bytes()),
            (Self::Verbatim(inner), Value::Verbatim(bytes)) => bytes
                .strip_prefix(b"txt:")
                .is_some_and(|text| inner.matches_resp3(&Value::Bulk(text.to_vec()))),
            (Self::Boolean(expected), Value::Boolean(got)) => expected == got,
            (Self::Map(pairs), Value::Map(got)) => {
                got.len() == pairs.len() && all_pairs_found(pairs, got, Protocol::Resp3)
            }
            (Self::MapContains(pairs), Value::Map(got)) => all_pairs_found(pairs, got, Protocol::Resp3),
            (Self::Set(patterns), Value::Set(items)) => any_order(patterns, items, Protocol::Resp3),
            (Self::Push(patterns), Value::Push(items)) => in_order(patterns, items, Protocol::Resp3),
            (Self::Attributed(pairs, reply), Value::Attributed(got, about)) => {
                got.len() == pairs.len()
                    && all_pairs_found(pairs, got, Protocol::Resp3)
                    && reply.matches_resp3(about)
            }
            _ => self.matches_alike(value, Protocol::Resp3),
        }
    }

    /// The types that both protocols have.
    fn matches_alike(&self, value: &Value, protocol: Protocol) -> bool {
        match (self, value) {
            (Self::Any, _) => true,
            (Self::Simple(text), Value::Simple(got)) | (Self::Error(text), Value::Error(got)) => {
                text.matches(got.as_bytes())
            }
            (Self::Integer(bounds), Value::Integer(number)) => bounds.contains(number),
            (Self::Bulk(text), Value::Bulk(bytes)) => text.matches(bytes),
            (Self::Lines(texts), Value::Bulk(bytes)) => has_lines(bytes, texts),
            (Self::Array(patterns), Value::Array(items)) => in_order(patterns, items, protocol),
            (Self::Unordered(patterns), Value::Array(items)) => any_order(patterns, items, protocol),
            (Self::Contains(patterns), Value::Array(items)) => all_found(patterns, items, protocol),
            (Self::Each(pattern), Value::Array(items)) => {
                items.iter().all(|item| pattern.matches(item, protocol))
            }
            _ => false,
        }
    }
}

fn has_lines(bytes: &[u8], texts: &[Text]) -> bool {
    let lines: Vec<&[u8]> = bytes
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
        .collect();
    texts
        .iter()
        .all(|text| lines.iter().any(|line| text.matches(line)))
}

fn in_order(patterns: &[Pattern], items: &[Value], protocol: Protocol) -> bool {
    patterns.len() == items.len()
        && patterns
            .iter()
            .zip(items)
            .all(|(pattern, item)| pattern.matches(item, protocol))
}

fn any_order(patterns: &[Pattern], items: &[Value], protocol: Protocol) -> bool {
    patterns.len() == items.len() && all_found(patterns, items, protocol)
}

/// Whether each pattern has an item of its own. The first that fits is taken, so write narrow patterns first.
fn all_found(patterns: &[Pattern], items: &[Value], protocol: Protocol) -> bool {
    let mut free: Vec<&Value> = items.iter().collect();
    patterns
        .iter()
        .all(|pattern| take_first(&mut free, |item| pattern.matches(item, protocol)))
}

fn all_pairs_found(patterns: &[(Pattern, Pattern)], pairs: &[(Value, Value)], protocol: Protocol) -> bool {
    let mut free: Vec<&(Value, Value)> = pairs.iter().collect();
    patterns.iter().all(|(key, value)| {
        take_first(&mut free, |pair| {
            key.matches(&pair.0, protocol) && value.matches(&pair.1, protocol)
        })
    })
}

fn take_first<T>(free: &mut Vec<T>, fits: impl Fn(&T) -> bool) -> bool {
    let found = free.iter().position(fits);
    found.map(|index| free.swap_remove(index)).is_some()
}

/// Elements in twos; a last one without partner is left out.
fn in_pairs(items: &[Value]) -> Vec<(Value, Value)> {
    items
        .chunks_exact(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect()
}

/// Errors and simple strings that take the rest of the line.
fn whole_line(cursor: &mut Cursor<'_>) -> Option<Pattern> {
    if cursor.take("~-") {
        Some(Pattern::Error(Text::with_wildcards(cursor.take_rest())))
    } else if cursor.take("~+") {
        Some(Pattern::Simple(Text::with_wildcards(cursor.take_rest())))
    } else if cursor.take("-") {
        Some(Pattern::Error(Text::exactly(cursor.take_rest())))
    } else {
        cursor
            .take("+")
            .then(|| Pattern::Simple(Text::exactly(cursor.take_rest())))
    }
}

fn pattern(cursor: &mut Cursor<'_>) -> Result<Pattern, String> {
    cursor.skip_spaces();
    match cursor.peek() {
        Some('"' | '~') => Ok(Pattern::Bulk(text(cursor)?)),
        Some('[') => Ok(Pattern::Array(list(cursor)?)),
        Some('{') => Ok(Pattern::Map(pairs(cursor)?)),
        Some(':') => integer(cursor),
        Some('(') => named(cursor),
        _ => word(cursor),
    }
}

fn integer(cursor: &mut Cursor<'_>) -> Result<Pattern, String> {
    cursor.expect(":")?;
    let number: i64 = parsed(&digits(cursor))?;
    Ok(Pattern::Integer(number..=number))
}

fn digits(cursor: &mut Cursor<'_>) -> String {
    cursor.take_while(|letter| letter.is_ascii_digit() || letter == '-')
}

fn parsed(digits: &str) -> Result<i64, String> {
    digits.parse().map_err(|_| format!("{digits:?} is no integer"))
}

fn word(cursor: &mut Cursor<'_>) -> Result<Pattern, String> {
    let word = cursor.take_while(|letter| letter.is_ascii_alphanumeric() || "_-@.|".contains(letter));
    if word.is_empty() {
        return Err(format!("no reply is written {:?}", cursor.rest()));
    }
    Ok(Pattern::Simple(Text::exactly(&word)))
}

fn named(cursor: &mut Cursor<'_>) -> Result<Pattern, String> {
    cursor.expect("(")?;
    let name = cursor.take_while(|letter| letter.is_ascii_lowercase() || letter == '-');
    cursor.skip_spaces();
    let pattern = match name.as_str() {
        "any" => Pattern::Any,
        "nil" => Pattern::Nil,
        "nil-array" => Pattern::NilArray,
        "true" => Pattern::Boolean(true),
        "false" => Pattern::Boolean(false),
        "simple" => Pattern::Simple(text(cursor)?),
        "error" => Pattern::Error(text(cursor)?),
        "double" => Pattern::Double(until_bracket(cursor)),
        "bignum" => Pattern::BigNumber(until_bracket(cursor)),
        "integer" => Pattern::Integer(bounds(cursor)?),
        "verbatim" => Pattern::Verbatim(Box::new(pattern(cursor)?)),
        "lines" => Pattern::Lines(texts(cursor)?),
        "unordered" => Pattern::Unordered(list(cursor)?),
        "contains" if cursor.peek() == Some('{') => Pattern::MapContains(pairs(cursor)?),
        "contains" => Pattern::Contains(list(cursor)?),
        "each" => Pattern::Each(Box::new(pattern(cursor)?)),
        "set" => Pattern::Set(list(cursor)?),
        "push" => Pattern::Push(list(cursor)?),
        "attributed" => Pattern::Attributed(pairs(cursor)?, Box::new(pattern(cursor)?)),
        _ => return Err(format!("there is no ({name} …)")),
    };
    cursor.expect(")")?;
    Ok(pattern)
}

fn text(cursor: &mut Cursor<'_>) -> Result<Text, String> {
    if cursor.take("~") {
        cursor.quoted_with_wildcards()
    } else {
        cursor.quoted()
    }
}

fn until_bracket(cursor: &mut Cursor<'_>) -> Text {
    Text::with_wildcards(cursor.take_while(|letter| letter != ')').trim())
}

fn bounds(cursor: &mut Cursor<'_>) -> Result<RangeInclusive<i64>, String> {
    let low = digits(cursor);
    cursor.expect("..")?;
    let high = digits(cursor);
    let or = |digits: &str, open| {
        if digits.is_empty() {
            Ok(open)
        } else {
            parsed(digits)
        }
    };
    Ok(or(&low, i64::MIN)?..=or(&high, i64::MAX)?)
}

fn texts(cursor: &mut Cursor<'_>) -> Result<Vec<Text>, String> {
    separated(cursor, "[", "]", text)
}

fn list(cursor: &mut Cursor<'_>) -> Result<Vec<Pattern>, String> {
    separated(cursor, "[", "]", pattern)
}

fn pairs(cursor: &mut Cursor<'_>) -> Result<Vec<(Pattern, Pattern)>, String> {
    separated(cursor, "{", "}", |cursor| {
        let key = pattern(cursor)?;
        cursor.expect(":")?;
        Ok((key, pattern(cursor)?))
    })
}

fn separated<T>(
    cursor: &mut Cursor<'_>,
    open: &str,
    close: &str,
    element: impl Fn(&mut Cursor<'_>) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    cursor.expect(open)?;
    let mut elements = Vec::new();
    loop {
        cursor.skip_spaces();
        if cursor.take(close) {
            return Ok(elements);
        }
        elements.push(element(cursor)?);
        cursor.skip_spaces();
        if !cursor.take(",") {
            cursor.expect(close)?;
            return Ok(elements);
        }
        cursor.skip_spaces();
    }
}

#[test]
fn a_map_is_an_array_in_resp2() {
    let pattern = Pattern::parse(r#"{"a": :1, "b": (nil)}"#).unwrap();
    let bulk = |text: &str| Value::Bulk(text.into());
    let map = Value::Map(vec![(bulk("b"), Value::Null), (bulk("a"), Value::Integer(1))]);
    let array = Value::Array(vec![bulk("a"), Value::Integer(1), bulk("b"), Value::NullBulk]);
    assert!(pattern.matches(&map, Protocol::Resp3) && !pattern.matches(&map, Protocol::Resp2));
    assert!(pattern.matches(&array, Protocol::Resp2) && !pattern.matches(&array, Protocol::Resp3));
}

#[test]
fn the_nulls_are_told_apart() {
    let (nil, nil_array) = (
        Pattern::parse("(nil)").unwrap(),
        Pattern::parse("(nil-array)").unwrap(),
    );
    assert!(
        nil.matches(&Value::NullBulk, Protocol::Resp2) && !nil.matches(&Value::NullArray, Protocol::Resp2)
    );
    assert!(
        nil_array.matches(&Value::NullArray, Protocol::Resp2)
            && nil_array.matches(&Value::Null, Protocol::Resp3)
    );
    assert!(!nil.matches(&Value::NullBulk, Protocol::Resp3));
}

#[test]
fn every_kind_of_expectation_can_be_written() {
    let value = Value::Array(vec![
        Value::Integer(7),
        Value::Bulk(b"id=3 name=x\r\nlast".to_vec()),
        Value::Simple("OK".to_owned()),
        Value::Set(vec![Value::Boolean(true), Value::Double("1.5".to_owned())]),
    ]);
    let fits = |text: &str| Pattern::parse(text).unwrap().matches(&value, Protocol::Resp3);
    assert!(fits(
        r#"[(integer 1..), ~"id=*last", OK, (set [(double 1.5), (true)])]"#
    ));
    assert!(fits(r#"(contains [OK, (lines [~"id=*", "last"])])"#));
    assert!(fits("(each (any))"));
    assert!(!fits("(unordered [OK, :7])"));
    assert!(!fits("[(integer ..6), (any), (any), (any)]"));
}

#[test]
fn mistakes_are_told() {
    for text in ["", "[1", "(integer 5)", "(unknown)", "OK OK", "\"open", ":x"] {
        assert!(Pattern::parse(text).is_err(), "{text}");
    }
}
